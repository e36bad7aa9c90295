//! A scrape, as Prometheus makes it.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// What a service's metrics said.
#[derive(Clone, Debug)]
pub struct Scrape {
    /// All of it, with the HTTP response's head.
    pub text: String,
}

impl Scrape {
    /// Scrapes where metrics are served.
    ///
    /// # Panics
    /// Nobody answers, or with something else.
    pub async fn of(address: SocketAddr) -> Self {
        let mut socket = TcpStream::connect(address).await.expect("metrics are served there");
        let request =
            format!("GET /metrics HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await.expect("the request is taken");
        let mut text = String::new();
        socket.read_to_string(&mut text).await.expect("the answer is text");
        assert!(text.starts_with("HTTP/1.1 200"), "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
        Self { text }
    }

    /// The value of a metric, such as `gate_open` or `schema_drift{kind="missing"}`, if it is told.
    pub fn get(&self, metric: &str) -> Option<f64> {
        let line = self.text.lines().find_map(|line| line.strip_prefix(metric)?.strip_prefix(' '));
        line.map(|value| value.parse().expect("a value is a number"))
    }

    /// The value of a metric that must be told.
    ///
    /// # Panics
    /// It is not.
    pub fn value(&self, metric: &str) -> f64 {
        self.get(metric).unwrap_or_else(|| panic!("{metric} is missing in:\n{}", self.text))
    }
}
