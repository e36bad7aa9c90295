//! `schema describe`: the catalog that each revision leaves behind, written beside it.

use std::path::PathBuf;

use clap::Args;
use cli::{Output, redacted};
use database::DatabaseUrl;
use revisions::Metadata;

#[derive(Clone, Debug, Args)]
pub struct DescribeArgs {
    /// A PostgreSQL server where databases may be created, or sqlite: and any file. The database
    /// or file that it names is not touched.
    #[arg(
        long,
        env = "DATABASE_URL",
        hide_env_values = true,
        value_name = "URL",
        value_parser = redacted::<DatabaseUrl>()
    )]
    database_url: DatabaseUrl,
    /// The directory that holds the revisions, such as migrations/postgres.
    directory: PathBuf,
    #[command(flatten)]
    pub output: Output,
}

impl DescribeArgs {
    pub(super) async fn run(self) -> Result<(), Box<dyn std::error::Error>> {
        let Self { database_url, directory, output } = self;
        let dialect = catalog::dialect(&database_url);
        let revisions = revisions::read(&directory, dialect, Metadata::Optional)?;
        let catalogs = catalog::describe(&database_url, &revisions).await?;
        output.paths(&catalog::write_files(&directory, &revisions, &catalogs)?)?;
        Ok(())
    }
}
