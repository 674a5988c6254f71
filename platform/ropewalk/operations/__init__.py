# -*- test-case-name: tests.test_operations -*-
"""
Operations: typed methods, offered on every protocol::

    class Rooms:
        @operation(rate="10/s", timeout=5, requires="rooms.say")
        @inlineCallbacks
        def say(self, room: str, message: Message) -> Steps[int]:
            \"""Say something in a room; the number of people who heard it.\"""

    operations.add("chat", Rooms())

From then on ``chat.say`` can be called. Who offers it on a protocol needs
:meth:`Operations.call` and :meth:`Operations.offered`, and nothing else; here nobody
knows of protocols.
"""

from ropewalk.operations.calling import Called
from ropewalk.operations.declaring import Declaration, operation
from ropewalk.operations.describing import Offered
from ropewalk.operations.figures import Figures
from ropewalk.operations.limits import Limit, Rate
from ropewalk.operations.parameters import Parameters, Progress
from ropewalk.operations.registry import Operations

__all__ = [
    "Called",
    "Declaration",
    "Figures",
    "Limit",
    "Offered",
    "Operations",
    "Parameters",
    "Progress",
    "Rate",
    "operation",
]
