//! The soak, cut short: what `cargo bench -p stack --bench soak` does for ten minutes.

use std::time::Duration;

use testing::{Backend, apply, both};

use crate::soak::{Plan, run};

#[apply(both!)]
async fn whoever_is_killed_nothing_is_lost_and_nothing_comes_twice(backend: Backend) {
    let report = run(Plan {
        backend,
        lasting: Duration::from_secs(20),
        seed: 5,
        rest: Duration::from_millis(500)..Duration::from_millis(1_500),
    })
    .await;
    println!("{report}");
    assert!(report.faults.is_empty());
}
