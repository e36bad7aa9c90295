use std::{path::Path, time::Duration};

use diesel::{
    Connection as _, ConnectionError, ConnectionResult, SqliteConnection,
    connection::SimpleConnection as _,
};
use diesel_async::sync_connection_wrapper::SyncConnectionWrapper;

/// SQLite's connection; each query runs on a blocking thread.
pub type AsyncSqliteConnection = SyncConnectionWrapper<SqliteConnection>;

/// How long a connection waits for another one's write.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The URI of a file, with which SQLite never creates it: <https://www.sqlite.org/uri.html>.
pub fn sqlite_uri(path: &Path, read_only: bool) -> String {
    let escaped =
        path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    format!("file:{escaped}?mode={}", if read_only { "ro" } else { "rw" })
}

/// Opens a connection with the settings of all of ours: a busy timeout, and foreign keys.
///
/// # Errors
/// The file is missing, or not a database.
pub fn open_sqlite(uri: &str) -> ConnectionResult<SqliteConnection> {
    let mut connection = SqliteConnection::establish(uri)?;
    connection
        .batch_execute(&format!(
            "PRAGMA busy_timeout = {}; PRAGMA foreign_keys = ON; PRAGMA synchronous = NORMAL;",
            BUSY_TIMEOUT.as_millis()
        ))
        .map_err(ConnectionError::CouldntSetupConfiguration)?;
    Ok(connection)
}
