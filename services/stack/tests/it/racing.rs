//! Many schema services upgrade one empty database concurrently.

use api::schema::v1::{Event, event::Kind};
use futures_util::future::join_all;
use testing::{Backend, Process, apply, both, current, upgrade};

use crate::services::schema;

const SERVERS: usize = 20;

#[apply(both!)]
async fn twenty_concurrent_upgrades_are_one_operation(backend: Backend) {
    let database = backend.empty().await;
    let mut servers: Vec<Process> = (0..SERVERS).map(|_| schema(&database)).collect();
    let addresses = join_all(servers.iter_mut().map(|server| server.address("schema"))).await;

    let calls = addresses.iter().map(|address| upgrade(*address, "head"));
    let runs: Vec<Vec<Event>> = join_all(calls)
        .await
        .into_iter()
        .map(|result| result.expect("every Upgrade succeeds"))
        .collect();

    let worked = runs.iter().filter(|events| events[0].kind() == Kind::Started).count();
    assert_eq!(worked, 1, "one operation, and nothing to do for the others");
    for events in &runs {
        let last = events.last().expect("a run has a last event");
        assert_eq!(last.kind(), Kind::Finished);
        assert!(last.state.as_ref().is_some_and(|state| state.at_head), "{last:?}");
    }
    for address in addresses {
        assert!(current(address).await.at_head);
    }
}
