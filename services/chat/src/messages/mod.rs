//! Messages on their way: the one writer of this process, and the feed that tells them live.
//!
//! # Why nobody misses a message
//!
//! Every message has a position, and a subscriber reads "everything after position p, in order".
//! That is sound only if a position, once seen, has no smaller one still to come; a plain sequence
//! breaks it, since a writer that took 7 may commit after the one that took 8.
//!
//! *PostgreSQL.* The table takes a lock before each insert (the trigger of migration 0004) and
//! holds it until the commit, and positions are taken under it. So the next writer takes its first
//! position after the one before it has committed. A transaction gives its locks back only after
//! it has become visible to new snapshots; hence whoever sees position p sees every position
//! before p that will ever be. It is the table's lock, not the program's: no writer can forget it,
//! whatever replica, script or migration it is.
//!
//! *SQLite.* There is one write transaction at a time, and positions never come again.
//!
//! So there is one order for all, the order of commits, and:
//!
//! - A transaction elsewhere, however long (a backup, a migration of other tables), holds back no
//!   delivery: nothing here asks for the oldest running transaction, as designs by `xmin` do. One
//!   that holds rows of `chats` holds back the messages of those chats alone, since the writer
//!   passes over locked chats and tries them again.
//! - Our own writer cannot stall between insert and commit: on PostgreSQL both are one statement,
//!   which the server runs to its end whatever becomes of the client.
//! - A foreign writer that does stall there makes the others wait for it, `lock_timeout` long, and
//!   their callers are told UNAVAILABLE; nobody skips what it commits in the end.
//! - A number that was taken and rolled back is a gap that nobody waits for.
//!
//! The database is the truth; the bus and the feed only say when to look. A wake-up that is lost
//! costs time, at most the feed's own pace, and never a message.

pub(crate) mod cursor;
pub(crate) mod feed;
pub(crate) mod subscription;
pub(crate) mod writer;

/// How long a message's body may be, in bytes.
pub(crate) const BODY_SIZE: usize = 64 * 1024;
