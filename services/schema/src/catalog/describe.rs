//! Writing the promises down: a fresh database is taken through every revision, and what each
//! leaves behind is the text that stands beside it in git.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use database::{Database, DatabaseUrl, Unavailable, with_conn};
use diesel_async::RunQueryDsl as _;
use revisions::{CATALOG_FILE, Dialect, Revision};
use uuid::Uuid;

use super::Catalog;
use crate::{
    engine::{Direction, Engine, EngineError, Fate, Step},
    operations::LOCK_TIMEOUT,
};

/// Why the promises could not be written.
#[derive(Debug, thiserror::Error)]
pub enum DescribeError {
    /// No database could be had to try the revisions on.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// The scratch database could not be made or read.
    #[error("the scratch database could not be made or read")]
    Query(#[from] diesel::result::Error),
    /// The scratch database could not be used.
    #[error("the scratch database could not be used")]
    Scratch(#[source] EngineError),
    /// A revision does not run on a fresh database.
    #[error("revision {revision} fails on a fresh database")]
    Revision {
        /// The revision.
        revision: String,
        /// The statement, and the database's words.
        source: EngineError,
    },
    /// A file could not be written.
    #[error("{} could not be written", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Takes a scratch database of `server`'s kind through the revisions, oldest first, and returns
/// what each leaves behind. PostgreSQL makes the scratch database beside the one in the URL, which
/// it does not touch; SQLite makes a file among the temporary ones.
///
/// # Errors
/// The scratch database cannot be made, or a revision does not run on it.
pub async fn describe(
    server: &DatabaseUrl,
    revisions: &[Revision],
) -> Result<Vec<Catalog>, DescribeError> {
    let scratch = Scratch::make(server).await?;
    let described = through(&scratch.url, revisions).await;
    scratch.remove().await?;
    described
}

async fn through(url: &DatabaseUrl, revisions: &[Revision]) -> Result<Vec<Catalog>, DescribeError> {
    let mut connection = Database::new(url, "schemagate-describe", 1).connection().await?;
    let session = Engine::new(url).try_session().await.map_err(DescribeError::Scratch)?;
    // Nobody else knows of it, so nobody holds its lock.
    let mut session = session.ok_or(DescribeError::Scratch(EngineError::LockLost))?;
    session.prepare().await.map_err(DescribeError::Scratch)?;
    let mut catalogs = Vec::new();
    for revision in revisions {
        let step = Step {
            operation_id: "describe".into(),
            revision: revision.clone(),
            direction: Direction::Up,
            lock_timeout: LOCK_TIMEOUT,
            threat: None,
            force: false,
            fate: Fate::default(),
        };
        let failed = |source| DescribeError::Revision { revision: revision.id.to_string(), source };
        session.run(&step, &|_, _| {}).await.map_err(failed)?;
        catalogs.push(Catalog::read(&mut connection).await?);
    }
    Ok(catalogs)
}

/// Whose SQL a database understands.
pub const fn dialect(url: &DatabaseUrl) -> Dialect {
    match url {
        DatabaseUrl::Postgres(_) => Dialect::Postgres,
        DatabaseUrl::Sqlite { .. } => Dialect::Sqlite,
    }
}

/// A database for this alone.
struct Scratch {
    url: DatabaseUrl,
    remove: Remove,
}

enum Remove {
    Database { beside: DatabaseUrl, name: String },
    Directory(PathBuf),
}

impl Scratch {
    async fn make(server: &DatabaseUrl) -> Result<Self, DescribeError> {
        let name = format!("schemagate_describe_{}", Uuid::now_v7().simple());
        match server {
            DatabaseUrl::Postgres(postgres) => {
                execute(server, &format!("CREATE DATABASE {name} TEMPLATE template0")).await?;
                let scratch = Box::new(postgres.with_database(&name));
                let remove = Remove::Database { beside: server.clone(), name };
                Ok(Self { url: DatabaseUrl::Postgres(scratch), remove })
            }
            DatabaseUrl::Sqlite { .. } => {
                let directory = std::env::temp_dir().join(name);
                let path = directory.join("scratch.db");
                fs::create_dir(&directory)
                    .and_then(|()| fs::write(&path, []))
                    .map_err(|source| DescribeError::File { path: path.clone(), source })?;
                let url = DatabaseUrl::Sqlite { path, read_only: false };
                Ok(Self { url, remove: Remove::Directory(directory) })
            }
        }
    }

    async fn remove(self) -> Result<(), DescribeError> {
        match self.remove {
            Remove::Database { beside, name } => {
                execute(&beside, &format!("DROP DATABASE {name} WITH (FORCE)")).await
            }
            Remove::Directory(path) => {
                fs::remove_dir_all(&path).map_err(|source| DescribeError::File { path, source })
            }
        }
    }
}

async fn execute(url: &DatabaseUrl, sql: &str) -> Result<(), DescribeError> {
    let mut connection = Database::new(url, "schemagate-describe", 1).connection().await?;
    with_conn!(&mut connection, c => diesel::sql_query(sql).execute(c).await)?;
    Ok(())
}

/// The text of a revision's file.
pub fn file_text(revision: &Revision, catalog: &Catalog) -> String {
    let database = match catalog.dialect {
        Dialect::Postgres => "PostgreSQL",
        Dialect::Sqlite => "SQLite",
    };
    format!(
        "# What {} leaves behind on {database}. Written by `schema describe`.\n{catalog}",
        revision.id
    )
}

/// Writes each revision's file into its directory below `root`, and returns those that changed.
///
/// # Errors
/// A directory cannot be read, or a file not written.
pub fn write(
    root: &Path,
    revisions: &[Revision],
    catalogs: &[Catalog],
) -> Result<Vec<PathBuf>, DescribeError> {
    let mut changed = Vec::new();
    for (revision, catalog) in revisions.iter().zip(catalogs) {
        let path = directory(root, revision)?.join(CATALOG_FILE);
        let text = file_text(revision, catalog);
        if fs::read_to_string(&path).is_ok_and(|now| now == text) {
            continue;
        }
        fs::write(&path, text)
            .map_err(|source| DescribeError::File { path: path.clone(), source })?;
        changed.push(path);
    }
    Ok(changed)
}

/// The directory of a revision: Diesel leaves the dashes out of what stands before its `_`.
fn directory(root: &Path, revision: &Revision) -> Result<PathBuf, DescribeError> {
    let unreadable = |source| DescribeError::File { path: root.to_owned(), source };
    for entry in fs::read_dir(root).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.split_once('_').is_some_and(|(id, _)| id.replace('-', "") == revision.id) {
            return Ok(path);
        }
    }
    let gone = format!("it has no directory of revision {}", revision.id);
    Err(unreadable(io::Error::new(io::ErrorKind::NotFound, gone)))
}
