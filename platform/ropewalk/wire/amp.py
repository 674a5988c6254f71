# -*- test-case-name: tests.test_amp -*-
"""
AMP, Twisted's Asynchronous Messaging Protocol (``twisted.protocols.amp``): boxes out of
bytes, and the messages of :mod:`ropewalk.wire.jsonrpc` in boxes.

A box is pairs of a key and a value, each behind its length in two bytes; a length of 0
in place of a key ends it. A key has up to 255 bytes, a value up to 65,535.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ropewalk.errors import RopewalkError
from ropewalk.wire.jsonrpc import Format

__all__ = ["AMP", "BoxReader", "read_list", "read_pairs", "write_list", "write_pairs"]

_LONGEST_KEY = 0xFF
_LONGEST_VALUE = 0xFFFF

_END = b"\0\0"


class BoxReader:
    """
    What has come, and is not taken yet.

    :ivar more: Whether there may be something to take.
    :ivar lost: Whether nothing can be found any more: what came is no box, or one that
        is too long.
    """

    __slots__ = ("_at", "_data", "_is_key", "lost", "more")

    def __init__(self) -> None:
        self.more = False
        self.lost = False
        self._data = bytearray()
        self._at = 0  # where in the first box the next length is
        self._is_key = True

    def lone(self, data: bytes, longest: int) -> bytes | None:
        """A box is always looked for, and never taken as it comes."""
        return None

    def feed(self, data: bytes) -> None:
        """Take what has come."""
        if not self.lost:
            self._data += data
            self.more = True

    def take(self, most: int, longest: int) -> tuple[list[bytes], RopewalkError | None]:
        """
        Give boxes, and forget them.

        :param most: How many at most.
        :param longest: Bytes that a box may have.
        :return: the boxes before the first that is wrong, and what is wrong with that;
            nothing is given after it.
        """
        boxes: list[bytes] = []
        while len(boxes) < most:
            problem = self._find_end(longest)
            if problem is not None:
                self.lost, self.more = True, False
                self._data.clear()
                return boxes, RopewalkError(problem)
            if not self._is_whole():
                self.more = False
                break
            end = self._at + len(_END)
            boxes.append(bytes(self._data[: self._at]))
            del self._data[:end]
            self._at = 0
        return boxes, None

    def __len__(self) -> int:
        """How many bytes wait."""
        return len(self._data)

    def _is_whole(self) -> bool:
        at = self._at
        return self._is_key and self._data[at : at + len(_END)] == _END

    def _find_end(self, longest: int) -> str | None:
        """
        Go on to the end of the first box, as far as it is there.

        :return: what is wrong with it, if something is.
        """
        data = self._data
        while len(data) >= self._at + 2 and not self._is_whole():
            size = int.from_bytes(data[self._at : self._at + 2])
            if self._is_key and size > _LONGEST_KEY:
                return "that is no box of AMP"
            after = self._at + 2 + size
            if after > longest:
                return f"that box is too long: {after} bytes, of {longest} at most"
            if len(data) < after:
                break
            self._at, self._is_key = after, not self._is_key
        return None


def read_pairs(raw: bytes) -> dict[bytes, bytes]:
    """
    Take a box apart. Of a key that is there twice, the last value counts.

    :param raw: A box without its end.
    :raise ValueError: When it is none.
    """
    parts = read_list(raw)
    if len(parts) % 2:
        raise ValueError("a key has no value")
    return dict(zip(parts[::2], parts[1::2], strict=True))


def write_pairs(pairs: Mapping[str, bytes]) -> bytes:
    """
    Make a box, without its end.

    :raise ValueError: When a key or a value is too long, or a key is blank.
    """
    written = bytearray()
    for key, value in pairs.items():
        name = key.encode("utf-8")
        if not 0 < len(name) <= _LONGEST_KEY:
            raise ValueError(f"a key of {len(name)} bytes is none in AMP")
        written += write_list([name, value])
    return bytes(written)


def read_list(raw: bytes) -> list[bytes]:
    """
    Take a list apart: values, each behind its length, as ``ListOf`` of
    ``twisted.protocols.amp`` has them.

    :raise ValueError: When it is none.
    """
    parts, at = [], 0
    while at < len(raw):
        start = at + 2
        at = start + int.from_bytes(raw[at:start])
        if start > len(raw) or at > len(raw):
            raise ValueError("a value ends too early")
        parts.append(raw[start:at])
    return parts


def write_list(values: Iterable[bytes]) -> bytes:
    """
    Make a list.

    :raise ValueError: When a value is too long.
    """
    written = bytearray()
    for value in values:
        if len(value) > _LONGEST_VALUE:
            raise ValueError(f"a value of {len(value)} bytes is too long for AMP")
        written += len(value).to_bytes(2) + value
    return bytes(written)


# Messages.


def _decode(raw: bytes) -> dict[str, Any]:
    """
    A box as a message. Parameters are bytes.

    :raise ValueError: When it is none.
    """
    box = read_pairs(raw)
    for kind in (b"_answer", b"_error"):
        if kind in box:  # nobody has asked
            return {"jsonrpc": "2.0", "id": box[kind].decode("latin-1"), "result": None}
    if b"_command" not in box:
        raise ValueError("there is no _command")
    method = box.pop(b"_command").decode()
    message: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
    if b"_ask" in box:
        message["id"] = box.pop(b"_ask").decode("latin-1")
    return {**message, "params": {key.decode(): value for key, value in box.items()}}


def _encode(answer: Any) -> bytes:
    """
    An answer as a box. To what has no name there is none, nor are there batches.
    """
    number = None if isinstance(answer, Sequence) else answer.get("id")
    if not isinstance(number, str):
        return b""
    tag = number.encode("latin-1")
    if "result" in answer:
        return write_pairs({"_answer": tag}) + bytes(answer["result"]) + _END
    error = answer["error"]
    pairs = {
        "_error": tag,
        "_error_code": str(error["code"]).encode("ascii"),
        "_error_description": error["message"].encode("utf-8")[:_LONGEST_VALUE],
    }
    if "status" in error.get("data", ()):
        pairs["status"] = str(error["data"]["status"]).encode("ascii")
    return write_pairs(pairs) + _END


#: Messages in boxes. The result in an answer is a box, too, without its end.
AMP = Format("AMP", _decode, _encode)
