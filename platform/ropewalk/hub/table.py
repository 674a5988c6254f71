# -*- test-case-name: tests.test_hub_bounds -*-
"""
The channels there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

from attrs import define, field

from ropewalk.errors import HubFull, RopewalkError, TooManyBegun
from ropewalk.hub.channels import Channel
from ropewalk.hub.names import ChannelPattern
from ropewalk.hub.rules import Declared
from ropewalk.hub.shares import Bounds, Maker, Share

__all__ = ["Table"]


@define(eq=False)
class Table:
    """
    The channels by their names. One of them makes room for another when nobody is in
    it, and nothing has happened there for longest: of those that the same caller has
    begun, if these are too many; of those of the same rule, if it lets callers in; or
    of all.

    :param bounds: How many there may be.
    :param epoch: What their numberings are called by.
    :param rule_of: Says what holds for a channel.
    :param leave: Called with a channel before it is forgotten.
    """

    _bounds: Bounds
    _epoch: str
    _rule_of: Callable[[str], Declared]
    _leave: Callable[[Channel], object]
    _numbers: Iterator[int] = field(factory=lambda: count(1), init=False)
    _channels: dict[str, Channel] = field(factory=dict, init=False)
    _makers: dict[str, Maker] = field(factory=dict, init=False)
    _silenced: int = field(default=0, init=False)
    _all: Share = field(factory=Share, init=False)
    _by_rule: dict[ChannelPattern | None, Share] = field(factory=dict, init=False)
    _by_maker: dict[Maker, Share] = field(factory=dict, init=False)

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

    def make(self, name: str, maker: Maker = None) -> Channel:
        """
        The channel of a name, made if need be, and if need be in the place of others.

        :param maker: Who begins it, if it is made.
        :raise HubFull: When there is somebody in each that could make room.
        :raise TooManyBegun: When the caller has begun as many as one may, and there is
            somebody in each.
        """
        state = self._channels.get(name)
        if state is None:
            declared = self._rule_of(name)
            for quiet in self._to_make_room(declared, maker):
                self.forget(quiet)
            epoch = f"{self._epoch}-{next(self._numbers)}"
            state = self._channels[name] = Channel(name, epoch, declared)
            self._makers[name] = maker
            for share in self._shares(state):
                share.add(name)
        return state

    def happened(self, name: str) -> None:
        """Something has happened in a channel."""
        for share in self._shares(self._channels[name]):
            share.happened(name)

    def occupy(self, name: str) -> None:
        """Somebody is in a channel."""
        for share in self._shares(self._channels[name]):
            share.occupy(name)

    def vacate(self, name: str) -> None:
        """Nobody is in a channel any more."""
        for share in self._shares(self._channels[name]):
            share.vacate(name)

    def forget(self, name: str) -> None:
        """Let go of a channel that nobody is in."""
        state = self._channels[name]
        self._leave(state)
        self._silenced += state.sequence > 0
        for share in self._shares(state):
            share.discard(name)
        self._clear(self._by_rule, state.declared.pattern)
        self._clear(self._by_maker, self._makers.pop(name))
        del self._channels[name]

    def follow(self) -> None:
        """Other rules hold for the channels there are."""
        self._by_rule.clear()
        idle = self._all.names()
        for name in idle:
            self._of_rule(self._channels[name].declared).add(name)
        for name in self._channels.keys() - {*idle}:
            share = self._of_rule(self._channels[name].declared)
            share.add(name)
            share.occupy(name)

    def _to_make_room(self, declared: Declared, maker: Maker) -> list[str]:
        """Those that have to go before there can be another."""
        going: list[str] = []
        mine = self._by_maker.get(maker)
        refused: RopewalkError
        if mine is not None and len(mine) >= self._bounds.from_one:
            refused = TooManyBegun(self._bounds.from_one)
            going.append(_quietest(mine, going, refused))
        like = self._by_rule.get(declared.pattern, Share())
        most = declared.most(self._bounds)
        there = sum(self._is_like(name, declared) for name in going)
        if len(like) - there >= most:
            refused = HubFull(most, str(declared.pattern))
            going.append(_quietest(like, going, refused))
        if len(self._channels) - len(going) >= self._bounds.channels:
            # What strangers can do costs nobody else anything.
            of = like if declared.is_open else self._all
            refused = HubFull(self._bounds.channels)
            going.append(_quietest(of, going, refused))
        return going

    def _is_like(self, name: str, declared: Declared) -> bool:
        return self._channels[name].declared.pattern == declared.pattern

    def _shares(self, state: Channel) -> tuple[Share, ...]:
        """Those that a channel is in."""
        maker = self._makers[state.name]
        of_rule = self._of_rule(state.declared)
        if maker is None:
            return self._all, of_rule
        return self._all, of_rule, self._by_maker.setdefault(maker, Share())

    def _of_rule(self, declared: Declared) -> Share:
        return self._by_rule.setdefault(declared.pattern, Share())

    def _clear(self, shares: dict[Any, Share], of: Any) -> None:
        if of in shares and not shares[of]:
            del shares[of]


def _quietest(share: Share, but: list[str], refused: RopewalkError) -> str:
    """
    The channel that can go first.

    :raise RopewalkError: What was given, when there is none.
    """
    name = share.quietest(but)
    if name is None:
        raise refused
    return name
