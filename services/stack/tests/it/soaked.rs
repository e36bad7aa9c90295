//! A short soak test; `cargo bench -p stack --bench soak` runs it for ten minutes.

use std::time::Duration;

use testing::{Backend, apply, both};

use crate::soak::{Plan, run};

#[apply(both!)]
async fn killed_processes_lose_and_repeat_nothing(backend: Backend) {
    let report = run(Plan {
        backend,
        duration: Duration::from_secs(20),
        seed: 5,
        pause: Duration::from_millis(500)..Duration::from_millis(1_500),
    })
    .await;
    println!("{report}");
    assert!(report.violations.is_empty());
}
