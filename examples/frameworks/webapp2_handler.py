"""
A handler as in webapp2: a class, of which each request gets an object of its own. Its
methods are HTTP's; they, and ``__init__``, are given what they ask for.

::

    $ ropewalk run webapp2_handler.py
    $ curl http://127.0.0.1:8080/guests/Ada
    Ada has not signed.
    $ curl -i -d 'text=It was lovely.' http://127.0.0.1:8080/guests/Ada
    HTTP/1.1 303 See Other
    …
    Location: /guests/Ada
    …
    $ curl http://127.0.0.1:8080/guests/Ada
    Ada: It was lovely.
"""

from html import escape

from ropewalk.web import Form, Redirect, Request, Routes, redirect

BOOK: dict[str, str] = {}


class GuestHandler:
    def __init__(self, request: Request) -> None:
        self.request = request

    def get(self, name: str) -> str:
        """What somebody has signed."""
        if name not in BOOK:
            return f"{escape(name)} has not signed.\n"
        return f"{escape(name)}: {escape(BOOK[name])}\n"

    def post(self, name: str, text: Form[str]) -> Redirect:
        """Sign the book."""
        BOOK[name] = text
        return redirect(self.request.link(GuestHandler, name=name))


routes = Routes()
routes.add_route("/guests/<name>", GuestHandler)
