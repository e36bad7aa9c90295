//! What a plan really loses: its possible losses, counted on the live database.

use std::collections::BTreeSet;

use analysis::{DeletedRows, Located, Loss, LossRule, PossibleLoss};
use database::Connection;
use diesel::QueryResult;
use sql::{Name, quote};

use super::{
    relations::{cascade, referring_tables},
    tables::{columns, count},
};

/// Counts the losses of a plan on the database as it is now. A table that is empty or missing loses
/// nothing, nor does a column of nulls.
///
/// # Errors
/// The database cannot be read.
pub async fn count_losses(
    connection: &mut Connection,
    possible: &[Located<PossibleLoss>],
) -> QueryResult<Vec<Located<Loss>>> {
    let mut counter = Counter {
        connection,
        dropped_tables: BTreeSet::new(),
        dropped_columns: BTreeSet::new(),
        found: Vec::new(),
    };
    for at in possible {
        counter.count(at).await?;
    }
    Ok(counter.found)
}

struct Counter<'a> {
    connection: &'a mut Connection,
    /// They can lose nothing more.
    dropped_tables: BTreeSet<Name>,
    /// A rebuild that leaves them out loses nothing more.
    dropped_columns: BTreeSet<(Name, String)>,
    found: Vec<Located<Loss>>,
}

impl Counter<'_> {
    async fn count(&mut self, at: &Located<PossibleLoss>) -> QueryResult<()> {
        match &at.value {
            PossibleLoss::Table(table) => self.table(at, LossRule::DropTable, table).await,
            PossibleLoss::Column(table, column) => {
                self.column(at, LossRule::DropColumn, table, column).await
            }
            PossibleLoss::Copied { table, kept_columns, queries } => {
                if let Some(queries) = queries {
                    self.left_out(at, table, queries).await?;
                }
                let Some(kept) = kept_columns else { return Ok(()) };
                for column in columns(self.connection, table).await? {
                    if !kept.contains(&column) {
                        self.column(at, LossRule::RebuildTable, table, &column).await?;
                    }
                }
                Ok(())
            }
            PossibleLoss::Rows(table, rows) => {
                let from = match rows {
                    DeletedRows::All | DeletedRows::Unknown => table.quoted(),
                    DeletedRows::Matching(from) => from.clone(),
                };
                if self.exists(table).await? {
                    let mut rows = count(self.connection, &from).await?;
                    if rows.is_none() {
                        // A table without rows loses none.
                        let all = count(self.connection, &table.quoted()).await?;
                        rows = all.filter(|all| *all == 0);
                    }
                    self.found(at, LossRule::DeleteRows, table, None, rows);
                }
                Ok(())
            }
            PossibleLoss::Truncate(table, false) => {
                self.table(at, LossRule::TruncateTable, table).await
            }
            PossibleLoss::Truncate(table, true) => {
                for table in referring_tables(self.connection, table, false).await? {
                    self.table(at, LossRule::TruncateTable, &table).await?;
                }
                Ok(())
            }
            PossibleLoss::Cascade(root, name) => {
                for (column, table) in cascade(self.connection, *root, name).await? {
                    match column {
                        None => self.table(at, LossRule::DropCascade, &table).await?,
                        Some(column) => {
                            self.column(at, LossRule::DropCascade, &table, &column).await?
                        }
                    }
                }
                Ok(())
            }
        }
    }

    async fn table(
        &mut self,
        at: &Located<PossibleLoss>,
        rule: LossRule,
        table: &Name,
    ) -> QueryResult<()> {
        if self.exists(table).await? {
            let rows = count(self.connection, &table.quoted()).await?;
            self.found(at, rule, table, None, rows);
            self.dropped_tables.insert(table.clone());
        }
        Ok(())
    }

    async fn column(
        &mut self,
        at: &Located<PossibleLoss>,
        rule: LossRule,
        table: &Name,
        column: &str,
    ) -> QueryResult<()> {
        let exists = !self.dropped_tables.contains(table)
            && self.dropped_columns.insert((table.clone(), column.to_owned()))
            && columns(self.connection, table).await?.iter().any(|name| name == column);
        if exists {
            let from = format!("{} WHERE {} IS NOT NULL", table.quoted(), quote(column));
            let rows = count(self.connection, &from).await?;
            self.found(at, rule, table, Some(column), rows);
        }
        Ok(())
    }

    /// The rows of a table that were not copied: none of the queries selects more than its count.
    async fn left_out(
        &mut self,
        at: &Located<PossibleLoss>,
        table: &Name,
        queries: &[String],
    ) -> QueryResult<()> {
        if !self.exists(table).await? {
            return Ok(());
        }
        let all = count(self.connection, &table.quoted()).await?;
        let mut most = Some(0);
        for query in queries {
            let found = count(self.connection, &format!("({query}) AS copied")).await?;
            most = most.zip(found).map(|(most, found)| found.max(most));
        }
        let rows = all.zip(most).map(|(all, most)| all.saturating_sub(most));
        self.found(at, LossRule::RebuildTable, table, None, rows);
        Ok(())
    }

    async fn exists(&mut self, table: &Name) -> QueryResult<bool> {
        let gone = self.dropped_tables.contains(table);
        Ok(!gone && !columns(self.connection, table).await?.is_empty())
    }

    fn found(
        &mut self,
        at: &Located<PossibleLoss>,
        rule: LossRule,
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
