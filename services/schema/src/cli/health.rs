//! `schema health`: the service's question to itself.

use clap::Args;
use transport::health;

use super::serve::ListenArgs;

/// What is asked, and where.
#[derive(Clone, Debug, Args)]
#[group(skip)]
pub struct HealthArgs {
    /// Where the service listens.
    #[command(flatten)]
    pub here: ListenArgs,
    /// What to ask about.
    #[command(flatten)]
    pub asked: cli::HealthArgs,
}

impl HealthArgs {
    pub(super) async fn run(self) -> Result<(), Box<dyn std::error::Error>> {
        let Self { here, asked } = self;
        Ok(health::check(here.listen, here.tls.files().is_some(), &asked.service).await?)
    }
}
