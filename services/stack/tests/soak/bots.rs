//! The bots' workers: they answer most, fail at some, and say nothing at all to a few, so that a
//! lease runs out.

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
    replicas::{PAUSE, passes, told},
    stage::Stage,
    writers::POISON,
};

/// Of each bot.
pub const WORKERS: usize = 2;

const CONCURRENCY: u32 = 8;

/// As short as that of a delivery that nobody answers may be.
const LEASE: Duration = Duration::from_secs(2);

/// What a worker came to.
#[derive(Default)]
pub struct Worked {
    pub handed: usize,
    /// Of these, not for the first time.
    pub again: usize,
    pub answered: usize,
    pub failed: usize,
    /// To so many nothing was said.
    pub silent: usize,
    /// Streams that broke or were cut.
    pub broken: usize,
    pub faults: Vec<String>,
}

/// Works to the end, and begins anew at the next replica whenever its stream breaks or its
/// connection is cut.
pub async fn work(stage: Arc<Stage>, number: usize, cut: Arc<Notify>) -> Worked {
    let mut random = stage.random("worker", number);
    let mut worked = Worked::default();
    let bot = &stage.bots[number / WORKERS];
    for turn in number.. {
        let address = stage.addresses[turn % stage.addresses.len()];
        let mut client = BotServiceClient::new(channel(address));
        let ended = tokio::select! {
            ended = attend(&mut client, bot, &mut random, &mut worked) => ended,
            () = cut.notified() => Ok(()),
            () = stage.ending.cancelled() => break,
        };
        if let Err(status) = ended
            && !passes(&status)
        {
            worked.faults.push(told(&status));
        }
        worked.broken += 1;
        drop(client);
        sleep(PAUSE).await;
    }
    worked
}

async fn attend(
    client: &mut BotServiceClient<tonic::transport::Channel>,
    bot: &Bot,
    random: &mut StdRng,
    worked: &mut Worked,
) -> Result<(), Status> {
    let (says, said) = mpsc::channel(64);
    let say = async |request| drop(says.send(WorkRequest { request: Some(request) }).await);
    say(Request::Attend(Attend {
        r#type: bot.r#type.clone(),
        concurrency: CONCURRENCY,
        lease: Some(LEASE.try_into().unwrap()),
    }))
    .await;
    let mut told = client.work(ReceiverStream::new(said)).await?.into_inner();
    while let Some(told) = told.message().await? {
        worked.handed += 1;
        worked.again += usize::from(told.attempt > 1);
        if let Some(answer) = answer(bot, told, random, worked) {
            say(Request::Answer(answer)).await;
        }
    }
    Ok(())
}

/// What becomes of a delivery; none where nothing is said.
fn answer(
    bot: &Bot,
    told: WorkResponse,
    random: &mut StdRng,
    worked: &mut Worked,
) -> Option<Answer> {
    let message = told.message.unwrap();
    let answer = Answer { delivery_id: told.delivery_id, ..Answer::default() };
    let chance: f64 = random.random();
    if fails_at(bot, &message.body) || chance < 0.04 {
        worked.failed += 1;
        return Some(Answer { error: "not this time".into(), ..answer });
    }
    if chance < 0.05 {
        worked.silent += 1;
        return None;
    }
    worked.answered += 1;
    Some(Answer { reply: reply(bot, message.id.parse().unwrap()), ..answer })
}

/// Whether a bot fails at a message each time: the first one does at poison.
pub fn fails_at(bot: &Bot, body: &str) -> bool {
    bot.r#type == "first" && body.ends_with(POISON)
}

/// What a bot says to a message: nothing to one in ten.
pub fn reply(bot: &Bot, to: Uuid) -> String {
    match to.as_u128() % 10 {
        0 => String::new(),
        _ => format!("{} heard {to}", bot.name),
    }
}
