//! The roles of docs/roles.sql: everything in the chat service works as a role that owns nothing
//! and can do no more. SQLite has no roles: a user who may write the file may do everything with
//! it.

use api::chat::v1::{
    AssignBotRequest, Assignment, Bot, CreateBotRequest, CreateScheduleRequest, RunScheduleRequest,
    Schedule, bot_service_client::BotServiceClient, schedule::When,
    schedule_service_client::ScheduleServiceClient,
};
use testing::{Backend, Process, Session, TestDatabase, channel, eventually, upgrade};
use tokio::process::Command;

use crate::services::binary;

const ROLES: &str = include_str!("../../../../docs/roles.sql");
const PASSWORD: &str = "only-of-this-test";

/// Statements that must be refused to the role of chat.
const FORBIDDEN: [&str; 14] = [
    "ALTER TABLE chats ADD COLUMN x int",
    "ALTER TABLE chats DISABLE TRIGGER ALL",
    "DROP TABLE chats CASCADE",
    "TRUNCATE messages CASCADE",
    "CREATE INDEX ON chats (name)",
    "CREATE TABLE mine (x int)",
    "CREATE TEMPORARY TABLE mine (x int)",
    "CREATE SCHEMA mine",
    "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "COMMENT ON TABLE chats IS 'mine'",
    "INSERT INTO __diesel_schema_migrations (version) VALUES ('9999')",
    "DELETE FROM schemagate_dependents",
    "UPDATE schemagate_operations SET actor = 'other'",
    "SET ROLE schemagate_owner",
];

fn url_of(database: &TestDatabase, role: &str) -> String {
    let (scheme, rest) = database.url().split_once("://").unwrap();
    let server = rest.split_once('@').map_or(rest, |(_, server)| server);
    format!("{scheme}://{role}:{PASSWORD}@{server}")
}

async fn with_roles(database: &TestDatabase) -> [String; 2] {
    database.execute(ROLES).await;
    let roles = ["schemagate_owner", "schemagate_chat"];
    for role in roles {
        database.execute(&format!("ALTER ROLE {role} PASSWORD '{PASSWORD}'")).await;
    }
    roles.map(|role| url_of(database, role))
}

/// Runs both services, each as its role, and everything that chat does.
async fn serves(database: &TestDatabase) {
    let [owner, chat] = with_roles(database).await;
    let mut schema = Process::start(binary("schema"), &["serve"], &[("DATABASE_URL", &owner)]);
    let schema = schema.address("schema").await;
    upgrade(schema, "head").await.unwrap();
    let schema = format!("http://{schema}");
    let env = [("DATABASE_URL", chat.as_str()), ("SCHEMA_URL", &schema)];
    let mut service = Process::start(binary("chat"), &["serve"], &env);
    let address = service.address("chat").await;
    let url = format!("http://{address}");
    let run = async |arguments: &[&str]| {
        let mut command = Command::new(binary("chat"));
        command.args(arguments).env_clear().env("CHAT_URL", &url);
        let output = command.output().await.unwrap();
        let printed = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        output.status.success().then_some(printed.clone()).ok_or(printed)
    };
    eventually("all three proofs hold", async || run(&["ready"]).await.ok()).await;
    run(&["create", "a@g.us"]).await.unwrap();
    run(&["send", "a@g.us", "hello"]).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("chats.jsonl");
    std::fs::write(&file, "{\"jid\": \"b@g.us\", \"type\": \"CHAT_TYPE_GROUP\"}\n").unwrap();
    run(&["import", file.to_str().unwrap()]).await.unwrap();
    let listed = run(&["list", "--json"]).await.unwrap();
    assert_eq!(listed.lines().count(), 2, "{listed}");
    let id = database.column("SELECT id FROM chats WHERE jid = 'a@g.us'").await;
    let chat_id = id[0].clone().unwrap();

    let mut schedules = ScheduleServiceClient::new(channel(address));
    let schedule = Schedule {
        chat_id: chat_id.clone(),
        message: "on time".into(),
        enabled: true,
        when: Some(When::Cron("0 9 * * *".into())),
        ..Schedule::default()
    };
    let request = CreateScheduleRequest { schedule: Some(schedule) };
    let made = schedules.create_schedule(request).await.unwrap().into_inner().schedule.unwrap();
    schedules.run_schedule(RunScheduleRequest { id: made.id }).await.unwrap();
    let mut bots = BotServiceClient::new(channel(address));
    let bot = Bot { name: "echo".into(), r#type: "echo".into(), enabled: true, ..Bot::default() };
    let made = bots.create_bot(CreateBotRequest { bot: Some(bot) }).await.unwrap().into_inner();
    let bot_id = made.bot.unwrap().id;
    let assignment = Assignment { bot_id, chat_id, enabled: true, ..Assignment::default() };
    bots.assign_bot(AssignBotRequest { assignment: Some(assignment) }).await.unwrap();
    run(&["send", "a@g.us", "is anyone there?"]).await.unwrap();
    eventually("a delivery is made", async || {
        let deliveries = database.column("SELECT count(*) FROM bot_deliveries").await;
        (deliveries[0].as_deref() == Some("1")).then_some(())
    })
    .await;

    let mut session = Session::open(&chat).await;
    for statement in FORBIDDEN {
        let refused = session.attempt(statement).await.expect_err(statement);
        let denied = refused.contains("permission denied") || refused.contains("must be owner");
        assert!(denied, "{statement}: {refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chat_works_as_a_role_that_owns_nothing_and_can_do_no_more() {
    serves(&Backend::Postgres.empty().await).await;
    // Also on tables that another role created.
    serves(&Backend::Postgres.at("0001").await).await;
}
