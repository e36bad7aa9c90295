//! Schedules: each run is sent once, by any replica.

use std::time::{Duration, SystemTime};

use api::chat::v1::{
    CreateScheduleRequest, DeleteScheduleRequest, GetScheduleRequest, ListMessagesRequest,
    ListSchedulesRequest, Message, RunScheduleRequest, Schedule, UpdateScheduleRequest,
    schedule::When, schedule_service_client::ScheduleServiceClient,
};
use prost_types::{FieldMask, Timestamp};
use serde_json::json;
use testing::{Backend, apply, both, channel, eventually, reason};
use tonic::{Code, Status, transport::Channel};
use uuid::Uuid;
use wire::convert::to_struct;

use crate::{chats::assert_invalid, fixture::Fixture};

fn client(fixture: &Fixture) -> ScheduleServiceClient<Channel> {
    ScheduleServiceClient::new(channel(fixture.chat))
}

fn cron(chat_id: &str, fields: &str) -> Schedule {
    Schedule {
        chat_id: chat_id.into(),
        message: "hello".into(),
        when: Some(When::Cron(fields.into())),
        enabled: true,
        ..Schedule::default()
    }
}

fn once(chat_id: &str, from_now: Duration) -> Schedule {
    let at = Timestamp::from(SystemTime::now() + from_now);
    // What both databases keep.
    let at = Timestamp { nanos: at.nanos / 1_000 * 1_000, ..at };
    Schedule { when: Some(When::Once(at)), ..cron(chat_id, "") }
}

async fn create(fixture: &Fixture, schedule: Schedule) -> Result<Schedule, Status> {
    let request = CreateScheduleRequest { schedule: Some(schedule) };
    let response = client(fixture).create_schedule(request).await?;
    Ok(response.into_inner().schedule.unwrap())
}

async fn get(fixture: &Fixture, id: &str) -> Schedule {
    let request = GetScheduleRequest { id: id.into() };
    let response = client(fixture).get_schedule(request).await.unwrap();
    response.into_inner().schedule.unwrap()
}

async fn update(fixture: &Fixture, schedule: Schedule, paths: &[&str]) -> Result<Schedule, Status> {
    let update_mask = Some(FieldMask { paths: paths.iter().map(|&path| path.into()).collect() });
    let request = UpdateScheduleRequest { schedule: Some(schedule), update_mask };
    let response = client(fixture).update_schedule(request).await?;
    Ok(response.into_inner().schedule.unwrap())
}

async fn messages(fixture: &Fixture, chat_id: &str) -> Vec<Message> {
    let request = ListMessagesRequest { chat_id: chat_id.into(), ..Default::default() };
    fixture.client().list_messages(request).await.unwrap().into_inner().messages
}

/// Sets the next run of a schedule to a time in the past, as after a downtime.
async fn make_due(fixture: &Fixture, id: &str, since: &str) {
    let sql = format!("update scheduled_messages set next_run_at = '{since}' where id = '{id}'");
    fixture.database.execute(&sql).await;
}

async fn sent(fixture: &Fixture, chat_id: &str) -> Message {
    eventually("the run is sent", async || messages(fixture, chat_id).await.pop()).await
}

/// Waits for a run of a schedule that becomes due now: the pass that sends it begins after this.
async fn a_pass_completes(fixture: &Fixture) {
    let chat = fixture.chat("another").await;
    let schedule = create(fixture, cron(&chat, "0 0 1 1 *")).await.unwrap();
    make_due(fixture, &schedule.id, "2020-01-01 00:00:00+00:00").await;
    sent(fixture, &chat).await;
}

#[apply(both!)]
async fn a_schedule_with_one_time_is_sent_once(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    let mut live = fixture.subscribe(&chat, "").await.unwrap();
    let given = Schedule {
        metadata: Some(to_struct(json!({"topic": "greeting"}))),
        ..once(&chat, Duration::from_millis(300))
    };
    let created = create(&fixture, given.clone()).await.unwrap();
    assert_eq!((&created.when, &created.timezone), (&given.when, &"UTC".to_owned()));
    let Some(When::Once(at)) = given.when else { panic!("it has one time") };
    assert_eq!(created.next_run_at.unwrap().seconds, at.seconds);

    let message = live.message().await.unwrap().unwrap().message.unwrap();
    assert_eq!(
        (&message.body, &message.sender),
        (&given.message, &format!("schedule:{}", created.id))
    );
    assert_eq!(Uuid::parse_str(&message.id).unwrap().get_version_num(), 5);
    let fields = &message.metadata.as_ref().unwrap().fields;
    assert!(fields.contains_key("topic") && fields.contains_key("schedule"), "{fields:?}");
    assert_eq!(messages(&fixture, &chat).await, std::slice::from_ref(&message));
    let done = get(&fixture, &created.id).await;
    assert_eq!((done.next_run_at, done.last_run_at), (None, message.sent_at));
    assert!(done.last_run_at.unwrap().seconds >= at.seconds);
}

