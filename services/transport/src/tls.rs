//! The server's side of TLS: the certificates of a listener, handshakes, and which calls need a
//! client certificate.

mod client_certificates;
mod handshakes;
mod listener;

use rustls::pki_types::CertificateDer;

pub use listener::{ClientAuth, ListenerFiles, ListenerTls};

pub(crate) use client_certificates::ClientCertificateLayer;
pub(crate) use handshakes::{Purpose, incoming};

use crate::connections;

/// The name of the certificate that a caller proved to hold: its first DNS name or URI, else its
/// subject's common name. `None` for a caller that presented no certificate.
pub(crate) fn peer_name(extensions: &http::Extensions) -> Option<String> {
    ::tls::Certificate::parse(&peer_certificate(extensions)?)?.name()
}

/// The certificate is verified: rustls ends the handshakes of all others.
fn peer_certificate(extensions: &http::Extensions) -> Option<CertificateDer<'static>> {
    connections::secure(extensions)?.peer_certs()?.first().cloned()
}
