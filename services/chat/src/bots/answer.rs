//! Answers of workers to their deliveries.

use std::time::{Duration, Instant};

use api::Reason;
use backon::{BackoffBuilder as _, ExponentialBuilder};
use database::{
    ErrorClass,
    types::{Json, Time},
};
use serde_json::json;
use tokio::time::sleep;
use tonic::Code;
use uuid::Uuid;
use wire::Problem;

use super::dispatcher::DeliveryDispatcher;
use crate::{
    bus::Topic,
    error::Error,
    messages::MAX_BODY_BYTES,
    models::{
        delivery::DeliveryAttempt,
        delivery_answer::{AnswerContext, DeliveryAnswer, ProcessedMessage},
        message::NewMessage,
    },
    validate,
};

/// How long an answer is tried again while rows are locked or the database is unreachable.
const STORE_TIMEOUT: Duration = Duration::from_secs(15);
const STORE_BACKOFF: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(1))
    .with_max_delay(Duration::from_millis(256))
    .without_max_times();
/// Length of the error that is kept of a failed attempt, in characters.
const MAX_ERROR_LENGTH: usize = 1_000;
/// The key in a reply's metadata that describes its bot.
const METADATA_KEY: &str = "bot";

/// What one attempt to store an answer did.
enum StoreOutcome {
    Stored,
    /// The delivery is not at that attempt any more.
    Expired,
    /// Another transaction locks a row: try again.
    Locked,
}

impl DeliveryDispatcher {
    /// Stores the answer of a worker: a reply, or the failure of the attempt.
    pub(super) async fn answer(
        &self,
        bot_type: &str,
        attempt: &DeliveryAttempt,
        reply: String,
        error: &str,
    ) {
        let result = if error.is_empty() {
            match validate::body("reply", reply, MAX_BODY_BYTES) {
                Ok(reply) => self.reply(bot_type, attempt, reply).await,
                Err(problem) => self.fail(attempt, problem.message()).await,
            }
        } else {
            self.fail(attempt, error).await
        };
        if let Err(error) = result {
            self.store.invalidate_on(&error);
            let problem = error.into_problem();
            // `into_problem` logs both. The message is delivered again after the failure or, if
            // that cannot be recorded, when the lease expires.
            if let Err(error) = self.fail(attempt, problem.message()).await {
                let _ = error.into_problem();
            }
        }
    }

    async fn fail(&self, attempt: &DeliveryAttempt, error: &str) -> Result<(), Error> {
        let error: String = error.chars().filter(|c| *c != '\0').take(MAX_ERROR_LENGTH).collect();
        self.record_failure(std::slice::from_ref(attempt), &error).await
    }

    /// Stores a reply, and tries again while another transaction locks what it needs.
    async fn reply(
        &self,
        bot_type: &str,
        attempt: &DeliveryAttempt,
        reply: String,
    ) -> Result<(), Error> {
        let started = Instant::now();
        let mut backoff = STORE_BACKOFF.build();
        loop {
            let is_last = started.elapsed() >= STORE_TIMEOUT;
            match self.try_reply(bot_type, attempt, &reply).await {
                Ok(StoreOutcome::Stored) => {
                    self.bus.publish(Topic::Messages);
                    return Ok(());
                }
                Ok(StoreOutcome::Expired) => {
                    let DeliveryAttempt { position, bot_id, attempt } = attempt;
                    tracing::info!(
                        bot = bot_id,
                        position,
                        attempt,
                        "discarded an answer that arrived after its lease expired"
                    );
                    return Ok(());
                }
                Ok(StoreOutcome::Locked) if is_last => {
                    let text = "chat is locked by a long transaction";
                    return Err(Problem::new(Code::Unavailable, Reason::ChatLocked, text).into());
                }
                Ok(StoreOutcome::Locked) => {}
                Err(error) if is_last || !is_transient(&error) => return Err(error),
                Err(error) => self.store.invalidate_on(&error),
            }
            sleep(backoff.next().unwrap_or_default()).await;
        }
    }

    async fn try_reply(
        &self,
        bot_type: &str,
        attempt: &DeliveryAttempt,
        reply: &str,
    ) -> Result<StoreOutcome, Error> {
        let connection = &mut self.store.connection().await?;
        let Some(context) = AnswerContext::find(connection, attempt, bot_type).await? else {
            return Ok(StoreOutcome::Expired);
        };
        let is_stored = new_answer(context, attempt, reply).store(connection).await?;
        Ok(if is_stored { StoreOutcome::Stored } else { StoreOutcome::Locked })
    }
}

fn is_transient(error: &Error) -> bool {
    matches!(error, Error::Unavailable(_))
        || matches!(
            error.class(),
            Some(ErrorClass::ConnectionLost | ErrorClass::Busy | ErrorClass::SchemaMismatch)
        )
}

fn new_answer(context: AnswerContext, attempt: &DeliveryAttempt, reply: &str) -> DeliveryAnswer {
    let AnswerContext { message_id, chat_id, bot } = context;
    let now = Time::now();
    let bot_metadata = json!({ "id": bot.id, "type": bot.kind, "name": bot.name });
    let reply = (!reply.is_empty()).then(|| NewMessage {
        id: reply_id(&message_id, &bot.id).to_string(),
        chat_id: chat_id.clone(),
        sender: bot.id.clone(),
        body: reply.to_owned(),
        reply_to: Some(message_id.clone()),
        metadata: Json(json!({ METADATA_KEY: bot_metadata })),
        sent_at: now,
    });
    let processed = ProcessedMessage {
        id: Uuid::now_v7().to_string(),
        message_id,
        chat_id: Some(chat_id),
        bot_id: Some(bot.id),
        content: None,
        response: reply.as_ref().map(|reply| reply.body.clone()),
        metadata: Json::default(),
        processed_at: now,
    };
    DeliveryAnswer { attempt: attempt.clone(), processed, reply }
}

/// The id of a bot's reply to a message: every replica derives the same.
fn reply_id(message_id: &str, bot_id: &str) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{message_id}/{bot_id}").as_bytes())
}
