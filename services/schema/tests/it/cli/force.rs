//! The dependents that an operation was forced past, in `schema log`.

use api::schema::v1::{Dependent, WatchRequest, schema_service_client::SchemaServiceClient};
use testing::{Backend, apply, both, channel, eventually};

use super::CliFixture;

#[apply(both!)]
async fn the_log_names_dependents_broken_by_force(backend: Backend) {
    let cli = CliFixture::at(backend, "0003").await;
    let address = cli.url.trim_start_matches("http://").parse().unwrap();
    let dependent = Dependent {
        service: "reports".into(),
        instance: "a".into(),
        requires: "0003".into(),
        ..Dependent::default()
    };
    let request = WatchRequest { dependent: Some(dependent) };
    let _watch = SchemaServiceClient::new(channel(address)).watch(request).await.unwrap();
    eventually("it is registered", async || {
        let state = &cli.json("current").await[0];
        (state["dependents"][0]["service"] == "reports").then_some(())
    })
    .await;

    assert_eq!(cli.run("downgrade 0002").await.status, 1);
    cli.print("downgrade 0002 --force").await;
    let log = cli.print("log -n 1").await;
    let expected = "  by anonymous\n    forced past reports/a (requires 0003, built with )\n";
    assert!(log.ends_with(expected), "{log}");
    let operation = &cli.json("log -n 1").await[0];
    assert_eq!(operation["forcedPast"][0], "reports/a (requires 0003, built with )");
}
