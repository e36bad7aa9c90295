//! SendMessage: many concurrent calls, and one at a time.

use std::{
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use api::chat::v1::{Chat, CreateChatRequest, SendMessageRequest};
use futures_util::future::try_join_all;
use testing::Backend;

use super::{Scale, Stack, TURNS, median, pgbench};

const CHATS: usize = 1_000;
const BODY: &str = "The quick brown fox jumps over the lazy dog, and the dog sleeps on.";

/// The same work as one statement: the message, and its chat's `last_message_at`.
const SCRIPT: &str = "\
\\set n random(1, 1000)
WITH stored AS (
    INSERT INTO messages (id, chat_id, sender, body, metadata, sent_at)
    VALUES (gen_random_uuid()::text, 'chat-' || :n, 'me@s.whatsapp.net',
        'The quick brown fox jumps over the lazy dog, and the dog sleeps on.', '{}', now())
    RETURNING chat_id, sent_at)
UPDATE chats SET last_message_at = stored.sent_at FROM stored
WHERE chats.id = stored.chat_id
AND (last_message_at IS NULL OR last_message_at < stored.sent_at);
";

/// Compared with pgbench, with the trigger that orders messages and, since it costs pgbench most,
/// without.
pub async fn postgres(scale: Scale) {
    let stack = Stack::start(Backend::Postgres).await;
    stack.fill(1, CHATS).await;
    let ids: Arc<[String]> = (1..=CHATS).map(|n| format!("chat-{n}")).collect();
    if stack.database.column("select current_setting('fsync')").await != [Some("on".into())] {
        println!("fsync is off: nothing is durable, and the following figures mean nothing");
    }
    one(&stack, &ids, scale).await;
    let _ = send(&stack, &ids, 256, scale).await;
    let (many, _) = send(&stack, &ids, 256, scale).await;
    println!("SendMessage, 256 in flight: {many:.0} a second");
    for (what, trigger) in [("in the order of commits", "enable"), ("in no order", "disable")] {
        let sql = format!("alter table messages {trigger} trigger messages_in_order");
        stack.database.execute(&sql).await;
        let Some(found) = pgbench::run(&stack.database, SCRIPT, 16, scale) else { break };
        let ratio = many / found.rate;
        println!("pgbench {what}, 16 clients: {:.0} a second, ratio {ratio:.1}", found.rate);
    }
}

/// One call at a time and one pgbench client, in turns.
async fn one(stack: &Stack, ids: &Arc<[String]>, scale: Scale) {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        ours.push(send(stack, ids, 1, scale.turn()).await.1);
        let Some(found) = pgbench::run(&stack.database, SCRIPT, 1, scale.turn()) else {
            println!("pgbench is not installed");
            return;
        };
        theirs.push(found.latency);
    }
    let (ours, theirs) = (median(ours), median(theirs));
    let slower = ours - theirs;
    println!(
        "SendMessage, one in flight: {ours:.2} ms; pgbench, one client: {theirs:.2} ms, \
         {slower:.2} ms less"
    );
}

/// Compared with the sqlite3 shell, with one transaction for each message.
pub async fn sqlite(scale: Scale) {
    let stack = Stack::start(Backend::Sqlite).await;
    let mut client = stack.client();
    let mut ids = Vec::new();
    for number in 0..100 {
        let chat = Chat { jid: format!("{number}"), ..Chat::default() };
        let created = client.create_chat(CreateChatRequest { chat: Some(chat) }).await.unwrap();
        ids.push(created.into_inner().chat.unwrap().id);
    }
    let ids = Arc::from(ids);
    let (many, _) = send(&stack, &ids, 64, scale).await;
    println!("SQLite: SendMessage, 64 in flight: {many:.0} a second");
    if let Some(shell) = shell(&stack, &ids[0], 5_000 / scale.rows.min(100)) {
        println!("sqlite3, a transaction each: {shell:.0} a second, ratio {:.1}", many / shell);
    }
}

/// Messages a second through the shell; none if it is not installed.
fn shell(stack: &Stack, chat_id: &str, count: usize) -> Option<f64> {
    let file = stack.database.url().strip_prefix("sqlite:").unwrap();
    let mut script = String::from("pragma synchronous = full; pragma foreign_keys = on;\n");
    for number in 0..count {
        script.push_str(&format!(
            "begin immediate; insert into messages (id, chat_id, sender, body, metadata, sent_at) \
             values ('m{number}', '{chat_id}', 'me', '{BODY}', '{{}}', '2026-01-01 00:00:00.000000'); \
             update chats set last_message_at = '2026-01-01 00:00:00.000000' where id = '{chat_id}' \
             and last_message_at < '2026-01-01'; commit;\n"
        ));
    }
    let input = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(input.path(), script).unwrap();
    let started = Instant::now();
    let status = Command::new("sqlite3")
        .arg(file)
        .stdin(Stdio::from(input.reopen().unwrap()))
        .stdout(Stdio::null())
        .status()
        .ok()?;
    assert!(status.success(), "sqlite3: {status}");
    Some(count as f64 / started.elapsed().as_secs_f64())
}

/// Sends with this many concurrent calls: messages a second, and milliseconds for each.
async fn send(stack: &Stack, ids: &Arc<[String]>, in_flight: usize, scale: Scale) -> (f64, f64) {
    let clients = stack.clients();
    let sent = Arc::new(AtomicUsize::new(0));
    let started = Instant::now();
    let senders = (0..in_flight).map(|number| {
        let mut client = clients[number % clients.len()].clone();
        let (ids, sent) = (Arc::clone(ids), Arc::clone(&sent));
        // A task for each, as in a real client.
        tokio::spawn(async move {
            while started.elapsed() < scale.lasting {
                let nth = sent.fetch_add(1, Ordering::Relaxed);
                let request = SendMessageRequest {
                    // The step is prime to the number of chats: no chat occurs twice in a batch.
                    chat_id: ids[nth * 7 % ids.len()].clone(),
                    sender: "me@s.whatsapp.net".into(),
                    body: BODY.into(),
                    ..SendMessageRequest::default()
                };
                client.send_message(request).await.unwrap();
            }
        })
    });
    try_join_all(senders).await.unwrap();
    let (sent, seconds) = (sent.load(Ordering::Relaxed) as f64, started.elapsed().as_secs_f64());
    (sent / seconds, seconds * 1e3 * in_flight as f64 / sent)
}
