"""
Tests for L{ropewalk.web.hosting.wsgi}: applications in threads, over sockets.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryFile
from textwrap import dedent
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SkipTest, SynchronousTestCase, TestCase

from ropewalk.awaiting import inlineCallbacks
from ropewalk.interfaces import Steps
from ropewalk.web.compiling import no_sockets
from ropewalk.web.hosting.hosted import Place as MountPlace
from ropewalk.web.hosting.loading import BadApplication
from ropewalk.web.hosting.wsgi import Wsgi, wsgi
from ropewalk.web.hosting.wsgi.bodies import BodyLost
from ropewalk.web.hosting.wsgi.conveying import MOST
from ropewalk.web.hosting.wsgi.serving import Errors, WsgiMounting
from ropewalk.web.mounts import Mount, Mounts
from ropewalk.web.site import Request, Site
from tests.commandline import Running
from tests.guests import hello

reactor: Any = global_reactor

#: Seconds in which something is expected to happen that takes a fraction of one.
PATIENCE = 20.0

Start = Callable[..., Callable[[bytes], None]]


class WsgiCase(TestCase):
    """
    A site with one application, at a port.
    """

    mounting: WsgiMounting

    @inlineCallbacks
    def serve(
        self, application: Any, path: str = "/", **options: Any
    ) -> Steps[tuple[str, int]]:
        """
        Serve an application.

        :return: fires with where.
        """
        place = MountPlace(path, "chat", "x.py:1", reactor, no_sockets)
        mounting = self.mounting = wsgi(application, **options).at(place)
        yield mounting.startService()
        mounts = Mounts()
        self.seen: list[Request] = []
        resource = mounting.resource
        mounts.add(Mount(path, resource, "chat", "x.py:1", "pages", resource))
        mounts.compile()  # as the daemon does before it listens
        site = Site(mounts, reactor, None, observe=self.seen.append)
        port = reactor.listenTCP(0, site, interface="127.0.0.1")
        self.addCleanup(mounting.stopService)
        self.addCleanup(port.stopListening)
        return "127.0.0.1", port.getHost().port


def ask(
    where: tuple[str, int],
    path: str = "/",
    method: str = "GET",
    body: Any = None,
    **headers: str,
) -> tuple[int, bytes, HTTPResponse]:
    """Ask, and read all of the answer. For a thread."""
    client = HTTPConnection(where[0], where[1], timeout=PATIENCE)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        client.request(method, path, body, named)
        answer = client.getresponse()
        return answer.status, answer.read(), answer
    finally:
        client.close()


def connect(where: tuple[str, int], said: bytes) -> socket.socket:
    """A connection on which something was said."""
    client = socket.create_connection(where, PATIENCE)
    client.sendall(said)
    return client


class ThreadTests(WsgiCase):
    """
    Who answers.
    """

    @inlineCallbacks
    def test_hello(self) -> Steps[None]:
        """
        A thread of the application's own, which is gone when the daemon is.
        """
        names: list[str] = []

        def application(environ: dict[str, Any], start: Start) -> list[bytes]:
            names.append(threading.current_thread().name)
            return hello(environ, start)

        where = yield self.serve(application, "/shop")
        status, body, _ = yield deferToThread(ask, where, "/shop/rope")
        self.assertEqual((status, body), (200, b"hello rope\n"))
        self.assertEqual(names, ["/shop 1"])
        self.assertEqual([each.code for each in self.seen], [200])
        left = yield self.mounting.stopService()
        self.assertEqual((left, self.mounting.figures().threads), (0, 0))

    @inlineCallbacks
    def test_busy(self) -> Steps[None]:
        """
        With one thread and a queue of one, the third is told to come back, and the
        second gets its turn.
        """
        begun, end = threading.Event(), threading.Event()

        def application(environ: dict[str, Any], start: Start) -> list[bytes]:
            begun.set()
            end.wait(PATIENCE)
            return hello(environ, start)

        where = yield self.serve(application, threads=1, queue=1)
        first = deferToThread(ask, where, "/one")
        yield deferToThread(begun.wait, PATIENCE)
        second = deferToThread(ask, where, "/two")
        while self.mounting.figures().waiting < 1:
            yield turn()
        status, _, answer = yield deferToThread(ask, where, "/three")
        self.assertEqual((status, answer.headers["Retry-After"]), (503, "1"))
        figures = self.mounting.figures()
        self.assertEqual((figures.busy, figures.waiting, figures.refused), (1, 1, 1))
        end.set()
        for waiting, name in (first, b"one"), (second, b"two"):
            status, body, _ = yield waiting
            self.assertEqual((status, body), (200, b"hello %b\n" % name))

    @inlineCallbacks
    def test_waits_too_long(self) -> Steps[None]:
        """
        Who waits for a thread for too long is told to come back as well; who leaves
        meanwhile is forgotten.
        """
        begun, end = threading.Event(), threading.Event()
        self.addCleanup(end.set)
        asked: list[str] = []

        def application(environ: dict[str, Any], start: Start) -> list[bytes]:
            asked.append(environ["PATH_INFO"])
            begun.set()
            end.wait(PATIENCE)
            return hello(environ, start)

        where = yield self.serve(application, threads=1, timeout=0.2)
        first = deferToThread(ask, where, "/one")
        yield deferToThread(begun.wait, PATIENCE)
        client = connect(where, b"GET /gone HTTP/1.1\r\nHost: x\r\n\r\n")
        while self.mounting.figures().waiting < 1:
            yield turn()
        client.close()
        status, _, _ = yield deferToThread(ask, where, "/two")
        self.assertEqual(status, 503)
        end.set()
        yield first
        self.assertEqual(asked, ["/one"])


def turn() -> Deferred[None]:
    """Wait for the reactor's next turn."""
    waiting: Deferred[None] = Deferred()
    reactor.callLater(0, waiting.callback, None)
    return waiting


