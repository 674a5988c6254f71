"""
A resource as in Falcon, which runs here with one import changed; and the same in our
own shape, where a method is given what it asks for, and returns what it has to say.

::

    $ ropewalk run falcon_quote.py
    $ curl http://127.0.0.1:8080/quote
    {"quote":"Many hands make light work.","author":"John Heywood"}
    $ curl http://127.0.0.1:8080/native/quote
    {"quote":"Many hands make light work.","author":"John Heywood"}
"""

from ropewalk.web import falcon  # and not: import falcon

QUOTE = {"quote": "Many hands make light work.", "author": "John Heywood"}


class QuoteResource:
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """A quote."""
        resp.media = QUOTE


class NativeQuote:
    def get(self) -> dict[str, str]:
        """A quote."""
        return QUOTE


app = falcon.App()
app.add_route("/quote", QuoteResource())
app.add_route("/native/quote", NativeQuote())
