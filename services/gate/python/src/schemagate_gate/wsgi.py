"""WSGI middleware: Flask, Django, Pyramid, anything under gunicorn or uwsgi."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

from . import problem
from .gate import Gate


class GateMiddleware:
    """Answers 503 while the gate is closed, and ``/livez`` and ``/readyz`` always.

    The gate starts with the first request, so in each worker after its fork; call ``start()`` in a
    worker hook (gunicorn's ``post_fork``) to have it open before that.
    """

    def __init__(
        self,
        app: Callable[..., Iterable[bytes]],
        service: str | None = None,
        *,
        gate: Gate | None = None,
        exempt: Iterable[str] = (),
        **settings: Any,
    ) -> None:
        """
        :param exempt: paths that are never gated, such as ``/metrics``
        """
        if (gate is None) == (service is None):
            raise TypeError("give either a service name with the gate's settings, or gate=")
        self.app = app
        self.gate = gate if gate is not None else Gate(service or "", **settings)
        self._exempt = frozenset(exempt)
        self._start = threading.Lock()
        self._is_started = False

    def start(self) -> None:
        """Starts the gate, once."""
        with self._start:
            if not self._is_started:
                self.gate.start()
                self._is_started = True

    def close(self) -> None:
        """Closes the gate and deregisters."""
        self.gate.close()

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        if not self._is_started:
            self.start()
        path = environ.get("PATH_INFO", "")
        if path == problem.LIVE_PATH:
            return _ok(start_response)
        if path in self._exempt:
            return self.app(environ, start_response)
        refusal = self.gate.admit()
        if refusal is not None:
            body = problem.body(refusal)
            start_response("503 Service Unavailable", problem.headers(body))
            return [body]
        if path == problem.READY_PATH:
            return _ok(start_response)
        return self.app(environ, start_response)


def _ok(start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", [("content-type", "text/plain"), ("content-length", "3")])
    return [b"ok\n"]
