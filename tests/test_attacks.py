"""
Clients that mean harm, against a daemon as an operator has it: what they cost is
bounded, they are cut, and the others are served meanwhile.

The limits are set low, so that nobody waits long. Where time counts, the site looks
once a second, and listens for two seconds to who was refused.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any
from unittest import skipUnless

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import connectionDone
from twisted.internet.task import LoopingCall, deferLater
from twisted.python.failure import Failure
from zope.interface import implementer

from ropewalk.awaiting import inlineCallbacks
from ropewalk.interfaces import Steps
from tests.daemonry import PATIENCE, Daemon, Raw, reactor
from tests.test_daemon import WEB, DaemonTestCase
from tests.visiting import Answer, parse

#: What is attacked: a small page, a big one, and something that takes what is sent.
TARGET = """
from klein import Klein
from twisted.application.service import Service

BIG = b"x" * 4_000_000

class Pages:
    routes = Klein()

    @routes.route("/")
    def small(self, request):
        return b"here"

    @routes.route("/big")
    def big(self, request):
        return BIG

    @routes.route("/take", methods=["POST"])
    def take(self, request):
        return b"took %d" % len(request.content.read())

def makeService(settings, host):
    host.web.mount("/target", Pages().routes)
    return Service()
"""

PLUGIN = """
from ropewalk.plugin import ServicePlugin

