"""
Tests for L{ropewalk.web.access}.
"""

from __future__ import annotations

from collections.abc import Sequence

from klein import Klein
from twisted.internet.address import UNIXAddress
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.static import Data

from ropewalk.telemetry import Work
from ropewalk.web.access import Access, AccessLog
from tests.visiting import Place, Visit, request

#: 20 November 2026, noon.
NOON = 1_795_176_000.0


class AccessLogTests(SynchronousTestCase):
    """
    What was answered in one turn of the reactor is handed on in the next.
    """

    def setUp(self) -> None:
        self.batches: list[Sequence[Access]] = []
        self.place = Place.of()
        clock: Clock = self.place.clock
        self.log = AccessLog(self.batches.append, clock, lambda: NOON + clock.seconds())
        self.place.site.observe = self.log
        self.place.mount("/data", Data(b"some data", "text/plain"))
        self.visit = self.place.visit()

    def ask(self, path: str) -> Access:
        """What the log has of one request."""
        self.visit.ask(path)
        self.log.flush()
        ((access,),) = self.batches
        self.batches.clear()
        return access

    def test_batches(self) -> None:
        """
        Many answers are one batch; nothing is handed on where nothing was
        answered.
        """
        self.visit.send(request("/data") * 3)
        self.assertEqual(self.batches, [])
        self.place.clock.advance(0)
        (batch,) = self.batches
        self.assertEqual([each.work.request for each in batch], ["r1", "r2", "r3"])
        self.place.clock.advance(10)
        self.visit.send(request("/data"))
        self.place.clock.advance(0)
        self.assertEqual([len(batch) for batch in self.batches], [3, 1])
        self.log.flush()
        self.assertEqual(len(self.batches), 2)

    def test_what_is_noted(self) -> None:
        """
        Of an answer everything is noted that an operator may ask for.
        """
        self.visit.send(request("/nobody?a=1", "POST", "Content-Length: 1"))
        self.place.clock.advance(1.5)
        self.visit.send(b"x")
        self.place.clock.advance(0)
        size = len(self.visit.answer().body)
        self.assertEqual(
            self.batches,
            [
                [
                    Access(
                        NOON + 1.5,
                        Work("web", "c1", "r1"),
                        "10.9.8.7",
                        "POST",
                        "/nobody?a=1",
                        404,
                        size,
                        1.5,
                    )
                ]
            ],
        )

    def test_route(self) -> None:
        """
        Noted is which route answered, as it was written: few labels for many
        addresses. Where nobody answered there is none.
        """
        app = Klein()
        data = Data(b"", "text/plain")
        data.isLeaf = True
        app.route("/<int:id>", endpoint="one")(lambda request, id: b"")
        app.route("/files/", branch=True, endpoint="files")(lambda request: data)
        app.route("/", endpoint="all")(lambda request: b"")
        self.place.mount("/companies", app)
        for asked, route in {
            "/companies": "/companies",
            "/companies/17?x=1": "/companies/<int:id>",
            "/companies/files/a/b": "/companies/files/…",
            "/companies/files/": "/companies/files/",
            "/companies/x": "",
            "/data/x": "/data/…",
            "/nobody": "",
        }.items():
            self.assertEqual(self.ask(asked).route, route, asked)

    def test_aborted(self) -> None:
        """
        So is a request whose client did not wait.
        """
        self.visit.send(request("/data", "PUT", "Content-Length: 9") + b"x")
        self.visit.leave()
        self.place.clock.advance(0)
        ((access,),) = self.batches
        self.assertEqual(
            (access.method, access.status, access.aborted), ("PUT", 499, True)
        )

    def test_not_even_a_request(self) -> None:
        """
        So is what was no request.
        """
        self.visit.send(b"nonsense\r\n")
        self.place.clock.advance(0)
        ((access,),) = self.batches
        self.assertEqual((access.method, access.uri, access.status), ("-", "-", 400))

    def test_no_address(self) -> None:
        """
        A client that comes through a UNIX socket has no address.
        """
        visit = Visit(self.place.site)
        visit.wire.peerAddr = UNIXAddress(None)
        visit.ask("/data")
        self.log.flush()
        self.assertEqual(self.batches[0][0].peer, "")

    def test_secrets(self) -> None:
        """
        What a query has under the name of a secret is not noted.
        """
        for asked, noted in {
            "/data?token=abc": "/data?token=****",
            "/data?a=1&Access_Token=a=b&b=2": "/data?a=1&Access_Token=****&b=2",
            "/data?password=&secret": "/data?password=&secret",
            "/data?passage=x&tokens=1": "/data?passage=x&tokens=1",
            "/data?token=a&": "/data?token=****&",
            "/token=abc": "/token=abc",
        }.items():
            self.assertEqual(self.ask(asked).uri, noted)
