"""
Japronto, whose Pythons are 3.6 and 3.7: what is posted is checked by hand, since
msgspec and pydantic have left those behind.

    python3.7 japronto_app.py PORT
"""

import sys

from japronto import Application

HELLO = "Hello, world!"
BIG = b"".join(b"%07d\n" % number for number in range(65536 // 8))

ITEM = {"name": str, "price": (float, int), "quantity": int, "tags": list, "note": str}


def is_item(value):
    return (
        isinstance(value, dict)
        and all(isinstance(value.get(name, ""), ITEM[name]) for name in ITEM)
        and all(isinstance(tag, str) for tag in value["tags"])
    )


def hello(request):
    return request.Response(text=HELLO)


def message(request):
    return request.Response(json={"message": HELLO})


def user(request):
    text = request.match_dict["id"]
    if not text.isdigit():
        return request.Response(code=404)
    return request.Response(json={"id": int(text)})


def items(request):
    try:
        value = request.json
    except SystemError:  # which is what it says of something that is not JSON
        value = None
    if not is_item(value):
        return request.Response(code=400)
    return request.Response(json=value)


def big(request):
    return request.Response(body=BIG, mime_type="application/octet-stream")


app = Application()
app.router.add_route("/", hello)
app.router.add_route("/json", message)
app.router.add_route("/users/{id}", user)
app.router.add_route("/items", items, method="POST")
app.router.add_route("/big", big)
app.run(host="127.0.0.1", port=int(sys.argv[1]), worker_num=1)
