# -*- test-case-name: tests.test_testing -*-
"""
The kit for those who write plugins: services run in memory, on a clock that the
test moves, and are talked to by clients with the same three verbs, ``send``,
``receive`` and ``close``, whatever they speak::

    class ChatTests(TestCase):
        @inlineCallbacks
        def test_hello(self):
            host = yield self.start("chat")
            ada = host.lines("chat")
            yield ada.send("/join lobby Ada")
            yield host.http().post("/chat/lobby", json={"author": "Alan", "text": "hi"})
            self.assertIn("Alan: hi", (yield ada.received()))

Importing this installs the asyncio reactor, unless somebody chose another.
"""

from ropewalk.testing.choosing import choose

choose()

from ropewalk.testing.case import NeverRun, TestCase  # noqa: E402
from ropewalk.testing.clients import (  # noqa: E402
    Closed,
    Closing,
    HTTPClient,
    LineClient,
    Response,
    SocketClient,
    Text,
)
from ropewalk.testing.clock import Clock, Restless, Silence  # noqa: E402
from ropewalk.testing.host import LeftBehind, MemoryHost  # noqa: E402
from ropewalk.testing.reactor import MemoryReactor  # noqa: E402

__all__ = [
    "Clock",
    "Closed",
    "Closing",
    "HTTPClient",
    "LeftBehind",
    "LineClient",
    "MemoryHost",
    "MemoryReactor",
    "NeverRun",
    "Response",
    "Restless",
    "Silence",
    "SocketClient",
    "TestCase",
    "Text",
]
