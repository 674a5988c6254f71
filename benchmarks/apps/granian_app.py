"""
granian's own interface, with nothing above it: a table of paths and a pattern.

    granian --interface rsgi granian_app:app
"""

import json
import re

import msgspec
from goods import BIG, HELLO, Item

TEXT = [("content-type", "text/plain; charset=utf-8")]
JSON = [("content-type", "application/json")]
BYTES = [("content-type", "application/octet-stream")]

match_user = re.compile(r"/users/(\d+)").fullmatch
decode = msgspec.json.Decoder(Item).decode


def hello(scope, protocol):
    protocol.response_str(200, TEXT, HELLO)


def message(scope, protocol):
    protocol.response_str(200, JSON, json.dumps({"message": HELLO}))


def big(scope, protocol):
    protocol.response_bytes(200, BYTES, BIG)


PATHS = {"/": hello, "/json": message, "/big": big}


async def post_item(protocol):
    try:
        item = decode(await protocol())
    except msgspec.MsgspecError:
        protocol.response_empty(400, [])
    else:
        protocol.response_bytes(200, JSON, msgspec.json.encode(item))


async def app(scope, protocol):
    found = PATHS.get(scope.path)
    if found is not None:
        found(scope, protocol)
    elif user := match_user(scope.path):
        protocol.response_str(200, JSON, json.dumps({"id": int(user[1])}))
    elif scope.path == "/items" and scope.method == "POST":
        await post_item(protocol)
    else:
        protocol.response_empty(404, [])
