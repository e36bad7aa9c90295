//! gate.v1: the gate as people want to read it.

use std::sync::Arc;

use api::gate::v1::{
    Proof, ReadinessRequest, ReadinessResponse, readiness_service_server::ReadinessService,
};
use tonic::{Request, Response, Status};

use crate::Inner;

/// Answers what the gate knows; asks nobody.
#[derive(Debug)]
pub struct Readiness {
    gate: Arc<Inner>,
}

impl Readiness {
    pub(crate) fn new(gate: Arc<Inner>) -> Self {
        Self { gate }
    }
}

#[tonic::async_trait]
impl ReadinessService for Readiness {
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
            proofs: self.with_untried(report.proofs),
            since: Some(report.since.at.into()),
            heard_at: self.schema.heard().map(|heard| heard.at.into()),
            requires: self.dependent.requires.clone(),
            built_with: self.needs.built_with.clone(),
        }
    }
    /// Those that a look never came to, for one before them failed, are named all the same.
    fn with_untried(&self, mut proofs: Vec<Proof>) -> Vec<Proof> {
        let after = match proofs.last() {
            Some(last) => format!("not tried: the proof \"{}\" fails", last.name),
            None => "not tried yet".into(),
        };
        let names = [
            (true, "schema"),
            (self.proofs.database.is_some(), "database"),
            (self.proofs.models.is_some(), "models"),
        ];
        let names = names.into_iter().filter_map(|(asked, name)| asked.then_some(name));
        // They are tried in this order.
        for name in names.skip(proofs.len()) {
            let (name, evidence) = (name.into(), after.clone());
            proofs.push(Proof { name, evidence, ..Proof::default() });
        }
        proofs
    }
}
