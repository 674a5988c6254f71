"""
Tests for L{ropewalk.web.hosting.channels}: consumers of Django Channels, and the hub.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any
from unittest import skipUnless

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.hub import Mailbox, MemoryHub
from ropewalk.operations import Operations
from ropewalk.web.hosting import here
from tests.asgi_places import on_loop, turns
from tests.test_asgi_sockets import TEXT, SocketTestCase
from tests.test_sockets import frame

try:
    import django
    from channels.exceptions import ChannelFull
    from channels.generic.websocket import AsyncJsonWebsocketConsumer
    from django.conf import settings
except ImportError:
    if os.environ.get("CI") == "true":
        raise
    is_there = False
else:
    is_there = True
    if not settings.configured:
        settings.configure(
            CHANNEL_LAYERS={
                "default": {"BACKEND": "ropewalk.web.hosting.channels.HubLayer"}
            },
            SECRET_KEY="of tests",
        )
        django.setup()
    from ropewalk.web.hosting.channels import HubLayer

    class Room(AsyncJsonWebsocketConsumer):  # type: ignore[misc]
        """A room, as Channels has it."""

        async def connect(self) -> None:
            await self.channel_layer.group_add("rooms.lobby", self.channel_name)
            await self.accept()

        async def disconnect(self, code: int) -> None:
            await self.channel_layer.group_discard("rooms.lobby", self.channel_name)

        async def receive_json(self, content: Any, **kwargs: Any) -> None:
            message = {"type": "chat.message", "text": content}
            await self.channel_layer.group_send("rooms.lobby", message)

        async def chat_message(self, event: Any) -> None:
            await self.send_json(event["text"])

        async def hub_message(self, event: Any) -> None:
            await self.send_json([event["channel"], event["body"]])


MISSING = "channels is not installed: pip install 'ropewalk[test]'"


def attach(case: SynchronousTestCase) -> MemoryHub:
    """Have a daemon, and its hub."""
    clock = Clock()
    hub = MemoryHub(clock.seconds, clock=clock, epoch="e")
    case.addCleanup(here.attach(clock, hub, Operations(clock)))  # type: ignore[arg-type]
    return hub


@skipUnless(is_there, MISSING)
class LayerTests(SynchronousTestCase):
    """
    The layer by itself.
    """

    def setUp(self) -> None:
        self.hub = attach(self)

    @on_loop
    async def test_channels(self) -> None:
        """
        What is sent to a channel is received from it, in order, and nowhere else.
        """
        layer = HubLayer()
        one, other = await layer.new_channel(), await layer.new_channel()
        self.assertNotEqual(one, other)
        for text in ("a", "b"):
            await layer.send(one, {"type": "say", "text": text})
        self.assertEqual((await layer.receive(one))["text"], "a")
        self.assertEqual((await layer.receive(one))["text"], "b")
        waiting = asyncio.ensure_future(layer.receive(other))
        await turns()
        self.assertFalse(waiting.done())
        waiting.cancel()
        await turns()
        self.assertEqual(layer._boxes, {})

    @on_loop
    async def test_groups(self) -> None:
        """
        What is sent to a group is received by each channel in it, as long as it is.
        """
        layer = HubLayer()
        names = [await layer.new_channel() for _ in range(2)]
        for name in names:
            await layer.group_add("rooms.lobby", name)
        await layer.group_send("rooms.lobby", {"type": "say"})
        for name in names:
            self.assertEqual(await layer.receive(name), {"type": "say"})
        for name in names:
            await layer.group_discard("rooms.lobby", name)
        await layer.group_discard("rooms.lobby", names[0])
        await layer.group_send("rooms.lobby", {"type": "say"})
        self.assertEqual((layer._boxes, layer._groups), ({}, {}))

    @on_loop
    async def test_two_layers(self) -> None:
        """
        Two layers are in one hub; with a prefix of its own, each has its own groups.
        """
        one, other, third = HubLayer(), HubLayer(), HubLayer(prefix="shop")
        for layer in (one, other, third):
            await layer.group_add("rooms", f"a.b!{id(layer)}")
        await one.group_send("rooms", {"type": "say"})
        await other.receive(f"a.b!{id(other)}")
        self.assertEqual(third._boxes, {})
        self.assertEqual(set(self.hub.figures().channels), {"rooms", "shop.rooms"})

    @on_loop
    async def test_full(self) -> None:
        """
        A channel of which nobody takes anything is full at some time.
        """
        layer = HubLayer(capacity=2)
        await layer.group_add("rooms", "a!b")
        for _ in range(5):
            await layer.group_send("rooms", {"type": "say"})
        with self.assertRaises(ChannelFull):
            await layer.send("a!b", {"type": "say"})
        self.assertEqual(len(layer._boxes["a!b"].messages), 2)
        await layer.flush()
        await layer.send("a!b", {"type": "say"})

    @on_loop
    async def test_no_message(self) -> None:
        """
        What has no type is no message.
        """
        layer = HubLayer()
        for wrong in ({}, {"type": 1}, "text"):
            with self.assertRaises(TypeError):
                await layer.group_send("rooms", wrong)  # type: ignore[arg-type]


@skipUnless(is_there, MISSING)
class ConsumerTests(SocketTestCase):
    """
    A consumer, mounted.
    """

    @on_loop
    async def test_both_ways(self) -> None:
        """
        What is published into a channel reaches a consumer in the group of that name,
        and what it sends there reaches whoever hears the channel.
        """
        hub = attach(self)
        mailbox = Mailbox()
        await here.subscribe("rooms.lobby", mailbox)
        visit = await self.open(Room.as_asgi())
        await self.until(lambda: visit.wire.value())
        self.assertEqual(self.said(visit), [])
        visit.send(frame(TEXT, b'"rope"'))
        await self.until(lambda: visit.wire.value())
        self.assertEqual(self.said(visit), [(TEXT, b'"rope"')])
        message = await mailbox.take()
        self.assertEqual(message.body, {"type": "chat.message", "text": "rope"})
        hub.publish("rooms.lobby", {"sold": 3})
        hub.publish("rooms.lobby", {"type": "chat.message", "text": "hemp"})
        await self.until(lambda: b"hemp" in visit.wire.value())
        plain = (TEXT, b'["rooms.lobby", {"sold": 3}]')
        self.assertEqual(self.said(visit), [plain, (TEXT, b'"hemp"')])
        visit.leave()
        await here.unsubscribe("rooms.lobby", mailbox)
        await self.until(lambda: not hub.figures().channels["rooms.lobby"].subscribers)

    async def until(self, done: Callable[[], Any]) -> None:
        """Wait: Channels asks the database in a thread before each message."""
        async with asyncio.timeout(30):
            while not done():
                await turns()
                self.place.clock.advance(0)
