//! `schema describe`: writes down what each migration leaves behind.

use std::path::PathBuf;

use clap::Args;
use cli::{Output, redacted};
use database::DatabaseUrl;
use revisions::Metadata;

use crate::catalog;

/// What to describe.
#[derive(Clone, Debug, Args)]
pub struct DescribeArgs {
    /// A PostgreSQL server where databases may be created, or sqlite: and any file. Neither that
    /// database nor that file is touched.
    #[arg(
        long,
        env = "DATABASE_URL",
        hide_env_values = true,
        value_parser = redacted::<DatabaseUrl>()
    )]
    pub database_url: DatabaseUrl,
    /// The directory that holds the revisions, such as migrations/postgres.
    pub directory: PathBuf,
    /// How the files are named on standard output.
    #[command(flatten)]
    pub output: Output,
}

impl DescribeArgs {
    pub(super) async fn run(self) -> Result<(), Box<dyn std::error::Error>> {
        let Self { database_url, directory, output } = self;
        let dialect = catalog::dialect(&database_url);
        let revisions = revisions::read(&directory, dialect, Metadata::Optional)?;
        let catalogs = catalog::describe(&database_url, &revisions).await?;
        output.paths(&catalog::write(&directory, &revisions, &catalogs)?)?;
        Ok(())
    }
}
