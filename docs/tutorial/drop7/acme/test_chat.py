"""
The chat, tested in memory: no port is opened, and nobody waits.
"""

from acme import chat
from ropewalk.awaiting import inlineCallbacks
from ropewalk.testing import TestCase


class ChatTests(TestCase):
    """Three protocols, one room."""

    @inlineCallbacks
    def setUp(self):
        self.host = yield self.start(chat, greeting="Hi.")
        self.ada = self.host.lines("chat")
        yield self.ada.send("/join lobby Ada")

    @inlineCallbacks
    def test_everybody_hears(self):
        """What is said on one protocol is heard on the others, in one order."""
        grace = self.host.socket("/chat/live?room=lobby&name=Grace")
        yield grace.send("Hello")
        line = {"author": "Alan", "text": "Good morning"}
        yield self.host.http().post("/chat/lobby", json=line)
        self.assertEqual(
            (yield self.ada.received()),
            [
                "* Hi. To come in, type: /join lobby YourName",
                "* Ada is here",
                "* Grace is here",
                "Grace: Hello",
                "Alan: Good morning",
            ],
        )
        *_, last = yield grace.received()
        self.assertEqual(last.json(), line)

    @inlineCallbacks
    def test_a_name_that_is_taken(self):
        """The second Ada is sent away, with the reason."""
        other = self.host.socket("/chat/live?room=lobby&name=Ada")
        code, reason = yield other.closed
        self.assertEqual(code, 4409)
        self.assertIn("Ada is in this room already", reason)

    @inlineCallbacks
    def test_an_empty_line(self):
        """Who says nothing is told which field it is."""
        response = yield self.host.http().post(
            "/chat/lobby", json={"author": "Alan", "text": ""}
        )
        self.assertEqual(response.status, 422)
        self.assertEqual(response.json()["errors"][0]["path"], "text")

    @inlineCallbacks
    def test_silence(self):
        """Who says nothing for ten minutes is let go, and has left the room."""
        grace = self.host.socket("/chat/live?room=lobby&name=Grace")
        yield grace.received()
        yield self.clock.advance(600)
        yield self.ada.closed
        self.assertEqual((yield self.ada.received())[-1][:11], "* goodbye: ")
        self.assertEqual((yield grace.received()), ['{"note":"Ada has left"}'])
