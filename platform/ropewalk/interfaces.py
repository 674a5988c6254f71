# -*- test-case-name: tests.test_interfaces -*-
"""
The seams of ropewalk that are not Twisted's or Klein's already. There are few:
an interface is here where two implementations exist, or a stranger writes one.
"""

from __future__ import annotations

from collections.abc import (
    Awaitable,
    Callable,
    Collection,
    Generator,
    Mapping,
    Sequence,
)
from enum import Enum
from functools import lru_cache
from ipaddress import IPv6Address
from typing import Any, Final, TypeVar

from msgspec import Struct
from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

__all__ = [
    "ANYONE",
    "NOBODY",
    "Access",
    "Attendance",
    "Caller",
    "ChannelFigures",
    "ChannelRule",
    "HubFigures",
    "IAuthoriser",
    "IDrainable",
    "IHealth",
    "IHost",
    "IHub",
    "IOperations",
    "IPaced",
    "IReconfigurable",
    "IServicePlugin",
    "ISubscriber",
    "ITallied",
    "IWeb",
    "Losses",
    "Message",
    "Presence",
    "Resumed",
    "Since",
    "Steps",
]

T = TypeVar("T")

#: What a function under ``@inlineCallbacks`` is annotated to return: the type
#: of its result, inside.
Steps = Generator[Any, Any, T]


class Caller(Struct, frozen=True):
    """
    Who asks for something, so far as is known.

    :ivar via: By what they came: ``"http"``, ``"websocket"``, ``"lines"`` …
    :ivar address: Where they come from, for people and for counting: an IP address, or
        what else tells one peer from another; empty when there is none.
    :ivar connection: The connection's name: ``"c17"``; empty for who has none.
    :ivar user: The account's name; ``None`` for who has not said who they are.
    """

    via: str
    address: str = ""
    connection: str = ""
    user: str | None = None

    @property
    def counts_as(self) -> tuple[str, str]:
        """
        Who it is where callers are counted. A user is one wherever they come from; who
        has not said who they are is told apart by their address, and of an IPv6 address
        by its first 64 bits, since that is how many a single household has.
        """
        if self.user is not None:
            return "user", self.user
        if ":" in self.address:
            return "address", _network(self.address)
        if self.address:
            return "address", self.address
        return self.via, self.connection


@lru_cache(1024)
def _network(address: str) -> str:
    """The first 64 bits of an IPv6 address; whatever else has a colon, as it is."""
    try:
        found = IPv6Address(address)
    except ValueError:
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return found.packed[:8].hex()


class Message(Struct, frozen=True):
    """
    Something published into a channel.

    :ivar channel: The channel's name.
    :ivar sequence: Its place in the channel: 1 for the first, without gaps, the
        same for every subscriber.
    :ivar at: When it was published, in seconds since the epoch (UTC).
    :ivar body: What was published. Treat it as unchangeable: all subscribers
        see the same object.
    :ivar epoch: Which numbering that is: another one begins when a hub has forgotten
        the channel, or is another hub.
    """

    channel: str
    sequence: int
    at: float
    body: Any
    epoch: str = ""

    @property
    def token(self) -> str:
        """
        What a subscriber that has lost its connection comes back with, to hear what
        came after this message: ASCII without blanks.
        """
        return f"{self.epoch}.{self.sequence}"


class Resumed(Struct, frozen=True):
    """
    How much of what a subscriber has missed it got.

    :ivar missed: How many messages.
    :ivar whole: Whether these are all. If not, the history does not reach back so far,
        or the numbering is another.
    """

    missed: int = 0
    whole: bool = True


class Since(Struct, frozen=True):
    """
    What came after a message.

    :ivar messages: What is kept of it, oldest first.
    :ivar whole: Whether that is all, as in :class:`Resumed`.
    """

    messages: Sequence[Message]
    whole: bool = True


class Presence(Struct, frozen=True):
    """
    Somebody who is in a channel.

    :ivar who: The name they came with.
    :ivar since: When they came, in seconds since the epoch (UTC).
    :ivar data: What they last said of themselves; ``None`` when they said nothing.
    """

    who: str
    since: float
    data: Any = None


