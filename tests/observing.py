"""
What is logged during a test, and whose work it was.
"""

from __future__ import annotations

from attrs import define, field
from twisted.logger import (
    ILogObserver,
    LogEvent,
    formatEvent,
    globalLogPublisher,
)
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from ropewalk.telemetry import Work, work

__all__ = ["Observed"]


@implementer(ILogObserver)
@define(eq=False)
class Observed:
    """
    Keeps what is logged, until the end of a test.

    :ivar texts: The messages.
    :ivar works: Whose work each was.
    """

    texts: list[str] = field(factory=list, init=False)
    works: list[Work] = field(factory=list, init=False)

    @classmethod
    def during(cls, case: SynchronousTestCase) -> Observed:
        """Observe from now on."""
        observed = cls()
        globalLogPublisher.addObserver(observed)
        case.addCleanup(globalLogPublisher.removeObserver, observed)
        return observed

    def __call__(self, event: LogEvent) -> None:
        self.texts.append(formatEvent(event))
        self.works.append(work.get())
