# -*- test-case-name: tests.test_calls_offered -*-
"""
Operations that peers offer over connections.
"""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import Invalid, NoSuchOperation
from ropewalk.hub import MemoryHub
from ropewalk.interfaces import Caller, IAuthoriser, Steps
from ropewalk.net.calls import Calls
from ropewalk.net.calls.asked import PeerBusy, PeerRefused
from ropewalk.net.limits import CallSettings
from ropewalk.operations import Operations
from ropewalk.operations.peers import PeerGone
from ropewalk.testing import TestCase
from tests.offering import Offering
from tests.test_calls import request, result

ADA = Caller("test", "192.0.2.1")


@implementer(IAuthoriser)
class Anybody:
    """
    :ivar answer: What is answered.
    """

    answer: Any = True

    def permits(self, caller: Caller, requirement: str, what: str) -> Any:
        return self.answer


class OfferTests(SynchronousTestCase):
    """
    One peer, and those who call what it offers.
    """

    def setUp(self) -> None:
        self.operations = Operations(Clock())
        self.guard = Anybody()
        self.operations.authorise(self.guard)
        self.said: list[Any] = []

        def say(message: bytes) -> None:
            self.said.append(json.loads(message))

        hub = MemoryHub(lambda: 0.0)
        self.calls = Calls(self.operations, hub, say, CallSettings(running=2))
        self.calls.begin(ADA)

    def hear(self, message: Any) -> list[Any]:
        """What is said when a message has been heard."""
        self.calls.hear(json.dumps(message).encode("utf-8"))
        return self.told()

    def told(self) -> list[Any]:
        said, self.said[:] = [*self.said], []
        return said

    def offer(self, **params: Any) -> list[Any]:
        params.setdefault("name", "lamp.switch")
        return self.hear(request("rpc.offer", 1, params=params))

    def call(self, **arguments: Any) -> Deferred[Any]:
        return self.operations.call("lamp.switch", arguments, ADA)

    def asked(self) -> Any:
        """The id of what the peer is asked."""
        (asked,) = self.told()
        return asked["id"]

    def test_asked(self) -> None:
        """
        A peer is asked what others ask for, and they are told what it answers.
        """
        self.assertEqual(self.offer(), [result(1, True)])
        called = self.call(on=True)
        (asked,) = self.told()
        number = asked.pop("id")
        self.assertEqual(
            asked,
            {
                "jsonrpc": "2.0",
                "method": "lamp.switch",
                "params": {"on": True},
                "progress": True,
            },
        )
        self.assertEqual(self.hear(result(number, {"is": "on"})), [])
        self.assertEqual(self.successResultOf(called), {"is": "on"})
        self.assertEqual(self.hear(result(number, "again")), [])

    def test_progress(self) -> None:
        """
        So are they of its progress; what is of nothing that was asked is dropped.
        """
        self.offer()
        heard: list[Any] = []
        called = self.operations.call("lamp.switch", {}, ADA, progress=heard.append)
        number = self.asked()
        for params in ({"id": number, "value": 5}, {"id": "x", "value": 6}, [7], {}):
            self.assertEqual(self.hear(request("rpc.progress", params=params)), [])
        self.assertEqual(heard, [5])
        self.hear(result(number, None))
        self.assertIsNone(self.successResultOf(called))

    def test_refused(self) -> None:
        """
        What the peer refuses is told with its status, if that can be one; that it is at
        fault itself is none of ours.
        """
        self.offer()
        for data, status in (
            ({"status": 409}, 409),
            ({"status": 500}, 502),
            ({"status": 200}, 502),
            ({}, 502),
        ):
            called = self.call()
            error = {"code": 1, "message": "x" * 1000, "data": data}
            self.hear({"jsonrpc": "2.0", "id": self.asked(), "error": error})
            refused = self.failureResultOf(called, PeerRefused).value
            self.assertEqual((refused.status, str(refused)), (status, "x" * 500))

    def test_cancelled(self) -> None:
        """
        Who is no longer waited for is told.
        """
        self.offer()
        called = self.call()
        number = self.asked()
        called.cancel()
        self.failureResultOf(called, CancelledError)
        self.assertEqual(self.told(), [request("rpc.cancel", params={"id": number})])
        self.assertEqual(self.hear(result(number, "late")), [])

    def test_gone(self) -> None:
        """
        What a peer offers is gone with it, and who waits is told.
        """
        self.offer()
        called = self.call()
        self.calls.cancel()
        self.failureResultOf(called, PeerGone)
        self.failureResultOf(self.call(), NoSuchOperation)

    def test_gone_before(self) -> None:
        """
        Also a peer that goes while somebody thinks about whether it may offer.
        """
        self.guard.answer = Deferred()
        self.assertEqual(self.offer(), [])
        self.calls.cancel()
        self.failureResultOf(self.call(), NoSuchOperation)
        self.assertNotIn("lamp.switch", self.operations)

    def test_offered_too_late(self) -> None:
        """
        One who is let in when they are gone offers nothing.
        """

        class Stubborn(Deferred[Any]):
            def cancel(self) -> None:
                """It does not give in."""

        self.guard.answer = Stubborn()
        self.offer()
        self.calls.cancel()
        self.guard.answer.callback(True)
        self.assertNotIn("lamp.switch", self.operations)

    def test_busy(self) -> None:
        """
        A peer is asked for so much at once, and no more.
        """
        self.offer()
        waiting = [self.call() for _ in range(2)]
        self.failureResultOf(self.call(), PeerBusy)
        for asked in self.told():
            self.hear(result(asked["id"], "done"))
        for called in waiting:
            self.assertEqual(self.successResultOf(called), "done")

    def test_withdrawn(self) -> None:
        """
        A peer can withdraw what it offers, and nothing else.
        """
        self.offer()
        for name, done in (
            ("lamp.other", False),
            (5, False),
            ("lamp.switch", True),
            ("lamp.switch", False),
        ):
            asked = request("rpc.withdraw", 2, params={"name": name})
            self.assertEqual(self.hear(asked), [result(2, done)])
        self.failureResultOf(self.call(), NoSuchOperation)

    def test_forbidden(self) -> None:
        """
        Who may not is told so.
        """
        self.guard.answer = False
        (answer,) = self.offer()
        self.assertEqual(answer["error"]["code"], -32003)

    def test_invalid(self) -> None:
        """
        What is wrong with an offer is told by its path.
        """
        for params, path in (
            ({"routing": "any"}, "routing"),
            ({"name": 5}, "name"),
            ({"name": "lamp"}, "name"),
            ({"more": 5}, "more"),
        ):
            (answer,) = self.offer(**params)
            self.assertEqual(answer["error"]["code"], -32602)
            (fault,) = answer["error"]["data"]["errors"]
            self.assertEqual(fault["path"], path)
        (answer,) = self.hear(request("rpc.offer", 1, params=["lamp.switch"]))
        self.assertEqual(answer["error"]["code"], -32602)

    def test_many(self) -> None:
        """
        One peer offers so many, and no more.
        """
        for number in range(100):
            self.assertEqual(self.offer(name=f"lamp.a{number}"), [result(1, True)])
        (answer,) = self.offer(name="lamp.b")
        self.assertEqual(answer["error"]["code"], -32009)
        self.assertEqual(self.offer(name="lamp.a5"), [result(1, True)])

    def test_broken_guard(self) -> None:
        """
        What goes wrong with us is logged, and the peer hears that it did.
        """

        def fail(caller: Caller, requirement: str, what: str) -> bool:
            raise ZeroDivisionError

        self.guard.permits = fail  # type: ignore[method-assign]
        (answer,) = self.offer()
        self.assertEqual(answer["error"]["code"], -32603)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_what_cannot_be_handed_on(self) -> None:
        """
        What came in a format that says more than the peer's is refused.
        """
        self.offer()
        called = self.operations.call("lamp.switch", {"on": object()}, ADA)
        self.failureResultOf(called, Invalid)
        self.assertEqual(self.told(), [])


