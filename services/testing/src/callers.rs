//! An access file for a service, and calls as one of its callers.

use std::{fmt::Write as _, fs, path::PathBuf};

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tonic::{Request, Status, client::Grpc, codegen::http::uri::PathAndQuery, transport::Channel};
use tonic_prost::ProstCodec;

/// An access file in a directory of its own.
pub struct AccessFile {
    directory: TempDir,
}

impl AccessFile {
    /// Creates a file with these names and roles; the `bot_type` of bots is `echo`.
    pub fn of(callers: &[(&str, &str)]) -> Self {
        let file = Self { directory: tempfile::tempdir().expect("a temporary directory") };
        file.write(callers);
        file
    }

    /// Replaces the callers.
    pub fn write(&self, callers: &[(&str, &str)]) {
        let mut text = String::new();
        for (name, role) in callers {
            let hex = hex::encode(Sha256::digest(token(name)));
            let bot = if *role == "bot" { "bot_type = \"echo\"\n" } else { "" };
            let entry = format!("name = \"{name}\"\nrole = \"{role}\"\n{bot}sha256 = \"{hex}\"\n");
            writeln!(text, "[[caller]]\n{entry}").expect("a String can be written");
        }
        fs::write(self.path(), text).expect("a file in it");
    }

    /// Its path.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("callers.toml")
    }

    /// Creates a file that contains a caller's token.
    pub fn token_file(&self, name: &str) -> PathBuf {
        let path = self.directory.path().join(format!("{name}.token"));
        fs::write(&path, token(name)).expect("a file");
        path
    }
}

/// The token of a caller with this name, in any access file.
pub fn token(name: &str) -> String {
    format!("sgt_planted-secret-of-{name}")
}

/// Calls a method by its path with an empty message: every method can be called so, streams too.
/// Returns as soon as the service has admitted or refused the call.
///
/// # Errors
/// The service refuses the call.
pub async fn call(channel: Channel, path: &str, caller: Option<&str>) -> Result<(), Status> {
    call_with_token(channel, path, caller.map(token).as_deref()).await
}

/// [`call`] with a token in place of a caller's name.
///
/// # Errors
/// The service refuses the call.
pub async fn call_with_token(
    channel: Channel,
    path: &str,
    token: Option<&str>,
) -> Result<(), Status> {
    let mut grpc = Grpc::new(channel);
    grpc.ready().await.map_err(|error| Status::unknown(error.to_string()))?;
    let path: PathAndQuery = path.parse().expect("a path");
    // A refusal has no body: it arrives in place of the response's headers.
    let request = with_token(token, ());
    grpc.server_streaming(request, path, ProstCodec::<(), ()>::default()).await.map(drop)
}

/// A request of a caller, or without a token.
pub fn as_caller<T>(caller: Option<&str>, message: T) -> Request<T> {
    with_token(caller.map(token).as_deref(), message)
}

fn with_token<T>(token: Option<&str>, message: T) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(token) = token {
        let header = format!("Bearer {token}").parse().expect("a header");
        request.metadata_mut().insert("authorization", header);
    }
    request
}
