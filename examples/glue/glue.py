"""
Glue between two that do not know each other: whoever has ``nc`` asks in lines how much
there is of something, and a warehouse answers in XML over HTTP, some day::

    $ nc 127.0.0.1 7073
    * Type what you look for, and how many there are is told.
    hawser
    hawser: 12
    twine
    * the warehouse is slow; one moment
    twine: 340

What fails is tried again, a few times. When the warehouse fails again and again, nobody
waits for it any more, until it has had time to recover.
"""

from __future__ import annotations

from typing import Annotated
from xml.etree import ElementTree

from twisted.application.service import MultiService
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.interfaces import IReactorTime

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import RopewalkError, TimedOut
from ropewalk.interfaces import IHost, Steps
from ropewalk.net.protocols import LineFactory, LineProtocol
from ropewalk.outbound import Breaker, Retries, call
from ropewalk.outbound.http import Answer, HTTPClient
from ropewalk.schema import Meta, Shape, read

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
STOCK = "urn:example:stock"


# The shapes.


class Settings(Shape):
    """The table ``[glue]``."""

    url: str
    listen: str = "tcp:7073:interface=127.0.0.1"
    private: bool = False
    seconds: Annotated[float, Meta(gt=0)] = 5.0  # that an answer may take
    threshold: Annotated[int, Meta(ge=1)] = 6  # failures in a row
    rest: Annotated[float, Meta(gt=0)] = 30.0  # seconds without a question after that


class Question(Shape):
    """What somebody looks for."""

    article: Annotated[str, Meta(pattern=r"^(?![\s\S]*\n)[\w -]{1,40}$")]


class NoSuchArticle(RopewalkError):
    """The warehouse has never heard of it. That is an answer, and no failure."""

    status = 404


class NoAnswer(RopewalkError):
    """The warehouse did not answer, or not so that anybody could read it."""

    status = 502


#: After these it is tried again, and these are what opens the breaker.
FAILURES = (NoAnswer, TimedOut)


# One end: XML over HTTP.


class Warehouse:
    """
    What can be asked of the warehouse.

    :param url: Where it is.
    """

    def __init__(
        self, url: str, http: HTTPClient, clock: IReactorTime, breaker: Breaker
    ) -> None:
        self._url = url
        self._http = http
        self._clock = clock
        self._breaker = breaker
        self._retries = Retries(times=2, first=0.5, growth=3.0, on=FAILURES)

    @inlineCallbacks
    def count(self, article: str) -> Steps[int]:
        """How many there are of something."""
        count: int = yield call(
            self._ask,
            article,
            clock=self._clock,
            retries=self._retries,
            breaker=self._breaker,
        )
        return count

    @inlineCallbacks
    def _ask(self, article: str) -> Steps[int]:
        headers = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": '""'}
        try:
            answer: Answer = yield self._http.request(
                "POST", self._url, body=question(article), headers=headers
            )
        except RopewalkError:
            raise
        except (ConnectError, DNSLookupError) as error:
            raise NoAnswer("the warehouse does not answer") from error
        except Exception as error:
            raise NoAnswer("the warehouse has hung up") from error
        return read_count(answer)


def question(article: str) -> bytes:
    """What the warehouse is asked."""
    envelope = ElementTree.Element(f"{{{SOAP}}}Envelope")
    body = ElementTree.SubElement(envelope, f"{{{SOAP}}}Body")
    asked = ElementTree.SubElement(body, f"{{{STOCK}}}GetStock")
    ElementTree.SubElement(asked, f"{{{STOCK}}}Article").text = article
    said: bytes = ElementTree.tostring(envelope, "utf-8", xml_declaration=True)
    return said


def read_count(answer: Answer) -> int:
    """What the warehouse says, if it can be read."""
    try:
        # SOAP has no document types (SOAP 1.1, section 3), and they can hold anything.
        if b"<!DOCTYPE" in answer.body or not answer.whole:
            raise ValueError
        envelope = ElementTree.fromstring(answer.body)
        fault = envelope.findtext(f".//{{{SOAP}}}Fault/faultstring")
        if fault == "no such article":
            raise NoSuchArticle("the warehouse has never heard of that")
        if answer.status != 200 or fault is not None:
            raise NoAnswer("something is wrong at the warehouse")
        return int(envelope.findtext(f".//{{{STOCK}}}Count") or "")
    except (ValueError, ElementTree.ParseError) as error:
        raise NoAnswer("the warehouse says what nobody can read") from error


# The other end: lines.


class Counter(LineProtocol):
    """Where people ask."""

    def __init__(self, warehouse: Warehouse, clock: IReactorTime) -> None:
        super().__init__(clock)
        self._warehouse = warehouse
        self._time = clock

    def opened(self) -> None:
        self.say("* Type what you look for, and how many there are is told.")

    @inlineCallbacks
    def heard(self, line: str) -> Steps[None]:
        article = read(Question, {"article": line.strip()}).article
        patience = self._time.callLater(
            1.0, self.say, "* the warehouse is slow; one moment"
        )
        try:
            count: int = yield self._warehouse.count(article)
        finally:
            if patience.active():
                patience.cancel()
        self.say(f"{article}: {count}")


def makeService(settings: Settings, host: IHost) -> MultiService:
    """Build the service. Nothing is started here."""
    clock = host.reactor
    http = HTTPClient(clock, private=settings.private, seconds=settings.seconds)
    breaker = Breaker(
        "the warehouse",
        clock,
        threshold=settings.threshold,
        seconds=settings.rest,
        on=FAILURES,
    )
    host.health.add("warehouse", breaker.problem)
    warehouse = Warehouse(settings.url, http, clock, breaker)
    service = MultiService()
    http.setServiceParent(service)
    lines = LineFactory(Counter, warehouse, clock)
    host.listener(settings.listen, lines).setServiceParent(service)
    return service
