use std::{
    task::{Context, Poll},
    time::Duration,
};

use api::Reason;
use futures_util::{FutureExt as _, future::BoxFuture};
use http::{Request, Response};
use http_body::Body as _;
use tonic::{Code, Status, body::Body};
use tower::{Layer, Service};
use wire::Problem;

use crate::{budget::BudgetedBody, connections::response_budget};

/// When a refused caller may try again.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// Holds the responses of a whole server to their budget.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResponseBudgetLayer;

impl<S> Layer<S> for ResponseBudgetLayer {
    type Service = ResponseBudgetService<S>;

    fn layer(&self, inner: S) -> ResponseBudgetService<S> {
        ResponseBudgetService { inner }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct ResponseBudgetService<S> {
    inner: S,
}

impl<S, B> Service<Request<B>> for ResponseBudgetService<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let budget = response_budget(request.extensions());
        let response = self.inner.call(request);
        async move {
            let response = response.await?;
            let Some(budget) = budget.filter(|_| !response.body().is_end_stream()) else {
                return Ok(response);
            };
            let (head, body) = response.into_parts();
            Ok(match BudgetedBody::new(body, budget).prepare().await {
                Ok(body) => Response::from_parts(head, body),
                Err(_) => Status::from(over_budget()).into_http(),
            })
        }
        .boxed()
    }
}

fn over_budget() -> Problem {
    let message = "too many unread responses on this connection: \
                   read the pending ones, or ask for smaller pages";
    Problem::new(Code::ResourceExhausted, Reason::AnswersUnread, message).retry_after(RETRY_DELAY)
}
