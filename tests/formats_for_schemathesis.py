"""
Formats that Schemathesis does not know: with these it sends msgpack as well, and looks
into more answers. It imports this because ``SCHEMATHESIS_HOOKS`` says so.
"""

from __future__ import annotations

from typing import Any

import msgspec
import schemathesis

MSGPACK = "application/msgpack"
LINES = "application/x-ndjson"


@schemathesis.serializer(MSGPACK)
def write_msgpack(ctx: Any, value: Any) -> bytes:
    """A value, as msgpack says it: it has no integers of more than 64 bits."""
    return msgspec.msgpack.encode(_with_floats(value))


def _with_floats(value: Any) -> Any:
    match value:
        case dict():
            return {key: _with_floats(each) for key, each in value.items()}
        case list():
            return [_with_floats(each) for each in value]
        case int() if not -(2**63) <= value < 2**64:
            return float(value)
    return value


@schemathesis.deserializer(MSGPACK)
def read_msgpack(ctx: Any, response: Any) -> Any:
    """What an answer says."""
    return msgspec.msgpack.decode(response.content)


@schemathesis.deserializer(LINES)
def read_lines(ctx: Any, response: Any) -> Any:
    """What each line says."""
    return [msgspec.json.decode(line) for line in response.content.splitlines()]
