"""
ASGI, with no framework: what a server costs by itself.

    uvicorn asgi_app:app
"""

import msgspec
from goods import BIG, HELLO, Item

decode = msgspec.json.Decoder(Item).decode

TEXT = (b"content-type", b"text/plain")
JSON = (b"content-type", b"application/json")
BYTES = (b"content-type", b"application/octet-stream")


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise ValueError(scope["type"])
    status, kind, body = await answer(scope["path"], receive)
    length = (b"content-length", str(len(body)).encode())
    await send(
        {"type": "http.response.start", "status": status, "headers": [kind, length]}
    )
    await send({"type": "http.response.body", "body": body})


async def answer(path, receive):
    if path == "/":
        return 200, TEXT, HELLO.encode()
    if path == "/json":
        return 200, JSON, msgspec.json.encode({"message": HELLO})
    if path.startswith("/users/"):
        return 200, JSON, msgspec.json.encode({"id": int(path[7:])})
    if path == "/items":
        return await item(receive)
    if path == "/big":
        return 200, BYTES, BIG
    return 404, TEXT, b"there is nothing"


async def item(receive):
    body, more = b"", True
    while more:
        event = await receive()
        body += event["body"]
        more = event["more_body"]
    try:
        return 200, JSON, msgspec.json.encode(decode(body))
    except msgspec.MsgspecError:
        return 400, TEXT, b"no item"
