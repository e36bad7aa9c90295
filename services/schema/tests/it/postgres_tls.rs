//! TLS to PostgreSQL, with libpq's words for it: who is trusted, what is refused, and why.

use database::Database;
use testing::{Authority, Process, SecurePostgres, TestDatabase};
use tokio::time::timeout;
use wire::error_chain;

/// What is said where a connection is refused; nothing where it is not.
async fn said(url: &str) -> String {
    let database = match url.parse() {
        Ok(url) => Database::new(&url, "test", 1),
        Err(error) => return format!("{error}"),
    };
    match timeout(testing::DEADLINE, database.connection()).await.unwrap() {
        Ok(_) => String::new(),
        Err(error) => error_chain(&error),
    }
}

/// Whether a connection is over TLS.
async fn secured(database: &TestDatabase) -> bool {
    let rows = database.column("select ssl from pg_stat_ssl where pid = pg_backend_pid()").await;
    rows == [Some("true".into())]
}

#[tokio::test]
async fn a_server_is_verified_as_its_sslmode_demands() {
    let (authority, other) = (Authority::new(), Authority::new());
    let mut server = SecurePostgres::start(&authority).await;
    assert!(secured(&server.database(&authority)).await);
    server.database(&authority).execute("create role plain login").await;
    let (ca, other) = (authority.ca(), other.ca());
    let (ca, other) = (ca.display(), other.display());
    let refused = "no authority in sslrootcert signed it";
    for (user_at_host, query, why) in [
        ("postgres@localhost", format!("sslmode=verify-full&sslrootcert={ca}"), ""),
        (
            "postgres@127.0.0.1",
            format!("sslmode=verify-full&sslrootcert={ca}"),
            "the server's certificate is for localhost, not for 127.0.0.1",
        ),
        ("postgres@127.0.0.1", format!("sslmode=verify-ca&sslrootcert={ca}"), ""),
        ("postgres@127.0.0.1", format!("sslmode=require&sslrootcert={ca}"), ""),
        ("postgres@127.0.0.1", "sslmode=require".into(), ""),
        ("postgres@127.0.0.1", "sslmode=prefer".into(), ""),
        ("postgres@127.0.0.1", String::new(), ""),
        ("postgres@127.0.0.1", "sslmode=disable".into(), "no encryption"),
        ("postgres@localhost", format!("sslmode=verify-full&sslrootcert={other}"), refused),
        ("postgres@localhost", format!("sslmode=verify-ca&sslrootcert={other}"), refused),
        ("postgres@localhost", format!("sslmode=require&sslrootcert={other}"), refused),
        ("postgres@localhost", "sslrootcert=system".into(), "authorit"),
    ] {
        let said = said(&server.url(user_at_host, &query)).await;
        assert_eq!(said.is_empty(), why.is_empty(), "{query}: {said}");
        assert!(said.contains(why), "{query}: {said}");
    }

    server.restart_without_tls().await;
    for mode in ["require".to_owned(), format!("verify-full&sslrootcert={ca}")] {
        let said = said(&server.url("plain@localhost", &format!("sslmode={mode}"))).await;
        assert!(said.contains("server does not support TLS"), "{said}");
    }
    assert_eq!(said(&server.url("plain@localhost", "sslmode=prefer")).await, "");
}

/// The default, which URLs have that were written before there was a choice.
#[tokio::test]
async fn plaintext_is_the_fallback_of_sslmode_prefer() {
    let authority = Authority::new();
    let server = SecurePostgres::start(&authority).await;
    server.database(&authority).execute("create role plain login").await;
    assert_eq!(said(&server.url("plain@localhost", "")).await, "");
    let said = said(&server.url("plain@localhost", "sslmode=require")).await;
    assert!(said.contains("pg_hba.conf"), "{said}");
}

#[tokio::test]
async fn a_client_certificate_is_presented() {
    let authority = Authority::new();
    let server = SecurePostgres::start(&authority).await;
    server.database(&authority).execute("create role proven login").await;
    let ca = authority.ca();
    let trusted = format!("sslmode=verify-full&sslrootcert={}", ca.display());
    let with = |authority: &Authority, name| {
        let identity = authority.client(name);
        let (cert, key) = (identity.cert.display(), identity.key.display());
        server.url("proven@localhost", &format!("{trusted}&sslcert={cert}&sslkey={key}"))
    };
    let anonymous = said(&server.url("proven@localhost", &trusted)).await;
    assert!(anonymous.contains("requires a valid client certificate"), "{anonymous}");
    assert_eq!(said(&with(&authority, "proven")).await, "");
    let another = said(&with(&authority, "another")).await;
    assert!(another.contains("authentication failed for user"), "{another}");
    let stranger = said(&with(&Authority::new(), "proven")).await;
    assert!(stranger.contains("does not trust the client certificate"), "{stranger}");
}

#[tokio::test]
async fn what_is_of_no_use_is_refused_before_anything_listens() {
    let url = "postgres://me:secret@localhost/chat?sslmode=verify-full&sslrootcert=nowhere.pem";
    let binary = env!("CARGO_BIN_EXE_schema");
    let mut process = Process::start(binary, &["serve"], &[("DATABASE_URL", url)]);
    assert_eq!(process.ended().await.code(), Some(2));
    let said = testing::eventually("the refusal is logged", async || {
        let said = process.output().join("\n");
        said.contains("nowhere.pem: No such file").then_some(said)
    })
    .await;
    assert!(!said.contains("secret") && !said.contains("listens on"), "{said}");
}
