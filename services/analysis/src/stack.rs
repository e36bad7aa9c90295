//! squawk's parser, its trees and their destructors recurse. They run on a stack of a known size, and
//! see no text whose tree would not fit.

use std::{panic, thread};

/// The largest [`sql::syntax_depth`] that is parsed. Real statements stay far below.
pub const MAX_SYNTAX_DEPTH: usize = 5_000;

/// Room for a tree of that depth, in a build without optimisation too. Pages that are not used
/// cost nothing.
const STACK_SIZE: usize = 64 << 20;

/// Runs work on a large stack. A panic in it is a panic here.
///
/// # Panics
/// No thread can be started.
#[expect(clippy::panic, reason = "as std::thread::spawn does")]
pub(crate) fn on_large_stack<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK_SIZE).spawn_scoped(scope, work);
        match thread.map(thread::ScopedJoinHandle::join) {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => panic::resume_unwind(panic),
            Err(error) => panic!("no thread can be started: {error}"),
        }
    })
}
