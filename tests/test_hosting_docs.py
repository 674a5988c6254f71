"""
The page about WSGI applications: what it shows is what is served.
"""

from __future__ import annotations

import ast
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ropewalk.web.hosting.settings import MountSettings
from tests.curling import read_blocks
from tests.test_docs_routes import DOCS
from tests.test_hosting_wsgi import ask, require, serving
from tests.visiting import blocks

PAGE = DOCS / "hosting-wsgi.rst"


class PageTests(SynchronousTestCase):
    """
    ``docs/hosting-wsgi.rst``.
    """

    def setUp(self) -> None:
        require("django", "flask")
        self.home = Path(self.mktemp())
        self.files: dict[str, str] = {}
        for block in read_blocks(PAGE):
            if block.kind == "python" and block.caption:
                self.files[block.caption] = block.text
                path = self.home / block.caption
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block.text, "utf-8")

    def mounts(self) -> dict[str, Any]:
        """All that is mounted on the page, by path."""
        tables = [tomllib.loads(text) for text in blocks(PAGE.stem, "toml")]
        mounts = [table["web"]["mounts"].items() for table in tables]
        return {path: said for each in mounts for path, said in each}

    def installed(self, target: str) -> bool:
        """Whether there is such a file, and what it needs is here."""
        if not target:
            return False
        text = self.files[target.partition(":")[0].replace(".", "/") + ".py"]
        needed = {
            name.partition(".")[0]
            for node in ast.walk(ast.parse(text))
            for name in (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [str(node.module)]
                if isinstance(node, ast.ImportFrom)
                else []
            )
        }
        return all(find_spec(name) for name in needed)

    def test_applications(self) -> None:
        """
        Each application is loaded and answers, all of them in one daemon; and one of
        them publishes into a channel.
        """
        mounts = self.mounts() | {"/sales": {"wsgi": "sales:app"}}
        self.assertGreaterEqual(len(mounts), 7)
        wanted = {
            path: said["wsgi"]
            for path, said in mounts.items()
            if self.installed(said.get("wsgi", ""))
        }
        self.assertLessEqual({"/shop", "/django", "/sales"}, wanted.keys())
        with serving(self.home, wanted) as where:
            for path in wanted.keys() - {"/sales"}:
                status, body, _ = ask(where, f"{path}/")
                self.assertEqual(status, 200, (path, body))
                if path != "/board":  # Dash writes its text in the browser
                    self.assertTrue(body.startswith(b"rope"), body)
            kind = "application/x-www-form-urlencoded"
            for number in b"1", b"2":
                status, body, _ = ask(
                    where, "/sales/sell", "POST", b"yards=3", Content_Type=kind
                )
                self.assertEqual((status, body), (200, b'{"number":%b}\n' % number))

    def test_settings(self) -> None:
        """
        The keys, and what they are by default, are those of the settings.
        """
        text = PAGE.read_text("utf-8")
        settings = MountSettings()
        for key in "threads", "queue", "timeout", "longest_body":
            row = f"``{key}``".ljust(19) + f" {getattr(settings, key):g}: "
            row = row.replace("1.04858e+08", str(100 * 1024 * 1024))
            self.assertIn(row, text)
