"""
aiohttp, on uvloop as its documentation advises.

    python aiohttp_app.py PORT
"""

import sys

import msgspec
import uvloop
from aiohttp import web
from goods import BIG, HELLO, Item

routes = web.RouteTableDef()
decode = msgspec.json.Decoder(Item).decode


@routes.get("/")
async def hello(request):
    return web.Response(text=HELLO)


@routes.get("/json")
async def message(request):
    return web.json_response({"message": HELLO})


@routes.get(r"/users/{id:\d+}")
async def user(request):
    return web.json_response({"id": int(request.match_info["id"])})


@routes.post("/items")
async def items(request):
    try:
        item = decode(await request.read())
    except msgspec.MsgspecError:
        raise web.HTTPBadRequest from None
    return web.Response(body=msgspec.json.encode(item), content_type="application/json")


@routes.get("/big")
async def big(request):
    return web.Response(body=BIG, content_type="application/octet-stream")


app = web.Application()
app.add_routes(routes)
web.run_app(
    app,
    host="127.0.0.1",
    port=int(sys.argv[1]),
    access_log=None,
    backlog=1024,
    print=None,
    loop=uvloop.new_event_loop(),
)
