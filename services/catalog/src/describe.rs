//! Writing `catalog.txt`: a scratch database is taken through every revision, and what each leaves
//! behind is the text that stands beside it in git.

mod files;
mod runner;
mod scratch;

use std::{io, path::PathBuf};

use database::{Database, DatabaseUrl, PoolError};
use revisions::Revision;

use self::scratch::Scratch;
use crate::model::Catalog;

pub use self::{
    files::{file_text, write_files},
    runner::StatementError,
};

/// The name of our connections in `pg_stat_activity`.
const APPLICATION: &str = "schemagate-describe";

/// Why revisions could not be described.
#[derive(Debug, thiserror::Error)]
pub enum DescribeError {
    /// No connection to the server or to the scratch database.
    #[error(transparent)]
    Unavailable(#[from] PoolError),
    /// The scratch database could not be created, read or removed.
    #[error("the scratch database could not be created or read")]
    Query(#[from] diesel::result::Error),
    /// A revision does not run on an empty database.
    #[error("revision {revision} fails on an empty database")]
    Revision {
        /// The revision.
        revision: String,
        /// The statement, and the database's message.
        source: StatementError,
    },
    /// A file could not be read or written.
    #[error("{} could not be read or written", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// Takes a scratch database through the revisions, oldest first, and returns what each leaves
/// behind. On PostgreSQL the scratch database is created on the server of the URL, beside the
/// database that it names; on SQLite it is a temporary file. What the URL names is not touched.
///
/// # Errors
/// The scratch database cannot be created, or a revision does not run on it.
pub async fn describe(
    server: &DatabaseUrl,
    revisions: &[Revision],
) -> Result<Vec<Catalog>, DescribeError> {
    let scratch = Scratch::create(server).await?;
    let described = describe_on(scratch.url(), revisions).await;
    scratch.remove().await?;
    described
}

async fn describe_on(
    scratch: &DatabaseUrl,
    revisions: &[Revision],
) -> Result<Vec<Catalog>, DescribeError> {
    let database = Database::new(scratch, APPLICATION, 2);
    let mut runner = database.connection().await?;
    // On a connection of its own: no revision changed its settings.
    let mut reader = database.connection().await?;
    let mut catalogs = Vec::new();
    for revision in revisions {
        let failed = |source| DescribeError::Revision { revision: revision.id.to_string(), source };
        runner::apply(&mut runner, revision).await.map_err(failed)?;
        catalogs.push(Catalog::read(&mut reader).await?);
    }
    Ok(catalogs)
}
