"""
Falcon's ASGI application.

    uvicorn falcon_app:app
"""

import falcon
import falcon.asgi
import msgspec
from goods import BIG, HELLO, Item


class Hello:
    async def on_get(self, request, response):
        response.content_type = falcon.MEDIA_TEXT
        response.text = HELLO


class Message:
    async def on_get(self, request, response):
        response.media = {"message": HELLO}


class User:
    async def on_get(self, request, response, id):
        response.media = {"id": id}


class Items:
    decode = msgspec.json.Decoder(Item).decode

    async def on_post(self, request, response):
        try:
            item = self.decode(await request.stream.read())
        except msgspec.MsgspecError:
            raise falcon.HTTPBadRequest from None
        response.data = msgspec.json.encode(item)


class Big:
    async def on_get(self, request, response):
        response.content_type = "application/octet-stream"
        response.data = BIG


app = falcon.asgi.App()
app.add_route("/", Hello())
app.add_route("/json", Message())
app.add_route("/users/{id:int}", User())
app.add_route("/items", Items())
app.add_route("/big", Big())
