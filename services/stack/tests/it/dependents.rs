//! Who is alive, as the schema service's replicas know it: a chat service that says goodbye is
//! forgotten at once, and one that died, or whose schema service died, within fifteen seconds.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use testing::{Backend, apply, both, current, eventually};

use crate::services::{chat, schema};

/// The promise for who was killed.
const FORGOTTEN: Duration = Duration::from_secs(15);

/// Waits until a schema service knows of so many, and says how long that took.
async fn known(schema: SocketAddr, count: usize) -> Duration {
    let asked = Instant::now();
    eventually("that many are known", async || {
        (current(schema).await.dependents.len() == count).then_some(())
    })
    .await;
    asked.elapsed()
}

#[apply(both!)]
async fn the_dead_are_forgotten_and_hold_nothing_back(backend: Backend) {
    let database = backend.empty().await;
    let (mut here, mut there) = (schema(&database), schema(&database));
    let (at_here, at_there) = (here.address("schema").await, there.address("schema").await);
    testing::upgrade(at_here, "head").await.unwrap();
    let mut leaving = chat(&database, at_here);
    let mut killed = chat(&database, at_here);
    let vanished = chat(&database, at_there);
    let orphan = chat(&database, at_here);
    known(at_there, 4).await;

    assert!(leaving.terminate().await.success());
    let took = known(at_there, 3).await;
    println!("{backend:?}: a goodbye is heard after {took:?}");
    assert!(took < Duration::from_secs(2), "{took:?}");

    killed.kill().await;
    let took = known(at_there, 2).await;
    println!("{backend:?}: a kill is noticed after {took:?}");
    assert!(took < FORGOTTEN, "{took:?}");

    // One whose machine vanished, and one whose only schema service did.
    vanished.freeze();
    here.kill().await;
    let took = known(at_there, 0).await;
    println!("{backend:?}: a machine that vanished is given up after {took:?}");
    assert!(took < FORGOTTEN, "{took:?}");
    drop(orphan);
}
