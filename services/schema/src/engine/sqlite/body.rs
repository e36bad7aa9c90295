//! A migration's body, for the harness that keeps Diesel's table.

use diesel::{
    connection::BoxableConnection,
    migration::{self, Migration, MigrationMetadata, MigrationName, MigrationVersion},
    sqlite::Sqlite,
};
use sql::Dialect;

use super::{super::Fate, refused};

/// A body as Diesel's harness runs it: the harness keeps its own table.
pub(super) struct Body<'a> {
    pub(super) sql: &'a str,
    pub(super) version: &'a str,
    /// Asked between statements: a thread that nobody waits for any more need not go on.
    pub(super) fate: &'a Fate,
}

impl Body<'_> {
    fn execute(&self, connection: &mut dyn BoxableConnection<Sqlite>) -> migration::Result<()> {
        for (index, statement) in sql::split(Dialect::Sqlite, self.sql).iter().enumerate() {
            self.fate.check()?;
            connection
                .batch_execute(statement.text)
                .map_err(|error| refused(index + 1, statement.line, statement.text, &error))?;
        }
        Ok(())
    }
}

impl Migration<Sqlite> for Body<'_> {
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

impl MigrationMetadata for Body<'_> {}

impl MigrationName for Body<'_> {
    fn version(&self) -> MigrationVersion<'_> {
        self.version.into()
    }
}

impl std::fmt::Display for Body<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.version)
    }
}
