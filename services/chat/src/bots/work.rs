//! A worker's stream: what it attends to, what it is handed, what it answers.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use access::Caller;
use api::chat::v1::{
    WorkRequest, WorkResponse,
    work_request::{Answer, Attend, Request},
};
use futures_util::TryStreamExt as _;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, mpsc},
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};
use transport::translate_decode_error;
use wire::{Problem, convert::duration};

use super::desk::Desk;
use crate::{
    models::{
        claiming::{Claim, Claimed},
        delivery::Handed,
    },
    validate,
};

pub(crate) const TYPE_LENGTH: usize = 100;
/// Deliveries in one worker's hand, at most.
const MOST: usize = 256;
const LEASE: Duration = Duration::from_secs(30);
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60 * 60);

type Answers = mpsc::Sender<Result<WorkResponse, Status>>;

/// One worker, as long as its stream is open.
pub(crate) struct Worker {
    desk: Arc<Desk>,
    kind: String,
    concurrency: usize,
    lease: Duration,
    /// What it has, and until when: what it says nothing of is another worker's then.
    hand: Mutex<HashMap<Claimed, Instant>>,
    /// That something left the hand.
    answered: Notify,
    /// How a delivery is told.
    told: fn(Handed) -> WorkResponse,
}

/// Runs a worker's stream in a task of its own, and returns what it is told. A place in the room
/// is held until all of it is over.
pub(crate) fn work(
    desk: &Arc<Desk>,
    requests: Streaming<WorkRequest>,
    caller: Option<Caller>,
    place: OwnedSemaphorePermit,
    told: fn(Handed) -> WorkResponse,
) -> mpsc::Receiver<Result<WorkResponse, Status>> {
    let (out, answers) = mpsc::channel(1);
    let desk = Arc::clone(desk);
    desk.workers.clone().spawn(async move {
        let _place = place;
        serve(desk, requests, caller, &out, told).await;
    });
    answers
}

