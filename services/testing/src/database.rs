//! A database for each test: empty or at a revision, removed when the test ends.

use std::{env, fs, sync::mpsc};

use tempfile::TempDir;
use uuid::Uuid;

use crate::{background, postgres_url::with_database, session::Session, template};

/// The kind of database that a test runs on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Backend {
    /// The PostgreSQL server at `TEST_POSTGRES_URL`.
    Postgres,
    /// A file in a temporary directory.
    Sqlite,
}

impl Backend {
    /// Creates a database without tables.
    pub async fn empty(self) -> TestDatabase {
        TestDatabase::create(self, None).await
    }

    /// Creates a database at a built-in revision, as the Diesel CLI would.
    pub async fn at(self, revision: &str) -> TestDatabase {
        TestDatabase::create(self, Some(revision)).await
    }

    /// Creates a database with every built-in revision.
    pub async fn at_head(self) -> TestDatabase {
        self.at(&head()).await
    }
}

/// A database that one test uses.
#[derive(Debug)]
pub struct TestDatabase {
    url: String,
    on_drop: OnDrop,
}

#[derive(Debug)]
enum OnDrop {
    Drop { database: String },
    Remove(#[expect(dead_code, reason = "removes itself when dropped")] TempDir),
    Nothing,
}

impl TestDatabase {
    /// An existing database, which is not removed.
    pub(crate) const fn existing(url: String) -> Self {
        Self { url, on_drop: OnDrop::Nothing }
    }

    /// The value of `DATABASE_URL`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Opens a connection, for a transaction that the test holds open.
    pub async fn session(&self) -> Session {
        Session::open(&self.url).await
    }

    /// Runs statements.
    ///
    /// # Panics
    /// The database refuses them.
    pub async fn execute(&self, sql: &str) {
        Session::open(&self.url).await.execute(sql).await;
    }

    /// Runs a query; returns its only column as text.
    ///
    /// # Panics
    /// The database refuses the query.
    pub async fn column(&self, query: &str) -> Vec<Option<String>> {
        Session::open(&self.url).await.column(query).await
    }

    async fn create(backend: Backend, revision: Option<&str>) -> Self {
        match backend {
            Backend::Postgres => {
                let server = postgres_url();
                let database = format!("test_{}", Uuid::now_v7().simple());
                let template = match revision {
                    Some(revision) => template::postgres(&server, revision).await,
                    None => "template0".into(),
                };
                let create = format!("CREATE DATABASE {database} TEMPLATE {template}");
                Session::open(&server).await.execute(&create).await;
                Self { url: with_database(&server, &database), on_drop: OnDrop::Drop { database } }
            }
            Backend::Sqlite => {
                let directory = tempfile::tempdir().expect("a temporary directory");
                let file = directory.path().join("test.db");
                let content = match revision {
                    Some(revision) => template::sqlite(revision).await,
                    None => Vec::new(),
                };
                fs::write(&file, content).expect("a file in it");
                let url = format!("sqlite:{}", file.display());
                Self { url, on_drop: OnDrop::Remove(directory) }
            }
        }
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let OnDrop::Drop { database } = &self.on_drop else { return };
        let drop = format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)");
        let (dropped, wait) = mpsc::channel();
        background::spawn(async move {
            Session::open(&postgres_url()).await.execute(&drop).await;
            let _ = dropped.send(());
        });
        // Fails if the server is gone, and the database with it.
        let _ = wait.recv();
    }
}

fn head() -> String {
    template::revisions().pop().expect("there is a migration")
}

fn postgres_url() -> String {
    env::var("TEST_POSTGRES_URL").unwrap_or_else(|_| {
        panic!(
            "TEST_POSTGRES_URL is not set: run .ci/test, which starts a private PostgreSQL and runs \
             every test, or set it to a server where databases may be created, such as \
             postgres://postgres@127.0.0.1:5432/postgres"
        )
    })
}

#[cfg(test)]
mod tests {
    use std::{
        sync::Arc,
        time::{Duration, Instant},
    };

    use tokio::task::JoinSet;

    use super::*;
    use crate::{DEADLINE, apply, both};

    const TABLES: &str = "select version from __diesel_schema_migrations order by 1";

    #[apply(both!)]
    async fn a_test_has_a_database_of_its_own(backend: Backend) {
        let (one, other) = (backend.empty().await, backend.empty().await);
        one.execute("create table t (n integer); insert into t values (1), (null)").await;
        other.execute("create table t (n integer)").await;
        assert_eq!(one.column("select n from t").await, [Some("1".into()), None]);
        assert!(other.column("select n from t").await.is_empty());
    }

    #[apply(both!)]
    async fn a_template_ends_at_its_revision(backend: Backend) {
        let first = backend.at("0001").await;
        assert_eq!(first.column(TABLES).await, [Some("0001".into())]);
        let head = backend.at_head().await;
        let versions = head.column(TABLES).await;
        assert_eq!(versions.last(), Some(&Some(super::head())));
        assert!(versions.len() > 1);
        head.execute("select last_message_at from chats").await;
    }

    #[tokio::test]
    async fn a_database_is_dropped_with_its_value() {
        let database = Backend::Postgres.empty().await;
        let name = database.url().rsplit('/').next().unwrap_or_default().to_owned();
        let found = format!("select 1 from pg_database where datname = '{name}'");
        let other = Backend::Postgres.empty().await;
        assert_eq!(other.column(&found).await.len(), 1);
        drop(database);
        assert!(other.column(&found).await.is_empty());
    }

    /// With password authentication, DROP DATABASE waits for connections that are logging in.
    #[tokio::test]
    async fn a_drop_does_not_wait_for_logins_of_its_own_thread() {
        let other = Arc::new(Backend::Postgres.empty().await);
        for polls in 1..10 {
            let database = Backend::Postgres.empty().await;
            let mut logins = JoinSet::new();
            for _ in 0..10 {
                let other = Arc::clone(&other);
                logins.spawn(async move { drop(other.session().await) });
            }
            // Each time, the logins are a little further when this thread blocks.
            tokio::time::sleep(Duration::from_millis(1) * polls).await;
            let started = Instant::now();
            drop(database);
            logins.join_all().await;
            assert!(started.elapsed() < DEADLINE, "{:?}", started.elapsed());
        }
    }
}
