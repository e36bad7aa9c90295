//! The way to PostgreSQL, which begins in plaintext and goes on in TLS: what `tokio_postgres` asks
//! of a connector.

use std::{
    convert::Infallible,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_util::future::BoxFuture;
use rustls::{CertificateError, ClientConfig, Error, pki_types::ServerName};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::{
    Socket,
    tls::{ChannelBinding, MakeTlsConnect, TlsConnect},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{ClientFiles, Whoever, client::builder, words::words};

/// The protocol's name, without which newer servers refuse `sslnegotiation=direct`.
const PROTOCOL: &[u8] = b"postgresql";

/// What a server's certificate must prove.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Proof {
    /// Nothing.
    None,
    /// That an authority vouches for it, whatever it is called.
    Authority,
    /// That, and that it is the server which was asked for.
    Name,
}

/// Makes connections secure. The files are read for each of them, so that renewed ones need no
/// restart.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct PostgresConnector {
    pub(crate) files: Arc<ClientFiles>,
    pub(crate) proof: Proof,
}

/// The handshake with one server.
pub(crate) struct Handshake {
    connector: PostgresConnector,
    host: String,
}

/// A handshake that failed, in words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct HandshakeFailed(String);

impl PostgresConnector {
    fn config(&self) -> io::Result<ClientConfig> {
        let whoever =
            |whoever| builder().dangerous().with_custom_certificate_verifier(Arc::new(whoever));
        let builder = match self.proof {
            Proof::None => whoever(Whoever::at_all()),
            Proof::Authority => whoever(Whoever::vouched_for(self.files.roots()?)),
            Proof::Name => builder().with_root_certificates(self.files.roots()?),
        };
        let mut config = self.files.identified(builder).map_err(io::Error::other)?;
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(config)
    }
}

impl MakeTlsConnect<Socket> for PostgresConnector {
    type Stream = Secured;
    type TlsConnect = Handshake;
    type Error = Infallible;

    fn make_tls_connect(&mut self, host: &str) -> Result<Handshake, Infallible> {
        Ok(Handshake { connector: self.clone(), host: host.to_owned() })
    }
}

impl TlsConnect<Socket> for Handshake {
    type Stream = Secured;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = BoxFuture<'static, Result<Secured, Self::Error>>;

    fn connect(self, stream: Socket) -> Self::Future {
        let Self { connector, host } = self;
        Box::pin(async move {
            let config = tokio::task::spawn_blocking(move || connector.config()).await??;
            let name = ServerName::try_from(host)?;
            let secured = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
            Ok(Secured(secured.map_err(|error| HandshakeFailed(told(error).to_string()))?))
        })
    }
}

/// A connection over TLS.
#[derive(Debug)]
pub struct Secured(TlsStream<Socket>);

impl tokio_postgres::tls::TlsStream for Secured {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Secured {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Ready(match ready!(Pin::new(&mut self.0).poll_read(cx, buffer)) {
            // A server that is killed says no goodbye in TLS, as it says none without. Its messages
            // carry their length: what is cut short is noticed either way.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
            // What it thinks of a client's certificate may come only now.
            read => read.map_err(told),
        })
    }
}

impl AsyncWrite for Secured {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// The error with words that name what a URL of PostgreSQL's would have to say.
fn told(error: io::Error) -> io::Error {
    let said = match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            "the server's certificate is not trusted: no authority in sslrootcert vouches for it"
                .into()
        }
        Some(Error::InvalidMessage(_)) => "the server does not speak TLS".into(),
        Some(error) => words(error),
        None => return error,
    };
    io::Error::new(error.kind(), said)
}