class DaemonTests(TestCase):
    """
    A browser offers, and whoever else calls.
    """

    @inlineCallbacks
    def test_across(self) -> Steps[None]:
        """
        What is offered by WebSocket is called over HTTP, in lines and by a service; and
        it is gone with the WebSocket.
        """
        hosts: list[Any] = []

        def make(host: Any) -> None:
            hosts.append(host)
            host.authorise(Anybody())

        host = yield self.start(
            Offering("lamps", "lamps", make=make),
            settings='[web]\n[operations]\nlines = "tcp:7071"\n',
        )
        socket = host.socket("/live")
        yield socket.send(request("rpc.offer", 1, params={"name": "lamp.switch"}))
        yield socket.receive()
        line, http = host.lines("tcp:7071"), host.http()
        yield line.send(json.dumps(request("lamp.switch", 5, params={"on": 1})))
        yield http.send("POST", "/operations/lamp.switch", json={"on": 2})
        called = hosts[0].operations.call("lamp.switch", {"on": 3})
        for number in (1, 2, 3):
            asked = (yield socket.receive()).json()
            self.assertEqual(asked["params"], {"on": number})
            yield socket.send(result(asked["id"], number))
        self.assertEqual((yield line.receive()).json(), result(5, 1))
        self.assertEqual((yield http.receive()).json(), 2)
        self.assertEqual((yield called), 3)
        yield socket.close()
        called = hosts[0].operations.call("lamp.switch", {})
        yield self.assertFailure(called, NoSuchOperation)
