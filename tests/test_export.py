# -*- test-case-name: tests.test_export -*-
"""
Tests for L{ropewalk.export}: a site of ours under the servers of others.
"""

from __future__ import annotations

import json
import signal
import socket
import ssl
import subprocess
import sys
from http.client import HTTPResponse
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.export import asgi
from ropewalk.export.environs import Call
from ropewalk.export.guest import Farewell, ReactorTaken
from ropewalk.export.scopes import target_of
from ropewalk.export.wires import WireDoor
from ropewalk.net.listening import namer
from tests.certificates import make_pem
from tests.commandline import PATIENCE, variables, write
from tests.daemonry import CHAT
from tests.exporting import Server, Talk

SHOP = '''\
"""Sells nothing, in every way."""

import os
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from ropewalk.hub import ANYONE, ChannelRule
from ropewalk.net.sockets import Socket
from ropewalk.operations import operation
from ropewalk.web import Routes, redirect

routes = Routes()
ended = Deferred()
made = 0

@routes.get("/")
def hello() -> str:
    return "Hello."

@routes.get("/boom")
def boom():
    raise ValueError("boom")

@routes.get("/go")
def go():
    return redirect("/there")

@routes.get("/who")
def who(request):
    return {
        "client": request.client.host,
        "secure": request.isSecure(),
        "uri": request.uri.decode(),
        "host": request.getHeader("host"),
        "thing": request.getHeader("x-thing"),
    }

@routes.get("/path/<path:rest>")
def path(request, rest: str):
    return request.uri.decode()

@routes.post("/size")
def size(request):
    return str(len(request.content.read()))

@routes.get("/count/<int:n>")
def count(n: int):
    for number in range(n):
        yield f"{number}\\n"

@routes.get("/large")
def large():
    for number in range(50):
        yield bytes([number]) * 65536

@routes.get("/endless")
async def endless():
    global made
    try:
        while True:
            made += 65536
            yield b"x" * 65536
    finally:
        ended.callback(None)

@routes.get("/ended")
def has_ended():
    return ended.addCallback(lambda _: f"after {made}")

class Echo(Socket):
    def heard(self, message):
        if message == "bye":
            self.shut(4321, "as you wish")
        elif message == "who":
            self.say(f"{self.query.get('q')} {self.http_headers.get('cookie')}")
        else:
            self.say(message)

    def onConnect(self, request):
        return "b" if "b" in request.protocols else None

    def closed(self):
        print("a socket was closed", self.remoteCloseCode, flush=True)

class Rude(Socket):
    def heard(self, message):
        self.transport.abortConnection()

class Sums:
    @operation
    def add(self, a: int, b: int) -> int:
        return a + b

class Shop(Service):
    def startService(self):
        if os.environ.get("SHUT"):
            raise OSError("the door is stuck")
        super().startService()

    def stopService(self):
        print("the shop has closed", flush=True)
        return super().stopService()

def makeService(settings, host):
    host.web.mount("/", routes)
    host.web.socket("/echo", Echo)
    host.web.socket("/rude", Rude)
    host.operations.add("sums", Sums())
    host.hub.declare("news.*", ChannelRule(publish=ANYONE, keep=10))
    return Shop()
'''

SERVED = """\
from ropewalk.export import asgi, wsgi

by_asgi = asgi("shop.py")
by_wsgi = wsgi("shop.py")
"""

GUNICORN = """\
def post_worker_init(worker):
    worker.wsgi.start()
"""

PLUGIN = """\
from ropewalk.plugin import ServicePlugin

shop = ServicePlugin("shop", "shop")
"""

