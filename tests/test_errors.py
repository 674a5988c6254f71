# -*- test-case-name: tests.test_errors -*-
"""
The errors that ropewalk raises on purpose.
"""

from __future__ import annotations

import copy
import pickle

from twisted.trial.unittest import SynchronousTestCase

from ropewalk import errors
from ropewalk.errors import (
    BadChannel,
    BadChannelRule,
    BadEndpoint,
    BadHandler,
    BadOperation,
    BadPlugin,
    BadSettings,
    BadWebhook,
    BreakerOpen,
    ChannelFull,
    Conflict,
    Fault,
    Forbidden,
    HubClosed,
    HubFull,
    Invalid,
    MailboxFull,
    Malformed,
    MissingExtra,
    NeedsAsyncio,
    NeedsReactor,
    NoSuchOperation,
    NotAwaitable,
    NotPublic,
    RopewalkError,
    SettingFault,
    StartFailed,
    TimedOut,
    TooMany,
    TooManyBegun,
    TooManyChannels,
)

FAULT = Fault("limits.size", "expected an integer from 1 to 64, got 0")

#: One of each, and what it says.
SENTENCES: dict[RopewalkError, str] = {
    RopewalkError("you are in no room yet"): "you are in no room yet",
    Invalid((FAULT, Fault("", "too many"))): (
        "limits.size: expected an integer from 1 to 64, got 0; too many"
    ),
    Malformed((Fault("", "not JSON"),)): "not JSON",
    BadSettings(
        (
            SettingFault("ropewalk.toml:12", "chat", FAULT),
            SettingFault("ropewalk.toml:3", "chat", Fault("", "no such service")),
            SettingFault("ropewalk.toml", "", Fault("", "asks for nothing")),
        )
    ): (
        "ropewalk.toml:12: [chat] limits.size: expected an integer from 1 to 64, "
        "got 0\n"
        "ropewalk.toml:3: [chat]: no such service\n"
        "ropewalk.toml: asks for nothing"
    ),
    BadPlugin("chat", "acme.py:3", "acme.chat has no makeService(settings, host)"): (
        "service 'chat' (acme.py:3): acme.chat has no makeService(settings, host)"
    ),
    BadHandler("Pages.show", "acme.py:9", "there is no 'id' in the path"): (
        "Pages.show (acme.py:9): there is no 'id' in the path"
    ),
    BadEndpoint("tpc:80", "there are no 'tpc' endpoints"): (
        "cannot listen at 'tpc:80': there are no 'tpc' endpoints"
    ),
    Conflict("the path '/chat'", "service 'a' (a.py:1)", "service 'b' (b.py:2)"): (
        "the path '/chat' is claimed twice:\n"
        "  by service 'a' (a.py:1)\n"
        "  by service 'b' (b.py:2)"
    ),
    StartFailed("chat", "no database"): "service 'chat' did not start: no database",
    Forbidden("publish into 'news'"): (
        "you may not publish into 'news'; sign in as somebody who may"
    ),
    BadChannel("a..b", "it has an empty word"): (
        "no channel can be meant by 'a..b': it has an empty word. A name is words of "
        "letters, digits, - and _ with a dot between two, such as rooms.lobby"
    ),
    BadChannel("a" * 300, "it is long"): (
        f"no channel can be meant by '{'a' * 60}' …: it is long. A name is words of "
        "letters, digits, - and _ with a dot between two, such as rooms.lobby"
    ),
    BadChannelRule("rooms.*", "chat.py:7", "keep is -1"): (
        "the rule for channels 'rooms.*' (chat.py:7): keep is -1"
    ),
    BreakerOpen("the warehouse", 12.0): (
        "'the warehouse' has failed too often; it is tried again in 12.0 seconds"
    ),
    NotPublic("10.0.0.1"): (
        "10.0.0.1 is no address of the internet; calls to this machine and to private "
        "networks have to be allowed in the settings"
    ),
    BadWebhook("it has no signature"): (
        "this webhook is not believed: it has no signature"
    ),
    ChannelFull("lobby", 2): "channel 'lobby' already has 2 subscribers",
    TooManyChannels(100): (
        "a connection hears 100 channels at most; unsubscribe from one, or subscribe "
        "to a pattern"
    ),
    MailboxFull(2): "cut off: over 2 messages were waiting to be taken",
    HubFull(3): "there are already 3 channels, and all are in use",
    HubFull(2, "rooms.*"): (
        "there are already 2 channels like 'rooms.*', and all are in use"
    ),
    TooManyBegun(2): (
        "you have begun 2 channels, and all are in use; begin no other before somebody "
        "has left one"
    ),
    HubClosed("lobby"): (
        "nothing was done in 'lobby': the daemon is stopping, and its channels are "
        "closed; try again in a moment"
    ),
    NeedsAsyncio("asyncio.sleep(0)"): (
        "cannot wait for asyncio.sleep(0) here: no asyncio loop is running. Start the "
        "daemon on the asyncio reactor (the default; `twistd -r asyncio ropewalk` or "
        "`-r uvloop` by hand, `trial --reactor asyncio` in tests), and wait only after "
        "it started"
    ),
    NeedsReactor("a thread"): (
        "cannot wait for a thread here: which reactor it should come home to is not "
        "known. Call `ropewalk.awaiting.home(reactor)` first (the daemon and the "
        "testing kit do), or run on the asyncio reactor"
    ),
    NotAwaitable("5"): "cannot wait for 5",
    BadOperation("Rooms.say", "chat.py:3", "say its type"): (
        "Rooms.say (chat.py:3): say its type"
    ),
    Forbidden(): "this is not for you",
    Forbidden("call 'chat.say'", "rooms.say"): (
        "you may not call 'chat.say': it takes 'rooms.say'"
    ),
    NoSuchOperation("chat.sya"): "there is no operation 'chat.sya'",
    NoSuchOperation("chat.sya", "chat.say"): (
        "there is no operation 'chat.sya'; did you mean 'chat.say'?"
    ),
    TooMany("chat.say", 0.25): (
        "'chat.say' was called too often; try again in 0.2 seconds"
    ),
    TimedOut("chat.say", 5.0): (
        "'chat.say' took more than 5 seconds, and was cancelled"
    ),
    MissingExtra("TLS", "tls"): "TLS needs: pip install 'ropewalk[tls]'",
}


