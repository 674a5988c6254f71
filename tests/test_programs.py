# -*- test-case-name: tests.test_programs -*-
"""
Files as their frameworks' own pages begin with them, each run by C{ropewalk run FILE}.
"""

from __future__ import annotations

import os
import signal
from http.client import HTTPConnection
from importlib.util import find_spec
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from ropewalk.run.statuses import Status
from tests.commandline import PATIENCE, Running, write
from tests.exporting import Talk

SOMEWHERE = {"ROPEWALK_WEB__LISTEN": "tcp:0:interface=127.0.0.1"}

FLASK = """\
from flask import Flask, request, session

shop = Flask(__name__)

@shop.route("/")
def hello():
    return "flask"

if __name__ == "__main__":
    shop.run(debug=True)
"""

STARLETTE = """\
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute

async def hello(request):
    return PlainTextResponse("starlette")

async def echo(socket):
    await socket.accept()
    await socket.send_text(await socket.receive_text())
    await socket.close(4000)

api = Starlette(routes=[Route("/", hello), WebSocketRoute("/echo", echo)])
"""

DJANGO = """\
import os, sys

def main():
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_settings")
    from django.core.management import execute_from_command_line
    execute_from_command_line(sys.argv)

if __name__ == "__main__":
    main()
"""

DJANGO_SETTINGS = """\
from django.http import HttpResponse
from django.urls import path

DEBUG = True
SECRET_KEY = "for a test"
ROOT_URLCONF = __name__
STATIC_URL = "static/"
INSTALLED_APPS = ["django.contrib.staticfiles", "desk"]
ALLOWED_HOSTS = ["*"]
urlpatterns = [path("", lambda request: HttpResponse("django"))]
"""

AIOHTTP = """\
from aiohttp import web

async def hello(request):
    return web.Response(text="aiohttp")

app = web.Application()
app.add_routes([web.get("/", hello)])

if __name__ == "__main__":
    web.run_app(app)
"""

TORNADO = """\
import tornado.web

class Hello(tornado.web.RequestHandler):
    def get(self):
        self.write("tornado")

def make_app():
    return tornado.web.Application([("/", Hello)])
"""

SANIC = """\
from sanic import Sanic, text

app = Sanic("hello")

@app.get("/")
async def hello(request):
    return text("sanic")

if __name__ == "__main__":
    app.run()
"""


class ProgramTests(SynchronousTestCase):
    """
    One test for each framework.
    """

    def serve(self, framework: str, target: str, files: dict[str, str]) -> str:
        """Run a program; where it answers."""
        if find_spec(framework) is None:
            if os.environ.get("CI"):
                raise AssertionError(f"{framework} is not installed")
            raise SkipTest(f"{framework} is not installed (pip install {framework})")
        home = write(Path(self.mktemp()).absolute(), files)
        running = Running("run", "--no-reload", target, cwd=home, **SOMEWHERE)
        self.addCleanup(running.kill)
        said = running.says("web answers at ").rpartition("http://")[2]
        running.says("ready: ")
        self.addCleanup(self.stop, running)
        return said.partition("/")[0]

    def ask(self, place: str, path: str = "/") -> str:
        http = HTTPConnection(place, timeout=PATIENCE)
        self.addCleanup(http.close)
        http.request("GET", path)
        return http.getresponse().read().decode()

    def assertServes(self, framework: str, target: str, files: dict[str, str]) -> str:
        place = self.serve(framework, target, files)
        self.assertEqual(self.ask(place), framework)
        return place

    def stop(self, running: Running) -> None:
        running.signal(signal.SIGTERM)
        self.assertEqual(running.end(), Status.STOPPED)

    def test_flask(self) -> None:
        """
        Flask's object is served, whatever it is called; what else Flask has stands for
        what is not there yet, and is let alone.
        """
        self.assertServes("flask", "shop.py", {"shop.py": FLASK})

    def test_starlette(self) -> None:
        """
        So is Starlette's, with its WebSockets; FastAPI's is one of these.
        """
        files = {"star.py": STARLETTE}
        place = self.assertServes("starlette", "star.py:api", files)
        talk = Talk(place, "/echo")
        talk.say("hello")
        self.assertEqual(talk.hear(), "hello")
        self.assertEqual(talk.hear(), (4000, ""))
        talk = Talk(place, "/echo", origin="https://evil.example")
        assert talk.refused is not None
        self.assertEqual(talk.refused[0], 403)

    def test_django(self) -> None:
        """
        A Django project is run by its manage.py, with its static files.
        """
        files = {
            "manage.py": DJANGO,
            "site_settings.py": DJANGO_SETTINGS,
            "desk/__init__.py": "",
            "desk/static/a.txt": "static",
        }
        place = self.assertServes("django", "manage.py", files)
        self.assertEqual(self.ask(place, "/static/a.txt"), "static")

    def test_aiohttp(self) -> None:
        """
        A server that wants to listen by itself runs on the daemon's own loop.
        """
        self.assertServes("aiohttp", "app.py", {"app.py": AIOHTTP})

    def test_tornado(self) -> None:
        """
        One that is made by a function is made when that is said.
        """
        self.assertServes("tornado", "torn.py:make_app()", {"torn.py": TORNADO})

    def test_sanic(self) -> None:
        """
        Sanic's object is served without Sanic's own processes.
        """
        self.assertServes("sanic", "hello.py", {"hello.py": SANIC})
