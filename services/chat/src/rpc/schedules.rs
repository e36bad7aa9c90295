//! Schedules: made, looked at, changed and sent out of turn.

use api::Reason;
use api::chat::v1::{
    CreateScheduleRequest, CreateScheduleResponse, DeleteScheduleRequest, DeleteScheduleResponse,
    GetScheduleRequest, GetScheduleResponse, ListSchedulesRequest, ListSchedulesResponse,
    RunScheduleRequest, RunScheduleResponse, Schedule as Wire, UpdateScheduleRequest,
    UpdateScheduleResponse, schedule::When,
};
use database::types::Time;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use uuid::Uuid;
use wire::{
    Problem,
    page::{self, Page},
};

use super::convert;
use crate::{
    bus::{Bus, Topic},
    error::Error,
    messages::{MAX_BODY_BYTES, writer::Writer},
    models::{
        chat::Chat,
        schedule::{Schedule, ScheduleChanges, ScheduleKind},
    },
    schedules::{
        calendar::{Calendar, CalendarError, parse_time_zone},
        message::on_request,
    },
    store::Store,
    validate,
};

const UTC: &str = "UTC";
const CRON_LENGTH: usize = 255;

pub(super) async fn create(
    store: &Store,
    bus: &Bus,
    request: CreateScheduleRequest,
) -> Result<CreateScheduleResponse, Error> {
    let schedule = validate::required("schedule", request.schedule)?;
    let now = Time::now();
    let (timezone, calendar) = calendar(schedule.timezone, schedule.when, Some(now))?;
    let new = Schedule {
        id: Uuid::now_v7().to_string(),
        chat_id: validate::id("schedule.chat_id", schedule.chat_id)?,
        message: message(schedule.message)?,
        kind: calendar.kind(),
        expression: calendar.expression(),
        timezone,
        next_run_at: calendar.next(now).filter(|_| schedule.enabled),
        last_run_at: None,
        enabled: schedule.enabled,
        metadata: validate::metadata("schedule.metadata", schedule.metadata)?,
        created_at: now,
        updated_at: now,
    };
    let stored = new.insert(&mut store.connection().await?).await.map_err(|error| match error {
        DieselError::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _) => {
            Error::ChatNotFound(new.chat_id)
        }
        error => error.into(),
    })?;
    bus.publish(Topic::Schedules);
    Ok(CreateScheduleResponse { schedule: Some(convert::schedule(stored)) })
}

pub(super) async fn get(
    store: &Store,
    request: GetScheduleRequest,
) -> Result<GetScheduleResponse, Error> {
    let found = find(store, request.id).await?;
    Ok(GetScheduleResponse { schedule: Some(convert::schedule(found)) })
}

pub(super) async fn list(
    store: &Store,
    request: ListSchedulesRequest,
) -> Result<ListSchedulesResponse, Error> {
    let mut page = Page::of(request.page_size)?;
    let chat_id = validate::optional_text("chat_id", request.chat_id, validate::ID_LENGTH)?;
    let filter = format!("schedules?chat={}", chat_id.as_deref().unwrap_or_default());
    let mut after = page::read(&request.page_token, &filter)?.unwrap_or_default();
    let connection = &mut store.connection().await?;
    loop {
        let wanted = page.wanted();
        let read = Schedule::page(connection, chat_id.as_deref(), &after, wanted).await?;
        after = read.last().map(|last| last.id.clone()).unwrap_or_default();
        if !page.take(read, |schedule| schedule.id.clone(), convert::schedule) {
            break;
        }
    }
    if page.is_empty()
        && let Some(chat_id) = chat_id
        && Chat::by_id(connection, &chat_id).await?.is_none()
    {
        return Err(Error::ChatNotFound(chat_id));
    }
    let (schedules, next_page_token) = page.end(&filter);
    Ok(ListSchedulesResponse { schedules, next_page_token })
}

