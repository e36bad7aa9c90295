"""The decision, case by case."""

import pytest

from schemagate_gate.decision import Mode, Needs, Reason, decide
from schemagate_gate.schema import SchemaState, SchemaView

NOW = 1000.0
HELD = ("0001", "0002", "0003")


def needs(mode: Mode = Mode.HEAD) -> Needs:
    return Needs("0002", "0003", mode, "http://schema:50051", max_staleness=60.0)


def at(revision: str, **changes: object) -> SchemaState:
    status = {"": "STATUS_EMPTY", "0003": "STATUS_AT_HEAD"}.get(revision, "STATUS_BEHIND")
    state = {
        "revision": revision,
        "head": "0003",
        "at_head": revision == "0003",
        "status": status,
        "pending": tuple(held for held in HELD if held > revision),
        **changes,
    }
    return SchemaState(**state)  # type: ignore[arg-type]


def view(state: SchemaState | None, **changes: object) -> SchemaView:
    fields = {"state": state, "watched": state, "answered_at": NOW, **changes}
    return SchemaView(**fields)  # type: ignore[arg-type]


NEWER_HEAD = at("0003", head="0004", at_head=False, status="STATUS_BEHIND", pending=("0004",))


@pytest.mark.parametrize(
    ("known", "mode", "was_open", "reason"),
    [
        (SchemaView(), Mode.HEAD, False, Reason.UNREACHABLE),
        (view(at("0003")), Mode.HEAD, False, None),
        (view(at("0002")), Mode.HEAD, False, Reason.NOT_AT_HEAD),
        (view(at("0002")), Mode.HEAD, True, Reason.NOT_AT_HEAD),
        (view(at("0002")), Mode.REQUIRED, False, None),
        (view(at("0001")), Mode.REQUIRED, True, Reason.NOT_AT_HEAD),
        (view(at("")), Mode.REQUIRED, False, Reason.NOT_AT_HEAD),
        # A newer schema service with a pending revision opens no gate, and closes none.
        (view(NEWER_HEAD), Mode.HEAD, False, Reason.NOT_AT_HEAD),
        (view(NEWER_HEAD), Mode.HEAD, True, None),
        # Applied above a hole.
        (view(at("0003", pending=("0002",), out_of_order=("0002",))), Mode.REQUIRED, True,
         Reason.NOT_AT_HEAD),
        (view(at("0003", compatible_from="0003")), Mode.HEAD, True, None),
        (view(at("0003", compatible_from="0004")), Mode.HEAD, True, Reason.INCOMPATIBLE),
        # Answers, but does not let itself be watched.
        (view(at("0003"), watched=None), Mode.HEAD, False, Reason.UNREACHABLE),
        (view(at("0003"), watched=None), Mode.HEAD, True, None),
        # Away.
        (view(at("0003"), unreachable="gone"), Mode.HEAD, False, Reason.UNREACHABLE),
        (view(at("0003"), unreachable="gone"), Mode.HEAD, True, None),
        (view(at("0003"), unreachable="gone", answered_at=NOW - 61), Mode.HEAD, True,
         Reason.UNREACHABLE),
    ],
)
def test_decision(known: SchemaView, mode: Mode, was_open: bool, reason: Reason | None) -> None:
    refusal = decide(known, needs(mode), was_open=was_open, now=NOW)
    assert (refusal and refusal.reason) == reason


def test_a_refusal_says_what_to_do() -> None:
    refusal = decide(view(at("0001")), needs(), was_open=False, now=NOW)
    assert refusal is not None
    assert refusal.message == (
        'schema is at 0001 but this build requires 0003; run "schema upgrade"'
    )
    assert refusal.metadata == {
        "current": "0001", "required": "0003", "head": "0003", "status": "STATUS_BEHIND"
    }


def test_an_answer_that_lags_behind_is_not_believed() -> None:
    newer = SchemaState(revision="0003", epoch=3, observed_at=(10, 0))
    older = SchemaState(revision="0002", epoch=2, observed_at=(9, 0))
    known = SchemaView().with_answer(newer).with_answer(older)
    assert known.state == newer
    restored = SchemaState(revision="0002", epoch=2, observed_at=(11, 0))
    assert known.with_answer(restored).state == restored
