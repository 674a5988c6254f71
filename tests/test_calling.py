# -*- test-case-name: tests.test_calling -*-
"""
``ropewalk call``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, ClassVar

from click.shell_completion import ShellComplete
from twisted.internet import reactor as global_reactor
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import SynchronousTestCase, TestCase

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import BadSettings
from ropewalk.interfaces import Steps
from ropewalk.operations import Operations
from ropewalk.run.calling.remote import Remote, Unanswered, address_of
from ropewalk.run.calling.words import (
    BadWords,
    completions,
    explain,
    listed,
    read_words,
)
from ropewalk.run.cli import commands
from tests.callables import Callables, Knock
from tests.commandline import variables
from tests.offering import begin

reactor: Any = global_reactor


def house() -> dict[str, Any]:
    """What can be called, as a daemon tells it."""
    operations = Operations(Clock())
    operations.add("house", Callables())
    return {each.name: each.plain() for each in operations.offered()}


class WordsTests(SynchronousTestCase):
    """
    What is typed, made into parameters.
    """

    schema: ClassVar[Any] = {
        "type": "object",
        "properties": {
            "room": {"type": "string"},
            "message": {"$ref": "#/$defs/Message"},
            "doors": {"type": "array", "items": {"type": "integer"}},
            "loud": {"type": "boolean"},
            "age": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
            "any": {},
            "mood": {"enum": ["good", "5"]},
            "either": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        },
        "additionalProperties": False,
        "$defs": {
            "Message": {
                "type": "object",
                "properties": {"text": {"type": "string"}, "by": {"$ref": "#"}},
                "additionalProperties": False,
            }
        },
    }

    def test_words(self) -> None:
        """
        Text is taken as it is, anything else as JSON; a part of something is named by
        dots; a list comes in pieces or as a whole.
        """
        for words, arguments in (
            ([], {}),
            (["--room", "5"], {"room": "5"}),
            (["--room=5"], {"room": "5"}),
            (["--room", "--odd"], {"room": "--odd"}),
            (["--room="], {"room": ""}),
            (["--message.text", "a b"], {"message": {"text": "a b"}}),
            (["--message", '{"text": "hi"}'], {"message": {"text": "hi"}}),
            (["--doors", "1", "--doors", "2"], {"doors": [1, 2]}),
            (["--doors", "[1, 2]", "--doors=3"], {"doors": [1, 2, 3]}),
            (["--loud"], {"loud": True}),
            (["--loud", "--room", "a"], {"loud": True, "room": "a"}),
            (["--loud", "false"], {"loud": False}),
            (["--age", "null"], {"age": None}),
            (["--age", "x"], {"age": "x"}),
            (["--any", '{"a": 1}'], {"any": {"a": 1}}),
            (["--any.deep.er", "1"], {"any": {"deep": {"er": 1}}}),
            (["--mood", "5"], {"mood": "5"}),
            (["--either", "null"], {"either": None}),
            (["--either", '"a"'], {"either": '"a"'}),
            (["--message.by.room", "7"], {"message": {"by": {"room": "7"}}}),
        ):
            self.assertEqual(read_words(words, self.schema), arguments, words)

    def test_wrong(self) -> None:
        """
        What cannot be read is refused, with what to write instead.
        """
        for words, told in (
            (["room"], "'room': expected a parameter like --name"),
            (["--"], "'--': expected a parameter"),
            (["--rom", "a"], "there is no parameter 'rom'; did you mean 'room'?"),
            (["--message.txt", "a"], "no parameter 'txt'; did you mean 'text'?"),
            (["--zzz", "a"], "there are room, message, doors"),
            (["--room"], "--room: expected a value behind it"),
            (["--room", "a", "--room", "b"], "--room is given twice"),
            (["--any", "1", "--any.a", "1"], "'any' was given as a whole"),
        ):
            error = self.assertRaises(BadWords, read_words, words, self.schema)
            self.assertIn(told, str(error))

    def test_explained(self) -> None:
        """
        What an operation takes is told by its parameters, and by their parts.
        """
        self.assertEqual(
            "\n".join(explain(house()["house.enter"])),
            """\
Usage: ropewalk call house.enter [--PARAMETER VALUE]...

  Come in, through some doors

Parameters:
  --guest       object   Who comes. (required)
  --guest.name  string   What they are called.
  --guest.age   integer
  --doors       array    By which doors. (default [])

Result: string
Requires: house.enter""",
        )
        self.assertEqual(
            "\n".join(explain(house()["house.knock"])),
            """\
Usage: ropewalk call house.knock [--PARAMETER VALUE]...

  Knock at the door

