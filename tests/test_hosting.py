"""
Tests for L{ropewalk.web.hosting}: what all that is hosted has in common.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import BadSettings, StartFailed
from ropewalk.interfaces import IWeb, Steps
from ropewalk.plugin import Found
from ropewalk.run.configuration import make_plan
from ropewalk.settings import parse
from ropewalk.testing import Response
from ropewalk.web.hosting import Hosted, Mounting, Place, here
from ropewalk.web.outflow import Outflow
from tests.test_sites import SiteTestCase


class GreetingPages(Resource):
    """
    Says what is asked for, and how long the body is.
    """

    isLeaf = True
    streams = True

    def __init__(self, prefix: str) -> None:
        super().__init__()
        self._prefix = prefix

    def render(self, request: Any) -> Any:
        self._answer(request).addErrback(request.processingFailed)
        return NOT_DONE_YET

    @inlineCallbacks
    def _answer(self, request: Any) -> Steps[None]:
        size = 0
        while piece := (yield request.intake.read()):
            size += len(piece)
        path = request.path.decode().removeprefix(self._prefix)
        answer = Outflow(request)
        answer.start(200, [(b"content-type", b"text/plain")])
        answer.finish(f"{self._prefix} {path} {size}".encode())


class Greeting(Mounting):
    """
    Notes when it starts and stops.
    """

    def __init__(self, place: Place, notes: list[str], trouble: str) -> None:
        self.resource = GreetingPages(place.prefix)
        self._place, self._notes, self._trouble = place, notes, trouble
        self.starting: Deferred[None] = Deferred()

    def figures(self) -> dict[str, int]:
        return {"notes": len(self._notes)}

    def startService(self) -> Any:
        super().startService()
        self._notes.append(f"start {self._place.path} of {self._place.owner}")
        if self._trouble:
            raise ValueError(self._trouble)

    def stopService(self) -> Any:
        self._notes.append(f"stop {self._place.path}")


class Greets(Hosted):
    """
    An application that greets.
    """

    kind = "greeting"

    def __init__(self, longest_body: int | None = None, trouble: str = "") -> None:
        self.notes: list[str] = []
        self.longest_body = longest_body
        self._trouble = trouble

    def at(self, place: Place) -> Mounting:
        return Greeting(place, self.notes, self._trouble)

    @property
    def shown(self) -> str:
        return "a greeting"


class MountingTests(SiteTestCase):
    """
    What is hosted is mounted as routes are.
    """

    @inlineCallbacks
    def test_mounted(self) -> Steps[None]:
        """
        It is started with the daemon, answers at its path and below, and is stopped.
        """
        greets = Greets()
        host = yield self.run_all(lambda web: web.mount("/hello", greets))
        self.assertEqual(greets.notes, ["start /hello of a"])
        answer: Response = yield host.http().post("/hello/you", data=b"12345")
        self.assertEqual(answer.text, "/hello /you 5")
        answer = yield host.http().get("/hello")
        self.assertEqual(answer.text, "/hello  0")
        yield host.stop()
        self.assertEqual(greets.notes[1:], ["stop /hello"])

    @inlineCallbacks
    def test_figures(self) -> Steps[None]:
        """
        Its figures are among those of the daemon.
        """
        settings = '[web]\nlisten = ["tcp:8080"]\nfigures = "/figures"\n'
        host = yield self.run_all(
            lambda web: web.mount("/hello", Greets()), settings=settings
        )
        answer: Response = yield host.http().get("/figures/hosted")
        self.assertEqual(answer.json(), {"web:/hello": {"notes": 1}})

    @inlineCallbacks
    def test_home(self) -> Steps[None]:
        """
        The page of what there is has it, whoever has mounted it.
        """
        directory = self.mktemp()
        os.mkdir(directory)
        Path(directory, "shop.py").write_text("application = print\n")
        mounts = (
            f'[web.mounts]\n"/shop" = {{ wsgi = "shop", directory = "{directory}" }}\n'
        )
        host = yield self.run_all(settings=mounts)
        page = yield host.http().get("/", headers={"Accept": "text/html"})
        self.assertIn("/shop", page.text)
        self.assertIn("shop (WSGI)", page.text)

    @inlineCallbacks
    def test_here(self) -> Steps[None]:
        """
        It can publish into the daemon's channels while that runs.
        """
        greets = Greets()
        host = yield self.run_all(lambda web: web.mount("/hello", greets))
        yield here.publish("rooms.lobby", "hello")
        said = yield host.hub.history("rooms.lobby")
        self.assertEqual([each.body for each in said], ["hello"])
        yield host.stop()
        self.assertRaises(here.NotHosted, here.publish, "rooms.lobby", "hello")

    @inlineCallbacks
    def test_longest_body(self) -> Steps[None]:
        """
        It says how long bodies may be, whatever the site says.
        """

        def pages(web: IWeb) -> None:
            web.mount("/short", Greets(longest_body=3))
            web.mount("/long", Greets(longest_body=5_000_000))
            web.mount("/site", Greets())

        host = yield self.run_all(pages)
        body = b"x" * 2_000_000
        for path, status in ("/short", 413), ("/long", 200), ("/site", 413):
            answer: Response = yield host.http().post(path, data=body)
            self.assertEqual(answer.status, status, path)

    @inlineCallbacks
    def test_cannot_start(self) -> Steps[None]:
        """
        The daemon does not start without it.
        """
        greets = Greets(trouble="no hello today")
        with self.assertRaises(StartFailed) as caught:
            yield self.run_all(lambda web: web.mount("/hello", greets))
        self.assertIn("no hello today", str(caught.exception))
        self.flushLoggedErrors(ValueError)


class SettingsTests(SynchronousTestCase):
    """
    What is hosted, in a settings file.
    """

    def faults(self, table: str) -> str:
        """What is wrong with a mount."""
        text = f'[web.mounts]\n"/shop" = {{ {table} }}\n'
        with self.assertRaises(BadSettings) as caught:
            make_plan(parse(text, "f.toml"), Found(()))
        return str(caught.exception)

    def test_nothing(self) -> None:
        """
        Who says nothing is told what there is to say.
        """
        said = self.faults("threads = 3")
        self.assertIn("f.toml:2", said)
        self.assertIn("wsgi, asgi, native, command or proxy", said)

    def test_twice(self) -> None:
        """
        At one path there is one thing.
        """
        said = self.faults('wsgi = "a:b", proxy = "http://127.0.0.1:9000"')
        self.assertIn("something is here already: wsgi", said)

    def test_misspelt(self) -> None:
        """
        The nearest right key is named.
        """
        said = self.faults('wsgi = "a:b", thread = 3')
        self.assertIn("f.toml:2", said)
        self.assertIn("threads", said)

    def test_of_another_kind(self) -> None:
        """
        So is a key that means nothing there.
        """
        said = self.faults('asgi = "a:b", threads = 3')
        self.assertIn("threads", said)
        self.assertIn("this is not for asgi", said)

    def test_path(self) -> None:
        """
        A path is one that can be asked for.
        """
        text = '[web.mounts]\n"shop" = { wsgi = "a:b" }\n'
        with self.assertRaises(BadSettings) as caught:
            make_plan(parse(text, "f.toml"), Found(()))
        self.assertIn("a path like /shop", str(caught.exception))
