//! Certificates and keys out of files, what a client trusts, and the way to a service over TLS:
//! rustls with ring's cryptography, TLS 1.2 and newer.

mod certificate;
mod client_files;
mod connector;
mod message;
pub mod pem;
mod stream;
mod verifier;

use std::sync::Arc;

use rustls::{ClientConfig, ConfigBuilder, WantsVerifier, crypto::CryptoProvider};

pub use certificate::{Certificate, DEVELOPMENT};
pub use client_files::ClientFiles;
pub use connector::Connector;
pub use message::{handshake_message, with_handshake_message};
pub use pem::BadFile;
pub use stream::MaybeTlsStream;
pub use verifier::{AuthorityOnlyVerification, NoCertificateVerification};

/// The cryptography of every connection.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Starts a client's configuration: TLS 1.2 and 1.3 with [`provider`].
pub fn client_config() -> ConfigBuilder<ClientConfig, WantsVerifier> {
    let builder = ClientConfig::builder_with_provider(provider());
    match builder.with_safe_default_protocol_versions() {
        Ok(builder) => builder,
        Err(error) => unreachable!("ring supports TLS 1.2 and 1.3: {error}"),
    }
}