class Attendance(Struct, frozen=True):
    """
    How many are in a channel.

    :ivar subscriptions: How many subscribers it has. Those who hear it by a pattern
        are not among them.
    :ivar people: How many are present under a name.
    """

    subscriptions: int = 0
    people: int = 0


class Access(Enum):
    """
    What a caller needs where it is no matter of requirements.
    """

    ANYONE = "anyone"
    NOBODY = "nobody"


#: Every caller may.
ANYONE: Final = Access.ANYONE

#: No caller may: only services do it.
NOBODY: Final = Access.NOBODY


class ChannelRule(Struct, frozen=True, kw_only=True):
    """
    What channels promise, and whom they let do what.

    A requirement is a text that the daemon's :class:`IAuthoriser` is asked about:
    ``"rooms.moderate"``.

    :ivar subscribe: What it takes to subscribe, and to see who is there and what was
        said: a requirement, ``ANYONE`` or ``NOBODY``.
    :ivar publish: What it takes to publish, likewise.
    :ivar shape: What the bodies of messages are, a type that
        :func:`ropewalk.schema.read` knows; ``None`` for anything.
    :ivar keep: How many messages the history has, 0 or more.
    :ivar keep_for: How many seconds a message stays in the history, more than 0;
        ``None`` for any time.
    :ivar keep_bytes: How large the bodies in the history may be together, in bytes of
        JSON, 0 or more. The oldest go first, and a message that is larger by itself is
        not kept. ``None`` for any size where only services publish, and for 1 MiB where
        callers may.
    :ivar retain: How many seconds the last message can be had apart from the history,
        more than 0; ``math.inf`` until the next one; ``None`` for no longer than the
        history has it.
    :ivar away: How many seconds somebody who is present may be without a subscription
        before they have left, 0 or more.
    :ivar limit: How many subscribers each channel may have, 1 or more; ``None`` for
        as many as the hub lets in anyway.
    :ivar channels: How many channels there may be by this rule, 1 or more. One more,
        and of those that nobody is in, the one where nothing has happened for longest
        is forgotten. ``None`` for as many as the hub has where only services come in,
        and for half of that where callers may.
    """

    subscribe: str | Access = ANYONE
    publish: str | Access = NOBODY
    shape: Any = None
    keep: int = 100
    keep_for: float | None = None
    keep_bytes: int | None = None
    retain: float | None = None
    away: float = 0.0
    limit: int | None = None
    channels: int | None = None


class Losses(Struct, eq=False):
    """
    What subscribers did not take.

    :ivar dropped: How many messages nobody can take any more.
    :ivar replaced: How many a later one has taken the place of.
    :ivar cut: How many subscribers were cut off.
    """

    dropped: int = 0
    replaced: int = 0
    cut: int = 0

    def lose(
        self, channel: str, *, dropped: int = 0, replaced: int = 0, cut: int = 0
    ) -> None:
        """
        Count more.

        :param channel: The channel of the message that was lost, or that was too much;
            empty where it was none.
        """
        self.dropped += dropped
        self.replaced += replaced
        self.cut += cut


class ChannelFigures(Struct, frozen=True):
    """
    A channel in numbers.

    :ivar subscribers: How many subscribe to it by its name.
    :ivar people: How many are present.
    :ivar published: How many messages were published into it.
    :ivar kept: How many are in its history.
    :ivar size: The bytes of these; ``None`` where nothing bounds them, and nobody
        counts.
    :ivar dropped: As in :class:`Losses`; so are the next two. Of a reader that was cut
        off, the channel counts whose message was too much for it, if there was one.
    """

    subscribers: int
    people: int
    published: int
    kept: int
    size: int | None
    dropped: int = 0
    replaced: int = 0
    cut: int = 0


