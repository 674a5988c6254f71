"""
No request is smuggled through L{ropewalk.web.proxying}: each of L{tests.http_corpus}
reaches a back end as what it is, or does not.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.web.limits import HttpLimits
from tests.http_corpus import ANSWERED, REFUSED, SMUGGLED, Bad, Good
from tests.proxying import Line, Proxying
from tests.test_strictness import FRAGMENTS, WORDS, Ear
from tests.visiting import Place, Visit

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

    @given(st.text(WORDS, max_size=40))
    def test_anything(self, words: str) -> None:
        """
        Whatever is sent, a back end hears requests or the beginning of one.
        """
        said = b"".join(FRAGMENTS[WORDS.index(word)] for word in words)
        chain = Chain()
        chain.send(b"POST / HTTP/1.1\r\nHost: a\r\n" + said + SMUGGLED)
        self.assertEqual([each for each in chain.statuses if each != 200], [])
