"""
The chat as its guests meet it: whole, on every protocol, with no socket and no
sleep. ``trial test_chatroom`` runs this, and so does ``pytest``.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import BadSettings
from ropewalk.interfaces import Steps
from ropewalk.testing import Closed, LineClient, MemoryHost, SocketClient, TestCase

#: The lobby, as programs see it.
LOBBY = "rooms.lobby"
LOBBY_PAGE = f"/channels/{LOBBY}"


def asked(method: str, number: int = 1, /, **params: Any) -> dict[str, Any]:
    """What the page asks of a channel."""
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


def said(told: list[Any]) -> list[str]:
    """What was said, of all that a browser was told."""
    bodies = [
        each.json()["params"]["body"]
        for each in told
        if each.json().get("method") == "rpc.message"
    ]
    return [f"{body['author']}: {body['text']}" for body in bodies]


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
        socket = self.host.socket("/live", cut=cut)
        yield socket.send(asked("rpc.subscribe", channel=LOBBY, who=name))
        yield socket.received()
        return socket

    @inlineCallbacks
    def kept(self, page: str = LOBBY_PAGE) -> Steps[list[str]]:
        """What a room remembers."""
        messages = (yield self.http.get(page)).json()["messages"]
        return [each["body"]["text"] for each in messages]

    @inlineCallbacks
    def present(self) -> Steps[list[str]]:
        """Who is in the lobby."""
        there = (yield self.http.get(f"{LOBBY_PAGE}/present")).json()
        return [each["who"] for each in there["people"]]


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
        body = {"author": "Grace", "text": "hello, Ada"}
        yield grace.send(asked("rpc.publish", channel=LOBBY, body=body))
        answer = yield self.http.post(LOBBY_PAGE, json={"author": "Alan", "text": "hi"})

        self.assertEqual(answer.status, 201)
        lines = ["Ada: hello", "Grace: hello, Ada", "Alan: hi"]
        self.assertEqual((yield linus.received()), lines)
        self.assertEqual(said((yield grace.received())), lines)
        self.assertEqual((yield ada.received())[-2:], lines[1:])
        self.assertEqual((yield self.kept()), ["hello", "hello, Ada", "hi"])

    @inlineCallbacks
    def test_bytes_in_awkward_pieces(self) -> Steps[None]:
        """
        Nothing depends on where the network cuts what is said.
        """
        ada = yield self.typist("Ada", cut=1)
        grace = yield self.browser("Grace", cut=1)
        yield ada.send("größer")
        self.assertEqual(said((yield grace.received())), ["Ada: größer"])

    @inlineCallbacks
    def test_who_comes_later_hears_what_was_said(self) -> Steps[None]:
        """
        A room remembers as many messages as it is set to, for everybody.
        """
        for text in "abcd":
            yield self.http.post(LOBBY_PAGE, json={"author": "Alan", "text": text})
        self.assertEqual((yield self.kept()), ["b", "c", "d"])
        lines = ["Alan: b", "Alan: c", "Alan: d"]
        socket = self.host.socket("/live")
        yield socket.send(asked("rpc.subscribe", channel=LOBBY, after=""))
        self.assertEqual(said((yield socket.received())), lines)
        ada = self.host.lines("chat")
        yield ada.send("/join lobby Ada")
        self.assertEqual((yield ada.received())[-4:], [*lines, "* Ada is here"])

    @inlineCallbacks
    def test_a_long_history(self) -> Steps[None]:
        """
        Who comes in with ``nc`` is told the last of a long one, and then what comes.
        """
        yield self.host.reload(history=1000)
        for number in range(60):
            line = {"author": "Alan", "text": str(number)}
            yield self.http.post(LOBBY_PAGE, json=line)
        ada = self.host.lines("chat")
        yield ada.send("/join lobby Ada")
        told = [f"Alan: {number}" for number in range(10, 60)]
        self.assertEqual((yield ada.received())[2:], [*told, "* Ada is here"])

    @inlineCallbacks
    def test_moving(self) -> Steps[None]:
        """
        Who joins another room leaves the first; in the same one it is another name,
        and nothing is told twice.
        """
        ada = yield self.typist("Ada")
        grace = yield self.typist("Grace")
        yield ada.received()
        yield ada.send("hello")
        yield ada.send("/join lobby Countess")
        came = ["* Ada has left", "* Countess is here"]
        self.assertEqual((yield ada.received()), came)
        self.assertEqual((yield grace.received()), ["Ada: hello", *came])
        yield ada.send("/join attic Ada")
        yield grace.send("gone?")
        yield self.clock.advance(5)
        self.assertEqual((yield ada.received()), ["* Ada is here"])
        self.assertEqual((yield grace.received()), ["* Countess has left"])

    @inlineCallbacks
    def test_rooms_are_apart(self) -> Steps[None]:
        """
        What is said in one room is not heard in another.
        """
        ada = yield self.typist("Ada")
        yield self.http.post(
            "/channels/rooms.attic", json={"author": "Alan", "text": "boo"}
        )
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
        yield self.clock.advance(5)
        yield ada.send("/who")
        self.assertEqual(
            (yield ada.received())[-2:], ["* Stuck has left", "* here: Ada"]
        )

    @inlineCallbacks
    def test_the_page(self) -> Steps[None]:
        """
        A browser gets a page for a room, and finds the first by itself.
        """
        first = yield self.http.get("/chat/")
        self.assertEqual(first.headers["location"], "/chat/lobby")
        page = yield self.http.get("/chat/lobby")
        self.assertTrue(page.headers["content-type"].startswith("text/html"))
        self.assertIn('from "/ropewalk.js"', page.text)
        self.assertEqual((yield self.http.get("/ropewalk.js")).status, 200)


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
        await self.clock.advance(5)
        self.assertEqual(await ada.received(), ["* Linus has left", "* Grace has left"])
        self.assertEqual(await self.present(), ["Ada"])

    async def test_a_tunnel(self) -> None:
        """
        Who is back within five seconds has not left.
        """
        ada = await self.typist("Ada")
        grace = await self.browser("Grace")
        await grace.close(abort=True)
        await self.clock.advance(4)
        await self.browser("Grace")
        await self.clock.advance(60)
        self.assertEqual(await ada.received(), ["* Grace is here"])

    async def test_all_at_once(self) -> None:
        """
        A crowd that comes in at one moment is all there.
        """
        names = [f"Guest{number}" for number in range(10)]
        await asyncio.gather(*(self.browser(name) for name in names))
        self.assertEqual(sorted(await self.present()), sorted(names))

    async def test_a_wild_name(self) -> None:
        """
        A name from elsewhere does nothing to a terminal.
        """
        ada = await self.typist("Ada")
        await self.browser("\x1b[2J\nEve")
        self.assertEqual(await ada.received(), ["* \\x1b[2J", "    Eve is here"])

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
        wrong = yield self.http.post(LOBBY_PAGE, json={"author": "", "txt": "hi"})
        self.assertEqual(wrong.status, 422)
        self.assertEqual(wrong.headers["content-type"], "application/problem+json")
        paths = [error["path"] for error in wrong.json()["errors"]]
        self.assertEqual(paths, ["author", "text", "txt"])
        broken = yield self.http.post(
            LOBBY_PAGE, data=b"{", headers={"Content-Type": "application/json"}
        )
        self.assertEqual(broken.status, 400)
        form = yield self.http.post(LOBBY_PAGE, data={"author": "Eve"})
        self.assertEqual(form.status, 415)
        room = yield self.http.get("/chat/a.b")
        self.assertEqual(room.status, 404)
        self.assertIn("room: expected", room.text)

    @inlineCallbacks
    def test_socket(self) -> Steps[None]:
        """
        An error for each request; the connection stays.
        """
        ada = yield self.browser("Ada")
        for text, paths in (("x" * 501, ["text"]), ("two\nlines", ["text"])):
            body = {"author": "Ada", "text": text}
            yield ada.send(asked("rpc.publish", 2, channel=LOBBY, body=body))
            problem = (yield ada.receive()).json()["error"]["data"]
            self.assertEqual([each["path"] for each in problem["errors"]], paths)
        body = {"author": "Ada", "text": "well"}
        yield ada.send(asked("rpc.publish", 3, channel=LOBBY, body=body))
        self.assertEqual(said((yield ada.received())), ["Ada: well"])

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
        for text in "ab":
            yield self.http.post(LOBBY_PAGE, json={"author": "Alan", "text": text})
        report = yield self.host.reload(history=1, listen="tcp:7071")
        came = {each.change.key: each.applied for each in report}
        self.assertEqual(came, {"history": True, "listen": False})
        self.assertEqual((yield self.kept()), ["b"])
        yield self.http.post(LOBBY_PAGE, json={"author": "Alan", "text": "c"})
        self.assertEqual((yield self.kept()), ["c"])

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