class HubFigures(Struct, frozen=True):
    """
    What a hub has done in this process, in numbers.

    :ivar published: How many messages were published.
    :ivar delivered: How many times a subscriber has taken one.
    :ivar raised: How many times a subscriber raised instead of taking what it was told.
    :ivar dropped: As in :class:`Losses`; so are the next two.
    :ivar patterns: How many subscriptions by a pattern stand.
    :ivar size: The bytes of all histories, so far as somebody counts them.
    :ivar channels: The channels there are, by name.
    """

    published: int
    delivered: int
    raised: int
    dropped: int
    replaced: int
    cut: int
    patterns: int
    size: int
    channels: Mapping[str, ChannelFigures]


class ISubscriber(Interface):
    """
    What a channel delivers to. Called in the reactor's thread; must not block.
    One that raises is logged and skipped: it harms nobody else.

    It may call the hub. What comes of that is told when everybody has been told
    what is being told now, so that all hear everything in one order.
    """

    def deliver(message: Message) -> None:
        """
        Take a message. Messages of one channel come in order of ``sequence``.
        """

    def joined(channel: str, presence: Presence) -> None:
        """
        Somebody new is in the channel (you, too: it is how you know you are).
        """

    def left(channel: str, presence: Presence) -> None:
        """
        Somebody is no longer in the channel.
        """


class IPaced(Interface):
    """
    A subscriber that a publisher can wait for.
    """

    def ready() -> Deferred[None] | None:
        """
        Whether there is room for one more message.

        :return: ``None`` when there is; otherwise a Deferred of its own for each
            call, which fires when there is, or will never be. It may be cancelled.
        """


class ITallied(Interface):
    """
    A subscriber that counts what it does not take.
    :class:`ropewalk.hub.tallies.Tallies` does the work.
    """

    def tally(losses: Losses) -> None:
        """
        Count there, too, from now on, by :meth:`Losses.lose`; once, however often it
        is said.
        """


