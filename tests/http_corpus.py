"""
Requests as a server of HTTP/1.1 may get them: such as have to be refused, such as have
to be answered, and such as may be either. RFC 9110 is HTTP, RFC 9112 is HTTP/1.1, and
RFC 3986 is what a URI is; where they leave a choice, the stricter one is made here,
since what two servers read differently is how a request is smuggled past one of them
(RFC 9112, section 11.2).

There is no server in here: each request is bytes, and what is to become of them.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import Factory, frozen

HOST = b"Host: example.org"

#: What comes behind each request, and belongs to nobody's body.
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: example.org\r\n\r\n"

_GZIPPED = gzip.compress(b"hello" * 100)

#: All that is in a token (RFC 9110, section 5.6.2).
TOKEN = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

#: Control bytes, but for those which end a line or are white space.
CONTROLS = [n for n in (*range(32), 127) if n not in b"\t\r\n"]

#: Visible, and in no token. A colon ends a header's name.
DELIMITERS = [n for n in range(33, 127) if n not in TOKEN and n not in b":"]

#: Of the bytes of no ASCII: the first and the last, what Python takes for white space
#: or for digits in Latin-1, and what begins a character in UTF-8.
FOREIGN = [0x80, 0x85, 0xA0, 0xB2, 0xC3, 0xFF]

#: What ``strip`` of Python takes away, of bytes or of text, and HTTP does not.
STRIPPED = [0x0B, 0x0C, 0x1C, 0x1D, 0x1E, 0x1F]


@frozen
class Bad:
    """
    A request that has to be refused, and ends the connection.

    :ivar name: What is wrong with it.
    :ivar section: Which section says so: ``"9112 2.2"``.
    :ivar said: Its bytes.
    :ivar statuses: What it is answered: one of these.
    """

    name: str
    section: str
    said: bytes
    statuses: tuple[int, ...] = (400,)


@frozen
class Good:
    """
    A request that has to be answered.

    :ivar said: Its bytes, as many as are its own.
    :ivar headers: What some of its headers are, by name in lower case: a value for
        each line. An empty list is of a header that there is not.
    :ivar body: Its content, decoded.
    :ivar closes: Whether it is the last on its connection.
    """

    name: str
    section: str
    said: bytes
    method: bytes = b"GET"
    target: bytes = b"/"
    headers: Mapping[bytes, list[bytes]] = Factory(dict)
    body: bytes = b""
    closes: bool = False


def head(*lines: bytes) -> bytes:
    """A request without a body."""
    return b"\r\n".join((*lines, b"", b""))


def get(*lines: bytes, target: bytes = b"/") -> bytes:
    """A usual request with more headers."""
    return head(b"GET " + target + b" HTTP/1.1", HOST, *lines)


def post(*lines: bytes, body: bytes = b"hello") -> bytes:
    """A request with a body, which its headers have to frame."""
    return head(b"POST / HTTP/1.1", HOST, *lines) + body


def in_chunks(body: bytes, *lines: bytes) -> bytes:
    """A request whose body comes in chunks, as they are given."""
    return post(b"Transfer-Encoding: chunked", *lines, body=body)


def coded(codings: bytes, body: bytes) -> bytes:
    """A request whose body, coded somehow, is one chunk."""
    chunk = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    return post(b"Transfer-Encoding: " + codings, body=chunk)


def byte(number: int) -> str:
    """A byte by its name: ``"0x0b"``."""
    return f"{number:#04x}"


def _bad(section: str, requests: Mapping[str, bytes], *statuses: int) -> Iterable[Bad]:
    for name, said in requests.items():
        yield Bad(name, section, said, statuses or (400,))


def _each(name: str, numbers: Iterable[int], frame: bytes) -> dict[str, bytes]:
    """A request for each byte: it is put where ``@`` is."""
    return {
        f"{byte(number)} {name}": frame.replace(b"@", bytes([number]))
        for number in numbers
    }


#: RFC 9112, sections 2.2 and 3: a line ends with CRLF. That a recipient may take a
#: lone LF for one is a choice, and what requests are smuggled with.
LINE_ENDS = [
    *_bad(
        "9112 2.2",
        {
            "LF behind the request line": b"GET / HTTP/1.1\nHost: example.org\r\n\r\n",
            "LF behind a header": b"GET / HTTP/1.1\r\nHost: example.org\n\r\n",
            "LF behind one header of two": get(b"X: a\nY: b"),
            "LF in place of the empty line": b"GET / HTTP/1.1\r\nHost: a\r\n\n",
            "LF everywhere": b"GET / HTTP/1.1\nHost: example.org\n\n",
            "LF before the request line": b"\n" + get(),
            "CRLF and LF before the request line": b"\r\n\n" + get(),
            "LF before the method's second letter": b"G\nET / HTTP/1.1\r\n\r\n",
            "CR behind the request line": b"GET / HTTP/1.1\rHost: example.org\r\n\r\n",
            "CR behind a header": b"GET / HTTP/1.1\r\nHost: example.org\rX: a\r\n\r\n",
            "CR everywhere": b"GET / HTTP/1.1\rHost: example.org\r\r",
            "CR before the request line": b"\r" + get(),
            "CR in place of the empty line": get(b"X: a")[:-2] + b"\rY\r\n\r\n",
            "CR CR LF behind the request line": get().replace(b"1.1\r", b"1.1\r\r"),
            "CR CR LF behind a header": get(b"X: a\r"),
            "CR CR LF in place of the empty line": get(b"X: a")[:-2] + b"\r\r\n",
            "LF CR behind a header": get(b"X: a\n\rY: b"),
            "CR in a value": get(b"X: a\rb"),
            "CR before a value": get(b"X: \ra"),
            "CR behind the colon": get(b"X:\ra"),
            "CR in a name": get(b"X\rY: a"),
            "CR before a name": get(b"\rX: a"),
            "CR before the colon": get(b"X\r: a"),
            "LF in a name": get(b"X\nY: a"),
            "LF before the colon": get(b"X\n: a"),
            "CR in the target": get(target=b"/a\rb"),
            "CR behind the target": b"GET /\r HTTP/1.1\r\nHost: example.org\r\n\r\n",
            "LF in the target": get(target=b"/a\nb"),
            "CR in the version": b"GET / HTTP/1\r.1\r\nHost: example.org\r\n\r\n",
            "a header hidden by LF": get(b"X: a\nTransfer-Encoding: chunked"),
            "a header hidden by CR": get(b"X: a\rTransfer-Encoding: chunked"),
            "Content-Length hidden by LF": post(b"X: a\nContent-Length: 5"),
            "Content-Length hidden by CR": post(b"X: a\rContent-Length: 5"),
            "a request hidden by LF LF": get(b"X: a\n\nGET /smuggled HTTP/1.1"),
            "a request hidden by CR CR": get(b"X: a\r\rGET /smuggled HTTP/1.1"),
            "a thousand empty lines": b"\r\n" * 1000 + get(),
        },
    ),
    *_bad(
        "9112 7.1",
        {
            "LF behind a chunk's size": in_chunks(b"5\nhello\r\n0\r\n\r\n"),
            "LF behind a chunk": in_chunks(b"5\r\nhello\n0\r\n\r\n"),
            "LF behind the last chunk": in_chunks(b"5\r\nhello\r\n0\n\r\n"),
            "LF in place of the trailer": in_chunks(b"5\r\nhello\r\n0\r\n\n"),
            "LF throughout a body in chunks": in_chunks(b"5\nhello\n0\n\n"),
            "CR behind a chunk's size": in_chunks(b"5\rhello\r\n0\r\n\r\n"),
            "CR behind a chunk": in_chunks(b"5\r\nhello\r0\r\n\r\n"),
            "CR behind the last chunk": in_chunks(b"5\r\nhello\r\n0\r\r\n"),
            "CR CR LF behind a chunk's size": in_chunks(b"5\r\r\nhello\r\n0\r\n\r\n"),
            "LF behind a chunk's extension": in_chunks(b"5;a\nhello\r\n0\r\n\r\n"),
            "CR in a chunk's extension": in_chunks(b"5;a\rb\r\nhello\r\n0\r\n\r\n"),
            "LF in a quoted extension": in_chunks(b'5;a="\n"\r\nhello\r\n0\r\n\r\n'),
            "CRLF in a quoted extension": in_chunks(
                b'5;a="\r\n"\r\nhello\r\n0\r\n\r\n'
            ),
            "LF behind the last chunk's extension": in_chunks(b"0;a\n\r\n"),
            "LF behind a trailer": in_chunks(b"0\r\nX: a\n\r\n"),
            "CR in a trailer": in_chunks(b"0\r\nX: a\rb\r\n\r\n"),
            "CR CR LF behind a trailer": in_chunks(b"0\r\nX: a\r\r\n\r\n"),
            "LF behind the trailers": in_chunks(b"0\r\nX: a\r\n\n"),
            "a header in a trailer, by LF": in_chunks(b"0\r\nX: a\nY: b\r\n\r\n"),
        },
    ),
]

#: RFC 9112, section 3, and RFC 9110, section 9.1: three words with a space between.
REQUEST_LINE = [
    *_bad(
        "9112 3",
        {
            "two spaces behind the method": head(b"GET  / HTTP/1.1", HOST),
            "two spaces behind the target": head(b"GET /  HTTP/1.1", HOST),
            "a space before the method": head(b" GET / HTTP/1.1", HOST),
            "a space behind the version": head(b"GET / HTTP/1.1 ", HOST),
            "a tab before the method": head(b"\tGET / HTTP/1.1", HOST),
            "a tab behind the version": head(b"GET / HTTP/1.1\t", HOST),
            "a tab behind the method": head(b"GET\t/ HTTP/1.1", HOST),
            "a tab behind the target": head(b"GET /\tHTTP/1.1", HOST),
            "a tab and a space behind the method": head(b"GET\t / HTTP/1.1", HOST),
            "VT behind the method": head(b"GET\x0b/ HTTP/1.1", HOST),
            "FF behind the target": head(b"GET /\x0cHTTP/1.1", HOST),
            "a no-break space behind the method": head(b"GET\xa0/ HTTP/1.1", HOST),
            "a word behind the version": head(b"GET / HTTP/1.1 x", HOST),
            "a second version": head(b"GET / HTTP/1.1 HTTP/1.1", HOST),
            "a space in the target": head(b"GET /a b HTTP/1.1", HOST),
            "no method": head(b"/ HTTP/1.1", HOST),
            "an empty method": head(b" / HTTP/1.1", HOST),
            "no target": head(b"GET HTTP/1.1", HOST),
            "an empty target": head(b"GET  HTTP/1.1", HOST),
            "a method and nothing else": head(b"GET", HOST),
            "a method and a space": head(b"GET ", HOST),
            "a target and nothing else": head(b"/", HOST),
            "a version and nothing else": head(b"HTTP/1.1", HOST),
            "an empty request line of spaces": head(b"   ", HOST),
            "a header in its place": head(HOST, b"X: a"),
            "an answer in its place": head(b"HTTP/1.1 200 OK", HOST),
            "no space at all": head(b"GET/HTTP/1.1", HOST),
            "no space behind the method": head(b"GET/ HTTP/1.1", HOST),
            "no space behind the target": head(b"GET /HTTP/1.1", HOST),
            "bytes of TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
            "an answer of SSH": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
            "a line of SMTP": head(b"EHLO example.org"),
            "a byte order mark": b"\xef\xbb\xbf" + get(),
            "a simple request of HTTP/0.9": b"GET /\r\n",
            "a simple request and an empty line": b"GET /\r\n\r\n",
            "a simple request with headers": head(b"GET /", HOST),
            "a simple request with a space": head(b"GET / ", HOST),
        },
    ),
    *_bad(
        "9110 9.1",
        {
            **_each(
                "in the method",
                (9, *CONTROLS, *DELIMITERS, 58, *FOREIGN),
                head(b"GE@T / HTTP/1.1", HOST),
            ),
            "a method that begins with a hyphen": head(b"-bl / HTTP/1.1", HOST),
            "a method that begins with a digit": head(b"1GET / HTTP/1.1", HOST),
            "a method that begins with a mark": head(b"!GET / HTTP/1.1", HOST),
            "a method that begins with a dot": head(b".GET / HTTP/1.1", HOST),
            "a method in quotes": head(b'"GET" / HTTP/1.1', HOST),
            "a method with a colon behind it": head(b"GET: / HTTP/1.1", HOST),
            "a method that is a number": head(b"200 / HTTP/1.1", HOST),
            "NUL before the method": b"\x00" + get(),
            "two methods": head(b"GET,POST / HTTP/1.1", HOST),
        },
    ),
]

#: RFC 9112, section 2.3: the name is in capitals, and two digits have a dot between.
VERSIONS = [
    *_bad(
        "9112 2.3",
        {
            f"the version {version.decode('latin-1')!r}": head(
                b"GET / " + version, HOST
            )
            for version in (
                *(b"http/1.1", b"Http/1.1", b"HTTp/1.1", b"hTTP/1.1"),
                *(
                    b"HTTP/1.10",
                    b"HTTP/01.1",
                    b"HTTP/1.01",
                    b"HTTP/11.1",
                    b"HTTP/1.1.1",
                ),
                *(b"HTTP/1", b"HTTP/1.", b"HTTP/.1", b"HTTP/", b"HTTP", b"HTTP/11"),
                *(b"HTTP/1,1", b"HTTP/1:1", b"HTTP/1-1", b"HTTP/1.1x", b"HTTP/1.x"),
                *(b"HTTP/x.1", b"HTTP/A.1", b"HTTP/+1.1", b"HTTP/-1.1", b"HTTP/1.-1"),
                *(b"HTTP/1.+1", b"HTTP /1.1", b"HTTP/ 1.1", b"HTTP/1 .1", b"HTTP/1. 1"),
                *(b"HTTP//1.1", b"HTTP\\1.1", b"HTTP1.1", b"HTTP-1.1", b"/1.1", b"1.1"),
                *(b"HTTPS/1.1", b"XHTTP/1.1", b"HTP/1.1", b"HTTPX/1.1", b"ICY/1.1"),
                *(b"ICE/1.0", b"SIP/2.0", b"RTSP/1.0", b"SHTTP/1.1", b"HTTP/1.1;"),
                *(b"HTTP/1.1\x00", b"HTTP/1.1\x0b", b"HTTP/1.\xb9", b"HTTP/\xb9.1"),
                *(b"HTTP/0x1.1", b"HTTP/1.1e0", b'"HTTP/1.1"', b"HTTP/one.one"),
                *("HTTP/1.\uff11".encode(), b"HTTP/%31.1", b"HTTP/1.1,HTTP/1.0"),
            )
        },
    ),
    *_bad(
        "9110 15.6.6",
        {
            f"the version {version.decode()}": head(b"GET / " + version, HOST)
            for version in (
                *(b"HTTP/2.0", b"HTTP/2.1", b"HTTP/3.0", b"HTTP/4.0", b"HTTP/9.9"),
                *(b"HTTP/0.9", b"HTTP/0.0", b"HTTP/0.1", b"HTTP/5.5"),
            )
        },
        505,
    ),
    *_bad(
        "9110 15.6.6",
        {
            "the version HTTP/2, which has no dot": head(b"GET / HTTP/2", HOST),
            "the version HTTP/3, which has no dot": head(b"GET / HTTP/3", HOST),
            "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        },
        *(400, 505),
    ),
]

#: RFC 9112, section 3.2: four forms of a target, and RFC 3986: what is in them.
TARGETS = [
    *_bad(
        "9112 3.2.1",
        {
            "a target without a slash": get(target=b"foo"),
            "a relative target": get(target=b"foo/bar"),
            "a relative target with dots": get(target=b"../foo"),
            "a dot": get(target=b"."),
            "a query and nothing else": get(target=b"?a=b"),
            "a percent sign before the slash": get(target=b"%2Ffoo"),
            "a backslash in place of the slash": get(target=b"\\foo"),
            "a semicolon before the slash": get(target=b";/foo"),
            "a colon before the slash": get(target=b":/foo"),
            "an at sign": get(target=b"@example.org/"),
            "a target in quotes": get(target=b'"/"'),
            "a target in angle brackets": get(target=b"<http://example.org/>"),
            "an asterisk for GET": get(target=b"*"),
            "an asterisk for POST": head(b"POST * HTTP/1.1", HOST),
            "an asterisk for HEAD": head(b"HEAD * HTTP/1.1", HOST),
            "an asterisk and a path": head(b"OPTIONS */foo HTTP/1.1", HOST),
            "an asterisk for options in small letters": head(
                b"options * HTTP/1.1", HOST
            ),
            "two asterisks": head(b"OPTIONS ** HTTP/1.1", HOST),
            "an asterisk and a query": head(b"OPTIONS *?a HTTP/1.1", HOST),
        },
    ),
    *_bad(
        "9112 3.2.3",
        {
            "host and port for GET": get(target=b"example.org:443"),
            "host and port for OPTIONS": head(
                b"OPTIONS example.org:443 HTTP/1.1", HOST
            ),
            "host and port for POST": head(b"POST example.org:80 HTTP/1.1", HOST),
            "a host for GET": get(target=b"example.org"),
            "an IPv6 address for GET": get(target=b"[::1]:443"),
            "a path for CONNECT": head(b"CONNECT / HTTP/1.1", HOST),
            "a URL for CONNECT": head(b"CONNECT http://example.org/ HTTP/1.1", HOST),
            "an asterisk for CONNECT": head(b"CONNECT * HTTP/1.1", HOST),
            "a host without a port for CONNECT": head(
                b"CONNECT example.org HTTP/1.1", HOST
            ),
            "a path behind the port for CONNECT": head(
                b"CONNECT example.org:443/ HTTP/1.1", HOST
            ),
            "a user for CONNECT": head(b"CONNECT me@example.org:443 HTTP/1.1", HOST),
            "a port that is no number for CONNECT": head(
                b"CONNECT example.org:https HTTP/1.1", HOST
            ),
        },
    ),
    *_bad(
        "9112 3.2.2",
        {
            "a URL without slashes": get(target=b"http:example.org/"),
            "a URL with one slash": get(target=b"http:/example.org/"),
            "a URL with three slashes": get(target=b"http:///foo"),
            "a URL without a host": get(target=b"http://"),
            "a URL with a port and no host": get(target=b"http://:80/"),
            "a URL of FTP": get(target=b"ftp://example.org/"),
            "a URL of a WebSocket": get(target=b"ws://example.org/"),
            "a URL of a file": get(target=b"file:///etc/passwd"),
            "a URL of a script": get(target=b"javascript:alert(1)"),
            "a URL of data": get(target=b"data:,hello"),
            "an address for mail": get(target=b"mailto:me@example.org"),
            "a name of a resource": get(target=b"urn:isbn:0451450523"),
            "a URL whose scheme is not whole": get(target=b"ttp://example.org/"),
            "a URL with a longer scheme": get(target=b"xhttp://example.org/"),
            "a URL without a scheme": get(target=b"://example.org/"),
            "a URL with a user": get(target=b"http://me@example.org/"),
            "a URL with a password": get(target=b"http://me:x@example.org/"),
            "a URL with an empty user": get(target=b"http://@example.org/"),
            "a URL with a bad port": get(target=b"http://example.org:x/"),
            "a URL with a port over 65535": get(target=b"http://example.org:65536/"),
            "a URL with a signed port": get(target=b"http://example.org:+80/"),
            "a URL with two ports": get(target=b"http://example.org:80:80/"),
            "a URL with half a bracket": get(target=b"http://[::1/"),
            "a URL with the other half": get(target=b"http://::1]/"),
            "a URL with a bad address": get(target=b"http://[::zz]/"),
            "a URL with a backslash": get(target=b"http://example.org\\foo"),
            "a URL with backslashes": get(target=b"http:\\\\example.org\\"),
            "a URL with a comma in the host": get(target=b"http://a.org,b.org/"),
            "a URL with a fragment": get(target=b"http://example.org/#a"),
            "a URL with a fragment behind the host": get(target=b"http://a.org#/b"),
            "a URL with a foreign byte in the host": get(target=b"http://\xe4.org/"),
            "a URL with a foreign byte": get(target=b"http://example.org/\xe4"),
            "a URL with NUL in the host": get(target=b"http://exam\x00ple.org/"),
            "a URL with a quote in the host": get(target=b'http://exam"ple.org/'),
            "a URL with a bracket in the host": get(target=b"http://exam<ple.org/"),
        },
    ),
    *_bad(
        "3986 2",
        {
            **_each("in the path", (9, *CONTROLS, *FOREIGN), get(target=b"/a@b")),
            **_each(
                "in the query",
                (0, 9, 0x0B, 0x0C, 0x1B, 0x7F, *FOREIGN),
                get(target=b"/?a=@"),
            ),
            "a letter in UTF-8": get(target="/caf\xe9".encode()),
            "a quote in the path": get(target=b'/a"b'),
            "a < in the path": get(target=b"/a<b"),
            "a > in the path": get(target=b"/a>b"),
            "a backslash in the path": get(target=b"/a\\b"),
            "a backslash behind the slash": get(target=b"/\\example.org"),
            "a quote in the query": get(target=b'/?a="b"'),
            "a < in the query": get(target=b"/?<script"),
            "a > in the query": get(target=b"/?script>"),
            "a fragment": get(target=b"/a#b"),
            "an empty fragment": get(target=b"/#"),
            "a fragment behind a query": get(target=b"/?a=b#c"),
            "a fragment and nothing else": get(target=b"#a"),
        },
    ),
]

#: RFC 9112, section 5, and RFC 9110, sections 5.1 and 5.5: a token, a colon, and a
#: value in which nothing controls anything.
HEADERS = [
    *_bad(
        "9110 5.1",
        {
            **_each(
                "in a name",
                (9, 32, *CONTROLS, *DELIMITERS, *FOREIGN),
                get(b"X-A@B: c"),
            ),
            **_each("before a name", (0, 0x0B, 0x7F, 0xA0), get(b"@X: a")),
            **_each(
                "behind a name", (0, 9, 32, *STRIPPED, 0x7F, 0x85, 0xA0), get(b"X@: a")
            ),
            "a letter in UTF-8 in a name": get("Gr\xf6\xdfe: 1".encode()),
        },
    ),
    *_bad(
        "9112 5.1",
        {
            "an empty name": get(b": a"),
            "an empty name and an empty value": get(b":"),
            "a name of a space": get(b" : a"),
            "a name of a tab": get(b"\t: a"),
            "a line without a colon": get(b"X"),
            "a line of words": get(b"these are words"),
            "a line of an equals sign": get(b"X=a"),
            "an empty name as in HTTP/2": get(b":method: GET"),
            "a second request line": get(b"GET / HTTP/1.1"),
            "a space behind Host": head(b"GET / HTTP/1.1", b"Host : example.org"),
            "a tab behind Host": head(b"GET / HTTP/1.1", b"Host\t: example.org"),
            "a space behind Content-Length": post(b"Content-Length : 5"),
            "a tab behind Content-Length": post(b"Content-Length\t: 5"),
            "a space behind Transfer-Encoding": post(b"Transfer-Encoding : chunked"),
            "a tab behind Transfer-Encoding": post(b"Transfer-Encoding\t: chunked"),
            "NUL behind Content-Length": post(b"Content-Length\x00: 5"),
            "VT behind Transfer-Encoding": post(b"Transfer-Encoding\x0b: chunked"),
            "a no-break space before Content-Length": post(b"\xa0Content-Length: 5"),
        },
    ),
    *_bad(
        "9112 5.2",
        {
            "a folded header": get(b"X: a", b" b"),
            "a header folded with a tab": get(b"X: a", b"\tb"),
            "a header folded after the colon": get(b"X:", b" a"),
            "a header folded twice": get(b"X: a", b" b", b" c"),
            "a header folded into nothing": get(b"X: a", b" "),
            "a header folded in the middle": get(b"X: a", b" b", b"Y: c"),
            "a folded header that looks like one": get(b"X: a", b" Y: b"),
            "a folded Host": head(b"GET / HTTP/1.1", b"Host:", b" example.org"),
            "a Host with a fold behind": get(b" X: a"),
            "a folded Content-Length": post(b"Content-Length:", b" 5"),
            "a Content-Length folded between digits": post(b"Content-Length: 1", b" 0"),
            "a folded Transfer-Encoding": post(b"Transfer-Encoding:", b" chunked"),
            "a Transfer-Encoding folded away": post(
                b"X: a", b" Transfer-Encoding: chunked"
            ),
            "a Transfer-Encoding folded in two": post(
                b"Transfer-Encoding: chun", b" ked"
            ),
        },
    ),
    *_bad(
        "9112 2.2",
        {
            "a space before the first header": head(b"GET / HTTP/1.1", b" " + HOST),
            "a tab before the first header": head(b"GET / HTTP/1.1", b"\t" + HOST),
            "a line of a space before the first": head(b"GET / HTTP/1.1", b" ", HOST),
            "a space and X before the first": head(b"GET / HTTP/1.1", b" X: a", HOST),
        },
    ),
    *_bad(
        "9110 5.5",
        {
            **_each("in a value", CONTROLS, get(b"X: a@b")),
            **_each("before a value", (0, *STRIPPED, 0x7F), get(b"X: @a")),
            **_each("behind a value", (0, *STRIPPED, 0x7F), get(b"X: a@")),
            **_each("in a value of nothing else", (0, 7, 0x0B, 0x7F), get(b"X: @")),
            **_each("in a cookie", (0, 7, 0x1B, 0x7F), get(b"Cookie: a=@")),
            **_each("in User-Agent", (0, 8, 0x7F), get(b"User-Agent: a@b")),
        },
    ),
    *_bad(
        "9110 5.3",
        {
            "two types": post(
                *(b"Content-Length: 5", b"Content-Type: text/plain"),
                b"Content-Type: application/json",
            ),
            "the same type twice": post(
                *(b"Content-Length: 5", b"Content-Type: text/plain"),
                b"content-type: text/plain",
            ),
            "two credentials": get(b"Authorization: Basic YTpi", b"Authorization: x y"),
            "the same credentials twice": get(
                b"Authorization: Basic YTpi", b"Authorization: Basic YTpi"
            ),
        },
    ),
]

#: RFC 9112, section 3.2, and RFC 3986, section 3.2.2: one host, which is one.
HOSTS = [
    *_bad(
        "9112 3.2",
        {
            "no host": head(b"GET / HTTP/1.1"),
            "no host, and other headers": head(b"GET / HTTP/1.1", b"X: a"),
            "no host for POST": head(b"POST / HTTP/1.1", b"Content-Length: 0"),
            "no host in HTTP/1.2": head(b"GET / HTTP/1.2"),
            "no host beside a URL": head(b"GET http://example.org/ HTTP/1.1"),
            "two hosts": get(b"Host: example.com"),
            "the same host twice": get(HOST),
            "the same host in two cases": get(b"host: EXAMPLE.org"),
            "an empty host first": head(b"GET / HTTP/1.1", b"Host:", HOST),
            "an empty host last": get(b"Host:"),
            "two empty hosts": head(b"GET / HTTP/1.1", b"Host:", b"Host:"),
            "three hosts": get(b"Host: a", b"Host: b"),
            "two hosts, and headers between": get(b"X: a", b"Host: example.com"),
            "two hosts in HTTP/1.0": head(b"GET / HTTP/1.0", HOST, b"Host: a"),
            "a bad host beside a URL": head(
                b"GET http://example.org/ HTTP/1.1", b"Host: a@b"
            ),
            "a bad host in HTTP/1.0": head(b"GET / HTTP/1.0", b"Host: a b"),
            "two hosts beside a URL": get(b"Host: a", target=b"http://example.org/"),
        },
    ),
    *_bad(
        "3986 3.2.2",
        {
            f"the host {host.decode('latin-1')!r}": head(
                b"GET / HTTP/1.1", b"Host: " + host
            )
            for host in (
                *(b"me@example.org", b"me:x@example.org", b"@example.org"),
                *(b"a.org, b.org", b"a.org,b.org", b"a.org b.org", b"exam ple.org"),
                *(b"a.org\tb.org", b"example.org:80x", b"example.org:80 81"),
                *(b"example.org:x", b"example.org:8o", b"example.org:80:80"),
                *(b"example.org:+80", b"example.org:-80", b"example.org: 80"),
                *(b"example.org :80", b"example.org:80,81", b"example.org:0x50"),
                *(b"example.org:65536", b"example.org:99999999999", b"example.org:8.0"),
                *(b"example.org:\xb2", b"example.org/", b"example.org/foo"),
                *(b"example.org?a", b"example.org#a", b"http://example.org"),
                *(b"//example.org", b"/", b"/foo", b"\\example.org", b"exam\\ple.org"),
                *(b'"example.org"', b"<example.org>", b"{example.org}", b"a|b", b"a^b"),
                *(b"a`b", b"[::1", b"::1]", b"::1", b"2001:db8::1", b"[]", b"[::1]x"),
                *(b"[::1]:x", b"[::1]80", b"[::zz]", b"[1:2:3]", b"[::1]]", b"[[::1]]"),
                *(b"a[::1]", b"[example.org]", b"[127.0.0.1]", b"[::1]:65536"),
                *(b"[", b"]", b"[:", b"[:]", b"[::ffff:1.2.3]", b"[::1 ]"),
                *(b"[1:2:3:4:5:6:7:8:9]", b"[12345::]", b"[::1::2]", b"[v.a]"),
                *(b"ex%ample.org", b"example.org%", b"ex%4", b"ex%zzample.org"),
                *(b"ex\xe4mple.org", "ex\xe4mple.org".encode(), b"\xa0example.org"),
                *(b"exam\x00ple.org", b"\x00", b"exam\x0bple.org", b"exam\x7fple.org"),
                *(b"example.org\x0b", b"example.org\x1f", b"example.org\xa0"),
            )
        },
    ),
]

#: RFC 9112, section 6, and RFC 9110, section 8.6: one length, in digits.
LENGTHS = [
    *_bad(
        "9110 8.6",
        {
            f"the length {length.decode('latin-1')!r}": post(
                b"Content-Length: " + length
            )
            for length in (
                *(b"", b" ", b"+5", b"-5", b"-0", b"+0", b"5 5", b"5\t5", b"5,5"),
                *(b"5, 5", b"5,", b",5", b"5;", b"5;q=1", b"5.", b"5.0", b".5", b"5e0"),
                *(b"0x5", b"0X5", b"0o5", b"0b101", b"5L", b"5h", b"1_0", b"1'0"),
                *(b'"5"', b"'5'", b"(5)", b"[5]", b"five", b"x", b"a5", b"5a", b"5 a"),
                *(b"5\x00", b"\x005", b"\x0b5", b"5\x0b", b"\x0c5", b"5\x1f", b"5\x7f"),
                *(b"\xb2", b"5\xb2", b"\xb9", b"\xa05", b"5\xa0", b"\x855", b"5\x85"),
                *("\uff15".encode(), "\u0665".encode(), "\u00bd".encode(), b"%35"),
                *(b"5%", b"$5", b"5 bytes", b"0,5", b"5,0", b"inf", b"nan", b"null"),
                *(b"1,000", b"1.000", b"5 ,5", b"--5", b"++5", b"+-5", b"\\5", b"5\\"),
            )
        },
    ),
    *_bad(
        "9112 6.3",
        {
            "two lengths": post(b"Content-Length: 5", b"Content-Length: 6"),
            "the same length twice": post(b"Content-Length: 5", b"Content-Length: 5"),
            "a length of nothing twice": post(
                b"Content-Length: 0", b"Content-Length: 0"
            ),
            "a length of nothing and another": post(
                b"Content-Length: 0", b"Content-Length: 5"
            ),
            "a length and an empty one": post(b"Content-Length: 5", b"Content-Length:"),
            "a length in two cases": post(b"Content-Length: 5", b"CONTENT-LENGTH: 5"),
            "two lengths, apart": post(
                b"Content-Length: 5", b"X: a", b"content-length: 6"
            ),
            "three lengths": post(*[b"Content-Length: 5"] * 3),
            "two lengths for GET": get(b"Content-Length: 0", b"Content-Length: 46"),
            "a signed length for GET": get(b"Content-Length: +46"),
            "a length that is none in HTTP/1.0": head(
                b"POST / HTTP/1.0", b"Content-Length: x"
            ),
            "two lengths in HTTP/1.0": head(
                b"POST / HTTP/1.0", b"Content-Length: 0", b"Content-Length: 46"
            ),
        },
    ),
    *_bad(
        "9110 8.6",
        {
            f"a length of {digits}": post(b"Content-Length: " + length)
            for digits, length in {
                "2**31": b"2147483648",
                "2**32 + 5": b"4294967301",
                "2**63": b"9223372036854775808",
                "2**64": b"18446744073709551616",
                "2**64 + 5": b"18446744073709551621",
                "30 digits": b"9" * 30,
                "400 digits": b"9" * 400,
                "5000 digits": b"9" * 5000,  # more than Python's int() takes
                "a hundred zeros behind a digit": b"1" + b"0" * 100,
            }.items()
        },
        *(400, 413),
    ),
]

#: RFC 9112, sections 6.1 to 6.3: chunked is the last coding, once, and alone says
#: where a body ends.
CODINGS = [
    *_bad(
        "9112 6.3",
        {
            f"{framed} as well as chunks": in_chunks(b"5\r\nhello\r\n0\r\n\r\n", length)
            for framed, length in {
                "a length": b"Content-Length: 5",
                "a length of nothing": b"Content-Length: 0",
                "the length of the chunks": b"Content-Length: 15",
                "an empty length": b"Content-Length:",
                "a bad length": b"Content-Length: x",
            }.items()
        },
    ),
    *_bad(
        "9112 6.3",
        {
            "a length before chunks": post(
                b"Content-Length: 5", b"Transfer-Encoding: chunked"
            ),
            "a length of nothing before chunks": post(
                b"Content-Length: 0", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"
            ),
            "a length and no coding of a name": post(
                b"Content-Length: 5", b"Transfer-Encoding:"
            ),
            "a length and a compression, in chunks": post(
                b"Content-Length: 5", b"Transfer-Encoding: gzip, chunked"
            ),
        },
    ),
    *_bad(
        "9112 6.3",
        {
            "a length and identity": post(
                b"Content-Length: 5", b"Transfer-Encoding: identity"
            ),
            "identity and a length": post(
                b"Transfer-Encoding: identity", b"Content-Length: 5"
            ),
            "a length and an unknown coding": post(
                b"Content-Length: 5", b"Transfer-Encoding: xchunked"
            ),
        },
        *(400, 501),
    ),
    *_bad(
        "9112 6.1",
        {
            "chunks in HTTP/1.0": head(
                b"POST / HTTP/1.0", b"Transfer-Encoding: chunked"
            )
            + b"0\r\n\r\n",
            "chunks in HTTP/1.0 that is kept alive": head(
                *(b"POST / HTTP/1.0", HOST, b"Connection: keep-alive"),
                b"Transfer-Encoding: chunked",
            )
            + b"0\r\n\r\n",
            "chunks and a length in HTTP/1.0": head(
                *(b"POST / HTTP/1.0", b"Content-Length: 5"),
                b"Transfer-Encoding: chunked",
            )
            + b"0\r\n\r\n",
        },
    ),
    *_bad(
        "9112 6.1",
        {
            f"the coding {coding.decode('latin-1')!r}": in_chunks(
                b"5\r\nhello\r\n0\r\n\r\n"
            ).replace(b" chunked", b" " + coding)
            for coding in (
                *(b"identity", b"identity, chunked", b"chunked, identity"),
                *(b"gzip", b"deflate", b"x-gzip", b"compress, chunked", b"br, chunked"),
                *(b"zstd, chunked", b"x-compress, chunked", b"foo", b"foo, chunked"),
                *(
                    b"xchunked",
                    b"chunkedx",
                    b"chunk",
                    b"chunke",
                    b"x-chunked",
                    b"hunked",
                ),
                *(b"chunked, gzip", b"chunked, deflate", b"chunked, foo"),
                *(b"chunked, chunked", b"gzip, chunked, chunked", b"chunked,chunked"),
                *(
                    b"chunked, gzip, chunked",
                    b"chunked;q=1",
                    b"chunked;",
                    b"chunked ;x",
                ),
                *(b"chunked; a=b", b"chunked ; a", b"chunked=1", b'"chunked"'),
                *(b"'chunked'", b"`chunked`", b"<chunked>", b"[chunked]", b"(chunked)"),
                *(
                    b"chunked x",
                    b"x chunked",
                    b"chunked\tx",
                    b"gzip chunked",
                    b"chunked:",
                ),
                *(
                    b"gzip;chunked",
                    b"gzip; chunked",
                    b"gzip/chunked",
                    b"chunked.",
                    b"*",
                ),
                *(b"chun ked", b"chunked-", b"chunked_", b"chunked/1.1", b"-chunked"),
                *(b"cow", b"cow, chunked", b"null", b"0", b"true", b",", b", ,"),
                *(b"gzip;q=1, chunked", b"trailers, chunked", b"trailers"),
                *("chun\u212aed".encode(), b"\xefhunked", b"chunke\xe4"),
            )
        },
        *(400, 501),
    ),
    *_bad(
        "9112 6.1",
        {
            **_each(
                "before the coding",
                (0, *STRIPPED, 0x7F, 0x85, 0xA0),
                post(b"Transfer-Encoding: @chunked", body=b"0\r\n\r\n"),
            ),
            **_each(
                "behind the coding",
                (0, *STRIPPED, 0x7F, 0x85, 0xA0),
                post(b"Transfer-Encoding: chunked@", body=b"0\r\n\r\n"),
            ),
            **_each(
                "in the coding",
                (0, 1, 8, 0x0B, 0x1B, 0x7F),
                post(b"Transfer-Encoding: chun@ked", body=b"0\r\n\r\n"),
            ),
            "CR behind the coding": post(
                b"Transfer-Encoding: chunked\r", body=b"0\r\n\r\n"
            ),
            "a line of chunks, and another one in capitals": post(
                *(b"Transfer-Encoding: chunked", b"TRANSFER-ENCODING: chunked"),
                body=b"0\r\n\r\n",
            ),
            "no coding of a name": post(b"Transfer-Encoding:", body=b"0\r\n\r\n"),
            "a coding of spaces": post(b"Transfer-Encoding:   ", body=b"0\r\n\r\n"),
        },
        *(400, 501),
    ),
    *_bad(
        "9112 6.1",
        {
            f"two lines of codings: {' and '.join(names)}": post(
                *(f"Transfer-Encoding: {name}".encode() for name in names),
                body=b"5\r\nhello\r\n0\r\n\r\n",
            )
            for names in (
                *(("chunked", "chunked"), ("chunked", "identity"), ("chunked", "gzip")),
                *(("identity", "chunked"), ("chunked", "x"), ("x", "chunked")),
                *(("chunked", "Chunked"), ("deflate", "gzip"), ("xchunked", "chunked")),
            )
        },
        *(400, 501),
    ),
    *_bad(
        "9112 7.2",
        {
            "a compression that is none": coded(b"gzip, chunked", b"hello"),
            "a compression that ends too soon": coded(b"gzip, chunked", _GZIPPED[:-9]),
            "a compression with a false sum": coded(
                b"gzip, chunked", gzip.compress(b"hello")[:-8] + bytes(8)
            ),
            "a compression with more behind it": coded(
                b"gzip, chunked", gzip.compress(b"hello") + b"x"
            ),
            "a compression of no bytes": post(
                b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"
            ),
            "a compression by another name": coded(
                b"deflate, chunked", gzip.compress(b"hello")
            ),
            "a compression by the wrong name": coded(
                b"gzip, chunked", zlib.compress(b"hello")
            ),
            "half a compression": coded(
                b"deflate, chunked", zlib.compress(b"hello" * 100)[:9]
            ),
        },
    ),
]

#: What another header cannot say again behind the body (RFC 9110, section 6.5.1).
FORBIDDEN_TRAILERS = (
    *("Host", "TE", "Transfer-Encoding", "Content-Length", "Trailer", "Content-Type"),
    *("Content-Encoding", "Content-Range", "Authorization", "Cache-Control", "Expect"),
    *("Max-Forwards", "Set-Cookie", "Connection", "Cookie", "Proxy-Authorization"),
    *("Keep-Alive", "Upgrade", "If-Match", "If-None-Match", "If-Modified-Since"),
    *("If-Unmodified-Since", "If-Range", "Range", "Pragma"),
)

#: RFC 9112, section 7.1: sizes, extensions, data and trailers, and nothing else.
CHUNKS = [
    *_bad(
        "9112 7.1",
        {
            f"the chunk size {size.decode('latin-1')!r}": in_chunks(
                size + b"\r\nhello\r\n0\r\n\r\n"
            )
            for size in (
                *(b"", b" ", b"0x5", b"0X5", b"x5", b"+5", b"-5", b"-0", b" 5", b"\t5"),
                *(b"5 ", b"5\t", b"5 5", b"5,5", b"5,", b"5.0", b"5.", b"5_0", b"0_5"),
                *(b"5h", b"5L", b"g", b"5g", b"G", b"$5", b"5:", b"5=", b"5&", b"'5'"),
                *(
                    b'"5"',
                    b"(5)",
                    b"five",
                    b"\x005",
                    b"5\x00",
                    b"5\x0b",
                    b"\x0c5",
                    b"%35",
                ),
                *(b"\xb2", b"5\xa0", b"\xa05", "\uff15".encode(), b"#5", b"5#", b"/"),
                *(b"@", b"`", b":", b"5\x7f", b"5 a", b"5 ,", b"--5", b"0x", b"5\\"),
            )
        },
    ),
    *_bad(
        "9112 7.1",
        {
            "a chunk that is longer than its size": in_chunks(
                b"4\r\nhello\r\n0\r\n\r\n"
            ),
            "a chunk that is much longer": in_chunks(b"1\r\nhello\r\n0\r\n\r\n"),
            "a chunk that is shorter than its size": in_chunks(
                b"6\r\nhello\r\n0\r\n\r\n"
            ),
            "a chunk that is two shorter": in_chunks(b"7\r\nhello\r\n0\r\n\r\n"),
            "a chunk with no end": in_chunks(b"5\r\nhello0\r\n\r\n"),
            "a chunk with two other bytes at its end": in_chunks(
                b"5\r\nhelloXX0\r\n\r\n"
            ),
            "a chunk with spaces at its end": in_chunks(b"5\r\nhello  0\r\n\r\n"),
            "a chunk with a space before its end": in_chunks(
                b"5\r\nhello \r\n0\r\n\r\n"
            ),
            "a chunk with CR CR at its end": in_chunks(b"5\r\nhello\r\r0\r\n\r\n"),
            "a chunk with LF LF at its end": in_chunks(b"5\r\nhello\n\n0\r\n\r\n"),
            "a chunk with LF CR at its end": in_chunks(b"5\r\nhello\n\r0\r\n\r\n"),
            "a chunk and an empty line": in_chunks(b"5\r\nhello\r\n\r\n0\r\n\r\n"),
            "an empty line before a chunk": in_chunks(b"\r\n5\r\nhello\r\n0\r\n\r\n"),
            "a space before the last chunk": in_chunks(b"5\r\nhello\r\n 0\r\n\r\n"),
            "a signed last chunk": in_chunks(b"5\r\nhello\r\n-0\r\n\r\n"),
            "a last chunk of 0x0": in_chunks(b"5\r\nhello\r\n0x0\r\n\r\n"),
            "a second chunk that is none": in_chunks(b"5\r\nhello\r\nx\r\n0\r\n\r\n"),
        },
    ),
    *_bad(
        "9112 7.1",
        {
            "a size of 17 digits": in_chunks(b"0" * 16 + b"5\r\nhello\r\n0\r\n\r\n"),
            "a size of 17 large digits": in_chunks(b"1" + b"0" * 16 + b"\r\nhello\r\n"),
            "a size of 5000 digits": in_chunks(b"F" * 5000 + b"\r\nhello\r\n"),
            "a size of 2**64 - 1": in_chunks(b"F" * 16 + b"\r\nhello\r\n"),
            "a size of 2**63": in_chunks(b"8" + b"0" * 15 + b"\r\nhello\r\n"),
            "a size of 2**32 + 5": in_chunks(b"100000005\r\nhello\r\n0\r\n\r\n"),
            "a second chunk of 2**64 - 5": in_chunks(
                b"5\r\nhello\r\nFFFFFFFFFFFFFFFB\r\n"
            ),
        },
        *(400, 413),
    ),
    *_bad(
        "9112 7.1.1",
        {
            f"the extension {extension.decode('latin-1')!r}": in_chunks(
                b"5" + extension + b"\r\nhello\r\n0\r\n\r\n"
            )
            for extension in (
                *(b";", b"; ", b" ;", b";;", b";;a", b";a;", b";a;;b", b";=", b";=b"),
                *(b";a=", b";a= ", b";a=b=c", b";a==b", b";a b", b";a=b c", b";a "),
                *(
                    b";a=b ",
                    b";a,b",
                    b";a=b,c",
                    b';a="b',
                    b';a=b"',
                    b';a="b"c',
                    b';"a"',
                ),
                *(b';a="b"d="e"', b";a='b c'", b";a=(b)", b";a/b", b";a[b]", b";a@b"),
                *(
                    b';a="b\\"',
                    b";a=\xe4",
                    b";\xe4",
                    b";a:b",
                    b";a={b}",
                    b" a=b",
                    b",a",
                ),
            )
        },
    ),
    *_bad(
        "9112 7.1.1",
        {
            **_each(
                "in the name of an extension",
                (0, 7, 0x0B, 0x0C, 0x1B, 0x7F),
                in_chunks(b"5;a@b\r\nhello\r\n0\r\n\r\n"),
            ),
            **_each(
                "in the value of an extension",
                (0, 7, 0x0B, 0x0C, 0x1B, 0x7F),
                in_chunks(b"5;a=b@c\r\nhello\r\n0\r\n\r\n"),
            ),
            **_each(
                "in a quoted extension",
                CONTROLS,
                in_chunks(b'5;a="b@c"\r\nhello\r\n0\r\n\r\n'),
            ),
            **_each(
                "behind a backslash in an extension",
                (0, 7, 0x7F),
                in_chunks(b'5;a="b\\@c"\r\nhello\r\n0\r\n\r\n'),
            ),
            "a last chunk with ; and nothing": in_chunks(b"5\r\nhello\r\n0;\r\n\r\n"),
            "a last chunk with a bad extension": in_chunks(
                b"5\r\nhello\r\n0;a=\r\n\r\n"
            ),
        },
    ),
    *_bad(
        "9112 7.1.1",
        {
            "an extension of 40 kB": in_chunks(
                b"5;a=" + b"b" * 40_000 + b"\r\nhello\r\n0\r\n\r\n"
            ),
            "an extension without end": in_chunks(b"5;a=" + b"b" * 40_000),
            "thousands of small extensions": in_chunks(
                (b"1;a=" + b"b" * 100 + b"\r\nx\r\n") * 2000 + b"0\r\n\r\n"
            ),
            "ten thousand extensions of one chunk": in_chunks(
                b"5" + b";a" * 20_000 + b"\r\nhello\r\n0\r\n\r\n"
            ),
        },
        *(400, 413, 431),
    ),
    *_bad(
        "9110 6.5.1",
        {
            f"the trailer {name}": in_chunks(
                f"5\r\nhello\r\n0\r\n{name}: 5\r\n\r\n".encode()
            )
            for name in FORBIDDEN_TRAILERS
        },
    ),
    *_bad(
        "9112 7.1.2",
        {
            "a trailer that says chunked": in_chunks(
                b"0\r\ntransfer-encoding: chunked\r\n\r\n"
            ),
            "a trailer that names a host": in_chunks(b"0\r\nhOST: example.org\r\n\r\n"),
            "a bad trailer behind a good one": in_chunks(
                b"0\r\nX: a\r\nContent-Length: 5\r\n\r\n"
            ),
            "a trailer without a colon": in_chunks(b"0\r\nX\r\n\r\n"),
            "a trailer without a name": in_chunks(b"0\r\n: a\r\n\r\n"),
            "a trailer with a space behind its name": in_chunks(b"0\r\nX : a\r\n\r\n"),
            "a trailer with a space in its name": in_chunks(b"0\r\nX Y: a\r\n\r\n"),
            "a trailer with a space before it": in_chunks(b"0\r\n X: a\r\n\r\n"),
            "a folded trailer": in_chunks(b"0\r\nX: a\r\n b\r\n\r\n"),
            "a trailer with a delimiter in its name": in_chunks(
                b"0\r\nX(Y): a\r\n\r\n"
            ),
            "a request in place of trailers": in_chunks(
                b"0\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
            ),
            **_each(
                "in a trailer",
                (0, 7, 0x0B, 0x1B, 0x7F),
                in_chunks(b"0\r\nX: @\r\n\r\n"),
            ),
            **_each(
                "in a trailer's name", (0, 0x7F, 0xFF), in_chunks(b"0\r\nX@: a\r\n\r\n")
            ),
        },
    ),
    *_bad(
        "9110 5.4",
        {
            "a thousand trailers": in_chunks(b"0\r\n" + b"X: a\r\n" * 1000 + b"\r\n"),
            "a trailer of 40 kB": in_chunks(b"0\r\nX: " + b"a" * 40_000 + b"\r\n\r\n"),
            "a trailer without end": in_chunks(b"0\r\nX: " + b"a" * 40_000),
        },
        431,
    ),
]

#: RFC 9110, section 10.1.1: of expectations there is one.
EXPECTATIONS = [
    *_bad(
        "9110 10.1.1",
        {
            f"the expectation {expected.decode()!r}": post(
                b"Content-Length: 5", b"Expect: " + expected
            )
            for expected in (
                *(b"200-ok", b"foo", b"100-continue, foo", b"100", b"100-continued"),
                *(b"foo=bar", b"100-continue; q=1", b'"100-continue"', b"continue"),
            )
        },
        417,
    )
]

#: What is too long (RFC 9112, section 3; RFC 9110, section 5.4), by the defaults: 8192
#: bytes of a request line, 32768 of headers, 100 of them.
LENGTHY = [
    *_bad(
        "9112 3",
        {
            "a target of 8 KiB": get(target=b"/" + b"a" * 8192),
            "a target of a megabyte": get(target=b"/" + b"a" * 1_000_000),
            "a query of 8 KiB": get(target=b"/?" + b"a" * 8192),
            "a URL of 8 KiB": get(target=b"http://example.org/" + b"a" * 8192),
            "a target without end": b"GET /" + b"a" * 9000,
        },
        414,
    ),
    *_bad(
        "9112 3",
        {
            "a method of 8 KiB": head(b"A" * 8193 + b" / HTTP/1.1", HOST),
            "a method without end": b"A" * 9000,
            "a line of spaces without end": b"GET" + b" " * 9000,
            "a version without end": b"GET / HTTP/" + b"1" * 9000,
        },
        *(400, 414, 501, 505),
    ),
    *_bad(
        "9110 5.4",
        {
            "a header of 32 KiB": get(b"X: " + b"a" * 32768),
            "a header of a megabyte": get(b"X: " + b"a" * 1_000_000),
            "a header without end": get(b"X: " + b"a" * 33_000)[:-4],
            "a name of 32 KiB": get(b"X" * 32768 + b": a"),
            "a name without end": get(b"X" * 33_000)[:-4],
            "headers of 40 kB": get(*[b"X: " + b"a" * 1000] * 40),
            "100 headers and a host": get(*[b"X: a"] * 100),
            "ten thousand headers": get(*(b"X-%d: y" % n for n in range(10_000))),
            "headers without end": get(*[b"X: a"] * 500)[:-4],
            "a thousand cookies": get(*[b"Cookie: a=b"] * 1000),
        },
        431,
    ),
]

REFUSED = {
    "line ends": LINE_ENDS,
    "request line": REQUEST_LINE,
    "versions": VERSIONS,
    "targets": TARGETS,
    "headers": HEADERS,
    "hosts": HOSTS,
    "lengths": LENGTHS,
    "codings": CODINGS,
    "chunks": CHUNKS,
    "expectations": EXPECTATIONS,
    "lengthy": LENGTHY,
}

#: Methods as they are registered, and as somebody may think of them.
METHODS = (
    *("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND", "MKCOL"),
    *("REPORT", "SEARCH", "QUERY", "PURGE", "M-SEARCH", "VERSION-CONTROL", "FOO", "G"),
    *("get", "Post", "gEt", "X_Y", "GET2", "A.B", "A!#$%&'*+-.^_`|~9"),
)

#: What is a host (RFC 3986, section 3.2.2), with or without a port.
GOOD_HOSTS = (
    *(b"example.org", b"EXAMPLE.ORG", b"example.org.", b"localhost", b"a", b"1.2"),
    *(b"example.org:80", b"example.org:8080", b"example.org:65535", b"example.org:080"),
    *(b"example.org:", b"127.0.0.1", b"127.0.0.1:80", b"[::1]", b"[::1]:8080", b"[::]"),
    *(b"[::1]:", b"[2001:DB8::1]", b"[1:2:3:4:5:6:7:8]", b"[::ffff:192.0.2.1]"),
    *(
        b"xn--bcher-kva.example",
        b"a_b.example",
        b"a-b.example",
        b"a~b",
        b"ex%41mple.org",
    ),
    *(b"b%C3%BCcher.example", b"1234", b"3com.example", b"-a.example"),
)


def _good(section: str, requests: Mapping[str, bytes], **what: Any) -> Iterable[Good]:
    for name, said in requests.items():
        yield Good(name, section, said, **what)


def _valued(section: str, requests: Mapping[str, tuple[bytes, list[bytes]]]) -> Any:
    """Requests with a header X, whose values are known."""
    for name, (said, values) in requests.items():
        yield Good(name, section, said, headers={b"x": values})


def _at(section: str, targets: Iterable[bytes]) -> Iterable[Good]:
    for target in targets:
        name = f"the target {target.decode()!r}"
        yield Good(name, section, get(target=target), target=target)


#: RFC 9112, sections 2 and 3; RFC 9110, section 9.1.
GOOD_LINES = [
    *_good(
        "9112 2.2",
        {
            "an empty line before the request": b"\r\n" + get(),
            "two empty lines before the request": b"\r\n\r\n" + get(),
        },
    ),
    *_good("9112 3", {"a usual request": get()}),
    *(
        Good(
            *(f"the method {method}", "9110 9.1"),
            head(method.encode() + b" / HTTP/1.1", HOST),
            method=method.encode(),
        )
        for method in METHODS
    ),
    *_good(
        "9112 2.3",
        {
            f"the version HTTP/1.{minor}": head(b"GET / HTTP/1.%d" % minor, HOST)
            for minor in range(1, 10)
        },
    ),
    *_good(
        "9112 2.3",
        {
            "the version HTTP/1.0": head(b"GET / HTTP/1.0", HOST),
            "the version HTTP/1.0 and no host": head(b"GET / HTTP/1.0"),
            "the version HTTP/1.0 and no header of ours": head(
                b"GET / HTTP/1.0", b"User-Agent: a"
            ),
        },
        closes=True,
    ),
    *_at(
        "9112 3.2.1",
        (
            *(b"/", b"/foo", b"/foo/", b"/foo/bar", b"//", b"//foo", b"//foo//bar"),
            *(b"/foo?", b"/?a=b", b"/foo?a=b&c=d", b"/?", b"/??", b"/?a?b", b"/?/"),
            *(b"/*", b"/a:b", b"/@", b"/a@b:c", b"/a;b=c", b"/a,b", b"/a=b", b"/a&b"),
            *(b"/!$&'()*+,;=:@", b"/-._~", b"/a+b", b"/(a)", b"/'a'", b"/$a", b"/!"),
            *(
                b"/%20",
                b"/a%20b",
                b"/%41",
                b"/caf%C3%A9",
                b"/%e2%98%83",
                b"/%2F",
                b"/%2f",
            ),
            *(
                b"/%25",
                b"/.",
                b"/..",
                b"/../a",
                b"/a/./b",
                b"/a/../b",
                b"/...",
                b"/~me",
            ),
            *(b"/?a=%20", b"/?a=/b", b"/?a=http://b/", b"/?a=b;c", b"/?a=:@!$'()*,"),
            *(b"/http://example.org/", b"/foo%00", b"/?%00", b"/a%0D%0Ab"),
        ),
    ),
    # RFC 3986 has them encoded; browsers send them as they are (WHATWG, URL, 1.3).
    *_at(
        "3986 2",
        (
            *(b"/[a]", b"/{a}", b"/a|b", b"/a^b", b"/a`b", b"/?a[]=b", b"/?a={b}"),
            *(b"/?a|b", b"/?a^b", b"/?a`b", b"/?a[b][c]=d", b"/?q=a|b&{c}=[d]"),
        ),
    ),
    *(
        Good(
            f"the URL {url.decode()}",
            "9112 3.2.2",
            get(target=url),
            target=target,
            headers={b"host": [host]},
        )
        for url, host, target in (
            (b"http://example.org/", b"example.org", b"/"),
            (b"http://example.org", b"example.org", b"/"),
            (b"http://example.org/foo?a=b", b"example.org", b"/foo?a=b"),
            (b"http://example.org?a=b", b"example.org", b"/?a=b"),
            (b"http://example.org:8080/foo", b"example.org:8080", b"/foo"),
            (b"http://example.com/", b"example.com", b"/"),
            (b"http://127.0.0.1/", b"127.0.0.1", b"/"),
            (b"http://[::1]:80/foo", b"[::1]:80", b"/foo"),
            (b"HTTP://example.org/", b"example.org", b"/"),
            (b"hTTp://example.com/a:b@c", b"example.com", b"/a:b@c"),
            (b"https://example.org/foo", b"example.org", b"/foo"),
            (b"http://example.org//", b"example.org", b"//"),
            (b"http://example.org:/foo", b"example.org:", b"/foo"),
            (b"http://ex%41mple.org/", b"ex%41mple.org", b"/"),
        )
    ),
    *_good(
        "9112 3.2.2",
        {
            "a URL beside an empty host": head(
                b"GET http://example.org/ HTTP/1.1", b"Host:"
            ),
            "a URL beside another host": head(
                b"GET http://example.org/ HTTP/1.1", b"Host: example.com:8080"
            ),
        },
        headers={b"host": [b"example.org"]},
    ),
    *_good(
        "9112 3.2.2",
        {
            "a URL in HTTP/1.0": head(b"GET http://example.org/foo HTTP/1.0"),
        },
        target=b"/foo",
        headers={b"host": [b"example.org"]},
        closes=True,
    ),
    *_good(
        "9112 3",
        {"a target of 8000 bytes": get(target=b"/" + b"a" * 7984)},
        target=b"/" + b"a" * 7984,
    ),
]

#: RFC 9112, section 5, and RFC 9110, sections 5.5 and 5.6.
GOOD_HEADERS = [
    *_valued(
        "9112 5",
        {
            "a value": (get(b"X: a"), [b"a"]),
            "a value and no space before": (get(b"X:a"), [b"a"]),
            "spaces before a value": (get(b"X:   a"), [b"a"]),
            "a tab before a value": (get(b"X:\ta"), [b"a"]),
            "white space around a value": (get(b"X: \t a \t "), [b"a"]),
            "a space behind a value": (get(b"X: a "), [b"a"]),
            "a tab behind a value": (get(b"X: a\t"), [b"a"]),
            "spaces in a value": (get(b"X: a  b"), [b"a  b"]),
            "a tab in a value": (get(b"X: a\tb"), [b"a\tb"]),
            "an empty value": (get(b"X:"), [b""]),
            "a value of a space": (get(b"X: "), [b""]),
            "a value of white space": (get(b"X: \t "), [b""]),
            "an empty value in the middle": (get(b"X:", b"Y: a"), [b""]),
            "a value with colons": (get(b"X: a: b: c"), [b"a: b: c"]),
            "a value of a colon": (get(b"X: :"), [b":"]),
            "two colons": (get(b"X:: a"), [b": a"]),
            "a value in quotes": (get(b'X: "a, \\"b"'), [b'"a, \\"b"']),
            "half a quote": (get(b'X: "a'), [b'"a']),
            "a comment": (get(b"X: (a (b))"), [b"(a (b))"]),
            "half a comment": (get(b"X: (a"), [b"(a"]),
            "commas": (get(b"X: ,a,,b,"), [b",a,,b,"]),
            "a list in two lines": (get(b"X: a", b"X: b, c"), [b"a", b"b, c"]),
            "the same line twice": (get(b"X: a", b"x: a"), [b"a", b"a"]),
            "a name in small letters": (get(b"x: a"), [b"a"]),
            "a value in UTF-8": (get("X: \u2603".encode()), ["\u2603".encode()]),
            "a value in Latin-1": (get(b"X: caf\xe9"), [b"caf\xe9"]),
            "the bytes of no ASCII": (
                get(b"X: " + bytes(range(128, 256))),
                [bytes(range(128, 256))],
            ),
            "no-break spaces around a value": (get(b"X: \xa0a\xa0"), [b"\xa0a\xa0"]),
            "NEL around a value": (get(b"X: \x85a\x85"), [b"\x85a\x85"]),
            "all visible characters": (
                get(b"X: " + bytes(range(33, 127))),
                [bytes(range(33, 127))],
            ),
            "a value that looks like a request": (
                get(b"X: GET / HTTP/1.1"),
                [b"GET / HTTP/1.1"],
            ),
            "an escaped line end": (get(b"X: a\\r\\nb"), [b"a\\r\\nb"]),
            "an encoded line end": (get(b"X: a%0d%0ab"), [b"a%0d%0ab"]),
            "a value of 8000 bytes": (get(b"X: " + b"a" * 8000), [b"a" * 8000]),
            "a value of 30 kB": (get(b"X: " + b"a" * 30_000), [b"a" * 30_000]),
            "a hundred headers": (get(*[b"X: a"] * 99), [b"a"] * 99),
        },
    ),
    Good(
        "a name of all that is in a token",
        "9110 5.1",
        get(TOKEN + b": a"),
        headers={TOKEN.lower(): [b"a"]},
    ),
    *(
        Good(
            f"a name of {mark}",
            "9110 5.1",
            get(mark.encode() + b": a"),
            headers={mark.encode(): [b"a"]},
        )
        for mark in (
            "!",
            "#",
            "$",
            "%",
            "&",
            "'",
            "*",
            "+",
            "-",
            ".",
            "^",
            "_",
            "`",
            "|",
        )
    ),
    *(
        Good(
            f"a header of no meaning: {line.decode()}",
            "9112 6.3",
            get(line),
            headers={line.partition(b":")[0].lower(): [line.partition(b": ")[2]]},
        )
        for line in (
            *(
                b"Content_Length: 46",
                b"Transfer_Encoding: chunked",
                b"ContentLength: 46",
            ),
            *(b"X-Content-Length: 46", b"Content-Length-X: 46", b"Content.Length: 46"),
            *(b"Transfer-Encodings: chunked", b"Transfer-Encodin: chunked"),
            *(b"X-Transfer-Encoding: chunked", b"Content-Transfer-Encoding: chunked"),
            *(b"Content-Length-: 46", b"-Content-Length: 46", b"Hosts: example.com"),
            *(b"Proxy-Connection: close", b"Keep-Alive: timeout=5", b"X-Host: a, b"),
            *(b"X-Forwarded-Host: example.com", b"X-HTTP-Method-Override: DELETE"),
            *(b"Trailer: X", b"HTTP2-Settings: AAMAAABk", b"Upgrade: h2c"),
            *(
                b"TE: trailers",
                b"TE: trailers, deflate;q=0.5",
                b"TE: gzip;q=1.0, *;q=0",
            ),
            *(b"Date: yesterday", b"Max-Forwards: 10", b"From: me@example.org"),
        )
    ),
    *_good(
        "9110 5.3",
        {
            "two lines of languages": get(
                b"Accept-Language: de", b"Accept-Language: en"
            ),
            "two lines of cookies": get(b"Cookie: a=b", b"Cookie: c=d"),
            "two lines of options": get(b"Connection: TE", b"Connection: X"),
            "two lines of what is accepted": get(b"Accept: a/b", b"Accept: c/d"),
            "two lines of proxies": get(b"Via: 1.1 a", b"Via: 1.1 b"),
        },
    ),
    *(
        Good(
            f"the host {host.decode()}",
            "3986 3.2.2",
            head(b"GET / HTTP/1.1", b"Host: " + host),
            headers={b"host": [host]},
        )
        for host in GOOD_HOSTS
    ),
    *_good(
        "9112 3.2",
        {
            "an empty host": head(b"GET / HTTP/1.1", b"Host:"),
            "a host of a space": head(b"GET / HTTP/1.1", b"Host: "),
        },
        headers={b"host": [b""]},
    ),
    *_good(
        "9112 3.2",
        {
            "a host in capitals": head(b"GET / HTTP/1.1", b"HOST: example.org"),
            "a host behind other headers": head(b"GET / HTTP/1.1", b"X: a", HOST),
            "a host and no space before": head(b"GET / HTTP/1.1", b"Host:example.org"),
            "white space around a host": head(
                b"GET / HTTP/1.1", b"Host: \t example.org \t"
            ),
        },
        headers={b"host": [b"example.org"]},
    ),
]

_JSON = b'{"text": "\xe2\x98\x83"}'

#: RFC 9112, sections 6 and 7; RFC 9110, section 8.6.
GOOD_BODIES = [
    *_good(
        "9110 8.6",
        {
            "a length": post(b"Content-Length: 5"),
            "a length with a zero before": post(b"Content-Length: 05"),
            "a length with zeros before": post(b"Content-Length: 0000000005"),
            "a length and no space before": post(b"Content-Length:5"),
            "white space around a length": post(b"Content-Length: \t5 \t"),
            "a length in small letters": post(b"content-length: 5"),
            "a length in capitals": post(b"CONTENT-LENGTH: 5"),
        },
        method=b"POST",
        body=b"hello",
    ),
    *_good(
        "9112 6.3",
        {
            "a length of nothing": post(b"Content-Length: 0", body=b""),
            "a length of some zeros": post(b"Content-Length: 000", body=b""),
            "neither a length nor chunks": post(body=b""),
            "a type and no body": post(b"Content-Type: text/plain", body=b""),
            "chunks of nothing": in_chunks(b"0\r\n\r\n"),
        },
        method=b"POST",
    ),
    *(
        Good(
            f"a body of {method}",
            "9110 9.3",
            head(method.encode() + b" / HTTP/1.1", HOST, b"Content-Length: 5")
            + b"hello",
            method=method.encode(),
            body=b"hello",
        )
        for method in ("GET", "PUT", "PATCH", "DELETE", "OPTIONS", "FOO")
    ),
    Good(
        "a body that looks like a request",
        "9112 6",
        post(b"Content-Length: %d" % len(SMUGGLED), body=SMUGGLED),
        method=b"POST",
        body=SMUGGLED,
    ),
    Good(
        "a chunk that looks like the last one",
        "9112 7.1",
        in_chunks(b"5\r\n0\r\n\r\n\r\n0\r\n\r\n"),
        method=b"POST",
        body=b"0\r\n\r\n",
    ),
    Good(
        "a body of all bytes",
        "9112 6",
        post(b"Content-Length: 256", body=bytes(range(256))),
        method=b"POST",
        body=bytes(range(256)),
    ),
    Good(
        "a body of all bytes, in a chunk",
        "9112 7.1",
        in_chunks(b"100\r\n" + bytes(range(256)) + b"\r\n0\r\n\r\n"),
        method=b"POST",
        body=bytes(range(256)),
    ),
    Good(
        "a body of JSON",
        "9110 8.3",
        post(b"Content-Type: application/json", b"Content-Length: 15", body=_JSON),
        method=b"POST",
        headers={b"content-type": [b"application/json"]},
        body=_JSON,
    ),
    Good(
        "a body of HTTP/1.0",
        "9112 6.3",
        head(b"POST / HTTP/1.0", b"Content-Length: 5") + b"hello",
        method=b"POST",
        body=b"hello",
        closes=True,
    ),
    Good(
        "a body of 100 kB",
        "9112 6",
        post(b"Content-Length: 100000", body=b"hello" * 20_000),
        method=b"POST",
        body=b"hello" * 20_000,
    ),
    *_good(
        "9112 6.1",
        {
            f"chunks: {line.decode()!r}": post(line, body=b"5\r\nhello\r\n0\r\n\r\n")
            for line in (
                *(b"Transfer-Encoding: chunked", b"transfer-encoding: chunked"),
                *(b"TRANSFER-ENCODING: CHUNKED", b"Transfer-Encoding: Chunked"),
                *(b"Transfer-Encoding:chunked", b"Transfer-Encoding:\tchunked"),
                *(b"Transfer-Encoding: chunked ", b"Transfer-Encoding: \t chunked \t"),
                *(b"tRANSFER-eNCODING: cHUNKED", b"Transfer-Encoding: chunked\t"),
            )
        },
        method=b"POST",
        body=b"hello",
    ),
    *_good(
        "9112 7.1",
        {
            "one chunk": in_chunks(b"5\r\nhello\r\n0\r\n\r\n"),
            "two chunks": in_chunks(b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
            "a chunk a byte": in_chunks(
                b"".join(b"1\r\n%c\r\n" % each for each in b"hello") + b"0\r\n\r\n"
            ),
            "a size with a zero before": in_chunks(b"05\r\nhello\r\n0\r\n\r\n"),
            "a size of 16 digits": in_chunks(b"0000000000000005\r\nhello\r\n0\r\n\r\n"),
            "a last chunk of many zeros": in_chunks(b"5\r\nhello\r\n0000\r\n\r\n"),
        },
        method=b"POST",
        body=b"hello",
    ),
    *(
        Good(
            f"a size of {size.decode()}",
            "9112 7.1",
            in_chunks(size + b"\r\n" + b"x" * int(size, 16) + b"\r\n0\r\n\r\n"),
            method=b"POST",
            body=b"x" * int(size, 16),
        )
        for size in (
            b"a",
            b"A",
            b"f",
            b"F",
            b"1a",
            b"1A",
            b"aB",
            b"0fF",
            b"400",
            b"Dead",
        )
    ),
    *_good(
        "9112 7.1.1",
        {
            f"the extension {extension.decode()!r}": in_chunks(
                b"5" + extension + b"\r\nhello\r\n0\r\n\r\n"
            )
            for extension in (
                *(b";a", b";a=b", b';a="b"', b';a=""', b';a="b c"', b';a="b;c=d"'),
                *(b";a;b", b";a=b;c", b";a=b;c=d", b';a="b";c=d;e', b";a=1", b";1=2"),
                *(b';a="\\""', b';a="\\\\"', b';a="b\tc"', b" ;a", b"; a", b"\t;\ta"),
                *(b";a =b", b";a= b", b" ; a = b", b' ; a = "b" ; c', b";a-b=c.d"),
                *(b";" + TOKEN, b";a=" + TOKEN, b';a="(),/:;<=>?@[]{}"', b";a=b" * 20),
                *(b';a="\\a"', b';a="\\ "'),
            )
        },
        method=b"POST",
        body=b"hello",
    ),
    *_good(
        "9112 7.1.1",
        {
            "a last chunk with an extension": in_chunks(b"5\r\nhello\r\n0;a=b\r\n\r\n"),
            "an extension in UTF-8": in_chunks(
                '5;a="\u2603"\r\nhello\r\n0\r\n\r\n'.encode()
            ),
        },
        method=b"POST",
        body=b"hello",
    ),
    *_good(
        "9112 7.1.2",
        {
            f"the trailers {lines!r}": in_chunks(b"5\r\nhello\r\n0\r\n" + head(*lines))
            for lines in (
                *((b"X: a",), (b"X:",), (b"X: a", b"Y: b"), (b"X: a", b"X: b")),
                *((b"X:a",), (b"X: \t a \t",), (b"x: a",), (b"X: caf\xe9",)),
                *((b"Digest: a=b",), (b"Server-Timing: a",), (b"X: 0", b'ETag: "a"')),
            )
        },
        method=b"POST",
        headers={b"x": [], b"y": [], b"digest": []},  # what is behind is no header
        body=b"hello",
    ),
    *_good(
        "9112 7.1.2",
        {
            "a trailer that was promised": post(
                *(b"Trailer: X", b"TE: trailers", b"Transfer-Encoding: chunked"),
                body=b"5\r\nhello\r\n0\r\nX: a\r\n\r\n",
            )
        },
        method=b"POST",
        headers={b"x": []},
        body=b"hello",
    ),
    *_good(
        "9112 7.2",
        {
            "gzip": coded(b"gzip, chunked", _GZIPPED),
            "x-gzip": coded(b"x-gzip, chunked", _GZIPPED),
            "deflate": coded(b"deflate, chunked", zlib.compress(b"hello" * 100)),
            "gzip in capitals": coded(b"GZIP, Chunked", _GZIPPED),
            "gzip and no space": coded(b"gzip,chunked", _GZIPPED),
            "gzip and white space": coded(b"gzip \t,\t chunked", _GZIPPED),
            "gzip without compression": coded(
                b"gzip, chunked", gzip.compress(b"hello" * 100, 0)
            ),
            "gzip, a chunk a byte": post(
                b"Transfer-Encoding: gzip, chunked",
                body=b"".join(b"1\r\n%c\r\n" % each for each in _GZIPPED)
                + b"0\r\n\r\n",
            ),
            "gzip, extensions and trailers": post(
                b"Transfer-Encoding: gzip, chunked",
                body=b"%x;a=b\r\n%s\r\n0;c\r\nX: a\r\n\r\n" % (len(_GZIPPED), _GZIPPED),
            ),
            "gzip in two lines": post(
                *(b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked"),
                body=coded(b"chunked", _GZIPPED).split(b"\r\n\r\n", 1)[1],
            ),
        },
        method=b"POST",
        body=b"hello" * 100,
    ),
    Good(
        "a compression of nothing",
        "9112 7.2",
        coded(b"gzip, chunked", gzip.compress(b"")),
        method=b"POST",
    ),
    Good(
        "a compressed content, which is the handler's to read",
        "9110 8.4",
        post(b"Content-Encoding: gzip", b"Content-Length: 5"),
        method=b"POST",
        headers={b"content-encoding": [b"gzip"]},
        body=b"hello",
    ),
]

#: RFC 9112, section 9.3: who closes, and when.
GOOD_CONNECTIONS = [
    *_good(
        "9112 9.3",
        {
            f"{version} and {line!r}": head(
                f"GET / {version}".encode(), HOST, *([line.encode()] if line else [])
            )
            for version, line in (
                *(
                    ("HTTP/1.1", "Connection: keep-alive"),
                    ("HTTP/1.1", "Connection: x"),
                ),
                *(("HTTP/1.1", "Connection: Keep-Alive"), ("HTTP/1.1", "Connection:")),
                *(("HTTP/1.1", "Connection: TE"), ("HTTP/1.1", "Connection: closed")),
                *(("HTTP/1.1", "Connection: not-close"), ("HTTP/1.1", "X: close")),
                *(("HTTP/1.1", "Connection: Upgrade, HTTP2-Settings"),),
                *(("HTTP/1.0", "Connection: keep-alive"),),
                *(("HTTP/1.0", "Connection: Keep-Alive"),),
                *(("HTTP/1.0", "connection: KEEP-ALIVE"),),
                *(("HTTP/1.0", "Connection: x, keep-alive"),),
                *(("HTTP/1.0", "Connection: keep-alive,x"),),
            )
        },
    ),
    *_good(
        "9112 9.6",
        {
            f"{version} and {line!r}": head(
                f"GET / {version}".encode(), HOST, line.encode()
            )
            for version, line in (
                *(("HTTP/1.1", "Connection: close"), ("HTTP/1.1", "Connection: Close")),
                *(("HTTP/1.1", "connection: CLOSE"), ("HTTP/1.1", "Connection:close")),
                *(("HTTP/1.1", "Connection: x, close"),),
                *(("HTTP/1.1", "Connection: close, x"),),
                *(("HTTP/1.1", "Connection: x,close,y"),),
                *(("HTTP/1.1", "Connection: keep-alive, close"),),
                *(("HTTP/1.1", "Connection: \t close \t"),),
                *(("HTTP/1.0", "Connection: close"), ("HTTP/1.0", "Connection: x")),
                *(("HTTP/1.0", "Connection: keep-alive, close"),),
                *(("HTTP/1.0", "Keep-Alive: timeout=5"),),
                *(("HTTP/1.0", "Proxy-Connection: keep-alive"),),
            )
        },
        closes=True,
    ),
    *_good(
        "9112 9.6",
        {
            "two lines of options, the last of which is close": get(
                b"Connection: x", b"Connection: close"
            ),
            "two lines of options, the first of which is close": get(
                b"Connection: close", b"Connection: keep-alive"
            ),
        },
        closes=True,
    ),
    *_good(
        "9110 7.8",
        {
            f"an upgrade to {other}": get(
                f"Upgrade: {other}".encode(), b"Connection: Upgrade"
            )
            for other in (
                *(
                    "h2c",
                    "foo",
                    "HTTP/2.0",
                    "TLS/1.0",
                    "h2c, foo/1",
                    "IRC/6.9, RTA/x11",
                ),
                "websocket",
            )
        },
    ),
    Good(
        "an upgrade to HTTP/2 with its settings",
        "9110 7.8",
        get(
            *(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c"),
            b"HTTP2-Settings: AAMAAABkAAQAAP__",
        ),
    ),
    Good(
        "an upgrade with a body",
        "9110 7.8",
        post(b"Connection: Upgrade", b"Upgrade: h2c", b"Content-Length: 5"),
        method=b"POST",
        body=b"hello",
    ),
    *_good(
        "9110 10.1.1",
        {
            f"the expectation {expected.decode()} and its body": post(
                b"Expect: " + expected, b"Content-Length: 5"
            )
            for expected in (b"100-continue", b"100-Continue", b"100-CONTINUE")
        },
        method=b"POST",
        body=b"hello",
    ),
    Good(
        "an expectation and chunks",
        "9110 10.1.1",
        in_chunks(b"5\r\nhello\r\n0\r\n\r\n", b"Expect: 100-continue"),
        method=b"POST",
        body=b"hello",
    ),
    Good(
        "an expectation and no body",
        "9110 10.1.1",
        get(b"Expect: 100-continue"),
    ),
    Good(
        "an expectation of HTTP/1.0",
        "9110 10.1.1",
        head(b"POST / HTTP/1.0", b"Expect: 100-continue", b"Content-Length: 5")
        + b"hello",
        method=b"POST",
        body=b"hello",
        closes=True,
    ),
]

_FORM = (
    b'--x\r\nContent-Disposition: form-data; name="a"; filename="b"\r\n'
    b"\r\nhello\r\n--x--\r\n"
)

#: Whole requests, as clients send them.
GOOD_CLIENTS = [
    Good(
        "curl",
        "9112 3",
        head(
            *(b"GET /foo HTTP/1.1", b"Host: 127.0.0.1:8080", b"User-Agent: curl/8.5.0"),
            b"Accept: */*",
        ),
        target=b"/foo",
        headers={b"user-agent": [b"curl/8.5.0"]},
    ),
    Good(
        "Firefox",
        "9112 3",
        head(
            *(b"GET /?a=b HTTP/1.1", b"Host: localhost:8080"),
            b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 "
            b"Firefox/128.0",
            b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            b"Accept-Language: de,en-US;q=0.7,en;q=0.3",
            *(b"Accept-Encoding: gzip, deflate, br, zstd", b"DNT: 1", b"Sec-GPC: 1"),
            *(b"Connection: keep-alive", b'Cookie: a=b; c="d e"; __Host-f=g'),
            *(b"Upgrade-Insecure-Requests: 1", b"Sec-Fetch-Dest: document"),
            *(b"Sec-Fetch-Mode: navigate", b"Sec-Fetch-User: ?1", b"Priority: u=0, i"),
            b'If-None-Match: W/"abc"',
        ),
        target=b"/?a=b",
        headers={b"sec-fetch-user": [b"?1"], b"if-none-match": [b'W/"abc"']},
    ),
    Good(
        "Chromium",
        "9112 3",
        head(
            *(b"POST /form HTTP/1.1", b"Host: localhost", b"Connection: keep-alive"),
            *(b"Content-Length: 7", b"Cache-Control: max-age=0"),
            b'sec-ch-ua: "Chromium";v="128", "Not;A=Brand";v="24"',
            *(b"sec-ch-ua-mobile: ?0", b'sec-ch-ua-platform: "Linux"', b"Origin: null"),
            b"Content-Type: application/x-www-form-urlencoded",
        )
        + b"a=b&c=d",
        method=b"POST",
        target=b"/form",
        headers={b"origin": [b"null"]},
        body=b"a=b&c=d",
    ),
    Good(
        "ab -k",
        "9112 9.3",
        head(
            *(b"GET / HTTP/1.0", b"Connection: Keep-Alive", b"Host: localhost:8080"),
            *(b"User-Agent: ApacheBench/2.3", b"Accept: */*"),
        ),
    ),
    Good(
        "ab",
        "9112 9.3",
        head(
            *(b"GET / HTTP/1.0", b"Host: localhost:8080"),
            *(b"User-Agent: ApacheBench/2.3", b"Accept: */*"),
        ),
        closes=True,
    ),
    Good(
        "nginx as a proxy",
        "9112 9.3",
        head(
            *(
                b"GET / HTTP/1.0",
                b"Host: backend",
                b"X-Forwarded-For: 1.2.3.4, 5.6.7.8",
            ),
            b"Connection: close",
        ),
        headers={b"x-forwarded-for": [b"1.2.3.4, 5.6.7.8"]},
        closes=True,
    ),
    Good(
        "a WebDAV client",
        "9110 9.1",
        head(
            *(b"PROPFIND /dav/ HTTP/1.1", HOST, b"Depth: 1", b"Content-Length: 5"),
            b"Content-Type: application/xml",
        )
        + b"<a/>\n",
        method=b"PROPFIND",
        target=b"/dav/",
        headers={b"depth": [b"1"]},
        body=b"<a/>\n",
    ),
    Good(
        "an upload of a file",
        "9110 8.3",
        post(
            b"Content-Type: multipart/form-data; boundary=x",
            b"Content-Length: %d" % len(_FORM),
            body=_FORM,
        ),
        method=b"POST",
        headers={b"content-type": [b"multipart/form-data; boundary=x"]},
        body=_FORM,
    ),
]

ANSWERED = {
    "lines": GOOD_LINES,
    "headers": GOOD_HEADERS,
    "bodies": GOOD_BODIES,
    "connections": GOOD_CONNECTIONS,
    "clients": GOOD_CLIENTS,
}

#: What may be refused, or answered like this, and nothing else: the RFCs leave it
#: open, and other servers differ.
OPEN = [
    *_good(
        "9110 5.6.1.2",
        {
            f"the coding {coding.decode()!r}": post(
                b"Transfer-Encoding: " + coding, body=b"5\r\nhello\r\n0\r\n\r\n"
            )
            for coding in (
                b", chunked",
                b",chunked",
                b"chunked,",
                b"chunked, ,",
                b",,chunked",
            )
        },
        method=b"POST",
        body=b"hello",
    ),
    Good(
        "a compression of two members",  # as RFC 1952, section 2.2, has it
        "9112 7.2",
        coded(b"gzip, chunked", gzip.compress(b"hel") + gzip.compress(b"lo")),
        method=b"POST",
        body=b"hello",
    ),
    Good(
        "two compressions",
        "9112 7",
        coded(b"gzip, gzip, chunked", gzip.compress(gzip.compress(b"hello"))),
        method=b"POST",
        body=b"hello",
    ),
    Good(
        "a length of 5000 digits, most of them zeros",
        "9110 8.6",
        post(b"Content-Length: " + b"0" * 5000 + b"5"),
        method=b"POST",
        body=b"hello",
    ),
    *_good(
        "9112 6.3",
        {
            "a body of TRACE": head(b"TRACE / HTTP/1.1", HOST, b"Content-Length: 5")
            + b"hello"
        },
        method=b"TRACE",
        body=b"hello",
    ),
    *_at(
        "3986 2.1",
        (b"/%", b"/%z", b"/%zz", b"/%4", b"/?a=%", b"/?100%", b"/%u2603", b"/?a\\b"),
    ),
    *(
        Good(
            f"the host {host.decode()!r}",
            "3986 3.2.2",
            head(b"GET / HTTP/1.1", b"Host: " + host),
            headers={b"host": [host]},
        )
        for host in (
            *(
                b":80",
                b":",
                b"a!b",
                b"a$b",
                b"a&b",
                b"a'b",
                b"a(b)",
                b"a*b",
                b"a+b",
                b"a;b",
            ),
            *(b"a=b", b"[v1.a]", b"[fe80::1%25eth0]", b"..", b"a..b", b"a" * 300),
        )
    ),
    *_good(
        "9110 5.3",
        {
            # A list, so that they are as one line; but most who ask for a header get
            # the last one.
            "two lines of codings of the content": get(
                b"Content-Encoding: gzip", b"Content-Encoding: br"
            ),
            "two lines of User-Agent": get(b"User-Agent: a", b"User-Agent: b"),
            "two lines of Range": get(b"Range: bytes=0-1", b"Range: bytes=2-3"),
            "two lines of If-Range": get(b"If-Range: a", b"If-Range: b"),
            "two lines of Referer": get(b"Referer: a", b"Referer: b"),
            "two lines of Origin": get(b"Origin: http://a", b"Origin: http://b"),
        },
    ),
    *_good(
        "9112 9.6",
        {
            "an empty expectation": get(b"Expect:"),
            "the same expectation twice": get(*[b"Expect: 100-continue"] * 2),
            "an option that is no token": get(b"Connection: a b"),
            "an option that is a length": get(b"Connection: Content-Length"),
            "an upgrade to nothing": get(b"Upgrade:", b"Connection: Upgrade"),
        },
    ),
]
