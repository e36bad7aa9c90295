//! The `chat` binary.

use std::{error::Error, process::ExitCode};

use chat::{
    access::POLICY,
    cli::{Cli, Command, ListenArgs, ServeArgs},
};
use clap::Parser as _;
use transport::Listeners;
use wire::error_chain;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = async {
        cli::init_logging(&cli.telemetry)?;
        match cli.command {
            Command::Serve(args) => serve(args).await?,
            Command::Health { listen, health } => {
                transport::health::check(
                    listen.listen,
                    listen.tls.files().is_some(),
                    &health.service,
                )
                .await?;
            }
            Command::Token(args) => args.run(&POLICY)?,
            Command::Client(command) => return Ok(command.run().await),
        }
        Ok::<_, Box<dyn Error>>(ExitCode::SUCCESS)
    };
    match result.await {
        Ok(status) => status,
        Err(error) => {
            eprintln!("chat: {}", error_chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

async fn serve(args: ServeArgs) -> Result<(), Box<dyn Error>> {
    let shutdown = transport::shutdown_signal()?;
    let config = args.config()?;
    config.schema_tls.check()?;
    let ListenArgs { listen, tls } = &args.listen;
    let (tls, admission) = (tls.files(), args.access.admission(POLICY)?);
    let listeners =
        Listeners::bind("chat", *listen, args.metrics.metrics_listen, tls, admission).await?;
    tracing::info!(url = %args.database.url(), "using database");
    if let Some(bus) = args.bus() {
        tracing::info!(url = %bus, "using bus");
    }
    chat::serve(config, listeners, shutdown).await?;
    Ok(())
}
