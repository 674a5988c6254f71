# -*- test-case-name: tests.test_hosting_wsgi -*-
"""
A WSGI application at its place: from a request to a thread, and back.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import IO, Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import IResource
from twisted.web.server import NOT_DONE_YET, version
from zope.interface import implementer

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import RopewalkError
from ropewalk.interfaces import Steps
from ropewalk.web.hosting.hosted import Mounting, Place
from ropewalk.web.hosting.loading import loaded
from ropewalk.web.hosting.wsgi.bodies import SPOOLED, Body, Source, whole
from ropewalk.web.hosting.wsgi.calling import Performance
from ropewalk.web.hosting.wsgi.conveying import Conveyor
from ropewalk.web.hosting.wsgi.environs import environ_of
from ropewalk.web.hosting.wsgi.files import FileWrapper
from ropewalk.web.hosting.wsgi.threads import Busy, Job, Pool, PoolFigures
from ropewalk.web.intake import Intake
from ropewalk.web.outflow import Outflow

__all__ = ["Errors", "WsgiMounting", "WsgiResource"]

Application = Callable[..., Any]

#: Seconds for which threads are waited for when the daemon stops. The site has drained
#: by then: what still works has nobody to answer to.
_LAST = 5.0


class WsgiMounting(Mounting):
    """
    :param target: The application, or how it is called: see
        :func:`ropewalk.web.hosting.loading.load`.
    :param place: Where it is.
    :param pool: Its threads.
    :param options: With what it is loaded: ``directory``, ``environment`` and
        ``within``.
    :ivar resource: What answers for it.
    """

    def __init__(
        self,
        target: str | Application,
        place: Place,
        pool: Pool,
        longest_body: int | None,
        **options: Any,
    ) -> None:
        self._target, self._place, self._pool = target, place, pool
        self._options = options
        self.answers = WsgiResource(pool, place, longest_body)
        self.resource = self.answers

    @inlineCallbacks
    def startService(self) -> Steps[None]:
        """
        Load the application.

        :raise ropewalk.web.hosting.loading.BadApplication: When that cannot be.
        """
        super().startService()
        application: Any = self._target
        if isinstance(application, str):
            place = self._place
            application = yield loaded(
                place.reactor, application, prefix=place.prefix, **self._options
            )
        self.answers.application = application

    def stopService(self) -> Deferred[int]:
        """
        End the threads.

        :return: fires with how many do not end.
        """
        super().stopService()
        return self._pool.stop(_LAST)

    def figures(self) -> PoolFigures:
        """How the threads do."""
        return self._pool.figures()


class Errors:
    """
    ``wsgi.errors``: what an application writes there is in the log, line by line.
    """

    _log = Logger()

    def __init__(self) -> None:
        self._begun = ""

    def write(self, text: str) -> int:
        """Log what lines there are; the rest waits for its end."""
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._log.warn("{line}", line=line)
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        """As often as there are any."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Log a line that has not ended."""
        if self._begun:
            self.write("\n")