#[apply(both!)]
async fn after_a_downtime_the_last_run_is_sent_with_the_number_of_missed_ones(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    // Far from a boundary at any time of a test: once a year, on the first day.
    let schedule = create(&fixture, cron(&chat, "0 0 1 1 *")).await.unwrap();
    make_due(&fixture, &schedule.id, "2020-01-01 00:00:00+00:00").await;
    let message = sent(&fixture, &chat).await;
    let metadata = wire::convert::from_struct(message.metadata.unwrap()).unwrap();
    let missed = metadata["schedule"]["missed"].as_f64().unwrap();
    assert!(missed >= 6.0, "{metadata}");
    let after = get(&fixture, &schedule.id).await;
    assert_eq!(after.next_run_at, schedule.next_run_at);
    // A later pass of the runner sends another schedule and not this one again.
    a_pass_completes(&fixture).await;
    assert_eq!(messages(&fixture, &chat).await.len(), 1);
}

#[apply(both!)]
async fn replicas_send_each_run_once(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let (_second, _third) = (fixture.replica().await, fixture.replica().await);
    let mut chats = Vec::new();
    for number in 0..20 {
        let chat = fixture.chat(&format!("chat {number}")).await;
        create(&fixture, once(&chat, Duration::from_secs(1))).await.unwrap();
        chats.push(chat);
    }
    let all = "select count(*) from scheduled_messages where next_run_at is null";
    eventually("every run is sent", async || {
        (fixture.database.column(all).await == [Some("20".into())]).then_some(())
    })
    .await;
    for chat in &chats {
        assert_eq!(messages(&fixture, chat).await.len(), 1);
    }
}

#[apply(both!)]
async fn a_run_that_was_sent_is_not_sent_again(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    let schedule = create(&fixture, cron(&chat, "0 0 1 1 *")).await.unwrap();
    let back = "2020-01-01 00:00:00+00:00";
    make_due(&fixture, &schedule.id, back).await;
    sent(&fixture, &chat).await;
    make_due(&fixture, &schedule.id, back).await;
    eventually("the schedule is at its next run", async || {
        (get(&fixture, &schedule.id).await.next_run_at == schedule.next_run_at).then_some(())
    })
    .await;
    assert_eq!(messages(&fixture, &chat).await.len(), 1);
}

#[apply(both!)]
async fn a_run_on_request_does_not_move_the_next_run(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    let schedule = create(&fixture, cron(&chat, "0 0 1 1 *")).await.unwrap();
    let request = RunScheduleRequest { id: schedule.id.clone() };
    let ran = client(&fixture).run_schedule(request).await.unwrap().into_inner().message.unwrap();
    assert_eq!(messages(&fixture, &chat).await, std::slice::from_ref(&ran));
    let after = get(&fixture, &schedule.id).await;
    assert_eq!((after.next_run_at, after.last_run_at), (schedule.next_run_at, ran.sent_at));
}

#[apply(both!)]
async fn a_disabled_schedule_is_not_sent(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    let off = Schedule { enabled: false, ..once(&chat, Duration::from_millis(200)) };
    let off = create(&fixture, off).await.unwrap();
    assert_eq!(off.next_run_at, None);
    let schedule = create(&fixture, cron(&chat, "0 0 1 1 *")).await.unwrap();
    let disabled = Schedule { enabled: false, ..schedule.clone() };
    let disabled = update(&fixture, disabled, &["enabled"]).await.unwrap();
    assert_eq!((disabled.next_run_at, disabled.message), (None, "hello".into()));
    // A schedule that is due after the disabled one is sent.
    let other = fixture.chat("b").await;
    create(&fixture, once(&other, Duration::from_millis(300))).await.unwrap();
    sent(&fixture, &other).await;
    assert!(messages(&fixture, &chat).await.is_empty());
    // Its time is in the past now.
    let on = Schedule { enabled: true, ..off };
    let refusal = update(&fixture, on, &["enabled"]).await.unwrap_err();
    assert_invalid(&refusal, "schedule.once", "TIME_PAST");
    let on = Schedule { enabled: true, ..schedule.clone() };
    let on = update(&fixture, on, &["enabled"]).await.unwrap();
    assert_eq!(on.next_run_at, schedule.next_run_at);
}

