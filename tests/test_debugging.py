"""
Tests for L{ropewalk.web.debugging}.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import json
import os
import re
import subprocess
import sys
from html import unescape
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st
from klein import Klein
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers
from twisted.web.static import Data

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import BadSettings, RopewalkError, StartFailed
from ropewalk.interfaces import Steps
from ropewalk.run.foreground import develop
from ropewalk.schema import Secret, Shape
from ropewalk.testing import MemoryHost, Response, TestCase
from ropewalk.web.debugging import Debugger, Development, NotInDevelopment
from ropewalk.web.debugging.console import Console
from ropewalk.web.debugging.frames import Trouble, read_trouble, tell
from ropewalk.web.debugging.masking import MASK, Masker, is_secret_name
from ropewalk.web.debugging.values import Shower

HERE: ModuleType = sys.modules[__name__]

ROOT = Path(__file__).resolve().parent.parent

DEVELOPMENT = "[host]\ndevelopment = true\n"
DEBUGGER = "[web]\ndebugger = true\n"

BROWSER = {"Accept": "text/html"}


# A service that fails in all ways.


class Settings(Shape):
    """What it is told."""

    key: Secret = Secret("bank-key-0815")
    note: str = ""


class Closed(RopewalkError):
    """Nothing is wrong with us."""

    status = 409


class Broken(RopewalkError):
    """Something is."""


class Pages:
    """The pages of it."""

    routes = Klein()

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @routes.route("/plain", methods=["GET", "POST"])
    def plain(self, request: Any) -> str:
        amount = 12
        return str(amount / len(self.settings.note))

    @routes.route("/waits")
    @inlineCallbacks
    def waits(self, request: Any) -> Steps[str]:
        order = "rope"
        yield asyncio.sleep(0)
        found = yield self.look_up(order)
        return str(found)

    @inlineCallbacks
    def look_up(self, order: str) -> Steps[str]:
        stock: dict[str, str] = {}
        yield asyncio.sleep(0)
        return stock[order]

    @routes.route("/async")
    async def coroutine(self, request: Any) -> str:
        order = "rope"
        await asyncio.sleep(0)
        stock: dict[str, str] = {}
        return stock[order]

    @routes.route("/key")
    def key(self, request: Any) -> str:
        innocent = str.__str__(self.settings.key)
        raise ValueError(f"the bank does not know {innocent}")

    @routes.route("/note")
    def note(self, request: Any) -> str:
        raise ValueError(self.settings.note)

    @routes.route("/closed")
    def closed(self, request: Any) -> str:
        raise Closed("we are closed")

    @routes.route("/broken")
    def broken(self, request: Any) -> str:
        raise Broken("the machine is broken")


def makeService(settings: Settings, host: Any) -> Service:
    """Mount it."""
    host.web.mount("/shop", Pages(settings).routes)
    return Service()


class ShopTestCase(TestCase):
    """
    Asks the service for what fails.
    """

    @inlineCallbacks
    def shop(self, settings: str = DEVELOPMENT, **how: Any) -> Steps[MemoryHost]:
        """Start it."""
        host: MemoryHost = yield self.start(HERE, settings=settings, **how)
        return host

    @inlineCallbacks
    def failed(
        self,
        host: MemoryHost,
        path: str = "/shop/plain",
        *,
        method: str = "GET",
        where: str | None = None,
        peer: str = "127.0.0.1",
        **how: Any,
    ) -> Steps[Response]:
        """Ask for something, and take what is logged of it."""
        http = host.http(where, peer=peer)
        response: Response = yield http.request(method, path, **how)
        self.flushLoggedErrors()
        return response


def traceback_of(response: Response) -> list[str]:
    """The traceback in problem details."""
    lines: list[str] = response.json().get("traceback", [])
    return lines


def words(page: str) -> str:
    """What is to be read on a page, without its marks and its script."""
    body = page.partition("<body")[2].partition("<script")[0]
    return unescape(re.sub(r"<[^>]+>", "", body))


class ShownTests(ShopTestCase):
    """
    Who develops sees what happened.
    """

    @inlineCallbacks
    def test_program(self) -> Steps[None]:
        """
        A program gets the problem details of production, and the traceback.
        """
        host = yield self.shop()
        response = yield self.failed(host)
        problem = response.json()
        lines = problem.pop("traceback")
        self.assertEqual(
            problem,
            {
                "title": "Internal Server Error",
                "status": 500,
                "detail": "Something went wrong here. Our log has it under r1.",
            },
        )
        self.assertEqual(response.headers["cache-control"], "no-store")
        line = Pages.plain.__code__.co_firstlineno + 3
        self.assertEqual(
            lines[-3:],
            [
                f'  File "{__file__}", line {line}, in Pages.plain',
                "    return str(amount / len(self.settings.note))",
                "ZeroDivisionError: division by zero",
            ],
        )

    @inlineCallbacks
    def test_page(self) -> Steps[None]:
        """
        A browser gets a page: the error, whose it is, the frames with source and
        variables, what was asked, what runs.
        """
        host = yield self.shop()
        response = yield self.failed(
            host,
            "/shop/plain?colour=red",
            method="POST",
            headers=BROWSER,
            data={"size": "M", "password": "pass-9876"},
        )
        self.assertEqual(response.status, 500)
        text = words(response.text)
        for each in (
            "ZeroDivisionError",
            "division by zero",
            "POST /shop/plain",
            "Servicetest_debugging",
            "In the logr1",
            "Pages.plain",
            "amount12",
            "return str(amount / len(self.settings.note))",
            "colourred",
            "sizeM",
            f"password{MASK}",
            "Accepttext/html",
            f"Python{sys.version.split()[0]}",
        ):
            self.assertIn(each, text)
        self.assertNotIn("pass-9876", response.text)
        self.assertIn("<mark>amount ", response.text)

    @inlineCallbacks
    def test_page_keeps_to_itself(self) -> Steps[None]:
        """
        The page asks nobody for anything, lets nobody frame it, and is not kept.
        """
        host = yield self.shop()
        response = yield self.failed(host, headers=BROWSER)
        policy = response.headers["content-security-policy"]
        self.assertIn("default-src 'none'", policy)
        self.assertIn("frame-ancestors 'none'", policy)
        self.assertEqual(response.headers["cache-control"], "no-store")
        (nonce,) = set(re.findall(r"nonce-([\w-]+)", policy))
        tags = re.findall(r"<(?:style|script)[^>]*>", response.text)
        self.assertEqual(len(tags), 2)
        for tag in tags:
            self.assertIn(f'nonce="{nonce}"', tag)
        self.assertNotIn(" style=", response.text)
        self.assertEqual(
            re.findall(r"""(?:src|href)=["'](?!data:)""", response.text), []
        )
        again = yield self.failed(host, headers=BROWSER)
        self.assertNotIn(nonce, again.headers["content-security-policy"])

    @inlineCallbacks
    def test_own_frames(self) -> Steps[None]:
        """
        The developer's own frames are there, also where an error was raised after
        a wait, and with their variables; what is not theirs is folded.
        """
        host = yield self.shop()
        for path, frames in (
            ("/shop/plain", ["Pages.plain"]),
            ("/shop/waits", ["Pages.waits", "Pages.look_up"]),
            ("/shop/async", ["Pages.coroutine"]),
        ):
            response = yield self.failed(host, path, headers=BROWSER)
            page = response.text
            own = re.findall(r'<li class="step own">.*?<code>([\w.]+)</code>', page)
            self.assertEqual(own, frames, path)
            self.assertRegex(words(page), "frames? of .*ropewalk")
            if path != "/shop/plain":
                self.assertIn("order'rope'", words(page))
                self.assertIn("stock{}", words(page))
            opened = re.findall(r"<details data-frame=\"\d+\" open>", page)
            self.assertEqual(len(opened), 1, path)

    @inlineCallbacks
    def test_not_an_accident(self) -> Steps[None]:
        """
        What was raised on purpose is answered as ever; but what says that
        something is wrong with us is explained.
        """
        host = yield self.shop()
        response = yield self.failed(host, "/shop/closed")
        self.assertEqual((response.status, traceback_of(response)), (409, []))
        response = yield self.failed(host, "/shop/broken")
        self.assertEqual(response.status, 500)
        self.assertIn("Broken: the machine is broken", traceback_of(response)[-1])

    @inlineCallbacks
    def test_settings(self) -> Steps[None]:
        """
        What is a secret in the settings is masked wherever its value is: in a
        variable of another name, in a message; also what they only point to.
        """
        settings = f'{DEVELOPMENT}[test_debugging]\nnote = {{ env = "NOTE" }}'
        host = yield self.shop(settings, environ={"NOTE": "dear-diary"})
        for path, secret in (("key", "bank-key-0815"), ("note", "dear-diary")):
            for headers in (BROWSER, {}):
                response = yield self.failed(host, f"/shop/{path}", headers=headers)
                self.assertIn(MASK, response.text)
                self.assertNotIn(secret, response.text)

    @inlineCallbacks
    def test_request_secrets(self) -> Steps[None]:
        """
        Credentials are masked by the name under which they came, and by value.
        """
        host = yield self.shop()
        basic = "QWRhOnN3b3JkZmlzaA=="  # Ada:swordfish
        for name, value, secrets in (
            ("Authorization", f"Basic {basic}", [basic, "swordfish"]),
            ("Authorization", "Bearer abcdef123456", ["abcdef123456"]),
            ("X-Api-Key", "k-abcdef", ["k-abcdef"]),
            ("Cookie", "who=ada-l; session=s-e-s", ["ada-l", "s-e-s"]),
            ("Referer", "http://x/?token=t-o-k-e-n", ["t-o-k-e-n"]),
        ):
            response = yield self.failed(
                host,
                f"/shop/plain?again={secrets[-1]}",
                headers={name: value, **BROWSER},
            )
            self.assertIn(MASK, response.text)
            for secret in secrets:
                self.assertNotIn(secret, response.text)

    @inlineCallbacks
    def test_environment(self) -> Steps[None]:
        """
        The environment is not shown, and secrets in it are masked by value.
        """
        self.patch(os, "environ", {**os.environ, "X_TOKEN": "from-outside"})
        settings = f'{DEVELOPMENT}[test_debugging]\nnote = "it is from-outside"'
        host = yield self.shop(settings)
        response = yield self.failed(host, "/shop/note", headers=BROWSER)
        self.assertNotIn("from-outside", response.text)
        self.assertNotIn(os.environ["PATH"], response.text)

    @inlineCallbacks
    def test_json(self) -> Steps[None]:
        """
        Of a JSON body that was sent, the members are shown, secrets masked.
        """
        host = yield self.shop()
        body = {"size": "M", "user": {"password": "pass-9876"}}
        response = yield self.failed(host, method="POST", json=body, headers=BROWSER)
        text = words(response.text)
        self.assertIn("sizeM", text)
        self.assertIn(f"user{{'password': {MASK}}}", text)

    @inlineCallbacks
    def test_the_page_itself_fails(self) -> Steps[None]:
        """
        What goes wrong with the page does not hide what went wrong before: both
        are logged, and the answer is that of production.
        """
        from ropewalk.web.debugging import pages

        def fail(facts: object) -> str:
            raise LookupError("no page")

        host = yield self.shop()
        self.patch(pages, "write_page", fail)
        response = yield host.http().get("/shop/plain", headers=BROWSER)
        self.assertEqual(response.status, 500)
        self.assertIn("Our log has it under r1.", response.text)
        self.assertNotIn("division", response.text)
        self.assertNotIn("content-security-policy", response.headers)
        logged = [failure.type for failure in self.flushLoggedErrors()]
        self.assertEqual(logged, [ZeroDivisionError, LookupError])


