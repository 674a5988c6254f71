"""
Starlette.

    uvicorn starlette_app:app
    granian --interface asgi starlette_app:app
"""

import msgspec
from goods import BIG, HELLO, Item
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

decode = msgspec.json.Decoder(Item).decode


async def hello(request):
    return PlainTextResponse(HELLO)


async def message(request):
    return JSONResponse({"message": HELLO})


async def user(request):
    return JSONResponse({"id": request.path_params["id"]})


async def items(request):
    try:
        item = decode(await request.body())
    except msgspec.MsgspecError:
        return Response(status_code=400)
    return Response(msgspec.json.encode(item), media_type="application/json")


async def big(request):
    return Response(BIG, media_type="application/octet-stream")


app = Starlette(
    routes=[
        Route("/", hello),
        Route("/json", message),
        Route("/users/{id:int}", user),
        Route("/items", items, methods=["POST"]),
        Route("/big", big),
    ]
)
