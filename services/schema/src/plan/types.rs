//! Columns that get another type: whether every value fits the new one, and whether PostgreSQL
//! must write each row anew.

use database::Connection;
use diesel::{
    OptionalExtension as _, QueryResult, QueryableByName,
    sql_types::{Bool, Nullable, Text},
};
use diesel_async::RunQueryDsl as _;

use super::reading::Retyped;

/// A change of type on the database as it is now.
#[derive(Debug, QueryableByName)]
pub struct Change {
    /// The type that the column has.
    #[diesel(sql_type = Text)]
    pub from: String,
    /// The type that it gets, without its length; none where the plan makes the type.
    #[diesel(sql_type = Nullable<Text>)]
    base: Option<String>,
    /// Whether values of the two look the same on disk.
    #[diesel(sql_type = Bool)]
    same_bytes: bool,
}

/// Looks up what a change of type is on the database; none where there is no such column.
///
/// # Errors
/// The database cannot be read.
pub async fn change(connection: &mut Connection, retyped: &Retyped) -> QueryResult<Option<Change>> {
    let Connection::Postgres(connection) = connection else { return Ok(None) };
    diesel::sql_query(
        "SELECT format_type(a.atttypid, a.atttypmod) AS \"from\", \
         format_type(to_regtype($3)::oid, NULL) AS base, \
         a.atttypid = coalesce(to_regtype($3), 0) OR EXISTS ( \
             SELECT FROM pg_catalog.pg_cast WHERE castsource = a.atttypid \
             AND casttarget = to_regtype($3) AND castmethod = 'b') AS same_bytes \
         FROM pg_catalog.pg_attribute a \
         WHERE a.attrelid = to_regclass($1) AND a.attname = $2 AND NOT a.attisdropped",
    )
    .bind::<Text, _>(retyped.table.quoted())
    .bind::<Text, _>(&retyped.column)
    .bind::<Text, _>(Type::parse(&retyped.to).base)
    .get_result(connection)
    .await
    .optional()
}

impl Change {
    /// Whether values may not fit the new type, or lose a part of themselves in it.
    pub fn narrows(&self, to: &str) -> bool {
        let Some(base) = &self.base else { return true };
        let new = Type { base: base.clone(), ..Type::parse(to) };
        !Type::parse(&self.from).fits(&new)
    }

    /// Whether every row is written anew.
    pub fn rewrites(&self, to: &str) -> bool {
        !self.same_bytes || self.narrows(to)
    }
}

/// A type's name, and the numbers in its parentheses.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Type {
    base: String,
    lengths: Vec<u32>,
}

impl Type {
    /// `character varying(10)`, `numeric(10, 2)`, `timestamp(3) with time zone`, `text[]`.
    fn parse(text: &str) -> Self {
        let (before, rest) = text.split_once('(').unwrap_or((text, ""));
        let (lengths, after) = rest.split_once(')').unwrap_or((rest, ""));
        let lengths = lengths.split(',').filter_map(|length| length.trim().parse().ok());
        Self {
            base: format!("{}{}", before.trim_end(), after.to_lowercase()),
            lengths: lengths.collect(),
        }
    }

    /// Whether each value of this type is one of the other, unchanged.
    fn fits(&self, other: &Self) -> bool {
        if self.base == other.base {
            return match (&self.lengths[..], &other.lengths[..]) {
                (_, []) => true,
                ([], _) => false,
                // Precision and scale: the digits before the point are what is left.
                ([p, s], [q, t]) => s <= t && p.saturating_sub(*s) <= q.saturating_sub(*t),
                ([length, ..], [other, ..]) => length <= other,
            };
        }
        let wider: &[&str] = match self.base.as_str() {
            "smallint" => &["integer", "bigint", "numeric", "real", "double precision", "text"],
            "integer" => &["bigint", "numeric", "double precision", "text"],
            "bigint" => &["numeric", "text"],
            "real" => &["double precision", "text"],
            "date" => &["timestamp without time zone", "timestamp with time zone", "text"],
            "character" | "character varying" => &["character varying", "text"],
            "json" => &["text"],
            "cidr" => &["inet", "text"],
            _ => &["text"],
        };
        other.lengths.is_empty() && wider.contains(&other.base.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn narrows(from: &str, base: &str, to: &str) -> bool {
        let change = Change { from: from.into(), base: Some(base.into()), same_bytes: false };
        change.narrows(to)
    }

    #[test]
    fn a_type_that_takes_every_value_is_no_loss() {
        for (from, base, to) in [
            ("character varying(10)", "character varying", "varchar(20)"),
            ("character varying(10)", "character varying", "VARCHAR"),
            ("character varying(10)", "text", "text"),
            ("integer", "bigint", "int8"),
            ("numeric(10,2)", "numeric", "numeric(12, 3)"),
            ("numeric(10,2)", "numeric", "numeric"),
            ("timestamp(3) without time zone", "timestamp without time zone", "timestamp"),
            ("uuid", "text", "text"),
        ] {
            assert!(!narrows(from, base, to), "{from} to {to}");
        }
    }

    #[test]
    fn a_type_that_does_not_is_named() {
        for (from, base, to) in [
            ("character varying(10)", "character varying", "varchar(5)"),
            ("character varying", "character varying", "varchar(5)"),
            ("text", "character varying", "varchar(5)"),
            ("bigint", "integer", "int"),
            ("numeric(10,2)", "numeric", "numeric(10,3)"),
            ("numeric(10,2)", "integer", "integer"),
            ("timestamp with time zone", "date", "date"),
            ("text", "integer", "integer"),
        ] {
            assert!(narrows(from, base, to), "{from} to {to}");
        }
        let unknown = Change { from: "text".into(), base: None, same_bytes: false };
        assert!(unknown.narrows("a_type_of_the_plan"));
    }
}
