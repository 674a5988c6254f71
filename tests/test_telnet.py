"""
Tests for L{ropewalk.wire.telnet}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.wire.telnet import Telnet

#: ``IAC WILL ECHO``, ``IAC DO TERMINAL-TYPE``.
WILL, DO = b"\xff\xfb\x01", b"\xff\xfd\x18"


class TelnetTests(SynchronousTestCase):
    """
    What is typed, without what telnet says of itself.
    """

    def taken(self, said: bytes, cut: int) -> tuple[bytes, bytes]:
        """What is left of something that comes in pieces, and what is answered."""
        telnet = Telnet()
        parts = [said[at : at + cut] for at in range(0, len(said), cut)]
        pairs = [telnet.take(part) for part in parts]
        return b"".join(each[0] for each in pairs), b"".join(each[1] for each in pairs)

    def test_commands(self) -> None:
        """
        Commands are taken out, wherever the network cuts them; what is asked for is
        refused, and nothing else is answered.
        """
        for said, typed, answer in (
            (b"hello\r\n", b"hello\r\n", b""),
            (b"he" + WILL + b"llo", b"hello", b"\xff\xfe\x01"),
            (DO + b"hello", b"hello", b"\xff\xfc\x18"),
            (b"a\xff\xfc\x01b\xff\xfe\x01c", b"abc", b""),
            (b"a\xff\xfa\x18\x00xterm\xff\xf0b", b"ab", b""),
            (b"a\xff\xfa\x18\xff\xff\xff\xfb\x01\xff\xf0b", b"ab", b""),
            (b"a\xff\xf4\xff\xf1b", b"ab", b""),
            (b"a\xff\xffb", b"a\xffb", b""),
            (b"a\r\0b\r\n\0", b"a\r\nb\r\n\0", b""),
            (b"\r\r\0\0", b"\r\r\n\0", b""),
        ):
            for cut in (1, 2, 3, 100):
                self.assertEqual(self.taken(said, cut), (typed, answer), (said, cut))

    @given(st.binary(), st.integers(1, 5))
    def test_anything(self, said: bytes, cut: int) -> None:
        """
        Whatever comes, it is the same in pieces, and no more is answered than came.
        """
        whole = self.taken(said, len(said) + 1)
        self.assertEqual(self.taken(said, cut), whole)
        self.assertLessEqual(len(whole[1]), len(said))

    @given(st.text())
    def test_text(self, text: str) -> None:
        """
        Text has no commands.
        """
        typed = text.replace("\r\0", "\r\n").encode("utf-8", "ignore")
        said = text.encode("utf-8", "ignore")
        self.assertEqual(Telnet().take(said), (typed, b""))
