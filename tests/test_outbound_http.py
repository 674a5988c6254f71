# -*- test-case-name: tests.test_outbound_http -*-
"""
Asking others over HTTP, within bounds.
"""

from __future__ import annotations

import gzip
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase
from twisted.trial.unittest import TestCase as SocketCase
from twisted.web.client import ResponseFailed, ResponseNeverReceived
from twisted.web.error import SchemeNotSupported

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import NotPublic, TimedOut
from ropewalk.interfaces import Steps
from ropewalk.outbound.http import Answer, HTTPClient, is_public
from ropewalk.testing import TestCase
from tests.certificates import self_signed
from tests.observing import Observed

URL = "http://127.0.0.1:8080/"


class Other(Protocol):
    """
    Whoever is asked: says what it is to say as soon as it has been asked.
    """

    def __init__(self, says: bytes | None, seen: list[Any]) -> None:
        self.says = says
        self.seen = seen

    def dataReceived(self, data: bytes) -> None:
        self.seen.append(data)
        if self.says is not None and (data.startswith(b"GET") or data.endswith(b"abc")):
            self.transport.write(self.says)  # type: ignore[union-attr]

    def connectionLost(self, reason: object = None) -> None:
        self.seen.append("closed")


class HTTPClientTests(TestCase):
    """
    What is asked, and what comes.
    """

    def other(self, says: bytes | None = None, port: int = 8080) -> list[Any]:
        """
        Have somebody answer.

        :return: what they see.
        """
        seen: list[Any] = []
        factory: Any = Factory()
        factory.noisy = False
        factory.buildProtocol = lambda address: Other(says, seen)
        self.clock.listenTCP(port, factory)
        return seen

    def client(self, **options: Any) -> HTTPClient:
        client = HTTPClient(self.clock, **{"private": True, **options})
        self.addCleanup(client.stopService)
        return client

    @inlineCallbacks
    def test_an_answer(self) -> Steps[None]:
        """
        There are its status, its headers, the first of each, and its body.
        """
        seen = self.other(
            b"HTTP/1.1 404 No\r\nA: 1\r\na: 2\r\nContent-Length: 5\r\n\r\nhello"
        )
        answer = yield self.client().request(
            "POST", URL + "x?y=1", body=b"abc", headers={"X-Thing": "1"}
        )
        # A length is no header to Twisted's client: it is how it reads the body.
        self.assertEqual(answer, Answer(404, {"a": "1"}, b"hello"))
        head, _, body = b"".join(seen).partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"POST /x?y=1 HTTP/1.1\r\n"))
        self.assertIn(b"\r\nX-Thing: 1", head)
        self.assertEqual(body, b"abc")

    @inlineCallbacks
    def test_no_redirects(self) -> Steps[None]:
        """
        A redirect is an answer like any other.
        """
        self.other(b"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n")
        answer = yield self.client().request("GET", URL)
        self.assertEqual((answer.status, answer.headers["location"]), (302, "/b"))

    @inlineCallbacks
    def test_no_cookies(self) -> Steps[None]:
        """
        A cookie is not sent back.
        """
        seen = self.other(
            b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n"
        )
        client = self.client()
        yield client.request("GET", URL)
        yield client.request("GET", URL)
        self.assertEqual(len(seen), 2)
        self.assertNotIn(b"a=b", seen[1])

    @inlineCallbacks
    def test_nothing_compressed(self) -> Steps[None]:
        """
        It asks for nothing compressed, and opens nothing that is compressed.
        """
        body = gzip.compress(b"x" * 1000)
        seen = self.other(
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b"
            % (len(body), body)
        )
        answer = yield self.client().request("GET", URL)
        self.assertEqual(answer.body, body)
        self.assertIn(b"accept-encoding: identity\r\n", seen[0].lower())
        self.assertNotIn(b"gzip", seen[0])

    @inlineCallbacks
    def test_a_long_body(self) -> Steps[None]:
        """
        Of a long body, only so much is read; then the connection is closed.
        """
        seen = self.other(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 11)
        answer = yield self.client(longest=10).request("GET", URL)
        self.assertEqual(answer, Answer(200, {}, b"x" * 10, whole=False))
        yield self.clock.settle()
        self.assertEqual(seen[1:], ["closed"])

    @inlineCallbacks
    def test_just_so_long(self) -> Steps[None]:
        """
        A body of as many bytes as are read is whole.
        """
        self.other(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n" + b"x" * 10)
        answer = yield self.client(longest=10).request("GET", URL)
        self.assertEqual((len(answer.body), answer.whole), (10, True))

    @inlineCallbacks
    def test_too_slow(self) -> Steps[None]:
        """
        Who has not answered in time has not answered, however much came till then; and
        the connection is closed.
        """
        port = 8080
        for says in None, b"HTTP/1.1 200 OK\r\n\r\nhel", b"HTTP/1.1 200 OK\r\nA: b":
            port += 1
            seen = self.other(says, port)
            asking = self.client(seconds=3.0).request(
                "GET", f"http://127.0.0.1:{port}/a?secret=1"
            )
            yield self.clock.advance(2.9)
            self.assertNoResult(asking)
            yield self.clock.advance(0.1)
            error = self.failureResultOf(asking, TimedOut).value
            self.assertEqual(error.what, f"GET http://127.0.0.1:{port}/a")
            yield self.clock.settle()
            self.assertEqual(seen[1:], ["closed"])

    @inlineCallbacks
    def test_cancelled(self) -> Steps[None]:
        """
        Cancelling closes the connection.
        """
        seen = self.other(b"HTTP/1.1 200 OK\r\n\r\nhel")
        asking: Deferred[Answer] = self.client().request("GET", URL)
        yield self.clock.settle()
        asking.cancel()
        self.failureResultOf(asking, CancelledError)
        yield self.clock.settle()
        self.assertEqual(seen[1:], ["closed"])

    @inlineCallbacks
    def test_nobody_there(self) -> Steps[None]:
        """
        When nobody answers, that is the error.
        """
        asking = self.client().request("GET", URL)
        yield self.clock.advance(1)  # what Twisted waits for the other kind of address
        self.failureResultOf(asking, ConnectionRefusedError)

    @inlineCallbacks
    def test_a_certificate_of_nobodys(self) -> Steps[None]:
        """
        Over TLS, nothing is said to whom nobody vouches for.
        """
        seen: list[Any] = []
        factory: Any = Factory()
        factory.noisy = False
        factory.buildProtocol = lambda address: Other(b"", seen)
        context, _ = self_signed()
        self.clock.listenSSL(8443, factory, context)
        asking = self.client().request("GET", "https://localhost:8443/")
        yield self.clock.settle()
        error = self.failureResultOf(asking, ResponseNeverReceived).value
        self.assertIn("certificate verify failed", str(error.reasons[0].value))
        self.assertEqual(seen, ["closed"])

    def test_another_scheme(self) -> None:
        """
        What is neither ``http:`` nor ``https:`` is not asked for.
        """
        asking = self.client().request("GET", "ftp://127.0.0.1/")
        self.failureResultOf(asking, SchemeNotSupported)

    @inlineCallbacks
    def test_the_log(self) -> Steps[None]:
        """
        That it connects is not logged.
        """
        self.other(b"HTTP/1.1 204 Fine\r\n\r\n")
        log = Observed.during(self)
        yield self.client().request("GET", URL)
        self.assertEqual(log.texts, [])

    @inlineCallbacks
    def test_cut_off(self) -> Steps[None]:
        """
        A body that is cut off is no answer.
        """
        self.other(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhel")
        asking = self.client().request("GET", URL)
        yield self.clock.settle()
        self.clock.cut_off()
        yield self.clock.settle()
        self.failureResultOf(asking, ResponseFailed)


class PrivateTests(TestCase):
    """
    Only the public internet is called, unless it is said.
    """

    @inlineCallbacks
    def refused(self, url: str) -> Steps[str]:
        """What is told of somebody who is not called."""
        client = HTTPClient(self.clock)
        asking = client.request("GET", url)
        yield self.clock.advance(1)
        error = self.failureResultOf(asking, NotPublic).value
        return str(error.address)

    @inlineCallbacks
    def test_addresses(self) -> Steps[None]:
        """
        Not this machine, nor private networks, nor a cloud's own services.
        """
        for host in "127.0.0.1", "10.1.2.3", "169.254.169.254", "0.0.0.0":
            self.assertEqual((yield self.refused(f"http://{host}/")), host)

    @inlineCallbacks
    def test_names(self) -> Steps[None]:
        """
        Nor by a name, whatever it is: here, every name is this machine's.
        """
        self.assertEqual((yield self.refused("http://example.org/")), "127.0.0.1")

    @inlineCallbacks
    def test_public(self) -> Steps[None]:
        """
        Whoever has an address of the internet is called.
        """
        seen: list[Any] = []
        factory: Any = Factory()
        factory.noisy = False
        says = b"HTTP/1.1 204 Fine\r\n\r\n"
        factory.buildProtocol = lambda address: Other(says, seen)
        self.clock.listenTCP(80, factory)
        client = HTTPClient(self.clock)
        self.addCleanup(client.close)
        answer = yield client.request("GET", "http://93.184.216.34/")
        self.assertEqual(answer.status, 204)


class SocketTests(SocketCase):
    """
    The same through sockets.
    """

    def setUp(self) -> None:
        self.reactor: Any = global_reactor
        self.seen: list[Any] = []
        factory: Any = Factory()
        factory.noisy = False
        says = b"HTTP/1.1 204 Fine\r\n\r\n"
        factory.buildProtocol = lambda address: Other(says, self.seen)
        port: Any = self.reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.number = port.getHost().port

    @inlineCallbacks
    def ask(self, host: str, private: bool) -> Steps[int]:
        client = HTTPClient(self.reactor, private=private, pooled=0)
        self.addCleanup(client.close)
        answer = yield client.request("GET", f"http://{host}:{self.number}/")
        status: int = answer.status
        return status

    @inlineCallbacks
    def test_private(self) -> Steps[None]:
        """
        This machine is called when that is allowed.
        """
        self.assertEqual((yield self.ask("127.0.0.1", private=True)), 204)

    @inlineCallbacks
    def test_not_private(self) -> Steps[None]:
        """
        And otherwise not, however it is written: nobody sees a connection.
        """
        for host in "127.0.0.1", "localhost", "2130706433", "0x7f.1":
            with self.assertRaises(NotPublic, msg=host):
                yield self.ask(host, private=False)
        self.assertEqual(self.seen, [])


class PublicTests(SynchronousTestCase):
    """
    Which addresses are the internet's.
    """

    def test_public(self) -> None:
        """
        Those that anybody has.
        """
        for address in "93.184.216.34", "2606:4700::1111", "64:ff9b::808:808":
            self.assertTrue(is_public(address), address)

    def test_not_public(self) -> None:
        """
        Not those of one machine, one network, many machines, or none; nor the same
        written as addresses of IPv6.
        """
        for address in (
            *("127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1"),
            *(
                "192.0.0.8",
                "169.254.169.254",
                "0.0.0.0",
                "224.0.0.1",
                "255.255.255.255",
            ),
            *("::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1"),
            *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1"),
            *("64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::1", "2001::1"),
            *("2606:4700::1111%eth0", "example.org", ""),
        ):
            self.assertFalse(is_public(address), address)

    @given(st.ip_addresses(v=4))
    def test_embedded(self, address: Any) -> None:
        """
        An address of IPv4 is public or not, however it is written.
        """
        for prefix in "::ffff:", "64:ff9b::":
            self.assertEqual(
                is_public(f"{prefix}{address}"), is_public(str(address)), address
            )
