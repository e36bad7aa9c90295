//! Schedules: some with a cron of one or two minutes, many that are created during the load and run
//! once, and manual runs.

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
    replicas::{Replicas, describe},
    setup::Setup,
};

/// Whole and half hours from UTC: even minutes are the same in all of them.
const ZONES: [&str; 6] =
    ["UTC", "Europe/Berlin", "Asia/Kolkata", "America/New_York", "Australia/Adelaide", ""];

/// Crons and their period in minutes.
pub const CRONS: [(&str, i64); 2] = [("* * * * *", 1), ("*/2 * * * *", 2)];

const CREATE_INTERVAL: Duration = Duration::from_millis(400);

/// One in this many is a manual run instead.
const MANUAL_RUN_RATIO: u32 = 6;

/// What was created and run.
#[derive(Default)]
pub struct SchedulerReport {
    /// Acknowledged schedules.
    pub created: Vec<String>,
    /// The messages of manual runs.
    pub manual_runs: Vec<Uuid>,
    /// Retried calls: each may have taken effect twice.
    pub retries: usize,
    pub faults: Vec<String>,
}

/// Creates and runs schedules until the load stops.
pub async fn schedule(setup: Arc<Setup>) -> SchedulerReport {
    let mut random = setup.random("schedules", 0);
    let mut replicas = Replicas::new(&setup.addresses, 0);
    let mut scheduled = SchedulerReport::default();
    let mut crons = Vec::new();
    for zone in ZONES {
        for (cron, _) in CRONS {
            let when = || When::Cron(cron.into());
            let made = create(&setup, &mut replicas, &mut random, zone, when).await;
            crons.extend(scheduled.keep(made));
        }
    }
    while setup.stopping.run_until_cancelled(sleep(CREATE_INTERVAL)).await.is_some() {
        if random.random_ratio(1, MANUAL_RUN_RATIO) {
            let id = crons.choose(&mut random).cloned().unwrap_or_default();
            let request = || RunScheduleRequest { id: id.clone() };
            let call =
                async |channel| ScheduleServiceClient::new(channel).run_schedule(request()).await;
            match replicas.call(call).await {
                Ok(ran) => scheduled.manual_runs.push(ran.message.unwrap().id.parse().unwrap()),
                Err(status) => scheduled.faults.push(describe(&status)),
            }
        } else {
            let ahead = Duration::from_millis(random.random_range(1_000..5_000));
            let when = || When::Once((SystemTime::now() + ahead).into());
            let made = create(&setup, &mut replicas, &mut random, "", when).await;
            scheduled.keep(made);
        }
    }
    scheduled.retries = replicas.retries.values().sum();
    scheduled
}

async fn create(
    setup: &Setup,
    replicas: &mut Replicas,
    random: &mut StdRng,
    zone: &str,
    when: impl Fn() -> When,
) -> Result<String, String> {
    let chat = setup.chats.choose(random).unwrap();
    let request = || {
        let schedule = Schedule {
            chat_id: chat.clone(),
            message: "scheduled".into(),
            when: Some(when()),
            timezone: zone.into(),
            enabled: true,
            ..Schedule::default()
        };
        CreateScheduleRequest { schedule: Some(schedule) }
    };
    let call = async |channel| ScheduleServiceClient::new(channel).create_schedule(request()).await;
    let made = replicas.call(call).await.map_err(|status| describe(&status))?;
    Ok(made.schedule.unwrap().id)
}

impl SchedulerReport {
    fn keep(&mut self, made: Result<String, String>) -> Option<String> {
        match made {
            Ok(id) => {
                self.created.push(id.clone());
                Some(id)
            }
            Err(refused) => {
                self.faults.push(refused);
                None
            }
        }
    }
}
