use std::{path::Path, path::PathBuf, sync::Arc, time::Duration};

use ::tls::{
    BadFile, Certificate,
    pem::{self, FileStamp},
    provider,
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use wire::format_time;

/// How long before it expires a certificate is warned of.
const EXPIRY_WARNING: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The certificate files of a listener.
#[derive(Clone, Debug)]
pub struct ListenerFiles {
    /// The listener's certificate chain, leaf first.
    pub cert: PathBuf,
    /// The private key of that certificate.
    pub key: PathBuf,
    /// The authorities of client certificates; without them, callers are not asked for one.
    pub client_ca: Option<PathBuf>,
    /// Whether callers must present a client certificate.
    pub client_auth: ClientAuth,
}

/// Whether callers must present a client certificate. One that is presented must be valid either way.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum ClientAuth {
    /// Every call needs one, except health checks from this machine.
    #[default]
    Required,
    /// Callers without one are anonymous.
    Optional,
}

impl ListenerFiles {
    pub(super) fn stamps(&self) -> Vec<FileStamp> {
        let all = [Some(&self.cert), Some(&self.key), self.client_ca.as_ref()];
        all.into_iter().flatten().map(|path| FileStamp::of(path)).collect()
    }
}

/// One version of the files.
#[derive(Debug)]
pub(crate) struct Certificates {
    pub(crate) rpc: Arc<ServerConfig>,
    /// For rpcs from this machine, which may come without a certificate: health checks have none.
    pub(crate) local: Arc<ServerConfig>,
    /// For scrapes and other requests that may come over HTTP/1.
    pub(crate) http: Arc<ServerConfig>,
    certificate: Certificate,
    pub(super) stamps: Vec<FileStamp>,
}

impl Certificates {
    pub(super) fn read(files: &ListenerFiles) -> Result<Self, BadFile> {
        // Before the files are read: what is written meanwhile is read again.
        let stamps = files.stamps();
        let chain = pem::read_chain(&files.cert)?;
        let key = pem::read_key(&files.key)?;
        let certificate = chain.first().and_then(Certificate::parse);
        let certificate =
            certificate.ok_or_else(|| BadFile::new(&files.cert, "not an X.509 certificate"))?;
        let config = |verifier, alpn: &[&[u8]]| {
            server_config(verifier, alpn, &chain, &key)
                .map_err(|error| BadFile::unusable_key(&files.key, &files.cert, error))
        };
        let verifier = |is_optional| match &files.client_ca {
            Some(path) => client_verifier(path, is_optional),
            None => Ok(WebPkiClientVerifier::no_client_auth()),
        };
        let is_optional = files.client_auth == ClientAuth::Optional;
        Ok(Self {
            rpc: config(verifier(is_optional)?, &[b"h2"])?,
            local: config(verifier(true)?, &[b"h2"])?,
            http: config(verifier(is_optional)?, &[b"h2", b"http/1.1"])?,
            certificate,
            stamps,
        })
    }

    pub(super) fn is_for_development(&self) -> bool {
        self.certificate.is_for_development()
    }

    pub(super) fn log_loaded(&self, path: &Path) {
        let expires_at = format_time(self.certificate.expires_at());
        tracing::info!(certificate = %path.display(), expires_at, "loaded TLS certificate");
        self.warn_of_expiry(path);
    }

    pub(super) fn warn_of_expiry(&self, path: &Path) {
        let expires_at = format_time(self.certificate.expires_at());
        let certificate = path.display();
        match self.certificate.time_left() {
            Duration::ZERO => {
                tracing::warn!(%certificate, "TLS certificate expired at {expires_at}; replace the file");
            }
            left if left < EXPIRY_WARNING => tracing::warn!(
                %certificate,
                "TLS certificate expires at {expires_at}; replace the file, no restart is needed"
            ),
            _ => {}
        }
    }
}

fn client_verifier(path: &Path, is_optional: bool) -> Result<Arc<dyn ClientCertVerifier>, BadFile> {
    let roots = Arc::new(pem::read_authorities(path)?);
    let mut builder = WebPkiClientVerifier::builder_with_provider(roots, provider());
    if is_optional {
        builder = builder.allow_unauthenticated();
    }
    builder.build().map(|verifier| verifier as _).map_err(|error| BadFile::new(path, error))
}

fn server_config(
    verifier: Arc<dyn ClientCertVerifier>,
    alpn: &[&[u8]],
    chain: &[CertificateDer<'static>],
    key: &PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain.to_vec(), key.clone_key())?;
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(Arc::new(config))
}
