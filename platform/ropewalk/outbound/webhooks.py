# -*- test-case-name: tests.test_webhooks -*-
"""
Webhooks: what is published into channels is told to others over HTTP, signed, again if
need be, and in order.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from twisted.application.service import Service
from twisted.internet.defer import gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ropewalk.awaiting import inlineCallbacks, run
from ropewalk.errors import Fault, Invalid
from ropewalk.interfaces import IHub, Steps
from ropewalk.outbound.http import HTTPClient, shown
from ropewalk.outbound.retries import Retries
from ropewalk.outbound.senders import Hook, HookFigures, HookLimits, Sender
from ropewalk.outbound.signing import key_of

__all__ = ["PATIENTLY", "Hook", "HookFigures", "HookLimits", "Webhooks"]

#: Who is down for a night has lost nothing of what was told in its last hours: nine
#: tries in about three hours, the last pauses an hour each.
PATIENTLY = Retries(times=8, first=5.0, growth=4.0, longest=3600.0)


class Webhooks(Service):
    """
    Tells receivers what is published.

    A message is POSTed as JSON, signed as :mod:`ropewalk.outbound.signing` says. An
    answer with 2xx is all there is to do for a receiver. One with 410 ends it: it is
    told nothing more. After any other, a redirect among them, and when there is none,
    it is sent again, with the same ``webhook-id``; after 429 and 503 not before the
    ``Retry-After`` that came with it, but then. Meanwhile those after it wait: what a
    receiver takes, it takes in order.

    :param hub: The channels.
    :param http: What asks. By itself it calls nobody but the public internet.
    :param clock: Where time comes from.
    :param now: Gives seconds since the epoch (UTC): ``time.time``.
    :param hooks: The receivers from the beginning.
    :param limits: How much may wait for each.
    :param retries: How a message is sent again. ``longest`` bounds what a receiver can
        ask for as well.
    :param ended: Called with a :class:`Hook` that has ended itself; it may return
        something to wait for. What it raises is logged.
    :param chance: As for :meth:`ropewalk.outbound.retries.Retries.pauses`.
    :raise Invalid: When a hook is none.
    """

    _log = Logger()

    def __init__(
        self,
        hub: IHub,
        http: HTTPClient,
        clock: IReactorTime,
        now: Callable[[], float],
        hooks: Iterable[Hook] = (),
        *,
        limits: HookLimits | None = None,
        retries: Retries = PATIENTLY,
        ended: Callable[[Hook], Any] = lambda hook: None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._hub = hub
        self._http = http
        self._clock = clock
        self._now = now
        self._limits = limits or HookLimits()
        self._retries = retries
        self._ended = ended
        self._chance = chance
        self._senders: dict[str, Sender] = {}
        for hook in hooks:
            _check(hook)
            self._senders[hook.url] = self._sender(hook)

    @inlineCallbacks
    def startService(self) -> Steps[None]:
        """
        Subscribe to what everybody is to be told.

        :return: fires when all subscriptions stand.
        """
        super().startService()
        for sender in list(self._senders.values()):
            sender.start()
            for channel in sender.hook.channels:
                yield self._hub.subscribe(channel, sender)

    @inlineCallbacks
    def stopService(self) -> Steps[None]:
        """
        Tell nothing more. What waits is dropped, and counted.

        :return: fires when what was on its way has come to its end.
        """
        super().stopService()
        senders = list(self._senders.values())
        for sender in senders:
            yield self._unsubscribe(sender, sender.hook.channels)
        yield gatherResults([sender.stop() for sender in senders])
        yield self._http.close()

    @inlineCallbacks
    def add(self, hook: Hook) -> Steps[None]:
        """
        Tell one more receiver. A hook with the URL of another takes its place: what
        waits for that is sent, signed with the new secrets.

        :return: fires when its subscriptions stand.
        :raise Invalid: When the hook is none.
        :raise BadChannel: When a channel is none; then the hook is not added.
        """
        _check(hook)
        sender = self._senders.get(hook.url)
        before: tuple[str, ...] = ()
        if sender is None:
            sender = self._senders[hook.url] = self._sender(hook)
        else:
            before = sender.hook.channels
        try:
            yield self._subscribe(sender, set(hook.channels) - set(before))
        except Exception:
            if not before:
                yield self.remove(hook.url)
            raise
        sender.hook = hook
        yield self._unsubscribe(sender, set(before) - set(hook.channels))

    @inlineCallbacks
    def remove(self, url: str) -> Steps[None]:
        """
        Tell a receiver nothing more. What waits for it is dropped. Does nothing for who
        is none.

        :return: fires when what was on its way to it has come to its end.
        """
        sender = self._senders.pop(url, None)
        if sender is not None:
            yield self._unsubscribe(sender, sender.hook.channels)
            yield sender.stop()

    def figures(self) -> Mapping[str, HookFigures]:
        """What was done for each receiver so far, by its URL."""
        return {url: sender.figures for url, sender in self._senders.items()}

    def _sender(self, hook: Hook) -> Sender:
        return Sender(
            hook,
            self._http,
            self._clock,
            self._now,
            self._limits,
            self._retries,
            self._gone,
            self._chance,
        )

    @inlineCallbacks
    def _subscribe(self, sender: Sender, channels: Iterable[str]) -> Steps[None]:
        """Of the channels of a running service, hear all or none."""
        stand: list[str] = []
        try:
            for channel in sorted(channels) if self.running else ():
                yield self._hub.subscribe(channel, sender)
                stand.append(channel)
        except Exception:
            yield self._unsubscribe(sender, stand)
            raise

    @inlineCallbacks
    def _unsubscribe(self, sender: Sender, channels: Iterable[str]) -> Steps[None]:
        for channel in list(channels):
            yield self._hub.unsubscribe(channel, sender)

    def _gone(self, sender: Sender) -> None:
        self._log.info("{url} is gone, as it says itself", url=shown(sender.hook.url))
        ending = run(self.remove, sender.hook.url)
        ending.addCallback(lambda _: run(self._ended, sender.hook))
        ending.addErrback(
            lambda failure: self._log.failure("a webhook did not end", failure)
        )


def _check(hook: Hook) -> None:
    """
    See whether somebody can be told.

    :raise Invalid: When not.
    """
    faults = []
    try:
        parts = urlsplit(hook.url)
        odd = parts.scheme not in ("http", "https") or not parts.hostname
        odd = odd or parts.port == 0 or "@" in parts.netloc
        odd = odd or not all("!" <= each <= "~" for each in hook.url)
    except ValueError:
        odd = True
    if odd:
        problem = (
            "expected https://, a host and a path, in ASCII without blanks, and "
            "neither a name nor a password"
        )
        faults.append(Fault("url", problem))
    for number, secret in enumerate(hook.secrets):
        try:
            key_of(secret)
        except ValueError as error:
            faults.append(Fault(f"secrets[{number}]", str(error)))
    if not hook.secrets:
        faults.append(Fault("secrets", "expected one at least"))
    if not hook.channels:
        faults.append(Fault("channels", "expected one at least"))
    if faults:
        raise Invalid(tuple(faults))