#[apply(both!)]
async fn an_updated_time_counts_from_now(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    let schedule = create(&fixture, cron(&chat, "0 0 1 1 *")).await.unwrap();
    let berlin = Schedule { timezone: "Europe/Berlin".into(), ..schedule.clone() };
    let berlin = update(&fixture, berlin, &["timezone"]).await.unwrap();
    let earlier = schedule.next_run_at.unwrap().seconds - berlin.next_run_at.unwrap().seconds;
    assert_eq!(earlier, 3600);
    let soon = Schedule { message: "soon".into(), ..once(&chat, Duration::from_millis(200)) };
    let soon = Schedule { id: schedule.id.clone(), ..soon };
    update(&fixture, soon, &["once", "message"]).await.unwrap();
    assert_eq!(sent(&fixture, &chat).await.body, "soon");
}

#[apply(both!)]
async fn schedules_are_listed_and_deleted(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let (chat, other) = (fixture.chat("a").await, fixture.chat("b").await);
    let mut created = Vec::new();
    for _ in 0..3 {
        created.push(create(&fixture, cron(&chat, "0 0 1 1 *")).await.unwrap());
    }
    create(&fixture, cron(&other, "0 0 1 1 *")).await.unwrap();
    let list = async |chat_id: &str, page_token: String| {
        let chat_id = chat_id.to_owned();
        let request = ListSchedulesRequest { page_size: 2, page_token, chat_id };
        client(&fixture).list_schedules(request).await.map(tonic::Response::into_inner)
    };
    let first = list(&chat, String::new()).await.unwrap();
    let second = list(&chat, first.next_page_token.clone()).await.unwrap();
    assert_eq!([first.schedules.clone(), second.schedules].concat(), created);
    assert_eq!(second.next_page_token, "");
    let foreign = list(&other, first.next_page_token).await.unwrap_err();
    assert_eq!(foreign.code(), Code::InvalidArgument);
    assert_eq!(reason(&list("unknown", String::new()).await.unwrap_err()), "CHAT_NOT_FOUND");

    let request = DeleteScheduleRequest { id: created[0].id.clone() };
    client(&fixture).delete_schedule(request.clone()).await.unwrap();
    let gone = client(&fixture).delete_schedule(request).await.unwrap_err();
    assert_eq!((gone.code(), reason(&gone).as_str()), (Code::NotFound, "SCHEDULE_NOT_FOUND"));
}

#[apply(both!)]
async fn invalid_fields_are_refused_by_name(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    let good = cron(&chat, "30 9 * * 1-5");
    let with = |change: fn(&mut Schedule)| {
        let mut schedule = good.clone();
        change(&mut schedule);
        schedule
    };
    let past = once(&chat, Duration::ZERO);
    for (schedule, field, reason) in [
        (with(|s| s.when = Some(When::Cron("61 * * * *".into()))), "schedule.cron", "CRON_INVALID"),
        (with(|s| s.when = Some(When::Cron("* * *".into()))), "schedule.cron", "CRON_INVALID"),
        (with(|s| s.when = Some(When::Cron("0 0 30 2 *".into()))), "schedule.cron", "CRON_NEVER"),
        (with(|s| s.timezone = "Mars".into()), "schedule.timezone", "TIMEZONE_UNKNOWN"),
        (with(|s| s.when = None), "schedule.when", "FIELD_REQUIRED"),
        (with(|s| s.message.clear()), "schedule.message", "FIELD_REQUIRED"),
        (past, "schedule.once", "TIME_PAST"),
    ] {
        assert_invalid(&create(&fixture, schedule).await.unwrap_err(), field, reason);
    }
    let lost = create(&fixture, cron("unknown", "* * * * *")).await.unwrap_err();
    assert_eq!(reason(&lost), "CHAT_NOT_FOUND");
}

#[apply(both!)]
async fn schedules_of_another_program_are_completed_or_disabled(backend: Backend) {
    let database = backend.at_head().await;
    database
        .execute(
            "insert into chats (id, jid) values ('c', 'c'); \
             insert into scheduled_messages \
             (id, chat_id, message, schedule_type, schedule_expression, next_run_at) values \
             ('valid', 'c', 'a', 'cron', '0 0 1 1 *', null), \
             ('invalid', 'c', 'b', 'cron', 'every day', '2020-01-01 00:00:00')",
        )
        .await;
    let fixture = Fixture::on(database).await;
    eventually("the valid one has a next run", async || {
        let row = "select id from scheduled_messages where next_run_at > '2021-01-01'";
        (fixture.database.column(row).await == [Some("valid".into())]).then_some(())
    })
    .await;
    eventually("the invalid one is disabled", async || {
        let row = "select id from scheduled_messages where not enabled";
        (fixture.database.column(row).await == [Some("invalid".into())]).then_some(())
    })
    .await;
}
