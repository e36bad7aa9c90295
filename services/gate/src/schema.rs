//! The schema service as the gate sees it: a Watch that is always open or being opened, and
//! Current for when somebody must know now. Both write down what they hear in one place.

use std::{error::Error as _, fmt, iter, sync::Arc, time::Duration};

use api::schema::v1::{
    CurrentRequest, Dependent, SchemaState, WatchRequest,
    schema_service_client::SchemaServiceClient,
};
use tokio::{sync::watch, time::sleep};
use tonic::{
    Code, Request, Status,
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};

use crate::moment::Moment;

/// An answer that takes longer is none.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// The first wait before Watch is opened again, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// What is known of the schema, and how well.
#[derive(Clone, Debug, Default)]
pub(crate) struct Knowledge {
    /// What the schema service said last.
    pub(crate) state: Option<SchemaState>,
    /// When it last answered.
    pub(crate) heard: Option<Moment>,
    /// Why it does not answer, since it does not.
    pub(crate) away: Option<String>,
    /// What Watch said last, while it is open.
    pub(crate) watched: Option<SchemaState>,
    /// Why it ended, where it did.
    pub(crate) unwatched: Option<String>,
}

impl Knowledge {
    /// Takes an answer. True where it says something that a verdict may depend on.
    fn hear(&mut self, state: SchemaState) -> bool {
        self.heard = Some(Moment::now());
        let was_away = self.away.take().is_some();
        match &self.state {
            Some(known) if is_outdated(&state, known) => was_away,
            Some(known) if essence(known) == essence(&state) => was_away,
            _ => {
                self.state = Some(state);
                true
            }
        }
    }

    /// Takes what Watch said; as [`Self::hear`].
    fn watch(&mut self, state: SchemaState) -> bool {
        let same = self.watched.as_ref().is_some_and(|known| essence(known) == essence(&state));
        self.watched = Some(state.clone());
        self.hear(state) || !same
    }

    /// Whether Watch was tried: before it, there is nothing to judge.
    pub(crate) fn is_watch_tried(&self) -> bool {
        self.watched.is_some() || self.unwatched.is_some()
    }

    fn miss(&mut self, status: &Status) -> bool {
        self.away.replace(words(status)).is_none()
    }
}

/// Replicas of the schema service may lag behind one another. A database that was restored from
/// a backup falls back too, but was asked later.
fn is_outdated(state: &SchemaState, known: &SchemaState) -> bool {
    let asked = |state: &SchemaState| state.observed_at.map(|at| (at.seconds, at.nanos));
    state.database_id == known.database_id
        && state.epoch < known.epoch
        && asked(state) <= asked(known)
}

/// What a verdict may depend on: not who else is there, nor when it was asked.
fn essence(state: &SchemaState) -> impl PartialEq {
    (
        (&state.revision, &state.head, state.at_head, state.status, state.epoch),
        (&state.pending, &state.out_of_order, &state.compatible_from),
        (&state.database_id, &state.message),
    )
}

/// What is done to each call before it goes out.
#[derive(Clone)]
pub(crate) struct Intercept(Arc<Intercepting>);

type Intercepting = dyn Fn(Request<()>) -> Result<Request<()>, Status> + Send + Sync;

impl Intercept {
    pub(crate) fn by(
        intercept: impl Fn(Request<()>) -> Result<Request<()>, Status> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(intercept))
    }
}

impl Interceptor for Intercept {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        (self.0)(request)
    }
}

impl fmt::Debug for Intercept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intercept").finish_non_exhaustive()
    }
}

/// A client of the schema service that remembers.
#[derive(Debug)]
pub(crate) struct Schema {
    client: SchemaServiceClient<InterceptedService<Channel, Intercept>>,
    knowledge: watch::Sender<Knowledge>,
}

