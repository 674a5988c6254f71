# -*- test-case-name: tests.test_proxying -*-
"""
One request on its way to a back end, and its answer on the way back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.error import TimeoutError
from twisted.logger import Logger
from twisted.python.failure import Failure

from ropewalk.errors import RopewalkError
from ropewalk.web.intake import Intake
from ropewalk.web.outflow import Outflow
from ropewalk.web.problems import Refused, respond
from ropewalk.web.proxying.backends import Backend
from ropewalk.web.proxying.connections import Connection
from ropewalk.web.proxying.heads import reply_headers, request_head, wanted_protocol
from ropewalk.web.proxying.tunnels import Tunnel
from ropewalk.web.upgrade import hand_over
from ropewalk.wire.replies import Heard, Reply

if TYPE_CHECKING:
    from ropewalk.web.proxying.gates import Gate

__all__ = ["Passage"]

#: What has no other effect when it is asked twice (RFC 9110, section 9.2.2).
_IDEMPOTENT = (b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE")

#: Seconds that a back end has to invite the body of who waits to be invited (RFC 9110,
#: section 10.1.1: none need wait for ever).
_INVITATION = 1.0


class Passage:
    """
    A request, and its answer.

    :param gate: Through which it goes.
    """

    __slots__ = (
        *("_backend", "_clock", "_connection", "_gate", "_head"),
        *(
            "_held",
            "_intake",
            "_invited",
            "_keeps",
            "_over",
            "_reading",
            "_room",
            "_sent",
        ),
        *("_since", "_stale", "_taking", "_tried", "_upgrade", "outflow", "request"),
    )

    _log = Logger()

    def __init__(self, gate: Gate, request: Any) -> None:
        self._gate, self._clock = gate, gate.clock
        self.request = request
        self.outflow = Outflow(request)
        self._intake = _body_of(request)
        self._upgrade = None if self._intake else wanted_protocol(request)
        self._backend: Backend | None = None
        self._connection: Connection | None = None
        self._tried: list[Backend] = []
        self._head = b""
        self._sent = self._intake is None  # all of it was
        self._held = False  # the back end takes no more of it
        self._invited = True  # the back end wants it
        self._room = False  # the client takes no more of the answer
        self._over = self._keeps = False
        self._stale = False  # a connection was, on which it was sent before
        self._reading: Deferred[bytes] | None = None
        self._taking: Deferred[Connection] | None = None
        self._since = 0.0

    def begin(self) -> None:
        """Send it to a back end."""
        self.outflow.left().addCallback(self._left)
        self._gate.watch(self)
        try:
            backend = self._gate.backends.choose()
        except RopewalkError as error:
            self._refuse(error)
        else:
            self._ask(backend)

    def check(self, now: float) -> None:
        """Do what is due."""
        if self._connection is None:
            return
        if not self._invited and now - self._since >= _INVITATION:
            self._invite()
        if self._waits_for_client():
            self._since = now
        elif now - self._since >= self._gate.timeout:
            self._lose(f"it said nothing for {self._gate.timeout:g} seconds", 504)

    def _waits_for_client(self) -> bool:
        return self._room or not (self._sent or self._held or not self._invited)

    # On the way.

    def _ask(self, backend: Backend, new: bool = False) -> None:
        """
        Ask a back end.

        :param new: On a connection on which nothing was asked before.
        """
        try:
            if not new:
                self._go_to(backend)
            taken = backend.pool.take(not self._repeatable(), new)
        except RopewalkError as error:
            self._refuse(error)
            return
        if isinstance(taken, Connection):
            self._send(taken)
        else:
            self._taking = taken
            taken.addCallbacks(self._send, self._unreached)

    def _go_to(self, backend: Backend) -> None:
        if self._backend is not None:
            self._backend.end()
        self._backend, intake = backend, self._intake
        self._tried.append(backend)
        backend.begin()
        if backend.is_old and intake is not None and intake.length is None:
            raise Refused(411, "say how long the body is, by Content-Length")
        manners = self._gate.manners
        self._head = request_head(
            self.request, backend.target, manners, intake, self._upgrade
        )

    def _repeatable(self) -> bool:
        """Whether it can be sent a second time."""
        return self._intake is None and self.request.method in _IDEMPOTENT

    def _unreached(self, failure: Failure) -> None:
        """There is no connection; nothing was sent."""
        backend, error = self._backend, failure.value
        assert backend is not None
        self._taking = None
        if not isinstance(error, RopewalkError):
            backend.fail(failure.getErrorMessage())
        if self._over:
            self._leave()
        elif isinstance(error, RopewalkError):
            self._refuse(error)
        else:
            self._elsewhere(504 if failure.check(TimeoutError) else 502)

    def _elsewhere(self, status: int) -> None:
        """
        Ask another back end.

        :param status: What to say when there is none.
        """
        try:
            other = self._gate.backends.choose(self._tried)
        except RopewalkError:
            self._refuse(_unanswered(status))
            return
        other.retried += 1
        self._ask(other)

    def _send(self, connection: Connection) -> None:
        backend = self._backend
        assert backend is not None
        self._taking = None
        if self._over:
            backend.pool.give_back(connection)
            self._leave()
            return
        self._connection = connection
        self._since = self._clock.seconds()
        self._held = connection.full
        intake = self._intake
        if intake is not None:
            expects = bool(self.request.asked_header(b"expect"))
            self._invited = not expects or intake.came > 0
        method = self.request.method
        connection.ask(self, method, self._head, self._upgrade is not None)
        if intake is not None and self._invited:
            self._pump()

    def _invite(self) -> None:
        if not self._invited:
            self._invited = True
            self._pump()

    def _pump(self) -> None:
        """Send what there is of the body, as far as the back end takes it."""
        intake = self._intake
        assert intake is not None
        while not (self._held or self._sent or self._over or self._reading):
            piece = intake.take()
            if piece is None:
                reading = self._reading = intake.read()
                reading.addCallbacks(self._read, self._unread)
                return
            self._pass(piece)

    def _read(self, piece: bytes) -> None:
        self._reading = None
        if not (self._sent or self._over):
            self._pass(piece)
            self._pump()

    def _unread(self, failure: Failure) -> None:
        """The rest of the body does not come; who is asking has been told why."""
        self._reading = None
        self._give_up()

    def _pass(self, piece: bytes) -> None:
        """Send a piece of the body; an empty one is the end."""
        connection, intake = self._connection, self._intake
        assert connection is not None and intake is not None
        self._since = self._clock.seconds()
        if intake.length is not None:
            if piece:
                connection.write(piece)
        elif piece:
            connection.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        else:
            lines = [b"%b: %b\r\n" % each for each in intake.trailers]
            connection.write(b"".join((b"0\r\n", *lines, b"\r\n")))
        self._sent = not piece

    def hold(self, full: bool) -> None:
        """See :class:`~ropewalk.web.proxying.connections.Asker`."""
        self._held = full
        self._since = self._clock.seconds()
        if not full and self._intake is not None and self._invited and not self._sent:
            self._pump()

    # On the way back.

    def heard(self, heard: Heard) -> None:
        """See :class:`~ropewalk.web.proxying.connections.Asker`."""
        self._since = self._clock.seconds()
        for interim in heard.interim:
            if interim.code == 100:
                self._invite()
            else:
                self._inform(interim)
        if self._over:  # there was nobody to invite any more
            return
        head = heard.head
        if head is not None:
            self._begin_answer(head)
            if head.code == 101:
                self._join(head, heard.rest)
                return
        if heard.done:
            self._finish(heard)
            return
        for piece in heard.pieces:
            self._write(piece)
        if head is not None and not heard.pieces:
            self._write(b"")

    def lost(self, problem: str) -> None:
        """See :class:`~ropewalk.web.proxying.connections.Asker`."""
        connection, backend = self._connection, self._backend
        assert connection is not None and backend is not None
        self._connection = None
        if self.outflow.started:
            self._log.warn(
                "{backend} did not complete its answer to {name}: {problem}",
                backend=backend.target.written,
                name=self.request.name,
                problem=problem,
            )
            backend.failed += 1
            self.outflow.abort()
            self._leave()
        elif connection.used > 1 and self._repeatable() and not self._stale:
            # It was about to be closed (RFC 9112, section 9.3.1).
            self._stale = True
            backend.retried += 1
            self._ask(backend, new=True)
        else:
            backend.fail(problem)
            if self._repeatable():
                self._elsewhere(502)
            else:
                self._refuse(_unanswered(502))

    def _begin_answer(self, head: Reply) -> None:
        backend = self._backend
        assert backend is not None
        backend.succeed()
        backend.is_old = not head.minor
        self._keeps = head.keeps
        connection = self._connection
        if head.kept is not None and connection is not None:
            # A second before it is closed, as a request takes its time.
            connection.kept = min(connection.kept, max(0.0, head.kept - 1.0))
        if head.code != 101:
            headers = reply_headers(head, backend.target, self._gate.manners)
            self.outflow.start(head.code, headers, head.reason or None)

    def _inform(self, reply: Reply) -> None:
        if reply.code == 103:
            pairs = [each for each in reply.pairs if each[0].lower() == b"link"]
            self.request.inform(103, pairs)

    def _write(self, piece: bytes) -> None:
        room = self.outflow.write(piece)
        connection = self._connection
        if room is not None and not self._room and connection is not None:
            self._room = True
            connection.pause(True)
            room.addCallback(self._go_on, connection)

    def _go_on(self, room: None, connection: Connection) -> None:
        self._room = False
        self._since = self._clock.seconds()
        if connection is self._connection:
            connection.pause(False)

    def _finish(self, heard: Heard) -> None:
        """All of the answer is here."""
        connection, backend = self._connection, self._backend
        assert connection is not None and backend is not None
        self._connection = None
        if self._room:
            connection.pause(False)
        # Behind HEAD some servers send a body all the same: nobody is to take that for
        # the next answer.
        whole = self._sent and not heard.rest and self.request.method != b"HEAD"
        if whole and self._keeps and connection.alive:
            backend.pool.give_back(connection)
        else:
            connection.drop()
        self._leave()
        self.outflow.finish(b"".join(heard.pieces), heard.trailers)

    def _join(self, head: Reply, rest: bytes) -> None:
        """Let client and back end speak with each other."""
        connection, backend = self._connection, self._backend
        assert connection is not None and backend is not None
        self._over, self._connection, self._backend = True, None, None
        self._gate.forget(self)
        lines = [b"HTTP/1.1 101 %b" % (head.reason or b"Switching Protocols")]
        lines += [b"%b: %b" % each for each in head.pairs]
        frames = (self._upgrade or b"").lower() == b"websocket"
        said = b"\r\n".join((*lines, b"", rest))
        tunnel = Tunnel(said, frames, self._clock, backend.end)
        connection.hand_over(tunnel.far)
        hand_over(self.request, tunnel)
        if self.request.site.draining:
            tunnel.drain()

    # How it ends.

    def _refuse(self, error: RopewalkError) -> None:
        """Say why there is no answer."""
        self._leave()
        outflow, request = self.outflow, self.request
        if not outflow.gone:
            outflow.finished = True
            request.answer(respond(request, error, request.work.request))

    def _lose(self, problem: str, status: int) -> None:
        """The back end takes too long."""
        connection, backend = self._connection, self._backend
        assert connection is not None and backend is not None
        self._connection = None
        connection.drop()
        backend.fail(problem)
        if self.outflow.started:
            self.outflow.abort()
            self._leave()
        else:
            self._refuse(_unanswered(status))

    def _left(self, ignored: None) -> None:
        self._give_up()

    def _give_up(self) -> None:
        """Nobody waits for the answer."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.drop()
            self._leave()
        self._over = True
        self._gate.forget(self)
        backend, taking = self._backend, self._taking
        if backend is not None and taking is not None:
            backend.pool.withdraw(taking)

    def _leave(self) -> None:
        """The back end has nothing more to do for it."""
        self._over = True
        self._gate.forget(self)
        backend, self._backend = self._backend, None
        if backend is not None:
            backend.end()
        if self._reading is not None:
            self._reading.addErrback(_ignore)
            self._reading.cancel()


def _body_of(request: Any) -> Intake | None:
    """What there is to read of a request's body; ``None`` for nothing."""
    if request.clientproto.startswith(b"HTTP/1") and not (
        request.asked_header(b"content-length")
        or request.asked_header(b"transfer-encoding")
    ):
        return None
    intake: Intake = request.intake
    return None if intake.length == 0 else intake


def _unanswered(status: int) -> Refused:
    if status == 504:
        return Refused(504, "what is behind this address takes too long to answer")
    return Refused(502, "what is behind this address does not answer as it should")


def _ignore(failure: Failure) -> None:
    """It was cancelled."""
