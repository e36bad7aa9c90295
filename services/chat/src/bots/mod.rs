//! Bots: each message of a chat to each bot that may hear it, and each answer once.
//!
//! # Why no message is skipped, and none is answered twice
//!
//! *Fan-out.* Whoever sees a position sees every one before it (`messages/mod.rs`), so one cursor
//! for all messages is enough: [`fanout`] reads behind it, makes a delivery for each message and
//! bot, and moves it, in one transaction. It is done beside sending, never by it.
//!
//! *Handing out.* A delivery belongs to one worker at a time, by a lease on the database's clock.
//! Each time it is handed out its attempt grows, and an answer counts for the attempt it was given
//! for: who answers after its lease, when another worker has the delivery, is not heard. So a
//! message reaches a bot at least once, and is answered at most once: the delivery goes, the answer
//! is kept and the reply is stored in one transaction, for a delivery that is still there.
//!
//! *Failures.* An error, a lease that ran out and a worker that hung up count as one failure each;
//! the first and the last wait before they are tried again, longer each time. A delivery that
//! failed too often is parked until somebody asks for it. What the server itself gives back, since
//! it ends or its gate closes, counts as nothing.
//!
//! Wake-ups only say when to look, here as in the feed: one that is lost costs a second.

mod answers;
pub(crate) mod desk;
pub(crate) mod fanout;
pub(crate) mod work;
