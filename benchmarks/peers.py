# -*- test-case-name: tests.test_benchmarks -*-
"""
Who is measured: how each is installed and started, and what it serves.
"""

from __future__ import annotations

from pathlib import Path

from attrs import evolve, field, frozen

from benchmarks.environments import NEWEST, OURS, Home, compiled, found
from benchmarks.loads import HTTP, LINES

__all__ = ["APPS", "PEERS", "Peer"]

#: Where the applications are, which all serve the same.
APPS = Path(__file__).resolve().parent / "apps"

SHARED = Home(
    "shared",
    (
        *("aiohttp", "django", "falcon", "fastapi", "flask", "gunicorn", "msgspec"),
        *("sanic", "starlette", "tornado", "uvicorn[standard]", "waitress"),
    ),
)
BLACKSHEEP = Home(
    "blacksheep", ("blacksheep", "msgspec", "pydantic", "uvicorn[standard]")
)
GRANIAN = Home("granian", ("granian[uvloop]", "msgspec", "starlette"))
# It is distributed as source, with its library in it.
SOCKETIFY = Home("socketify", ("socketify", "msgspec"), NEWEST, wheels=False)
JAPRONTO = Home("japronto", ("japronto==0.1.2",), ("3.7", "3.6"))

UVICORN = (
    "{bin}/uvicorn {app}:app --port {port} --no-access-log --log-level warning "
    "--loop uvloop --http httptools"
)
GUNICORN = (
    "{bin}/gunicorn {app}:app --bind 127.0.0.1:{port} --workers 1 --worker-class "
    "gthread --threads 4 --worker-connections 10000 --keep-alive 60 "
    "--backlog 1024 --log-level warning"
)
WAITRESS = "{bin}/waitress-serve --listen 127.0.0.1:{port} --threads 4 {app}:app"
GRANIAN_ON = (
    "{bin}/granian --interface {interface} {app}:app --host 127.0.0.1 --port {port} "
    "--workers 1 --loop uvloop --backlog 8192 --no-access-log --log-level warning"
)
ROPEWALK = "{bin}/twistd -n --pidfile= ropewalk --settings {file}"

QUIET = {"access_log": "false", "serve": "routes"}


@frozen
class Peer:
    """
    One of those that are measured.

    :ivar name: On the command line, and in the results.
    :ivar title: In tables and pictures.
    :ivar home: Where its Python and its commands are.
    :ivar command: Its words; ``{port}`` is where to listen.
    :ivar serves: The names of the loads that it is put under.
    :ivar made_of: Packages whose versions are worth telling.
    :ivar template: A file of its own, with ``@port@`` and the like in it.
    :ivar values: What else is in the template.
    :ivar environ: What it finds in the environment.
    """

    name: str
    title: str
    home: Home
    command: str
    made_of: tuple[str, ...]
    serves: tuple[str, ...] = HTTP
    template: str = ""
    values: dict[str, str] = field(factory=dict)
    environ: dict[str, str] = field(factory=dict)
    note: str = ""

    @property
    def speaks_lines(self) -> bool:
        return self.serves == LINES

    def words(self, port: int, file: Path) -> list[str]:
        """
        The command that starts it.

        :param file: What was made of its template.
        :raise Absent: When there is no such command.
        """
        values = {
            "python": f"{self.home.bin}/python",
            "bin": str(self.home.bin),
            "port": str(port),
            "file": str(file),
        }
        first, *others = [word.format(**values) for word in self.command.split()]
        if first.endswith(".c"):
            first = compiled(APPS / first)
        return [first if "/" in first else found(first), *others]


def _on_uvicorn(name: str, title: str, home: Home = SHARED) -> Peer:
    command = UVICORN.replace("{app}", f"{name}_app")
    return Peer(name, f"{title} on uvicorn", home, command, (name, "uvicorn"))


def _on_gunicorn(name: str, title: str) -> Peer:
    command = GUNICORN.replace("{app}", f"{name}_app")
    return Peer(name, f"{title} on gunicorn", SHARED, command, (name, "gunicorn"))


def _on_granian(interface: str, app: str) -> str:
    return GRANIAN_ON.replace("{interface}", interface).replace("{app}", app)


def _ropewalk(name: str, title: str, note: str, **values: str) -> Peer:
    return Peer(
        name,
        title,
        OURS,
        ROPEWALK,
        ("ropewalk", "c part", "twisted", "uvloop"),
        template="ropewalk.toml",
        values=QUIET | values,
        note=note,
    )


def _ropewalk_lines(name: str, title: str, protocol: str) -> Peer:
    return Peer(
        name,
        title,
        OURS,
        ROPEWALK,
        ("ropewalk", "twisted", "uvloop"),
        LINES,
        "ropewalk-lines.toml",
        {"protocol": protocol},
    )


def _asgi_on_ropewalk(name: str, title: str, app: str, *made_of: str) -> Peer:
    return Peer(
        name,
        f"{title} on Ropewalk",
        OURS,
        ROPEWALK,
        ("ropewalk", "uvloop", *made_of),
        template="ropewalk-asgi.toml",
        values={"app": app},
    )


