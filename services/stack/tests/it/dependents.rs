//! Live dependents, as every replica of the schema service knows them: a chat service that ends is
//! removed before its lease expires, and one that died, or whose schema service died, when it
//! expires.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use testing::{Backend, apply, both, current, eventually};

use crate::services::{chat, schema};

const LEASE_TTL: Duration = Duration::from_secs(10);

/// Waits until a schema service reports this many dependents; returns how long it took.
async fn wait_for_dependents(schema: SocketAddr, count: usize) -> Duration {
    let started = Instant::now();
    eventually("the dependents are reported", async || {
        (current(schema).await.dependents.len() == count).then_some(())
    })
    .await;
    started.elapsed()
}

#[apply(both!)]
async fn dependents_that_ended_or_died_are_removed(backend: Backend) {
    let database = backend.empty().await;
    let (mut here, mut there) = (schema(&database), schema(&database));
    let (at_here, at_there) = (here.address("schema").await, there.address("schema").await);
    testing::upgrade(at_here, "head").await.unwrap();
    let mut leaving = chat(&database, at_here);
    let mut killed = chat(&database, at_here);
    let vanished = chat(&database, at_there);
    let orphan = chat(&database, at_here);
    wait_for_dependents(at_there, 4).await;

    assert!(leaving.terminate().await.success());
    let took = wait_for_dependents(at_there, 3).await;
    println!("{backend:?}: a dependent that ended is removed after {took:?}");
    assert!(took < LEASE_TTL, "removed by its lease only: {took:?}");

    killed.kill().await;
    let took = wait_for_dependents(at_there, 2).await;
    println!("{backend:?}: a killed dependent is removed after {took:?}");
    assert!(took < 2 * LEASE_TTL, "{took:?}");

    // The first is on a machine that vanished, the second behind a schema service that died.
    vanished.freeze();
    here.kill().await;
    let took = wait_for_dependents(at_there, 0).await;
    println!("{backend:?}: their leases expire after {took:?}");
    assert!(took < 2 * LEASE_TTL, "{took:?}");
    drop(orphan);
}
