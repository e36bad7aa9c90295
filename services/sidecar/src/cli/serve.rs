//! `gate serve`.

use clap::Args;

use super::gate_args::{GateArgs, ListenArgs};

#[derive(Clone, Debug, Args)]
pub struct ServeArgs {
    #[command(flatten)]
    gate: GateArgs,
    #[command(flatten)]
    listener: ListenArgs,
}

impl ServeArgs {
    pub(super) async fn run(self) -> Result<(), Box<dyn std::error::Error>> {
        let stopping = transport::shutdown_signal()?;
        let config = self.gate.config()?;
        let (listener, tls) = self.listener.bind().await?;
        Ok(sidecar::serve(config, listener, tls, stopping).await?)
    }
}
