//! Every error reason of the product.

use strum::{EnumString, IntoStaticStr, VariantArray};

/// The `ErrorInfo.domain` of every error of the product.
pub const ERROR_DOMAIN: &str = "schemagate";

/// The `ErrorInfo.reason` of an error. Programs branch on the gRPC code and on this, never on text.
///
/// A spelling, once released, stays: on the wire it is the variant's name in UPPER_SNAKE.
/// docs/QUICK_FIX.md says for each what to do.
#[derive(Clone, Copy, Debug, EnumString, Eq, Hash, IntoStaticStr, PartialEq, VariantArray)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE", const_into_str)]
#[non_exhaustive]
pub enum Reason {
    // Any service
    /// A fault of the server; its log has the cause.
    Internal,
    /// The process is shutting down.
    ShuttingDown,
    /// The bytes of a request are not a whole message of its type.
    MessageUnreadable,
    /// A request is larger than the server accepts.
    MessageTooLarge,
    /// The service has no such method.
    MethodUnknown,
    /// The request is compressed in a way that the server does not support.
    CompressionUnknown,
    /// The request is compressed and does not say how.
    CompressionUnnamed,
    /// A connection has too many bytes of unread responses.
    AnswersUnread,
    /// A page size is negative.
    PageSizeInvalid,
    /// A page token is not one of this service, or belongs to another filter.
    PageTokenInvalid,

    // Access
    /// The call carries neither a token nor a client certificate.
    TokenMissing,
    /// The `authorization` header is not `Bearer TOKEN`.
    TokenMalformed,
    /// The access file has no caller with this token.
    TokenUnknown,
    /// The client cannot read its own token file.
    TokenUnreadable,
    /// The access file has no caller with the client certificate's name.
    CertificateUnknown,
    /// The listener requires a client certificate and the connection has none.
    ClientCertificateRequired,
    /// The caller's role may not do this.
    RoleRequired,
    /// The caller may run bots of another type only.
    BotTypeDenied,

    // The gate
    /// The schema is not at head, or lacks the revision that the build requires.
    SchemaNotAtHead,
    /// The schema service is connected to another database than the gated service.
    SchemaOtherDatabase,
    /// The tables are not what the gated service's models need.
    SchemaModelMismatch,
    /// The build is too old for an applied revision.
    SchemaIncompatible,
    /// The schema service cannot be reached, or a proof cannot be tried.
    SchemaUnreachable,
    /// `gate proxy` cannot reach the service that it protects.
    UpstreamUnreachable,

    // Databases
    /// The schema changed under a query.
    SchemaChanged,
    /// The chat service cannot reach its database.
    DatabaseUnavailable,
    /// Another transaction holds a lock for too long.
    DatabaseBusy,
    /// The schema service cannot reach its database.
    DatabaseUnreachable,
    /// The database refuses the schema service's query.
    DatabaseUnreadable,
    /// The tables were made by another tool and have no bookkeeping.
    DatabaseUnmanaged,

    // Targets of operations
    /// The target is below the current revision: that is a Downgrade's.
    TargetBehind,
    /// The target is above the current revision: that is an Upgrade's.
    TargetAhead,
    /// The target is not `head`, `base`, a revision, `+N` or `-N`.
    TargetMalformed,
    /// The target is a prefix of more than one revision.
    TargetAmbiguous,
    /// A relative target is given where a revision is required.
    TargetRelative,
    /// A relative target goes beyond the last revision.
    TargetPastTheEnd,
    /// A Downgrade names no target.
    TargetRequired,
    /// A Stamp or a Repair names no revision.
    RevisionRequired,
    /// The revision does not exist.
    RevisionUnknown,

