# -*- test-case-name: tests.test_docs_export -*-
"""
The page about other servers: what it shows is what happens.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.commandline import write
from tests.exporting import Server
from tests.test_docs_routes import DOCS
from tests.test_export import PLUGIN, SHOP

SETTINGS = """
[shop]
[web]
listen = ["tcp:8080"]
"""


class PageTests(SynchronousTestCase):
    """
    ``docs/hosting-export.rst``.
    """

    def setUp(self) -> None:
        self.page = (DOCS / "hosting-export.rst").read_text("utf-8")
        self.home = write(
            Path(self.mktemp()),
            {
                "shop.py": SHOP,
                "ropewalk.toml": SETTINGS,
                "twisted/plugins/a_shop.py": PLUGIN,
                "served.py": self.code("served.py"),
                "gunicorn.conf.py": self.code("gunicorn.conf.py"),
            },
        )

    def code(self, name: str) -> str:
        """What a file of the page is."""
        block = self.page.split(f":caption: {name}\n\n")[1]
        lines = re.match(r"(?:(?: {3}.*)?\n)+", block)
        assert lines is not None
        return "\n".join(line[3:] for line in lines[0].splitlines()) + "\n"

    def serve(self, name: str, app: str, **environ: str) -> Server:
        self.assertIn(app, self.page)
        server = Server(name, app, self.home, **environ)
        self.addCleanup(server.kill)
        return server

    def test_asgi(self) -> None:
        """
        The first application is served, by C{served:application}; what does not travel
        is told in the page's words.
        """
        server = self.serve("uvicorn", "served:application")
        told = json.loads(server.says("this does not travel"))["message"]
        self.assertIn(told, self.page)
        self.assertEqual(server.ask("/"), (200, "Hello."))

    def test_wsgi(self) -> None:
        """
        The second one, by C{served:by_wsgi}, with gunicorn's file.
        """
        server = self.serve("gunicorn", "served:by_wsgi")
        self.assertEqual(server.ask("/"), (200, "Hello."))

    def test_start_fails(self) -> None:
        """
        When a service does not start, the server says what the page says.
        """
        server = self.serve("uvicorn", "served:application", SHUT="1")
        self.assertNotEqual(server.end(), 0)
        for line in server.said:
            if line.startswith("ERROR"):
                self.assertIn(line, self.page)
