//! Scrapes metrics like Prometheus.

use std::{io, net::SocketAddr};

use tls::{ClientFiles, Connector};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
};
use tower::Service as _;

/// The metrics of a service.
#[derive(Clone, Debug)]
pub struct Scrape {
    /// The HTTP response with its headers.
    pub text: String,
}

impl Scrape {
    /// Scrapes an address.
    ///
    /// # Panics
    /// The response is not a page of metrics.
    pub async fn of(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).await.expect("metrics are served there");
        Self::over(socket, address).await.expect("the scrape is answered")
    }

    /// Scrapes an address over TLS, with the server name `localhost`.
    ///
    /// # Errors
    /// The TLS handshake fails.
    ///
    /// # Panics
    /// The response is not a page of metrics.
    pub async fn secure(address: SocketAddr, files: ClientFiles) -> io::Result<Self> {
        let url = format!("https://localhost:{}", address.port());
        let url = url.parse().expect("it is a URI");
        let socket = Connector::http1(files).call(url).await?.into_inner();
        Self::over(socket, address).await
    }

    async fn over(
        mut socket: impl AsyncRead + AsyncWrite + Unpin,
        address: SocketAddr,
    ) -> io::Result<Self> {
        let request =
            format!("GET /metrics HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await?;
        let mut text = String::new();
        socket.read_to_string(&mut text).await?;
        assert!(text.starts_with("HTTP/1.1 200"), "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
        Ok(Self { text })
    }

    /// The value of a metric, such as `gate_open` or `schema_drift{kind="missing"}`, if present.
    pub fn get(&self, metric: &str) -> Option<f64> {
        let line = self.text.lines().find_map(|line| line.strip_prefix(metric)?.strip_prefix(' '));
        line.map(|value| value.parse().expect("a value is a number"))
    }

    /// The value of a metric.
    ///
    /// # Panics
    /// The metric is missing.
    pub fn value(&self, metric: &str) -> f64 {
        self.get(metric).unwrap_or_else(|| panic!("{metric} is missing in:\n{}", self.text))
    }
}
