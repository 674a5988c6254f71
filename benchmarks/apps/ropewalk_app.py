"""
Ropewalk, as the daemon runs it: routes, or what is served on ``twisted.web``
elsewhere, unchanged; and lines.

    twistd -n ropewalk --settings FILE
"""

from typing import Literal

from goods import BIG, HELLO
from twisted.application.service import Service
from twisted.internet.protocol import ServerFactory

from ropewalk.interfaces import IHost
from ropewalk.net.protocols import LineFactory, LineProtocol
from ropewalk.schema import Shape
from ropewalk.web import Routes

routes = Routes()


class Settings(Shape):
    """
    :ivar serve: What is at ``/``.
    :ivar lines: Where lines are echoed; nowhere if it is empty.
    :ivar protocol: Who echoes them: ropewalk's own, or Twisted's.
    """

    serve: Literal["routes", "klein", "resource"] = "routes"
    lines: str = ""
    protocol: Literal["ropewalk", "twisted"] = "ropewalk"


class Item(Shape):
    name: str
    price: float
    quantity: int
    tags: list[str]
    note: str = ""


@routes.route("/")
def hello(request):
    request.setHeader(b"content-type", b"text/plain")
    return HELLO.encode()


@routes.get("/json")
def message(request):
    return {"message": HELLO}


@routes.get("/users/<int:id>")
def user(request, id):
    return {"id": id}


@routes.post("/items")
def items(item: Item) -> Item:
    return item


@routes.get("/big")
def big(request):
    request.setHeader(b"content-type", b"application/octet-stream")
    return BIG


class Echo(LineProtocol):
    def heard(self, line: str) -> None:
        self.say(line)


def make_app(name: str):
    """What is served; the others are imported only where they are asked for."""
    if name == "klein":
        from klein_app import app

        return app
    if name == "resource":
        from resource_app import make_root

        return make_root()
    return routes


def make_lines(name: str, host: IHost) -> ServerFactory:
    """Whoever echoes lines."""
    if name == "twisted":
        from line_receiver import make_factory

        return make_factory()
    return LineFactory(Echo, host.reactor)


def makeService(settings: Settings, host: IHost) -> Service:
    host.web.mount("/", make_app(settings.serve))
    if settings.lines:
        return host.listener(settings.lines, make_lines(settings.protocol, host))
    return Service()
