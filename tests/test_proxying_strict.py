"""
No request is smuggled through L{ropewalk.web.proxying}: each of L{tests.http_corpus}
reaches a back end as what it is, or does not.
"""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.web.limits import HttpLimits
from ropewalk.web.proxying.connections import LIMITS
from ropewalk.wire.replies import Heard, NoReply, ReplyReader
from tests.http_corpus import ANSWERED, REFUSED, SMUGGLED, Bad, Good
from tests.proxying import Line, Proxying
from tests.test_strictness import FRAGMENTS, WORDS, Ear
from tests.visiting import Place, Visit, parse, request

#: What we answer ourselves.
OURS = (b"TRACE", b"CONNECT")


class Chain:
    """
    A client, a proxy, and a back end that is as strict as we are.

    :ivar ear: What the back end is asked.
    """

    def __init__(self) -> None:
        self.proxying = Proxying(path="/", longest_body=1024 * 1024)
        # Room for what a proxy adds.
        self.place = Place.of(limits=HttpLimits(headers=120, header_bytes=64 * 1024))
        self.ear = Ear()
        self.place.mount("/", self.ear)
        self._ends: list[tuple[Line, Visit]] = []

    def send(self, said: bytes) -> None:
        """Say something, and let it go its way."""
        self.proxying.visit.send(said)
        self.carry()
        # Who is not invited to send a body sends it after a while.
        self.proxying.reactor.advance(1)
        self.carry()

    def carry(self) -> None:
        """Carry bytes between the proxy and the back end, until there are no more."""
        moved = True
        while moved:
            moved = False
            while self.proxying.wanted:
                self._ends.append((self.proxying.line(), self.place.visit()))
            for line, visit in self._ends:
                heard, said = line.heard(), visit.wire.value()
                visit.wire.clear()
                visit.send(heard)
                line.say(said)
                moved = moved or bool(heard or said)

    @property
    def statuses(self) -> list[int]:
        """What the back end has answered: never that something is no request."""
        return [each.code for each in self.place.seen]


class SmugglingTests(SynchronousTestCase):
    """
    What a back end hears is what we have understood.
    """

    def test_refused(self) -> None:
        """
        What is no request for us is none for a back end: nothing of it is complete
        there, and nothing behind it.
        """
        for group in REFUSED.values():
            for bad in group:
                assert isinstance(bad, Bad)
                chain = Chain()
                chain.send(bad.said + SMUGGLED)
                self.assertEqual(chain.ear.asked, [], bad.name)
                self.assertNotIn(400, chain.statuses, bad.name)

    def test_answered(self) -> None:
        """
        What is one is the same one for a back end: its method, its path, its body, and
        where it ends.
        """
        for group in ANSWERED.values():
            for good in group:
                assert isinstance(good, Good)
                if good.method in OURS:
                    continue
                chain = Chain()
                chain.send(good.said + SMUGGLED)
                asked = [(e.method, e.target, e.body) for e in chain.ear.asked]
                wanted = [(good.method, good.target, good.body)]
                if not good.closes:
                    wanted.append((b"GET", b"/smuggled", b""))
                self.assertEqual(asked, wanted, good.name)

    @settings(suppress_health_check=list(HealthCheck), deadline=None)
    @given(st.text(WORDS, max_size=40))
    def test_anything(self, words: str) -> None:
        """
        Whatever is sent, a back end hears requests or the beginning of one.
        """
        said = b"".join(FRAGMENTS[WORDS.index(word)] for word in words)
        chain = Chain()
        chain.send(b"POST / HTTP/1.1\r\nHost: a\r\n" + said + SMUGGLED)
        self.assertEqual([each for each in chain.statuses if each != 200], [])


#: What a back end may say.
SAYINGS = [
    *(b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 200 OK\r\n", b"HTTP/1.1 204 \r\n", b"\r\n"),
    *(b"HTTP/1.1 103 Hints\r\n\r\n", b"HTTP/1.1 304\r\n", b"Content-Length: 5\r\n"),
    *(b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n", b"X: y\r\n"),
    *(
        b"5\r\nhello\r\n",
        b"0\r\n\r\n",
        b"hello",
        b"\r\n\r\n",
        b"\n",
        b"Content-Length: 0\r\n",
    ),
    *(b"HTTP/1.1 101 Other\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
]


def understood(said: list[bytes]) -> tuple[Heard, bool]:
    """
    What comes of an answer, and whether it is whole, when the connection is closed
    behind it.
    """
    reader, whole = ReplyReader(LIMITS), Heard()
    reader.expect(b"GET")
    try:
        for piece in said:
            heard = reader.read(piece)
            whole.head = heard.head or whole.head
            whole.pieces += heard.pieces
            if heard.done:
                return whole, True
        reader.close()
    except NoReply:
        return whole, False
    return whole, True


class AnswerTests(SynchronousTestCase):
    """
    What a client hears is what the back end has said, or that it has not.
    """

    @settings(suppress_health_check=list(HealthCheck), deadline=None)
    @given(st.lists(st.sampled_from(SAYINGS), min_size=1, max_size=8))
    def test_anything(self, said: list[bytes]) -> None:
        """
        It is the same status and the same body, and whole if the back end's was;
        otherwise a problem of ours, or broken off.
        """
        proxying = Proxying(path="/")
        proxying.visit.send(request("/"))
        line = proxying.line()
        line.say(*said)
        if line.protocol.connected and not line.closed:
            line.close()
        expected, whole = understood(said)
        visit = proxying.visit
        heard = visit.wire.value().replace(b"HTTP/1.1 103 Early Hints\r\n\r\n", b"")
        (answer,) = parse(heard, visit.closed and not visit.wire.aborted)
        if expected.head is None:
            self.assertEqual(answer.status, 502)
        else:
            body = b"".join(expected.pieces)
            self.assertEqual((answer.status, answer.body), (expected.head.code, body))
            self.assertEqual(answer.whole, whole)
        self.assertEqual(proxying.figures()["busy"], 0)
        self.assertEqual(proxying.wanted, 0)
