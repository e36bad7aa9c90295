//! The sockets of a service: listeners and their TLS, limits of connections and of unread
//! responses, the server's life from its first call to its drain, metrics of rpcs, and the health
//! check by which a service asks itself.

mod budget;
mod budget_layer;
mod connections;
mod decode_errors;
mod exposure;
pub mod health;
mod http_server;
mod listeners;
mod log_throttle;
pub mod metrics;
mod reflection;
mod server;
mod shutdown;
mod tls;

pub use decode_errors::translate_decode_error;
pub use exposure::{Exposed, check_exposure};
pub use http_server::{Peer, serve_http};
pub use listeners::{Listeners, announce, bind};
pub use reflection::{Reflection, add_reflection};
pub use server::serve;
pub use shutdown::shutdown_signal;
pub use tls::{ClientAuth, ListenerFiles, ListenerTls};
