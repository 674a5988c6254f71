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
from ropewalk.errors import Fault, Invalid, NoSuchOperation
from ropewalk.hub import MemoryHub
from ropewalk.interfaces import Caller, IAuthoriser, Steps
from ropewalk.net.calls import CallLines, Calls, asked
from ropewalk.net.calls.asked import PeerBusy, PeerRefused
from ropewalk.net.limits import CallSettings
from ropewalk.operations import Operations
from ropewalk.operations.peers import PeerGone
from ropewalk.testing import TestCase
from tests.callables import Callables
from tests.offering import Offering
from tests.test_calls import request, result
from tests.wiring import connect

ADA = Caller("test", "192.0.2.1")


@implementer(IAuthoriser)
class Anybody:
    """
    :ivar answer: What is answered.
    """

    answer: Any = True

    def permits(self, caller: Caller, requirement: str, what: str) -> Any:
        return self.answer


class Stubborn(Deferred[Any]):
    """
    Does not give in.
    """

    def cancel(self) -> None:
        """It is called, and nothing comes of it."""


class OfferTestCase(SynchronousTestCase):
    """
    One peer, which may offer.
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
        (told,) = self.told()
        return told["id"]


class OfferTests(OfferTestCase):
    """
    One peer, and those who call what it offers.
    """

    def test_asked(self) -> None:
        """
        A peer is asked what others ask for, and they are told what it answers.
        """
        self.assertEqual(self.offer(), [result(1, True)])
        called = self.call(on=True)
        (told,) = self.told()
        number = told.pop("id")
        self.assertEqual(
            told,
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

    def test_faults(self) -> None:
        """
        All that the peer says is wrong with the parameters is told by its path; what is
        none, or too much, is not.
        """
        self.offer()
        fault = {"path": "on", "problem": "expected true or false, got 7"}
        for errors, told in (
            ([fault, {"path": "x" * 999, "problem": "y" * 999}], 2),
            ([fault] * 150, 100),
            ([fault, 7, {"path": 1, "problem": "x"}, {"path": "x"}], 1),
        ):
            called = self.call()
            data = {"status": 422, "errors": errors}
            error = {"code": -32602, "message": "no", "data": data}
            self.hear({"jsonrpc": "2.0", "id": self.asked(), "error": error})
            faults = self.failureResultOf(called, Invalid).value.faults
            self.assertEqual(len(faults), told)
            self.assertEqual(faults[0], Fault("on", "expected true or false, got 7"))
            for each in faults[1:]:
                self.assertLessEqual(len(str(each)), 1002)

    def test_no_faults(self) -> None:
        """
        Without any, or by another status, it is told as what it is.
        """
        self.offer()
        fault = {"path": "on", "problem": "no"}
        for status, errors in ((422, []), (422, "on"), (422, [7]), (409, [fault])):
            called = self.call()
            data = {"status": status, "errors": errors}
            error = {"code": 1, "message": "no", "data": data}
            self.hear({"jsonrpc": "2.0", "id": self.asked(), "error": error})
            refused = self.failureResultOf(called, PeerRefused).value
            self.assertEqual((refused.status, str(refused)), (status, "no"))

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
        for told in self.told():
            self.hear(result(told["id"], "done"))
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
            withdrawn = request("rpc.withdraw", 2, params={"name": name})
            self.assertEqual(self.hear(withdrawn), [result(2, done)])
        self.failureResultOf(self.call(), NoSuchOperation)

    def test_withdrawn_before(self) -> None:
        """
        So can it what somebody still thinks about: the offer is cancelled.
        """
        for stubborn in (False, True):
            self.guard.answer = Stubborn() if stubborn else Deferred()
            self.assertEqual(self.offer(), [])
            withdrawn = request("rpc.withdraw", 2, params={"name": "lamp.switch"})
            told = self.hear(withdrawn)
            if stubborn:
                self.guard.answer.callback(True)
                told += self.told()
            codes = {each["id"]: each.get("error", {}).get("code") for each in told}
            self.assertEqual(codes, {1: -32099, 2: None})
            self.assertIn(result(2, True), told)
            self.assertNotIn("lamp.switch", self.operations)
            self.assertEqual(self.hear(withdrawn), [result(2, False)])

    def test_withdrawn_before_it_began(self) -> None:
        """
        And an offer that waits for others to end.
        """
        self.guard.answer = Deferred()
        for number in (1, 2):
            name = {"name": f"lamp.a{number}"}
            self.hear(request("rpc.offer", number, params=name))
        self.hear(request("rpc.offer", 3, params={"name": "lamp.switch"}))
        told = self.hear(request("rpc.withdraw", 4, params={"name": "lamp.switch"}))
        self.assertEqual([each["id"] for each in told], [3, 4])
        self.assertEqual(told[0]["error"]["code"], -32099)
        self.assertEqual(told[1], result(4, True))
        self.guard.answer.callback(True)
        self.assertNotIn("lamp.switch", self.operations)

    def test_offered_anew(self) -> None:
        """
        What was taken back can be offered anew, also before who was asked about the
        first time has decided.
        """
        first = self.guard.answer = Stubborn()
        self.offer()
        self.hear(request("rpc.withdraw", params={"name": "lamp.switch"}))
        self.guard.answer = True
        offered = self.hear(request("rpc.offer", 5, params={"name": "lamp.switch"}))
        self.assertEqual(offered, [result(5, True)])
        first.callback(True)
        (answer,) = self.told()
        self.assertEqual((answer["id"], answer["error"]["code"]), (1, -32099))
        self.assertIn("lamp.switch", self.operations)

    def test_when_gone(self) -> None:
        """
        Who is gone offers nothing any more.
        """
        self.calls.cancel()
        (answer,) = self.offer()
        self.assertEqual(answer["error"]["code"], -32099)
        self.assertNotIn("lamp.switch", self.operations)

    def test_reserved(self) -> None:
        """
        Nobody takes the place of what is asked of a connection itself.
        """
        (answer,) = self.offer(name="rpc.publish")
        self.assertEqual(answer["error"]["code"], -32602)
        params = {"channel": "rooms.lobby", "body": "hello"}
        (answer,) = self.hear(request("rpc.publish", 7, params=params))
        self.assertEqual((answer["id"], answer["error"]["code"]), (7, -32003))

    def test_other_terms(self) -> None:
        """
        Who offers the same on other terms is told which.
        """
        self.offer(routing="first")
        (answer,) = self.offer(routing="first", requires="lamps")
        self.assertEqual(answer["error"]["code"], -32009)
        self.assertIn("requires: expected nothing", answer["error"]["message"])

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
            ({"requires": ""}, "requires"),
            ({"requires": "x" * 256}, "requires"),
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

    def test_many_at_once(self) -> None:
        """
        Those that somebody still thinks about count as well.
        """
        self.patch(asked, "_MOST_OFFERED", 1)
        self.guard.answer = Deferred()
        self.offer()
        (answer,) = self.hear(request("rpc.offer", 2, params={"name": "lamp.b"}))
        self.assertEqual(answer["error"]["code"], -32009)
        self.guard.answer.callback(True)
        self.assertEqual(self.told(), [result(1, True)])

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


class FullTests(OfferTestCase):
    """
    A peer that asks for as much as it may, and is asked itself.
    """

    def setUp(self) -> None:
        super().setUp()
        self.house = Callables()
        self.operations.add("house", self.house)

    def wait(self, *numbers: int) -> Any:
        """Ask for what takes its time; what has to be waited for, if something has."""
        for number in numbers:
            asking = json.dumps(request("house.wait", number)).encode()
            waiting = self.calls.hear(asking)
        return waiting

    def test_answers_are_heard(self) -> None:
        """
        A peer that asks for what it offers itself is heard, so that it can answer; what
        it asks for beyond that is refused, and what needs no room is done.
        """
        self.offer()
        for number in range(10, 14):
            params = {"number": number}
            waiting = self.calls.hear(
                json.dumps(request("lamp.switch", number, params=params)).encode()
            )
            self.assertIsNone(waiting)
        numbers = [each["id"] for each in self.told()]
        self.assertEqual(len(numbers), 2)
        (answer,) = self.hear(request("lamp.switch", 14))
        self.assertEqual((answer["id"], answer["error"]["code"]), (14, -32029))
        self.assertIn("4 requests of this connection", answer["error"]["message"])
        self.assertEqual(self.hear(request("lamp.switch")), [])
        (answer,) = self.hear([request("lamp.switch", 15), request("rpc.none", 16)])
        codes = [each["error"]["code"] for each in answer]
        self.assertEqual(codes, [-32029, -32601])
        done = self.hear(request("rpc.cancel", 17, params={"id": 13}))
        self.assertEqual([each["id"] for each in done], [13, 17])
        told = self.hear(result(numbers[0], "on"))
        self.assertEqual(told[-1]["method"], "lamp.switch")
        self.assertIn(result(10, "on"), told)

    def test_asked_while_it_waits(self) -> None:
        """
        A peer that was made to wait is heard as soon as it is asked for something, and
        is made to wait again when it has answered.
        """
        self.offer()
        waiting = self.wait(1, 2, 3, 4)
        self.assertNoResult(waiting)
        called = self.call()
        self.successResultOf(waiting)
        self.assertIsNone(self.wait(5))
        told, refused = self.told()
        self.assertEqual((refused["id"], refused["error"]["code"]), (5, -32029))
        answered: Any = self.calls.hear(json.dumps(result(told["id"], "on")).encode())
        self.assertEqual(self.successResultOf(called), "on")
        self.assertNoResult(answered)
        self.house.come()
        self.successResultOf(answered)

    def test_bound(self) -> None:
        """
        However often it is asked, no more of its requests wait.
        """
        self.offer()
        self.wait(1, 2, 3, 4)
        for number in range(5, 50):
            called = self.call()
            called.cancel()
            self.failureResultOf(called, CancelledError)
            self.wait(number)
            refused = self.told()[-1]
            self.assertEqual(
                (refused["id"], refused["error"]["code"]), (number, -32029)
            )
        for _ in range(4):
            self.house.come()
        self.assertFalse(self.calls.busy)

    def test_lines(self) -> None:
        """
        So it is over a connection, whose peer is not read while it waits.
        """
        clock = Clock()
        settings = CallSettings(running=2)
        hub = MemoryHub(lambda: 0.0)
        peer = connect(clock, CallLines(clock, self.operations, hub, settings))

        def send(*messages: Any) -> list[Any]:
            lines = "".join(json.dumps(each) + "\n" for each in messages)
            peer.transport.write(lines.encode())
            for _ in range(5):
                clock.advance(0)
            return [json.loads(line) for line in peer.said().split("\n") if line]

        send(request("rpc.offer", 1, params={"name": "lamp.switch"}))
        send(*(request("house.wait", number) for number in range(10, 14)))
        called = self.call()
        (told,) = send()
        self.assertEqual(send(result(told["id"], "on")), [])
        self.assertEqual(self.successResultOf(called), "on")


class SilenceTests(OfferTestCase):
    """
    A peer that offers something, and says nothing.
    """

    def test_silence(self) -> None:
        """
        It is let go when it offers nothing any more, and no sooner.
        """
        clock = Clock()
        hub = MemoryHub(lambda: 0.0)
        lines = CallLines(clock, self.operations, hub, CallSettings())
        peer = connect(clock, lines)
        for method in ("rpc.offer", "rpc.withdraw"):
            asking = request(method, 1, params={"name": "lamp.switch"})
            peer.transport.write(json.dumps(asking).encode() + b"\n")
            clock.advance(0)
            self.assertIsNone(peer.reason)
            clock.advance(lines.idle)
            clock.advance(0)
        self.assertIsNotNone(peer.reason)


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
