use std::{
    io::{self, Write as _},
    net::SocketAddr,
};

use access::{Access, Admission};
use tokio::net::TcpListener;

use crate::{
    check_exposure,
    tls::{ListenerFiles, ListenerTls},
};

/// The sockets of a service.
#[derive(Debug)]
pub struct Listeners {
    /// The listener of rpcs.
    pub rpc: TcpListener,
    /// The listener of scrapes.
    pub metrics: Option<TcpListener>,
    /// The certificates of both listeners; without them both speak plaintext.
    pub tls: Option<ListenerTls>,
    /// The callers and their roles; without them every caller may call everything.
    pub access: Option<Access>,
}

impl Listeners {
    /// Reads the certificates, binds the addresses and announces them.
    ///
    /// # Errors
    /// A certificate file cannot be used, an address cannot be bound, standard output is closed, or
    /// the service would be exposed without an access file.
    pub async fn bind(
        service: &str,
        rpc: SocketAddr,
        metrics: Option<SocketAddr>,
        tls: Option<ListenerFiles>,
        admission: Admission,
    ) -> io::Result<Self> {
        let tls = tls.map(ListenerTls::load).transpose().map_err(io::Error::other)?;
        let is_exposed =
            !rpc.ip().is_loopback() || metrics.is_some_and(|address| !address.ip().is_loopback());
        if is_exposed && tls.as_ref().is_some_and(ListenerTls::is_for_development) {
            tracing::warn!(
                "the TLS certificate was made by `schema certs` for development, and other \
                 machines can connect"
            );
        }
        check_exposure(service, rpc, tls.as_ref(), &admission).map_err(io::Error::other)?;
        let rpc = bind(rpc).await?;
        let metrics = match metrics {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        announce(service, &rpc)?;
        if let Some(metrics) = &metrics {
            announce(&format!("{service}-metrics"), metrics)?;
        }
        Ok(Self { rpc, metrics, tls, access: admission.access })
    }
}

impl From<TcpListener> for Listeners {
    fn from(rpc: TcpListener) -> Self {
        Self { rpc, metrics: None, tls: None, access: None }
    }
}

/// Binds an address.
///
/// # Errors
/// It cannot be bound; the error names it.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
    })
}

/// Prints the address of a listener on standard output: scripts and tests that ask for port 0 read
/// it there.
///
/// # Errors
/// Standard output is closed.
pub fn announce(service: &str, listener: &TcpListener) -> io::Result<()> {
    writeln!(io::stdout(), "{service} listens on {}", listener.local_addr()?)
}
