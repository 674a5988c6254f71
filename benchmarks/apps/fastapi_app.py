"""
FastAPI, with pydantic's models.

    uvicorn fastapi_app:app
"""

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse, Response
from goods import BIG, HELLO
from pydantic import BaseModel

app = FastAPI()


class Item(BaseModel):
    name: str
    price: float
    quantity: int
    tags: list[str]
    note: str = ""


@app.get("/", response_class=PlainTextResponse)
async def hello():
    return HELLO


@app.get("/json")
async def message():
    return {"message": HELLO}


@app.get("/users/{id}")
async def user(id: int):
    return {"id": id}


@app.post("/items")
async def items(item: Item) -> Item:
    return item


@app.get("/big")
async def big():
    return Response(BIG, media_type="application/octet-stream")
