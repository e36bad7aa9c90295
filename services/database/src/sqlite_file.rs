//! Notices that SQLite's file was replaced while connections to it are open: they would go on with
//! a file that no other process opens any more.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use parking_lot::Mutex;

use super::oldest_usable::OldestUsable;

/// Device and inode: the identity of a file, the same for every process.
type FileId = (u64, u64);

/// The file of a pool.
pub(super) struct SqliteFile {
    path: PathBuf,
    last_seen: Mutex<Option<FileId>>,
    oldest_usable: OldestUsable,
}

impl SqliteFile {
    pub(super) fn new(path: &Path, oldest_usable: &OldestUsable) -> Self {
        Self {
            path: path.to_owned(),
            last_seen: Mutex::default(),
            oldest_usable: oldest_usable.clone(),
        }
    }

    /// Checks the file before a connection is opened or used. Once it was replaced, connections
    /// that were opened before are not used again.
    pub(super) fn check(&self) {
        // Opening a missing file reports that by itself.
        let Ok(current) = file_id(&self.path) else { return };
        let previous = self.last_seen.lock().replace(current);
        if previous.is_some_and(|previous| previous != current) {
            tracing::warn!(path = %self.path.display(), "database file replaced; reopening connections");
            self.oldest_usable.retire_all();
        }
    }
}

fn file_id(path: &Path) -> io::Result<FileId> {
    let file = fs::metadata(path)?;
    Ok((file.dev(), file.ino()))
}

/// The database identity of a file.
pub(super) fn identity(path: &Path) -> io::Result<String> {
    file_id(path).map(|(device, inode)| format!("sqlite:{device:x}/{inode:x}"))
}
