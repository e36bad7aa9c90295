//! Schedules: some that are due every minute or two, many that are made as it goes and due once,
//! and runs out of turn.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use api::chat::v1::{
    CreateScheduleRequest, RunScheduleRequest, Schedule, schedule::When,
    schedule_service_client::ScheduleServiceClient,
};
use rand::{RngExt as _, rngs::StdRng, seq::IndexedRandom as _};
use tokio::time::sleep;
use uuid::Uuid;

use super::{
    replicas::{Replicas, told},
    stage::Stage,
};

/// Whole and half hours from UTC: a minute that is even there is even here.
const ZONES: [&str; 6] =
    ["UTC", "Europe/Berlin", "Asia/Kolkata", "America/New_York", "Australia/Adelaide", ""];

/// Due every minute, and every other.
pub const CRONS: [(&str, i64); 2] = [("* * * * *", 1), ("*/2 * * * *", 2)];

/// Between one and the next that is made.
const PACE: Duration = Duration::from_millis(400);

/// One in so many is a run out of turn instead.
const OUT_OF_TURN: u32 = 6;

/// What was made.
#[derive(Default)]
pub struct Scheduled {
    /// Schedules of which it was said that they are stored.
    pub made: Vec<String>,
    /// The messages of runs out of turn.
    pub ran: Vec<Uuid>,
    /// Calls that were made again: each may have been done before.
    pub retries: usize,
    pub faults: Vec<String>,
}

/// Makes and runs them until the load stops.
pub async fn make(stage: Arc<Stage>) -> Scheduled {
    let mut random = stage.random("schedules", 0);
    let mut replicas = Replicas::new(&stage.addresses, 0);
    let mut scheduled = Scheduled::default();
    let mut crons = Vec::new();
    for zone in ZONES {
        for (cron, _) in CRONS {
            let when = || When::Cron(cron.into());
            let made = create(&stage, &mut replicas, &mut random, zone, when).await;
            crons.extend(scheduled.keep(made));
        }
    }
    while stage.stopping.run_until_cancelled(sleep(PACE)).await.is_some() {
        if random.random_ratio(1, OUT_OF_TURN) {
            let id = crons.choose(&mut random).cloned().unwrap_or_default();
            let request = || RunScheduleRequest { id: id.clone() };
            let call =
                async |channel| ScheduleServiceClient::new(channel).run_schedule(request()).await;
            match replicas.insist(call).await {
                Ok(ran) => scheduled.ran.push(ran.message.unwrap().id.parse().unwrap()),
                Err(status) => scheduled.faults.push(told(&status)),
            }
        } else {
            let ahead = Duration::from_millis(random.random_range(1_000..5_000));
            let when = || When::Once((SystemTime::now() + ahead).into());
            let made = create(&stage, &mut replicas, &mut random, "", when).await;
            scheduled.keep(made);
        }
    }
    scheduled.retries = replicas.retries.values().sum();
    scheduled
}

async fn create(
    stage: &Stage,
    replicas: &mut Replicas,
    random: &mut StdRng,
    zone: &str,
    when: impl Fn() -> When,
) -> Result<String, String> {
    let chat = stage.chats.choose(random).unwrap();
    let request = || {
        let schedule = Schedule {
            chat_id: chat.clone(),
            message: "It is time.".into(),
            when: Some(when()),
            timezone: zone.into(),
            enabled: true,
            ..Schedule::default()
        };
        CreateScheduleRequest { schedule: Some(schedule) }
    };
    let call = async |channel| ScheduleServiceClient::new(channel).create_schedule(request()).await;
    let made = replicas.insist(call).await.map_err(|status| told(&status))?;
    Ok(made.schedule.unwrap().id)
}

impl Scheduled {
    fn keep(&mut self, made: Result<String, String>) -> Option<String> {
        match made {
            Ok(id) => {
                self.made.push(id.clone());
                Some(id)
            }
            Err(refused) => {
                self.faults.push(refused);
                None
            }
        }
    }
}
