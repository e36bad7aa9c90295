//! Logs: for people or as JSON lines, always on standard error. Standard output is for results.

use std::io::IsTerminal as _;

use tracing_subscriber::{EnvFilter, filter::ParseError};

/// Libraries whose callers say better what there is to say. `--log` can undo it.
const QUIET: &str = "async_nats=off";

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// The flags of logging.
#[derive(Clone, Debug, clap::Args)]
pub struct TelemetryArgs {
    /// How log lines look.
    #[arg(long, env = "LOG_FORMAT", global = true, value_enum, default_value_t)]
    pub log_format: LogFormat,
    /// What is logged: a level, or tracing's directives, such as "info,schema=debug".
    #[arg(long, env = "LOG", global = true, default_value = "info")]
    pub log: String,
}

/// Starts logging. Call it once, before anything else.
///
/// # Errors
/// The directives of `--log` cannot be read.
pub fn init(args: &TelemetryArgs) -> Result<(), ParseError> {
    let filter = EnvFilter::builder().parse(format!("{QUIET},{}", args.log))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // A log that nobody reads any more, or whose disk is full, is no reason to stop: told on
        // standard error, it would be a panic of the task that logs.
        .log_internal_errors(false);
    match args.log_format {
        LogFormat::Human => builder.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    Ok(())
}
