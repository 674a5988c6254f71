# -*- test-case-name: tests.test_errors -*-
"""
The family of errors that ropewalk raises on purpose. Each knows what to tell a
web client, and says what is wrong, where, and what to do about it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from attrs import define
from msgspec import Struct

__all__ = [
    "BadChannel",
    "BadChannelRule",
    "BadEndpoint",
    "BadHandler",
    "BadOperation",
    "BadPlugin",
    "BadSettings",
    "BadWebhook",
    "BreakerOpen",
    "ChannelFull",
    "Conflict",
    "Fault",
    "Forbidden",
    "HubClosed",
    "HubFull",
    "Invalid",
    "MailboxFull",
    "Malformed",
    "MissingExtra",
    "NeedsAsyncio",
    "NeedsReactor",
    "NoSuchOperation",
    "NotAwaitable",
    "NotPublic",
    "RopewalkError",
    "SettingFault",
    "StartFailed",
    "TimedOut",
    "TooMany",
    "TooManyBegun",
    "TooManyChannels",
]


#: How many characters of something that a stranger sent are shown.
_SHOWN = 60


class Fault(Struct, frozen=True):
    """
    One thing wrong with a value that came from outside.

    :ivar path: Where in the value: ``"history"``, ``"limits.size"``,
        ``"names[2]"``; empty for the value as a whole.
    :ivar problem: ``"expected an integer from 0 to 10000, got -1"``.
    :ivar where: In which part of a request: ``"body"``, ``"query"``, ``"path"``,
        ``"header"`` or ``"cookie"``; empty where there is but one value.
    """

    path: str
    problem: str
    where: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}" if self.path else self.problem


class SettingFault(Struct, frozen=True):
    """
    One thing wrong with the settings.

    :ivar origin: Where it was written: ``"ropewalk.toml:12"``, or
        ``"environment variable ROPEWALK_CHAT__HISTORY"``.
    :ivar table: The table's dotted name, empty for the file as a whole.
    :ivar fault: What is wrong with which key.
    """

    origin: str
    table: str
    fault: Fault

    def __str__(self) -> str:
        table = f"[{self.table}]" if self.table else ""
        # A fault of the whole table has no key between the two colons.
        where = f"{table} {self.fault.path}".strip()
        parts = [self.origin, where, self.fault.problem]
        return ": ".join(part for part in parts if part)


class RopewalkError(Exception):
    """
    The parent of every error that ropewalk raises on purpose.

    :cvar headers: What else a web client is told: ``{"Retry-After": "5"}``.
    :cvar status: The HTTP status that says the same to a web client, an int
        in [400, 599]. A WebSocket is closed with 4000 + ``status`` (RFC 6455,
        section 7.4.2, leaves 4000 to 4999 to applications).
    :ivar service: Whose doing it is; empty where nobody knows.
    """

    status = 500
    headers: Mapping[str, str] = {}
    service = ""


@define
class Invalid(RopewalkError):
    """
    A value from outside does not have the shape it must have.

    :ivar faults: All that is wrong with it, in the order of the shape.
    """

    status = 422

    faults: tuple[Fault, ...]

    def __str__(self) -> str:
        return "; ".join(str(fault) for fault in self.faults)


@define
class Malformed(Invalid):
    """
    What came from outside cannot even be read: it is not JSON, say.
    """

    status = 400


@define
class BadSettings(RopewalkError):
    """
    The settings cannot be used.

    :ivar faults: All that is wrong with them, in the order of the file.
    """

    faults: tuple[SettingFault, ...]

    def __str__(self) -> str:
        return "\n".join(str(fault) for fault in self.faults)


@define
class BadPlugin(RopewalkError):
    """
    A plugin cannot be used as it is.

    :ivar name: The plugin's name.
    :ivar place: Where it is declared: ``file:line``, or a distribution.
    :ivar problem: What is wrong with it, perhaps with a traceback below.
    """

    name: str
    place: str
    problem: str

    def __str__(self) -> str:
        return f"service {self.name!r} ({self.place}): {self.problem}"


@define
class BadHandler(RopewalkError):
    """
    A handler asks for what no request could give it, or cannot be served.

    :ivar name: What it is called: ``"Products.create"``.
    :ivar place: Where it is written: ``file:line``.
    :ivar problem: What is wrong with it, and what to write instead.
    """

    name: str
    place: str
    problem: str

    def __str__(self) -> str:
        return f"{self.name} ({self.place}): {self.problem}"


@define
class BadOperation(BadHandler):
    """
    An operation cannot be offered as it is written.
    """


@define
class BadEndpoint(RopewalkError):
    """
    It cannot be told where to listen.

    :ivar endpoint: The endpoint string.
    :ivar problem: What is wrong with it, and what to write instead.
    """

    endpoint: str
    problem: str

    def __str__(self) -> str:
        return f"cannot listen at {self.endpoint!r}: {self.problem}"


@define
class Conflict(RopewalkError):
    """
    Two plugins claim the same thing.

    :ivar thing: What both want: ``"the name 'chat'"``, ``"the path '/chat'"``.
    :ivar first: Who has it, and where that is written (``file:line``).
    :ivar second: Who wants it as well, and where that is written.
    """

    thing: str
    first: str
    second: str

    def __str__(self) -> str:
        return f"{self.thing} is claimed twice:\n  by {self.first}\n  by {self.second}"


@define
class StartFailed(RopewalkError):
    """
    A service did not start, so the daemon does not either.

    :ivar service: The name of the service.
    :ivar reason: Why, in a sentence.
    """

    status = 503

    service: str
    reason: str

    def __str__(self) -> str:
        return f"service {self.service!r} did not start: {self.reason}"


@define
class Forbidden(RopewalkError):
    """
    A rule says no. Whether there is what somebody asks for is not told.

    :ivar what: What they may not do: ``"subscribe to 'rooms.lobby'"``; empty where
        nobody need be told.
    :ivar requirement: What it takes; empty where nobody need be told.
    """

    status = 403

    what: str = ""
    requirement: str = ""

    def __str__(self) -> str:
        if not self.what:
            return "this is not for you"
        if self.requirement:
            return f"you may not {self.what}: it takes {self.requirement!r}"
        return f"you may not {self.what}; sign in as somebody who may"


@define
class BadChannel(RopewalkError):
    """
    A channel cannot be called that, or a pattern stands where it cannot.

    :ivar channel: The name, or the pattern.
    :ivar problem: What is wrong with it.
    """

    status = 422

    channel: str
    problem: str

    def __str__(self) -> str:
        # A stranger may have sent any amount of it.
        cut = len(self.channel) > _SHOWN
        shown = f"{self.channel[:_SHOWN]!r}{' …' if cut else ''}"
        return (
            f"no channel can be meant by {shown}: {self.problem}. A name is words of "
            "letters, digits, - and _ with a dot between two, such as rooms.lobby"
        )


@define
class NoSuchOperation(RopewalkError):
    """
    Nobody offers an operation of this name.

    :ivar name: The name; of a long one, the beginning.
    :ivar meant: The name that is nearest, if one is near.
    """

    status = 404

    name: str
    meant: str | None = None

    def __str__(self) -> str:
        hint = f"; did you mean {self.meant!r}?" if self.meant else ""
        return f"there is no operation {self.name!r}{hint}"


@define
class TooMany(RopewalkError):
    """
    Somebody asks for something more often than they may.

    :ivar what: For what.
    :ivar seconds: After how many seconds there is room for them again.
    """

    status = 429

    what: str
    seconds: float

    @property
    def headers(self) -> Mapping[str, str]:  # type: ignore[override]
        """Says the same to a web client, in whole seconds."""
        return {"Retry-After": str(math.ceil(self.seconds))}

    def __str__(self) -> str:
        return (
            f"{self.what!r} was called too often; try again in {self.seconds:.1f} "
            "seconds"
        )


@define
class BadChannelRule(RopewalkError):
    """
    Channels cannot be declared like this.

    :ivar pattern: Which channels.
    :ivar place: Where it is declared: ``file:line``.
    :ivar problem: What is wrong with the rule, and what to write instead.
    """

    pattern: str
    place: str
    problem: str

    def __str__(self) -> str:
        return f"the rule for channels {self.pattern!r} ({self.place}): {self.problem}"


@define
class TimedOut(RopewalkError):
    """
    Something took longer than it may, and was cancelled.

    :ivar what: What.
    :ivar seconds: How long it may take.
    """

    status = 504

    what: str
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.what!r} took more than {self.seconds:g} seconds, and was cancelled"
        )


@define
class BreakerOpen(RopewalkError):
    """
    Something has failed so often that it is not even tried for a while.

    :ivar what: What.
    :ivar seconds: After how many seconds it will be tried again.
    """

    status = 503

    what: str
    seconds: float

    @property
    def headers(self) -> Mapping[str, str]:  # type: ignore[override]
        """Says the same to a web client, in whole seconds."""
        return {"Retry-After": str(max(1, math.ceil(self.seconds)))}

    def __str__(self) -> str:
        return (
            f"{self.what!r} has failed too often; it is tried again in "
            f"{self.seconds:.1f} seconds"
        )


@define
class NotPublic(RopewalkError):
    """
    Somebody is to be called at an address that is not one of the internet's: of this
    machine, of a private network, of a cloud's own services.

    :ivar address: The address.
    """

    status = 403

    address: str

    def __str__(self) -> str:
        return (
            f"{self.address} is no address of the internet; calls to this machine and "
            "to private networks have to be allowed in the settings"
        )


@define
class BadWebhook(RopewalkError):
    """
    What came is not what a webhook of somebody who knows the secret looks like.

    :ivar problem: What is wrong with it.
    """

    status = 401

    problem: str

    def __str__(self) -> str:
        return f"this webhook is not believed: {self.problem}"


@define
class ChannelFull(RopewalkError):
    """
    A channel has as many subscribers as it may have.
    """

    status = 503

    channel: str
    limit: int

    def __str__(self) -> str:
        return f"channel {self.channel!r} already has {self.limit} subscribers"


@define
class HubFull(RopewalkError):
    """
    There are as many channels as there may be, and somebody is in each that could
    make room.

    :ivar pattern: Of which rule there are so many; empty for all channels.
    :ivar what: Whether these are ``"channels"``, or ``"patterns"`` that somebody hears.
    """

    status = 503

    limit: int
    pattern: str = ""
    what: str = "channels"

    def __str__(self) -> str:
        like = f" like {self.pattern!r}" if self.pattern else ""
        return f"there are already {self.limit} {self.what}{like}, and all are in use"


@define
class HubClosed(RopewalkError):
    """
    The daemon ends, and nothing happens in its channels any more.

    :ivar channel: The channel or pattern that somebody wanted something of.
    """

    status = 503

    channel: str

    def __str__(self) -> str:
        return (
            f"nothing was done in {self.channel!r}: the daemon is stopping, and its "
            "channels are closed; try again in a moment"
        )


@define
class TooManyBegun(RopewalkError):
    """
    A caller has begun as many channels as one may, and somebody is in each.

    :ivar what: As for :class:`HubFull`.
    """

    status = 429

    limit: int
    what: str = "channels"

    def __str__(self) -> str:
        return (
            f"you have begun {self.limit} {self.what}, and all are in use; begin no "
            "other before somebody has left one"
        )


@define
class TooManyChannels(RopewalkError):
    """
    A connection hears as many channels as it may.
    """

    status = 422

    limit: int

    def __str__(self) -> str:
        return (
            f"a connection hears {self.limit} channels at most; unsubscribe from one, "
            "or subscribe to a pattern"
        )


@define
class MailboxFull(RopewalkError):
    """
    More messages came than were taken, and none was to be dropped.
    """

    status = 503

    limit: int

    def __str__(self) -> str:
        return f"cut off: over {self.limit} messages were waiting to be taken"


@define
class NeedsAsyncio(RopewalkError):
    """
    Something of asyncio's was waited for where no asyncio loop runs.

    :ivar what: What was waited for.
    """

    what: str

    def __str__(self) -> str:
        return (
            f"cannot wait for {self.what} here: no asyncio loop is running. "
            "Start the daemon on the asyncio reactor (the default; "
            "`twistd -r asyncio ropewalk` or `-r uvloop` by hand, "
            "`trial --reactor asyncio` in tests), and wait only after it started"
        )


@define
class NeedsReactor(RopewalkError):
    """
    What a thread does was waited for where nobody said which reactor runs.

    :ivar what: What was waited for.
    """

    what: str

    def __str__(self) -> str:
        return (
            f"cannot wait for {self.what} here: which reactor it should come home "
            "to is not known. Call `ropewalk.awaiting.home(reactor)` first (the "
            "daemon and the testing kit do), or run on the asyncio reactor"
        )


@define
class NotAwaitable(RopewalkError):
    """
    Something was waited for that nothing can wait for.

    :ivar what: What it was.
    """

    what: str

    def __str__(self) -> str:
        return f"cannot wait for {self.what}"


@define
class MissingExtra(RopewalkError):
    """
    A feature needs a library that is not installed.

    :ivar feature: What was asked for.
    :ivar extra: The extra that brings it: ``pip install 'ropewalk[extra]'``.
    """

    feature: str
    extra: str

    def __str__(self) -> str:
        return f"{self.feature} needs: pip install 'ropewalk[{self.extra}]'"
