"""
The chat as its guests meet it: whole, on every protocol, with no socket and no
sleep. ``trial test_chatroom`` runs this, and so does ``pytest``.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import BadSettings
from ropewalk.interfaces import Steps
from ropewalk.testing import Closed, LineClient, MemoryHost, SocketClient, TestCase


class ChatTests(TestCase):
    """
    A chat that remembers three messages, and the ways into its lobby.
    """

    host: MemoryHost

    @inlineCallbacks
    def setUp(self) -> Steps[None]:  # type: ignore[override]
        self.host = yield self.start("chat", history=3)
        self.http = self.host.http()

    @inlineCallbacks
    def typist(self, name: str, cut: int = 0) -> Steps[LineClient]:
        """Somebody who has come in with ``nc``."""
        lines = self.host.lines("chat", cut=cut)
        yield lines.send(f"/join lobby {name}")
        yield lines.received()
        return lines

    @inlineCallbacks
    def browser(self, name: str, cut: int = 0) -> Steps[SocketClient]:
        """Somebody who has come in with a browser."""
        socket = self.host.socket(f"/chat/live?room=lobby&name={name}", cut=cut)
        yield socket.received()
        return socket


class TalkTests(ChatTests):
    """
    Who is in a room hears what is said in it.
    """

    @inlineCallbacks
    def test_one_order_on_every_protocol(self) -> Steps[None]:
        """
        What is said by ``nc``, by a browser and by ``curl`` reaches everybody,
        in one order.
        """
        ada = yield self.typist("Ada")
        grace = yield self.browser("Grace")
        linus = yield self.typist("Linus")
        yield grace.received()

        yield ada.send("hello")
        yield grace.send({"text": "hello, Ada"})
        yield self.http.post("/chat/lobby", json={"author": "Alan", "text": "hi"})

        said = ["Ada: hello", "Grace: hello, Ada", "Alan: hi"]
        self.assertEqual((yield linus.received()), said)
        heard = [each.json() for each in (yield grace.received())[-3:]]
        self.assertEqual([f"{each['author']}: {each['text']}" for each in heard], said)
        room = (yield self.http.get("/chat/lobby")).json()
        self.assertEqual([each["sequence"] for each in room["messages"]], [1, 2, 3])
        self.assertEqual([each["sequence"] for each in heard], [1, 2, 3])

    @inlineCallbacks
    def test_bytes_in_awkward_pieces(self) -> Steps[None]:
        """
        Nothing depends on where the network cuts what is said.
        """
        ada = yield self.typist("Ada", cut=1)
        grace = yield self.browser("Grace", cut=1)
        yield ada.send("größer")
        self.assertEqual((yield grace.receive()).json()["text"], "größer")

    @inlineCallbacks
    def test_who_comes_later_hears_what_was_said(self) -> Steps[None]:
        """
        A room remembers as many messages as it is set to, for everybody.
        """
        for text in "abcd":
            yield self.http.post("/chat/lobby", json={"author": "Alan", "text": text})
        room = (yield self.http.get("/chat/lobby")).json()
        self.assertEqual([each["text"] for each in room["messages"]], ["b", "c", "d"])
        socket = self.host.socket("/chat/live?room=lobby")
        history = (yield socket.receive()).json()
        self.assertEqual(history["messages"], room["messages"])
        lines = self.host.lines("chat")
        yield lines.send("/join lobby Ada")
        self.assertEqual(
            (yield lines.received())[-3:], ["Alan: b", "Alan: c", "Alan: d"]
        )

    @inlineCallbacks
    def test_rooms_are_apart(self) -> Steps[None]:
        """
        What is said in one room is not heard in another.
        """
        ada = yield self.typist("Ada")
        yield self.http.post("/chat/attic", json={"author": "Alan", "text": "boo"})
        self.assertEqual((yield ada.received()), [])

    @inlineCallbacks
    def test_one_who_does_not_read(self) -> Steps[None]:
        """
        A peer that has stopped reading is cut off, and nobody waits for it.
        """
        ada = yield self.typist("Ada")
        stuck = yield self.typist("Stuck")
        yield stuck.pause()
        yield ada.send(b"%b\n" % (b"x" * 500) * 800)
        yield ada.send("/who")
        self.assertEqual(
            (yield ada.received())[-2:], ["* Stuck has left", "* here: Ada"]
        )


class PresenceTests(ChatTests):
    """
    Who is in a room is seen in it.
    """

    async def test_coming_and_going(self) -> None:
        """
        Everybody sees who comes and who goes, however they go.
        """
        ada = await self.typist("Ada")
        grace = await self.browser("Grace")
        linus = await self.typist("Linus")
        await ada.send("/who")
        self.assertEqual(
            await ada.received(),
            ["* Grace is here", "* Linus is here", "* here: Ada, Grace, Linus"],
        )
        await linus.send("/quit")
        self.assertEqual(await linus.receive(), "* goodbye")
        await grace.close(abort=True)
        self.assertEqual(await ada.received(), ["* Linus has left", "* Grace has left"])
        room = await self.http.get("/chat/lobby")
        self.assertEqual(room.json()["present"], ["Ada"])

    async def test_all_at_once(self) -> None:
        """
        A crowd that comes in at one moment is all there.
        """
        names = [f"Guest{number}" for number in range(10)]
        await asyncio.gather(*(self.browser(name) for name in names))
        room = await self.http.get("/chat/lobby")
        self.assertEqual(sorted(room.json()["present"]), sorted(names))

    async def test_silence(self) -> None:
        """
        One may just listen; who types nothing for half a day is shown out, with
        a reason.
        """
        ada = await self.typist("Ada")
        await self.clock.advance(12 * 60 * 60 - 1)
        self.assertEqual(await ada.received(), [])
        await self.clock.advance(1)
        self.assertEqual(
            await ada.receive(), "* goodbye: nothing was said for 43200 seconds"
        )
        self.assertTrue(await ada.closed)


class FaultTests(ChatTests):
    """
    Whoever gets something wrong is told which field, each in their own way.
    """

    @inlineCallbacks
    def test_http(self) -> Steps[None]:
        """
        Problem details, with the path of each fault.
        """
        wrong = yield self.http.post("/chat/lobby", json={"author": "", "txt": "hi"})
        self.assertEqual(wrong.status, 422)
        self.assertEqual(wrong.headers["content-type"], "application/problem+json")
        paths = [error["path"] for error in wrong.json()["errors"]]
        self.assertEqual(paths, ["author", "text", "txt"])
        broken = yield self.http.post(
            "/chat/lobby", data=b"{", headers={"Content-Type": "application/json"}
        )
        self.assertEqual(broken.status, 400)
        form = yield self.http.post("/chat/lobby", data={"author": "Eve"})
        self.assertEqual(form.status, 415)

    @inlineCallbacks
    def test_socket(self) -> Steps[None]:
        """
        A ``problem`` message; the connection stays.
        """
        ada = yield self.browser("Ada")
        yield ada.send({"text": "x" * 501})
        problem = (yield ada.receive()).json()
        self.assertEqual(problem["type"], "problem")
        self.assertEqual([each["path"] for each in problem["faults"]], ["text"])
        yield ada.send("{")
        self.assertEqual((yield ada.receive()).json()["type"], "problem")
        yield ada.send({"text": "well"})
        self.assertEqual((yield ada.receive()).json()["text"], "well")
        nobody = self.host.socket("/chat/live?room=lobby&name=")
        problem = (yield nobody.receive()).json()
        self.assertEqual([each["path"] for each in problem["faults"]], ["name"])

    @inlineCallbacks
    def test_lines(self) -> Steps[None]:
        """
        A line that begins with ``!``; the connection stays.
        """
        lines = self.host.lines("chat")
        yield lines.received()
        for line, begins in (
            ("hello", "! you are in no room yet"),
            ("/join lobby", "! name: expected a name of 1 to 40 characters"),
            ("/join lob/by Ada", "! room: expected a room's name"),
            ("/dance", "! there is no /dance"),
            (b"\xff\n", "! that is not UTF-8"),
        ):
            yield lines.send(line)
            answer = yield lines.receive()
            self.assertTrue(answer.startswith(begins), answer)
        yield lines.send("/join lobby Ada")
        self.assertEqual((yield lines.receive()), "* Ada is here")


class OperatorTests(ChatTests):
    """
    What an operator does to a chat.
    """

    @inlineCallbacks
    def test_stop(self) -> Steps[None]:
        """
        Everybody is told goodbye, in the words of their protocol, and nobody
        else comes in.
        """
        ada = yield self.typist("Ada")
        grace = yield self.browser("Grace")
        yield self.host.stop()
        self.assertEqual((yield ada.received())[-1], "* goodbye: shutting down")
        self.assertEqual((yield grace.closed), (1001, "shutting down"))
        late = self.host.lines("chat")
        yield self.assertFailure(late.receive(), Closed)

    @inlineCallbacks
    def test_reload(self) -> Steps[None]:
        """
        How much a room remembers can be changed while people talk; where the
        chat listens cannot.
        """
        report = yield self.host.reload(history=1, listen="tcp:7071")
        came = {each.change.key: each.applied for each in report}
        self.assertEqual(came, {"history": True, "listen": False})
        for text in "ab":
            yield self.http.post("/chat/lobby", json={"author": "Alan", "text": text})
        room = (yield self.http.get("/chat/lobby")).json()
        self.assertEqual([each["text"] for each in room["messages"]], ["b"])

    @inlineCallbacks
    def test_settings(self) -> Steps[None]:
        """
        The settings file that comes with the chat is good; one that asks for
        nonsense is refused with the key.
        """
        yield self.host.stop()
        host = yield self.start(settings=Path(__file__).with_name("ropewalk.toml"))
        self.assertEqual((yield host.http().get("/chat/lobby")).status, 200)
        refused = self.start("chat", history=-1)
        error = yield self.assertFailure(refused, BadSettings)
        self.assertIn("[chat] history: expected an integer from 0", str(error))
