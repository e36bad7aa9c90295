//! Reading a directory of migrations. Every error names the file.

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

/// A directory that cannot be served, and why.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct Error {
    /// The file or directory at fault.
    pub path: PathBuf,
    /// What is wrong with it, and what to do.
    pub problem: String,
}

impl Error {
    pub(crate) fn new(path: &Path, problem: impl Into<String>) -> Self {
        Self { path: path.to_owned(), problem: problem.into() }
    }
}

/// The file beside `up.sql` that says what the revision leaves behind.
pub const CATALOG_FILE: &str = "catalog.txt";

/// Whether every revision needs a `metadata.toml`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Metadata {
    /// Ours do: what the file says is never left to a default.
    Required,
    /// A directory made by the Diesel CLI has none, which means one transaction.
    Optional,
}

/// Reads `postgres/` and `sqlite/` below `root`, each by [`read`], and holds them against each
/// other: the same revisions, by the same names.
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
            "missing here and present for the other database: both have the same revisions",
        )),
        None => Ok([postgres, sqlite]),
    }
}

/// Reads the revisions of one dialect, oldest first.
pub fn read(root: &Path, dialect: Dialect, metadata: Metadata) -> Result<Vec<Revision>, Error> {
    let mut found: BTreeMap<String, (PathBuf, Revision)> = BTreeMap::new();
    for path in directories(root)? {
        let revision = revision(&path, dialect, metadata)?;
        if let Some((other, _)) = found.get(revision.id.as_ref()) {
            return Err(Error::new(
                &path,
                format!(
                    "revision {} is also {}: Diesel would drop one",
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
                    "revision {} is not as wide as {}: they are ordered as text, where 10 comes \
                     before 9",
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
                format!("compatible_from = \"{from}\" is no revision here"),
            ));
        }
    }
    Ok(found.into_values().map(|(_, revision)| revision).collect())
}

/// The directories below `root`, by name; files beside them (a README) and hidden ones are not
/// migrations.
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
    let (id, description) = rules::name(&directory).map_err(|why| Error::new(path, why))?;
    let metadata = metadata_file(&path.join("metadata.toml"), metadata)?;
    let body = |file: &str| -> Result<String, Error> {
        let path = path.join(file);
        let sql = fs::read_to_string(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                Error::new(&path, "missing: every revision goes both ways")
            }
            _ => Error::new(&path, error.to_string()),
        })?;
        rules::body(dialect, &sql, metadata.run_in_transaction)
            .map_err(|(line, why)| Error::new(&path, format!("line {line}: {why}")))?;
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
                format!("{}: set run_in_transaction to true or false", error.message()),
            )
        }),
        (Err(error), Metadata::Optional) if error.kind() == std::io::ErrorKind::NotFound => {
            Ok(MetadataFile { run_in_transaction: true, compatible_from: None })
        }
        (Err(error), _) => Err(Error::new(
            path,
            format!("{error}: it must say run_in_transaction = true, or false"),
        )),
    }
}
