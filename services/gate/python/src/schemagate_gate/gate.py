"""The gate for programs that use threads: WSGI, Django, grpc servers, workers."""

from __future__ import annotations

import queue
import threading
from typing import Any

import grpc

from .connection import (
    CHANNEL_OPTIONS,
    CURRENT,
    CURRENT_TIMEOUT,
    TIMEOUTS_UNTIL_RECONNECT,
    WATCH,
    CurrentRequest,
    CurrentResponse,
    WatchRequest,
    WatchResponse,
    backoff,
    describe,
    is_timeout,
)
from .core import PROOF_TIMEOUT, BaseGate, HostProof
from .schema import SchemaState, SchemaView


class Gate(BaseGate):
    """Watches the schema service from two daemon threads.

    Start it after a fork, not before: gRPC does not survive one. ``with Gate(...) as gate:`` starts
    and closes it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._threads: list[threading.Thread] = []
        self._channel: grpc.Channel | None = None
        self._watch: Any = None

    __init__.__doc__ = BaseGate.__init__.__doc__

    def start(self) -> Gate:
        """Begins to watch; the gate opens by itself."""
        if self._threads:
            return self
        self._channel = self._connect()
        for run in (self._follow, self._evaluate):
            thread = threading.Thread(target=run, name="schemagate-gate", daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def close(self) -> None:
        """Closes the gate for good and deregisters from the schema service: from then on this
        process holds no downgrade back."""
        self._close()
        self._stopping.set()
        self._wake.set()
        watch = self._watch
        if watch is not None:
            watch.cancel()
        for thread in self._threads:
            thread.join(timeout=CURRENT_TIMEOUT + PROOF_TIMEOUT)
        if self._channel is not None:
            self._channel.close()

    def __enter__(self) -> Gate:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def report_undefined(self) -> None:
        """To be called when a query met an undefined table or column: the next calls wait until
        the gate has checked again."""
        if self._state.revalidate():
            self._wake.set()

    def _connect(self) -> grpc.Channel:
        credentials, target = self._endpoint.credentials, self._endpoint.target
        if credentials:
            return grpc.secure_channel(target, credentials, CHANNEL_OPTIONS)
        return grpc.insecure_channel(target, CHANNEL_OPTIONS)

    def _reconnect(self) -> None:
        """Replaces the connection, which ends the Watch stream on the old one."""
        old, self._channel = self._channel, self._connect()
        if old is not None:
            old.close()

    def _call(self) -> None:
        """Asks Current; again at once where no answer came in time."""
        while self._ask() and not self._stopping.is_set():
            if self._timeouts % TIMEOUTS_UNTIL_RECONNECT == 0:
                self._reconnect()
                return

    def _ask(self) -> bool:
        """Asks Current once; True where no answer came in time."""
        assert self._channel is not None
        current = self._channel.unary_unary(
            CURRENT,
            request_serializer=CurrentRequest.SerializeToString,
            response_deserializer=CurrentResponse.FromString,
        )
        try:
            answer = current(
                CurrentRequest(), timeout=CURRENT_TIMEOUT, metadata=self._endpoint.metadata
            )
            state = SchemaState.from_message(answer.state)
            changed = self._learn(SchemaView.with_answer, state)
            self._timeouts = 0
        except (grpc.RpcError, OSError, ValueError) as error:
            changed = self._learn(SchemaView.with_failure, describe(error))
            self._timeouts = self._timeouts + 1 if is_timeout(error) else 0
        if changed:
            self._wake.set()
        return self._timeouts > 0

    def _follow(self) -> None:
        """Keeps a Watch stream open."""
        failures = 0
        while not self._stopping.is_set():
            error = "the stream ended"
            try:
                for state in self._open_watch():
                    failures = 0
                    if self._learn(SchemaView.with_watch, state):
                        self._wake.set()
            except (grpc.RpcError, OSError, ValueError) as failure:
                error = describe(failure)
            if self._stopping.is_set():
                return
            self._learn(SchemaView.with_watch_ended, error)
            # Is the schema service away, or does it only refuse to be watched?
            self._call()
            self._wake.set()
            self._stopping.wait(backoff(failures))
            failures += 1

    def _open_watch(self) -> Any:
        assert self._channel is not None
        watch = self._channel.unary_stream(
            WATCH,
            request_serializer=WatchRequest.SerializeToString,
            response_deserializer=WatchResponse.FromString,
        )
        stream = watch(self._registration.watch_request(), metadata=self._endpoint.metadata)
        self._watch = stream
        if self._stopping.is_set():
            stream.cancel()
        for answer in stream:
            yield SchemaState.from_message(answer.state)

    def _evaluate(self) -> None:
        """Evaluates whenever there is something new, and from time to time."""
        while not self._stopping.is_set():
            if self._view.is_watch_tried or self._view.unreachable:
                self._run_evaluation()
            woken = self._wake.wait(self._next_evaluation_in())
            self._wake.clear()
            if not woken and not self._stopping.is_set():
                self._call()

    def _run_evaluation(self) -> None:
        evaluation = self._evaluation()
        try:
            proof = next(evaluation)
            while True:
                proof = evaluation.send(_attempt(proof))
        except StopIteration:
            pass


def _attempt(proof: HostProof) -> Any:
    """The evidence of a proof, or its exception. A proof that hangs holds nothing up but its own
    thread."""
    outcome: queue.Queue[Any] = queue.Queue(maxsize=1)

    def run() -> None:
        try:
            outcome.put(proof.prove())
        except Exception as error:
            outcome.put(error)

    threading.Thread(target=run, name="schemagate-proof", daemon=True).start()
    try:
        return outcome.get(timeout=PROOF_TIMEOUT)
    except queue.Empty:
        return TimeoutError(f"no answer within {PROOF_TIMEOUT:g} s")
