"""
socketify, on uWebSockets.

    python socketify_app.py PORT
"""

import json
import sys

import msgspec
from goods import BIG, HELLO, Item
from socketify import App, AppListenOptions

decode = msgspec.json.Decoder(Item).decode
waiting = set()


def hello(response, request):
    response.write_header("content-type", "text/plain").end(HELLO)


def message(response, request):
    response.write_header("content-type", "application/json")
    response.end(json.dumps({"message": HELLO}))


def user(response, request):
    text = request.get_parameter(0)
    if not text.isdigit():
        response.write_status(404).end("")
        return
    response.write_header("content-type", "application/json")
    response.end(json.dumps({"id": int(text)}))


def items(response, request):
    body = []
    # Or nobody has the response while the body comes, and the collector takes it.
    waiting.add(response)

    def receive(response, chunk, is_end):
        body.append(chunk or b"")
        if is_end:
            waiting.discard(response)
            answer(response, b"".join(body))

    response.on_data(receive)


def answer(response, body):
    try:
        item = decode(body)
    except msgspec.MsgspecError:
        response.write_status(400).end("")
    else:
        response.write_header("content-type", "application/json")
        response.end(msgspec.json.encode(item))


def big(response, request):
    response.write_header("content-type", "application/octet-stream").end(BIG)


app = App()
app.get("/", hello)
app.get("/json", message)
app.get("/users/:id", user)
app.post("/items", items)
app.get("/big", big)
app.listen(AppListenOptions(port=int(sys.argv[1]), host="127.0.0.1"))
app.run()
