"""The gate for programs that use asyncio: ASGI applications, grpc.aio servers."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio

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


class AsyncGate(BaseGate):
    """Watches the schema service from two tasks of the running event loop.

    Proofs may be coroutine functions; plain functions run in the loop's thread pool.
    ``async with AsyncGate(...) as gate:`` starts and closes it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._wake: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._channel: grpc.aio.Channel | None = None
        self._is_closing = False

    __init__.__doc__ = BaseGate.__init__.__doc__

    async def start(self) -> AsyncGate:
        """Begins to watch; the gate opens by itself."""
        if self._tasks:
            return self
        self._loop, self._wake = asyncio.get_running_loop(), asyncio.Event()
        self._channel = self._connect()
        self._tasks = [asyncio.create_task(self._follow()), asyncio.create_task(self._evaluate())]
        return self

    async def close(self) -> None:
        """Closes the gate for good and deregisters from the schema service: from then on this
        process holds no downgrade back."""
        self._close()
        self._is_closing = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._channel is not None:
            await self._channel.close()

    async def __aenter__(self) -> AsyncGate:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def report_undefined(self) -> None:
        """To be called when a query met an undefined table or column: the next calls wait until
        the gate has checked again. Safe to call from any thread."""
        if self._state.revalidate() and self._loop is not None and self._wake is not None:
            self._loop.call_soon_threadsafe(self._wake.set)

    def _awake(self) -> None:
        assert self._wake is not None
        self._wake.set()

    def _connect(self) -> grpc.aio.Channel:
        credentials, target = self._endpoint.credentials, self._endpoint.target
        if credentials:
            return grpc.aio.secure_channel(target, credentials, CHANNEL_OPTIONS)
        return grpc.aio.insecure_channel(target, CHANNEL_OPTIONS)

    async def _reconnect(self) -> None:
        """Replaces the connection, which ends the Watch stream on the old one."""
        old, self._channel = self._channel, self._connect()
        if old is not None:
            await old.close()

    async def _call(self) -> None:
        """Asks Current; again at once where no answer came in time."""
        while await self._ask():
            if self._timeouts % TIMEOUTS_UNTIL_RECONNECT == 0:
                await self._reconnect()
                return

    async def _ask(self) -> bool:
        """Asks Current once; True where no answer came in time."""
        assert self._channel is not None
        current = self._channel.unary_unary(
            CURRENT,
            request_serializer=CurrentRequest.SerializeToString,
            response_deserializer=CurrentResponse.FromString,
        )
        try:
            answer = await current(
                CurrentRequest(), timeout=CURRENT_TIMEOUT, metadata=self._endpoint.metadata
            )
            state = SchemaState.from_message(answer.state)
            changed = self._learn(SchemaView.with_answer, state)
            self._timeouts = 0
        except (grpc.RpcError, OSError, ValueError) as error:
            changed = self._learn(SchemaView.with_failure, describe(error))
            self._timeouts = self._timeouts + 1 if is_timeout(error) else 0
        if changed:
            self._awake()
        return self._timeouts > 0

    async def _follow(self) -> None:
        """Keeps a Watch stream open. Cancelling the task cancels the stream, which deregisters."""
        failures = 0
        while True:
            error = "the stream ended"
            try:
                async for state in self._open_watch():
                    failures = 0
                    if self._learn(SchemaView.with_watch, state):
                        self._awake()
            except (grpc.RpcError, OSError, ValueError) as failure:
                error = describe(failure)
            self._learn(SchemaView.with_watch_ended, error)
            # Is the schema service away, or does it only refuse to be watched?
            await self._call()
            self._awake()
            await asyncio.sleep(backoff(failures))
            failures += 1

    async def _open_watch(self) -> AsyncIterator[SchemaState]:
        assert self._channel is not None
        watch = self._channel.unary_stream(
            WATCH,
            request_serializer=WatchRequest.SerializeToString,
            response_deserializer=WatchResponse.FromString,
        )
        stream = watch(self._registration.watch_request(), metadata=self._endpoint.metadata)
        try:
            async for answer in stream:
                yield SchemaState.from_message(answer.state)
        except asyncio.CancelledError:
            # Also raised where the channel was closed under the stream, which does not cancel this
            # task.
            if self._is_closing:
                raise
        finally:
            stream.cancel()

    async def _evaluate(self) -> None:
        """Evaluates whenever there is something new, and from time to time."""
        assert self._wake is not None
        while True:
            if self._view.is_watch_tried or self._view.unreachable:
                await self._run_evaluation()
            try:
                await asyncio.wait_for(self._wake.wait(), self._next_evaluation_in())
            except asyncio.TimeoutError:
                await self._call()
            self._wake.clear()

    async def _run_evaluation(self) -> None:
        evaluation = self._evaluation()
        try:
            proof = next(evaluation)
            while True:
                proof = evaluation.send(await _attempt(proof))
        except StopIteration:
            pass


async def _attempt(proof: HostProof) -> Any:
    """The evidence of a proof, or its exception."""
    try:
        if inspect.iscoroutinefunction(proof.prove):
            return await asyncio.wait_for(proof.prove(), PROOF_TIMEOUT)
        return await asyncio.wait_for(asyncio.to_thread(proof.prove), PROOF_TIMEOUT)
    except asyncio.TimeoutError:
        return TimeoutError(f"no answer within {PROOF_TIMEOUT:g} s")
    except Exception as error:
        return error
