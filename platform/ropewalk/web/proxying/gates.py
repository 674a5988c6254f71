# -*- test-case-name: tests.test_proxying -*-
"""
What passes requests on: a resource, at its place on a site.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from ropewalk.web.deadlines import Deadlines
from ropewalk.web.problems import Refused, respond
from ropewalk.web.proxying.backends import Backends
from ropewalk.web.proxying.heads import Manners
from ropewalk.web.proxying.passages import Passage

__all__ = ["Gate"]

#: TRACE would show a script what we tell back ends (RFC 9110, section 9.3.8), and this
#: is no proxy that makes tunnels.
_NEVER = (b"TRACE", b"CONNECT")


class Gate(Resource):
    """
    Passes requests on to back ends.

    :param timeout: Seconds without a word after which a back end has failed.
    :param longest_body: Bytes of the longest request body; ``None`` for what the site
        takes.
    """

    isLeaf = True
    streams = True

    def __init__(
        self,
        backends: Backends,
        manners: Manners,
        clock: IReactorTime,
        timeout: float = 60.0,
        longest_body: int | None = None,
    ) -> None:
        super().__init__()
        self.backends, self.manners = backends, manners
        self.clock, self.timeout = clock, timeout
        self.longest_body = longest_body
        self._deadlines = Deadlines(clock)

    def render(self, request: Any) -> Any:
        """Pass a request on."""
        if request.method in _NEVER:
            request.setHeader(b"allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
            method = request.method.decode("ascii")
            return respond(request, Refused(405, f"{method} is not passed on"))
        Passage(self, request).begin()
        return NOT_DONE_YET

    def start(self) -> None:
        """Begin to mind how long connections are kept."""
        self._deadlines.watch(self)
        for each in self.backends:
            if not each.leaving:
                each.pool.reopen()

    def stop(self) -> None:
        """Keep no connections."""
        self._deadlines.forget(self)
        for each in self.backends:
            each.pool.close()

    def check(self, now: float) -> None:
        """Do what is due."""
        for each in self.backends:
            each.pool.sweep(now)

    def watch(self, passage: Passage) -> None:
        """Mind its deadlines."""
        self._deadlines.watch(passage)

    def forget(self, passage: Passage) -> None:
        """It is over."""
        self._deadlines.forget(passage)
