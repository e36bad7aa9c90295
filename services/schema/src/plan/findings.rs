//! What a reviewer would want to know of each step, in words.

use ::sql::{Name, quote};
use std::collections::HashMap;

use api::schema::v1::{Finding, finding::Severity};
use database::Connection;
use diesel::QueryResult;

use super::{
    Plan, links, lint, live,
    locks::Mode,
    losses::Loss,
    reading::{At, Gone, Reading, Retyped},
    sizes::{self, Size},
    touches::{Touch, Work},
    types,
};

/// The findings of each step of a plan, the gravest first.
///
/// # Errors
/// The database cannot be read.
pub async fn findings(
    plan: &Plan<'_>,
    reading: &Reading,
    connection: &mut Connection,
) -> QueryResult<Vec<Vec<Finding>>> {
    let found = vec![Vec::new(); plan.steps.len()];
    let mut report =
        Report { plan, connection, sizes: HashMap::new(), held: HashMap::new(), found };
    report.lint().await?;
    for loss in &plan.losses {
        report.lost(loss);
    }
    for gone in &reading.gone {
        report.cascades(gone).await?;
    }
    for touch in &reading.touches {
        report.touched(touch).await?;
    }
    for retyped in &reading.retyped {
        report.retyped(retyped).await?;
    }
    for at in &reading.unread {
        let words = "cannot be read, and has words such as DROP or DELETE: what it takes, if \
                     anything, is not counted";
        report.add(at, Severity::Warning, "unread", words.into(), None);
    }
    if let Some((step, done)) = plan.resumed {
        let words = format!("{done} of its statements are done already");
        report.found[step].push(Finding {
            severity: Severity::Note.into(),
            rule: "resumed".into(),
            message: words,
            ..Finding::default()
        });
    }
    Ok(report.sorted())
}

struct Report<'a> {
    plan: &'a Plan<'a>,
    connection: &'a mut Connection,
    sizes: HashMap<Name, Option<Size>>,
    /// The strongest lock that a step has taken.
    held: HashMap<(usize, String), Mode>,
    /// By step.
    found: Vec<Vec<Finding>>,
}

