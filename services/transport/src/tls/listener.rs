use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

use ::tls::BadFile;
use arc_swap::ArcSwap;
use tokio::time::sleep;

use super::certificates::{Certificates, ClientAuth, ListenerFiles};

/// How often the files are checked for a change.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
const EXPIRY_WARNING_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// The certificates of a listener: the newest valid version of its files. Clones share it.
#[derive(Clone, Debug)]
pub struct ListenerTls {
    files: Arc<ListenerFiles>,
    certificates: Arc<ArcSwap<Certificates>>,
}

impl ListenerTls {
    /// Reads the files.
    ///
    /// # Errors
    /// One of them cannot be used; the error names it.
    pub fn load(files: ListenerFiles) -> Result<Self, BadFile> {
        let certificates = Certificates::read(&files)?;
        certificates.log_loaded(&files.cert);
        let certificates = Arc::new(ArcSwap::from_pointee(certificates));
        Ok(Self { files: Arc::new(files), certificates })
    }

    /// Whether `schema certs` made the certificate.
    pub fn is_for_development(&self) -> bool {
        self.current().is_for_development()
    }

    /// Whether calls other than health checks need a client certificate.
    pub(crate) fn requires_client_certificate(&self) -> bool {
        self.files.client_ca.is_some() && self.files.client_auth == ClientAuth::Required
    }

    pub(crate) fn current(&self) -> Arc<Certificates> {
        self.certificates.load_full()
    }

    /// Reloads the files as they change. Files that cannot be used change nothing and are logged
    /// once.
    pub(crate) async fn reload(&self) -> Infallible {
        let mut seen = self.current().stamps.clone();
        let mut last_warning = Instant::now();
        loop {
            sleep(POLL_INTERVAL).await;
            let files = Arc::clone(&self.files);
            let known = seen.clone();
            let changed = tokio::task::spawn_blocking(move || {
                let stamps = files.stamps();
                (stamps != known).then(|| (stamps, Certificates::read(&files)))
            });
            match changed.await {
                Ok(Some((_, Ok(certificates)))) => {
                    certificates.log_loaded(&self.files.cert);
                    last_warning = Instant::now();
                    seen.clone_from(&certificates.stamps);
                    self.certificates.store(Arc::new(certificates));
                }
                Ok(Some((stamps, Err(error)))) => {
                    tracing::error!(%error, "cannot reload TLS certificate; keeping the current one");
                    seen = stamps;
                }
                Ok(None) | Err(_) => {}
            }
            if last_warning.elapsed() > EXPIRY_WARNING_INTERVAL {
                last_warning = Instant::now();
                self.current().warn_of_expiry(&self.files.cert);
            }
        }
    }
}
