//! SQL types that the two databases name differently, so that one table definition and one set of
//! queries serve both.

use std::io::Write as _;

use chrono::{DateTime, NaiveDateTime, SubsecRound as _, Utc};
use diesel::{
    deserialize::{self, FromSql, FromSqlRow},
    expression::AsExpression,
    pg::{Pg, PgValue},
    query_builder::QueryId,
    serialize::{self, IsNull, Output, ToSql},
    sql_types::{SqlType, Text, Timestamptz},
    sqlite::Sqlite,
};
use serde::Deserialize;

/// A point in time: `timestamptz` on PostgreSQL, UTC text on SQLite.
#[derive(Clone, Copy, Debug, Default, QueryId, SqlType)]
#[diesel(postgres_type(oid = 1184, array_oid = 1185), sqlite_type(name = "Text"))]
pub struct Instant;

/// A JSON document: `json` on PostgreSQL, text on SQLite.
#[derive(Clone, Copy, Debug, Default, QueryId, SqlType)]
#[diesel(postgres_type(oid = 114, array_oid = 199), sqlite_type(name = "Text"))]
pub struct JsonDocument;

/// A value of [`Instant`]: UTC, whole microseconds, which is what PostgreSQL keeps.
#[derive(
    AsExpression, Clone, Copy, Debug, Deserialize, Eq, FromSqlRow, Ord, PartialEq, PartialOrd,
)]
#[diesel(sql_type = Instant)]
#[serde(try_from = "String")]
pub struct Time(DateTime<Utc>);

impl Time {
    /// SQLite's text of a time. Its width is fixed, so that text order is time order; the format is
    /// SQLAlchemy's, so that its rows sort among ours.
    const SQLITE_FORMAT: &str = "%Y-%m-%d %H:%M:%S%.6f";

    /// The current time.
    pub fn now() -> Self {
        Utc::now().into()
    }

    /// The value.
    pub const fn utc(self) -> DateTime<Utc> {
        self.0
    }

    /// Parses SQLite's texts: this format, `CURRENT_TIMESTAMP`'s, and ISO 8601 with or without an
    /// offset, which is also PostgreSQL's in JSON.
    fn parse(text: &str) -> Option<Self> {
        let offset = DateTime::parse_from_rfc3339(text).map(|time| time.to_utc());
        let naive = || {
            ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"]
                .iter()
                .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
        };
        offset.ok().or_else(|| naive().map(|time| time.and_utc())).map(Into::into)
    }
}

impl From<DateTime<Utc>> for Time {
    fn from(time: DateTime<Utc>) -> Self {
        Self(time.trunc_subsecs(6))
    }
}

impl TryFrom<String> for Time {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("'{text}' is not a time"))
    }
}

impl FromSql<Instant, Pg> for Time {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        <DateTime<Utc> as FromSql<Timestamptz, Pg>>::from_sql(value).map(Self)
    }
}

impl ToSql<Instant, Pg> for Time {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        ToSql::<Timestamptz, Pg>::to_sql(&self.0, &mut out.reborrow())
    }
}

impl FromSql<Instant, Sqlite> for Time {
    fn from_sql(
        value: <Sqlite as diesel::backend::Backend>::RawValue<'_>,
    ) -> deserialize::Result<Self> {
        let text = <String as FromSql<Text, Sqlite>>::from_sql(value)?;
        Ok(Self::try_from(text)?)
    }
}

impl ToSql<Instant, Sqlite> for Time {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(self.0.format(Self::SQLITE_FORMAT).to_string());
        Ok(IsNull::No)
    }
}

/// A value of [`JsonDocument`].
#[derive(AsExpression, Clone, Debug, FromSqlRow, PartialEq)]
#[diesel(sql_type = JsonDocument)]
pub struct Json(pub serde_json::Value);

impl Default for Json {
    /// An empty object.
    fn default() -> Self {
        Self(serde_json::Value::Object(serde_json::Map::new()))
    }
}

impl FromSql<JsonDocument, Pg> for Json {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        Ok(Self(serde_json::from_slice(value.as_bytes())?))
    }
}

impl ToSql<JsonDocument, Pg> for Json {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        write!(out, "{}", self.0)?;
        Ok(IsNull::No)
    }
}

impl FromSql<JsonDocument, Sqlite> for Json {
    fn from_sql(
        value: <Sqlite as diesel::backend::Backend>::RawValue<'_>,
    ) -> deserialize::Result<Self> {
        let text = <String as FromSql<Text, Sqlite>>::from_sql(value)?;
        Ok(Self(serde_json::from_str(&text)?))
    }
}

impl ToSql<JsonDocument, Sqlite> for Json {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(self.0.to_string());
        Ok(IsNull::No)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_sqlalchemy_and_sqlite_wrote_are_parsed() {
        for text in [
            "2024-05-06 07:08:09",
            "2024-05-06 07:08:09.000000",
            "2024-05-06T07:08:09Z",
            "2024-05-06T09:08:09+02:00",
            "2024-05-06T07:08:09.000",
        ] {
            let time = Time::parse(text).unwrap();
            assert_eq!(time.utc().to_rfc3339(), "2024-05-06T07:08:09+00:00", "{text}");
        }
        assert_eq!(Time::parse("yesterday"), None);
    }
}
