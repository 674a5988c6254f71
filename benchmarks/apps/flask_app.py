"""
Flask.

    gunicorn flask_app:app
"""

import msgspec
from flask import Flask, Response, abort, request
from goods import BIG, HELLO, Item

app = Flask(__name__)
decode = msgspec.json.Decoder(Item).decode


@app.get("/")
def hello():
    return Response(HELLO, mimetype="text/plain")


@app.get("/json")
def message():
    return {"message": HELLO}


@app.get("/users/<int:id>")
def user(id):
    return {"id": id}


@app.post("/items")
def items():
    try:
        item = decode(request.get_data())
    except msgspec.MsgspecError:
        abort(400)
    return Response(msgspec.json.encode(item), mimetype="application/json")


@app.get("/big")
def big():
    return Response(BIG, mimetype="application/octet-stream")
