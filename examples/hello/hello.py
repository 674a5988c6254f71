"""
Says hello.

::

    $ ropewalk run hello.py
    $ curl http://127.0.0.1:8080/
    Hello.
"""

from ropewalk.web import Routes

routes = Routes()


@routes.get("/")
def hello() -> str:
    return "Hello.\n"
