"""The gate's verdict, shared by threads and event loops."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from .decision import Reason, Refusal

log = logging.getLogger("schemagate.gate")

# For how long a successful revalidation answers for further reports: past it, a query that is
# wrong in itself would hold up all other calls each time it fails.
REVALIDATION_TTL = 1.0
# How long a call waits for a revalidation before it is treated by the last verdict.
REVALIDATION_TIMEOUT = 5.0


@dataclass(frozen=True)
class Proof:
    """One fact that an open gate rests on, and what was seen."""

    name: str
    holds: bool
    evidence: str


@dataclass(frozen=True)
class Report:
    """The verdict, and what it rests on."""

    refusal: Refusal | None
    proofs: tuple[Proof, ...] = ()
    is_revalidating: bool = False
    # time.time() of the last opening or closing.
    since: float = field(default_factory=time.time, compare=False)

    @property
    def is_open(self) -> bool:
        return self.refusal is None


class GateState:
    """Holds the report; one lock, and listeners that are called outside it."""

    def __init__(self, refusal: Refusal) -> None:
        self._changed = threading.Condition()
        self._report = Report(refusal)
        self._listeners: list[Callable[[Report], None]] = []
        self._ended = False
        self._revalidations = 0
        self._revalidated_at = float("-inf")

    @property
    def report(self) -> Report:
        return self._report

    @property
    def revalidations(self) -> int:
        """How often a revalidation was asked for: an evaluation begun before the last request does
        not answer it."""
        return self._revalidations

    def listen(self, listener: Callable[[Report], None]) -> Callable[[], None]:
        """Calls ``listener`` with each new report, at once with the present one; returns what ends
        that."""
        with self._changed:
            self._listeners.append(listener)
            report = self._report
        listener(report)

        def unlisten() -> None:
            with self._changed:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return unlisten

    def publish(
        self, refusal: Refusal | None, proofs: tuple[Proof, ...], revalidations: int
    ) -> None:
        """Takes the result of an evaluation that began when ``revalidations`` was read."""
        with self._changed:
            before = self._report
            is_outdated = refusal is None and revalidations != self._revalidations
            if self._ended or is_outdated:
                return
            if before.is_revalidating and refusal is None:
                self._revalidated_at = time.monotonic()
            turned = before.is_open != (refusal is None)
            since = time.time() if turned else before.since
            self._replace(Report(refusal, proofs, since=since))
        if turned or before.refusal != refusal:
            if refusal is None:
                log.info("gate open")
            else:
                log.warning("gate closed: %s: %s", refusal.reason.value, refusal.message)
        self._notify()

    def revalidate(self) -> bool:
        """Holds calls until the next evaluation; False where another evaluation is not needed."""
        with self._changed:
            is_recent = time.monotonic() - self._revalidated_at < REVALIDATION_TTL
            if is_recent or not self._report.is_open or self._ended:
                return False
            self._revalidations += 1
            self._replace(
                Report(None, self._report.proofs, is_revalidating=True, since=self._report.since)
            )
        self._notify()
        return True

    def end(self, refusal: Refusal) -> None:
        """Closes for good."""
        with self._changed:
            if self._ended:
                return
            self._ended = True
            self._replace(Report(refusal, self._report.proofs))
        self._notify()

    def admit(self) -> Refusal | None:
        """The verdict on a call; waits while the gate is revalidating."""
        report = self._report
        if report.is_revalidating:
            report = self.wait_for(lambda report: not report.is_revalidating, REVALIDATION_TIMEOUT)
        return report.refusal

    async def admit_async(self) -> Refusal | None:
        report = self._report
        if report.is_revalidating:
            report = await self.wait_for_async(
                lambda report: not report.is_revalidating, REVALIDATION_TIMEOUT
            )
        return report.refusal

    def wait_for(self, condition: Callable[[Report], bool], timeout: float | None) -> Report:
        """Blocks until the report meets the condition, or the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: condition(self._report), timeout)
            return self._report

    async def wait_for_async(
        self, condition: Callable[[Report], bool], timeout: float | None
    ) -> Report:
        loop = asyncio.get_running_loop()
        met: asyncio.Future[None] = loop.create_future()

        def settle() -> None:
            if not met.done():
                met.set_result(None)

        def listener(report: Report) -> None:
            if condition(report):
                loop.call_soon_threadsafe(settle)

        unlisten = self.listen(listener)
        try:
            await asyncio.wait_for(met, timeout)
        except asyncio.TimeoutError:
            pass
        finally:
            unlisten()
        return self._report

    def _replace(self, report: Report) -> None:
        self._report = report
        self._changed.notify_all()

    def _notify(self) -> None:
        with self._changed:
            listeners, report = list(self._listeners), self._report
        for listener in listeners:
            listener(report)


__all__ = ["GateState", "Proof", "Reason", "Report"]
