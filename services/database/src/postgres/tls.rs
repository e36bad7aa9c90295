//! TLS to PostgreSQL, which begins in plaintext: the connector that `tokio_postgres` takes.

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

use ::tls::{
    AuthorityOnlyVerification, ClientFiles, NoCertificateVerification, client_config,
    handshake_message,
};

/// The protocol's name, without which newer servers refuse `sslnegotiation=direct`.
const PROTOCOL: &[u8] = b"postgresql";

/// What a server's certificate must prove.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ServerProof {
    None,
    /// A trusted authority signed it, whatever its name.
    Authority,
    /// A trusted authority signed it for the host of the URL.
    AuthorityAndName,
}

/// Makes connections secure. The files are read for each of them, so that renewed ones need no
/// restart.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct PostgresConnector {
    files: Arc<ClientFiles>,
    proof: ServerProof,
}

/// The handshake with one server.
pub(super) struct Handshake {
    connector: PostgresConnector,
    host: String,
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct HandshakeFailed(String);

impl PostgresConnector {
    pub(super) fn new(files: ClientFiles, proof: ServerProof) -> Self {
        Self { files: Arc::new(files), proof }
    }

    #[cfg(test)]
    pub(super) const fn proof(&self) -> ServerProof {
        self.proof
    }

    fn config(&self) -> io::Result<ClientConfig> {
        let builder = match self.proof {
            ServerProof::None => client_config()
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(NoCertificateVerification::new())),
            ServerProof::Authority => {
                let verifier = AuthorityOnlyVerification::new(self.files.authorities()?);
                client_config().dangerous().with_custom_certificate_verifier(Arc::new(verifier))
            }
            ServerProof::AuthorityAndName => {
                client_config().with_root_certificates(self.files.authorities()?)
            }
        };
        let mut config = self.files.with_client_certificate(builder).map_err(io::Error::other)?;
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(config)
    }
}

impl MakeTlsConnect<Socket> for PostgresConnector {
    type Stream = PostgresTlsStream;
    type TlsConnect = Handshake;
    type Error = Infallible;

    fn make_tls_connect(&mut self, host: &str) -> Result<Handshake, Infallible> {
        Ok(Handshake { connector: self.clone(), host: host.to_owned() })
    }
}

impl TlsConnect<Socket> for Handshake {
    type Stream = PostgresTlsStream;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = BoxFuture<'static, Result<PostgresTlsStream, Self::Error>>;

    fn connect(self, stream: Socket) -> Self::Future {
        let Self { connector, host } = self;
        Box::pin(async move {
            let config = tokio::task::spawn_blocking(move || connector.config()).await??;
            let name = ServerName::try_from(host)?;
            let secured = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
            Ok(PostgresTlsStream(
                secured.map_err(|error| HandshakeFailed(with_message(error).to_string()))?,
            ))
        })
    }
}

/// A connection over TLS.
#[derive(Debug)]
pub struct PostgresTlsStream(TlsStream<Socket>);

impl tokio_postgres::tls::TlsStream for PostgresTlsStream {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for PostgresTlsStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Ready(match ready!(Pin::new(&mut self.0).poll_read(cx, buffer)) {
            // A server that is killed sends no close_notify. Messages carry their length, so that a
            // truncated one is noticed anyway.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
            // TLS 1.3: the server may refuse the client's certificate after the handshake.
            read => read.map_err(with_message),
        })
    }
}

impl AsyncWrite for PostgresTlsStream {
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

/// Replaces the text of a failed handshake by one that names the parameters of a PostgreSQL URL.
fn with_message(error: io::Error) -> io::Error {
    let message = match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            "the server's certificate is not trusted: no authority in sslrootcert signed it".into()
        }
        Some(Error::InvalidMessage(_)) => "the server does not speak TLS".into(),
        Some(error) => handshake_message(error),
        None => return error,
    };
    io::Error::new(error.kind(), message)
}
