//! A worker's stream: what it runs, what is leased to it, what it answers.

use std::{collections::HashMap, sync::Arc};

use access::Caller;
use api::Reason;
use api::chat::v1::{
    WorkRequest,
    work_request::{Answer, Request},
};
use futures_util::TryStreamExt as _;
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, mpsc},
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};
use transport::translate_decode_error;
use wire::Problem;

use super::{delivery_id, dispatcher::DeliveryDispatcher, worker_options::WorkerOptions};
use crate::{
    access::require_bot_type,
    models::{
        delivery::{DeliveryAttempt, LeasedDelivery},
        delivery_claim::DeliveryClaim,
    },
};

type Responses = mpsc::Sender<Result<LeasedDelivery, Status>>;

struct Worker {
    dispatcher: Arc<DeliveryDispatcher>,
    options: WorkerOptions,
    /// The deliveries that it holds, and the end of each lease.
    held: Mutex<HashMap<DeliveryAttempt, Instant>>,
    /// Notified when it holds one delivery less.
    answered: Notify,
}

/// Runs a worker's stream in a task and returns its responses. The permit is held until the task
/// has released every delivery.
pub(crate) fn start(
    dispatcher: &Arc<DeliveryDispatcher>,
    requests: Streaming<WorkRequest>,
    caller: Option<Caller>,
    permit: OwnedSemaphorePermit,
) -> mpsc::Receiver<Result<LeasedDelivery, Status>> {
    let (responses, receiver) = mpsc::channel(1);
    let dispatcher = Arc::clone(dispatcher);
    dispatcher.workers.clone().spawn(async move {
        let _permit = permit;
        run(dispatcher, requests, caller, &responses).await;
    });
    receiver
}

async fn run(
    dispatcher: Arc<DeliveryDispatcher>,
    mut requests: Streaming<WorkRequest>,
    caller: Option<Caller>,
    responses: &Responses,
) {
    let first = tokio::select! {
        first = requests.message() => first,
        () = responses.closed() => return,
    };
    let options = match first {
        // The worker ended its stream before any request.
        Ok(None) => return,
        Err(status) => return drop(responses.send(Err(translate_decode_error(status))).await),
        Ok(Some(WorkRequest { request: Some(Request::Attend(attend)) })) => {
            let bound_type = caller.as_ref().and_then(Caller::bot_type);
            require_bot_type(bound_type, &attend.r#type).and_then(|()| attend.try_into())
        }
        Ok(Some(_)) => Err(Problem::invalid(
            "attend",
            Reason::AttendFirst,
            "required in the first request of a stream",
        )),
    };
    match options {
        Err(problem) => drop(responses.send(Err(problem.into())).await),
        Ok(options) => {
            let (held, answered) = (Mutex::default(), Notify::new());
            Worker { dispatcher, options, held, answered }.run(requests, responses).await;
        }
    }
}

impl Worker {
    async fn run(self, requests: Streaming<WorkRequest>, responses: &Responses) {
        let stop = CancellationToken::new();
        let take_answers = async {
            let result = tokio::select! {
                result = self.take_answers(requests) => result,
                () = responses.closed() => Ok(()),
            };
            stop.cancel();
            result
        };
        let (result, ()) = tokio::join!(take_answers, self.lease_deliveries(responses, &stop));
        self.release_held().await;
        if let Err(status) = result {
            // Sending fails if the worker is gone.
            let _ = responses.send(Err(status)).await;
        }
    }

    /// Leases deliveries up to the worker's concurrency, until `stop` is cancelled.
    async fn lease_deliveries(&self, responses: &Responses, stop: &CancellationToken) {
        let query_lock = self.dispatcher.query_lock(&self.options.bot_type);
        while !stop.is_cancelled() {
            let (capacity, next_expiry) = self.capacity();
            if capacity == 0 {
                let answered = timeout_at(next_expiry, self.answered.notified());
                stop.run_until_cancelled(answered).await;
                continue;
            }
            let claim = DeliveryClaim {
                kind: self.options.bot_type.clone(),
                limit: i64::try_from(capacity).unwrap_or(i64::MAX),
                lease: self.options.lease,
            };
            let leased = self.dispatcher.lease(&query_lock, claim, stop).await;
            // All of them count as held, sent or not, until the worker answers or disconnects.
            let leased_until = Instant::now() + self.options.lease;
            let attempts = leased.iter().map(|leased| (leased.attempt(), leased_until));
            self.held.lock().extend(attempts);
            for delivery in leased {
                let sent = stop.run_until_cancelled(responses.send(Ok(delivery))).await;
                if !matches!(sent, Some(Ok(()))) {
                    return;
                }
            }
        }
    }

    /// How many more deliveries the worker may hold, and when the next lease expires.
    fn capacity(&self) -> (usize, Instant) {
        let now = Instant::now();
        let mut held = self.held.lock();
        held.retain(|_, leased_until| *leased_until > now);
        let next_expiry = held.values().min().copied().unwrap_or(now);
        (self.options.concurrency.saturating_sub(held.len()), next_expiry)
    }

    /// Handles requests until the worker ends its stream or sends an invalid one.
    async fn take_answers(&self, requests: Streaming<WorkRequest>) -> Result<(), Status> {
        requests
            .map_err(translate_decode_error)
            .try_for_each_concurrent(self.options.concurrency, async |request| {
                match request.request {
                    Some(Request::Answer(answer)) => self.take_answer(answer).await,
                    Some(Request::Attend(_)) => {
                        let text = "allowed in the first request only; a stream runs one type";
                        Err(Problem::invalid("attend", Reason::AttendTwice, text).into())
                    }
                    None => {
                        Err(Problem::invalid("request", Reason::FieldRequired, "required").into())
                    }
                }
            })
            .await
    }

    async fn take_answer(&self, answer: Answer) -> Result<(), Status> {
        let attempt = delivery_id::decode(&answer.delivery_id)?;
        let bot_type = &self.options.bot_type;
        self.dispatcher.answer(bot_type, &attempt, answer.reply, &answer.error).await;
        if self.held.lock().remove(&attempt).is_some() {
            self.answered.notify_one();
        }
        Ok(())
    }

    /// Ends the leases of a stream that ended: as failures of the worker, unless this server ended
    /// the stream.
    async fn release_held(self) {
        let held: Vec<DeliveryAttempt> = self.held.into_inner().into_keys().collect();
        if held.is_empty() {
            return;
        }
        if !self.dispatcher.store.gate().is_open() {
            return self.dispatcher.release(&held).await;
        }
        let error = "worker disconnected before it answered";
        if let Err(error) = self.dispatcher.record_failure(&held, error).await {
            self.dispatcher.store.invalidate_on(&error);
            let _ = error.into_problem();
        }
    }
}
