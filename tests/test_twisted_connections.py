# -*- test-case-name: tests.test_twisted_connections -*-
"""
Twisted's own tests of connections, for those of the loop.

Those that make a reactor have one on a loop of its own, which listens and connects as
L{LoopNetwork} does; the others have a L{LoopNetwork} in place of the reactor. What
differs on purpose is in L{DIFFERENCES}. It is run, has to fail, and is then reported as
skipped, with the reason; when it passes, that is a failure.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any
from unittest import SkipTest, TestCase
from unittest.mock import patch

from twisted.internet import reactor
from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.defer import Deferred, inlineCallbacks, maybeDeferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import directlyProvides, providedBy

from ropewalk.net.transports import LoopNetwork, network
from tests.adopting import cases_of

#: Of C{twisted.internet.test}, what makes a reactor and then connections.
BUILDERS = {
    "test_newtls": ("ProducerTestsMixin",),
    "test_socket": (
        "AdoptStreamPortErrorsTestsBuilder",
        "IReactorSocketVerificationTestsBuilder",
    ),
    "test_tcp": (
        "AbortConnectionTests",
        "TCP4ClientTestsBuilder",
        "TCP4ConnectorTestsBuilder",
        "TCP6ClientTestsBuilder",
        "TCP6ConnectorTestsBuilder",
        "TCPConnectionTestsBuilder",
        "TCPFDPortTestsBuilder",
        "TCPPortTestsBuilder",
        "TCPTransportTestsBuilder",
        "TestBindAddressBuilder",
    ),
    "test_tls": (
        "AbortSSLConnectionTests",
        "SSLClientTestsMixin",
        "StartTLSClientTestsMixin",
        "TLSPortTestsBuilder",
    ),
    "test_unix": (
        "UNIXFDPortTestsBuilder",
        "UNIXPortTestsBuilder",
        "UNIXTestsBuilder",
        "UnixClientTestsBuilder",
    ),
}

#: Of C{twisted.test}, what makes connections with the reactor that runs.
SUITES = ("test_ssl", "test_tcp", "test_unix")

#: What is the reactor's as before.
NOT_OURS = {
    "AdoptDatagramPortErrorsTestsBuilder",
    "AdoptStreamConnectionErrorsTestsBuilder",
    "AdoptStreamConnectionTestsBuilder",
    "DatagramUnixSocketTests",
    "UNIXAdoptStreamConnectionTestsBuilder",
    "UNIXDatagramTestsBuilder",
}

_SYSTEM = (
    "what a protocol logs has no prefix of its connection's: to set it would cost more "
    "than all else that is done for a segment; our listeners name a connection by the "
    "context of its work"
)
_MARKED = (
    "a factory whose protocols send descriptors says so (INeedsDescriptor), and has "
    "Twisted's own transports"
)
_READERS = "the loop reads, and not the reactor, at whose readers this looks"

#: What differs on purpose, and why.
DIFFERENCES = {
    "HalfCloseTests.testCloseWriteCloser": (
        "this looks at the buffer within Twisted's own"
    ),
    "LoopbackTests.test_tcpNoDelay": (
        "what was written in one turn goes in one piece, and then at once: TCP_NODELAY "
        "is on, which this expects to be off"
    ),
    "PauseProducingTests.test_pauseProducingInConnectionMade": _READERS,
    "ProperlyCloseFilesTests.test_properlyCloseFiles": (
        "the handle is a socket to be asked and set, not to be written to as this does"
    ),
    "SSLClientTestsMixin.test_logPrefix": _SYSTEM,
    "StartTLSClientTestsMixin.test_logPrefix": _SYSTEM,
    "TCP4ClientTestsBuilder.test_logPrefix": _SYSTEM,
    "TCP6ClientTestsBuilder.test_logPrefix": _SYSTEM,
    "TCPConnectionTestsBuilder.test_resumeProducing": _READERS,
    "TCPTransportTestsBuilder.test_streamingProducer": (
        "what the system takes at once never waits, so that there is no need to pause: "
        "this writes 1,000 bytes"
    ),
    "UNIXTestsBuilder.test_avoidLeakingFileDescriptors": _MARKED,
    "UNIXTestsBuilder.test_descriptorDeliveredBeforeBytes": _MARKED,
    "UNIXTestsBuilder.test_fileDescriptorOverrun": _MARKED,
    "UNIXTestsBuilder.test_logPrefix": _SYSTEM,
    "UNIXTestsBuilder.test_sendFileDescriptor": _MARKED,
    "UNIXTestsBuilder.test_sendFileDescriptorTriggersPauseProducing": _MARKED,
}

#: What is missing for Twisted's tests to be run; empty if nothing is.
MISSING = ", ".join(
    name for name in ("uvloop", "hamcrest", "OpenSSL") if not find_spec(name)
)

#: Whether the reactor that runs is one that a L{LoopNetwork} can take the place of.
ON_UVLOOP = isinstance(network(reactor), LoopNetwork)

#: What L{LoopNetwork} does instead of a reactor.
CALLS = (
    *("listenTCP", "connectTCP", "listenSSL", "connectSSL"),
    *("listenUNIX", "connectUNIX", "adoptStreamPort"),
)

#: What Twisted's tests are warned of: they leave sockets to the garbage collector, and
#: that may find them in another test; and they hand out a broken context of TLS.
SUPPRESS = [
    (("ignore",), {"category": ResourceWarning}),
    (("ignore",), {"message": ".*BrokenContextFactory.*does not explicitly provide"}),
]

#: Seconds that a test may take, and one that has to fail: some do so by waiting.
PATIENCE, SHORT = 20.0, 0.3


class Looped(AsyncioSelectorReactor):
    """
    A reactor that makes connections as the network on its loop does.
    """

    def __init__(self, loop: Any) -> None:
        super().__init__(loop)
        self.loop = loop
        self.network = LoopNetwork(Beneath(self), loop)

    def disconnectAll(self) -> None:
        super().disconnectAll()
        self.network.disconnect()


class Beneath:
    """
    That reactor, without the network on it.
    """

    def __init__(self, looped: Looped) -> None:
        self._looped = looped
        directlyProvides(self, providedBy(looped))

    def __getattr__(self, name: str) -> Any:
        return getattr(super(Looped, self._looped), name)


def _through(name: str) -> Callable[..., Any]:
    def call(self: Looped, *args: Any, **named: Any) -> Any:
        return getattr(self.network, name)(*args, **named)

    return call


for _name in CALLS:
    setattr(Looped, _name, _through(_name))


def _make_reactor(case: Any) -> Looped:
    """A reactor on a loop of its own."""
    import uvloop

    loop = uvloop.new_event_loop()
    case.addCleanup(loop.close)
    return Looped(loop)


def _built(builder: type) -> type:
    """What makes a reactor, as a test case of ours."""
    members: dict[str, Any] = {
        "__module__": __name__,
        "reactorFactory": _make_reactor,
        "getTimeout": lambda self: PATIENCE,
        "suppress": SUPPRESS,
    }
    members.update(_differing(builder, _fails))
    return type(_named(builder), (builder, SynchronousTestCase), members)


def _adopted(module: ModuleType, case: type[TestCase]) -> type:
    """A test case that uses the reactor that runs, as one of ours."""
    ours = network(reactor)

    def run(self: TestCase, result: Any = None) -> Any:
        with patch.object(module, "reactor", ours):
            return case.run(self, result)

    members: dict[str, Any] = {
        "__module__": __name__,
        "run": run,
        "timeout": PATIENCE,
        "suppress": SUPPRESS,
    }
    members.update(_differing(case, _fails_later))
    return type(_named(case), (case,), members)


def _named(case: type) -> str:
    return f"{case.__name__}OnTheLoop"


def _differing(
    case: type, fails: Callable[[Callable[[Any], Any], str], Any]
) -> Iterator[tuple[str, Any]]:
    """The tests of a case that have to fail, and how they do."""
    for method in dir(case):
        reason = DIFFERENCES.get(f"{case.__name__}.{method}")
        if reason is not None:
            yield method, fails(getattr(case, method), reason)


def _fails(method: Callable[[Any], Any], reason: str) -> Callable[[Any], None]:
    """A test that has to fail."""

    def differ(self: Any) -> None:
        self.getTimeout = lambda: SHORT
        failed = False
        try:
            method(self)
        except Exception:
            failed = True
        _conclude(self, failed, reason)

    differ.__doc__ = method.__doc__
    return differ


def _fails_later(
    method: Callable[[Any], Any], reason: str
) -> Callable[[Any], Deferred[None]]:
    """A test that has to fail in the end."""

    @inlineCallbacks
    def differ(self: Any) -> Any:
        failed = False
        try:
            yield maybeDeferred(method, self)
        except Exception:
            failed = True
        _conclude(self, failed, reason)

    differ.__doc__ = method.__doc__
    return differ


def _conclude(case: Any, failed: bool, reason: str) -> None:
    gc.collect()  # what nobody has waited for is logged now, or in another test
    if case.flushLoggedErrors() or failed:
        raise SkipTest(f"differs on purpose: {reason}")
    case.fail(f"this passes, and need not be listed: {reason}")


def _adopt() -> Iterator[type]:
    """All that is run here, with the reactor that there is."""
    for name, builders in BUILDERS.items():
        module = import_module(f"twisted.internet.test.{name}")
        for builder in builders:
            yield _built(getattr(module, builder))
    for name in SUITES if ON_UVLOOP else ():
        module = import_module(f"twisted.test.{name}")
        for case in cases_of(module):
            if case.__name__ not in NOT_OURS:
                yield _adopted(module, case)


if not MISSING:
    ADOPTED = list(_adopt())
    globals().update({case.__name__: case for case in ADOPTED})


class SuiteTests(SynchronousTestCase):
    """
    Twisted's tests are all there, and what is said of them is true.
    """

    def setUp(self) -> None:
        if MISSING and os.environ.get("CI"):
            self.fail(f"Twisted's tests are not run without {MISSING}")
        if MISSING:
            raise SkipTest(
                f"Twisted's tests are not run without {MISSING}: `pip install uvloop "
                "pyhamcrest pyopenssl` brings it"
            )

    def test_builders(self) -> None:
        """
        Whatever Twisted makes a reactor for in these modules is run, or it is said
        that it is not.
        """
        for name, builders in BUILDERS.items():
            module = import_module(f"twisted.internet.test.{name}")
            there = {
                case.removesuffix("_SelectReactorTests")
                for case in vars(module)
                if case.endswith("_SelectReactorTests")
            }
            self.assertEqual(there - NOT_OURS, {*builders})

    def test_names(self) -> None:
        """
        No test case takes the place of another.
        """
        self.assertEqual(len({case.__name__ for case in ADOPTED}), len(ADOPTED))

    def test_differences(self) -> None:
        """
        Each test that is said to differ is there.
        """
        adopted = {case.__name__: case for case in ADOPTED}
        for name in DIFFERENCES:
            case, _, method = name.partition(".")
            ours = adopted.get(f"{case}OnTheLoop")
            if ours is not None or ON_UVLOOP:
                self.assertTrue(hasattr(ours, method), name)

    def test_the_loop(self) -> None:
        """
        A reactor that is made for a test makes connections of its loop.
        """
        made = _make_reactor(self)
        for name in CALLS:
            self.assertIn(name, vars(Looped))
        self.assertTrue(type(made.loop).__module__.startswith("uvloop"))
        self.assertIsInstance(made.network, LoopNetwork)
