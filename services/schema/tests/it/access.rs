//! Who may call what of the schema service, and under which name it is written down.

use std::{fs, path::Path};

use access::method_paths;
use api::schema::v1::{
    CurrentRequest, DowngradeRequest, ListOperationsRequest, StampRequest, UpgradeRequest,
    schema_service_client::SchemaServiceClient,
};
use testing::{
    AccessFile, Authority, Backend, Process, TestDatabase, apply, as_caller, both, call, channel,
    eventually, info, reason, secure_channel, token,
};
use tokio::process::Command;
use tonic::{Code, transport::Channel};

const SCHEMA: &str = env!("CARGO_BIN_EXE_schema");

/// A caller of each role, named like it.
const ROLES: [(&str, &str); 3] =
    [("reader", "reader"), ("operator", "operator"), ("admin", "admin")];

/// A schema service that knows its callers.
struct Guarded {
    process: Process,
    channel: Channel,
    callers: AccessFile,
    #[expect(dead_code, reason = "dropped with the service")]
    database: TestDatabase,
}

impl Guarded {
    async fn start(backend: Backend) -> Self {
        Self::with(backend, &[]).await
    }

    async fn with(backend: Backend, more: &[(&str, &str)]) -> Self {
        let (database, callers) = (backend.empty().await, AccessFile::of(&ROLES));
        let file = text(&callers.path());
        let env = [("DATABASE_URL", database.url()), ("SCHEMA_ACCESS_FILE", &file)];
        let mut process = Process::start(SCHEMA, &["serve"], &[&env, more].concat());
        let channel = channel(process.address("schema").await);
        Self { process, channel, callers, database }
    }

    fn client(&self) -> SchemaServiceClient<Channel> {
        SchemaServiceClient::new(self.channel.clone())
    }

    async fn schema(&mut self, arguments: &[&str], env: &[(&str, &str)]) -> (Option<i32>, String) {
        let url = format!("http://{}", self.process.address("schema").await);
        let mut command = Command::new(SCHEMA);
        command.args(arguments).env_clear().env("SCHEMA_URL", url).envs(env.iter().copied());
        let output = command.output().await.unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// The least role that may call a method.
fn least(path: &str) -> Option<&'static str> {
    let (service, method) = path.rsplit_once('/').unwrap();
    match (service, method) {
        ("/grpc.health.v1.Health", _) => None,
        (_, "Downgrade") => Some("admin"),
        (_, "Upgrade" | "Stamp" | "Repair") => Some("operator"),
        _ => Some("reader"),
    }
}

#[tokio::test]
async fn each_role_may_call_its_own_methods() {
    let guarded = Guarded::start(Backend::Sqlite).await;
    let paths = method_paths(&["schema.v1"]);
    for (rank, (role, _)) in ROLES.iter().enumerate() {
        for path in &paths {
            let answer = call(guarded.channel.clone(), path, Some(role)).await;
            let needed = ROLES.iter().position(|(role, _)| least(path) == Some(role));
            match needed.filter(|needed| rank < *needed) {
                Some(needed) => {
                    let denied = answer.unwrap_err();
                    assert_eq!(denied.code(), Code::PermissionDenied, "{role} {path}: {denied:?}");
                    assert_eq!(reason(&denied), "ROLE_REQUIRED");
                    assert_eq!(info(&denied, "role"), ROLES[needed].0);
                }
                None => {
                    let code = answer.err().map(|status| status.code());
                    let refused = [Code::PermissionDenied, Code::Unauthenticated];
                    assert!(!code.is_some_and(|code| refused.contains(&code)), "{role} {path}");
                }
            }
        }
    }
}

#[tokio::test]
async fn callers_without_a_known_credential_learn_only_that() {
    let guarded = Guarded::start(Backend::Sqlite).await;
    for path in method_paths(&["schema.v1"]).iter().filter(|path| least(path).is_some()) {
        for (caller, missing) in [(None, "TOKEN_MISSING"), (Some("x"), "TOKEN_UNKNOWN")] {
            let refused = call(guarded.channel.clone(), path, caller).await.unwrap_err();
            assert_eq!(refused.code(), Code::Unauthenticated, "{path}: {refused:?}");
            assert_eq!(reason(&refused), missing);
            for role in ["reader", "operator", "admin", "planted"] {
                assert!(!format!("{refused:?}").contains(role), "{refused:?}");
            }
        }
    }
    // Only known callers learn that a method does not exist.
    let unknown = "/schema.v1.SchemaService/Drop";
    let refused = call(guarded.channel.clone(), unknown, None).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let refused = call(guarded.channel.clone(), unknown, Some("admin")).await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::Unimplemented, "METHOD_UNKNOWN")
    );

    for path in method_paths(&[]).iter().filter(|path| path.starts_with("/grpc.health")) {
        call(guarded.channel.clone(), path, None).await.ok();
    }
    let log = guarded.process.output();
    assert!(log.iter().any(|line| line.contains("refused a call")), "{log:?}");
    assert!(!log.iter().any(|line| line.contains("planted")), "{log:?}");
}