class HiddenTests(ShopTestCase):
    """
    Everybody else sees what they see in production.
    """

    @inlineCallbacks
    def check(self, host: MemoryHost, is_shown: bool, **how: Any) -> Steps[None]:
        response = yield self.failed(host, **how)
        self.assertEqual(bool(traceback_of(response)), is_shown, how)
        headers = {**how.pop("headers", {}), **BROWSER}
        page = yield self.failed(host, headers=headers, **how)
        self.assertGreaterEqual(page.status, 400)
        self.assertEqual("division by zero" in page.text, is_shown, how)

    @inlineCallbacks
    def test_production(self) -> Steps[None]:
        """
        In production nothing is shown, to nobody.
        """
        host = yield self.shop("")
        yield self.check(host, False)

    @inlineCallbacks
    def test_loopback(self) -> Steps[None]:
        """
        Only who sits at this machine sees it.
        """
        settings = f'{DEVELOPMENT}[web]\nlisten = ["tcp:8080", "unix:/run/shop"]\n'
        host = yield self.shop(settings)
        for peer, is_shown in (
            ("127.0.0.1", True),
            ("127.8.8.8", True),
            ("::1", True),
            ("::ffff:127.0.0.1", True),
            ("10.0.0.7", False),
            ("203.0.113.7", False),
            ("::ffff:10.0.0.7", False),
        ):
            yield self.check(host, is_shown, peer=peer, where="tcp:8080")
        yield self.check(host, False, where="unix:/run/shop")

    @inlineCallbacks
    def test_proxies(self) -> Steps[None]:
        """
        Who came through a proxy on this machine does not sit at it.
        """
        host = yield self.shop()
        for name, value in (
            ("Forwarded", "for=203.0.113.7"),
            ("X-Forwarded-For", "203.0.113.7"),
            ("X-Forwarded-Proto", "https"),
            ("X-Real-IP", "203.0.113.7"),
            ("Via", "1.1 proxy"),
            ("CF-Connecting-IP", "203.0.113.7"),
        ):
            yield self.check(host, False, headers={name: value})
        yield self.check(host, True, headers={"X-Custom": "1"})

    @inlineCallbacks
    def test_proxy_protocol(self) -> Steps[None]:
        """
        Nor does who came by the PROXY protocol, whatever that says.
        """
        settings = (
            f'{DEVELOPMENT}trusted_proxies = ["127.0.0.1"]\n'
            '[web]\nlisten = ["haproxy:tcp:8080"]\n'
        )
        host = yield self.shop(settings)
        asked = "GET /shop/plain HTTP/1.1\r\nHost: localhost\r\n\r\n"
        for header in ("TCP4 127.0.0.1 127.0.0.1 5555 8080", "UNKNOWN"):
            proxy = host.lines("tcp:8080")
            yield proxy.send(f"PROXY {header}\r\n{asked}".encode())
            said = yield proxy.received()
            yield proxy.close()
            self.flushLoggedErrors()
            self.assertIn("HTTP/1.1 500 Internal Server Error", said)
            self.assertIn("Our log has it", said[-1])
            self.assertNotIn("traceback", said[-1])

    @inlineCallbacks
    def test_names(self) -> Steps[None]:
        """
        Who asked for another name, which was made to lead here, sees nothing: it
        may be a page of somebody else's.
        """
        host = yield self.shop()
        for name, is_shown in (
            ("localhost", True),
            ("LOCALHOST:8080", True),
            ("api.localhost:8080", True),
            ("127.0.0.1:8080", True),
            ("[::1]:8080", True),
            ("evil.example", False),
            ("localhost.evil.example", False),
            ("evil-localhost", False),
            ("10.0.0.1", False),
            ("localhost@evil.example", False),
        ):
            yield self.check(host, is_shown, headers={"Host": name})


