//! `CHAT_BUS`: which NATS carries the bus.

use std::{fmt, str::FromStr};

use async_nats::{ConnectOptions, ServerAddr};
use percent_encoding::percent_decode_str;

/// Where NATS is: one server, or several of a cluster. Printed, it names no user and no password.
#[derive(Clone, Eq, PartialEq)]
pub struct BusUrl {
    servers: Vec<ServerAddr>,
    login: Login,
}

/// Who we are to NATS.
#[derive(Clone, Eq, PartialEq)]
enum Login {
    Nobody,
    User { name: String, password: String },
    Token(String),
}

/// Why a URL is of no use. It never repeats the URL, which may hold a password.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "{0}: use nats://host:4222, or tls://user:password@host:4222, several with commas between them"
)]
pub struct InvalidBusUrl(String);

impl BusUrl {
    /// The servers, for NATS's client.
    pub(super) fn servers(&self) -> &[ServerAddr] {
        &self.servers
    }

    /// A client's options, with the login.
    pub(super) fn options(&self) -> ConnectOptions {
        match self.login.clone() {
            Login::Nobody => ConnectOptions::new(),
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
        let mut login = Login::Nobody;
        for url in urls.split(',') {
            let (server, own) = server(url.trim()).map_err(InvalidBusUrl)?;
            servers.push(server);
            match (&login, own) {
                (_, Login::Nobody) => {}
                (Login::Nobody, own) => login = own,
                (login, own) if *login == own => {}
                _ => return Err(InvalidBusUrl("two logins for one bus".into())),
            }
        }
        Ok(Self { servers, login })
    }
}

fn server(url: &str) -> Result<(ServerAddr, Login), String> {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme);
    match scheme {
        Some("nats" | "tls") => {}
        Some(other) if other.chars().all(|c| c.is_ascii_alphanumeric()) => {
            return Err(format!("the scheme '{other}' is not understood"));
        }
        _ => return Err("no scheme".into()),
    }
    let server: ServerAddr = url.parse().map_err(|error: std::io::Error| error.to_string())?;
    if server.host().is_empty() {
        return Err("no host".into());
    }
    let url = server.clone().into_inner();
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err("more than a server's address".into());
    }
    let login = match (server.username().unwrap_or_default(), server.password()) {
        ("", None) => Login::Nobody,
        ("", Some(_)) => return Err("a password without a user".into()),
        (token, None) => Login::Token(plain(token)?),
        (name, Some(password)) => Login::User { name: plain(name)?, password: plain(password)? },
    };
    Ok((server, login))
}

fn plain(encoded: &str) -> Result<String, String> {
    let plain = percent_decode_str(encoded).decode_utf8();
    plain.map(Into::into).map_err(|_| "a user or password that is not UTF-8".into())
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
    fn a_server_or_several_are_printed_without_their_login() {
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
        assert!(login("nats://bus") == Login::Nobody);
        assert!(login("nats://t%40ken@bus") == Login::Token("t@ken".into()));
        let user = Login::User { name: "me".into(), password: "a/b,c".into() };
        assert!(login("nats://a,nats://me:a%2Fb%2Cc@b,nats://me:a%2Fb%2Cc@c") == user);
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for (url, why) in [
            ("", "no scheme"),
            ("bus:4222", "no scheme"),
            ("me:s3cret@bus", "no scheme"),
            ("redis://me:s3cret@bus", "'redis' is not understood"),
            ("ws://me:s3cret@bus", "'ws' is not understood"),
            ("nats://", "no host"),
            ("nats://me:s3cret@bus:99999", "invalid port number"),
            ("nats://me:s3cret@bus/s3cret", "more than a server's address"),
            ("nats://:s3cret@bus", "a password without a user"),
            ("nats://me:s3cret%ff@bus", "not UTF-8"),
            ("nats://me:s3cret@a,nats://you:s3cret@b", "two logins"),
        ] {
            let said = read(url);
            assert!(said.contains(why), "{url}: {said}");
            assert!(said.contains("use nats://host:4222"), "{said}");
            assert!(!said.contains("s3cret"), "{said}");
        }
    }
}
