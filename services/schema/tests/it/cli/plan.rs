//! `schema plan`: what it prints, and what its digest is good for.

use testing::{Backend, apply, both};

use super::{CliFixture, MIGRATIONS, json};

#[apply(both!)]
async fn plan_sql_prints_only_sql(backend: Backend) {
    let cli = CliFixture::at(backend, "0001").await;
    let [_, add, index] = MIGRATIONS.map(|[_, up, _]| up);
    let whole = cli.run("plan --sql").await;
    assert_eq!(
        whole.stdout,
        format!(
            "-- 0002, add body: one transaction\n{add}\n\n\
             -- 0003, index notes: one transaction\n{index}\n"
        )
    );
    assert_eq!(whole.stderr, "");
    let down = cli.print("plan --sql --downgrade -1").await;
    assert_eq!(down, "-- 0001, make notes: one transaction\ndrop table notes;\n");
    assert_eq!(cli.run("plan 0001").await.stderr, "nothing to do\n");
}

#[apply(both!)]
async fn a_plan_prints_the_command_that_runs_it(backend: Backend) {
    let cli = CliFixture::at(backend, "0002").await;
    cli.database.execute("insert into notes values (1, 'kept'), (2, null)").await;
    let plan = cli.run("plan --downgrade -1").await;
    assert_eq!(plan.stdout.lines().next(), Some("0002, add body: one transaction"));
    assert!(plan.stdout.contains("  DATA LOSS: line 1: notes.body (1 row "), "{}", plan.stdout);
    let command = plan.stderr.trim().strip_prefix("to run exactly this plan: schema ").unwrap();
    let digest = json(&cli.print("plan --downgrade -1 --json").await)[0]["digest"].clone();
    assert_eq!(
        command,
        format!("downgrade -1 --plan-digest {} --allow-data-loss", digest.as_str().unwrap())
    );

    let refused = cli.run("downgrade -1").await;
    assert!(refused.stderr.contains("--allow-data-loss"), "{}", refused.stderr);
    let other = cli.run("upgrade --plan-digest 00 --json").await;
    assert_eq!(json(&other.stderr)[0]["error"]["reason"], "PLAN_CHANGED");
    assert_eq!(cli.print(command).await.lines().last(), Some("0001"));
    assert_eq!(cli.run(command).await.status, 1, "a plan is good for once");
}
