"""The implementations under test."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Subject:
    name: str
    protocol: str  # "http" or "grpc"
    command: tuple[str, ...]
    # What an HTTP subject is asked for.
    path: str = "/work"


def _python(name: str, protocol: str, file: str) -> Subject:
    return Subject(name, protocol, (sys.executable, str(HERE / "subjects" / file)))


def _gate(name: str, protocol: str, path: str = "/work") -> Subject:
    launcher = str(HERE / "subjects/gate_binary.py")
    return Subject(name, protocol, (sys.executable, launcher, name), path)


def _typescript(name: str, protocol: str, file: str) -> Subject:
    return Subject(
        name, protocol, ("node", str(HERE.parent / "typescript/build/conformance" / file))
    )


SUBJECTS = [
    _gate("gate-serve", "http", "/readyz"),
    _gate("gate-proxy-http", "http"),
    _gate("gate-proxy-grpc", "grpc"),
    _python("python-asgi", "http", "asgi.py"),
    _python("python-wsgi", "http", "wsgi.py"),
    _python("python-django", "http", "django_wsgi.py"),
    _python("python-grpc", "grpc", "grpc_threads.py"),
    _python("python-grpc-aio", "grpc", "grpc_aio.py"),
    _typescript("typescript-express", "http", "express.js"),
    _typescript("typescript-fastify", "http", "fastify.js"),
    _typescript("typescript-grpc", "grpc", "grpc.js"),
]
