//! The proofs that the host makes on its own connection.

use std::{fmt, future::Future, time::Duration};

use api::{Reason, schema::v1::SchemaState};
use futures_util::future::BoxFuture;
use tokio::time::timeout;

const PROOF_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a proof on the host's own connection does not hold.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ProofError {
    /// It was checked and does not hold. Closes an open gate.
    #[error("{0}")]
    Refuted(String),
    /// It could not be checked, for example because the database is unreachable. Opens no gate and
    /// closes none: calls that need the database fail by themselves.
    #[error("{0}")]
    Untried(String),
}

type CheckFn = Box<dyn Fn() -> BoxFuture<'static, Result<String, ProofError>> + Send + Sync>;

/// The proofs that the host provides.
#[derive(Default)]
pub(crate) struct HostProofs {
    database: Option<CheckFn>,
    models: Option<CheckFn>,
}

/// One proof of the host.
#[derive(Clone, Copy, Debug)]
pub(crate) enum HostProof {
    /// The host and the schema service are connected to the same database.
    Database,
    /// The host's tables are what its models need.
    Models,
}

impl HostProof {
    /// In the order in which they are checked.
    const ALL: [Self; 2] = [Self::Database, Self::Models];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Models => "models",
        }
    }

    /// The reason and message of the refusal that a failure leads to, if it closes the gate.
    pub(crate) fn closing(self, error: &ProofError, was_open: bool) -> Option<(Reason, String)> {
        match (error, was_open) {
            (ProofError::Refuted(why), _) => Some((self.refuted(), why.clone())),
            (ProofError::Untried(why), false) => {
                let message = format!("proof \"{}\" cannot be checked: {why}", self.name());
                Some((Reason::SchemaUnreachable, message))
            }
            (ProofError::Untried(_), true) => None,
        }
    }

    const fn refuted(self) -> Reason {
        match self {
            Self::Database => Reason::SchemaOtherDatabase,
            Self::Models => Reason::SchemaModelMismatch,
        }
    }
}

impl HostProofs {
    pub(crate) fn provide<F, Fut>(&mut self, proof: HostProof, check: F)
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<String, ProofError>> + Send + 'static,
    {
        let check: CheckFn = Box::new(move || Box::pin(check()));
        match proof {
            HostProof::Database => self.database = Some(check),
            HostProof::Models => self.models = Some(check),
        }
    }

    fn get(&self, proof: HostProof) -> Option<&CheckFn> {
        match proof {
            HostProof::Database => self.database.as_ref(),
            HostProof::Models => self.models.as_ref(),
        }
    }

    /// Those that are provided, in the order in which they are checked.
    pub(crate) fn provided(&self) -> impl Iterator<Item = HostProof> {
        HostProof::ALL.into_iter().filter(|proof| self.get(*proof).is_some())
    }

    /// Returns the evidence.
    pub(crate) async fn check(
        &self,
        proof: HostProof,
        state: &SchemaState,
    ) -> Result<String, ProofError> {
        let Some(check) = self.get(proof) else { return Ok(String::new()) };
        let result = timeout(PROOF_TIMEOUT, check()).await.unwrap_or_else(|_| {
            Err(ProofError::Untried(format!(
                "no answer from the database within {PROOF_TIMEOUT:?}"
            )))
        })?;
        match proof {
            HostProof::Database => same_database(result, state),
            HostProof::Models => Ok(result),
        }
    }
}

impl fmt::Debug for HostProofs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostProofs")
            .field("database", &self.database.is_some())
            .field("models", &self.models.is_some())
            .finish()
    }
}

fn same_database(own: String, state: &SchemaState) -> Result<String, ProofError> {
    if own == state.database_id {
        return Ok(format!("the schema service and this service use {own}"));
    }
    Err(ProofError::Refuted(format!(
        "the schema service uses database {} but this service uses {own}; configure both with the \
         same DATABASE_URL",
        state.database_id
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refuted_proof_closes_and_an_untried_one_only_keeps_closed() {
        let refuted = ProofError::Refuted("no such column".into());
        let untried = ProofError::Untried("connection refused".into());
        let mismatch = Some(Reason::SchemaModelMismatch);
        for (error, was_open, expected) in [
            (&refuted, false, mismatch),
            (&refuted, true, mismatch),
            (&untried, false, Some(Reason::SchemaUnreachable)),
            (&untried, true, None),
        ] {
            let reason = HostProof::Models.closing(error, was_open).map(|(reason, _)| reason);
            assert_eq!(reason, expected, "{error:?}, was open: {was_open}");
        }
        let other = HostProof::Database.closing(&refuted, true).map(|(reason, _)| reason);
        assert_eq!(other, Some(Reason::SchemaOtherDatabase));
    }
}
