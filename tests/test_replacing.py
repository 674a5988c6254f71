"""
Tests for L{ropewalk.run.replacing}: parts of a site, replaced by the settings.
"""

from __future__ import annotations

import plistlib
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from attrs import frozen
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import BadSettings
from ropewalk.interfaces import Steps
from ropewalk.plugin import Found
from ropewalk.run.configuration import make_plan
from ropewalk.run.replacing import load_formats, load_router
from ropewalk.settings import parse
from ropewalk.settings.named import BadName
from ropewalk.testing import TestCase
from ropewalk.web import Body, Routes
from ropewalk.web.table import Table
from tests.daemonry import ROOT
from tests.visiting import blocks

HERE: ModuleType = sys.modules[__name__]


class Shout:
    """JSON in capitals, more or less."""

    def write(self, value: Any) -> bytes:
        return f"{value}!".upper().encode()


class Lines:
    """A text a line."""

    def write(self, value: Any) -> bytes:
        if not isinstance(value, list):
            raise ValueError("only lists have lines")
        return "".join(f"{each}\n" for each in value).encode()

    def read(self, shape: Any, raw: bytes) -> Any:
        return raw.decode().splitlines()


@frozen
class Delimited:
    """Texts with something between them."""

    delimiter: str

    def write(self, value: Any) -> bytes:
        return self.delimiter.join(value).encode()


TABBED = Delimited("\t")


class Counting(Table[Any]):
    """A table that knows what it was asked for."""

    def __init__(self, entries: Any) -> None:
        super().__init__(entries)
        self.asked: list[str] = []
        MADE.append(self)

    def find(self, path: str, *args: Any, **kwargs: Any) -> Any:
        self.asked.append(path)
        return super().find(path, *args, **kwargs)


MADE: list[Counting] = []


def make(entries: Any) -> Counting:
    """Makes a table."""
    return Counting(entries)


SETTINGS = f"""\
[web]
router = "{__name__}:Counting"

[web.formats]
"application/json" = "{__name__}:Shout"
"text/x-lines" = "{__name__}:Lines"
"text/x-tabbed" = "{__name__}:TABBED"
"""


class LoadTests(SynchronousTestCase):
    """
    What is named is made, or refused.
    """

    def test_formats(self) -> None:
        """
        A class is made; what is not one is taken as it is.
        """
        formats = load_formats(
            {"a/a": f"{__name__}:Lines", "a/b": f"{__name__}:TABBED"}
        )
        self.assertIsInstance(formats["a/a"], Lines)
        self.assertIs(formats["a/b"], TABBED)
        self.assertEqual(len(load_formats({})), 0)

    def test_no_formats(self) -> None:
        """
        What cannot be made, or can do nothing, is no format.
        """
        for name, problem in {
            f"{__name__}:Delimited": "missing 1 required positional argument",
            f"{__name__}:HERE": "neither write(value) nor read(shape, raw)",
            f"{__name__}:Lime": "did you mean Lines?",
        }.items():
            error = self.assertRaises(BadName, load_formats, {"a/b": name})
            self.assertEqual(error.name, name)
            self.assertIn(problem, error.problem)

    def test_router(self) -> None:
        """
        A router is made of entries; a class of one has what is asked of it.
        """
        self.assertIs(load_router(f"{__name__}:Counting"), Counting)
        self.assertIs(load_router(f"{__name__}:make"), make)
        error = self.assertRaises(BadName, load_router, f"{__name__}:Lines")
        self.assertIn("it has no find, build, host_of", error.problem)
        error = self.assertRaises(BadName, load_router, f"{__name__}:SETTINGS")
        self.assertIn("a str makes no router", error.problem)


