//! The findings of a plan's steps: what its analysis says, with the sizes that the live database
//! reports.

use std::collections::HashMap;

use analysis::{
    Analysis, Finding, Located, LockMode, Loss, PossibleLoss, Rule, Severity, TableAccess,
    TableWork, TypeChange, lint,
};
use database::Connection;
use diesel::QueryResult;
use sql::{Name, quote};

use super::{
    Plan, column_types, relations,
    table_size::{TableSize, table_size},
    tables,
};

/// The findings of each step of a plan, the most severe first.
///
/// # Errors
/// The database cannot be read.
pub async fn findings(
    plan: &Plan<'_>,
    analysis: &Analysis,
    connection: &mut Connection,
) -> QueryResult<Vec<Vec<Finding>>> {
    let found = vec![Vec::new(); plan.steps.len()];
    let mut report =
        Report { plan, connection, sizes: HashMap::new(), held_locks: HashMap::new(), found };
    report.lint().await?;
    for loss in &plan.losses {
        report.found[loss.step].push(loss_finding(loss));
    }
    for loss in &analysis.possible_losses {
        report.cascading_deletes(loss).await?;
    }
    for access in &analysis.accesses {
        report.access(access).await?;
    }
    for change in &analysis.type_changes {
        report.type_change(change).await?;
    }
    for at in &analysis.unparsed {
        let message = "cannot be parsed and has keywords such as DROP or DELETE; what it removes \
                       is not counted";
        report.add(at, Severity::Warning, Rule::Unparsed, message.into(), None);
    }
    for at in &analysis.too_deep {
        report.found[at.step].push(Finding::too_deep(at.line));
    }
    if let Some((step, completed)) = plan.resumed {
        let message = format!("{completed} of its statements are committed already");
        let (severity, rule) = (Severity::Note, Rule::Resumed);
        report.found[step].push(Finding { line: None, severity, rule, message, rows: None });
    }
    Ok(report.sorted())
}

struct Report<'a> {
    plan: &'a Plan<'a>,
    connection: &'a mut Connection,
    sizes: HashMap<Name, Option<TableSize>>,
    /// The strongest lock that a step holds on a table.
    held_locks: HashMap<(usize, String), LockMode>,
    /// By step.
    found: Vec<Vec<Finding>>,
}

impl Report<'_> {
    fn add<T>(
        &mut self,
        at: &Located<T>,
        severity: Severity,
        rule: Rule,
        message: String,
        rows: Option<u64>,
    ) {
        self.found[at.step].push(Finding { line: Some(at.line), severity, rule, message, rows });
    }

    fn sorted(self) -> Vec<Vec<Finding>> {
        let mut found = self.found;
        for step in &mut found {
            step.sort_by_key(|finding| (std::cmp::Reverse(finding.severity), finding.line));
        }
        found
    }

    async fn lint(&mut self) -> QueryResult<()> {
        // squawk knows PostgreSQL only.
        let Some(server) = tables::server_version(self.connection).await? else { return Ok(()) };
        for (found, revision) in self.found.iter_mut().zip(self.plan.steps) {
            let sql = self.plan.direction.sql(revision);
            found.extend(lint(sql, revision.transactional, &server));
        }
        Ok(())
    }

    async fn cascading_deletes(&mut self, at: &Located<PossibleLoss>) -> QueryResult<()> {
        let PossibleLoss::Rows(table, _) = &at.value else { return Ok(()) };
        let mut others = relations::referring_tables(self.connection, table, true).await?;
        others.retain(|other| other != table);
        if !others.is_empty() {
            let others: Vec<String> = others.iter().map(ToString::to_string).collect();
            let others = others.join(", ");
            let message =
                format!("deletes rows of {others} with those of {table} (ON DELETE CASCADE)");
            self.add(at, Severity::Warning, Rule::DeleteCascades, message, None);
        }
        Ok(())
    }

    async fn access(&mut self, at: &Located<TableAccess>) -> QueryResult<()> {
        let TableAccess { table: name, lock, work } = &at.value;
        if let TableWork::ForeignKeyPeers(part) = work {
            let peers = relations::foreign_key_peers(self.connection, name, part.as_deref());
            for table in peers.await? {
                let access = TableAccess { table, lock: *lock, work: TableWork::None };
                Box::pin(self.access(&at.with(access))).await?;
            }
            return Ok(());
        }
        let Some(table) = self.known_table(name).await? else { return Ok(()) };
        let until = until(self.plan.steps[at.step].transactional);
        if let Some(lock) = lock
            && self.is_new_lock(at.step, &table.name, *lock)
        {
            let message = format!(
                "{} on {} ({}): {} {until}",
                lock.name(),
                table.name,
                table.size,
                lock.effect_on_others()
            );
            self.add(at, Severity::Note, Rule::Lock(*lock), message, None);
        }
        if let Some((severity, rule, message)) = work_finding(&table, *lock, work, until) {
            self.add(at, severity, rule, message, None);
        }
        if let TableWork::Rebuild { recreated } = work {
            let mut dropped = relations::indexes_and_triggers(self.connection, name).await?;
            dropped.retain(|name| !recreated.contains(name));
            if !dropped.is_empty() {
                let message = format!(
                    "dropped with the old {} and not created again: {}",
                    table.name,
                    dropped.join(", ")
                );
                self.add(at, Severity::Warning, Rule::RebuildDropsIndex, message, None);
            }
        }
        Ok(())
    }

    async fn type_change(&mut self, at: &Located<TypeChange>) -> QueryResult<()> {
        let TypeChange { table: name, column, to, computed } = &at.value;
        let types = column_types::column_types(self.connection, &at.value).await?;
        let (Some(types), Some(table)) = (types, self.known_table(name).await?) else {
            return Ok(());
        };
        let KnownTable { name: table, size, is_empty } = table;
        if *computed || types.rewrites(to) {
            let severity = if is_empty { Severity::Note } else { Severity::Warning };
            let message = format!(
                "rewrites every row of {table} ({size}) under ACCESS EXCLUSIVE: changes {column} \
                 from {} to {to}",
                types.from
            );
            self.add(at, severity, Rule::TableRewrite, message, None);
        }
        if types.narrows(to) {
            let from = format!("{} WHERE {} IS NOT NULL", name.quoted(), quote(column));
            let rows = tables::count(self.connection, &from).await?;
            if rows != Some(0) {
                let message = format!(
                    "changes {table}.{column} from {} to {to}: values that do not fit are refused \
                     or truncated",
                    types.from
                );
                self.add(at, Severity::Warning, Rule::NarrowingType, message, rows);
            }
        }
        Ok(())
    }

    /// None where the database does not have the table, so that no session can wait for it.
    async fn known_table(&mut self, name: &Name) -> QueryResult<Option<KnownTable>> {
        if !self.sizes.contains_key(name) {
            let size = table_size(self.connection, name).await?;
            self.sizes.insert(name.clone(), size);
        }
        let size = self.sizes.get(name).and_then(Option::as_ref);
        Ok(size.map(|size| KnownTable {
            name: size.table.clone(),
            size: size.to_string(),
            is_empty: size.rows == Some(0),
        }))
    }

    /// Whether the step does not hold this lock, or a stronger one, already.
    fn is_new_lock(&mut self, step: usize, table: &str, lock: LockMode) -> bool {
        let held = self.held_locks.insert((step, table.to_owned()), lock);
        let Some(held) = held.filter(|_| self.plan.steps[step].transactional) else { return true };
        self.held_locks.insert((step, table.to_owned()), lock.max(held));
        lock > held
    }
}

