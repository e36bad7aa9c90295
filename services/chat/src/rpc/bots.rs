//! Bots: made, looked at, listed, changed and deleted.

use api::chat::v1::{
    CreateBotRequest, CreateBotResponse, DeleteBotRequest, DeleteBotResponse, GetBotRequest,
    GetBotResponse, ListBotsRequest, ListBotsResponse, UpdateBotRequest, UpdateBotResponse,
};
use database::types::Time;
use uuid::Uuid;
use wire::page::{self, Page};

use super::convert;
use crate::{
    bots::{MAX_TYPE_LENGTH, fanout::Fanout},
    error::Error,
    models::bot::{Bot, BotChanges},
    store::Store,
    validate,
};

const NAME_LENGTH: usize = 255;
const DESCRIPTION_LENGTH: usize = 10_000;

pub(super) async fn create(
    store: &Store,
    request: CreateBotRequest,
) -> Result<CreateBotResponse, Error> {
    let bot = validate::required("bot", request.bot)?;
    let now = Time::now();
    let new = Bot {
        id: Uuid::now_v7().to_string(),
        kind: validate::text("bot.type", bot.r#type, MAX_TYPE_LENGTH)?,
        name: validate::text("bot.name", bot.name, NAME_LENGTH)?,
        description: validate::optional_text(
            "bot.description",
            bot.description,
            DESCRIPTION_LENGTH,
        )?,
        config: validate::metadata("bot.config", bot.config)?,
        enabled: bot.enabled,
        created_at: now,
        updated_at: now,
    };
    let stored = new.insert(&mut store.connection().await?).await?;
    Ok(CreateBotResponse { bot: Some(convert::bot(stored)) })
}

pub(super) async fn get(store: &Store, request: GetBotRequest) -> Result<GetBotResponse, Error> {
    let id = validate::id("id", request.id)?;
    let found = Bot::by_id(&mut store.connection().await?, &id).await?;
    let bot = found.ok_or(Error::BotNotFound(id))?;
    Ok(GetBotResponse { bot: Some(convert::bot(bot)) })
}

pub(super) async fn list(
    store: &Store,
    request: ListBotsRequest,
) -> Result<ListBotsResponse, Error> {
    let mut page = Page::of(request.page_size)?;
    let kind = validate::optional_text("type", request.r#type, MAX_TYPE_LENGTH)?;
    let filter = format!("bots?type={}", kind.as_deref().unwrap_or_default());
    let mut after = page::read(&request.page_token, &filter)?.unwrap_or_default();
    let connection = &mut store.connection().await?;
    loop {
        let read = Bot::page(connection, kind.as_deref(), &after, page.wanted()).await?;
        after = read.last().map(|last| last.id.clone()).unwrap_or_default();
        if !page.take(read, |bot| bot.id.clone(), convert::bot) {
            break;
        }
    }
    let (bots, next_page_token) = page.end(&filter);
    Ok(ListBotsResponse { bots, next_page_token })
}

pub(super) async fn update(
    store: &Store,
    fanout: &Fanout,
    request: UpdateBotRequest,
) -> Result<UpdateBotResponse, Error> {
    let bot = validate::required("bot", request.bot)?;
    let id = validate::id("bot.id", bot.id)?;
    let fields = ["type", "name", "description", "config", "enabled"];
    let [kind, name, description, config, enabled] = validate::mask(request.update_mask, fields)?;
    let changes = BotChanges {
        kind: kind.then(|| validate::text("bot.type", bot.r#type, MAX_TYPE_LENGTH)).transpose()?,
        name: name.then(|| validate::text("bot.name", bot.name, NAME_LENGTH)).transpose()?,
        description: description
            .then(|| {
                validate::optional_text("bot.description", bot.description, DESCRIPTION_LENGTH)
            })
            .transpose()?,
        config: config.then(|| validate::metadata("bot.config", bot.config)).transpose()?,
        enabled: enabled.then_some(bot.enabled),
        updated_at: Time::now(),
    };
    let changed = Bot::update(&mut store.connection().await?, &id, &changes).await?;
    let bot = changed.ok_or(Error::BotNotFound(id))?;
    fanout.notify_bots_enabled();
    Ok(UpdateBotResponse { bot: Some(convert::bot(bot)) })
}

pub(super) async fn delete(
    store: &Store,
    request: DeleteBotRequest,
) -> Result<DeleteBotResponse, Error> {
    let id = validate::id("id", request.id)?;
    if Bot::delete(&mut store.connection().await?, &id).await? {
        Ok(DeleteBotResponse {})
    } else {
        Err(Error::BotNotFound(id))
    }
}
