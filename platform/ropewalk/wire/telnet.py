# -*- test-case-name: tests.test_telnet -*-
"""
What telnet says besides what is typed (RFC 854): it is taken out, and whatever the
other side asks for is refused.
"""

from __future__ import annotations

from typing import Final

__all__ = ["IAC", "Telnet"]

#: What a command begins with, and what is asked (RFC 854, "TELNET command structure").
IAC: Final = 255
_DONT, _DO, _WONT, _WILL, _SB, _SE = 254, 253, 252, 251, 250, 240

#: How a request is refused: do not what you would, and I will not what you want.
_REFUSED = {_WILL: _DONT, _DO: _WONT}

#: What says of which option it is.
_OF_OPTIONS = {_WILL, _WONT, _DO, _DONT}

_CR, _LF, _NUL = 0x0D, 0x0A, 0x00


class Telnet:
    """
    Takes commands out of what one connection says, wherever it was cut. Nothing is
    remembered of them but in which one it is.
    """

    __slots__ = ("_after", "_inside")

    def __init__(self) -> None:
        self._after = 0  # the byte that makes the next one something else
        self._inside = False  # of what is said about an option

    def take(self, data: bytes) -> tuple[bytes, bytes]:
        """
        Take what came. A carriage return that moves to no other line (``CR NUL``) ends
        one.

        :return: what was typed, and what to answer.
        """
        if not self._after and not self._inside and self._is_plain(data):
            self._after = _CR if data.endswith(b"\r") else 0
            return data, b""
        typed, answers = bytearray(), bytearray()
        for byte in data:
            self._take(byte, typed, answers)
        return bytes(typed), bytes(answers)

    def _is_plain(self, data: bytes) -> bool:
        return IAC not in data and b"\r\0" not in data

    def _take(self, byte: int, typed: bytearray, answers: bytearray) -> None:
        after, self._after = self._after, 0
        if after == IAC:
            self._command(byte, typed)
        elif after in _OF_OPTIONS:
            if after in _REFUSED:
                answers += bytes((IAC, _REFUSED[after], byte))
        elif byte == IAC:
            self._after = IAC
        elif not self._inside:
            typed.append(_LF if after == _CR and byte == _NUL else byte)
            self._after = _CR if byte == _CR else 0

    def _command(self, byte: int, typed: bytearray) -> None:
        """What comes behind an IAC. Another one is the byte itself."""
        if byte in _OF_OPTIONS and not self._inside:
            self._after = byte
        elif byte in (_SB, _SE):
            self._inside = byte == _SB
        elif byte == IAC and not self._inside:
            typed.append(IAC)
