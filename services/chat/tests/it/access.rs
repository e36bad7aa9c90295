//! Which roles may call which methods of the chat service.

use access::method_paths;
use api::chat::v1::{
    AssignBotRequest, Assignment, Bot, CreateBotRequest, WorkRequest,
    bot_service_client::BotServiceClient,
    work_request::{Attend, Request as Asked},
};
use testing::{
    AccessFile, Backend, DEADLINE, Process, apply, as_caller, both, call, channel, eventually,
    info, reason,
};
use tokio::time::timeout;
use tokio_stream::{StreamExt as _, pending};
use tonic::{Code, Status, transport::Channel};
use transport::Reflection;

use crate::fixture::Fixture;

const CHAT: &str = env!("CARGO_BIN_EXE_chat");

/// A caller of each role, named like it.
const ROLES: [(&str, &str); 3] = [("reader", "reader"), ("bot", "bot"), ("service", "service")];

/// A replica that knows its callers, beside one that does not.
async fn guarded(fixture: &Fixture, callers: &AccessFile) -> (Process, Channel) {
    let (schema, file) = (format!("http://{}", fixture.schema), callers.path());
    let file = file.display().to_string();
    let env = [
        ("DATABASE_URL", fixture.database.url()),
        ("SCHEMA_URL", &schema),
        ("CHAT_ACCESS_FILE", &file),
    ];
    let mut process = Process::start(CHAT, &["serve"], &env);
    let channel = channel(process.address("chat").await);
    eventually("its gate opens", async || {
        let listed = call(channel.clone(), "/chat.v1.ChatService/ListChats", Some("reader")).await;
        listed.ok()
    })
    .await;
    (process, channel)
}

/// The roles that may call a method; none where everybody may.
fn may(path: &str) -> Option<&'static [&'static str]> {
    let (service, method) = path.rsplit_once('/').unwrap();
    Some(match method {
        _ if service == "/grpc.health.v1.Health" => return None,
        "Work" => &["bot", "service"],
        "Readiness" | "ServerReflectionInfo" => &["reader", "bot", "service"],
        "Subscribe" => &["reader", "service"],
        read if read.starts_with("Get") || read.starts_with("List") => &["reader", "service"],
        _ => &["service"],
    })
}

#[apply(both!)]
async fn each_role_may_call_what_is_its_own(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let callers = AccessFile::of(&ROLES);
    let (_process, channel) = guarded(&fixture, &callers).await;
    for path in method_paths(&["chat.v1", "gate.v1"]) {
        let Some(may) = may(&path) else { continue };
        for (role, _) in ROLES {
            let answer = call(channel.clone(), &path, Some(role)).await;
            if may.contains(&role) {
                let code = answer.err().map(|status| status.code());
                let refused = [Code::PermissionDenied, Code::Unauthenticated];
                assert!(!code.is_some_and(|code| refused.contains(&code)), "{role} {path}");
            } else {
                let denied = answer.unwrap_err();
                assert_eq!(denied.code(), Code::PermissionDenied, "{role} {path}: {denied:?}");
                assert_eq!(info(&denied, "role"), may[0]);
            }
        }
        for (caller, missing) in [(None, "TOKEN_MISSING"), (Some("x"), "TOKEN_UNKNOWN")] {
            let refused = call(channel.clone(), &path, caller).await.unwrap_err();
            assert_eq!(refused.code(), Code::Unauthenticated, "{path}: {refused:?}");
            assert_eq!(reason(&refused), missing);
        }
    }
}