class NameTests(SynchronousTestCase):
    """
    What sounds like a secret.
    """

    def test_names(self) -> None:
        """
        Names are known by their words, however those are joined.
        """
        for name in (
            "password newPassword user_passwd PASSPHRASE pwd api_key X-Api-Key apiKey "
            "client_secret token accessToken csrf_token session session_id "
            "Authorization Proxy-Authorization Cookie Set-Cookie private_key jwt pin "
            "user_pin card_number otp"
        ).split():
            self.assertTrue(is_secret_name(name), name)
        for name in "key name keyboard author spinning opinion compass note x".split():
            self.assertFalse(is_secret_name(name), name)


#: Text that can be a secret: not so short that it is in everything.
SECRETS = st.text(min_size=8, max_size=40).filter(lambda text: len(text.strip()) >= 8)


class MaskerTests(SynchronousTestCase):
    """
    Secrets are taken out of texts.
    """

    @given(SECRETS, st.text(max_size=20), st.text(max_size=20))
    def test_by_value(self, secret: str, before: str, after: str) -> None:
        """
        What is known is masked wherever it stands, and however it is quoted.
        """
        masker = Masker()
        masker.learn(secret)
        for form in (secret, repr(secret), json.dumps(secret), repr(secret.encode())):
            shown = masker.by_value(f"{before}{form}{after}")
            self.assertIn(MASK, shown)
            self.assertNotIn(form, shown)

    @given(SECRETS, st.integers(0, 60), st.integers(1, 60))
    def test_cut(self, secret: str, before: int, most: int) -> None:
        """
        No piece of a secret is left where a text is cut.
        """
        masker = Masker()
        masker.learn(secret)
        text = f"{'-' * before}{secret.strip()}{'-' * 60}"
        shown = masker.cut(text[: before + most], most, len(text))
        piece = shown.removesuffix("…").strip("-").replace(MASK, "").strip("*")
        self.assertEqual(piece.replace("-", ""), "")

    def test_by_name(self) -> None:
        """
        What is called a secret in a text is masked, and what looks like one.
        """
        for text, shown in (
            ("password='abc'", "password=****"),
            ('{"api_key": "abc", "n": 1}', '{"api_key": ****, "n": 1}'),
            ("wrong password: abc, try again", "wrong password: ****, try again"),
            ("Authorization: Bearer abc", "Authorization: ****"),
            ("we sent Bearer abcdefgh1234", "we sent ****"),
            ("postgres://ada:abc@db/x", "postgres://ada:****@db/x"),
            ("GET /?access_token=abc&n=1", "GET /?access_token=****&n=1"),
            ("eyJhbGciOi.eyJzdWIi.abc", "****"),
            ("token=None password=''", "token=None password=''"),
            ("nothing to see", "nothing to see"),
        ):
            self.assertEqual(Masker().clean(text), shown)


