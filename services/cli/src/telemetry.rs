//! Logs, as text or JSON lines, always on standard error: standard output is for results.

use std::io::IsTerminal as _;

use tracing_subscriber::{EnvFilter, filter::ParseError};

/// Libraries that log what our own lines say with more context. `--log` can enable them.
const DEFAULT_DIRECTIVES: &str = "async_nats=off";

/// The format of log lines.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum LogFormat {
    /// Text for people.
    #[default]
    Human,
    /// One JSON object per line.
    Json,
}

/// The flags of logging.
#[derive(Clone, Debug, clap::Args)]
pub struct TelemetryArgs {
    /// Format of log lines
    #[arg(long, env = "LOG_FORMAT", global = true, value_enum, default_value_t)]
    pub log_format: LogFormat,
    /// Log from this level on: a level, or tracing directives such as "info,schema=debug"
    #[arg(long, env = "LOG", global = true, default_value = "info")]
    pub log: String,
}

/// Starts logging. Call it once, before anything else.
///
/// # Errors
/// The directives of `--log` cannot be parsed.
pub fn init(args: &TelemetryArgs) -> Result<(), ParseError> {
    let filter = EnvFilter::builder().parse(format!("{DEFAULT_DIRECTIVES},{}", args.log))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // Where standard error is closed or its disk full, tracing would report that there too,
        // and the task that logs would panic.
        .log_internal_errors(false);
    match args.log_format {
        LogFormat::Human => builder.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    Ok(())
}
