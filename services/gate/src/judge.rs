//! The judge: one task that looks whenever there is something new to see, and says what the gate
//! does with calls from then on.

use std::time::Duration;

use api::gate::v1::Proof;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    Inner,
    look::Look,
    moment::Moment,
    schema::{ANSWER_WITHIN, Knowledge},
    state::Verdict,
};

/// How often the log says that an open gate runs on old knowledge.
const REMIND_EVERY: Duration = Duration::from_secs(60);

/// Judges until `stopping`.
pub(crate) async fn judge(gate: &Inner, stopping: &CancellationToken) {
    let mut knowledge = gate.schema.subscribe();
    let mut ticks = interval(gate.look_every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut reminded = None;
    // Until then, the refusal that the gate was built with says it all.
    let tried = timeout(ANSWER_WITHIN, knowledge.wait_for(Knowledge::is_watch_tried));
    stopping.run_until_cancelled(async { drop(tried.await) }).await;
    loop {
        let doubts = gate.state.doubts();
        let known = knowledge.borrow_and_update().clone();
        remind(gate, &known, &mut reminded);
        let mut look = Look::new(gate);
        let verdict = tokio::select! {
            biased;
            () = stopping.cancelled() => return,
            // What was being looked at is the past.
            _ = knowledge.changed() => continue,
            verdict = look.at(&known) => verdict,
        };
        let proofs = look.proofs;
        announce(gate, doubts, verdict, proofs).await;
        tokio::select! {
            () = stopping.cancelled() => return,
            _ = knowledge.changed() => continue,
            // Calls wait for the look: nobody is asked who does not answer anyway.
            () = gate.state.doubted() => if known.away.is_some() { continue },
            _ = ticks.tick() => {}
        }
        tokio::select! {
            () = stopping.cancelled() => return,
            _ = knowledge.changed() => {}
            () = gate.schema.ask() => {}
        }
    }
}

async fn announce(gate: &Inner, doubts: u64, verdict: Verdict, proofs: Vec<Proof>) {
    if !gate.state.announce(doubts, verdict.clone(), proofs) {
        return;
    }
    let service = &gate.dependent.service;
    match &verdict {
        Verdict::Open | Verdict::InDoubt => tracing::info!(service, "gate open"),
        Verdict::Closed(refusal) => {
            tracing::warn!(
                service,
                reason = refusal.reason.as_str(),
                "gate closed: {}",
                refusal.message()
            );
        }
    }
    gate.health.set(verdict == Verdict::Open).await;
}

/// An open gate on old knowledge is no fault, and nothing to be silent about.
fn remind(gate: &Inner, known: &Knowledge, reminded: &mut Option<Moment>) {
    let (Some(why), Some(heard)) = (&known.away, known.heard) else {
        *reminded = None;
        return;
    };
    if gate.state.report().is_open() && reminded.is_none_or(|at| at.age() >= REMIND_EVERY) {
        let age = heard.age().as_secs();
        tracing::warn!(
            age,
            "the schema service does not answer; the gate stays open on what it said {age} s ago ({why})"
        );
        *reminded = Some(Moment::now());
    }
}
