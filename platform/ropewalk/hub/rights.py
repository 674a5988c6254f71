# -*- test-case-name: tests.test_hub -*-
"""
What callers may do in channels.
"""

from __future__ import annotations

from typing import Any

from attrs import define
from twisted.internet.defer import Deferred, fail, succeed

from ropewalk import awaiting
from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import Forbidden
from ropewalk.hub.names import ChannelPattern
from ropewalk.hub.rules import Rules
from ropewalk.interfaces import ANYONE, NOBODY, Access, Caller, IAuthoriser, Steps

__all__ = ["Rights"]


@define(eq=False)
class Rights:
    """
    What callers may do.

    :param rules: What is declared.
    :param authoriser: Who is asked about requirements; without one nobody meets any.
    """

    _rules: Rules
    _authoriser: IAuthoriser | None

    def to_subscribe(self, by: Caller, channel: str) -> Deferred[None]:
        """
        Find out whether a caller may hear, and look into, a channel.

        :raise Forbidden: When they may not.
        """
        needed = self._rules.of(channel).rule.subscribe
        return self._demand(by, needed, channel, f"subscribe to {channel!r}")

    def to_publish(self, by: Caller, channel: str) -> Deferred[None]:
        """
        Find out whether a caller may publish into a channel.

        :raise Forbidden: When they may not.
        """
        needed = self._rules.of(channel).rule.publish
        return self._demand(by, needed, channel, f"publish into {channel!r}")

    @inlineCallbacks
    def by_pattern(
        self, by: Caller, pattern: ChannelPattern
    ) -> Steps[frozenset[ChannelPattern]]:
        """
        Find out which of the rules that a pattern meets let a caller hear the channels
        they are for.

        :return: fires with the patterns of these rules.
        :raise Forbidden: When there is no rule for all channels that match, or it does
            not let them.
        """
        asked: dict[str | Access, bool] = {}
        allowed: list[ChannelPattern | None] = []
        covering = self._rules.covering(pattern)
        for declared in self._rules.meeting(pattern) if covering is not None else ():
            needed = declared.rule.subscribe
            if needed not in asked:
                asked[needed] = yield self._may(by, needed, str(pattern))
            if asked[needed]:
                allowed.append(declared.pattern)
        if covering is None or covering.pattern not in allowed:
            raise Forbidden(f"subscribe to {str(pattern)!r}")
        return frozenset(each for each in allowed if each is not None)

    def _demand(
        self, by: Caller, needed: str | Access, channel: str, what: str
    ) -> Deferred[None]:
        if needed is ANYONE:
            return succeed(None)
        if needed is NOBODY:
            return fail(Forbidden(what))

        def decide(allowed: bool) -> None:
            if not allowed:
                raise Forbidden(what)

        return self._may(by, needed, channel).addCallback(decide)

    def _may(self, by: Caller, needed: str | Access, what: str) -> Deferred[bool]:
        if isinstance(needed, Access):
            return succeed(needed is ANYONE)
        if self._authoriser is None:
            return succeed(False)
        permits: Any = self._authoriser.permits
        answer: Deferred[bool] = awaiting.run(permits, by, needed, what)
        return answer
