# -*- test-case-name: tests.test_debugging -*-
"""
The debugger: consoles in the frames that failed, for whoever has read the PIN in
the daemon's log.

Who can use it can do whatever the daemon can. So it is there in development only,
for who sits at this machine, and after ten wrong PINs it is gone.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from attrs import define, frozen
from msgspec import Struct
from msgspec.structs import asdict
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from ropewalk.errors import RopewalkError
from ropewalk.schema import Shape, read_json, write_json
from ropewalk.web.debugging.console import Console, Outcome
from ropewalk.web.debugging.masking import Masker
from ropewalk.web.local import is_local
from ropewalk.web.problems import Refused, respond

__all__ = ["PATH", "Debugger", "Development", "NotInDevelopment"]

#: Where the debugger answers. What is below ``/-/`` is Ropewalk's own.
PATH = "/-/debugger"

#: Characters of the longest piece of Python that is run.
_LONGEST = 20_000

_NOT_HERE = "there is nothing here; what there is: /"


@define
class NotInDevelopment(RopewalkError):
    """
    Something asked for what is there in development only.
    """

    def __str__(self) -> str:
        return "error pages and the debugger are for development only"


@frozen
class Development:
    """
    The permission to show what goes wrong. Only the daemon's host gives it, of its
    settings.

    :param on: Whether ``[host] development`` is on.
    :raise NotInDevelopment: When it is not.
    """

    on: bool

    def __attrs_post_init__(self) -> None:
        if self.on is not True:
            raise NotInDevelopment


class Pin(Shape):
    """What was read in the log."""

    pin: str


class Source(Shape):
    """Python to be run in a frame."""

    frame: int
    source: str


class _Kept(Struct, eq=False):
    """
    The frames of a failure, with a console each, made when it is used.

    :ivar request: Under which name the log has it.
    """

    request: str
    masker: Masker
    frames: list[FrameType]
    consoles: dict[int, Console] = {}


class Debugger(Service):
    """
    Keeps failures, and lets who knows the PIN run Python in their frames.

    :param development: That it may.
    :param clock: For how long failures are kept.
    :param timer: Tells the seconds that a piece of Python takes.
    :cvar most: How many failures are kept; they keep alive what they hold.
    :cvar lifetime: Seconds for which each is.
    :cvar tries: Wrong PINs after which there is no debugger any more.
    :ivar pin: Nine digits.
    """

    most = 20
    lifetime = 15 * 60.0
    tries = 10

    _log = Logger()

    def __init__(
        self,
        development: Development,
        clock: IReactorTime,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        if not isinstance(development, Development):
            raise NotInDevelopment
        self.pin = f"{secrets.randbelow(10**9):09}"
        self.resource = _Pages(self)
        self._clock = clock
        self._timer = timer
        self._token = secrets.token_urlsafe(32)
        # Cookies are shared by all ports of a host: that of another daemon is not
        # to take the place of this one's.
        self._cookie = f"ropewalk-debugger-{secrets.token_hex(4)}"
        self._wrong = 0
        self._kept: dict[str, tuple[_Kept, IDelayedCall]] = {}

    @property
    def off(self) -> bool:
        """Whether there were too many wrong PINs."""
        return self._wrong >= self.tries

    def startService(self) -> None:
        super().startService()
        self._log.warn(
            "the debugger is on: Python runs for who has the PIN {pin}",
            pin="-".join((self.pin[:3], self.pin[3:6], self.pin[6:])),
        )

    def stopService(self) -> None:
        super().stopService()
        self._drop_all()

    def keep(self, request: str, masker: Masker, frames: list[FrameType]) -> str:
        """
        Keep a failure for a while.

        :param request: Under which name the log has it.
        :param frames: Its frames, as the page numbers them.
        :return: the ticket by which it is found; empty when the debugger is off.
        """
        if self.off:
            return ""
        ticket = secrets.token_urlsafe(16)
        later = self._clock.callLater(self.lifetime, self._drop, ticket)
        self._kept[ticket] = (_Kept(request, masker, frames), later)
        if len(self._kept) > self.most:
            self._drop(next(iter(self._kept)))
        return ticket

    def enter(self, pin: str) -> str:
        """
        Take a PIN.

        :return: the cookie by which whoever has it is known from now on.
        :raise Refused: When it is wrong, or too many were.
        """
        self._refuse_if_off()
        written = "".join(each for each in pin if each.isdigit())
        if not hmac.compare_digest(written.encode("utf-8"), self.pin.encode("ascii")):
            self._wrong += 1
            left = self.tries - self._wrong
            self._log.warn("a wrong PIN for the debugger; {left} tries left", left=left)
            if self.off:
                self._drop_all()
                self._log.error("too many wrong PINs: no debugger until a restart")
            self._refuse_if_off()
            raise Refused(403, f"that is not the PIN; {left} tries are left")
        return f"{self._cookie}={self._token}"

    def knows(self, cookies: str) -> bool:
        """
        Whether somebody has entered the PIN.

        :param cookies: Their ``Cookie`` header.
        """
        pairs = (each.strip().partition("=") for each in cookies.split(";"))
        return not self.off and any(
            name == self._cookie
            and hmac.compare_digest(value.encode("utf-8"), self._token.encode("ascii"))
            for name, _, value in pairs
        )

    def run(self, ticket: str, frame: int, source: str) -> Deferred[Outcome]:
        """
        Run Python in a frame.

        :raise Refused: When nobody knows the ticket or the frame.
        """
        self._refuse_if_off()
        kept = self._kept.get(ticket, (None,))[0]
        if kept is None:
            minutes = self.lifetime / 60
            detail = (
                f"this failure is gone: the last {self.most} are kept, and for "
                f"{minutes:g} minutes; load the page again"
            )
            raise Refused(410, detail)
        if not 0 <= frame < len(kept.frames):
            raise Refused(404, f"there is no frame {frame}")
        self._log.warn(
            "the debugger runs, in a frame of {failed}: {source}",
            failed=kept.request,
            source=kept.masker.clean(source),
        )
        console = kept.consoles.get(frame)
        if console is None:
            console = Console(kept.frames[frame], kept.masker, self._clock, self._timer)
            kept.consoles[frame] = console
        return console.run(source)

    def _refuse_if_off(self) -> None:
        if self.off:
            raise Refused(
                403, "there were too many wrong PINs: no debugger until a restart"
            )

    def _drop(self, ticket: str) -> None:
        _, later = self._kept.pop(ticket)
        if later.active():
            later.cancel()

    def _drop_all(self) -> None:
        for ticket in list(self._kept):
            self._drop(ticket)


class _Pages(Resource):
    """
    What the page of an error asks: ``/pin``, and ``/TICKET`` to run Python.
    """

    isLeaf = True

    def __init__(self, debugger: Debugger) -> None:
        super().__init__()
        self._debugger = debugger

    def render(self, request: Any) -> Any:
        """
        Answer who may ask.

        :raise Refused: Otherwise. To a stranger there is nothing here.
        """
        if not is_local(request):
            raise Refused(404, _NOT_HERE)
        if request.method != b"POST":
            request.setHeader(b"allow", b"POST")
            detail = "this is asked by the page of an error, with POST"
            return respond(request, Refused(405, detail))
        if request.getHeader(b"origin") != _origin(request):
            raise Refused(403, "this is for the page of an error alone")
        kind = (request.getHeader(b"content-type") or b"").partition(b";")[0]
        if kind.strip().lower() != b"application/json":
            raise Refused(415, "this takes application/json")
        request.setHeader(b"cache-control", b"no-store")
        body = request.content.read()
        what = b"/".join(request.postpath)
        if what == b"pin":
            return self._enter(request, read_json(Pin, body))
        cookies = request.requestHeaders.getRawHeaders(b"cookie") or []
        if not self._debugger.knows(b";".join(cookies).decode("latin-1")):
            raise Refused(401, "the PIN is needed; it is in the daemon's log")
        source = read_json(Source, body)
        if len(source.source) > _LONGEST:
            raise Refused(413, f"at most {_LONGEST} characters of Python")
        ticket = what.decode("latin-1")
        self._answer(request, self._debugger.run(ticket, source.frame, source.source))
        return NOT_DONE_YET

    def _enter(self, request: Any, entered: Pin) -> bytes:
        cookie = self._debugger.enter(entered.pin)
        kinds = f"Path={PATH}; HttpOnly; SameSite=Strict"
        kinds += "; Secure" if request.isSecure() else ""
        request.setHeader(b"set-cookie", f"{cookie}; {kinds}".encode("ascii"))
        request.setResponseCode(204)
        return b""

    def _answer(self, request: Any, running: Deferred[Outcome]) -> None:
        gone = []

        def leave(_: object) -> None:
            gone.append(True)
            running.cancel()

        def write(outcome: Outcome) -> None:
            if gone:
                return
            request.setHeader(b"content-type", b"application/json")
            request.write(write_json(asdict(outcome)))
            request.finish()

        def fail(failure: Failure) -> None:
            if not gone:
                request.processingFailed(failure)

        request.notifyFinish().addErrback(leave)
        running.addCallback(write)
        running.addErrback(fail)


def _origin(request: Any) -> bytes:
    """The origin that our own pages have: RFC 6454, section 6.1."""
    scheme = b"https://" if request.isSecure() else b"http://"
    host: bytes = request.getHeader(b"host") or b""
    return scheme + host.lower()
