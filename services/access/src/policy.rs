use wire::methods;

/// The name of a role, as the access file has it.
pub type Role = &'static str;

/// Who may call a method.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rule {
    /// Every caller, identified or not.
    Open,
    /// Callers with one of these roles. The first is the least, which a refusal names.
    Roles(&'static [Role]),
}

/// The roles of a service, and which methods each may call.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Every role, the least first.
    pub roles: &'static [Role],
    /// The role whose callers are bound to one type of bot, where there is one.
    pub bound: Option<Role>,
    /// The rule of a path such as `/schema.v1.SchemaService/Current`. `None` means that the service
    /// has no such method: the call is refused.
    pub rule: fn(&str) -> Option<Rule>,
}

/// The rules of the methods that every service has: health is open, for probes without a token;
/// reflection is for every identified caller.
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

/// The paths of all methods of these packages of the contract, of health and of reflection: for tests
/// that a policy covers them.
pub fn method_paths(packages: &[&str]) -> Vec<String> {
    let methods = methods().into_iter().filter(|method| {
        method.package.starts_with("grpc.") || packages.contains(&method.package.as_str())
    });
    methods.map(|method| method.path()).collect()
}
