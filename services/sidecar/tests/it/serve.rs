//! `gate serve`: probes, proofs, registration, shutdown.

use serde_json::json;
use testing::{
    AccessFile, Authority, Backend, Process, Scrape, apply, both, eventually, health,
    secure_channel,
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::{
    http::{client, get, request, send},
    world::{GATE, World, binary, until_ok, until_refused},
};

#[apply(both!)]
async fn probes_follow_the_schema(backend: Backend) {
    let world = World::empty(backend).await;
    let (_gate, address) = world.serve(&[]).await;
    let refused = until_refused(address, "/readyz", "SCHEMA_NOT_AT_HEAD").await;
    assert_eq!(refused.headers["retry-after"], "1");
    assert_eq!(refused.headers["content-type"], "application/problem+json");
    let problem = refused.json();
    assert_eq!((&problem["status"], &problem["domain"]), (&json!(503), &json!("schemagate")));
    assert_eq!(problem["metadata"]["required"], "0002");
    assert!(problem["detail"].as_str().unwrap().contains("schema upgrade"), "{problem}");
    assert_eq!(get(address, "/livez").await.status, 200);
    assert_eq!(health(address, "").await.unwrap(), ServingStatus::NotServing);
    assert_eq!(Scrape::of(address).await.value("gate_open"), 0.0);

    world.upgrade("").await;
    let ready = until_ok(address, "/readyz").await;
    let proofs = json!({"schema": "holds", "database": "not proven", "models": "not proven"});
    assert_eq!(ready.json()["proofs"], proofs);
    eventually("health follows", async || {
        (health(address, "reports").await.ok()? == ServingStatus::Serving).then_some(())
    })
    .await;
    assert_eq!(Scrape::of(address).await.value("gate_open"), 1.0);
    let [dependent] = &world.dependents().await[..] else { panic!("one dependent") };
    assert_eq!((&*dependent.service, &*dependent.requires), ("reports", "0002"));
}

#[apply(both!)]
async fn the_database_is_proven_where_its_url_is_given(backend: Backend) {
    let world = World::at_head(backend).await;
    let (_gate, address) = world.serve(&["--database-url", world.database.url()]).await;
    let ready = until_ok(address, "/readyz").await;
    assert_eq!(ready.json()["proofs"]["database"], "holds");

    let other = backend.at_head().await;
    let (_gate, address) = world.serve(&["--database-url", other.url()]).await;
    let refused = until_refused(address, "/readyz", "SCHEMA_OTHER_DATABASE").await;
    assert_eq!(refused.json()["proofs"]["database"], "fails");
}

#[apply(both!)]
async fn a_shutdown_is_seen_by_a_probe_before_it_goes_on(backend: Backend) {
    let world = World::at_head(backend).await;
    let (mut gate, address) = world.serve(&["--notice", "20s"]).await;
    until_ok(address, "/readyz").await;
    gate.send_sigterm();
    // The notice would last longer than this test may.
    until_refused(address, "/readyz", "SHUTTING_DOWN").await;
    assert!(gate.ended().await.success());
    world.until_deregistered().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistyped_probe_is_not_ready() {
    let world = World::at_head(Backend::Sqlite).await;
    let (_gate, address) = world.serve(&[]).await;
    until_ok(address, "/readyz").await;
    assert_eq!(get(address, "/ready").await.status, 404);
    let post = request(address, "POST", "/readyz").body(Default::default()).unwrap();
    assert_eq!(send(&client(false), post).await.status, 405);
    let over_http2 = request(address, "GET", "/readyz").body(Default::default()).unwrap();
    assert_eq!(send(&client(true), over_http2).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_flag_is_named() {
    let world = World::empty(Backend::Sqlite).await;
    for (flags, error) in [
        (&["--built-with", "0001"][..], "--built-with 0001 is older than --requires 0002"),
        (&["--mode", "none"], "--mode"),
        (&["--schema-tls-ca", "/nowhere"], "/nowhere"),
        (&["--database-url", "mysql://x"], "--database-url"),
    ] {
        let mut gate = world.gate("serve", flags, &[]);
        assert!(!gate.ended().await.success());
        eventually(error, async || {
            gate.output().iter().any(|line| line.contains(error)).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_speak_tls_and_the_token_is_presented() {
    let database = Backend::Sqlite.at_head().await;
    let authority = Authority::new();
    let server = authority.server(&["localhost"]);
    let callers = AccessFile::of(&[("reports", "reader")]);
    let text = |path: std::path::PathBuf| path.display().to_string();
    let (cert, key, ca) =
        (text(server.cert.clone()), text(server.key.clone()), text(authority.ca()));
    let (access, token) = (text(callers.path()), text(callers.token_file("reports")));
    let env = [
        ("DATABASE_URL", database.url()),
        ("SCHEMA_TLS_CERT", &cert),
        ("SCHEMA_TLS_KEY", &key),
        ("SCHEMA_ACCESS_FILE", &access),
    ];
    let mut schema = Process::start(binary("schema"), &["serve"], &env);
    let url = format!("https://localhost:{}", schema.address("schema").await.port());

    let flags = [
        ["serve", "--service=reports"],
        ["--requires=0002", "--listen=127.0.0.1:0"],
        ["--tls-cert", &cert],
        ["--tls-key", &key],
        ["--schema-url", &url],
        ["--schema-tls-ca", &ca],
        ["--schema-token-file", &token],
    ];
    let mut gate = Process::start(GATE, flags.as_flattened(), &[]);
    let address = gate.address("gate").await;
    let mut client = HealthClient::new(secure_channel(address, authority.trusted()));
    eventually("the gate is open", async || {
        let response = client.check(HealthCheckRequest::default()).await.ok()?.into_inner();
        (response.status() == ServingStatus::Serving).then_some(())
    })
    .await;
}
