"""A schema service, a subject and the means to break them."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from subjects import Subject

ROOT = Path(__file__).parents[3]
SCHEMA = os.environ.get("SCHEMA_BINARY", str(ROOT / "target/debug/schema"))
# Far longer than anything takes here, however busy the machine is.
WAIT_LIMIT = 30.0


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_until(condition: Callable[[], Any], what: str, limit: float = WAIT_LIMIT) -> float:
    """Waits for a condition; returns the seconds that it took."""
    begin = time.monotonic()
    while not condition():
        assert time.monotonic() - begin < limit, f"not within {limit} s: {what}"
        time.sleep(0.002)
    return time.monotonic() - begin


class SchemaService:
    """The real schema service on a database of its own."""

    def __init__(self, database_url: str, migrations: Path, log: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._environment = {
            **os.environ, "DATABASE_URL": database_url, "SCHEMA_URL": self.url, "LOG": "info"
        }
        self._migrations = migrations
        self._log = log
        self.start()

    def start(self) -> None:
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                [SCHEMA, "serve", "--listen", f"127.0.0.1:{self.port}",
                 "--migrations-dir", str(self._migrations)],
                env=self._environment, stdout=log, stderr=log,
            )
        wait_until(lambda: self.run("current").returncode == 0, f"{self.url} answers")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        self._process.send_signal(how)
        self._process.wait(WAIT_LIMIT)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [SCHEMA, *arguments], env=self._environment, capture_output=True, text=True
        )

    def must(self, *arguments: str) -> str:
        result = self.run(*arguments)
        assert result.returncode == 0, f"schema {arguments}: {result.stdout}{result.stderr}"
        return result.stdout

    def dependents(self) -> list[dict[str, Any]]:
        current = json.loads(self.must("current", "--json"))
        state = current.get("state", current)
        return list(state.get("dependents", []))


class RunningSubject:
    """A subject's process, and the call that its gate decides on."""

    def __init__(self, subject: Subject, schema_url: str, log: Path, **settings: str) -> None:
        self.port = free_port()
        self._protocol = subject.protocol
        self._url = f"http://127.0.0.1:{self.port}{subject.path}"
        environment = {
            **os.environ, "PORT": str(self.port), "SCHEMA_URL": schema_url,
            "REQUIRES": "0002", "BUILT_WITH": "0002", "MODE": "head", "MAX_STALENESS": "3600",
            **settings,
        }
        with log.open("a") as out:
            self._process = subprocess.Popen(
                subject.command, env=environment, stdout=out, stderr=out
            )
        self._channel = grpc.insecure_channel(f"127.0.0.1:{self.port}")
        wait_until(lambda: self.probe() is not None, f"{subject.name} answers")

    def probe(self) -> str | None:
        """"OPEN", the reason of the refusal, or None where nothing answers."""
        return self._probe_http() if self._protocol == "http" else self._probe_grpc()

    def wait_for(self, verdict: str, limit: float = WAIT_LIMIT) -> float:
        return wait_until(lambda: self.probe() == verdict, f"{verdict}, not {self.probe()}", limit)

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(WAIT_LIMIT)
        self._channel.close()

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._channel.close()

    def _probe_http(self) -> str | None:
        try:
            with urllib.request.urlopen(self._url, timeout=10):
                return "OPEN"
        except urllib.error.HTTPError as refusal:
            assert refusal.code == 503 and refusal.headers["retry-after"] == "1"
            problem = json.load(refusal)
            assert problem["status"] == 503 and problem["domain"] == "schemagate"
            return str(problem["reason"])
        except OSError:
            return None

    def _probe_grpc(self) -> str | None:
        work = self._channel.unary_unary("/conformance.v1.Subject/Work")
        try:
            work(b"", timeout=10)
            return "OPEN"
        except grpc.RpcError as error:
            status = rpc_status.from_call(error)
            if status is None:
                return None
            assert error.code() == grpc.StatusCode.UNAVAILABLE
            info = error_details_pb2.ErrorInfo()
            assert any(detail.Unpack(info) for detail in status.details)
            assert info.domain == "schemagate"
            return info.reason


def write_migrations(directory: Path, backend: str) -> Path:
    """Three revisions; the third breaks every build that was made before it."""
    for number, table, compatible_from in (
        ("0001", "a", None), ("0002", "b", None), ("0003", "c", "0003")
    ):
        revision = directory / backend / f"{number}_create_{table}"
        revision.mkdir(parents=True)
        (revision / "up.sql").write_text(f"CREATE TABLE {table} (id integer PRIMARY KEY);\n")
        (revision / "down.sql").write_text(f"DROP TABLE {table};\n")
        metadata = "run_in_transaction = true\n"
        if compatible_from:
            metadata += f'compatible_from = "{compatible_from}"\n'
        (revision / "metadata.toml").write_text(metadata)
    return directory / backend


def without_newest(migrations: Path, copy: Path) -> Path:
    """The same directory as an older build holds it: without 0003."""
    subprocess.run(["cp", "-r", str(migrations), str(copy)], check=True)
    subprocess.run(["rm", "-r", str(copy / "0003_create_c")], check=True)
    return copy


def create_postgres_database() -> str:
    """An empty database on the server that TEST_POSTGRES_URL names."""
    url = os.environ["TEST_POSTGRES_URL"]
    name = f"gates_{secrets.token_hex(6)}"
    subprocess.run(["psql", "-qX", url, "-c", f"CREATE DATABASE {name}"], check=True)
    return url.rsplit("/", 1)[0] + f"/{name}"