@implementer(IResource)
class WsgiResource:
    """
    What answers for an application.

    :param pool: The threads.
    :param place: Where it is.
    :param longest_body: Bytes of the longest body; ``None`` for what the site takes.
    :ivar application: The application, once it is loaded.
    """

    isLeaf = True
    streams = True

    def __init__(
        self, pool: Pool, place: Place, longest_body: int | None = None
    ) -> None:
        self.application: Application | None = None
        self.longest_body = longest_body
        self._pool, self._prefix = pool, place.prefix
        self._call: Callable[..., object] = place.reactor.callFromThread
        self._usual = {
            "SERVER_SOFTWARE": version.decode("ascii"),
            "wsgi.version": (1, 0),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "wsgi.file_wrapper": FileWrapper,
            "wsgi.input_terminated": True,
        }

    def render(self, request: Any) -> int:
        """Have a thread answer."""
        intake = request.intake
        if intake is None or intake.ended or self._begins_early(request, intake):
            self._begin(request, *self._body_of(intake))
        else:
            whole(intake).addCallbacks(
                lambda file: self._begin_with(request, file),
                self._lose,
                errbackArgs=(request,),
            )
        return NOT_DONE_YET

    def _begins_early(self, request: Any, intake: Intake) -> bool:
        """
        Whether a thread begins before the body has ended. It need not wait for a short
        one; but a client that asks first is to be answered by the application. Of what
        comes in chunks nobody knows ``CONTENT_LENGTH``, which applications go by.
        """
        length = intake.length
        if length is None:
            return False
        return length > SPOOLED or request.getHeader(b"expect") is not None

    def putChild(self, path: bytes, child: Any) -> None:
        raise TypeError("an application has no children")

    def getChildWithDefault(self, name: bytes, request: Any) -> Any:
        raise TypeError("an application has no children")

    def _body_of(self, intake: Intake | None) -> tuple[IO[bytes], int]:
        """A body of which all is here, or the length is known; and that."""
        if intake is None or intake.length == 0:
            return io.BytesIO(), 0
        length = intake.came if intake.length is None else intake.length
        body: Any = Body(b"", Source(intake, self._call))
        return body, length

    def _begin_with(self, request: Any, file: IO[bytes]) -> None:
        length = file.tell()
        file.seek(0)
        self._begin(request, file, length)

    def _begin(self, request: Any, body: IO[bytes], length: int) -> None:
        told = length if length or _speaks_of_body(request) else None
        environ = environ_of(request, self._prefix, self._usual, told)
        environ["wsgi.input"], environ["wsgi.errors"] = body, Errors()
        assert self.application is not None
        turn = Turn(request, body, self._pool, self._call)
        turn.begin(self.application, environ)

    def _lose(self, failure: Failure, request: Any) -> None:
        """The body will not come; whoever refused it has answered."""
        if not failure.check(ConnectionLost, RopewalkError):
            request.processingFailed(failure)


def _speaks_of_body(request: Any) -> bool:
    """Whether a request has a body by its headers, which may be empty."""
    names = b"content-length", b"transfer-encoding"
    return any(request.getHeader(name) is not None for name in names)


class Turn(Job):
    """
    One request: what the reactor's thread knows of a call.
    """

    __slots__ = ("_body", "_call", "_context", "_made", "_pool", "_request")

    def __init__(
        self, request: Any, body: IO[bytes], pool: Pool, call: Callable[..., object]
    ) -> None:
        super().__init__()
        self._request, self._body, self._pool, self._call = request, body, pool, call
        self._context = copy_context()
        self._made: Performance | None = None

    def begin(self, application: Application, environ: dict[str, Any]) -> None:
        """Have a thread call an application, as soon as there is one."""
        conveyor = Conveyor(Outflow(self._request), self._call, self)
        self._made = Performance(application, environ, conveyor, self._failed)
        try:
            self._pool.submit(self)
        except Busy as error:
            self.refuse(error)

    # In the thread.

    def work(self) -> None:
        # Nothing is to lead in a circle when it is over.
        made, self._made = self._made, None
        assert made is not None
        try:
            self._context.run(made.run)
        finally:
            self._body.close()

    def _failed(self, failure: Failure) -> None:
        self._call(self.fail, failure)

    # In the reactor's.

    def fail(self, failure: Failure) -> None:
        """End the request with what went wrong."""
        self._request.processingFailed(failure)

    def later(self, work: Callable[[], object]) -> None:
        """Do something more in a thread."""
        self._pool.insist(Afterwards(self._context, work))

    def refuse(self, error: Busy) -> None:
        self.forget()
        self.fail(Failure(error))

    def leave(self) -> None:
        """The client has left: there is nothing to do, unless it has begun."""
        if self._pool.forget(self):
            self.forget()

    def forget(self) -> None:
        """It will not be done."""
        self._made = None
        self._body.close()


class Afterwards(Job):
    """
    What is to be done when a request has ended.
    """

    __slots__ = ("_context", "_work")

    def __init__(self, context: Context, work: Callable[[], object]) -> None:
        super().__init__()
        self._context, self._work = context, work

    def work(self) -> None:
        self._context.run(self._work)
