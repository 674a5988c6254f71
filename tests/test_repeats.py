"""
Tests for L{ropewalk.web.repeats}.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.errors import TooMany
from ropewalk.hub import ANYONE, ChannelRule, MemoryHub
from ropewalk.operations import Operations, operation
from ropewalk.web.channels import ChannelPages
from ropewalk.web.operations import OperationPages
from ropewalk.web.repeats import Repeats
from tests.hub_contract import Ears
from tests.visiting import Answer, Place, Visit, request

JSON = "Content-Type: application/json"


class Till:
    """
    Counts money.
    """

    def __init__(self) -> None:
        self.paid: list[int] = []
        self.waiting: list[Deferred[int]] = []
        self.refuses = False

    @operation
    def pay(self, amount: int) -> int:
        """Pay; how often somebody has."""
        self.paid.append(amount)
        if self.refuses:
            raise TooMany("till.pay", 1)
        return len(self.paid)

    @operation
    def wait(self) -> Deferred[int]:
        """Pay, slowly."""
        self.waiting.append(Deferred())
        return self.waiting[-1]

    @operation
    def long(self, size: int) -> str:
        """A long receipt."""
        self.paid.append(size)
        return "x" * size


class RepeatCase(SynchronousTestCase):
    """
    A site with a till, and rooms.
    """

    def setUp(self) -> None:
        self.place = Place.of()
        self.hub = MemoryHub(lambda: 7.0, epoch="e")
        self.hub.declare("rooms.*", ChannelRule(publish=ANYONE))
        self.till = Till()
        self.operations = Operations(Clock())
        self.operations.add("till", self.till)
        channels = ChannelPages(self.hub, self.place.clock)
        self.place.mount("/channels", channels.routes, "channels")
        pages = OperationPages(self.operations)
        self.repeats = pages._repeats = Repeats(4000, 9000)
        self.place.mount("/operations", pages.routes(), "operations")

    def visit(self, number: int = 1) -> Visit:
        """Somebody comes, from an address of their own."""
        visit = self.place.visit()
        visit.wire.peerAddr = IPv4Address("TCP", f"192.0.2.{number}", 5555)
        return visit

    def post(
        self, path: str, body: bytes, key: str = "", number: int = 1, *more: str
    ) -> Answer:
        headers = (JSON, *more) + ((f"Idempotency-Key: {key}",) if key else ())
        return self.visit(number).ask(path, "POST", *headers, body=body)

    def pay(self, amount: int, key: str = "", number: int = 1, *more: str) -> Answer:
        body = b'{"amount":%d}' % amount
        return self.post("/operations/till.pay", body, key, number, *more)

    def problem(self, answer: Answer, status: int) -> Any:
        self.assertEqual(answer.status, status, answer.text)
        return answer.json["detail"]


class OperationTests(RepeatCase):
    """
    ``POST /operations/till.pay`` with a key.
    """

    def test_twice(self) -> None:
        """
        With one key it is done once, and answered as often as it is asked for; without
        one, or with another, it is done each time.
        """
        for key, result in (('"a"', 1), ('"a"', 1), ("", 2), ("", 3), ("b", 4)):
            answer = self.pay(5, key)
            self.assertEqual((answer.status, answer.json), (200, result))
            self.assertEqual(answer.headers["content-type"], "application/json")
        self.assertEqual(self.till.paid, [5] * 4)

    def test_lines(self) -> None:
        """
        Who asks for lines has the last of them.
        """
        self.pay(5, "a")
        answer = self.pay(5, "a", 1, "Accept: application/x-ndjson")
        self.assertEqual(answer.text, '{"result":1}\n')

    def test_others(self) -> None:
        """
        A key is its caller's: what others ask for with the same one is theirs.
        """
        self.assertEqual([self.pay(5, "a", each).json for each in (1, 2)], [1, 2])

    def test_another_request(self) -> None:
        """
        A key that came with another request is refused, and nothing is done.
        """
        self.pay(5, "a")
        self.assertIn("take a new key", self.problem(self.pay(6, "a"), 422))
        answer = self.post("/operations/till.long", b'{"amount":5}', "a")
        self.assertIn("take a new key", self.problem(answer, 422))
        self.assertEqual(self.till.paid, [5])

    def test_still_running(self) -> None:
        """
        What is not done yet is not begun again.
        """
        first = self.visit()
        headers = JSON, "Idempotency-Key: a"
        first.send(request("/operations/till.wait", "POST", *headers, body=b"{}"))
        answer = self.post("/operations/till.wait", b"{}", "a")
        self.assertIn("has not ended", self.problem(answer, 409))
        self.till.waiting[0].callback(3)
        answer = self.post("/operations/till.wait", b"{}", "a")
        self.assertEqual((answer.status, answer.json), (200, 3))
        self.assertEqual(len(self.till.waiting), 1)

    def test_gone(self) -> None:
        """
        What was cancelled, since its client left, may be tried anew.
        """
        first = self.visit()
        headers = JSON, "Idempotency-Key: a"
        first.send(request("/operations/till.wait", "POST", *headers, body=b"{}"))
        first.leave()
        self.visit().send(
            request("/operations/till.wait", "POST", *headers, body=b"{}")
        )
        self.assertEqual(len(self.till.waiting), 2)

    def test_refused(self) -> None:
        """
        What was refused is not remembered.
        """
        self.till.refuses = True
        self.assertEqual(self.pay(5, "a").status, 429)
        self.till.refuses = False
        self.assertEqual(self.pay(5, "a").json, 2)

    def test_no_key(self) -> None:
        """
        A key that is too long, or several, are refused by name.
        """
        for headers in (
            (f"Idempotency-Key: {'x' * 256}",),
            ("Idempotency-Key: a", "Idempotency-Key: b"),
        ):
            answer = self.pay(5, "", 1, *headers)
            self.assertEqual(answer.status, 400)
            (fault,) = answer.json["errors"]
            self.assertEqual(
                (fault["in"], fault["path"]), ("header", "Idempotency-Key")
            )
        self.assertEqual(self.till.paid, [])

    def test_too_long(self) -> None:
        """
        What has a long answer is done once, too; the answer is not told again.
        """
        body = b'{"size":5000}'
        self.assertEqual(self.post("/operations/till.long", body, "a").status, 200)
        answer = self.post("/operations/till.long", body, "a")
        self.assertIn("its answer had 5002 bytes", self.problem(answer, 409))
        self.assertEqual(self.till.paid, [5000])

    def test_bounds(self) -> None:
        """
        When much is remembered for one, their oldest is forgotten; when it is too much
        for all, the oldest of all.
        """
        for key in "abcd":  # three have room
            self.pay(1, key)
        self.assertEqual([self.pay(1, key).json for key in "bcd"], [2, 3, 4])
        self.assertEqual(self.pay(1, "a").json, 5)
        for number in range(2, 8):  # of these, and of all, eight
            self.assertEqual(self.pay(1, "a", number).json, number + 4)
        self.assertEqual(self.repeats.size, 8 * 1024 + 10)
        self.assertEqual(self.pay(1, "a").json, 5)
        self.assertEqual(self.pay(1, "d").json, 4)
        self.assertEqual(self.pay(1, "c").json, 12)
        self.assertEqual(self.pay(1, "a", 7).json, 11)

    def test_empty(self) -> None:
        """
        What is forgotten takes nothing.
        """
        repeats = self.repeats
        self.till.refuses = True
        self.pay(1, "a")
        self.assertEqual((repeats.size, repeats._kept, repeats._shares), (0, {}, {}))


class ChannelTests(RepeatCase):
    """
    ``POST /channels/rooms.lobby`` with a key.
    """

    def test_twice(self) -> None:
        """
        It is published once, and told as often as it is asked for.
        """
        ears = Ears()
        self.hub.subscribe("rooms.lobby", ears)
        answers = [self.post("/channels/rooms.lobby", b'"hi"', "a") for _ in range(2)]
        self.assertEqual([answer.status for answer in answers], [201, 201])
        self.assertEqual(answers[0].json, answers[1].json)
        self.assertEqual(answers[0].json["sequence"], 1)
        self.assertEqual(ears.said, ["hi"])

    def test_another_room(self) -> None:
        """
        The same in another room is another request.
        """
        self.post("/channels/rooms.lobby", b'"hi"', "a")
        answer = self.post("/channels/rooms.attic", b'"hi"', "a")
        self.assertIn("take a new key", self.problem(answer, 422))

    def test_no_key(self) -> None:
        """
        An empty one is none.
        """
        answer = self.visit().ask(
            "/channels/rooms.lobby", "POST", JSON, "Idempotency-Key:", body=b"1"
        )
        self.assertEqual(answer.status, 400, answer.text)
        self.assertEqual(self.hub.figures().published, 0)
