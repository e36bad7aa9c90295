//! Answers that wait for their reader: how many bytes of them a connection, and a listener, hold.
//!
//! HTTP/2 lets a client open its window by nothing, or by a byte, and ask on: each answer would
//! lie here until it is fetched, as many as there may be calls. So an answer takes its bytes' room
//! before its head is sent, and each chunk carries its own until the chunk was written to the
//! socket or dropped, wherever between here and there it lies.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use api::Reason;
use bytes::Bytes;
use futures_util::{FutureExt as _, future::BoxFuture};
use http::{Request, Response};
use http_body::{Body as _, Frame};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use tokio_util::sync::PollSemaphore;
use tonic::{Code, Status, body::Body};
use tower::{Layer, Service};

use wire::Problem;

use crate::connections;

const MIB: usize = 1024 * 1024;
/// Of one connection: some of the largest pages there are.
const CONNECTION: usize = 16 * MIB;
/// Of all connections to a listener.
const LISTENER: usize = 128 * MIB;
/// What a call costs beside its answer's bytes.
const CALL: usize = 1024;
/// What is written, and let go, at once.
const CHUNK: usize = 64 * 1024;
/// An answer below this is copied out of the buffer that it was made in, which is this large.
const BUFFER: usize = 8 * 1024;

/// How long a connection may stand still where the listener is short of room: not a chunk written.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is told that answers are refused.
const TOLD: Duration = Duration::from_secs(1);
/// When a caller that read on may ask again.
const SOON: Duration = Duration::from_millis(100);

/// What the connections to a listener share.
#[derive(Debug)]
pub(crate) struct Shared {
    room: Arc<Semaphore>,
    told: Mutex<Option<Instant>>,
}

impl Shared {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { room: Arc::new(Semaphore::new(LISTENER)), told: Mutex::new(None) })
    }

    fn is_short(&self) -> bool {
        self.room.available_permits() < LISTENER / 2
    }

    fn tell(&self) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|told| told.elapsed() >= TOLD) {
            tracing::warn!("answers that nobody reads fill their room; further ones are refused");
            *told = Some(Instant::now());
        }
    }
}

/// What waits on one connection.
#[derive(Debug)]
pub(crate) struct Outbox {
    shared: Arc<Shared>,
    room: Arc<Semaphore>,
    /// When a chunk was last written, or the first one came.
    moved: Mutex<Instant>,
}

impl Outbox {
    pub(crate) fn of(shared: &Arc<Shared>) -> Arc<Self> {
        Arc::new(Self {
            shared: Arc::clone(shared),
            room: Arc::new(Semaphore::new(CONNECTION)),
            moved: Mutex::new(Instant::now()),
        })
    }

    /// It holds what others need, and its reader does not read.
    pub(crate) fn is_stuck(&self) -> bool {
        self.shared.is_short() && !self.is_empty() && {
            let moved = self.moved.lock().unwrap_or_else(PoisonError::into_inner);
            moved.elapsed() >= PATIENCE
        }
    }

    /// Bytes that wait, for the log.
    pub(crate) fn waiting(&self) -> usize {
        CONNECTION.saturating_sub(self.room.available_permits())
    }

    fn is_empty(&self) -> bool {
        self.waiting() == 0
    }

    fn moves(&self) {
        *self.moved.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

/// Room that is taken at once: on the connection and at the listener.
#[derive(Debug)]
struct Taken {
    connection: OwnedSemaphorePermit,
    listener: OwnedSemaphorePermit,
}

impl Taken {
    /// At once, or not at all.
    fn now(outbox: &Outbox, size: u32) -> Option<Self> {
        // A stream's message too may be the first one in a long time: nobody stood still till now.
        if outbox.is_empty() {
            outbox.moves();
        }
        let connection = Arc::clone(&outbox.room).try_acquire_many_owned(size).ok()?;
        let listener = Arc::clone(&outbox.shared.room).try_acquire_many_owned(size).ok()?;
        Some(Self { connection, listener })
    }

    /// A part of it; nothing, where it is less than that.
    fn part(&mut self, size: usize) -> Option<Self> {
        Some(Self {
            connection: self.connection.split(size)?,
            listener: self.listener.split(size)?,
        })
    }
}

/// The room of an answer: no more than a connection has, so that the largest comes alone.
fn size(bytes: &Bytes) -> u32 {
    u32::try_from((bytes.len() + CALL).min(CONNECTION)).unwrap_or(u32::MAX)
}

/// Bytes that keep their room until nobody holds them: hyper, h2 and TLS do until they are written.
struct Held {
    bytes: Bytes,
    outbox: Arc<Outbox>,
    _room: Taken,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.outbox.moves();
    }
}

/// The body of an answer, chunk by chunk.
struct Outgoing {
    inner: Body,
    outbox: Arc<Outbox>,
    /// What was made and not handed on, and its room once there is some.
    made: Option<Bytes>,
    taken: Option<Taken>,
    /// How it ends, where that was known before anybody asked.
    ended: Option<Result<Frame<Bytes>, Status>>,
    /// A message of a stream waits for room; these wait with it.
    on_connection: Option<OwnedSemaphorePermit>,
    rooms: Option<(PollSemaphore, PollSemaphore)>,
}

impl Outgoing {
    fn new(inner: Body, outbox: Arc<Outbox>) -> Self {
        Self {
            inner,
            outbox,
            made: None,
            taken: None,
            ended: None,
            on_connection: None,
            rooms: None,
        }
    }

