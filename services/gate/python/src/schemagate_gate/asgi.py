"""ASGI middleware: FastAPI, Starlette, Litestar, Quart, Django."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from . import problem
from .aio import AsyncGate
from .decision import Refusal

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class GateMiddleware:
    """Answers 503 while the gate is closed, and ``/livez`` and ``/readyz`` always.

    Takes the settings of :class:`AsyncGate` and starts and closes a gate with the application's
    lifespan; or takes a gate that the application starts itself, as ``gate=``.
    """

    def __init__(
        self,
        app: App,
        service: str | None = None,
        *,
        gate: AsyncGate | None = None,
        exempt: Iterable[str] = (),
        **settings: Any,
    ) -> None:
        """
        :param exempt: paths that are never gated, such as ``/metrics``
        """
        if (gate is None) == (service is None):
            raise TypeError("give either a service name with the gate's settings, or gate=")
        self.app = app
        self._owns_gate = gate is None
        self.gate = gate if gate is not None else AsyncGate(service or "", **settings)
        self._exempt = frozenset(exempt)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        path = scope["path"]
        if scope["type"] == "http" and path == problem.LIVE_PATH:
            await _respond(send, 200, [("content-type", "text/plain")], b"ok\n")
            return
        is_readiness = scope["type"] == "http" and path == problem.READY_PATH
        if path in self._exempt:
            await self.app(scope, receive, send)
            return
        refusal = await self.gate.admit_async()
        if refusal is not None:
            await _refuse(scope, receive, send, refusal)
        elif is_readiness:
            await _respond(send, 200, [("content-type", "text/plain")], b"ok\n")
        else:
            await self.app(scope, receive, send)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._owns_gate:
            await self.app(scope, receive, send)
            return

        async def receive_and_close() -> MutableMapping[str, Any]:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self.gate.start()
            elif message["type"] == "lifespan.shutdown":
                await self.gate.close()
            return message

        await self.app(scope, receive_and_close, send)


async def _refuse(scope: Scope, receive: Receive, send: Send, refusal: Refusal) -> None:
    body = problem.body(refusal)
    if scope["type"] == "http":
        await _respond(send, 503, problem.headers(body), body)
    elif "websocket.http.response" in scope.get("extensions", {}):
        await receive()
        await _respond(send, 503, problem.headers(body), body, prefix="websocket.http.response")
    else:
        await receive()
        # 1013: try again later.
        await send({"type": "websocket.close", "code": 1013, "reason": refusal.reason.value})


async def _respond(
    send: Send,
    status: int,
    headers: list[tuple[str, str]],
    body: bytes,
    prefix: str = "http.response",
) -> None:
    encoded = [(name.encode(), value.encode()) for name, value in headers]
    await send({"type": f"{prefix}.start", "status": status, "headers": encoded})
    await send({"type": f"{prefix}.body", "body": body})
