"""
Sanic, with its own server.

    sanic sanic_app:app --single-process
"""

import msgspec
from goods import BIG, HELLO, Item
from sanic import Sanic
from sanic.response import empty, json, raw, text

app = Sanic("benchmark")
decode = msgspec.json.Decoder(Item).decode


@app.get("/")
async def hello(request):
    return text(HELLO)


@app.get("/json")
async def message(request):
    return json({"message": HELLO})


@app.get("/users/<id:int>")
async def user(request, id: int):
    return json({"id": id})


@app.post("/items")
async def items(request):
    try:
        item = decode(request.body)
    except msgspec.MsgspecError:
        return empty(400)
    return raw(msgspec.json.encode(item), content_type="application/json")


@app.get("/big")
async def big(request):
    return raw(BIG)
