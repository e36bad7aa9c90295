//! The methods that each caller of an access file may call, measured by calling all of them.

use std::collections::BTreeMap;

use prost_reflect::DescriptorPool;
use testing::{TestDatabase, call_with_token, channel, reason};
use tonic::Code;

use super::{Build, Server, fixture};

/// A service, a caller of it and the caller's role.
pub const CALLERS: [(&str, &str, &str); 6] = [
    ("schema", "dashboard", "reader"),
    ("schema", "deploy", "operator"),
    ("schema", "dba", "admin"),
    ("chat", "archive", "reader"),
    ("chat", "echo-1", "bot"),
    ("chat", "backend", "service"),
];

/// For each caller and method: `allowed`, or the reason of the refusal.
pub type Rights = BTreeMap<String, BTreeMap<String, String>>;

/// The token of each caller, by service and name.
pub type Tokens = BTreeMap<(String, String), String>;

/// The tokens of the fixtures' access files.
pub fn recorded_tokens() -> Tokens {
    let text = std::fs::read_to_string(fixture("tokens.txt")).unwrap();
    let entry = |line: &str| {
        let mut fields = line.split(' ').map(str::to_owned);
        let mut next = || fields.next().unwrap();
        ((next(), next()), next())
    };
    text.lines().map(entry).collect()
}

/// Calls every method of both services as every caller of these access files.
pub async fn measure(
    build: Build,
    database: &TestDatabase,
    tokens: &Tokens,
    schema_file: &str,
    chat_file: &str,
) -> Rights {
    let token_file = tempfile::NamedTempFile::new().unwrap();
    let reader = &tokens[&("schema".to_owned(), "dashboard".to_owned())];
    std::fs::write(token_file.path(), reader).unwrap();
    let url = ("DATABASE_URL", database.url());
    let schema = build.serve("schema", &[url, ("SCHEMA_ACCESS_FILE", schema_file)]).await;
    let schema_url = schema.url();
    let env = [
        url,
        ("SCHEMA_URL", &schema_url),
        ("SCHEMA_TOKEN_FILE", token_file.path().to_str().unwrap()),
        ("CHAT_ACCESS_FILE", chat_file),
    ];
    let chat = build.serve("chat", &env).await;
    let mut rights = Rights::new();
    for (server, service) in [(&schema, "schema"), (&chat, "chat")] {
        let own = tokens.iter().filter(|((of, _), _)| of == service);
        let mut callers: Vec<_> = own.map(|((_, name), token)| (&**name, Some(&**token))).collect();
        callers.push(("without a token", None));
        callers.push(("with an unknown token", Some("sgt_unknown")));
        for (name, token) in callers {
            let allowed = measure_caller(server, service, token).await;
            rights.insert(format!("{service}: {name}"), allowed);
        }
    }
    rights
}

async fn measure_caller(
    server: &Server,
    service: &str,
    token: Option<&str>,
) -> BTreeMap<String, String> {
    let mut allowed = BTreeMap::new();
    for path in methods(service) {
        let result = call_with_token(channel(server.address), &path, token).await;
        let denied = result.err().filter(|status| {
            matches!(status.code(), Code::PermissionDenied | Code::Unauthenticated)
        });
        let outcome = denied.map_or("allowed".into(), |status| reason(&status));
        allowed.insert(path, outcome);
    }
    allowed
}

/// The methods of a service's contract, with those that every server has.
fn methods(service: &str) -> Vec<String> {
    let pool = DescriptorPool::decode(api::DESCRIPTORS).unwrap();
    let own = pool.services().filter(|own| {
        let package = own.parent_file().package_name().to_owned();
        package == format!("{service}.v1") || (service == "chat" && package == "gate.v1")
    });
    let methods = own.flat_map(|own| {
        let name = own.full_name().to_owned();
        own.methods().map(|method| format!("/{name}/{}", method.name())).collect::<Vec<_>>()
    });
    let shared = [
        "/grpc.health.v1.Health/Check",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    ];
    methods.chain(shared.map(str::to_owned)).collect()
}
