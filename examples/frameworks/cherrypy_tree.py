"""
A tree of objects as in CherryPy: the path leads from attribute to attribute, to a
method that is exposed. Arguments come by their names, from the path, the query or a
form, and are of the types that they say.

::

    $ ropewalk run cherrypy_tree.py
    $ curl http://127.0.0.1:8080/
    Ropes, and how to make them.
    $ curl http://127.0.0.1:8080/calculator/turns/20
    {"length":20,"turns":100}
    $ curl 'http://127.0.0.1:8080/calculator/turns?length=20&lay=0.5'
    {"length":20,"turns":40}
"""

from typing import Annotated

from ropewalk.schema import Meta
from ropewalk.web import Routes, expose

Length = Annotated[int, Meta(ge=0, le=1_000)]
Lay = Annotated[float, Meta(ge=0.01, le=1)]


class Calculator:
    @expose
    def turns(self, length: Length, lay: Lay = 0.2) -> dict[str, int]:
        """How many turns are in a rope, by its length in metres."""
        return {"length": length, "turns": round(length / lay)}


class Root:
    def __init__(self) -> None:
        self.calculator = Calculator()

    @expose
    def index(self) -> str:
        return "Ropes, and how to make them.\n"


routes = Routes()
routes.publish("/", Root())
