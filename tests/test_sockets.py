# -*- test-case-name: tests.test_sockets -*-
"""
WebSockets: Autobahn's protocols, within limits.
"""

from __future__ import annotations

import gc
import struct
import tracemalloc
import weakref
import zlib
from collections.abc import Callable
from typing import Any

from autobahn.twisted.websocket import (
    WebSocketClientFactory,
    WebSocketClientProtocol,
    WebSocketServerProtocol,
)
from autobahn.websocket.compress import (
    PerMessageDeflateOffer,
    PerMessageDeflateResponse,
    PerMessageDeflateResponseAccept,
)
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import RopewalkError
from ropewalk.interfaces import IDrainable, Steps
from ropewalk.net.sockets import Socket, SocketFactory, SocketLimits
from ropewalk.schema import to_plain
from ropewalk.telemetry import Work, working
from tests.observing import Observed
from tests.wiring import Peer, connect

reactor: Any = global_reactor

HANDSHAKE = (
    b"GET /chat?room=lobby&name=Ada&name=Grace HTTP/1.1\r\n"
    b"Host: example.org\r\n"
    b"Upgrade: websocket\r\n"
    b"Connection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)

TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9


class Scribe(Socket):
    """
    Writes down what happens, and answers what it is told to.

    :ivar answers: What to do with a message.
    """

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[Any] = []
        self.answers: dict[Any, Callable[[], Any]] = {}

    def opened(self) -> Any:
        self.notes.append("opened")
        return self.answers.get("opened", lambda: None)()

    def heard(self, message: str | bytes) -> Any:
        self.notes.append(message)
        return self.answers.get(message, lambda: None)()

    def closed(self) -> Any:
        self.notes.append("closed")
        return self.answers.get("closed", lambda: None)()


class Client(WebSocketClientProtocol):
    """
    Autobahn's own end.

    :ivar heard: The messages that came.
    :ivar ended: The code and the reason of the close.
    """

    transport: Any

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str | bytes] = []
        self.ended: tuple[int | None, str | None] | None = None

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.heard.append(payload if isBinary else payload.decode())

    def onClose(self, wasClean: bool, code: Any, reason: Any) -> None:
        self.ended = self.remoteCloseCode, self.remoteCloseReason


