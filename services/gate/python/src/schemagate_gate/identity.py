"""The identity of a database, as the schema service reports it: for the proof ``database``."""

from __future__ import annotations

import os

POSTGRES_IDENTITY = (
    "SELECT 'postgres:' || s.system_identifier || '/' || d.oid || '/' || current_schema()"
    " FROM pg_catalog.pg_control_system() s, pg_catalog.pg_database d"
    " WHERE d.datname = current_database()"
)
"""Run it on a connection of the application and return the one value."""


def sqlite_identity(path: str) -> str:
    """The identity of a SQLite file."""
    stat = os.stat(path)
    return f"sqlite:{stat.st_dev:x}/{stat.st_ino:x}"