_PEERS = (
    Peer(
        "klein",
        "Klein on twisted.web",
        OURS,
        "{python} klein_app.py {port}",
        ("klein", "twisted"),
        note="Twisted's epoll reactor; this is 1",
    ),
    Peer(
        "klein-twistd",
        "Klein by twistd",
        OURS,
        "{bin}/twistd -n --pidfile= web --listen tcp:{port}:interface=127.0.0.1 "
        "--class klein_app.resource",
        ("klein", "twisted"),
        ("plain",),
        note="as a daemon, with its access log; to compare starts with",
    ),
    Peer(
        "resource",
        "twisted.web",
        OURS,
        "{python} resource_app.py {port}",
        ("twisted",),
        note="resources, on Twisted's epoll reactor",
    ),
    _ropewalk("ropewalk", "Ropewalk", "default settings, but without the access log"),
    _ropewalk(
        "ropewalk-log",
        "Ropewalk with its access log",
        "default settings; the log is a file",
        access_log="true",
    ),
    evolve(
        _ropewalk("ropewalk-python", "Ropewalk in Python", "without its part in C"),
        environ={"ROPEWALK_NATIVE": "0"},
        made_of=("ropewalk", "twisted", "uvloop"),
    ),
    _ropewalk(
        "ropewalk-klein",
        "Klein on Ropewalk",
        "the very application of Klein on twisted.web",
        serve="klein",
    ),
    _ropewalk(
        "ropewalk-resource",
        "twisted.web on Ropewalk",
        "the very resources of twisted.web",
        serve="resource",
    ),
    _asgi_on_ropewalk("ropewalk-asgi", "ASGI", "asgi_app:app"),
    _asgi_on_ropewalk(
        "ropewalk-starlette", "Starlette", "starlette_app:app", "starlette"
    ),
    Peer(
        "aiohttp",
        "aiohttp",
        SHARED,
        "{python} aiohttp_app.py {port}",
        ("aiohttp", "uvloop"),
        note="on uvloop",
    ),
    Peer(
        "sanic",
        "Sanic",
        SHARED,
        "{bin}/sanic sanic_app:app --port {port} --single-process --no-access-logs "
        "--no-motd",
        ("sanic", "uvloop"),
    ),
    evolve(_on_uvicorn("asgi", "ASGI"), made_of=("uvicorn",)),
    _on_uvicorn("starlette", "Starlette"),
    _on_uvicorn("fastapi", "FastAPI"),
    _on_uvicorn("falcon", "Falcon ASGI"),
    _on_uvicorn("blacksheep", "BlackSheep", BLACKSHEEP),
    Peer(
        "granian",
        "granian RSGI",
        GRANIAN,
        _on_granian("rsgi", "granian_app"),
        ("granian", "uvloop"),
        note="no framework: a table of paths and a pattern",
    ),
    Peer(
        "granian-asgi",
        "Starlette on granian",
        GRANIAN,
        _on_granian("asgi", "starlette_app"),
        ("granian", "starlette"),
    ),
    Peer(
        "socketify",
        "socketify",
        SOCKETIFY,
        "{python} socketify_app.py {port}",
        ("socketify",),
    ),
    Peer(
        "tornado",
        "Tornado",
        SHARED,
        "{python} tornado_app.py {port}",
        ("tornado",),
    ),
    _on_gunicorn("flask", "Flask"),
    Peer(
        "flask-waitress",
        "Flask on waitress",
        SHARED,
        WAITRESS.replace("{app}", "flask_app"),
        ("flask", "waitress"),
    ),
    evolve(
        _ropewalk("flask-ropewalk", "Flask on Ropewalk", "the very application"),
        made_of=("flask", "ropewalk", "c part", "twisted", "uvloop"),
        template="ropewalk-wsgi.toml",
        values={"wsgi": "flask_app:app"},
    ),
    _on_gunicorn("django", "Django"),
    Peer(
        "japronto",
        "Japronto",
        JAPRONTO,
        "{python} japronto_app.py {port}",
        ("japronto", "uvloop"),
        note="what is posted is checked by hand",
    ),
    Peer(
        "nginx",
        "nginx",
        OURS,
        "nginx -e stderr -c {file}",
        (),
        tuple(load for load in HTTP if load != "items"),
        "nginx.conf",
        note="no application: fixed answers, a pattern, a file",
    ),
    Peer(
        "line-receiver",
        "LineReceiver on Twisted",
        OURS,
        "{python} line_receiver.py {port}",
        ("twisted",),
        LINES,
        note="Twisted's epoll reactor; this is 1",
    ),
    Peer(
        "line-protocol",
        "asyncio.Protocol on uvloop",
        OURS,
        "{python} line_protocol.py {port}",
        ("uvloop",),
        LINES,
    ),
    Peer(
        "line-streams",
        "asyncio streams on uvloop",
        OURS,
        "{python} line_streams.py {port}",
        ("uvloop",),
        LINES,
    ),
    _ropewalk_lines("ropewalk-lines", "LineProtocol on Ropewalk", "ropewalk"),
    _ropewalk_lines("ropewalk-receiver", "LineReceiver on Ropewalk", "twisted"),
    Peer(
        "c",
        "C with epoll",
        OURS,
        "echo.c {port}",
        (),
        LINES,
        note="the least there is to do",
    ),
)

#: Those that are measured, by name.
PEERS = {peer.name: peer for peer in _PEERS}