    // Operations
    /// A revision was edited after it was applied.
    RevisionsAltered,
    /// The revision to repair was not edited.
    RevisionNotAltered,
    /// The database has revisions that the server does not hold.
    RevisionsUnknown,
    /// A revision is pending although a newer one is applied.
    RevisionsOutOfOrder,
    /// A step outside a transaction stopped between two statements.
    RevisionHalfDone,
    /// The revision has no SQL that reverts it.
    RevisionHasNoText,
    /// Another operation is running.
    OperationRunning,
    /// The current revision is not the one that the request expects.
    CurrentIsAnother,
    /// The plan is not the one that the request approves.
    PlanChanged,
    /// The operation would lose rows or values.
    DataLoss,
    /// A live dependent could not run on the result.
    DependentsWouldBreak,
    /// The catalog is not what the revision to stamp promises.
    CatalogDiffers,
    /// The revision has no `catalog.txt` to compare with.
    CatalogNotDescribed,
    /// A step failed.
    StepFailed,
    /// A step could not get a lock.
    LockTimeout,
    /// The bookkeeping tables cannot be created or written.
    BookkeepingFailed,
    /// A newer build has migrated the bookkeeping tables.
    BookkeepingNewer,
    /// A duration is negative or longer than a year.
    DurationInvalid,
    /// A dependent's name or revision is not valid.
    DependentInvalid,

    // Fields of chat's requests
    /// A field is empty.
    FieldRequired,
    /// A text is too long.
    FieldTooLong,
    /// A text contains NUL.
    FieldHoldsNul,
    /// A JSON object has a value that the database cannot store.
    JsonUnkept,
    /// A time is outside the years 1 to 9999, or not a time.
    TimeInvalid,
    /// A time is not in the future.
    TimePast,
    /// An id is not a UUID.
    UuidInvalid,
    /// A cursor is not one of this service.
    CursorInvalid,
    /// An update mask names a field that cannot be updated.
    UpdateMaskUnknownPath,
    /// The type of chat is unknown.
    ChatTypeUnknown,
    /// The message to reply to is not in the chat.
    ReplyNotInChat,
    /// A cron expression cannot be parsed.
    CronInvalid,
    /// A cron expression never matches.
    CronNever,
    /// The time zone is unknown.
    TimezoneUnknown,
    /// A stored schedule cannot be parsed.
    ScheduleUnreadable,

    // Chat
    /// The chat does not exist.
    ChatNotFound,
    /// The schedule does not exist.
    ScheduleNotFound,
    /// The bot does not exist.
    BotNotFound,
    /// The bot is not assigned to the chat.
    AssignmentNotFound,
    /// The message has no parked delivery to the bot.
    DeliveryNotFound,
    /// Another chat has the JID.
    JidTaken,
    /// Another message has the id.
    MessageIdTaken,
    /// A long transaction locks the chat.
    ChatLocked,
    /// Too many messages wait to be stored.
    QueueFull,
    /// Too many calls of this kind run.
    TooManyAtOnce,
    /// The caller's stream broke off.
    StreamBroken,

    // Workers of bots
    /// The first request of a Work stream is not `attend`.
    AttendFirst,
    /// A Work stream has a second `attend`.
    AttendTwice,
    /// A worker asks for too many concurrent deliveries.
    ConcurrencyTooHigh,
    /// A lease is shorter than a second or longer than an hour.
    LeaseOutOfRange,
    /// A delivery id was not made by this service.
    DeliveryIdInvalid,

    // Commands; no server answers with these
    /// The chat service cannot be reached.
    ChatUnreachable,
    /// A line of an import is not a chat.
    LineUnreadable,
    /// The command failed on its own machine.
    Local,
}

impl Reason {
    /// Every reason.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The spelling on the wire, such as `SCHEMA_NOT_AT_HEAD`.
    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quick_fix_has_an_entry_for_every_reason() {
        let page = include_str!("../docs/QUICK_FIX.md");
        let is_explained = |reason: &Reason| page.contains(&format!("`{reason}`"));
        let missing: Vec<_> = Reason::ALL.iter().filter(|reason| !is_explained(reason)).collect();
        assert!(missing.is_empty(), "docs/QUICK_FIX.md has no entry for {missing:?}");
    }

    #[test]
    fn a_reason_is_read_back_from_its_spelling() {
        for reason in Reason::ALL {
            assert_eq!(reason.as_str().parse(), Ok(*reason));
        }
        assert_eq!(Reason::TargetPastTheEnd.as_str(), "TARGET_PAST_THE_END");
        assert!("NO_SUCH_REASON".parse::<Reason>().is_err());
    }
}
