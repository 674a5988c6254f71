# -*- test-case-name: tests.test_webhooks -*-
"""
Webhooks: told in order, signed, again if need be; and believed for good reasons only.
"""

from __future__ import annotations

import hmac
import json
import sys
from base64 import b64encode
from collections import deque
from collections.abc import Callable
from types import ModuleType
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import BadChannel, BadWebhook, Invalid
from ropewalk.hub import MemoryHub
from ropewalk.hub.spoken import said
from ropewalk.interfaces import ISubscriber, ITallied, Message, Steps
from ropewalk.outbound import Retries
from ropewalk.outbound.http import Answer, HTTPClient
from ropewalk.outbound.senders import Sender, retry_after
from ropewalk.outbound.signing import Seen, key_of, make_secret, sign, verify
from ropewalk.outbound.webhooks import Hook, HookFigures, HookLimits, Webhooks
from ropewalk.schema import Secret, write_json
from ropewalk.testing import TestCase
from ropewalk.web import Routes
from tests.observing import Observed
from tests.test_schema import blocks, run_page

OLD, NEW = Secret(make_secret()), Secret(make_secret())

NOW = 1_767_225_600

#: The example of https://github.com/standard-webhooks/standard-webhooks: who signs this
#: otherwise, signs otherwise than everybody else.
KNOWN: dict[str, Any] = {
    "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "at": 1614265330,
    "body": b'{"test": 2432232314}',
    "signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}


class SignTests(SynchronousTestCase):
    """
    What is signed, and by what.
    """

    def test_as_everybody_does(self) -> None:
        """
        The signature is the one that the specification's example has.
        """
        headers = sign(KNOWN["id"], KNOWN["body"], [KNOWN["secret"]], KNOWN["at"] + 0.9)
        self.assertEqual(
            headers,
            {
                "webhook-id": KNOWN["id"],
                "webhook-timestamp": str(KNOWN["at"]),
                "webhook-signature": KNOWN["signature"],
            },
        )

    def test_several(self) -> None:
        """
        Each secret signs, the first first.
        """
        told = [
            sign("a", b"b", [each], NOW)["webhook-signature"] for each in (OLD, NEW)
        ]
        both = sign("a", b"b", (OLD, NEW), NOW)["webhook-signature"]
        self.assertEqual(both, " ".join(told))

    def test_secrets(self) -> None:
        """
        A secret is 24 to 64 bytes in base 64; ``whsec_`` may be left out. What is none
        is not told.
        """
        self.assertEqual(len(key_of(make_secret())), 32)
        self.assertNotEqual(make_secret(), make_secret())
        for size in 24, 64:
            text = b64encode(b"x" * size).decode()
            self.assertEqual(key_of(text), key_of(f"whsec_{text}"))
        for wrong in (
            *("", "whsec_", "whsec_!", "geheim", "whsec_größer"),
            *(b64encode(b"x" * size).decode() for size in (23, 65)),
        ):
            with self.assertRaises(ValueError) as caught:
                key_of(wrong)
            told = str(caught.exception)
            self.assertIn("24 to 64 bytes", told)
            self.assertNotIn(wrong.removeprefix("whsec_") or "geheim", told)


class VerifyTests(SynchronousTestCase):
    """
    What is believed.
    """

    def refuse(self, now: float = NOW, body: bytes = b"{}", **changes: str) -> str:
        """Why it is not, when some headers are others."""
        headers = sign("msg_1", b"{}", [NEW], NOW)
        headers |= {
            f"webhook-{name}": value for name, value in changes.items() if value != "-"
        }
        for name, value in changes.items():
            if value == "-":
                del headers[f"webhook-{name}"]
        with self.assertRaises(BadWebhook) as caught:
            verify(headers, body, [NEW], now)
        self.assertEqual(caught.exception.status, 401)
        return str(caught.exception)

    @given(st.binary(max_size=200), st.lists(st.sampled_from([OLD, NEW]), min_size=1))
    def test_ours(self, body: bytes, known: list[str]) -> None:
        """
        What was signed by any of the secrets that are known is believed; its identifier
        is told.
        """
        headers = sign("msg_1", body, [OLD, NEW], NOW)
        upper = {name.title(): value for name, value in headers.items()}
        self.assertEqual(verify(upper, body, known, NOW + 299), "msg_1")

    def test_rotation(self) -> None:
        """
        Who knows the old secret only believes what both sign, and who knows both
        believes what the old one signs.
        """
        self.assertEqual(verify(sign("a", b"", [NEW, OLD], NOW), b"", [OLD], NOW), "a")
        self.assertEqual(verify(sign("a", b"", [OLD], NOW), b"", [NEW, OLD], NOW), "a")

    def test_forged(self) -> None:
        """
        Another body, identifier, time or secret is not.
        """
        told = "no signature is by a secret that is known here"
        self.assertIn(told, self.refuse(body=b"{} "))
        self.assertIn(told, self.refuse(id="msg_2"))
        self.assertIn(told, self.refuse(timestamp=str(NOW + 1)))
        other = sign("msg_1", b"{}", [OLD], NOW)["webhook-signature"]
        self.assertIn(told, self.refuse(signature=other))
        self.assertIn(told, self.refuse(signature="v1,größer v1,"))
        with self.assertRaises(BadWebhook):
            verify(sign("a", b"", [OLD], NOW), b"", [], NOW)

    def test_another_split(self) -> None:
        """
        What was signed cannot be cut elsewhere: a dot moved from the body is found out.
        """
        key = key_of(NEW)
        text = f"a.{NOW}.1.b"
        signature = b64encode(hmac.digest(key, text.encode(), "sha256")).decode()
        told = {
            "webhook-id": f"a.{NOW}",
            "webhook-timestamp": "1",
            "webhook-signature": f"v1,{signature}",
        }
        with self.assertRaises(BadWebhook):
            verify(told, b"b", [NEW], NOW)

    def test_missing(self) -> None:
        """
        So is what lacks a header, or has one that is none.
        """
        for value in "-", "", "a b", "x" * 256, "a\nb":
            self.assertIn("webhook-id", self.refuse(id=value))
        for value in "-", "", "-1", "1.5", "١", "9" * 13:
            self.assertIn("webhook-timestamp", self.refuse(timestamp=value))
        for value in "-", "", "v2,abc", "v1a,abc":
            self.assertIn("webhook-signature", self.refuse(signature=value))

    def test_too_many_signatures(self) -> None:
        """
        Of any number of signatures, some are looked at.
        """
        good = sign("msg_1", b"{}", [NEW], NOW)["webhook-signature"]
        self.assertIn("no signature", self.refuse(signature="v1,x " * 16 + good))

    def test_old(self) -> None:
        """
        What was sent long ago is not believed, nor what comes from the future.
        """
        self.assertIn("301 seconds ago", self.refuse(now=NOW + 301))
        self.assertIn("301 seconds from now", self.refuse(now=NOW - 301))


class SeenTests(SynchronousTestCase):
    """
    What was seen is known, for a while.
    """

    def test_before(self) -> None:
        """
        The second time it was seen before; not so when the first came to nothing.
        """
        seen = Seen()
        self.assertEqual([seen.before("a", 0), seen.before("a", 1)], [False, True])
        seen.forget("a")
        self.assertFalse(seen.before("a", 2))

    def test_for_a_while(self) -> None:
        """
        After its time it is forgotten.
        """
        seen = Seen(keep=10)
        seen.before("a", 0)
        self.assertTrue(seen.before("a", 9.9))
        self.assertFalse(seen.before("a", 10))

    @given(st.lists(st.text("abcdef", max_size=2)))
    def test_bounded(self, identifiers: list[str]) -> None:
        """
        There are never more than the limit, and the oldest goes first.
        """
        seen, kept = Seen(limit=3), deque[str](maxlen=3)
        for each in identifiers:
            self.assertEqual(seen.before(each, 0), each in kept)
            if each not in kept:
                kept.append(each)
            self.assertEqual(len(seen), len(kept))


class RetryAfterTests(SynchronousTestCase):
    """
    When somebody wants to be asked again.
    """

    def test_said(self) -> None:
        """
        In seconds, or with a date; what is neither says nothing.
        """
        date = "Thu, 01 Jan 2026 00:02:00 GMT"
        for told, seconds in (
            ("120", 120.0),
            (" 0 ", 0.0),
            (date, 120.0),
            ("Thu, 01 Jan 2026 00:02:00 -0000", 120.0),
            ("Wed, 31 Dec 2025 00:00:00 GMT", 0.0),
            ("soon", 0.0),
            ("-5", 0.0),
            ("", 0.0),
            ("٣", 0.0),
        ):
            self.assertEqual(retry_after(told, NOW), seconds, told)

    @given(st.text())
    def test_anything(self, told: str) -> None:
        """
        Whatever is said, it is some seconds.
        """
        self.assertGreaterEqual(retry_after(told, NOW), 0.0)


class Receiver:
    """
    Somebody's web site that takes webhooks.

    :ivar answers: What is answered next: a status, with headers or not, or a Deferred
        of one; 204 when there is none.
    :ivar heard: The bodies that came, as JSON.
    :ivar headers: The headers that came with them.
    """

    def __init__(self) -> None:
        self.answers: list[Any] = []
        self.heard: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self.bodies: list[bytes] = []
        self.routes = Routes()
        self.routes.post("/hook")(self.take)
        self.routes.post("/other")(self.take)

    @inlineCallbacks
    def take(self, request: Any) -> Steps[Any]:
        body = request.content.read()
        self.bodies.append(body)
        self.heard.append(json.loads(body))
        names = ("webhook-id", "webhook-timestamp", "webhook-signature", "content-type")
        self.headers.append({name: request.getHeader(name) for name in names})
        answer = yield (self.answers.pop(0) if self.answers else 204)
        status, headers = answer if isinstance(answer, tuple) else (answer, {})
        request.setResponseCode(status)
        for name, value in headers.items():
            request.setHeader(name, value)
        return b""


class WebhooksTests(TestCase):
    """
    What is published is told to somebody's web site.
    """

    URL = "http://127.0.0.1:8080/hook"

    @inlineCallbacks
    def setUp(self) -> Steps[None]:  # type: ignore[override]
        self.receiver = Receiver()
        self.site = yield self.serve(self.receiver.routes)
        self.hub = MemoryHub(self.clock.now, clock=self.clock)
        self.ended: list[Hook] = []

    def hook(self, **changes: Any) -> Hook:
        values: dict[str, Any] = {
            "url": self.URL,
            "channels": ("orders.*",),
            "secrets": (NEW, OLD),
        }
        return Hook(**values | changes)

    @inlineCallbacks
    def webhooks(
        self, *hooks: Hook, private: bool = True, **options: Any
    ) -> Steps[Any]:
        """A service that runs, until the test is over."""
        options.setdefault("retries", Retries(times=2, first=10.0, jitter=0.0))
        options.setdefault("ended", self.ended.append)
        webhooks = Webhooks(
            self.hub,
            HTTPClient(self.clock, private=private, seconds=5.0),
            self.clock,
            self.clock.now,
            hooks,
            **options,
        )
        yield webhooks.startService()
        self.addCleanup(self.stop, webhooks)
        return webhooks

    def stop(self, webhooks: Webhooks) -> Deferred[None] | None:
        return webhooks.stopService() if webhooks.running else None

    @inlineCallbacks
    def publish(self, *bodies: Any, channel: str = "orders.new") -> Steps[list[Any]]:
        messages = []
        for body in bodies:
            messages.append((yield self.hub.publish(channel, body)))
        yield self.clock.settle()
        return messages

    def bodies(self) -> list[Any]:
        """What the receiver heard."""
        return [each["body"] for each in self.receiver.heard]

    @inlineCallbacks
    def test_told(self) -> Steps[None]:
        """
        A message is told as every stranger is told it, signed so that it is believed,
        and as JSON.
        """
        webhooks = yield self.webhooks(self.hook())
        [message] = yield self.publish({"rope": 12})
        self.assertEqual(self.receiver.bodies, [write_json(said(message))])
        [headers] = self.receiver.headers
        self.assertEqual(headers["content-type"], "application/json")
        [body] = self.receiver.bodies
        for secret in NEW, OLD:
            identifier = verify(headers, body, [secret], self.clock.now())
            self.assertRegex(identifier, r"\Amsg_[0-9a-f]{32}\Z")
        self.assertEqual(webhooks.figures(), {self.URL: HookFigures(sent=1)})

    @inlineCallbacks
    def test_only_what_is_asked_for(self) -> Steps[None]:
        """
        Of other channels nothing is told; of those that are meant twice, all is told
        once.
        """
        yield self.webhooks(self.hook(channels=("orders.*", "orders.new")))
        yield self.publish(1)
        yield self.publish(2, channel="prices.new")
        self.assertEqual(self.bodies(), [1])

    @inlineCallbacks
    def test_interfaces(self) -> Steps[None]:
        """
        To the hub, a receiver is a subscriber that counts what it loses.
        """
        webhooks = yield self.webhooks(self.hook())
        [sender] = webhooks._senders.values()
        self.assertTrue(verifyObject(ISubscriber, sender))
        self.assertTrue(verifyObject(ITallied, sender))
        self.assertEqual(repr(sender), "<Sender to http://127.0.0.1:8080/hook>")

    @inlineCallbacks
    def test_in_order(self) -> Steps[None]:
        """
        The next is told when the one before was taken, however long that takes.
        """
        slow: Deferred[int] = Deferred()
        self.receiver.answers = [slow]
        webhooks = yield self.webhooks(self.hook())
        yield self.publish(1, 2, 3)
        self.assertEqual(self.bodies(), [1])
        self.assertEqual(webhooks.figures()[self.URL].waiting, 2)
        slow.callback(200)
        yield self.clock.settle()
        self.assertEqual(self.bodies(), [1, 2, 3])

    @inlineCallbacks
    def test_again(self) -> Steps[None]:
        """
        What is not taken is sent again after a pause, as what it was, signed at that
        time; those after it wait.
        """
        self.receiver.answers = [500, 302]
        webhooks = yield self.webhooks(self.hook())
        yield self.publish(1, 2)
        self.assertEqual(self.bodies(), [1])
        yield self.clock.advance(10)
        yield self.clock.advance(19.9)
        self.assertEqual(self.bodies(), [1, 1])
        yield self.clock.advance(0.1)
        self.assertEqual(self.bodies(), [1, 1, 1, 2])
        ids = [each["webhook-id"] for each in self.receiver.headers]
        self.assertEqual(len({*ids[:3]}), 1)
        self.assertNotEqual(ids[2], ids[3])
        times = [int(each["webhook-timestamp"]) - NOW for each in self.receiver.headers]
        self.assertEqual(times, [0, 10, 30, 30])
        self.assertEqual(webhooks.figures()[self.URL], HookFigures(sent=2, retried=2))

    @inlineCallbacks
    def test_too_slow(self) -> Steps[None]:
        """
        A receiver that does not answer in time has not taken it.
        """
        never: Deferred[int] = Deferred()
        self.receiver.answers = [never]
        yield self.webhooks(self.hook())
        yield self.publish(1)
        yield self.clock.advance(5)
        yield self.clock.advance(10)
        self.assertEqual(self.bodies(), [1, 1])
        never.callback(200)

    @inlineCallbacks
    def test_given_up(self) -> Steps[None]:
        """
        After the last try a message is given up, that is logged, without what may be
        secret in the URL, and the next one has its turn.
        """
        self.receiver.answers = [500, 400, (429, {})]
        log = Observed.during(self)
        url = f"{self.URL}?token=geheim"
        webhooks = yield self.webhooks(self.hook(url=url))
        yield self.publish(1, 2)
        yield self.clock.advance(10)
        yield self.clock.advance(20)
        self.assertEqual(self.bodies(), [1, 1, 1, 2])
        self.assertEqual(
            webhooks.figures()[url], HookFigures(sent=1, failed=1, retried=2)
        )
        [told] = [each for each in log.texts if "given up" in each]
        self.assertIn("message 1 of orders.new was not taken by", told)
        self.assertIn("the answer was 429", told)
        self.assertNotIn("geheim", told)

    @inlineCallbacks
    def test_asked_to_wait(self) -> Steps[None]:
        """
        After 429 and 503 it is not sent before the receiver wants it; not even when
        that is later than we would wait. A date will do.
        """
        date = "Thu, 01 Jan 2026 00:01:40 GMT"
        self.receiver.answers = [
            (429, {"Retry-After": "40"}),
            (503, {"Retry-After": date}),
        ]
        yield self.webhooks(self.hook())
        yield self.publish(1)
        yield self.clock.advance(39)
        self.assertEqual(self.bodies(), [1])
        yield self.clock.advance(1)
        self.assertEqual(self.bodies(), [1, 1])
        yield self.clock.advance(59)
        self.assertEqual(self.bodies(), [1, 1])
        yield self.clock.advance(1)
        self.assertEqual(self.bodies(), [1, 1, 1])

    @inlineCallbacks
    def test_asked_to_wait_for_ever(self) -> Steps[None]:
        """
        Nobody waits for longer than the longest pause.
        """
        self.receiver.answers = [(503, {"Retry-After": "99999999999"})]
        yield self.webhooks(self.hook(), retries=Retries(times=1, longest=50.0))
        yield self.publish(1)
        yield self.clock.advance(50)
        self.assertEqual(self.bodies(), [1, 1])

    @inlineCallbacks
    def test_gone(self) -> Steps[None]:
        """
        410 ends it: what waits is dropped, nothing more is told, and whoever keeps the
        receivers is told.
        """
        slow: Deferred[int] = Deferred()
        self.receiver.answers = [slow]
        hook = self.hook()
        webhooks = yield self.webhooks(hook)
        yield self.publish(1, 2)
        slow.callback(410)
        yield self.clock.settle()
        yield self.publish(3)
        self.assertEqual(self.bodies(), [1])
        self.assertEqual(self.ended, [hook])
        self.assertEqual(webhooks.figures(), {})
        self.assertEqual(self.hub.figures().patterns, 0)

    @inlineCallbacks
    def test_gone_and_nobody_cares(self) -> Steps[None]:
        """
        When whoever is told of it raises, that is logged.
        """
        self.receiver.answers = [410]

        def fall(hook: Hook) -> None:
            raise ZeroDivisionError

        yield self.webhooks(self.hook(), ended=fall)
        yield self.publish(1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    @inlineCallbacks
    def test_full(self) -> Steps[None]:
        """
        No more may wait than is set; the oldest are dropped, or the newest, and that is
        counted, here and in the hub, and logged once.
        """
        log = Observed.during(self)
        for policy, kept in ("oldest", [1, 3, 4]), ("newest", [1, 2, 3]):
            slow: Deferred[int] = Deferred()
            self.receiver.answers = [slow]
            self.receiver.heard.clear()
            limits = HookLimits(waiting=2, when_full=policy)  # type: ignore[arg-type]
            webhooks = yield self.webhooks(self.hook(), limits=limits)
            before = self.hub.figures().dropped
            yield self.publish(1, 2, 3, 4)
            slow.callback(200)
            yield self.clock.settle()
            self.assertEqual(self.bodies(), kept)
            figures = webhooks.figures()[self.URL]
            self.assertEqual((figures.sent, figures.dropped), (3, 1))
            self.assertEqual(self.hub.figures().dropped - before, 1)
            yield webhooks.stopService()
        told = [each for each in log.texts if "slow or down" in each]
        self.assertEqual(len(told), 2)

    @inlineCallbacks
    def test_what_cannot_be_said(self) -> Steps[None]:
        """
        A message that JSON cannot say is logged and left out.
        """
        webhooks = yield self.webhooks(self.hook())
        yield self.publish(object(), 2)
        self.assertEqual(len(self.flushLoggedErrors()), 1)
        self.assertEqual(self.bodies(), [2])
        self.assertEqual(webhooks.figures()[self.URL], HookFigures(sent=1, failed=1))

    @inlineCallbacks
    def test_private(self) -> Steps[None]:
        """
        Unless it is allowed, this machine is not called.
        """
        webhooks = yield self.webhooks(
            self.hook(), private=False, retries=Retries(times=0)
        )
        yield self.publish(1)
        yield self.clock.advance(1)
        self.assertEqual(self.bodies(), [])
        self.assertEqual(webhooks.figures()[self.URL], HookFigures(failed=1))

    @inlineCallbacks
    def test_several(self) -> Steps[None]:
        """
        A receiver that is down does not keep others waiting.
        """
        other = self.hook(url="http://127.0.0.1:8080/other")
        down = self.hook(url="http://127.0.0.1:1/down")
        webhooks = yield self.webhooks(down, other)
        yield self.publish(1, 2)
        self.assertEqual(self.bodies(), [1, 2])
        self.assertEqual(webhooks.figures()[down.url].waiting, 1)
        yield self.clock.advance(1)  # until it is known that nobody is there

    @inlineCallbacks
    def test_stop(self) -> Steps[None]:
        """
        On stopping, what is on its way comes to its end, what waits is dropped and
        counted, and nothing is told any more.
        """
        slow: Deferred[int] = Deferred()
        self.receiver.answers = [slow]
        webhooks = yield self.webhooks(self.hook())
        yield self.publish(1, 2)
        stopping = webhooks.stopService()
        yield self.clock.settle()
        self.assertNoResult(stopping)
        slow.callback(200)
        yield stopping
        yield self.publish(3)
        self.assertEqual(self.bodies(), [1])
        self.assertEqual(webhooks.figures()[self.URL], HookFigures(sent=1, dropped=1))

    @inlineCallbacks
    def test_stop_in_a_pause(self) -> Steps[None]:
        """
        Who stops in a pause waits for no other try; one that comes back late is not
        tried again either.
        """
        self.receiver.answers = [500]
        webhooks = yield self.webhooks(self.hook())
        yield self.publish(1)
        yield webhooks.stopService()
        self.assertEqual(webhooks.figures()[self.URL], HookFigures(dropped=1))
        slow: Deferred[int] = Deferred()
        self.receiver.answers = [slow]
        yield webhooks.startService()
        yield self.publish(2)
        stopping = webhooks.stopService()
        slow.callback(500)
        yield stopping
        self.assertEqual(self.bodies(), [1, 2])
        self.assertEqual(webhooks.figures()[self.URL], HookFigures(dropped=2))

    @inlineCallbacks
    def test_add_and_remove(self) -> Steps[None]:
        """
        Receivers come and go while the service runs.
        """
        webhooks = yield self.webhooks()
        yield self.publish(1)
        yield webhooks.add(self.hook())
        yield self.publish(2)
        yield webhooks.remove(self.URL)
        yield webhooks.remove(self.URL)
        yield self.publish(3)
        self.assertEqual(self.bodies(), [2])

    @inlineCallbacks
    def test_replace(self) -> Steps[None]:
        """
        A hook takes the place of one with its URL, and what waits is not lost.
        """
        slow: Deferred[int] = Deferred()
        self.receiver.answers = [slow]
        webhooks = yield self.webhooks(self.hook(secrets=(OLD,)))
        yield self.publish(1, 2)
        yield webhooks.add(self.hook(channels=("prices.*",), secrets=(NEW,)))
        slow.callback(200)
        yield self.publish(3)
        yield self.publish(4, channel="prices.new")
        self.assertEqual(self.bodies(), [1, 2, 4])
        body, headers = self.receiver.bodies[1], self.receiver.headers[1]
        self.assertTrue(verify(headers, body, [NEW], self.clock.now()))

    @inlineCallbacks
    def test_add_in_vain(self) -> Steps[None]:
        """
        A hook with a channel that is none is not added, and nothing of it stays; one
        that it was to replace does.
        """
        webhooks = yield self.webhooks()
        wrong = self.hook(channels=("a.b", "no channel"))
        yield self.assertFailure(webhooks.add(wrong), BadChannel)
        self.assertEqual(webhooks.figures(), {})
        yield webhooks.add(self.hook())
        yield self.assertFailure(webhooks.add(wrong), BadChannel)
        yield self.publish(1)
        yield self.publish(2, channel="a.b")
        self.assertEqual(self.bodies(), [1])

    def test_hooks_that_are_none(self) -> None:
        """
        All that is wrong with a hook is told; a secret is not.
        """
        make: Callable[..., Any] = lambda hook: Webhooks(  # noqa: E731
            self.hub, HTTPClient(self.clock), self.clock, self.clock.now, [hook]
        )
        for url in (
            *("", "example.org", "ftp://example.org/", "https://", "https:///a"),
            *("https://example.org/\n", "https://example.org/a b", "https://é.org/"),
            *("https://ada:geheim@example.org/", "https://a:0/", "https://a:99999/"),
        ):
            with self.assertRaises(Invalid, msg=url) as caught:
                make(self.hook(url=url))
            self.assertEqual(caught.exception.faults[0].path, "url")
        with self.assertRaises(Invalid) as caught:
            make(self.hook(secrets=(NEW, "geheim"), channels=()))
        self.assertEqual(
            [each.path for each in caught.exception.faults], ["secrets[1]", "channels"]
        )
        self.assertNotIn("geheim", str(caught.exception))
        with self.assertRaises(Invalid):
            make(self.hook(secrets=()))


class Fickle:
    """
    Somebody who is asked, and answers by a list, each time at once; then always well.

    :ivar heard: The bodies, and what became of each.
    """

    def __init__(self, answers: list[int]) -> None:
        self.answers = answers
        self.heard: list[tuple[Any, int]] = []

    def request(
        self, method: str, url: str, *, body: bytes, headers: dict[str, str]
    ) -> Deferred[Answer]:
        status = self.answers.pop(0) if self.answers else 200
        self.heard.append((json.loads(body)["body"], status))
        if not status:
            return fail(ConnectionRefusedError())
        return succeed(Answer(status, {"retry-after": "7"}, b""))


class SenderTests(SynchronousTestCase):
    """
    One receiver, whatever it answers.
    """

    @given(
        st.lists(st.sampled_from([200, 204, 0, 302, 404, 410, 429, 500, 503])),
        st.integers(0, 8),
        st.integers(1, 4),
        st.sampled_from(["oldest", "newest"]),
        st.integers(0, 3),
    )
    def test_whatever_is_answered(
        self,
        answers: list[int],
        published: int,
        room: int,
        when_full: Any,
        times: int,
    ) -> None:
        """
        What is taken is taken once, and in order; nobody is asked more often than is
        said, nor anything after 410; and all that was published is accounted for.
        """
        clock, fickle, gone = Clock(), Fickle(list(answers)), list[Sender]()
        http: Any = fickle
        sender = Sender(
            Hook("https://example.org/", ("a",), (NEW,)),
            http,
            clock,
            clock.seconds,
            HookLimits(waiting=room, when_full=when_full),
            Retries(times=times, first=1.0),
            gone.append,
            lambda: 0.0,
        )
        for number in range(published):
            sender.deliver(Message("a", number + 1, 0.0, number, "e"))
        for _ in range(50):
            clock.advance(10)
        taken = [body for body, status in fickle.heard if 200 <= status < 300]
        self.assertEqual(taken, sorted(set(taken)))
        asked = [body for body, _ in fickle.heard]
        self.assertEqual(asked, sorted(asked))
        for body in set(asked):
            self.assertLessEqual(asked.count(body), times + 1)
        statuses = [status for _, status in fickle.heard]
        self.assertEqual(bool(gone), 410 in statuses)
        self.assertNotIn(410, statuses[:-1])
        figures = sender.figures
        self.assertEqual(figures.sent, len(taken))
        self.assertEqual(figures.waiting, 0)
        late = published - figures.sent - figures.failed - figures.dropped
        # Of one that is gone, what is published after that is nobody's.
        self.assertEqual(late if not gone else min(late, 0), 0)
        self.assertEqual(clock.getDelayedCalls(), [])
        self.successResultOf(sender.stop())


class DocumentationTests(TestCase):
    """
    ``docs/webhooks.rst`` is true.
    """

    @inlineCallbacks
    def test_service(self) -> Steps[None]:
        """
        The service on the page takes the settings on the page, secret and all, and
        calls nobody but the public internet.
        """
        names, _ = run_page("webhooks.rst")
        module: Any = ModuleType("orders", "Tells of orders.")
        module.__file__ = __file__
        module.Settings, made = names["Settings"], []

        def make(settings: Any, host: Any) -> Any:
            made.append(names["makeService"](settings, host))
            return made[0]

        module.makeService = make
        sys.modules["orders"] = module
        self.addCleanup(sys.modules.pop, "orders")
        [text] = blocks("webhooks.rst", "toml")
        host = yield self.start(
            module, settings=f"[orders]\n{text}", environ={"ORDERS_SECRET": NEW}
        )
        yield host.hub.publish("orders.new", {"rope": 12})
        yield self.clock.advance(1)
        [webhooks] = made
        self.assertEqual(
            webhooks.figures(),
            {"https://example.org/hooks/orders": HookFigures()},
        )
        yield self.clock.advance(6)
        self.assertEqual([each.retried for each in webhooks.figures().values()], [1])
        yield host.stop()
        self.assertEqual([each.dropped for each in webhooks.figures().values()], [1])

    def test_page(self) -> None:
        """
        What the page shows is what happens.
        """
        self.assertEqual(run_page("webhooks.rst")[1], "")
