# -*- test-case-name: tests.test_figures -*-
"""
What a daemon has counted, as JSON, for its operator: nobody else is let see it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from klein import Klein
from twisted.web.iweb import IRequest

from ropewalk import awaiting
from ropewalk.errors import Forbidden
from ropewalk.interfaces import IAuthoriser, Steps
from ropewalk.schema import write_json
from ropewalk.web.asking import caller_of
from ropewalk.web.local import is_local
from ropewalk.web.problems import Refused

__all__ = ["REQUIREMENT", "FigurePages"]

#: What it takes to see figures from another machine, in the words of the authoriser.
REQUIREMENT = "ropewalk.figures"

#: The part that is long, and shown only by itself.
LONG = "channels"

#: Characters of a part that there is not which are shown.
_SHOWN = 80


class FigurePages:
    """
    Shows figures to who sits at this machine, and to those of whom the authoriser says
    that they meet ``"ropewalk.figures"``.

    :param parts: What there is, by name: each gives its figures when it is called.
        Whoever shows them in another form reads the same.
    :param authoriser: Who is asked about all others.
    """

    routes = Klein()

    def __init__(
        self, parts: Mapping[str, Callable[[], Any]], authoriser: IAuthoriser
    ) -> None:
        self._parts = parts
        self._authoriser = authoriser

    @routes.route("/", methods=["GET"], strict_slashes=False)
    @awaiting.inlineCallbacks
    def all(self, request: IRequest) -> Steps[bytes]:
        """All figures, but those of each channel."""
        yield self._demand(request)
        parts = self._parts.items()
        return _json(request, {name: read() for name, read in parts if name != LONG})

    @routes.route("/<name>", methods=["GET"])
    @awaiting.inlineCallbacks
    def one(self, request: IRequest, name: str) -> Steps[bytes]:
        """The figures of one part: of ``channels``, say."""
        yield self._demand(request)
        read = self._parts.get(name)
        if read is None:
            problem = f"there are no figures of {name[:_SHOWN]!r}; there are "
            raise Refused(404, problem + ", ".join(self._parts))
        return _json(request, read())

    @awaiting.inlineCallbacks
    def _demand(self, request: Any) -> Steps[None]:
        """
        :raise Forbidden: When whoever asks may not see them.
        """
        if is_local(request):
            return
        permits: Any = self._authoriser.permits
        caller = caller_of(request)
        allowed: bool = yield awaiting.run(permits, caller, REQUIREMENT, "figures")
        if not allowed:
            raise Forbidden("see what this daemon has counted", REQUIREMENT)


def _json(request: Any, value: object) -> bytes:
    request.setHeader(b"content-type", b"application/json")
    request.setHeader(b"cache-control", b"no-store")
    return write_json(value) + b"\n"
