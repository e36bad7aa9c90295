//! tonic's own refusals with this product's codes and reasons.
//!
//! tonic reports a request that cannot be decoded by a code and a text alone; mostly by INTERNAL,
//! which is the code of the server's faults and alerts its operator.

#[cfg(test)]
mod tests;

use std::task::{Context, Poll};

use api::Reason;
use futures_util::{TryFutureExt as _, future::MapOk};
use http::{Request, Response};
use tonic::{Code, Status, body::Body};
use tower::{Layer, Service};
use wire::Problem;

/// The beginnings of tonic's texts. tonic has no other mark of these errors; the tests send each of
/// the requests through tonic, and fail where a text changes.
const TOO_LARGE: &str = "Error, decoded message length too large";
const FLAG_WITHOUT_ENCODING: &str =
    "protocol error: received message with compressed-flag but no grpc-encoding";
const UNREADABLE: [&str; 4] = [
    "failed to decode Protobuf message",
    "protocol error: received message with invalid compression flag",
    "Unexpected EOF decoding stream",
    "Missing request message",
];

/// Gives a refusal by tonic the code and reason that clients expect; any other status stays as it is.
pub fn translate_decode_error(status: Status) -> Status {
    if !status.details().is_empty() {
        return status;
    }
    let message = status.message();
    let (code, reason) = match status.code() {
        Code::OutOfRange if message.starts_with(TOO_LARGE) => {
            (Code::ResourceExhausted, Reason::MessageTooLarge)
        }
        // gRPC's specification asks for INTERNAL here:
        // <https://github.com/grpc/grpc/blob/master/doc/compression.md>
        Code::Internal if message.starts_with(FLAG_WITHOUT_ENCODING) => {
            (Code::Internal, Reason::CompressionUnnamed)
        }
        Code::Internal if UNREADABLE.iter().any(|text| message.starts_with(text)) => {
            (Code::InvalidArgument, Reason::MessageUnreadable)
        }
        Code::Unimplemented if message.is_empty() => {
            let message = "this service has no such method";
            return Problem::new(Code::Unimplemented, Reason::MethodUnknown, message).into();
        }
        Code::Unimplemented => (Code::Unimplemented, Reason::CompressionUnknown),
        _ => return status,
    };
    Problem::new(code, reason, message).into()
}

/// Translates tonic's refusals around a whole server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DecodeErrorLayer;

impl<S> Layer<S> for DecodeErrorLayer {
    type Service = DecodeErrorService<S>;

    fn layer(&self, inner: S) -> DecodeErrorService<S> {
        DecodeErrorService { inner }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct DecodeErrorService<S> {
    inner: S,
}

impl<S, B> Service<Request<B>> for DecodeErrorService<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = MapOk<S::Future, fn(S::Response) -> S::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.inner.call(request).map_ok(translate_head)
    }
}

/// A refusal in a response's head: no handler ran, so that nothing of ours was sent.
fn translate_head(mut response: Response<Body>) -> Response<Body> {
    if let Some(status) = Status::from_header_map(response.headers())
        && status.code() != Code::Ok
        && status.details().is_empty()
        // Fails for a text that is not a valid header; the response stays as it was.
        && translate_decode_error(status).add_header(response.headers_mut()).is_err()
    {
        tracing::debug!("cannot write a translated refusal");
    }
    response
}
