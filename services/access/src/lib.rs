//! Who may call what: callers known by a token or a certificate, roles, and a table of what each
//! role may call.
//!
//! [`Access`] is the access file as it is now, [`AdmissionLayer`] the layer around a whole server
//! that looks callers up in it, before the gate, the limits and the database. A service's
//! [`Policy`] names every method that it has; any other is refused. A handler finds the [`Caller`]
//! in its request's extensions; without an access file there is none, and no call is refused.
//! [`Bearer`] is the client's side: how our own clients present their token.

mod access_file;
mod bearer;
mod caller;
mod layer;
mod policy;
mod refusal_log;
mod reload;

pub use access_file::{FileError, check_access_file, token_sha256};
pub use bearer::{Bearer, BearerError, Token, TokenSource};
pub use caller::{Caller, actor, require};
pub use layer::{AdmissionLayer, PeerLookup};
pub use policy::{Policy, Role, Rule, method_paths, shared};
pub use reload::{Access, AccessError};

/// Which callers a service admits.
#[derive(Clone, Debug, Default)]
pub struct Admission {
    /// The callers and their roles; without them, callers are not asked who they are.
    pub access: Option<Access>,
    /// Admits every caller beyond the loopback too, without an access file.
    pub allow_anyone: bool,
}
