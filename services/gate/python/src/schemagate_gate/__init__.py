"""Serve only on the database schema that your build was made for.

``Gate`` uses threads, ``AsyncGate`` an event loop; ``asgi``, ``wsgi``, ``django`` and
``grpc_interceptors`` put them in front of an application.
"""

from .aio import AsyncGate
from .connection import ConfigurationError
from .core import ProofRefuted
from .decision import Mode, Reason, Refusal
from .gate import Gate
from .identity import POSTGRES_IDENTITY, sqlite_identity
from .state import Proof, Report

__all__ = [
    "POSTGRES_IDENTITY",
    "AsyncGate",
    "ConfigurationError",
    "Gate",
    "Mode",
    "Proof",
    "ProofRefuted",
    "Reason",
    "Refusal",
    "Report",
    "sqlite_identity",
]
