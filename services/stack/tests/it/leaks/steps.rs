//! Migrations that fail on rows: error, log and ledger name the statement and the cause, and
//! contain nothing of the rows.

use std::fs;

use api::schema::v1::{
    ListOperationsRequest, UpgradeRequest, schema_service_client::SchemaServiceClient,
};
use testing::{Backend, Process, apply, both, channel, info, reason};
use tonic::Status;

use super::{LOG, PLANTED};
use crate::services::binary;

const TABLE: &str = "CREATE TABLE notes (body varchar(200), title varchar(20) NOT NULL);";

/// Statements that fail on the rows, and the text that each error must contain.
const fn forbidden(backend: Backend) -> &'static [(&'static str, &'static str)] {
    match backend {
        Backend::Postgres => &[
            ("CREATE UNIQUE INDEX once ON notes (body)", "could not create unique index \"once\""),
            ("UPDATE notes SET title = NULL", "null value in column \"title\""),
            ("ALTER TABLE notes ADD CHECK (body < 'a')", "check constraint"),
            ("ALTER TABLE notes ALTER body TYPE integer USING body::integer", "SQLSTATE 22P02"),
            ("ALTER TABLE notes ALTER body TYPE json USING body::json", "SQLSTATE 22P02"),
            // The text of a query in a function contains the row.
            (
                "DO $$ BEGIN EXECUTE format('SELECT %L::integer', (SELECT min(body) FROM notes)); END $$",
                "SQLSTATE 22P02",
            ),
        ],
        Backend::Sqlite => &[
            ("CREATE UNIQUE INDEX once ON notes (body)", "UNIQUE constraint failed: notes.body"),
            ("UPDATE notes SET title = NULL", "NOT NULL constraint failed: notes.title"),
            (
                "CREATE TABLE n (a integer) STRICT; INSERT INTO n SELECT body FROM notes",
                "cannot store TEXT value in INTEGER column n.a",
            ),
        ],
    }
}

#[apply(both!)]
async fn errors_of_steps_contain_no_row(backend: Backend) {
    for (statement, expected) in forbidden(backend) {
        let database = backend.empty().await;
        let migrations = tempfile::tempdir().unwrap();
        for (name, up) in [("0001_notes", TABLE), ("0002_forbidden", statement)] {
            let folder = migrations.path().join(name);
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("up.sql"), format!("{up};")).unwrap();
            fs::write(folder.join("down.sql"), "SELECT 1;").unwrap();
        }
        let directory = migrations.path().to_str().unwrap();
        let env = [LOG, ("DATABASE_URL", database.url()), ("SCHEMA_MIGRATIONS_DIR", directory)];
        let mut schema = Process::start(binary("schema"), &["serve"], &env);
        let mut client = SchemaServiceClient::new(channel(schema.address("schema").await));

        upgrade(&mut client, "0001").await.unwrap();
        let row = format!("('{PLANTED} in a body', '{PLANTED}')");
        database.execute(&format!("INSERT INTO notes VALUES {row}, {row}")).await;
        let refused = upgrade(&mut client, "0002").await.unwrap_err();
        assert_eq!(reason(&refused), "STEP_FAILED", "{statement}: {refused:?}");
        assert_eq!(info(&refused, "revision"), "0002");
        assert!(refused.message().contains(expected), "{statement}: {}", refused.message());

        let ledger = client.list_operations(ListOperationsRequest::default()).await.unwrap();
        let ledger = format!("{ledger:?}");
        assert!(ledger.contains("0002"), "{ledger}");
        assert!(schema.terminate().await.success());
        let outputs = [format!("{refused:?}"), ledger, schema.output().join("\n")];
        assert!(!outputs.iter().any(|text| text.contains(PLANTED)), "{statement}: {outputs:#?}");
    }
}

async fn upgrade(
    client: &mut SchemaServiceClient<tonic::transport::Channel>,
    target: &str,
) -> Result<(), Status> {
    let request =
        UpgradeRequest { target: target.into(), allow_data_loss: true, ..Default::default() };
    let mut events = client.upgrade(request).await?.into_inner();
    while events.message().await?.is_some() {}
    Ok(())
}
