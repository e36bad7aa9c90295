//! What is stored in the end, read from the database and from the services' lists.

use std::{collections::HashMap, time::SystemTime};

use api::chat::v1::{
    ListParkedDeliveriesRequest, ListSchedulesRequest, Schedule,
    bot_service_client::BotServiceClient, schedule_service_client::ScheduleServiceClient,
};
use chrono::DateTime;
use testing::channel;
use uuid::Uuid;

use super::{cluster::Cluster, setup::Setup};

pub struct Stored {
    /// By position.
    pub messages: Vec<Row>,
    /// Read before the messages.
    pub schedules: Vec<Schedule>,
    /// Message and bot.
    pub parked: Vec<(Uuid, String)>,
    /// The answer of each bot to each message, none if it was empty.
    pub processed: HashMap<(Uuid, String), Option<String>>,
    /// The number of these rows.
    pub answers: usize,
    /// Chat, bot, and the position after which the bot receives messages.
    pub assignments: Vec<(String, String, i64)>,
}

pub struct Row {
    pub position: i64,
    pub id: Uuid,
    pub chat: String,
    pub sender: String,
    pub reply_to: Option<Uuid>,
    pub body: String,
    /// Set for a message of a schedule.
    pub run: Option<Run>,
}

/// The run in the metadata of a schedule's message.
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

const ASSIGNMENTS: &str = "select chat_id || ' ' || bot_id || ' ' || since_position from chat_bots";

impl Stored {
    pub async fn read(cluster: &Cluster, setup: &Setup) -> Self {
        let schedules = schedules(setup).await;
        let parked = parked(setup).await;
        let rows = async |query| cluster.database.column(query).await.into_iter().flatten();
        let mut messages: Vec<Row> = rows(MESSAGES).await.map(|row| message(&row)).collect();
        messages.sort_by_key(|row| row.position);
        let processed: Vec<String> = rows(PROCESSED).await.collect();
        let assignments = rows(ASSIGNMENTS).await.map(|row| {
            let [chat, bot, since] = fields(&row);
            (chat.into(), bot.into(), since.parse().unwrap())
        });
        Self {
            messages,
            schedules,
            parked,
            answers: processed.len(),
            processed: processed.iter().map(|row| answer(row)).collect(),
            assignments: assignments.collect(),
        }
    }
}

/// The fields of a row; the last one may contain spaces.
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

async fn schedules(setup: &Setup) -> Vec<Schedule> {
    let mut client = ScheduleServiceClient::new(channel(setup.addresses[0]));
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

async fn parked(setup: &Setup) -> Vec<(Uuid, String)> {
    let mut client = BotServiceClient::new(channel(setup.addresses[0]));
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