class IHub(Interface):
    """
    The channels: what is published into one is delivered to everybody who is
    subscribed to it, in the same order.

    A channel's name is 1 to 255 characters: words with a dot between two, each of
    letters and digits of any script, ``-`` and ``_``. In a pattern, ``*`` stands for
    one word, and ``**`` at the end for one or more.

    What a service does itself needs no right, nor that the channel was declared. Who
    does it for somebody else says for whom with ``by``: then the rule of the channel
    says whether they may. Of the rules whose patterns match, the most specific one
    counts: word by word from the left, a word comes before ``*``, that before ``**``.
    Where there is none, no caller may do anything. While the authoriser makes up its
    mind nothing has happened yet.

    Where a Deferred is returned, it fails with :exc:`~ropewalk.errors.BadChannel` for
    what is no name, and with :exc:`~ropewalk.errors.Forbidden` for whom it is not
    allowed. To publish and to subscribe fails with :exc:`~ropewalk.errors.HubClosed`
    when the hub was closed, also while somebody was asked.
    """

    def declare(pattern: str, rule: ChannelRule, *, replace: bool = False) -> None:
        """
        Say what the channels promise whose names match a pattern. For those that are
        there already it counts from now on.

        :param pattern: ``"rooms.*"``, ``"rooms.**"`` or ``"rooms.lobby"``.
        :param replace: Whether the rule takes the place of the one that the pattern
            has, if it has one: for a service that is told other settings.
        :raise BadChannel: When it is no pattern.
        :raise BadChannelRule: When no channel can be like this, or the rule needs a
            clock and the hub was given none.
        :raise Conflict: When the pattern was declared before, and nothing is to be
            replaced.
        """

    def declared() -> Mapping[str, ChannelRule]:
        """
        The rules there are, by their patterns.
        """

    def subscribe(
        channel: str,
        subscriber: ISubscriber,
        who: str | None = None,
        after: str | None = None,
        *,
        data: Mapping[str, Any] | None = None,
        retained: bool = False,
        by: Caller | None = None,
    ) -> Deferred[Resumed]:
        """
        Deliver to a subscriber what is published from now on. Subscribing
        twice is subscribing once (the later ``who`` counts).

        :param channel: Its name; or a pattern, to hear whatever is told in all
            channels that match, now or later, and that the caller may subscribe to.
            Who is subscribed in more than one way hears everything once. A pattern has
            no ``who`` and no ``after``. A caller needs a rule whose pattern covers
            it: one that matches every name that it matches.
        :param who: The name to be present under, 1 to 255 characters; ``None`` only
            listens. Two subscribers may come with one name: it joins with the first
            and leaves with the last.
        :param after: The token of the last message that it has, from whatever
            subscription. What has come after that, and is kept, is delivered before
            anything else; if that is not all, or there is no such message, whatever
            is kept. Who is subscribed has missed nothing.
        :param data: What others are to see of ``who``, up to 1024 bytes of JSON. Of
            two subscribers with one name, what was said last counts. Others see it
            when they look; nobody is told of a change.
        :param retained: Deliver the last message first (see :meth:`last`), if there is
            one and ``after`` is ``None``.
        :param by: For whom.
        :return: fires when the subscription stands. To unsubscribe before that takes
            it back, and the Deferred is cancelled.
        :raise ChannelFull: When the channel has as many subscribers as it may.
        :raise HubFull: When there are as many channels as there may be, and somebody
            is in each that could make room: of the same rule, if it lets callers in.
        :raise Invalid: When ``who`` or ``data`` is too large, or the data cannot be
            said in JSON.
        :raise TooManyBegun: When the channel would be one more than the caller may
            have begun, and somebody is in each of these.
        """

    def unsubscribe(channel: str, subscriber: ISubscriber) -> Deferred[None]:
        """
        Deliver nothing more. Does nothing for who is not subscribed.

        :param channel: The name or the pattern that it subscribed to.
        :return: fires when nothing more will be delivered.
        """

    def publish(
        channel: str,
        body: Any,
        keep: int | None = None,
        *,
        wait: bool = False,
        by: Caller | None = None,
    ) -> Deferred[Message]:
        """
        Publish into a channel. Messages come in the order of the calls, or, where
        somebody had to be asked, in the order in which they were allowed.

        :param body: Where the rule has a shape, a value of that, or the plain data
            that it is read from.
        :param keep: How many messages the channel keeps as its history, this
            one among them; 0 or more. ``None`` for what the rule says, or 100.
        :param wait: Wait until every subscriber that can be waited for
            (:class:`IPaced`) has room before it is published, and until all that it
            went to have room again, or are gone, after that. Who waits for one channel
            is let in one by one, in order. Cancelling takes back what is not yet
            published, and nothing else. When the hub is closed, who has published need
            wait no longer, and who has not is refused.
        :param by: For whom.
        :return: fires with the message, once every subscriber of this process
            has taken it.
        :raise HubFull: As for subscribing; so is TooManyBegun.
        :raise Invalid: With all that keeps the body from having its shape.
        """

    def history(
        channel: str, limit: int | None = None, *, by: Caller | None = None
    ) -> Deferred[Sequence[Message]]:
        """
        The last messages of a channel, oldest first.

        :param limit: How many at most, 0 or more; ``None`` for all that is kept.
        :param by: For whom.
        :return: fires with them.
        """

    def since(channel: str, after: str, *, by: Caller | None = None) -> Deferred[Since]:
        """
        What came after a message.

        :param after: Its token, as for :meth:`subscribe`.
        :param by: For whom.
        :return: fires with that.
        """

    def last(channel: str, *, by: Caller | None = None) -> Deferred[Message | None]:
        """
        The last message of a channel, as long as the rule retains it or the history
        has it.

        :param by: For whom.
        :return: fires with it, or with ``None``.
        """

    def token(channel: str, *, by: Caller | None = None) -> Deferred[str]:
        """
        What to come back with, to hear whatever is published from now on: the token of
        the last message, or one for the time before the first.

        :param by: For whom.
        :return: fires with it.
        """

    def present(
        channel: str, *, by: Caller | None = None
    ) -> Deferred[Sequence[Presence]]:
        """
        Who is in a channel.

        :param by: For whom.
        :return: fires with them, in the order in which they came.
        """

    def count(channel: str, *, by: Caller | None = None) -> Deferred[Attendance]:
        """
        How many are in a channel.

        :param by: For whom.
        :return: fires with that.
        """

    def figures() -> HubFigures:
        """
        What has been done in this process so far, and the channels it knows of.
        """

    def close() -> Deferred[None]:
        """
        Have nothing wait in the clock, nor for others, any more: from now on nothing
        becomes too old, and nobody who is away leaves; nobody comes in, and nothing is
        published. One can still look, and go. The daemon does this when all services
        have stopped.

        :return: fires when that is so.
        """


