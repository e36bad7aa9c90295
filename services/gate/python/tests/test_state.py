"""The verdict as threads and event loops see it."""

import asyncio
import threading

import pytest

from schemagate_gate import AsyncGate, ConfigurationError, Gate
from schemagate_gate.decision import Reason, Refusal
from schemagate_gate.state import GateState

CLOSED = Refusal(Reason.NOT_AT_HEAD, "closed")


def test_a_call_waits_while_the_gate_revalidates() -> None:
    state = GateState(CLOSED)
    state.publish(None, (), state.revalidations)
    assert state.revalidate()
    results: list[Refusal | None] = []
    call = threading.Thread(target=lambda: results.append(state.admit()))
    call.start()
    # An evaluation that began before the request does not answer it.
    state.publish(None, (), 0)
    assert call.is_alive()
    state.publish(CLOSED, (), state.revalidations)
    call.join(10)
    assert results == [CLOSED]


def test_a_revalidation_answers_for_a_while() -> None:
    state = GateState(CLOSED)
    assert not state.revalidate(), "a closed gate has nothing to revalidate"
    state.publish(None, (), 0)
    assert state.revalidate()
    state.publish(None, (), state.revalidations)
    assert not state.revalidate()


def test_nothing_opens_a_gate_that_has_ended() -> None:
    state = GateState(CLOSED)
    ended = Refusal(Reason.SHUTTING_DOWN, "ended")
    state.end(ended)
    state.publish(None, (), 0)
    assert state.admit() == ended


async def test_an_event_loop_waits_for_another_thread() -> None:
    state = GateState(CLOSED)
    waiting = asyncio.create_task(state.wait_for_async(lambda report: report.is_open, 10))
    await asyncio.sleep(0)
    threading.Thread(target=state.publish, args=(None, (), 0)).start()
    assert (await waiting).is_open


def test_a_listener_is_called_until_it_ends() -> None:
    state = GateState(CLOSED)
    seen: list[bool] = []
    unlisten = state.listen(lambda report: seen.append(report.is_open))
    state.publish(None, (), 0)
    unlisten()
    state.publish(CLOSED, (), 0)
    assert seen == [False, True]


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"schema_url": "localhost:50051"}, "schema_url"),
        ({"schema_url": "http://h", "ca_file": "ca.pem"}, "https"),
        ({"schema_url": "http://h", "token_file": "t"}, "token"),
        ({"schema_url": "https://h", "client_key_file": "k"}, "go together"),
        ({"mode": "newest"}, "mode"),
        ({"max_staleness": -1}, "max_staleness"),
    ],
)
def test_what_cannot_work_is_refused_by_name(settings: dict[str, object], text: str) -> None:
    for kind in (Gate, AsyncGate):
        with pytest.raises(ConfigurationError, match=text):
            kind("reports", requires="0002", **settings)
