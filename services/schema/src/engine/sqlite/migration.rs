//! A step's text as a migration for Diesel's harness, which keeps Diesel's table.

use std::fmt;

use diesel::{
    connection::BoxableConnection,
    migration::{self, Migration, MigrationMetadata, MigrationName, MigrationVersion},
    sqlite::Sqlite,
};
use sql::Dialect;

use super::{super::CommitGuard, error::refused};

pub(super) struct StepMigration<'a> {
    pub sql: &'a str,
    pub version: &'a str,
    /// Checked between statements: a cancelled step need not go on.
    pub commit_guard: &'a CommitGuard,
}

impl StepMigration<'_> {
    fn execute(&self, connection: &mut dyn BoxableConnection<Sqlite>) -> migration::Result<()> {
        for (index, statement) in sql::split(Dialect::Sqlite, self.sql).iter().enumerate() {
            self.commit_guard.check()?;
            connection
                .batch_execute(statement.text)
                .map_err(|error| refused(index + 1, statement.line, statement.text, &error))?;
        }
        Ok(())
    }
}

impl Migration<Sqlite> for StepMigration<'_> {
    fn run(&self, connection: &mut dyn BoxableConnection<Sqlite>) -> migration::Result<()> {
        self.execute(connection)
    }

    fn revert(&self, connection: &mut dyn BoxableConnection<Sqlite>) -> migration::Result<()> {
        self.execute(connection)
    }

    fn metadata(&self) -> &dyn MigrationMetadata {
        self
    }

    fn name(&self) -> &dyn MigrationName {
        self
    }
}

impl MigrationMetadata for StepMigration<'_> {}

impl MigrationName for StepMigration<'_> {
    fn version(&self) -> MigrationVersion<'_> {
        self.version.into()
    }
}

impl fmt::Display for StepMigration<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.version)
    }
}
