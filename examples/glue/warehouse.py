"""
A warehouse as they are: it speaks XML over HTTP, and is well, slow, or out of its mind.
``POST /warehouse/mood/slow`` says which.
"""

from __future__ import annotations

from typing import Any, Literal
from xml.etree import ElementTree

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.web.iweb import IRequest

from ropewalk.awaiting import inlineCallbacks
from ropewalk.interfaces import IHost, Steps
from ropewalk.schema import Shape, field
from ropewalk.web import Routes

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
STOCK = "urn:example:stock"

Mood = Literal["well", "slow", "wrong", "stuck"]

#: Seconds that an answer takes, by mood.
TAKES = {"slow": 2.0, "stuck": 3600.0}


class Settings(Shape):
    """The table ``[warehouse]``."""

    stock: dict[str, int] = field(default_factory=lambda: {"hawser": 12, "twine": 340})


class Warehouse:
    """
    What there is, and how well it is told.

    :ivar mood: How it is today.
    """

    routes = Routes()

    def __init__(self, stock: dict[str, int], clock: IReactorTime) -> None:
        self._stock = stock
        self._clock = clock
        self.mood: Mood = "well"

    @routes.post("/mood/<mood>")
    def feel(self, mood: Mood) -> str:
        """Be well, slow, wrong or stuck from now on."""
        self.mood = mood
        return f"{mood} from now on\n"

    @routes.post("/stock")
    @inlineCallbacks
    def tell(self, request: IRequest) -> Steps[bytes]:
        """How many there are of something, in SOAP."""
        seen: Any = request
        asked = ElementTree.fromstring(seen.content.read())
        article = asked.findtext(f".//{{{STOCK}}}Article") or ""
        yield deferLater(self._clock, TAKES.get(self.mood, 0.0))
        seen.setHeader("Content-Type", "text/xml; charset=utf-8")
        if self.mood == "wrong":
            return b"<html><p>Service temporarily improved</html>"
        if article not in self._stock:
            seen.setResponseCode(500)  # SOAP 1.1, section 6.2
            return _fault("no such article")
        return _envelope(
            f'<Stock xmlns="{STOCK}"><Count>{self._stock[article]}</Count></Stock>'
        )


def _fault(text: str) -> bytes:
    inner = f"<faultcode>Client</faultcode><faultstring>{text}</faultstring>"
    return _envelope(f"<s:Fault>{inner}</s:Fault>")


def _envelope(inner: str) -> bytes:
    text = f'<s:Envelope xmlns:s="{SOAP}"><s:Body>{inner}</s:Body></s:Envelope>'
    return text.encode()


def makeService(settings: Settings, host: IHost) -> Service:
    """Build the service. Nothing is started here."""
    host.web.mount("/warehouse", Warehouse(settings.stock, host.reactor).routes)
    return Service()
