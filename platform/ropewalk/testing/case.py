# -*- test-case-name: tests.test_testing -*-
"""
The base class of a plugin's tests.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import sys
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import AsyncGeneratorType, GeneratorType, ModuleType
from typing import Any

import txaio.tx
from twisted.internet.defer import Deferred, TimeoutError
from twisted.python.failure import Failure
from twisted.trial import unittest

import ropewalk.testing.chosen  # noqa: F401
from ropewalk import awaiting
from ropewalk.awaiting import inlineCallbacks
from ropewalk.interfaces import Steps
from ropewalk.plugin import ServicePlugin
from ropewalk.run import reactors
from ropewalk.testing.host import (
    LeftBehind,
    MemoryHost,
    Served,
    Service,
    Wanted,
    file_plugin,
)
from ropewalk.testing.reactor import MemoryReactor

__all__ = ["NeverRun", "TestCase"]


class NeverRun(unittest.FailTest):
    """
    Something that a test made was never run, so that it tested nothing.
    """


class TestCase(unittest.TestCase):
    """
    A test of services, without sockets and without sleep. It runs under
    ``trial`` and under ``pytest``.

    Test methods, ``setUp``, ``tearDown`` and what ``addCleanup`` gets may be
    plain, ``@inlineCallbacks`` or ``async def``. Put the decorator of
    :mod:`ropewalk.awaiting` above a generator, and ``yield`` takes whatever
    ``await`` does: a Deferred, anything of asyncio's, a future of a thread.

    What was made and never run fails the test: a coroutine that nobody awaits, a
    generator without its decorator. So does an error that was only logged, as
    always under trial; ``flushLoggedErrors`` says that it was expected.

    :ivar clock: Time, which stands still until ``yield clock.advance(60)``, and
        the network, a :class:`~ropewalk.testing.MemoryReactor`; new for each
        test. It is the reactor of every host, and can be handed to whatever
        wants a reactor or a clock.
    :cvar patience: Real seconds to wait for what does not come, before that is
        told. More than a moment is only needed by those who wait for threads.
    :cvar timeout: Real seconds a test may take.
    """

    patience = 1.0
    timeout = 10.0

    clock: MemoryReactor

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in ("asyncSetUp", "asyncTearDown"):
            if name in vars(cls):
                plain = name[5].lower() + name[6:]
                problem = f"would never run; `async def {plain}` does"
                raise TypeError(f"{cls.__qualname__}.{name} {problem}")

    @inlineCallbacks
    def start(
        self,
        *services: Service,
        settings: str | Path = "",
        environ: Mapping[str, str] | None = None,
        **values: Any,
    ) -> Steps[MemoryHost]:
        """
        Run services in memory, until the test is over or stops them itself::

            host = yield self.start("chat", history=5)

        :param services: Each by its name, if it is installed; otherwise its
            :class:`~ropewalk.plugin.ServicePlugin`, or the module itself, whose
            table is then the last word of its name. Those that have a table in
            ``settings`` need not be named.
        :param settings: TOML as in a settings file, or the ``Path`` of one.
        :param environ: The environment's variables; none unless they are said.
        :param values: The settings of the service, if it is one.
        :return: fires with the host when people can come in.
        :raise BadSettings: As the daemon would refuse.
        :raise StartFailed: As the daemon would stop.
        """
        wanted = Wanted(services, settings, dict(environ or {}), values)
        host = MemoryHost(wanted, self.clock)
        self._hosts.append(host)
        self.addCleanup(host.end)
        yield host.start()
        return host

    @inlineCallbacks
    def serve(
        self,
        served: Any,
        *,
        settings: str | Path = "",
        environ: Mapping[str, str] | None = None,
        **values: Any,
    ) -> Steps[MemoryHost]:
        """
        Run routes, or a Python file, in memory, as :meth:`start` runs services::

            host = yield self.serve(routes)
            host = yield self.serve("hello.py")

        :param served: What ``host.web.mount`` takes, for ``/``. Or the path of a
            file, as for ``ropewalk run hello.py``, from the directory in which the
            test is written; it is run anew, whoever has imported it.

        The others are as for :meth:`start`.
        """
        if isinstance(served, str | os.PathLike):
            plugin = self._file_plugin(served)
        else:
            place = inspect.getfile(type(self))
            plugin = Served("routes", "routes", place=place, app=served)
        host: MemoryHost = yield self.start(
            plugin, settings=settings, environ=environ, **values
        )
        return host

    def _file_plugin(self, path: str | os.PathLike[str]) -> ServicePlugin:
        """The service in a file, of which nothing is left after the test."""
        self.patch(sys, "path", [*sys.path])
        directory = os.path.dirname(inspect.getfile(type(self)))
        plugin = file_plugin(os.path.join(directory, path))
        imported = sys.modules.pop(plugin.module, None)
        self.addCleanup(_restore_module, plugin.module, imported)
        return plugin

    # What trial and pytest call.

    def run(self, result: Any) -> None:  # type: ignore[override]
        """Run the test, with a clock of its own."""
        self._real = reactors.running()
        self.clock = MemoryReactor(self._real, self.patience)
        self._hosts: list[MemoryHost] = []
        self._moving: float | None = None
        # The first to be added is the last to be run.
        self.addCleanup(self._look_for_unawaited)
        self.addCleanup(self._look_behind)
        depth = sys.get_coroutine_origin_tracking_depth()
        sys.set_coroutine_origin_tracking_depth(1)
        autobahn: Any = txaio.tx.config
        loop, autobahn.loop = autobahn.loop, self.clock
        try:
            super().run(result)
        finally:
            autobahn.loop = loop
            sys.set_coroutine_origin_tracking_depth(depth)
            self.clock.release()

    def _run(  # type: ignore[override]
        self, func: Any, funcDescription: str, result: Any
    ) -> Any:
        # Trial would call the function before its reactor runs, when nothing of
        # asyncio's can be waited for.
        return super()._run(partial(self._begin, func), funcDescription, result)

    def _begin(self, function: Callable[[], Any]) -> Deferred[Any]:
        """Call a function of the test, in a reactor that runs."""
        done: Deferred[Any] = Deferred()
        running: list[Deferred[Any]] = []

        def finish(outcome: Any) -> None:
            self._moving = self._moving or self.clock.moving
            if not done.called:
                done.callback(outcome)

        def begin() -> None:
            if not done.called:
                self.clock.govern()
                running.append(awaiting.run(function))
                running[0].addCallback(_refuse_generator, function)
                running[0].addBoth(finish)

        def time_out(failure: Failure) -> Failure:
            if failure.check(TimeoutError) and running and not running[0].called:
                running[0].cancel()
                return Failure(TimeoutError(f"{failure.value}; {self.clock}"))
            return failure

        self._real.callLater(0, begin)
        return done.addErrback(time_out)

    def _look_for_unawaited(self) -> None:
        gc.collect(1)
        never: list[str] = []
        for warning in self.flushWarnings():
            if "was never awaited" in warning["message"]:
                never.append(warning["message"])
            else:
                warnings.warn_explicit(**warning)
        if never:
            raise NeverRun("\n".join(never))

    @inlineCallbacks
    def _look_behind(self) -> Steps[None]:
        """Take down what is left, and find what should not be."""
        yield self.clock.shut_down()
        self.clock.cut_off()
        yield self.clock.settle()
        if self._moving is not None:
            raise NeverRun(
                f"advance({self._moving:g}) was not waited for: put `yield` or "
                "`await` before it"
            )
        if self._hosts and self.clock.getDelayedCalls():
            raise LeftBehind(f"every service has stopped, but {self.clock}")
        tasks = self.clock.tasks()
        for task in tasks:
            task.cancel()
        yield self.clock.settle()
        if tasks:
            names = ", ".join(map(_spoken, tasks))
            raise LeftBehind(f"every service has stopped, but tasks go on: {names}")


def _restore_module(name: str, module: ModuleType | None) -> None:
    sys.modules.pop(name, None)
    if module is not None:
        sys.modules[name] = module


def _refuse_generator(result: Any, function: Callable[[], Any]) -> Any:
    if not isinstance(result, GeneratorType | AsyncGeneratorType):
        return result
    raise NeverRun(
        f"{_name(function)} returned a generator, which nobody runs: put "
        "@inlineCallbacks of ropewalk.awaiting above it, or make it `async def` "
        "with `await`"
    )


def _spoken(task: asyncio.Task[Any]) -> str:
    return f"{task.get_name()} ({_name(task.get_coro())})"


def _name(function: Any) -> str:
    return getattr(function, "__qualname__", None) or repr(function)
