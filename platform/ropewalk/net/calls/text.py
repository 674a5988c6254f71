# -*- test-case-name: tests.test_text -*-
"""
Operations and channels for people who type: with ``nc``, or ``telnet``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import Any

from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from ropewalk.errors import NoSuchOperation, RopewalkError
from ropewalk.hub import ChannelPattern
from ropewalk.interfaces import NOBODY, Access, ChannelRule, IHub
from ropewalk.net.calls.connections import HTTP, Calling
from ropewalk.net.limits import CallSettings
from ropewalk.net.protocols import LineProtocol
from ropewalk.operations import Offered, Operations
from ropewalk.operations.describing import schema_of
from ropewalk.operations.words import (
    kind_of,
    read_pairs,
    read_text,
    rows_of,
    split_words,
    spoken,
    types_of,
    word_of,
)
from ropewalk.schema import nearest
from ropewalk.wire.columns import align
from ropewalk.wire.jsonrpc import CANCELLED, JSON, notification, request
from ropewalk.wire.telnet import Telnet

__all__ = ["CallText"]

#: What changes the direction of what is written, or begins another line there (Unicode
#: Standard Annex #9, section 2; U+2028 and U+2029).
_SLY = re.compile("[\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")

#: Where a list is told one by one: as wide as a terminal is.
_WIDE = 80

#: Characters of what somebody has typed that are shown to them.
_SHOWN = 80


class _Command(Struct, frozen=True):
    """
    What can be typed.

    :ivar usage: How.
    :ivar about: What comes of it.
    :ivar do: Does it; called with the rest of the line.
    """

    usage: str
    about: str
    do: Callable[[CallText, str], Any]


class _Asked(Struct, eq=False):
    """
    What is under way.

    :ivar name: What was called.
    :ivar done: Called with the result.
    :ivar hint: Said after a complaint about parameters.
    :ivar alone: Whether nothing else has been under way with it.
    """

    name: str
    done: Callable[[Any], None]
    hint: str
    alone: bool


class _Hearing(Struct):
    """
    A channel that is heard.

    :ivar who: Under which name.
    :ivar token: That of the last message; ``None`` for a pattern.
    """

    who: str | None
    token: str | None


class CallText(Calling[str], LineProtocol):
    """
    One TCP connection of somebody who types: calls operations, hears channels and
    talks in them. ``help`` says how.

    :param clock: Where time comes from.
    :param operations: What can be called.
    :param hub: The channels.
    :param settings: How much the peer may do.
    """

    via = "text"

    def __init__(
        self,
        clock: IReactorTime,
        operations: Operations,
        hub: IHub,
        settings: CallSettings,
    ) -> None:
        super().__init__(clock, operations, hub, settings)
        self._operations = operations
        self._hub = hub
        self._telnet = Telnet()
        self._number = 0
        self._asked: dict[int, _Asked] = {}
        self._channels: dict[str, _Hearing] = {}

    # What is heard.

    def dataReceived(self, data: bytes) -> None:
        typed, answer = self._telnet.take(data)
        if answer and not self._leaving:
            self._write_out()
            if not self._backlog.full or self._backlog.room(len(answer)):
                self.transport.write(answer)
        if typed:
            super().dataReceived(typed)

    def opened(self) -> None:
        super().opened()
        self.say("* Welcome. Type help to see what can be typed here, quit to leave.")

    def heard(self, line: str) -> Any:
        """Do what a line says; one that is blank says nothing."""
        if HTTP.fullmatch(line):
            self.leave("! this is no web server")
            return None
        word, rest = _halves(line)
        if not word:
            return None
        command = _COMMANDS.get(word.lower())
        if command is not None:
            return command.do(self, rest)
        if "." in word:
            return self._call(line.strip())
        raise RopewalkError(_unknown("command", word, _COMMANDS))

    def complain(self, error: RopewalkError) -> None:
        self.say(f"! {error}")

    def goodbye(self, reason: str) -> str:
        again = [
            self._again(channel)
            for channel, hearing in self._channels.items()
            if hearing.token is not None
        ]
        return "\n".join([f"* goodbye: {reason}", *again])

    # What is said.

    def say(self, line: str) -> None:
        """Send a line, as it is: nothing in it writes over what stands there."""
        super().say(_SLY.sub(_coded, line))

    def _tell(self, message: bytes) -> None:
        try:
            told: dict[str, Any] = JSON.decode(message)
        except RecursionError:  # what others say in ways that take it
            self.say("! something is said that is nested too deeply to be shown")
            return
        if "method" in told:
            _NOTES[told["method"]](self, told["params"])
            return
        asked = self._asked.pop(told["id"])
        if "error" in told:
            self._say_wrong(asked, told["error"])
        else:
            asked.done(told["result"])

    def _say_wrong(self, asked: _Asked, error: dict[str, Any]) -> None:
        data = error.get("data", {})
        if error["code"] == CANCELLED:
            self.say(f"* cancelled{_label(asked)}")
            return
        for fault in data.get("errors", ()):
            before = f"{fault['path']}: " if fault["path"] else ""
            self.say(f"! {before}{fault['problem']}{_label(asked)}")
        if "errors" not in data:
            status = f" ({data['status']})" if "status" in data else ""
            self.say(f"! {error['message']}{status}{_label(asked)}")
        elif asked.hint:
            self.say(f"* {asked.hint}")

    def _say_result(self, asked: _Asked, result: Any) -> None:
        if result is None:
            self.say(f"* done{_label(asked)}")
        else:
            self.say(f"= {_told(result)}{_label(asked)}")

    def _note_progress(self, told: dict[str, Any]) -> None:
        asked = self._asked.get(told["id"])
        if asked is not None:
            self.say(f"~ {_told(told['value'])}{_label(asked)}")

    def _note_message(self, told: dict[str, Any]) -> None:
        channel = told["channel"]
        if channel in self._channels:
            self._channels[channel].token = told["token"]
        self.say(f"{channel}: {_told(told['body'])}")

    def _note_joined(self, told: dict[str, Any]) -> None:
        self.say(f"* {word_of(told['who'])} is here ({told['channel']})")

    def _note_left(self, told: dict[str, Any]) -> None:
        self.say(f"* {word_of(told['who'])} has left ({told['channel']})")

    def _say_rows(self, rows: Iterator[tuple[str, ...]]) -> None:
        for line in align(rows, indent=2):
            self.say(line)

    # What is asked for.

    def _ask(
        self,
        method: str,
        params: dict[str, Any],
        done: Callable[[_Asked, Any], None],
        hint: str = "",
    ) -> Deferred[None] | None:
        self._number += 1
        asked = _Asked(method, lambda result: done(asked, result), hint, True)
        of_operation = not method.startswith("rpc.")
        message = request(self._number, method, params, progress=of_operation)
        for other in self._asked.values():
            other.alone = asked.alone = False
        self._asked[self._number] = asked
        return self._calls.hear(JSON.encode(message))

    def _call(self, rest: str) -> Any:
        name, rest = _halves(_named(rest, "call"))
        offered = self._operations.find(name)
        if offered is None and name.startswith("rpc."):
            names = [each.name for each in self._operations.offered()]
            raise NoSuchOperation(name[:_SHOWN], nearest(name, names))
        params = {} if offered is None else read_pairs(rest, offered.parameters)
        hint = f"help {name} tells what it takes"
        return self._ask(name, params, self._say_result, hint)

    def _hear(self, rest: str) -> Any:
        channel, *words = split_words(_named(rest, "hear"))
        given = dict(zip(words[::2], words[1::2], strict=False))
        if len(words) % 2 or given.keys() - {"as", "after"}:
            raise RopewalkError(_how("hear"))
        who, after = given.get("as"), given.get("after")
        params = {"channel": channel, "who": who, "after": after}

        def heard(_: _Asked, result: dict[str, Any]) -> None:
            self._say_heard(channel, who, result)

        return self._ask("rpc.subscribe", params, heard)

    def _say_heard(self, channel: str, who: str | None, told: dict[str, Any]) -> None:
        self._channels[channel] = _Hearing(who, told["token"])
        if not told["whole"]:
            self.say(f"* not all that came before is kept ({channel})")
        missed = f" ({told['missed']} that you had missed)" if told["missed"] else ""
        self.say(f"* you hear {channel}{missed}; leave {channel} ends it")
        if told["token"] is not None:
            self.say(f"* to come back here later: {self._again(channel)}")

    def _again(self, channel: str) -> str:
        """What to type to hear a channel from where it is now."""
        hearing = self._channels[channel]
        name = "" if hearing.who is None else f" as {word_of(hearing.who)}"
        return f"hear {channel}{name} after {hearing.token}"

    def _leave(self, rest: str) -> Any:
        channel = rest or (
            next(iter(self._channels)) if len(self._channels) == 1 else ""
        )
        if not channel and self._channels:
            raise RopewalkError(f"which one? You hear {', '.join(self._channels)}")
        if channel not in self._channels:
            meant = nearest(channel, self._channels) if channel else None
            hint = f"; did you mean {meant!r}?" if meant else ""
            raise RopewalkError(f"you do not hear {channel[:_SHOWN] or 'any'}{hint}")

        def left(_: _Asked, result: None) -> None:
            hearing = self._channels.get(channel)
            if hearing is None:
                return
            self.say(f"* you hear {channel} no longer")
            if hearing.token is not None:
                self.say(f"* to come back here later: {self._again(channel)}")
            del self._channels[channel]

        return self._ask("rpc.unsubscribe", {"channel": channel}, left)

    def _publish(self, rest: str) -> Any:
        channel, text = _halves(rest)
        if not text:
            raise RopewalkError(_how("say"))
        rule = self._rule(channel)
        schema = {} if rule is None or rule.shape is None else schema_of(rule.shape)
        params = {"channel": channel, "body": _body(text, schema)}

        def said(_: _Asked, message: dict[str, Any]) -> None:
            self.say(f"* said: number {message['sequence']} of {channel}")

        hint = f"help {channel} tells what it takes"
        return self._ask("rpc.publish", params, said, hint)

    def _who(self, rest: str) -> Any:
        channel = _named(rest, "who")

        def told(_: _Asked, there: dict[str, Any]) -> None:
            names = [_person(each) for each in there["people"]]
            count = there["subscriptions"]
            heard = f"{count} {'hears' if count == 1 else 'hear'} it"
            self.say(f"* {channel}: {', '.join(names) or 'nobody by name'}; {heard}")

        return self._ask("rpc.present", {"channel": channel}, told)

    def _stop(self, rest: str) -> None:
        numbers = [
            number for number, asked in self._asked.items() if rest in ("", asked.name)
        ]
        if not numbers:
            raise RopewalkError(f"nothing is under way{rest and ' by that name'}")
        for number in numbers:
            self._calls.hear(JSON.encode(notification("rpc.cancel", {"id": number})))

    def _quit(self, rest: str) -> None:
        if self._calls.busy:
            self.say("* as soon as all is answered; stop ends what is under way")
        self._calls.finished().addCallback(lambda _: self.leave("* goodbye"))

    # What there is.

    def _help(self, rest: str) -> None:
        command = _COMMANDS.get(rest.lower())
        offered = self._operations.find(rest)
        if not rest:
            self._say_rows((each.usage, each.about) for each in _COMMANDS.values())
        elif command is not None:
            self._say_rows(iter([(command.usage, command.about)]))
        elif offered is not None:
            self._explain(offered)
        else:
            self._explain_channel(rest)

    def _explain(self, offered: Offered) -> None:
        """Say what there is to know of an operation before it is called."""
        schema = offered.parameters
        names = [f"{name}=…" for name in schema.get("properties", {})]
        about = [*offered.summary.splitlines(), *offered.doc.splitlines()]
        self.say("\n".join([" ".join([offered.name, *names]), *about]))
        self._say_rows((f"{name}=", *more) for name, *more in rows_of(schema))
        self.say(f"  Result: {kind_of(offered.result, offered.result)}")
        if offered.requires is not None:
            self.say(f"  It takes: {offered.requires}")

    def _explain_channel(self, name: str) -> None:
        rule = self._rule(name)
        if rule is None:
            known = [*_COMMANDS, *(each.name for each in self._operations.offered())]
            raise RopewalkError(_unknown("help for", name, known))
        self._say_rows(iter([(name, *_allowed(rule))]))
        if rule.shape is not None:
            schema = schema_of(rule.shape)
            self._say_rows((f"{name}=", *more) for name, *more in rows_of(schema))

    def _list_operations(self, rest: str) -> None:
        found = [
            each for each in self._operations.offered() if each.name.startswith(rest)
        ]
        if not found:
            self.say("* there are no such operations")
        self._say_rows((each.name, each.summary) for each in found)

    def _list_channels(self, rest: str) -> None:
        rules = sorted(self._hub.declared().items(), key=itemgetter(0))
        rows = [(name, *_allowed(rule)) for name, rule in rules]
        found = [row for row in rows if row[1] and row[0].startswith(rest)]
        if not found:
            self.say("* there are no such channels")
        self._say_rows(iter(found))
        if self._channels:
            self.say(f"* you hear {', '.join(self._channels)}")

    def _rule(self, name: str) -> ChannelRule | None:
        """The rule of a channel; none for what is no channel."""
        found = [
            (pattern.rank, rule)
            for pattern, rule in (
                (ChannelPattern.of(each), rule)
                for each, rule in self._hub.declared().items()
            )
            if pattern.matches(name) or str(pattern) == name
        ]
        return min(found, key=lambda each: each[0])[1] if found else None


def _body(text: str, schema: Any) -> Any:
    """What somebody says, in the shape that is wanted if it can have that."""
    types = types_of(schema, schema)
    if types == {"object"} and not text.startswith("{") and "=" in text.split()[0]:
        return read_pairs(text, schema)
    return read_text(text, types)


def _allowed(rule: ChannelRule) -> tuple[str, str]:
    """What may be done in a channel, and what it takes to talk there."""
    done = [
        word if isinstance(need, Access) else f"{word} (takes {need})"
        for word, need in (("hear", rule.subscribe), ("say", rule.publish))
        if need is not NOBODY
    ]
    schema = {} if rule.shape is None else schema_of(rule.shape)
    names = [f"{name}=…" for name in schema.get("properties", {})]
    return ", ".join(done), " ".join(names) if rule.publish is not NOBODY else ""


def _person(present: dict[str, Any]) -> str:
    """Somebody, with what they say of themselves."""
    more = "" if present["data"] is None else f" ({spoken(present['data'])})"
    return word_of(present["who"]) + more


def _told(value: Any) -> str:
    """A value; a long list one by one."""
    told = spoken(value)
    if not isinstance(value, list) or len(told) <= _WIDE:
        return told
    return "\n".join([f"{len(value)}:", *map(spoken, value)])


def _label(asked: _Asked) -> str:
    """Whose answer it is, where that is not clear."""
    return "" if asked.alone else f" [{asked.name}]"


def _halves(text: str) -> tuple[str, str]:
    """The first word, and the rest."""
    word, *rest = text.split(maxsplit=1) or [""]
    return word, rest[0].rstrip() if rest else ""


def _named(rest: str, command: str) -> str:
    """The rest of a line, if there is one."""
    if not rest:
        raise RopewalkError(_how(command))
    return rest


def _how(command: str) -> str:
    return f"type: {_COMMANDS[command].usage}"


def _unknown(kind: str, word: str, known: Any) -> str:
    meant = nearest(word, known)
    hint = f"did you mean {meant!r}?" if meant else "type help to see what there is"
    return f"there is no {kind} {word[:_SHOWN]!r}; {hint}"


def _coded(found: re.Match[str]) -> str:
    return f"\\u{ord(found.group()):04x}"


_COMMANDS = {
    "help": _Command(
        "help [NAME]",
        "this; or what there is to know of a command, an operation, a channel",
        CallText._help,
    ),
    "operations": _Command(
        "operations", "what can be called", CallText._list_operations
    ),
    "call": _Command(
        "call NAME PARAMETER=VALUE…",
        'call an operation (call is optional): chat.say text="hello there"',
        CallText._call,
    ),
    "stop": _Command(
        "stop [NAME]", "cancel what is called and not answered yet", CallText._stop
    ),
    "channels": _Command(
        "channels", "where people and services talk", CallText._list_channels
    ),
    "hear": _Command(
        "hear CHANNEL [as NAME] [after TOKEN]",
        "hear what is said from now on, or what came after something",
        CallText._hear,
    ),
    "leave": _Command("leave [CHANNEL]", "hear it no longer", CallText._leave),
    "say": _Command(
        "say CHANNEL TEXT",
        'say something: text, JSON, or author=Ada text="hello there"',
        CallText._publish,
    ),
    "who": _Command("who CHANNEL", "who is there", CallText._who),
    "quit": _Command("quit", "leave when all is answered", CallText._quit),
}

#: What is told of without being asked for.
_NOTES: dict[str, Callable[[CallText, dict[str, Any]], None]] = {
    "rpc.progress": CallText._note_progress,
    "rpc.message": CallText._note_message,
    "rpc.joined": CallText._note_joined,
    "rpc.left": CallText._note_left,
}
