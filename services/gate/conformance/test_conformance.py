"""What every gate does, in every language, on both databases."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from proxy import Proxy
from subjects import SUBJECTS, Subject
from world import (
    RunningSubject,
    SchemaService,
    create_postgres_database,
    wait_until,
    without_newest,
    write_migrations,
)

DATABASES = ["sqlite", "postgres"]


@pytest.fixture(params=DATABASES)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    backend = request.param
    if backend == "postgres" and "TEST_POSTGRES_URL" not in os.environ:
        pytest.fail("TEST_POSTGRES_URL names no server: run .ci/gates")
    database_url = (
        create_postgres_database() if backend == "postgres" else f"sqlite:{tmp_path / 'db'}"
    )
    newest = write_migrations(tmp_path / "new", backend)
    older = without_newest(newest, tmp_path / "old")
    running: list[RunningSubject] = []
    services: list[SchemaService] = []

    def serve(migrations: Path = older) -> SchemaService:
        services.append(SchemaService(database_url, migrations, tmp_path / "schema.log"))
        return services[-1]

    def start(subject: Subject, schema_url: str, **settings: str) -> RunningSubject:
        running.append(
            RunningSubject(subject, schema_url, tmp_path / "subject.log", **settings)
        )
        return running[-1]

    yield SimpleNamespace(serve=serve, start=start, newest=newest)
    for subject in running:
        subject.kill()
    for service in services:
        service.stop(signal.SIGKILL)
    if request.session.testsfailed:
        for log in sorted(tmp_path.glob("*.log")):
            print(f"== {log.name}\n{log.read_text()[-4000:]}")


every_subject = pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)


@every_subject
def test_opens_at_head_and_closes_on_a_forced_downgrade(world: Any, subject: Subject) -> None:
    schema = world.serve()
    gated = world.start(subject, schema.url)
    gated.wait_for("SCHEMA_NOT_AT_HEAD")
    schema.must("upgrade", "0001")
    gated.wait_for("SCHEMA_NOT_AT_HEAD")
    schema.must("upgrade")
    gated.wait_for("OPEN")

    refused = schema.run("downgrade", "0001")
    assert "DEPENDENTS_WOULD_BREAK" in refused.stderr or "subject" in refused.stderr
    assert gated.probe() == "OPEN"
    schema.must("downgrade", "0001", "--force", "--allow-data-loss")
    gated.wait_for("SCHEMA_NOT_AT_HEAD")
    schema.must("upgrade")
    gated.wait_for("OPEN")


@every_subject
def test_closes_on_a_revision_that_breaks_its_build(world: Any, subject: Subject) -> None:
    schema = world.serve()
    schema.must("upgrade")
    gated = world.start(subject, schema.url)
    gated.wait_for("OPEN")
    schema.stop()
    newer = world.serve(world.newest)
    # Another port: the address that the subject knows is served by the newer service.
    newer.stop()
    newer.port, newer.url = schema.port, schema.url
    newer._environment["SCHEMA_URL"] = schema.url
    newer.start()
    wait_until(newer.dependents, "the subject registered again")
    assert gated.probe() == "OPEN", "a pending revision closes nothing"
    newer.must("upgrade", "--force")
    gated.wait_for("SCHEMA_INCOMPATIBLE")


@every_subject
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["stop", "kill"])
def test_stays_open_while_the_schema_service_restarts(
    world: Any, subject: Subject, how: signal.Signals
) -> None:
    schema = world.serve()
    schema.must("upgrade")
    gated = world.start(subject, schema.url)
    gated.wait_for("OPEN")
    schema.stop(how)
    for _ in range(20):
        assert gated.probe() == "OPEN"
    schema.start()
    wait_until(schema.dependents, "the subject registered again")
    schema.must("downgrade", "0001", "--force", "--allow-data-loss")
    gated.wait_for("SCHEMA_NOT_AT_HEAD")


@every_subject
def test_closes_when_its_knowledge_is_too_old(world: Any, subject: Subject) -> None:
    schema = world.serve()
    schema.must("upgrade")
    gated = world.start(subject, schema.url, MAX_STALENESS="1")
    gated.wait_for("OPEN")
    schema.stop(signal.SIGKILL)
    gated.wait_for("SCHEMA_UNREACHABLE")
    schema.start()
    gated.wait_for("OPEN")


@every_subject
def test_notices_a_connection_that_fell_silent(world: Any, subject: Subject) -> None:
    schema = world.serve()
    schema.must("upgrade")
    proxy = Proxy(schema.port)
    gated = world.start(subject, f"http://127.0.0.1:{proxy.port}")
    gated.wait_for("OPEN")
    proxy.silence_open_connections()
    schema.must("downgrade", "0001", "--force", "--allow-data-loss")
    # Keepalive: 5 s until the ping, 3 s until it counts as lost, 1 s until Current is answered.
    gated.wait_for("SCHEMA_NOT_AT_HEAD", limit=20)
    proxy.close()


@every_subject
def test_is_closed_where_no_schema_service_answers(world: Any, subject: Subject) -> None:
    gated = world.start(subject, "http://127.0.0.1:9")
    gated.wait_for("SCHEMA_UNREACHABLE")


@every_subject
def test_deregisters_when_it_stops(world: Any, subject: Subject) -> None:
    schema = world.serve()
    schema.must("upgrade")
    gated = world.start(subject, schema.url)
    gated.wait_for("OPEN")
    assert [one["service"] for one in schema.dependents()] == ["subject"]
    gated.stop()
    # A lease would last for 15 s.
    wait_until(lambda: not schema.dependents(), "the subject deregistered", limit=5)
    schema.must("downgrade", "0001", "--allow-data-loss")


@every_subject
def test_opens_below_head_where_only_its_own_revision_is_required(
    world: Any, subject: Subject
) -> None:
    schema = world.serve()
    schema.must("upgrade", "0001")
    gated = world.start(subject, schema.url, REQUIRES="0001", MODE="required")
    gated.wait_for("OPEN")
