# -*- test-case-name: tests.test_client -*-
"""
A channel that is heard, by whatever connection.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from msgspec import Struct
from twisted.logger import Logger

from ropewalk.client.calls import Refused
from ropewalk.client.records import Present, Said
from ropewalk.hub.names import ChannelPattern

__all__ = ["Listener", "Subscription"]

#: Channels of a pattern whose last place is known. Of one that is forgotten, what is
#: told twice could not be told apart.
_CHANNELS = 10_000

#: Digits of a number that there will never be so many messages as.
_LONGEST = 20


class Listener(Struct, frozen=True, eq=False):
    """
    Who is told of what happens in a channel. One that raises is logged, and harms
    nothing.

    :ivar heard: Told each message, once and in order.
    :ivar joined: Told of those who come,
    :ivar left: and go. By polling, nobody is told.
    :ivar gap: Told when the history does not reach back to what was heard last, before
        the message that comes next.
    :ivar refused: Told when one may not subscribe.
    """

    heard: Callable[[Said], object]
    joined: Callable[[Present], object] | None = None
    left: Callable[[Present], object] | None = None
    gap: Callable[[], object] | None = None
    refused: Callable[[Refused], object] | None = None


class _Place(Struct, frozen=True):
    """
    :ivar numbering: Which one it is a place in: what stands before the last dot of a
        token.
    """

    numbering: str
    sequence: int

    def has_heard(self, other: _Place) -> bool:
        """Whether another place is not behind this one."""
        same = self.numbering == other.numbering
        return same and self.sequence >= other.sequence


class Subscription:
    """
    A channel that is heard. :meth:`Client.subscribe` makes one.

    :raise BadChannel: When it is the name of none.
    :raise ValueError: When it is a pattern, and is to begin after a token.
    :ivar channel: The name of the channel, or a pattern.
    :ivar pattern: The same, to match names with.
    :ivar who: The name that one is present under.
    :ivar data: What others see of it.
    :ivar token: The token of the last message that was heard: what to come back with.
        Empty where the channel had nothing to hear yet, ``None`` until the daemon has
        said so, and for a pattern.
    :ivar stands: Whether it is still heard.
    :ivar tries: How often the daemon could not have it since it last could.
    """

    _log = Logger()

    def __init__(
        self,
        channel: str,
        listener: Listener,
        who: str | None,
        data: dict[str, Any] | None,
        after: str | None,
        leave: Callable[[Subscription], None],
    ) -> None:
        self.pattern = ChannelPattern.of(channel)
        if after is not None and "*" in channel:
            raise ValueError(f"a token belongs to one channel, and {channel} is many")
        self.channel = channel
        self.who = who
        self.data = data
        self.token = after
        self.stands = True
        self.tries = 0
        self._listener = listener
        self._leave = leave
        self._asked = False
        self._begun = False  # once at least
        self._settled = False  # with nothing to hear yet
        self._again = False  # asked since then
        self._after = after  # the token that the daemon was asked with
        self._missing = False  # something, and nothing was heard since
        self._told = False  # so, since the daemon was asked
        self._places: OrderedDict[str, _Place] = OrderedDict()
        if after:
            self._places[channel] = _place(after)

    @property
    def is_pattern(self) -> bool:
        """Whether it is of many channels, which have a numbering each."""
        return "*" in self.channel

    def end(self) -> None:
        """Hear it no longer."""
        if self.stands:
            self.stands = False
            self._leave(self)

    # What the ways call.

    def settle(self, last: Said | None) -> None:
        """
        It begins behind the last message there is, if there is one.
        """
        if self.token is None:
            if last is None:
                self.token, self._settled = "", True
            else:
                self.token = last.token
                self._places[self.channel] = _place(last.token)

    def begin(self) -> None:
        """
        The daemon is asked to have it.
        """
        self._again, self._asked = self._settled and self._asked, True
        self._after = self.token
        self._told = False

    def began(self, whole: bool) -> None:
        """
        The daemon has it.

        :param whole: Whether what it tells then is all that came since.
        """
        self.tries = 0
        first, self._begun = not self._begun, True
        if self.is_pattern:
            whole = first  # what was said meanwhile nobody tells
        if not whole:
            self.lacks()

    def lacks(self) -> None:
        """What the daemon tells is not all that came since."""
        # Where nothing was heard yet, the first message says whether it is the first.
        if (self._after or self.is_pattern) and not self._told:
            self._miss()

    def take(self, said: Said) -> None:
        """Tell a message, unless it was told."""
        if not self.stands:
            return
        place, last = _place(said.token), self._places.get(said.channel)
        if last is not None and last.has_heard(place):
            return
        if not self.is_pattern:
            if not self._follows(last, place):
                self._miss()
            self.token = said.token
        self._missing = False
        self._remember(said.channel, place)
        if self.stands:
            self._tell(self._listener.heard, said)

    def meet(self, event: str, someone: Present) -> None:
        """Tell of somebody who has ``"joined"`` or ``"left"``."""
        listener = self._listener
        tell = listener.joined if event == "joined" else listener.left
        if self.stands and tell is not None:
            self._tell(tell, someone)

    def refuse(self, error: Refused) -> None:
        """One may not subscribe."""
        if not self.stands:
            return
        self.stands = False
        self._leave(self)
        if self._listener.refused is not None:
            self._tell(self._listener.refused, error)
        else:
            self._log.error(
                "{channel} cannot be heard: {problem}",
                channel=self.channel,
                problem=error.problem,
            )

    # Within.

    def _follows(self, last: _Place | None, place: _Place) -> bool:
        """Whether nothing can have come between."""
        if last is None:
            return not self._again or place.sequence == 1
        return place == _Place(last.numbering, last.sequence + 1)

    def _miss(self) -> None:
        """Something was missed; that is told once until something is heard."""
        if self.stands and not self._missing:
            self._missing = self._told = True
            if self._listener.gap is not None:
                self._tell(self._listener.gap)

    def _remember(self, channel: str, place: _Place) -> None:
        self._places[channel] = place
        self._places.move_to_end(channel)
        if len(self._places) > _CHANNELS:
            self._places.popitem(last=False)

    def _tell(self, tell: Callable[..., object], *told: object) -> None:
        try:
            tell(*told)
        except Exception:
            self._log.failure(
                "{tell} raised when it was told of {channel}",
                tell=tell,
                channel=self.channel,
            )


def _place(token: str) -> _Place:
    numbering, _, digits = token.rpartition(".")
    known = digits.isascii() and digits.isdigit() and len(digits) < _LONGEST
    return _Place(numbering, int(digits)) if known else _Place(token, 0)
