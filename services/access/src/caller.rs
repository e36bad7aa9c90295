//! Who calls, as a handler sees it.

use std::sync::Arc;

use api::Reason;
use tonic::{Code, Extensions};

use super::policy::Role;
use wire::Problem;

/// Who acts, where nobody has to say who they are.
const ANONYMOUS: &str = "anonymous";

/// A known caller; its clones are the same one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Caller {
    entry: Arc<Entry>,
}

#[derive(Debug, Eq, PartialEq)]
struct Entry {
    name: String,
    role: Role,
    bot_type: Option<String>,
}

impl Caller {
    pub(super) fn new(name: String, role: Role, bot_type: Option<String>) -> Self {
        Self { entry: Arc::new(Entry { name, role, bot_type }) }
    }

    /// Its name in the file of callers.
    pub fn name(&self) -> &str {
        &self.entry.name
    }

    /// Its role.
    pub fn role(&self) -> Role {
        self.entry.role
    }

    /// The one type of bot that it may run, where it is bound to one.
    pub fn bot_type(&self) -> Option<&str> {
        self.entry.bot_type.as_deref()
    }

    /// Whether it may run bots of a type.
    ///
    /// # Errors
    /// It is bound to another type.
    pub fn may_run(&self, bot_type: &str) -> Result<(), Problem> {
        match self.bot_type() {
            Some(own) if own != bot_type => Err(Problem::new(
                Code::PermissionDenied,
                Reason::BotTypeDenied,
                "attend.type: this caller may not run bots of that type",
            )
            .with("field", "attend.type")),
            _ => Ok(()),
        }
    }
}

/// The name under which a call's effects are written down. What a request says of itself counts
/// for nothing.
pub fn actor(extensions: &Extensions) -> &str {
    extensions.get::<Caller>().map_or(ANONYMOUS, Caller::name)
}

/// Refuses what only some roles may ask for, though more may call the method. `what` is a field.
///
/// # Errors
/// The caller is known, and its role is none of these.
pub fn require(extensions: &Extensions, roles: &'static [Role], what: &str) -> Result<(), Problem> {
    match extensions.get::<Caller>() {
        Some(caller) if !roles.contains(&caller.role()) => {
            Err(denied(what, roles).with("field", what))
        }
        _ => Ok(()),
    }
}

/// PERMISSION_DENIED, with the role that is needed and nothing of what there is.
pub(super) fn denied(what: &str, roles: &[Role]) -> Problem {
    let needed = roles.first().copied().unwrap_or_default();
    let words = format!("{what} needs the role {needed}");
    Problem::new(Code::PermissionDenied, Reason::RoleRequired, words).with("role", needed)
}

/// Names under which the services themselves act: no caller may pass for them.
pub(super) const RESERVED: [&str; 2] = [ANONYMOUS, "start"];

#[cfg(test)]
mod tests {
    use super::*;

    fn extensions(caller: Caller) -> Extensions {
        let mut request = tonic::Request::new(());
        request.extensions_mut().insert(caller);
        request.into_parts().1
    }

    #[test]
    fn a_caller_acts_under_its_own_name_and_within_its_role() {
        let caller = extensions(Caller::new("deploy".into(), "operator", None));
        assert_eq!(actor(&caller), "deploy");
        assert!(require(&caller, &["operator", "admin"], "Upgrade").is_ok());
        let denied = require(&caller, &["admin"], "force").unwrap_err();
        assert_eq!(denied.message(), "force needs the role admin");
        assert_eq!((denied.reason(), denied.info("role")), (Reason::RoleRequired, Some("admin")));

        let nobody = Extensions::default();
        assert_eq!(actor(&nobody), "anonymous");
        assert!(require(&nobody, &["admin"], "force").is_ok(), "no file was given");
    }

    #[test]
    fn a_bot_runs_its_own_type_alone() {
        let bot = Caller::new("echo-1".into(), "bot", Some("echo".into()));
        assert!(bot.may_run("echo").is_ok());
        let denied = bot.may_run("translation").unwrap_err();
        assert_eq!(denied.reason(), Reason::BotTypeDenied);
        assert!(!denied.message().contains("echo"), "{}", denied.message());
        let service = Caller::new("backend".into(), "service", None);
        assert!(service.may_run("translation").is_ok());
    }
}
