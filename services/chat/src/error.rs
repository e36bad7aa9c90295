//! What can go wrong in a call, and the one place where it becomes a gRPC status.

use std::time::Duration;

use database::{ErrorClass, Unavailable, classify};
use tonic::{Code, Status};
use wire::{Problem, error_chain};

use crate::limits::SOON;

/// When a caller may try again after a failure of the database.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Why a call is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// For reasons that are worded already: a field that is not what it must be, most of all.
    #[error("{}", .0.message())]
    Refused(Problem),
    /// No chat has this id, or this jid.
    #[error("there is no chat {0}")]
    ChatNotFound(String),
    /// No schedule has this id.
    #[error("there is no schedule {0}")]
    ScheduleNotFound(String),
    /// No bot has this id.
    #[error("there is no bot {0}")]
    BotNotFound(String),
    /// The bot does not sit in the chat.
    #[error("the bot {bot} is not assigned to the chat {chat}")]
    AssignmentNotFound {
        /// The chat.
        chat: String,
        /// The bot.
        bot: String,
    },
    /// No delivery of this message to this bot is parked.
    #[error("no delivery of the message {message} to the bot {bot} is parked")]
    DeliveryNotFound {
        /// The message.
        message: String,
        /// The bot.
        bot: String,
    },
    /// Another chat has this jid.
    #[error("there is a chat with the jid {0} already")]
    JidTaken(String),
    /// Another message has this id.
    #[error("another message has the id {0}")]
    MessageIdTaken(String),
    /// Others hold the chat locked.
    #[error("the chat {0} is locked by a long transaction; try again")]
    ChatLocked(String),
    /// As many messages wait as may.
    #[error("too many messages wait to be stored; try again")]
    QueueFull,
    /// The service ends.
    #[error("the service is ending; try again")]
    Ending,
    /// The caller's stream broke off.
    #[error("the caller's stream broke off")]
    Stream(#[source] Box<Status>),
    /// No connection to the database.
    #[error("the database cannot be reached")]
    Unavailable(#[from] Unavailable),
    /// The database refused a query.
    #[error("the database refused a query")]
    Database(#[from] diesel::result::Error),
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::Refused(problem)
    }
}

impl Error {
    /// The class of the database's error, if it is one.
    pub fn class(&self) -> Option<ErrorClass> {
        match self {
            Self::Database(error) => Some(classify(error)),
            _ => None,
        }
    }

    /// What the client reads. Internals are logged here, once.
    pub fn into_status(self) -> Status {
        match self {
            Self::Stream(status) => *status,
            error => error.into_problem().into(),
        }
    }

    /// The same, for those that share it.
    pub fn into_problem(self) -> Problem {
        let text = self.to_string();
        let unavailable =
            |reason| Problem::new(Code::Unavailable, reason, &text).retry_after(RETRY_DELAY);
        match self {
            Self::Stream(status) => Problem::new(status.code(), "STREAM_BROKEN", status.message()),
            Self::Refused(problem) => problem,
            Self::MessageIdTaken(id) => {
                Problem::new(Code::AlreadyExists, "MESSAGE_ID_TAKEN", text).with("message", id)
            }
            Self::ChatLocked(chat) => unavailable("CHAT_LOCKED").with("chat", chat),
            Self::QueueFull => {
                Problem::new(Code::ResourceExhausted, "QUEUE_FULL", text).retry_after(SOON)
            }
            Self::Ending => unavailable("SHUTTING_DOWN"),
            Self::ChatNotFound(key) => {
                Problem::new(Code::NotFound, "CHAT_NOT_FOUND", text).with("chat", key)
            }
            Self::ScheduleNotFound(id) => {
                Problem::new(Code::NotFound, "SCHEDULE_NOT_FOUND", text).with("schedule", id)
            }
            Self::BotNotFound(id) => {
                Problem::new(Code::NotFound, "BOT_NOT_FOUND", text).with("bot", id)
            }
            Self::AssignmentNotFound { chat, bot } => {
                Problem::new(Code::NotFound, "ASSIGNMENT_NOT_FOUND", text)
                    .with("chat", chat)
                    .with("bot", bot)
            }
            Self::DeliveryNotFound { message, bot } => {
                Problem::new(Code::NotFound, "DELIVERY_NOT_FOUND", text)
                    .with("message", message)
                    .with("bot", bot)
            }
            Self::JidTaken(jid) => {
                Problem::new(Code::AlreadyExists, "JID_TAKEN", text).with("jid", jid)
            }
            Self::Unavailable(error) => {
                tracing::warn!(error = error_chain(&error), "no connection to the database");
                Problem::new(
                    Code::Unavailable,
                    "DATABASE_UNAVAILABLE",
                    "the database cannot be reached; try again",
                )
                .retry_after(RETRY_DELAY)
            }
            Self::Database(error) => database_problem(&error),
        }
    }
}

/// A query's failure as the client reads it. The cause stays in the log.
fn database_problem(error: &diesel::result::Error) -> Problem {
    let (reason, message) = match classify(error) {
        ErrorClass::ConnectionLost => {
            ("DATABASE_UNAVAILABLE", "the connection to the database was lost; try again")
        }
        ErrorClass::Busy => ("DATABASE_BUSY", "the database is busy; try again"),
        ErrorClass::SchemaMismatch => (
            "SCHEMA_CHANGED",
            "the database's schema is not the one that this service needs; the gate looks again",
        ),
        ErrorClass::Other => {
            tracing::error!(error = error_chain(error), "query failed");
            return Problem::internal();
        }
    };
    tracing::warn!(error = error_chain(error), reason, "query failed");
    Problem::new(Code::Unavailable, reason, message).retry_after(RETRY_DELAY)
}
