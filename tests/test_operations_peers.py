# -*- test-case-name: tests.test_operations_peers -*-
"""
Operations of peers, without any protocol.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from ropewalk.errors import Forbidden, Invalid, NoSuchOperation, TimedOut
from ropewalk.interfaces import Caller, IAuthoriser
from ropewalk.operations import Operations, Progress
from ropewalk.operations.peers import AlreadyOffered, OtherTerms, PeerGone
from ropewalk.operations.registry import TooManyOffered
from tests.callables import Callables

ADA = Caller("test", "192.0.2.1")


class Lamp:
    """
    A peer.

    :ivar asked: What it was asked for.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.asked: list[Any] = []
        self.answer: Any = None

    def ask(
        self, name: str, arguments: Any, caller: Caller, progress: Progress
    ) -> Deferred[Any]:
        self.asked.append((name, arguments, caller))
        progress("soon")
        answer: Deferred[Any] = self.answer or succeed(self.name)
        return answer


@implementer(IAuthoriser)
class Guard:
    """
    :ivar answer: What is answered to all but the stranger.
    """

    answer: Any = True

    def permits(self, caller: Caller, requirement: str, what: str) -> Any:
        self.asked = caller, requirement, what
        return self.answer


class PeersTests(SynchronousTestCase):
    """
    Who is asked, and who may offer.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.operations = Operations(self.clock)
        self.operations.add("house", Callables())
        self.guard = Guard()
        self.operations.authorise(self.guard)

    def offer(self, peer: Any, name: str = "lamp.switch", **more: Any) -> None:
        self.successResultOf(self.operations.offer(name, peer, ADA, **more))

    def refused(self, peer: Any, name: str = "lamp.switch", **more: Any) -> Any:
        offering = self.operations.offer(name, peer, ADA, **more)
        return self.failureResultOf(offering).value

    def call(self, **arguments: Any) -> Any:
        called = self.operations.call("lamp.switch", arguments, ADA)
        return self.successResultOf(called)

    def test_offered(self) -> None:
        """
        What a peer offers is called as anything else, with whatever parameters, until
        it is withdrawn.
        """
        lamp = Lamp("a")
        self.offer(lamp)
        heard: list[Any] = []
        called = self.operations.call(
            "lamp.switch", {"on": True}, ADA, progress=heard.append
        )
        self.assertEqual(self.successResultOf(called), "a")
        self.assertEqual(heard, ["soon"])
        self.assertEqual(lamp.asked, [("lamp.switch", {"on": True}, ADA)])
        self.assertEqual(self.operations.figures()["lamp.switch"].calls, 1)
        plain = self.operations.offered()[-1].plain()
        self.assertEqual((plain["name"], plain["parameters"]), ("lamp.switch", {}))
        self.operations.withdraw("lamp.switch", Lamp("b"))
        self.operations.withdraw("lamp.nothing", lamp)
        self.assertEqual(self.call(), "a")
        self.operations.withdraw("lamp.switch", lamp)
        called = self.operations.call("lamp.switch", {}, ADA)
        self.failureResultOf(called, NoSuchOperation)
        self.assertNotIn("lamp.switch", self.operations)

    def test_one(self) -> None:
        """
        Unless it is said, there is one, who may offer it again.
        """
        lamp = Lamp("a")
        self.offer(lamp)
        self.offer(lamp)
        self.assertIsInstance(self.refused(Lamp("b")), AlreadyOffered)
        self.assertIsInstance(self.refused(Lamp("b"), routing="first"), AlreadyOffered)
        self.assertIsInstance(self.refused(lamp, "house.echo"), AlreadyOffered)
        self.operations.withdraw("lamp.switch", lamp)
        self.offer(Lamp("b"))
        self.assertEqual(self.call(), "b")

    def test_first(self) -> None:
        """
        The first is asked until it is gone, then the next.
        """
        lamps = [Lamp(name) for name in "abc"]
        for lamp in lamps:
            self.offer(lamp, routing="first")
        self.assertEqual([self.call(), self.call()], ["a", "a"])
        self.operations.withdraw("lamp.switch", lamps[0])
        self.assertEqual(self.call(), "b")

    def test_round_robin(self) -> None:
        """
        One after the other is asked, whoever goes meanwhile.
        """
        lamps = [Lamp(name) for name in "abc"]
        for lamp in lamps:
            self.offer(lamp, routing="round-robin")
        self.assertEqual("".join(self.call() for _ in range(4)), "abca")
        self.operations.withdraw("lamp.switch", lamps[0])
        self.assertEqual("".join(self.call() for _ in range(3)), "bcb")

    def test_who_may_offer(self) -> None:
        """
        The authoriser says who may offer what; without one nobody may.
        """
        self.guard.answer = False
        error = self.refused(Lamp("a"))
        self.assertIsInstance(error, Forbidden)
        self.assertEqual(self.guard.asked, (ADA, "operations.offer", "lamp.switch"))
        operations = Operations(self.clock)
        offering = operations.offer("lamp.switch", Lamp("a"), ADA)
        self.failureResultOf(offering, Forbidden)

    def test_who_may_call(self) -> None:
        """
        The peer says what it takes to call it.
        """
        self.offer(Lamp("a"), requires="lamps")
        self.assertEqual(self.call(), "a")
        self.guard.answer = False
        called = self.operations.call("lamp.switch", {}, ADA)
        self.failureResultOf(called, Forbidden)

    def test_other_terms(self) -> None:
        """
        Who offers one operation wants the same of callers, and the same one asked;
        whoever was there first is asked as before.
        """
        self.offer(Lamp("a"), routing="first", requires="lamps")
        for more, told in (
            ({"routing": "first"}, "requires: expected 'lamps', got nothing"),
            (
                {"routing": "first", "requires": "more"},
                "requires: expected 'lamps', got 'more'",
            ),
            (
                {"routing": "round-robin", "requires": "lamps"},
                "routing: expected 'first', got 'round-robin'",
            ),
            ({"requires": "lamps"}, "routing: expected 'first', got 'single'"),
        ):
            error = self.refused(Lamp("b"), **more)
            self.assertIsInstance(error, OtherTerms)
            self.assertEqual(error.status, 409)
            self.assertIn(f"'lamp.switch' is offered with another {told}", str(error))
        self.assertEqual(self.call(), "a")
        self.offer(Lamp("b"), routing="first", requires="lamps")

    def test_more_is_wanted(self) -> None:
        """
        Who wants more of callers than those before is not reached by who has less, and
        hears that it is so. The next after all are gone may want anything.
        """
        lamp, strict = Lamp("a"), Lamp("b")
        self.offer(lamp, routing="round-robin")
        terms: Any = {"routing": "round-robin", "requires": "lamps"}
        self.assertIsInstance(self.refused(strict, **terms), OtherTerms)
        self.assertEqual([self.call(), self.call()], ["a", "a"])
        self.assertIsInstance(self.refused(lamp, **terms), OtherTerms)
        self.operations.withdraw("lamp.switch", lamp)
        self.offer(strict, **terms)
        offered = self.operations.find("lamp.switch")
        assert offered is not None
        self.assertEqual(offered.requires, "lamps")

    def test_gone_meanwhile(self) -> None:
        """
        A peer that goes while somebody thinks about whether it may be called is gone.
        """
        lamp = Lamp("a")
        self.offer(lamp, requires="lamps")
        self.guard.answer = Deferred()
        called = self.operations.call("lamp.switch", {}, ADA)
        self.operations.withdraw("lamp.switch", lamp)
        self.guard.answer.callback(True)
        self.failureResultOf(called, PeerGone)

    def test_time(self) -> None:
        """
        A peer that does not answer is not waited for for ever.
        """
        lamp = Lamp("a")
        lamp.answer = Deferred()
        self.offer(lamp)
        called = self.operations.call("lamp.switch", {}, ADA)
        self.clock.advance(30)
        self.failureResultOf(called, TimedOut)

    def test_names(self) -> None:
        """
        A name has two words, as all have.
        """
        for name in ("", "lamp", "lamp.", ".switch", "lamp.a.b", "lamp.sw itch", "a.5"):
            self.assertIsInstance(self.refused(Lamp("a"), name), Invalid)

    def test_reserved(self) -> None:
        """
        What is asked of connections themselves is nobody's to offer.
        """
        for name in ("rpc.publish", "rpc.cancel", "rpc.anything"):
            error = self.refused(Lamp("a"), name)
            self.assertIsInstance(error, Invalid)
            self.assertIn("name: names that begin with 'rpc.'", str(error))
            self.assertNotIn(name, self.operations)
        self.offer(Lamp("a"), "rpcs.cancel")

    def test_bound(self) -> None:
        """
        Peers offer so many operations, and no more.
        """
        from ropewalk.operations import registry

        self.patch(registry, "_MOST_OF_PEERS", 2)
        for name in ("lamp.a", "lamp.b"):
            self.offer(Lamp("a"), name)
        self.assertIsInstance(self.refused(Lamp("a"), "lamp.c"), TooManyOffered)