Result: null""",
        )
        lines = list(listed(house()))
        self.assertIn("house.echo   Say it again", lines)

    def test_completions(self) -> None:
        """
        What was begun is completed.
        """
        enter = house()["house.enter"]
        self.assertEqual(
            completions(enter, "--guest."),
            [("--guest.name", "What they are called."), ("--guest.age", "")],
        )
        self.assertEqual(len(completions(enter, "")), 4)


class AddressTests(SynchronousTestCase):
    """
    Where the daemon is.
    """

    def write(self, text: str) -> str:
        path = Path(self.mktemp())
        path.write_text(text, "utf-8")
        return str(path)

    def test_said(self) -> None:
        """
        A site has its operations at the usual path; a URL with a path is theirs.
        """
        for url, address in (
            ("", "http://127.0.0.1:8080/operations"),
            ("http://a", "http://a/operations"),
            ("https://a/", "https://a/operations"),
            ("http://a/api/call", "http://a/api/call"),
        ):
            self.assertEqual(address_of(url, "nonsuch.toml", {}), address)
        for url in ("a:8080", "file:///etc/passwd", "127.0.0.1:8080"):
            self.assertRaises(Unanswered, address_of, url, "", {})

    def test_settings(self) -> None:
        """
        Otherwise the settings file says where it is.
        """
        for text, address in (
            ("", "http://127.0.0.1:8080/operations"),
            (
                "[web]\nlisten = ['unix:/a', 'tcp:81:interface=127.0.0.2']\n",
                "http://127.0.0.2:81/operations",
            ),
            (
                "[web]\nlisten = ['tcp6:81']\noperations = '/call'\n",
                "http://[::1]:81/call",
            ),
            (
                "[web]\nlisten = ['ssl:443:privateKey=a']\n",
                "https://127.0.0.1:443/operations",
            ),
        ):
            self.assertEqual(address_of("", self.write(text), {}), address)
        environ = {"ROPEWALK_WEB__LISTEN": '["tcp:82"]'}
        address = address_of("", "nonsuch.toml", environ)
        self.assertEqual(address, "http://127.0.0.1:82/operations")
        url = "http://a"
        self.assertEqual(address_of(url, self.write("[web"), {}), "http://a/operations")

    def test_nowhere(self) -> None:
        """
        Settings that are wrong, or by which nobody can be called, are told.
        """
        for text in ("[web]\noperations = ''\n", "[web]\nlisten = ['unix:/a']\n"):
            self.assertRaises(Unanswered, address_of, "", self.write(text), {})
        self.assertRaises(BadSettings, address_of, "", self.write("[web"), {})


class LiveTests(TestCase):
    """
    A daemon, and the command in processes of its own.
    """

    timeout = 120.0

    @inlineCallbacks
    def setUp(self) -> Steps[None]:  # type: ignore[override]
        self.offered = Callables()

        def make(host: Any) -> None:
            host.operations.add("house", self.offered)
            host.authorise(Knock())

        _, self.url = yield begin(self, make)

    @inlineCallbacks
    def call(self, *words: str) -> Steps[tuple[str, str, int]]:
        """What is printed, what is said to be wrong, and the status."""
        out, err, status = yield getProcessOutputAndValue(
            sys.executable,
            ["-m", "ropewalk", "call", *words],
            env=variables(ROPEWALK_URL=self.url),
            path=".",
        )
        return out.decode("utf-8"), err.decode("utf-8"), status

    @inlineCallbacks
    def test_result(self) -> Steps[None]:
        """
        The result is printed as JSON.
        """
        said = yield self.call("house.enter", "--guest.name", "Ada", "--doors", "2")
        self.assertEqual(said, ('"Ada by [2]"\n', "", 0))
        listed = yield self.call()
        self.assertIn("house.echo   Say it again\n", listed[0])
        explained = yield self.call("house.echo", "--help")
        self.assertIn("--text  string  (required)\n", explained[0])

    @inlineCallbacks
    def test_refused(self) -> Steps[None]:
        """
        What is wrong goes to standard error, by parameters; the status says whose doing
        it is.
        """
        for words, told, status in (
            (
                ("house.enter", "--guest.name", "", "--guest.age=-1"),
                "text of 1 to 40 characters, got ''\nguest.age: expected an integer",
                2,
            ),
            (
                ("house.ecco", "--text", "a"),
                "there is no operation 'house.ecco'; did you mean 'house.echo'?\n",
                2,
            ),
            (
                ("house.echo", "--txet", "a"),
                "there is no parameter 'txet'; did you mean 'text'?\n",
                2,
            ),
            (("house.close",), "the house is closed\n", 1),
            (("house.fall",), "Something went wrong here. Our log has it under", 1),
        ):
            out, err, ended = yield self.call(*words)
            self.assertEqual((out, ended), ("", status), err)
            self.assertIn(told, err)
        self.flushLoggedErrors(ZeroDivisionError)

    @inlineCallbacks
    def test_progress(self) -> Steps[None]:
        """
        What is told on the way comes before the result.
        """
        remote = Remote(f"{self.url}operations")
        heard: list[Any] = []

        def hear(value: Any) -> None:
            heard.append(value)
            reactor.callFromThread(self.offered.come)

        result = yield deferToThread(remote.call, "house.climb", {"stairs": 2}, hear)
        self.assertEqual((heard, result), ([{"stair": 1}, {"stair": 2}], 2))

    @inlineCallbacks
    def test_nobody(self) -> Steps[None]:
        """
        When nobody answers, or somebody else does, that is told.
        """
        for address, told in (
            ("http://127.0.0.1:1/operations", "Does the daemon run?"),
            (f"{self.url}health/live", "something else than operations"),
            (f"{self.url}nonsuch", "nothing"),
        ):
            remote = Remote(address)
            error = yield self.assertFailure(deferToThread(remote.offered), Unanswered)
            self.assertIn(told, str(error))

    @inlineCallbacks
    def test_completion(self) -> Steps[None]:
        """
        Names and parameters are completed by what the daemon says.
        """
        for words, begun, expected in (
            ([], "house.e", ["house.echo", "house.enter"]),
            (["house.enter"], "--guest.", ["--guest.name", "--guest.age"]),
            (["house.nothing"], "--", []),
        ):
            complete = ShellComplete(commands, {}, "ropewalk", "_ROPEWALK_COMPLETE")
            words = ["call", "--url", self.url, *words]
            found = yield deferToThread(complete.get_completions, words, begun)
            self.assertEqual([each.value for each in found], expected)


class JSONTests(SynchronousTestCase):
    """
    What a daemon tells is JSON.
    """

    def test_plain(self) -> None:
        """
        Nothing of it needs more than that.
        """
        self.assertEqual(json.loads(json.dumps(house())), house())
