//! Who may do what: callers known by a token, roles, and a table of what each role may call.
//!
//! [`Access`] is the file of callers as it is now, [`Guard`] the layer around a whole server that
//! asks it, before the gate, the limits and any look at the database. A service's [`Policy`] names
//! every method that it has; what is not in it is refused. A handler finds the [`Caller`] in its
//! request's extensions; where no file was given there is none, and nobody is refused.
//! [`Bearer`] is the other side: how our own clients show their token.

mod advice;
mod args;
mod bearer;
mod caller;
mod exposure;
mod file;
mod follow;
mod guard;
mod policy;
mod token;

pub use advice::advice;
pub use args::Reflection;
pub use bearer::{Bearer, BearerError, Shown, Token};
pub use caller::{Caller, actor, require};
pub use exposure::{Admission, Exposed, exposure};
pub use file::FileError;
pub use follow::{Access, AccessError};
pub use guard::Guard;
pub use policy::{Policy, Role, Rule, ours, shared};
pub use token::{TokenArgs, TokenError};
