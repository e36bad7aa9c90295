//! A PostgreSQL server, and connections to it.

mod connection;
mod row;
mod sslmode;
mod tls;

use std::{fmt, time::Duration};

use tokio_postgres::{
    CancelToken, Client, Config, Connection, Error, Socket,
    config::{Host, SslMode},
    error::SqlState,
};

use self::tls::{HandshakeFailed, PostgresConnector};
pub use self::{connection::PostgresConnection, tls::PostgresTlsStream};
use super::InvalidUrl;

/// How long connecting may take where the URL has no `connect_timeout`.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A database of a PostgreSQL server, with what it takes to connect. `Display` and `Debug` leave the
/// password out.
#[derive(Clone, Eq, PartialEq)]
pub struct Postgres {
    config: Config,
    tls: PostgresConnector,
}

impl Postgres {
    /// Parses a URL with the parameters of tokio_postgres, and libpq's for TLS.
    pub(super) fn parse(url: &str) -> Result<Self, InvalidUrl> {
        let (url, ssl) = sslmode::TlsParameters::take(url)?;
        let mut config: Config = url.parse().map_err(|error: Error| {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
            InvalidUrl(format!("not a PostgreSQL URL: {error}{}", cause.unwrap_or_default()))
        })?;
        if config.get_hosts().is_empty() {
            return Err(InvalidUrl("no host; use postgres://user@host/database".into()));
        }
        // PostgreSQL does not speak TLS on Unix sockets; libpq ignores sslmode there too.
        let local = config.get_hosts().iter().all(|host| !matches!(host, Host::Tcp(_)));
        config.ssl_mode(if local { SslMode::Disable } else { ssl.mode });
        Ok(Self { config, tls: ssl.connector })
    }

    /// The same with a name for `pg_stat_activity` and a connect timeout, where the URL has none.
    #[must_use]
    pub fn named(&self, application: &str) -> Self {
        let mut named = self.clone();
        if named.config.get_application_name().is_none() {
            named.config.application_name(application);
        }
        if named.config.get_connect_timeout().is_none() {
            named.config.connect_timeout(CONNECT_TIMEOUT);
        }
        named
    }

    /// The same server with another database.
    #[must_use]
    pub fn with_database(&self, name: &str) -> Self {
        let mut other = self.clone();
        other.config.dbname(name);
        other
    }

    /// Connects.
    ///
    /// # Errors
    /// The server cannot be reached, cannot be verified, or refuses the connection.
    pub async fn connect(&self) -> Result<(Client, Connection<Socket, PostgresTlsStream>), Error> {
        match self.config.connect(self.tls.clone()).await {
            Err(error) if self.may_fall_back_to_plaintext(&error) => {
                let mut plain = self.config.clone();
                plain.ssl_mode(SslMode::Disable).connect(self.tls.clone()).await
            }
            connected => connected,
        }
    }

    /// Asks the server to cancel the statement that a connection runs.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub async fn cancel(&self, token: &CancelToken) -> Result<(), Error> {
        token.cancel_query(self.tls.clone()).await
    }

    /// Whether to retry without TLS, as libpq does with `sslmode=prefer`: the handshake failed, or
    /// `pg_hba.conf` rejects connections over TLS.
    fn may_fall_back_to_plaintext(&self, error: &Error) -> bool {
        let handshake_failed = std::error::Error::source(error)
            .is_some_and(|source| source.downcast_ref::<HandshakeFailed>().is_some());
        self.config.get_ssl_mode() == SslMode::Prefer
            && (handshake_failed
                || error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION))
    }
}

impl fmt::Display for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { config, .. } = self;
        let host = match config.get_hosts().first() {
            Some(Host::Tcp(host)) => host.clone(),
            #[cfg(unix)]
            Some(Host::Unix(path)) => path.display().to_string(),
            _ => String::new(),
        };
        let port = config.get_ports().first().copied().unwrap_or(5432);
        let name = config.get_dbname().or(config.get_user()).unwrap_or_default();
        write!(f, "postgres://{host}:{port}/{name}")
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
