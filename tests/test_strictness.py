"""
HTTP/1.1 to the letter: each request of L{tests.http_corpus} is refused or answered as
it says, wherever TCP cuts it; and what belongs to more than one request.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from string import ascii_letters
from typing import Any

from attrs import define, frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from ropewalk.web.quick import is_native
from ropewalk.web.routes import Routes
from tests.http_corpus import (
    ANSWERED,
    HOST,
    OPEN,
    REFUSED,
    SMUGGLED,
    Bad,
    Good,
    coded,
    get,
    head,
    in_chunks,
    post,
)
from tests.visiting import Answer, Place, Visit, chunked, parse

ALL_BAD = [each for group in REFUSED.values() for each in group]
ALL_GOOD = [each for group in ANSWERED.values() for each in group]
LASTING = [each for each in ALL_GOOD if not each.closes]

#: Where bytes may be cut, in thousandths of them.
CUTS = st.lists(st.integers(0, 1000), max_size=8)

#: What a long request is cut into, after its first bytes.
_LONG_PIECE = 997

#: Seconds after which a server has closed what it is going to close: it may listen
#: for a moment to who was refused, so that the answer arrives (RFC 9112, section 9.6).
_LINGER = 5

#: Good requests that are asked by GET or POST, so that all answers have a body.
PLAIN = [each for each in ALL_GOOD if each.method in (b"GET", b"POST")]

#: What may get into a request by mistake, or on purpose.
ODD = st.binary(max_size=2) | st.sampled_from(
    [b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b",", b";", b"\x00", b"\r\n ", b"0"]
)

#: What requests are made of, and a letter for each.
FRAGMENTS = [
    *(b"GET", b"POST", b"HEAD", b" ", b" ", b"/", b"HTTP/1.1", b"HTTP/1.0", b"\r\n"),
    *(b"\r\n", b"\r\n\r\n", b"\n", b"\r", b"Host", b":", b": ", b"a", b"5", b"0"),
    *(b"Content-Length", b"Transfer-Encoding", b"chunked", b"gzip, ", b";", b"hello"),
    *(b"Connection", b"close", b"Expect", b"100-continue", b"GET / HTTP/1.1\r\n"),
    *(HOST + b"\r\n", b"POST / HTTP/1.1\r\n", b"Transfer-Encoding: chunked\r\n"),
    *(b"Content-Length: 5\r\n", b"5\r\nhello\r\n", b"0\r\n", b"X: a\r\n"),
]
WORDS = ascii_letters[: len(FRAGMENTS)]

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@frozen
class Asked:
    """
    What a handler was asked.
    """

    method: bytes
    target: bytes
    headers: dict[bytes, list[bytes]]
    body: bytes


class Ear(Resource):
    """
    Answers everything, and keeps what it was asked.
    """

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Asked] = []

    def render(self, request: Any) -> bytes:
        self.asked.append(asked_by(request))
        return b"heard"


class Lane:
    """
    Answers two paths by routes, to which there is a shorter way than to a resource.

    :ivar place: Where it does.
    """

    routes = Routes()

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.place = Place.of()
        self.place.mount("/", self.routes)
        # The first one of each kind finds the way.
        self.place.visit().send(get(), post(b"Content-Length: 5"), SMUGGLED)

    @routes.route("/", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    @routes.route("/smuggled")
    def hear(self, request: Any) -> bytes:
        self.asked.append(asked_by(request))
        return b"heard"


def asked_by(request: Any) -> Asked:
    """What a request asks."""
    headers = {
        name.lower(): values
        for name, values in request.requestHeaders.getAllRawHeaders()
    }
    return Asked(request.method, request.uri, headers, request.content.read())


@define
class Outcome:
    """
    What became of some bytes.

    :ivar raw: What was answered.
    :ivar asked: What the handler was asked.
    :ivar closed: Whether the server has closed the connection.
    """

    raw: bytes
    asked: list[Asked]
    closed: bool

    def statuses(self, *methods: str) -> list[int]:
        """What was answered; C{-1} for what is no answer, or half of one."""
        try:
            answers = parse(self.raw, self.closed, methods)
        except (AssertionError, ValueError):
            return [-1]
        return [each.status if each.whole else -1 for each in answers]

    def __str__(self) -> str:
        targets = [each.target[:40].decode("latin-1") for each in self.asked]
        end = "closed" if self.closed else "left open"
        return f"answered {self.statuses()}, handled {targets}, {end}"


def become(pieces: Iterable[bytes], lane: Lane | None = None) -> Outcome:
    """Say something to a server, and wait until it has closed if it does."""
    ear = lane or Ear()
    ear.asked.clear()
    place = Place.of() if lane is None else lane.place
    if lane is None:
        place.mount("/", ear)
    visit = place.visit()
    visit.send(*pieces)
    place.clock.pump([1] * _LINGER)
    outcome = Outcome(visit.wire.value(), list(ear.asked), visit.closed)
    visit.leave()
    return outcome


def by_byte(said: bytes) -> Iterator[bytes]:
    """A request byte by byte; of a long one, the first bytes."""
    for n in range(min(len(said), 2000)):
        yield said[n : n + 1]
    for n in range(2000, len(said), _LONG_PIECE):
        yield said[n : n + _LONG_PIECE]


def cut(said: bytes, cuts: Iterable[int]) -> list[bytes]:
    """Some bytes in pieces."""
    places = sorted({len(said) * each // 1000 for each in (0, *cuts, 1000)})
    return [said[start:end] for start, end in pairwise(places)]


def is_refused(outcome: Outcome, statuses: Sequence[int]) -> bool:
    """Whether a refusal is all that was answered, and nothing reached a handler."""
    said = outcome.statuses()
    return (
        len(said) == 1
        and said[0] in statuses
        and not outcome.asked
        and outcome.closed
        and CONTINUE not in outcome.raw
    )


def is_answered(outcome: Outcome, *requests: Good) -> bool:
    """Whether some requests, and what was sent behind them, reached the handler."""
    wanted = [*requests]
    if not requests[-1].closes:
        wanted.append(Good("", "", SMUGGLED, target=b"/smuggled"))
    statuses = outcome.statuses(*(each.method.decode() for each in wanted))
    return (
        statuses == [200] * len(wanted)
        and len(outcome.asked) == len(wanted)
        and all(map(is_heard, outcome.asked, wanted))
        and outcome.closed == requests[-1].closes
    )


def is_heard(asked: Asked, good: Good) -> bool:
    """Whether a handler was asked what a client asked."""
    return (
        (asked.method, asked.target, asked.body)
        == (good.method, good.target, good.body)
    ) and all(
        asked.headers.get(name, []) == values for name, values in good.headers.items()
    )


def described(case: Bad | Good, outcome: Outcome) -> str:
    """What was wrong with what became of a request."""
    return f"{case.name} (RFC {case.section.replace(' ', ', section ')}): {outcome}"


class StrictTestCase(SynchronousTestCase):
    """
    Sends a corpus.
    """

    def refused(self, group: str) -> None:
        """Each of a group is refused, at once or byte by byte."""
        wrong = []
        for bad in REFUSED[group]:
            said = bad.said + SMUGGLED
            for pieces in ([said], by_byte(said)):
                outcome = become(pieces)
                if not is_refused(outcome, bad.statuses):
                    wrong.append(described(bad, outcome))
                    break
        self.none(wrong, len(REFUSED[group]))

    def answered(self, group: str) -> None:
        """Each of a group is answered, at once or byte by byte."""
        wrong = []
        for good in ANSWERED[group]:
            said = good.said + SMUGGLED
            for pieces in ([said], by_byte(said)):
                outcome = become(pieces)
                if not is_answered(outcome, good):
                    wrong.append(described(good, outcome))
                    break
        self.none(wrong, len(ANSWERED[group]))

    def none(self, wrong: Sequence[str], number: int) -> None:
        """Nothing went wrong; or say what did."""
        if wrong:
            self.fail("\n".join([f"{len(wrong)} of {number}:", *wrong]))


class RefusedTests(StrictTestCase):
    """
    What is no request gets one answer, which says so; nothing of it, and nothing behind
    it, reaches a handler; and the connection ends (RFC 9112, section 9.6).
    """

    def test_line_ends(self) -> None:
        """
        A line ends with CRLF, and neither CR nor LF is anywhere else (RFC 9112,
        sections 2.2 and 7.1).
        """
        self.refused("line ends")

    def test_request_line(self) -> None:
        """
        A request line is a method, a target and a version, a space apart (RFC 9112,
        section 3; RFC 9110, section 9.1).
        """
        self.refused("request line")

    def test_versions(self) -> None:
        """
        A version is C{HTTP/1.} and a digit (RFC 9112, section 2.3); another one with
        two digits is not supported (RFC 9110, section 15.6.6).
        """
        self.refused("versions")

    def test_targets(self) -> None:
        """
        A target has one of four forms, each for its methods, and only what is in URIs,
        or what browsers put there (RFC 9112, section 3.2; RFC 3986, section 2).
        """
        self.refused("targets")

    def test_headers(self) -> None:
        """
        A header is a token, a colon and text on the same line (RFC 9112, section 5;
        RFC 9110, sections 5.1 and 5.5). What the body is, and who asks, is said once:
        two that read a request could believe different ones (RFC 9110, section 5.3).
        """
        self.refused("headers")

    def test_hosts(self) -> None:
        """
        A request is for one host (RFC 9112, section 3.2; RFC 3986, section 3.2.2).
        """
        self.refused("hosts")

    def test_lengths(self) -> None:
        """
        A length is said once, in digits, and is not absurd (RFC 9110, section 8.6;
        RFC 9112, section 6.3).
        """
        self.refused("lengths")

    def test_codings(self) -> None:
        """
        Chunked is the last coding, and there is one, in no request with a length or of
        HTTP/1.0; what is said to be compressed is (RFC 9112, sections 6.1, 6.3, 7.2).
        """
        self.refused("codings")

    def test_chunks(self) -> None:
        """
        A chunk is as long as it says, its extensions are some and short, and behind the
        last there is nothing which belongs before the body (RFC 9112, section 7.1; RFC
        9110, section 6.5.1).
        """
        self.refused("chunks")

    def test_expectations(self) -> None:
        """
        Nothing can be expected but C{100-continue} (RFC 9110, section 10.1.1).
        """
        self.refused("expectations")

    def test_lengthy(self) -> None:
        """
        Request lines and headers have an end, and it is soon (RFC 9112, section 3; RFC
        9110, section 5.4).
        """
        self.refused("lengthy")

    @settings(max_examples=400, deadline=None)
    @given(st.sampled_from(ALL_BAD), CUTS)
    def test_cuts(self, bad: Bad, cuts: list[int]) -> None:
        """
        They are refused wherever TCP cuts them.
        """
        outcome = become(cut(bad.said + SMUGGLED, cuts))
        self.assertTrue(is_refused(outcome, bad.statuses), described(bad, outcome))

    def test_on_the_short_way(self) -> None:
        """
        They are refused on the way to a plain handler of a route, too.
        """
        lane = Lane()
        wrong = []
        for bad in ALL_BAD:
            said = bad.said + SMUGGLED
            for pieces in ([said], by_byte(said)):
                outcome = become(pieces, lane)
                if not is_refused(outcome, bad.statuses):
                    wrong.append(described(bad, outcome))
                    break
        self.none(wrong, len(ALL_BAD))

    @settings(max_examples=200, deadline=None)
    @given(st.sampled_from(LASTING), st.sampled_from(ALL_BAD), CUTS)
    def test_behind(self, good: Good, bad: Bad, cuts: list[int]) -> None:
        """
        One that comes behind a good request leaves that its answer.
        """
        outcome = become(cut(good.said + bad.said + SMUGGLED, cuts))
        first, *others = outcome.statuses(good.method.decode())
        self.assertEqual(first, 200, described(bad, outcome))
        self.assertEqual(len(outcome.asked), 1, described(bad, outcome))
        self.assertTrue(is_heard(outcome.asked[0], good), described(good, outcome))
        self.assertEqual(len(others), 1, described(bad, outcome))
        self.assertIn(others[0], bad.statuses, described(bad, outcome))
        self.assertTrue(outcome.closed, described(bad, outcome))

    def test_says_that_it_closes(self) -> None:
        """
        A refusal says that the connection ends (RFC 9112, section 9.6).
        """
        for said in (b"GET\r\n\r\n", get(b"X"), in_chunks(b"x\r\n")):
            (answer,) = parse(become([said]).raw, True)
            self.assertEqual(answer.headers["connection"], "close")


class AnsweredTests(StrictTestCase):
    """
    What is a request reaches the handler as it was sent, and what comes behind it is
    the next one.
    """

    def test_lines(self) -> None:
        """
        Any method, any target, any version 1 (RFC 9112, sections 2 and 3).
        """
        self.answered("lines")

    def test_headers(self) -> None:
        """
        Any token is a name, any text is a value, any host a host (RFC 9112, sections
        3.2 and 5; RFC 9110, section 5.5).
        """
        self.answered("headers")

    def test_bodies(self) -> None:
        """
        Bodies of a length, in chunks, compressed, with extensions and trailers (RFC
        9112, sections 6 and 7).
        """
        self.answered("bodies")

    def test_connections(self) -> None:
        """
        A connection is kept, or it is not, as the client says; nobody has to upgrade
        (RFC 9112, sections 9.3 and 9.6; RFC 9110, sections 7.8 and 10.1.1).
        """
        self.answered("connections")

    def test_clients(self) -> None:
        """
        What browsers, proxies and tools send.
        """
        self.answered("clients")

    def test_on_the_short_way(self) -> None:
        """
        So they do to a plain handler of a route.
        """
        cases = [each for each in PLAIN if each.target == b"/"]
        lane = Lane()
        wrong = []
        for good in cases:
            said = good.said + SMUGGLED
            for pieces in ([said], by_byte(said)):
                outcome = become(pieces, lane)
                if not is_answered(outcome, good):
                    wrong.append(described(good, outcome))
                    break
        self.none(wrong, len(cases))

    @settings(max_examples=300, deadline=None)
    @given(
        st.lists(st.sampled_from(LASTING), max_size=4), st.sampled_from(ALL_GOOD), CUTS
    )
    def test_cuts(self, before: list[Good], last: Good, cuts: list[int]) -> None:
        """
        They are answered one after another, wherever TCP cuts them.
        """
        requests = [*before, last]
        said = b"".join(each.said for each in requests) + SMUGGLED
        outcome = become(cut(said, cuts))
        names = " + ".join(each.name for each in requests)
        self.assertTrue(is_answered(outcome, *requests), f"{names}: {outcome}")

    def test_open(self) -> None:
        """
        What the RFCs leave open is refused, or it is answered as it was meant.
        """
        wrong = []
        for case in OPEN:
            for pieces in ([case.said + SMUGGLED], by_byte(case.said + SMUGGLED)):
                outcome = become(pieces)
                refused = is_refused(outcome, range(400, 600))
                if not refused and not is_answered(outcome, case):
                    wrong.append(described(case, outcome))
        self.none(wrong, len(OPEN))

    def test_open_as_ever(self) -> None:
        """
        What is open is decided, not left to where TCP cuts.
        """
        for case in OPEN:
            whole = become([case.said + SMUGGLED])
            pieces = become(by_byte(case.said + SMUGGLED))
            self.assertEqual(whole.asked, pieces.asked, case.name)


class AnyTests(StrictTestCase):
    """
    What nobody has thought of is refused, or it is a request; that does not depend on
    where TCP cuts it, and breaks nothing.
    """

    def setUp(self) -> None:
        self.lane = Lane()

    def same(self, said: bytes, cuts: list[int]) -> None:
        """Some bytes become the same, in one piece and in several."""
        for lane in None, self.lane:
            whole, pieces = become([said], lane), become(cut(said, cuts), lane)
            self.assertEqual(whole.asked, pieces.asked, said)
            self.assertEqual(whole.closed, pieces.closed, said)
            self.assertEqual(whole.statuses(), pieces.statuses(), said)

    @settings(max_examples=300, deadline=None)
    @given(st.binary(max_size=100), CUTS)
    def test_bytes(self, said: bytes, cuts: list[int]) -> None:
        """
        Any bytes.
        """
        self.same(said, cuts)

    @settings(max_examples=300, deadline=None)
    @given(st.text(WORDS, max_size=100), CUTS)
    def test_words(self, said: str, cuts: list[int]) -> None:
        """
        What requests are made of, in any order.
        """
        self.same(b"".join(FRAGMENTS[WORDS.index(each)] for each in said), cuts)

    @settings(max_examples=600, deadline=None)
    @given(st.sampled_from(PLAIN), st.integers(0, 1000), st.integers(0, 2), ODD, CUTS)
    def test_one_byte(
        self, good: Good, place: int, taken: int, put: bytes, cuts: list[int]
    ) -> None:
        """
        A good request with something put into it, or taken from it.
        """
        at = len(good.said) * place // 1000
        said = good.said[:at] + put + good.said[at + taken :]
        self.same(said + SMUGGLED, cuts)


class CorpusTests(SynchronousTestCase):
    """
    The corpus is what it says.
    """

    def test_names(self) -> None:
        """
        Each request has a name of its own.
        """
        for cases in (ALL_BAD, [*ALL_GOOD, *OPEN]):
            names = [each.name for each in cases]
            self.assertEqual(len(names), len(set(names)))

    def test_none_is_both(self) -> None:
        """
        None has to be both refused and answered.
        """
        bad = {each.said for each in ALL_BAD}
        self.assertEqual(len(bad), len(ALL_BAD))
        self.assertEqual([c.name for c in [*ALL_GOOD, *OPEN] if c.said in bad], [])

    def test_lane(self) -> None:
        """
        The short way is one, where there is one.
        """
        lanes = Lane().place.site.lanes
        if not is_native:
            self.assertEqual(lanes, {})
            return
        self.assertEqual({*lanes}, {b"GET", b"POST"})
        self.assertEqual({*lanes[b"GET"]}, {b"/", b"/smuggled"})

    def test_all_are_sent(self) -> None:
        """
        Each group of it has a test.
        """
        for groups, case in ((REFUSED, RefusedTests), (ANSWERED, AnsweredTests)):
            for name in groups:
                self.assertTrue(hasattr(case, f"test_{name.replace(' ', '_')}"), name)


class Later(Resource):
    """
    Answers when it is told to, with the path and the body.

    :ivar waiting: What waits for that.
    :ivar lost: The paths of those whose client has gone.
    """

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Any] = []
        self.lost: list[bytes] = []

    def render(self, request: Any) -> Any:
        request.said = request.uri + request.content.read()
        self.waiting.append(request)
        request.notifyFinish().addErrback(lambda _: self.lost.append(request.uri))
        return NOT_DONE_YET

    def answer(self, number: int = 0) -> None:
        """Answer one of those that wait."""
        request = self.waiting.pop(number % len(self.waiting))
        request.write(request.said)
        request.finish()


class Codes(Resource):
    """
    Answers with the status in the path, and, whatever that is, a body.
    """

    isLeaf = True

    def render(self, request: Any) -> bytes:
        request.setResponseCode(int(request.path[1:]))
        return b"a body"


class Pieces(Resource):
    """
    Writes without saying how much.
    """

    isLeaf = True

    def render(self, request: Any) -> Any:
        request.write(b"one ")
        request.write(b"two")
        request.finish()
        return NOT_DONE_YET


class ConnectionTestCase(SynchronousTestCase):
    """
    A site to talk with.
    """

    def visit(self, resource: Resource, **settings: Any) -> Visit:
        """Be connected to what serves a resource."""
        self.place = Place.of(**settings)
        self.place.mount("/", resource)
        return self.place.visit()

    def wait(self, seconds: int = _LINGER) -> None:
        """Let time pass."""
        self.place.clock.pump([1] * seconds)


class PipelineTests(ConnectionTestCase):
    """
    Requests that come before the last one is answered are answered in their order (RFC
    9112, section 9.3.2).
    """

    def test_order(self) -> None:
        """
        Whatever is ready first, the first answer is the first request's
        (CVE-2023-46137).
        """
        later = Later()
        visit = self.visit(later)
        visit.send(b"".join(get(target=b"/%d" % n) for n in range(4)))
        answers = []
        while later.waiting:
            later.answer(-1)
            answers += visit.answers()
        self.assertEqual([each.text for each in answers], ["/0", "/1", "/2", "/3"])

    @settings(max_examples=150, deadline=None)
    @given(
        st.lists(st.sampled_from(["none", "length", "chunks"]), min_size=2, max_size=6),
        CUTS,
        st.lists(st.integers(0, 5)),
    )
    def test_order_of_bodies(
        self, framings: list[str], cuts: list[int], order: list[int]
    ) -> None:
        """
        So it is with bodies, wherever TCP cuts them and whenever an answer is ready
        (CVE-2024-41671).
        """
        later = Later()
        visit = self.visit(later)
        said, wanted = b"", []
        for n, framing in enumerate(framings):
            body = b"" if framing == "none" else b"body %d" % n
            said += framed(b"/%d" % n, framing, body)
            wanted.append(f"/{n}{body.decode()}")
        turns = iter(order)
        for piece in cut(said, cuts):
            visit.send(piece)
            turn = next(turns, 0)
            if turn and later.waiting:
                later.answer(turn)
        while later.waiting:
            later.answer(next(turns, 0))
        self.assertEqual([each.text for each in visit.answers()], wanted)

    def test_nothing_before_its_turn(self) -> None:
        """
        While the first answer is not there, nothing is sent, and afterwards nothing is
        sent twice.
        """
        later = Later()
        visit = self.visit(later)
        visit.send(get(target=b"/0") + get(target=b"/1"))
        for number in reversed(range(1, len(later.waiting))):
            later.answer(number)
        self.assertEqual(visit.wire.value(), b"")
        while later.waiting:
            later.answer()
        self.assertEqual([each.text for each in visit.answers()], ["/0", "/1"])

    def test_bad_behind_a_running_answer(self) -> None:
        """
        A request that is none does not get into the answer before (twisted#4894).
        """
        later = Later()
        visit = self.visit(later)
        visit.send(get(target=b"/0"))
        (request,) = later.waiting
        request.write(b"half of ")
        visit.send(b"G\x00T / HTTP/1.1\r\n\r\n" + SMUGGLED)
        self.wait()
        self.assertNotIn(b" 400 ", visit.wire.value())
        self.assertFalse(visit.closed)
        request.write(b"an answer")
        request.finish()
        self.wait()
        one, other = visit.answers()
        self.assertEqual((one.status, one.text), (200, "half of an answer"))
        self.assertTrue(one.whole)
        self.assertEqual(other.status, 400)
        self.assertTrue(visit.closed)
        self.assertEqual(later.waiting, [request])

    def test_too_long_behind_a_running_answer(self) -> None:
        """
        Nor does one whose body is too long, or which is too long itself.
        """
        for said, status in (
            (post(b"Content-Length: 101"), 413),
            (get(target=b"/" + b"a" * 9000), 414),
            (get(*[b"X: a"] * 200), 431),
        ):
            later = Later()
            visit = self.visit(later, longest_body=100)
            visit.send(get(target=b"/0") + said + SMUGGLED)
            later.answer()
            self.wait()
            answers = [(each.status, each.whole) for each in visit.answers()]
            self.assertEqual(answers, [(200, True), (status, True)])
            self.assertTrue(visit.closed)
            self.assertEqual(later.waiting, [])

    def test_close(self) -> None:
        """
        What comes behind the last request is not answered, even if that is answered
        later (RFC 9112, section 9.6).
        """
        later = Later()
        visit = self.visit(later)
        visit.send(get(b"Connection: close", target=b"/0") + get(target=b"/1"))
        visit.send(get(target=b"/2"))
        later.answer()
        self.wait()
        self.assertEqual(visit.answer().text, "/0")
        self.assertTrue(visit.closed)
        self.assertEqual(later.waiting, [])

    def test_lost(self) -> None:
        """
        Who leaves while an answer is waited for is missed by the handler; those behind
        are not asked any more.
        """
        later = Later()
        visit = self.visit(later)
        visit.send(get(target=b"/0") + get(target=b"/1"))
        visit.leave()
        self.assertEqual(later.lost, [each.uri for each in later.waiting])
        self.assertEqual(later.lost[0], b"/0")
        self.wait()
        self.assertEqual(visit.wire.value(), b"")
        self.assertEqual(later.lost, [each.uri for each in later.waiting])

    def test_many(self) -> None:
        """
        A thousand requests in one piece are a thousand answers.
        """
        visit = self.visit(Ear())
        visit.send(SMUGGLED * 1000)
        self.wait()
        answers = visit.answers()
        self.assertEqual([each.text for each in answers], ["heard"] * 1000)
        self.assertFalse(visit.closed)

    def test_no_pieces(self) -> None:
        """
        So it is when it is not known how long it would be.
        """
        visit = self.visit(Pieces())
        visit.send(head(b"HEAD / HTTP/1.1", HOST) + get())
        answers = visit.answers("HEAD")
        self.assertEqual([each.text for each in answers], ["", "one two"])

    def test_no_body(self) -> None:
        """
        An answer to HEAD, and one of the statuses that have no body, has none; the next
        one begins behind it (RFC 9112, section 6.3).
        """
        visit = self.visit(Codes())
        said = [head(b"HEAD /200 HTTP/1.1", HOST)]
        said += [get(target=b"/%d" % code) for code in (204, 304, 200)]
        visit.send(b"".join(said))
        answers = visit.answers("HEAD")
        self.assertEqual([each.status for each in answers], [200, 204, 304, 200])
        self.assertEqual([each.text for each in answers], ["", "", "", "a body"])
        self.assertEqual(answers[0].headers["content-length"], "6")
        self.assertNotIn("content-length", answers[1].headers)  # RFC 9110, section 8.6
        for each in answers:
            self.assertNotIn("transfer-encoding", each.headers)


def framed(target: bytes, framing: str, body: bytes) -> bytes:
    """A request whose body is framed somehow."""
    if framing == "chunks":
        line, body = b"Transfer-Encoding: chunked", chunked(body[:3], body[3:])
    elif framing == "length":
        line = b"Content-Length: %d" % len(body)
    else:
        return get(target=target)
    return head(b"POST " + target + b" HTTP/1.1", HOST, line) + body


class ExpectationTests(ConnectionTestCase):
    """
    Who waits for C{100 Continue} gets it when the body is wanted, and only then (RFC
    9110, section 10.1.1).
    """

    def test_continue(self) -> None:
        """
        It is said when the headers are here, once; then the body is read.
        """
        ear = Ear()
        visit = self.visit(ear)
        visit.send(post(b"Expect: 100-continue", b"Content-Length: 5", body=b""))
        self.assertEqual(visit.wire.value(), CONTINUE)
        visit.send(b"he", b"llo")
        self.assertEqual(visit.wire.value().count(CONTINUE), 1)
        self.assertEqual(visit.answer().text, "heard")
        self.assertEqual(ear.asked[0].body, b"hello")

    def test_continue_with_chunks(self) -> None:
        """
        So it is with chunks.
        """
        ear = Ear()
        visit = self.visit(ear)
        visit.send(in_chunks(b"", b"Expect: 100-continue"))
        self.assertEqual(visit.wire.value(), CONTINUE)
        visit.send(b"5\r\nhello\r\n0\r\n\r\n")
        self.assertEqual(visit.answer().text, "heard")
        self.assertEqual(ear.asked[0].body, b"hello")

    def test_no_need(self) -> None:
        """
        It is not said to who does not wait: the body is here, or there is none, or the
        client speaks HTTP/1.0.
        """
        expect = b"Expect: 100-continue"
        old = head(b"POST / HTTP/1.0", expect, b"Content-Length: 5")
        for said in (
            post(expect, b"Content-Length: 5"),
            in_chunks(b"5\r\nhello\r\n0\r\n\r\n", expect),
            post(expect, b"Content-Length: 0", body=b""),
            get(expect),
        ):
            visit = self.visit(Ear())
            visit.send(said)
            self.assertNotIn(CONTINUE, visit.wire.value(), said)
            self.assertEqual(visit.answer().status, 200)
        visit = self.visit(Ear())
        visit.send(old)
        self.assertEqual(visit.wire.value(), b"")
        visit.send(b"hello")
        self.assertEqual(visit.answer().status, 200)

    def test_not_wanted(self) -> None:
        """
        Nor when the body is not wanted: that is said at once.
        """
        expect = b"Expect: 100-continue"
        for said, status in (
            (post(expect, b"Content-Length: 101", body=b""), 413),
            (post(expect + b", x", b"Content-Length: 5", body=b""), 417),
            (post(expect, b"Content-Length: x", body=b""), 400),
            (post(expect, b"Transfer-Encoding: x, chunked", body=b""), 501),
            (post(expect, HOST, b"Content-Length: 5", body=b""), 400),
        ):
            visit = self.visit(Ear(), longest_body=100)
            visit.send(said)
            self.wait()
            self.assertNotIn(CONTINUE, visit.wire.value(), said)
            self.assertEqual(visit.answer().status, status, said)
            self.assertTrue(visit.closed)

    def test_in_its_turn(self) -> None:
        """
        It is not said in the middle of another answer.
        """
        later = Later()
        visit = self.visit(later)
        visit.send(get(target=b"/0"))
        later.waiting[0].write(b"half")
        visit.send(post(b"Expect: 100-continue", b"Content-Length: 5", body=b""))
        self.assertNotIn(CONTINUE, visit.wire.value())
        later.waiting[0].write(b" and half")
        later.waiting.pop(0).finish()
        first, _, rest = visit.wire.value().partition(CONTINUE)
        (answer,) = parse(first, False)
        self.assertEqual((answer.text, answer.whole), ("half and half", True))
        self.assertEqual(rest, b"")
        visit.wire.clear()
        visit.send(b"hello")
        later.answer()
        self.assertEqual(visit.answer().text, "/hello")


class PersistenceTests(ConnectionTestCase):
    """
    Whether a connection is kept is said, and is true (RFC 9112, section 9.3).
    """

    def answer(self, resource: Resource, said: bytes) -> tuple[Answer, bool]:
        """What is answered, and whether the connection is closed."""
        visit = self.visit(resource)
        visit.send(said)
        self.wait()
        return visit.answer(), visit.closed

    def test_old_client(self) -> None:
        """
        A client of HTTP/1.0 that wants to stay may, and is told, and how long the
        answer is; another may not.
        """
        said = head(b"GET / HTTP/1.0", HOST, b"Connection: keep-alive")
        answer, closed = self.answer(Ear(), said)
        self.assertEqual(answer.headers["connection"].lower(), "keep-alive")
        self.assertEqual(answer.headers["content-length"], "5")
        self.assertFalse(closed)
        answer, closed = self.answer(Ear(), head(b"GET / HTTP/1.0", HOST))
        self.assertEqual(answer.headers.get("connection", "close"), "close")
        self.assertTrue(closed)

    def test_unknown_length(self) -> None:
        """
        An answer of unknown length goes in chunks, or, to HTTP/1.0 which has none, to
        the end of the connection (RFC 9112, sections 6.1 and 6.3).
        """
        answer, closed = self.answer(Pieces(), get())
        self.assertEqual(answer.headers["transfer-encoding"], "chunked")
        self.assertEqual((answer.text, answer.whole, closed), ("one two", True, False))
        for line in (b"X: a", b"Connection: keep-alive"):
            said = head(b"GET / HTTP/1.0", HOST, line)
            answer, closed = self.answer(Pieces(), said)
            self.assertNotIn("transfer-encoding", answer.headers)
            self.assertNotEqual(answer.headers.get("connection"), "keep-alive")
            self.assertEqual((answer.text, closed), ("one two", True))

    def test_close(self) -> None:
        """
        The last answer says that it is (RFC 9112, section 9.6).
        """
        answer, closed = self.answer(Ear(), get(b"Connection: close"))
        self.assertEqual(answer.headers["connection"], "close")
        self.assertTrue(closed)

    def test_cookies(self) -> None:
        """
        Cookies of several lines are as those of one (RFC 6265, section 5.4, has one;
        RFC 9113, section 8.2.3, splits it).
        """

        class Jar(Resource):
            isLeaf = True

            def render(self, request: Any) -> Any:
                names = (b"a", b"c", b"e")
                return b" ".join(request.getCookie(name) for name in names)

        said = get(b"Cookie: a=b", b"X: y", b"Cookie: c=d; e=f")
        answer, _ = self.answer(Jar(), said)
        self.assertEqual(answer.text, "b d f")


class MethodTests(ConnectionTestCase):
    """
    Methods that are about the server, not about what is on it (RFC 9110, section 9.3).
    """

    def test_options(self) -> None:
        """
        C{OPTIONS *} asks for the server's options; there is something to say, and the
        connection goes on.
        """
        visit = self.visit(Ear())
        visit.send(head(b"OPTIONS * HTTP/1.1", HOST) + SMUGGLED)
        one, other = visit.answers()
        self.assertIn(one.status, (200, 204))
        self.assertEqual(other.text, "heard")

    def test_options_of_a_url(self) -> None:
        """
        So it is where a proxy asks the server that it leads to (RFC 9112, section
        3.2.4).
        """
        ear = Ear()
        visit = self.visit(ear)
        visit.send(head(b"OPTIONS http://example.org HTTP/1.1", HOST) + SMUGGLED)
        one, other = visit.answers()
        self.assertIn(one.status, (200, 204))
        self.assertEqual(other.text, "heard")
        self.assertEqual([each.target for each in ear.asked], [b"/smuggled"])

    def test_connect(self) -> None:
        """
        C{CONNECT} is for proxies: no handler is asked, and the answer is a whole one.
        """
        ear = Ear()
        visit = self.visit(ear)
        visit.send(head(b"CONNECT example.org:443 HTTP/1.1", b"Host: example.org:443"))
        self.wait()
        answer = visit.answer()
        self.assertIn(answer.status, (405, 501))
        self.assertTrue(answer.whole)
        self.assertEqual(ear.asked, [])


class BodyLimitTests(ConnectionTestCase):
    """
    A body is as long as the site takes, however it comes.
    """

    def test_all_of_it(self) -> None:
        """
        The longest body is taken.
        """
        body = b"x" * 100
        for said in (
            post(b"Content-Length: 100", body=body),
            in_chunks(chunked(body[:60], body[60:])),
            coded(b"gzip, chunked", gzip.compress(body)),
            coded(b"deflate, chunked", zlib.compress(body)),
        ):
            ear = Ear()
            visit = self.visit(ear, longest_body=100)
            visit.send(said + SMUGGLED)
            self.assertEqual([each.status for each in visit.answers()], [200, 200])
            self.assertEqual(ear.asked[0].body, body)

    def test_too_long(self) -> None:
        """
        A longer one is refused when that is known: by its headers, at the chunk that is
        too much, at the byte that is too much of what was compressed.
        """
        body = b"x" * 101
        for said in (
            post(b"Content-Length: 101", body=b""),
            in_chunks(b"65\r\n"),
            in_chunks(b"32\r\n" + b"x" * 50 + b"\r\n33\r\n"),
            coded(b"gzip, chunked", gzip.compress(body)),
            coded(b"deflate, chunked", zlib.compress(body)),
            coded(b"gzip, chunked", gzip.compress(b"x" * 10_000_000)),
        ):
            for pieces in ([said], by_byte(said)):
                ear = Ear()
                visit = self.visit(ear, longest_body=100)
                visit.send(*pieces)
                self.wait()
                self.assertEqual(visit.answer().status, 413, said[:200])
                self.assertTrue(visit.closed)
                self.assertEqual(ear.asked, [])

    def test_compressed_is_not_measured(self) -> None:
        """
        It is the body that has a limit, not what its compression adds.
        """
        body = bytes(range(100))
        said = coded(b"gzip, chunked", gzip.compress(body))
        self.assertGreater(len(gzip.compress(body)), 100)
        ear = Ear()
        visit = self.visit(ear, longest_body=100)
        visit.send(said)
        self.assertEqual(visit.answer().status, 200)
        self.assertEqual(ear.asked[0].body, body)


class DeadlineTests(ConnectionTestCase):
    """
    A client is waited for, but not for ever: a byte now and then is not enough. (The
    numbers are the defaults.)
    """

    def drip(self, visit: Visit, piece: bytes, seconds: int) -> int | None:
        """
        Say something each second.

        :return: after how many the server had closed, if it did.
        """
        for second in range(seconds):
            visit.send(piece)
            self.wait(1)
            if visit.closed:
                return second + 1
        return None

    def test_headers(self) -> None:
        """
        Headers are complete 10 seconds after they began.
        """
        visit = self.visit(Ear())
        visit.send(b"GET / HTTP/1.1\r\n")
        closed = self.drip(visit, b"X: a\r\n", 30)
        assert closed is not None
        self.assertGreaterEqual(closed, 10)
        self.assertLessEqual(closed, 10 + _LINGER)
        self.assertEqual(visit.answer().status, 408)

    def test_request_line(self) -> None:
        """
        So it is when not even the request line is complete, and with empty lines.
        """
        for first, piece in ((b"GET /", b"a"), (b"\r\n", b"")):
            visit = self.visit(Ear())
            visit.send(first)
            closed = self.drip(visit, piece, 30)
            assert closed is not None
            self.assertLessEqual(closed, 10 + _LINGER)

    def test_next_request(self) -> None:
        """
        Of another request on the same connection they are counted from its first byte.
        """
        visit = self.visit(Ear())
        for _ in range(3):
            visit.send(get())
            self.wait(8)
            self.assertEqual(visit.answer().status, 200)
        visit.send(b"G")
        self.wait(9)
        self.assertFalse(visit.closed)
        self.wait(1 + _LINGER)
        self.assertTrue(visit.closed)

    def test_silence(self) -> None:
        """
        Who connects and says nothing is not waited for longer.
        """
        visit = self.visit(Ear())
        self.wait(9)
        self.assertFalse(visit.closed)
        self.wait(1 + _LINGER)
        self.assertTrue(visit.closed)

    def test_in_time(self) -> None:
        """
        Headers that are complete within that time are answered, however they came.
        """
        visit = self.visit(Ear())
        for piece in (
            b"GET ",
            b"/ HT",
            b"TP/1.1\r\n",
            b"Host:",
            b" a\r",
            b"\n\r",
            b"\n",
        ):
            self.wait(1)
            visit.send(piece)
        self.assertEqual(visit.answer().status, 200)
        self.wait(10)
        self.assertFalse(visit.closed)

    def test_body(self) -> None:
        """
        A body comes with 256 bytes a second, or is not waited for.
        """
        for begin, piece in (
            (post(b"Content-Length: 100000", body=b""), b"x" * 10),
            (in_chunks(b""), b"1\r\nx\r\n"),
        ):
            ear = Ear()
            visit = self.visit(ear)
            visit.send(begin)
            closed = self.drip(visit, piece, 60)
            assert closed is not None
            self.assertLessEqual(closed, 20 + _LINGER)
            self.assertEqual(visit.answer().status, 408)
            self.assertEqual(ear.asked, [])

    def test_long_body(self) -> None:
        """
        One that keeps to that may take long.
        """
        visit = self.visit(Ear())
        visit.send(post(b"Content-Length: 36000", body=b""))
        self.assertIsNone(self.drip(visit, b"x" * 300, 119))
        visit.send(b"x" * 300)
        self.assertEqual(visit.answer().status, 200)

    def test_slow_handler(self) -> None:
        """
        A handler may take its time: that is not the client's.
        """
        later = Later()
        visit = self.visit(later)
        visit.send(get(target=b"/0"))
        self.wait(55)
        later.answer()
        self.assertEqual(visit.answer().text, "/0")

    def test_behind_a_slow_handler(self) -> None:
        """
        Who begins another request while one is answered has his time for that, too.
        """
        later = Later()
        visit = self.visit(later)
        visit.send(get(target=b"/0"))
        self.wait(30)
        visit.send(b"GET /1 HT")
        self.wait(1)
        later.answer()
        self.wait(7)
        visit.send(b"TP/1.1\r\nHost: a\r\n\r\n")
        later.answer()
        self.assertEqual([each.text for each in visit.answers()], ["/0", "/1"])

    def test_waiting_behind_a_slow_handler(self) -> None:
        """
        Who has sent all of it waits for us, not we for him.
        """
        later = Later()
        visit = self.visit(later)
        visit.send(get(target=b"/0") + get(target=b"/1"))
        visit.send(post(b"Content-Length: 5"))
        for _ in range(3):
            self.wait(30)
            later.answer()
        texts = [each.text for each in visit.answers()]
        self.assertEqual(texts, ["/0", "/1", "/hello"])