#[apply(both!)]
async fn a_bot_may_attend_only_to_its_own_type(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let callers = AccessFile::of(&ROLES);
    let (_process, channel) = guarded(&fixture, &callers).await;
    let chat_id = fixture.chat("a").await;
    for bot_type in ["echo", "translation"] {
        assign_bot(&fixture, &chat_id, bot_type).await;
    }
    // A worker that is accepted gets the delivery of a message.
    let attend = async |caller: &str, bot_type: &str| {
        let attend = Attend { r#type: bot_type.into(), ..Attend::default() };
        let first = WorkRequest { request: Some(Asked::Attend(attend)) };
        let requests = tokio_stream::once(first).chain(pending());
        let mut client = BotServiceClient::new(channel.clone());
        let mut deliveries = client.work(as_caller(Some(caller), requests)).await?.into_inner();
        fixture.say(&chat_id, "x").await;
        let delivery = timeout(DEADLINE, deliveries.message()).await.expect("an answer")?;
        assert_eq!(delivery.and_then(|delivery| delivery.bot).unwrap().r#type, bot_type);
        Ok::<_, Status>(())
    };
    let denied = attend("bot", "translation").await.unwrap_err();
    assert_eq!(
        (denied.code(), reason(&denied).as_str()),
        (Code::PermissionDenied, "BOT_TYPE_DENIED")
    );
    assert!(!denied.message().contains("echo"), "{denied:?}");
    attend("bot", "echo").await.unwrap();
    attend("service", "translation").await.unwrap();
}

/// Creates a bot and puts it into a chat.
async fn assign_bot(fixture: &Fixture, chat_id: &str, bot_type: &str) {
    let mut client = BotServiceClient::new(channel(fixture.chat));
    let bot =
        Bot { r#type: bot_type.into(), name: bot_type.into(), enabled: true, ..Bot::default() };
    let created = client.create_bot(CreateBotRequest { bot: Some(bot) }).await.unwrap();
    let assignment = Assignment {
        chat_id: chat_id.into(),
        bot_id: created.into_inner().bot.unwrap().id,
        enabled: true,
        ..Assignment::default()
    };
    let request = AssignBotRequest { assignment: Some(assignment) };
    client.assign_bot(request).await.unwrap();
}

#[tokio::test]
async fn commands_send_a_token_and_advise_if_it_is_missing() {
    let fixture = Fixture::ready(Backend::Sqlite).await;
    let callers = AccessFile::of(&ROLES);
    let (mut process, _) = guarded(&fixture, &callers).await;
    let url = format!("http://{}", process.address("chat").await);
    let chat = async |arguments: &[&str], who: Option<&str>| {
        let mut command = tokio::process::Command::new(CHAT);
        command.args(arguments).env_clear().env("CHAT_URL", &url);
        command.envs(who.map(|who| ("CHAT_TOKEN_FILE", callers.token_file(who))));
        let output = command.output().await.unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    };
    let (status, said) = chat(&["list"], None).await;
    assert_eq!(status, Some(1));
    assert!(said.contains("a token is required") && said.contains("CHAT_TOKEN_FILE"), "{said}");
    let (status, said) = chat(&["create", "a@g.us"], Some("reader")).await;
    assert_eq!(status, Some(1));
    assert!(said.contains("chat token NAME --role service"), "{said}");
    let (status, said) = chat(&["create", "a@g.us"], Some("service")).await;
    assert_eq!(status, Some(0), "{said}");
    let (status, said) = chat(&["send", "a@g.us", "hello"], Some("service")).await;
    assert_eq!(status, Some(0), "{said}");
    for command in ["list", "ready"] {
        let (status, said) = chat(&[command], Some("reader")).await;
        assert_eq!(status, Some(0), "{said}");
    }
    let (status, said) = chat(&["token", "echo-1", "--role", "bot"], None).await;
    assert_eq!(status, Some(1));
    assert!(said.contains("bot_type: required"), "{said}");
    let token = ["token", "echo-1", "--role", "bot", "--bot-type", "echo"];
    let (status, said) = chat(&token, None).await;
    assert_eq!(status, Some(0));
    assert!(said.starts_with("sgt_") && said.contains("[[caller]]"), "{said}");
}

#[tokio::test]
async fn reflection_can_be_off() {
    let fixture = Fixture::ready(Backend::Sqlite).await;
    let silent = chat::Config { reflection: Reflection::Off, ..fixture.config() };
    let silent = fixture.replica_with(silent).await;
    for version in ["v1", "v1alpha"] {
        let path = format!("/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo");
        let off = call(channel(silent), &path, None).await.unwrap_err();
        assert_eq!(off.code(), Code::Unimplemented, "{off:?}");
        let on = call(channel(fixture.chat), &path, None).await;
        assert_ne!(on.err().map(|status| status.code()), Some(Code::Unimplemented));
    }
}
