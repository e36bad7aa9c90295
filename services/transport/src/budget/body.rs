use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as _, Frame};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::PollSemaphore;
use tonic::{Status, body::Body};

use super::{Reservation, ResponseBudget, reservation_size};

/// How much is written, and released, in one piece.
const CHUNK_BYTES: usize = 64 * 1024;
/// The least that tonic allocates for a response: a smaller one is copied, to release the rest.
const ENCODE_BUFFER_BYTES: usize = 8 * 1024;

/// The budget has no room for a response.
#[derive(Debug)]
pub(crate) struct OverBudget;

/// Bytes that keep their reservation until they are dropped: hyper, h2 and TLS hold them until they
/// are written.
struct BudgetedChunk {
    bytes: Bytes,
    budget: Arc<ResponseBudget>,
    _reservation: Reservation,
}

impl AsRef<[u8]> for BudgetedChunk {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for BudgetedChunk {
    fn drop(&mut self) {
        self.budget.record_progress();
    }
}

/// The body of a response, sent chunk by chunk as the budget allows.
pub(crate) struct BudgetedBody {
    inner: Body,
    budget: Arc<ResponseBudget>,
    /// Bytes that were made and not sent, and their reservation once there is one.
    unsent: Option<Bytes>,
    reservation: Option<Reservation>,
    /// How it ends, where that was known before it was polled.
    end: Option<Result<Frame<Bytes>, Status>>,
    /// A message of a stream waits for its reservation with these.
    connection_permit: Option<OwnedSemaphorePermit>,
    waiting: Option<(PollSemaphore, PollSemaphore)>,
}

impl BudgetedBody {
    pub(crate) fn new(inner: Body, budget: Arc<ResponseBudget>) -> Self {
        Self {
            inner,
            budget,
            unsent: None,
            reservation: None,
            end: None,
            connection_permit: None,
            waiting: None,
        }
    }

    /// Reserves the bytes that come with the response's head; those of a stream wait for their
    /// reservation later.
    ///
    /// # Errors
    /// The budget is exhausted.
    pub(crate) async fn prepare(mut self) -> Result<Body, OverBudget> {
        let made = std::future::poll_fn(|cx| Poll::Ready(self.poll_inner(cx))).await;
        match made {
            Poll::Pending => {}
            Poll::Ready(None) => return Ok(Body::empty()),
            Poll::Ready(Some(Ok(frame))) if frame.is_data() => {
                let bytes = frame.into_data().unwrap_or_default();
                self.reservation = self.budget.try_reserve(reservation_size(&bytes));
                if self.reservation.is_none() {
                    self.budget.log_refusal();
                    return Err(OverBudget);
                }
                self.unsent = Some(bytes);
            }
            Poll::Ready(end) => self.end = end,
        }
        Ok(Body::new(self))
    }

    fn poll_inner(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            end => return Poll::Ready(end),
        };
        Poll::Ready(Some(Ok(match frame.into_data() {
            Ok(bytes) if bytes.len() < ENCODE_BUFFER_BYTES => {
                Frame::data(Bytes::copy_from_slice(&bytes))
            }
            Ok(bytes) => Frame::data(bytes),
            Err(trailers) => trailers,
        })))
    }

    fn poll_reservation(&mut self, cx: &mut Context<'_>, size: u32) -> Poll<Option<Reservation>> {
        let budget = &self.budget;
        if self.waiting.is_none()
            && let Some(reservation) = budget.try_reserve(size)
        {
            return Poll::Ready(Some(reservation));
        }
        let (connection, listener) = self.waiting.get_or_insert_with(|| {
            let permits = |of: &Arc<Semaphore>| PollSemaphore::new(Arc::clone(of));
            (permits(&budget.free), permits(&budget.listener.free))
        });
        if self.connection_permit.is_none() {
            self.connection_permit = ready!(connection.poll_acquire_many(cx, size));
        }
        let listener = ready!(listener.poll_acquire_many(cx, size));
        self.waiting = None;
        let permits = self.connection_permit.take().zip(listener);
        Poll::Ready(permits.map(|(connection, listener)| Reservation { connection, listener }))
    }

    /// The next chunk of the unsent bytes, with its share of the reservation.
    fn next_chunk(&mut self, mut bytes: Bytes, mut reservation: Reservation) -> Bytes {
        let chunk = bytes.split_to(CHUNK_BYTES.min(bytes.len()));
        let share = if bytes.is_empty() {
            reservation
        } else if let Some(share) = reservation.split(chunk.len()) {
            (self.unsent, self.reservation) = (Some(bytes), Some(reservation));
            share
        } else {
            // Larger than the whole budget: the last chunk releases the reservation.
            (self.unsent, self.reservation) = (Some(bytes), Some(reservation));
            return chunk;
        };
        let budget = Arc::clone(&self.budget);
        Bytes::from_owner(BudgetedChunk { bytes: chunk, budget, _reservation: share })
    }
}

impl http_body::Body for BudgetedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if let Some(frame) = this.end.take() {
            return Poll::Ready(Some(frame));
        }
        if this.unsent.is_none() {
            let made = ready!(this.poll_inner(cx));
            match made.map(|made| made.map(Frame::into_data)) {
                Some(Ok(Ok(bytes))) => this.unsent = Some(bytes),
                Some(Ok(Err(trailers))) => return Poll::Ready(Some(Ok(trailers))),
                Some(Err(status)) => return Poll::Ready(Some(Err(status))),
                None => return Poll::Ready(None),
            }
        }
        if this.reservation.is_none() {
            let size = this.unsent.as_ref().map_or(0, reservation_size);
            this.reservation = ready!(this.poll_reservation(cx, size));
        }
        let next = this.unsent.take().zip(this.reservation.take());
        Poll::Ready(
            next.map(|(bytes, reservation)| Ok(Frame::data(this.next_chunk(bytes, reservation)))),
        )
    }

    fn is_end_stream(&self) -> bool {
        self.unsent.is_none() && self.end.is_none() && self.inner.is_end_stream()
    }
}
