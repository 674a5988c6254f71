"""
Tests for L{ropewalk.net.calls.text}.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.task import Clock
from twisted.trial.unittest import SkipTest, SynchronousTestCase
from twisted.trial.unittest import TestCase as PlayedCase

from ropewalk.awaiting import inlineCallbacks
from ropewalk.hub import ANYONE, NOBODY, ChannelRule, MemoryHub
from ropewalk.interfaces import Steps
from ropewalk.net.calls.text import CallText
from ropewalk.net.limits import CallSettings
from ropewalk.operations import Operations, operation
from ropewalk.schema import Shape
from ropewalk.testing import Closed, LineClient, MemoryHost, TestCase
from tests.callables import Callables, Knock
from tests.daemonry import PATIENCE
from tests.offering import Offering
from tests.pages import Player
from tests.test_docs_routes import DOCS
from tests.wiring import Peer, connect


class Line(Shape):
    """
    What somebody says.

    :ivar author: Who.
    """

    author: str
    text: str


class Shelf:
    """Has books."""

    @operation
    def books(self, most: int) -> list[dict[str, int]]:
        """So many books."""
        return [{"n": number} for number in range(most)]


class TypedCase(SynchronousTestCase):
    """
    Somebody who types, and what they see.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.hub = MemoryHub(self.clock.seconds, clock=self.clock, epoch="e")
        self.hub.declare("rooms.*", ChannelRule(shape=Line, publish=ANYONE))
        self.hub.declare("notes.**", ChannelRule(publish=ANYONE, keep=2))
        self.hub.declare("news", ChannelRule())
        self.hub.declare("staff", ChannelRule(subscribe="staff", publish="chief"))
        self.hub.declare("inner", ChannelRule(subscribe=NOBODY))
        self.house = Callables()
        self.operations = Operations(self.clock)
        self.operations.add("house", self.house)
        self.operations.add("shelf", Shelf())
        self.settings = CallSettings(running=2, channels=3, longest=200)
        self.ada = self.come()

    def come(self, greeting: bool = False) -> Peer:
        """Connect somebody."""
        made = CallText(self.clock, self.operations, self.hub, self.settings)
        peer: Peer = connect(self.clock, made)
        if not greeting:
            peer.said()
        return peer

    def type(self, *lines: str, peer: Peer | None = None) -> list[str]:
        """Type lines; the lines that are shown then."""
        typist = peer or self.ada
        for line in lines:
            typist.transport.write(f"{line}\n".encode())
            self.settle()
        return self.seen(typist)

    def settle(self) -> None:
        for _ in range(4):
            self.clock.advance(0)

    def seen(self, peer: Peer | None = None) -> list[str]:
        return (peer or self.ada).said().splitlines()

    def say(self, channel: str, *bodies: Any) -> None:
        for body in bodies:
            self.successResultOf(self.hub.publish(channel, body))
        self.settle()