@define
class Customer:
    """Somebody."""

    name: str
    password: str
    hidden: str = field(default="hidden", repr=False)


@dataclasses.dataclass
class Account:
    """Something."""

    number: int
    api_key: str


class Token(Shape):
    """Something else."""

    token: str
    n: int = 1


Pair = collections.namedtuple("Pair", "x pin")


class Discreet:
    """Says what it is itself."""

    def __init__(self) -> None:
        self.value = "not for everybody"

    def __repr__(self) -> str:
        return "<Discreet>"


class Plain:
    """Says nothing."""

    def __init__(self) -> None:
        self.size = 3
        self.secret = "very-secret"
        self.itself = self


class Endless:
    """Does not come to an end, and cannot be stopped by an Exception."""

    def __repr__(self) -> str:
        while True:
            with contextlib.suppress(Exception):
                len("")


class Failing:
    """Cannot say what it is."""

    def __repr__(self) -> str:
        raise ValueError("password=abcd")


class ValueTests(SynchronousTestCase):
    """
    Any value can be shown.
    """

    def setUp(self) -> None:
        self.seconds = 0.0
        self.masker = Masker()
        self.shower = Shower(self.masker, self.timer)

    def timer(self) -> float:
        self.seconds += 0.001
        return self.seconds

    def shown(self, value: Any, name: str = "x") -> str:
        self.shower.learn(name, value)
        return self.shower.show(name, value)

    def test_plain(self) -> None:
        """
        What is short and harmless is shown as it is.
        """
        values: list[Any] = [None, True, 5, 1.5, "a'b", b"a", [], (1,), {1}]
        values += [{"a": [1, "b"]}, set(), frozenset(), frozenset({1})]
        for value in (*values, collections.deque([1])):
            self.assertEqual(self.shown(value), repr(value))

    def test_secrets(self) -> None:
        """
        Secrets are masked by type, and by the names of variables, keys and
        attributes.
        """
        for value, text in (
            (Secret("hush-hush"), "Secret('****')"),
            ({"password": "abcd", b"token": 1}, "{'password': ****, b'token': ****}"),
            (Customer("Ada", "abcd"), "Customer(name='Ada', password=****)"),
            (Account(5, "abcd"), "Account(number=5, api_key=****)"),
            (Token("abcd"), "Token(token=****, n=1)"),
            (Pair(1, 1234), "Pair(x=1, pin=****)"),
            (SimpleNamespace(secret="abcd"), "namespace(secret=****)"),
            (Headers({"cookie": ["a=b"]}), "Headers({b'Cookie': ****})"),
            (Discreet(), "<Discreet>"),
        ):
            self.assertEqual(self.shown(value), text)
        self.assertEqual(self.shown("abcd", "password"), MASK)
        self.assertEqual(self.shown("", "password"), "''")
        self.assertEqual(self.shown(None, "password"), "None")

    def test_by_value(self) -> None:
        """
        A secret that was met under its name is known under every other.
        """
        self.shown("swordfish", "password")
        self.assertEqual(self.shown(["a swordfish"]), "['a ****']")

    def test_attributes(self) -> None:
        """
        Of an object that does not say what it is, the attributes are shown.
        """
        plain = Plain()
        address = f"{id(plain):#x}"
        self.assertEqual(
            self.shown(plain),
            f"<{__name__}.Plain at {address} size=3, secret=****, itself=…>",
        )

    def test_long(self) -> None:
        """
        There is an end to what is long, deep or large.
        """
        self.assertEqual(
            self.shown("x" * 5000)[-25:], "xxxxxxx'… (5000 characters)"[-25:]
        )
        self.assertRegex(self.shown(list(range(1000))), r"19, … 980 more\]$")
        self.assertRegex(self.shown(b"x" * 5000), r"x'… \(5000 bytes\)$")
        deep: list[Any] = []
        for _ in range(100):
            deep = [deep]
        self.assertEqual(self.shown(deep), "[[[[<list …>]]]]")
        self.assertRegex(self.shown(10**5000), "^<int of 16610 bits>$")
        self.assertLess(len(self.shown([["x" * 200] * 20] * 20)), 2100)

    def test_long_secret(self) -> None:
        """
        A secret is masked also where it is cut, and where it is met later.
        """
        text = "-" * 1495 + "swordfish" + "-" * 100
        for name, value in (("x", text), ("password", "swordfish")):
            self.shower.learn(name, value)
        self.assertNotIn("sword", self.shower.show("x", text))
        self.assertNotIn("sword", self.shower.show("x", text.encode()))

    def test_endless(self) -> None:
        """
        What does not come to an end is cut short, and after some of it nobody is
        asked any more.
        """
        before = sys.gettrace()
        shown = [self.shown(Endless()) for _ in range(30)]
        self.assertRegex(shown[0], "^<.*Endless whose repr takes longer than 0.1 s>$")
        self.assertRegex(shown[-1], "^<.*Endless, not shown: all this takes too long>$")
        self.assertIs(sys.gettrace(), before)

    def test_failing(self) -> None:
        """
        A repr that raises is shown as one.
        """
        self.assertEqual(
            self.shown([Failing()]),
            f"[<{__name__}.Failing whose repr raised ValueError: password=****>]",
        )

    def test_environment(self) -> None:
        """
        The environment is not shown, nor a copy of it.
        """
        for value in (os.environ, dict(os.environ)):
            shown = self.shown(value)
            self.assertEqual(shown, "<the environment, which is not shown>")


