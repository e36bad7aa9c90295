//! The whole path where nothing is plaintext and everybody shows a certificate.

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

    /// How it is called: by whom, or by nobody in particular.
    fn called(&self, authority: &Authority, by: Option<&Identity>) -> Vec<(String, String)> {
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
        let calls = schema.called(&authority, Some(&authority.client("chat")));
        let chat = Service::start("chat", &database, &authority, &calls).await;
        Self { authority, schema, chat, database }
    }

    /// Runs a command of a service's as this caller: its exit status, and what it said.
    async fn run(
        &self,
        service: &Service,
        by: Option<&Identity>,
        arguments: &[&str],
    ) -> (Option<i32>, String) {
        let mut command = Command::new(binary(service.name));
        command.args(arguments).env_clear().envs(service.called(&self.authority, by));
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

/// To the database too.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_plaintext_on_the_way_to_postgresql() {
    let authority = Authority::new();
    let server = SecurePostgres::start(&authority).await;
    let mutual = Mutual::on(server.database(&authority), authority).await;
    let operator = &mutual.authority.client("operator");
    let (status, said) = mutual.run(&mutual.schema, Some(operator), &["upgrade"]).await;
    assert_eq!(status, Some(0), "{said}");
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
async fn a_chat_service_is_opened_and_called_by_those_who_show_a_certificate(backend: Backend) {
    let mutual = Mutual::start(backend).await;
    let operator = &mutual.authority.client("operator");
    let (schema, chat) = (&mutual.schema, &mutual.chat);
    let closed = eventually("the gate says what is missing", async || {
        let (status, said) = mutual.run(chat, Some(operator), &["ready"]).await;
        (status == Some(3) && said.contains("schema is at base")).then_some(said)
    })
    .await;
    // What it says to do can be done: over TLS, with a certificate.
    assert!(closed.contains("-cacert ca.pem -cert client.pem -key client.key"), "{closed}");

    let (status, said) = mutual.run(schema, None, &["upgrade"]).await;
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("only from those who show a client certificate"), "{said}");
    let (status, said) = mutual.run(schema, Some(operator), &["upgrade"]).await;
    assert_eq!(status, Some(0), "{said}");

    eventually("the gate opens", async || {
        let (status, _) = mutual.run(chat, Some(operator), &["ready"]).await;
        (status == Some(0)).then_some(())
    })
    .await;
    let (status, said) = mutual.run(chat, Some(operator), &["create", "a@g.us"]).await;
    assert_eq!(status, Some(0), "{said}");
    let (status, said) = mutual.run(chat, None, &["list"]).await;
    assert_eq!(status, Some(1), "{said}");
    let (_, listed) = mutual.run(chat, Some(operator), &["list"]).await;
    assert!(listed.contains("a@g.us"), "{listed}");

    for service in [schema, chat] {
        Scrape::secure(service.metrics, mutual.authority.trusted()).await.unwrap_err();
        Scrape::secure(service.metrics, operator.trusting(&mutual.authority)).await.unwrap();
    }
}

/// The schema service is not who the chat service trusts: no call passes, and the reason is told.
#[apply(both!)]
async fn a_schema_service_that_is_not_trusted_opens_no_gate(backend: Backend) {
    let database = backend.at_head().await;
    let authority = Authority::new();
    let schema = Service::start("schema", &database, &authority, &[]).await;
    let stranger = Authority::new();
    let calls = schema.called(&stranger, None);
    let chat = Service::start("chat", &database, &authority, &calls).await;
    let mutual = Mutual { authority, schema, chat, database };
    let operator = &mutual.authority.client("operator");
    eventually("the gate says why", async || {
        let (status, said) = mutual.run(&mutual.chat, Some(operator), &["ready"]).await;
        assert_eq!(status, Some(3), "{said}");
        said.contains("certificate is not trusted").then_some(())
    })
    .await;
    let (_, said) = mutual.run(&mutual.chat, Some(operator), &["list"]).await;
    assert!(said.contains("the server's certificate is not trusted"), "{said}");
    assert!(mutual.chat.process.output().iter().any(|line| line.contains("is not trusted")));
}
