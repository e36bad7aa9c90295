"""What the threaded and the asyncio gate share: settings, the evaluation, the public face."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeVar

from .connection import ConfigurationError, Endpoint, Registration
from .decision import (
    Mode,
    Needs,
    Reason,
    Refusal,
    decide,
    different_database,
    refusal_for,
    shutting_down,
)
from .schema import SchemaState, SchemaView
from .state import GateState, Proof, Report

_T = TypeVar("_T")

# A proof on the host's own connection that takes longer counts as not tried.
PROOF_TIMEOUT = 2.0


class ProofRefuted(Exception):
    """Raised by a proof that was tried and does not hold: closes the gate.

    Any other exception means that the proof could not be tried: it opens no gate and closes none.
    """


@dataclass(frozen=True)
class HostProof:
    """A proof on the host's own connection: returns its evidence, or raises."""

    name: str
    prove: Callable[[], Any]


class BaseGate:
    """Settings, state and decisions; a subclass does the I/O."""

    def __init__(
        self,
        service: str,
        *,
        requires: str,
        built_with: str | None = None,
        schema_url: str = "http://127.0.0.1:50051",
        mode: Mode | str = Mode.HEAD,
        version: str = "",
        instance: str | None = None,
        max_staleness: float = 3600.0,
        evaluate_every: float = 5.0,
        database: Callable[[], Any] | None = None,
        models: Callable[[], Any] | None = None,
        ca_file: str | None = None,
        client_cert_file: str | None = None,
        client_key_file: str | None = None,
        token_file: str | None = None,
    ) -> None:
        """Makes a closed gate.

        :param service: the name under which it registers as a live dependent, such as ``reports``
        :param requires: the oldest revision that this build can run on, such as ``0002``
        :param built_with: the newest revision when this build was made; ``requires`` if not given
        :param schema_url: the schema service, ``http://`` or ``https://``
        :param mode: ``"head"`` or ``"required"``: what the gate needs to open
        :param max_staleness: seconds for which an open gate tolerates a schema service that does
            not answer
        :param evaluate_every: seconds between two evaluations when nothing is heard
        :param database: reads the identity of the database that this service uses
        :param models: checks that this service's tables are as its models need them
        :param token_file: a file with the token to show to the schema service
        :raises ConfigurationError: a setting cannot work
        """
        if not service:
            raise ConfigurationError("service: a name is required")
        if max_staleness < 0 or evaluate_every <= 0:
            raise ConfigurationError("max_staleness and evaluate_every are positive seconds")
        try:
            mode = Mode(mode)
        except ValueError:
            raise ConfigurationError(f"mode: {mode!r} is neither 'head' nor 'required'") from None
        self._endpoint = Endpoint(
            schema_url, ca_file, client_cert_file, client_key_file, token_file
        )
        built_with = built_with or requires
        self._registration = Registration(service, requires, built_with, version)
        if instance:
            self._registration = Registration(service, requires, built_with, version, instance)
        self._needs = Needs(
            requires, built_with, mode, schema_url.rstrip("/"), max_staleness
        )
        self._evaluate_every = evaluate_every
        self._database = HostProof("database", database) if database else None
        self._models = HostProof("models", models) if models else None
        self._view = SchemaView()
        self._view_lock = threading.Lock()
        # Answers in a row that did not come in time.
        self._timeouts = 0
        message = f"schema service at {self._needs.address} has not answered yet"
        self._state = GateState(refusal_for(Reason.UNREACHABLE, message, self._needs))

    @property
    def is_open(self) -> bool:
        """Whether calls pass."""
        return self._state.report.is_open

    @property
    def report(self) -> Report:
        """The verdict and its proofs."""
        return self._state.report

    def admit(self) -> Refusal | None:
        """The verdict on one call: None lets it pass. Waits while the gate is revalidating."""
        return self._state.admit()

    async def admit_async(self) -> Refusal | None:
        """As :meth:`admit`, for an event loop."""
        return await self._state.admit_async()

    def listen(self, listener: Callable[[Report], None]) -> Callable[[], None]:
        """Calls ``listener`` with each new report, from the gate's thread or loop, and now with the
        present one. Returns a function that ends it. For health services and metrics."""
        return self._state.listen(listener)

    def wait_open(self, timeout: float | None = None) -> bool:
        """Blocks until the gate is open; False when the time is over."""
        return self._state.wait_for(lambda report: report.is_open, timeout).is_open

    async def wait_open_async(self, timeout: float | None = None) -> bool:
        """As :meth:`wait_open`, for an event loop."""
        return (await self._state.wait_for_async(lambda report: report.is_open, timeout)).is_open

    # What subclasses use.

    def _learn(self, change: Callable[[SchemaView, _T], SchemaView], news: _T) -> bool:
        """Updates the view; True where a verdict may depend on it."""
        with self._view_lock:
            before = self._view
            self._view = change(before, news)
            return self._view.differs_from(before)

    def _evaluation(self) -> Generator[HostProof, Any, None]:
        """One evaluation as a generator, for the I/O of proofs differs: yields each of the host's
        proofs that is to be tried, is sent its outcome, and publishes the verdict."""
        view, was_open = self._view, self.is_open
        revalidations = self._state.revalidations
        proofs: list[Proof] = []
        refusal = decide(view, self._needs, was_open=was_open, now=time.monotonic())
        state = view.state or SchemaState()
        evidence = refusal.message if refusal else f"schema is at {state.revision or 'base'}"
        proofs.append(Proof("schema", refusal is None, evidence))
        for proof, reason in (
            (self._database, Reason.OTHER_DATABASE),
            (self._models, Reason.MODEL_MISMATCH),
        ):
            if refusal is None and proof is not None:
                outcome = yield proof
                refusal = self._record_proof(proof, reason, outcome, was_open, state, proofs)
        self._state.publish(refusal, tuple(proofs), revalidations)

    def _record_proof(
        self,
        proof: HostProof,
        reason: Reason,
        outcome: Any,
        was_open: bool,
        state: SchemaState,
        proofs: list[Proof],
    ) -> Refusal | None:
        refusal: Refusal | None = None
        if isinstance(outcome, ProofRefuted):
            refusal = refusal_for(reason, str(outcome), self._needs, state)
        elif isinstance(outcome, BaseException):
            error = str(outcome) or type(outcome).__name__
            proofs.append(Proof(proof.name, False, f"not tried: {error}"))
            if was_open:
                return None
            message = f'the proof "{proof.name}" could not be tried: {error}'
            return refusal_for(Reason.UNREACHABLE, message, self._needs, state)
        elif proof is self._database:
            refusal = different_database(str(outcome), state, self._needs)
        evidence = refusal.message if refusal else str(outcome)
        proofs.append(Proof(proof.name, refusal is None, evidence))
        return refusal

    def _next_evaluation_in(self) -> float:
        """Seconds until the next evaluation is due: sooner where the view turns stale."""
        view, now = self._view, time.monotonic()
        if view.unreachable and view.answered_at is not None and self.is_open:
            stale_in = view.answered_at + self._needs.max_staleness - now
            return max(0.01, min(self._evaluate_every, stale_in + 0.01))
        return self._evaluate_every

    def _close(self) -> None:
        self._state.end(shutting_down(self._needs))
