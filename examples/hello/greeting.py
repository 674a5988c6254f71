"""
``hello.py``, grown: its lines are all here, as they were. Now there is something to be
set, a handler that is given what was set, and ``makeService``, which would also be the
place for a listener, a timer or a database.

::

    $ ropewalk run greeting.py
    $ curl http://127.0.0.1:8080/
    Hello.
    $ curl http://127.0.0.1:8080/Ada
    Hello, Ada.

With the declaration in ``twisted/plugins`` it is a service like any other, and
``ropewalk run`` runs what ``ropewalk.toml`` asks for.
"""

from html import escape

from twisted.application.service import Service

from ropewalk.interfaces import IHost
from ropewalk.schema import Shape
from ropewalk.web import Routes

routes = Routes()


class Settings(Shape):
    """The table ``[greeting]``."""

    word: str = "Hello"


@routes.get("/")
def hello() -> str:
    return "Hello.\n"


@routes.get("/<name>")
def greet(name: str, settings: Settings) -> str:
    """Greet somebody by name."""
    return f"{settings.word}, {escape(name)}.\n"


def makeService(settings: Settings, host: IHost) -> Service:
    """Build the service. Nothing is started here."""
    host.web.provide(Settings, settings)
    host.web.mount("/", routes)
    return Service()
