# -*- test-case-name: tests.test_client -*-
"""
A client that does not lose things: the channels and operations of another daemon, for
programs.

It hears each message once and in order, however often its connection is cut, and is
told when the history does not reach back so far. It talks by WebSocket; where that is
not let through, it hears streams of events, or asks again and again; or it talks in
lines or frames over TCP. By any of these but the pages it can offer operations, too.
"""

from ropewalk.client.calls import Refused
from ropewalk.client.client import Client
from ropewalk.client.hearing import Hearing
from ropewalk.client.offers import Offer
from ropewalk.client.records import People, Present, Said
from ropewalk.client.subscriptions import Subscription

__all__ = [
    "Client",
    "Hearing",
    "Offer",
    "People",
    "Present",
    "Refused",
    "Said",
    "Subscription",
]