class StreamTests(WsgiCase):
    """
    Answers that take their time.
    """

    @inlineCallbacks
    def test_as_it_is_made(self) -> Steps[None]:
        """
        Each piece is sent when it is made, whether the next is there or not.
        """
        go_on = threading.Event()

        def application(environ: dict[str, Any], start: Start) -> Iterator[bytes]:
            start("200 OK", [])
            yield b"first"
            go_on.wait(PATIENCE)
            yield b"second"

        def read() -> tuple[bytes, bytes]:
            client = HTTPConnection(where[0], where[1], timeout=PATIENCE)
            client.request("GET", "/")
            answer = client.getresponse()
            first = answer.read(5)
            go_on.set()
            rest = answer.read()
            client.close()
            return first, rest

        where = yield self.serve(application)
        pieces = yield deferToThread(read)
        self.assertEqual(pieces, (b"first", b"second"))

    @inlineCallbacks
    def test_slow_client(self) -> Steps[None]:
        """
        A client that does not read stops the application, not the daemon; when it
        leaves, the answer is closed.
        """
        made, closed = 0, threading.Event()
        piece = b"x" * 65_536

        class Endless:
            def __iter__(self) -> Iterator[bytes]:
                nonlocal made
                while True:
                    made += 1
                    yield piece

            def close(self) -> None:
                closed.set()

        def application(environ: dict[str, Any], start: Start) -> Endless:
            start("200 OK", [])
            return Endless()

        where = yield self.serve(application)
        client = socket.socket()
        # As little as possible is to be in the kernel.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(where)
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        before = -1
        while made != before or not made:
            before = made
            yield deferToThread(threading.Event().wait, 0.1)
        # The kernel may hold some megabytes of its own (tcp_wmem).
        self.assertLess(made * len(piece), MOST + 16 * 1024 * 1024)
        self.assertFalse(closed.is_set())
        client.close()
        yield deferToThread(closed.wait, PATIENCE)
        self.assertTrue(closed.is_set())
        while self.mounting.figures().busy:
            yield turn()
        self.assertEqual(self.flushLoggedErrors(), [])

    @inlineCallbacks
    def test_stops(self) -> Steps[None]:
        """
        A failure in the middle ends the connection there.
        """

        def application(environ: dict[str, Any], start: Start) -> Iterator[bytes]:
            start("200 OK", [])
            yield b"x" * 10
            raise RuntimeError("the rope parted")

        def read() -> bytes:
            client = connect(where, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            said = b""
            while piece := client.recv(4096):
                said += piece
            client.close()
            return said

        where = yield self.serve(application)
        said = yield deferToThread(read)
        self.assertTrue(said.endswith(b"xxxxxxxxxx\r\n"), said)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)


