//! The file of callers as it is now: read again when it changes, and never taken when broken.

use std::{
    convert::Infallible,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use tokio::task::spawn_blocking;

use super::{
    access_file::{Callers, FileError},
    caller::Caller,
    policy::Policy,
    refusal_log::RefusalLog,
};

/// How often the file is looked at. It counts once two looks agree: one that is being written may
/// be whole at the end of any line, with half of the callers.
const LOOK: Duration = Duration::from_millis(500);

/// Why nobody could be let in.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The file cannot be read.
    #[error("the file of callers {path} cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is of no use.
    #[error("the file of callers {path}: {source}")]
    Broken {
        /// The file.
        path: PathBuf,
        /// Why.
        source: FileError,
    },
}

/// Who may call, and what; its clones are the same one.
#[derive(Clone, Debug)]
pub struct Access {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    policy: Policy,
    path: PathBuf,
    /// What the callers were read from.
    text: String,
    callers: RwLock<Arc<Callers>>,
    refusals: RefusalLog,
}

impl Access {
    /// Reads the file of callers.
    ///
    /// # Errors
    /// It cannot be read, or a caller in it is not what one must be.
    pub fn load(path: &Path, policy: Policy) -> Result<Self, AccessError> {
        let path = path.to_owned();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(source) => return Err(AccessError::Unreadable { path, source }),
        };
        let callers = match Callers::parse(&text, &policy) {
            Ok(callers) => RwLock::new(Arc::new(callers)),
            Err(source) => return Err(AccessError::Broken { path, source }),
        };
        let refusals = RefusalLog::default();
        Ok(Self { inner: Arc::new(Inner { policy, path, text, callers, refusals }) })
    }

    pub(super) fn policy(&self) -> &Policy {
        &self.inner.policy
    }

    pub(super) fn refusals(&self) -> &RefusalLog {
        &self.inner.refusals
    }

    pub(super) fn by_token(&self, token: &[u8]) -> Option<Caller> {
        self.callers().by_token(token).cloned()
    }

    pub(super) fn by_certificate(&self, name: &str) -> Option<Caller> {
        self.callers().by_certificate(name).cloned()
    }

    fn callers(&self) -> Arc<Callers> {
        Arc::clone(&self.inner.callers.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes the file anew whenever it changed, links and all. One that is broken or gone leaves
    /// everything as it is, and is told in the log once.
    pub async fn follow(&self) -> Infallible {
        let mut taken = Ok(self.inner.text.clone());
        let mut before = taken.clone();
        loop {
            tokio::time::sleep(LOOK).await;
            let now = self.read().await;
            if now == before && now != taken {
                self.take(now.as_deref());
                taken.clone_from(&now);
            }
            before = now;
        }
    }

    async fn read(&self) -> Result<String, io::ErrorKind> {
        let path = self.inner.path.clone();
        let read = spawn_blocking(move || fs::read_to_string(path)).await;
        read.unwrap_or_else(|error| Err(error.into())).map_err(|error| error.kind())
    }

    fn take(&self, text: Result<&str, &io::ErrorKind>) {
        let path = self.inner.path.display();
        let callers = match text.map(|text| Callers::parse(text, &self.inner.policy)) {
            Ok(Ok(callers)) => Arc::new(callers),
            Ok(Err(error)) => {
                tracing::error!("the file of callers {path}: {error}; the earlier one counts");
                return;
            }
            Err(error) => {
                tracing::error!(
                    "the file of callers {path} cannot be read: {error}; the earlier one counts"
                );
                return;
            }
        };
        tracing::info!(callers = callers.len(), "the file of callers was read anew");
        *self.inner.callers.write().unwrap_or_else(PoisonError::into_inner) = callers;
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
    async fn a_new_file_counts_and_a_broken_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("access.toml");
        fs::write(&file, text("first")).unwrap();
        let access = Access::load(&file, POLICY).unwrap();
        let following = tokio::spawn({
            let access = access.clone();
            async move { access.follow().await }
        });
        let knows = |token: &str| access.by_token(token.as_bytes()).is_some();
        let looks = || tokio::time::sleep(LOOK * 5);
        assert!(knows("first") && !knows("second"));

        // As an orchestrator does it: a link that points elsewhere at once.
        fs::write(folder.path().join("second"), text("second")).unwrap();
        std::os::unix::fs::symlink("second", folder.path().join("link")).unwrap();
        fs::rename(folder.path().join("link"), &file).unwrap();
        looks().await;
        assert!(knows("second") && !knows("first"));

        for broken in ["", "[[caller", "[[caller]]\nname = 'a'\nrole = 'root'"] {
            fs::write(folder.path().join("second"), broken).unwrap();
            looks().await;
            assert!(knows("second"), "{broken}");
        }
        fs::remove_file(&file).unwrap();
        looks().await;
        assert!(knows("second"));

        fs::write(&file, text("third")).unwrap();
        looks().await;
        assert!(knows("third") && !knows("second"));
        following.abort();
    }

    #[test]
    fn a_file_of_no_use_is_refused_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("access.toml");
        let missing = Access::load(&file, POLICY).unwrap_err().to_string();
        assert!(missing.contains("access.toml cannot be read"), "{missing}");
        fs::write(&file, "").unwrap();
        let empty = Access::load(&file, POLICY).unwrap_err().to_string();
        assert!(empty.contains("no [[caller]]"), "{empty}");
    }
}
