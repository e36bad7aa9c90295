//! A response that is encoded once and sent to each caller that shares it.
//!
//! tonic encodes the message that a method returns, for each call. So the method returns an empty
//! message with the encoded bytes in its extensions, and [`replace_body`] puts the bytes in place of
//! the body that tonic made.

use std::future::ready;

use bytes::{BufMut as _, Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use prost::Message;
use tonic::{
    Code, Response, Status,
    body::Body,
    codegen::http::{self, HeaderMap},
};

/// The length of a frame's head: a flag and the message's length.
const FRAME_HEAD_BYTES: usize = 5;

/// A message in its frame:
/// <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>
#[derive(Clone, Debug)]
pub(super) struct EncodedResponse(Bytes);

impl EncodedResponse {
    /// # Errors
    /// The message is too large for a frame.
    pub(super) fn encode(message: &impl Message) -> Result<Self, Status> {
        let size = message.encoded_len();
        let length = u32::try_from(size)
            .map_err(|_| Status::internal(format!("response of {size} bytes exceeds 4 GiB")))?;
        let mut frame = BytesMut::with_capacity(FRAME_HEAD_BYTES + size);
        // Not compressed.
        frame.put_u8(0);
        frame.put_u32(length);
        message.encode(&mut frame).map_err(|error| Status::internal(error.to_string()))?;
        Ok(Self(frame.freeze()))
    }

    /// What a method returns in place of the message.
    pub(super) fn into_response<T: Default>(self) -> Response<T> {
        let mut response = Response::new(T::default());
        response.extensions_mut().insert(self);
        response
    }
}

/// Replaces the body of a response that carries an [`EncodedResponse`]; leaves any other as it is.
pub(crate) fn replace_body(response: http::Response<Body>) -> http::Response<Body> {
    let (mut head, body) = response.into_parts();
    let body = match head.extensions.remove::<EncodedResponse>() {
        Some(EncodedResponse(frame)) => {
            let mut trailers = HeaderMap::new();
            trailers.insert(Status::GRPC_STATUS, (Code::Ok as i32).into());
            Body::new(Full::new(frame).with_trailers(ready(Some(Ok(trailers)))))
        }
        None => body,
    };
    http::Response::from_parts(head, body)
}
