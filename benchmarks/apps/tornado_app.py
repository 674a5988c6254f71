"""
Tornado.

    python tornado_app.py PORT
"""

import asyncio
import logging
import sys

import msgspec
from goods import BIG, HELLO, Item
from tornado.web import Application, HTTPError, RequestHandler


class Hello(RequestHandler):
    def get(self):
        self.set_header("Content-Type", "text/plain")
        self.write(HELLO)


class Message(RequestHandler):
    def get(self):
        self.write({"message": HELLO})


class User(RequestHandler):
    def get(self, id):
        self.write({"id": int(id)})


class Items(RequestHandler):
    decode = msgspec.json.Decoder(Item).decode

    def post(self):
        try:
            item = self.decode(self.request.body)
        except msgspec.MsgspecError:
            raise HTTPError(400) from None
        self.set_header("Content-Type", "application/json")
        self.write(msgspec.json.encode(item))


class Big(RequestHandler):
    def get(self):
        self.set_header("Content-Type", "application/octet-stream")
        self.write(BIG)


async def main(port: int) -> None:
    app = Application(
        [
            ("/", Hello),
            ("/json", Message),
            (r"/users/(\d+)", User),
            ("/items", Items),
            ("/big", Big),
        ]
    )
    app.listen(port, address="127.0.0.1")
    await asyncio.Event().wait()


logging.getLogger("tornado.access").setLevel(logging.CRITICAL)
asyncio.run(main(int(sys.argv[1])))
