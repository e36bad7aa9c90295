//! `schema new`: the folders of a migration that is yet to be written.

use std::path::PathBuf;

use clap::Args;
use cli::Output;

/// What is to be made.
#[derive(Clone, Debug, Args)]
pub struct NewArgs {
    /// What it does: lower case letters, digits and '_', such as add_reactions_to_messages.
    pub name: String,
    /// The directory of the migrations.
    #[arg(long, env = "SCHEMA_MIGRATIONS_DIR", default_value = "migrations")]
    pub migrations_dir: PathBuf,
    /// How the folders are named on standard output.
    #[command(flatten)]
    pub output: Output,
}

impl NewArgs {
    pub(super) fn run(&self) -> Result<(), Box<dyn std::error::Error>> {
        self.output.paths(&revisions::create(&self.migrations_dir, &self.name)?)?;
        self.output.note(
            "fill in up.sql and down.sql: the build refuses them until they hold a statement.\n\
             The rules, and how to go on: migrations/README.md",
        );
        Ok(())
    }
}