class HelpTests(TypedCase):
    """
    Nothing has to be read before one can begin.
    """

    def test_greeting(self) -> None:
        """
        Who comes is told where to begin.
        """
        self.assertEqual(
            self.seen(self.come(greeting=True)),
            ["* Welcome. Type help to see what can be typed here, quit to leave."],
        )

    def test_help(self) -> None:
        """
        It has every command, a line each, and more of one.
        """
        lines = self.type("help")
        words = [line.split()[0] for line in lines]
        self.assertEqual(
            words,
            [
                *("help", "operations", "call", "stop", "channels"),
                *("hear", "leave", "say", "who", "quit"),
            ],
        )
        (line,) = self.type("HELP Hear")
        self.assertIn("hear CHANNEL [as NAME] [after TOKEN]", line)

    def test_operation(self) -> None:
        """
        An operation is told with its parameters, its docstring, and what it takes.
        """
        self.assertEqual(
            self.type("help house.enter"),
            [
                "house.enter guest=… doors=…",
                "    Come in, through some doors",
                "  guest=       object   Who comes. (required)",
                "  guest.name=  string   What they are called.",
                "  guest.age=   integer",
                "  doors=       array    By which doors. (default [])",
                "  Result: string",
                "  It takes: house.enter",
            ],
        )

    def test_operations(self) -> None:
        """
        All that can be called is listed, or what begins with something.
        """
        lines = self.type("operations")
        self.assertEqual(len(lines), len(self.operations.offered()))
        self.assertEqual(
            self.type("operations house.e"),
            [
                "  house.echo   Say it again",
                "  house.enter  Come in, through some doors",
            ],
        )
        self.assertEqual(self.type("operations x"), ["* there are no such operations"])

    def test_channels(self) -> None:
        """
        Channels are listed with what may be done there; those for nobody are not.
        """
        self.assertEqual(
            self.type("channels"),
            [
                "  news      hear",
                "  notes.**  hear, say",
                "  rooms.*   hear, say                              author=… text=…",
                "  staff     hear (takes staff), say (takes chief)",
            ],
        )
        self.assertEqual(
            self.type("help rooms.lobby"),
            [
                "  rooms.lobby  hear, say  author=… text=…",
                "  author=  string  Who. (required)",
                "  text=    string  (required)",
            ],
        )
        self.type("hear rooms.lobby", "hear news")
        self.assertEqual(self.type("channels")[-1], "* you hear rooms.lobby, news")
        self.assertEqual(self.type("channels x")[0], "* there are no such channels")

    def test_typos(self) -> None:
        """
        What is not there is answered with the nearest that is, or how to find it.
        """
        for line, told in (
            ("hlep", "there is no command 'hlep'; did you mean 'help'?"),
            ("zzzzz", "there is no command 'zzzzz'; type help to see what there is"),
            ("help house.ecco", "no help for 'house.ecco'; did you mean 'house.echo'?"),
            ("house.ecco text=a", "'house.ecco'; did you mean 'house.echo'? (404)"),
            ("rpc.offer name=a.b", "there is no operation 'rpc.offer'"),
            ("call", "type: call NAME PARAMETER=VALUE…"),
            ("say", "type: say CHANNEL TEXT"),
            ("say news", "type: say CHANNEL TEXT"),
            ("hear", "type: hear CHANNEL [as NAME] [after TOKEN]"),
            ("hear news at once", "type: hear CHANNEL [as NAME] [after TOKEN]"),
            ("hear news as", "type: hear CHANNEL [as NAME] [after TOKEN]"),
            ("who", "type: who CHANNEL"),
            ("leave", "you do not hear any"),
            ("leave news", "you do not hear news"),
            ("stop", "nothing is under way"),
            ("stop house.wait", "nothing is under way by that name"),
            ("house.echo hello", "'hello': expected text="),
            ('house.echo text="a', "expected the same quote again at its end"),
        ):
            (line,) = self.type(line)
            self.assertIn(told, line)
            self.assertTrue(line.startswith("! "), line)


class CallTests(TypedCase):
    """
    Operations are called.
    """

    def test_results(self) -> None:
        """
        A result is shown behind an equals sign; one that is none is done.
        """
        self.assertEqual(self.type('house.echo text="a  b"'), ["= a  b"])
        self.assertEqual(self.type("call house.echo text=a"), ["= a"])
        self.assertEqual(self.type("house.knock"), ["* done"])
        self.assertEqual(self.house.callers[-1].via, "text")
        self.assertEqual(self.house.callers[-1].address, "127.0.0.1")

    def test_long_list(self) -> None:
        """
        A long list is shown one by one, a short one in a line.
        """
        self.assertEqual(self.type("shelf.books most=2"), ['= [{"n":0},{"n":1}]'])
        self.assertEqual(
            self.type("shelf.books most=12")[:3], ["= 12:", "    n=0", "    n=1"]
        )

    def test_faults(self) -> None:
        """
        Whatever is wrong with the parameters is told by path, each in a line, and how
        to find out more.
        """
        self.operations.authorise(Knock())
        self.assertEqual(
            self.type("house.enter guest.name= guest.age=-1 door=1"),
            [
                "! guest.name: expected text of 1 to 40 characters, got ''",
                "! guest.age: expected an integer of at least 0, got -1",
                "! door: unknown field; did you mean 'doors'?",
                "* help house.enter tells what it takes",
            ],
        )

    def test_progress(self) -> None:
        """
        How far something is is shown on the way.
        """
        self.assertEqual(self.type("house.climb stairs=2"), ["~ stair=1"])
        self.house.come()
        self.settle()
        self.assertEqual(self.seen(), ["~ stair=2"])
        self.house.come()
        self.settle()
        self.assertEqual(self.seen(), ["= 2"])

    def test_side_by_side(self) -> None:
        """
        What is called runs side by side, and then it is told whose answer it is.
        """
        self.type("house.wait", "house.climb stairs=1")
        self.house.come("Grace")
        self.house.come()
        self.settle()
        self.assertEqual(self.seen(), ["= Grace [house.wait]", "= 1 [house.climb]"])
        self.assertEqual(self.type("house.echo text=a"), ["= a"])

    def test_stop(self) -> None:
        """
        What is under way is cancelled: all of it, or what has a name.
        """
        self.type("house.wait", "house.climb stairs=1")
        self.assertEqual(self.type("stop house.climb"), ["* cancelled [house.climb]"])
        self.assertEqual(self.type("stop"), ["* cancelled [house.wait]"])
        self.assertEqual(self.house.cancelled, 2)

    def test_limits(self) -> None:
        """
        So many calls run at once as on any connection, and end with it.
        """
        self.type(*["house.wait"] * 3)
        self.assertEqual(len(self.house.waiting), 2)
        self.ada.transport.abortConnection()
        self.settle()
        self.assertEqual(self.house.cancelled, 2)

    def test_quit(self) -> None:
        """
        Who quits is let go when all is answered, or stopped.
        """
        (told,) = self.type("house.wait", "quit")
        self.assertEqual(
            told, "* as soon as all is answered; stop ends what is under way"
        )
        self.assertIsNone(self.ada.reason)
        self.assertEqual(self.type("stop"), ["* cancelled", "* goodbye"])
        self.assertIsNotNone(self.ada.reason)


