//! What can go wrong in a call, and the one place where it becomes a gRPC status.

use std::time::Duration;

use api::Reason;
use database::Unavailable;
use diesel::result::{DatabaseErrorInformation, DatabaseErrorKind};
use tonic::{Code, Status};
use wire::Problem;

use crate::limits::SOON;

/// When a caller may try again, where the database did not answer.
const RETRY: Duration = Duration::from_secs(1);

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

/// What a refusal by the database comes down to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// The connection broke.
    Lost,
    /// Others hold a lock for too long.
    Busy,
    /// The schema is not what the models were written for.
    Schema,
    /// Anything else: a mistake of ours.
    Bug,
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::Refused(problem)
    }
}

impl Error {
    /// What the database's refusal comes down to, if it was the database that refused.
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Self::Database(error) => Some(Fault::of(error)),
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
            |reason| Problem::new(Code::Unavailable, reason, &text).retry_after(RETRY);
        match self {
            Self::Stream(status) => {
                Problem::new(status.code(), Reason::StreamBroken, status.message())
            }
            Self::Refused(problem) => problem,
            Self::MessageIdTaken(id) => {
                Problem::new(Code::AlreadyExists, Reason::MessageIdTaken, text).with("message", id)
            }
            Self::ChatLocked(chat) => unavailable(Reason::ChatLocked).with("chat", chat),
            Self::QueueFull => {
                Problem::new(Code::ResourceExhausted, Reason::QueueFull, text).retry_after(SOON)
            }
            Self::Ending => unavailable(Reason::ShuttingDown),
            Self::ChatNotFound(key) => {
                Problem::new(Code::NotFound, Reason::ChatNotFound, text).with("chat", key)
            }
            Self::ScheduleNotFound(id) => {
                Problem::new(Code::NotFound, Reason::ScheduleNotFound, text).with("schedule", id)
            }
            Self::BotNotFound(id) => {
                Problem::new(Code::NotFound, Reason::BotNotFound, text).with("bot", id)
            }
            Self::AssignmentNotFound { chat, bot } => {
                Problem::new(Code::NotFound, Reason::AssignmentNotFound, text)
                    .with("chat", chat)
                    .with("bot", bot)
            }
            Self::DeliveryNotFound { message, bot } => {
                Problem::new(Code::NotFound, Reason::DeliveryNotFound, text)
                    .with("message", message)
                    .with("bot", bot)
            }
            Self::JidTaken(jid) => {
                Problem::new(Code::AlreadyExists, Reason::JidTaken, text).with("jid", jid)
            }
            Self::Unavailable(error) => {
                tracing::warn!(error = wire::error_chain(&error), "no database");
                Problem::new(
                    Code::Unavailable,
                    Reason::DatabaseUnavailable,
                    "the database cannot be reached; try again",
                )
                .retry_after(RETRY)
            }
            Self::Database(error) => Fault::of(&error).into_problem(&error),
        }
    }
}

impl Fault {
    /// Tells faults apart. Diesel drops the SQLSTATE, and PostgreSQL's texts are in the server's
    /// language; but every query here is fixed and tested, so one that the server cannot even
    /// parse, which it says with a position, met another schema.
    pub fn of(error: &diesel::result::Error) -> Self {
        use diesel::result::Error as E;
        match error {
            E::DatabaseError(
                DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand,
                _,
            )
            | E::BrokenTransactionManager => Self::Lost,
            E::DatabaseError(DatabaseErrorKind::SerializationFailure, _) => Self::Busy,
            E::DatabaseError(_, information) => Self::told(information.as_ref()),
            _ => Self::Bug,
        }
    }

    fn told(information: &(dyn DatabaseErrorInformation + Send + Sync)) -> Self {
        const SCHEMA: [&str; 5] = [
            "no such column",
            "no such table",
            "has no column named",
            "cached plan must not change result type",
            "cache lookup failed for type",
        ];
        const BUSY: [&str; 4] =
            ["is locked", "due to lock timeout", "deadlock detected", "due to statement timeout"];
        const LOST: [&str; 2] = ["terminating connection", "disk I/O error"];
        let says = |texts: &[&str]| texts.iter().any(|text| information.message().contains(text));
        match () {
            () if information.statement_position().is_some() || says(&SCHEMA) => Self::Schema,
            () if says(&BUSY) => Self::Busy,
            () if says(&LOST) => Self::Lost,
            () => Self::Bug,
        }
    }

    fn into_problem(self, error: &diesel::result::Error) -> Problem {
        let unavailable = |reason: Reason, text| {
            tracing::warn!(error = wire::error_chain(error), reason = reason.as_str());
            Problem::new(Code::Unavailable, reason, text).retry_after(RETRY)
        };
        match self {
            Self::Lost => unavailable(
                Reason::DatabaseUnavailable,
                "the connection to the database was lost; try again",
            ),
            Self::Busy => unavailable(Reason::DatabaseBusy, "the database is busy; try again"),
            Self::Schema => unavailable(
                Reason::SchemaChanged,
                "the database's schema is not the one that this service needs; the gate looks again",
            ),
            Self::Bug => {
                tracing::error!(error = wire::error_chain(error), "a query failed");
                Problem::internal()
            }
        }
    }
}
