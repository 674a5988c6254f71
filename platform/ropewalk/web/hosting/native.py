# -*- test-case-name: tests.test_hosting_native -*-
"""
Servers of other frameworks on the daemon's own event loop: aiohttp, Tornado, Sanic, and
whatever else can be had to listen by an ``async`` function.

Each listens at a place of its own, which nobody else is told, and is passed what comes
for it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import NeedsAsyncio
from ropewalk.interfaces import Steps
from ropewalk.web.hosting.children.orders import private_directory
from ropewalk.web.hosting.hosted import Hosted, Mounting, Place, called
from ropewalk.web.hosting.listeners import Close, NoServer, begin
from ropewalk.web.hosting.loading import BadApplication, loaded
from ropewalk.web.proxying.backends import Backend, Backends
from ropewalk.web.proxying.gates import Gate
from ropewalk.web.proxying.proxied import Terms, agree, limits_of, make_gate
from ropewalk.web.proxying.targets import Target

__all__ = ["Native", "NativeMounting", "native"]


def native(
    target: Any,
    *,
    directory: str = "",
    environment: Mapping[str, str] | None = None,
    prefix_variable: str = "",
    **terms: Any,
) -> Native:
    """
    Have a server listen on the daemon's event loop: ``native("feed:serve")``.

    :param target: Where it is, ``"module:name"``, or it itself: ``async def serve(host,
        port, prefix)``, which begins to listen and returns an ``async`` function that
        ends that; an ``aiohttp.web.Application``, a ``tornado.web.Application`` or a
        ``sanic.Sanic``.
    :param directory: Where its modules are; empty for the current directory.
    :param environment: Environment variables that are set before it is loaded.
        ``ROPEWALK_MOUNT`` always is: to the path of the mount.
    :param prefix_variable: What the variable with the path of the mount is called
        besides.
    :param terms: How requests are passed on: see
        :class:`ropewalk.web.proxying.proxied.Terms`.
    :raise ropewalk.web.hosting.settings.BadMount: When these make no sense.
    """
    variables = dict(environment or {})
    return Native(target, directory, variables, prefix_variable, agree(terms))


class Native(Hosted):
    """
    A server that runs on asyncio. The parameters are those of :func:`native`.
    """

    kind = "native"

    def __init__(
        self,
        target: Any,
        directory: str,
        environment: Mapping[str, str],
        prefix_variable: str,
        terms: Terms,
    ) -> None:
        self._target, self._directory = target, os.path.abspath(directory or os.curdir)
        self._environment, self._variable = environment, prefix_variable
        self.terms = terms
        self.longest_body = terms.longest_body

    def at(self, place: Place) -> NativeMounting:
        environment = dict(self._environment)
        if self._variable:
            environment.setdefault(self._variable, place.prefix)
        return NativeMounting(
            *(self._target, called(self._target), self._directory, environment),
            *(place, self.terms),
        )

    @property
    def shown(self) -> str:
        return f"{called(self._target)} (native)"


class NativeMounting(Mounting):
    """
    A server that runs on asyncio, at its place.

    :ivar backends: It, as it is asked.
    """

    resource: Gate

    def __init__(
        self,
        target: Any,
        name: str,
        directory: str,
        environment: Mapping[str, str],
        place: Place,
        terms: Terms,
    ) -> None:
        self._target, self._name, self._source = target, name, directory
        self._environment, self._place = environment, place
        nowhere, reactor = Target(name, "127.0.0.1", 1), place.network or place.reactor
        self._backend = Backend(nowhere, limits_of(terms), reactor)
        self._backend.well = False
        self.backends = Backends([self._backend], terms.balance)
        self.resource = make_gate(self.backends, place, terms)
        self._directory: Path | None = None
        self._close: Close | None = None

    @inlineCallbacks
    def startService(self) -> Steps[None]:
        """
        Load it, and have it listen.

        :raise NeedsAsyncio: On a reactor that is not asyncio's.
        :raise BadApplication: When it is no such server, or does not listen.
        """
        super().startService()
        if asyncio._get_running_loop() is None:
            raise NeedsAsyncio(f"{self._name} (native)")
        found = self._target
        if isinstance(found, str):
            found = yield loaded(
                *(self._place.reactor, found, self._source, self._environment),
                self._place.prefix,
            )
        self._directory = private_directory()
        socket = str(self._directory / "server.sock")
        try:
            target, self._close = yield begin(found, self._place.prefix, socket)
        except NoServer as error:
            self._tidy()
            raise BadApplication(self._name, str(error)) from None
        except BaseException:
            self._tidy()
            raise
        self._backend.move(target)
        self._backend.check(None)
        self.resource.start()

    @inlineCallbacks
    def stopService(self) -> Steps[None]:
        """Have it listen no more, and wait until it has ended."""
        yield super().stopService()
        self._backend.well = False
        self.resource.stop()
        close, self._close = self._close, None
        try:
            if close is not None:
                yield close()
        finally:
            self._tidy()

    def figures(self) -> dict[str, Any]:
        """What can be said of it in numbers."""
        return self._backend.figures()

    def _tidy(self) -> None:
        directory, self._directory = self._directory, None
        if directory is not None:
            shutil.rmtree(directory, ignore_errors=True)
