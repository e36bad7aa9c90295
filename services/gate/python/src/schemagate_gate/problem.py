"""A refusal as HTTP: RFC 9457 problem details."""

from __future__ import annotations

import json

from .decision import Refusal

# Openings are pushed to the gate, so a retry after a second is not too early.
RETRY_AFTER_SECONDS = 1
LIVE_PATH = "/livez"
READY_PATH = "/readyz"


def headers(body: bytes) -> list[tuple[str, str]]:
    return [
        ("content-type", "application/problem+json"),
        ("content-length", str(len(body))),
        ("retry-after", str(RETRY_AFTER_SECONDS)),
        ("cache-control", "no-store"),
    ]


def body(refusal: Refusal) -> bytes:
    """The reason and its metadata are those of the gRPC error's ``ErrorInfo``."""
    return json.dumps(
        {
            "type": "about:blank",
            "title": "Service Unavailable",
            "status": 503,
            "detail": refusal.message,
            "reason": refusal.reason.value,
            "domain": "schemagate",
            "metadata": dict(refusal.metadata),
        }
    ).encode()
