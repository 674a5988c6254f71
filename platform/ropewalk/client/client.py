# -*- test-case-name: tests.test_client -*-
"""
The client of a daemon.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import random
from typing import Any

from twisted.internet.defer import Deferred

from ropewalk.client.calls import Refused
from ropewalk.client.functions import function_for
from ropewalk.client.hearing import Hearing
from ropewalk.client.offers import Offer, Terms
from ropewalk.client.places import Place
from ropewalk.client.records import People, Present, Said, read
from ropewalk.client.session import Session
from ropewalk.client.subscriptions import Listener, Subscription
from ropewalk.client.ways import Owner, Way
from ropewalk.operations.peers import Routing

__all__ = ["Client"]

_WEB = ("websocket", "events", "poll")

#: Schemes of what is spoken over TCP alone, each of which is a way.
_TCP = ("lines", "frames")


class Client:
    """
    One daemon, as its channels and operations are seen from elsewhere. It connects at
    once, and again whenever the connection is lost, until it is closed.

    What is lost is taken up again: after a while that grows and is never the same for
    all who have lost one daemon, behind the last message that was heard. A way that is
    not let through twice gives way to the next one, the last one to the first.

    :param url: Where: ``"https://example.org"``, ``"ws://127.0.0.1:8080"``, with a path
        where the site is below one; ``"lines://127.0.0.1:7071"``; or
        ``"frames://127.0.0.1:7072"``, for msgpack.
    :param reactor: Where time and connections come from.
    :param ways: What to try on a web site, the best first.
    :param packed: Whether to speak msgpack by WebSocket. What cannot be said in JSON
        cannot be said then, either, nor a number of more than 64 bits.
    :param deadline: Seconds that a call may take, more than 0.
    :param most: How many calls may wait for a connection. One more is refused at once.
    :param pause: Seconds before the first new attempt, more than 0; each one that fails
        doubles it, up to a minute. Up to a half of it is left off by chance.
    :param chance: Gives numbers from 0 to 1.
    :param silence: Seconds without a sign of life after which the daemon is asked for
        one. After half as many again the connection is taken for lost. (A stream of
        events has one every 15 seconds.) For the first thing that it says the daemon
        has as many, 10 at most.
    :param longest: Bytes of the longest message that is heard.
    :param changed: Told of each new :attr:`state`.
    :param live: Where on the site WebSockets are,
    :param channels: where channels,
    :param operations: and where operations.
    :raise ValueError: When there can be no daemon at the URL, or no such way.
    """

    def __init__(
        self,
        url: str,
        reactor: Any,
        *,
        ways: Sequence[str] = _WEB,
        packed: bool = False,
        deadline: float = 30,
        most: int = 100,
        pause: float = 0.5,
        chance: Callable[[], float] = random,
        silence: float = 30,
        longest: int = 16 * 1024 * 1024,
        changed: Callable[[str], object] | None = None,
        live: str = "/live",
        channels: str = "/channels",
        operations: str = "/operations",
    ) -> None:
        place = Place.of(url)
        if place.scheme in _TCP:
            ways = (place.scheme,)
        elif not ways or not set(ways) <= set(_WEB):
            raise ValueError(f"ways are {', '.join(_WEB)}, not {ways!r}")
        if not (deadline > 0 and pause > 0 and silence > 0):
            raise ValueError("deadline, pause and silence are more than 0 seconds")
        self._deadline = deadline
        pages = channels, operations
        doors = _Doors(place, reactor, silence, longest, live, pages, packed)
        self._ways = ways
        self._session = Session(
            *(doors.make, reactor, ways, most, pause, chance, changed),
            packed or place.scheme == "frames",
        )
        self._session.start()

    @property
    def state(self) -> str:
        """
        Whether it talks to the daemon: ``"connecting"``, ``"open"`` or ``"closed"``.
        """
        return self._session.state

    @property
    def way(self) -> str:
        """
        By what it talks, or tries to: ``"websocket"``, ``"events"``, ``"poll"``,
        ``"lines"`` or ``"frames"``.
        """
        return self._session.way

    # Channels.

    def subscribe(
        self,
        channel: str,
        heard: Callable[[Said], object],
        *,
        who: str | None = None,
        data: dict[str, Any] | None = None,
        after: str | None = None,
        joined: Callable[[Present], object] | None = None,
        left: Callable[[Present], object] | None = None,
        gap: Callable[[], object] | None = None,
        refused: Callable[[Refused], object] | None = None,
    ) -> Subscription:
        """
        Hear a channel, from when the daemon has the subscription on.

        :param channel: Its name, or a pattern. Of a pattern nobody knows what was said
            while there was no connection: ``gap`` is told each time. By polling there
            are no patterns.
        :param heard: Told each message, once and in order. What any of these raise is
            logged, and harms nothing.
        :param who: A name to be present under; not by polling.
        :param data: What others are to see of it; not by HTTP.
        :param after: The token of the last message that is known already. ``""`` is
            before all there is, so that what is kept is heard first.
        :param joined: Told of those who come,
        :param left: and go; not by polling.
        :param gap: Told when the history does not reach back to what was heard last, or
            nobody can say whether it does: what is heard next is what there is.
        :param refused: Told when one may not subscribe; that is the end of the
            subscription. Where nobody is told, it is logged.
        :raise BadChannel: When it is the name of none.
        :raise ValueError: When the channel is heard already, or is a pattern, which has
            no token.
        :raise TypeError: When the data cannot be said in JSON.
        :raise Refused: When the client is closed.
        """
        listener = Listener(heard, joined, left, gap, refused)
        leave = self._session.leave
        subscription = Subscription(channel, listener, who, data, after, leave)
        self._session.subscribe(subscription)
        return subscription

    def hear(self, channel: str, *, limit: int = 100, **listening: Any) -> Hearing:
        """
        Hear a channel with ``async for``.

        :param limit: How many messages may wait to be taken, 1 or more.
        :param listening: As of :meth:`subscribe`, but for ``heard`` and ``refused``.
        :raise ValueError: As there, or when the limit is none; and as there what else.
        """
        hearing = Hearing(limit)
        hearing.begin(
            self.subscribe(channel, hearing.put, refused=hearing.refuse, **listening)
        )
        return hearing

    def publish(self, channel: str, body: Any) -> Deferred[Said]:
        """
        Publish into a channel.

        :param body: What JSON can say.
        :return: fires with the message.
        :raise Refused: As with :meth:`call`.
        """
        asked = self._ask("rpc.publish", {"channel": channel, "body": body})
        return asked.addCallback(lambda told: read(Said, told))

    def present(self, channel: str) -> Deferred[People]:
        """
        Ask who is in a channel.

        :raise Refused: As with :meth:`call`.
        """
        asked = self._ask("rpc.present", {"channel": channel})
        return asked.addCallback(lambda told: read(People, told))

    def history(self, channel: str, limit: int = 100) -> Deferred[list[Said]]:
        """
        Ask for the last messages that are kept, oldest first.

        :param limit: How many at most, from 1 to 1000.
        :raise Refused: As with :meth:`call`.
        """
        asked = self._ask("rpc.history", {"channel": channel, "limit": limit})
        return asked.addCallback(lambda told: read(list[Said], told))

    # Operations.

    def call(
        self,
        name: str,
        /,
        *,
        deadline: float | None = None,
        progress: Callable[[Any], object] | None = None,
        **parameters: Any,
    ) -> Deferred[Any]:
        """
        Call an operation, now or when there is a connection.

        :param deadline: Seconds that it may take, with the wait for a connection;
            ``None`` for as many as the client says.
        :param progress: Told of progressive results; not by HTTP.
        :param parameters: What JSON can say. For one that is called as something here,
            there is :meth:`call_with`.
        :return: fires with its result. Cancelling it cancels the call.
        :raise Refused: When the daemon refuses it, with its status and faults. With the
            status 504 when it takes too long; 0 when too many wait for a connection, or
            when one was lost while it was under way: nobody knows whether it was done.
        :raise TypeError: When the parameters cannot be said in JSON.
        :raise ValueError: At once, when it is the name of none.
        """
        return self.call_with(name, parameters, deadline=deadline, progress=progress)

    def call_with(
        self,
        name: str,
        parameters: Mapping[str, Any],
        *,
        deadline: float | None = None,
        progress: Callable[[Any], object] | None = None,
    ) -> Deferred[Any]:
        """
        As :meth:`call`, with the parameters in a mapping.
        """
        if name.startswith("rpc."):
            known = "publish, present and history"
            raise ValueError(f"{name} is no operation; a client has {known}")
        seconds = self._deadline if deadline is None else deadline
        return self._session.ask(name, parameters, seconds, progress)

    def offer(
        self,
        name: str,
        function: Callable[..., Any],
        *,
        routing: Routing = "single",
        requires: str | None = None,
        running: int = 32,
        refused: Callable[[Refused], object] | None = None,
    ) -> Offer:
        """
        Offer an operation, until the offer is stopped or the client closed; after each
        loss anew.

        :param name: Its name: two words with a dot between them, ``"lamp.switch"``.
        :param function: What does it: plain, ``@inlineCallbacks`` or ``async def``. It
            is called with the parameters; where each has a type, what comes is checked
            first. A parameter of the type :class:`~ropewalk.operations.Progress` is
            told how far it is. What it returns is the answer. A
            :class:`~ropewalk.errors.RopewalkError` is told to who has called; anything
            else it raises is logged, and they hear that something went wrong. It is
            cancelled when nobody waits any more.
        :param routing: Who is asked where several offer it: ``"single"``, there is one
            and no other; ``"first"``, the one who has for longest; ``"round-robin"``.
        :param requires: What it takes to call it; ``None`` for nothing.
        :param running: How many calls may run at once, 1 or more. Who calls meanwhile
            hears 503.
        :param refused: Told why it is not offered. If it may not be, that is the end of
            the offer. If it cannot be now, as by events, it is tried again:
            ``offer.stands`` says so. Where nobody is told, it is logged.
        :raise ValueError: When it is offered already, there is no such bound, or by
            none of the client's ways anything can be offered.
        :raise BadOperation: When no call could give what the function takes.
        :raise Refused: When the client is closed.
        """
        if running < 1:
            raise ValueError(f"running is 1 or more, not {running!r}")
        if not set(self._ways) & {"websocket", *_TCP}:
            told = " and ".join(self._ways)
            raise ValueError(
                f"nothing can be offered by {told}: have {name} offered by websocket"
            )
        terms = Terms(routing, requires, running, refused)
        called = function_for(name, function)
        offer = Offer(name, called, terms, self._session.withdraw)
        self._session.offer(offer)
        return offer

    def close(self) -> Deferred[None]:
        """
        Leave, for good. What is under way or waits is refused.

        :return: fires when no connection is left.
        """
        return self._session.close()

    def _ask(self, method: str, params: Mapping[str, Any]) -> Deferred[Any]:
        return self._session.ask(method, params, self._deadline)


class _Doors:
    """
    Makes the ways to one daemon. What a way needs is imported when it is tried.
    """

    def __init__(
        self,
        place: Place,
        reactor: Any,
        silence: float,
        longest: int,
        live: str,
        pages: tuple[str, str],
        packed: bool,
    ) -> None:
        self._place = place
        self._reactor = reactor
        self._silence = silence
        self._longest = longest
        self._live = live
        self._pages = pages
        self._packed = packed

    def make(self, name: str, owner: Owner) -> Way:
        """Make one."""
        place, reactor, longest = self._place, self._reactor, self._longest
        there = owner, self._silence, place
        if name == "lines":
            from ropewalk.client.lines import ByLines

            return ByLines(*there, reactor, longest)
        if name == "frames":
            from ropewalk.client.frames import ByFrames

            return ByFrames(*there, reactor, longest)
        if name == "websocket":
            from ropewalk.client.sockets import BySocket

            return BySocket(*there, self._live, reactor, longest, self._packed)
        from ropewalk.client.pages import Pages
        from ropewalk.client.web import ByEvents, ByPolling

        pages = Pages(place, reactor, longest)
        kind = ByEvents if name == "events" else ByPolling
        return kind(owner, self._silence, pages, *self._pages)
