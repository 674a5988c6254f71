# -*- test-case-name: tests.test_webhooks -*-
"""
One receiver of webhooks: what waits for it, what is on its way to it, and what comes
back.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime
from hashlib import sha256
from typing import Annotated, Any, Literal

from attrs import define, field
from msgspec import Struct
from msgspec.structs import replace
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from zope.interface import implementer

from ropewalk.awaiting import inlineCallbacks
from ropewalk.interfaces import (
    ISubscriber,
    ITallied,
    Losses,
    Message,
    Presence,
    Steps,
)
from ropewalk.outbound.http import Answer, HTTPClient, shown
from ropewalk.outbound.retries import Retries
from ropewalk.outbound.signing import sign
from ropewalk.schema import Meta, Secret, Shape, write_json

__all__ = ["Hook", "HookFigures", "HookLimits", "Sender", "retry_after"]


class Hook(Shape):
    """
    Who is told what.

    :ivar url: Where to, with ``https:`` or ``http:``.
    :ivar channels: Of which channels, names and patterns.
    :ivar secrets: What it is signed with, by each: ``whsec_…``, see
        :func:`ropewalk.outbound.signing.make_secret`. To change one, put the new one
        before the old one, and take that away when the receiver knows the new one.
    """

    url: Annotated[str, Meta(pattern=r"^https?://[!-~]+$", max_length=2048)]
    channels: Annotated[tuple[str, ...], Meta(min_length=1, max_length=100)]
    secrets: Annotated[tuple[Secret, ...], Meta(min_length=1, max_length=8)]


class HookLimits(Shape):
    """
    How much is done for each receiver.

    :ivar waiting: How many messages may wait for one that is slow or down.
    :ivar when_full: Which is dropped when there is one more: the ``"oldest"`` or the
        ``"newest"``.
    """

    waiting: Annotated[int, Meta(ge=1, le=1_000_000)] = 1000
    when_full: Literal["oldest", "newest"] = "oldest"


class HookFigures(Struct):
    """
    A receiver in numbers.

    :ivar sent: How many messages it took.
    :ivar failed: How many were given up.
    :ivar dropped: How many were never sent: too many were waiting, or the service
        stopped.
    :ivar retried: How many times something was sent again.
    :ivar waiting: How many wait.
    """

    sent: int = 0
    failed: int = 0
    dropped: int = 0
    retried: int = 0
    waiting: int = 0


class _Verdict(Struct, frozen=True):
    """
    What is to become of a message.

    :ivar why: What is wrong, for people; empty when nothing is.
    :ivar after: Seconds after which the receiver wants it again.
    """

    outcome: Literal["taken", "again", "never", "gone"]
    why: str = ""
    after: float = 0.0


_TAKEN = _Verdict("taken")


@implementer(ISubscriber, ITallied)
@define(eq=False)
class Sender:
    """
    Sends messages to one receiver, one after the other, in the order in which they
    were published.

    :param hook: Who.
    :param gone: Called when the receiver has said that it is there no more.
    :param chance: As for :meth:`ropewalk.outbound.retries.Retries.pauses`.
    :ivar hook: May be replaced; what is sent from then on is signed anew.
    """

    hook: Hook
    _http: HTTPClient
    _clock: IReactorTime
    _now: Callable[[], float]
    _limits: HookLimits
    _retries: Retries
    _gone: Callable[[Sender], Any]
    _chance: Callable[[], float] = random.random
    _waiting: deque[Message] = field(factory=deque, init=False)
    _figures: HookFigures = field(factory=HookFigures, init=False)
    _tallies: list[Losses] = field(factory=list, init=False)
    _working: Deferred[None] | None = field(default=None, init=False)
    _pausing: Deferred[None] | None = field(default=None, init=False)
    _full: bool = field(default=False, init=False)
    _over: bool = field(default=False, init=False)
    _log = Logger()

    def __repr__(self) -> str:
        return f"<Sender to {shown(self.hook.url)}>"

    @property
    def figures(self) -> HookFigures:
        """What was done so far."""
        return replace(self._figures, waiting=len(self._waiting))

    def start(self) -> None:
        """Take messages again, after :meth:`stop`."""
        self._over = False

    def stop(self) -> Deferred[None]:
        """
        Take no more messages, and drop those that wait.

        :return: fires when nothing is on its way any more.
        """
        self._over = True
        self._drop(len(self._waiting))
        self._waiting.clear()
        if self._pausing is not None:
            self._pausing.cancel()
        ended: Deferred[None] = Deferred()
        if self._working is None:
            return succeed(None)
        self._working.addBoth(lambda _: ended.callback(None))
        return ended

    # What the hub calls.

    def deliver(self, message: Message) -> None:
        """See :meth:`ropewalk.interfaces.ISubscriber.deliver`."""
        if self._over:
            return
        if len(self._waiting) >= self._limits.waiting:
            self._note_full()
            self._drop(1)
            if self._limits.when_full == "newest":
                return
            self._waiting.popleft()
        self._waiting.append(message)
        if self._working is None:
            working = self._working = Deferred()
            self._work().chainDeferred(working)

    def joined(self, channel: str, presence: Presence) -> None:
        """Who comes is not told."""

    def left(self, channel: str, presence: Presence) -> None:
        """Nor is who leaves."""

    def tally(self, losses: Losses) -> None:
        """See :meth:`ropewalk.interfaces.ITallied.tally`."""
        if not any(known is losses for known in self._tallies):
            self._tallies.append(losses)

    # One message after the other.

    @inlineCallbacks
    def _work(self) -> Steps[None]:
        while self._waiting:
            message = self._waiting.popleft()
            try:
                yield self._send(message)
            except Exception:
                self._figures.failed += 1
                self._log.failure(
                    "a message of {channel} could not be sent to {url}",
                    channel=message.channel,
                    url=shown(self.hook.url),
                )
        self._working, self._full = None, False

    @inlineCallbacks
    def _send(self, message: Message) -> Steps[None]:
        identifier, body = _identifier(message), write_json(_told(message))
        pauses = self._retries.pauses(self._chance)
        while True:
            verdict: _Verdict = yield self._try(identifier, body)
            if verdict.outcome == "taken":
                self._figures.sent += 1
                return
            if verdict.outcome == "gone":
                self._end()
                return
            pause = next(pauses, None)
            if pause is None or verdict.outcome == "never":
                self._give_up(message, verdict.why)
                return
            if not self._over:
                asked = min(verdict.after, self._retries.longest)
                yield self._pause(max(pause, asked))
            if self._over:
                self._drop(1)
                return
            self._figures.retried += 1

    @inlineCallbacks
    def _try(self, identifier: str, body: bytes) -> Steps[_Verdict]:
        headers = sign(identifier, body, self.hook.secrets, self._now())
        headers["content-type"] = "application/json"
        try:
            answer: Answer = yield self._http.request(
                "POST", self.hook.url, body=body, headers=headers
            )
        except CancelledError:
            raise
        except Exception as error:
            return _Verdict("again", f"{type(error).__name__}: {error}")
        return self._judge(answer)

    def _judge(self, answer: Answer) -> _Verdict:
        if 200 <= answer.status < 300:
            return _TAKEN
        why = f"the answer was {answer.status}"
        if answer.status == 410:
            return _Verdict("gone", why)
        after = 0.0
        if answer.status in (429, 503):
            told = answer.headers.get("retry-after", "")
            after = retry_after(told, self._now())
        return _Verdict("again", why, after)

    @inlineCallbacks
    def _pause(self, seconds: float) -> Steps[None]:
        self._pausing = deferLater(self._clock, seconds)
        try:
            yield self._pausing
        except CancelledError:
            if not self._over:
                raise
        finally:
            self._pausing = None

    def _end(self) -> None:
        """The receiver wants nothing any more."""
        self._over = True
        self._drop(1 + len(self._waiting))
        self._waiting.clear()
        self._gone(self)

    def _give_up(self, message: Message, why: str) -> None:
        self._figures.failed += 1
        self._log.warn(
            "message {sequence} of {channel} was not taken by {url}, and is given up: "
            "{why}",
            sequence=message.sequence,
            channel=message.channel,
            url=shown(self.hook.url),
            why=why,
        )

    def _drop(self, count: int) -> None:
        self._figures.dropped += count
        for losses in self._tallies:
            losses.dropped += count

    def _note_full(self) -> None:
        """Once, until all that waits is gone."""
        if not self._full:
            self._full = True
            self._log.warn(
                "{url} is slow or down: {count} messages wait, and the "
                "{which} are dropped",
                url=shown(self.hook.url),
                count=len(self._waiting),
                which=self._limits.when_full,
            )


def retry_after(told: str, now: float) -> float:
    """
    How many seconds somebody wants us to wait: RFC 9110, section 10.2.3.

    :param told: What the header says: seconds, or a date.
    :param now: Seconds since the epoch (UTC).
    :return: 0 or more; 0 for what is neither.
    """
    told = told.strip()
    if told.isascii() and told.isdigit():
        return float(told[:12])
    try:
        date = parsedate_to_datetime(told)
        at = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return max(0.0, math.ceil(at - now))


def _identifier(message: Message) -> str:
    """
    What tells this message from all others, in every try. There may be no dot in it:
    those stand between what is signed.
    """
    text = f"{message.channel} {message.token}".encode()
    return f"msg_{sha256(text).hexdigest()[:32]}"


def _told(message: Message) -> dict[str, Any]:
    """A message, as every stranger is told it (``ropewalk.hub.spoken.said``)."""
    return {
        "channel": message.channel,
        "sequence": message.sequence,
        "at": message.at,
        "token": message.token,
        "body": message.body,
    }