FORKS = """\
import os, sys
from ropewalk.export import wsgi

application = wsgi("shop.py")
application.start()
child = os.fork()
if not child:
    try:
        application.start()
    except Exception as error:
        print(error, flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""

CHAT_SETTINGS = {"ROPEWALK_CHAT__LISTEN": "tcp:0:interface=127.0.0.1"}

#: Five MiB, and some.
LARGE = b"0123456789abcdef" * (5 * 1024 * 64) + b"x"

JSON, EVENTS = "application/json", "text/event-stream"

ROOM = {"ROPEWALK_WEB__LONGEST_BODY": str(len(LARGE))}


class ServerCase(SynchronousTestCase):
    """
    A server, with the shop.
    """

    server_name = "uvicorn"
    stops = signal.SIGTERM
    app = "served:by_asgi"

    def serve(self, *more: str, **environ: str) -> Server:
        files = {"shop.py": SHOP, "served.py": SERVED, "gunicorn.conf.py": GUNICORN}
        home = write(Path(self.mktemp()), files)
        server = Server(self.server_name, self.app, home, *more, **ROOM, **environ)
        self.addCleanup(server.kill)
        return server

    def assertAnswers(self, server: Server, path: str, text: str, **more: Any) -> None:
        self.assertEqual(server.ask(path, **more), (200, text))


class _SiteTests(ServerCase):
    """
    What every server has of a site.
    """

    def test_pages(self) -> None:
        """
        Routes, errors, redirects and operations are what they are under the daemon.
        """
        server = self.serve()
        self.assertAnswers(server, "/", "Hello.")
        self.assertAnswers(server, "/", "", method="HEAD")
        self.assertEqual(server.ask("/nowhere")[0], 404)
        self.assertEqual(server.ask("/", "DELETE")[0], 405)
        self.assertEqual(server.ask("/boom")[0], 500)
        status, text = server.ask(
            "/operations/sums.add", "POST", '{"a": 1, "b": 2}', Content_Type=JSON
        )
        self.assertEqual((status, json.loads(text)), (200, 3))
        self.assertEqual(json.loads(server.ask("/health/ready")[1])["ready"], True)
        connection = server.connect()
        connection.request("GET", "/go")
        answer = connection.getresponse()
        self.assertEqual((answer.status, answer.read()), (303, b""))
        self.assertEqual(answer.headers.get_all("location"), ["/there"])
        self.assertEqual(len(answer.headers.get_all("date") or ()), 1)
        self.assertEqual(len(answer.headers.get_all("x-request-id") or ()), 1)
        connection.close()

    def test_requests(self) -> None:
        """
        Client, host, headers and path come as they were sent.
        """
        server = self.serve()
        told = json.loads(server.ask("/who?a=%2F&b", X_Thing="yes")[1])
        self.assertEqual(told["client"], "127.0.0.1")
        self.assertEqual(told["uri"], "/who?a=%2F&b")
        self.assertEqual(told["host"], f"127.0.0.1:{server.port}")
        self.assertEqual((told["thing"], told["secure"]), ("yes", False))
        path = "/path/a%20b/c%2Fd/%C3%A9/;x=1"
        self.assertAnswers(server, path, path)

    def test_bodies(self) -> None:
        """
        Five MiB arrive, whether their length is told or not; a byte too many is 413.
        """
        server = self.serve()
        size = str(len(LARGE))
        self.assertAnswers(server, "/size", size, method="POST", body=LARGE)
        self.assertAnswers(server, "/size", size, method="POST", body=iter([LARGE]))
        self.assertAnswers(server, "/size", "0", method="POST", body=b"")
        self.assertEqual(self.refused(server).status, 413)

    def refused(self, server: Server) -> HTTPResponse:
        """What comes of a body that would be too long, before it is sent."""
        connection = server.connect()
        self.addCleanup(connection.close)
        connection.putrequest("POST", "/size")
        connection.putheader("Content-Length", str(len(LARGE) + 1))
        connection.endheaders()
        return connection.getresponse()

    def test_streams(self) -> None:
        """
        A stream comes piece by piece, and ends when nobody hears it any more.
        """
        server = self.serve()
        numbers = "".join(f"{number}\n" for number in range(5000))
        self.assertAnswers(server, "/count/5000", numbers)
        large = "".join(chr(number) * 65536 for number in range(50))
        self.assertAnswers(server, "/large", large)
        connection = server.connect()
        connection.request("GET", "/endless")
        answer = connection.getresponse()
        self.assertEqual(answer.read(1024 * 1024), b"x" * 1024 * 1024)
        connection.close()
        answer.close()
        self.assertIn("after ", server.ask("/ended")[1])

    def test_channels(self) -> None:
        """
        What is published is heard as events.
        """
        server = self.serve()
        connection = server.connect()
        connection.request("GET", "/channels/news.a", headers={"Accept": EVENTS})
        answer = connection.getresponse()
        self.assertEqual(answer.headers["content-type"].partition(";")[0], EVENTS)
        published = server.ask(
            "/channels/news.a", "POST", '"read all about it"', Content_Type=JSON
        )
        self.assertEqual(published[0], 201, published)
        while b"read all" not in (line := answer.readline()):
            self.assertNotEqual(line, b"")
        answer.close()
        connection.close()

    def test_start_fails(self) -> None:
        """
        When a service does not start, the server tells why.
        """
        server = self.serve(SHUT="1")
        self.fails(server)
        self.assertIn("the door is stuck", "\n".join(server.said))

    def fails(self, server: Server) -> None:
        """Have it find out."""
        self.assertNotEqual(server.end(), 0)

    def test_stop(self) -> None:
        """
        The signal that stops the server ends streams, and has services stop.
        """
        server = self.serve()
        connection = server.connect()
        connection.request("GET", "/channels/news.a", headers={"Accept": EVENTS})
        answer = connection.getresponse()
        server.end(self.stops)
        self.assertIn("the shop has closed", server.said)
        answer.close()
        connection.close()


class _AsgiTests(_SiteTests):
    """
    What servers of ASGI have besides.
    """

    tells_codes = ""

    def test_below(self) -> None:
        """
        Below a path of the server's, the site is what it is, and sends clients there.
        """
        server = self.serve("--root-path", "/a/b")
        self.assertAnswers(server, "/", "Hello.")
        connection = server.connect()
        connection.request("GET", "/go")
        answer = connection.getresponse()
        self.assertEqual(answer.headers["location"], "/a/b/there")
        connection.close()

    def test_sockets(self) -> None:
        """
        Text, bytes, query, cookies and subprotocol go through, and codes both ways.
        """
        server = self.serve()
        talk = Talk(server, "/echo?q=1%202", "a", "b", cookie="x=y")
        self.assertEqual(talk.subprotocol, "b")
        for message in ("Grüße", b"\0\xff", "", "z" * 60_000):
            talk.say(message)
            self.assertEqual(talk.hear(), message)
        talk.say("who")
        self.assertEqual(talk.hear(), "1 2 x=y")
        talk.say("bye")
        self.assertEqual(talk.hear(), (4321, "as you wish"))
        server.says("a socket was closed")
        Talk(server, "/echo").leave(4000)
        self.assertIn(self.tells_codes, server.says("a socket was closed"))
        Talk(server, "/echo").cut()
        server.says("a socket was closed")
        talk = Talk(server, "/rude")
        talk.say("hello")
        self.assertEqual(talk.hear()[0], 1011)

    def test_denied(self) -> None:
        """
        Who may not come in is told why.
        """
        server = self.serve()
        talk = Talk(server, "/echo", origin="https://evil.example")
        assert talk.refused is not None
        self.assertEqual(talk.refused[0], 403)
        if self.server_name == "uvicorn":
            self.assertIn("may not open WebSockets here", talk.refused[1])
        talk = Talk(server, "/nowhere")
        assert talk.refused is not None
        self.assertEqual(talk.refused[0], 404)

    def test_live(self) -> None:
        """
        Operations are called and channels heard at /live, where SIGTERM says goodbye.
        """
        server = self.serve()
        talk = Talk(server, "/live", "ropewalk.json")
        talk.say('{"jsonrpc": "2.0", "id": 1, "method": "sums.add", "params": [1, 2]}')
        self.assertEqual(json.loads(str(talk.hear()))["result"], 3)
        server.process.send_signal(signal.SIGTERM)
        self.assertIn(talk.hear()[0], (1001, 1012))
        server.end()
        self.assertIn("the shop has closed", server.said)


class UvicornTests(_AsgiTests):
    """
    A site under uvicorn.
    """

    tells_codes = "4000"

    def test_without_lifespan(self) -> None:
        """
        Where the server does not tell of its start, the first request starts it all.
        """
        server = self.serve("--lifespan", "off")
        self.assertAnswers(server, "/", "Hello.")


class HypercornTests(_AsgiTests):
    """
    A site under hypercorn, which tells nobody with what code a client has left.
    """

    server_name = "hypercorn"
    tells_codes = "None"


class DaphneTests(ServerCase):
    """
    A site under daphne, which has Twisted's reactor itself, and no lifespans.
    """

    server_name = "daphne"

    def test_daphne(self) -> None:
        """
        The first request starts the site; the services stop with the reactor.
        """
        server = self.serve()
        self.assertAnswers(server, "/", "Hello.")
        size = str(len(LARGE))
        self.assertAnswers(server, "/size", size, method="POST", body=LARGE)
        talk = Talk(server, "/echo")
        talk.say("hello")
        self.assertEqual(talk.hear(), "hello")
        server.end(signal.SIGTERM)
        talk.cut()
        self.assertIn("the shop has closed", server.said)
        self.assertNotIn("selected twice", "".join(server.said))

    def test_start_fails(self) -> None:
        """
        When the start fails, the reactor ends.
        """
        server = self.serve(SHUT="1")
        connection = server.connect()
        self.addCleanup(connection.close)
        connection.request("GET", "/")
        server.end()
        self.assertIn("the door is stuck", "\n".join(server.said))


class GunicornTests(_SiteTests):
    """
    A site under gunicorn.
    """

    server_name = "gunicorn"
    app = "served:by_wsgi"

    def test_no_sockets(self) -> None:
        """
        A WebSocket is told that this is HTTP.
        """
        talk = Talk(self.serve(), "/echo")
        assert talk.refused is not None
        self.assertEqual(talk.refused[0], 426)


class WaitressTests(GunicornTests):
    """
    A site under waitress.
    """

    server_name = "waitress"
    stops = signal.SIGINT  # at SIGTERM it just ends

    def refused(self, server: Server) -> HTTPResponse:
        """It takes the whole body in before it asks anybody."""
        connection = server.connect()
        self.addCleanup(connection.close)
        connection.request("POST", "/size", LARGE + b"x")
        return connection.getresponse()


class ElsewhereTests(SynchronousTestCase):
    """
    Other ways to be served.
    """

    def serve(
        self, name: str, files: dict[str, str], *more: str, **environ: str
    ) -> Server:
        home = write(Path(self.mktemp()), {"shop.py": SHOP, **files})
        server = Server(name, "served:app", home, *more, **environ)
        self.addCleanup(server.kill)
        return server

    def test_chat(self) -> None:
        """
        The chat, from its settings file: its page, its room, and its listener for
        lines, which the event loop of the server has.
        """
        settings = CHAT / "ropewalk.toml"
        text = f"from ropewalk.export import asgi\napp = asgi({str(settings)!r})\n"
        server = self.serve("uvicorn", {"served.py": text}, **CHAT_SETTINGS)
        place = json.loads(server.says("chat answers at "))["values"]["place"]
        self.assertIn("<html", server.ask("/chat/lobby")[1])
        host, _, port = place.rpartition(":")
        with socket.create_connection((host, int(port)), PATIENCE) as nc:
            lines = nc.makefile("rb")
            nc.sendall(b"/join lobby Ada\n")
            while b"Ada is here" not in lines.readline():
                pass
            body = '{"author": "Grace", "text": "hello"}'
            server.ask("/channels/rooms.lobby", "POST", body, Content_Type=JSON)
            while b"Grace: hello" not in lines.readline():
                pass
            lines.close()

    def test_another_site(self) -> None:
        """
        A site is served that is asked for by name; without listeners nothing else
        listens, and that is told.
        """
        settings = """
            [shop]
            [web]
            listen = ["tcp:8080"]
            idle = 5
            [web.sites.inside]
            listen = ["tcp:8081"]
        """
        files = {
            "ropewalk.toml": settings,
            "twisted/plugins/a_shop.py": PLUGIN,
            "served.py": "from ropewalk.export import asgi\n"
            'app = asgi("ropewalk.toml", site="inside", listeners=False)\n',
        }
        server = self.serve("uvicorn", files)
        server.says("ready: ")
        told = "\n".join(server.said)
        self.assertIn("[web.sites.inside] listen = 'tcp:8081': the server says", told)
        self.assertIn("tcp:8080, where web would listen: it stays closed", told)
        self.assertEqual(server.ask("/")[0], 200)
        self.assertNotEqual(server.ask("/")[1], "Hello.")

    def test_no_such_site(self) -> None:
        """
        A site that is not there is told with those that are.
        """
        text = 'from ropewalk.export import asgi\napp = asgi("shop.py", site="inner")\n'
        server = self.serve("uvicorn", {"served.py": text})
        server.says("there is no web site 'inner' in shop.py")
        self.assertNotEqual(server.end(), 0)

    def test_bad_settings(self) -> None:
        """
        Settings that cannot be used are told as C{ropewalk check} tells them.
        """
        text = 'from ropewalk.export import asgi\napp = asgi("none.toml")\n'
        server = self.serve("uvicorn", {"served.py": text})
        server.says("none.toml")
        self.assertNotEqual(server.end(), 0)

    def test_another_reactor(self) -> None:
        """
        Where Twisted has another reactor already, that is told, and who did it.
        """
        text = (
            "from twisted.internet import reactor\n"
            'from ropewalk.export import asgi\napp = asgi("shop.py")\n'
        )
        server = self.serve("uvicorn", {"served.py": text})
        server.says("Import it later, or not at all")
        self.assertNotEqual(server.end(), 0)

    def test_http2(self) -> None:
        """
        Over TLS the site knows it; requests of HTTP/2, which say no length, arrive.
        """
        files = {
            "served.py": 'from ropewalk.export import asgi\napp = asgi("shop.py")\n',
            "both.pem": make_pem().decode(),
        }
        more = ("--certfile", "both.pem", "--keyfile", "both.pem")
        server = self.serve("hypercorn", files, *more)
        base = f"https://127.0.0.1:{server.port}"
        with httpx.Client(http2=True, verify=False, timeout=PATIENCE) as client:
            answer = client.get(f"{base}/who")
            self.assertEqual(answer.http_version, "HTTP/2")
            self.assertEqual(answer.json()["secure"], True)
            answer = client.post(f"{base}/size", content=iter([b"a" * 50_000, b"b"]))
            self.assertEqual(answer.text, "50001")
        server.tls = ssl.create_default_context()
        server.tls.check_hostname, server.tls.verify_mode = False, ssl.CERT_NONE
        talk = Talk(server, "/echo")
        talk.say("hello")
        self.assertEqual(talk.hear(), "hello")
        talk.leave()

    def test_by_the_letter(self) -> None:
        """
        What PEP 3333 asks of an application holds.
        """
        text = (
            "from wsgiref.validate import validator\n"
            "from ropewalk.export import wsgi\n"
            'inner = wsgi("shop.py")\napp = validator(inner)\n'
            "app.start = inner.start\n"
        )
        server = self.serve("waitress", {"served.py": text})
        self.assertEqual(server.ask("/"), (200, "Hello."))
        self.assertEqual(server.ask("/size", "POST", b"123"), (200, "3"))
        self.assertEqual(server.ask("/count/2"), (200, "0\n1\n"))
        self.assertNotIn("AssertionError", "\n".join(server.said))

    def test_forked(self) -> None:
        """
        Threads stay behind when a process forks, which is told.
        """
        home = write(Path(self.mktemp()), {"shop.py": SHOP, "forks.py": FORKS})
        done = subprocess.run(
            [sys.executable, "forks.py"],
            cwd=home,
            env=variables(),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        self.assertIn("it was started before the server forked", done.stdout)
        self.assertIn("the shop has closed", done.stdout)


class CallTests(SynchronousTestCase):
    """
    Requests that do not reach the site.
    """

    def call(self, door: WireDoor, **more: str) -> tuple[str, bytes]:
        class Here:
            def ask(self, function: Any) -> Any:
                return function()

        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", **more}
        house: Any = SimpleNamespace(door=door)
        thread: Any = Here()
        told: list[str] = []
        call = Call(house, thread, {**environ, "wsgi.input": BytesIO()})
        body = b"".join(call.run(lambda status, headers: told.append(status)))
        return told[0], body

    def test_refused(self) -> None:
        """
        Who comes when the site has closed is told so, and so is who cannot have been
        understood.
        """
        door = WireDoor("tcp:80", Factory(), "web", Clock(), namer())
        status, body = self.call(door, HTTP_X="a\r\nb: c")
        self.assertEqual((status, body[:6]), ("400 Bad Request", b"a line"))
        door.drain("enough")
        status, body = self.call(door)
        self.assertEqual(status, "503 Service Unavailable")
        self.assertIn(b"going down", body)


async def nobody(*args: Any) -> Any:
    """What a server gives to its application; it is never asked."""


class ScopeTests(SynchronousTestCase):
    """
    What a scope says.
    """

    def test_targets(self) -> None:
        """
        The path is the site's, as it was asked for; where nobody tells, as it can be
        written.
        """
        for raw, path, root, target in (
            (b"/a%2Fb", "/a/b", "", b"/a%2Fb?q"),
            (None, "/é b", "", b"/%C3%A9%20b?q"),
            (b"/x/a", "/x/a", "/x/", b"/a?q"),
            (b"/x%20y/a", "/x y/a", "/x y", b"/a?q"),
            (b"/x y/a", "/x y/a", "/x y", b"/a?q"),
            (b"/a", "/a", "/x", b"/a?q"),
        ):
            scope = {"path": path, "root_path": root, "query_string": b"q"}
            if raw is not None:
                scope["raw_path"] = raw
            self.assertEqual(target_of(scope), target)

    def test_another_kind(self) -> None:
        """
        A scope that is none of HTTP, WebSocket and lifespan is refused.
        """
        running = asgi("shop.py")({"type": "mail"}, nobody, nobody)
        error = self.assertRaises(ValueError, running.send, None)
        self.assertIn("'mail'", str(error))

    def test_another_loop(self) -> None:
        """
        A server that runs no event loop of asyncio's is told so.
        """
        running = asgi("shop.py")({"type": "http"}, nobody, nobody)
        error = self.assertRaises(ReactorTaken, running.send, None)
        self.assertIn("no event loop of asyncio's", str(error))


class FarewellTests(SynchronousTestCase):
    """
    The signals that end a server.
    """

    def test_hears(self) -> None:
        """
        They are heard once, and all the same go to who had them, and go back to them.
        """
        heard: list[Any] = []

        def had(number: int, frame: Any) -> None:
            heard.append(number)

        before = signal.signal(signal.SIGTERM, had)
        self.addCleanup(signal.signal, signal.SIGTERM, before)
        farewell = Farewell(heard.append)
        farewell.listen()
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        self.assertEqual(heard, ["SIGTERM", signal.SIGTERM, signal.SIGTERM])
        farewell.forget()
        self.assertIs(signal.getsignal(signal.SIGTERM), had)

    def test_leaves_alone(self) -> None:
        """
        One that nobody handles goes on to end the process.
        """
        before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self.addCleanup(signal.signal, signal.SIGTERM, before)
        farewell = Farewell(print)
        farewell.listen()
        self.assertEqual(signal.getsignal(signal.SIGTERM), signal.SIG_DFL)
        farewell.forget()


del _SiteTests, _AsgiTests
