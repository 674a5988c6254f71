"""
Tests for L{ropewalk.web.intake}, and for how the engine fills it.
"""

from __future__ import annotations

from typing import Any
from unittest import skipUnless
from zlib import compress

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from ropewalk.errors import RopewalkError
from ropewalk.web.intake import HIGH, LOW, SPARE, Intake
from ropewalk.web.limits import HttpLimits
from ropewalk.web.outflow import Outflow
from tests.test_site import Browser, browse
from tests.visiting import Place, Visit, chunked, request


def ignore(*ignored: object) -> None:
    """Does nothing."""


class IntakeTests(SynchronousTestCase):
    """
    The body of a request, as it comes.
    """

    def setUp(self) -> None:
        self.held: list[bool] = []
        self.invited = 0
        self.intake = Intake(None, self.held.append, self.invite)

    def invite(self) -> None:
        self.invited += 1

    def test_waiting(self) -> None:
        """
        Who reads waits for the next piece, and is told the end.
        """
        piece = self.intake.read()
        self.assertNoResult(piece)
        self.intake.add(b"one")
        self.assertEqual(self.successResultOf(piece), b"one")
        self.intake.add(b"two")
        self.assertEqual(self.successResultOf(self.intake.read()), b"two")
        piece = self.intake.read()
        self.intake.end([(b"a", b"b")])
        self.assertEqual(self.successResultOf(piece), b"")
        self.assertEqual(self.successResultOf(self.intake.read()), b"")
        self.assertTrue(self.intake.over)
        self.assertEqual(self.intake.trailers, [(b"a", b"b")])

    def test_taking(self) -> None:
        """
        What is here can be taken without waiting.
        """
        self.assertIsNone(self.intake.take())
        self.intake.add(b"one")
        self.intake.end()
        self.assertEqual([self.intake.take(), self.intake.take()], [b"one", b""])

    def test_one_reader(self) -> None:
        """
        Two cannot read at once; who gives up can read again.
        """
        piece = self.intake.read()
        self.assertRaises(RuntimeError, self.intake.read)
        piece.addErrback(ignore)
        piece.cancel()
        self.intake.add(b"one")
        self.assertEqual(self.successResultOf(self.intake.read()), b"one")

    def test_invited(self) -> None:
        """
        The client is invited when somebody first reads, and once.
        """
        self.assertEqual(self.invited, 0)
        self.intake.take()
        self.intake.take()
        self.assertEqual(self.invited, 1)

    def test_not_invited(self) -> None:
        """
        Who has begun to send need not be invited.
        """
        self.intake.add(b"one")
        self.intake.take()
        self.assertEqual(self.invited, 0)

    def test_broken(self) -> None:
        """
        What has come can be read; then it is told that the rest will not come.
        """
        self.intake.add(b"one")
        self.intake.fail(ConnectionLost())
        self.assertEqual(self.successResultOf(self.intake.read()), b"one")
        self.failureResultOf(self.intake.read(), ConnectionLost)
        self.failureResultOf(self.intake.read(), ConnectionLost)
        self.assertIsNone(self.intake.take())

    def test_broken_while_reading(self) -> None:
        """
        Who waits is told at once.
        """
        piece = self.intake.read()
        self.intake.fail(ConnectionLost())
        self.failureResultOf(piece, ConnectionLost)

    def test_discarded(self) -> None:
        """
        Of a body that nobody wants, nothing is kept, and the client does not wait.
        """
        self.intake.add(b"x" * HIGH)
        self.intake.discard()
        self.intake.add(b"y" * HIGH)
        self.assertEqual(self.held, [True, False])
        self.assertEqual(self.intake.came, 2 * HIGH)

    def test_read_after_that(self) -> None:
        """
        Who reads on all the same, or has been waiting, is told that nothing comes.
        """
        piece = self.intake.read()
        self.intake.discard()
        self.failureResultOf(piece, ConnectionLost)
        self.intake.add(b"more")
        self.failureResultOf(self.intake.read(), ConnectionLost)
        self.intake.end()
        self.failureResultOf(self.intake.read(), ConnectionLost)

    def test_discarded_at_the_end(self) -> None:
        """
        What was read to its end is at its end.
        """
        self.intake.end()
        self.intake.discard()
        self.assertEqual(self.successResultOf(self.intake.read()), b"")

    @given(st.lists(st.one_of(st.binary(min_size=1, max_size=9), st.none())))
    def test_all_and_in_order(self, steps: list[bytes | None]) -> None:
        """
        Whatever comes when, all is read, once and in order, and the client waits
        while there is much.
        """
        held: list[bool] = []
        intake = Intake(None, held.append, ignore)
        sent = read = b""
        for step in [*steps, *[None] * len(steps)]:
            if step is None:
                read += intake.take() or b""
            else:
                sent += step * 5000
                intake.add(step * 5000)
            waits = bool(held) and held[-1]
            self.assertGreaterEqual(len(sent) - len(read), LOW if waits else 0)
            self.assertTrue(waits or len(sent) - len(read) < HIGH)
        intake.end()
        while piece := intake.take():
            read += piece
        self.assertEqual(read, sent)


