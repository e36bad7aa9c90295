//! Requests by hyper's client.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;

type HttpClient = Client<HttpConnector, Full<Bytes>>;

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub async fn read(response: Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("a whole body").to_bytes();
        Self {
            status: head.status.as_u16(),
            headers: head.headers,
            body: String::from_utf8(body.to_vec()).expect("text"),
        }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// A client of HTTP/1.1, or of HTTP/2 with prior knowledge.
pub fn client(is_http2: bool) -> HttpClient {
    Client::builder(TokioExecutor::new()).http2_only(is_http2).build_http()
}

pub async fn send(client: &HttpClient, request: Request<Full<Bytes>>) -> Answer {
    Answer::read(client.request(request).await.expect("an answer")).await
}

pub fn request(address: SocketAddr, method: &str, path: &str) -> http::request::Builder {
    Request::builder().method(method).uri(format!("http://{address}{path}"))
}

pub async fn get(address: SocketAddr, path: &str) -> Answer {
    send(&client(false), request(address, "GET", path).body(Full::default()).unwrap()).await
}
