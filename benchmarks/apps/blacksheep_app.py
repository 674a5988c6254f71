"""
BlackSheep, with a pydantic model: a dataclass it would not check.

    uvicorn blacksheep_app:app
"""

from blacksheep import Application, Content, FromJSON, Response, get, json, post, text
from goods import BIG, HELLO
from pydantic import BaseModel

app = Application()


class Item(BaseModel):
    name: str
    price: float
    quantity: int
    tags: list[str]
    note: str = ""


@get("/")
async def hello():
    return text(HELLO)


@get("/json")
async def message():
    return json({"message": HELLO})


@get("/users/{int:id}")
async def user(id: int):
    return json({"id": id})


@post("/items")
async def items(item: FromJSON[Item]):
    return json(item.value)


@get("/big")
async def big():
    return Response(200, content=Content(b"application/octet-stream", BIG))
