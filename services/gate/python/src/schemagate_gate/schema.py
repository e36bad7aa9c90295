"""What the gate knows of the schema, and how well it knows it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class SchemaState:
    """The part of ``schema.v1.SchemaState`` that a gate decides by."""

    revision: str = ""
    head: str = ""
    at_head: bool = False
    status: str = "STATUS_UNSPECIFIED"
    pending: tuple[str, ...] = ()
    out_of_order: tuple[str, ...] = ()
    compatible_from: str = ""
    database_id: str = ""
    epoch: int = 0
    message: str = ""
    # When the database was asked; not compared, since it changes with every answer.
    observed_at: tuple[int, int] = field(default=(0, 0), compare=False)

    @classmethod
    def from_message(cls, state: Any) -> SchemaState:
        """Converts the protobuf message."""
        return cls(
            revision=state.revision,
            head=state.head,
            at_head=state.at_head,
            status=type(state).DESCRIPTOR.fields_by_name["status"]
            .enum_type.values_by_number[state.status]
            .name,
            pending=tuple(state.pending),
            out_of_order=tuple(state.out_of_order),
            compatible_from=state.compatible_from,
            database_id=state.database_id,
            epoch=state.epoch,
            message=state.message,
            observed_at=(state.observed_at.seconds, state.observed_at.nanos),
        )


@dataclass(frozen=True)
class SchemaView:
    """What the gate last learned from the schema service. Each answer makes a new one."""

    state: SchemaState | None = None
    # time.monotonic() of the last answer.
    answered_at: float | None = None
    # Why the schema service does not answer; None while it does.
    unreachable: str | None = None
    # What the open Watch stream last reported; None without such a stream.
    watched: SchemaState | None = None
    # Why the last Watch stream ended.
    watch_error: str | None = None

    def with_answer(self, state: SchemaState) -> SchemaView:
        """Takes an answer of Current. An answer that lags behind a newer one is not believed."""
        known = self.state
        believed = known if known is not None and _is_outdated(state, known) else state
        return replace(self, state=believed, answered_at=time.monotonic(), unreachable=None)

    def with_watch(self, state: SchemaState) -> SchemaView:
        """Takes a state that the Watch stream reported."""
        return replace(self.with_answer(state), watched=state)

    def with_watch_ended(self, error: str) -> SchemaView:
        return replace(self, watched=None, watch_error=error)

    def with_failure(self, error: str) -> SchemaView:
        """Current was not answered."""
        return replace(self, unreachable=error)

    @property
    def is_watch_tried(self) -> bool:
        return self.watched is not None or self.watch_error is not None

    def differs_from(self, other: SchemaView) -> bool:
        """Whether a verdict could be another one: the time of an answer alone changes none."""
        return (self.state, self.watched, self.unreachable is None, self.watch_error is None) != (
            other.state,
            other.watched,
            other.unreachable is None,
            other.watch_error is None,
        )


def _is_outdated(state: SchemaState, known: SchemaState) -> bool:
    """Replicas of the schema service may lag behind one another. A database restored from a backup
    falls back as well, but was asked later."""
    return (
        state.database_id == known.database_id
        and state.epoch < known.epoch
        and state.observed_at <= known.observed_at
    )


Metadata = Mapping[str, str]
