//! `schema log` says who was passed by force.

use api::schema::v1::{Dependent, WatchRequest, schema_service_client::SchemaServiceClient};
use testing::{Backend, apply, both, channel, eventually};

use super::Desk;

#[apply(both!)]
async fn the_log_names_who_was_passed_by_force(backend: Backend) {
    let desk = Desk::at(backend, "0003").await;
    let address = desk.url.trim_start_matches("http://").parse().unwrap();
    let dependent = Dependent {
        service: "reports".into(),
        instance: "a".into(),
        requires: "0003".into(),
        ..Dependent::default()
    };
    let request = WatchRequest { dependent: Some(dependent) };
    let _watch = SchemaServiceClient::new(channel(address)).watch(request).await.unwrap();
    eventually("it is registered", async || {
        let state = &desk.json("current").await[0];
        (state["dependents"][0]["service"] == "reports").then_some(())
    })
    .await;

    assert_eq!(desk.run("downgrade 0002").await.status, 1);
    desk.print("downgrade 0002 --force").await;
    let log = desk.print("log -n 1").await;
    let told = "  by anonymous\n    forced past reports/a (requires 0003, built with )\n";
    assert!(log.ends_with(told), "{log}");
    let operation = &desk.json("log -n 1").await[0];
    assert_eq!(operation["forcedPast"][0], "reports/a (requires 0003, built with )");
}
