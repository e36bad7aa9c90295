//! The `stack` binary: `cargo run --bin stack`.

use std::process::ExitCode;

use clap::Parser as _;
use common::{database::chain, server, telemetry};
use stack::Args;

fn main() -> ExitCode {
    server::run(serve(Args::parse()))
}

async fn serve(args: Args) -> ExitCode {
    let result = async {
        telemetry::init(&args.telemetry)?;
        stack::run(args, server::asked_to_end()?).await?;
        Ok::<(), Box<dyn std::error::Error>>(())
    };
    match result.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stack: {}", chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}
