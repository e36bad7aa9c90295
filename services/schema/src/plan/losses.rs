//! What would really be lost: what a plan takes away, counted on the database as it is now.
//! Nothing is lost with a table that is empty or not there, nor with a column of nulls.

use ::sql::{Name, quote};
use std::{collections::BTreeSet, fmt};

use database::Connection;
use diesel::QueryResult;

use super::{
    links::{dependents, referring},
    live::{columns, count},
    ops::Rows,
    reading::{At, Gone},
};

/// Rows, or a column's values, that would go for good.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Loss {
    /// A stable name of what takes them, such as `drop-column`.
    pub rule: &'static str,
    /// The table.
    pub table: String,
    /// The column; none where whole rows go.
    pub column: Option<String>,
    /// How many; none where they cannot be counted.
    pub rows: Option<u64>,
}

impl Loss {
    /// `chats`, or `chats.last_message_at`.
    pub fn subject(&self) -> String {
        match &self.column {
            Some(column) => format!("{}.{column}", self.table),
            None => self.table.clone(),
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.column.is_some() { " with a value" } else { "" };
        let subject = self.subject();
        match self.rows {
            Some(1) => write!(f, "{subject} (1 row{what})"),
            Some(rows) => write!(f, "{subject} ({rows} rows{what})"),
            None => write!(f, "{subject} (rows that could not be counted)"),
        }
    }
}

/// Counts what goes.
///
/// # Errors
/// The database cannot be read.
pub async fn losses(connection: &mut Connection, gone: &[At<Gone>]) -> QueryResult<Vec<At<Loss>>> {
    let mut counter =
        Counter { connection, whole: BTreeSet::new(), columns: BTreeSet::new(), found: Vec::new() };
    for at in gone {
        counter.take(at).await?;
    }
    Ok(counter.found)
}

struct Counter<'a> {
    connection: &'a mut Connection,
    /// Tables that are gone as a whole: nothing more can go of them.
    whole: BTreeSet<Name>,
    /// Columns that are gone: a rebuild that leaves them out takes nothing more.
    columns: BTreeSet<(Name, String)>,
    found: Vec<At<Loss>>,
}

impl Counter<'_> {
    async fn take(&mut self, at: &At<Gone>) -> QueryResult<()> {
        match &at.what {
            Gone::Table(table) => self.table(at, "drop-table", table).await,
            Gone::Column(table, column) => self.column(at, "drop-column", table, column).await,
            Gone::Copied { table, kept, found } => {
                if let Some(found) = found {
                    self.left_out(at, table, found).await?;
                }
                let Some(kept) = kept else { return Ok(()) };
                for column in columns(self.connection, table).await? {
                    if !kept.contains(&column) {
                        self.column(at, "rebuild-table", table, &column).await?;
                    }
                }
                Ok(())
            }
            Gone::Rows(table, rows) => {
                let from = match rows {
                    Rows::All | Rows::Some => table.quoted(),
                    Rows::From(from) => from.clone(),
                };
                if self.is_there(table).await? {
                    let mut rows = count(self.connection, &from).await?;
                    if rows.is_none() {
                        // It cannot take a row of a table that has none.
                        let all = count(self.connection, &table.quoted()).await?;
                        rows = all.filter(|all| *all == 0);
                    }
                    self.found(at, "delete-rows", table, None, rows);
                }
                Ok(())
            }
            Gone::Emptied(table, false) => self.table(at, "truncate-table", table).await,
            Gone::Emptied(table, true) => {
                for table in referring(self.connection, table, false).await? {
                    self.table(at, "truncate-table", &table).await?;
                }
                Ok(())
            }
            Gone::Dependents(object, name) => {
                for (column, table) in dependents(self.connection, *object, name).await? {
                    match column {
                        None => self.table(at, "drop-cascade", &table).await?,
                        Some(column) => self.column(at, "drop-cascade", &table, &column).await?,
                    }
                }
                Ok(())
            }
        }
    }

    async fn table(&mut self, at: &At<Gone>, rule: &'static str, table: &Name) -> QueryResult<()> {
        if self.is_there(table).await? {
            let rows = count(self.connection, &table.quoted()).await?;
            self.found(at, rule, table, None, rows);
            self.whole.insert(table.clone());
        }
        Ok(())
    }

    async fn column(
        &mut self,
        at: &At<Gone>,
        rule: &'static str,
        table: &Name,
        column: &str,
    ) -> QueryResult<()> {
        let there = !self.whole.contains(table)
            && self.columns.insert((table.clone(), column.to_owned()))
            && columns(self.connection, table).await?.iter().any(|name| name == column);
        if there {
            let from = format!("{} WHERE {} IS NOT NULL", table.quoted(), quote(column));
            let rows = count(self.connection, &from).await?;
            self.found(at, rule, table, Some(column), rows);
        }
        Ok(())
    }

    /// The rows of a table that none of the queries found which copied it.
    async fn left_out(
        &mut self,
        at: &At<Gone>,
        table: &Name,
        queries: &[String],
    ) -> QueryResult<()> {
        if !self.is_there(table).await? {
            return Ok(());
        }
        let all = count(self.connection, &table.quoted()).await?;
        let mut most = Some(0);
        for query in queries {
            let found = count(self.connection, &format!("({query}) AS copied")).await?;
            most = most.zip(found).map(|(most, found)| found.max(most));
        }
        let rows = all.zip(most).map(|(all, most)| all.saturating_sub(most));
        self.found(at, "rebuild-table", table, None, rows);
        Ok(())
    }

    async fn is_there(&mut self, table: &Name) -> QueryResult<bool> {
        let gone = self.whole.contains(table);
        Ok(!gone && !columns(self.connection, table).await?.is_empty())
    }

    fn found(
        &mut self,
        at: &At<Gone>,
        rule: &'static str,
        table: &Name,
        column: Option<&str>,
        rows: Option<u64>,
    ) {
        if rows != Some(0) {
            let (table, column) = (table.to_string(), column.map(Into::into));
            self.found.push(at.with(Loss { rule, table, column, rows }));
        }
    }
}
