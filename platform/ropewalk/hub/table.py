# -*- test-case-name: tests.test_hub -*-
"""
The channels there are.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from itertools import count

from attrs import define, field

from ropewalk.errors import HubFull
from ropewalk.hub.channels import Channel
from ropewalk.hub.rules import Declared

__all__ = ["Table"]


@define(eq=False)
class Table:
    """
    The channels by their names. One of them makes room for another when nobody is in
    it, and nothing has happened there for longest.

    :param limit: How many there may be.
    :param epoch: What their numberings are called by.
    :param rule_of: Says what holds for a channel.
    :param leave: Called with a channel before it is forgotten.
    """

    _limit: int
    _epoch: str
    _rule_of: Callable[[str], Declared]
    _leave: Callable[[Channel], object]
    _numbers: Iterator[int] = field(factory=lambda: count(1), init=False)
    _channels: dict[str, Channel] = field(factory=dict, init=False)
    _silenced: int = field(default=0, init=False)

    #: Those that nobody is in, the longest quiet one first.
    _idle: OrderedDict[str, None] = field(factory=OrderedDict, init=False)

    def __contains__(self, name: str) -> bool:
        return name in self._channels

    def __iter__(self) -> Iterator[Channel]:
        """Those there are now."""
        return iter(tuple(self._channels.values()))

    @property
    def dawn(self) -> str:
        """
        The token of the time before the first message of a channel in which none was
        published: good until a channel is forgotten in which there was one.
        """
        return f"{self._epoch}~{self._silenced}.0"

    def get(self, name: str) -> Channel | None:
        """The channel of a name, if there is one."""
        return self._channels.get(name)

    def make(self, name: str) -> Channel:
        """
        The channel of a name, made if need be, and if need be in the place of another.

        :raise HubFull: When there is somebody in each.
        """
        state = self._channels.get(name)
        if state is None:
            if len(self._channels) >= self._limit:
                if not self._idle:
                    raise HubFull(self._limit)
                self.forget(next(iter(self._idle)))
            epoch = f"{self._epoch}-{next(self._numbers)}"
            state = self._channels[name] = Channel(name, epoch, self._rule_of(name))
            self._idle[name] = None
        return state

    def happened(self, name: str) -> None:
        """Something has happened in a channel."""
        if name in self._idle:
            self._idle.move_to_end(name)

    def occupy(self, name: str) -> None:
        """Somebody is in a channel."""
        self._idle.pop(name, None)

    def vacate(self, name: str) -> None:
        """Nobody is in a channel any more."""
        self._idle[name] = None

    def forget(self, name: str) -> None:
        """Let go of a channel that nobody is in."""
        self._leave(self._channels[name])
        self._silenced += self._channels[name].sequence > 0
        del self._channels[name], self._idle[name]