class FamilyTests(SynchronousTestCase):
    """
    What holds for each of the errors.
    """

    def test_all_are_here(self) -> None:
        """
        No error is forgotten by the tests below.
        """
        family = {getattr(errors, name) for name in errors.__all__}
        self.assertEqual(
            {type(error) for error in SENTENCES}, family - {Fault, SettingFault}
        )

    def test_sentences(self) -> None:
        """
        An error says what is wrong, in words for people.
        """
        for error, sentence in SENTENCES.items():
            self.assertEqual(str(error), sentence)

    def test_statuses(self) -> None:
        """
        The status is an HTTP error's, and 4000 more a WebSocket close code that
        applications may use.
        """
        for error in SENTENCES:
            self.assertIn(error.status, range(400, 600))
        self.assertEqual(Invalid(()).status, 422)
        self.assertEqual(Malformed(()).status, 400)

    def test_try_again(self) -> None:
        """
        Who asks too often is told, in whole seconds, when not to be refused.
        """
        self.assertEqual(TooMany("chat.say", 0.25).headers, {"Retry-After": "1"})
        self.assertEqual(TooMany("chat.say", 2.5).headers, {"Retry-After": "3"})

    def test_pickling(self) -> None:
        """
        An error arrives whole in another process.
        """
        for error in SENTENCES:
            for arrived in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
                self.assertIs(type(arrived), type(error))
                self.assertEqual(str(arrived), str(error))
                self.assertEqual(arrived.args, error.args)

    def test_facts(self) -> None:
        """
        Each fact is an attribute, and all of them show when it is printed for a
        programmer.
        """
        for error in SENTENCES:
            names = [each.name for each in getattr(error, "__attrs_attrs__", ())]
            for name in names:
                self.assertIn(f"{name}={getattr(error, name)!r}", repr(error))
            self.assertEqual(len(error.args), len(names) or 1)

    def test_exceptions_still(self) -> None:
        """
        Two errors with the same facts are two errors: each can be raised, kept in
        a set, annotated, and given a cause.
        """
        first, second = HubFull(3), HubFull(3)
        self.assertEqual(len({first, second}), 2)
        try:
            raise first from second
        except RopewalkError as error:
            error.add_note("at the second look")
            self.assertIs(error.__cause__, second)
            self.assertIsNotNone(error.__traceback__)


class FaultTests(SynchronousTestCase):
    """
    One thing wrong.
    """

    def test_with_and_without_a_path(self) -> None:
        """
        A fault of the whole value names no place in it.
        """
        self.assertEqual(str(Fault("names[2]", "too long")), "names[2]: too long")
        self.assertEqual(str(Fault("", "too long")), "too long")
