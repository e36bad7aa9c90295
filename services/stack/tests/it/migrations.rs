//! A migrations directory of a test's own: the built-in revisions, and what the test changes.

use std::{fs, path::Path};

use tempfile::TempDir;
use testing::Backend;

/// A copy of the built-in revisions of a database.
pub struct Migrations(TempDir);

impl Migrations {
    pub fn built_in(backend: Backend) -> Self {
        let dialect = match backend {
            Backend::Postgres => "postgres",
            Backend::Sqlite => "sqlite",
        };
        let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations").join(dialect);
        let copy = Self(tempfile::tempdir().unwrap());
        for revision in fs::read_dir(built_in).unwrap() {
            let revision = revision.unwrap();
            let directory = copy.0.path().join(revision.file_name());
            fs::create_dir(&directory).unwrap();
            for file in fs::read_dir(revision.path()).unwrap() {
                let file = file.unwrap();
                fs::copy(file.path(), directory.join(file.file_name())).unwrap();
            }
        }
        copy
    }

    /// Adds a revision, or replaces one of the same name.
    pub fn with(self, name: &str, metadata: &str, up: &str, down: &str) -> Self {
        let directory = self.0.path().join(name);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("metadata.toml"), metadata).unwrap();
        fs::write(directory.join("up.sql"), up).unwrap();
        fs::write(directory.join("down.sql"), down).unwrap();
        self
    }

    /// Appends a statement to a revision's up text.
    pub fn with_statement(self, name: &str, statement: &str) -> Self {
        let file = self.0.path().join(name).join("up.sql");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, format!("{text}{statement};\n")).unwrap();
        self
    }

    /// The value of `SCHEMA_MIGRATIONS_DIR`.
    pub fn path(&self) -> &str {
        self.0.path().to_str().unwrap()
    }
}
