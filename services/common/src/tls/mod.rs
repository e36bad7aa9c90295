//! TLS for every listener and every client: rustls, with ring's cryptography, TLS 1.2 and newer.
//!
//! `server` holds the certificates of a listener and takes new ones as their files change,
//! `incoming` makes connections of handshakes, `callers` says who may call without a certificate;
//! `client` is the way out, to `https://` and `http://` alike, and `postgres` that to a database. `files` reads what either is given,
//! `words` says what went wrong with a handshake.

mod args;
mod callers;
mod certificate;
mod client;
mod files;
mod incoming;
mod postgres;
mod server;
mod trust;
mod words;

use std::sync::Arc;

use rustls::{crypto::CryptoProvider, pki_types::CertificateDer};

pub use certificate::DEVELOPMENT;
pub use client::{ClientFiles, Connector};
pub use files::BadFile;
pub use postgres::Secured;
pub use server::{ClientAuth, ListenerFiles, ListenerTls};

pub(crate) use callers::Callers;
pub(crate) use certificate::Certificate;
pub(crate) use incoming::{Purpose, incoming};
pub(crate) use postgres::{HandshakeFailed, PostgresConnector, Proof};
pub(crate) use trust::Whoever;

use crate::connections;

/// The cryptography of everything here.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The name of the certificate that a caller proved to hold: its first DNS name or URI, else its
/// subject's common name. None for a caller that showed no certificate.
pub fn peer_name(extensions: &http::Extensions) -> Option<String> {
    Certificate::read(&peer_certificate(extensions)?)?.name()
}

/// A certificate that is here was verified: rustls ends the handshakes of all others.
fn peer_certificate(extensions: &http::Extensions) -> Option<CertificateDer<'static>> {
    connections::secure(extensions)?.peer_certs()?.first().cloned()
}
