//! Reading the catalog of a live database: with one query, so that all of it is of one moment, and
//! from what every role may read.

use database::{Connection, DatabaseUrl, with_conn};
use diesel::{
    QueryResult, QueryableByName, sql_query,
    sql_types::{Bool, Nullable, Text},
};
use diesel_async::RunQueryDsl as _;
use sql::{Dialect, TokenKind, tokens};

use crate::{
    model::{Catalog, Column, Index, Table},
    spelling::{condition, default, fold, from_parenthesis, parenthesised_len, texts, type_},
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
                self.functions.insert(fold(dialect, &row.relation), fold(dialect, &row.definition));
            }
            "view" => {
                let query = fold(dialect, &row.definition);
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
                let constraint = fold(dialect, &row.definition);
                let constraint = constraint.trim_end_matches(" not valid").into();
                self.constraints.insert(constraint, row.flag);
            }
            "trigger" => {
                self.triggers.insert(row.name, fold(dialect, &row.definition));
            }
            kind => {
                // The text of a CREATE INDEX of SQLite, from the columns on.
                let covered = row.detail.as_deref().and_then(|sql| from_parenthesis(dialect, sql));
                let definition = match covered {
                    Some(covered) => condition(dialect, covered),
                    None => condition(dialect, row.definition.trim_start_matches("btree ")),
                };
                let unique = kind == "unique index";
                self.indexes.insert(row.name, Index { definition, unique, valid: row.flag });
            }
        }
    }
}

/// The checks in a CREATE TABLE of SQLite, which no pragma reports.
fn checks(create_table: &str) -> Vec<String> {
    let tokens: Vec<_> = tokens(Dialect::Sqlite, create_table)
        .filter(|token| !matches!(token.kind, TokenKind::Whitespace | TokenKind::Comment))
        .collect();
    let conditions = tokens.windows(2).filter_map(|pair| {
        let is_check = pair[0].is_word("CHECK") && pair[1].text == "(";
        is_check.then(|| &create_table[pair[1].offset..])
    });
    let check = |condition: &str| {
        let condition = &condition[..parenthesised_len(Dialect::Sqlite, condition)];
        format!("check {}", fold(Dialect::Sqlite, condition))
    };
    conditions.map(check).collect()
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
}
