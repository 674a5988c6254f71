# -*- test-case-name: tests.test_hosting_channels -*-
"""
The hub, as the consumers of Django Channels have it: a channel layer.

.. code-block:: python

   CHANNEL_LAYERS = {
       "default": {"BACKEND": "ropewalk.web.hosting.channels.HubLayer"},
   }

A group is the channel of the hub that has its name. What a consumer sends to its group
reaches all who hear that channel, on whatever protocol, and what they publish reaches
the consumers in the group.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from secrets import token_hex
from typing import Any

from channels.exceptions import ChannelFull
from channels.layers import BaseChannelLayer
from zope.interface import implementer

from ropewalk.interfaces import ISubscriber, Message, Presence
from ropewalk.web.hosting import here

__all__ = ["HubLayer"]

#: What a message is to a consumer when whoever published it did not say: calls its
#: method ``hub_message``.
_PLAIN = "hub.message"


class HubLayer(BaseChannelLayer):  # type: ignore[misc]  # Channels has no types
    """
    A channel layer of one daemon.

    What is sent to a channel of this process's own, as ``channel_name`` of a consumer
    is, stays in it; groups reach as far as the hub does. It is no queue of work for
    other processes. All of it happens in the reactor's thread, as consumers do; to send
    to a group, any thread will do.

    :param prefix: What is before a group's name in its channel's, with a dot behind it.
    :param capacity: How many messages may wait in a channel: more are dropped.
    """

    extensions = ("groups", "flush")

    def __init__(self, prefix: str = "", capacity: int = 100, **others: Any) -> None:
        super().__init__(capacity=capacity, **others)
        capacities = self.compile_capacities(others.get("channel_capacity") or {})
        self.channel_capacity: Any = capacities
        self._prefix = f"{prefix}." if prefix else ""
        self._process = token_hex(8)
        self._boxes: dict[str, _Box] = {}
        self._groups: dict[str, _Group] = {}

    async def new_channel(self, prefix: str = "specific") -> str:
        """A name that no other channel has."""
        return f"{prefix}.{self._process}!{token_hex(8)}"

    async def send(self, channel: str, message: Mapping[str, Any]) -> None:
        """
        Send to one channel.

        :raise channels.exceptions.ChannelFull: When nobody takes what is in it.
        """
        self.require_valid_channel_name(channel)
        _check(message)
        if not self._put(channel, dict(message)):
            raise ChannelFull(channel)

    async def receive(self, channel: str) -> dict[str, Any]:
        """The next message of a channel."""
        self.require_valid_channel_name(channel)
        box = self._boxes.setdefault(channel, _Box())
        try:
            return await box.take()
        finally:
            if not box.messages and not box.waiting:
                self._boxes.pop(channel, None)

    async def group_add(self, group: str, channel: str) -> None:
        """Have a channel hear a group."""
        self.require_valid_group_name(group)
        self.require_valid_channel_name(channel)
        members = self._groups.get(group)
        if members is None:
            members = self._groups[group] = _Group(self, group)
            members.channels.add(channel)
            await here.subscribe(self._prefix + group, members)
        members.channels.add(channel)

    async def group_discard(self, group: str, channel: str) -> None:
        """Let it hear the group no more."""
        self.require_valid_group_name(group)
        members = self._groups.get(group)
        if members is None:
            return
        members.channels.discard(channel)
        if not members.channels:
            del self._groups[group]
            await here.unsubscribe(self._prefix + group, members)

    async def group_send(self, group: str, message: Mapping[str, Any]) -> None:
        """Send to whoever hears a group."""
        self.require_valid_group_name(group)
        _check(message)
        await here.publish(self._prefix + group, dict(message))

    async def flush(self) -> None:
        """Forget all channels and groups."""
        groups, self._groups = self._groups, {}
        self._boxes.clear()
        for name, members in groups.items():
            await here.unsubscribe(self._prefix + name, members)

    def _put(self, channel: str, message: dict[str, Any]) -> bool:
        """Put a message into a channel, if there is room for it."""
        box = self._boxes.setdefault(channel, _Box())
        if len(box.messages) >= self.get_capacity(channel):
            return False
        box.put(message)
        return True


class _Box:
    """
    What waits in a channel.

    :ivar messages: The messages.
    :ivar waiting: Who waits for one.
    """

    def __init__(self) -> None:
        self.messages: deque[dict[str, Any]] = deque()
        self.waiting: deque[asyncio.Future[None]] = deque()

    def put(self, message: dict[str, Any]) -> None:
        self.messages.append(message)
        for each in self.waiting:
            if not each.done():
                each.set_result(None)
                return

    async def take(self) -> dict[str, Any]:
        while not self.messages:
            waiting = asyncio.get_running_loop().create_future()
            self.waiting.append(waiting)
            try:
                await waiting
            finally:
                self.waiting.remove(waiting)
        return self.messages.popleft()


@implementer(ISubscriber)
class _Group:
    """
    The channels that hear a group.

    :ivar channels: Their names.
    """

    def __init__(self, layer: HubLayer, name: str) -> None:
        self._layer, self._name = layer, name
        self.channels: set[str] = set()

    def deliver(self, message: Message) -> None:
        """Put it into each; one that is full goes without, as Channels promises."""
        body = message.body
        if not isinstance(body, Mapping) or not isinstance(body.get("type"), str):
            body = {"type": _PLAIN, "channel": self._name, "body": body}
        for channel in tuple(self.channels):
            self._layer._put(channel, dict(body))

    def joined(self, channel: str, presence: Presence) -> None:
        """Consumers are told of messages only."""

    def left(self, channel: str, presence: Presence) -> None:
        """As above."""


def _check(message: Any) -> None:
    if not isinstance(message, Mapping) or not isinstance(message.get("type"), str):
        raise TypeError(
            f"expected a message with a 'type', {{'type': 'chat.message'}}, got "
            f"{message!r}"
        )