class IAuthoriser(Interface):
    """
    Says who may do what. Operations and channels ask the same one.
    """

    def permits(caller: Caller, requirement: str, what: str) -> bool | Awaitable[bool]:
        """
        :param requirement: What it takes, in the words of whoever declared it:
            ``"rooms.moderate"``.
        :param what: For what: an operation's or a channel's name, or the pattern of
            many channels, for all of which the answer is.
        :return: whether they may, or something that can be awaited and gives that.
        """


class IOperations(Interface):
    """
    Where a service offers operations: methods that anybody may call, by whatever
    protocol the daemon speaks.
    """

    def add(name: str, offered: Any) -> None:
        """
        Offer all methods of an object that are marked with
        :func:`~ropewalk.operations.operation`.

        :param name: What stands before the methods' names: ``"chat"`` for
            ``chat.say``. Letters, digits, ``_`` and ``-``; a letter first.
        :raise BadOperation: When one cannot be offered, or there is none.
        :raise Conflict: When there is an operation of that name already.
        """

    def call(name: str, arguments: Mapping[str, Any] | Sequence[Any]) -> Deferred[Any]:
        """
        Call an operation, whoever offers it, in the name of the service: as a caller
        whose ``via`` is ``"service"`` and whose ``address`` is the service's name.

        :param arguments: What JSON can say, by name or by place.
        :return: fires with the result, or fails, as
            :meth:`ropewalk.operations.Operations.call` does.
        """


class IDrainable(Interface):
    """
    One end of a connection that can say goodbye. A protocol implements it, or
    is adapted to it; one that is neither is closed as it stands.
    """

    def drain(reason: str) -> None:
        """
        Finish what is under way, tell the peer why, and close; soon, not at
        once. The connection's loss is how the caller knows that it is done.

        :param reason: Why, in a few words for people: ``"shutting down"``.
        """


class IReconfigurable(Interface):
    """
    A service that can take new settings while it runs.
    """

    def reconfigure(
        settings: Any,
    ) -> Collection[str] | Deferred[Collection[str]] | None:
        """
        Work by these settings from now on. Raise to refuse: everything that
        was already reconfigured, and this service, which may have come half
        way, is then given its old settings again. Taking longer than the
        service may take to start is refusing, too.

        :param settings: The new value of the plugin's ``Settings``.
        :return: the names of changed settings which only a restart applies
            (or a Deferred of them); nothing when all is applied.
        """


class IServicePlugin(Interface):
    """
    A service that can be had, named without being imported.
    """

    name = Attribute("Its table in the settings file, a str.")
    module = Attribute("The dotted name of the module that builds it, a str.")
    place = Attribute("Where it is declared: ``file:line`` or a distribution, a str.")


class IHealth(Interface):
    """
    Where a service says whether it can do its work.
    """

    def add(name: str, check: Callable[[], str | Deferred[str | None] | None]) -> None:
        """
        Ask this on every look at ``/health/ready``.

        :param name: What is checked: ``"database"``.
        :param check: Called without arguments; returns ``None`` while all is
            well, otherwise why it is not (or a Deferred or awaitable of these).
            Raising, or taking longer than five seconds, is not well.
        """


