//! An answer that is encoded once, and sent to each of those who share it.
//!
//! tonic encodes what a method returns, each time anew. So the method returns an empty message that
//! carries the bytes, and [`in_place`] puts them into its place once tonic is done.

use std::future::ready;

use bytes::{BufMut as _, Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use prost::Message;
use tonic::{
    Code, Response, Status,
    body::Body,
    codegen::http::{self, HeaderMap},
};

/// A message in its frame:
/// <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>
#[derive(Clone, Debug)]
pub(super) struct Made(Bytes);

impl Made {
    /// # Errors
    /// It is larger than any frame.
    pub(super) fn of(message: &impl Message) -> Result<Self, Status> {
        let too_large = |_| Status::internal("an answer of more than 4 GiB");
        let size = message.encoded_len();
        let mut frame = BytesMut::with_capacity(5 + size);
        frame.put_u8(0);
        frame.put_u32(u32::try_from(size).map_err(too_large)?);
        message.encode(&mut frame).map_err(|error| Status::internal(error.to_string()))?;
        Ok(Self(frame.freeze()))
    }

    /// What a method returns instead of the message.
    pub(super) fn response<T: Default>(self) -> Response<T> {
        let mut response = Response::new(T::default());
        response.extensions_mut().insert(self);
        response
    }
}

/// Any answer as it goes out: the bytes that were made for it, if there are such.
pub(crate) fn in_place(answer: http::Response<Body>) -> http::Response<Body> {
    let (mut head, body) = answer.into_parts();
    let body = match head.extensions.remove::<Made>() {
        Some(Made(frame)) => {
            let mut ended = HeaderMap::new();
            ended.insert(Status::GRPC_STATUS, (Code::Ok as i32).into());
            Body::new(Full::new(frame).with_trailers(ready(Some(Ok(ended)))))
        }
        None => body,
    };
    http::Response::from_parts(head, body)
}