def trouble_of(error: BaseException) -> Trouble:
    """What is read of an error."""
    shower = Shower(Masker(), lambda: 0.0)
    return read_trouble(error, None, shower, lambda frame: 0)


def raised(function: Any) -> BaseException:
    """What a function raises."""
    try:
        function()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


class TroubleTests(SynchronousTestCase):
    """
    What is read of an error.
    """

    def test_chain(self) -> None:
        """
        What it was raised from, what was handled meanwhile, and notes.
        """

        def first() -> None:
            error = KeyError("a")
            error.add_note("look at the shelf")
            raise error

        def second() -> None:
            try:
                first()
            except KeyError:
                raise ValueError("b") from None

        def third() -> None:
            try:
                second()
            except ValueError:
                raise TypeError("c")  # noqa: B904

        def fourth() -> None:
            try:
                third()
            except TypeError as error:
                raise RuntimeError("d") from error

        trouble = trouble_of(raised(fourth))
        self.assertEqual(
            [(each.how, each.kind, each.message) for each in trouble.all()],
            [
                ("", "RuntimeError", "d"),
                ("It was raised from", "TypeError", "c"),
                ("It happened while this was handled", "ValueError", "b"),
            ],
        )
        self.assertEqual(trouble_of(raised(first)).notes, ("look at the shelf",))

    def test_group(self) -> None:
        """
        The errors of a group, and a circle of them.
        """

        def several() -> None:
            raise ExceptionGroup("two", [ValueError("a"), TypeError("b")])

        trouble = trouble_of(raised(several))
        self.assertEqual(
            [(each.how, each.kind) for each in trouble.others],
            [("One of the group", "ValueError"), ("One of the group", "TypeError")],
        )
        error = raised(several)
        error.__cause__ = error
        self.assertEqual(len(list(trouble_of(error).all())), 3)

    def test_source(self) -> None:
        """
        The lines of its own function, with the columns that failed.
        """

        def fail() -> None:
            größe = [1]
            str(("größe", größe[0], größe[5]))

        step = trouble_of(raised(fail)).steps[-1]
        (line,) = [each for each in step.source if each.failed]
        assert line.columns is not None
        self.assertEqual(line.text[slice(*line.columns)], "größe[5]")
        self.assertEqual(step.source[0].text, "def fail() -> None:")
        self.assertEqual(step.source[-1], line)
        self.assertEqual(step.names, (("größe", "[1]"),))

    def test_several_lines(self) -> None:
        """
        A statement over several lines failed in all of them.
        """

        def fail() -> None:
            int(
                "five",
            )

        step = trouble_of(raised(fail)).steps[-1]
        failed = [each.text.strip() for each in step.source if each.failed]
        self.assertEqual(failed, ["int(", '"five",', ")"])

    def test_recursion(self) -> None:
        """
        Of a long way, the beginning and the end.
        """

        def again(n: int) -> int:
            return again(n + 1)

        trouble = trouble_of(raised(lambda: again(0)))
        self.assertEqual(len(trouble.steps), 50)
        self.assertGreater(trouble.left_out, 100)
        self.assertIn(f"  … {trouble.left_out} frames", list(tell(trouble)))

    def test_mute(self) -> None:
        """
        An error that cannot say what it is, and one of no frames.
        """

        class Mute(Exception):
            def __str__(self) -> str:
                raise ValueError

        self.assertEqual(trouble_of(Mute()).message, "(its str() raised ValueError)")
        self.assertEqual(trouble_of(Mute()).steps, ())

    def test_source_with_a_secret(self) -> None:
        """
        A secret is masked by value in the source, too.
        """

        def fail() -> None:
            password = "swordfish"
            raise ValueError(f"wrong: {password}")

        masker = Masker()
        shower = Shower(masker, lambda: 0.0)
        trouble = read_trouble(raised(fail), None, shower, lambda frame: 0)
        lines = "\n".join(tell(masker.cleaned(trouble)))
        self.assertIn(f"ValueError: wrong: {MASK}", lines)
        self.assertNotIn("swordfish", str(masker.cleaned(trouble)))


