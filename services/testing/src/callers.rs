//! A file of callers for a service, and calls as one of them.

use std::{fmt::Write as _, fs, path::PathBuf};

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tonic::{Request, Status, client::Grpc, codegen::http::uri::PathAndQuery, transport::Channel};
use tonic_prost::ProstCodec;

/// The file, in a directory of its own.
pub struct CallersFile {
    directory: TempDir,
}

impl CallersFile {
    /// One with a caller for each name and role; the bots run `echo`.
    pub fn of(callers: &[(&str, &str)]) -> Self {
        let file = Self { directory: tempfile::tempdir().expect("a temporary directory") };
        file.write(callers);
        file
    }

    /// Puts these in the place of those who were in it.
    pub fn write(&self, callers: &[(&str, &str)]) {
        let mut text = String::new();
        for (name, role) in callers {
            let hex = hex::encode(&Sha256::digest(token(name)));
            let bot = if *role == "bot" { "bot_type = \"echo\"\n" } else { "" };
            let entry = format!("name = \"{name}\"\nrole = \"{role}\"\n{bot}sha256 = \"{hex}\"\n");
            writeln!(text, "[[caller]]\n{entry}").expect("a String takes it all");
        }
        fs::write(self.path(), text).expect("a file in it");
    }

    /// Where it is.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("callers.toml")
    }

    /// A file that holds a caller's token.
    pub fn token_file(&self, name: &str) -> PathBuf {
        let path = self.directory.path().join(format!("{name}.token"));
        fs::write(&path, token(name)).expect("a file");
        path
    }
}

/// The token of a caller of that name, in any file.
pub fn token(name: &str) -> String {
    format!("sgt_planted-secret-of-{name}")
}

/// Calls a method by its path, with a message that has no field set, and hears no more than that
/// it was let in: every method can be called so, streams too.
///
/// # Errors
/// As the service says.
pub async fn call(channel: Channel, path: &str, caller: Option<&str>) -> Result<(), Status> {
    let mut grpc = Grpc::new(channel);
    grpc.ready().await.map_err(|error| Status::unknown(error.to_string()))?;
    let request = as_caller(caller, ());
    let path: PathAndQuery = path.parse().expect("a path");
    let mut answers =
        grpc.server_streaming(request, path, ProstCodec::<(), ()>::default()).await?.into_inner();
    // A stream that goes on for ever has nothing to say at first, or says it at once.
    let first = tokio::time::timeout(std::time::Duration::from_millis(300), answers.message());
    first.await.map_or(Ok(()), |first| first.map(drop))
}

/// A request of a caller's, or of nobody's.
pub fn as_caller<T>(caller: Option<&str>, message: T) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(name) = caller {
        let header = format!("Bearer {}", token(name)).parse().expect("a header");
        request.metadata_mut().insert("authorization", header);
    }
    request
}
