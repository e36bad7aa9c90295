//! Both services as processes, called with raw HTTP/2 requests.

use std::{fs, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use testing::{DEADLINE, Process, TestDatabase, channel, health};
use tokio::time::timeout;
use tonic::{Code, Status, body::Body, codegen::http, transport::Channel};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_types::StatusExt as _;
use tower::ServiceExt as _;

use crate::services;

/// How long an endless response is read.
const READ_TIME: Duration = Duration::from_millis(30);

/// Both services on a database.
pub(super) struct Target {
    pub(super) schema: Process,
    pub(super) chat: Process,
    pub(super) schema_address: SocketAddr,
    pub(super) chat_address: SocketAddr,
}

impl Target {
    pub(super) async fn on(database: &TestDatabase) -> Self {
        let mut schema = services::schema(database);
        let schema_address = schema.address("schema").await;
        let mut chat = services::chat(database, schema_address);
        let chat_address = chat.address("chat").await;
        let target = Self { schema, chat, schema_address, chat_address };
        target.serves().await;
        target
    }

    /// Waits until both serve.
    pub(super) async fn serves(&self) {
        for (address, service) in
            [(self.schema_address, ""), (self.chat_address, "chat.v1.ChatService")]
        {
            testing::eventually("it serves", async || {
                health(address, service)
                    .await
                    .ok()
                    .filter(|status| *status == ServingStatus::Serving)
            })
            .await;
        }
    }

    /// The resident memory of both, in MiB.
    pub(super) fn resident(&self) -> u64 {
        resident(self.schema.id()) + resident(self.chat.id())
    }

    /// Checks that neither has panicked.
    pub(super) fn has_not_panicked(&self) {
        for line in self.schema.output().iter().chain(&self.chat.output()) {
            assert!(!line.contains("panicked"), "{line}");
        }
    }
}

/// The resident memory of a process, in MiB.
fn resident(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = kilobytes.and_then(|kilobytes| kilobytes.trim().strip_suffix(" kB"));
    kilobytes.expect("Linux reports it").parse::<u64>().expect("a number") / 1024
}

/// How a call ended.
#[derive(Debug)]
pub(super) enum Answer {
    /// With a status.
    Ended(Status),
    /// Not yet: it is an endless stream.
    Open,
    /// With an HTTP status: it was not a gRPC call.
    Http(http::StatusCode),
}

impl Answer {
    /// Checks that the response blames the request, not the server, and has a reason.
    pub(super) fn assert_fault_of_caller(&self, what: &str) {
        let status = match self {
            Self::Open => return,
            Self::Http(status) => return assert!(status.is_client_error(), "{what}: {status}"),
            Self::Ended(status) if status.code() == Code::Ok => return,
            Self::Ended(status) => status,
        };
        let reason = status.get_details_error_info().map(|info| info.reason);
        let reason = reason.unwrap_or_else(|| panic!("no reason: {what}: {status:?}"));
        let at_fault = [Code::Internal, Code::Unknown, Code::DataLoss].contains(&status.code());
        assert!(!at_fault || reason == "COMPRESSION_UNNAMED", "{what}: {status:?}");
    }
}

/// A connection to one of them.
#[derive(Clone)]
pub(super) struct Wire(Channel);

impl Wire {
    pub(super) fn to(address: SocketAddr) -> Self {
        Self(channel(address))
    }

    /// Sends a body as a complete call.
    pub(super) async fn send(&self, path: &str, body: Vec<u8>, has_end: bool) -> Answer {
        let request = http::Request::post(path)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Body::new(Full::new(Bytes::from(body)).map_err(|never| match never {})))
            .expect("a path is a path");
        self.request(request, has_end).await
    }

    pub(super) async fn request(&self, request: http::Request<Body>, has_end: bool) -> Answer {
        let path = request.uri().to_string();
        let sent = timeout(DEADLINE, self.0.clone().oneshot(request)).await;
        let response = sent.unwrap_or_else(|_| panic!("{path}: no answer"));
        let response = response.unwrap_or_else(|error| panic!("{path}: {error:?}"));
        let (head, body) = response.into_parts();
        if let Some(status) = Status::from_header_map(&head.headers) {
            return Answer::Ended(status);
        }
        if head.status != http::StatusCode::OK {
            return Answer::Http(head.status);
        }
        let read_time = if has_end { DEADLINE } else { READ_TIME };
        match timeout(read_time, body.collect()).await {
            Ok(Ok(body)) => {
                let trailers = body.trailers().and_then(Status::from_header_map);
                Answer::Ended(trailers.unwrap_or_else(|| panic!("{path}: no status")))
            }
            Ok(Err(status)) => panic!("{path}: cut off: {status:?}"),
            Err(_) => {
                assert!(!has_end, "{path}: no end");
                Answer::Open
            }
        }
    }
}

/// A message in its frame.
pub(super) fn framed(message: &[u8]) -> Vec<u8> {
    flagged(0, message)
}

/// A message in its frame, with this flag.
pub(super) fn flagged(flag: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("it fits");
    [&[flag], &length.to_be_bytes()[..], message].concat()
}
