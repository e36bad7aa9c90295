use bytes::Bytes;
use http_body_util::Full;
use tonic::service::Routes;
use tonic_types::StatusExt as _;
use tower::ServiceExt as _;

use super::*;

const CHECK: &str = "/grpc.health.v1.Health/Check";

/// The status that a real tonic service answers to these bytes, translated.
async fn status(path: &str, encoding: Option<&str>, body: &[u8]) -> Status {
    let (_, health) = tonic_health::server::health_reporter();
    let service = DecodeErrorLayer.layer(Routes::new(health).prepare());
    let mut request = Request::post(path).header("content-type", "application/grpc");
    if let Some(encoding) = encoding {
        request = request.header("grpc-encoding", encoding);
    }
    let body = Body::new(Full::new(Bytes::copy_from_slice(body)));
    let response = service.oneshot(request.body(body).unwrap()).await.unwrap();
    Status::from_header_map(response.headers()).unwrap()
}

#[tokio::test]
async fn each_refusal_of_tonic_has_a_code_and_a_reason() {
    const MIB: u32 = 1024 * 1024;
    let too_large = [&[0][..], &(5 * MIB).to_be_bytes()].concat();
    for (path, encoding, body, code, reason) in [
        (CHECK, None, &too_large[..], Code::ResourceExhausted, "MESSAGE_TOO_LARGE"),
        (CHECK, None, &[1, 0, 0, 0, 0], Code::Internal, "COMPRESSION_UNNAMED"),
        (CHECK, None, &[2, 0, 0, 0, 0], Code::InvalidArgument, "MESSAGE_UNREADABLE"),
        (CHECK, None, &[0, 0, 0, 0, 2, 255, 255], Code::InvalidArgument, "MESSAGE_UNREADABLE"),
        (CHECK, None, &[0, 0, 0, 0, 2, 10], Code::InvalidArgument, "MESSAGE_UNREADABLE"),
        (CHECK, None, &[], Code::InvalidArgument, "MESSAGE_UNREADABLE"),
        (CHECK, Some("gzip"), &[0, 0, 0, 0, 0], Code::Unimplemented, "COMPRESSION_UNKNOWN"),
        ("/no.such/Method", None, &[0, 0, 0, 0, 0], Code::Unimplemented, "METHOD_UNKNOWN"),
    ] {
        let status = status(path, encoding, body).await;
        let info =
            status.get_details_error_info().unwrap_or_else(|| panic!("{body:?}: {status:?}"));
        assert_eq!((status.code(), info.reason.as_str()), (code, reason), "{body:?}: {status:?}");
    }
}

#[tokio::test]
async fn a_refusal_by_a_handler_stays_as_it_is() {
    // An unknown service: the field 1 of the request.
    let status = status(CHECK, None, &[0, 0, 0, 0, 3, 10, 1, b'x']).await;
    assert_eq!((status.code(), status.message()), (Code::NotFound, "service not registered"));
    assert!(status.details().is_empty(), "{status:?}");

    let ours = Status::from(Problem::internal());
    assert_eq!(translate_decode_error(ours.clone()).details(), ours.details());
    assert_eq!(
        translate_decode_error(Status::internal("Error encoding: x")).code(),
        Code::Internal
    );
}
