//! The methods for schedules.

use api::Reason;
use api::chat::v1::{
    CreateScheduleRequest, CreateScheduleResponse, DeleteScheduleRequest, DeleteScheduleResponse,
    GetScheduleRequest, GetScheduleResponse, ListSchedulesRequest, ListSchedulesResponse,
    RunScheduleRequest, RunScheduleResponse, Schedule as WireSchedule, UpdateScheduleRequest,
    UpdateScheduleResponse, schedule::When,
};
use database::{Connection, types::Time};
use diesel::{
    QueryResult,
    result::{DatabaseErrorKind, Error as DieselError},
};
use uuid::Uuid;
use wire::Problem;

use super::{
    convert,
    list::{List, read_page},
};
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
const MAX_CRON_CHARS: usize = 255;

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
    let chat_id = validate::optional_text("chat_id", request.chat_id, validate::MAX_ID_CHARS)?;
    let connection = &mut store.connection().await?;
    let list = ScheduleList { chat_id };
    let (schedules, next_page_token) =
        read_page(&list, connection, request.page_size, &request.page_token).await?;
    if schedules.is_empty()
        && let Some(chat_id) = list.chat_id
        && Chat::by_id(connection, &chat_id).await?.is_none()
    {
        return Err(Error::ChatNotFound(chat_id));
    }
    Ok(ListSchedulesResponse { schedules, next_page_token })
}

struct ScheduleList {
    chat_id: Option<String>,
}

impl List for ScheduleList {
    type Row = Schedule;
    type Key = String;
    type Item = WireSchedule;

    fn name(&self) -> String {
        format!("schedules?chat={}", self.chat_id.as_deref().unwrap_or_default())
    }

    async fn read(
        &self,
        connection: &mut Connection,
        after: Option<String>,
        limit: usize,
    ) -> QueryResult<Vec<Schedule>> {
        let after = after.unwrap_or_default();
        Schedule::page(connection, self.chat_id.as_deref(), &after, limit).await
    }

    fn key(row: &Schedule) -> String {
        row.id.clone()
    }

    fn convert(row: Schedule) -> Self::Item {
        convert::schedule(row)
    }
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
    let is_rescheduled = once || cron || timezone || enabled != old.enabled;
    let rescheduled = if is_rescheduled {
        let when = if once || cron { given.when } else { when(&old)? };
        let timezone = if timezone { given.timezone } else { old.timezone };
        // A schedule that is done or disabled may have a time in the past.
        let after = (once || cron || enabled).then_some(now);
        Some(calendar(timezone, when, after)?)
    } else {
        None
    };
    let changes = ScheduleChanges {
        message: text.then(|| message(given.message)).transpose()?,
        kind: rescheduled.as_ref().map(|(_, calendar)| calendar.kind()),
        expression: rescheduled.as_ref().map(|(_, calendar)| calendar.expression()),
        next_run_at: rescheduled
            .as_ref()
            .map(|(_, calendar)| calendar.next(now).filter(|_| enabled)),
        timezone: rescheduled.map(|(timezone, _)| timezone),
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

/// A schedule's calendar as requested. A time that is not later than `after` is refused.
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
                let what = "in the past: give a future time";
                return Err(Problem::invalid(field, Reason::TimePast, what));
            }
            Calendar::Once(at)
        }
        When::Cron(fields) => {
            let fields = validate::text("schedule.cron", fields, MAX_CRON_CHARS)?;
            Calendar::parse_cron(&fields, zone)
                .map_err(|error| unreadable("schedule.cron", &error))?
        }
    };
    Ok((timezone, calendar))
}

/// A schedule's calendar as stored.
fn when(schedule: &Schedule) -> Result<Option<When>, Problem> {
    let field = match schedule.kind {
        ScheduleKind::Once => "schedule.once",
        ScheduleKind::Cron => "schedule.cron",
    };
    let wire: WireSchedule = convert::schedule(schedule.clone());
    wire.when.map(Some).ok_or_else(|| {
        let what =
            format!("the stored value '{}' cannot be read: give another", schedule.expression);
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
