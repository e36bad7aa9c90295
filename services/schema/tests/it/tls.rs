//! TLS of the schema service: which clients connect, how others are refused, and certificates
//! that are replaced while it runs. One database is enough: nothing of this reaches one.

use std::{fs, net::SocketAddr, path::Path, process::Output};

use api::schema::v1::{
    CurrentRequest, UpgradeRequest, WatchRequest, schema_service_client::SchemaServiceClient,
};
use testing::{
    Authority, Backend, Identity, Process, Scrape, TestDatabase, channel, eventually, reason,
    secure_channel,
};
use tls::ClientFiles;
use tokio::process::Command;
use tonic::{Code, Status};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

const SCHEMA: &str = env!("CARGO_BIN_EXE_schema");

/// A schema service with a certificate of an authority.
struct Secure {
    process: Process,
    address: SocketAddr,
    authority: Authority,
    identity: Identity,
    #[expect(dead_code, reason = "dropped with the service")]
    database: TestDatabase,
}

impl Secure {
    /// Which knows nothing of its callers.
    async fn start() -> Self {
        Self::with(Authority::new(), &[]).await
    }

    /// Which wants certificates of its callers, of the same authority.
    async fn mutual(more: &[(&str, &str)]) -> Self {
        let authority = Authority::new();
        let ca = text(&authority.ca());
        let env = [&[("SCHEMA_TLS_CLIENT_CA", ca.as_str())], more].concat();
        Self::with(authority, &env).await
    }

    async fn with(authority: Authority, more: &[(&str, &str)]) -> Self {
        let database = Backend::Sqlite.empty().await;
        let identity = authority.server(&["localhost"]);
        let (cert, key) = (text(&identity.cert), text(&identity.key));
        let env = [
            ("DATABASE_URL", database.url()),
            ("SCHEMA_TLS_CERT", &cert),
            ("SCHEMA_TLS_KEY", &key),
            ("SCHEMA_METRICS_LISTEN", "127.0.0.1:0"),
        ];
        let mut process = Process::start(SCHEMA, &["serve"], &[&env, more].concat());
        let address = process.address("schema").await;
        Self { process, address, authority, identity, database }
    }

    async fn current(&self, files: ClientFiles) -> Result<(), Status> {
        let mut client = SchemaServiceClient::new(secure_channel(self.address, files));
        client.current(CurrentRequest {}).await.map(drop)
    }

