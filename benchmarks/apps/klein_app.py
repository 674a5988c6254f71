"""
Klein, on ``twisted.web`` and Twisted's own reactor.

    python klein_app.py PORT
    twistd -n web --listen tcp:PORT --class klein_app.resource
"""

import json
import sys

import msgspec
from goods import BIG, HELLO, Item
from klein import Klein
from resource_app import answer_json, serve

app = Klein()
decode = msgspec.json.Decoder(Item).decode


@app.route("/")
def hello(request):
    request.setHeader(b"content-type", b"text/plain")
    return HELLO.encode()


@app.route("/json")
def message(request):
    return answer_json(request, json.dumps({"message": HELLO}).encode())


@app.route("/users/<int:id>")
def user(request, id):
    return answer_json(request, json.dumps({"id": id}).encode())


@app.route("/items", methods=["POST"])
def items(request):
    try:
        item = decode(request.content.read())
    except msgspec.MsgspecError:
        request.setResponseCode(400)
        return b""
    return answer_json(request, msgspec.json.encode(item))


@app.route("/big")
def big(request):
    request.setHeader(b"content-type", b"application/octet-stream")
    return BIG


resource = app.resource

if __name__ == "__main__":
    serve(resource(), int(sys.argv[1]))