#[apply(both!)]
async fn the_ledger_holds_the_callers_name(backend: Backend) {
    let guarded = Guarded::start(backend).await;
    let mut client = guarded.client();
    let upgrade = UpgradeRequest { target: "0002".into(), ..Default::default() };
    let answer = client.upgrade(as_caller(Some("operator"), upgrade)).await.unwrap();
    let mut events = answer.into_inner();
    while events.message().await.unwrap().is_some() {}
    let downgrade = DowngradeRequest {
        target: "0001".into(),
        force: true,
        allow_data_loss: true,
        ..Default::default()
    };
    let mut events =
        client.downgrade(as_caller(Some("admin"), downgrade)).await.unwrap().into_inner();
    while events.message().await.unwrap().is_some() {}

    let request = as_caller(Some("reader"), ListOperationsRequest::default());
    let ledger = client.list_operations(request).await.unwrap().into_inner();
    let actors: Vec<_> = ledger.operations.iter().map(|one| one.actor.as_str()).collect();
    assert_eq!(actors, ["admin", "operator"]);
}

#[tokio::test]
async fn only_an_admin_may_force_or_lose_data() {
    let guarded = Guarded::start(Backend::Sqlite).await;
    let mut client = guarded.client();
    let base = UpgradeRequest { target: "0001".into(), ..Default::default() };
    for (request, field) in [
        (UpgradeRequest { force: true, ..base.clone() }, "force"),
        (UpgradeRequest { allow_data_loss: true, ..base.clone() }, "allow_data_loss"),
    ] {
        let denied =
            client.upgrade(as_caller(Some("operator"), request.clone())).await.unwrap_err();
        assert_eq!(denied.code(), Code::PermissionDenied);
        assert_eq!(
            (info(&denied, "field").as_str(), info(&denied, "role").as_str()),
            (field, "admin")
        );
        client.upgrade(as_caller(Some("admin"), request)).await.unwrap();
    }
    let stamp = StampRequest { revision: "0001".into(), force: true };
    let denied = client.stamp(as_caller(Some("operator"), stamp)).await.unwrap_err();
    assert_eq!(reason(&denied), "ROLE_REQUIRED");
}

#[tokio::test]
async fn a_changed_access_file_is_reloaded_and_a_broken_one_is_not() {
    let guarded = Guarded::start(Backend::Sqlite).await;
    let current = async |name: &str| {
        let request = as_caller(Some(name), CurrentRequest {});
        guarded.client().current(request).await
    };
    fs::write(guarded.callers.path(), "[[caller]]\nname = 'planted-secret'\n").unwrap();
    eventually("the broken file is logged", async || {
        let lines = guarded.process.output();
        lines.iter().any(|line| line.contains("keeping the current callers")).then_some(())
    })
    .await;
    current("reader").await.unwrap();

    guarded.callers.write(&[("newcomer", "reader")]);
    eventually("the newcomer is let in", async || current("newcomer").await.ok()).await;
    assert_eq!(reason(&current("reader").await.unwrap_err()), "TOKEN_UNKNOWN");
}

#[tokio::test]
async fn commands_send_a_token_and_advise_without_one() {
    let mut guarded = Guarded::start(Backend::Sqlite).await;
    let operator = text(&guarded.callers.token_file("operator"));
    let reader = token("reader");

    let (status, said) = guarded.schema(&["upgrade"], &[]).await;
    assert_eq!(status, Some(1));
    assert!(said.contains("a token is required") && said.contains("SCHEMA_TOKEN_FILE"), "{said}");
    let (status, said) = guarded.schema(&["upgrade"], &[("SCHEMA_TOKEN", &reader)]).await;
    assert_eq!(status, Some(1));
    assert!(said.contains("needs the role operator"), "{said}");
    assert!(said.contains("schema token NAME --role operator"), "{said}");
    let (status, said) = guarded.schema(&["upgrade", "--token-file", &operator], &[]).await;
    assert_eq!(status, Some(0), "{said}");

    let nowhere = ["current", "--token-file", "nowhere"];
    let (status, said) = guarded.schema(&nowhere, &[]).await;
    assert_eq!(status, Some(1));
    assert!(said.contains("nowhere cannot be read"), "{said}");
    let far = ["current", "--schema-url", "http://192.0.2.1:1"];
    let (status, said) = guarded.schema(&far, &[("SCHEMA_TOKEN", &reader)]).await;
    assert_eq!(status, Some(1));
    assert!(said.contains("in clear") && !said.contains(&reader), "{said}");
    let (_, said) = guarded.schema(&["current", "--help"], &[("SCHEMA_TOKEN", &reader)]).await;
    assert!(!said.contains(&reader), "{said}");
}