class SettingsTests(TestCase):
    """
    In production there is no way to a debugger.
    """

    @inlineCallbacks
    def test_refused(self) -> Steps[None]:
        """
        Settings that want one are refused, by file and line.
        """
        settings = "\n[web]\ndebugger = true\n"
        starting = self.start(HERE, settings=settings)
        error: BadSettings = yield self.assertFailure(starting, BadSettings)
        self.assertIn(
            "the test's settings:3: [web] debugger: in production there is no debugger",
            str(error),
        )

    @inlineCallbacks
    def test_environment(self) -> Steps[None]:
        """
        So are those that get it from the environment.
        """
        environ = {"ROPEWALK_WEB__DEBUGGER": "true"}
        starting = self.start(HERE, environ=environ)
        error: BadSettings = yield self.assertFailure(starting, BadSettings)
        self.assertIn("environment variable ROPEWALK_WEB__DEBUGGER", str(error))

    def test_development(self) -> None:
        """
        Whoever makes one needs to have been told that this is development.
        """
        nothing: Any = None
        self.assertRaises(NotInDevelopment, Development, False)
        self.assertRaises(NotInDevelopment, Development, nothing)
        self.assertRaises(NotInDevelopment, Debugger, nothing, Clock())

    def test_not_imported(self) -> None:
        """
        In production nothing of it is even imported.
        """
        script = (
            "import sys\n"
            "import ropewalk.run.tap\n"
            "from ropewalk.plugin import Found\n"
            "from ropewalk.run.configuration import make_plan\n"
            "from ropewalk.run.host import Host\n"
            "from ropewalk.settings import parse\n"
            "from twisted.internet import reactor\n"
            "plan = make_plan(parse(sys.argv[1]), Found(()))\n"
            "host = Host(plan, reactor, lambda: 0.0)\n"
            "host.make()\n"
            "print([name for name in sys.modules if 'debugging' in name])\n"
        )
        path = os.pathsep.join([str(ROOT / "platform"), str(ROOT)])
        for settings, imported in (("[web]", False), (f"[web]\n{DEVELOPMENT}", True)):
            done = subprocess.run(
                [sys.executable, "-c", script, settings],
                env={**os.environ, "PYTHONPATH": path},
                capture_output=True,
                text=True,
                timeout=60,
            )
            self.assertEqual(done.stderr, "")
            self.assertEqual("debugging" in done.stdout, imported)


class DevelopTests(SynchronousTestCase):
    """
    C{ropewalk run} is for who develops.
    """

    def developed(self, settings: str, **environ: str) -> dict[str, str]:
        path = Path(self.mktemp())
        path.write_text(settings, "utf-8")
        develop(str(path), environ)
        return environ

    def test_turned_on(self) -> None:
        """
        It turns development on, by a variable, so that C{ropewalk check} could
        tell.
        """
        on = {"ROPEWALK_HOST__DEVELOPMENT": "true"}
        self.assertEqual(self.developed("[chat]"), on)
        self.assertEqual(self.developed("[host]\nlog = 'text'"), on)

    def test_left_alone(self) -> None:
        """
        What the file or the environment says stays; and a file that cannot be
        read, or asks for nothing, is the daemon's to complain of.
        """
        for settings in (
            "[host]\ndevelopment = false",
            "[host]\ndevelopment = { env = 'X' }",
            "",
            "[host",
            "host = 5\n[chat]",
        ):
            self.assertEqual(self.developed(settings), {})
        off = {"ROPEWALK_HOST__DEVELOPMENT": "false"}
        self.assertEqual(self.developed("[chat]", **off), off)


