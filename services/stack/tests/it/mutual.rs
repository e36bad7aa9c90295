//! Both services with mutual TLS.

use std::{net::SocketAddr, path::Path, process::Output};

use testing::{
    Authority, Backend, Identity, Process, Scrape, SecurePostgres, TestDatabase, apply, both,
    eventually,
};
use tokio::process::Command;

use crate::services::binary;

/// Both services, behind certificates of one authority.
struct Mutual {
    authority: Authority,
    schema: Service,
    chat: Service,
    #[expect(dead_code, reason = "dropped with the services")]
    database: TestDatabase,
}

struct Service {
    name: &'static str,
    process: Process,
    address: SocketAddr,
    metrics: SocketAddr,
}

impl Service {
    async fn start(
        name: &'static str,
        database: &TestDatabase,
        authority: &Authority,
        env: &[(String, String)],
    ) -> Self {
        let identity = authority.server(&["localhost"]);
        let listens = [
            ("TLS_CERT", text(&identity.cert)),
            ("TLS_KEY", text(&identity.key)),
            ("TLS_CLIENT_CA", text(&authority.ca())),
            ("METRICS_LISTEN", "127.0.0.1:0".to_owned()),
        ];
        let listens = listens.map(|(what, value)| (prefixed(name, what), value));
        let database = [("DATABASE_URL".to_owned(), database.url().to_owned())];
        let env = [&listens[..], &database, env].concat();
        let env: Vec<_> = env.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let mut process = Process::start(binary(name), &["serve"], &env);
        let address = process.address(name).await;
        let metrics = process.address(&format!("{name}-metrics")).await;
        Self { name, process, address, metrics }
    }

    /// The environment of a client, with a certificate or without.
    fn client_env(&self, authority: &Authority, by: Option<&Identity>) -> Vec<(String, String)> {
        let url = format!("https://localhost:{}", self.address.port());
        let mut env = vec![
            (prefixed(self.name, "URL"), url),
            (prefixed(self.name, "TLS_CA"), text(&authority.ca())),
        ];
        if let Some(identity) = by {
            env.push((prefixed(self.name, "TLS_CLIENT_CERT"), text(&identity.cert)));
            env.push((prefixed(self.name, "TLS_CLIENT_KEY"), text(&identity.key)));
        }
        env
    }
}

impl Mutual {
    async fn start(backend: Backend) -> Self {
        Self::on(backend.empty().await, Authority::new()).await
    }

    async fn on(database: TestDatabase, authority: Authority) -> Self {
        let schema = Service::start("schema", &database, &authority, &[]).await;
        let calls = schema.client_env(&authority, Some(&authority.client("chat")));
        let chat = Service::start("chat", &database, &authority, &calls).await;
        Self { authority, schema, chat, database }
    }

    /// Runs a command of a service with a client certificate or without; returns exit status and
    /// output.
    async fn run(
        &self,
        service: &Service,
        by: Option<&Identity>,
        arguments: &[&str],
    ) -> (Option<i32>, String) {
        let mut command = Command::new(binary(service.name));
        command.args(arguments).env_clear().envs(service.client_env(&self.authority, by));
        let Output { status, stdout, stderr } = command.output().await.unwrap();
        (status.code(), String::from_utf8([stdout, stderr].concat()).unwrap())
    }
}

fn prefixed(service: &str, what: &str) -> String {
    format!("{}_{what}", service.to_uppercase())
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_to_postgresql_use_tls() {
    let authority = Authority::new();
    let server = SecurePostgres::start(&authority).await;
    let mutual = Mutual::on(server.database(&authority), authority).await;
    let operator = &mutual.authority.client("operator");
    let (status, printed) = mutual.run(&mutual.schema, Some(operator), &["upgrade"]).await;
    assert_eq!(status, Some(0), "{printed}");
    eventually("the gate opens, and a chat is made", async || {
        let create = ["create", "a@g.us"];
        (mutual.run(&mutual.chat, Some(operator), &create).await.0 == Some(0)).then_some(())
    })
    .await;
    let database = server.database(&mutual.authority);
    let plain = "select count(*) from pg_stat_ssl s join pg_stat_activity a using (pid) \
                 where a.client_port is not null and not s.ssl";
    assert_eq!(database.column(plain).await, [Some("0".into())]);
}

#[apply(both!)]
async fn callers_need_a_client_certificate(backend: Backend) {
    let mutual = Mutual::start(backend).await;
    let operator = &mutual.authority.client("operator");
    let (schema, chat) = (&mutual.schema, &mutual.chat);
    let closed = eventually("the gate reports what is missing", async || {
        let (status, printed) = mutual.run(chat, Some(operator), &["ready"]).await;
        (status == Some(3) && printed.contains("schema is at base")).then_some(printed)
    })
    .await;
    // The command in the message works over TLS, with a certificate.
    assert!(closed.contains("run \"schema upgrade\""), "{closed}");

    let (status, printed) = mutual.run(schema, None, &["upgrade"]).await;
    assert_eq!(status, Some(1), "{printed}");
    assert!(printed.contains("requires a client certificate"), "{printed}");
    let (status, printed) = mutual.run(schema, Some(operator), &["upgrade"]).await;
    assert_eq!(status, Some(0), "{printed}");

    eventually("the gate opens", async || {
        let (status, _) = mutual.run(chat, Some(operator), &["ready"]).await;
        (status == Some(0)).then_some(())
    })
    .await;
    let (status, printed) = mutual.run(chat, Some(operator), &["create", "a@g.us"]).await;
    assert_eq!(status, Some(0), "{printed}");
    let (status, printed) = mutual.run(chat, None, &["list"]).await;
    assert_eq!(status, Some(1), "{printed}");
    let (_, listed) = mutual.run(chat, Some(operator), &["list"]).await;
    assert!(listed.contains("a@g.us"), "{listed}");

    for service in [schema, chat] {
        Scrape::secure(service.metrics, mutual.authority.trusted()).await.unwrap_err();
        Scrape::secure(service.metrics, operator.trusting(&mutual.authority)).await.unwrap();
    }
}

#[apply(both!)]
async fn an_untrusted_schema_service_opens_no_gate(backend: Backend) {
    let database = backend.at_head().await;
    let authority = Authority::new();
    let schema = Service::start("schema", &database, &authority, &[]).await;
    let stranger = Authority::new();
    let calls = schema.client_env(&stranger, None);
    let chat = Service::start("chat", &database, &authority, &calls).await;
    let mutual = Mutual { authority, schema, chat, database };
    let operator = &mutual.authority.client("operator");
    eventually("the gate reports why", async || {
        let (status, printed) = mutual.run(&mutual.chat, Some(operator), &["ready"]).await;
        assert_eq!(status, Some(3), "{printed}");
        printed.contains("certificate is not trusted").then_some(())
    })
    .await;
    let (_, printed) = mutual.run(&mutual.chat, Some(operator), &["list"]).await;
    assert!(printed.contains("the server's certificate is not trusted"), "{printed}");
    assert!(mutual.chat.process.output().iter().any(|line| line.contains("is not trusted")));
}
