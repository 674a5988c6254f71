# -*- test-case-name: tests.test_datagrams -*-
"""
Datagrams: each peer in its place, and a bound on all that strangers do.
"""

from __future__ import annotations

import socket
import sys
from types import ModuleType
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from twisted.application.service import Service
from twisted.internet import reactor as global_reactor
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError, MessageLengthError
from twisted.internet.interfaces import IReactorUDP, IUDPTransport
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.trial.unittest import TestCase as SocketCase
from zope.interface.verify import verifyObject

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import BadEndpoint, Conflict, RopewalkError, StartFailed
from ropewalk.interfaces import IHost, Steps
from ropewalk.net.datagrams import DatagramPeer, Datagrams
from ropewalk.net.datagrams.listening import DatagramListener
from ropewalk.net.endpoints import Doorway, claim, claim_datagrams
from ropewalk.run.host import PluginHost
from ropewalk.run.routes import map_routes
from ropewalk.telemetry import work
from ropewalk.testing import TestCase
from ropewalk.web import Routes
from ropewalk.wire.proofs import (
    HELLO,
    MARK,
    Cookies,
    Prover,
    answer,
    challenge,
    read_answer,
)
from tests.observing import Observed
from tests.test_schema import run_page

ADA, GRACE = ("10.0.0.1", 5000), ("10.0.0.2", 5000)


class Air:
    """
    A transport: keeps what is sent, and where to.
    """

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, tuple[str, int]]] = []
        self.broken: Exception | None = None

    def write(self, datagram: bytes, place: tuple[str, int]) -> None:
        if self.broken is not None:
            raise self.broken
        self.sent.append((datagram, place))


class Peer(DatagramPeer):
    """
    Does what datagrams say, and notes what happens.
    """

    idle, rate, burst, longest, ahead = 10.0, 2.0, 3, 100, 2

    def __init__(self, happened: list[Any]) -> None:
        self.happened = happened
        self.slow: Deferred[None] = Deferred()

    def opened(self) -> None:
        self.happened.append(("opened", self.name))

    def heard(self, datagram: bytes) -> Any:
        self.happened.append(("heard", datagram))
        if datagram.startswith(b"say "):
            self.happened.append(self.send(datagram[4:]))
        if datagram == b"fall":
            raise ZeroDivisionError
        if datagram == b"wrong":
            raise RopewalkError("that is wrong")
        if datagram == b"leave":
            self.leave(b"bye")
        return self.slow if datagram == b"slow" else None

    def closed(self) -> None:
        self.happened.append(("closed", work.get().connection))

    def complain(self, error: RopewalkError) -> None:
        self.send(f"! {error}".encode())

    def goodbye(self, reason: str) -> bytes | None:
        return f"* {reason}".encode()


