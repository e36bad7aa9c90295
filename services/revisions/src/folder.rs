//! Reading a migrations directory. Every error names the file.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use sql::Dialect;

use crate::{
    Revision,
    rules::{self, MetadataFile},
};

/// A migrations directory that breaks a rule or cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct Error {
    /// The file or directory at fault.
    pub path: PathBuf,
    /// What is wrong with it and what to do.
    pub problem: String,
}

impl Error {
    pub(crate) fn new(path: &Path, problem: impl Into<String>) -> Self {
        Self { path: path.to_owned(), problem: problem.into() }
    }
}

/// The file beside `up.sql` that holds the catalog that the revision promises.
pub const CATALOG_FILE: &str = "catalog.txt";

/// Whether every revision needs a `metadata.toml`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Metadata {
    /// Yes: a revision never depends on a default.
    Required,
    /// No: the Diesel CLI makes none, which means that the revision runs in a transaction.
    Optional,
}

/// Reads `postgres/` and `sqlite/` below `root`, each by [`read`], and compares them: both have the
/// same revisions by the same names.
///
/// # Errors
/// A file cannot be read, a rule is broken, or the two differ.
pub fn read_both(root: &Path) -> Result<[Vec<Revision>; 2], Error> {
    let [postgres, sqlite] =
        Dialect::ALL.map(|dialect| read(&root.join(dialect.folder()), dialect, Metadata::Required));
    let (postgres, sqlite) = (postgres?, sqlite?);
    let names = |set: &[Revision]| -> BTreeSet<(String, String)> {
        set.iter().map(|r| (r.id.to_string(), r.description.replace(' ', "_"))).collect()
    };
    let (left, right) = (names(&postgres), names(&sqlite));
    let lacking = left
        .difference(&right)
        .map(|name| (Dialect::Sqlite, name))
        .chain(right.difference(&left).map(|name| (Dialect::Postgres, name)))
        .next();
    match lacking {
        Some((dialect, (id, name))) => Err(Error::new(
            &root.join(dialect.folder()).join(format!("{id}_{name}")),
            "missing here but present for the other database; both need the same revisions",
        )),
        None => Ok([postgres, sqlite]),
    }
}

/// Reads the revisions of one dialect, oldest first.
///
/// # Errors
/// A file cannot be read, or a rule is broken: the first one.
pub fn read(root: &Path, dialect: Dialect, metadata: Metadata) -> Result<Vec<Revision>, Error> {
    let mut found: BTreeMap<String, (PathBuf, Revision)> = BTreeMap::new();
    for path in directories(root)? {
        let revision = revision(&path, dialect, metadata)?;
        if let Some((other, _)) = found.get(revision.id.as_ref()) {
            return Err(Error::new(
                &path,
                format!(
                    "revision {} is also the revision of {}; Diesel would run only one of them",
                    revision.id,
                    other.display()
                ),
            ));
        }
        if let Some((other, (_, first))) = found.first_key_value()
            && other.len() != revision.id.len()
        {
            return Err(Error::new(
                &path,
                format!(
                    "revision {} and revision {} have different widths; revisions are ordered as \
                     text, where 10 comes before 9",
                    revision.id, first.id
                ),
            ));
        }
        found.insert(revision.id.to_string(), (path, revision));
    }
    for (path, revision) in found.values() {
        if let Some(from) = &revision.compatible_from
            && !found.contains_key(from.as_ref())
        {
            return Err(Error::new(
                &path.join("metadata.toml"),
                format!("compatible_from = \"{from}\" names no revision of this directory"),
            ));
        }
    }
    Ok(found.into_values().map(|(_, revision)| revision).collect())
}

/// The directories below `root`, in the order of their names. Files beside them, such as a README,
/// and hidden directories are no revisions.
pub(crate) fn directories(root: &Path) -> Result<Vec<PathBuf>, Error> {
    let unreadable = |error: std::io::Error| Error::new(root, error.to_string());
    let mut paths = Vec::new();
    for entry in fs::read_dir(root).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if !hidden && entry.path().is_dir() {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

fn revision(path: &Path, dialect: Dialect, metadata: Metadata) -> Result<Revision, Error> {
    let directory = path.file_name().unwrap_or_default().to_string_lossy();
    let (id, description) =
        rules::parse_directory_name(&directory).map_err(|problem| Error::new(path, problem))?;
    let metadata = metadata_file(&path.join("metadata.toml"), metadata)?;
    let body = |file: &str| -> Result<String, Error> {
        let path = path.join(file);
        let sql = fs::read_to_string(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                Error::new(&path, "missing; every revision needs up.sql and down.sql")
            }
            _ => Error::new(&path, error.to_string()),
        })?;
        rules::check_body(dialect, &sql, metadata.run_in_transaction)
            .map_err(|(line, problem)| Error::new(&path, format!("line {line}: {problem}")))?;
        Ok(sql)
    };
    Ok(Revision {
        id: id.into(),
        description: description.into(),
        up: body("up.sql")?.into(),
        down: body("down.sql")?.into(),
        transactional: metadata.run_in_transaction,
        compatible_from: metadata.compatible_from.map(Into::into),
        catalog: optional(&path.join(CATALOG_FILE))?.map(Into::into),
    })
}

fn optional(path: &Path) -> Result<Option<String>, Error> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::new(path, error.to_string())),
    }
}

fn metadata_file(path: &Path, needed: Metadata) -> Result<MetadataFile, Error> {
    match (fs::read_to_string(path), needed) {
        (Ok(text), _) => toml::from_str(&text).map_err(|error| {
            Error::new(
                path,
                format!("{}; set run_in_transaction to true or false", error.message()),
            )
        }),
        (Err(error), Metadata::Optional) if error.kind() == std::io::ErrorKind::NotFound => {
            Ok(MetadataFile { run_in_transaction: true, compatible_from: None })
        }
        (Err(error), _) => Err(Error::new(
            path,
            format!("{error}; the file must set run_in_transaction to true or false"),
        )),
    }
}