class BodyTests(WsgiCase):
    """
    Bodies of requests.
    """

    @inlineCallbacks
    def test_begins_before_it_ends(self) -> Steps[None]:
        """
        An application has the beginning of a long body while the rest is still to come.
        """
        begun = threading.Event()

        def application(environ: dict[str, Any], start: Start) -> list[bytes]:
            given = environ["wsgi.input"]
            first = given.read(10)
            begun.set()
            rest = given.read()
            start("200 OK", [])
            return [first, b" %d" % len(rest)]

        def upload() -> bytes:
            head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n"
            client = connect(where, head + b"0123456789")
            assert begun.wait(PATIENCE)
            client.sendall(b"x" * 199_990)
            said = client.recv(4096)
            client.close()
            return said

        where = yield self.serve(application)
        said = yield deferToThread(upload)
        self.assertTrue(said.endswith(b"0123456789 199990"), said)

    @inlineCallbacks
    def test_whole(self) -> Steps[None]:
        """
        Long ones arrive whole, with a length and in chunks.
        """

        def application(environ: dict[str, Any], start: Start) -> list[bytes]:
            digest, size = hashlib.sha256(), 0
            while piece := environ["wsgi.input"].read(10_000):
                digest.update(piece)
                size += len(piece)
            start("200 OK", [])
            told = environ["CONTENT_LENGTH"]
            return [f"{told} {size} {digest.hexdigest()}".encode()]

        where = yield self.serve(application)
        data = os.urandom(3_000_000)
        wanted = f"3000000 3000000 {hashlib.sha256(data).hexdigest()}".encode()
        for body in data, iter([data[:7], data[7:1_000_000], data[1_000_000:]]):
            status, said, _ = yield deferToThread(ask, where, "/", "POST", body)
            self.assertEqual((status, said), (200, wanted))

    @inlineCallbacks
    def test_invited(self) -> Steps[None]:
        """
        A client that asks first is told to go on when the application reads, and not
        when it answers without.
        """

        def application(environ: dict[str, Any], start: Start) -> list[bytes]:
            body = b""
            if environ["PATH_INFO"] == "/read":
                body = environ["wsgi.input"].read()
            start("200 OK", [])
            return [b"<", body, b">"]

        def upload(path: bytes) -> bytes:
            head = b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n" % path
            client = connect(where, head + b"Expect: 100-continue\r\n\r\n")
            said = client.recv(4096)
            if said.startswith(b"HTTP/1.1 100 "):
                client.sendall(b"rope")
            while not said.endswith(b">"):
                said += client.recv(4096)
            client.close()
            return said

        where = yield self.serve(application)
        read: bytes = yield deferToThread(upload, b"/read")
        unread: bytes = yield deferToThread(upload, b"/unread")
        self.assertTrue(read.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200"))
        self.assertTrue(read.endswith(b"<rope>"))
        self.assertTrue(unread.startswith(b"HTTP/1.1 200 OK\r\n"), unread)

    @inlineCallbacks
    def test_client_leaves(self) -> Steps[None]:
        """
        When the client leaves, who reads is told so, and nothing is wrong.
        """
        told: list[BaseException] = []
        begun, done = threading.Event(), threading.Event()

        def application(environ: dict[str, Any], start: Start) -> list[bytes]:
            begun.set()
            try:
                environ["wsgi.input"].read()
            except OSError as error:
                told.append(error)
                raise
            finally:
                done.set()
            return []

        where = yield self.serve(application)
        client = connect(
            where, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\nhalf"
        )
        yield deferToThread(begun.wait, PATIENCE)
        client.close()
        yield deferToThread(done.wait, PATIENCE)
        self.assertIsInstance(told[0], BodyLost)
        yield self.mounting.stopService()
        self.assertEqual(self.flushLoggedErrors(), [])

    @inlineCallbacks
    def test_too_long(self) -> Steps[None]:
        """
        One that is too long is refused.
        """
        where = yield self.serve(hello, longest_body=10)
        status, _, _ = yield deferToThread(ask, where, "/", "POST", b"x" * 11)
        self.assertEqual(status, 413)
        status, _, _ = yield deferToThread(ask, where, "/", "POST", b"x" * 10)
        self.assertEqual(status, 200)


class FileTests(WsgiCase):
    """
    Files as answers.
    """

    @inlineCallbacks
    def sent(self, make: Callable[[], Any], **headers: str) -> Steps[Any]:
        """What is sent of a file; it is closed afterwards."""
        closed = threading.Event()

        def application(environ: dict[str, Any], start: Start) -> Any:
            file = make()
            close = file.close

            def note() -> None:
                close()
                closed.set()

            start("200 OK", list(headers.items()))
            answer = environ["wsgi.file_wrapper"](file, 1000)
            answer.close = note
            return answer

        where = yield self.serve(application)
        status, body, answer = yield deferToThread(ask, where)
        self.assertEqual(status, 200)
        yield deferToThread(closed.wait, PATIENCE)
        self.assertTrue(closed.is_set())
        self.told = answer.headers["Content-Length"]
        return body

    @inlineCallbacks
    def test_on_disk(self) -> Steps[None]:
        """
        A file on disk is sent from where it is read on, with its length.
        """
        data = os.urandom(1_000_000)
        path = Path(self.mktemp())
        path.write_bytes(data)

        def make() -> Any:
            file = path.open("rb")
            self.assertEqual(file.read(10), data[:10])
            return file

        body = yield self.sent(make)
        self.assertEqual((body, self.told), (data[10:], "999990"))

        def temporary() -> Any:
            file = TemporaryFile()  # noqa: SIM115  # what sends it closes it
            file.write(data)
            file.seek(0)
            return file

        body = yield self.sent(temporary, **{"Content-Length": "5"})
        self.assertEqual((body, self.told), (data[:5], "5"))

    @inlineCallbacks
    def test_others(self) -> Steps[None]:
        """
        What is no file on disk, or is not read as it is there, is read.
        """
        body = yield self.sent(lambda: io.BytesIO(b"x" * 2500))
        self.assertEqual(body, b"x" * 2500)
        path = self.mktemp()
        with gzip.open(path, "wb") as file:
            file.write(b"y" * 2500)
        body = yield self.sent(lambda: gzip.open(path))  # noqa: SIM115  # as above
        self.assertEqual(body, b"y" * 2500)

    @inlineCallbacks
    def test_needs_no_thread(self) -> Steps[None]:
        """
        While a slow client takes it, the thread does something else.
        """
        path = Path(self.mktemp())
        path.write_bytes(b"x" * 30_000_000)

        def application(environ: dict[str, Any], start: Start) -> Any:
            if environ["PATH_INFO"] == "/file":
                start("200 OK", [])
                return environ["wsgi.file_wrapper"](path.open("rb"))
            return hello(environ, start)

        where = yield self.serve(application, threads=1)
        client = connect(where, b"GET /file HTTP/1.1\r\nHost: x\r\n\r\n")
        self.addCleanup(client.close)
        yield deferToThread(client.recv, 1000)
        status, _, _ = yield deferToThread(ask, where, "/")
        self.assertEqual(status, 200)
        self.assertEqual(self.mounting.figures().done, 2)


class DescriptionTests(SynchronousTestCase):
    """
    What is said of an application.
    """

    def test_shown(self) -> None:
        """
        It is shown as somebody called it.
        """
        self.assertEqual(wsgi("shop.wsgi:app").shown, "shop.wsgi:app (WSGI)")
        self.assertEqual(wsgi(hello).shown, "hello (WSGI)")
        self.assertEqual((wsgi(hello).kind, Wsgi.kind), ("wsgi", "wsgi"))

    def test_wrong(self) -> None:
        """
        What cannot be is refused, with what was expected.
        """
        wrong: Any = 3
        self.assertRaises(TypeError, wsgi, wrong)
        for name, number in ("threads", 0), ("queue", -1), ("timeout", -1):
            options: Any = {name: number}
            error = self.assertRaises(ValueError, wsgi, hello, **options)
            self.assertIn(f"{name}: expected ", str(error))

    def test_errors(self) -> None:
        """
        What an application writes to C{wsgi.errors} is in the log, line by line.
        """
        lines: list[str] = []

        def note(event: Any) -> None:
            lines.append(event.get("line"))

        observer: Any = note
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        errors = Errors()
        self.assertEqual(errors.write("one\ntw"), 6)
        errors.writelines(["o\n", "three"])
        errors.flush()
        errors.flush()
        self.assertEqual(lines, ["one", "two", "three"])


class LoadingTests(WsgiCase):
    """
    An application by its name.
    """

    @inlineCallbacks
    def test_loaded(self) -> Steps[None]:
        """
        It is loaded before it is served, and knows its mount by the name that it looks
        for.
        """
        home = Path(self.mktemp())
        home.mkdir()
        (home / "guest_of_this_test.py").write_text(
            dedent(
                """\
                import os, threading
                seen = os.environ["SCRIPT"], threading.current_thread().name

                def app(environ, start_response):
                    start_response("200 OK", [])
                    return [repr(seen).encode()]
                """
            ),
            "utf-8",
        )
        where = yield self.serve(
            "guest_of_this_test",
            "/shop",
            directory=str(home),
            prefix_variable="SCRIPT",
        )
        _, body, _ = yield deferToThread(ask, where, "/shop")
        self.assertEqual(body, b"('/shop', 'loads guest_of_this_test')")

    @inlineCallbacks
    def test_missing(self) -> Steps[None]:
        """
        One that is not there does not start.
        """
        place = MountPlace("/", "chat", "x.py:1", reactor, no_sockets)
        mounting = wsgi("nothing_like_it:app").at(place)
        yield self.assertFailure(mounting.startService(), BadApplication)


def require(*modules: str) -> None:
    """
    :raise SkipTest: Where a framework is not installed. In continuous integration
        that is an error.
    """
    missing = [module for module in modules if find_spec(module) is None]
    if not missing:
        return
    problem = f"no {missing[0]} here: `pip install 'ropewalk[test]'` brings it"
    if os.environ.get("CI"):
        raise AssertionError(problem)
    raise SkipTest(problem)


class FrameworkTests(WsgiCase):
    """
    Frameworks, as they are.
    """

    @inlineCallbacks
    def test_flask(self) -> Steps[None]:
        """
        Flask: forms, chunks, streams, links below the mount, and its own errors.
        """
        require("flask")
        import flask

        app = flask.Flask("rope")

        @app.post("/form")
        def form() -> Any:
            return {"name": flask.request.form["name"]}

        @app.post("/raw")
        def raw() -> str:
            return str(len(flask.request.get_data()))

        @app.get("/where")
        def where_() -> str:
            return flask.url_for("where_", _external=True)

        @app.get("/stream")
        def stream() -> Any:
            return flask.Response(f"{number}\n" for number in range(3))

        where = yield self.serve(app, "/shop")
        kind = {"Content_Type": "application/x-www-form-urlencoded"}
        for path, method, body, headers, wanted in (
            ("/shop/form", "POST", b"name=rope", kind, b'{"name":"rope"}\n'),
            ("/shop/raw", "POST", iter([b"x" * 70_000, b"y" * 18]), {}, b"70018"),
            ("/shop/where", "GET", None, {}, b"http://127.0.0.1:%d/shop/where"),
            ("/shop/stream", "GET", None, {}, b"0\n1\n2\n"),
        ):
            said = yield deferToThread(ask, where, path, method, body, **headers)
            wanted = wanted % where[1] if b"%d" in wanted else wanted
            self.assertEqual(said[:2], (200, wanted))
        status, _, _ = yield deferToThread(ask, where, "/shop/nowhere")
        self.assertEqual(status, 404)


@contextmanager
def serving(home: Path, mounts: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    """Run a daemon that serves applications by their names, and say where."""
    lines = [f'"{path}" = {{ wsgi = "{target}" }}' for path, target in mounts.items()]
    settings = "\n".join(["[web.mounts]", *lines, ""])
    (home / "ropewalk.toml").write_text(settings, "utf-8")
    running = Running(
        "run",
        "--no-reload",
        cwd=home,
        ROPEWALK_WEB__LISTEN="tcp:0:interface=127.0.0.1",
    )
    try:
        running.says("ready: ")
        said = "\n".join(running.said)
        found = re.search(r"http://127\.0\.0\.1:([0-9]+)/", said)
        assert found is not None, said
        yield "127.0.0.1", int(found[1])
    finally:
        running.kill()


class DjangoTests(SynchronousTestCase):
    """
    Django, in a daemon: it is in its process but once.
    """

    def test_django(self) -> None:
        """
        It is loaded by its name, knows its mount, and has its database where no event
        loop runs.
        """
        require("django")
        home = Path(self.mktemp())
        home.mkdir()
        (home / "guest.py").write_text(_DJANGO, "utf-8")
        with serving(home, {"/shop": "guest:application"}) as where:
            status, body, _ = ask(where, "/shop/caf%C3%A9?q=1")
            self.assertEqual((status, body.decode()), (200, "/shop caf\u00e9 1 [1]"))
            status, body, _ = ask(where, "/shop/file/")
            self.assertEqual((status, body[:21]), (200, b"# -*- test-case-name:"))


_DJANGO = """\
# -*- test-case-name: tests.test_hosting_wsgi -*-
import os, sys
from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="x", USE_TZ=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    FORCE_SCRIPT_NAME=os.environ["ROPEWALK_MOUNT"], TIME_ZONE="UTC",
)
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.http import FileResponse, HttpResponse
from django.urls import path

application = get_wsgi_application()
with connection.cursor() as cursor:
    cursor.execute("select 1")
    ROW = cursor.fetchone()

def index(request, name):
    said = [request.META["SCRIPT_NAME"], name, request.GET["q"], str(list(ROW))]
    return HttpResponse(" ".join(said))

urlpatterns = [
    path("file/", lambda request: FileResponse(open(__file__, "rb"))),
    path("<name>", index),
]
"""
