//! How our own clients show a token: from a file, read at each call so that a new one needs no
//! restart, or from a variable.

use std::{
    fmt, fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
    str::FromStr,
};

use api::Reason;
use tonic::{
    Code, Request, Status,
    metadata::{Ascii, MetadataValue},
    service::Interceptor,
    transport::Uri,
};

use wire::Problem;

/// A token, which nothing prints.
#[derive(Clone)]
pub struct Token(MetadataValue<Ascii>);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

impl FromStr for Token {
    type Err = BearerError;

    fn from_str(text: &str) -> Result<Self, BearerError> {
        let text = text.trim();
        let header = format!("Bearer {text}").parse();
        let mut header: MetadataValue<Ascii> = header.map_err(|_| BearerError::NoToken)?;
        if text.is_empty() || text.contains(char::is_whitespace) {
            return Err(BearerError::NoToken);
        }
        // Not written down by HTTP/2's compression, nor by anything that prints headers.
        header.set_sensitive(true);
        Ok(Self(header))
    }
}

/// Why there is no token to show. The token itself is not repeated.
#[derive(Debug, thiserror::Error)]
pub enum BearerError {
    /// The text is none.
    #[error("not a token: one word without spaces")]
    NoToken,
    /// Its file cannot be read.
    #[error("the token's file {path} cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is in the file is none.
    #[error("the token's file {path} holds no token: one word without spaces")]
    NoTokenIn {
        /// The file.
        path: PathBuf,
    },
    /// Whoever sees the traffic could use it.
    #[error(
        "a token would go to {host} in clear, for all on the way to read: \
         call it over https, or say that this is meant, {flag}"
    )]
    InClear {
        /// Where it would go.
        host: String,
        /// What says that it is meant.
        flag: &'static str,
    },
}

/// What there is to show, as flags and variables have it.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// A file that holds a token; it goes before one that is at hand.
    pub file: Option<&'a Path>,
    /// A token that is at hand.
    pub token: Option<&'a Token>,
    /// That it may go over the network for all to read.
    pub in_clear: bool,
    /// What says so.
    pub flag: &'static str,
}

/// What a client shows with each call: an interceptor.
#[derive(Clone, Debug, Default)]
pub struct Bearer {
    source: Source,
}

#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    None,
    Token(Token),
    File(PathBuf),
}

impl Bearer {
    /// For a service at `url`; with nothing to show it shows nothing. A file is read once here, to
    /// be refused while somebody looks.
    ///
    /// # Errors
    /// The file is of no use; or the token would go over the network in clear, and nobody said
    /// that this is meant.
    pub fn new(url: &Uri, shown: Shown<'_>) -> Result<Self, BearerError> {
        let Shown { file, token, in_clear, flag } = shown;
        let source = match (file, token) {
            (Some(file), _) => {
                read(file)?;
                Source::File(file.to_owned())
            }
            (None, Some(token)) => Source::Token(token.clone()),
            (None, None) => return Ok(Self::default()),
        };
        if !in_clear && url.scheme_str() != Some("https") && !is_loopback(url) {
            let host = url.host().unwrap_or_default().into();
            return Err(BearerError::InClear { host, flag });
        }
        Ok(Self { source })
    }

    /// Whether there is anything to show.
    pub const fn is_some(&self) -> bool {
        !matches!(self.source, Source::None)
    }

    /// Adds the token to a call.
    ///
    /// # Errors
    /// Its file cannot be read any more.
    pub fn show(&self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let token = match &self.source {
            Source::None => return Ok(request),
            Source::Token(token) => token.clone(),
            // A few bytes, most often in memory: not worth a thread.
            Source::File(path) => read(path).map_err(|error| {
                tracing::debug!("{error}");
                let words = "the caller's token file cannot be read";
                Problem::new(Code::Unauthenticated, Reason::TokenUnreadable, words)
            })?,
        };
        request.metadata_mut().insert("authorization", token.0);
        Ok(request)
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        self.show(request)
    }
}

fn read(path: &Path) -> Result<Token, BearerError> {
    let text = fs::read_to_string(path);
    let text = text.map_err(|source| BearerError::Unreadable { path: path.to_owned(), source })?;
    text.parse().map_err(|_| BearerError::NoTokenIn { path: path.to_owned() })
}

/// Whether a call stays on this machine.
fn is_loopback(url: &Uri) -> bool {
    let host = url.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host.parse().is_ok_and(|ip: IpAddr| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Shown<'_> = Shown { file: None, token: None, in_clear: false, flag: "--flag" };

    fn shown(bearer: &Bearer) -> Option<String> {
        let request = bearer.show(Request::new(())).unwrap();
        Some(request.metadata().get("authorization")?.to_str().unwrap().into())
    }

    #[test]
    fn a_token_in_a_file_is_read_anew() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let url = Uri::from_static("http://127.0.0.1:1");
        let made = || Bearer::new(&url, Shown { file: Some(&file), ..NOTHING });
        assert!(matches!(made(), Err(BearerError::Unreadable { .. })));
        fs::write(&file, "two words").unwrap();
        let refused = made().unwrap_err().to_string();
        assert!(refused.contains("holds no token") && !refused.contains("two"), "{refused}");

        fs::write(&file, "first\n").unwrap();
        let bearer = made().unwrap();
        assert_eq!(shown(&bearer).unwrap(), "Bearer first");
        fs::write(&file, "second\n").unwrap();
        assert_eq!(shown(&bearer).unwrap(), "Bearer second");
        fs::remove_file(&file).unwrap();
        assert_eq!(bearer.show(Request::new(())).unwrap_err().code(), Code::Unauthenticated);
        assert!(shown(&Bearer::default()).is_none());
    }

    #[test]
    fn a_token_goes_in_clear_only_where_nobody_listens_or_somebody_said_so() {
        let token: Token = "sgt_secret".parse().unwrap();
        let to = |url: &'static str, in_clear| {
            Bearer::new(&Uri::from_static(url), Shown { token: Some(&token), in_clear, ..NOTHING })
        };
        for fine in ["http://127.0.0.1:1", "http://[::1]:1", "http://localhost:1", "https://x:1"] {
            to(fine, false).unwrap();
        }
        for far in ["http://schema:50051", "http://192.0.2.1:1", "http://localhost.example:1"] {
            let refused = to(far, false).unwrap_err().to_string();
            assert!(refused.contains("--flag"), "{refused}");
            to(far, true).unwrap();
        }
        assert!(!format!("{token:?} {:?}", to("http://[::1]:1", false)).contains("secret"));
        assert!(!Bearer::new(&Uri::from_static("http://x:1"), NOTHING).unwrap().is_some());
    }
}