class ChannelTests(TypedCase):
    """
    Channels are heard, and one talks in them.
    """

    def test_talk(self) -> None:
        """
        Who hears a channel is told what is said, and who comes and goes.
        """
        self.assertEqual(
            self.type("hear rooms.lobby as Ada"),
            [
                "* Ada is here (rooms.lobby)",
                "* you hear rooms.lobby; leave rooms.lobby ends it",
                "* to come back here later: hear rooms.lobby as Ada after e~0.0",
            ],
        )
        grace = self.come()
        self.type('hear rooms.lobby as "Grace Hopper"', peer=grace)
        self.assertEqual(self.seen(), ['* "Grace Hopper" is here (rooms.lobby)'])
        self.assertEqual(
            self.type('say rooms.lobby author=Ada text="hello there"', peer=grace),
            [
                'rooms.lobby: author=Ada text="hello there"',
                "* said: number 1 of rooms.lobby",
            ],
        )
        self.assertEqual(
            self.type("who rooms.lobby"),
            [
                'rooms.lobby: author=Ada text="hello there"',
                '* rooms.lobby: Ada, "Grace Hopper"; 2 hear it',
            ],
        )
        self.type("quit", peer=grace)
        self.assertEqual(self.seen(), ['* "Grace Hopper" has left (rooms.lobby)'])

    def test_what_is_said(self) -> None:
        """
        It is text or JSON, or has the parts that the channel wants.
        """
        for typed, body in (
            ("hello there", "hello there"),
            ("author=Ada", "author=Ada"),
            ('{"a": [1, 2]}', {"a": [1, 2]}),
            ("21.5", 21.5),
            ('"21.5"', "21.5"),
            ("it's", "it's"),
            ("{half", "{half"),
        ):
            self.type(f"say notes.ada {typed}")
            (last,) = self.successResultOf(self.hub.history("notes.ada", 1))
            self.assertEqual(last.body, body)
        for typed in "author=Ada text=5", '{"author": "Ada", "text": "5"}':
            self.type(f"say rooms.a {typed}")
            (last,) = self.successResultOf(self.hub.history("rooms.a", 1))
            self.assertEqual(last.body, Line("Ada", "5"))

    def test_wrong(self) -> None:
        """
        What the channel does not take is told by path, and nothing is said.
        """
        self.assertEqual(
            self.type("say rooms.a author=Ada txt=hi"),
            [
                "! text: required, but missing",
                "! txt: unknown field; did you mean 'text'?",
                "* help rooms.a tells what it takes",
            ],
        )
        told, _ = self.type("say rooms.a hello")
        self.assertIn("expected an object", told)
        (told,) = self.type("say news hello")
        self.assertEqual(
            told, "! you may not publish into 'news'; sign in as somebody who may (403)"
        )
        (told,) = self.type("hear inner")
        self.assertIn("you may not subscribe to 'inner'", told)
        (told,) = self.type("hear staff")
        self.assertIn("(403)", told)

    def test_come_back(self) -> None:
        """
        Who comes back with a token is told what was said meanwhile, and if that is not
        all.
        """
        self.type("hear notes.a")
        self.say("notes.a", "1")
        left = self.type("leave")
        self.assertEqual(
            left,
            [
                "notes.a: 1",
                "* you hear notes.a no longer",
                "* to come back here later: hear notes.a after e-1.1",
            ],
        )
        self.say("notes.a", "2", "3")
        self.assertEqual(
            self.type("hear notes.a after e-1.1"),
            [
                "notes.a: 2",
                "notes.a: 3",
                "* you hear notes.a (2 that you had missed); leave notes.a ends it",
                "* to come back here later: hear notes.a after e-1.3",
            ],
        )
        self.type("leave notes.a")
        self.say("notes.a", "4")
        told = self.type("hear notes.a after e-1.1")
        self.assertEqual(told[2], "* not all that came before is kept (notes.a)")

    def test_several(self) -> None:
        """
        Several channels are heard, by patterns too; so many as on any connection.
        """
        self.assertEqual(
            self.type("hear notes.**"),
            ["* you hear notes.**; leave notes.** ends it"],
        )
        self.say("notes.b", "x")
        self.assertEqual(self.seen(), ["notes.b: x"])
        self.type("hear rooms.a", "hear rooms.b")
        (told,) = self.type("hear rooms.c")
        self.assertIn("hears 3 channels at most", told)
        (told,) = self.type("leave")
        self.assertEqual(told, "! which one? You hear notes.**, rooms.a, rooms.b")
        (told,) = self.type("leave rooms.aa")
        self.assertEqual(told, "! you do not hear rooms.aa; did you mean 'rooms.a'?")
        self.assertEqual(self.type("leave notes.**"), ["* you hear notes.** no longer"])
        self.say("notes.b", "y")
        self.assertEqual(self.seen(), [])

    def test_terminal(self) -> None:
        """
        What one says does nothing to the terminal of another: it neither moves the
        cursor, nor turns the text around, nor looks like somebody else's words.
        """
        self.type("hear notes.a")
        self.say("notes.a", "\x1b[2J\x9b1m\x07\u202etxt\n* Eve has left\r! no\u2028x")
        self.assertEqual(
            self.ada.said(),
            "notes.a: \\x1b[2J\\x9b1m\\x07\\u202etxt\n"
            "    * Eve has left\\x0d! no\\u2028x\n",
        )
        eve = self.come()
        self.type("hear notes.a as \x1b[2J", peer=eve)
        self.assertEqual(self.seen(), ["* \\x1b[2J is here (notes.a)"])
        self.assertEqual(
            self.type("\x1b[2J"),
            ["! there is no command '\\x1b[2J'; type help to see what there is"],
        )


