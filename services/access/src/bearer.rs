//! How our own clients present a token: from a file, which is read at each call so that a new token
//! needs no restart, or from a flag or variable.

use std::{
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
    str::FromStr,
};

use api::Reason;
use secrecy::{ExposeSecret as _, SecretString};
use tonic::{
    Code, Request, Status,
    metadata::{Ascii, MetadataValue},
    service::Interceptor,
    transport::Uri,
};

use wire::Problem;

/// A token. Its `Debug` is redacted, and its memory is wiped on drop.
#[derive(Clone, Debug)]
pub struct Token(SecretString);

impl Token {
    /// The value of the `authorization` header. It is marked sensitive: HPACK never indexes it, and
    /// its `Debug` is redacted.
    fn header(&self) -> Result<MetadataValue<Ascii>, BearerError> {
        let header = format!("Bearer {}", self.0.expose_secret()).parse();
        let mut header: MetadataValue<Ascii> = header.map_err(|_| BearerError::NotAToken)?;
        header.set_sensitive(true);
        Ok(header)
    }
}

impl FromStr for Token {
    type Err = BearerError;

    fn from_str(text: &str) -> Result<Self, BearerError> {
        let text = text.trim();
        if text.is_empty() || text.contains(char::is_whitespace) {
            return Err(BearerError::NotAToken);
        }
        let token = Self(SecretString::from(text));
        token.header().map(|_| token)
    }
}

/// Why a token cannot be presented. It does not quote the token.
#[derive(Debug, thiserror::Error)]
pub enum BearerError {
    /// The text is not a token.
    #[error("not a token: expected one word without spaces")]
    NotAToken,
    /// The token file cannot be read.
    #[error("the token file {path} cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The content of the token file is not a token.
    #[error("the token file {path} holds no token: expected one word without spaces")]
    NotATokenFile {
        /// The file.
        path: PathBuf,
    },
    /// The token would be sent over a network in plaintext.
    #[error(
        "refusing to send a token to {host} in clear text: use an https:// URL, or allow it with {flag}"
    )]
    InClear {
        /// The server's host.
        host: String,
        /// The flag that allows it.
        flag: &'static str,
    },
}

/// The token of a client, as flags and variables give it.
#[derive(Clone, Copy, Debug)]
pub struct TokenSource<'a> {
    /// A file that holds a token; it takes precedence over `token`.
    pub file: Option<&'a Path>,
    /// The token itself.
    pub token: Option<&'a Token>,
    /// Whether the token may be sent over a network in plaintext.
    pub allow_in_clear: bool,
    /// The flag that allows that, for the refusal.
    pub flag: &'static str,
}

/// An interceptor that adds the client's token to each call.
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
    /// An interceptor for the service at `url`. Without a token it adds nothing. A token file is read
    /// once here, so that an unusable one fails the start.
    ///
    /// # Errors
    /// The file holds no token; or the token would be sent over a network in plaintext, and that is
    /// not allowed.
    pub fn new(url: &Uri, source: TokenSource<'_>) -> Result<Self, BearerError> {
        let TokenSource { file, token, allow_in_clear, flag } = source;
        let source = match (file, token) {
            (Some(file), _) => {
                read(file)?;
                Source::File(file.to_owned())
            }
            (None, Some(token)) => Source::Token(token.clone()),
            (None, None) => return Ok(Self::default()),
        };
        if !allow_in_clear && url.scheme_str() != Some("https") && !is_loopback(url) {
            let host = url.host().unwrap_or_default().into();
            return Err(BearerError::InClear { host, flag });
        }
        Ok(Self { source })
    }

    /// Whether there is a token.
    pub const fn has_token(&self) -> bool {
        !matches!(self.source, Source::None)
    }

    /// Adds the token to a call.
    ///
    /// # Errors
    /// The token file can no longer be read.
    pub fn authorize(&self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let token = match &self.source {
            Source::None => return Ok(request),
            Source::Token(token) => token.clone(),
            // A few bytes in the page cache: not worth a blocking task.
            Source::File(path) => read(path).map_err(|error| {
                tracing::error!(%error, "cannot read the token file");
                unreadable()
            })?,
        };
        let header = token.header().map_err(|_| unreadable())?;
        request.metadata_mut().insert("authorization", header);
        Ok(request)
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        self.authorize(request)
    }
}

fn unreadable() -> Problem {
    let message = "the caller's token file cannot be read";
    Problem::new(Code::Unauthenticated, Reason::TokenUnreadable, message)
}

fn read(path: &Path) -> Result<Token, BearerError> {
    let text = fs::read_to_string(path);
    let text = text.map_err(|source| BearerError::Unreadable { path: path.to_owned(), source })?;
    text.parse().map_err(|_| BearerError::NotATokenFile { path: path.to_owned() })
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

    const NONE: TokenSource<'_> =
        TokenSource { file: None, token: None, allow_in_clear: false, flag: "--flag" };

    fn header(bearer: &Bearer) -> Option<String> {
        let request = bearer.authorize(Request::new(())).unwrap();
        Some(request.metadata().get("authorization")?.to_str().unwrap().into())
    }

    #[test]
    fn a_token_file_is_read_at_each_call() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let url = Uri::from_static("http://127.0.0.1:1");
        let made = || Bearer::new(&url, TokenSource { file: Some(&file), ..NONE });
        assert!(matches!(made(), Err(BearerError::Unreadable { .. })));
        fs::write(&file, "two words").unwrap();
        let refused = made().unwrap_err().to_string();
        assert!(refused.contains("holds no token") && !refused.contains("two"), "{refused}");

        fs::write(&file, "first\n").unwrap();
        let bearer = made().unwrap();
        assert_eq!(header(&bearer).unwrap(), "Bearer first");
        fs::write(&file, "second\n").unwrap();
        assert_eq!(header(&bearer).unwrap(), "Bearer second");
        fs::remove_file(&file).unwrap();
        assert_eq!(bearer.authorize(Request::new(())).unwrap_err().code(), Code::Unauthenticated);
        assert!(header(&Bearer::default()).is_none());
    }

    #[test]
    fn a_token_is_sent_in_plaintext_only_to_this_machine_or_where_allowed() {
        let token: Token = "sgt_secret".parse().unwrap();
        let to = |url: &'static str, allow_in_clear| {
            let source = TokenSource { token: Some(&token), allow_in_clear, ..NONE };
            Bearer::new(&Uri::from_static(url), source)
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
        assert!(!Bearer::new(&Uri::from_static("http://x:1"), NONE).unwrap().has_token());
    }
}
