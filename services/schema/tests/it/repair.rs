//! Repair: by name, and written down.

use api::schema::v1::{ListOperationsRequest, RepairRequest, Status, operation::Kind};
use testing::{Backend, apply, both, reason};
use tonic::Code;

use crate::server::{Server, revision, tables};

#[apply(both!)]
async fn repair_accepts_the_held_text(backend: Backend) {
    let database = backend.empty().await;
    Server::holding(&database, &tables()).await.upgrade("head").await.unwrap();
    let mut changed = tables();
    changed[1] = revision("0002", "create table b (n integer); -- said better", "drop table b;");
    let server = Server::holding(&database, &changed).await;
    assert_eq!(server.current().await.status(), Status::Diverged);

    let repair = |revision: &str| RepairRequest { revision: revision.into() };
    for (id, code, why) in [
        ("", Code::InvalidArgument, "REVISION_REQUIRED"),
        ("0009", Code::NotFound, "REVISION_UNKNOWN"),
        ("0001", Code::FailedPrecondition, "REVISION_NOT_ALTERED"),
    ] {
        let refusal = server.client().repair(repair(id)).await.unwrap_err();
        assert_eq!((refusal.code(), reason(&refusal).as_str()), (code, why), "{id}");
    }
    let state = server.client().repair(repair("0002")).await.unwrap().into_inner().state.unwrap();
    assert_eq!((state.status(), state.epoch), (Status::AtHead, 4));
    let log = server.client().list_operations(ListOperationsRequest::default()).await.unwrap();
    let last = &log.get_ref().operations[0];
    assert_eq!(
        (last.kind(), last.to_revision.as_str(), last.actor.as_str()),
        (Kind::Repair, "0002", "anonymous")
    );
}