class DebuggerTestCase(ShopTestCase):
    """
    Somebody debugs.
    """

    def setUp(self) -> None:
        self.logged: list[str] = []
        observer: Any = lambda event: self.logged.append(formatEvent(event))  # noqa: E731
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    @inlineCallbacks
    def debugged(self, path: str = "/shop/waits") -> Steps[MemoryHost]:
        """Have something fail that can be debugged."""
        host: MemoryHost = yield self.shop(f"{DEVELOPMENT}{DEBUGGER}")
        yield self.fail_again(host, path)
        self.http = host.http()
        return host

    @inlineCallbacks
    def fail_again(self, host: MemoryHost, path: str = "/shop/waits") -> Steps[None]:
        page = yield self.failed(host, path, headers=BROWSER)
        found = re.search(r'data-console="(/-/debugger/[\w-]*)"', page.text)
        assert found is not None
        self.place = found[1]
        numbers = re.findall(
            r'<li class="step own"><details data-frame="(\d+)"', page.text
        )
        self.frame = int(numbers[-1])

    @property
    def pin(self) -> str:
        """As it is in the log."""
        (said,) = [
            each for each in self.logged if each.startswith("the debugger is on")
        ]
        return said.rpartition(" ")[2]

    @inlineCallbacks
    def post(self, path: str, body: Any, **headers: str) -> Steps[Response]:
        """Ask as the page does."""
        given = {
            "Origin": "http://127.0.0.1:8080",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        response: Response = yield self.http.post(
            path,
            json=body,
            headers={name: each for name, each in given.items() if each},
        )
        return response

    @inlineCallbacks
    def enter(self, pin: str | None = None) -> Steps[Response]:
        """Enter a PIN."""
        response: Response = yield self.post(
            "/-/debugger/pin", {"pin": self.pin if pin is None else pin}
        )
        return response

    @inlineCallbacks
    def run_python(self, source: str) -> Steps[Any]:
        """Run Python in the developer's own last frame."""
        response = yield self.post(self.place, {"frame": self.frame, "source": source})
        self.assertEqual(response.status, 200, response.text)
        return response.json()


class DebuggerTests(DebuggerTestCase):
    """
    There is a console in each frame, for who knows the PIN.
    """

    @inlineCallbacks
    def test_frame(self) -> Steps[None]:
        """
        It has the frame's variables, and keeps what is assigned.
        """
        yield self.debugged()
        self.assertEqual((yield self.enter()).status, 204)
        for source, outcome in (
            ("order", {"value": "'rope'"}),
            ("order += '!'", {}),
            ("[each for each in range(3) if order]", {"value": "[0, 1, 2]"}),
            ("order\n", {"value": "'rope!'"}),
            ("print('a')\n1 + 1", {"value": "2", "output": "a\n"}),
            ("_ * 2", {"value": "4"}),
        ):
            expected = {"output": "", "value": "", "error": "", **outcome}
            self.assertEqual((yield self.run_python(source)), expected)
        self.assertIn("the debugger runs, in a frame of r1: order += '!'", self.logged)

    @inlineCallbacks
    def test_awaits(self) -> Steps[None]:
        """
        What can be waited for is, if one says so.
        """
        yield self.debugged()
        yield self.enter()
        outcome = yield self.run_python(
            "import asyncio\nfound = await asyncio.sleep(0, result=5)\nfound + 1"
        )
        self.assertEqual(outcome["value"], "6")
        outcome = yield self.run_python("await self.look_up('x')")
        self.assertIn("KeyError: 'x'", outcome["error"])
        waiting = self.run_python(
            "from twisted.internet.defer import Deferred\nawait Deferred()"
        )
        yield self.clock.advance(11)
        outcome = yield waiting
        self.assertEqual(
            outcome["error"], "what it awaits did not come within 10 seconds\n"
        )

    @inlineCallbacks
    def test_secrets(self) -> Steps[None]:
        """
        Secrets are masked here, too, and in the log of it.
        """
        yield self.debugged()
        yield self.enter()
        outcome = yield self.run_python("print(str.__str__(self.settings.key))")
        self.assertEqual(outcome["output"], f"{MASK}\n")
        yield self.run_python("'bank-key-0815'")
        self.assertNotIn("0815", "".join(self.logged))

    @inlineCallbacks
    def test_pin_first(self) -> Steps[None]:
        """
        Without the PIN, nothing runs.
        """
        yield self.debugged()
        response = yield self.post(self.place, {"frame": 0, "source": "1"})
        self.assertEqual(response.status, 401)
        response = yield self.post(
            self.place, {"frame": 0, "source": "1"}, Cookie="ropewalk-debugger=x"
        )
        self.assertEqual(response.status, 401)

    @inlineCallbacks
    def test_pin(self) -> Steps[None]:
        """
        The PIN has nine digits, however they are grouped, and opens all frames to
        one browser, by a cookie that no script and no other page can use.
        """
        yield self.debugged()
        self.assertRegex(self.pin, r"^\d{3}-\d{3}-\d{3}$")
        response = yield self.enter(f" {self.pin.replace('-', '')} ")
        self.assertEqual(response.status, 204)
        cookie = response.headers["set-cookie"]
        self.assertRegex(
            cookie,
            r"^ropewalk-debugger-\w+=[\w-]{43}; Path=/-/debugger; HttpOnly; "
            "SameSite=Strict$",
        )

    @inlineCallbacks
    def test_wrong_pins(self) -> Steps[None]:
        """
        After ten wrong PINs nobody gets in, and nobody is in any more.
        """
        host = yield self.debugged()
        yield self.enter()
        for left in range(9, 0, -1):
            response = yield self.enter("000-000-0000")
            self.assertEqual(
                (response.status, response.json()["detail"]),
                (403, f"that is not the PIN; {left} tries are left"),
            )
        yield self.enter("")
        response = yield self.enter()
        self.assertEqual(response.status, 403)
        self.assertIn("no debugger until a restart", response.json()["detail"])
        response = yield self.post(self.place, {"frame": 0, "source": "1"})
        self.assertEqual(response.status, 401)
        self.assertIn("too many wrong PINs: no debugger until a restart", self.logged)
        page = yield self.failed(host, headers=BROWSER)
        self.assertIn('data-console=""', page.text)

    @inlineCallbacks
    def test_strangers(self) -> Steps[None]:
        """
        Only our own page can ask: to who is elsewhere there is nothing, and a page
        of somebody else's is refused, also one whose name was made to lead here.
        """
        host = yield self.debugged()
        yield self.enter()
        body = {"frame": 0, "source": "1"}
        for headers, status in (
            ({"Host": "evil.example", "Origin": "http://evil.example"}, 404),
            ({"X_Forwarded_For": "203.0.113.7"}, 404),
            ({"Origin": "http://evil.example"}, 403),
            ({"Origin": "http://127.0.0.1:8081"}, 403),
            ({"Origin": "null"}, 403),
            ({"Origin": ""}, 403),
        ):
            response = yield self.post(self.place, body, **headers)
            self.assertEqual(response.status, status, headers)
        response = yield self.http.get(self.place)
        self.assertEqual((response.status, response.headers["allow"]), (405, "POST"))
        response = yield self.http.post(
            self.place,
            data=json.dumps(body).encode(),
            headers={"Origin": "http://127.0.0.1:8080", "Content-Type": "text/plain"},
        )
        self.assertEqual(response.status, 415)
        self.http = host.http(peer="203.0.113.7")
        self.assertEqual((yield self.enter()).status, 404)
        self.assertEqual((yield self.http.get(self.place)).status, 404)
        response = yield self.post(self.place, {"frame": 99, "source": "1"})
        self.assertEqual(response.status, 404)

    @inlineCallbacks
    def test_kept(self) -> Steps[None]:
        """
        The last twenty failures are kept, each for a quarter of an hour.
        """
        host = yield self.debugged()
        yield self.enter()
        first = self.place
        for _ in range(20):
            yield self.fail_again(host)
        response = yield self.post(first, {"frame": 0, "source": "1"})
        self.assertEqual(response.status, 410)
        yield self.run_python("1")
        yield self.clock.advance(15 * 60 + 1)
        response = yield self.post(self.place, {"frame": 0, "source": "1"})
        self.assertEqual(response.status, 410)
        self.assertIn("load the page again", response.json()["detail"])

    @inlineCallbacks
    def test_no_such_frame(self) -> Steps[None]:
        """
        What is not there, is no JSON or too long is told.
        """
        yield self.debugged()
        yield self.enter()
        for path, body, status in (
            (self.place, {"frame": 999, "source": "1"}, 404),
            (self.place, {"frame": "x"}, 422),
            (self.place, {"frame": 0, "source": "1" * 30_000}, 413),
            ("/-/debugger/nothing/here", {"frame": 0, "source": "1"}, 410),
        ):
            response = yield self.post(path, body)
            self.assertEqual(response.status, status)

    @inlineCallbacks
    def test_only_when_asked_for(self) -> Steps[None]:
        """
        In development without a debugger there is none, and nobody holds on to
        what failed.
        """
        host = yield self.shop()
        page = yield self.failed(host, headers=BROWSER)
        self.assertIn('data-console=""', page.text)
        response = yield host.http().post("/-/debugger/pin", json={"pin": "1"})
        self.assertEqual(response.status, 404)

    @inlineCallbacks
    def test_reserved(self) -> Steps[None]:
        """
        A service that takes its place stops the start, with both places.
        """

        def make(settings: object, host: Any) -> Service:
            host.web.mount("/-/debugger", Data(b"mine", "text/plain"))
            return Service()

        self.patch(HERE, "makeService", make)
        starting = self.start(HERE, settings=f"{DEVELOPMENT}{DEBUGGER}")
        error: StartFailed = yield self.assertFailure(starting, StartFailed)
        self.assertIn("the test's settings:4", str(error))
        self.assertIn("service 'test_debugging'", str(error))


class ConsoleTests(SynchronousTestCase):
    """
    A console by itself.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.seconds = 0.0
        self.tick = 0.01
        answer = 42
        frame = sys._getframe()
        self.console = Console(frame, Masker(), self.clock, self.timer)
        del answer

    def timer(self) -> float:
        self.seconds += self.tick
        return self.seconds

    def run_python(self, source: str) -> Any:
        return self.successResultOf(self.console.run(source))

    def test_errors(self) -> None:
        """
        What it raises is told with its own lines only, whatever it is.
        """
        for source, said in (
            ("1 +", "SyntaxError"),
            ("1 / 0", "ZeroDivisionError: division by zero"),
            ("raise SystemExit(3)", "SystemExit: 3"),
            ("input()", "EOFError"),
            ("def f():\n  return nothing\nf()", "NameError"),
        ):
            error = self.run_python(source).error
            self.assertIn(said, error)
            self.assertNotIn("debugging/console.py", error)

    def test_endless(self) -> None:
        """
        What does not come to an end is cut short.
        """
        outcome = self.run_python("while True: pass")
        self.assertEqual(outcome.error, "it was cut short after 10 seconds\n")

    def test_much(self) -> None:
        """
        Of much output, the beginning.
        """
        self.tick = 0.0
        output = self.run_python("for n in range(99_999): print(n)").output
        self.assertTrue(output.startswith("0\n1\n"))
        self.assertEqual(len(output), 10_001)

    def test_a_coroutine(self) -> None:
        """
        One that nobody awaits is told of.
        """
        outcome = self.run_python("async def f(): return 5\nf()")
        self.assertIn("put `await` before", outcome.value)
        self.run_python("_.close()")

    def test_a_deferred(self) -> None:
        """
        A Deferred is left alone unless it is awaited.
        """
        waiting: Deferred[int] = Deferred()
        self.console._own["waiting"] = waiting
        self.assertIn("Deferred", self.run_python("waiting").value)
        running = self.console.run("await waiting")
        self.assertNoResult(running)
        waiting.callback(5)
        self.assertEqual(self.successResultOf(running).value, "5")
