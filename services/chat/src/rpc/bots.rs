//! The methods for bots.

use api::chat::v1::{
    CreateBotRequest, CreateBotResponse, DeleteBotRequest, DeleteBotResponse, GetBotRequest,
    GetBotResponse, ListBotsRequest, ListBotsResponse, UpdateBotRequest, UpdateBotResponse,
};
use database::{Connection, types::Time};
use diesel::QueryResult;
use uuid::Uuid;

use super::{
    convert,
    list::{List, read_page},
};
use crate::{
    bots::{MAX_TYPE_LENGTH, fanout::Fanout},
    error::Error,
    models::bot::{Bot, BotChanges},
    store::Store,
    validate,
};

const MAX_NAME_CHARS: usize = 255;
const MAX_DESCRIPTION_CHARS: usize = 10_000;

pub(super) async fn create(
    store: &Store,
    request: CreateBotRequest,
) -> Result<CreateBotResponse, Error> {
    let bot = validate::required("bot", request.bot)?;
    let now = Time::now();
    let new = Bot {
        id: Uuid::now_v7().to_string(),
        kind: validate::text("bot.type", bot.r#type, MAX_TYPE_LENGTH)?,
        name: validate::text("bot.name", bot.name, MAX_NAME_CHARS)?,
        description: validate::optional_text(
            "bot.description",
            bot.description,
            MAX_DESCRIPTION_CHARS,
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
    let bot_type = validate::optional_text("type", request.r#type, MAX_TYPE_LENGTH)?;
    let connection = &mut store.connection().await?;
    let list = BotList { bot_type };
    let (bots, next_page_token) =
        read_page(&list, connection, request.page_size, &request.page_token).await?;
    Ok(ListBotsResponse { bots, next_page_token })
}

struct BotList {
    bot_type: Option<String>,
}

impl List for BotList {
    type Row = Bot;
    type Key = String;
    type Item = api::chat::v1::Bot;

    fn name(&self) -> String {
        format!("bots?type={}", self.bot_type.as_deref().unwrap_or_default())
    }

    async fn read(
        &self,
        connection: &mut Connection,
        after: Option<String>,
        limit: usize,
    ) -> QueryResult<Vec<Bot>> {
        let after = after.unwrap_or_default();
        Bot::page(connection, self.bot_type.as_deref(), &after, limit).await
    }

    fn key(row: &Bot) -> String {
        row.id.clone()
    }

    fn convert(row: Bot) -> Self::Item {
        convert::bot(row)
    }
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
        name: name.then(|| validate::text("bot.name", bot.name, MAX_NAME_CHARS)).transpose()?,
        description: description
            .then(|| {
                validate::optional_text("bot.description", bot.description, MAX_DESCRIPTION_CHARS)
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
