//! The enums of the ledger, and how the database spells them. The spellings are part of the layout.

use diesel::{
    backend::Backend,
    deserialize::{self, FromSql, FromSqlRow},
    expression::AsExpression,
    serialize::{self, Output, ToSql},
    sql_types::Text,
};
use revisions::Direction;
use serde::Deserialize;
use strum::{EnumIter, EnumString, IntoStaticStr};

/// What an operation does.
#[derive(
    AsExpression,
    Clone,
    Copy,
    Debug,
    Deserialize,
    EnumIter,
    EnumString,
    Eq,
    FromSqlRow,
    IntoStaticStr,
    PartialEq,
)]
#[diesel(sql_type = Text)]
#[serde(from = "String")]
#[strum(serialize_all = "lowercase")]
pub enum OperationKind {
    Upgrade,
    Downgrade,
    Stamp,
    Repair,
    /// Written by a newer server.
    Unknown,
}

/// How an operation ended.
#[derive(
    AsExpression,
    Clone,
    Copy,
    Debug,
    Deserialize,
    EnumIter,
    EnumString,
    Eq,
    FromSqlRow,
    IntoStaticStr,
    PartialEq,
)]
#[diesel(sql_type = Text)]
#[serde(from = "String")]
#[strum(serialize_all = "lowercase")]
pub enum Outcome {
    Running,
    Succeeded,
    Failed,
    Interrupted,
    /// Written by a newer server.
    Unknown,
}

/// What a step did to its revision: the column `direction`.
#[derive(
    AsExpression,
    Clone,
    Copy,
    Debug,
    Deserialize,
    EnumIter,
    EnumString,
    Eq,
    FromSqlRow,
    IntoStaticStr,
    PartialEq,
)]
#[diesel(sql_type = Text)]
#[serde(from = "String")]
#[strum(serialize_all = "lowercase")]
pub enum StepKind {
    /// Applied it.
    Up,
    /// Reverted it.
    Down,
    /// Recorded it as applied without running it.
    Stamp,
    /// Recorded it as not applied without running it.
    Forget,
    /// Written by a newer server.
    Unknown,
}

impl From<Direction> for StepKind {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Up => Self::Up,
            Direction::Down => Self::Down,
        }
    }
}

impl From<Direction> for OperationKind {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Up => Self::Upgrade,
            Direction::Down => Self::Downgrade,
        }
    }
}

macro_rules! stored_as_text {
    ($type:ty) => {
        impl $type {
            /// The database's spelling.
            pub fn as_str(self) -> &'static str {
                self.into()
            }
        }

        impl From<String> for $type {
            fn from(spelling: String) -> Self {
                spelling.parse().unwrap_or(Self::Unknown)
            }
        }

        impl<DB: Backend> FromSql<Text, DB> for $type
        where
            String: FromSql<Text, DB>,
        {
            fn from_sql(value: DB::RawValue<'_>) -> deserialize::Result<Self> {
                String::from_sql(value).map(Self::from)
            }
        }

        impl<DB: Backend> ToSql<Text, DB> for $type
        where
            str: ToSql<Text, DB>,
        {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
                <str as ToSql<Text, DB>>::to_sql(self.as_str(), out)
            }
        }
    };
}

stored_as_text!(OperationKind);
stored_as_text!(Outcome);
stored_as_text!(StepKind);

#[cfg(test)]
mod tests {
    use strum::IntoEnumIterator as _;

    use super::*;

    #[test]
    fn spellings_are_those_of_every_release() {
        let kinds = OperationKind::iter().map(OperationKind::as_str);
        let outcomes = Outcome::iter().map(Outcome::as_str);
        let steps = StepKind::iter().map(StepKind::as_str);
        let expected = "upgrade downgrade stamp repair unknown \
                        running succeeded failed interrupted unknown \
                        up down stamp forget unknown";
        let spelled: Vec<_> = kinds.chain(outcomes).chain(steps).collect();
        assert_eq!(spelled.join(" "), expected);
    }

    #[test]
    fn a_newer_spelling_reads_as_unknown() {
        assert_eq!(Outcome::from("paused".to_owned()), Outcome::Unknown);
        assert_eq!(Outcome::from("failed".to_owned()), Outcome::Failed);
    }
}