async fn serve(
    desk: Arc<Desk>,
    mut requests: Streaming<WorkRequest>,
    caller: Option<Caller>,
    out: &Answers,
    told: fn(Handed) -> WorkResponse,
) {
    let first = tokio::select! {
        first = requests.message() => first,
        () = out.closed() => return,
    };
    let attended = match first {
        // Whoever goes without a word is told nothing.
        Ok(None) => return,
        Err(status) => return drop(out.send(Err(translate_decode_error(status))).await),
        Ok(Some(WorkRequest { request: Some(Request::Attend(attend)) })) => {
            let may = caller.map_or(Ok(()), |caller| caller.may_run(&attend.r#type));
            may.and_then(|()| attended(attend))
        }
        Ok(Some(_)) => Err(Problem::invalid(
            "attend",
            "ATTEND_FIRST",
            "required first: say which type of bot this worker runs",
        )),
    };
    match attended {
        Err(problem) => drop(out.send(Err(problem.into())).await),
        Ok((kind, concurrency, lease)) => {
            let (hand, answered) = (Mutex::default(), Notify::new());
            let worker = Worker { desk, kind, concurrency, lease, hand, answered, told };
            worker.run(requests, out).await;
        }
    }
}

/// What a worker asks for.
fn attended(attend: Attend) -> Result<(String, usize, Duration), Problem> {
    let kind = validate::text("attend.type", attend.r#type, TYPE_LENGTH)?;
    let concurrency = usize::try_from(attend.concurrency).unwrap_or(usize::MAX).max(1);
    if concurrency > MOST {
        let what = format!("more than {MOST}: open more streams");
        return Err(Problem::invalid("attend.concurrency", "CONCURRENCY_TOO_HIGH", what));
    }
    let lease = match attend.lease {
        None => LEASE,
        Some(lease) => duration(lease)
            .filter(|lease| (SHORTEST..=LONGEST).contains(lease))
            .ok_or_else(|| {
                let what = "not from one second to one hour";
                Problem::invalid("attend.lease", "LEASE_OUT_OF_RANGE", what)
            })?,
    };
    Ok((kind, concurrency, lease))
}

impl Worker {
    async fn run(self, requests: Streaming<WorkRequest>, out: &Answers) {
        let stop = CancellationToken::new();
        let answering = async {
            let refused = tokio::select! {
                refused = self.answers(requests) => refused,
                () = out.closed() => Ok(()),
            };
            stop.cancel();
            refused
        };
        let (refused, ()) = tokio::join!(answering, self.hand_out(out, &stop));
        self.let_go().await;
        if let Err(status) = refused {
            // Who is gone is told nothing.
            let _ = out.send(Err(status)).await;
        }
    }

    /// Hands out as many as may be in hand, until it is told to stop.
    async fn hand_out(&self, out: &Answers, stop: &CancellationToken) {
        let turn = self.desk.turn(&self.kind);
        while !stop.is_cancelled() {
            let (free, until) = self.free();
            if free == 0 {
                let answered = timeout_at(until, self.answered.notified());
                stop.run_until_cancelled(answered).await;
                continue;
            }
            let limit = i64::try_from(free).unwrap_or(i64::MAX);
            let claim = Claim { kind: self.kind.clone(), limit, lease: self.lease };
            let handed = self.desk.take(&turn, claim, stop).await;
            // All of them are in its hand, told or not, until it answers or goes.
            let until = Instant::now() + self.lease;
            self.hand().extend(handed.iter().map(|handed| (claimed(handed), until)));
            for handed in handed {
                let telling = out.send(Ok((self.told)(handed)));
                if !matches!(stop.run_until_cancelled(telling).await, Some(Ok(()))) {
                    return;
                }
            }
        }
    }

    /// How many more it may have, and when that may change by itself.
    fn free(&self) -> (usize, Instant) {
        let now = Instant::now();
        let mut hand = self.hand();
        hand.retain(|_, until| *until > now);
        let until = hand.values().min().copied().unwrap_or(now);
        (self.concurrency.saturating_sub(hand.len()), until)
    }

    /// Takes what the worker says, to its end or to its first mistake.
    async fn answers(&self, requests: Streaming<WorkRequest>) -> Result<(), Status> {
        requests
            .map_err(translate_decode_error)
            .try_for_each_concurrent(self.concurrency, async |request| match request.request {
                Some(Request::Answer(answer)) => self.answer(answer).await,
                Some(Request::Attend(_)) => {
                    let what = "said twice: a stream attends to one type";
                    Err(Problem::invalid("attend", "ATTEND_TWICE", what).into())
                }
                None => Err(Problem::invalid("request", "FIELD_REQUIRED", "required").into()),
            })
            .await
    }

    async fn answer(&self, answer: Answer) -> Result<(), Status> {
        let to = read_id(&answer.delivery_id)?;
        self.desk.answer(&self.kind, &to, answer.reply, &answer.error).await;
        if self.hand().remove(&to).is_some() {
            self.answered.notify_one();
        }
        Ok(())
    }

    /// Lets go of what is in hand still: a failure of the worker's, unless it was the server that
    /// ended the stream.
    async fn let_go(self) {
        let hand: Vec<Claimed> = self.hand().drain().map(|(claimed, _)| claimed).collect();
        if hand.is_empty() {
            return;
        }
        if !self.desk.store.gate().is_open() {
            return self.desk.give_back(&hand).await;
        }
        if let Err(error) = self.desk.fail(&hand, "the worker hung up before it answered").await {
            self.desk.store.heed(&error);
            let _ = error.into_problem();
        }
    }

    fn hand(&self) -> MutexGuard<'_, HashMap<Claimed, Instant>> {
        self.hand.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn claimed(handed: &Handed) -> Claimed {
    let delivery = &handed.delivery;
    let bot_id = delivery.bot_id.clone();
    Claimed { position: delivery.position, bot_id, attempt: delivery.attempt }
}

/// The id of a delivery at its attempt, as workers keep it.
pub(crate) fn write_id(handed: &Handed) -> String {
    let Claimed { position, bot_id, attempt } = claimed(handed);
    format!("{position}.{attempt}.{bot_id}")
}

fn read_id(id: &str) -> Result<Claimed, Problem> {
    let parsed = || {
        let mut parts = id.splitn(3, '.');
        let position = parts.next()?.parse().ok()?;
        let attempt = parts.next()?.parse().ok()?;
        let bot_id = validate::id("bot", parts.next()?.to_owned()).ok()?;
        Some(Claimed { position, bot_id, attempt })
    };
    parsed().ok_or_else(|| {
        let what = "not an id that this service gave: answer with the delivery's own";
        Problem::invalid("answer.delivery_id", "DELIVERY_ID_INVALID", what)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_was_written() {
        let read = read_id("7.2.a.b").unwrap();
        assert_eq!(read, Claimed { position: 7, bot_id: "a.b".into(), attempt: 2 });
        for bad in ["", "7", "7.2", "7.2.", "x.2.a", "7.x.a", "7.2.a\0"] {
            assert!(read_id(bad).unwrap_err().message().starts_with("answer.delivery_id"), "{bad}");
        }
    }

    #[test]
    fn a_worker_asks_for_what_there_is() {
        let attend = Attend { r#type: "echo".into(), ..Attend::default() };
        assert_eq!(attended(attend.clone()).unwrap(), ("echo".into(), 1, LEASE));
        let lease = |seconds, nanos| Attend {
            lease: Some(prost_types::Duration { seconds, nanos }),
            ..attend.clone()
        };
        assert!(attended(lease(3_600, 0)).is_ok());
        for bad in [lease(0, 999_999_999), lease(3_600, 1), lease(-1, 0), lease(i64::MIN, -5)] {
            assert!(attended(bad).unwrap_err().message().starts_with("attend.lease"));
        }
        let many = Attend { concurrency: 257, ..attend };
        assert!(attended(many).unwrap_err().message().starts_with("attend.concurrency"));
    }
}
