//! Answers: what becomes of each.

use std::time::{Duration, Instant};

use common::{
    database::{
        ErrorClass,
        types::{Json, Time},
    },
    status::Problem,
};
use serde_json::json;
use tokio::time::sleep;
use tonic::Code;
use uuid::Uuid;

use super::desk::Desk;
use crate::{
    bus::Topic,
    error::Error,
    messages::BODY_SIZE,
    models::{
        answering::{Answer, Open, Processed},
        claiming::Claimed,
        message::NewMessage,
    },
    validate,
};

/// How long an answer waits for a chat that others hold locked, or for the database.
const PATIENCE: Duration = Duration::from_secs(15);
/// The first pause before it is tried again; it doubles with each try.
const PAUSE: Duration = Duration::from_millis(1);
/// Characters of a bot's error that are kept.
const ERROR_LENGTH: usize = 1_000;
/// The key of a message's metadata that tells of its bot.
const KEY: &str = "bot";

impl Desk {
    /// Takes a worker's answer to a delivery.
    pub(super) async fn answer(&self, kind: &str, to: &Claimed, reply: String, error: &str) {
        let failed = if error.is_empty() {
            match validate::body("reply", reply, BODY_SIZE) {
                Ok(reply) => self.reply(kind, to, reply).await,
                Err(problem) => self.fail_with(to, problem.message()).await,
            }
        } else {
            self.fail_with(to, error).await
        };
        if let Err(error) = failed {
            self.store.heed(&error);
            let problem = error.into_problem();
            // Whatever it was is in the log; what the bot said is not lost as long as it says it
            // again.
            if let Err(error) = self.fail_with(to, problem.message()).await {
                let _ = error.into_problem();
            }
        }
    }

    async fn fail_with(&self, to: &Claimed, error: &str) -> Result<(), Error> {
        let error: String = error.chars().filter(|c| *c != '\0').take(ERROR_LENGTH).collect();
        self.fail(std::slice::from_ref(to), &error).await
    }

    /// Stores an answer, and tries again while others hold what it needs.
    async fn reply(&self, kind: &str, to: &Claimed, reply: String) -> Result<(), Error> {
        let since = Instant::now();
        for tries in 0.. {
            match self.try_to_reply(kind, to, &reply).await {
                Ok(true) => {
                    self.bus.tell(Topic::Messages);
                    return Ok(());
                }
                Ok(false) if since.elapsed() < PATIENCE => {}
                Ok(false) => {
                    let words = "the chat is locked by a long transaction";
                    return Err(Problem::new(Code::Unavailable, "CHAT_LOCKED", words).into());
                }
                Err(error) if since.elapsed() < PATIENCE && may_pass(&error) => {
                    self.store.heed(&error);
                }
                Err(error) => return Err(error),
            }
            sleep(PAUSE * 2_u32.pow(tries.min(8))).await;
        }
        Ok(())
    }

    /// Stores an answer, or finds that it is late; false where others hold what it needs.
    async fn try_to_reply(&self, kind: &str, to: &Claimed, reply: &str) -> Result<bool, Error> {
        let connection = &mut self.store.connection().await?;
        let Some(open) = Open::find(connection, to, kind).await? else {
            tracing::info!(
                bot = to.bot_id,
                attempt = to.attempt,
                "an answer came late, and is dropped"
            );
            return Ok(true);
        };
        Ok(answer(open, to, reply).store(connection).await?)
    }
}

/// What time may mend.
fn may_pass(error: &Error) -> bool {
    matches!(error, Error::Unavailable(_))
        || matches!(
            error.class(),
            Some(ErrorClass::ConnectionLost | ErrorClass::Busy | ErrorClass::SchemaMismatch)
        )
}

fn answer(open: Open, to: &Claimed, reply: &str) -> Answer {
    let Open { message_id, chat_id, bot } = open;
    let now = Time::now();
    let said = (!reply.is_empty()).then(|| NewMessage {
        id: reply_id(&message_id, &bot.id).to_string(),
        chat_id: chat_id.clone(),
        sender: bot.id.clone(),
        body: reply.to_owned(),
        reply_to: Some(message_id.clone()),
        metadata: Json(json!({ KEY: { "id": bot.id, "type": bot.kind, "name": bot.name } })),
        sent_at: now,
    });
    let kept = Processed {
        id: Uuid::now_v7().to_string(),
        message_id,
        chat_id: Some(chat_id),
        bot_id: Some(bot.id),
        content: None,
        response: said.as_ref().map(|said| said.body.clone()),
        metadata: Json::default(),
        processed_at: now,
    };
    Answer { to: to.clone(), kept, reply: said }
}

/// The id of a bot's reply to a message: the same wherever it is made.
fn reply_id(message_id: &str, bot_id: &str) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{message_id}/{bot_id}").as_bytes())
}
