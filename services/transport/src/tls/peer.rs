use ::tls::Certificate;
use http::Extensions;
use rustls::pki_types::CertificateDer;

use crate::connections::tls_info;

/// The name of the certificate that a caller proved to hold: its first DNS name or URI, else its
/// subject's common name. `None` for a caller that presented no certificate.
pub(crate) fn peer_name(extensions: &Extensions) -> Option<String> {
    Certificate::parse(&peer_certificate(extensions)?)?.name()
}

/// The certificate is verified: rustls ends the handshake of every other one.
pub(super) fn peer_certificate(extensions: &Extensions) -> Option<CertificateDer<'static>> {
    tls_info(extensions)?.peer_certs()?.first().cloned()
}
