"""
Twisted's own suite of C{twisted.web}, with our channel and our site in the place of
Twisted's: whoever has a resource, a request or a factory for C{twisted.web} has it for
ours.

Of Twisted's modules those are run that make a channel or a site. What differs on
purpose is in L{DIFFERENCES}. It is run, has to fail, and is then reported as skipped,
with the reason; when it passes, that is a failure.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from inspect import getsource
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import SkipTest, TestCase
from unittest.mock import patch

from twisted.internet.defer import fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web import http, proxy, server
from twisted.web.resource import Resource

from ropewalk.web.engine import Channel
from ropewalk.web.mounts import Mount, Mounts
from ropewalk.web.site import Site
from ropewalk.wire import http1
from tests.adopting import cases_of, different

#: Twisted's modules that make channels, factories or sites, and what they need.
MODULES = {
    "test_cgi": None,
    "test_distrib": None,
    "test_http": "hamcrest",
    "test_http2": "httpx",
    "test_proxy": None,
    "test_tap": None,
    "test_vhost": None,
    "test_web": None,
    "test_websocket": "wsproto",
    "test_wsgi": None,
    "test_xmlrpc": None,
}

#: Those that do not, and what of the above does not either: they are about clients,
#: decoders, HTTP/2, templates, or what a resource does with a request that is made up.
NOT_OURS = (
    "test_abnf",
    "test_agent",
    "test_cgi.CGIDirectoryTests",
    "test_cgi.CGIProcessProtocolTests",
    "test_client",
    "test_distrib.UserDirectoryTests",
    "test_domhelpers",
    "test_error",
    "test_flatten",
    "test_html",
    "test_http.ChunkedTransferEncodingTests",
    "test_http.ClientStatusParsingTests",
    "test_http.DateTimeTests",
    "test_http.DeprecatedRequestAttributesTests",
    "test_http.HTTPClientDeprecationTests",
    "test_http.HTTPClientSanitizationTests",
    "test_http.IdentityTransferEncodingTests",
    "test_http.MultilineHeadersTests",
    "test_http.QueryArgumentsTests",
    "test_http2.H2FlowControlTests",
    "test_http2.HTTP2RapidResetTests",
    "test_http2.HTTP2SchedulingTests",
    "test_http2.HTTP2TimeoutTests",
    "test_http2.HTTP2TransportChecking",
    "test_http_headers",
    "test_httpauth",
    "test_newclient",
    "test_pages",
    "test_proxy.ProxyClientFactoryTests",
    "test_proxy.ProxyClientTests",
    "test_proxy.ProxyRequestTests",
    "test_proxy.ReverseProxyRequestTests",
    "test_resource",
    "test_script",
    "test_stan",
    "test_static",
    "test_tap.AddHeadersResourceTests",
    "test_template",
    "test_util",
    "test_vhost.NameVirtualHostTests",
    "test_vhost.VHostMonsterResourceTests",
    "test_web.ResourceTests",
    "test_web__responses",
    "test_webclient",
    "test_wsgi.WSGIResourceTests",
    "test_xml",
    "test_xmlrpc.AsyncXMLRPCTests",
    "test_xmlrpc.QueryFactoryParseResponseTests",
    "test_xmlrpc.XMLRPCWithRequestTests",
)

#: How a test makes what we replace.
MAKERS = (
    *(
        "HTTPChannel(",
        "HTTPFactory(",
        "HTTPChannelProtocol",
        "HTTPChannelProtocolFactory",
    ),
    *("server.Site(", " Site("),
)

_DEADLINES = (
    "how long a client may take is looked after by the site, by its clock; this is a "
    "channel without a site, and replaces the clock of the channel"
)
_SAYS_CLOSE = "an answer of ours that is the last one says so also in HTTP/1.0"
_READS_ON = (
    "what has come while a request is answered is kept, up to 64 KiB; Twisted's limit "
    "is another, under a private name"
)
_LIMITS = "how much may come is said by [web.limits], not by attributes of a channel"
_STATUS = "what is refused is told more exactly than by 400"
_FOLDING = "a header that goes on in the next line is refused (RFC 9112, section 5.2)"
_OLD_CHUNKS = "there are no chunks in HTTP/1.0 (RFC 9112, section 6.1)"
_ACCESS_LOG = "our access log is not written by the site, but by what observes it"

_TIMED_OUT = (
    *("test_connectionLostAfterForceClose", "test_requestBodyDefaultTimeout"),
    *("test_transportForciblyClosed", "test_transportNotAbortedAfterConnectionLost"),
    "test_transportNotAbortedWithZeroAbortTimeout",
)

#: What differs on purpose, and why.
DIFFERENCES = {
    "ChannelProductionTests.test_HTTPChannelPropagatesPausedProductionToRequest": (
        _READS_ON
    ),
    "ChannelProductionTests.test_HTTPChannelStaysPausedWhenRequestCompletes": _READS_ON,
    "ChannelProductionTests.test_HTTPChannelToleratesDataWhenTransportPaused": (
        "what comes from a client that does not read is looked at when it does"
    ),
    "ChannelProductionTests.test_HTTPChannelUnregistersSelfWhenTimingOut": _DEADLINES,
    "ChunkingTests.test_multipartFormData": _OLD_CHUNKS,
    "EnvironTests.test_requestMethodIsNativeString": "a method is bytes, never text",
    "Expect100ContinueServerTests.test_HTTP10": _SAYS_CLOSE,
    "GenericHTTPChannelTests.test_h2CancelsH11Timeout": _DEADLINES,
    **{
        f"{case}.{test}": _DEADLINES
        for case in (
            "HTTP0_9Tests",
            "HTTP1_0Tests",
            "HTTP1_1Tests",
            "HTTP1_1_close_Tests",
        )
        for test in _TIMED_OUT
    },
    "HTTP1_0Tests.test_buffer": _SAYS_CLOSE,
    "HTTP1_0Tests.test_noPipelining": _SAYS_CLOSE,
    "HTTP1_0Tests.test_noPipeliningApi": _SAYS_CLOSE,
    "HTTPLoopbackTests.testLoopback": _SAYS_CLOSE,
    "ParsingTests.test_chunkedEncoding": _OLD_CHUNKS,
    "ParsingTests.test_headerStripWhitespace": _FOLDING,
    "ParsingTests.test_headersMultiline": _FOLDING,
    "ParsingTests.test_headersTooBigInitialCommand": _LIMITS,
    "ParsingTests.test_headersTooBigOtherHeaders": _LIMITS,
    "ParsingTests.test_invalidVersion": (
        "HTTP/1.2 is read as HTTP/1.1 (RFC 9110, section 2.5)"
    ),
    "ParsingTests.test_multipartEmptyHeaderProcessingFailure": _SAYS_CLOSE,
    "ParsingTests.test_multipartFilesData": _SAYS_CLOSE,
    "ParsingTests.test_multipartFormData": _SAYS_CLOSE,
    "ParsingTests.test_tooManyHeaders": _STATUS,
    "ParsingTests.test_transferEncodingIdentity": (
        "there is no coding 'identity' any more (RFC 9112, section 7)"
    ),
    "ParsingTests.test_unknownTransferEncoding": _STATUS,
    "PipeliningBodyTests.test_pipeliningReadLimit": _READS_ON,
    "RequestTests.test_finishCleansConnection": _READS_ON,
    "RequestTests.test_requestBodyTimeoutFromFactory": _DEADLINES,
    "SecurityTests.test_notSecureAfterFinish": (
        "this puts a request into the channel's list, which is made for who asks"
    ),
    "SiteAccessLogTests.test_combinedLogFormat": _ACCESS_LOG,
    "SiteAccessLogTests.test_logFormatOverride": _ACCESS_LOG,
    "SiteTest.test_defaultRequestFactory": (
        "a site of ours makes requests of ours, which are a subclass of Twisted's"
    ),
    "SiteTest.test_simplestSite": "this asks with a request that has no path",
}

#: What is missing of that which Twisted's suite needs.
MISSING = [each for each in MODULES.values() if each and not find_spec(each)]


class OneResource(Site):
    """
    Our site, made as Twisted makes its own: of one resource, which is all of it.
    """

    def __init__(
        self,
        resource: Any,
        requestFactory: Any = None,
        *args: Any,
        reactor: IReactorTime | None = None,
        timeout: float = 60,
        parsePOSTFormSubmission: bool = True,
        **others: Any,
    ) -> None:
        super().__init__(Mounts(), reactor or Clock(), resource, idle=timeout)
        mount = Mount("/", resource, "web", "twisted.web", "pages", resource)
        self.mounts.add(mount)
        self._parsePOSTFormSubmission = parsePOSTFormSubmission
        if requestFactory is not None:
            self.requestFactory = requestFactory


def _read_fields(block: bytes, is_current: bool, limits: Any) -> Any:
    """
    Read headers as ours are read, where no host is missing: Twisted takes requests
    without, and its tests send few with one.
    """
    lines = block.lower().split(b"\r\n")
    if not is_current or any(line.startswith(b"host:") for line in lines):
        return _OUR_WAY(block, is_current, limits)
    fields = _OUR_WAY(b"Host: a\r\n" + block, is_current, limits)
    del fields.pairs[0]
    return fields


_OUR_WAY = http1.read_fields


#: Twisted's modules, in which what they import by name is ours.
_loaded: dict[str, ModuleType] = {}


@contextmanager
def _ours() -> Iterator[None]:
    """Let whoever makes a channel or a site make one of ours."""
    with (
        patch("twisted.web.http.HTTPChannel", Channel),
        patch("twisted.web.server.Site", OneResource),
        patch("ropewalk.wire.http1.read_fields", _read_fields),
    ):
        theirs = _exchange(_loaded)
        try:
            yield
        finally:
            _loaded.update(_exchange(theirs))


def _exchange(modules: dict[str, ModuleType]) -> dict[str, ModuleType]:
    """
    Put modules of Twisted's suite in the place of those that there are.

    :return: these.
    """
    names = [name for name in sys.modules if name.startswith("twisted.web.test.")]
    before = {name: sys.modules.pop(name) for name in names}
    sys.modules.update(modules)
    return before


def _load() -> dict[str, ModuleType]:
    """Import Twisted's modules once more; what they import has to stay Twisted's."""
    for name in MODULES:
        import_module(f"twisted.web.test.{name}")
    with _ours():
        return {name: import_module(f"twisted.web.test.{name}") for name in MODULES}


def _name(module: str, case: type[TestCase]) -> str:
    """What one of Twisted's cases is called here: two modules may use one name."""
    return f"{case.__name__}Of{module.removeprefix('test_').title()}"