target = ServicePlugin("target", "target")
"""

MEBIBYTE = 1024 * 1024

#: Seconds after which a client is gone whose time is over: the time that it has, a
#: second until that is seen, two in which a refusal may arrive, and what a loaded
#: machine needs.
SOON = 10.0

GET = b"GET /target/ HTTP/1.1\r\nHost: a\r\n\r\n"
BIG = b"GET /target/big HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /target/take HTTP/1.1\r\nHost: a\r\n"

needs_proc = skipUnless(Path("/proc/self/status").exists(), "this looks into /proc")


class Attacker(Raw):
    """
    A client that says what it is told to.

    :ivar cut: Whether it was cut, rather than left.
    """

    transport: Any

    def __init__(self) -> None:
        super().__init__()
        self.began = reactor.seconds()
        self.cut = False
        self._waiting: list[tuple[int, Deferred[list[Answer]]]] = []

    def say(self, *pieces: bytes) -> None:
        """Say something."""
        self.transport.writeSequence(pieces)

    def drip(self, piece: bytes, every: float) -> None:
        """Say something again and again, for as long as the connection is there."""
        loop = LoopingCall(self.say, piece)
        loop.start(every)
        self.ended.addBoth(self._stop, loop)

    def hears(self, number: int = 1) -> Deferred[list[Answer]]:
        """
        Wait for answers.

        :param number: How many.
        """
        waiting: Deferred[list[Answer]] = Deferred()
        waiting.addTimeout(PATIENCE, reactor)
        self._waiting.append((number, waiting))
        self._look()
        return waiting

    def answers(self) -> list[Answer]:
        """What was answered so far, as far as it is whole."""
        return [each for each in parse(self.received, self.cut) if each.whole]

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        self._look()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.cut = True
        self.lasted = reactor.seconds() - self.began
        self.cleanly = reason.check(ConnectionDone) is not None
        super().connectionLost(reason)

    def _stop(self, result: Any, loop: LoopingCall) -> Any:
        if loop.running:
            loop.stop()
        return result

    def _look(self) -> None:
        if not self._waiting or not self.received.count(b"\r\n\r\n"):
            return
        answers = self.answers()
        for wanted, waiting in list(self._waiting):
            if len(answers) >= wanted:
                self._waiting.remove((wanted, waiting))
                waiting.callback(answers)


@implementer(IPushProducer)
class Flood:
    """
    Says the same, as fast as it is taken.

    :ivar said: How often it has.
    """

    def __init__(self, attacker: Attacker, piece: bytes) -> None:
        self._attacker = attacker
        self._piece = piece
        self._running = False
        self.said = 0

    def start(self) -> None:
        """Begin."""
        self._attacker.transport.registerProducer(self, True)
        self.resumeProducing()

    def resumeProducing(self) -> None:
        self._running = True
        while self._running and not self._attacker.cut:
            self.said += 1
            self._attacker.say(self._piece)

    def pauseProducing(self) -> None:
        self._running = False

    def stopProducing(self) -> None:
        self._running = False


class AttackCase(DaemonTestCase):
    """
    Starts a target.
    """

    @inlineCallbacks
    def attack(
        self, web: str = "", launcher: Sequence[str] = (), **limits: float
    ) -> Steps[Daemon]:
        """
        Start a target.

        :param web: More of its settings of the web.
        :param limits: The table C{[web.limits]}.
        :return: fires when it is ready.
        """
        home = Path(self.mktemp())
        plugins = home / "twisted" / "plugins"
        plugins.mkdir(parents=True)
        (plugins / "target_plugin.py").write_text(PLUGIN, "utf-8")
        (home / "target.py").write_text(TARGET, "utf-8")
        table = "\n".join(f"{name} = {value}" for name, value in limits.items())
        settings = f"{WEB}access_log = false\n{web}\n[web.limits]\n{table}\n[target]\n"
        self.daemon = self.launch(
            settings, paths=(home.resolve(),), launcher=tuple(launcher)
        )
        self.addCleanup(self.has_no_errors)
        places = yield self.daemon.ready()
        self.url = places["web"]
        return self.daemon

    def has_no_errors(self) -> None:
        """The target has logged nothing that is its own fault."""
        bad = [
            each for each in self.daemon.log if each["level"] in ("error", "critical")
        ]
        self.assertEqual(bad, [])
        self.assertIsNone(self.daemon.status)

    @inlineCallbacks
    def connect(self, *said: bytes) -> Steps[Attacker]:
        """Be connected, and say something."""
        attacker: Attacker = yield Attacker.to(self.url)
        self.addCleanup(self.leave, attacker)
        attacker.say(*said)
        return attacker

    def leave(self, attacker: Attacker) -> Any:
        """End a connection, if it is there."""
        if attacker.cut:
            return None
        attacker.transport.abortConnection()
        return attacker.ended

    @inlineCallbacks
    def crowd(self, number: int, *said: bytes) -> Steps[list[Attacker]]:
        """
        Be many. One after another: of those that come at once, the system lets so many
        wait at the door, and drops the others.
        """
        crowd = []
        for _ in range(number):
            crowd.append((yield self.connect(*said)))
        return crowd

    def gone(self, attackers: Iterable[Attacker]) -> Deferred[Any]:
        """Wait until some are cut."""
        waiting: Deferred[Any] = gatherResults(
            [each.ended for each in attackers if not each.cut], consumeErrors=True
        )
        return waiting.addTimeout(PATIENCE, reactor)

    @inlineCallbacks
    def serves(self) -> Steps[float]:
        """
        Have the others served.

        :return: fires with how many seconds it took.
        """
        began = reactor.seconds()
        status, text = yield self.fetch(self.url + "target/")
        self.assertEqual((status, text), (200, "here"))
        seconds: float = reactor.seconds() - began
        return seconds

    @inlineCallbacks
    def served_until(self, done: Deferred[Any]) -> Steps[int]:
        """
        Have the others served until something has happened.

        :return: fires with how many were.
        """
        happened: list[Any] = []
        done.addBoth(happened.append)
        served = 0
        while not happened:
            yield self.serves()
            served += 1
            yield deferLater(reactor, 0.05)
        if isinstance(happened[0], Failure):
            happened[0].raiseException()
        return served

    @inlineCallbacks
    def until(self, true: Callable[[], bool]) -> Steps[None]:
        """Wait until something is true."""
        deadline = reactor.seconds() + PATIENCE
        while not true():
            self.assertLess(reactor.seconds(), deadline)
            yield deferLater(reactor, 0.02)

    @property
    def process(self) -> Path:
        """What the system knows of the target (proc(5))."""
        transport: Any = self.daemon.transport
        return Path(f"/proc/{transport.pid}")

    @inlineCallbacks
    def quiet(self) -> Steps[None]:
        """Let the target have what it always has, and count memory from now on."""
        for _ in range(5):
            yield self.serves()
        (self.process / "clear_refs").write_text("5")  # what it had at most is over
        self.before = self.peak()

    def peak(self) -> int:
        """Bytes of memory that the target had at most."""
        text = (self.process / "status").read_text("ascii")
        (line,) = (each for each in text.splitlines() if each.startswith("VmHWM"))
        return int(line.split()[1]) * 1024

    def costs_at_most(self, size: int) -> None:
        """The target never had more memory than before, but for so many bytes."""
        self.assertLess(self.peak() - self.before, size)

    def files(self) -> int:
        """Bytes in files of the target which have no name any more."""
        sizes = [
            each.stat().st_size
            for each, name in self.descriptors()
            if "(deleted)" in name
        ]
        return sum(sizes)

    def sockets(self) -> int:
        """How many sockets the target has."""
        return sum(name.startswith("socket:") for _, name in self.descriptors())

    def descriptors(self) -> list[tuple[Path, str]]:
        """What the target has open."""
        found = []
        for each in (self.process / "fd").iterdir():
            try:  # (trial takes a contextlib.suppress in a module for its own.)
                found.append((each, os.readlink(each)))
            except OSError:
                continue  # closed meanwhile
        return found


class UploadTests(AttackCase):
    """
    A body has an end.
    """

    @needs_proc
    @inlineCallbacks
    def test_endless(self) -> Steps[None]:
        """
        A body in chunks that does not end is refused where it becomes too long: it
        fills neither memory nor disk, and what comes behind is not all read.
        """
        yield self.attack("longest_body = 1000000")
        yield self.quiet()
        attacker = yield self.connect(POST + b"Transfer-Encoding: chunked\r\n\r\n")
        flood = Flood(attacker, b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        flood.start()
        yield attacker.hears()
        self.assertLess(self.files(), MEBIBYTE)
        yield self.served_until(self.gone([attacker]))
        (answer,) = attacker.answers()
        self.assertEqual(answer.status, 413)
        self.assertLess(attacker.lasted, SOON)
        # (The system keeps some megabytes on their way.)
        self.assertLess(flood.said * 0x10000, 24 * MEBIBYTE)
        self.costs_at_most(16 * MEBIBYTE)
        self.assertEqual(self.files(), 0)

    @inlineCallbacks
    def test_announced(self) -> Steps[None]:
        """
        One that says beforehand that it is too long is refused before it comes, in
        one piece or in many, with an expectation or without.
        """
        yield self.attack()
        attackers = []
        for line in (b"Content-Length: 300000000", b"Content-Length: 2000000"):
            for more in (b"", b"Expect: 100-continue\r\n"):
                said = POST + more + line + b"\r\n\r\n"
                attackers.append((yield self.connect(said)))
        yield self.served_until(self.gone(attackers))
        for attacker in attackers:
            (answer,) = attacker.answers()
            self.assertEqual(answer.status, 413)
            self.assertNotIn(b" 100 Continue", attacker.received)

    @needs_proc
    @inlineCallbacks
    def test_spooled(self) -> Steps[None]:
        """
        Long bodies that are on their way are on disk, not in memory.
        """
        yield self.attack("longest_body = 4000000", spool=10_000, body_floor=0)
        yield self.quiet()
        said = POST + b"Content-Length: 4000000\r\n\r\n" + b"x" * 3_000_000
        attackers = yield self.crowd(20, said)
        # (Of each, some bytes are on their way to the file.)
        yield self.served_until(self.until(lambda: self.files() > 20 * 2_900_000))
        self.costs_at_most(20 * MEBIBYTE)
        for each in attackers:
            each.say(b"x" * 1_000_000)
        for each in attackers:
            (answer,) = yield each.hears()
            self.assertEqual(answer.text, "took 4000000")
        self.assertEqual(self.files(), 0)

    @inlineCallbacks
    def test_slow(self) -> Steps[None]:
        """
        Bodies that come too slowly are not waited for (408), in chunks or not; one that
        comes fast enough is.
        """
        yield self.attack(body_floor=1000, body_patience=0.5)
        slow = [
            (yield self.connect(POST + b"Content-Length: 100000\r\n\r\n")),
            (yield self.connect(POST + b"Transfer-Encoding: chunked\r\n\r\n")),
        ]
        good = yield self.connect(POST + b"Content-Length: 20000\r\n\r\n")
        for attacker, piece in zip(slow, (b"x", b"1\r\nx\r\n"), strict=True):
            attacker.drip(piece, 0.1)
        good.drip(b"x" * 500, 0.1)
        yield self.served_until(self.gone(slow))
        for attacker in slow:
            (answer,) = attacker.answers()
            self.assertEqual(answer.status, 408)
            self.assertGreater(attacker.lasted, 0.5)
            self.assertLess(attacker.lasted, SOON)
        (answer,) = yield good.hears()
        self.assertEqual(answer.text, "took 20000")


class HeaderTests(AttackCase):
    """
    The head of a request has an end.
    """

    @needs_proc
    @inlineCallbacks
    def test_floods(self) -> Steps[None]:
        """
        Too many headers, too long ones, and a request line that is too long are
        refused, whether they end or not.
        """
        yield self.attack()
        yield self.quiet()
        start = b"GET / HTTP/1.1\r\nHost: a\r\n"
        floods = {
            start + b"".join(b"X-%d: y\r\n" % n for n in range(10_000)) + b"\r\n": 431,
            start + b"X: " + b"y" * 1_000_000 + b"\r\n\r\n": 431,
            start + b"X" * 1_000_000: 431,
            b"GET /" + b"y" * 1_000_000 + b" HTTP/1.1\r\n\r\n": 414,
            b"GET /" + b"y" * 1_000_000: 414,
        }
        attackers = []
        for said in floods:
            attackers.append((yield self.connect(said)))
        yield self.served_until(self.gone(attackers))
        for attacker, status in zip(attackers, floods.values(), strict=True):
            (answer,) = attacker.answers()
            self.assertEqual(answer.status, status)
            self.assertEqual(answer.headers["connection"], "close")
        self.costs_at_most(16 * MEBIBYTE)

    @inlineCallbacks
    def test_endless(self) -> Steps[None]:
        """
        Headers that do not end are refused, and nobody listens for ever to who goes on.
        """
        yield self.attack()
        attacker = yield self.connect(b"GET / HTTP/1.1\r\n")
        flood = Flood(attacker, b"X: y\r\n" * 10_000)
        flood.start()
        yield self.served_until(self.gone([attacker]))
        self.assertLess(flood.said * 60_000, 24 * MEBIBYTE)
        self.assertLess(attacker.lasted, SOON)
        statuses = [each.status for each in attacker.answers()]
        self.assertEqual(statuses, [431])

    @inlineCallbacks
    def test_slow(self) -> Steps[None]:
        """
        Who sends a byte or a header now and then is cut when his time is over, and so
        are two hundred of them; others are served meanwhile.
        """
        yield self.attack(head_time=0.5)
        start = b"GET / HTTP/1.1\r\nHost: a\r\n"
        attackers = yield self.crowd(198, start)
        attackers.append((yield self.connect(b"G")))
        attackers.append((yield self.connect(b"\r\n")))
        for attacker in attackers[:-2]:
            attacker.drip(b"X: y\r\n", 0.2)
        attackers[-2].drip(b"E", 0.2)
        served = yield self.served_until(self.gone(attackers))
        self.assertGreater(served, 0)
        for attacker in attackers:
            self.assertGreater(attacker.lasted, 0.5)
            self.assertLess(attacker.lasted, SOON)
        for attacker in attackers[:-1]:
            statuses = [each.status for each in attacker.answers()]
            self.assertEqual(statuses, [408])

    @inlineCallbacks
    def test_silent(self) -> Steps[None]:
        """
        Who says nothing at all is cut, too: at first, and after an answer.
        """
        yield self.attack("idle = 1.0", head_time=0.5)
        silent = yield self.crowd(50)
        idle = yield self.crowd(50, GET)
        yield self.served_until(self.gone([*silent, *idle]))
        for attacker in silent:
            self.assertEqual(attacker.received, b"")
            self.assertLess(attacker.lasted, SOON)
        for attacker in idle:
            (answer,) = attacker.answers()
            self.assertEqual(answer.text, "here")
            self.assertGreater(attacker.lasted, 1.0)
            self.assertLess(attacker.lasted, SOON)


class UnreadTests(AttackCase):
    """
    Who does not read what is answered does not fill our memory.
    """

    #: Bytes of answers that may wait for one client.
    UNSENT = 100_000

    @inlineCallbacks
    def deaf(self, *said: bytes) -> Steps[Attacker]:
        """Say something, and read nothing."""
        attacker: Attacker = yield self.connect()
        attacker.transport.pauseProducing()
        attacker.say(*said)
        return attacker

    @needs_proc
    @inlineCallbacks
    def test_pipeline(self) -> Steps[None]:
        """
        Twenty thousand requests for a big page, none of whose answers is read, cost
        little memory; others are served meanwhile.
        """
        yield self.attack(unsent=self.UNSENT)
        yield self.quiet()
        yield self.deaf(BIG * 20_000)
        for _ in range(20):
            yield self.serves()
        self.costs_at_most(16 * MEBIBYTE)

    @needs_proc
    @inlineCallbacks
    def test_pipeline_of_small_ones(self) -> Steps[None]:
        """
        So do a million for a small one.
        """
        yield self.attack(unsent=self.UNSENT)
        yield self.quiet()
        attacker = yield self.deaf()
        flood = Flood(attacker, GET * 1000)
        flood.start()
        for _ in range(40):
            yield self.serves()
            yield deferLater(reactor, 0.02)
        self.assertLess(flood.said, 1000)
        self.costs_at_most(16 * MEBIBYTE)

    @needs_proc
    @inlineCallbacks
    def test_many(self) -> Steps[None]:
        """
        Forty that read nothing of a big page cost no more than what may wait for
        each of them.
        """
        yield self.attack(unsent=self.UNSENT)
        yield self.quiet()
        yield gatherResults([self.deaf(BIG) for _ in range(40)])
        for _ in range(20):
            yield self.serves()
        most = 40 * (self.UNSENT + 65_536) + 8 * MEBIBYTE
        self.costs_at_most(most)

    @needs_proc
    @inlineCallbacks
    def test_stall(self) -> Steps[None]:
        """
        Who reads nothing for long is cut; who reads slowly gets all.
        """
        yield self.attack(unsent=self.UNSENT, stall=1.0)
        slow = yield self.connect(BIG * 2)
        reading = LoopingCall(self.read_some, slow)
        reading.start(0.01)
        self.addCleanup(reading.stop)
        yield self.until(lambda: bool(slow.received))
        sockets = self.sockets()
        deaf = yield self.deaf(BIG * 20)
        yield self.served_until(self.until(lambda: self.sockets() > sockets))
        yield self.served_until(self.until(lambda: self.sockets() <= sockets))
        self.assertGreater(reactor.seconds() - deaf.began, 1.0)
        self.assertLess(reactor.seconds() - deaf.began, SOON)
        answers = yield slow.hears(2)
        self.assertEqual([len(each.body) for each in answers], [4_000_000] * 2)
        self.assertGreater(reactor.seconds() - slow.began, 1.5)

    def read_some(self, attacker: Attacker) -> None:
        """Read once."""
        if not attacker.cut:
            attacker.transport.resumeProducing()
            reactor.callLater(0, self.read_no_more, attacker)

    def read_no_more(self, attacker: Attacker) -> None:
        if not attacker.cut:
            attacker.transport.pauseProducing()


class NumberTests(AttackCase):
    """
    Nobody has more connections than he may, or asks more on one of them.
    """

    @inlineCallbacks
    def test_connections(self) -> Steps[None]:
        """
        Those that are too many from one address are closed at once; when one of the
        others leaves, there is room.
        """
        yield self.attack(connections=5)
        kept = yield self.crowd(5, GET)
        yield gatherResults([each.hears() for each in kept])
        surplus = yield self.crowd(20, GET)
        yield self.gone(surplus)
        for attacker in surplus:
            self.assertEqual(attacker.received, b"")
            self.assertLess(attacker.lasted, SOON)
        yield self.leave(kept.pop())
        late = yield self.connect(GET)
        (answer,) = yield late.hears()
        self.assertEqual(answer.text, "here")
        kept[0].say(GET)
        yield kept[0].hears(2)

    @inlineCallbacks
    def test_requests(self) -> Steps[None]:
        """
        A connection ends after as many requests as there may be, and the last answer
        says so; what is behind is not answered.
        """
        yield self.attack(requests=3)
        for said in ([GET * 5], [GET, GET, GET]):
            attacker = yield self.connect(*said)
            answers = yield attacker.hears(3)
            yield self.gone([attacker])
            self.assertEqual(len(attacker.answers()), 3)
            closing = [each.headers.get("connection") for each in answers]
            self.assertEqual(closing, [None, None, "close"])

    @inlineCallbacks
    def test_descriptors(self) -> Steps[None]:
        """
        When there are no descriptors any more, those that are too many are closed, the
        log is not filled with it, and all is well when they are gone.
        """
        limited = ("/bin/sh", "-c", 'ulimit -n 64; exec "$@"', "sh")
        yield self.attack(launcher=limited, connections=0, head_time=60.0)
        yield self.serves()
        logged = len(self.daemon.messages())
        attackers = yield self.crowd(200)
        while sum(each.cut for each in attackers) < 200 - 64:
            yield deferLater(reactor, 0.02)
        self.assertIsNone(self.daemon.status)
        yield gatherResults([self.leave(each) for each in attackers if not each.cut])
        yield self.serves()
        self.assertLess(len(self.daemon.messages()) - logged, 20)
