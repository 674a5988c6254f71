"""
Hello, and what grew from it, in memory. ``trial test_hello`` runs this, and so does
``pytest``.
"""

from __future__ import annotations

from pathlib import Path

from ropewalk.awaiting import inlineCallbacks
from ropewalk.interfaces import Steps
from ropewalk.testing import TestCase


class HelloTests(TestCase):
    """
    A file, then a service.
    """

    @inlineCallbacks
    def test_file(self) -> Steps[None]:
        """
        The file says hello.
        """
        host = yield self.serve("hello.py")
        self.assertEqual((yield host.http().get("/")).text, "Hello.\n")

    @inlineCallbacks
    def test_service(self) -> Steps[None]:
        """
        The service says it in the words that are set.
        """
        host = yield self.start("greeting", word="Ahoy")
        http = host.http()
        self.assertEqual((yield http.get("/")).text, "Hello.\n")
        self.assertEqual((yield http.get("/Grace")).text, "Ahoy, Grace.\n")

    @inlineCallbacks
    def test_settings(self) -> Steps[None]:
        """
        The settings that come with it are good.
        """
        settings = Path(__file__).with_name("ropewalk.toml")
        host = yield self.start(settings=settings)
        response = yield host.http().get("/Ada")
        self.assertEqual(response.text, "Good morning, Ada.\n")
