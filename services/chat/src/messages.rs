//! Storing and streaming messages: the one writer of this process, and the feed of new messages.
//!
//! # Why no subscriber misses a message
//!
//! Every message has a position, and a subscriber reads "everything after position p, in order".
//! That is sound only if no smaller position becomes visible after p was seen. A plain sequence
//! breaks this: a transaction that took 7 may commit after the one that took 8.
//!
//! *PostgreSQL.* A trigger on the table (migration 0004) takes a lock before each insert and holds
//! it until the commit, and the position is taken under that lock. So the next writer takes its
//! first position after the previous writer committed. PostgreSQL releases a transaction's locks
//! after it has become visible to new snapshots; hence a snapshot with position p has every smaller
//! position that will ever exist. The lock belongs to the table, so it holds for every writer:
//! replica, script or migration.
//!
//! *SQLite.* There is one write transaction at a time, and positions are never reused.
//!
//! So the order of positions is the order of commits, and:
//!
//! - A long transaction elsewhere (a backup, a migration of other tables) delays nothing, unlike in
//!   designs that wait for the oldest running transaction (`xmin`). A transaction that locks rows
//!   of `chats` delays the messages of those chats only: the writer skips locked chats and tries
//!   their messages again.
//! - Our own writer cannot stall between insert and commit: on PostgreSQL both are one statement,
//!   which the server finishes even if the client is gone.
//! - A foreign writer that stalls there makes the others wait up to `lock_timeout`, after which
//!   their callers get UNAVAILABLE. No reader skips what the foreign writer commits later.
//! - A position that was taken and rolled back leaves a gap, and no reader waits for it.
//!
//! The bus and the feed only say when to read. A lost wake-up costs time, at most the feed's poll
//! interval, and never a message.

pub(crate) mod cursor;
pub(crate) mod feed;
pub(crate) mod subscription;
pub(crate) mod writer;

pub(crate) const MAX_BODY_BYTES: usize = 64 * 1024;
