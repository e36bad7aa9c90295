//! The connection to the schema service: Watch, opened again whenever it ends, and Current on
//! demand. Both write to one view of the schema.

use std::{fmt, sync::Arc, time::Duration};

use api::schema::v1::{
    CurrentRequest, Dependent, SchemaState, WatchRequest,
    schema_service_client::SchemaServiceClient,
};
use backon::{BackoffBuilder as _, ExponentialBuilder};
use tokio::{sync::watch, time::sleep};
use tonic::{
    Code, Request, Status,
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};

use crate::view::SchemaView;

/// Of connecting, and of each call but Watch.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(1);
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(3);

/// The pauses before Watch is opened again: 25 to 50 ms at first, 0.5 to 1 s in the end. Jitter
/// keeps the replicas that lost one server from coming back at the same moment.
const WATCH_BACKOFF: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(25))
    .with_max_delay(Duration::from_millis(500))
    .without_max_times()
    .with_jitter();

/// Changes each call before it is sent.
#[derive(Clone)]
pub(crate) struct CallInterceptor(Arc<InterceptFn>);

type InterceptFn = dyn Fn(Request<()>) -> Result<Request<()>, Status> + Send + Sync;

impl CallInterceptor {
    pub(crate) fn new(
        intercept: impl Fn(Request<()>) -> Result<Request<()>, Status> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(intercept))
    }
}

impl Interceptor for CallInterceptor {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        (self.0)(request)
    }
}

impl fmt::Debug for CallInterceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallInterceptor").finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub(crate) struct SchemaClient {
    client: SchemaServiceClient<InterceptedService<Channel, CallInterceptor>>,
    view: watch::Sender<SchemaView>,
}

impl SchemaClient {
    pub(crate) fn new(
        endpoint: Endpoint,
        connect: impl FnOnce(Endpoint) -> Channel,
        interceptor: CallInterceptor,
    ) -> Self {
        let endpoint = endpoint
            .connect_timeout(CALL_TIMEOUT)
            .tcp_nodelay(true)
            // A peer that vanished without closing its connection is noticed after both times.
            .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .keep_alive_while_idle(true);
        let client = SchemaServiceClient::with_interceptor(connect(endpoint), interceptor);
        Self { client, view: watch::Sender::default() }
    }

    pub(crate) fn view(&self) -> watch::Ref<'_, SchemaView> {
        self.view.borrow()
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<SchemaView> {
        self.view.subscribe()
    }

    /// Reads the state by Current.
    pub(crate) async fn refresh(&self) {
        let mut answer = self.current().await;
        if answer.as_ref().is_err_and(|status| status.code() == Code::Cancelled) {
            // The connection broke during the call; a new one is opened for the next.
            answer = self.current().await;
        }
        self.view.send_if_modified(|view| match answer {
            Ok(state) => view.record_answer(state),
            Err(status) => view.record_call_error(&status),
        });
    }

    async fn current(&self) -> Result<SchemaState, Status> {
        let mut request = Request::new(CurrentRequest {});
        request.set_timeout(CALL_TIMEOUT);
        let answer = self.client.clone().current(request).await?;
        Ok(answer.into_inner().state.unwrap_or_default())
    }

    /// Keeps a Watch open for as long as it is polled. Dropping it ends the stream, which
    /// deregisters the dependent.
    pub(crate) async fn keep_watching(&self, dependent: &Dependent) {
        let mut pauses = WATCH_BACKOFF.build();
        loop {
            let mut has_answered = false;
            let ended = self.watch(dependent, &mut has_answered).await;
            self.view.send_if_modified(SchemaView::record_watch_end);
            // Current tells whether the service is unreachable or only refuses Watch.
            self.refresh().await;
            self.view.send_if_modified(|view| view.record_watch_error(&ended));
            if has_answered {
                pauses = WATCH_BACKOFF.build();
            }
            sleep(pauses.next().unwrap_or(CALL_TIMEOUT)).await;
        }
    }

    /// Returns why the stream ended.
    async fn watch(&self, dependent: &Dependent, has_answered: &mut bool) -> Status {
        let request = WatchRequest { dependent: Some(dependent.clone()) };
        let mut states = match self.client.clone().watch(request).await {
            Ok(answer) => answer.into_inner(),
            Err(status) => return status,
        };
        loop {
            match states.message().await {
                Ok(Some(answer)) => {
                    *has_answered = true;
                    let state = answer.state.unwrap_or_default();
                    self.view.send_if_modified(|view| view.record_watched(state));
                }
                Ok(None) => return Status::ok("the server ended the stream"),
                Err(status) => return status,
            }
        }
    }
}
