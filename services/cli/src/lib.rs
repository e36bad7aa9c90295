//! What the commands of every service share: flags, logging, the connection to a service, results as
//! text or JSON, and how a failure is reported.

mod access_args;
mod advice;
mod client_args;
mod connect;
mod database_args;
mod duration;
mod failure;
mod health_args;
mod json;
mod listen_args;
mod output;
mod redacted;
mod runtime;
mod service_url;
mod telemetry;
mod token;
mod wait;

pub use advice::advice;
pub use connect::{Connection, connect};
pub use database_args::{DatabaseArgs, OptionalDatabaseArgs};
pub use duration::rounded;
pub use failure::Failure;
pub use health_args::HealthArgs;
pub use json::{from_json, json};
pub use output::Output;
pub use redacted::{in_file, redacted};
pub use runtime::run;
pub use service_url::service_url;
pub use telemetry::{LogFormat, TelemetryArgs, init as init_logging};
pub use token::{TokenArgs, TokenError};
pub use wait::{WaitArgs, wait};

/// Exit status 3: what was asked about was seen, and is not so.
pub const NOT_SO: u8 = 3;

/// What the macros of this crate name in their callers.
#[doc(hidden)]
pub mod macros {
    pub use access::{
        Access, AccessError, Admission, Bearer, BearerError, Policy, Token, TokenSource,
    };
    pub use tls::ClientFiles;
    pub use transport::{ClientAuth, ListenerFiles, Reflection};
}
