//! The `chat` binary.

use std::{error::Error, process::ExitCode};

use chat::{
    access::POLICY,
    cli::{Cli, Command, ListenArgs, ServeArgs},
};
use clap::Parser as _;
use transport::{Listeners, health};
use wire::error_chain;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = async {
        cli::init_logging(&cli.telemetry)?;
        match cli.command {
            Command::Serve(args) => serve(args).await?,
            Command::Health { here, asked } => {
                health::check(here.listen, here.tls.files().is_some(), &asked.service).await?;
            }
            Command::Token(args) => args.run(&POLICY)?,
            Command::Ask(ask) => return Ok(ask.run().await),
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
    let asked_to_end = transport::shutdown_signal()?;
    let config = args.config()?;
    config.schema_tls.check()?;
    let ListenArgs { listen, tls } = &args.here;
    let (tls, admission) = (tls.files(), args.access.admission(POLICY)?);
    let listeners =
        Listeners::bind("chat", *listen, args.metrics.metrics_listen, tls, admission).await?;
    tracing::info!("the database is {}", args.database.url());
    if let Some(bus) = args.bus() {
        tracing::info!("the bus is {bus}");
    }
    chat::serve(config, listeners, asked_to_end).await?;
    Ok(())
}
