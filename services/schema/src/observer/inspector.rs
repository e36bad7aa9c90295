//! Compares the live catalog with the one that the current revision promises, and finds out what a
//! database without a history could be. Current carries the last result.

use std::time::Duration;

use api::schema::v1::Drift;
use catalog::{Candidate, Catalog, ExpectedCatalogs, Grade, compare, nearest};
use database::{Connection, types::Time};
use diesel::QueryResult;
use diesel_async::SimpleAsyncConnection as _;
use parking_lot::Mutex;
use revisions::RevisionSet;
use tokio::time::Instant;
use wire::{convert::timestamp, error_chain};

use super::InspectError;
use crate::{state::CatalogFinding, store::History};

const FINDING_TTL: Duration = Duration::from_secs(60);
/// How soon an inspection that failed is tried again.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);
/// PostgreSQL locks a view to describe it: an inspection gives up where it would have to wait.
const TIMEOUTS: &str = "SET LOCAL lock_timeout = '200ms'; SET LOCAL statement_timeout = '5s'";

/// Inspects the live catalog, and caches what it found.
pub struct Inspector {
    expected: ExpectedCatalogs,
    ttl: Duration,
    cached: Mutex<Option<Cached>>,
}

#[derive(Clone)]
struct Cached {
    of: Subject,
    drift: Option<Drift>,
    expires_at: Instant,
}

/// A schema, by its current revision and its epoch: a finding about one says nothing about another.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Subject(String, u64);

impl Inspector {
    pub const fn new(expected: ExpectedCatalogs) -> Self {
        Self { expected, ttl: FINDING_TTL, cached: Mutex::new(None) }
    }

    /// The last finding, or a new one where that has expired. While an operation runs, the catalog is
    /// between two revisions and is not inspected.
    pub async fn finding(
        &self,
        connection: &mut Connection,
        revisions: &RevisionSet,
        history: &History,
        is_locked: bool,
    ) -> CatalogFinding {
        let subject = Subject::of(history);
        let cached = self.cached(&subject);
        if let Some(cached) = cached.as_ref().filter(|cached| cached.expires_at > Instant::now()) {
            return drifted(cached.drift.clone());
        }
        if is_locked || history.half_done.is_some() {
            return drifted(cached.and_then(|cached| cached.drift));
        }
        match inspect(connection, revisions).await {
            Ok((read, live)) if Subject::of(&read) == subject => self.find(&read, &live),
            // The schema has changed since `history` was read.
            Ok(_) => CatalogFinding::default(),
            Err(error) => {
                tracing::warn!(error = error_chain(&error), "cannot read the live catalog");
                let drift = cached.and_then(|cached| cached.drift);
                self.cache(subject, drift.clone(), RETRY_INTERVAL);
                drifted(drift)
            }
        }
    }

    /// Inspects the catalog now.
    ///
    /// # Errors
    /// The database cannot be read, or the current revision has no expected catalog.
    pub async fn verify(
        &self,
        connection: &mut Connection,
        revisions: &RevisionSet,
    ) -> Result<Drift, InspectError> {
        let (history, live) = inspect(connection, revisions).await?;
        let current = history.current();
        if current.is_empty() {
            return Ok(drift(&Catalog::empty(live.dialect), &live));
        }
        let finding = self.find(&history, &live);
        finding.drift.ok_or_else(|| InspectError::NotDescribed(current.into()))
    }

    /// The catalog that each revision leaves behind.
    pub const fn expected(&self) -> &ExpectedCatalogs {
        &self.expected
    }

    fn find(&self, history: &History, live: &Catalog) -> CatalogFinding {
        if history.applied.is_empty() {
            let tables = self.expected.known_tables(live);
            // Not cached: an administrator who adopts a database wants to see the effect of each fix.
            let unmanaged =
                (!tables.is_empty()).then(|| unmanaged(&tables, &self.expected.candidates(live)));
            return CatalogFinding { unmanaged, drift: None };
        }
        let expected = self.expected.get(history.current());
        let found = expected.map(|expected| drift(expected, live));
        self.cache(Subject::of(history), found.clone(), self.ttl);
        drifted(found)
    }

    fn cached(&self, subject: &Subject) -> Option<Cached> {
        self.cached.lock().clone().filter(|cached| cached.of == *subject)
    }

    fn cache(&self, of: Subject, drift: Option<Drift>, ttl: Duration) {
        *self.cached.lock() = Some(Cached { of, drift, expires_at: Instant::now() + ttl });
    }
}

/// What an unmanaged database could be, and how to adopt it.
fn unmanaged(tables: &[&str], candidates: &[Candidate]) -> String {
    let advice = match nearest(candidates) {
        Some(fit) if fit.is_match() => {
            format!(
                "its catalog is that of {0}; run \"schema stamp {0}\" to adopt it",
                fit.revision
            )
        }
        Some(fit) => format!(
            "its catalog is nearest to that of {0}, and differs: {1}; apply the statements of \
             docs/MIGRATIONS.md, Adopting, then run \"schema stamp {0}\"",
            fit.revision,
            catalog::list(&fit.obstacles)
        ),
        None => "run \"schema stamp\" with the revision that it is at".into(),
    };
    format!("database has known tables ({}) but no history; {advice}", tables.join(", "))
}

impl Subject {
    fn of(history: &History) -> Self {
        Self(history.current().into(), history.epoch)
    }
}

const fn drifted(drift: Option<Drift>) -> CatalogFinding {
    CatalogFinding { drift, unmanaged: None }
}

fn drift(expected: &Catalog, live: &Catalog) -> Drift {
    let found = compare(expected, live);
    Drift {
        missing: found.lines(Grade::Missing),
        extra: found.lines(Grade::Extra),
        degraded: found.lines(Grade::Degraded),
        checked_at: Some(timestamp(Time::now().utc())),
    }
}

/// The catalog and the history that it belongs to, of one snapshot.
async fn inspect(
    connection: &mut Connection,
    revisions: &RevisionSet,
) -> QueryResult<(History, Catalog)> {
    connection
        .snapshot(async |connection| {
            if let Connection::Postgres(connection) = connection {
                connection.batch_execute(TIMEOUTS).await?;
            }
            Ok((History::read(connection, revisions).await?, Catalog::read(connection).await?))
        })
        .await
}

#[cfg(test)]
mod tests {
    use database::Database;
    use testing::{Backend, TestDatabase, apply, both};

    use super::*;
    use crate::{built_in, observer};

    /// How many parts are missing at head, before and after a table is dropped.
    async fn missing(ttl: Duration, database: &TestDatabase) -> [usize; 2] {
        let url = database.url().parse().unwrap();
        let revisions = built_in::revisions(observer::backend(&url));
        let expected = ExpectedCatalogs::parse(catalog::dialect(&url), revisions.iter()).unwrap();
        let inspector = Inspector { ttl, ..Inspector::new(expected) };
        let mut connection = Database::new(&url, "test", 1).connection().await.unwrap();
        let history = History::read(&mut connection, &revisions).await.unwrap();
        let mut found = [0; 2];
        for (at, sql) in ["select 1", "drop table processed_messages"].iter().enumerate() {
            database.execute(sql).await;
            let finding = inspector.finding(&mut connection, &revisions, &history, false).await;
            found[at] = finding.drift.unwrap().missing.len();
        }
        found
    }

    #[apply(both!)]
    async fn a_finding_is_cached_until_it_expires(backend: Backend) {
        assert_eq!(missing(FINDING_TTL, &backend.at_head().await).await, [0, 0]);
        assert_eq!(missing(Duration::ZERO, &backend.at_head().await).await, [0, 1]);
    }
}
