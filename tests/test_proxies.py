# -*- test-case-name: tests.test_proxies -*-
"""
Tests for L{ropewalk.web.proxies}, and for what a site makes of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import skipUnless

from autobahn.twisted.websocket import WebSocketServerProtocol
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.trial.unittest import SynchronousTestCase
from twisted.web import http
from twisted.web.http_headers import Headers
from twisted.web.resource import Resource
from twisted.web.static import Data

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import BadSettings
from ropewalk.interfaces import Steps
from ropewalk.plugin import Found
from ropewalk.run.configuration import HostSettings, Plan, WebSettings, make_plan
from ropewalk.settings import parse
from ropewalk.testing import TestCase
from ropewalk.web import Routes
from ropewalk.web.access import Access, AccessLog
from ropewalk.web.proxies import (
    Family,
    Proxies,
    Told,
    read_forwarded,
    read_host,
    read_id,
    read_node,
    write_forwarded,
)
from tests.observing import Observed
from tests.visiting import Place, Visit, blocks

OPERATING = Path(__file__).resolve().parent.parent / "docs" / "operating"

#: Who connects in memory.
PEER = "10.9.8.7"

WITH = "x-request-id"

FAMILIES: tuple[Family, ...] = ("any", "forwarded", "x-forwarded")

TOKENS = st.text("ABCxyz019!#$%&'*+-.^_`|~", min_size=1, max_size=8)
VALUES = st.text(
    st.characters(max_codepoint=255, exclude_categories=["Cc"]), max_size=12
)
ELEMENTS = st.dictionaries(TOKENS.map(str.lower), VALUES, min_size=1, max_size=4)
LINES = st.text('for=by;,:"\\ \t[]_1.aé', max_size=40)


def v4(host: str, port: int = 0) -> IPv4Address:
    return IPv4Address("TCP", host, port)


def v6(host: str, port: int = 0) -> IPv6Address:
    return IPv6Address("TCP", host, port)


class TrustTests(SynchronousTestCase):
    """
    Whom an operator trusts.
    """

    def test_trusted(self) -> None:
        """
        Addresses, networks, and whoever can connect to a UNIX socket.
        """
        proxies = Proxies(["127.0.0.1", "10.0.0.0/8", "2001:db8::/32", "unix"])
        address: Any
        for address in (
            v4("127.0.0.1", 5),
            v4("10.200.0.1"),
            v6("2001:db8::1"),
            v6("::ffff:10.0.0.1"),  # as a socket for IPv6 and IPv4 shows it
            UNIXAddress(None),
            UNIXAddress(b"/run/nginx"),
        ):
            self.assertTrue(proxies.trusts(address), address)
            self.assertTrue(proxies.trusts(address), address)
        for address in (
            v4("127.0.0.2"),
            v4("11.0.0.0"),
            v6("::1"),
            v6("fe80::1%eth0"),
            v4("localhost"),
            None,
        ):
            self.assertFalse(proxies.trusts(address), address)

    def test_mapped(self) -> None:
        """
        A network of IPv4 may be written as one of IPv6.
        """
        proxies = Proxies(["::ffff:10.0.0.0/104"])
        self.assertTrue(proxies.trusts(v4("10.1.2.3")))
        self.assertFalse(proxies.trusts(v4("11.1.2.3")))

    def test_nobody(self) -> None:
        """
        Who trusts nobody trusts nobody, not even a UNIX socket.
        """
        proxies = Proxies([])
        self.assertFalse(proxies)
        self.assertFalse(proxies.trusts(UNIXAddress(None)))
        self.assertTrue(Proxies(["unix"]))
        self.assertTrue(Proxies(["::1"]))


class SettingsTests(SynchronousTestCase):
    """
    What is said of proxies in the settings.
    """

    def plan(self, text: str) -> Plan:
        return make_plan(parse(text, "f", {}), Found(()))

    def faults(self, text: str) -> list[str]:
        error = self.assertRaises(BadSettings, self.plan, text)
        return [str(fault) for fault in error.faults]

    def test_defaults(self) -> None:
        """
        Nobody is trusted, and requests have ids.
        """
        plan = self.plan("[web]\n")
        self.assertEqual(plan.host.trusted_proxies, ())
        self.assertEqual(plan.web.forwarded, "x-forwarded")
        self.assertEqual(plan.web.request_id, WITH)

    def test_bad_entries(self) -> None:
        """
        What is no address and no network is told by file, line and key, with what
        could be meant.
        """
        expected = (
            "expected an address like '127.0.0.1', a network like '10.0.0.0/8', or "
            "'unix', got"
        )
        neither = (
            "'10.1.2.3/8' is neither one address nor a network: write '10.1.2.3' or "
            "'10.0.0.0/8'"
        )
        self.assertEqual(
            self.faults(
                '[host]\ntrusted_proxies = ["::1", "nginx", "10.1.2.3/8", "1.2.3.4/33"]'
            ),
            [
                f"f:2: [host] trusted_proxies[1]: {expected} 'nginx'",
                f"f:2: [host] trusted_proxies[2]: {neither}",
                f"f:2: [host] trusted_proxies[3]: {expected} '1.2.3.4/33'",
            ],
        )

    def test_bad_names(self) -> None:
        """
        So is what is no header and no family of them.
        """
        faults = self.faults('[web]\nrequest_id = "a b"\nforwarded = "both"\n')
        self.assertEqual(len(faults), 2)
        self.assertIn("[web] request_id: expected the name of a header", faults[0])
        self.assertIn("[web] forwarded: expected one of 'any'", faults[1])

    def test_nobody_to_believe(self) -> None:
        """
        An endpoint that takes a proxy's word needs one whose word is taken.
        """
        web = '[web]\nlisten = ["haproxy:tcp:8080"]\n'
        (fault,) = self.faults(web)
        self.assertEqual(
            fault,
            "f:2: [web] listen[0]: cannot listen at 'haproxy:tcp:8080': haproxy: takes "
            "a proxy's word for who is calling, and no proxy is trusted; name yours in "
            '[host]: trusted_proxies = ["127.0.0.1"]',
        )
        self.plan(web + '[host]\ntrusted_proxies = ["::1"]\n')
        # One mistake is told once.
        (fault,) = self.faults(web + '[host]\ntrusted_proxies = "::1"\n')
        self.assertIn("[host] trusted_proxies: expected a list", fault)


class NodeTests(SynchronousTestCase):
    """
    Who somebody is.
    """

    def test_addresses(self) -> None:
        """
        Addresses, with ports or without, however they are written.
        """
        for text, address in (
            ("192.0.2.7", v4("192.0.2.7")),
            ("192.0.2.7:80", v4("192.0.2.7", 80)),
            ("192.0.2.7:_hidden", v4("192.0.2.7")),
            ("[2001:db8::7]", v6("2001:db8::7")),
            ("[2001:DB8:0::7]:443", v6("2001:db8::7", 443)),
            ("2001:db8::7", v6("2001:db8::7")),
            ("::ffff:192.0.2.7", v4("192.0.2.7")),
        ):
            self.assertEqual(read_node(text), address, text)

    def test_nobody(self) -> None:
        """
        Names that a proxy gives are nobody's address, and nor is nonsense.
        """
        for text in (
            *("", "unknown", "_hidden", "localhost", "192.0.2", "192.0.2.256"),
            *("192.0.2.7:", "192.0.2.7:65536", "192.0.2.7:x", "[192.0.2.7", "[::1]x"),
            *("fe80::1%eth0", "[fe80::1%1]", "1" * 1000, "٣.0.0.1", "010.0.0.1"),
        ):
            self.assertIsNone(read_node(text), text)

    def test_hosts(self) -> None:
        """
        A host is a name that can be looked up, or an address.
        """
        for text, host in (
            ("example.org", ("example.org", None)),
            ("example.org:8443", ("example.org", 8443)),
            ("my_host", ("my_host", None)),
            ("[::1]:8443", ("[::1]", 8443)),
            ("example.org:", None),
            ("example.org:0", None),
            ("example.org:65536", None),
            ("example.org/evil", None),
            ("user@example.org", None),
            ("a b", None),
            ("a\r\nb", None),
            ("", None),
        ):
            self.assertEqual(read_host(text), host, text)

    @given(st.text())
    def test_anything(self, text: str) -> None:
        """
        Nothing that is written raises.
        """
        read_node(text)
        read_host(text)


class ForwardedTests(SynchronousTestCase):
    """
    The header of RFC 7239.
    """

    def read(self, *lines: str) -> list[dict[str, str]]:
        return list(read_forwarded(lines))

    def test_reads(self) -> None:
        """
        What each proxy has added, the last one first; as the RFC's own examples
        have it.
        """
        for line, elements in (
            ('for="_gazonk"', [{"for": "_gazonk"}]),
            ('For="[2001:db8:cafe::17]:4711"', [{"for": "[2001:db8:cafe::17]:4711"}]),
            (
                "for=192.0.2.60;proto=http;by=203.0.113.43",
                [{"for": "192.0.2.60", "proto": "http", "by": "203.0.113.43"}],
            ),
            (
                "for=192.0.2.43, for=198.51.100.17",
                [{"for": "198.51.100.17"}, {"for": "192.0.2.43"}],
            ),
            (
                'for=192.0.2.43,for="[::1]";by=203.0.113.60',
                [{"for": "[::1]", "by": "203.0.113.60"}, {"for": "192.0.2.43"}],
            ),
            ("for=[::1]:80", [{"for": "[::1]:80"}]),  # without its quotes
            (r'a="\"\\,;"', [{"a": '"\\,;'}]),
            (", ;for=1;; ,", [{"for": "1"}]),
            ("for=", [{"for": ""}]),
            ("", []),
        ):
            self.assertEqual(self.read(line), elements, line)
        self.assertEqual(self.read("a=1", "a=2,a=3")[0], {"a": "3"})
        self.assertEqual(len(self.read("a=1", "a=2,a=3")), 3)

    def test_malformed(self) -> None:
        """
        Of what is malformed, what stands right of it can be read.
        """
        for line, elements in (
            ("for", []),
            ("a=1;for, for=2", [{"for": "2"}]),
            ("for=1;for=2, for=3", [{"for": "3"}]),
            ('for=1, x=", for=3', [{"for": "3"}]),
            ('for=1, for=3"', []),
            ("for=1, a=b c, for=3", [{"for": "3"}]),
            ("for=1, ü=b, for=3", [{"for": "3"}]),
            (r"for=1, a=\", for=3", [{"for": "3"}]),
        ):
            self.assertEqual(self.read(line), elements, line)

    @given(st.lists(ELEMENTS))
    def test_round_trip(self, elements: list[dict[str, str]]) -> None:
        """
        What was written is read.
        """
        written = write_forwarded(elements)
        self.assertEqual(self.read(written), elements[::-1])

    @given(LINES, ELEMENTS)
    def test_what_stands_left(self, left: str, element: dict[str, str]) -> None:
        """
        Nothing that a client writes changes what a proxy adds to it.
        """
        line = f"{left}, {write_forwarded([element])}"
        self.assertEqual(self.read(line)[0], element)

    @given(st.lists(st.text() | LINES))
    def test_anything(self, lines: list[str]) -> None:
        """
        Nothing that is sent raises.
        """
        self.read(*lines)

    def test_cannot_be_written(self) -> None:
        """
        What no header can say is refused.
        """
        for element in ({"a b": "1"}, {"": "1"}, {"a": "1\r\n"}, {"a": "€"}):
            self.assertRaises(ValueError, write_forwarded, [element])


class ReadTests(SynchronousTestCase):
    """
    What headers say of who is behind the proxies.
    """

    def read(
        self, headers: Mapping[str, str | list[str]], family: Family = "any"
    ) -> Told:
        proxies = Proxies(["10.0.0.0/8", "unix"], family)
        raw = Headers()
        for name, values in headers.items():
            values = [values] if isinstance(values, str) else values
            raw.setRawHeaders(name, values)
        return proxies.read(raw)

    def client(self, header: str, value: str | list[str]) -> str | None:
        """Whose request it is."""
        client = self.read({header: value}).client
        return None if client is None else client.host

    def test_nothing(self) -> None:
        """
        Nothing is told where nothing is said.
        """
        self.assertEqual(self.read({}), Told())
        self.assertEqual(self.read({}, "forwarded"), Told())

    def test_from_the_right(self) -> None:
        """
        The client is the last who is no proxy of ours; who stands before it may be
        its own invention.
        """
        for chain, client in (
            ("192.0.2.7", "192.0.2.7"),
            ("192.0.2.7, 10.0.0.1, 10.0.0.2", "192.0.2.7"),
            ("127.0.0.1, 192.0.2.7, 10.0.0.1", "192.0.2.7"),
            ("10.0.0.9, 192.0.2.7", "192.0.2.7"),
            ("10.0.0.9, 10.0.0.1", "10.0.0.9"),
            ("192.0.2.1, unknown, 10.0.0.1", "10.0.0.1"),
            ("192.0.2.1, nonsense", None),
            ("192.0.2.1,,\t192.0.2.7 ,", "192.0.2.7"),
            ("", None),
        ):
            self.assertEqual(self.client("x-forwarded-for", chain), client, chain)
            forwarded = ", ".join(f"for={each}" for each in chain.split(",") if each)
            forwarded = forwarded.replace("= ", "=")
            if "\t" not in chain:
                self.assertEqual(self.client("forwarded", forwarded), client, chain)

    def test_several_headers(self) -> None:
        """
        Several headers are one list.
        """
        chain = ["192.0.2.1, 192.0.2.7", "10.0.0.1"]
        self.assertEqual(self.client("x-forwarded-for", chain), "192.0.2.7")
        lines = [f"for={each}" for each in ("192.0.2.1, for=192.0.2.7", "10.0.0.1")]
        self.assertEqual(self.client("forwarded", lines), "192.0.2.7")

    def test_one_proxy_says_it_all(self) -> None:
        """
        Scheme and host are said by the proxy that the client came to.
        """
        told = self.read(
            {
                "forwarded": "for=1.1.1.1;proto=http;host=evil, "
                'for=192.0.2.7;proto=https;host="example.org:8443", '
                "for=10.0.0.1;proto=http;host=inside"
            }
        )
        client = v4("192.0.2.7")
        self.assertEqual(told, Told(client, "https", "example.org", 8443))
        told = self.read(
            {
                "x-forwarded-for": "1.1.1.1, 192.0.2.7, 10.0.0.1",
                "x-forwarded-proto": "http, HTTPS, http",
                "x-forwarded-host": "evil, example.org:8443, inside",
                "x-forwarded-port": "1, 444, 3",
            }
        )
        self.assertEqual(told, Told(client, "https", "example.org", 444))

    def test_who_adds_nothing(self) -> None:
        """
        What one proxy said and the next let pass still counts.
        """
        told = self.read(
            {
                "x-forwarded-for": "192.0.2.7, 10.0.0.1",
                "x-forwarded-proto": "wss",
                "x-forwarded-host": "example.org",
            }
        )
        self.assertEqual(told, Told(v4("192.0.2.7"), "https", "example.org"))
        told = self.read({"forwarded": "for=192.0.2.7, for=10.0.0.1;proto=https"})
        self.assertEqual(told, Told(v4("192.0.2.7"), "https"))

    def test_a_client_adds_one(self) -> None:
        """
        What a client wrote into a list stands left of what the proxy adds.
        """
        told = self.read(
            {"x-forwarded-for": "192.0.2.7", "x-forwarded-proto": "https, http"}
        )
        self.assertEqual(told.scheme, "http")

    def test_nonsense(self) -> None:
        """
        What cannot be understood is not said.
        """
        told = self.read(
            {
                "x-forwarded-for": "?",
                "x-forwarded-proto": "gopher",
                "x-forwarded-host": "a/b",
                "x-forwarded-port": "-1",
            }
        )
        self.assertEqual(told, Told())
        told = self.read({"forwarded": "for=_hidden;proto=gopher;host=a/b"})
        self.assertEqual(told, Told())

    def test_both(self) -> None:
        """
        Of two kinds of headers the standard one counts, and it is told that they
        do not agree. The other counts where the standard one says nothing.
        """
        former = {"x-forwarded-for": "192.0.2.7", "x-forwarded-proto": "https"}
        for forwarded, told in (
            ("for=192.0.2.8", Told(v4("192.0.2.8"), "https", disputed=True)),
            ("for=192.0.2.7:5", Told(v4("192.0.2.7", 5), "https")),
            ("proto=http", Told(v4("192.0.2.7"), "http")),
            ('for="', Told(v4("192.0.2.7"), "https")),
        ):
            self.assertEqual(self.read({**former, "forwarded": forwarded}), told)

    def test_one_family(self) -> None:
        """
        Where it is known which kind the proxies write, the other is not read.
        """
        both = {
            "x-forwarded-for": "192.0.2.7",
            "x-forwarded-proto": "https",
            "forwarded": "for=192.0.2.8",
        }
        self.assertEqual(self.read(both, "forwarded"), Told(v4("192.0.2.8")))
        told = Told(v4("192.0.2.7"), "https")
        self.assertEqual(self.read(both, "x-forwarded"), told)

    @given(
        st.dictionaries(
            st.sampled_from(
                [
                    "forwarded",
                    *(
                        f"x-forwarded-{each}"
                        for each in ("for", "proto", "host", "port")
                    ),
                ]
            ),
            st.lists(st.binary(max_size=30).filter(lambda raw: b"\n" not in raw)),
        )
    )
    def test_anything(self, headers: dict[str, list[bytes]]) -> None:
        """
        Nothing that is sent raises.
        """
        raw = Headers()
        for name, values in headers.items():
            raw.setRawHeaders(name.encode(), values)
        for family in FAMILIES:
            Proxies(["10.0.0.0/8"], family).read(raw)

    @given(st.text(st.characters(max_codepoint=255, exclude_characters="\n\r")))
    def test_what_a_client_writes(self, left: str) -> None:
        """
        Whatever a client writes, it is the client who the proxy says it is.
        """
        for header, added in (
            ("x-forwarded-for", "192.0.2.7"),
            ("forwarded", "for=192.0.2.7"),
        ):
            self.assertEqual(self.client(header, f"{left}, {added}"), "192.0.2.7")

    def test_ids(self) -> None:
        """
        An id is taken as it is, or not at all.
        """
        for values, read in (
            ([b"abc-123"], "abc-123"),
            (
                [b"Root=1-67891233-abcdef012345678912345678"],
                "Root=1-67891233-abcdef" + "012345678912345678",
            ),
            ([b"x" * 200], "x" * 200),
            ([b"x" * 201], None),
            ([b""], None),
            ([b"a b"], None),
            ([b"a\x00"], None),
            (["é".encode()], None),
            ([b"a", b"b"], None),
        ):
            headers = Headers({b"x-request-id": values})
            self.assertEqual(read_id(headers, b"x-request-id"), read)
        self.assertIsNone(read_id(Headers(), b"x-request-id"))


class Mirror(Resource):
    """
    Tells what it sees of a request, and keeps it.
    """

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []

    def render_GET(self, request: Any) -> bytes:
        self.seen.append(request)
        url: bytes = request.prePathURL()
        return url


class Broken(Resource):
    """One that fails."""

    isLeaf = True

    def render_GET(self, request: Any) -> bytes:
        raise ZeroDivisionError("no")


class SiteTestCase(SynchronousTestCase):
    """
    A site behind a proxy.
    """

    trusted: tuple[str, ...] = (PEER,)

    def setUp(self) -> None:
        self.observed = Observed.during(self)
        self.place = Place.of(
            proxies=Proxies(self.trusted), request_id=WITH, longest_body=10
        )
        self.place.site.process = "0123456789ab"
        self.mirror = Mirror()
        self.place.mount("/mirror", self.mirror)
        self.place.mount("/broken", Broken())
        self.place.mount("/data", Data(b"data", "text/plain"))
        self.visit = self.place.visit()

    def ask(self, *headers: str) -> Any:
        """What a handler sees."""
        self.url = self.visit.ask("/mirror", "GET", *headers).body.decode()
        return self.mirror.seen[-1]


class RequestTests(SiteTestCase):
    """
    A request is that of whoever came to the proxy.
    """

    def test_client(self) -> None:
        """
        Its address is theirs, for handlers and for the access log.
        """
        batches: list[Any] = []
        log = AccessLog(batches.append, self.place.clock, lambda: 0.0)
        self.place.site.observe = log
        request = self.ask("X-Forwarded-For: 192.0.2.1, 192.0.2.7")
        self.assertEqual(request.getClientAddress(), v4("192.0.2.7"))
        log.flush()
        access: Access = batches[0][0]
        self.assertEqual(access.peer, "192.0.2.7")
        self.assertEqual(self.url, "http://example.org:8080/mirror")

    def test_each_request(self) -> None:
        """
        Requests of many come through one connection of a proxy.
        """
        for header, host in (
            ("X-Forwarded-For: 192.0.2.7", "192.0.2.7"),
            ("Forwarded: for=192.0.2.8", "192.0.2.8"),
            ("X-Other: 1", PEER),
        ):
            self.assertEqual(self.ask(header).getClientAddress().host, host)

    def test_url(self) -> None:
        """
        URLs that are made of it lead to the proxy, whatever our own port is.
        """
        for headers, url in (
            (["X-Forwarded-Proto: https"], "https://example.org/mirror"),
            (["X-Forwarded-Proto: http"], "http://example.org/mirror"),
            (
                ["X-Forwarded-Proto: https", "X-Forwarded-Host: www.example.net"],
                "https://www.example.net/mirror",
            ),
            (["X-Forwarded-Host: www.example.net"], "http://www.example.net/mirror"),
            (
                ["X-Forwarded-Host: a.example:81"],
                "http://a.example:81/mirror",
            ),
            (
                ["X-Forwarded-Proto: https", "X-Forwarded-Port: 8443"],
                "https://example.org:8443/mirror",
            ),
            (
                ["X-Forwarded-Proto: https", "Host: example.org:8443"],
                "https://example.org:8443/mirror",
            ),
            (
                ['Forwarded: proto=https;host="a.example:8443"'],
                "https://a.example:8443/mirror",
            ),
        ):
            request = self.ask(*headers)
            self.assertEqual(self.url, url, headers)
            self.assertEqual(request.isSecure(), url.startswith("https"))

    def test_host(self) -> None:
        """
        The header ``Host`` is what the client sent to the proxy, for all who read
        it.
        """
        for headers, host in (
            (["X-Forwarded-Host: a.example"], b"a.example"),
            (["X-Forwarded-Host: a.example:81"], b"a.example:81"),
            (["X-Forwarded-Host: a.example:80"], b"a.example"),
            (["X-Forwarded-Port: 81"], b"example.org:81"),
            (["X-Forwarded-Proto: https"], b"example.org"),
            (["X-Forwarded-Host: a.example\\evil"], b"example.org"),
        ):
            self.assertEqual(self.ask(*headers).getHeader(b"host"), host, headers)

    def test_no_host(self) -> None:
        """
        A port alone is no host.
        """
        self.visit.send(b"GET /mirror HTTP/1.0\r\nX-Forwarded-Port: 81\r\n\r\n")
        (request,) = self.mirror.seen
        self.assertIsNone(request.getHeader(b"host"))
        self.assertEqual(request.getHost(), v4("10.0.0.1", 81))

    def test_whole_url(self) -> None:
        """
        A proxy that asks by a whole URL names its own way to us; what it says of
        the client's counts.
        """
        self.visit.ask(
            "http://inside:8080/mirror", "GET", "X-Forwarded-Host: a.example"
        )
        self.assertEqual(self.mirror.seen[0].getHeader(b"host"), b"a.example")
        self.visit.ask("http://inside:8080/mirror")
        self.assertEqual(self.mirror.seen[1].getHeader(b"host"), b"inside:8080")

    def test_unix(self) -> None:
        """
        A proxy may come through a UNIX socket.
        """
        self.place.site.proxies = Proxies(["unix"])
        self.visit = Visit(self.place.site)
        self.visit.wire.peerAddr = UNIXAddress(None)
        self.visit.wire.hostAddr = UNIXAddress(b"/run/web")
        request = self.ask("X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: https")
        self.assertEqual(request.getClientAddress(), v4("192.0.2.7"))
        self.assertEqual(self.url, "https://example.org/mirror")

    def test_refused(self) -> None:
        """
        Who is refused before the end of the request is known as well.
        """
        self.visit.send(
            b"POST /mirror HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n"
            b"X-Forwarded-For: 192.0.2.7\r\n\r\n"
        )
        self.assertEqual(self.visit.answer().status, 413)
        (request,) = self.place.seen
        self.assertEqual(request.getClientAddress(), v4("192.0.2.7"))

    def test_not_all_is_there(self) -> None:
        """
        Of headers that have not all come, none is believed: what the proxy adds may
        come last.
        """
        self.visit.send(
            b"GET / HTTP/1.1\r\nX-Forwarded-For: 1.1.1.1\r\nnonsense\r\n\r\n"
        )
        self.assertEqual(self.visit.answer().status, 400)
        (request,) = self.place.seen
        self.assertEqual(request.getClientAddress().host, PEER)

    def test_malformed(self) -> None:
        """
        Nonsense of a proxy is no error of ours.
        """
        for header in (
            'Forwarded: for="',
            "Forwarded: for=_hidden;host=%",
            "X-Forwarded-For: unknown",
            "X-Forwarded-Port: 99999",
        ):
            request = self.ask(header)
            self.assertEqual(request.getClientAddress().host, PEER)
            self.assertEqual(self.url, "http://example.org:8080/mirror")

    def test_dispute(self) -> None:
        """
        That two kinds of headers do not agree is logged, once.
        """
        for _ in range(2):
            request = self.ask("X-Forwarded-For: 192.0.2.7", "Forwarded: for=1.1.1.1")
            self.assertEqual(request.getClientAddress().host, "1.1.1.1")
        (said,) = [each for each in self.observed.texts if "Forwarded" in each]
        self.assertTrue(said.startswith(f"the proxy {PEER} sends Forwarded and X-F"))

    def test_anonymous(self) -> None:
        """
        Through a connection whose other end nobody knows, nobody is believed.
        """
        self.visit.wire.anonymous = True  # type: ignore[attr-defined]
        request = self.ask("X-Forwarded-For: 192.0.2.7", "X-Request-ID: abc")
        self.assertEqual(request.getClientAddress().host, PEER)
        self.assertEqual(request.id, "0123456789ab-r1")


class StrangerTests(SiteTestCase):
    """
    Of who is no trusted proxy, nothing is believed.
    """

    trusted = ("127.0.0.1", "unix")
    headers = (
        "X-Forwarded-For: 192.0.2.7",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: evil.example",
        "Forwarded: for=192.0.2.7;proto=https;host=evil.example",
        "X-Request-ID: abc",
    )

    def test_nothing(self) -> None:
        """
        The request is what it is; the headers are there for whoever reads them.
        """
        for proxies in (self.place.site.proxies, None):
            self.place.site.proxies = proxies
            request = self.ask(*self.headers)
            self.assertEqual(request.getClientAddress(), v4(PEER, 5555))
            self.assertFalse(request.isSecure())
            self.assertEqual(self.url, "http://example.org:8080/mirror")
            self.assertNotEqual(request.id, "abc")
            self.assertEqual(request.getHeader(b"x-forwarded-for"), b"192.0.2.7")


class IdTests(SiteTestCase):
    """
    Every request has an id, and every answer carries it.
    """

    def answered(self, path: str, method: str = "GET", *headers: str) -> str | None:
        """The id in an answer."""
        return self.visit.ask(path, method, *headers).headers.get(WITH)

    def test_own(self) -> None:
        """
        Ours begins with what no other process has and ends with the request's
        name: whatever was asked, and whatever was answered.
        """
        for number, (path, method, status) in enumerate(
            (
                ("/mirror", "GET", 200),
                ("/data", "GET", 200),
                ("/data", "HEAD", 200),
                ("/mirror", "HEAD", 200),
                ("/nobody", "GET", 404),
                ("/mirror", "DELETE", 405),
                ("/broken", "GET", 500),
            ),
            1,
        ):
            answer = self.visit.ask(path, method)
            self.assertEqual(answer.status, status)
            self.assertEqual(answer.headers[WITH], f"0123456789ab-r{number}")
        self.flushLoggedErrors(ZeroDivisionError)
        self.visit.send(b"nonsense\r\n")
        self.assertEqual(self.visit.answer().headers[WITH], "0123456789ab-r8")

    def test_of_a_process(self) -> None:
        """
        Two sites have not the same.
        """
        one, other = Place.of().site.process, Place.of().site.process
        self.assertNotEqual(one, other)
        self.assertRegex(one, "^[0-9a-f]{12}$")

    def test_from_outside(self) -> None:
        """
        That of a trusted proxy is taken, and what is done for the request is
        logged under it.
        """
        request = self.ask("X-Request-ID: abc/1")
        self.assertEqual((request.id, request.name), ("abc/1", "r1"))
        self.assertEqual(request.work.request, "abc/1")
        self.assertEqual(self.answered("/data", "GET", "X-Request-ID: abc"), "abc")

    def test_told(self) -> None:
        """
        Who is told that something went wrong is told what the log has.
        """
        answer = self.visit.ask("/broken", "GET", "X-Request-ID: abc")
        self.assertEqual(answer.headers[WITH], "abc")
        self.assertIn("Our log has it under abc.", answer.json["detail"])
        names = [each.request for each in self.observed.works]
        self.assertIn("abc", names)
        self.flushLoggedErrors(ZeroDivisionError)

    def test_not_taken(self) -> None:
        """
        One that is none is not taken.
        """
        for header in ("X-Request-ID: a b", "X-Request-ID:"):
            self.assertTrue(self.ask(header).id.startswith("0123456789ab-r"))

    def test_another_header(self) -> None:
        """
        It can be in another header.
        """
        self.place.site.request_id = b"x-amzn-trace-id"
        answer = self.visit.ask("/data", "GET", "X-Amzn-Trace-Id: Root=1-2")
        self.assertEqual(answer.headers["x-amzn-trace-id"], "Root=1-2")
        self.assertNotIn(WITH, answer.headers)

    def test_none(self) -> None:
        """
        Or in none: then it is not taken from any, either.
        """
        self.place.site.request_id = b""
        request = self.ask("X-Request-ID: abc")
        self.assertEqual(request.id, "0123456789ab-r1")
        self.assertIsNone(self.answered("/data"))

    def test_of_a_handler(self) -> None:
        """
        What a handler says in this header is not changed.
        """

        class Own(Resource):
            def render_GET(self, request: Any) -> bytes:
                request.setHeader(b"x-request-id", b"mine")
                return b""

        self.place.mount("/own", Own())
        self.assertEqual(self.answered("/own"), "mine")


@skipUnless(http.H2_ENABLED, "h2 is not installed: pip install 'ropewalk[http2]'")
class StreamTests(SiteTestCase):
    """
    All of this holds in HTTP/2 as well.
    """

    def test_stream(self) -> None:
        """
        Each stream is a request of its own.
        """
        from tests.test_site import browse

        browser = browse(self, self.place)
        forwarded = ("forwarded", "for=192.0.2.7;proto=https;host=a.example")
        stream = browser.ask("/mirror", "GET", forwarded, ("x-request-id", "abc"))
        self.assertEqual(stream.body, b"https://a.example/mirror")
        self.assertEqual(stream.headers[WITH], "abc")
        self.assertEqual(self.mirror.seen[0].getClientAddress(), v4("192.0.2.7"))
        stream = browser.ask("/mirror")
        self.assertEqual(stream.headers[WITH], "0123456789ab-r2")
        self.assertEqual(self.mirror.seen[1].getClientAddress().host, PEER)


class HostTests(TestCase):
    """
    A whole host.
    """

    @inlineCallbacks
    def test_settings(self) -> Steps[None]:
        """
        What is set holds.
        """
        host = yield self.start(
            settings='[host]\ntrusted_proxies = ["10.0.0.0/8"]\n'
            '[web]\nrequest_id = "x-id"\n'
        )
        for peer, own in (("10.1.2.3", False), ("192.0.2.1", True)):
            answer = yield host.http(peer=peer).get("/", headers={"x-id": ["abc"]})
            (found,) = answer.headers.get_all("x-id")
            self.assertEqual(found != "abc", own)


class SocketMirror(WebSocketServerProtocol):
    """
    Says who it thinks is at the other end.
    """

    transport: Any

    def onOpen(self) -> None:
        self.sendMessage(f"{self.peer} {self.transport.getPeer().host}".encode())


class SocketTests(TestCase):
    """
    The protocol of a WebSocket.
    """

    @inlineCallbacks
    def whom(self, listen: str, peer: str) -> Steps[str]:
        """Who it sees when somebody connects who says for whom."""
        routes = Routes()
        routes.socket("/live")(lambda request: SocketMirror())
        settings = (
            '[host]\ntrusted_proxies = ["10.0.0.0/8"]\n'
            f"[web]\nlisten = ['{listen}']\n"
        )
        host = yield self.serve(routes, settings=settings)
        said = {"X-Forwarded-For": "192.0.2.7"}
        socket = host.socket("/live", headers=said, peer=peer)
        seen: str = yield socket.receive()
        yield socket.close()
        yield host.stop()
        return seen

    @inlineCallbacks
    def test_client(self) -> Steps[None]:
        """
        It sees for whom a trusted proxy asks, and of anybody else the address.
        """
        seen = yield self.whom("tcp:8080", "10.1.2.3")
        self.assertEqual(seen, "tcp4:192.0.2.7:0 192.0.2.7")
        seen = yield self.whom("tcp:8080", "192.0.2.1")
        self.assertRegex(seen, r"^tcp4:192\.0\.2\.1:\d+ 192\.0\.2\.1$")

    @inlineCallbacks
    def test_tls(self) -> Steps[None]:
        """
        So it does through TLS.
        """
        try:
            from tests.certificates import make_pem
        except ImportError:
            self.skipTest("pyOpenSSL is not installed")
        pem = Path(self.mktemp())
        pem.write_bytes(make_pem())
        listen = f"ssl:8443:privateKey={pem}:certKey={pem}"
        seen = yield self.whom(listen, "10.1.2.3")
        self.assertEqual(seen, "tcp4:192.0.2.7:0 192.0.2.7")
        seen = yield self.whom(listen, "192.0.2.1")
        self.assertTrue(seen.endswith(" 192.0.2.1"), seen)


class PageTests(SynchronousTestCase):
    """
    The page about proxies.
    """

    def test_settings(self) -> None:
        """
        What it sets can be set.
        """
        shown = blocks("operating/proxies", "toml")
        documents = [parse(block, "f", {}) for block in shown]
        values = [
            (each.read("host", HostSettings), each.read("web", WebSettings))
            for each in documents
        ]
        self.assertEqual(len(values[0][0].trusted_proxies), 4)
        for host, web in values:
            Proxies(host.trusted_proxies, web.forwarded)
        self.assertEqual(values[1][1].forwarded, "forwarded")
        self.assertEqual(values[-1][1].request_id, "x-amzn-trace-id")

    def test_samples(self) -> None:
        """
        The sample proxies let none of the headers pass that are believed of them.
        """
        page = (OPERATING / "proxies.rst").read_text("utf-8")
        headers = re.findall(r"(?m)^   \* - ``([A-Z][A-Za-z-]+)``$", page)
        self.assertEqual(len(headers), 5)
        nginx = (OPERATING / "nginx.conf").read_text("utf-8")
        haproxy = (OPERATING / "haproxy.cfg").read_text("utf-8")
        removed = ("Forwarded\n", "X-Forwarded- -m beg\n")
        for header in (*headers, "X-Request-ID"):
            self.assertRegex(nginx, rf"proxy_set_header {header} +[^ ]+;")
        for what in removed:
            self.assertIn(f"http-request del-header {what}", haproxy)
        for header in ("X-Forwarded-Proto", "X-Request-ID"):
            self.assertIn(f"http-request set-header {header} ", haproxy)
