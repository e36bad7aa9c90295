//! What a caller asks for.

use std::time::Duration;

use revisions::{Direction, Target};

/// How long an operation waits for another one to end, unless its request says.
pub const DEFAULT_WAIT: Duration = Duration::from_secs(60);
/// How long a statement waits for a lock of the database, unless its request says.
pub const DEFAULT_LOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// An Upgrade or a Downgrade. Equal requests are one operation.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Request {
    pub direction: Direction,
    pub target: Target,
    /// Refuses the operation where another revision is current.
    pub expected_current: Option<String>,
    /// Permits breaking live dependents.
    pub force: bool,
    pub lock_timeout: Duration,
    /// Permits losing rows or values.
    pub allow_data_loss: bool,
    /// The digest of the plan that was reviewed; empty where none was.
    pub plan_digest: String,
    pub actor: String,
}