class Streaming(Resource):
    """
    Takes bodies while they come.
    """

    isLeaf = True
    streams = True
    longest_body = 1_000_000

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Any] = []
        self.answers: list[Outflow] = []

    def render(self, request: Any) -> Any:
        self.requests.append(request)
        self.answers.append(Outflow(request))
        return NOT_DONE_YET


class EngineCase(SynchronousTestCase):
    """
    A site with something that takes bodies while they come.
    """

    def setUp(self) -> None:
        self.streaming = Streaming()
        self.place = Place.of()
        self.place.mount("/stream", self.streaming)
        self.visit = self.place.visit()

    @property
    def request(self) -> Any:
        """The last request."""
        return self.streaming.requests[-1]

    @property
    def intake(self) -> Intake:
        """Its body."""
        intake: Intake = self.request.intake
        return intake

    @property
    def outflow(self) -> Outflow:
        """Its answer."""
        return self.streaming.answers[-1]

    @property
    def producer(self) -> Any:
        """What the transport pauses when it is full."""
        return self.visit.wire.producer

    def reply(self, body: bytes = b"done") -> None:
        """Answer the last request."""
        self.outflow.start(200, [(b"content-type", b"text/plain")])
        self.outflow.finish(body)

    def post(self, length: int, *headers: str, visit: Visit | None = None) -> None:
        """Send the head of a request."""
        said = request("/stream", "POST", f"Content-Length: {length}", *headers)
        (visit or self.visit).send(said)