impl Report<'_> {
    fn add<T>(
        &mut self,
        at: &At<T>,
        severity: Severity,
        rule: &str,
        message: String,
        rows: Option<u64>,
    ) {
        let (severity, line) = (severity.into(), u32::try_from(at.line).ok());
        self.found[at.step].push(Finding { severity, rule: rule.into(), message, rows, line });
    }

    fn sorted(mut self) -> Vec<Vec<Finding>> {
        for found in &mut self.found {
            found.sort_by_key(|finding| (std::cmp::Reverse(finding.severity), finding.line));
        }
        self.found
    }

    async fn lint(&mut self) -> QueryResult<()> {
        // squawk knows PostgreSQL only.
        let Some(server) = live::version(self.connection).await? else { return Ok(()) };
        for (found, revision) in self.found.iter_mut().zip(self.plan.steps) {
            let sql = self.plan.direction.sql(revision);
            found.extend(lint::lint(sql, revision.transactional, &server));
        }
        Ok(())
    }

    fn lost(&mut self, at: &At<Loss>) {
        let loss = &at.what;
        let words = format!("{loss} would be lost");
        self.add(at, Severity::DataLoss, loss.rule, words, loss.rows);
    }

    /// A DELETE takes rows of other tables along.
    async fn cascades(&mut self, at: &At<Gone>) -> QueryResult<()> {
        let Gone::Rows(table, _) = &at.what else { return Ok(()) };
        let mut others = links::referring(self.connection, table, true).await?;
        others.retain(|other| other != table);
        if !others.is_empty() {
            let others: Vec<String> = others.iter().map(ToString::to_string).collect();
            let others = others.join(", ");
            let words = format!("rows of {others} go with those of {table} (ON DELETE CASCADE)");
            self.add(at, Severity::Warning, "delete-cascades", words, None);
        }
        Ok(())
    }

    async fn touched(&mut self, at: &At<Touch>) -> QueryResult<()> {
        let Touch { table: name, lock, work } = &at.what;
        if let Work::Unlink(part) = work {
            for table in links::linked(self.connection, name, part.as_deref()).await? {
                let touch = Touch { table, lock: *lock, work: Work::None };
                Box::pin(self.touched(&at.with(touch))).await?;
            }
            return Ok(());
        }
        let Some((table, size, empty)) = self.size(name).await? else { return Ok(()) };
        let end = self.end(at);
        if let Some(lock) = lock
            && self.takes(at.step, &table, *lock)
        {
            let rule = format!("{}-lock", lock.name().to_lowercase().replace(' ', "-"));
            let words = format!("{} on {table} ({size}): {} {end}", lock.name(), lock.blocks());
            self.add(at, Severity::Note, &rule, words, None);
        }
        let waits = match lock {
            Some(lock) if lock.blocks_writes() => {
                format!(" under {}: {} {end}", lock.name(), lock.blocks())
            }
            Some(lock) => format!(" under {}", lock.name()),
            None => format!("; other writers wait {end}"),
        };
        let harmless = empty || lock.is_some_and(|lock| !lock.blocks_writes());
        let severity = if harmless { Severity::Note } else { Severity::Warning };
        match work {
            Work::None | Work::Unlink(_) => {}
            Work::Scan => {
                // On SQLite nobody but writers waits, and reading is quick beside writing.
                let severity = if lock.is_none() { Severity::Note } else { severity };
                let words = format!("goes through all of {table} ({size}){waits}");
                self.add(at, severity, "table-scan", words, None);
            }
            Work::Rewrite => {
                let words = format!("writes every row of {table} anew ({size}){waits}");
                self.add(at, severity, "table-rewrite", words, None);
            }
            Work::Rebuild { again } => {
                let words =
                    format!("copies {table} into a table that takes its place ({size}){waits}");
                self.add(at, severity, "table-rebuild", words, None);
                let mut lost = links::attached(self.connection, name).await?;
                lost.retain(|name| !again.contains(name));
                if !lost.is_empty() {
                    let lost = lost.join(", ");
                    let words = format!("gone with the old {table}, and not made again: {lost}");
                    self.add(at, Severity::Warning, "rebuild-drops-index", words, None);
                }
            }
        }
        Ok(())
    }

    async fn retyped(&mut self, at: &At<Retyped>) -> QueryResult<()> {
        let Retyped { table: name, column, to, computed } = &at.what;
        let change = types::change(self.connection, &at.what).await?;
        let (Some(change), Some((table, size, empty))) = (change, self.size(name).await?) else {
            return Ok(());
        };
        if *computed || change.rewrites(to) {
            let severity = if empty { Severity::Note } else { Severity::Warning };
            let words = format!(
                "writes every row of {table} anew ({size}) under ACCESS EXCLUSIVE: {column} goes \
                 from {} to {to}",
                change.from
            );
            self.add(at, severity, "table-rewrite", words, None);
        }
        if change.narrows(to) {
            let from = format!("{} WHERE {} IS NOT NULL", name.quoted(), quote(column));
            let rows = live::count(self.connection, &from).await?;
            if rows != Some(0) {
                let words = format!(
                    "{table}.{column} goes from {} to {to}: values that do not fit are refused or \
                     cut",
                    change.from
                );
                self.add(at, Severity::Warning, "narrowing-type", words, rows);
            }
        }
        Ok(())
    }

    /// A table's name, its size in words, and whether it is known to be empty; none where the
    /// database does not have it, so that nobody waits for it.
    async fn size(&mut self, name: &Name) -> QueryResult<Option<(String, String, bool)>> {
        if !self.sizes.contains_key(name) {
            let size = sizes::size(self.connection, name).await?;
            self.sizes.insert(name.clone(), size);
        }
        let size = self.sizes.get(name).and_then(Option::as_ref);
        Ok(size.map(|size| (size.table.clone(), size.to_string(), size.rows == Some(0))))
    }

    /// Whether a statement takes a lock that its step does not hold yet.
    fn takes(&mut self, step: usize, table: &str, lock: Mode) -> bool {
        let held = self.held.insert((step, table.to_owned()), lock);
        let Some(held) = held.filter(|_| self.plan.steps[step].transactional) else { return true };
        self.held.insert((step, table.to_owned()), lock.max(held));
        lock > held
    }

    fn end<T>(&self, at: &At<T>) -> &'static str {
        if self.plan.steps[at.step].transactional {
            "until the step commits"
        } else {
            "until the statement ends"
        }
    }
}
