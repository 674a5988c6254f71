# -*- test-case-name: tests.test_amp -*-
"""
Calls by AMP, for who speaks it: ``twisted.protocols.amp``. An operation is a command of
its name, as far as AMP can say what it takes and gives.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import inspect
from twisted.internet.defer import Deferred

from ropewalk.errors import RopewalkError
from ropewalk.net.calls.connections import Calling
from ropewalk.net.calls.conversation import Calls
from ropewalk.schema.kinds import (
    alternatives,
    item_kind,
    kind_of,
    list_kind,
    takes_text,
)
from ropewalk.schema.leaves import change_leaves
from ropewalk.schema.shape import encode_custom
from ropewalk.wire.amp import (
    AMP,
    BoxReader,
    read_list,
    write_list,
    write_pairs,
)
from ropewalk.wire.jsonrpc import Request

__all__ = ["BoxCalls", "CallBoxes", "read_arguments", "write_result"]

#: As ``twisted.protocols.amp.Boolean`` has them, and JSON.
_WORDS = {"True": True, "False": False, "true": True, "false": False}

#: One of as many digits as a float may have, and some.
_NUMBER = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?")


class BoxCalls(Calls):
    """The calls of a peer that speaks AMP."""

    form = AMP
    offers = hears = False

    def write(self, result: Any) -> bytes:
        return write_result(result)

    def arguments(self, request: Request) -> Any:
        given: Any = request.params
        if request.method.startswith("rpc."):
            return read_arguments(None, given)
        offered = self._operations.find(request.method)
        return read_arguments(None if offered is None else offered.shape, given)


class CallBoxes(Calling[bytes]):
    """
    One TCP connection that calls operations by AMP.

    Parameters are arguments: text in UTF-8, numbers and the like as text, true as
    ``True``, bytes as they are, lists as ``ListOf``, a part of a parameter by a dot
    (``message.text``). The result is the argument ``result``; one with parts is an
    argument for each, and ``None`` is none. Errors have the code of JSON-RPC, and a
    ``status``. Nobody hears of progress, hears channels, or offers operations.

    :param clock: Where time comes from.
    :param operations: What can be called.
    :param hub: The channels.
    :param settings: How much the peer may do.
    """

    via = "amp"
    kind = BoxCalls

    def heard(self, box: bytes) -> Deferred[None] | None:
        """Take a box."""
        return self._calls.hear(box)

    def complain(self, error: RopewalkError) -> None:
        self.leave()  # nothing can be found any more

    def send(self, box: bytes) -> None:
        """Send a box; what is none is not sent."""
        if self._leaving or not box:
            return
        self._unwritten.append(box)
        self._gatherable -= len(box)
        if self._gatherable < 0:
            self._write_out()

    def _tell(self, message: bytes) -> None:
        self.send(message)

    def _new_reader(self) -> BoxReader:
        return BoxReader()

    def _say_last(self, piece: bytes) -> None:
        self.send(piece)

    def _as_bytes(self, said: list[bytes]) -> bytes:
        return b"".join(said)


def read_arguments(shape: Any, given: Mapping[str, bytes]) -> dict[str, Any]:
    """
    What JSON can say of arguments, and bytes.

    :param shape: That of an operation's parameters. What is not of it comes out as the
        text that it is, to be refused in its turn; so does all if it is ``None``.
    """
    texts: dict[str, Any] = {}
    for name, value in given.items():
        _put(texts, name.split("."), value)
    if shape is None:
        return _each(texts)
    typed: dict[str, Any] = change_leaves(kind_of(shape), texts, _typed)
    return typed


def write_result(result: Any) -> bytes:
    """
    A result as a box, without its end.

    :raise ValueError: When AMP cannot say it.
    """
    plain = msgspec.to_builtins(
        result, builtin_types=(bytes,), str_keys=True, enc_hook=encode_custom
    )
    if plain is None:
        return b""
    if isinstance(plain, dict):
        return write_pairs(dict(_flat("", plain)))
    return write_pairs({"result": _bytes(plain)})


def _typed(kind: inspect.Type, value: Any) -> Any:
    """What AMP says of a value, by the type that is wanted."""
    if any(isinstance(each, inspect.BytesType) for each in alternatives(kind)):
        return value
    if (several := list_kind(kind)) is not None:
        try:
            parts = read_list(value)
        except ValueError:
            return _text(value)
        return [_typed(item_kind(several, at), each) for at, each in enumerate(parts)]
    text = _text(value)
    if isinstance(text, bytes) or takes_text(kind):
        return text
    return _WORDS[text] if text in _WORDS else _number(text)


def _text(value: bytes) -> Any:
    """Text; what is none stays what it is, and is refused where text is wanted."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value


def _number(text: str) -> Any:
    """A number; what is none stays text."""
    if _NUMBER.fullmatch(text) is None:
        return text
    return float(text) if any(each in text for each in ".eE") else int(text)


def _each(texts: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _each(value) if isinstance(value, dict) else _text(value)
        for name, value in texts.items()
    }


def _put(texts: dict[str, Any], steps: list[str], value: Any) -> None:
    *above, last = steps
    for step in above:
        inside = texts.setdefault(step, {})
        if not isinstance(inside, dict):
            return  # it was given as a whole, too, which is refused
        texts = inside
    texts[last] = value


def _flat(before: str, plain: Mapping[str, Any]) -> Any:
    for name, value in plain.items():
        key = f"{before}{name}"
        if key.startswith("_"):
            raise ValueError(f"{key!r} is no argument in AMP")
        if isinstance(value, dict):
            yield from _flat(f"{key}.", value)
        elif value is not None:
            yield key, _bytes(value)


def _bytes(value: Any) -> bytes:
    match value:
        case bytes():
            return value
        case str():
            return value.encode("utf-8")
        case bool() | int() | float():
            return repr(value).encode("ascii")
        case list() | tuple():
            return write_list(map(_bytes, value))
    raise ValueError(f"AMP cannot say {type(value).__name__} there")
