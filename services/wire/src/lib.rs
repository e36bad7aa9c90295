//! What services and clients exchange beside the contract's own messages: errors with a reason, page
//! tokens, well-known types, the names of methods and codes; and how errors and times are printed.

mod code;
pub mod convert;
mod error_chain;
mod methods;
pub mod page;
mod problem;
mod time;

pub use code::code_name;
pub use error_chain::error_chain;
pub use methods::{MethodName, methods};
pub use problem::{Problem, status_message};
pub use time::format_time;