#[tokio::test]
async fn a_new_token_is_printed_once_and_admits_its_caller() {
    let mut guarded = Guarded::start(Backend::Sqlite).await;
    let file = text(&guarded.callers.path());
    let arguments = ["token", "ci", "--role", "reader", "--append", &file];
    let (status, printed) = guarded.schema(&arguments, &[]).await;
    assert_eq!(status, Some(0), "{printed}");
    let made = printed.trim();
    assert!(made.starts_with("sgt_") && !fs::read_to_string(&file).unwrap().contains(made));
    let path = guarded.callers.path().with_file_name("ci");
    fs::write(&path, made).unwrap();
    let path = text(&path);
    eventually("the new token lets its caller in", async || {
        let (status, _) = guarded.schema(&["current", "--token-file", &path], &[]).await;
        (status == Some(0)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_certificate_name_identifies_a_caller() {
    let authority = Authority::new();
    let identity = authority.server(&["localhost"]);
    let (cert, key, ca) = (text(&identity.cert), text(&identity.key), text(&authority.ca()));
    let tls = [
        ("SCHEMA_TLS_CERT", cert.as_str()),
        ("SCHEMA_TLS_KEY", &key),
        ("SCHEMA_TLS_CLIENT_CA", &ca),
        ("SCHEMA_TLS_CLIENT_AUTH", "optional"),
    ];
    let mut guarded = Guarded::with(Backend::Sqlite, &tls).await;
    let address = guarded.process.address("schema").await;
    let as_named =
        |name: &str| secure_channel(address, authority.client(name).trusting(&authority));
    let entry = "name = 'deploy'\nrole = 'reader'\ncertificate = 'deploy.example'\n";
    let callers = fs::read_to_string(guarded.callers.path()).unwrap();
    fs::write(guarded.callers.path(), format!("{callers}[[caller]]\n{entry}")).unwrap();
    let [current, upgrade] =
        ["Current", "Upgrade"].map(|method| format!("/schema.v1.SchemaService/{method}"));
    eventually("the certificate's name lets its caller in", async || {
        call(as_named("deploy.example"), &current, None).await.ok()
    })
    .await;

    let refused = async |channel: Channel, path: &str, caller: Option<&str>| {
        reason(&call(channel, path, caller).await.unwrap_err())
    };
    let deploy = as_named("deploy.example");
    assert_eq!(refused(deploy.clone(), &upgrade, None).await, "ROLE_REQUIRED");
    assert_eq!(refused(as_named("stranger"), &current, None).await, "CERTIFICATE_UNKNOWN");
    let anonymous = secure_channel(address, authority.trusted());
    assert_eq!(refused(anonymous, &current, None).await, "TOKEN_MISSING");
    // Who shows both is whom the token says: a wrong one is not made good by a certificate.
    assert_eq!(refused(deploy.clone(), &current, Some("x")).await, "TOKEN_UNKNOWN");
    call(deploy, &upgrade, Some("operator")).await.unwrap();
}

#[tokio::test]
async fn reflection_can_be_off_and_health_needs_no_token() {
    let mut guarded = Guarded::with(Backend::Sqlite, &[("SCHEMA_REFLECTION", "off")]).await;
    let reflection = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    let off = call(guarded.channel.clone(), reflection, Some("admin")).await.unwrap_err();
    assert_eq!(off.code(), Code::Unimplemented);
    let listen = guarded.process.address("schema").await.to_string();
    let (status, said) = guarded.schema(&["health"], &[("SCHEMA_LISTEN", &listen)]).await;
    assert_eq!((status, said.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn listening_beyond_loopback_requires_access_control() {
    let callers = AccessFile::of(&ROLES);
    let file = text(&callers.path());
    let serve = ["serve", "--database-url", "sqlite:nowhere/there.db", "--listen", "0.0.0.0:0"];
    let said = async |more: &[(&str, &str)], wanted: &str| {
        let process = Process::start(SCHEMA, &serve, more);
        eventually(wanted, async || {
            process.output().iter().any(|line| line.contains(wanted)).then_some(())
        })
        .await;
    };
    said(&[], "SCHEMA_ALLOW_ANYONE=true").await;
    said(&[("SCHEMA_ALLOW_ANYONE", "true")], "may call everything").await;
    said(&[("SCHEMA_ACCESS_FILE", &file)], "callers send their tokens in plaintext").await;
    said(&[("SCHEMA_ACCESS_FILE", "nowhere.toml")], "cannot read the access file nowhere.toml")
        .await;
}
