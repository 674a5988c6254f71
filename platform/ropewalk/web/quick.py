# -*- test-case-name: tests.test_quick -*-
"""
The usual way of a request: in C where that was compiled, in Python otherwise.

``ROPEWALK_NATIVE=0`` in the environment has it in Python all the same.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING

from msgspec import Struct
from twisted.web.http import RESPONSES
from twisted.web.server import Request

from ropewalk import telemetry
from ropewalk.schema import write_json
from ropewalk.web.lines import header_line, opening, remembered
from ropewalk.wire.http1 import Fields, HeadLimits, read_fields

__all__ = [
    "ChannelBase",
    "RequestBase",
    "is_native",
    "said_headers",
    "serve",
    "set_request",
]

is_native = False

#: Bytes of headers that are not kept, to be looked at but once.
_LONG = 1024

if TYPE_CHECKING or os.environ.get("ROPEWALK_NATIVE", "1") == "0":
    from ropewalk.web.plain import (
        ChannelBase,
        RequestBase,
        said_headers,
        serve,
        set_request,
    )
else:
    try:
        from ropewalk.web._quick import (
            ChannelBase,
            RequestBase,
            said_headers,
            serve,
            set_request,
            set_up,
        )
    except ImportError:
        from ropewalk.web.plain import (
            ChannelBase,
            RequestBase,
            said_headers,
            serve,
            set_request,
        )
    else:
        is_native = True
        # What it reads has kept to the limits.
        _anything = HeadLimits(1 << 62, 1 << 62, 1 << 62)

        # A client says the same in each request, as a rule.
        @lru_cache(256)
        def _read_again(block: bytes) -> Fields:
            return read_fields(block, True, _anything)

        def _read(block: bytes) -> Fields:
            if len(block) > _LONG:
                return read_fields(block, True, _anything)
            return _read_again(block)

        set_up(
            *(telemetry.work.variable, _read, header_line, remembered, opening),
            *(write_json, Struct, RESPONSES[200], Request.defaultContentType),
        )
