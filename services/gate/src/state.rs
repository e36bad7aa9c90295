//! The gate's state: one flag that every call reads, and the report behind it for closed gates,
//! health and people.

use std::sync::atomic::{AtomicBool, Ordering};

use api::{Reason, gate::v1::Proof};
use tokio::{
    sync::{Notify, watch},
    time::{Duration, Instant},
};
use tonic::Status;

use crate::{
    refusal::{Refusal, RefusalCounts},
    timestamped::Timestamped,
};

/// Faults this soon after a successful revalidation start none: a query that is itself wrong would
/// hold up every other call each time that it fails.
const MIN_REVALIDATION_INTERVAL: Duration = Duration::from_secs(1);

/// What the gate does with calls.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Phase {
    /// They pass.
    Open,
    /// They wait: the gate was open, and a fault made it check again.
    Revalidating,
    /// They are refused.
    Closed(Refusal),
}

impl Phase {
    /// A gate that revalidates has refused no call yet.
    fn is_open(&self) -> bool {
        !matches!(self, Self::Closed(_))
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// Its time is when the gate last opened or closed.
    pub(crate) phase: Timestamped<Phase>,
    pub(crate) proofs: Vec<Proof>,
    /// How long the gate had been closed when it last opened.
    pub(crate) last_opening: Option<Duration>,
    is_shutting_down: bool,
    /// An evaluation that began before the last fault cannot end the revalidation.
    faults: u64,
    revalidated_at: Option<Instant>,
}

impl Report {
    pub(crate) fn is_open(&self) -> bool {
        self.phase.value.is_open()
    }

    pub(crate) fn refusal(&self) -> Option<&Refusal> {
        match &self.phase.value {
            Phase::Closed(refusal) => Some(refusal),
            Phase::Open | Phase::Revalidating => None,
        }
    }

    fn set_phase(&mut self, phase: Phase) {
        if self.is_open() == phase.is_open() {
            self.phase.value = phase;
        } else {
            self.phase = Timestamped::now(phase);
        }
    }
}

/// Shared by the layer, the evaluator, and what reports the gate.
#[derive(Debug)]
pub(crate) struct State {
    allows_calls: AtomicBool,
    report: watch::Sender<Report>,
    fault_reported: Notify,
    refusals: RefusalCounts,
}

impl State {
    pub(crate) fn closed(refusal: Refusal) -> Self {
        let report = Report {
            phase: Timestamped::now(Phase::Closed(refusal)),
            proofs: Vec::new(),
            last_opening: None,
            is_shutting_down: false,
            faults: 0,
            revalidated_at: None,
        };
        Self {
            allows_calls: AtomicBool::new(false),
            report: watch::Sender::new(report),
            fault_reported: Notify::new(),
            refusals: RefusalCounts::default(),
        }
    }

    /// All that a call on an open gate pays.
    #[inline]
    pub(crate) fn allows_calls(&self) -> bool {
        self.allows_calls.load(Ordering::Acquire)
    }

    pub(crate) fn report(&self) -> watch::Ref<'_, Report> {
        self.report.borrow()
    }

    pub(crate) fn refusals(&self) -> impl Iterator<Item = (Reason, u64)> {
        self.refusals.iter()
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Report> {
        self.report.subscribe()
    }

    /// Decides on a call that found the flag down, once a revalidation has ended.
    pub(crate) async fn admit(&self) -> Result<(), Status> {
        let mut reports = self.report.subscribe();
        let settled = reports.wait_for(|report| report.phase.value != Phase::Revalidating).await;
        // The sender is `self`, so that waiting cannot fail.
        match settled.ok().as_ref().and_then(|report| report.refusal()) {
            Some(refusal) => {
                self.refusals.increment(refusal.reason);
                Err(refusal.status.clone())
            }
            None => Ok(()),
        }
    }

    /// Makes calls wait until the gate has been evaluated again.
    pub(crate) fn report_fault(&self) {
        let starts_revalidation = self.report.send_if_modified(|report| {
            let is_fresh =
                report.revalidated_at.is_some_and(|at| at.elapsed() < MIN_REVALIDATION_INTERVAL);
            if is_fresh || !report.is_open() {
                return false;
            }
            report.faults += 1;
            report.set_phase(Phase::Revalidating);
            self.allows_calls.store(false, Ordering::Release);
            true
        });
        if starts_revalidation {
            self.fault_reported.notify_one();
        }
    }

    pub(crate) async fn fault_reported(&self) {
        self.fault_reported.notified().await;
    }

    pub(crate) fn faults(&self) -> u64 {
        self.report.borrow().faults
    }

    /// Takes the result of an evaluation that began when `faults` was read. Returns whether it
    /// opened or closed the gate, or changed why it is closed.
    pub(crate) fn publish(&self, faults: u64, phase: Phase, proofs: Vec<Proof>) -> bool {
        let mut is_news = false;
        self.report.send_if_modified(|report| {
            let is_outdated = phase == Phase::Open && report.faults != faults;
            if report.is_shutting_down || is_outdated {
                return false;
            }
            report.proofs = proofs;
            if report.phase.value == phase {
                return false;
            }
            let opens = phase == Phase::Open;
            if report.phase.value == Phase::Revalidating && opens {
                report.revalidated_at = Some(Instant::now());
            } else {
                is_news = true;
            }
            if opens && !report.is_open() {
                report.last_opening = Some(report.phase.age());
            }
            report.set_phase(phase);
            self.allows_calls.store(opens, Ordering::Release);
            true
        });
        is_news
    }

    /// Closes for good.
    pub(crate) fn shut_down(&self) {
        self.report.send_modify(|report| {
            self.allows_calls.store(false, Ordering::Release);
            report.set_phase(Phase::Closed(Refusal::shutting_down()));
            report.is_shutting_down = true;
        });
    }
}
