//! The look at the live catalog: how it differs from what the current revision promises, and
//! what an unknown database could be. Current carries the last one.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use api::schema::v1::Drift;
use database::{Connection, types::Time};
use diesel::QueryResult;
use diesel_async::SimpleAsyncConnection as _;
use tokio::time::Instant;
use wire::{convert::timestamp, error_chain};

use crate::{
    catalog::{Catalog, Promises, compare, nearest},
    error::OperationError,
    history::History,
    line::Line,
};

/// How long a look is good for.
const AGE: Duration = Duration::from_secs(60);
/// How soon a look that failed is tried again.
const RETRY: Duration = Duration::from_secs(5);
/// To describe a view PostgreSQL locks it: a look gives up where that would make it wait.
const SETTINGS: &str = "SET LOCAL lock_timeout = '200ms'; SET LOCAL statement_timeout = '5s'";

/// Looks at the live catalog, and remembers what it saw.
pub struct Inspector {
    promises: Promises,
    /// How long a look is good for.
    age: Duration,
    last: Mutex<Option<Look>>,
}

#[derive(Clone)]
struct Look {
    /// What it was a look at: another one says nothing of it.
    of: Subject,
    drift: Option<Drift>,
    good_until: Instant,
}

/// A schema, by its current revision and its epoch.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Subject(String, u64);

/// What a look found.
#[derive(Clone, Debug, Default)]
pub struct Finding {
    /// How the catalog differs from the current revision's promise, where it made one.
    pub drift: Option<Drift>,
    /// What the database is, where it has tables of ours and no history.
    pub unmanaged: Option<String>,
}

impl Inspector {
    /// One that has looked at nothing yet.
    pub const fn new(promises: Promises) -> Self {
        Self { promises, age: AGE, last: Mutex::new(None) }
    }

    /// What the last look found, or a new one where that is too old. While an operation runs the
    /// catalog is between two promises, and nobody looks. A look that fails is no finding.
    pub async fn finding(
        &self,
        connection: &mut Connection,
        line: &Line,
        history: &History,
        running: bool,
    ) -> Finding {
        let subject = Subject::of(history);
        let known = self.known(&subject);
        if let Some(look) = known.as_ref().filter(|look| look.good_until > Instant::now()) {
            return look.drift.clone().into();
        }
        if running || history.half_done.is_some() {
            return known.and_then(|look| look.drift).into();
        }
        match look(connection, line).await {
            Ok((seen, live)) if Subject::of(&seen) == subject => self.find(&seen, &live),
            // Somebody was faster: what was seen is of another schema.
            Ok(_) => Finding::default(),
            Err(error) => {
                tracing::warn!(
                    error = error_chain(&error),
                    "the live catalog could not be looked at"
                );
                let drift = known.and_then(|look| look.drift);
                self.remember(subject, drift.clone(), RETRY);
                drift.into()
            }
        }
    }

    /// A new look, whatever the last one found.
    ///
    /// # Errors
    /// The database cannot be read, or the current revision came without a promise.
    pub async fn verify(
        &self,
        connection: &mut Connection,
        line: &Line,
    ) -> Result<Drift, OperationError> {
        let (history, live) = look(connection, line).await?;
        let current = history.current();
        if current.is_empty() {
            return Ok(drift(&Catalog::empty(live.dialect), &live));
        }
        let finding = self.find(&history, &live);
        finding.drift.ok_or_else(|| OperationError::NotDescribed(current.into()))
    }

    /// What each revision promises.
    pub const fn promises(&self) -> &Promises {
        &self.promises
    }

    fn find(&self, history: &History, live: &Catalog) -> Finding {
        if history.applied.is_empty() {
            let tables = self.promises.tables_in(live);
            let unmanaged = (!tables.is_empty()).then(|| self.introduce(&tables, live));
            // Not remembered: who adopts a database wants to see at once what it takes.
            return Finding { unmanaged, drift: None };
        }
        let promise = self.promises.get(history.current());
        let found = promise.map(|promise| drift(promise, live));
        self.remember(Subject::of(history), found.clone(), self.age);
        found.into()
    }

    fn introduce(&self, tables: &[&str], live: &Catalog) -> String {
        let tables = tables.join(", ");
        let fits = self.promises.recognise(live);
        let way_out = match nearest(&fits) {
            Some(fit) if fit.fits() => {
                format!("it is what {0} leaves behind: Stamp {0} adopts it", fit.revision)
            }
            Some(fit) => format!(
                "it is nearest to {0}, and differs: {1}. docs/MIGRATIONS.md, Adopting, has the \
                 statements that mend this; then Stamp {0}",
                fit.revision,
                fit.obstacles.join("; ")
            ),
            None => "Stamp the revision that it is at".into(),
        };
        format!("the database has tables of these names ({tables}) and no history; {way_out}")
    }

    fn known(&self, subject: &Subject) -> Option<Look> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.clone().filter(|look| look.of == *subject)
    }

    fn remember(&self, of: Subject, drift: Option<Drift>, age: Duration) {
        let look = Look { of, drift, good_until: Instant::now() + age };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(look);
    }
}

impl Subject {
    fn of(history: &History) -> Self {
        Self(history.current().into(), history.epoch)
    }
}

impl From<Option<Drift>> for Finding {
    fn from(drift: Option<Drift>) -> Self {
        Self { drift, unmanaged: None }
    }
}

fn drift(promise: &Catalog, live: &Catalog) -> Drift {
    let found = compare(promise, live);
    Drift {
        missing: found.missing,
        extra: found.extra,
        degraded: found.degraded,
        checked_at: Some(timestamp(Time::now().utc())),
    }
}

/// The catalog, and the history that it is of: one snapshot has both.
async fn look(connection: &mut Connection, line: &Line) -> QueryResult<(History, Catalog)> {
    connection
        .snapshot(async |connection| {
            if let Connection::Postgres(connection) = connection {
                connection.batch_execute(SETTINGS).await?;
            }
            Ok((History::read(connection, line).await?, Catalog::read(connection).await?))
        })
        .await
}

#[cfg(test)]
mod tests {
    use database::Database;
    use testing::{Backend, TestDatabase, apply, both};

    use super::*;
    use crate::{catalog, observer};

    /// What is missing at head, before and after a table is dropped by hand.
    async fn missing(age: Duration, database: &TestDatabase) -> [usize; 2] {
        let url = database.url().parse().unwrap();
        let line = Line::built_in(observer::backend(&url));
        let promises = Promises::of(catalog::dialect(&url), line.iter()).unwrap();
        let inspector = Inspector { age, ..Inspector::new(promises) };
        let mut connection = Database::new(&url, "test", 1).connection().await.unwrap();
        let history = History::read(&mut connection, &line).await.unwrap();
        let mut found = [0; 2];
        for (at, sql) in ["select 1", "drop table processed_messages"].iter().enumerate() {
            database.execute(sql).await;
            let finding = inspector.finding(&mut connection, &line, &history, false).await;
            found[at] = finding.drift.unwrap().missing.len();
        }
        found
    }

    #[apply(both!)]
    async fn a_look_is_good_for_its_age_and_no_longer(backend: Backend) {
        assert_eq!(missing(AGE, &backend.at_head().await).await, [0, 0]);
        assert_eq!(missing(Duration::ZERO, &backend.at_head().await).await, [0, 1]);
    }
}
