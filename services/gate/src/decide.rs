//! Whether the schema allows the gate to be open: a pure function, apart from the calls that
//! gather its inputs and from the messages that explain its verdict.

use std::time::Duration;

use api::schema::v1::SchemaState;
use tokio::time::Instant;

use crate::view::SchemaView;

/// What a gate needs of the schema. Pending revisions close no gate in either mode.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Mode {
    /// To open: the schema is at head. To open and to stay open: the built-with revision is
    /// applied.
    #[default]
    Head,
    /// To open and to stay open: the required revision is applied.
    Required,
}

/// What a build needs of the schema.
#[derive(Clone, Debug)]
pub(crate) struct Requirements {
    pub(crate) mode: Mode,
    pub(crate) requires: String,
    pub(crate) built_with: String,
    pub(crate) max_staleness: Duration,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Verdict<'v> {
    Open(&'v SchemaState),
    Closed(Cause<'v>),
}

/// Why the schema does not allow the gate to be open.
#[derive(Debug, PartialEq)]
pub(crate) enum Cause<'v> {
    /// The schema service does not answer, and its last answer is too old or opens nothing.
    Unreachable,
    /// The schema service does not know this service as a dependent, and could change the schema
    /// without it.
    Unregistered,
    /// The build is too old for an applied revision.
    Incompatible(&'v SchemaState),
    /// The revision that the build requires is not applied.
    NotApplied(&'v SchemaState),
    /// The required revision is applied, and others are pending.
    NotAtHead(&'v SchemaState),
}

#[derive(Clone, Copy)]
enum Contact {
    Answering,
    /// It does not answer, and its last answer is within the maximum staleness.
    Stale,
    Lost,
}

/// Head is needed to open and not to stay open, so that a newer schema service with revisions
/// pending closes no gate. A state that the schema service no longer confirms keeps a gate open
/// for a while and opens none.
pub(crate) fn decide<'v>(
    view: &'v SchemaView,
    requirements: &Requirements,
    was_open: bool,
    now: Instant,
) -> Verdict<'v> {
    let Some(known) = &view.state else { return Verdict::Closed(Cause::Unreachable) };
    let contact = match &view.call_error {
        None => Contact::Answering,
        Some(_) if known.age_at(now) <= requirements.max_staleness => Contact::Stale,
        Some(_) => Contact::Lost,
    };
    let must_be_at_head = requirements.mode == Mode::Head && !was_open;
    let check = |state| requirements.check(state, must_be_at_head);
    match (contact, was_open, check(&known.value), view.watched.as_ref().map(check)) {
        (Contact::Lost, ..) | (Contact::Stale, false, ..) => Verdict::Closed(Cause::Unreachable),
        (Contact::Answering | Contact::Stale, _, Err(cause), _) => Verdict::Closed(cause),
        (Contact::Answering | Contact::Stale, true, Ok(()), _) => Verdict::Open(&known.value),
        (Contact::Answering, false, Ok(()), None) => Verdict::Closed(Cause::Unregistered),
        // Watch reports head only to a registered dependent.
        (Contact::Answering, false, Ok(()), Some(Err(cause))) => Verdict::Closed(cause),
        (Contact::Answering, false, Ok(()), Some(Ok(()))) => Verdict::Open(&known.value),
    }
}

impl Requirements {
    /// The revision that must be applied for the gate to open and to stay open.
    pub(crate) fn required(&self) -> &str {
        match self.mode {
            Mode::Head => &self.built_with,
            Mode::Required => &self.requires,
        }
    }

    fn check<'s>(&self, state: &'s SchemaState, must_be_at_head: bool) -> Result<(), Cause<'s>> {
        if !self.built_with.is_empty() && state.compatible_from > self.built_with {
            Err(Cause::Incompatible(state))
        } else if !is_applied(self.required(), state) {
            Err(Cause::NotApplied(state))
        } else if must_be_at_head && !state.at_head {
            Err(Cause::NotAtHead(state))
        } else {
            Ok(())
        }
    }
}

