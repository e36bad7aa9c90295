//! `schema certs`: certificates to try TLS with.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use testing::{Backend, Process};

use super::{Ran, SCHEMA, command, json};

async fn certs(dir: &Path, more: &str) -> Ran {
    let line = format!("certs {} {more}", dir.display());
    Ran::from(command("http://127.0.0.1:1", &line).output().await.unwrap())
}

#[tokio::test]
async fn created_certificates_serve_and_call() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("new");
    let ran = certs(&dir, "--client operator --client chat").await;
    assert_eq!(ran.status, 0, "{ran:?}");
    let named = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let mut made: Vec<_> = ran.stdout.lines().map(|path| named(path.as_ref())).collect();
    made.sort();
    let files = ["chat", "client-chat", "client-operator", "nats", "postgres", "schema"];
    let mut expected: Vec<_> =
        files.iter().flat_map(|name| [format!("{name}.pem"), format!("{name}.key")]).collect();
    expected.push("ca.pem".into());
    expected.sort();
    assert_eq!(made, expected);
    for name in &made {
        let mode = fs::metadata(dir.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode & 0o077 == 0, name.ends_with(".key"), "{name} {mode:o}");
    }

    // As the advice has it, on a port of the test's own.
    let database = Backend::Sqlite.empty().await;
    let at = |name: &str| dir.join(name).display().to_string();
    let arguments = [
        "serve",
        "--tls-cert",
        &at("schema.pem"),
        "--tls-key",
        &at("schema.key"),
        "--tls-client-ca",
        &at("ca.pem"),
    ];
    // Scrapes come from beyond this machine, which development's certificates are not for.
    let environment = [("DATABASE_URL", database.url()), ("SCHEMA_METRICS_LISTEN", "0.0.0.0:0")];
    let mut serving = Process::start(SCHEMA, &arguments, &environment);
    let port = serving.address("schema").await.port();
    let advice = ran.stderr.lines().find(|line| line.contains("schema current")).unwrap();
    let line = advice.trim().strip_prefix("schema ").unwrap().replace("50051", &port.to_string());
    for host in ["localhost", "127.0.0.1"] {
        let line = line.replace("localhost", host);
        let asked = Ran::from(command("http://127.0.0.1:1", &line).output().await.unwrap());
        assert_eq!(asked.status, 0, "{asked:?}");
        assert!(asked.stderr.contains("at base"), "{asked:?}");
    }
    let said = serving.output().join("\n");
    assert!(said.contains("made by `schema certs` for development"), "{said}");
}

#[tokio::test]
async fn nothing_is_overwritten() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("chat.key"), "precious").unwrap();
    let ran = certs(root.path(), "").await;
    assert_eq!(ran.status, 1);
    assert!(ran.stderr.contains("chat.key exists"), "{}", ran.stderr);
    assert_eq!(fs::read_to_string(root.path().join("chat.key")).unwrap(), "precious");
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn host_names_are_added_and_invalid_names_refused() {
    let root = tempfile::tempdir().unwrap();
    let ran = certs(&root.path().join("a"), "--host chat.example.com --json").await;
    assert_eq!(ran.status, 0, "{ran:?}");
    // The authority, four servers and four clients.
    assert_eq!(json(&ran.stdout).len(), 17);
    let strange = root.path().join("b");
    for (more, why) in
        [("--client ../me", "letters, digits"), ("--host \u{e9}.example", "not a host name")]
    {
        let ran = certs(&strange, more).await;
        assert_ne!(ran.status, 0);
        assert!(ran.stderr.contains(why), "{}", ran.stderr);
        assert!(!strange.exists());
    }
}
