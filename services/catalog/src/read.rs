//! Reading the catalog of a live database: with one query, so that all of it is of one moment, and
//! from what every role may read.

use database::{Connection, DatabaseUrl, with_conn};
use diesel::{
    QueryResult, QueryableByName, sql_query,
    sql_types::{Bool, Nullable, Text},
};
use diesel_async::RunQueryDsl as _;
use sql::Dialect;

use crate::{
    model::{Catalog, Column, Index, Table},
    spelling::{condition, default, fold, parenthesised, quoted, texts, type_},
};

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    relation: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    definition: String,
    #[diesel(sql_type = Nullable<Text>)]
    detail: Option<String>,
    /// Whether a column is not null, and a constraint or an index valid.
    #[diesel(sql_type = Bool)]
    flag: bool,
}

/// The SQL dialect of a database.
pub const fn dialect(url: &DatabaseUrl) -> Dialect {
    match url {
        DatabaseUrl::Postgres(_) => Dialect::Postgres,
        DatabaseUrl::Sqlite { .. } => Dialect::Sqlite,
    }
}

impl Catalog {
    /// Reads the catalog of the connection's current schema, or of its file. Writes nothing.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn read(connection: &mut Connection) -> QueryResult<Self> {
        let (dialect, sql) = match connection {
            Connection::Postgres(_) => (Dialect::Postgres, include_str!("read/postgres.sql")),
            Connection::Sqlite(_) => (Dialect::Sqlite, include_str!("read/sqlite.sql")),
        };
        let rows: Vec<Row> = with_conn!(connection, c => sql_query(sql).load(c).await)?;
        let mut catalog = Self::empty(dialect);
        for row in rows {
            catalog.add_row(row);
        }
        Ok(catalog)
    }

    fn add_row(&mut self, row: Row) {
        let dialect = self.dialect;
        match row.kind.as_str() {
            "enum" => {
                self.enums.insert(row.relation, texts(&row.definition).unwrap_or_default());
            }
            "function" => {
                self.functions.insert(fold(&row.relation), fold(&row.definition));
            }
            "view" => {
                let query = fold(&row.definition);
                self.views.insert(row.relation, query.trim_end_matches(';').into());
            }
            _ => self.tables.entry(row.relation.clone()).or_default().add_row(dialect, row),
        }
    }
}

impl Table {
    fn add_row(&mut self, dialect: Dialect, row: Row) {
        match row.kind.as_str() {
            // PostgreSQL's checks come as constraints of their own.
            "table" => {
                let checks = checks(&row.definition);
                self.constraints.extend(checks.into_iter().map(|check| (check, true)));
            }
            "column" => {
                let type_ = type_(dialect, &row.definition);
                let clause = row.detail.as_deref();
                let default = clause.and_then(|clause| default(dialect, &type_, clause));
                self.columns.insert(row.name, Column { type_, not_null: row.flag, default });
            }
            "constraint" => {
                let constraint = fold(&row.definition);
                let constraint = constraint.trim_end_matches(" not valid").into();
                self.constraints.insert(constraint, row.flag);
            }
            "trigger" => {
                self.triggers.insert(row.name, fold(&row.definition));
            }
            kind => {
                let definition = match row.detail.as_deref().and_then(covered) {
                    Some(covered) => condition(covered),
                    None => condition(row.definition.trim_start_matches("btree ")),
                };
                let unique = kind == "unique index";
                self.indexes.insert(row.name, Index { definition, unique, valid: row.flag });
            }
        }
    }
}

/// What a CREATE INDEX of SQLite covers: from its first parenthesis on.
fn covered(create_index: &str) -> Option<&str> {
    let mut at = 0;
    while let Some(c) = create_index[at..].chars().next() {
        at += match c {
            '(' => return Some(&create_index[at..]),
            '\'' | '"' | '`' => quoted(&create_index[at..], c),
            _ => c.len_utf8(),
        };
    }
    None
}

/// The checks in a CREATE TABLE of SQLite, which no pragma reports.
fn checks(create_table: &str) -> Vec<String> {
    let sql = fold(create_table);
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(c) = sql[at..].chars().next() {
        let rest = &sql[at..];
        let body = rest.strip_prefix("check").map(str::trim_start);
        at += match (c, body) {
            ('\'' | '"', _) => quoted(rest, c),
            ('c', Some(body)) if body.starts_with('(') && sql[..at].ends_with([' ', ')']) => {
                let condition = &body[..parenthesised(body)];
                found.push(format!("check {condition}"));
                rest.len() - body.len() + condition.len()
            }
            _ => c.len_utf8(),
        };
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_found_outside_literals_and_comments() {
        let sql = "CREATE TABLE t (a INT CHECK(a > 0), -- check (no)
            b TEXT DEFAULT 'check (no)' CONSTRAINT c CHECK ( b <> ')' ), recheck (x))";
        assert_eq!(checks(sql), ["check (a > 0)", "check (b <> ')')"]);
    }

    #[test]
    fn an_index_covers_its_text_from_the_first_parenthesis() {
        let sql = "CREATE INDEX \"ix (a)\" ON t (lower(b)) WHERE b > 1";
        assert_eq!(covered(sql), Some("(lower(b)) WHERE b > 1"));
        assert_eq!(covered("CREATE INDEX broken"), None);
    }
}
