//! What each method needs, by its path.

use wire::methods;

/// A role's name, as it stands in the file of callers.
pub type Role = &'static str;

/// Who may call a method.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rule {
    /// Anyone, known or not.
    Open,
    /// Callers of these roles. The first is the least, and the one that a refusal names.
    Roles(&'static [Role]),
}

/// The roles of a service, and what they may call.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Every role, the least first.
    pub roles: &'static [Role],
    /// The role whose callers are bound to one type of bot, if there is one.
    pub bound: Option<Role>,
    /// The rule of a path such as `/schema.v1.SchemaService/Current`. None is for what the service
    /// does not have: that is refused.
    pub rule: fn(&str) -> Option<Rule>,
}

/// The rules of what every service of ours has beside its own: health is for probes, which have no
/// token; reflection is for whoever may call anything at all.
pub fn shared(path: &str, anyone: &'static [Role]) -> Option<Rule> {
    match path {
        "/grpc.health.v1.Health/Check"
        | "/grpc.health.v1.Health/List"
        | "/grpc.health.v1.Health/Watch" => Some(Rule::Open),
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
        | "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo" => {
            Some(Rule::Roles(anyone))
        }
        _ => None,
    }
}

/// The paths of all methods of the contract whose package this is, and of health and reflection:
/// for the tests that hold a policy to them.
pub fn method_paths(packages: &[&str]) -> Vec<String> {
    let ours = methods().into_iter().filter(|method| {
        method.package.starts_with("grpc.") || packages.contains(&method.package.as_str())
    });
    ours.map(|method| method.path()).collect()
}