class IWeb(Interface):
    """
    A web site that services put their pages on.
    """

    def site(name: str) -> IWeb:
        """
        Another site of the daemon.

        :param name: As the settings call it: ``"internal"`` for the table
            ``[web.sites.internal]``; empty for the default one.
        :raise BadPlugin: When the settings do not have it.
        """

    def mount(
        path: str, app: Any, *, host: str | None = None, override: bool = False
    ) -> None:
        """
        Serve something at a path and below it.

        :param path: ``"/chat"``; ``"/"`` for all that nobody else has.
        :param app: A :class:`~ropewalk.web.routes.Routes`, a ``klein.Klein``, or a
            ``twisted.web`` resource. Applications may share a path, as long as no
            route is in two of them.
        :param host: For which host: ``"api.example.org"``, or
            ``"<company>.example.org"``, whose parameter is an argument of the
            handlers; ``None`` for all. Who is asked by name comes first.
        :param override: Take the place of another service's routes. An application
            takes the methods that it answers, a resource all that is mounted there.
        :raise BadPlugin: When nobody could ask for it, or it cannot be served.
        :raise Conflict: When the path is taken. That two services have one route is
            found when all are made.
        """

    def socket(
        path: str, protocol: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> None:
        """
        Serve WebSockets at a path.

        :param path: ``"/game/live"``; exactly this path, nothing below it.
        :param protocol: An Autobahn ``WebSocketServerProtocol`` class, called
            with ``args`` and ``kwargs`` for each connection.
        :raise Conflict: When the path is taken.
        """

    def use(*middleware: Any) -> None:
        """
        Put middleware around every request of the site, whoever answers it: see
        ``ropewalk.web.around``. The first is the outermost; it is inside of what
        was put there before.

        :raise TypeError: For something that is no middleware.
        """

    def component(
        function: Callable[..., Any],
        *,
        provides: Any = None,
        close: Callable[[Any], Any] | None = None,
        security: Mapping[str, Any] | None = None,
    ) -> None:
        """
        Let a function make what handlers ask for by its type, on all of the site:
        see ``ropewalk.web.components``.
        """

    def provide(kind: Any, value: Any) -> None:
        """
        Give one value to all handlers of the site that ask for its type.
        """

    def when(moment: str, listener: Callable[..., object]) -> None:
        """
        Be told of every request of the site.

        :param moment: ``"started"``, ``"finished"``, or ``"failed"`` by accident.
        :param listener: Called with the request, and for ``"failed"`` with a
            ``Failure`` as well.
        :raise ValueError: When there is no such moment.
        """


class IHost(Interface):
    """
    What ``makeService`` sees of the daemon. A host stops at ``makeService``:
    hand on by name what an object needs, never the host.
    """

    web = Attribute("Pages and WebSockets: the default site, an IWeb.")
    hub = Attribute("The channels, an IHub.")
    operations = Attribute("What can be called, an IOperations.")
    health = Attribute("Health checks, an IHealth.")
    reactor = Attribute("The reactor, which is the clock too.")

    def authorise(authoriser: IAuthoriser) -> None:
        """
        Have somebody say who may do what: call which operations, be in which channels.
        As long as nobody does, what takes something is for no one.

        :raise Conflict: When there is another already.
        """

    def listener(endpoint: str, factory: Any) -> Any:
        """
        A service that accepts connections. Certificates are read and TCP ports
        bound before the daemon gives up its privileges; it accepts when *every*
        service has started, and on stopping says goodbye to each connection.

        :param endpoint: Where: a Twisted server endpoint, ``"tcp:7070"``.
        :param factory: Any Twisted factory.
        :return: an ``IService``. Return it from ``makeService``, alone or in a
            ``MultiService``.
        :raise BadEndpoint: When the string is no endpoint, or what it needs is
            not there.
        :raise MissingExtra: When it needs a library that is not installed.
        :raise Conflict: When another service listens there.
        """

    def datagrams(endpoint: str, protocol: Any) -> Any:
        """
        A service that takes datagrams. As with :meth:`listener`, the port is bound
        before the daemon gives up its privileges, what comes is heard when every
        service has started, and on stopping each peer is told goodbye.

        :param endpoint: Where: ``"udp:7072"``, ``"udp:7072:interface=127.0.0.1"``.
        :param protocol: A :class:`~ropewalk.net.datagrams.Datagrams`, or any Twisted
            ``DatagramProtocol``.
        :return: an ``IService``, to be returned from ``makeService``.
        :raise BadEndpoint: When the string is no such endpoint.
        :raise Conflict: When another service takes datagrams there.
        """
