use std::{
    convert::Infallible,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::task::spawn_blocking;

use super::{
    access_file::{Callers, FileError},
    caller::Caller,
    policy::Policy,
    refusal_log::RefusalLog,
};

/// How often the file is read. A change takes effect once two reads in a row agree: a file that is
/// being written may be valid TOML at the end of any line, with a part of the callers.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Why an access file is refused when a service starts.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The file cannot be read.
    #[error("cannot read the access file {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file is not a valid access file.
    #[error("access file {path}: {source}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: FileError,
    },
}

/// The access file as it is now, with the policy of its service. Clones share it.
#[derive(Clone, Debug)]
pub struct Access {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    policy: Policy,
    path: PathBuf,
    initial_text: String,
    callers: ArcSwap<Callers>,
    refusals: RefusalLog,
}

impl Access {
    /// Reads an access file.
    ///
    /// # Errors
    /// It cannot be read, or an entry in it is not valid.
    pub fn load(path: &Path, policy: Policy) -> Result<Self, AccessError> {
        let path = path.to_owned();
        let initial_text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(source) => return Err(AccessError::Unreadable { path, source }),
        };
        let callers = match Callers::parse(&initial_text, &policy) {
            Ok(callers) => ArcSwap::from_pointee(callers),
            Err(source) => return Err(AccessError::Invalid { path, source }),
        };
        let refusals = RefusalLog::default();
        Ok(Self { inner: Arc::new(Inner { policy, path, initial_text, callers, refusals }) })
    }

    pub(super) fn policy(&self) -> &Policy {
        &self.inner.policy
    }

    pub(super) fn refusals(&self) -> &RefusalLog {
        &self.inner.refusals
    }

    pub(super) fn find_by_token(&self, token: &[u8]) -> Option<Caller> {
        self.inner.callers.load().find_by_token(token).cloned()
    }

    pub(super) fn find_by_certificate(&self, name: &str) -> Option<Caller> {
        self.inner.callers.load().find_by_certificate(name).cloned()
    }

    /// Reloads the file whenever it changes, in place or by a symbolic link. A file that is invalid
    /// or missing leaves the callers as they are and is logged once.
    pub async fn reload(&self) -> Infallible {
        let mut applied = Ok(self.inner.initial_text.clone());
        let mut previous = applied.clone();
        loop {
            tokio::time::sleep(POLL_INTERVAL).await;
            let current = self.read().await;
            if current == previous && current != applied {
                self.apply(current.as_deref());
                applied.clone_from(&current);
            }
            previous = current;
        }
    }

    async fn read(&self) -> Result<String, io::ErrorKind> {
        let path = self.inner.path.clone();
        let read = spawn_blocking(move || fs::read_to_string(path)).await;
        read.unwrap_or_else(|error| Err(error.into())).map_err(|error| error.kind())
    }

    fn apply(&self, text: Result<&str, &io::ErrorKind>) {
        let path = self.inner.path.display();
        match text.map(|text| Callers::parse(text, &self.inner.policy)) {
            Ok(Ok(callers)) => {
                tracing::info!(%path, callers = callers.len(), "access file reloaded");
                self.inner.callers.store(Arc::new(callers));
            }
            Ok(Err(error)) => {
                tracing::error!(%path, %error, "invalid access file; keeping the current callers");
            }
            Err(error) => {
                tracing::error!(%path, %error, "cannot read access file; keeping the current callers");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token_sha256;

    const POLICY: Policy = Policy { roles: &["reader"], bound: None, rule: |_| None };

    fn text(token: &str) -> String {
        let hash = token_sha256(token);
        format!("[[caller]]\nname = 'a'\nrole = 'reader'\nsha256 = '{hash}'\n")
    }

    #[tokio::test(start_paused = true)]
    async fn a_changed_file_takes_effect_and_an_invalid_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("access.toml");
        fs::write(&file, text("first")).unwrap();
        let access = Access::load(&file, POLICY).unwrap();
        let reloading = tokio::spawn({
            let access = access.clone();
            async move { access.reload().await }
        });
        let knows = |token: &str| access.find_by_token(token.as_bytes()).is_some();
        // Time is paused: this ends after that many reads of the file, whatever they take.
        let reads = || tokio::time::sleep(POLL_INTERVAL * 5);
        assert!(knows("first") && !knows("second"));

        // As Kubernetes does it: a symbolic link is replaced in one step.
        fs::write(folder.path().join("second"), text("second")).unwrap();
        std::os::unix::fs::symlink("second", folder.path().join("link")).unwrap();
        fs::rename(folder.path().join("link"), &file).unwrap();
        reads().await;
        assert!(knows("second") && !knows("first"));

        for invalid in ["", "[[caller", "[[caller]]\nname = 'a'\nrole = 'root'"] {
            fs::write(folder.path().join("second"), invalid).unwrap();
            reads().await;
            assert!(knows("second"), "{invalid}");
        }
        fs::remove_file(&file).unwrap();
        reads().await;
        assert!(knows("second"));

        fs::write(&file, text("third")).unwrap();
        reads().await;
        assert!(knows("third") && !knows("second"));
        reloading.abort();
    }

    #[test]
    fn an_invalid_file_is_refused_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("access.toml");
        let missing = Access::load(&file, POLICY).unwrap_err().to_string();
        assert!(
            missing.contains("cannot read the access file") && missing.contains("access.toml"),
            "{missing}"
        );
        fs::write(&file, "").unwrap();
        let empty = Access::load(&file, POLICY).unwrap_err().to_string();
        assert!(empty.contains("no [[caller]]"), "{empty}");
    }
}