class EdgeTests(TypedCase):
    """
    Whatever comes, and however it is read.
    """

    def test_ends_of_lines(self) -> None:
        """
        A line ends as ``nc`` ends it, or telnet, and may come in pieces, with telnet's
        commands in between.
        """
        for said in b"house.echo text=a\r\n", b"house.echo text=a\r\0":
            for cut in (1, 5):
                for at in range(0, len(said), cut):
                    self.ada.transport.write(said[at : at + cut])
                    self.settle()
                self.assertEqual(self.seen(), ["= a"], (said, cut))
        self.ada.transport.write(b"house.\xff\xfd\x18echo text=a\n\n  \n")
        self.settle()
        self.assertEqual(self.ada.heard, b"\xff\xfc\x18= a\n")

    def test_junk(self) -> None:
        """
        What is no text is complained of, and so is what is too long; the next line is
        heard.
        """
        self.ada.transport.write(b"\x80\x81\n" + b"x" * 500 + b"\nhouse.echo text=b\n")
        self.settle()
        self.assertEqual(
            self.seen(),
            [
                "! that is not UTF-8: byte 1 of the line",
                "! that line is too long: at most 200 bytes",
                "= b",
            ],
        )

    def test_deep(self) -> None:
        """
        What is nested too deeply is refused; what others say in ways that take it is
        not shown, and is no fault of ours.
        """
        self.settings = CallSettings()
        ada = self.come()
        for typed in (
            f"say notes.a {'[' * 65}{']' * 65}",
            f"say notes.a {'[' * 30_000}{']' * 30_000}",
            f"shelf.books most={'[' * 9_900}",
            f"house.echo text{'.a' * 20_000}=1",
        ):
            (line,) = self.type(typed, peer=ada)
            self.assertRegex(line, "nested too deeply|20 parts at most")
        self.assertEqual(
            self.type(f"say notes.a {'[' * 64}{']' * 64}", peer=ada),
            ["* said: number 1 of notes.a"],
        )
        typist = CallText(self.clock, self.operations, self.hub, self.settings)
        grace: Peer = connect(self.clock, typist)
        self.type(peer=grace)
        deep = b'{"method":"rpc.message","params":%b%b}' % (
            b"[" * 20_000,
            b"]" * 20_000,
        )
        typist._tell(deep)
        self.settle()
        (line,) = self.seen(grace)
        self.assertIn("nested too deeply to be shown", line)

    def test_browser(self) -> None:
        """
        A page cannot have a browser type something here.
        """
        self.ada.transport.write(b"POST / HTTP/1.1\r\nHost: a\r\n\r\nhouse.knock\r\n")
        self.settle()
        self.assertEqual(self.seen(), ["! this is no web server"])
        self.assertIsNotNone(self.ada.reason)
        self.assertEqual(self.house.callers, [])

    def test_piped(self) -> None:
        """
        Who sends the end of what they say is still answered.
        """
        self.ada.transport.write(b"house.wait")
        self.ada.transport.write(b"\n")
        self.ada.transport.loseWriteConnection()
        self.settle()
        self.assertIsNone(self.ada.reason)
        self.house.come("Grace")
        self.settle()
        self.assertEqual(self.seen(), ["= Grace"])
        self.assertIsNotNone(self.ada.reason)

    def test_silence(self) -> None:
        """
        Who types nothing is let go; who hears a channel may be silent.
        """
        grace = self.come()
        self.type("hear news", peer=grace)
        self.clock.advance(CallText.idle)
        self.settle()
        self.assertEqual(self.seen(), ["* goodbye: nothing was said for 600 seconds"])
        self.assertIsNotNone(self.ada.reason)
        self.clock.advance(10 * CallText.idle)
        self.assertIsNone(grace.reason)

    def test_slow(self) -> None:
        """
        Who does not read what they hear is cut off.
        """
        self.type("hear notes.a")
        self.ada.transport.pauseProducing()
        for _ in range(100):
            self.say("notes.a", "x" * 10_000)
        self.assertIsNotNone(self.ada.reason)
        told = self.successResultOf(self.hub.count("notes.a"))
        self.assertEqual(told.subscriptions, 0)


