//! The gate's Prometheus metrics, read from the gate at each scrape. Names begin with `gate_`;
//! durations are in seconds.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeGaugeValue, MetricEncoder},
    metrics::{MetricType, exemplar::Exemplar},
    registry::Registry,
};

use crate::{gate::Gate, inner::Inner};

impl Gate {
    /// Adds the gate's metrics to a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(GateCollector { gate: Arc::clone(&self.inner) }));
    }
}

#[derive(Debug)]
struct GateCollector {
    gate: Arc<Inner>,
}

impl Collector for GateCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let report = self.gate.state.report().clone();
        let open = i64::from(report.is_open());
        encode_gauge(&mut encoder, "gate_open", "1 while calls pass.", Some(open))?;
        let age = report.phase.age().as_secs_f64();
        encode_gauge(
            &mut encoder,
            "gate_state_age_seconds",
            "How long the gate has been open, or closed.",
            Some(age),
        )?;
        let opening = report.last_opening.map(|took| took.as_secs_f64());
        encode_gauge(
            &mut encoder,
            "gate_opening_seconds",
            "How long the gate had been closed when it last opened.",
            opening,
        )?;
        let staleness =
            self.gate.schema.view().state.as_ref().map(|known| known.age().as_secs_f64());
        encode_gauge(
            &mut encoder,
            "gate_knowledge_age_seconds",
            "How long ago the schema service last answered.",
            staleness,
        )?;

        let help = "1 if the proof held when it was last checked.";
        let mut proofs =
            encoder.encode_descriptor("gate_proof_holds", help, None, MetricType::Gauge)?;
        for proof in &report.proofs {
            let labels = [("proof", proof.name.as_str())];
            proofs.encode_family(&labels)?.encode_gauge(&i64::from(proof.holds))?;
        }

        let help = "Calls that were refused.";
        let mut refusals =
            encoder.encode_descriptor("gate_refusals", help, None, MetricType::Counter)?;
        for (reason, count) in self.gate.state.refusals() {
            encode_count(refusals.encode_family(&[("reason", reason.as_str())])?, count)?;
        }
        Ok(())
    }
}

fn encode_gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: Option<impl EncodeGaugeValue>,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    value.map_or(Ok(()), |value| metric.encode_gauge(&value))
}

fn encode_count(mut metric: MetricEncoder<'_>, count: u64) -> fmt::Result {
    let no_exemplar: Option<&Exemplar<[(&str, &str); 0], f64>> = None;
    metric.encode_counter(&count, no_exemplar)
}
