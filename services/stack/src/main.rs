//! The `stack` binary: `cargo run --bin stack`.

use std::process::ExitCode;

use clap::Parser as _;
use stack::Args;
use wire::error_chain;

fn main() -> ExitCode {
    cli::run(serve(Args::parse()))
}

async fn serve(args: Args) -> ExitCode {
    let result = async {
        cli::init_logging(&args.telemetry)?;
        stack::run(args, transport::shutdown_signal()?).await?;
        Ok::<(), Box<dyn std::error::Error>>(())
    };
    match result.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stack: {}", error_chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}
