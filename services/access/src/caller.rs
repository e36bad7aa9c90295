use std::sync::Arc;

use api::Reason;
use tonic::{Code, Extensions};
use wire::Problem;

use super::policy::Role;

/// The actor of calls without an access file.
const ANONYMOUS: &str = "anonymous";

/// Actors that the services use themselves: a caller may not have these names.
pub(super) const RESERVED_NAMES: [&str; 2] = [ANONYMOUS, "start"];

/// A caller of the access file. Clones share it.
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

    /// The caller's name in the access file.
    pub fn name(&self) -> &str {
        &self.entry.name
    }

    /// The caller's role.
    pub fn role(&self) -> Role {
        self.entry.role
    }

    /// The only type of bot that the caller may run, where its role is bound to one.
    pub fn bot_type(&self) -> Option<&str> {
        self.entry.bot_type.as_deref()
    }
}

/// The name under which a call's effects are recorded. What a request says of its author does not
/// count.
pub fn actor(extensions: &Extensions) -> &str {
    extensions.get::<Caller>().map_or(ANONYMOUS, Caller::name)
}

/// Checks the role for one field of a request, where more roles may call the method.
///
/// # Errors
/// The caller is identified and has none of the roles.
pub fn require(
    extensions: &Extensions,
    roles: &'static [Role],
    field: &str,
) -> Result<(), Problem> {
    match extensions.get::<Caller>() {
        Some(caller) if !roles.contains(&caller.role()) => {
            Err(role_required(field, roles).with("field", field))
        }
        _ => Ok(()),
    }
}

/// PERMISSION_DENIED with the least role that suffices.
pub(super) fn role_required(what: &str, roles: &[Role]) -> Problem {
    let role = roles.first().copied().unwrap_or_default();
    let message = format!("{what} needs the role {role}");
    Problem::new(Code::PermissionDenied, Reason::RoleRequired, message).with("role", role)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extensions(caller: Caller) -> Extensions {
        let mut request = tonic::Request::new(());
        request.extensions_mut().insert(caller);
        request.into_parts().1
    }

    #[test]
    fn a_caller_acts_under_its_name_and_within_its_role() {
        let caller = extensions(Caller::new("deploy".into(), "operator", None));
        assert_eq!(actor(&caller), "deploy");
        assert!(require(&caller, &["operator", "admin"], "Upgrade").is_ok());
        let refusal = require(&caller, &["admin"], "force").unwrap_err();
        assert_eq!(refusal.message(), "force needs the role admin");
        assert_eq!((refusal.reason(), refusal.info("role")), (Reason::RoleRequired, Some("admin")));
    }

    #[test]
    fn without_an_access_file_every_call_is_anonymous_and_permitted() {
        let anonymous = Extensions::default();
        assert_eq!(actor(&anonymous), "anonymous");
        assert!(require(&anonymous, &["admin"], "force").is_ok());
    }
}
