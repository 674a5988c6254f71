# -*- test-case-name: tests.test_client_offers -*-
"""
An operation that a client offers, by whatever connection.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from ropewalk.awaiting import run
from ropewalk.client.calls import Refused
from ropewalk.client.functions import Function
from ropewalk.errors import RopewalkError
from ropewalk.operations.parameters import Arguments, Progress
from ropewalk.operations.peers import Routing

__all__ = ["Busy", "Offer", "Terms"]

#: What the daemon says when somebody else offers the same.
_TAKEN = 409


@define
class Busy(RopewalkError):
    """
    As many calls of an operation run as may at once.
    """

    status = 503

    name: str

    def __str__(self) -> str:
        return f"who offers {self.name!r} is busy; try again in a moment"


@define
class Terms:
    """
    On what terms something is offered.

    :ivar routing: Who is asked where several offer it.
    :ivar requires: What it takes to call it; ``None`` for nothing.
    :ivar running: How many calls may run at once.
    :ivar refused: Told why it is not offered.
    """

    routing: Routing = "single"
    requires: str | None = None
    running: int = 32
    refused: Callable[[Refused], object] | None = None


class Offer:
    """
    An operation that is offered. :meth:`Client.offer` makes one.

    :ivar name: Its name.
    :ivar stands: Whether it is still to be offered.
    :ivar is_offered: Whether the daemon has it.
    :ivar problem: Why the daemon does not have it, so far as that is known.
    :ivar tries: How often the daemon could not have it since it last could.
    """

    _log = Logger()

    def __init__(
        self,
        name: str,
        function: Function,
        terms: Terms,
        withdraw: Callable[[Offer], None],
    ) -> None:
        self.name = name
        self.terms = terms
        self.stands = True
        self.is_offered = False
        self.problem = ""
        self.tries = 0
        self._function = function
        self._withdraw = withdraw
        self._had = False  # the daemon, once
        self._over: Refused | None = None  # why it does not stand
        self._running = 0
        self._waiting: list[Deferred[None]] = []

    def ready(self) -> Deferred[None]:
        """
        Wait until it can be called.

        :return: fires when the daemon has it.
        :raise Refused: When it is refused for good, or no longer offered.
        """
        if self.is_offered:
            return succeed(None)
        if self._over is not None:
            return fail(self._over)
        waiting: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(waiting)
        return waiting

    def stop(self) -> None:
        """Offer it no longer. Calls that are under way are still answered."""
        if self.stands:
            self._withdraw(self)
            self.end(Refused(f"{self.name} is not offered any more"))

    # What the ways call.

    def began(self) -> None:
        """The daemon has it."""
        if not self.stands:
            return
        self.is_offered = self._had = True
        self.problem, self.tries = "", 0
        for waiting in self._release():
            waiting.callback(None)

    def lost(self) -> None:
        """It is gone with the connection."""
        self.is_offered = False

    def passes(self, error: Refused) -> bool:
        """
        Whether the daemon may have it later. What it had once may be taken by a
        connection of ours of which it does not know yet that it is lost.
        """
        return error.passes or (self._had and error.status == _TAKEN)

    def hold(self, error: Refused) -> None:
        """The daemon does not have it now. That is told once."""
        if self.stands and self.problem != error.problem:
            self.problem = error.problem
            self._tell(error)

    def refuse(self, error: Refused) -> None:
        """It may not be offered."""
        if self.stands:
            self._withdraw(self)
            self.end(error)
            self._tell(error)

    def end(self, error: Refused) -> None:
        """It is not to be offered any more."""
        self.stands = self.is_offered = False
        self.problem, self._over = error.problem, error
        for waiting in self._release():
            waiting.errback(error)

    def ask(
        self, arguments: Arguments, progress: Progress, write: Callable[[Any], bytes]
    ) -> Deferred[bytes]:
        """
        Call it.

        :return: fires with the result, written.
        :raise RopewalkError: What its caller is told. Whatever else goes wrong is
            logged, and they hear no more than that.
        """
        if self._running >= self.terms.running:
            return fail(Busy(self.name))
        self._running += 1
        asked = run(self._function, arguments, progress).addCallback(write)
        return asked.addErrback(self._explain).addBoth(self._ended)

    # Within.

    def _explain(self, failure: Failure) -> Failure:
        error: Any = failure.value
        own = isinstance(error, RopewalkError) and error.status != 500
        if own or isinstance(error, CancelledError):
            return failure
        self._log.failure("{name}, which is offered, failed", failure, name=self.name)
        return Failure(RopewalkError())

    def _ended(self, outcome: Any) -> Any:
        self._running -= 1
        return outcome

    def _release(self) -> list[Deferred[None]]:
        waiting, self._waiting = self._waiting, []
        return waiting

    def _tell(self, error: Refused) -> None:
        refused = self.terms.refused
        if refused is None:
            self._log.error(
                "{name} is not offered: {problem}", name=self.name, problem=self.problem
            )
            return
        try:
            refused(error)
        except Exception:
            self._log.failure("{refused} raised when told", refused=refused)