class DaemonTests(TestCase):
    """
    A daemon for people who type.
    """

    @inlineCallbacks
    def begin(self) -> Steps[MemoryHost]:
        def make(host: Any) -> Service:
            host.operations.add("house", Callables())
            host.hub.declare("rooms.*", ChannelRule(publish=ANYONE))
            return Service()

        plugin = Offering("house", "house", make=make)
        where = '[operations]\ntext = "tcp:7010:interface=127.0.0.1"\nconnections = 1\n'
        host: MemoryHost = yield self.start(plugin, settings=where)
        return host

    @inlineCallbacks
    def test_end(self) -> Steps[None]:
        """
        When the daemon ends, who types is told so, and how to go on where they were.
        """
        host = yield self.begin()
        ada: LineClient = host.lines("tcp:7010")
        yield ada.send("hear rooms.lobby as Ada")
        yield ada.send("say rooms.lobby hi")
        yield ada.received()
        yield host.stop()
        first, second = yield ada.received()
        self.assertEqual(first, "* goodbye: shutting down")
        self.assertRegex(second, r"^    hear rooms\.lobby as Ada after [0-9a-f]+-1\.1$")

    @inlineCallbacks
    def test_crowd(self) -> Steps[None]:
        """
        An address has so many connections as it may.
        """
        host = yield self.begin()
        host.lines("tcp:7010")
        yield self.assertFailure(host.lines("tcp:7010").receive(), Closed)

    @inlineCallbacks
    def test_home(self) -> Steps[None]:
        """
        The page of the daemon says where to type.
        """
        host = yield self.begin()
        page = (yield host.http().get("/", headers={"Accept": "text/plain"})).text
        self.assertIn("nc 127.0.0.1 7010", page)


class PageTests(PlayedCase):
    """
    ``docs/typing.rst``, in real terminals.
    """

    timeout = 3 * PATIENCE

    @inlineCallbacks
    def test_page(self) -> Steps[None]:
        """
        What is typed there is answered as it says.
        """
        player = Player(DOCS / "typing.rst", Path(self.mktemp()).absolute())
        self.addCleanup(player.end)
        missing = player.missing()
        if missing:
            raise SkipTest(f"not installed: {', '.join(missing)}")
        player.prepare(None)
        yield player.play()
