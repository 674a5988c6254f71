"""
Tests for L{ropewalk.run.authority}.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import Conflict, StartFailed
from ropewalk.hub import ChannelRule
from ropewalk.interfaces import Caller, IAuthoriser, Steps
from ropewalk.operations import operation
from ropewalk.run.authority import Authority
from ropewalk.testing import TestCase
from tests.offering import Offering

ADA = Caller("test", user="ada")


@implementer(IAuthoriser)
class Door:
    """
    Lets in who knocks.
    """

    def permits(self, caller: Caller, requirement: str, what: str) -> bool:
        return requirement == "knock"


class AuthorityTests(SynchronousTestCase):
    """
    One says who may.
    """

    def test_nobody(self) -> None:
        """
        As long as nobody says so, nobody may.
        """
        authority = Authority()
        verifyObject(IAuthoriser, authority)
        self.assertFalse(authority.permits(ADA, "knock", "house"))

    def test_somebody(self) -> None:
        """
        Then they are asked.
        """
        authority = Authority()
        authority.name(Door(), "x.py:1")
        self.assertTrue(authority.permits(ADA, "knock", "house"))
        self.assertFalse(authority.permits(ADA, "ring", "house"))

    def test_two(self) -> None:
        """
        Two cannot both say it: the error has both places.
        """
        authority = Authority()
        authority.name(Door(), "service 'a' (a.py:1)")
        error = self.assertRaises(
            Conflict, authority.name, Door(), "service 'b' (b.py:2)"
        )
        self.assertEqual(
            (error.first, error.second),
            ("service 'a' (a.py:1)", "service 'b' (b.py:2)"),
        )


class House:
    """What can be called."""

    @operation(requires="knock")
    def come(self) -> str:
        """Come in."""
        return "hello"

    @operation(requires="key")
    def stay(self) -> str:
        """Stay."""
        return "no"


class DaemonTests(TestCase):
    """
    All of a daemon asks the same.
    """

    @inlineCallbacks
    def test_both(self) -> Steps[None]:
        """
        Operations and channels do.
        """

        def make(host: Any) -> None:
            host.authorise(Door())
            host.operations.add("house", House())
            for name, requirement in (("open", "knock"), ("closed", "key")):
                host.hub.declare(name, ChannelRule(publish=requirement))

        host = yield self.start(Offering("house", "house", make=make))
        http = host.http()
        for path, status in (
            ("/operations/house.come", 200),
            ("/operations/house.stay", 403),
            ("/channels/open", 201),
            ("/channels/closed", 403),
        ):
            said = yield http.post(path, json={})
            self.assertEqual(said.status, status, path)

    @inlineCallbacks
    def test_twice(self) -> Steps[None]:
        """
        A daemon with two does not start.
        """

        def make(host: Any) -> None:
            host.authorise(Door())
            host.authorise(Door())

        with self.assertRaises(StartFailed) as caught:
            yield self.start(Offering("house", "house", make=make))
        told = str(caught.exception)
        self.assertIn("saying who may do what", told)
        self.assertEqual(told.count("service 'house' ("), 2)
