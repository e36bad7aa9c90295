//! The way to a service: over TLS where its URL is `https://`. The files are read for each
//! connection, so that renewed ones need no restart.

use std::{
    io,
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_util::future::BoxFuture;
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use rustls::{
    ClientConfig, ConfigBuilder, RootCertStore, client::WantsClientCert, pki_types::ServerName,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::transport::Uri;
use tower::Service;

use super::{
    Whoever,
    files::{self, BadFile},
    provider,
    words::told,
};
use crate::database::chain;

/// Whom a client trusts, and who it is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ClientFiles {
    /// The authorities that may vouch for a server; the system's, if not given.
    pub ca: Option<PathBuf>,
    /// The client's own certificate, with what stands between it and its authority.
    pub cert: Option<PathBuf>,
    /// The key of that.
    pub key: Option<PathBuf>,
}

impl ClientFiles {
    /// Reads the files, only to say what is wrong with them.
    ///
    /// # Errors
    /// One of them is of no use; the error names it.
    pub fn check(&self) -> Result<(), BadFile> {
        if let Some(ca) = &self.ca {
            files::authorities(ca)?;
        }
        self.identified(builder().with_root_certificates(RootCertStore::empty())).map(drop)
    }

    /// What `grpcurl` needs to be told to do the same, with names of files in place of ours:
    /// whoever reads them has other ones.
    pub fn grpcurl_flags(&self) -> String {
        let ca = self.ca.as_ref().map(|_| "-cacert ca.pem");
        let identity = self.cert.as_ref().map(|_| "-cert client.pem -key client.key");
        ca.into_iter().chain(identity).collect::<Vec<_>>().join(" ")
    }

    fn config(&self) -> io::Result<ClientConfig> {
        self.identified(builder().with_root_certificates(self.roots()?)).map_err(io::Error::other)
    }

    /// The authorities that may vouch for a server.
    pub(crate) fn roots(&self) -> io::Result<RootCertStore> {
        match &self.ca {
            Some(ca) => files::authorities(ca).map_err(io::Error::other),
            None => files::system_authorities(),
        }
    }

    /// Adds who the client is.
    pub(crate) fn identified(
        &self,
        config: ConfigBuilder<ClientConfig, WantsClientCert>,
    ) -> Result<ClientConfig, BadFile> {
        let (Some(cert), Some(key)) = (&self.cert, &self.key) else {
            return Ok(config.with_no_client_auth());
        };
        config.with_client_auth_cert(files::chain(cert)?, files::key(key)?).map_err(|error| {
            match error {
                rustls::Error::InconsistentKeys(_) => BadFile::new(
                    key,
                    format!("is not the key of the certificate in {}", cert.display()),
                ),
                error => BadFile::new(key, format!("cannot be used: {error}")),
            }
        })
    }
}

/// A client's configuration in the making.
pub(crate) fn builder() -> ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    let builder = ClientConfig::builder_with_provider(provider());
    match builder.with_safe_default_protocol_versions() {
        Ok(builder) => builder,
        Err(error) => unreachable!("ring knows TLS 1.2 and 1.3: {error}"),
    }
}

/// Whom a connector trusts.
#[derive(Clone, Debug)]
enum Trust {
    Files(Arc<ClientFiles>),
    /// Whoever is there: a service that asks itself.
    Whoever,
}

/// Connects to `https://` and `http://`, for tonic's `connect_with_connector`.
#[derive(Clone, Debug)]
pub struct Connector {
    tcp: HttpConnector,
    trust: Trust,
    protocol: &'static [u8],
}

impl Connector {
    /// One that trusts, and shows, what the files hold.
    pub fn new(files: ClientFiles) -> Self {
        Self::trusting(Trust::Files(Arc::new(files)))
    }

    /// One that takes whoever is there, and tells nothing of itself: for a service that asks
    /// itself how it is.
    pub(crate) fn to_itself() -> Self {
        Self::trusting(Trust::Whoever)
    }

    /// One for HTTP/1.1, such as scrapes.
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
            Self::Whoever => builder()
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Whoever::at_all()))
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
        let stream =
            TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(told)?;
        if stream.get_ref().1.alpn_protocol() == Some(protocol) {
            Ok(stream)
        } else {
            Err(told(io::Error::other(rustls::Error::NoApplicationProtocol)))
        }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Io>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<TokioIo<Io>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tcp.poll_ready(cx).map_err(io::Error::other)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.tcp.call(uri.clone());
        let (trust, protocol) = (self.trust.clone(), self.protocol);
        Box::pin(async move {
            let stream = connecting.await.map_err(|error| io::Error::other(chain(&error)))?;
            let stream = stream.into_inner();
            let io = match uri.scheme_str() {
                Some("https") => {
                    let host = uri.host().unwrap_or_default();
                    Io::Tls(Box::new(trust.secure(host, stream, protocol).await?))
                }
                _ => Io::Plain(stream),
            };
            Ok(TokioIo::new(io))
        })
    }
}

/// A connection.
#[derive(Debug)]
pub enum Io {
    /// That anybody on the way may read.
    Plain(TcpStream),
    /// Over TLS. A server may say what it thinks of a client's certificate only later, and then
    /// the words are read here.
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => {
                Poll::Ready(ready!(Pin::new(stream).poll_read(cx, buffer)).map_err(told))
            }
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }
}