/// A table of the database, for people.
struct KnownTable {
    name: String,
    size: String,
    is_empty: bool,
}

/// How long a lock is held.
const fn until(transactional: bool) -> &'static str {
    if transactional { "until the step commits" } else { "until the statement ends" }
}

fn loss_finding(at: &Located<Loss>) -> Finding {
    Finding {
        line: Some(at.line),
        severity: Severity::DataLoss,
        rule: Rule::Loss(at.value.rule),
        message: format!("{} would be lost", at.value),
        rows: at.value.rows,
    }
}

fn work_finding(
    table: &KnownTable,
    lock: Option<LockMode>,
    work: &TableWork,
    until: &str,
) -> Option<(Severity, Rule, String)> {
    let KnownTable { name, size, is_empty } = table;
    let waits = match lock {
        Some(lock) if lock.blocks_writes() => {
            format!(" under {}: {} {until}", lock.name(), lock.effect_on_others())
        }
        Some(lock) => format!(" under {}", lock.name()),
        None => format!("; other writers wait {until}"),
    };
    let is_harmless = *is_empty || lock.is_some_and(|lock| !lock.blocks_writes());
    let severity = if is_harmless { Severity::Note } else { Severity::Warning };
    match work {
        TableWork::None | TableWork::ForeignKeyPeers(_) => None,
        TableWork::Scan => {
            // On SQLite only writers wait, and reading is quick beside writing.
            let severity = if lock.is_none() { Severity::Note } else { severity };
            let message = format!("reads every row of {name} ({size}){waits}");
            Some((severity, Rule::TableScan, message))
        }
        TableWork::Rewrite => {
            let message = format!("rewrites every row of {name} ({size}){waits}");
            Some((severity, Rule::TableRewrite, message))
        }
        TableWork::Rebuild { .. } => {
            let message =
                format!("copies {name} into a table that takes its place ({size}){waits}");
            Some((severity, Rule::TableRebuild, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_on_rows_is_a_warning_where_writers_wait_for_it() {
        use LockMode::{AccessExclusive, RowExclusive};
        use Severity::{Note, Warning};
        let rebuild = TableWork::Rebuild { recreated: Vec::new() };
        for (lock, work, is_empty, expected) in [
            (Some(AccessExclusive), TableWork::Scan, false, Some(Warning)),
            (Some(AccessExclusive), TableWork::Scan, true, Some(Note)),
            (Some(RowExclusive), TableWork::Scan, false, Some(Note)),
            (Some(AccessExclusive), TableWork::Rewrite, false, Some(Warning)),
            (Some(AccessExclusive), TableWork::None, false, None),
            (None, TableWork::Scan, false, Some(Note)),
            (None, TableWork::Rewrite, false, Some(Warning)),
            (None, rebuild.clone(), false, Some(Warning)),
            (None, rebuild, true, Some(Note)),
        ] {
            let table = KnownTable { name: "a".into(), size: "1 row".into(), is_empty };
            let found = work_finding(&table, lock, &work, until(true));
            assert_eq!(found.map(|(severity, ..)| severity), expected, "{lock:?} {work:?}");
        }
    }
}
