//! The server's side of TLS: the certificates of a listener, handshakes, and which calls need a
//! client certificate.

mod certificates;
mod client_certificates;
mod handshakes;
mod listener;
mod peer;
mod plaintext_hint;

pub use certificates::{ClientAuth, ListenerFiles};
pub use listener::ListenerTls;

pub(crate) use client_certificates::ClientCertificateLayer;
pub(crate) use handshakes::{Purpose, incoming};
pub(crate) use peer::peer_name;
