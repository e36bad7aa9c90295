//! What is stored when all is over, as the database and the services' lists tell it.

use std::{collections::HashMap, time::SystemTime};

use api::chat::v1::{
    ListParkedDeliveriesRequest, ListSchedulesRequest, Schedule,
    bot_service_client::BotServiceClient, schedule_service_client::ScheduleServiceClient,
};
use chrono::DateTime;
use testing::channel;
use uuid::Uuid;

use super::{stage::Stage, world::World};

/// All of it.
pub struct Stored {
    /// In order.
    pub messages: Vec<Row>,
    /// As they were before the messages were read.
    pub schedules: Vec<Schedule>,
    /// A message and its bot.
    pub parked: Vec<(Uuid, String)>,
    /// What each bot answered to each message, null where it had nothing to say.
    pub processed: HashMap<(Uuid, String), Option<String>>,
    /// How many of those rows there are.
    pub answers: usize,
    /// A chat, a bot, and the position behind which it hears.
    pub seats: Vec<(String, String, i64)>,
}

/// A message.
pub struct Row {
    pub position: i64,
    pub id: Uuid,
    pub chat: String,
    pub sender: String,
    pub reply_to: Option<Uuid>,
    pub body: String,
    /// Of a schedule's.
    pub run: Option<Run>,
}

/// What a schedule's message says of its run.
#[derive(Clone, Copy)]
pub struct Run {
    pub at: SystemTime,
    pub missed: u64,
}

const MESSAGES: &str = "\
select position || ' ' || id || ' ' || chat_id || ' ' || sender || ' ' || coalesce(reply_to, '-') \
|| ' ' || coalesce(metadata -> 'schedule' ->> 'run_at', '-') \
|| ' ' || coalesce(metadata -> 'schedule' ->> 'missed', '-') || ' ' || body from messages";

const PROCESSED: &str = "\
select message_id || ' ' || bot_id || ' ' || coalesce('=' || response, '-') from processed_messages";

const SEATS: &str = "select chat_id || ' ' || bot_id || ' ' || since_position from chat_bots";

impl Stored {
    /// Reads it.
    pub async fn read(world: &World, stage: &Stage) -> Self {
        let schedules = schedules(stage).await;
        let parked = parked(stage).await;
        let rows = async |query| world.database.column(query).await.into_iter().flatten();
        let mut messages: Vec<Row> = rows(MESSAGES).await.map(|row| message(&row)).collect();
        messages.sort_by_key(|row| row.position);
        let processed: Vec<String> = rows(PROCESSED).await.collect();
        let seats = rows(SEATS).await.map(|row| {
            let [chat, bot, since] = fields(&row);
            (chat.into(), bot.into(), since.parse().unwrap())
        });
        Self {
            messages,
            schedules,
            parked,
            answers: processed.len(),
            processed: processed.iter().map(|row| answer(row)).collect(),
            seats: seats.collect(),
        }
    }
}

/// The fields of a row; the last one may have spaces in it.
fn fields<const N: usize>(row: &str) -> [&str; N] {
    let fields: Vec<&str> = row.splitn(N, ' ').collect();
    fields.try_into().unwrap()
}

fn message(row: &str) -> Row {
    let [position, id, chat, sender, reply_to, run_at, missed, body] = fields(row);
    let run = |at| Run {
        at: DateTime::parse_from_rfc3339(at).unwrap().into(),
        missed: missed.parse().unwrap(),
    };
    Row {
        position: position.parse().unwrap(),
        id: id.parse().unwrap(),
        chat: chat.into(),
        sender: sender.into(),
        reply_to: reply_to.parse().ok(),
        body: body.into(),
        run: Some(run_at).filter(|at| *at != "-").map(run),
    }
}

fn answer(row: &str) -> ((Uuid, String), Option<String>) {
    let [message, bot, response] = fields(row);
    ((message.parse().unwrap(), bot.into()), response.strip_prefix('=').map(Into::into))
}

async fn schedules(stage: &Stage) -> Vec<Schedule> {
    let mut client = ScheduleServiceClient::new(channel(stage.addresses[0]));
    let mut schedules = Vec::new();
    let mut request = ListSchedulesRequest { page_size: 1_000, ..Default::default() };
    loop {
        let page = client.list_schedules(request.clone()).await.unwrap().into_inner();
        schedules.extend(page.schedules);
        if page.next_page_token.is_empty() {
            return schedules;
        }
        request.page_token = page.next_page_token;
    }
}

async fn parked(stage: &Stage) -> Vec<(Uuid, String)> {
    let mut client = BotServiceClient::new(channel(stage.addresses[0]));
    let mut parked = Vec::new();
    let mut request = ListParkedDeliveriesRequest { page_size: 1_000, ..Default::default() };
    loop {
        let page = client.list_parked_deliveries(request.clone()).await.unwrap().into_inner();
        let pairs = page.deliveries.into_iter();
        parked.extend(pairs.map(|one| (one.message_id.parse().unwrap(), one.bot_id)));
        if page.next_page_token.is_empty() {
            return parked;
        }
        request.page_token = page.next_page_token;
    }
}
