//! The certificates of a listener: read before it binds, and taken anew when their files change.

use std::{
    convert::Infallible,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use tokio::{sync::watch, time::sleep};

use ::tls::{
    BadFile, Certificate,
    pem::{self, FileStamp},
    provider,
};
use wire::format_time;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How long before its end a certificate is warned of, and how often.
const SOON: Duration = Duration::from_secs(7 * 24 * 60 * 60);
const AGAIN: Duration = Duration::from_secs(24 * 60 * 60);

/// Where a listener's certificates are.
#[derive(Clone, Debug)]
pub struct ListenerFiles {
    /// Its own, with what stands between it and its authority.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authorities of its callers, whose certificates are asked for where this is given.
    pub client_ca: Option<PathBuf>,
    /// Whether they must have one.
    pub client_auth: ClientAuth,
}

/// Whether callers must show a certificate. One that is shown must be good either way.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum ClientAuth {
    /// Nobody calls without one; but for a health check that comes from this very machine.
    #[default]
    Required,
    /// Callers without one are nobody in particular.
    Optional,
}

/// What a listener shows its callers, and whom it lets in: the newest good version of its files.
/// Its clones are the same one.
#[derive(Clone, Debug)]
pub struct ListenerTls {
    files: Arc<ListenerFiles>,
    loaded: watch::Sender<Arc<Loaded>>,
}

/// One version of the files.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// For calls.
    pub(crate) rpc: Arc<ServerConfig>,
    /// For calls from this very machine, which may do without a certificate: `health` has none.
    pub(crate) local: Arc<ServerConfig>,
    /// For scrapes, over HTTP/1.
    pub(crate) metrics: Arc<ServerConfig>,
    certificate: Certificate,
    stamps: Vec<FileStamp>,
}

impl ListenerTls {
    /// Reads the files.
    ///
    /// # Errors
    /// One of them is of no use; the error names it.
    pub fn load(files: ListenerFiles) -> Result<Self, BadFile> {
        let loaded = Loaded::read(&files)?;
        loaded.tell(&files);
        Ok(Self { files: Arc::new(files), loaded: watch::Sender::new(Arc::new(loaded)) })
    }

    /// Whether the certificate is one of `schema certs`.
    pub fn is_for_development(&self) -> bool {
        self.newest().certificate.is_for_development()
    }

    /// Whether a call needs a certificate, unless it asks for health.
    pub(crate) fn requires_client_certificate(&self) -> bool {
        self.files.client_ca.is_some() && self.files.client_auth == ClientAuth::Required
    }

    pub(crate) fn newest(&self) -> Arc<Loaded> {
        self.loaded.borrow().clone()
    }

    /// Takes each good version of the files as it comes. One that is of no use changes nothing,
    /// and is told once.
    pub(crate) async fn follow(&self) -> Infallible {
        let mut seen = self.newest().stamps.clone();
        let mut warned = Instant::now();
        loop {
            sleep(LOOK).await;
            let files = Arc::clone(&self.files);
            let known = seen.clone();
            let looked = tokio::task::spawn_blocking(move || {
                let stamps = files.stamps();
                (stamps != known).then(|| (stamps, Loaded::read(&files)))
            });
            match looked.await {
                Ok(Some((_, Ok(loaded)))) => {
                    loaded.tell(&self.files);
                    warned = Instant::now();
                    seen.clone_from(&loaded.stamps);
                    self.loaded.send_replace(Arc::new(loaded));
                }
                Ok(Some((stamps, Err(error)))) => {
                    tracing::warn!("TLS goes on with the certificate that it has: {error}");
                    seen = stamps;
                }
                Ok(None) | Err(_) => {}
            }
            if warned.elapsed() > AGAIN {
                warned = Instant::now();
                self.newest().warn(&self.files.cert);
            }
        }
    }
}

impl ListenerFiles {
    fn stamps(&self) -> Vec<FileStamp> {
        let all = [Some(&self.cert), Some(&self.key), self.client_ca.as_ref()];
        all.into_iter().flatten().map(|path| FileStamp::of(path)).collect()
    }
}

impl Loaded {
    fn read(files: &ListenerFiles) -> Result<Self, BadFile> {
        // Before they are read: what is written meanwhile is read again.
        let stamps = files.stamps();
        let chain = pem::read_chain(&files.cert)?;
        let key = pem::read_key(&files.key)?;
        let certificate = chain.first().and_then(Certificate::parse);
        let certificate =
            certificate.ok_or_else(|| BadFile::new(&files.cert, "no X.509 certificate"))?;
        let config = |callers, alpn: &[&[u8]]| {
            config(callers, alpn, &chain, &key)
                .map_err(|error| BadFile::unusable_key(&files.key, &files.cert, error))
        };
        let callers = |optional| match &files.client_ca {
            Some(path) => verifier(path, optional),
            None => Ok(WebPkiClientVerifier::no_client_auth()),
        };
        let optional = files.client_auth == ClientAuth::Optional;
        Ok(Self {
            rpc: config(callers(optional)?, &[b"h2"])?,
            local: config(callers(true)?, &[b"h2"])?,
            metrics: config(callers(optional)?, &[b"h2", b"http/1.1"])?,
            certificate,
            stamps,
        })
    }

    fn tell(&self, files: &ListenerFiles) {
        tracing::info!(
            "TLS with {}, which is good until {}",
            files.cert.display(),
            format_time(self.certificate.expires_at())
        );
        self.warn(&files.cert);
    }

    fn warn(&self, path: &Path) {
        let until = format_time(self.certificate.expires_at());
        match self.certificate.time_left() {
            Duration::ZERO => tracing::warn!("{} expired at {until}", path.display()),
            left if left < SOON => tracing::warn!(
                "{} expires soon, at {until}: put a new one in its place; no restart is needed",
                path.display()
            ),
            _ => {}
        }
    }
}

fn verifier(path: &Path, optional: bool) -> Result<Arc<dyn ClientCertVerifier>, BadFile> {
    let roots = Arc::new(pem::read_authorities(path)?);
    let mut builder = WebPkiClientVerifier::builder_with_provider(roots, provider());
    if optional {
        builder = builder.allow_unauthenticated();
    }
    builder.build().map(|verifier| verifier as _).map_err(|error| BadFile::new(path, error))
}

fn config(
    callers: Arc<dyn ClientCertVerifier>,
    alpn: &[&[u8]],
    chain: &[CertificateDer<'static>],
    key: &PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(callers)
        .with_single_cert(chain.to_vec(), key.clone_key())?;
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(Arc::new(config))
}
