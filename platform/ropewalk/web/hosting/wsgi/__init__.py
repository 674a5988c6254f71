# -*- test-case-name: tests.test_hosting_wsgi -*-
"""
WSGI applications (PEP 3333): Django's, Flask's, and whatever else was written for a
server that calls it once for each request, in a thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from attrs import frozen

from ropewalk.web.hosting.hosted import Hosted, Place, called
from ropewalk.web.hosting.wsgi.serving import WsgiMounting
from ropewalk.web.hosting.wsgi.threads import Pool

__all__ = ["LONGEST_BODY", "Wsgi", "wsgi"]

#: Bytes of the longest body that is taken unless somebody says otherwise.
LONGEST_BODY = 100 * 1024 * 1024

_NOTHING: Mapping[str, str] = MappingProxyType({})


@frozen
class Wsgi(Hosted):
    """
    A WSGI application, as it is described: see :func:`wsgi`.
    """

    kind = "wsgi"

    target: str | Callable[..., Any]
    threads: int
    queue: int
    timeout: float
    directory: str
    environment: Mapping[str, str]
    prefix_variable: str
    longest_body: int | None
    within: float

    @property
    def shown(self) -> str:
        return f"{called(self.target)} (WSGI)"

    def at(self, place: Place) -> WsgiMounting:
        reactor = place.reactor
        pool = Pool(place.path, self.threads, self.queue, self.timeout, reactor)
        environment = dict(self.environment)
        if self.prefix_variable:
            environment[self.prefix_variable] = place.prefix
        return WsgiMounting(
            self.target,
            place,
            pool,
            self.longest_body,
            directory=self.directory,
            environment=environment,
            within=self.within,
        )


def wsgi(
    target: str | Callable[..., Any],
    *,
    threads: int = 8,
    queue: int = 100,
    timeout: float = 30.0,
    directory: str = "",
    environment: Mapping[str, str] = _NOTHING,
    prefix_variable: str = "",
    longest_body: int | None = LONGEST_BODY,
    within: float = 60.0,
) -> Wsgi:
    """
    A WSGI application, to be mounted: ``host.web.mount("/shop",
    wsgi("shop.wsgi:application"))``.

    :param target: How it is called: ``"shop.wsgi:application"``, ``"app.py:app"``,
        ``"shop:create_app()"``; or the application itself.
    :param threads: How many requests it answers at once. An answer that is streamed has
        its thread until it ends.
    :param queue: How many more wait for a thread; beyond that, the answer is 503.
    :param timeout: For how many seconds a request waits for one; after that, the answer
        is 503.
    :param directory: Where its modules are: goes on Python's path. Empty for the
        current one.
    :param environment: Variables of the environment it is loaded with. One of them is
        always ``ROPEWALK_MOUNT``, where it is mounted (``""`` at the root).
    :param prefix_variable: Another name for ``ROPEWALK_MOUNT``.
    :param longest_body: Bytes of the longest body; ``None`` for what the site takes.
    :param within: Seconds that it may take to load.
    :raise TypeError: When the target is no application.
    :raise ValueError: For a number that is none of threads, seconds or bytes.
    """
    if not callable(target) and not isinstance(target, str):
        raise TypeError(f"{target!r} is no WSGI application: it cannot be called")
    for name, number, least in (
        ("threads", threads, 1),
        ("queue", queue, 0),
        ("timeout", timeout, 0),
        ("longest_body", longest_body or 0, 0),
        ("within", within, 0),
    ):
        if number < least:
            raise ValueError(f"{name}: expected {least} or more, got {number}")
    return Wsgi(
        target,
        threads,
        queue,
        timeout,
        directory,
        environment,
        prefix_variable,
        longest_body,
        within,
    )
