//! `schema serve`: the service itself.

use std::{net::SocketAddr, path::PathBuf};

use clap::{ArgAction, Args, builder::FalseyValueParser};
use cli::DatabaseArgs;
use revisions::Metadata;
use transport::Listeners;

use crate::{Config, STEP_GRACE, access::POLICY, catalog};

cli::listener_tls_args!("SCHEMA");
cli::access_args!("SCHEMA");

/// Where the service is.
#[derive(Clone, Debug, Args)]
pub struct ListenArgs {
    /// Where to listen.
    #[arg(long = "listen", env = "SCHEMA_LISTEN", default_value = "127.0.0.1:50051")]
    pub listen: SocketAddr,
    /// What it shows there.
    #[command(flatten)]
    pub tls: TlsArgs,
}

/// How to serve.
#[derive(Clone, Debug, Args)]
pub struct ServeArgs {
    /// Which database.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// Where it listens.
    #[command(flatten)]
    pub here: ListenArgs,
    /// Who may call.
    #[command(flatten)]
    pub access: AccessArgs,
    /// Where to be scraped by Prometheus, at /metrics; over TLS where calls are. Nowhere,
    /// if not given.
    #[arg(long, env = "SCHEMA_METRICS_LISTEN", value_name = "LISTEN")]
    pub metrics_listen: Option<SocketAddr>,
    /// Upgrade to head before the first request is answered. If that fails, the service answers
    /// all the same, and Current says why.
    #[arg(
        long,
        env = "SCHEMA_UPGRADE_ON_START",
        action = ArgAction::SetTrue,
        value_parser = FalseyValueParser::new()
    )]
    pub upgrade_on_start: bool,
    /// A directory of Diesel migrations to serve instead of the built-in ones; or one that holds
    /// such a directory for each database, postgres/ and sqlite/.
    #[arg(long, env = "SCHEMA_MIGRATIONS_DIR")]
    pub migrations_dir: Option<PathBuf>,
    /// How long the step in hand may go on after SIGTERM, such as 2m. Then it is rolled back.
    #[arg(long, env = "SCHEMA_STEP_GRACE", value_name = "TIME", default_value_t = STEP_GRACE.into())]
    pub step_grace: humantime::Duration,
}

impl ServeArgs {
    /// What the service needs of it: the migrations are read, and checked, here.
    ///
    /// # Errors
    /// The directory breaks a rule; the error names the file.
    pub fn config(&self) -> Result<Config, revisions::Error> {
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
        let asked_to_end = transport::shutdown_signal()?;
        let ListenArgs { listen, tls } = self.here;
        let (tls, admission) = (tls.files(), self.access.admission(POLICY)?);
        let listeners =
            Listeners::bind("schema", listen, self.metrics_listen, tls, admission).await?;
        tracing::info!("the database is {}", self.database.url());
        crate::serve(config, listeners, asked_to_end).await?;
        Ok(())
    }
}
