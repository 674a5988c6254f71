"""
``twisted.web``: resources, and a Site on Twisted's own reactor.

    python resource_app.py PORT
"""

import json
import sys

import msgspec
from goods import BIG, HELLO, Item
from twisted.web.resource import Resource


def answer_json(request, value: bytes) -> bytes:
    request.setHeader(b"content-type", b"application/json")
    return value


class Hello(Resource):
    def getChild(self, path, request):
        return self if not path else super().getChild(path, request)

    def render_GET(self, request):
        request.setHeader(b"content-type", b"text/plain")
        return HELLO.encode()


class Message(Resource):
    isLeaf = True

    def render_GET(self, request):
        return answer_json(request, json.dumps({"message": HELLO}).encode())


class User(Resource):
    isLeaf = True

    def __init__(self, id):
        super().__init__()
        self.id = id

    def render_GET(self, request):
        return answer_json(request, json.dumps({"id": self.id}).encode())


class Users(Resource):
    def getChild(self, path, request):
        return User(int(path)) if path.isdigit() else super().getChild(path, request)


class Items(Resource):
    isLeaf = True
    decode = msgspec.json.Decoder(Item).decode

    def render_POST(self, request):
        try:
            item = self.decode(request.content.read())
        except msgspec.MsgspecError:
            request.setResponseCode(400)
            return b""
        return answer_json(request, msgspec.json.encode(item))


class Big(Resource):
    isLeaf = True

    def render_GET(self, request):
        request.setHeader(b"content-type", b"application/octet-stream")
        return BIG


def make_root() -> Resource:
    root = Hello()
    root.putChild(b"json", Message())
    root.putChild(b"users", Users())
    root.putChild(b"items", Items())
    root.putChild(b"big", Big())
    return root


def serve(resource: Resource, port: int) -> None:
    """Serve as ``twistd web`` does, without its access log."""
    from twisted.internet import reactor
    from twisted.web.server import Site

    class Quiet(Site):
        def log(self, request):
            return

    reactor.listenTCP(port, Quiet(resource), backlog=1024, interface="127.0.0.1")
    reactor.run()


if __name__ == "__main__":
    serve(make_root(), int(sys.argv[1]))