def frame(opcode: int, payload: bytes, *, fin: bool = True, rsv: int = 0) -> bytes:
    """A frame as a client sends it, masked with zeros."""
    size = len(payload)
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    if size < 126:
        head = struct.pack("!BB", first, 0x80 | size)
    elif size < 65536:
        head = struct.pack("!BBH", first, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", first, 0x80 | 127, size)
    return head + bytes(4) + payload


class SocketTestCase(SynchronousTestCase):
    """
    A scribe at one end and a client at the other.
    """

    limits = SocketLimits(message=1000, ping=0, unsent=100_000)

    def setUp(self) -> None:
        self.clock = Clock()
        self.scribe = Scribe()
        self.observed = Observed.during(self)
        self.before = len(reactor.getDelayedCalls())

    def tearDown(self) -> None:
        """
        Nothing has been left to the reactor that trial runs on.
        """
        self.assertEqual(len(reactor.getDelayedCalls()), self.before)

    def factory(self, protocol: WebSocketServerProtocol) -> SocketFactory:
        return SocketFactory(lambda: protocol, self.limits, self.clock)

    def client(self, *offers: Any, protocol: Any = None) -> Client:
        """Somebody who speaks WebSocket, connected."""
        factory: Any = WebSocketClientFactory(
            "ws://example.org/chat", reactor=self.clock
        )
        server = self.factory(protocol or self.scribe)
        factory.protocol = Client
        factory._batched_timer = server._batched_timer
        factory.setProtocolOptions(
            perMessageCompressionOffers=list(offers),
            perMessageCompressionAccept=lambda response: (
                PerMessageDeflateResponseAccept(response)
                if isinstance(response, PerMessageDeflateResponse)
                else None
            ),
            serverConnectionDropTimeout=0,
        )
        client = factory.buildProtocol(None)
        connect(self.clock, server.buildProtocol(None), client)
        return client  # type: ignore[no-any-return]

    def peer(self, *headers: bytes, protocol: Any = None) -> Peer:
        """Somebody who sends what bytes he likes, after the handshake."""
        server = self.factory(protocol or self.scribe)
        peer: Peer = connect(self.clock, server.buildProtocol(None))
        lines = b"".join(header + b"\r\n" for header in headers)
        self.send(peer, HANDSHAKE + lines + b"\r\n")
        head, _, peer.heard = peer.heard.partition(b"\r\n\r\n")
        self.assertIn(b"101 Switching Protocols", head)
        return peer

    def send(self, peer: Peer, *pieces: bytes) -> None:
        for piece in pieces:
            peer.transport.write(piece)
            self.clock.advance(0)

    def slow(self, message: Any) -> Deferred[None]:
        """Have a message answered when the Deferred fires."""
        end: Deferred[None] = Deferred()
        self.scribe.answers[message] = lambda: end
        return end

    def fire(self, end: Deferred[None]) -> None:
        end.callback(None)
        self.clock.advance(0)

    def settle(self) -> None:
        self.clock.advance(0)

    def warned(self, words: str) -> bool:
        return any(words in text for text in self.observed.texts)


class TalkingTests(SocketTestCase):
    """
    Messages there and back.
    """

    def test_text_and_binary(self) -> None:
        """
        Text is ``str`` and binary is ``bytes``, in both directions.
        """
        client = self.client()
        client.sendMessage("é€".encode())
        client.sendMessage(b"\xff\x00", isBinary=True)
        client.sendMessage(b"")
        self.scribe.say("€é")
        self.scribe.say(b"\x00\xff")
        self.scribe.say("")
        self.settle()
        self.assertEqual(self.scribe.notes, ["opened", "é€", b"\xff\x00", ""])
        self.assertEqual(client.heard, ["€é", b"\x00\xff", ""])

    def test_what_is_no_text(self) -> None:
        """
        Half of a character, as JSON may contain one, harms nobody.
        """
        client = self.client()
        self.scribe.say("a\ud800b")
        self.settle()
        self.assertEqual(client.heard, ["a?b"])

    def test_query(self) -> None:
        """
        What the URL asked for is known at the opening.
        """
        queries: list[dict[str, str]] = []
        self.scribe.answers["opened"] = lambda: queries.append(self.scribe.query)
        self.peer()
        self.assertEqual(queries, [{"room": "lobby", "name": "Grace"}])

    def test_opened_first(self) -> None:
        """
        A message waits until the opening has come to its end.
        """
        end = self.slow("opened")
        self.client().sendMessage(b"one")
        self.settle()
        self.assertEqual(self.scribe.notes, ["opened"])
        self.fire(end)
        self.assertEqual(self.scribe.notes, ["opened", "one"])

    def test_order(self) -> None:
        """
        Messages are answered one after the other, however long one takes.
        """
        client = self.client()
        end = self.slow("slow")
        end.addCallback(lambda _: self.scribe.say("slowly"))
        self.scribe.answers["fast"] = lambda: self.scribe.say("fast")
        client.sendMessage(b"slow")
        client.sendMessage(b"fast")
        self.settle()
        self.assertEqual(client.heard, [])
        self.fire(end)
        self.assertEqual(client.heard, ["slowly", "fast"])

    def test_any_pieces(self) -> None:
        """
        Messages are the same wherever TCP cut them.
        """
        peer = self.peer()
        sent = frame(TEXT, b"one") + frame(TEXT, b"x" * 999) + frame(BINARY, b"two")
        self.send(peer, *(bytes([byte]) for byte in sent))
        self.send(peer, sent)
        self.assertEqual(self.scribe.notes[1:], ["one", "x" * 999, b"two"] * 2)

    def test_waiting_messages_are_bounded(self) -> None:
        """
        When too many messages wait for an answer, the rest stays where it came
        from, and is heard later, in order.
        """
        peer = self.peer()
        end = self.slow("slow")
        words = [str(number) for number in range(30_000)]
        peer.transport.write(
            b"".join(frame(TEXT, word.encode()) for word in ["slow", *words])
        )
        self.settle()
        assert self.scribe._turns is not None
        self.assertLess(len(self.scribe._turns._waiting), 1000)
        self.assertLess(len(self.scribe._unread), 70_000)
        self.assertGreater(len(peer.transport._out), 200_000)
        self.fire(end)
        self.assertEqual(self.scribe.notes, ["opened", "slow", *words])

    def test_the_rest_of_a_piece(self) -> None:
        """
        What came with the messages that made the peer wait is heard without
        anything more coming.
        """
        peer = self.peer()
        end = self.slow("slow")
        self.send(peer, frame(TEXT, b"slow") + frame(TEXT, b"next") * 2000)
        self.assertLess(0, len(self.scribe._unread))
        self.fire(end)
        self.assertEqual(self.scribe.notes.count("next"), 2000)

    def test_while_hearing(self) -> None:
        """
        What arrives while a message is being heard is heard after it.
        """

        def interrupt() -> None:
            self.scribe.dataReceived(frame(TEXT, b"second"))
            self.scribe.notes.append("end of first")

        self.scribe.answers["first"] = interrupt
        self.send(self.peer(), frame(TEXT, b"first"))
        self.assertEqual(self.scribe.notes[2:], ["end of first", "second"])

    def test_whose_work(self) -> None:
        """
        A message that waited is answered, and a timer goes off, under the name of
        the connection.
        """
        self.limits = SocketLimits(ping=30.0)
        with working(connection="c1"):
            client = self.client()
            self.scribe.answers["log"] = lambda: self.scribe._log.info("here")
            self.scribe.answers["closed"] = lambda: self.scribe._log.info("closed")
            end = self.slow("slow")
            client.sendMessage(b"slow")
            client.sendMessage(b"log")
            self.settle()
        client.transport.pauseProducing()
        self.scribe.transport.abortConnection = self.scribe.connectionLost
        with working(connection="c2"):
            self.fire(end)
            self.clock.advance(30)
            self.clock.advance(30)
        seen = dict(zip(self.observed.texts, self.observed.works, strict=True))
        for text in ("here", "closed"):
            self.assertEqual(seen[text], Work(connection="c1"))


class ErrorTests(SocketTestCase):
    """
    What goes wrong is told.
    """

    def test_complaint(self) -> None:
        """
        Unless it is said otherwise, an error closes the connection with 4000 + its
        status; nothing more is heard.
        """

        class Locked(RopewalkError):
            status = 423

        @inlineCallbacks
        def fall() -> Steps[None]:
            yield None
            raise Locked("the room is locked")

        self.scribe.answers["fall"] = fall
        client = self.client()
        client.sendMessage(b"fall")
        client.sendMessage(b"next")
        self.settle()
        self.assertEqual(client.ended, (4423, "the room is locked"))
        self.assertEqual(self.scribe.notes, ["opened", "fall", "closed"])

    def test_other_words(self) -> None:
        """
        A protocol may complain in a message instead, and go on.
        """

        class Patient(Scribe):
            def complain(self, error: RopewalkError) -> None:
                self.say(f"no: {error}")

        def fall() -> None:
            raise RopewalkError("never")

        self.scribe = Patient()
        self.scribe.answers["fall"] = fall
        client = self.client()
        client.sendMessage(b"fall")
        client.sendMessage(b"next")
        self.settle()
        self.assertEqual(client.heard, ["no: never"])
        self.assertEqual(self.scribe.notes, ["opened", "fall", "next"])

    def test_unforeseen(self) -> None:
        """
        Anything else is logged, and closes with 1011, giving nothing away.
        """

        def fall() -> None:
            raise ZeroDivisionError("secret")

        for moment in ("opened", "fall"):
            self.scribe = Scribe()
            self.scribe.answers[moment] = fall
            client = self.client()
            if moment == "fall":
                client.sendMessage(b"fall")
                self.settle()
            self.assertEqual(
                client.ended, (1011, "something went wrong here; it is in our log")
            )
            self.assertEqual(self.scribe.notes[-1], "closed")
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_too_late_to_tell(self) -> None:
        """
        What goes wrong when the peer is gone is logged, if it was unforeseen.
        """
        for error, logged in ((ZeroDivisionError(), 1), (RopewalkError("no"), 0)):
            self.scribe = Scribe()
            client = self.client()
            end = self.slow("slow")
            client.sendMessage(b"slow")
            self.settle()
            client.transport.abortConnection()
            self.settle()
            end.errback(error)
            self.settle()
            self.assertEqual(len(self.flushLoggedErrors(type(error))), logged)
            self.assertEqual(self.scribe.notes, ["opened", "slow", "closed"])


class ClosingTests(SocketTestCase):
    """
    Connections end.
    """

    def test_shut(self) -> None:
        """
        The peer hears what was said before, and why it is over.
        """
        client = self.client()
        self.scribe.say("last words")
        self.scribe.shut(1008, "that is enough")
        self.scribe.say("never")
        self.scribe.shut(1000, "never")
        self.settle()
        self.assertEqual(client.heard, ["last words"])
        self.assertEqual(client.ended, (1008, "that is enough"))
        self.assertEqual(self.scribe.notes, ["opened", "closed"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_codes(self) -> None:
        """
        Only codes that may be sent are.
        """
        client = self.client()
        for code in (0, 999, 1004, 1005, 1006, 1015, 2999, 5000):
            self.assertRaises(ValueError, self.scribe.shut, code, "")
        self.scribe.shut(4999, "")
        self.settle()
        self.assertEqual(client.ended, (4999, None))

    def test_long_reasons(self) -> None:
        """
        A reason that is longer than a close frame holds is cut at a character.
        """
        for reason, told in (
            ("x" * 123, "x" * 123),
            ("x" * 124, "x" * 123),
            ("x" + "é" * 61, "x" + "é" * 61),
            ("xx" + "é" * 61, "xx" + "é" * 60),
            ("😀" * 31, "😀" * 30),
            ("a\ud800b", "a?b"),
        ):
            self.scribe = Scribe()
            client = self.client()
            self.scribe.shut(4000, reason)
            self.settle()
            self.assertEqual(client.ended, (4000, told))

    def test_closed_by_the_peer(self) -> None:
        """
        A peer that closes is answered, and what it said before is heard.
        """
        client = self.client()
        client.sendMessage(b"last words")
        client.sendClose(1000, "enough")
        self.settle()
        self.assertTrue(client.wasClean)
        self.assertEqual(self.scribe.notes, ["opened", "last words", "closed"])
        self.scribe.dropConnection()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_closed_comes_last(self) -> None:
        """
        A protocol hears of the end once, when nothing it does is under way.
        """
        for word in ("opened", "slow"):
            self.scribe = Scribe()
            end = self.slow(word)
            client = self.client()
            client.sendMessage(b"slow")
            self.settle()
            client.transport.abortConnection()
            self.settle()
            self.assertNotIn("closed", self.scribe.notes)
            self.fire(end)
            self.assertEqual(self.scribe.notes.count("closed"), 1)
            self.assertEqual(self.scribe.notes[-1], "closed")

    def test_never_opened(self) -> None:
        """
        Who never came in does not go.
        """
        server = self.factory(self.scribe)
        peer = connect(self.clock, server.buildProtocol(None))
        self.send(peer, b"GET / HTTP/1.1\r\n")
        peer.transport.abortConnection()
        self.settle()
        self.assertEqual(self.scribe.notes, [])

    def test_no_answer(self) -> None:
        """
        A peer that does not answer a close is cut off after a while.
        """
        peer = self.peer()
        self.scribe.shut(4000, "go")
        self.clock.advance(2.9)
        self.assertIsNone(peer.reason)
        self.clock.advance(0.1)
        self.settle()
        self.assertIsNotNone(peer.reason)
        self.assertEqual(self.scribe.notes, ["opened", "closed"])

    def test_who_does_not_read_the_end(self) -> None:
        """
        Nor is a peer waited for that closes and does not read what was on its way.
        """
        self.limits = SocketLimits(close=0.5)
        peer = self.peer()
        peer.transport.pauseProducing()
        for _ in range(100):
            self.scribe.say("x" * 1000)
        self.send(peer, frame(CLOSE, b""))
        self.clock.advance(0.4)
        self.assertEqual(self.scribe.notes, ["opened"])
        self.clock.advance(0.1)
        self.assertEqual(self.scribe.notes, ["opened", "closed"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_closed_may_fail(self) -> None:
        """
        What goes wrong at the end is logged.
        """

        async def fall() -> None:
            raise RopewalkError("no room")

        self.scribe.answers["closed"] = fall
        self.client().transport.abortConnection()
        self.settle()
        self.assertEqual(len(self.flushLoggedErrors(RopewalkError)), 1)

    def test_nothing_is_left(self) -> None:
        """
        When a connection is gone, so are its protocol and its timers.
        """
        self.limits = SocketLimits()
        client = self.client()
        self.slow("slow")
        client.sendMessage(b"slow")
        client.sendMessage(b"next")
        self.settle()
        watched = weakref.ref(self.scribe)
        client.transport.abortConnection()
        self.settle()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        del self.scribe, client
        gc.collect()
        self.assertIsNone(watched())


class DrainTests(SocketTestCase):
    """
    Saying goodbye.
    """

    def test_interface(self) -> None:
        """
        Any of Autobahn's protocols can.
        """
        self.assertTrue(verifyObject(IDrainable, self.scribe))
        self.assertTrue(verifyObject(IDrainable, IDrainable(WebSocketServerProtocol())))

    def test_goodbye(self) -> None:
        """
        A peer is told that we are going away, and why, when the answer under way
        is finished; no other is begun.
        """
        client = self.client()
        end = self.slow("slow")
        end.addCallback(lambda _: self.scribe.say("answer"))
        client.sendMessage(b"slow")
        client.sendMessage(b"next")
        self.settle()
        self.scribe.drain("shutting down")
        self.scribe.drain("shutting down")
        self.settle()
        self.assertEqual((client.heard, client.ended), ([], None))
        self.fire(end)
        self.assertEqual(client.heard, ["answer"])
        self.assertEqual(client.ended, (1001, "shutting down"))
        self.assertEqual(self.scribe.notes, ["opened", "slow", "closed"])

    def test_held(self) -> None:
        """
        A peer that was made to wait can answer the goodbye.
        """
        peer = self.peer()
        end = self.slow("slow")
        self.send(peer, frame(TEXT, b"slow") + frame(TEXT, b"next") * 2000)
        self.scribe.drain("shutting down")
        self.fire(end)
        self.send(peer, frame(CLOSE, struct.pack("!H", 1001)))
        self.assertIsNotNone(peer.reason)
        self.assertEqual(self.scribe.notes, ["opened", "slow", "closed"])

    def test_other_protocols(self) -> None:
        """
        A protocol that is only Autobahn's says goodbye at once.
        """
        protocol = WebSocketServerProtocol()
        client = self.client(protocol=protocol)
        IDrainable(protocol).drain("é" * 100)
        self.settle()
        self.assertEqual(client.ended, (1001, "é" * 61))

    def test_still_coming(self) -> None:
        """
        Who is not in yet is told to come another time.
        """
        for protocol in (self.scribe, WebSocketServerProtocol()):
            server = self.factory(protocol)
            peer = connect(self.clock, server.buildProtocol(None))
            self.send(peer, HANDSHAKE)
            IDrainable(protocol).drain("shutting down")
            self.settle()
            self.assertIn("HTTP/1.1 503 shutting down\r\n", peer.said())
            self.assertIsNotNone(peer.reason)
            self.send(peer, b"\r\n")
        self.assertEqual(self.scribe.notes, [])

    def test_already_going(self) -> None:
        """
        Who is on the way out is not told again.
        """
        for protocol in (self.scribe, WebSocketServerProtocol()):
            peer = self.peer(protocol=protocol)
            IDrainable(protocol).drain("once")
            self.settle()
            IDrainable(protocol).drain("twice")
            self.settle()
            self.assertEqual(peer.heard, b"\x88\x06\x03\xe9once")
            peer.transport.abortConnection()
            self.settle()
            IDrainable(protocol).drain("again")
            self.clock.advance(3)

    def test_late_welcome(self) -> None:
        """
        Who went while it was being found out whether to let him in is not let in.
        """

        class Slow(Scribe):
            def onConnect(self, request: Any) -> Any:
                return welcome

        welcome: Deferred[None] = Deferred()
        self.scribe = Slow()
        server = self.factory(self.scribe)
        peer = connect(self.clock, server.buildProtocol(None))
        self.send(peer, HANDSHAKE + b"\r\n")
        self.scribe.drain("shutting down")
        self.settle()
        welcome.callback(None)
        self.assertEqual(self.scribe.notes, [])
        self.assertIn("503", peer.said())


class LimitTests(SocketTestCase):
    """
    What a peer may do.
    """

    def code(self, peer: Peer) -> int:
        """The code of the close frame that a peer has been sent."""
        heard = peer.heard
        self.assertEqual(heard[:1], b"\x88")
        code: int = struct.unpack_from("!H", heard, 2)[0]
        return code

    def test_defaults(self) -> None:
        """
        There is a limit to everything.
        """
        self.assertEqual(
            to_plain(SocketLimits()),
            {
                "message": 65536,
                "unsent": 1048576,
                "handshake": 10.0,
                "ping": 30.0,
                "close": 3.0,
                "deflate": False,
            },
        )

    def test_longest_message(self) -> None:
        """
        A message of the longest size is heard, in one piece or many; with one byte
        more the peer is told that it is too big (1009).
        """
        for pieces in ([1000], [500, 500], [1, 998, 1]):
            for extra, code in ((0, None), (1, 1009)):
                self.scribe = Scribe()
                peer = self.peer()
                sizes = [*pieces[:-1], pieces[-1] + extra]
                for number, size in enumerate(sizes):
                    fin = number == len(sizes) - 1
                    opcode = 0 if number else TEXT
                    self.send(peer, frame(opcode, b"x" * size, fin=fin))
                if code is None:
                    self.assertEqual(self.scribe.notes[1:], ["x" * 1000])
                else:
                    self.assertEqual(self.code(peer), code)
                    self.assertEqual(self.scribe.notes, ["opened"])
                peer.transport.abortConnection()
                self.settle()

    def test_only_for_what_comes(self) -> None:
        """
        What is said to a peer may be longer.
        """
        client = self.client()
        self.scribe.say("x" * 5000)
        self.settle()
        self.assertEqual(client.heard, ["x" * 5000])
        client.sendMessage(b"x" * 1001)
        self.settle()
        self.assertEqual(client.ended and client.ended[0], 1009)

    def test_before_it_comes(self) -> None:
        """
        A message that will be too long is refused by its announcement, and not
        kept; what was said before is delivered.
        """
        client = self.client()
        self.scribe.say("hello")
        client.sendMessage(b"x" * 2_000_000)
        self.settle()
        self.assertEqual(client.heard, ["hello"])
        self.assertEqual(client.ended and client.ended[0], 1009)
        self.assertEqual(self.scribe.notes, ["opened", "closed"])

    def test_broken_rules(self) -> None:
        """
        A peer that breaks a rule is told so, after the answer to what came before.
        """
        self.scribe.answers["hello"] = lambda: self.scribe.say("hello")
        for wrong, code in (
            (frame(TEXT, b"x", rsv=4), 1002),
            (frame(3, b"x"), 1002),
            (frame(PING, b"x" * 126), 1002),
            (frame(TEXT, b"\xff"), 1007),
        ):
            self.scribe = Scribe()
            self.scribe.answers["hello"] = lambda: self.scribe.say("hello")
            peer = self.peer()
            self.send(peer, frame(TEXT, b"hello") + wrong + frame(TEXT, b"never"))
            self.assertEqual(peer.heard[:7], b"\x81\x05hello")
            peer.heard = peer.heard[7:]
            self.assertEqual(self.code(peer), code)
            self.clock.advance(3)
            self.settle()
            self.assertEqual(self.scribe.notes, ["opened", "hello", "closed"])

    def test_empty_pieces(self) -> None:
        """
        A message of countless empty pieces takes no room.
        """
        peer = self.peer()
        self.send(peer, frame(TEXT, b"a", fin=False))
        for _ in range(50):
            self.send(peer, frame(0, b"", fin=False) * 1000)
        self.assertEqual(self.scribe.message_data, [b"a"])
        self.send(peer, frame(0, b"b"))
        self.assertEqual(self.scribe.notes[1:], ["ab"])

    def test_many_small_messages(self) -> None:
        """
        Many messages at once are not copied once for each of them.
        """
        peer = self.peer()
        self.send(peer, frame(TEXT, b"x") * 9000)
        self.assertEqual(len(self.scribe.notes), 9001)
        self.assertEqual((self.scribe._unread, self.scribe.data), (b"", b""))

    def test_compression_declined(self) -> None:
        """
        Unless it is wanted, nothing is compressed, whatever the peer offers.
        """
        client = self.client(PerMessageDeflateOffer())
        client.sendMessage(b"hello")
        self.settle()
        self.assertEqual(client.websocket_extensions_in_use, [])
        self.assertEqual(self.scribe.notes[1:], ["hello"])

    def test_compression(self) -> None:
        """
        Where it is wanted, both ends compress.
        """
        self.limits = SocketLimits(deflate=True, message=5000)
        for offer in (
            PerMessageDeflateOffer(),
            PerMessageDeflateOffer(
                accept_max_window_bits=True,
                request_max_window_bits=9,
                request_no_context_takeover=True,
            ),
        ):
            self.scribe = Scribe()
            client = self.client(offer)
            client.sendMessage(b"hello" * 1000)
            self.scribe.say("world" * 1000)
            self.scribe.say("world" * 1000)
            self.settle()
            self.assertEqual(self.scribe.notes[1:], ["hello" * 1000])
            self.assertEqual(client.heard, ["world" * 1000] * 2)
            stats = client.trafficStats
            self.assertLess(stats.incomingOctetsWireLevel, 500)
            self.assertLess(stats.outgoingOctetsWireLevel, 500)

    def test_what_is_not_deflate(self) -> None:
        """
        Other ways to compress that Autobahn knows are not taken.
        """
        self.limits = SocketLimits(deflate=True)
        peer = self.peer(b"Sec-WebSocket-Extensions: permessage-bzip2")
        self.assertIsNone(self.scribe._perMessageCompress)
        self.send(peer, frame(TEXT, b"x"))
        self.assertEqual(self.scribe.notes[1:], ["x"])

    def test_bomb(self) -> None:
        """
        97 kB that would inflate to 100 MB are refused as too big, and not
        inflated beyond the limit, whatever follows.
        """
        self.limits = SocketLimits(deflate=True)
        bomb = zlib.compressobj(wbits=-15)
        data = b"".join(bomb.compress(bytes(10**6)) for _ in range(100))
        data += bomb.flush(zlib.Z_SYNC_FLUSH)[:-4]
        self.assertLess(len(data), 100_000)
        for size in (len(data), 60_000):
            self.scribe = Scribe()
            peer = self.peer(b"Sec-WebSocket-Extensions: permessage-deflate")
            pieces = [data[at : at + size] for at in range(0, len(data), size)]
            frames = [
                frame(
                    0 if at else BINARY,
                    piece,
                    fin=piece is pieces[-1],
                    rsv=0 if at else 4,
                )
                for at, piece in enumerate(pieces)
            ]
            more = frame(BINARY, b"x" * 1000)
            tracemalloc.start()
            self.addCleanup(tracemalloc.stop)
            self.send(peer, *frames, *[more] * 1000)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            self.assertLess(peak, 500_000)
            self.assertEqual(self.code(peer), 1009)
            self.clock.advance(3)
            self.settle()
            self.assertEqual(self.scribe.notes, ["opened", "closed"])
            self.assertIsNotNone(peer.reason)

    def test_unsent(self) -> None:
        """
        A peer that does not read is cut off when too much waits for it.
        """
        client = self.client()
        client.transport.pauseProducing()
        for _ in range(160):
            self.scribe.say("x" * 1000)
        self.settle()
        self.assertEqual(self.scribe.notes, ["opened"])
        for _ in range(10):
            self.scribe.say("x" * 1000)
        self.settle()
        self.assertEqual(self.scribe.notes, ["opened", "closed"])
        self.assertTrue(self.warned("cut off: over 100000 bytes wait"))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_pings_to_be_answered(self) -> None:
        """
        Answers to pings count like anything else that is not read.
        """
        peer = self.peer()
        peer.transport.pauseProducing()
        for _ in range(200):
            self.send(peer, frame(PING, b"x" * 125) * 10)
        self.assertEqual(self.scribe.notes, ["opened", "closed"])

    def test_ping(self) -> None:
        """
        A ping is answered.
        """
        peer = self.peer()
        self.send(peer, frame(PING, b"here?"))
        self.assertEqual(peer.heard, b"\x8a\x05here?")

    def test_handshake_time(self) -> None:
        """
        Who does not finish the opening handshake in time is let go, and told why.
        """
        server = self.factory(self.scribe)
        peer = connect(self.clock, server.buildProtocol(None))
        self.send(peer, HANDSHAKE)
        self.clock.advance(9.9)
        self.assertIsNone(peer.reason)
        self.clock.advance(0.1)
        self.settle()
        self.assertIn("HTTP/1.1 408 ", peer.said())
        self.assertIsNotNone(peer.reason)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_handshake_size(self) -> None:
        """
        Nor is a request kept that has no end.
        """
        server = self.factory(self.scribe)
        peer = connect(self.clock, server.buildProtocol(None))
        self.send(peer, b"GET / HTTP/1.1\r\n", *[b"X: " + b"x" * 1000] * 40)
        self.assertIn("HTTP/1.1 431 ", peer.said())
        self.scribe.dataReceived(b"x" * 10_000)
        self.assertLess(len(self.scribe.data), 40_000)

    def test_who_does_not_read_the_refusal(self) -> None:
        """
        A peer that was refused and does not read why is not waited for.
        """
        server = self.factory(self.scribe)
        peer = connect(self.clock, server.buildProtocol(None))
        peer.transport.pauseProducing()
        self.send(peer, b"POST / HTTP/1.1\r\n\r\n")
        self.assertFalse(self.scribe.transport.disconnected)
        self.clock.advance(3)
        self.assertTrue(self.scribe.transport.disconnected)

    def test_nothing_given_away(self) -> None:
        """
        What the server is made of is not told, and it shows no page of Autobahn's.
        """
        server = self.factory(self.scribe)
        peer = connect(self.clock, server.buildProtocol(None))
        self.send(
            peer, b"GET /?redirect=http://evil.example HTTP/1.1\r\nHost: x\r\n\r\n"
        )
        said = peer.said()
        self.assertIn("HTTP/1.1 426 ", said)
        self.assertNotIn("evil", said)
        peer = connect(self.clock, self.factory(Scribe()).buildProtocol(None))
        self.send(peer, HANDSHAKE + b"\r\n")
        self.assertNotIn("Autobahn", peer.said())

    def test_origins(self) -> None:
        """
        Origins are the web site's business: here all may come, a page without one
        as well.
        """
        for origin in (b"https://example.org", b"null"):
            self.scribe = Scribe()
            self.peer(b"Origin: " + origin)
            self.assertEqual(self.scribe.notes, ["opened"])


class PingTests(SocketTestCase):
    """
    Is anybody there?
    """

    limits = SocketLimits(ping=0.5)

    def test_alive(self) -> None:
        """
        A peer that answers stays, to the fraction of a second.
        """
        client = self.client()
        for _ in range(20):
            self.clock.advance(0.25)
            self.clock.advance(0.25)
        self.assertEqual(client.ended, None)
        self.assertGreater(client.trafficStats.incomingOctetsWireLevel, 19 * 14)

    def test_dead(self) -> None:
        """
        A peer of whom nothing is heard after a ping is dropped.
        """
        peer = self.peer()
        self.clock.advance(0.5)
        self.settle()
        self.assertEqual(peer.heard[:1], b"\x89")
        self.clock.advance(0.4)
        self.assertEqual(self.scribe.notes, ["opened"])
        self.clock.advance(0.1)
        self.settle()
        self.assertEqual(self.scribe.notes, ["opened", "closed"])
        self.assertTrue(self.warned("ping timeout"))

    def test_talking(self) -> None:
        """
        One that says something instead of answering stays.
        """
        peer = self.peer()
        for _ in range(10):
            self.clock.advance(0.5)
            self.send(peer, frame(TEXT, b"still here"))
        self.assertIsNone(peer.reason)

    def test_made_to_wait(self) -> None:
        """
        One whose answer we do not read, because there is so much to read before
        it, is not taken for dead.
        """
        client = self.client()
        end = self.slow("slow")
        client.sendMessage(b"slow")
        for _ in range(3000):
            client.sendMessage(b"next")
        self.settle()
        for _ in range(10):
            self.clock.advance(0.5)
        self.fire(end)
        self.assertEqual(self.scribe.notes.count("next"), 3000)
        for _ in range(4):
            self.clock.advance(0.5)
        self.assertIsNone(client.ended)

    def test_none(self) -> None:
        """
        No pings are sent unless they are wanted.
        """
        self.limits = SocketLimits(ping=0)
        peer = self.peer()
        self.clock.advance(3600)
        self.assertEqual((peer.heard, self.clock.getDelayedCalls()), (b"", []))
