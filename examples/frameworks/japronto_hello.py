"""
Hello as in Japronto: a plain function of the request, which waits for nothing. It is
called, and what it returns is sent; there is no Deferred on the way.

::

    $ ropewalk run japronto_hello.py
    $ curl http://127.0.0.1:8080/
    Hello, world!
"""

from ropewalk.web import Request, Routes


def hello(request: Request) -> str:
    """Say hello."""
    return "Hello, world!\n"


routes = Routes()
routes.get("/")(hello)
