//! SQLite's file, which another can take the place of while connections to it are open: they would
//! go on with a file that nobody else sees.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Instant,
};

use super::Renewed;

/// A file by its device and inode: what every process sees alike.
type Inode = (u64, u64);

/// The file under a pool.
pub(super) struct SqliteFile {
    path: PathBuf,
    seen: Mutex<Option<Inode>>,
    renewed: Renewed,
}

impl SqliteFile {
    pub(super) fn new(path: &Path, renewed: &Renewed) -> Self {
        Self { path: path.to_owned(), seen: Mutex::default(), renewed: renewed.clone() }
    }

    /// Looks before a connection is opened or used; if it is another file than before, what was
    /// opened until now is not used again.
    pub(super) fn look(&self) {
        // One that is away says so by itself.
        let Ok(now) = inode(&self.path) else { return };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.replace(now).is_some_and(|before| before != now) {
            tracing::warn!(path = %self.path.display(), "another file took the database's place");
            *self.renewed.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        }
    }
}

fn inode(path: &Path) -> io::Result<Inode> {
    let file = fs::metadata(path)?;
    Ok((file.dev(), file.ino()))
}

/// The file's name for people and for comparison.
pub(super) fn identity(path: &Path) -> io::Result<String> {
    inode(path).map(|(device, inode)| format!("sqlite:{device:x}/{inode:x}"))
}