class SettingsTests(TestCase):
    """
    A line in the settings replaces a part of a site.
    """

    @inlineCallbacks
    def test_replaced(self) -> Steps[None]:
        """
        The same routes, with other JSON, another format more, and another table.
        """
        MADE.clear()
        routes = Routes()

        @routes.get("/names")
        def names() -> list[str]:
            return ["Ada", "Alan"]

        @routes.post("/names")
        def add(names: Body[list[str]]) -> int:
            return len(names)

        host = yield self.serve(routes, settings=SETTINGS)
        client = host.http()
        got = yield client.get("/names")
        self.assertEqual(got.body, b"['ADA', 'ALAN']!")
        self.assertEqual(got.headers["content-type"], "application/json")
        for kind, body in {
            "text/x-lines": b"Ada\nAlan\n",
            "text/x-tabbed": b"Ada\tAlan",
        }.items():
            got = yield client.get("/names", headers={"Accept": kind})
            self.assertEqual((got.body, got.headers["content-type"]), (body, kind))
        headers = {"Content-Type": "text/x-lines"}
        got = yield client.post("/names", data=b"a\nb\nc\n", headers=headers)
        self.assertEqual(got.body, b"3!")
        (table,) = {id(each): each for each in MADE if "/names" in each.asked}.values()
        self.assertEqual(table.asked.count("/names"), 4)
        document = yield client.get("/openapi.json")
        told = document.json()["paths"]["/names"]["get"]["responses"]["200"]
        self.assertIn("text/x-lines", told["content"])

    def test_faults(self) -> None:
        """
        Each name that leads nowhere is told, with its line.
        """
        text = SETTINGS.replace("Lines", "Lins").replace("Counting", "Shout")
        text += '"a/*" = "json:JSONDecoder"\n'
        text += '[web.sites.b]\nlisten = ["tcp:1"]\nformats = {"a/b" = "json.loads"}\n'
        path = str(Path("web.toml"))
        raised = self.assertRaises(
            BadSettings, lambda: make_plan(parse(text, path, {}), Found(()))
        )
        said = [str(each) for each in raised.faults]
        for fault, line, words in zip(
            said,
            (2, 6, 8, 11),
            (
                ("router", "it is no router: it has no find, build, host_of"),
                ('formats."text/x-lines"', "there is no Lins", "did you mean Lines?"),
                ('formats."a/*"', "is no media type"),
                ('formats."a/b"', "did you mean 'json:loads'?"),
            ),
            strict=True,
        ):
            self.assertIn(f"web.toml:{line}", fault)
            for each in words:
                self.assertIn(each, fault)


class PageTests(TestCase):
    """
    What the documentation shows works.
    """

    @inlineCallbacks
    def test_page(self) -> Steps[None]:
        """
        The files on the page, named by the settings on it.
        """
        package = Path(self.mktemp()).absolute() / "acme"
        package.mkdir(parents=True)
        page = (ROOT / "docs" / "toolkit.rst").read_text("utf-8")
        captions = re.findall(r":caption: acme/(\w+\.py)\n", page)
        sources = blocks("toolkit", r"python\n   :caption: acme/\w+\.py")
        for name, source in zip(captions, sources, strict=True):
            (package / name).write_text(source, "utf-8")
        self.patch(sys, "path", [str(package.parent), *sys.path])
        known = {*sys.modules}
        self.addCleanup(lambda: [sys.modules.pop(x) for x in {*sys.modules} - known])
        (settings,) = blocks("toolkit", "toml")
        routes = Routes()

        @routes.post("/ropes")
        def add(rope: Body[dict[str, int]]) -> dict[str, int]:
            return rope

        host = yield self.serve(routes, settings=settings)
        kind, rope = "application/x-plist", {"length": 20}
        body = plistlib.dumps(rope, fmt=plistlib.FMT_BINARY)
        post = host.http().post
        came = yield post("/ROPES", data=body, headers={"Content-Type": kind})
        self.assertEqual(came.body, b'{\n  "length": 20\n}')
        came = yield post("/ropes", json=rope, headers={"Accept": kind})
        self.assertEqual((came.body, came.headers["content-type"]), (body, kind))
        for wrong, status in (b"bplist00", 400), (b"", 400), (b"{}", 400):
            came = yield post("/ropes", data=wrong, headers={"Content-Type": kind})
            self.assertEqual(came.status, status, wrong)