def _adopted(case: type[TestCase], name: str) -> type:
    """A test case of Twisted's as one of ours."""

    def run(self: TestCase, result: Any = None) -> Any:
        with _ours():
            return case.run(self, result)

    # One that waits for what never comes does not wait for trial's two minutes.
    members: dict[str, Any] = {"__module__": __name__, "run": run, "timeout": 30}
    for method in dir(case):
        reason = DIFFERENCES.get(f"{case.__name__}.{method}")
        if reason is not None:
            members[method] = different(getattr(case, method), reason)
    return type(name, (case,), members)


def _adopt() -> dict[str, type]:
    """Twisted's test cases, by our names."""
    return {
        _name(short, case): _adopted(case, _name(short, case))
        for short, module in _load().items()
        for case in cases_of(module)
        if f"{short}.{case.__name__}" not in NOT_OURS
    }


if not MISSING:
    globals().update(_adopt())


class SuiteTests(SynchronousTestCase):
    """
    Twisted's suite is all there, and what is said of it is true.
    """

    def setUp(self) -> None:
        missing = ", ".join(MISSING)
        if MISSING and os.environ.get("CI"):
            self.fail(f"Twisted's suite is not run without {missing}")
        if MISSING:
            raise SkipTest(
                f"Twisted's suite is not run without {missing}: `pip install "
                "pyhamcrest httpx[http2] wsproto` brings it"
            )

    def sources(self) -> dict[str, str]:
        """What Twisted's modules say, by their names."""
        package = find_spec("twisted.web.test")
        assert package is not None and package.origin is not None
        files = Path(package.origin).parent.glob("test_*.py")
        return {each.stem: each.read_text("utf-8") for each in files}

    def test_modules(self) -> None:
        """
        Each of Twisted's test modules is run, or it is said that it is not.
        """
        left_out = {name for name in NOT_OURS if "." not in name}
        self.assertEqual(set(self.sources()), {*MODULES, *left_out})
        self.assertEqual(set(MODULES) & left_out, set())

    def test_what_is_left_out(self) -> None:
        """
        What is left out is there, and makes nothing of which we have our own.
        """
        sources = self.sources()
        for name in NOT_OURS:
            module, _, case = name.partition(".")
            source = sources[module]
            if case:
                written = getattr(import_module(f"twisted.web.test.{module}"), case)
                source = "".join(
                    getsource(each)
                    for each in written.__mro__
                    if each.__module__.startswith("twisted.web.test.")
                )
            made = [maker for maker in MAKERS if maker in source]
            self.assertEqual(made, [], name)

    def test_differences(self) -> None:
        """
        Each case that is said to differ is there.
        """
        there = {
            f"{case.__name__}.{method}"
            for name in MODULES
            for case in cases_of(import_module(f"twisted.web.test.{name}"))
            for method in dir(case)
        }
        self.assertEqual(set(DIFFERENCES) - there, set())

    def test_none_is_lost(self) -> None:
        """
        Every test of a case of Twisted's is one of ours.
        """
        for name in MODULES:
            for case in cases_of(import_module(f"twisted.web.test.{name}")):
                if f"{name}.{case.__name__}" in NOT_OURS:
                    continue
                adopted = globals()[_name(name, case)]
                for method in dir(case):
                    if method.startswith("test"):
                        self.assertTrue(callable(getattr(adopted, method)))

    def test_ours_is_in_place(self) -> None:
        """
        While a case runs, what it makes is ours; and what a module has imported by
        its name is.
        """
        made: list[Any] = []

        class Making(SynchronousTestCase):
            def test_it(self) -> None:
                made.append(http.HTTPChannel())
                factory = http.HTTPFactory(reactor=Clock())
                protocol: Any = factory.buildProtocol(None)
                made.append(protocol._channel)
                made.append(server.Site(Resource()).buildProtocol(None))

        result = self.defaultTestResult()
        _adopted(Making, "MakingOfTests")("test_it").run(result)
        self.assertEqual((result.errors, result.failures), ([], []))
        self.assertEqual([type(each) for each in made], [Channel] * 3)
        case: Any = globals()["TestRFC9112Section932OfWeb"]
        names = case.test_multipleRequestsInOneSegment.__globals__
        self.assertIs(names["Site"], OneResource)

    def test_nothing_stays(self) -> None:
        """
        Who makes a channel or a site besides gets Twisted's.
        """
        self.assertEqual(http.HTTPChannel.__module__, "twisted.web.http")
        self.assertEqual(server.Site.__module__, "twisted.web.server")
        self.assertIs(http1.read_fields, _OUR_WAY)
        module = import_module("twisted.web.test.test_web")
        self.assertIs(module.Site, server.Site)
        self.assertIs(proxy.Proxy.__base__, http.HTTPChannel)

    def test_what_no_longer_differs(self) -> None:
        """
        A case fails that is listed and passes, at once or later.
        """
        case = different(lambda _: None, "it did")
        error = self.assertRaises(self.failureException, case, self)
        self.assertIn("it did", str(error))
        later = different(lambda _: succeed(None), "it did")(self)
        self.assertIn("it did", str(self.failureResultOf(later).value))

    def test_what_differs(self) -> None:
        """
        One that is listed and fails is skipped.
        """
        case = different(lambda test: test.assertEqual(1, 2), "one is not two")
        error = self.assertRaises(SkipTest, case, self)
        self.assertIn("one is not two", str(error))
        later = different(lambda _: fail(ValueError()), "one is not two")(self)
        self.failureResultOf(later, SkipTest)
