//! `schema serve`: the service itself.

use std::path::PathBuf;

use clap::{ArgAction, Args, builder::FalseyValueParser};
use cli::DatabaseArgs;
use revisions::Metadata;
use schema::{Config, STEP_GRACE, access::POLICY};
use transport::Listeners;

cli::listen_args!("SCHEMA", "127.0.0.1:50051");
cli::access_args!("SCHEMA");

#[derive(Clone, Debug, Args)]
pub struct ServeArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    listener: ListenArgs,
    #[command(flatten)]
    metrics: MetricsArgs,
    #[command(flatten)]
    access: AccessArgs,
    /// Upgrade to head before the first request is answered. If the upgrade fails, the service
    /// still starts, and Current reports the failure.
    #[arg(
        long,
        env = "SCHEMA_UPGRADE_ON_START",
        action = ArgAction::SetTrue,
        value_parser = FalseyValueParser::new()
    )]
    upgrade_on_start: bool,
    /// Migrations directory to serve instead of the built-in revisions, in Diesel's layout; or a
    /// directory that holds one for each database, postgres/ and sqlite/.
    #[arg(long, env = "SCHEMA_MIGRATIONS_DIR", value_name = "DIRECTORY")]
    migrations_dir: Option<PathBuf>,
    /// Maximum time for the step in progress after SIGTERM, such as 2m. Then it is rolled back.
    #[arg(
        long,
        env = "SCHEMA_STEP_GRACE",
        value_name = "DURATION",
        default_value_t = STEP_GRACE.into()
    )]
    step_grace: humantime::Duration,
}

impl ServeArgs {
    /// Reads and checks the revisions.
    fn config(&self) -> Result<Config, revisions::Error> {
        let dialect = catalog::dialect(self.database.url());
        let read = |directory: &PathBuf| {
            let of_dialect = directory.join(dialect.folder());
            let directory = if of_dialect.is_dir() { &of_dialect } else { directory };
            revisions::read(directory, dialect, Metadata::Optional)
        };
        Ok(Config {
            database: self.database.url().clone(),
            upgrade_on_start: self.upgrade_on_start,
            revisions: self.migrations_dir.as_ref().map(read).transpose()?,
            step_grace: self.step_grace.into(),
            reflection: self.access.reflection,
        })
    }

    pub(super) async fn run(self) -> Result<(), Box<dyn std::error::Error>> {
        let config = self.config()?;
        let shutdown = transport::shutdown_signal()?;
        let ListenArgs { listen, tls } = self.listener;
        let (tls, admission) = (tls.files(), self.access.admission(POLICY)?);
        let listeners =
            Listeners::bind("schema", listen, self.metrics.metrics_listen, tls, admission).await?;
        tracing::info!(database = %self.database.url(), "schema service started");
        schema::serve(config, listeners, shutdown).await?;
        Ok(())
    }
}