    /// Runs a command to its end.
    async fn schema(&self, arguments: &[&str], env: &[(&str, &str)]) -> (Option<i32>, String) {
        let url = format!("https://localhost:{}", self.address.port());
        let listen = self.address.to_string();
        let mut command = Command::new(SCHEMA);
        command.args(arguments).env_clear().env("SCHEMA_URL", url).env("SCHEMA_LISTEN", listen);
        let Output { status, stdout, stderr } =
            command.envs(env.iter().copied()).output().await.unwrap();
        (status.code(), String::from_utf8([stdout, stderr].concat()).unwrap())
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// What is at the bottom of a failure.
fn bottom(status: &Status) -> String {
    let mut error: &dyn std::error::Error = status;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[tokio::test]
async fn only_clients_that_trust_the_authority_connect() {
    let secure = Secure::start().await;
    secure.current(secure.authority.trusted()).await.unwrap();
    let stranger = secure.current(Authority::new().trusted()).await.unwrap_err();
    assert_eq!(stranger.code(), Code::Unavailable);
    assert!(bottom(&stranger).contains("certificate is not trusted"), "{stranger:?}");
    // It is called by an address, and has a certificate for a name.
    let (_, said) = secure
        .schema(
            &["current", "--schema-url", &format!("https://{}", secure.address)],
            &[("SCHEMA_TLS_CA", &text(&secure.authority.ca()))],
        )
        .await;
    assert!(said.contains("certificate is for localhost, not for 127.0.0.1"), "{said}");
}

#[tokio::test]
async fn a_command_explains_a_tls_failure() {
    let secure = Secure::start().await;
    let ca = text(&secure.authority.ca());
    let (status, said) = secure.schema(&["current"], &[("SCHEMA_TLS_CA", &ca)]).await;
    assert_eq!(status, Some(0), "{said}");
    assert!(said.starts_with("schema is at base"), "{said}");

    let other = Authority::new();
    let other = text(&other.ca());
    for (ca, wrong) in [
        ("nowhere.pem", "nowhere.pem: No such file"),
        (&text(&secure.identity.key), "holds no certificate"),
        (&other, "certificate is not trusted"),
    ] {
        let (status, said) = secure.schema(&["current", "--tls-ca", ca], &[]).await;
        assert_eq!(status, Some(1), "{said}");
        assert!(said.contains(wrong), "{said}");
    }
    let plain = format!("http://{}", secure.address);
    let (_, said) = secure.schema(&["current", "--schema-url", &plain], &[]).await;
    assert!(said.contains("this port speaks TLS: call it with https://"), "{said}");
}

#[tokio::test]
async fn an_expired_certificate_is_named_as_such() {
    let secure = Secure::start().await;
    let expired = secure.authority.expired(&["localhost"]);
    secure.identity.replace(&expired);
    let expired =
        eventually("it is taken", async || secure.current(secure.authority.trusted()).await.err())
            .await;
    assert_eq!(bottom(&expired), "the server's certificate expired at 2020-01-31T00:00:00Z");
    let warned = secure.process.output().iter().any(|line| line.contains("expired at 2020-01-31"));
    assert!(warned, "{:?}", secure.process.output());
}

#[tokio::test]
async fn callers_must_present_a_certificate_of_the_authority() {
    let secure = Secure::mutual(&[]).await;
    let known = secure.authority.client("operator").trusting(&secure.authority);
    secure.current(known).await.unwrap();

    // From this very machine a call without one is heard, and is refused.
    let anonymous = secure.current(secure.authority.trusted()).await.unwrap_err();
    assert_eq!(anonymous.code(), Code::Unauthenticated);
    assert_eq!(reason(&anonymous), "CLIENT_CERTIFICATE_REQUIRED");

    let other = Authority::new();
    let stranger = other.client("operator").trusting(&secure.authority);
    let stranger = secure.current(stranger).await.unwrap_err();
    assert!(bottom(&stranger).contains("does not trust the client certificate"), "{stranger:?}");

    // A server's certificate is none of a client's.
    let server = secure.authority.server(&["localhost"]).trusting(&secure.authority);
    secure.current(server).await.unwrap_err();
}

#[tokio::test]
async fn client_certificates_can_be_optional() {
    let secure = Secure::mutual(&[("SCHEMA_TLS_CLIENT_AUTH", "optional")]).await;
    secure.current(secure.authority.trusted()).await.unwrap();
    let known = secure.authority.client("operator").trusting(&secure.authority);
    secure.current(known).await.unwrap();
    let other = Authority::new();
    let stranger = other.client("operator").trusting(&secure.authority);
    secure.current(stranger).await.unwrap_err();
}

#[tokio::test]
async fn health_needs_no_certificate_of_its_own() {
    let secure = Secure::mutual(&[]).await;
    let environment = [
        ("SCHEMA_TLS_CERT", &*text(&secure.identity.cert)),
        ("SCHEMA_TLS_KEY", &text(&secure.identity.key)),
        ("SCHEMA_TLS_CLIENT_CA", &text(&secure.authority.ca())),
    ];
    assert_eq!(secure.schema(&["health"], &environment).await, (Some(0), String::new()));
    // Not even a good one.
    fs::write(&secure.identity.cert, "broken").unwrap();
    assert_eq!(secure.schema(&["health"], &environment).await, (Some(0), String::new()));
    let (status, said) = secure.schema(&["health"], &[]).await;
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("this port speaks TLS"), "{said}");

    let channel = secure_channel(secure.address, secure.authority.trusted());
    HealthClient::new(channel).check(HealthCheckRequest::default()).await.unwrap();
}

#[tokio::test]
async fn metrics_are_served_over_tls() {
    let mut secure = Secure::start().await;
    let metrics = secure.process.address("schema-metrics").await;
    let scrape = Scrape::secure(metrics, secure.authority.trusted()).await.unwrap();
    assert_eq!(scrape.value("schema_readable"), 1.0);

    let mut mutual = Secure::mutual(&[]).await;
    let metrics = mutual.process.address("schema-metrics").await;
    Scrape::secure(metrics, mutual.authority.trusted()).await.unwrap_err();
    let prometheus = mutual.authority.client("prometheus").trusting(&mutual.authority);
    let scrape = Scrape::secure(metrics, prometheus).await.unwrap();
    assert_eq!(scrape.value("schema_readable"), 1.0);
}

#[tokio::test]
async fn a_replaced_certificate_is_reloaded_under_open_streams() {
    let secure = Secure::start().await;
    let old = secure.authority.trusted();
    let mut client = SchemaServiceClient::new(secure_channel(secure.address, old.clone()));
    let mut states = client.watch(WatchRequest::default()).await.unwrap().into_inner();
    states.message().await.unwrap().unwrap();

    let other = Authority::new();
    secure.identity.replace(&other.server(&["localhost"]));
    eventually("the new certificate is shown", async || secure.current(other.trusted()).await.ok())
        .await;
    secure.current(old.clone()).await.unwrap_err();
    let logged = secure.process.output();
    let taken = logged.iter().filter(|line| line.contains("loaded TLS certificate")).count();
    assert!(taken >= 2, "{logged:?}");

    // The stream is older than the certificate, and so is its connection.
    let request = UpgradeRequest { target: "0001".into(), ..Default::default() };
    let mut events = client.upgrade(request).await.unwrap().into_inner();
    while events.message().await.unwrap().is_some() {}
    let at_0001 = async {
        while states.message().await.unwrap().unwrap().state.unwrap().revision != "0001" {}
    };
    tokio::time::timeout(testing::DEADLINE, at_0001).await.unwrap();
}

#[tokio::test]
async fn a_broken_certificate_is_not_reloaded() {
    let secure = Secure::start().await;
    fs::write(&secure.identity.cert, "no certificate").unwrap();
    eventually("it is logged", async || {
        let lines = secure.process.output();
        lines.iter().any(|line| line.contains("keeping the current one")).then_some(())
    })
    .await;
    secure.current(secure.authority.trusted()).await.unwrap();
    // And what comes after it is.
    let other = Authority::new();
    secure.identity.replace(&other.server(&["localhost"]));
    eventually("the next one is taken", async || secure.current(other.trusted()).await.ok()).await;
}

#[tokio::test]
async fn what_is_of_no_use_is_refused_before_anything_listens() {
    let authority = Authority::new();
    let (one, other) = (authority.server(&["one"]), authority.server(&["other"]));
    let (cert, key) = (text(&one.cert), text(&one.key));
    let files = [("--tls-cert", cert.as_str()), ("--tls-key", key.as_str())];
    let none = "nowhere.pem";
    for (changed, wrong) in [
        (("--tls-cert", none), "nowhere.pem: No such file"),
        (("--tls-key", &text(&other.key)), "other.key: is not the key of the certificate in"),
        (("--tls-key", &cert), "one.pem: holds no private key"),
        (("--tls-client-ca", &key), "one.key: holds no certificate"),
        (("--tls-client-auth", "optional"), "--tls-client-ca"),
    ] {
        let mut arguments = vec!["serve", "--database-url", "sqlite:nowhere/there.db"];
        for (flag, value) in files.iter().filter(|(flag, _)| *flag != changed.0) {
            arguments.extend([*flag, value]);
        }
        arguments.extend([changed.0, changed.1]);
        let mut process = Process::start(SCHEMA, &arguments, &[]);
        assert!(!process.ended().await.success());
        let said = eventually("it is logged", async || {
            let said = process.output().join("\n");
            said.contains(wrong).then_some(said)
        })
        .await;
        assert!(!said.contains("listens on"), "{said}");
    }
}

/// A handshake that is never finished, or never begun, does not delay others.
#[tokio::test]
async fn silent_connections_do_not_block_others() {
    let secure = Secure::start().await;
    let mut silent = Vec::new();
    for _ in 0..600 {
        silent.push(tokio::net::TcpStream::connect(secure.address).await.unwrap());
    }
    secure.current(secure.authority.trusted()).await.unwrap();
    let plain = SchemaServiceClient::new(channel(secure.address)).current(CurrentRequest {}).await;
    assert!(plain.unwrap_err().to_string().contains("this port speaks TLS"));
    drop(silent);
}
