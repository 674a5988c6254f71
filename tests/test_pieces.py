"""
Tests for L{ropewalk.web.pieces}.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from io import BytesIO
from itertools import count
from typing import Any
from unittest import skipUnless

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor as global_reactor
from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web import http
from zope.interface.verify import verifyObject

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import RopewalkError
from ropewalk.interfaces import Steps
from ropewalk.net.listening import ConnectionFactory, namer
from ropewalk.telemetry import Work
from ropewalk.web.answers import Stream
from ropewalk.web.mounts import Mounts
from ropewalk.web.pieces import CHUNK, MOST, FilePieces, Text, _Flow
from ropewalk.web.problems import Refused
from ropewalk.web.site import Request, Site
from tests.answering import Answers, always
from tests.test_site import browse
from tests.visiting import Place, Visit, parse, request
from tests.wiring import Peer, connect

reactor: Any = global_reactor

KIB = b"x" * 1024


class Turns(Clock):
    """
    A clock that is as a reactor is: what is to be called soon, while something is
    called, is called in the next turn. Twisted's would never come to an end.
    """

    def advance(self, amount: float) -> None:
        self.rightNow += amount
        for call in [each for each in self.calls if each.getTime() <= self.seconds()]:
            if call.active():
                self.calls.remove(call)
                call.called = 1
                call.func(*call.args, **call.kw)


def place() -> Place:
    """A site with such a clock."""
    clock, seen = Turns(), list[Request]()
    return Place(Site(Mounts(), clock, observe=seen.append), clock, seen)


class Source:
    """
    Where the pieces of a stream come from.

    :ivar pulled: How many pieces were asked for.
    :ivar ended: How it was ended: by what was raised in it.
    :ivar waiting: What it waits for.
    """

    def __init__(self) -> None:
        self.pulled = 0
        self.ended: list[str] = []
        self.waiting: list[Deferred[Any]] = []

    def wait(self) -> Deferred[Any]:
        waiting: Deferred[Any] = Deferred()
        self.waiting.append(waiting)
        return waiting

    def note(self, error: BaseException) -> None:
        kind = type(error)
        self.ended.append(f"{kind.__module__.partition('.')[0]}.{kind.__name__}")

    def endless(self, piece: bytes = KIB) -> Iterator[bytes]:
        try:
            while True:
                self.pulled += 1
                yield piece
        except BaseException as error:
            self.note(error)
            raise

    async def endless_async(self, piece: bytes = KIB) -> AsyncIterator[bytes]:
        try:
            while True:
                self.pulled += 1
                yield piece
        except BaseException as error:
            self.note(error)
            raise

    def events(self) -> Generator[Any, Any, None]:
        try:
            while True:
                yield (yield self.wait())
        except BaseException as error:
            self.note(error)
            raise

    async def events_async(self) -> AsyncIterator[Any]:
        try:
            while True:
                yield await self.wait()
        except BaseException as error:
            self.note(error)
            raise


class PiecesTestCase(SynchronousTestCase):
    """
    A site which answers with pieces.
    """

    def setUp(self) -> None:
        self.place = place()
        self.clock = self.place.clock
        self.answers = Answers(self.clock)
        self.place.mount("/", self.answers)
        self.source = Source()

    def ask(self, pieces: Any, *headers: str, method: str = "GET") -> Visit:
        """A visit that asked for what a handler answers with."""
        self.answers.handler = pieces if callable(pieces) else lambda _: pieces
        visit = self.place.visit()
        visit.send(request("/", method, *headers))
        return visit

    def turn(self, times: int = 1) -> None:
        for _ in range(times):
            self.clock.advance(0)

    def assertIdle(self) -> None:
        """Nothing would happen in the next turn."""
        calls = self.clock.getDelayedCalls()
        self.assertEqual([each for each in calls if each.getTime() == 0], [])

    def connect(self) -> Peer:
        """A client that can stop reading."""
        factory = ConnectionFactory(self.place.site, Work(plugin="web"), namer())
        peer: Any = None
        server = factory.buildProtocol(peer)
        client: Peer = connect(self.clock, server)
        return client


class OrderTests(PiecesTestCase):
    """
    What comes is sent, in order, as soon as the client can have it.
    """

    def test_at_once(self) -> None:
        """
        A stream that is there at once is an answer like any other.
        """

        async def pieces() -> AsyncIterator[str]:
            yield "one "
            yield "two"

        for each in iter(["one ", b"two"]), pieces(), iter([b"one ", b"two"]):
            answer = self.ask(each).answer()
            self.assertEqual(answer.body, b"one two")
            self.assertEqual(answer.headers["content-length"], "7")

    def test_later(self) -> None:
        """
        What comes later is sent when it comes, in chunks; what is empty is no
        chunk, which would be the end.
        """
        for pieces in self.source.events, self.source.events_async:
            visit = self.ask(pieces())
            self.assertEqual(visit.wire.value(), b"")
            self.source.waiting[-1].callback("one")
            said = visit.wire.value()
            self.assertTrue(said.endswith(b"\r\n\r\n3\r\none\r\n"), said)
            self.source.waiting[-1].callback("")
            self.source.waiting[-1].callback("two")
            self.assertEqual(visit.wire.value(), said + b"3\r\ntwo\r\n")
            self.source.waiting[-1].errback(RuntimeError())
            self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_together(self) -> None:
        """
        What comes together is sent together.
        """

        def pieces() -> Iterator[Any]:
            yield "one "
            yield "two "
            yield self.source.wait()
            yield "three"

        visit = self.ask(pieces())
        self.assertIn(b"\r\n8\r\none two \r\n", visit.wire.value())
        self.source.waiting[0].callback(None)
        (answer,) = visit.answers()
        self.assertEqual((answer.body, answer.whole), (b"one two three", True))
        self.assertFalse(visit.closed)
        self.assertIdle()

    def test_beginning(self) -> None:
        """
        An empty piece sends what there is, if only the headers.
        """

        def pieces() -> Iterator[Any]:
            yield b""
            yield self.source.wait()

        visit = self.ask(pieces())
        (answer,) = visit.answers()
        self.assertEqual((answer.status, answer.whole), (200, False))

    def test_nothing(self) -> None:
        """
        A stream of nothing is an empty answer.
        """
        for pieces in iter([]), iter([""]):
            answer = self.ask(pieces).answer()
            self.assertEqual((answer.status, answer.body), (200, b""))

    def test_old_client(self) -> None:
        """
        A client of HTTP/1.0 gets no chunks; the end of the connection is the end.
        """
        self.answers.handler = lambda _: self.source.events()
        visit = self.place.visit()
        visit.send(b"GET / HTTP/1.0\r\n\r\n")
        self.source.waiting[-1].callback("one")
        self.source.waiting[-1].callback("two")
        self.source.waiting[-1].errback(StopIteration())
        self.assertTrue(visit.wire.value().endswith(b"\r\n\r\nonetwo"))
        self.flushLoggedErrors()

    def test_next_request(self) -> None:
        """
        The connection can be used again.
        """
        visit = self.ask(self.source.endless(b""), method="HEAD")
        visit.answer("HEAD")
        self.answers.handler = lambda _: iter([KIB] * 1000)
        visit.send(request("/") + request("/"))
        self.turn(40)
        one, two = visit.answers()
        self.assertEqual((len(one.body), one.whole), (1_024_000, True))
        self.assertEqual(two, one)

    @given(st.lists(st.one_of(st.binary(), st.text(), st.just(KIB * 70))))
    def test_any(self, pieces: list[Any]) -> None:
        """
        Whatever the pieces are, the body is all of them.
        """
        self.setUp()
        visit = self.ask(iter(pieces))
        self.turn(len(pieces) + 2)
        (answer,) = visit.answers()
        encoded = [p if isinstance(p, bytes) else p.encode() for p in pieces]
        self.assertEqual((answer.body, answer.whole), (b"".join(encoded), True))


class WaitingTests(PiecesTestCase):
    """
    A plain generator can wait, as under C{@inlineCallbacks}.
    """

    def test_results(self) -> None:
        """
        What is waited for is sent back in; everything else is a piece.
        """

        def pieces() -> Generator[Any, Any, None]:
            self.assertIsNone((yield "one "))
            yield (yield succeed("two "))
            yield (yield self.source.wait())
            yield (yield asynchronous())

        async def asynchronous() -> str:
            return "four"

        visit = self.ask(pieces())
        self.source.waiting[0].callback("three ")
        self.assertEqual(visit.answer().text, "one two three four")

    def test_failures(self) -> None:
        """
        A failure is raised where it was waited for, and can be handled there.
        """

        def pieces() -> Generator[Any, Any, None]:
            for waited in fail(ValueError("at once")), self.source.wait():
                try:
                    yield waited
                except ValueError as error:
                    yield f"{error} "

        visit = self.ask(pieces())
        self.source.waiting[0].errback(ValueError("later"))
        self.assertEqual(visit.answer().text, "at once later ")

    def test_iterators(self) -> None:
        """
        Where nothing can be sent in, what is waited for is the piece.
        """
        for pieces in (
            map(succeed, ["one ", "two"]),
            (succeed(each) for each in ["one ", "two"]),
        ):
            self.assertEqual(self.ask(pieces).answer().text, "one two")
        visit = self.ask(map(fail, [Refused(404, "gone")]))
        self.assertEqual(visit.answer().json["detail"], "gone")

    def test_inner_generator(self) -> None:
        """
        C{yield from} leads on to another.
        """

        def inner() -> Generator[Any, Any, str]:
            yield "one "
            text: str = yield succeed("two")
            return text

        def pieces() -> Generator[Any, Any, None]:
            yield (yield from inner())

        self.assertEqual(self.ask(pieces()).answer().text, "one two")


class FairnessTests(PiecesTestCase):
    """
    Who reads slowly, or never enough, is in nobody's way.
    """

    def assertPaused(self, client: Peer) -> None:
        """
        As long as a client does not read, no more is pulled.
        """
        client.transport.pauseProducing()
        self.turn(100)
        pulled = self.source.pulled
        self.turn(100)
        self.assertEqual(self.source.pulled, pulled)
        heard = len(client.heard)
        self.assertLessEqual(pulled * 1024 - heard, 2 * CHUNK + 1024)
        client.transport.resumeProducing()
        self.turn(100)
        self.assertGreater(len(client.heard), heard + CHUNK)
        client.transport.loseConnection()
        self.turn(3)

    def test_slow_client(self) -> None:
        """
        A client that does not read stops the iterator after 128 KiB, and reading on
        lets it go on.
        """
        for pieces in self.source.endless, self.source.endless_async:
            self.source.pulled = 0
            self.answers.handler = always(pieces())
            client = self.connect()
            client.transport.write(request("/"))
            self.turn(10)
            self.assertPaused(client)
            self.assertEqual(self.source.ended, ["builtins.GeneratorExit"])
            self.source.ended.clear()

    def test_slow_client_of_events(self) -> None:
        """
        One that waits for each piece is stopped as well: of what happens while its
        client does not read, it takes a single piece.
        """
        for pieces in self.source.events, self.source.events_async:
            self.source.waiting.clear()
            visit = self.ask(pieces())
            self.source.waiting[-1].callback("one")
            producer: Any = visit.wire.producer
            producer.pauseProducing()
            self.source.waiting[-1].callback("two")
            self.turn(5)
            self.assertEqual(len(self.source.waiting), 2)
            producer.resumeProducing()
            self.assertEqual(len(self.source.waiting), 3)
            visit.leave()

    def test_after_waiting(self) -> None:
        """
        Who has waited begins a turn, however long that took.
        """
        for pieces in self.source.events, self.source.events_async:
            self.source.waiting.clear()
            visit = self.ask(pieces())
            self.clock.advance(1)
            self.source.waiting[-1].callback("one")
            self.assertEqual(len(self.source.waiting), 2)
            visit.leave()

    def test_nothing_is_lost(self) -> None:
        """
        Pausing and going on loses nothing.
        """
        numbers = [b"%d " % each for each in range(100_000)]
        self.answers.handler = lambda _: iter(numbers)
        client = self.connect()
        client.transport.write(request("/"))
        for _ in range(300):
            client.transport.pauseProducing()
            self.turn(5)
            client.transport.resumeProducing()
            self.turn(5)
        (answer,) = parse(client.heard, False)
        self.assertEqual((answer.body, answer.whole), (b"".join(numbers), True))

    def test_others(self) -> None:
        """
        One that never ends takes a hundred pieces, or 64 KiB, and lets others
        have their turn.
        """
        for pieces in self.source.endless, self.source.endless_async:
            for piece, most in {b"x": MOST, KIB: 64, KIB * 100: 1}.items():
                self.source.pulled = 0
                visit = self.ask(pieces(piece))
                self.assertEqual(self.source.pulled, most)
                self.turn()
                self.assertEqual(self.source.pulled, 2 * most)
                self.assertEqual(self.ask(iter(["here"])).answer().text, "here")
                visit.leave()
                self.turn()
        self.assertIdle()

    def test_slow_pieces(self) -> None:
        """
        One whose pieces take long to be made has few of them a turn.
        """

        def pieces() -> Iterator[bytes]:
            for _ in range(10):
                self.source.pulled += 1
                now[0] += 0.004
                yield b"x"

        now = [0.0]
        self.patch(self.clock, "seconds", lambda: now[0])
        self.ask(pieces())
        self.assertEqual(self.source.pulled, 3)

    def test_endless_waiting(self) -> None:
        """
        One that waits for ever for what is there already is no different.
        """

        def results() -> Generator[Any, Any, None]:
            for each in count():
                self.source.pulled = each
                yield succeed(None)

        def failures() -> Generator[Any, Any, None]:
            for each in count():
                self.source.pulled = each
                with contextlib.suppress(ValueError):
                    yield fail(ValueError())

        for pieces in results, failures:
            visit = self.ask(pieces())
            self.assertLess(self.source.pulled, 2 * MOST)
            self.turn()
            self.assertGreaterEqual(self.source.pulled, MOST)
            visit.leave()
        self.assertIdle()

    def test_producer(self) -> None:
        """
        To the transport it is a producer that can be paused.
        """
        flow = _Flow(None, self.clock, lambda _: Text(), False)
        self.assertTrue(verifyObject(IPushProducer, flow))


class LeavingTests(PiecesTestCase):
    """
    When a client leaves, the iterator is closed.
    """

    def assertEnded(self, *how: str) -> None:
        self.assertEqual(self.source.ended, list(how))
        self.assertIdle()
        (failure,) = self.answers.failures
        self.assertIsInstance(failure.value, CancelledError)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_between_turns(self) -> None:
        """
        One that is not running ends where it is.
        """
        self.ask(self.source.endless()).leave()
        self.turn()
        self.assertEnded("builtins.GeneratorExit")

    def test_between_turns_async(self) -> None:
        """
        An asynchronous one does, too.
        """
        self.ask(self.source.endless_async()).leave()
        self.turn()
        self.assertEnded("builtins.GeneratorExit")

    def test_waiting(self) -> None:
        """
        What it waits for is cancelled, and it hears of that.
        """
        visit = self.ask(self.source.events())
        self.source.waiting[-1].callback("one")
        visit.leave()
        self.assertTrue(self.source.waiting[-1].called)
        self.assertEnded("twisted.CancelledError")

    def test_waiting_async(self) -> None:
        """
        In an asynchronous one, that is asyncio's error.
        """
        visit = self.ask(self.source.events_async())
        self.source.waiting[-1].callback("one")
        visit.leave()
        self.assertTrue(self.source.waiting[-1].called)
        self.assertEnded("asyncio.CancelledError")

    def test_paused(self) -> None:
        """
        So it is when the client had stopped reading.
        """
        self.answers.handler = lambda _: self.source.endless()
        client = self.connect()
        client.transport.write(request("/"))
        self.turn(10)
        client.transport.pauseProducing()
        self.turn(10)
        client.transport.abortConnection()
        self.turn(3)
        self.assertEnded("builtins.GeneratorExit")

    def test_stubborn(self) -> None:
        """
        One that goes on regardless is closed at its next piece.
        """

        def pieces() -> Generator[Any, Any, None]:
            try:
                with contextlib.suppress(CancelledError):
                    yield self.source.wait()
                yield "more"
            except GeneratorExit as error:
                self.source.note(error)
                raise

        self.ask(pieces()).leave()
        self.assertEnded("builtins.GeneratorExit")

    def test_cleaning_up(self) -> None:
        """
        An asynchronous one can take its time to clean up.
        """

        async def pieces() -> AsyncIterator[str]:
            try:
                yield "one"
                await self.source.wait()
            finally:
                await self.source.wait()
                self.source.ended.append("cleaned up")

        self.ask(pieces()).leave()
        self.assertEqual(self.answers.failures, [])
        self.source.waiting[-1].callback(None)
        self.assertEnded("cleaned up")

    def test_failing(self) -> None:
        """
        One that fails while it is closed is reported.
        """

        def pieces() -> Iterator[Any]:
            try:
                yield self.source.wait()
            finally:
                raise RuntimeError("cannot close")

        self.ask(pieces()).leave()
        (failure,) = self.answers.failures
        self.assertEqual(str(failure.value), "cannot close")
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_left_before(self) -> None:
        """
        If it left before, nothing is begun.
        """
        file = BytesIO(b"data")
        waiting: Deferred[Any] = Deferred()

        @inlineCallbacks
        def late(request: Any) -> Steps[None]:
            yield waiting
            self.answers.answer(request, file)

        self.answers.handler = late
        visit = self.place.visit()
        visit.send(request("/"))
        visit.leave()
        waiting.callback(None)
        self.assertTrue(file.closed)
        self.assertEnded()

    def test_leaving_meanwhile(self) -> None:
        """
        If it leaves while something is sent, what is waited for next is cancelled.
        """
        for pieces, error in {
            self.source.events: "twisted.CancelledError",
            self.source.events_async: "asyncio.CancelledError",
        }.items():
            self.source.ended.clear()
            self.answers.failures.clear()
            visit = self.ask(pieces())
            wire: Any = visit.wire
            self.source.waiting[-1].callback("one")

            def lose(data: Any, visit: Visit = visit) -> None:
                visit.leave()

            wire.write = lose
            self.source.waiting[-1].callback("two")
            self.assertTrue(visit.lost)
            self.turn()
            self.assertEnded(error)

    def test_leaving_by_itself(self) -> None:
        """
        An iterator may lose the connection itself.
        """

        def pieces() -> Iterator[Any]:
            yield "one"
            yield self.source.wait()
            visit.leave()
            try:
                yield "two"
                yield self.source.wait()
            except BaseException as error:
                self.source.note(error)
                raise

        visit = self.ask(pieces())
        self.source.waiting[0].callback(None)
        self.turn()
        self.assertEnded("builtins.GeneratorExit")

    def test_leaving_by_itself_async(self) -> None:
        """
        So may an asynchronous one, and what it waits for next is cancelled.
        """

        async def pieces() -> AsyncIterator[str]:
            try:
                yield "one"
                with contextlib.suppress(ValueError):
                    await self.source.wait()
                visit.leave()
                await self.source.wait()
            except BaseException as error:
                self.source.note(error)
                raise

        for result in None, ValueError():
            for kept in self.source.ended, self.source.waiting, self.answers.failures:
                kept.clear()
            visit = self.ask(pieces())
            if result is None:
                self.source.waiting[0].callback(None)
            else:
                self.source.waiting[0].errback(result)
            self.turn()
            self.assertEnded("asyncio.CancelledError")

    def test_head(self) -> None:
        """
        HEAD asks for no pieces: the iterator is closed, and none is pulled.
        """
        file = BytesIO(b"data")
        for pieces in self.source.endless(), self.source.endless_async(), file:
            answer = self.ask(pieces, method="HEAD").answer("HEAD")
            self.assertEqual(answer.status, 200)
            self.assertNotIn("content-length", answer.headers)
            self.assertNotIn("transfer-encoding", answer.headers)
        self.assertEqual(self.source.pulled, 0)
        self.assertTrue(file.closed)


class FailureTests(PiecesTestCase):
    """
    What goes wrong is told as long as it can be.
    """

    def test_before(self) -> None:
        """
        An error before anything was sent is an answer like any other error, even
        if there was a piece already.
        """

        def pieces(first: list[Any]) -> Iterator[Any]:
            yield from first
            raise Refused(404, "there is no such list")

        async def pieces_async() -> AsyncIterator[str]:
            if not self.source.waiting:
                raise Refused(404, "there is no such list")
            yield ""

        for each in pieces([]), pieces(["one"]), pieces_async():
            answer = self.ask(each).answer()
            self.assertEqual((answer.status, answer.whole), (404, True))
            self.assertEqual(answer.json["detail"], "there is no such list")

    def test_after(self) -> None:
        """
        One after that breaks the answer off, behind all that came before.
        """

        def pieces() -> Iterator[Any]:
            yield "one "
            yield self.source.wait()
            yield "two"
            raise ValueError

        visit = self.ask(pieces())
        self.source.waiting[0].callback(None)
        (answer,) = visit.answers()
        self.assertEqual((answer.body, answer.whole), (b"one two", False))
        self.assertTrue(visit.closed)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_no_piece(self) -> None:
        """
        Something that is no piece is told by its type.
        """
        answer = self.ask(iter([b"one", object()])).answer()
        self.assertEqual(answer.status, 500)
        (failure,) = self.answers.failures
        self.assertEqual(
            str(failure.value),
            "cannot answer with object: a piece of this stream is bytes or text",
        )
        self.flushLoggedErrors()

    def test_length(self) -> None:
        """
        A stream that is not as long as it was said to be is broken off: whoever
        reads it would take what follows for a part of it.
        """

        def handler(handled: Any) -> Iterator[Any]:
            handled.setHeader(b"content-length", b"5")
            return pieces()

        for rest in "", "three", "o":

            def pieces(rest: str = rest) -> Iterator[Any]:
                yield "one"
                yield self.source.wait()
                yield rest
                yield self.source.wait()

            visit = self.ask(handler)
            self.source.waiting[-1].callback(None)
            with contextlib.suppress(Exception):
                self.source.waiting[-1].callback(None)
            (answer,) = visit.answers()
            self.assertEqual((answer.body[:3], answer.whole), (b"one", False))
            self.assertTrue(visit.closed)
        self.assertEqual(len(self.flushLoggedErrors(RopewalkError)), 3)

    def test_right_length(self) -> None:
        """
        One that is needs no chunks.
        """

        def handler(handled: Any) -> Iterator[Any]:
            handled.setHeader(b"content-length", b"6")
            return self.source.events()

        visit = self.ask(handler)
        self.source.waiting[-1].callback("one")
        self.source.waiting[-1].callback("two")
        (answer,) = visit.answers()
        self.assertEqual((answer.body, answer.whole), (b"onetwo", True))
        self.assertNotIn("transfer-encoding", answer.headers)

    def test_cancelling(self) -> None:
        """
        Cancelling what a delivery returned ends the stream.
        """
        visit = self.ask(self.source.endless())
        self.answers.delivered.cancel()
        self.assertEqual(self.source.ended, ["builtins.GeneratorExit"])
        (answer,) = visit.answers()
        self.assertFalse(answer.whole)
        self.assertEqual(len(self.flushLoggedErrors(CancelledError)), 1)


class ValueTests(PiecesTestCase):
    """
    Values are written one by one.
    """

    VALUES: tuple[Any, ...] = ({"a": 1}, [1, 2], 3, None, True)

    def said(self, *headers: str) -> tuple[str, str]:
        answer = self.ask(iter(self.VALUES), *headers).answer()
        return answer.headers["content-type"], answer.text

    def test_lines(self) -> None:
        """
        They are lines of JSON unless somebody wants them otherwise.
        """
        text = '{"a":1}\n[1,2]\n3\nnull\ntrue\n'
        for headers in (), ("Accept: */*",), ("Accept: application/x-ndjson",):
            self.assertEqual(self.said(*headers), ("application/x-ndjson", text))

    def test_events(self) -> None:
        """
        They are events for who asks for those.
        """
        kind, text = self.said("Accept: text/event-stream")
        self.assertEqual(kind, "text/event-stream")
        self.assertEqual(
            text,
            'data: {"a":1}\n\ndata: [1,2]\n\ndata: 3\n\ndata: null\n\ndata: true\n\n',
        )

    def test_array(self) -> None:
        """
        They are an array for who asks for JSON, also when there are none.
        """
        said = self.said("Accept: application/json")
        self.assertEqual(said, ("application/json", '[{"a":1},[1,2],3,null,true]'))
        answer = self.ask(iter([]), "Accept: application/json").answer()
        self.assertEqual(answer.json, [])

    def test_not_acceptable(self) -> None:
        """
        Who wants nothing of that is told what there is.
        """
        answer = self.ask(iter(self.VALUES), "Accept: image/png").answer()
        self.assertEqual(answer.status, 406)
        self.assertIn("text/event-stream", answer.json["detail"])

    def test_said(self) -> None:
        """
        What the handler said counts; text and bytes are sent as they are.
        """
        stream = Stream([": hello\n\n", {"a": 1}], "text/event-stream; charset=utf-8")
        answer = self.ask(stream, "Accept: application/json").answer()
        self.assertEqual(answer.text, ': hello\n\ndata: {"a":1}\n\n')
        self.assertEqual(answer.headers["cache-control"], "no-store")
        self.assertNotIn("vary", answer.headers)

    def test_prompt(self) -> None:
        """
        A client that waits for events hears that there will be some.
        """
        for pieces in self.source.events, self.source.events_async:
            visit = self.ask(Stream(pieces(), "text/event-stream"))
            (answer,) = visit.answers()
            self.assertEqual(answer.headers["content-type"], "text/event-stream")
            self.source.waiting[-1].callback([1])
            self.assertEqual(visit.wire.value(), b"b\r\ndata: [1]\n\n\r\n")
            visit.leave()


class FileTests(PiecesTestCase):
    """
    An open file is read piece by piece.
    """

    def test_whole(self) -> None:
        """
        It is sent from where it is, and closed.
        """
        file = BytesIO(b"x" + KIB * 1000)
        file.read(1)
        visit = self.ask(file)
        self.turn(20)
        (answer,) = visit.answers()
        self.assertEqual((answer.body, answer.whole), (KIB * 1000, True))
        self.assertTrue(file.closed)

    def test_left(self) -> None:
        """
        It is closed when the client leaves.
        """
        file = BytesIO(KIB * 1000)
        visit = self.ask(file)
        self.assertFalse(file.closed)
        visit.leave()
        self.assertTrue(file.closed)

    def test_not_begun(self) -> None:
        """
        It is closed if it was never read.
        """
        file = BytesIO(KIB)
        FilePieces(file).close()
        self.assertTrue(file.closed)


@skipUnless(http.H2_ENABLED, "h2 is not installed: pip install 'ropewalk[http2]'")
class StreamTests(PiecesTestCase):
    """
    All of this holds in HTTP/2 as well.
    """

    def setUp(self) -> None:
        super().setUp()
        self.browser = browse(self, self.place)

    def test_whole(self) -> None:
        """
        A stream arrives, whether it comes at once or piece by piece.
        """
        self.answers.handler = lambda _: iter(["one ", "two"])
        stream = self.browser.ask("/")
        self.assertEqual((stream.body, stream.whole), (b"one two", True))
        self.answers.handler = lambda _: iter(numbers)
        numbers = [b"%d " % each for each in range(10_000)]
        stream = self.browser.ask("/")
        for _ in range(20):
            self.browser.turn()
        self.assertEqual((stream.body, stream.whole), (b"".join(numbers), True))

    def test_window(self) -> None:
        """
        A client whose window is full stops the iterator; opening it lets it go on.
        """
        self.answers.handler = lambda _: self.source.endless()
        stream = self.browser.ask("/")
        for _ in range(10):
            self.browser.turn()
        pulled = self.source.pulled
        self.assertEqual(len(stream.body), 65535)
        self.assertLessEqual(pulled, 128)
        self.browser.turn()
        self.assertEqual(self.source.pulled, pulled)
        for number in None, self.browser.number:
            self.browser.h2.increment_flow_control_window(100_000, number)
        for _ in range(10):
            self.browser.turn()
        self.assertEqual(len(stream.body), 165_535)
        self.browser.h2.reset_stream(self.browser.number)
        self.browser.turn()
        self.assertEqual(self.source.ended, ["builtins.GeneratorExit"])

    def test_large_window(self) -> None:
        """
        A client with a window without end does not make the daemon hold as much,
        if it does not read.
        """
        from h2.settings import SettingCodes

        size = 2**31 - 1
        self.browser.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: size})
        self.browser.h2.increment_flow_control_window(size - 65535)
        self.browser.turn()
        producer: Any = self.browser.visit.wire.producer
        self.answers.handler = lambda _: self.source.endless()
        self.browser.ask("/")
        before = self.source.pulled
        self.turn(100)
        sent = len(self.browser.visit.wire.value())
        self.assertGreater(sent, 10 * CHUNK)
        self.assertLess((self.source.pulled - before) * 1024 - sent, 3 * CHUNK)
        producer.pauseProducing()
        self.turn(10)
        pulled = self.source.pulled
        self.turn(100)
        self.assertEqual(self.source.pulled, pulled)
        producer.resumeProducing()
        self.turn(100)
        self.assertGreater(self.source.pulled, pulled + 100)
        self.browser.visit.leave()
        self.assertEqual(self.source.ended, ["builtins.GeneratorExit"])

    def test_breaking_off(self) -> None:
        """
        An error in the middle resets the stream.
        """
        self.answers.handler = lambda _: self.source.events()
        stream = self.browser.ask("/")
        self.source.waiting[-1].callback("one")
        self.browser.turn()
        self.source.waiting[-1].errback(ValueError())
        self.browser.turn()
        self.assertEqual((stream.body, stream.whole, stream.reset), (b"one", False, 2))
        self.flushLoggedErrors(ValueError)


@skipUnless(isinstance(reactor, AsyncioSelectorReactor), "needs an asyncio reactor")
class AsyncioTests(TestCase):
    """
    On an asyncio reactor, asynchronous generators are at home.
    """

    def setUp(self) -> None:
        self.place = Place.of()
        self.answers = Answers(reactor)
        self.place.mount("/", self.answers)
        self.noted: list[Any] = []

    def ask(self, pieces: AsyncIterator[Any]) -> Visit:
        self.answers.handler = lambda _: pieces
        visit = self.place.visit()
        visit.send(request("/"))
        return visit

    async def pieces(self) -> AsyncIterator[Any]:
        try:
            async with asyncio.timeout(60), asyncio.TaskGroup() as group:
                for each in range(3):
                    yield f"{each} "
                    await asyncio.sleep(0)
                    await group.create_task(asyncio.sleep(0))
                await deferLater(reactor, 0)
                self.noted.append(asyncio.current_task())
        finally:
            await asyncio.sleep(0)
            self.noted.append("closed")

    @inlineCallbacks
    def test_one_task(self) -> Steps[None]:
        """
        All of a generator runs in one task, so that time-outs and groups of tasks
        can be around its pieces.
        """
        yield deferLater(reactor, 0)  # now the loop runs
        visit = self.ask(self.pieces())
        yield self.until(lambda: self.noted[1:] == ["closed"])
        yield deferLater(reactor, 0)
        (answer,) = visit.answers()
        self.assertEqual((answer.text, answer.whole), ("0 1 2 ", True))

    @inlineCallbacks
    def test_leaving(self) -> Steps[None]:
        """
        When the client leaves, it cleans up, once.
        """
        yield deferLater(reactor, 0)  # now the loop runs
        visit = self.ask(self.pieces())
        yield deferLater(reactor, 0)
        visit.leave()
        yield self.until(lambda: bool(self.answers.failures))
        self.assertEqual(self.noted, ["closed"])
        self.assertIsInstance(self.answers.failures[0].value, CancelledError)

    @inlineCallbacks
    def until(self, true: Callable[[], bool]) -> Steps[None]:
        while not true():
            yield deferLater(reactor, 0)
