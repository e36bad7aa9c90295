//! `CHAT_BUS`: the URL of the NATS that connects the replicas.

use std::{fmt, str::FromStr};

use async_nats::{ConnectOptions, ServerAddr};
use percent_encoding::percent_decode_str;

/// The URL of a NATS server, or of several in a cluster. `Display` and `Debug` omit the login.
#[derive(Clone, Eq, PartialEq)]
pub struct BusUrl {
    servers: Vec<ServerAddr>,
    login: Login,
}

#[derive(Clone, Eq, PartialEq)]
enum Login {
    Anonymous,
    User { name: String, password: String },
    Token(String),
}

/// A URL that cannot be used. The message never contains the URL, which may hold a password.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}; use nats://host:4222 or tls://user:password@host:4222, several separated by commas")]
pub struct InvalidBusUrl(String);

impl BusUrl {
    pub(super) fn servers(&self) -> &[ServerAddr] {
        &self.servers
    }

    /// Client options with the login.
    pub(super) fn options(&self) -> ConnectOptions {
        match self.login.clone() {
            Login::Anonymous => ConnectOptions::new(),
            Login::User { name, password } => {
                ConnectOptions::with_user_and_password(name, password)
            }
            Login::Token(token) => ConnectOptions::with_token(token),
        }
    }
}

impl FromStr for BusUrl {
    type Err = InvalidBusUrl;

    fn from_str(urls: &str) -> Result<Self, InvalidBusUrl> {
        let mut servers = Vec::new();
        let mut login = Login::Anonymous;
        for url in urls.split(',') {
            let (server, server_login) = parse_server(url.trim()).map_err(InvalidBusUrl)?;
            servers.push(server);
            match (&login, server_login) {
                (_, Login::Anonymous) => {}
                (Login::Anonymous, first) => login = first,
                (login, other) if *login == other => {}
                _ => return Err(InvalidBusUrl("different logins in one list of servers".into())),
            }
        }
        Ok(Self { servers, login })
    }
}

fn parse_server(url: &str) -> Result<(ServerAddr, Login), String> {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme);
    match scheme {
        Some("nats" | "tls") => {}
        Some(other) if other.chars().all(|c| c.is_ascii_alphanumeric()) => {
            return Err(format!("unsupported scheme '{other}'"));
        }
        _ => return Err("missing scheme".into()),
    }
    let server: ServerAddr = url.parse().map_err(|error: std::io::Error| error.to_string())?;
    if server.host().is_empty() {
        return Err("missing host".into());
    }
    let url = server.clone().into_inner();
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err("path, query or fragment in a server address".into());
    }
    let login = match (server.username().unwrap_or_default(), server.password()) {
        ("", None) => Login::Anonymous,
        ("", Some(_)) => return Err("password without a user".into()),
        (token, None) => Login::Token(decode(token)?),
        (name, Some(password)) => Login::User { name: decode(name)?, password: decode(password)? },
    };
    Ok((server, login))
}

fn decode(encoded: &str) -> Result<String, String> {
    let decoded = percent_decode_str(encoded).decode_utf8();
    decoded.map(Into::into).map_err(|_| "user or password that is not UTF-8".into())
}

impl fmt::Display for BusUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, server) in self.servers.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            write!(f, "{comma}{}://{}:{}", server.scheme(), server.host(), server.port())?;
        }
        Ok(())
    }
}

impl fmt::Debug for BusUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> String {
        match url.parse::<BusUrl>() {
            Ok(url) => format!("{url:?}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn display_omits_the_login() {
        for (url, printed) in [
            ("nats://bus", "nats://bus:4222"),
            ("nats://127.0.0.1:4333/", "nats://127.0.0.1:4333"),
            ("tls://me:s3cret@bus.example:4222", "tls://bus.example:4222"),
            ("nats://me:s3cret@a, nats://b:4223", "nats://a:4222,nats://b:4223"),
        ] {
            assert_eq!(read(url), printed, "{url}");
        }
    }

    #[test]
    fn a_login_is_a_user_or_a_token() {
        let login = |url: &str| url.parse::<BusUrl>().unwrap().login;
        assert!(login("nats://bus") == Login::Anonymous);
        assert!(login("nats://t%40ken@bus") == Login::Token("t@ken".into()));
        let user = Login::User { name: "me".into(), password: "a/b,c".into() };
        assert!(login("nats://a,nats://me:a%2Fb%2Cc@b,nats://me:a%2Fb%2Cc@c") == user);
    }

    #[test]
    fn errors_omit_the_password() {
        for (url, expected) in [
            ("", "missing scheme"),
            ("bus:4222", "missing scheme"),
            ("me:s3cret@bus", "missing scheme"),
            ("redis://me:s3cret@bus", "unsupported scheme 'redis'"),
            ("ws://me:s3cret@bus", "unsupported scheme 'ws'"),
            ("nats://", "missing host"),
            ("nats://me:s3cret@bus:99999", "invalid port number"),
            ("nats://me:s3cret@bus/s3cret", "path, query or fragment in a server address"),
            ("nats://:s3cret@bus", "password without a user"),
            ("nats://me:s3cret%ff@bus", "not UTF-8"),
            ("nats://me:s3cret@a,nats://you:s3cret@b", "different logins"),
        ] {
            let error = read(url);
            assert!(error.contains(expected), "{url}: {error}");
            assert!(error.contains("use nats://host:4222"), "{error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
