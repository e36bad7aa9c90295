use std::{
    io,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::future::BoxFuture;
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::transport::Uri;
use tower::Service;
use wire::error_chain;

use crate::{
    ClientFiles, MaybeTlsStream, NoCertificateVerification, client_config, with_handshake_message,
};

#[derive(Clone, Debug)]
enum Trust {
    Files(Arc<ClientFiles>),
    AnyCertificate,
}

/// Connects to `https://` and `http://` URLs, for tonic's `connect_with_connector`.
#[derive(Clone, Debug)]
pub struct Connector {
    tcp: HttpConnector,
    trust: Trust,
    protocol: &'static [u8],
}

impl Connector {
    /// A connector that trusts the files' authorities and presents their certificate.
    pub fn new(files: ClientFiles) -> Self {
        Self::trusting(Trust::Files(Arc::new(files)))
    }

    /// A connector that verifies no certificate and presents none: for a service that checks its
    /// own health on this machine.
    pub fn without_certificate_verification() -> Self {
        Self::trusting(Trust::AnyCertificate)
    }

    /// A connector for HTTP/1.1, such as scrapes.
    pub fn http1(files: ClientFiles) -> Self {
        Self { protocol: b"http/1.1", ..Self::new(files) }
    }

    fn trusting(trust: Trust) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        Self { tcp, trust, protocol: b"h2" }
    }
}

impl Trust {
    fn config(&self, protocol: &[u8]) -> io::Result<ClientConfig> {
        let mut config = match self {
            Self::Files(files) => files.config()?,
            Self::AnyCertificate => client_config()
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(NoCertificateVerification::new()))
                .with_no_client_auth(),
        };
        config.alpn_protocols = vec![protocol.to_vec()];
        Ok(config)
    }

    async fn secure(
        self,
        host: &str,
        stream: TcpStream,
        protocol: &'static [u8],
    ) -> io::Result<TlsStream<TcpStream>> {
        let config = tokio::task::spawn_blocking(move || self.config(protocol)).await??;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host).map_err(io::Error::other)?;
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
        let stream = stream.map_err(with_handshake_message)?;
        if stream.get_ref().1.alpn_protocol() == Some(protocol) {
            Ok(stream)
        } else {
            Err(with_handshake_message(io::Error::other(rustls::Error::NoApplicationProtocol)))
        }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<MaybeTlsStream>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<TokioIo<MaybeTlsStream>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tcp.poll_ready(cx).map_err(io::Error::other)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.tcp.call(uri.clone());
        let (trust, protocol) = (self.trust.clone(), self.protocol);
        Box::pin(async move {
            let stream = connecting.await.map_err(|error| io::Error::other(error_chain(&error)))?;
            let stream = stream.into_inner();
            let io = match uri.scheme_str() {
                Some("https") => {
                    let host = uri.host().unwrap_or_default();
                    MaybeTlsStream::Tls(Box::new(trust.secure(host, stream, protocol).await?))
                }
                _ => MaybeTlsStream::Plain(stream),
            };
            Ok(TokioIo::new(io))
        })
    }
}
