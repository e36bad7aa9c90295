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
    /// Where it is called.
    pub rpc: TcpListener,
    /// Where it is scraped, if it is.
    pub metrics: Option<TcpListener>,
    /// What both show to those who connect; plaintext, if nothing.
    pub tls: Option<ListenerTls>,
    /// Who may call, and what; anyone everything, if nothing.
    pub access: Option<Access>,
}

impl Listeners {
    /// Reads the certificates and binds them all, or says which file is of no use and which
    /// address could not be bound; then tells where they are.
    ///
    /// # Errors
    /// A file is of no use; an address is in use, or is none of this machine's; or standard output
    /// is closed; or others than this machine could call, and nothing says who may.
    pub async fn bind(
        service: &str,
        rpc: SocketAddr,
        metrics: Option<SocketAddr>,
        tls: Option<ListenerFiles>,
        admission: Admission,
    ) -> io::Result<Self> {
        let tls = tls.map(ListenerTls::load).transpose().map_err(io::Error::other)?;
        let beyond = !rpc.ip().is_loopback() || metrics.is_some_and(|at| !at.ip().is_loopback());
        if beyond && tls.as_ref().is_some_and(ListenerTls::is_for_development) {
            tracing::warn!(
                "the certificate is one of `schema certs`, for development only, and others than \
                 this machine can connect"
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

/// Binds an address, or says which one could not be.
///
/// # Errors
/// The address is in use, or is none of this machine's.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
    })
}

/// Tells whoever started the process where a service can be called: one line on standard output,
/// for scripts and tests that asked for port 0.
///
/// # Errors
/// Standard output is closed.
pub fn announce(service: &str, listener: &TcpListener) -> io::Result<()> {
    writeln!(io::stdout(), "{service} listens on {}", listener.local_addr()?)
}
