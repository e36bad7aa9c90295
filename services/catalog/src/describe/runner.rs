//! Running a revision on a scratch database. It has no other user, so it needs no lock, no
//! bookkeeping and no retry.

use database::{Connection, statement_position, with_conn};
use diesel::{QueryResult, result::Error};
use diesel_async::SimpleAsyncConnection as _;
use revisions::Revision;
use sql::{Dialect, Statement, line_of, split};

/// A statement that the database refused.
#[derive(Debug, thiserror::Error)]
#[error("statement {number}, line {line} ({summary})")]
pub struct StatementError {
    /// The number of the statement in the revision's `up.sql`, from 1.
    pub number: usize,
    /// The line that the database names, or else the statement's first one.
    pub line: usize,
    /// The beginning of the statement.
    pub summary: String,
    /// The database's message.
    pub source: Error,
}

/// Applies a revision: in one transaction, or statement by statement.
///
/// # Errors
/// The statement that the database refused.
pub(super) async fn apply(
    connection: &mut Connection,
    revision: &Revision,
) -> Result<(), StatementError> {
    let sql = revision.up.as_ref();
    let dialect = match connection {
        Connection::Postgres(_) => Dialect::Postgres,
        Connection::Sqlite(_) => Dialect::Sqlite,
    };
    let statements = split(dialect, sql);
    if !revision.transactional {
        for (index, statement) in statements.iter().enumerate() {
            execute_alone(connection, statement)
                .await
                .map_err(|error| failed(sql, index + 1, statement, error))?;
        }
        return Ok(());
    }
    let commit = Statement { text: "COMMIT", line: line_of(sql, sql.len()), offset: sql.len() };
    let mut running = (0, &commit);
    let result = async {
        reset(connection).await?;
        connection
            .transaction(async |connection| {
                for (index, statement) in statements.iter().enumerate() {
                    running = (index + 1, statement);
                    with_conn!(&mut *connection, c => c.batch_execute(statement.text).await)?;
                }
                running = (statements.len() + 1, &commit);
                Ok(())
            })
            .await
    };
    let result = result.await;
    let (number, statement) = running;
    result.map_err(|error| failed(sql, number, statement, error))
}

async fn execute_alone(connection: &mut Connection, statement: &Statement<'_>) -> QueryResult<()> {
    reset(connection).await?;
    with_conn!(connection, c => c.batch_execute(statement.text).await)
}

/// Undoes what an earlier statement set, as an Upgrade does before each of its transactions. SQLite
/// checks no foreign keys meanwhile: a table that is rebuilt would delete the rows that refer to it.
async fn reset(connection: &mut Connection) -> QueryResult<()> {
    match connection {
        Connection::Postgres(connection) => {
            connection.batch_execute("RESET ALL; SET statement_timeout = 0").await
        }
        Connection::Sqlite(connection) => {
            connection.batch_execute("PRAGMA foreign_keys = OFF").await
        }
    }
}

fn failed(sql: &str, number: usize, statement: &Statement<'_>, error: Error) -> StatementError {
    let line = statement_position(&error).map_or(statement.line, |position| {
        let before = statement.text.chars().take(position.saturating_sub(1));
        let bytes: usize = before.map(char::len_utf8).sum();
        line_of(sql, statement.offset + bytes)
    });
    StatementError { number, line, summary: summary(statement.text), source: error }
}

/// The first words of a statement, on one line.
fn summary(statement: &str) -> String {
    const MAX_WORDS: usize = 8;
    let mut words = statement.split_whitespace();
    let first: Vec<_> = words.by_ref().take(MAX_WORDS).collect();
    let more = if words.next().is_some() { " …" } else { "" };
    format!("{}{more}", first.join(" "))
}
