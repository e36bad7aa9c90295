//! The bots' workers: they answer most deliveries, fail at some, and let the lease of a few expire.

use std::{sync::Arc, time::Duration};

use api::chat::v1::{
    Bot, WorkRequest, WorkResponse,
    bot_service_client::BotServiceClient,
    work_request::{Answer, Attend, Request},
};
use rand::{RngExt as _, rngs::StdRng};
use testing::channel;
use tokio::{
    sync::{Notify, mpsc},
    time::sleep,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use uuid::Uuid;

use super::{
    replicas::{RETRY_DELAY, describe, is_retryable},
    setup::Setup,
    writers::POISON,
};

/// Workers of each bot.
pub const WORKERS: usize = 2;

const CONCURRENCY: u32 = 8;

const LEASE: Duration = Duration::from_secs(2);

/// What a worker did.
#[derive(Default)]
pub struct WorkerReport {
    pub delivered: usize,
    /// Deliveries with an attempt above 1.
    pub redelivered: usize,
    pub answered: usize,
    pub failed: usize,
    /// Deliveries that were not answered.
    pub ignored: usize,
    /// Streams that broke or were cut.
    pub broken: usize,
    pub faults: Vec<String>,
}

/// Works until the end; opens a stream at the next replica when its stream breaks or its connection
/// is cut.
pub async fn work(setup: Arc<Setup>, number: usize, cut: Arc<Notify>) -> WorkerReport {
    let mut random = setup.random("worker", number);
    let mut worked = WorkerReport::default();
    let bot = &setup.bots[number / WORKERS];
    for attempt in number.. {
        let address = setup.addresses[attempt % setup.addresses.len()];
        let mut client = BotServiceClient::new(channel(address));
        let ended = tokio::select! {
            ended = attend(&mut client, bot, &mut random, &mut worked) => ended,
            () = cut.notified() => Ok(()),
            () = setup.ending.cancelled() => break,
        };
        if let Err(status) = ended
            && !is_retryable(&status)
        {
            worked.faults.push(describe(&status));
        }
        worked.broken += 1;
        drop(client);
        sleep(RETRY_DELAY).await;
    }
    worked
}

async fn attend(
    client: &mut BotServiceClient<tonic::transport::Channel>,
    bot: &Bot,
    random: &mut StdRng,
    worked: &mut WorkerReport,
) -> Result<(), Status> {
    let (requests, sent) = mpsc::channel(64);
    let send = async |request| drop(requests.send(WorkRequest { request: Some(request) }).await);
    send(Request::Attend(Attend {
        r#type: bot.r#type.clone(),
        concurrency: CONCURRENCY,
        lease: Some(LEASE.try_into().unwrap()),
    }))
    .await;
    let mut deliveries = client.work(ReceiverStream::new(sent)).await?.into_inner();
    while let Some(delivery) = deliveries.message().await? {
        worked.delivered += 1;
        worked.redelivered += usize::from(delivery.attempt > 1);
        if let Some(answer) = answer(bot, delivery, random, worked) {
            send(Request::Answer(answer)).await;
        }
    }
    Ok(())
}

/// The answer to a delivery; none lets its lease expire.
fn answer(
    bot: &Bot,
    delivery: WorkResponse,
    random: &mut StdRng,
    worked: &mut WorkerReport,
) -> Option<Answer> {
    let message = delivery.message.unwrap();
    let answer = Answer { delivery_id: delivery.delivery_id, ..Answer::default() };
    let chance: f64 = random.random();
    if always_fails(bot, &message.body) || chance < 0.04 {
        worked.failed += 1;
        return Some(Answer { error: "not this time".into(), ..answer });
    }
    if chance < 0.05 {
        worked.ignored += 1;
        return None;
    }
    worked.answered += 1;
    Some(Answer { reply: reply(bot, message.id.parse().unwrap()), ..answer })
}

/// Whether a bot always fails at a message.
pub fn always_fails(bot: &Bot, body: &str) -> bool {
    bot.r#type == "first" && body.ends_with(POISON)
}

/// A bot's reply to a message: empty for one in ten.
pub fn reply(bot: &Bot, to: Uuid) -> String {
    match to.as_u128() % 10 {
        0 => String::new(),
        _ => format!("{} received {to}", bot.name),
    }
}