class EarlyTests(EngineCase):
    """
    A request is answered while its body comes.
    """

    def test_begins_early(self) -> None:
        """
        It begins when the headers are here, and reads what comes.
        """
        self.post(6)
        self.assertEqual(self.intake.length, 6)
        piece = self.intake.read()
        self.visit.send(b"one")
        self.assertEqual(self.successResultOf(piece), b"one")
        self.outflow.start(200, [])
        self.outflow.write(b"first")
        self.assertIn(b"first", self.visit.wire.value())
        self.visit.send(b"two")
        self.assertEqual(self.intake.take(), b"two")
        self.assertEqual(self.intake.take(), b"")
        self.outflow.finish(b"last")
        self.assertEqual(self.visit.answer().body, b"firstlast")
        self.assertEqual(self.place.noted(), [("POST", "/stream", 200)])

    def test_chunks(self) -> None:
        """
        A body in chunks comes so, with its trailers.
        """
        self.visit.send(request("/stream", "POST", "Transfer-Encoding: chunked"))
        self.assertIsNone(self.intake.length)
        self.visit.send(b"3\r\none\r\n0\r\nX-Sum: 1\r\n\r\n")
        self.assertEqual([self.intake.take(), self.intake.take()], [b"one", b""])
        self.assertEqual(self.intake.trailers, [(b"X-Sum", b"1")])
        self.reply()
        self.assertEqual(self.visit.answer().body, b"done")

    def test_together(self) -> None:
        """
        A body that came with the headers, and none at all, are no different.
        """
        self.visit.send(request("/stream", "POST", body=b"all"))
        self.assertEqual([self.intake.take(), self.intake.take()], [b"all", b""])
        self.reply()
        self.visit.send(request("/stream"))
        self.assertEqual(self.intake.take(), b"")
        self.reply()
        self.assertEqual([each.status for each in self.visit.answers()], [200, 200])

    def test_answered_at_the_end(self) -> None:
        """
        Who is told the end can answer at once.
        """
        self.post(3)
        self.intake.read().addCallback(
            lambda _: self.intake.read().addCallback(lambda _: self.reply())
        )
        self.visit.send(b"one")
        self.assertEqual(self.visit.answer().body, b"done")
        self.visit.send(request("/stream"))
        self.reply()
        self.assertEqual(self.visit.answer().body, b"done")

    def test_behind(self) -> None:
        """
        The next request is what comes behind the body.
        """
        head = request("/stream", "POST", "Content-Length: 3")
        self.visit.send(head + b"one" + request("/stream", "PUT", body=b"two"))
        self.assertEqual(self.intake.take(), b"one")
        self.reply(b"1")
        self.assertEqual(self.request.method, b"PUT")
        self.assertEqual(self.intake.take(), b"two")
        self.reply(b"2")
        self.assertEqual([each.body for each in self.visit.answers()], [b"1", b"2"])

    def test_back_pressure(self) -> None:
        """
        The client waits while nobody reads, and goes on when somebody does.
        """
        self.post(10 * HIGH)
        self.visit.send(b"x" * HIGH)
        self.assertEqual(self.visit.wire.producerState, "paused")
        self.intake.take()
        self.assertEqual(self.visit.wire.producerState, "producing")
        self.visit.send(b"x" * HIGH)
        self.assertEqual(self.visit.wire.producerState, "paused")

    def test_both_ways(self) -> None:
        """
        A client that does not read the answer can still send.
        """
        self.post(10 * HIGH)
        self.outflow.start(200, [])
        self.assertIsNone(self.outflow.write(b"first"))
        self.producer.pauseProducing()
        room = self.outflow.write(b"second")
        assert room is not None
        self.visit.send(b"x" * HIGH)
        self.intake.take()
        self.assertEqual(self.visit.wire.producerState, "producing")
        self.assertNoResult(room)
        self.producer.resumeProducing()
        self.successResultOf(room)

    def test_invited(self) -> None:
        """
        A client that waits to be invited is, when somebody reads (RFC 9110, section
        10.1.1).
        """
        self.post(3, "Expect: 100-continue")
        self.assertEqual(self.visit.wire.value(), b"")
        piece = self.intake.read()
        self.assertIn(b"100 Continue", self.visit.wire.value())
        self.visit.send(b"one")
        self.assertEqual(self.successResultOf(piece), b"one")
        self.reply()
        self.assertNotIn("connection", self.visit.answer().headers)

    def test_not_invited(self) -> None:
        """
        One that was not may send it or not: nobody could tell where the next request
        begins.
        """
        self.post(3, "Expect: 100-continue")
        self.reply()
        answer = self.visit.answer()
        self.assertEqual((answer.status, answer.headers["connection"]), (200, "close"))
        self.place.clock.advance(3)
        self.assertTrue(self.visit.closed)

    def test_too_long(self) -> None:
        """
        A body that is said to be too long is refused before it begins; one that
        becomes so, where it does.
        """
        self.post(1_000_001)
        self.assertEqual(self.streaming.requests, [])
        self.assertEqual(self.visit.answer().status, 413)
        visit = self.place.visit()
        visit.send(request("/stream", "POST", "Transfer-Encoding: chunked"))
        piece = self.intake.read()
        visit.send(b"f4241\r\n")
        self.failureResultOf(piece, RopewalkError)
        self.assertEqual(visit.answer().status, 413)
        self.reply()
        self.assertEqual(visit.wire.value(), b"")

    def test_too_long_while_answered(self) -> None:
        """
        An answer that has begun is broken off.
        """
        self.visit.send(request("/stream", "POST", "Transfer-Encoding: chunked"))
        self.outflow.start(200, [])
        self.outflow.write(b"first")
        self.visit.send(b"f4241\r\n")
        self.assertTrue(self.visit.closed)
        self.assertFalse(self.visit.answer().whole)
        self.outflow.finish(b"last")
        self.assertEqual(self.visit.wire.value(), b"")

    def test_no_body(self) -> None:
        """
        So is one whose body turns out to be none.
        """
        self.visit.send(request("/stream", "POST", "Transfer-Encoding: chunked"))
        piece = self.intake.read()
        self.visit.send(b"zzz\r\n")
        self.failureResultOf(piece, RopewalkError)
        self.assertEqual(self.visit.answer().status, 400)

    def test_leaving(self) -> None:
        """
        When the client leaves, who reads and who writes are told.
        """
        self.post(6)
        left, piece = self.outflow.left(), self.intake.read()
        self.visit.leave()
        self.successResultOf(left)
        self.failureResultOf(piece, ConnectionLost)
        self.assertTrue(self.outflow.gone)
        self.reply()
        self.assertEqual(self.place.noted(), [("POST", "/stream", 499)])

    def test_unread(self) -> None:
        """
        What of a body nobody has read goes by, and the connection goes on.
        """
        self.post(6)
        self.visit.send(b"one")
        self.reply()
        self.assertEqual(self.visit.answer().body, b"done")
        self.visit.send(b"two" + request("/stream"))
        self.reply(b"next")
        self.assertEqual(self.visit.answer().body, b"next")

    def test_much_unread(self) -> None:
        """
        If it is much, the connection ends, and the answer says so.
        """
        self.post(SPARE + 1)
        self.reply()
        self.assertEqual(self.visit.answer().headers["connection"], "close")
        self.visit.send(b"x" * 1000)
        self.place.clock.advance(3)
        self.assertTrue(self.visit.closed)

    def test_read_behind_the_answer(self) -> None:
        """
        Who has answered and reads on is told that no more comes, however much it is.
        """
        for length in 6, SPARE + 1:
            visit = self.place.visit()
            self.post(length, visit=visit)
            self.reply()
            self.failureResultOf(self.intake.read(), ConnectionLost)

    def test_bomb(self) -> None:
        """
        No more is unpacked of a body than somebody reads.
        """
        self.streaming.longest_body = 100_000_000
        packed = compress(bytes(50_000_000))
        said = request("/stream", "POST", "Transfer-Encoding: deflate, chunked")
        self.visit.send(said, chunked(packed) + request("/stream"))
        size, largest = 0, 0
        while piece := self.intake.take():
            size += len(piece)
            largest = max(largest, self.request._taken - size)
        self.assertEqual(size, 50_000_000)
        self.assertLess(largest, 2 * HIGH)
        self.reply()
        self.assertEqual(self.visit.answer().body, b"done")
        self.reply(b"next")
        self.assertEqual(self.visit.answer().body, b"next")

    def test_endless_unread(self) -> None:
        """
        If nobody knows how much it is, it ends when it is too much.
        """
        self.visit.send(request("/stream", "POST", "Transfer-Encoding: chunked"))
        self.reply()
        self.assertEqual(self.visit.answer().body, b"done")
        for _ in range(SPARE // 50_000 + 1):
            self.visit.send(chunked(b"x" * 50_000)[:-5])
        self.place.clock.advance(3)
        self.assertTrue(self.visit.closed)

    def test_slow(self) -> None:
        """
        A body that comes too slowly is refused, but not where nobody reads it.
        """
        limits = HttpLimits(body_patience=5, body_floor=100_000)
        place = Place.of(limits=limits)
        place.mount("/stream", self.streaming)
        visit = place.visit()
        self.post(10 * HIGH, visit=visit)
        visit.send(b"x" * HIGH)
        place.clock.pump([1] * 20)
        self.assertFalse(visit.closed)
        self.intake.take()
        self.assertIsNone(self.intake.take())
        place.clock.pump([1] * 7)
        self.assertEqual(visit.answer().status, 408)


class Reader:
    """
    Answers with what it has read, at its own pace.

    :param plan: What it does, step by step: reads, waits, answers early.
    """

    def __init__(self, request: Any, plan: list[str]) -> None:
        self.outflow, self.intake = Outflow(request), request.intake
        self.expected = request.getHeader("x-body")
        self.read = b""
        self.done = False
        self._plan = plan

    def step(self) -> None:
        """Do the next thing."""
        what = self._plan.pop() if self._plan else "read"
        if self.done or what == "wait":
            return
        if what == "give up":
            self.answer(b"early")
            return
        piece = self.intake.take()
        if piece:
            self.read += piece
        elif piece == b"":
            self.answer(b"%d" % (self.read == self.expected.encode()))

    def answer(self, body: bytes) -> None:
        """Answer, in two pieces."""
        self.done = True
        self.outflow.start(200, [(b"x-body", self.expected.encode())])
        self.outflow.write(body[:1])
        self.outflow.finish(body[1:])


class Readers(Streaming):
    """
    Gives each request to a reader.
    """

    def __init__(self, plans: list[list[str]]) -> None:
        super().__init__()
        self.readers: list[Reader] = []
        self._plans = plans

    def render(self, request: Any) -> Any:
        self.readers.append(Reader(request, self._plans.pop() if self._plans else []))
        return NOT_DONE_YET

    def step(self) -> None:
        """Let the last one do the next thing."""
        if self.readers:
            self.readers[-1].step()


_plans = st.lists(
    st.lists(st.sampled_from(["read", "read", "wait", "give up"]), max_size=6),
    max_size=6,
)


class PacesTests(SynchronousTestCase):
    """
    Requests of which the bodies come in any pieces, and are read at any pace.
    """

    @given(
        st.lists(st.tuples(st.binary(max_size=40), st.booleans()), min_size=1),
        st.lists(st.integers(1, 60)),
        _plans,
    )
    def test_each_its_own(
        self, bodies: list[tuple[bytes, bool]], cuts: list[int], plans: list[list[str]]
    ) -> None:
        """
        Each has its own body, whole or given up, and they are answered in order.
        """
        readers, place = Readers(plans), Place.of()
        place.mount("/stream", readers)
        visit = place.visit()
        said, names = b"", [body.hex() or "-" for body, _ in bodies]
        for name, (_, in_chunks) in zip(names, bodies, strict=True):
            body = name.encode()
            if in_chunks:
                headers = f"X-Body: {name}", "Transfer-Encoding: chunked"
                said += request("/stream", "POST", *headers)
                said += chunked(body[:3], body[3:]) if body[3:] else chunked(body)
            else:
                said += request("/stream", "POST", f"X-Body: {name}", body=body)
        while said:
            size = cuts.pop() if cuts else len(said)
            piece, said = said[:size], said[size:]
            visit.send(piece)
            readers.step()
        for _ in range(20 * len(bodies)):
            readers.step()
        answers = visit.answers()
        self.assertEqual([each.headers["x-body"] for each in answers], names)
        self.assertLessEqual({each.body for each in answers}, {b"1", b"early"})
        self.assertFalse(visit.closed)


@skipUnless(http.H2_ENABLED, "h2 is not installed: pip install 'ropewalk[http2]'")
class StreamTests(EngineCase):
    """
    All of this holds in HTTP/2 as well.
    """

    def setUp(self) -> None:
        super().setUp()
        self.browser = browse(self, self.place)

    def test_begins_early(self) -> None:
        """
        It begins when the headers are here, and reads what comes.
        """
        stream = self.browser.ask("/stream", "POST", end=False)
        piece = self.intake.read()
        self.browser.send(b"one")
        self.assertEqual(self.successResultOf(piece), b"one")
        self.outflow.start(200, [(b"x-a", b"b")])
        self.outflow.write(b"first")
        self.browser.turn()
        self.assertEqual((stream.headers["x-a"], stream.body), ("b", b"first"))
        self.browser.send(b"two", end=True)
        self.assertEqual([self.intake.take(), self.intake.take()], [b"two", b""])
        self.outflow.finish(b"last")
        self.browser.turn()
        self.assertEqual((stream.body, stream.whole), (b"firstlast", True))

    def test_no_body(self) -> None:
        """
        A request without a body has none to read.
        """
        stream = self.browser.ask("/stream")
        self.assertEqual(self.intake.take(), b"")
        self.reply()
        self.browser.turn()
        self.assertEqual((stream.status, stream.body), (200, b"done"))

    def test_back_pressure(self) -> None:
        """
        The client has no window while nobody reads.
        """
        self.browser.ask("/stream", "POST", end=False)
        h2, number = self.browser.h2, self.browser.number
        sent = 0
        for _ in range(100):
            size = min(h2.local_flow_control_window(number), 16_384)
            if not size:
                break
            self.browser.send(b"x" * size)
            sent += size
        self.assertEqual(h2.local_flow_control_window(number), 0)
        self.assertLess(sent, 10 * HIGH)
        while self.intake.take():
            self.browser.turn()
        self.assertGreater(h2.local_flow_control_window(number), 0)

    def test_unread(self) -> None:
        """
        The client is told to send no more of what nobody has read.
        """
        stream = self.browser.ask("/stream", "POST", end=False)
        self.reply()
        self.browser.turn()
        self.assertEqual((stream.body, stream.whole, stream.reset), (b"done", True, 0))

    def test_much_unread(self) -> None:
        """
        However much of it is here, and whoever has read some: the connection goes on.
        """
        stream = self.browser.ask("/stream", "POST", end=False)
        for _ in range(SPARE // 16_000):
            self.browser.send(b"x" * 16_000)
            self.intake.take()
        while self.window() >= 16_000:
            self.browser.send(b"x" * 16_000)
        self.reply()
        self.browser.turn()
        self.assertEqual((stream.body, stream.whole, stream.reset), (b"done", True, 0))
        self.failureResultOf(self.intake.read(), ConnectionLost)
        self.check_window()

    def test_slow(self) -> None:
        """
        A body that comes too slowly is refused, but not where nobody reads it.
        """
        limits = HttpLimits(body_patience=5, body_floor=100_000)
        place = Place.of(limits=limits)
        place.mount("/stream", self.streaming)
        self.browser = Browser(place)
        stream = self.browser.ask("/stream", "POST", end=False)
        while size := min(self.window(), 16_000):
            self.browser.send(b"x" * size)
        place.clock.pump([1.0] * 20)
        self.assertEqual(stream.status, 0)
        while self.intake.take():
            pass
        place.clock.pump([1.0] * 8)
        self.browser.turn()
        self.assertEqual(stream.status, 408)
        self.failureResultOf(self.intake.read(), RopewalkError)

    def test_whole(self) -> None:
        """
        Nobody minds how long the answer takes.
        """
        stream = self.browser.ask("/stream", "POST", end=False)
        self.browser.send(b"all", end=True)
        self.place.clock.pump([1.0] * 30)
        self.reply()
        self.browser.turn()
        self.assertEqual((stream.status, stream.body), (200, b"done"))

    def window(self) -> int:
        """How many bytes the last request may still send."""
        left: int = self.browser.h2.local_flow_control_window(self.browser.number)
        return left

    def check_window(self) -> None:
        """Another request of the connection may send as many as the first."""
        self.browser.ask("/stream", "POST", end=False)
        self.assertGreater(self.window(), 30_000)

    def test_window(self) -> None:
        """
        What a client has sent before it reset the stream, unread, takes nothing from
        the window of the others (RFC 9113, section 6.9.1).
        """
        self.browser.ask("/stream", "POST", end=False)
        while size := min(self.window(), 16_000):
            self.browser.send(b"x" * size)
        self.browser.h2.reset_stream(self.browser.number)
        self.browser.turn()
        self.check_window()

    def test_window_of_who_is_cut(self) -> None:
        """
        Nor does it where the answer is broken off.
        """
        self.browser.ask("/stream", "POST", end=False)
        while size := min(self.window(), 16_000):
            self.browser.send(b"x" * size)
        self.outflow.start(200, [])
        self.outflow.write(b"half")
        self.outflow.abort()
        self.browser.turn()
        self.check_window()

    def test_no_window(self) -> None:
        """
        While a client opens no window, nothing is done for its answer; when it does,
        in one of all ways, the answer goes on.
        """
        from h2.settings import SettingCodes

        clock, calls = self.place.clock, list[Any]()

        def call_later(*args: Any) -> Any:
            calls.append(args)
            if len(calls) > 1000:
                self.fail("it is asked again and again")
            return Clock.callLater(clock, *args)

        self.patch(clock, "callLater", call_later)
        h2 = self.browser.h2
        stream = self.browser.ask("/stream")
        h2.increment_flow_control_window(10_000_000)
        self.outflow.start(200, [])
        self.outflow.write(b"x" * 100_000)
        self.browser.turn()
        self.assertEqual(len(stream.body), 65_535)
        self.outflow.finish(b"y" * 100_000)
        h2.increment_flow_control_window(1, self.browser.number)
        self.browser.turn()
        self.assertEqual(len(stream.body), 65_536)
        h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 165_535})
        self.browser.turn()
        self.browser.turn()
        self.assertEqual(len(stream.body), 165_536)
        h2.increment_flow_control_window(100_000, self.browser.number)
        self.browser.turn()
        self.assertEqual(stream.body, b"x" * 100_000 + b"y" * 100_000)
        self.assertTrue(stream.whole)

    @given(
        st.lists(st.sampled_from([10, 15_000, 40_000]), min_size=2, max_size=6),
        st.lists(
            st.tuples(
                st.sampled_from(["write", "open", "widen"]),
                st.integers(0, 5),
                st.sampled_from([1, 5_000, 20_000, 200_000]),
            ),
            max_size=12,
        ),
    )
    def test_windows(self, sizes: list[int], steps: list[tuple[str, int, int]]) -> None:
        """
        Whatever is written, and whichever windows are opened when, all of it comes.
        """
        browser = Browser(self.place)
        streams = [browser.ask("/stream") for _ in sizes]
        answers = self.streaming.answers[-len(sizes) :]
        said = [b"x" * size for size in sizes]
        for answer, body in zip(answers, said, strict=True):
            answer.start(200, [])
            answer.write(body)
        for kind, number, size in steps:
            number %= len(sizes)
            if kind == "write":
                said[number] += b"y" * size
                answers[number].write(b"y" * size)
            elif kind == "open":
                browser.h2.increment_flow_control_window(size, 2 * number + 1)
            else:
                browser.h2.increment_flow_control_window(size)
            browser.turn()
        for number, answer in enumerate(answers):
            answer.finish(b"z")
            browser.h2.increment_flow_control_window(10_000_000, 2 * number + 1)
        browser.h2.increment_flow_control_window(100_000_000)
        browser.turn()
        self.assertEqual(
            [each.body for each in streams], [each + b"z" for each in said]
        )
        self.assertEqual({each.whole for each in streams}, {True})

    def test_stalled(self) -> None:
        """
        A client that opens no window is waited for as long as one that does not read.
        """
        stream = self.browser.ask("/stream")
        left = self.outflow.left()
        self.outflow.start(200, [])
        room = self.outflow.write(b"x" * 200_000)
        assert room is not None
        self.browser.turn()
        self.place.clock.pump([1.0] * 25)
        self.assertNoResult(left)
        self.place.clock.pump([1.0] * 10)
        self.successResultOf(left)
        self.successResultOf(room)
        self.browser.turn()
        self.assertEqual(stream.reset, 2)  # INTERNAL_ERROR
        self.assertTrue(self.outflow.gone)

    def test_too_long(self) -> None:
        """
        A body that becomes too long is refused there.
        """
        self.streaming.longest_body = 10
        stream = self.browser.ask("/stream", "POST", end=False)
        piece = self.intake.read()
        self.browser.send(b"x" * 11)
        self.failureResultOf(piece, RopewalkError)
        self.assertEqual((stream.status, stream.reset), (413, 0))

    def test_leaving(self) -> None:
        """
        When the client resets the stream, who reads and who writes are told.
        """
        self.browser.ask("/stream", "POST", end=False)
        left, piece = self.outflow.left(), self.intake.read()
        self.browser.h2.reset_stream(self.browser.number)
        self.browser.turn()
        self.successResultOf(left)
        self.failureResultOf(piece, ConnectionLost)

    def test_proxies(self) -> None:
        """
        What a trusted proxy says is believed wherever among the headers it stands.
        """
        from ropewalk.web.proxies import Proxies

        self.place.site.proxies = Proxies(["10.9.8.7"])
        headers = ("content-length", "3"), ("x-forwarded-for", "192.0.2.9")
        self.browser.ask("/stream", "POST", *headers, end=False)
        self.assertEqual(self.request.client.host, "192.0.2.9")
