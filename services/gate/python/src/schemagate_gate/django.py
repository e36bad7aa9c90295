"""Django middleware, for WSGI and ASGI deployments.

In settings::

    MIDDLEWARE = ["schemagate_gate.django.GateMiddleware", ...]
    SCHEMAGATE = {"service": "reports", "requires": "0002", "schema_url": "http://schema:50051"}

``SCHEMAGATE`` takes the settings of :class:`schemagate_gate.Gate`, and ``exempt`` paths.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.http import HttpResponse

from . import problem
from .decision import Refusal
from .gate import Gate


@functools.cache
def _gate_of_process() -> tuple[Gate, frozenset[str]]:
    """One gate for a process, started with its first request, so after the fork."""
    options = dict(settings.SCHEMAGATE)
    exempt = frozenset(options.pop("exempt", ()))
    return Gate(options.pop("service"), **options).start(), exempt


def close() -> None:
    """Closes the gate of this process and deregisters: for a worker's exit hook."""
    _gate_of_process()[0].close()


class GateMiddleware:
    """Answers 503 while the gate is closed, and ``/livez`` and ``/readyz`` always."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: Any) -> Any:
        if self._is_async:
            return self._answer_async(request)
        gate, exempt = _gate_of_process()
        if request.path in exempt or request.path == problem.LIVE_PATH:
            return self._pass(request)
        refusal = gate.admit()
        return _refuse(refusal) if refusal else self._pass(request)

    async def _answer_async(self, request: Any) -> Any:
        gate, exempt = _gate_of_process()
        if request.path not in exempt and request.path != problem.LIVE_PATH:
            refusal = await gate.admit_async()
            if refusal:
                return _refuse(refusal)
        response: Awaitable[Any] | Any = self._pass(request)
        return response if isinstance(response, HttpResponse) else await response

    def _pass(self, request: Any) -> Any:
        if request.path in (problem.LIVE_PATH, problem.READY_PATH):
            return HttpResponse("ok\n", content_type="text/plain")
        return self.get_response(request)


def _refuse(refusal: Refusal) -> HttpResponse:
    body = problem.body(refusal)
    response = HttpResponse(body, status=503)
    for name, value in problem.headers(body):
        response[name] = value
    return response