/// All revisions are of one width, so that text order is their order.
fn is_applied(revision: &str, state: &SchemaState) -> bool {
    let is_in = |revisions: &[String]| revisions.iter().any(|listed| listed == revision);
    *state.revision >= *revision && !is_in(&state.pending) && !is_in(&state.out_of_order)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timestamped::Timestamped;

    const MAX_STALENESS: Duration = Duration::from_secs(60);

    /// A build that requires 0002 and was made for 0003.
    fn requirements(mode: Mode) -> Requirements {
        Requirements {
            mode,
            requires: "0002".into(),
            built_with: "0003".into(),
            max_staleness: MAX_STALENESS,
        }
    }

    fn at(revision: &str) -> SchemaState {
        let held = ["0001", "0002", "0003"];
        SchemaState {
            revision: revision.into(),
            head: "0003".into(),
            at_head: revision == "0003",
            pending: held
                .iter()
                .filter(|held| **held > revision)
                .map(|&held| held.into())
                .collect(),
            ..SchemaState::default()
        }
    }

    /// A state that is reported and watched, by a schema service that answers.
    fn view(state: SchemaState) -> SchemaView {
        let watched = Some(state.clone());
        SchemaView { state: Some(Timestamped::now(state)), watched, ..SchemaView::default() }
    }

    fn silent(view: SchemaView) -> SchemaView {
        SchemaView { call_error: Some("connection refused".into()), watched: None, ..view }
    }

    /// What a verdict comes to, without the state that it refers to.
    fn name(verdict: &Verdict<'_>) -> &'static str {
        match verdict {
            Verdict::Open(_) => "open",
            Verdict::Closed(Cause::Unreachable) => "unreachable",
            Verdict::Closed(Cause::Unregistered) => "unregistered",
            Verdict::Closed(Cause::Incompatible(_)) => "incompatible",
            Verdict::Closed(Cause::NotApplied(_)) => "not applied",
            Verdict::Closed(Cause::NotAtHead(_)) => "not at head",
        }
    }

    #[test]
    fn a_verdict_follows_from_view_mode_and_whether_the_gate_was_open() {
        let newer = SchemaState {
            head: "0004".into(),
            at_head: false,
            pending: vec!["0004".into()],
            ..at("0003")
        };
        let breaking = |from: &str| SchemaState {
            revision: "0004".into(),
            head: "0004".into(),
            compatible_from: from.into(),
            ..at("0003")
        };
        let with_gap = SchemaState {
            out_of_order: vec!["0002".into(), "0003".into()],
            revision: "0004".into(),
            at_head: false,
            ..at("0003")
        };
        let unwatched = SchemaView { watched: None, ..view(at("0003")) };
        let watched_below = SchemaView { watched: Some(at("0001")), ..view(at("0003")) };
        let never_answered = silent(SchemaView::default());

        // Opening with each mode; staying open with each mode.
        let table = [
            ("before the first answer", SchemaView::default(), ["unreachable"; 4]),
            ("it never answered", never_answered, ["unreachable"; 4]),
            ("at head", view(at("0003")), ["open"; 4]),
            ("at 0002", view(at("0002")), ["not applied", "open", "not applied", "open"]),
            ("at 0001", view(at("0001")), ["not applied"; 4]),
            ("at base", view(at("")), ["not applied"; 4]),
            ("a newer head", view(newer), ["not at head", "open", "open", "open"]),
            ("a gap below", view(with_gap), ["not applied"; 4]),
            ("runs 0003 or newer", view(breaking("0003")), ["open"; 4]),
            ("runs 0004 or newer", view(breaking("0004")), ["incompatible"; 4]),
            ("no Watch", unwatched, ["unregistered", "unregistered", "open", "open"]),
            ("Watch below", watched_below, ["not applied", "not applied", "open", "open"]),
            ("silent", silent(view(at("0003"))), ["unreachable", "unreachable", "open", "open"]),
            (
                "silent below",
                silent(view(at("0001"))),
                ["unreachable", "unreachable", "not applied", "not applied"],
            ),
        ];
        let now = Instant::now();
        for (case, view, expected) in table {
            let cases = [
                (Mode::Head, false),
                (Mode::Required, false),
                (Mode::Head, true),
                (Mode::Required, true),
            ];
            let verdicts = cases
                .map(|(mode, was_open)| name(&decide(&view, &requirements(mode), was_open, now)));
            assert_eq!(verdicts, expected, "{case}");
        }
    }

    #[test]
    fn staleness_is_tolerated_up_to_its_maximum() {
        let view = silent(view(at("0003")));
        let answered = Instant::now();
        for (age, expected) in [
            (Duration::ZERO, "open"),
            (MAX_STALENESS - Duration::from_secs(1), "open"),
            (MAX_STALENESS + Duration::from_secs(1), "unreachable"),
        ] {
            let verdict = decide(&view, &requirements(Mode::Head), true, answered + age);
            assert_eq!(name(&verdict), expected, "after {age:?}");
        }
    }
}
