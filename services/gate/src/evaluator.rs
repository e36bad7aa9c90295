//! The task that evaluates the gate whenever something changed, and publishes the result.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    evaluation::Evaluation, inner::Inner, schema_client::CALL_TIMEOUT, state::Phase,
    view::SchemaView,
};

const STALE_WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// Evaluates until `stopping`.
pub(crate) async fn run(gate: &Inner, stopping: &CancellationToken) {
    let mut views = gate.schema.subscribe();
    let mut ticks = interval(gate.check_interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last_warning = None;
    // Until Watch was tried, the refusal that the gate was built with is the right one.
    let tried = timeout(CALL_TIMEOUT, views.wait_for(SchemaView::is_watch_tried));
    stopping.run_until_cancelled(async { drop(tried.await) }).await;
    loop {
        let faults = gate.state.faults();
        let view = views.borrow_and_update().clone();
        warn_if_stale(gate, &view, &mut last_warning);
        let evaluation = tokio::select! {
            biased;
            () = stopping.cancelled() => return,
            // The view that is being evaluated is out of date.
            _ = views.changed() => continue,
            evaluation = Evaluation::run(gate, &view) => evaluation,
        };
        publish(gate, faults, evaluation).await;
        tokio::select! {
            () = stopping.cancelled() => return,
            _ = views.changed() => continue,
            // Calls wait for this evaluation: ask only a schema service that answers.
            () = gate.state.fault_reported() => if view.call_error.is_some() { continue },
            _ = ticks.tick() => {}
        }
        tokio::select! {
            () = stopping.cancelled() => return,
            _ = views.changed() => {}
            () = gate.schema.refresh() => {}
        }
    }
}

async fn publish(gate: &Inner, faults: u64, evaluation: Evaluation) {
    let phase = evaluation.refusal.map_or(Phase::Open, Phase::Closed);
    if !gate.state.publish(faults, phase.clone(), evaluation.proofs) {
        return;
    }
    let service = &gate.dependent.service;
    match &phase {
        Phase::Open | Phase::Revalidating => tracing::info!(service, "gate opened"),
        Phase::Closed(refusal) => {
            let reason = refusal.reason.as_str();
            tracing::warn!(service, reason, "gate closed: {}", refusal.message());
        }
    }
    gate.health.publish(phase == Phase::Open).await;
}

fn warn_if_stale(gate: &Inner, view: &SchemaView, last_warning: &mut Option<Instant>) {
    let (Some(error), Some(known)) = (&view.call_error, &view.state) else {
        *last_warning = None;
        return;
    };
    let is_due = last_warning.is_none_or(|at| at.elapsed() >= STALE_WARNING_INTERVAL);
    if is_due && gate.state.report().is_open() {
        tracing::warn!(
            staleness_s = known.age().as_secs(),
            error,
            "schema service does not answer; gate stays open on its last answer"
        );
        *last_warning = Some(Instant::now());
    }
}
