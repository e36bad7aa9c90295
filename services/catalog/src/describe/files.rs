//! The files that hold the catalogs of revisions.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use revisions::{CATALOG_FILE, Revision};
use sql::Dialect;

use super::DescribeError;
use crate::model::Catalog;

/// The text of a revision's `catalog.txt`.
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

/// Writes each revision's `catalog.txt` into its directory below `root`, and returns the files that
/// changed.
///
/// # Errors
/// A directory cannot be read, or a file not written.
pub fn write_files(
    root: &Path,
    revisions: &[Revision],
    catalogs: &[Catalog],
) -> Result<Vec<PathBuf>, DescribeError> {
    let mut changed = Vec::new();
    for (revision, catalog) in revisions.iter().zip(catalogs) {
        let path = find_directory(root, revision)?.join(CATALOG_FILE);
        let text = file_text(revision, catalog);
        if fs::read_to_string(&path).is_ok_and(|written| written == text) {
            continue;
        }
        fs::write(&path, text)
            .map_err(|source| DescribeError::File { path: path.clone(), source })?;
        changed.push(path);
    }
    Ok(changed)
}

/// The directory of a revision: Diesel drops the dashes of what stands before its `_`.
fn find_directory(root: &Path, revision: &Revision) -> Result<PathBuf, DescribeError> {
    let unreadable = |source| DescribeError::File { path: root.to_owned(), source };
    for entry in fs::read_dir(root).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.split_once('_').is_some_and(|(id, _)| id.replace('-', "") == revision.id) {
            return Ok(path);
        }
    }
    let gone = format!("no directory of revision {}", revision.id);
    Err(unreadable(io::Error::new(io::ErrorKind::NotFound, gone)))
}
