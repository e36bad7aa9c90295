//! The text of verdicts: what is wrong, with which revision, and what to do.

use api::{
    Reason,
    schema::v1::{SchemaState, Status},
};

use crate::{
    decide::{Cause, Requirements},
    refusal::Refusal,
    view::SchemaView,
};

/// The refusal for what the schema lacks.
pub(crate) fn refusal(
    cause: &Cause<'_>,
    view: &SchemaView,
    requirements: &Requirements,
    address: &str,
) -> Refusal {
    let reported = view.state.as_ref().map(|known| &known.value);
    let (reason, message, state) = match *cause {
        Cause::Unreachable => (
            Reason::SchemaUnreachable,
            unreachable(view.call_error.as_deref(), reported, address),
            reported,
        ),
        Cause::Unregistered => (
            Reason::SchemaUnreachable,
            unregistered(view.watch_error.as_deref(), address),
            reported,
        ),
        Cause::Incompatible(state) => {
            (Reason::SchemaIncompatible, incompatible(state, &requirements.built_with), Some(state))
        }
        Cause::NotApplied(state) => {
            let required = requirements.required();
            (Reason::SchemaNotAtHead, behind(state, required, required), Some(state))
        }
        Cause::NotAtHead(state) => {
            let head = format!("head ({})", or_base(&state.head));
            (Reason::SchemaNotAtHead, behind(state, &head, requirements.required()), Some(state))
        }
    };
    Refusal::new(reason, message, requirements, state)
}

/// The evidence of a schema that keeps the gate open.
pub(crate) fn evidence(
    view: &SchemaView,
    state: &SchemaState,
    requirements: &Requirements,
) -> String {
    let place = if state.at_head { "head" } else { state.status().as_str_name() };
    let mut text = format!("schema is at {} ({place})", or_base(&state.revision));
    if !requirements.required().is_empty() {
        text += &format!("; required revision {} is applied", requirements.required());
    }
    if let (Some(error), Some(known)) = (&view.call_error, &view.state) {
        let age = known.age().as_secs();
        text +=
            &format!("; reported {age} s ago, the schema service does not answer now ({error})");
    }
    text
}

fn behind(state: &SchemaState, needed: &str, required: &str) -> String {
    let at = or_base(&state.revision);
    let advice = match state.status() {
        Status::AtHead => {
            format!("deploy a schema service that holds {required}, then run \"schema upgrade\"")
        }
        Status::Empty | Status::Behind if state.out_of_order.is_empty() => {
            "run \"schema upgrade\"".into()
        }
        Status::Migrating => "an operation is running; calls pass once it succeeds".into(),
        Status::Unspecified
        | Status::Empty
        | Status::Behind
        | Status::Diverged
        | Status::Ahead
        | Status::Failed
        | Status::Unmanaged
        | Status::Drifted => format!(
            "its status is {}: {}; run \"schema current\" for details",
            state.status().as_str_name(),
            or_else(&state.message, "the schema service gives no details"),
        ),
    };
    format!("schema is at {at} but this build requires {needed}; {advice}")
}

fn incompatible(state: &SchemaState, built_with: &str) -> String {
    format!(
        "schema is at {}, which requires a build made for {} or newer, but this build was made for \
         {built_with}; deploy a newer build",
        or_base(&state.revision),
        state.compatible_from,
    )
}

fn unreachable(error: Option<&str>, last: Option<&SchemaState>, address: &str) -> String {
    let Some(error) = error else {
        return format!("schema service at {address} has not answered yet");
    };
    let last = last.map(|state| {
        format!("; it last reported {} of {}", or_base(&state.revision), or_base(&state.head))
    });
    format!(
        "schema service at {address} does not answer ({error}){}; start it, or correct the \
         address that this service is configured with",
        last.unwrap_or_default(),
    )
}

fn unregistered(error: Option<&str>, address: &str) -> String {
    let error = error.unwrap_or("the stream is being opened");
    format!(
        "schema service at {address} answers, but this service is not registered by Watch ({error})"
    )
}

fn or_base(revision: &str) -> &str {
    or_else(revision, "base")
}

fn or_else<'a>(text: &'a str, default: &'a str) -> &'a str {
    if text.is_empty() { default } else { text }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::decide::Mode;

    fn requirements(mode: Mode) -> Requirements {
        Requirements {
            mode,
            requires: "0004".into(),
            built_with: "0006".into(),
            max_staleness: Duration::ZERO,
        }
    }

    fn state(status: Status) -> SchemaState {
        SchemaState {
            revision: "0004".into(),
            head: "0006".into(),
            status: status.into(),
            ..SchemaState::default()
        }
    }

    #[test]
    fn a_message_says_where_the_schema_is_what_the_build_requires_and_what_to_do() {
        let behind = state(Status::Behind);
        let gap = SchemaState {
            out_of_order: vec!["0003".into()],
            message: "0003 is out of order".into(),
            ..state(Status::Behind)
        };
        let (at_head, migrating) = (state(Status::AtHead), state(Status::Migrating));
        let empty = SchemaState { revision: String::new(), ..state(Status::Empty) };
        let breaking = SchemaState { compatible_from: "0007".into(), ..state(Status::AtHead) };
        let table = [
            (
                Cause::NotApplied(&behind),
                "schema is at 0004 but this build requires 0006; run \"schema upgrade\"",
            ),
            (
                Cause::NotAtHead(&behind),
                "schema is at 0004 but this build requires head (0006); run \"schema upgrade\"",
            ),
            (
                Cause::NotApplied(&empty),
                "schema is at base but this build requires 0006; run \"schema upgrade\"",
            ),
            (
                Cause::NotApplied(&at_head),
                "schema is at 0004 but this build requires 0006; deploy a schema service that \
                 holds 0006, then run \"schema upgrade\"",
            ),
            (
                Cause::NotApplied(&migrating),
                "schema is at 0004 but this build requires 0006; an operation is running; calls \
                 pass once it succeeds",
            ),
            (
                Cause::NotApplied(&gap),
                "schema is at 0004 but this build requires 0006; its status is STATUS_BEHIND: 0003 \
                 is out of order; run \"schema current\" for details",
            ),
            (
                Cause::Incompatible(&breaking),
                "schema is at 0004, which requires a build made for 0007 or newer, but this build \
                 was made for 0006; deploy a newer build",
            ),
            (Cause::Unreachable, "schema service at http://schema has not answered yet"),
        ];
        for (cause, expected) in table {
            let requirements = requirements(Mode::Head);
            let refusal = refusal(&cause, &SchemaView::default(), &requirements, "http://schema");
            assert_eq!(refusal.message(), expected);
        }
    }
}
