//! After the load: waits until everything due is sent, delivered, answered and received.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use testing::Session;
use tokio::time::sleep;

use super::{cluster::Cluster, setup::Setup, subscribers::Subscriber};

/// Longer than the back-off of a delivery that always fails: seven seconds in all.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(60);

pub struct SettleReport {
    /// The position of the first message.
    pub after: i64,
    /// The newest position when everything was settled.
    pub upto: i64,
    pub took: Duration,
    /// What was not settled in time.
    pub unsettled: Option<String>,
}

pub async fn settle(
    cluster: &Cluster,
    setup: &Setup,
    subscribers: &[Arc<Subscriber>],
) -> SettleReport {
    let mut session = cluster.database.session().await;
    let first = format!("select position from messages where id = '{}'", setup.first.id);
    let after = number(&mut session, &first).await;
    let started = Instant::now();
    loop {
        let upto = number(&mut session, "select max(position) from messages").await;
        let unsettled = unsettled(&mut session, subscribers, after, upto).await;
        let took = started.elapsed();
        if unsettled.is_none() || took > SETTLE_TIMEOUT {
            return SettleReport { after, upto, took, unsettled };
        }
        sleep(Duration::from_millis(100)).await;
    }
}

async fn unsettled(
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
            "{due} schedules due, {waiting} deliveries waiting, {} messages without fan-out",
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
        (seen < expected).then(|| format!("subscriber {number} received {seen} of {expected}"))
    })
}

async fn number(session: &mut Session, query: &str) -> i64 {
    let found = session.column(query).await.into_iter().flatten().next();
    found.map(|number| number.parse().unwrap()).unwrap_or_default()
}
