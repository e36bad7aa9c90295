//! After the load: everything that was due is sent, handed out, answered and seen, soon.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use testing::Session;
use tokio::time::sleep;

use super::{stage::Stage, subscribers::Subscriber, world::World};

/// How long that may take. Behind poison are three pauses, of seven seconds in all.
const LIMIT: Duration = Duration::from_secs(60);

/// Where it came to.
pub struct Settled {
    /// The position of the message behind which everybody began.
    pub after: i64,
    /// The newest one when everything was settled.
    pub upto: i64,
    /// How long that took.
    pub took: Duration,
    /// What was not settled when the time was over.
    pub left: Option<String>,
}

/// Waits for it.
pub async fn settle(world: &World, stage: &Stage, subscribers: &[Arc<Subscriber>]) -> Settled {
    let mut session = world.database.session().await;
    let first = format!("select position from messages where id = '{}'", stage.first.id);
    let after = number(&mut session, &first).await;
    let started = Instant::now();
    loop {
        let upto = number(&mut session, "select max(position) from messages").await;
        let left = look(&mut session, subscribers, after, upto).await;
        let took = started.elapsed();
        if left.is_none() || took > LIMIT {
            return Settled { after, upto, took, left };
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// What is not settled yet.
async fn look(
    session: &mut Session,
    subscribers: &[Arc<Subscriber>],
    after: i64,
    upto: i64,
) -> Option<String> {
    let due = "select count(*) from scheduled_messages \
               where schedule_type = 'once' and next_run_at is not null";
    let due = number(session, due).await;
    let cursor = number(session, "select position from bot_cursor").await;
    let waiting = "select count(*) from bot_deliveries where parked_at is null";
    let waiting = number(session, waiting).await;
    if due > 0 || waiting > 0 || cursor < upto {
        return Some(format!(
            "{due} schedules, {waiting} deliveries, {} messages to hand out",
            upto - cursor
        ));
    }
    let counts = format!(
        "select chat_id || ' ' || count(*) from messages \
         where position > {after} and position <= {upto} group by chat_id"
    );
    let counts: HashMap<String, usize> = session
        .column(&counts)
        .await
        .into_iter()
        .flatten()
        .map(|row| row.split_once(' ').map(|(id, n)| (id.into(), n.parse().unwrap())).unwrap())
        .collect();
    subscribers.iter().enumerate().find_map(|(number, subscriber)| {
        let expected = match &subscriber.chat {
            Some(chat) => counts.get(chat).copied().unwrap_or_default(),
            None => counts.values().sum(),
        };
        let seen = subscriber.seen.lock().unwrap().len();
        (seen < expected).then(|| format!("subscriber {number} saw {seen} of {expected}"))
    })
}

async fn number(session: &mut Session, query: &str) -> i64 {
    let found = session.column(query).await.into_iter().flatten().next();
    found.map(|number| number.parse().unwrap()).unwrap_or_default()
}
