"""
A daemon pays for what it uses: tests for what one that serves JSON does not import.
"""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.importing import imported

HELLO = """\
'''Says hello, as JSON.'''

from ropewalk.web import Routes

routes = Routes()


@routes.get("/plain")
def plain(request):
    request.setHeader(b"content-type", b"application/json")
    return b'{"hello":"plain"}'


@routes.get("/value/<name>")
def value(request, name):
    return {"hello": name}
"""

#: Serves it as twistd does, up to the sockets.
SERVE = """\
from ropewalk.plugin import Found
from ropewalk.run import reactors, tap
reactors.choose()
from ropewalk.run.rehearsal import rehearse
from ropewalk.testing.synchronous import Client
client = Client(rehearse({path!r}, {{}}, Found(())).site)
assert client.get("/plain").json() == {{"hello": "plain"}}
assert client.get("/value/world").json() == {{"hello": "world"}}
assert client.get("/nowhere").status == 404
assert client.request("DELETE", "/plain").status == 405
assert client.get("/health/ready").status in (200, 503)
"""

#: What some handlers need, and these do not.
FOR_OTHERS = (
    "ropewalk.web.classes",
    "ropewalk.web.debugging",
    "ropewalk.web.falcon",
    "ropewalk.web.fields",
    "ropewalk.web.formats",
    "ropewalk.web.markup",
    "ropewalk.web.models",
    "ropewalk.web.hosting.children",
    "ropewalk.web.openapi",
    "ropewalk.web.proxying",
    "ropewalk.web.published",
    "ropewalk.schema.models",
    "ropewalk.net.protocols",
    "ropewalk.net.sockets",
    "autobahn",
    "click",
    "hypothesis",
    "multipart",
    "pydantic",
    "sqlite3",
    "treq",
    "txaio",
    "twisted.web.client",
    "twisted.web.static",
    "xml.dom",
    "xml.etree",
)


class CostTests(SynchronousTestCase):
    """
    A host that serves JSON.
    """

    def test_json(self) -> None:
        """
        It imports no other formats, no documents, no debugger, no models, no
        WebSockets: to be started, and to answer.
        """
        path = Path(self.mktemp()).absolute() / "hello.py"
        path.parent.mkdir()
        path.write_text(HELLO, "utf-8")
        found = imported(SERVE.format(path=str(path)), *FOR_OTHERS)
        self.assertEqual(found, [])

    def test_names(self) -> None:
        """
        The modules that are looked for are there to be imported.
        """
        ours = [each for each in FOR_OTHERS if each.startswith("ropewalk.")]
        statements = "\n".join(f"import {each}" for each in ours)
        self.assertEqual(imported(statements, *ours), ours)
