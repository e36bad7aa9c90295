//! The gate's state: one flag that every call reads, and the report behind it that only a
//! closed gate, health and people look at.

use std::sync::atomic::{AtomicBool, Ordering};

use api::{Reason, gate::v1::Proof};
use tokio::{
    sync::{Notify, watch},
    time::Duration,
};
use tonic::Status;

use crate::{
    moment::Moment,
    refusal::{Refusal, Refusals},
};

/// How long a look that found everything well answers for further doubts: past it, a query that
/// is wrong in itself would hold up every other call each time it fails.
const TRUST_AFTER_DOUBT: Duration = Duration::from_secs(1);

/// What the gate does with a call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// It passes.
    Open,
    /// It waits: the gate was open, and something made it look again.
    InDoubt,
    /// It is refused.
    Closed(Refusal),
}

/// The verdict and what it rests on.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) verdict: Verdict,
    pub(crate) proofs: Vec<Proof>,
    /// Since when the gate is open, or closed.
    pub(crate) since: Moment,
    /// How long it had been closed when it last opened.
    pub(crate) last_opening: Option<Duration>,
    /// The process is on its way out: nothing opens it any more.
    ending: bool,
    /// How often it was doubted: a look that began before the last doubt cannot clear it.
    doubts: u64,
    cleared: Option<Moment>,
}

impl Report {
    /// Open, or only in doubt: no caller was refused yet.
    pub(crate) fn is_open(&self) -> bool {
        !matches!(self.verdict, Verdict::Closed(_))
    }

    /// What callers are told, where they are refused.
    pub(crate) fn refusal(&self) -> Option<&Refusal> {
        match &self.verdict {
            Verdict::Closed(refusal) => Some(refusal),
            Verdict::Open | Verdict::InDoubt => None,
        }
    }
}

/// Shared by the layer, the judge and everything that tells.
#[derive(Debug)]
pub(crate) struct State {
    open: AtomicBool,
    report: watch::Sender<Report>,
    doubted: Notify,
    refusals: Refusals,
}

impl State {
    pub(crate) fn new(refusal: Refusal) -> Self {
        let report = Report {
            verdict: Verdict::Closed(refusal),
            proofs: Vec::new(),
            since: Moment::now(),
            last_opening: None,
            ending: false,
            doubts: 0,
            cleared: None,
        };
        Self {
            open: AtomicBool::new(false),
            report: watch::Sender::new(report),
            doubted: Notify::new(),
            refusals: Refusals::default(),
        }
    }

    /// All that a call on an open gate pays.
    #[inline]
    pub(crate) fn lets_pass(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    pub(crate) fn report(&self) -> watch::Ref<'_, Report> {
        self.report.borrow()
    }

    pub(crate) fn refusals(&self) -> impl Iterator<Item = (Reason, u64)> {
        self.refusals.all()
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Report> {
        self.report.subscribe()
    }

    /// What becomes of a call that found the flag down; in doubt, it waits for the look to end.
    pub(crate) async fn admit(&self) -> Result<(), Status> {
        let mut reports = self.report.subscribe();
        let decided = reports.wait_for(|report| report.verdict != Verdict::InDoubt).await;
        // The sender is `self`: it cannot be gone.
        match decided.ok().as_ref().and_then(|report| report.refusal()) {
            Some(refusal) => {
                self.refusals.count(refusal.reason);
                Err(refusal.status.clone())
            }
            None => Ok(()),
        }
    }

    /// Holds calls back until the gate has looked again.
    pub(crate) fn doubt(&self) {
        let doubted = self.report.send_if_modified(|report| {
            let fresh = report.cleared.is_some_and(|at| at.age() < TRUST_AFTER_DOUBT);
            if fresh || !report.is_open() {
                return false;
            }
            report.doubts += 1;
            report.verdict = Verdict::InDoubt;
            self.open.store(false, Ordering::Release);
            true
        });
        if doubted {
            self.doubted.notify_one();
        }
    }

    /// Ends when somebody doubted since the last time.
    pub(crate) async fn doubted(&self) {
        self.doubted.notified().await;
    }

    pub(crate) fn doubts(&self) -> u64 {
        self.report.borrow().doubts
    }

    /// Takes the verdict of a look that began when `doubts` was read. True where it opened or
    /// closed the gate, or gave another reason for its being closed.
    pub(crate) fn announce(&self, doubts: u64, verdict: Verdict, proofs: Vec<Proof>) -> bool {
        let mut told = false;
        self.report.send_if_modified(|report| {
            let outdated = verdict == Verdict::Open && report.doubts != doubts;
            if report.ending || outdated {
                return false;
            }
            report.proofs = proofs;
            if report.verdict == verdict {
                return false;
            }
            let opens = verdict == Verdict::Open;
            if report.verdict == Verdict::InDoubt && opens {
                report.cleared = Some(Moment::now());
            } else {
                told = true;
            }
            if report.is_open() != opens {
                report.last_opening =
                    if opens { Some(report.since.age()) } else { report.last_opening };
                report.since = Moment::now();
            }
            report.verdict = verdict;
            self.open.store(opens, Ordering::Release);
            true
        });
        told
    }

    /// Closes for good.
    pub(crate) fn end(&self) {
        self.report.send_modify(|report| {
            self.open.store(false, Ordering::Release);
            if report.is_open() {
                report.since = Moment::now();
            }
            report.verdict = Verdict::Closed(Refusal::shutting_down());
            report.ending = true;
        });
    }
}
