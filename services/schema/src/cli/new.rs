//! `schema new`: the directories of a revision that is yet to be written.

use std::path::PathBuf;

use clap::Args;
use cli::Output;

#[derive(Clone, Debug, Args)]
pub struct NewArgs {
    /// Name of the revision, in lower case letters, digits and '_', such as
    /// add_reactions_to_messages.
    name: String,
    /// Migrations directory, with a directory for each database.
    #[arg(
        long,
        env = "SCHEMA_MIGRATIONS_DIR",
        value_name = "DIRECTORY",
        default_value = "migrations"
    )]
    migrations_dir: PathBuf,
    #[command(flatten)]
    pub output: Output,
}

impl NewArgs {
    pub(super) fn run(&self) -> Result<(), Box<dyn std::error::Error>> {
        self.output.paths(&revisions::create(&self.migrations_dir, &self.name)?)?;
        self.output.note(
            "fill in up.sql and down.sql: the build fails until they hold a statement.\n\
             The rules and the next steps are in migrations/README.md",
        );
        Ok(())
    }
}