impl Schema {
    pub(crate) fn new(
        endpoint: Endpoint,
        connect: impl FnOnce(Endpoint) -> Channel,
        intercept: Intercept,
    ) -> Self {
        let endpoint = endpoint
            .connect_timeout(ANSWER_WITHIN)
            .tcp_nodelay(true)
            // A host that vanished without a word is noticed after eight seconds.
            .http2_keep_alive_interval(Duration::from_secs(5))
            .keep_alive_timeout(Duration::from_secs(3))
            .keep_alive_while_idle(true);
        let client = SchemaServiceClient::with_interceptor(connect(endpoint), intercept);
        Self { client, knowledge: watch::Sender::default() }
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Knowledge> {
        self.knowledge.subscribe()
    }

    /// When the schema service last answered.
    pub(crate) fn heard(&self) -> Option<Moment> {
        self.knowledge.borrow().heard
    }

    /// Asks now, and waits a second at most.
    pub(crate) async fn ask(&self) {
        let mut answer = self.current().await;
        if answer.as_ref().is_err_and(|status| status.code() == Code::Cancelled) {
            // The connection died under the question; a new one knows more.
            answer = self.current().await;
        }
        self.knowledge.send_if_modified(|known| match answer {
            Ok(state) => known.hear(state),
            Err(status) => known.miss(&status),
        });
    }

    async fn current(&self) -> Result<SchemaState, Status> {
        let mut request = Request::new(CurrentRequest {});
        request.set_timeout(ANSWER_WITHIN);
        let answer = self.client.clone().current(request).await?;
        Ok(answer.into_inner().state.unwrap_or_default())
    }

    /// Hears every change as it happens, for as long as it is polled. Dropping it ends the
    /// stream, which says goodbye for the dependent.
    pub(crate) async fn follow(&self, dependent: &Dependent) {
        let mut failures = 0;
        loop {
            let ended = self.watch(dependent, &mut failures).await;
            self.knowledge.send_if_modified(|known| known.watched.take().is_some());
            // Whether it is away, or only does not let itself be watched.
            self.ask().await;
            self.knowledge
                .send_if_modified(|known| known.unwatched.replace(words(&ended)).is_none());
            sleep(backoff(failures)).await;
            failures += 1;
        }
    }

    /// Says why it ended.
    async fn watch(&self, dependent: &Dependent, failures: &mut u32) -> Status {
        let request = WatchRequest { dependent: Some(dependent.clone()) };
        let mut states = match self.client.clone().watch(request).await {
            Ok(answer) => answer.into_inner(),
            Err(status) => return status,
        };
        loop {
            match states.message().await {
                Ok(Some(answer)) => {
                    *failures = 0;
                    let state = answer.state.unwrap_or_default();
                    self.knowledge.send_if_modified(|known| known.watch(state));
                }
                Ok(None) => return Status::ok("it was ended"),
                Err(status) => return status,
            }
        }
    }
}

/// What a status says, for people, with what is at the bottom of it.
fn words(status: &Status) -> String {
    let said = format!("{:?}: {}", status.code(), status.message());
    let causes = iter::successors(status.source(), |&error| error.source());
    match causes.last().map(ToString::to_string) {
        Some(cause) if !said.ends_with(&cause) => format!("{said}: {cause}"),
        _ => said,
    }
}

/// Doubles up to a limit, and takes a random part of it: replicas that lost one server at the
/// same moment do not come back at the same moment.
fn backoff(failures: u32) -> Duration {
    let (first, longest) = BACKOFF;
    let full = first.saturating_mul(1 << failures.min(10)).min(longest);
    full.mul_f64(rand::random_range(0.5..=1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(revision: &str, epoch: u64, asked: i64) -> SchemaState {
        let observed_at = Some(prost_types::Timestamp { seconds: asked, nanos: 0 });
        SchemaState { revision: revision.into(), epoch, observed_at, ..SchemaState::default() }
    }

    fn revision(knowledge: &Knowledge) -> &str {
        &knowledge.state.as_ref().unwrap().revision
    }

    #[test]
    fn a_replica_that_lags_does_not_take_back_what_another_said() {
        let mut knowledge = Knowledge::default();
        assert!(knowledge.hear(state("0003", 3, 10)));
        assert!(!knowledge.hear(state("0002", 2, 9)));
        assert_eq!(revision(&knowledge), "0003");
    }

    #[test]
    fn a_restored_or_another_database_is_believed() {
        let mut knowledge = Knowledge::default();
        knowledge.hear(state("0003", 3, 10));
        assert!(knowledge.hear(state("0002", 2, 11)));
        assert_eq!(revision(&knowledge), "0002");

        let other = SchemaState { database_id: "other".into(), ..state("0001", 1, 5) };
        assert!(knowledge.hear(other));
        assert_eq!(revision(&knowledge), "0001");
    }

    #[test]
    fn only_what_matters_wakes_the_judge() {
        let mut knowledge = Knowledge::default();
        knowledge.hear(state("0003", 3, 10));
        let crowded =
            SchemaState { dependents: vec![Dependent::default()], ..state("0003", 3, 11) };
        assert!(!knowledge.hear(crowded));

        assert!(knowledge.miss(&Status::unavailable("gone")));
        assert!(!knowledge.miss(&Status::unavailable("still gone")));
        assert!(knowledge.hear(state("0003", 3, 12)));
        assert!(knowledge.away.is_none());
    }

    #[test]
    fn waits_double_up_to_a_limit_and_are_never_in_step() {
        for (failures, most) in [(0, 50), (1, 100), (3, 400), (6, 1000), (u32::MAX, 1000)] {
            let most = Duration::from_millis(most);
            let waits: Vec<Duration> = (0..100).map(|_| backoff(failures)).collect();
            assert!(waits.iter().all(|wait| *wait >= most / 2 && *wait <= most), "{waits:?}");
            assert!(waits.iter().any(|wait| *wait != waits[0]));
        }
    }
}
