//! The models and the revisions that they are for.

use chat::models::{self, BUILT_WITH, REQUIRES};
use common::database::Database;
use testing::{Backend, TestDatabase, apply, both};

#[apply(both!)]
async fn the_models_run_on_what_they_require_and_not_before(backend: Backend) {
    assert_eq!(answered(&backend.at(REQUIRES).await).await, Ok(()));
    let before = format!("{:04}", REQUIRES.parse::<u32>().unwrap() - 1);
    let refused = answered(&backend.at(&before).await).await.unwrap_err();
    assert!(refused.contains("messages"), "{refused}");
}

#[test]
fn the_build_knows_the_newest_revision() {
    assert!(BUILT_WITH >= REQUIRES);
}

async fn answered(database: &TestDatabase) -> Result<(), String> {
    let database = Database::new(&database.url().parse().unwrap(), "test", 1);
    let mut connection = database.connection().await.unwrap();
    models::answer(&mut connection).await.map_err(|error| error.to_string())
}
