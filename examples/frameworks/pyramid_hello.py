"""
Hello as in Pyramid: a name in the path, and a response that says what it is. (Text
that is returned by itself is HTML, in which a name would have to be escaped.)

::

    $ ropewalk run pyramid_hello.py
    $ curl http://127.0.0.1:8080/hello/Ada
    Hello, Ada!
"""

from ropewalk.web import Response, Routes

routes = Routes()


@routes.get("/hello/<name>")
def hello_world(name: str) -> Response:
    """Say hello to somebody."""
    return Response(f"Hello, {name}!\n", content_type="text/plain; charset=utf-8")
