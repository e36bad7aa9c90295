use std::sync::Arc;

use rustls::{
    DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor,
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};

use crate::provider;

/// Accepts every certificate. The connection is encrypted, but the server may be anyone.
#[derive(Debug)]
pub struct NoCertificateVerification {
    provider: Arc<CryptoProvider>,
}

impl NoCertificateVerification {
    /// A verifier that accepts every certificate.
    #[expect(clippy::new_without_default, reason = "it must not be had by accident")]
    pub fn new() -> Self {
        Self { provider: provider() }
    }
}

/// Accepts a server certificate that one of the authorities signed, whatever name it has: libpq's
/// `sslmode=verify-ca`.
#[derive(Debug)]
pub struct AuthorityOnlyVerification {
    provider: Arc<CryptoProvider>,
    authorities: RootCertStore,
}

impl AuthorityOnlyVerification {
    /// A verifier that trusts these authorities.
    pub fn new(authorities: RootCertStore) -> Self {
        Self { provider: provider(), authorities }
    }
}

/// The signatures of a handshake are always verified: they prove that the server holds the key of
/// the certificate that it presents.
macro_rules! verify_handshake_signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            let algorithms = &self.provider.signature_verification_algorithms;
            verify_tls12_signature(message, cert, signed, algorithms)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            let algorithms = &self.provider.signature_verification_algorithms;
            verify_tls13_signature(message, cert, signed, algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.provider.signature_verification_algorithms.supported_schemes()
        }
    };
}

impl ServerCertVerifier for NoCertificateVerification {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    verify_handshake_signatures!();
}

impl ServerCertVerifier for AuthorityOnlyVerification {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(certificate)?,
            &self.authorities,
            intermediates,
            now,
            self.provider.signature_verification_algorithms.all,
        )?;
        Ok(ServerCertVerified::assertion())
    }

    verify_handshake_signatures!();
}
