//! Why a call fails, and the one place where that becomes a gRPC status.

use std::time::Duration;

use api::Reason;
use database::{ErrorClass, PoolError, classify};
use tonic::{Code, Status};
use wire::{Problem, error_chain};

use crate::limits::LIMIT_RETRY_DELAY;

/// When a caller may try again after a failure of the database.
const DATABASE_RETRY_DELAY: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A refusal that is a `Problem` already, such as an invalid field.
    #[error("{}", .0.message())]
    Refused(Problem),
    /// By id or by jid.
    #[error("chat {0} not found")]
    ChatNotFound(String),
    #[error("schedule {0} not found")]
    ScheduleNotFound(String),
    #[error("bot {0} not found")]
    BotNotFound(String),
    #[error("bot {bot} is not assigned to chat {chat}")]
    AssignmentNotFound { chat: String, bot: String },
    #[error("no parked delivery of message {message} to bot {bot}")]
    DeliveryNotFound { message: String, bot: String },
    #[error("a chat with the jid {0} already exists")]
    JidTaken(String),
    #[error("the id {0} is already in use by another message")]
    MessageIdTaken(String),
    #[error("another transaction holds a lock on chat {0}; try again")]
    ChatLocked(String),
    #[error("too many messages are waiting to be stored; try again")]
    QueueFull,
    #[error("the service is shutting down; try again")]
    Ending,
    /// The caller's request stream failed.
    #[error("the request stream failed: {}", .0.message())]
    Stream(#[source] Box<Status>),
    #[error("no connection to the database")]
    Unavailable(#[from] PoolError),
    #[error("query failed")]
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

    /// Logs a failure of the server, once, and gives the client none of its internals.
    pub fn into_status(self) -> Status {
        match self {
            Self::Stream(status) => *status,
            error => error.into_problem().into(),
        }
    }

    /// Like [`Error::into_status`], for an error that several callers share.
    pub fn into_problem(self) -> Problem {
        let message = self.to_string();
        let not_found = |reason| Problem::new(Code::NotFound, reason, &message);
        let exists = |reason| Problem::new(Code::AlreadyExists, reason, &message);
        let unavailable = |reason| {
            Problem::new(Code::Unavailable, reason, &message).retry_after(DATABASE_RETRY_DELAY)
        };
        match self {
            Self::Refused(problem) => problem,
            Self::Stream(status) => {
                Problem::new(status.code(), Reason::StreamBroken, status.message())
            }
            Self::ChatNotFound(key) => not_found(Reason::ChatNotFound).with("chat", key),
            Self::ScheduleNotFound(id) => not_found(Reason::ScheduleNotFound).with("schedule", id),
            Self::BotNotFound(id) => not_found(Reason::BotNotFound).with("bot", id),
            Self::AssignmentNotFound { chat, bot } => {
                not_found(Reason::AssignmentNotFound).with("chat", chat).with("bot", bot)
            }
            Self::DeliveryNotFound { message, bot } => {
                not_found(Reason::DeliveryNotFound).with("message", message).with("bot", bot)
            }
            Self::JidTaken(jid) => exists(Reason::JidTaken).with("jid", jid),
            Self::MessageIdTaken(id) => exists(Reason::MessageIdTaken).with("message", id),
            Self::ChatLocked(chat) => unavailable(Reason::ChatLocked).with("chat", chat),
            Self::Ending => unavailable(Reason::ShuttingDown),
            Self::QueueFull => Problem::new(Code::ResourceExhausted, Reason::QueueFull, &message)
                .retry_after(LIMIT_RETRY_DELAY),
            Self::Unavailable(error) => {
                tracing::warn!(error = error_chain(&error), "no connection to the database");
                let message = "the database cannot be reached; try again";
                Problem::new(Code::Unavailable, Reason::DatabaseUnavailable, message)
                    .retry_after(DATABASE_RETRY_DELAY)
            }
            Self::Database(error) => database_problem(&error),
        }
    }
}

fn database_problem(error: &diesel::result::Error) -> Problem {
    let (reason, message) = match classify(error) {
        ErrorClass::ConnectionLost => {
            (Reason::DatabaseUnavailable, "the connection to the database was lost; try again")
        }
        ErrorClass::Busy => (Reason::DatabaseBusy, "the database is busy; try again"),
        ErrorClass::SchemaMismatch => (
            Reason::SchemaChanged,
            "the database's schema is not the one that this build requires; the gate checks it again",
        ),
        ErrorClass::Other => {
            tracing::error!(error = error_chain(error), "query failed");
            return Problem::internal();
        }
    };
    tracing::warn!(error = error_chain(error), reason = reason.as_str(), "query failed");
    Problem::new(Code::Unavailable, reason, message).retry_after(DATABASE_RETRY_DELAY)
}