class Case(SynchronousTestCase):
    """
    Datagrams on a transport of the test's own.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.happened: list[Any] = []
        self.air = Air()

    def datagrams(self, **options: Any) -> Datagrams:
        made = Datagrams(Peer, self.happened, clock=self.clock, **options)
        made.makeConnection(self.air)  # type: ignore[arg-type]
        return made

    def sent(self) -> list[Any]:
        """What was sent since it was asked."""
        sent, self.air.sent = self.air.sent, []
        return sent

    def come(
        self, datagrams: Datagrams, place: tuple[str, int] = ADA, first: bytes = b""
    ) -> None:
        """Prove to be there."""
        datagrams.datagramReceived(HELLO, place)
        [(asked, to)] = self.sent()
        self.assertEqual(to, place)
        reply, said = Prover(first).take(asked)
        assert reply is not None and said is None
        datagrams.datagramReceived(reply, place)


class ProofTests(Case):
    """
    Only who is there is let in.
    """

    def test_let_in(self) -> None:
        """
        Who answers the challenge is let in, and what else they say is heard.
        """
        datagrams = self.datagrams()
        self.come(datagrams, first=b"say hello")
        self.assertEqual(
            self.happened, [("opened", "c1"), ("heard", b"say hello"), True]
        )
        self.assertEqual(self.sent(), [(b"hello", ADA)])
        [peer] = datagrams.peers
        self.assertEqual(str(peer), "c1 from 10.0.0.1:5000")
        self.assertEqual(peer.address, IPv4Address("UDP", *ADA))
        self.assertTrue(peer.proven)

    @given(st.binary(max_size=60))
    def test_never_more_than_came(self, datagram: bytes) -> None:
        """
        Whatever a stranger sends, no more bytes than that come back, nothing is made of
        them, and what comes back is a challenge.
        """
        self.setUp()
        datagrams = self.datagrams()
        datagrams.datagramReceived(datagram, ADA)
        told = self.sent()
        self.assertEqual(datagrams.peers, ())
        self.assertEqual(len(told), len(datagram) >= len(HELLO))
        for challenge_, to in told:
            self.assertEqual(to, ADA)
            self.assertLessEqual(len(challenge_), len(datagram))
            self.assertIsNotNone(Prover().take(challenge_)[0])
        self.assertEqual(datagrams.figures.challenged, len(told))
        self.assertEqual(datagrams.figures.sent, 0)

    def test_somebody_elses_cookie(self) -> None:
        """
        A cookie is good for the address that it was sent to.
        """
        datagrams = self.datagrams()
        datagrams.datagramReceived(HELLO, ADA)
        [(asked, _)] = self.sent()
        reply, _ = Prover(b"boo").take(asked)
        assert reply is not None
        datagrams.datagramReceived(reply, GRACE)
        self.assertEqual(self.happened, [])

    def test_begun_anew(self) -> None:
        """
        Who is known and begins anew, at the same port, is let in as who they are, and
        heard.
        """
        datagrams = self.datagrams()
        self.come(datagrams, first=b"a")
        self.come(datagrams, first=b"b")
        self.assertEqual(
            self.happened, [("opened", "c1"), ("heard", b"a"), ("heard", b"b")]
        )

    def test_forgotten(self) -> None:
        """
        Who was forgotten and goes on is asked to prove it again.
        """
        datagrams = self.datagrams()
        self.come(datagrams)
        self.clock.advance(10)
        self.sent()
        datagrams.datagramReceived(b"x" * 20, ADA)
        [(asked, _)] = self.sent()
        self.assertEqual(Prover().take(asked)[1], None)

    def test_part_of_the_proof(self) -> None:
        """
        What looks like a part of the proof is not sent, nor what is too long for UDP.
        """
        datagrams = self.datagrams()
        self.come(datagrams)
        [peer] = datagrams.peers
        for wrong in MARK + b"!", b"x" * 65_508:
            with self.assertRaises(ValueError):
                peer.send(wrong)


class CookieTests(SynchronousTestCase):
    """
    Cookies are known again without being remembered.
    """

    @given(st.floats(0, 1e9), st.floats(0, 29))
    def test_for_a_while(self, now: float, later: float) -> None:
        """
        A cookie is known for half a minute at least, and a minute at most.
        """
        cookies = Cookies()
        cookie = cookies.make(ADA, now)
        self.assertTrue(cookies.knows(cookie, ADA, now + later))
        self.assertFalse(cookies.knows(cookie, ADA, now + 61))
        self.assertFalse(cookies.knows(cookie, (ADA[0], 5001), now))
        self.assertFalse(Cookies().knows(cookie, ADA, now))

    @given(st.binary())
    def test_answers(self, first: bytes) -> None:
        """
        An answer says what was put into it; anything else is none.
        """
        cookie = bytes(range(16))
        self.assertEqual(read_answer(answer(cookie, first)), (cookie, first))
        self.assertIsNone(read_answer(answer(cookie)[:-1]))
        self.assertIsNone(read_answer(first))
        longer = challenge(cookie) + b"."
        self.assertEqual(Prover().take(longer), (None, longer))


class UnprovenTests(Case):
    """
    Without the proof, there are peers of whom nobody knows whether they are there.
    """

    def test_credit(self) -> None:
        """
        They are sent no more than they have sent, until they have proved it in a way of
        the protocol's own.
        """
        datagrams = self.datagrams(proof=False)
        datagrams.datagramReceived(b"say hello", ADA)
        [peer] = datagrams.peers
        self.assertEqual([peer.send(b"more"), peer.send(b"m")], [True, False])
        self.assertEqual(datagrams.figures.withheld, 1)
        peer.prove()
        self.assertTrue(peer.send(b"x" * 1000))
        self.assertEqual(len(self.sent()), 3)

    @given(
        st.lists(st.tuples(st.booleans(), st.integers(0, 200)), max_size=30),
    )
    def test_never_more_than_came(self, steps: list[tuple[bool, int]]) -> None:
        """
        In whatever order they send and are sent, that holds.
        """
        self.setUp()
        datagrams = self.datagrams(proof=False)
        datagrams.datagramReceived(b"", ADA)
        [peer] = datagrams.peers
        came = 0
        for comes, size in steps:
            if comes:
                datagrams.datagramReceived(b"x" * size, ADA)
                came += size
            else:
                peer.send(b"y" * size)
            told = sum(len(each) for each, _ in self.air.sent)
            self.assertLessEqual(told, came)

    def test_they_give_way(self) -> None:
        """
        When there are too many, the one that came first gives way to a newcomer, but
        nobody who has proved to be there does.
        """
        datagrams = self.datagrams(proof=False, most=2)
        for number in range(4):
            datagrams.datagramReceived(b"a", ("10.0.0.1", number))
            if number == 1:
                datagrams.peers[0].prove()
        places = [peer.address.port for peer in datagrams.peers]
        self.assertEqual(places, [0, 3])
        datagrams.peers[1].prove()
        datagrams.datagramReceived(b"a", ("10.0.0.1", 9))
        self.assertEqual(datagrams.figures.refused, 1)

    def test_marks_mean_nothing(self) -> None:
        """
        Then what looks like a part of the proof is a datagram like any other.
        """
        datagrams = self.datagrams(proof=False)
        datagrams.datagramReceived(b"a", ADA)
        datagrams.datagramReceived(HELLO, ADA)
        self.assertIn(("heard", HELLO), self.happened)
        self.assertTrue(datagrams.peers[0].send(MARK))


class PeerTests(Case):
    """
    What a peer may do.
    """

    def setUp(self) -> None:
        super().setUp()
        self.home = self.datagrams(most=3, most_of_one=2)
        self.come(self.home)
        self.happened.clear()

    def say(self, *datagrams: bytes) -> None:
        for each in datagrams:
            self.home.datagramReceived(each, ADA)

    def heard(self) -> list[bytes]:
        return [each[1] for each in self.happened if each[0] == "heard"]

    def test_rate(self) -> None:
        """
        Who sends too many at once is heard as many times as is set; after a while they
        are heard again, and never more of them than that.
        """
        self.say(b"1", b"2", b"3", b"4", b"5")
        self.assertEqual(self.heard(), [b"1", b"2", b"3"])
        self.clock.advance(0.5)
        self.say(b"6", b"7")
        self.assertEqual(self.heard()[3:], [b"6"])
        self.clock.advance(9)
        self.say(*(b"%d" % number for number in range(10, 20)))
        self.assertEqual(self.heard()[4:], [b"10", b"11", b"12"])
        self.assertEqual(self.home.figures.limited, 2 + 1 + 7)

    def test_length(self) -> None:
        """
        A datagram as long as is set is heard, and no longer one.
        """
        self.say(b"x" * 100, b"x" * 101)
        self.assertEqual(self.heard(), [b"x" * 100])
        self.assertEqual(self.home.figures.too_long, 1)

    def test_idle(self) -> None:
        """
        Who is silent is forgotten, with a goodbye.
        """
        self.clock.advance(9)
        self.say(b"a")
        self.clock.advance(9.9)
        self.assertEqual(len(self.home.peers), 1)
        self.clock.advance(0.1)
        self.assertEqual(self.home.peers, ())
        told = b"* nothing was heard for 10 seconds"
        self.assertEqual(self.sent(), [(told, ADA)])
        self.assertEqual(self.happened[-1], ("closed", "c1"))

    def test_leave(self) -> None:
        """
        Who is to leave is told the last word, and is gone; nothing is sent after that.
        """
        [peer] = self.home.peers
        self.say(b"leave")
        self.assertEqual(self.sent(), [(b"bye", ADA)])
        self.assertEqual(self.happened[-1], ("closed", "c1"))
        self.assertFalse(peer.send(b"more"))
        peer.leave(b"twice")
        self.assertEqual(self.sent(), [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_errors(self) -> None:
        """
        An error is told, or logged if it is none of ours; it harms nobody.
        """
        self.say(b"wrong", b"fall")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(
            self.sent(),
            [
                (b"! that is wrong", ADA),
                (b"! something went wrong here; it is in our log", ADA),
            ],
        )
        self.say(b"say on")
        self.assertEqual(self.sent(), [(b"on", ADA)])

    def test_one_after_the_other(self) -> None:
        """
        While something is waited for, the next wait; of more than may, the others are
        dropped.
        """
        [peer] = self.home.peers
        self.say(b"slow")
        self.clock.advance(1)
        self.say(b"1", b"2", b"3")
        self.clock.advance(1)
        self.say(b"4")
        self.assertEqual(self.heard(), [b"slow"])
        peer.slow.callback(None)  # type: ignore[attr-defined]
        self.clock.advance(0)
        self.assertEqual(self.heard(), [b"slow", b"1", b"2", b"3"])
        self.assertEqual(self.home.figures.limited, 1)
        self.clock.advance(1)
        self.say(b"5")
        self.assertEqual(self.heard()[-1], b"5")

    def test_whose_work(self) -> None:
        """
        What a peer does is done under its name.
        """
        self.assertEqual(work.get().connection, None)
        self.say(b"leave")
        self.assertEqual(self.happened[-1], ("closed", "c1"))

    def test_of_one_address(self) -> None:
        """
        One address has as many peers as is set; of IPv6, one network of 64 bits.
        """
        self.come(self.home, ("10.0.0.1", 5001))
        self.come(self.home, ("10.0.0.1", 5002))
        self.assertEqual(len(self.home.peers), 2)
        self.assertEqual(self.home.figures.refused, 1)
        home = self.datagrams(most_of_one=1)
        for last in "1", "2":
            self.come(home, (f"2001:db8::{last}", 1))
        [peer] = home.peers
        self.assertEqual(peer.address, IPv6Address("UDP", "2001:db8::1", 1))
        self.assertEqual(str(peer), "c1 from [2001:db8::1]:1")

    def test_all(self) -> None:
        """
        There are as many peers as is set, and that is logged once; when one is gone
        there is room for another.
        """
        log = Observed.during(self)
        for number in range(4):
            self.come(self.home, (f"10.0.1.{number}", 1))
        self.assertEqual(len(self.home.peers), 3)
        self.assertEqual(self.home.figures.refused, 2)
        self.assertEqual(len([text for text in log.texts if "3 peers" in text]), 1)
        self.home.peers[0].leave()
        self.come(self.home, GRACE)
        self.assertEqual(self.home.peers[-1].address.host, GRACE[0])

    def test_no_peer(self) -> None:
        """
        When no peer can be made, that is logged, and the next one has a chance.
        """
        self.home.protocol = lambda happened: 1 // 0  # type: ignore[assignment, return-value]
        self.come(self.home, GRACE)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.home.protocol = Peer
        self.come(self.home, GRACE)
        self.assertEqual(len(self.home.peers), 2)

    def test_the_network_fails(self) -> None:
        """
        What cannot be sent is lost, and counted, as is usual in UDP.
        """
        [peer] = self.home.peers
        for error in BlockingIOError(), MessageLengthError(), ValueError():
            self.air.broken = error
            self.assertFalse(peer.send(b"x"))
        self.assertEqual(self.home.figures.lost, 3)

    def test_close(self) -> None:
        """
        On closing, nobody is let in any more, all are told goodbye, and who is still
        worked for first gets what they wait for.
        """
        self.come(self.home, GRACE)
        self.say(b"slow")
        closing = self.home.close("shutting down")
        self.assertEqual(self.sent(), [(b"* shutting down", GRACE)])
        self.assertNoResult(closing)
        self.home.datagramReceived(HELLO, ("10.0.0.9", 1))
        self.say(b"say more")
        self.assertEqual(self.sent(), [])
        self.home.peers[0].slow.callback(None)  # type: ignore[attr-defined]
        self.clock.advance(0)
        self.successResultOf(closing)
        self.assertEqual(self.sent(), [(b"* shutting down", ADA)])
        self.successResultOf(self.home.close("again"))

    def test_abort(self) -> None:
        """
        Who does not end is forgotten.
        """
        self.say(b"slow")
        closing = self.home.close("shutting down")
        self.home.abort()
        self.successResultOf(closing)
        self.assertEqual(self.sent(), [])

    def test_no_goodbye(self) -> None:
        """
        Who cannot say goodbye goes without a word.
        """
        self.home.peers[0].goodbye = lambda reason: 1 // 0  # type: ignore[assignment, method-assign, return-value]
        self.successResultOf(self.home.close("shutting down"))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_stopped(self) -> None:
        """
        When the port is closed everybody is gone, and nothing is said.
        """
        self.home.doStop()
        self.assertEqual(self.home.peers, ())
        self.assertEqual((self.sent(), self.clock.getDelayedCalls()), ([], []))


class Machine(RuleBasedStateMachine):
    """
    Strangers, peers and time, in any order. The model knows who has answered a
    challenge, and who was let in.
    """

    most, most_of_one = 4, 2

    proof = st.shared(st.booleans(), key="proof")
    place = st.tuples(
        st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.0.3"]), st.integers(1, 3)
    )

    @initialize(proof=proof)
    def begin(self, proof: bool) -> None:
        self.clock, self.air = Clock(), Air()
        self.happened: list[Any] = []
        self.home = Datagrams(
            Peer,
            self.happened,
            clock=self.clock,
            most=self.most,
            most_of_one=self.most_of_one,
            proof=proof,
        )
        self.home.makeConnection(self.air)  # type: ignore[arg-type]
        # Bytes that came in somebody's name, and that were sent to them, while they
        # had proved nothing.
        self.balance: dict[tuple[str, int], int] = {}

    @rule(place=place, datagram=st.binary(max_size=120) | st.just(HELLO))
    def send(self, place: tuple[str, int], datagram: bytes) -> None:
        self.receive(place, datagram)

    @rule(place=place, text=st.sampled_from(["say abc", "fall", "wrong", "leave"]))
    def talk(self, place: tuple[str, int], text: str) -> None:
        self.receive(place, text.encode())

    @rule(place=place, first=st.sampled_from([b"", b"say hello", b"leave"]))
    def come(self, place: tuple[str, int], first: bytes) -> None:
        self.receive(place, HELLO)
        for asked, to in list(self.air.sent):
            reply = Prover(first).take(asked)[0]
            if reply is not None and to == place:
                self.receive(place, reply)

    @rule(seconds=st.sampled_from([0.1, 1.0, 5.0, 20.0, 70.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.look()

    @rule(index=st.integers(0, 3))
    def prove(self, index: int) -> None:
        if index < len(self.home.peers):
            self.home.peers[index].prove()
            self.look()

    @rule()
    def shout(self) -> None:
        for peer in self.home.peers:
            peer.send(b"to everybody")
        self.look()

    def receive(self, place: tuple[str, int], datagram: bytes) -> None:
        self.balance[place] = self.balance.get(place, 0) + len(datagram)
        self.home.datagramReceived(datagram, place)
        self.look()

    def look(self) -> None:
        """Nobody who has proved nothing is sent more than came in their name."""
        for datagram, to in self.air.sent:
            self.balance[to] = self.balance.get(to, 0) - len(datagram)
        self.air.sent.clear()
        for peer in self.home.peers:
            if peer.proven:
                self.balance[peer.address.host, peer.address.port] = 10**9
        assert min(self.balance.values(), default=0) >= 0, self.balance

    @invariant()
    def bounded(self) -> None:
        peers = self.home.peers
        hosts = [peer.address.host for peer in peers]
        assert len(peers) <= self.most
        assert all(hosts.count(host) <= self.most_of_one for host in hosts)
        names = [name for what, name in self.pairs("opened")]
        gone = [name for what, name in self.pairs("closed")]
        assert [peer.name for peer in peers] == [x for x in names if x not in gone]
        assert len(set(gone)) == len(gone)
        assert len(self.clock.getDelayedCalls()) <= len(peers)

    def pairs(self, what: str) -> list[tuple[str, Any]]:
        return [
            each
            for each in self.happened
            if isinstance(each, tuple) and each[0] == what
        ]

    def teardown(self) -> None:
        if hasattr(self, "home"):
            self.home.doStop()
            assert self.home.peers == ()
            assert self.clock.getDelayedCalls() == []
            assert len(self.pairs("opened")) == len(self.pairs("closed"))


class MachineTests(SynchronousTestCase):
    """
    Bounds hold, whatever happens.
    """

    def test_any_steps(self) -> None:
        """
        Whatever comes from whom, there are no more peers than there may be, who is
        opened is closed once, nobody is sent more than they may be, and nothing is
        raised.
        """
        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=150, stateful_step_count=25, deadline=None, database=None
            ),
        )
        self.flushLoggedErrors(ZeroDivisionError)


class EndpointTests(SynchronousTestCase):
    """
    Where datagrams come to.
    """

    def test_claims(self) -> None:
        """
        A port of UDP is another than one of TCP, and can be had once.
        """
        one = claim_datagrams("udp:7072:interface=127.0.0.1")
        self.assertEqual(one, claim("udp:07072:127.0.0.1"))
        self.assertEqual(str(one), "UDP port 7072 of 127.0.0.1")
        self.assertTrue(one.clashes(claim("udp:7072")))
        for other in "tcp:7072", "udp:7073", "udp:7072:interface=127.0.0.2":
            self.assertFalse(one.clashes(claim(other)), other)
        self.assertFalse(claim("udp:0").clashes(claim("udp:0")))

    def test_mistakes(self) -> None:
        """
        What is wrong with a string is said, and what to write.
        """
        for wrong, told in (
            ("tcp:7072", "datagrams come to udp: and a port"),
            ("udp:x", "a port is a number from 0 to 65535, not 'x'"),
            ("udp", "a port is a number"),
            ("udp:7072:interfac=::1", "did you mean 'interface'?"),
        ):
            with self.assertRaises(BadEndpoint) as caught:
                claim_datagrams(wrong)
            self.assertIn(told, str(caught.exception))
        with self.assertRaises(BadEndpoint) as caught:
            Doorway("udp:7072", global_reactor)
        self.assertIn("host.datagrams()", str(caught.exception))


class Shout(DatagramPeer):
    """
    Says it louder.
    """

    def heard(self, datagram: bytes) -> None:
        if datagram == b"fall":
            raise ZeroDivisionError
        self.send(datagram.upper())

    def goodbye(self, reason: str) -> bytes:
        return reason.encode()


class Plain(DatagramProtocol):
    """
    A protocol of Twisted's own.
    """

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        if datagram == b"fall":
            raise ZeroDivisionError
        self.transport.write(datagram * 2, addr)  # type: ignore[union-attr]


class HostTests(TestCase):
    """
    Datagrams in a daemon, in memory.
    """

    def service(self, make: Any) -> ModuleType:
        """A service that is what ``make(host)`` returns."""
        module: Any = ModuleType("shout", "Says it louder.")
        module.__file__ = __file__
        module.makeService = lambda settings, host: make(host)
        sys.modules["shout"] = module
        self.addCleanup(sys.modules.pop, "shout")
        made: ModuleType = module
        return made

    def shout(self, host: Any) -> Any:
        self.assertTrue(verifyObject(IHost, host))
        datagrams = Datagrams(Shout, clock=host.reactor)
        return host.datagrams("udp:7072:interface=127.0.0.1", datagrams)

    @inlineCallbacks
    def test_talk(self) -> Steps[None]:
        """
        Peers come, are heard and answered, and are told goodbye when the daemon stops.
        """
        host = yield self.start(self.service(self.shout))
        ada, grace = (
            host.datagrams("shout"),
            host.datagrams("udp:7072", peer="10.0.0.2"),
        )
        yield ada.send("hello")
        yield grace.send(b"hi")
        yield ada.send("again")
        self.assertEqual((yield ada.received()), ["HELLO", "AGAIN"])
        self.assertEqual((yield grace.receive()), "HI")
        yield host.stop()
        self.assertEqual((yield ada.received()), ["shutting down"])

    @inlineCallbacks
    def test_whose_work(self) -> Steps[None]:
        """
        What a peer does is logged as its service's, under a name of its own.
        """
        log = Observed.during(self)
        host = yield self.start(self.service(self.shout))
        ada = host.datagrams("shout")
        yield ada.send("fall")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        [done] = [
            done
            for text, done in zip(log.texts, log.works, strict=True)
            if "could not be answered" in text
        ]
        self.assertEqual((done.plugin, done.connection), ("shout", "c1"))

    @inlineCallbacks
    def test_without_proof(self) -> Steps[None]:
        """
        Who does not prove to be there is not heard; what no client answers is silence.
        """
        host = yield self.start(self.service(self.shout))
        ghost = host.datagrams("shout", proof=False)
        yield ghost.send("hello")
        self.assertEqual((yield ghost.received()), [])
        yield ghost.close()

    @inlineCallbacks
    def test_twisteds_own(self) -> Steps[None]:
        """
        A protocol of Twisted's own will do; what it raises harms nobody.
        """
        host = yield self.start(
            self.service(lambda host: host.datagrams("udp:7072", Plain()))
        )
        ada = host.datagrams("shout", proof=False)
        yield ada.send("fall")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        yield ada.send("ab")
        self.assertEqual((yield ada.receive()), "abab")
        yield ada.send(b"\xff")
        self.assertEqual((yield ada.receive()), b"\xff\xff")
        yield host.stop()

    @inlineCallbacks
    def test_beside_lines(self) -> Steps[None]:
        """
        Where datagrams come to is told when the daemon is ready, and on the page at
        ``/``; nobody talks lines there, nor sends datagrams to where there is nothing.
        """
        log = Observed.during(self)

        def both(host: Any) -> Any:
            host.web.mount("/pages", Routes())
            return self.shout(host)

        host = yield self.start(self.service(both))
        self.assertIn("shout answers at 127.0.0.1:7072", log.texts)
        [port] = map_routes(host._host).ports
        self.assertEqual(
            (port.endpoint, port.answers), ("udp:7072:interface=127.0.0.1", "Shout")
        )
        page = (yield host.http().get("/")).text
        self.assertIn("udp:127.0.0.1:7072", page)
        with self.assertRaises(LookupError):
            host.lines("shout")
        with self.assertRaises(LookupError):
            host.datagrams("udp:9")

    @inlineCallbacks
    def test_conflict(self) -> Steps[None]:
        """
        Two services cannot have one port.
        """

        def twice(host: Any) -> Any:
            self.shout(host)
            return self.shout(host)

        with self.assertRaises(StartFailed) as caught:
            yield self.start(self.service(twice))
        self.assertIsInstance(caught.exception.__cause__, Conflict)
        self.assertIn("UDP port 7072 of 127.0.0.1", str(caught.exception))

    @inlineCallbacks
    def test_not_returned(self) -> Steps[None]:
        """
        One that was made and not returned is missed.
        """

        def forgetful(host: Any) -> Any:
            self.shout(host)
            return Service()

        with self.assertRaises(StartFailed) as caught:
            yield self.start(self.service(forgetful))
        self.assertIn("did not return it from makeService", str(caught.exception))

    @inlineCallbacks
    def test_memory(self) -> Steps[None]:
        """
        The network in memory has what Twisted's has; a port can be had once, and what
        is sent to nobody is lost.
        """
        self.assertTrue(verifyObject(IReactorUDP, self.clock))
        heard: list[bytes] = []
        hears = DatagramProtocol()
        hears.noisy = False
        hears.datagramReceived = (  # type: ignore[method-assign]
            lambda datagram, addr: heard.append(datagram)
        )
        port: Any = self.clock.listenUDP(9000, hears, maxPacketSize=4)
        self.assertTrue(verifyObject(IUDPTransport, port))
        with self.assertRaises(CannotListenError):
            self.clock.listenUDP(9000, DatagramProtocol(), "127.0.0.1")
        port.write(b"longer", ("127.0.0.1", 9000))
        port.write(b"nobody", ("127.0.0.1", 9001))
        yield self.clock.settle()
        self.assertEqual(heard, [b"long"])
        with self.assertRaises(MessageLengthError):
            port.write(b"x" * 65_508, ("127.0.0.1", 9000))
        with self.assertRaises(ValueError):
            port.write(b"x")
        with self.assertRaises(TypeError):
            port.write("x", ("127.0.0.1", 9000))
        yield port.stopListening()
        self.clock.listenUDP(9000, hears)


class SocketTests(SocketCase):
    """
    Datagrams through a socket.
    """

    @inlineCallbacks
    def test_bound_early(self) -> Steps[None]:
        """
        The port is taken before anything starts; what comes before it opens waits; and
        it is given back.
        """
        heard: Deferred[bytes] = Deferred()

        class Hears(DatagramPeer):
            def heard(self, datagram: bytes) -> None:
                heard.callback(datagram)

        reactor: Any = global_reactor
        datagrams = Datagrams(Hears, clock=reactor, proof=False)
        listener = DatagramListener(
            "udp:0:interface=127.0.0.1", datagrams, "test", reactor
        )
        self.assertEqual(listener.place, "udp:0:interface=127.0.0.1")
        listener.privilegedStartService()
        assert listener._bound is not None
        where = listener._bound.getsockname()
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as another,
            self.assertRaises(OSError),
        ):
            another.bind(where)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.sendto(b"early", where)
            listener.startService()
            yield listener.open()
            self.assertEqual(listener.place, f"127.0.0.1:{where[1]}")
            self.assertEqual((yield heard), b"early")
            self.assertEqual(len(listener.connections), 1)
            yield listener.stopService()
            self.assertIsNone(listener.address)
            self.assertEqual(listener.connections, ())
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as another:
            another.bind(where)

    @inlineCallbacks
    def test_taken(self) -> Steps[None]:
        """
        A port that somebody has cannot be had, and that is known early; one that was
        bound and never opened is given back.
        """
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.bind(("127.0.0.1", 0))
            where = f"udp:{one.getsockname()[1]}:interface=127.0.0.1"
            listener = DatagramListener(where, Plain(), "test", global_reactor)
            with self.assertRaises(CannotListenError):
                listener.privilegedStartService()
        listener.privilegedStartService()
        yield listener.drain("it did not start")
        self.assertEqual((listener.connections, listener._bound), ((), None))
        listener.abort()

    def test_plugin_host(self) -> None:
        """
        The host that plugins see is what the interface says.
        """
        self.assertTrue(IHost.implementedBy(PluginHost))


class DocumentationTests(SynchronousTestCase):
    """
    ``docs/udp.rst`` is true.
    """

    def test_page(self) -> None:
        """
        What the page shows is what happens.
        """
        self.assertEqual(run_page("udp.rst")[1], "")
