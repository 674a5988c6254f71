"""
Applications on a site, for tests: in memory and in one thread, or in threads of their
own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.task import Clock

from ropewalk.web.compiling import no_sockets
from ropewalk.web.hosting.hosted import Place as MountPlace
from ropewalk.web.hosting.wsgi.serving import WsgiResource
from ropewalk.web.hosting.wsgi.threads import Busy, Job, Pool
from tests.visiting import Place

__all__ = ["AtOnce", "Here", "hello", "put"]


class Here(Clock):
    """
    A reactor of which every thread is the thread.
    """

    def callFromThread(self, function: Callable[..., object], *args: Any) -> None:
        function(*args)


class AtOnce(Pool):
    """
    Has no threads: what it is given is done.

    :ivar busy: Whether to refuse instead.
    """

    def __init__(self) -> None:
        super().__init__("/", 1, 0, 1.0, Here())
        self.busy = False

    def submit(self, job: Job) -> None:
        if self.busy:
            raise Busy("/", 1)
        job.work()

    def insist(self, job: Job) -> None:
        job.work()


def hello(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Says hello, by the name in the path."""
    name = environ["PATH_INFO"].strip("/") or "world"
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"hello {name}\n".encode("latin-1")]


def put(
    application: Callable[..., Any], path: str = "/", pool: Pool | None = None
) -> Place:
    """Put a WSGI application on a site in memory."""
    place = Place.of()
    mount = MountPlace(path, "chat", "x.py:1", Here(), no_sockets)
    resource = WsgiResource(AtOnce() if pool is None else pool, mount)
    resource.application = application
    place.mount(path, resource)
    return place
