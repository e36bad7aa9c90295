//! Who may do what: every method that this service has, and the roles that may call it.

use access::{Policy, Role, Rule, shared};

/// Looks.
const READER: &[Role] = &["reader", "operator", "admin"];
/// Moves the schema on, and mends its records.
const OPERATOR: &[Role] = &["operator", "admin"];
/// Goes back, and goes on over what would be lost or broken.
pub(crate) const ADMIN: &[Role] = &["admin"];

/// The roles of the schema service.
pub const POLICY: Policy = Policy { roles: READER, bound: None, rule };

fn rule(path: &str) -> Option<Rule> {
    Some(Rule::Roles(match path {
        "/schema.v1.SchemaService/Current"
        | "/schema.v1.SchemaService/Watch"
        | "/schema.v1.SchemaService/Plan"
        | "/schema.v1.SchemaService/ListRevisions"
        | "/schema.v1.SchemaService/ListOperations"
        | "/schema.v1.SchemaService/Verify" => READER,
        // With `force` or `allow_data_loss`, for admins alone: the handlers see to that.
        "/schema.v1.SchemaService/Upgrade"
        | "/schema.v1.SchemaService/Stamp"
        | "/schema.v1.SchemaService/Repair" => OPERATOR,
        "/schema.v1.SchemaService/Downgrade" => ADMIN,
        other => return shared(other, READER),
    }))
}

#[cfg(test)]
mod tests {
    use access::method_paths;

    use super::*;

    #[test]
    fn every_method_has_its_rule_and_nothing_else_does() {
        let paths = method_paths(&["schema.v1"]);
        assert!(paths.contains(&"/schema.v1.SchemaService/Downgrade".to_owned()), "{paths:?}");
        for path in paths {
            assert!(rule(&path).is_some(), "{path} has no rule: say who may call it");
        }
        for other in ["/chat.v1.ChatService/GetChat", "/schema.v1.SchemaService/", "/", ""] {
            assert_eq!(rule(other), None);
        }
    }
}
