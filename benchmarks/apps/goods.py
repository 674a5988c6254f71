"""
What every peer serves, and the shape that those read who have nothing of their own
for that: msgspec's, which is the fastest there is.
"""

from msgspec import Struct

HELLO = "Hello, world!"

#: 64 KiB, of which no part is like another.
BIG = b"".join(b"%07d\n" % number for number in range(65536 // 8))


class Item(Struct):
    """What is posted: decoded, checked, and echoed."""

    name: str
    price: float
    quantity: int
    tags: list[str]
    note: str = ""
