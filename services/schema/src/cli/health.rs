//! `schema health`: whether the service on this machine is serving.

use clap::Args;
use transport::health;

use super::serve::ListenArgs;

#[derive(Clone, Debug, Args)]
#[group(skip)]
pub struct HealthArgs {
    #[command(flatten)]
    listener: ListenArgs,
    #[command(flatten)]
    check: cli::HealthArgs,
}

impl HealthArgs {
    pub(super) async fn run(self) -> Result<(), Box<dyn std::error::Error>> {
        let Self { listener, check } = self;
        let is_tls = listener.tls.files().is_some();
        Ok(health::check(listener.listen, is_tls, &check.service).await?)
    }
}
