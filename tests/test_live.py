"""
Tests for L{ropewalk.web.live}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ropewalk.web.live import client_module
from tests.visiting import Place


class ModuleTests(SynchronousTestCase):
    """
    The client for pages.
    """

    def test_served(self) -> None:
        """
        It is an ES module, and told to be nothing else; who has it is told so.
        """
        place = Place.of()
        place.mount("/ropewalk.js", client_module())
        visit = place.visit()
        answer = visit.ask("/ropewalk.js")
        self.assertEqual(answer.status, 200)
        self.assertEqual(
            answer.headers["content-type"], "text/javascript; charset=utf-8"
        )
        self.assertEqual(answer.headers["x-content-type-options"], "nosniff")
        self.assertIn("export class Ropewalk", answer.text)
        tag = answer.headers["etag"]
        again = visit.ask("/ropewalk.js", "GET", f"If-None-Match: {tag}")
        self.assertEqual((again.status, again.body), (304, b""))