pub(super) async fn update(
    store: &Store,
    bus: &Bus,
    request: UpdateScheduleRequest,
) -> Result<UpdateScheduleResponse, Error> {
    let given = validate::required("schedule", request.schedule)?;
    let fields = ["message", "once", "cron", "timezone", "enabled", "metadata"];
    let [text, once, cron, timezone, enabled, metadata] =
        validate::mask(request.update_mask, fields)?;
    let old = find(store, given.id).await?;
    let now = Time::now();
    let enabled = if enabled { given.enabled } else { old.enabled };
    let moved = once || cron || timezone || enabled != old.enabled;
    let moved = if moved {
        let when = if once || cron { given.when } else { when(&old)? };
        let timezone = if timezone { given.timezone } else { old.timezone };
        // One that is done, or switched off, may stand in the past.
        let after = (once || cron || enabled).then_some(now);
        Some(calendar(timezone, when, after)?)
    } else {
        None
    };
    let changes = ScheduleChanges {
        message: text.then(|| message(given.message)).transpose()?,
        kind: moved.as_ref().map(|(_, calendar)| calendar.kind()),
        expression: moved.as_ref().map(|(_, calendar)| calendar.expression()),
        next_run_at: moved.as_ref().map(|(_, calendar)| calendar.next(now).filter(|_| enabled)),
        timezone: moved.map(|(timezone, _)| timezone),
        enabled: Some(enabled),
        metadata: metadata
            .then(|| validate::metadata("schedule.metadata", given.metadata))
            .transpose()?,
        updated_at: now,
    };
    let changed = Schedule::update(&mut store.connection().await?, &old.id, &changes).await?;
    let schedule = changed.ok_or(Error::ScheduleNotFound(old.id))?;
    bus.publish(Topic::Schedules);
    Ok(UpdateScheduleResponse { schedule: Some(convert::schedule(schedule)) })
}

pub(super) async fn delete(
    store: &Store,
    request: DeleteScheduleRequest,
) -> Result<DeleteScheduleResponse, Error> {
    let id = validate::id("id", request.id)?;
    if Schedule::delete(&mut store.connection().await?, &id).await? {
        Ok(DeleteScheduleResponse {})
    } else {
        Err(Error::ScheduleNotFound(id))
    }
}

pub(super) async fn run(
    store: &Store,
    writer: &Writer,
    request: RunScheduleRequest,
) -> Result<RunScheduleResponse, Error> {
    let schedule = find(store, request.id).await?;
    let stored = writer.send(on_request(&schedule)).await?;
    Schedule::set_last_run(&mut store.connection().await?, &schedule.id, stored.sent_at).await?;
    Ok(RunScheduleResponse { message: Some(convert::message(&stored)) })
}

async fn find(store: &Store, id: String) -> Result<Schedule, Error> {
    let id = validate::id("id", id)?;
    let found = Schedule::by_id(&mut store.connection().await?, &id).await?;
    found.ok_or(Error::ScheduleNotFound(id))
}

fn message(text: String) -> Result<String, Problem> {
    let text = validate::body("schedule.message", text, MAX_BODY_BYTES)?;
    validate::required("schedule.message", Some(text).filter(|text| !text.is_empty()))
}

/// When a schedule is due, as it was given; a time that is not `after` is refused.
fn calendar(
    timezone: String,
    when: Option<When>,
    after: Option<Time>,
) -> Result<(String, Calendar), Problem> {
    let timezone = if timezone.is_empty() { UTC.into() } else { timezone };
    let zone =
        parse_time_zone(&timezone).map_err(|error| unreadable("schedule.timezone", &error))?;
    let calendar = match validate::required("schedule.when", when)? {
        When::Once(time) => {
            let field = "schedule.once";
            let at = validate::required(field, validate::time(field, Some(time))?)?;
            if after.is_some_and(|after| at <= after) {
                let what = "in the past: give a time that is still to come";
                return Err(Problem::invalid(field, Reason::TimePast, what));
            }
            Calendar::Once(at)
        }
        When::Cron(fields) => {
            let fields = validate::text("schedule.cron", fields, CRON_LENGTH)?;
            Calendar::parse_cron(&fields, zone)
                .map_err(|error| unreadable("schedule.cron", &error))?
        }
    };
    Ok((timezone, calendar))
}

/// The same, as it is stored.
fn when(schedule: &Schedule) -> Result<Option<When>, Problem> {
    let field = match schedule.kind {
        ScheduleKind::Once => "schedule.once",
        ScheduleKind::Cron => "schedule.cron",
    };
    let wire: Wire = convert::schedule(schedule.clone());
    wire.when.map(Some).ok_or_else(|| {
        let what = format!("is stored as '{}': give another", schedule.expression);
        Problem::invalid(field, Reason::ScheduleUnreadable, what)
    })
}

fn unreadable(field: &str, error: &CalendarError) -> Problem {
    let reason = match error {
        CalendarError::Time(_) => Reason::TimeInvalid,
        CalendarError::Cron(..) => Reason::CronInvalid,
        CalendarError::NeverDue(_) => Reason::CronNever,
        CalendarError::TimeZone(_) => Reason::TimezoneUnknown,
    };
    Problem::invalid(field, reason, error.to_string())
}
