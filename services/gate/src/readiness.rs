//! gate.v1.ReadinessService: the gate's report for people.

use std::sync::Arc;

use api::gate::v1::{
    Proof, ReadinessRequest, ReadinessResponse, readiness_service_server::ReadinessService,
};
use tonic::{Request, Response, Status};

use crate::{evaluation::SCHEMA_PROOF, inner::Inner, proof::HostProof};

/// Answers from the gate's memory, without a call to the schema service.
#[derive(Debug)]
pub struct GateReadiness {
    gate: Arc<Inner>,
}

impl GateReadiness {
    pub(crate) fn new(gate: Arc<Inner>) -> Self {
        Self { gate }
    }
}

#[tonic::async_trait]
impl ReadinessService for GateReadiness {
    async fn readiness(
        &self,
        _: Request<ReadinessRequest>,
    ) -> Result<Response<ReadinessResponse>, Status> {
        Ok(Response::new(self.gate.readiness()))
    }
}

impl Inner {
    pub(crate) fn readiness(&self) -> ReadinessResponse {
        let report = self.state.report().clone();
        let refusal = report.refusal();
        ReadinessResponse {
            open: report.is_open(),
            reason: refusal.map(|refusal| refusal.reason.as_str().into()).unwrap_or_default(),
            message: refusal.map(|refusal| refusal.message().into()).unwrap_or_default(),
            since: Some(report.phase.at.into()),
            proofs: self.with_unchecked(report.proofs),
            heard_at: self.schema.view().state.as_ref().map(|known| known.at.into()),
            requires: self.requirements.requires.clone(),
            built_with: self.requirements.built_with.clone(),
        }
    }

    /// Adds the proofs that were not checked, because one before them failed.
    fn with_unchecked(&self, mut proofs: Vec<Proof>) -> Vec<Proof> {
        let evidence = match proofs.last() {
            Some(last) => format!("not checked: proof \"{}\" fails", last.name),
            None => "not checked yet".into(),
        };
        let names = [SCHEMA_PROOF].into_iter().chain(self.proofs.provided().map(HostProof::name));
        for name in names.skip(proofs.len()) {
            let (name, evidence) = (name.into(), evidence.clone());
            proofs.push(Proof { name, evidence, ..Proof::default() });
        }
        proofs
    }
}