    /// Makes what can be made now.
    fn poll_made(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            ended => return Poll::Ready(ended),
        };
        Poll::Ready(Some(Ok(match frame.into_data() {
            Ok(bytes) if bytes.len() < BUFFER => Frame::data(Bytes::copy_from_slice(&bytes)),
            Ok(bytes) => Frame::data(bytes),
            Err(trailers) => trailers,
        })))
    }

    fn poll_taken(&mut self, cx: &mut Context<'_>, size: u32) -> Poll<Option<Taken>> {
        let outbox = &self.outbox;
        if self.rooms.is_none()
            && let Some(taken) = Taken::now(outbox, size)
        {
            return Poll::Ready(Some(taken));
        }
        let (connection, listener) = self.rooms.get_or_insert_with(|| {
            let room = |of: &Arc<Semaphore>| PollSemaphore::new(Arc::clone(of));
            (room(&outbox.room), room(&outbox.shared.room))
        });
        if self.on_connection.is_none() {
            self.on_connection = ready!(connection.poll_acquire_many(cx, size));
        }
        let listener = ready!(listener.poll_acquire_many(cx, size));
        self.rooms = None;
        let taken = self.on_connection.take().zip(listener);
        Poll::Ready(taken.map(|(connection, listener)| Taken { connection, listener }))
    }

    /// The next chunk of what was made, with its part of the room.
    fn chunk(&mut self, mut bytes: Bytes, mut taken: Taken) -> Bytes {
        let chunk = bytes.split_to(CHUNK.min(bytes.len()));
        let room = if bytes.is_empty() {
            taken
        } else if let Some(room) = taken.part(chunk.len()) {
            (self.made, self.taken) = (Some(bytes), Some(taken));
            room
        } else {
            // It is larger than all the room: what it has goes with its end.
            (self.made, self.taken) = (Some(bytes), Some(taken));
            return chunk;
        };
        Bytes::from_owner(Held { bytes: chunk, outbox: Arc::clone(&self.outbox), _room: room })
    }
}

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if let Some(frame) = this.ended.take() {
            return Poll::Ready(Some(frame));
        }
        if this.made.is_none() {
            let made = ready!(this.poll_made(cx));
            match made.map(|made| made.map(Frame::into_data)) {
                Some(Ok(Ok(bytes))) => this.made = Some(bytes),
                Some(Ok(Err(trailers))) => return Poll::Ready(Some(Ok(trailers))),
                Some(Err(status)) => return Poll::Ready(Some(Err(status))),
                None => return Poll::Ready(None),
            }
        }
        if this.taken.is_none() {
            let size = this.made.as_ref().map_or(0, size);
            this.taken = ready!(this.poll_taken(cx, size));
        }
        let chunk = this.made.take().zip(this.taken.take());
        Poll::Ready(chunk.map(|(bytes, taken)| Ok(Frame::data(this.chunk(bytes, taken)))))
    }

    fn is_end_stream(&self) -> bool {
        self.made.is_none() && self.ended.is_none() && self.inner.is_end_stream()
    }
}

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
        let outbox = connections::outbox(request.extensions());
        let answer = self.inner.call(request);
        async move {
            let answer = answer.await?;
            Ok(match outbox {
                Some(outbox) if !answer.body().is_end_stream() => put(answer, outbox).await,
                _ => answer,
            })
        }
        .boxed()
    }
}

/// Takes the room of an answer that is there with its head, or refuses it; what comes later of a
/// stream waits for its room.
async fn put(answer: Response<Body>, outbox: Arc<Outbox>) -> Response<Body> {
    let (head, body) = answer.into_parts();
    let mut body = Outgoing::new(body, outbox);
    let made = std::future::poll_fn(|cx| Poll::Ready(body.poll_made(cx))).await;
    let made = match made {
        Poll::Pending => return Response::from_parts(head, Body::new(body)),
        Poll::Ready(made) => made,
    };
    match made {
        Some(Ok(frame)) if frame.is_data() => {
            let bytes = frame.into_data().unwrap_or_default();
            body.taken = Taken::now(&body.outbox, size(&bytes));
            if body.taken.is_none() {
                body.outbox.shared.tell();
                return Status::from(unread()).into_http();
            }
            body.made = Some(bytes);
            Response::from_parts(head, Body::new(body))
        }
        None => Response::from_parts(head, Body::empty()),
        ended => {
            body.ended = ended;
            Response::from_parts(head, Body::new(body))
        }
    }
}

fn unread() -> Problem {
    Problem::new(
        Code::ResourceExhausted,
        Reason::AnswersUnread,
        "too many answers lie unread: read those that were asked for, or ask for smaller pages",
    )
    .retry_after(SOON)
}
