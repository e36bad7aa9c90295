//! What cannot be read: tonic's own refusals, in the words of this product.
//!
//! tonic tells whoever sends a message that is none, one that is too large, or half of one, by a
//! code and a text alone; and most by INTERNAL, which is the server's fault and wakes somebody.

use std::task::{Context, Poll};

use api::Reason;
use futures_util::{TryFutureExt as _, future::MapOk};
use http::{Request, Response};
use tonic::{Code, Status, body::Body};
use tower::{Layer, Service};

use wire::Problem;

/// A refusal of tonic's as a client should read it; any other status as it is.
pub fn translate_decode_error(status: Status) -> Status {
    if !status.details().is_empty() {
        return status;
    }
    let words = status.message();
    let told = match status.code() {
        Code::OutOfRange if words.contains("message length too large") => {
            Problem::new(Code::ResourceExhausted, Reason::MessageTooLarge, words)
        }
        // gRPC's specification asks for this code:
        // <https://github.com/grpc/grpc/blob/master/doc/compression.md>
        Code::Internal if words.contains("with compressed-flag but no grpc-encoding") => {
            Problem::new(Code::Internal, Reason::CompressionUnnamed, words)
        }
        Code::Internal if UNREADABLE.iter().any(|begin| words.starts_with(begin)) => {
            Problem::new(Code::InvalidArgument, Reason::MessageUnreadable, words)
        }
        Code::Unimplemented if words.is_empty() => {
            Problem::new(status.code(), Reason::MethodUnknown, "this service has no such method")
        }
        Code::Unimplemented => Problem::new(status.code(), Reason::CompressionUnknown, words),
        _ => return status,
    };
    told.into()
}

/// How tonic begins to tell what is the sender's fault.
const UNREADABLE: [&str; 5] = [
    "failed to decode Protobuf message",
    "protocol error: received message with invalid compression flag",
    "Unexpected EOF decoding stream",
    "Missing request message",
    "Error decompressing",
];

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
        self.inner.call(request).map_ok(translated)
    }
}

/// An answer that is a refusal from its head on: nothing was read, nothing was told yet.
fn translated(mut answer: Response<Body>) -> Response<Body> {
    if let Some(status) = Status::from_header_map(answer.headers())
        && status.code() != Code::Ok
        && status.details().is_empty()
        // It fails where a text is no header, and then the answer stays as it was.
        && translate_decode_error(status).add_header(answer.headers_mut()).is_err()
    {
        tracing::debug!("a refusal could not be written");
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_senders_fault_is_no_internal_error() {
        let unreadable = translate_decode_error(Status::internal(
            "failed to decode Protobuf message: buffer underflow",
        ));
        assert_eq!(unreadable.code(), Code::InvalidArgument);
        let large = "Error, decoded message length too large: found 5 bytes, the limit is: 4 bytes";
        assert_eq!(
            translate_decode_error(Status::out_of_range(large)).code(),
            Code::ResourceExhausted
        );
    }

    #[test]
    fn what_is_ours_stays_as_it_is() {
        let ours = Status::from(Problem::internal());
        assert_eq!(translate_decode_error(ours.clone()).message(), ours.message());
        assert_eq!(
            translate_decode_error(Status::internal("Error encoding: x")).code(),
            Code::Internal
        );
        assert_eq!(translate_decode_error(Status::cancelled("x")).code(), Code::Cancelled);
    }
}
