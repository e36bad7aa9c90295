//! Access: the methods of this service, and the roles that may call each.

use access::{Policy, Role, Rule, shared};

/// May read the state.
const READER: &[Role] = &["reader", "operator", "admin"];
/// May upgrade the schema, and correct its bookkeeping.
const OPERATOR: &[Role] = &["operator", "admin"];
/// May downgrade, lose data and break dependents.
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
        // With `force` or `allow_data_loss` the handlers require an administrator.
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
    fn every_method_and_nothing_else_has_a_rule() {
        let paths = method_paths(&["schema.v1"]);
        assert!(paths.contains(&"/schema.v1.SchemaService/Downgrade".to_owned()), "{paths:?}");
        for path in paths {
            assert!(rule(&path).is_some(), "{path} has no rule: add the roles that may call it");
        }
        for other in ["/chat.v1.ChatService/GetChat", "/schema.v1.SchemaService/", "/", ""] {
            assert_eq!(rule(other), None);
        }
    }
}
