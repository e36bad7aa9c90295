"""The decision: a pure function from what is known to a verdict.

The rules are those of ``docs/GATE.md``; every implementation of the gate passes the same
conformance suite.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from .schema import Metadata, SchemaState, SchemaView


class Mode(Enum):
    """What the gate needs of the schema."""

    HEAD = "head"
    """To open: the schema is at head. To stay open: it holds the built-with revision."""
    REQUIRED = "required"
    """To open and to stay open: the schema holds the required revision."""


class Reason(str, Enum):
    """Why a gate is closed: the stable code for programs, ``ErrorInfo.reason``."""

    NOT_AT_HEAD = "SCHEMA_NOT_AT_HEAD"
    INCOMPATIBLE = "SCHEMA_INCOMPATIBLE"
    OTHER_DATABASE = "SCHEMA_OTHER_DATABASE"
    MODEL_MISMATCH = "SCHEMA_MODEL_MISMATCH"
    UNREACHABLE = "SCHEMA_UNREACHABLE"
    SHUTTING_DOWN = "SHUTTING_DOWN"


@dataclass(frozen=True)
class Refusal:
    """Why calls are refused, for programs (reason, metadata) and for people (message)."""

    reason: Reason
    message: str
    metadata: Metadata = field(default_factory=dict)


@dataclass(frozen=True)
class Needs:
    """What this build needs of the schema."""

    requires: str
    built_with: str
    mode: Mode
    address: str
    # Seconds for which an open gate tolerates a schema service that does not answer.
    max_staleness: float

    @property
    def must_hold(self) -> str:
        """The revision that the schema must hold for the gate to open and to stay open."""
        return self.built_with if self.mode is Mode.HEAD else self.requires


def decide(view: SchemaView, needs: Needs, *, was_open: bool, now: float) -> Refusal | None:
    """Returns None where the schema allows the gate to be open, else why it does not.

    ``now`` is ``time.monotonic()``. The host's own proofs come after this one.
    """
    state = _reliable(view, needs, was_open, now)
    if state is None:
        return _unreachable(view, needs)
    must_be_at_head = needs.mode is Mode.HEAD and not was_open
    refusal = _refuted_by(state, needs, must_be_at_head)
    if refusal is not None or was_open:
        return refusal
    # Only a registered dependent may open: otherwise the schema could be changed without it.
    if view.watched is None:
        return _not_watching(view, needs)
    return _refuted_by(view.watched, needs, must_be_at_head)


def different_database(own: str, state: SchemaState, needs: Needs) -> Refusal | None:
    """The second proof: the schema service and this service use the same database."""
    if own == state.database_id:
        return None
    message = (
        f"the schema service uses database {state.database_id} and this service uses {own}; "
        "give both the same DATABASE_URL"
    )
    return refusal_for(Reason.OTHER_DATABASE, message, needs, state)


def refusal_for(
    reason: Reason, message: str, needs: Needs, state: SchemaState | None = None
) -> Refusal:
    state = state or SchemaState()
    metadata = {
        "current": state.revision,
        "required": needs.must_hold,
        "head": state.head,
        "status": state.status,
    }
    return Refusal(reason, message, metadata)


def shutting_down(needs: Needs) -> Refusal:
    return refusal_for(
        Reason.SHUTTING_DOWN, "this server is shutting down; retry on another replica", needs
    )


def _reliable(view: SchemaView, needs: Needs, was_open: bool, now: float) -> SchemaState | None:
    """The state, where it may still be relied on."""
    if view.unreachable is None:
        return view.state
    is_fresh = view.answered_at is not None and now - view.answered_at <= needs.max_staleness
    return view.state if was_open and is_fresh else None


def _refuted_by(state: SchemaState, needs: Needs, must_be_at_head: bool) -> Refusal | None:
    current = state.revision or "base"
    if needs.built_with and state.compatible_from > needs.built_with:
        message = (
            f"schema is at {current}, which requires a build made for {state.compatible_from} or "
            f"newer, but this build was made for {needs.built_with}; deploy a newer build"
        )
        return refusal_for(Reason.INCOMPATIBLE, message, needs, state)
    must_hold = needs.must_hold
    holds = state.revision >= must_hold and must_hold not in state.pending + state.out_of_order
    if holds and (state.at_head or not must_be_at_head):
        return None
    wanted = f"head ({state.head or 'base'})" if holds else must_hold
    advice = _advice(state, must_hold)
    message = f"schema is at {current} but this build requires {wanted}; {advice}"
    return refusal_for(Reason.NOT_AT_HEAD, message, needs, state)


def _advice(state: SchemaState, must_hold: str) -> str:
    if state.status == "STATUS_AT_HEAD":
        return f'deploy a schema service that holds {must_hold}, then run "schema upgrade"'
    if state.status in ("STATUS_EMPTY", "STATUS_BEHIND") and not state.out_of_order:
        return 'run "schema upgrade"'
    if state.status == "STATUS_MIGRATING":
        return "an operation is running; calls pass once it succeeds"
    detail = state.message or "the schema service gives no details"
    return f'its status is {state.status}: {detail}; run "schema current" for details'


def _unreachable(view: SchemaView, needs: Needs) -> Refusal:
    if view.unreachable is None:
        message = f"schema service at {needs.address} has not answered yet"
        return refusal_for(Reason.UNREACHABLE, message, needs, view.state)
    last = (
        f"; it last reported {view.state.revision or 'base'} of {view.state.head or 'base'}"
        if view.state
        else ""
    )
    message = (
        f"schema service at {needs.address} does not answer ({view.unreachable}){last}; "
        "start it, or correct the address that this service is configured with"
    )
    return refusal_for(Reason.UNREACHABLE, message, needs, view.state)


def _not_watching(view: SchemaView, needs: Needs) -> Refusal:
    error = view.watch_error or "the stream is being opened"
    message = (
        f"schema service at {needs.address} answers, but this service is not registered by Watch "
        f"({error})"
    )
    return refusal_for(Reason.UNREACHABLE, message, needs, view.state)
