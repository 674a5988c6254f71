"""
Tests for L{ropewalk.web.hosting.wsgi.environs}: a request in the words of WSGI.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, unquote_to_bytes

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.web.hosting.wsgi.environs import environ_of, split_path
from tests.guests import put

#: What is in the path of a URL as it is (RFC 3986, section 3.3).
_PLAIN = "abcXYZ019-._~!$&'()*+,;=:@"

_NAMES = st.text("abcXYZ019-_", min_size=1, max_size=12)
_VALUES = st.text("abc XYZ019,;=\xe4\xff", max_size=12).map(str.strip)


class EnvironCase(SynchronousTestCase):
    """
    An application that notes its environment.
    """

    def environ(
        self, path: str = "/", *headers: str, mount: str = "/", method: str = "GET"
    ) -> dict[str, Any]:
        seen: list[dict[str, Any]] = []

        def application(environ: dict[str, Any], start: Any) -> list[bytes]:
            seen.append(environ)
            start("200 OK", [])
            return []

        visit = put(application, mount).visit()
        lines = "\r\n".join(["Host: example.org:8080", *headers])
        visit.send(f"{method} {path} HTTP/1.1\r\n{lines}\r\n\r\n".encode("latin-1"))
        self.assertEqual(visit.answer(method).status, 200)
        (environ,) = seen
        return environ


class RequestTests(EnvironCase):
    """
    What is asked for, by whom, and of whom.
    """

    def test_what(self) -> None:
        """
        The path is decoded, what was asked for is told as well.
        """
        environ = self.environ("/shop/a%20b/%C3%A4?q=1%202&q=3", mount="/shop")
        wanted = {
            "REQUEST_METHOD": "GET",
            "SCRIPT_NAME": "/shop",
            "PATH_INFO": "/a b/\xc3\xa4",
            "QUERY_STRING": "q=1%202&q=3",
            "REQUEST_URI": "/shop/a%20b/%C3%A4?q=1%202&q=3",
            "RAW_URI": "/shop/a%20b/%C3%A4?q=1%202&q=3",
            "SERVER_NAME": "example.org",
            "SERVER_PORT": "8080",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "10.9.8.7",
            "REMOTE_PORT": "5555",
            "HTTP_HOST": "example.org:8080",
            "wsgi.url_scheme": "http",
            "wsgi.version": (1, 0),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "wsgi.input_terminated": True,
        }
        self.assertEqual({key: environ.get(key) for key in wanted}, wanted)
        self.assertNotIn("HTTPS", environ)
        self.assertNotIn("CONTENT_LENGTH", environ)
        self.assertTrue(environ["ropewalk.request_id"].endswith("-r1"))

    def test_mount(self) -> None:
        """
        The mount itself can be asked for with a slash and without; below the root
        there is no ``SCRIPT_NAME``.
        """
        for path, mount, name, info in (
            ("/shop", "/shop", "/shop", ""),
            ("/shop/", "/shop", "/shop", "/"),
            ("/sh%6Fp/x", "/shop", "/shop", "/x"),
            ("/caf%C3%A9/x", "/caf\u00e9", "/caf\xc3\xa9", "/x"),
            ("/a/b/c%2Fd", "/a/b", "/a/b", "/c/d"),
            ("/", "/", "", "/"),
            ("/a//b", "/", "", "/a//b"),
        ):
            environ = self.environ(path, mount=mount)
            self.assertEqual(
                (environ["SCRIPT_NAME"], environ["PATH_INFO"]), (name, info), path
            )

    @given(st.text(_PLAIN + "/% \u00e4\u20ac", max_size=30))
    def test_paths(self, below: str) -> None:
        """
        Whatever is asked for below a mount is there, byte by byte, in ``PATH_INFO``.
        """
        path = ("/shop/" + quote(below, safe="/")).encode("ascii")
        name, info = split_path(path, "/shop")
        self.assertEqual(name, "/shop")
        self.assertEqual((name + info).encode("latin-1"), unquote_to_bytes(path))

    @given(st.binary(max_size=20))
    def test_no_text(self, below: bytes) -> None:
        """
        So is what is no text.
        """
        path = b"/" + quote(below, safe="").encode("ascii")
        self.assertEqual(split_path(path, ""), ("", "/" + below.decode("latin-1")))


class HeaderTests(EnvironCase):
    """
    Headers.
    """

    def test_several(self) -> None:
        """
        Several of one name are one, cookies as cookies are.
        """
        environ = self.environ(
            *("/", "X-One: a", "x-one: b", "Cookie: a=1", "Cookie: b=2"),
            *("Content-Type: text/plain", "Accept: */*"),
        )
        self.assertEqual(environ["HTTP_X_ONE"], "a,b")
        self.assertEqual(environ["HTTP_COOKIE"], "a=1; b=2")
        self.assertEqual(environ["CONTENT_TYPE"], "text/plain")
        self.assertNotIn("HTTP_CONTENT_TYPE", environ)

    def test_spoofing(self) -> None:
        """
        None passes for another, for a variable of CGI's, or for a proxy.
        """
        environ = self.environ(
            *("/", "X-User: me", "X_User: root", "Proxy: evil:80"),
            *("Content_Length: 7", "Remote_Addr: 127.0.0.1"),
        )
        self.assertEqual(environ["HTTP_X_USER"], "me")
        for key in "HTTP_PROXY", "HTTP_CONTENT_LENGTH", "CONTENT_LENGTH":
            self.assertNotIn(key, environ)
        self.assertEqual(environ["REMOTE_ADDR"], "10.9.8.7")
        self.assertNotIn("HTTP_REMOTE_ADDR", environ)

    def test_chunks(self) -> None:
        """
        A body in chunks has been put together: nothing says that it was any.
        """
        environ = self.environ(
            "/", "Transfer-Encoding: chunked\r\n\r\n0", method="POST"
        )
        self.assertEqual(environ["CONTENT_LENGTH"], "0")
        self.assertNotIn("HTTP_TRANSFER_ENCODING", environ)

    def test_empty(self) -> None:
        """
        A body of which it is said that it is empty has a length; CherryPy's refuses one
        without (411). One that is not there has none.
        """
        said = self.environ("/", "Content-Length: 0", method="POST")
        self.assertEqual(said["CONTENT_LENGTH"], "0")
        silent = self.environ("/", method="POST")
        self.assertNotIn("CONTENT_LENGTH", silent)

    @given(st.lists(st.tuples(_NAMES, _VALUES), max_size=6))
    def test_any(self, headers: list[tuple[str, str]]) -> None:
        """
        Whatever headers there are: those with hyphens are told, in their order, and
        what is in the environment came from one of them.
        """
        prefixed = [(f"X-{name}", value) for name, value in headers]
        environ = self.environ("/", *(f"{name}: {value}" for name, value in prefixed))
        wanted: dict[str, list[str]] = {}
        for name, value in prefixed:
            if "_" not in name:
                key = "HTTP_" + name.upper().replace("-", "_")
                wanted.setdefault(key, []).append(value)
        told = {key: value for key, value in environ.items() if key[:7] == "HTTP_X_"}
        self.assertEqual(told, {key: ",".join(each) for key, each in wanted.items()})

    def test_https(self) -> None:
        """
        Over TLS, or behind a proxy that says so, it is HTTPS.
        """

        class Secure:
            uri = path = b"/"
            method, clientproto, id = b"GET", b"HTTP/2", "x"
            host = client = object()
            _request_headers = object()

            class requestHeaders:
                getAllRawHeaders = staticmethod(lambda: ())
                getRawHeaders = staticmethod(lambda name: None)

            isSecure = staticmethod(lambda: True)
            getRequestHostname = staticmethod(lambda: b"example.org")

        environ = environ_of(Secure, "", {}, 0)
        self.assertEqual(
            (environ["HTTPS"], environ["wsgi.url_scheme"]), ("on", "https")
        )
        # Of a UNIX socket there is no address.
        self.assertEqual((environ["SERVER_PORT"], environ["REMOTE_ADDR"]), ("443", ""))
        self.assertEqual(environ["CONTENT_LENGTH"], "0")
