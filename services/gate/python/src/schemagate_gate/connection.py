"""How the schema service is reached: address, TLS, token, keepalive, back-off; and its contract."""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

# An answer that takes longer counts as none.
CURRENT_TIMEOUT = 1.0
BACKOFF_FIRST = 0.05
BACKOFF_LONGEST = 1.0

# After so many answers in a row that do not come in time, the connection is replaced. A host that
# vanished without closing it is noticed by that, where gRPC's keepalive is slower.
TIMEOUTS_UNTIL_RECONNECT = 2

CHANNEL_OPTIONS = [
    ("grpc.keepalive_time_ms", 5_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # Each gate has a connection of its own: a stuck one is given up, not shared.
    ("grpc.use_local_subchannel_pool", 1),
]

WATCH = "/schema.v1.SchemaService/Watch"
CURRENT = "/schema.v1.SchemaService/Current"


def _load_contract() -> tuple[type[Any], ...]:
    """Reads the compiled contract into a pool of its own, so that a program's own generated code
    of the same contract does not collide with it."""
    pool = descriptor_pool.DescriptorPool()
    files = descriptor_pb2.FileDescriptorSet()
    files.ParseFromString((Path(__file__).parent / "contract.binpb").read_bytes())
    for file in files.file:
        pool.Add(file)
    names = ("WatchRequest", "WatchResponse", "CurrentRequest", "CurrentResponse")
    return tuple(
        message_factory.GetMessageClass(pool.FindMessageTypeByName(f"schema.v1.{name}"))
        for name in names
    )


WatchRequest, WatchResponse, CurrentRequest, CurrentResponse = _load_contract()


class ConfigurationError(ValueError):
    """A setting that cannot work: which one, and why."""


@dataclass(frozen=True)
class Endpoint:
    """Where the schema service is, and what it is shown."""

    url: str
    # PEM files; with an https:// URL.
    ca_file: str | None = None
    client_cert_file: str | None = None
    client_key_file: str | None = None
    # Read at each connection and call, so that a rotated token is used.
    token_file: str | None = None

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError(
                f"schema_url: {self.url!r} is not a URL such as http://127.0.0.1:50051"
            )
        if (self.client_cert_file is None) != (self.client_key_file is None):
            raise ConfigurationError("client_cert_file and client_key_file go together")
        is_tls = parts.scheme == "https"
        if not is_tls and (self.ca_file or self.client_cert_file):
            raise ConfigurationError("schema_url: TLS files need an https:// URL")
        if self.token_file and not is_tls and not _is_loopback(parts.hostname):
            raise ConfigurationError(
                "schema_url: a token is sent over https:// only, except to this machine"
            )

    @property
    def target(self) -> str:
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    @property
    def credentials(self) -> grpc.ChannelCredentials | None:
        """TLS, or None for plaintext."""
        if urlsplit(self.url).scheme == "http":
            return None
        return grpc.ssl_channel_credentials(
            root_certificates=_read(self.ca_file),
            private_key=_read(self.client_key_file),
            certificate_chain=_read(self.client_cert_file),
        )

    @property
    def metadata(self) -> list[tuple[str, str]]:
        """What is sent with each call."""
        if self.token_file is None:
            return []
        token = Path(self.token_file).read_text().strip()
        return [("authorization", f"Bearer {token}")]


@dataclass(frozen=True)
class Registration:
    """How this process registers as a live dependent."""

    service: str
    requires: str
    built_with: str
    version: str = ""
    instance: str = field(default_factory=lambda: str(uuid.uuid4()))

    def watch_request(self) -> Any:
        request = WatchRequest()
        for name in ("service", "instance", "version", "requires", "built_with"):
            setattr(request.dependent, name, getattr(self, name))
        return request


def backoff(failures: int) -> float:
    """Seconds until the next attempt: doubles up to a limit, with a random part, so that replicas
    that lost one server at the same moment do not come back at the same moment."""
    full: float = min(BACKOFF_FIRST * 2 ** min(failures, 10), BACKOFF_LONGEST)
    return full * random.uniform(0.5, 1.0)


def is_timeout(error: Exception) -> bool:
    """Whether no answer came in time."""
    code = getattr(error, "code", None)
    return callable(code) and code() is grpc.StatusCode.DEADLINE_EXCEEDED


def describe(error: grpc.RpcError) -> str:
    """One line about a failed call."""
    code, details = getattr(error, "code", None), getattr(error, "details", None)
    if callable(code) and callable(details):
        return f"{code().name}: {details()}"
    return str(error) or type(error).__name__


def _read(file: str | None) -> bytes | None:
    return Path(file).read_bytes() if file else None


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")
