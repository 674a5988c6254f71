# -*- test-case-name: tests.test_hosting_command -*-
"""
Other programs on a site of ours: one that serves HTTP by itself, in any language and on
any version of Python, is run, minded, and asked.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, gatherResults

from ropewalk.awaiting import inlineCallbacks
from ropewalk.interfaces import Steps
from ropewalk.web.hosting.children.keeper import Keeper, Patience
from ropewalk.web.hosting.children.orders import Order, private_directory
from ropewalk.web.hosting.hosted import Hosted, Mounting, Place
from ropewalk.web.hosting.settings import BadMount
from ropewalk.web.proxying.backends import Backend, Backends
from ropewalk.web.proxying.gates import Gate
from ropewalk.web.proxying.proxied import Terms, agree, limits_of, make_gate
from ropewalk.web.proxying.targets import Target

__all__ = ["Command", "CommandMounting", "command"]


def command(
    words: Sequence[str],
    *,
    directory: str = "",
    environment: Mapping[str, str] | None = None,
    prefix_variable: str = "",
    health: str = "",
    processes: int = 1,
    start: float = 30.0,
    stop: float = 10.0,
    **terms: Any,
) -> Command:
    """
    Run a program that serves HTTP, and pass requests on to it:
    ``command(["python3.6", "app.py", "--port", "{port}"])``.

    :param words: The program and its arguments. ``{port}`` stands for the port of
        127.0.0.1 at which it is to listen, ``{socket}`` for the path of a UNIX socket
        instead, ``{prefix}`` for the path of the mount.
    :param directory: Where it runs; empty for the current directory.
    :param environment: Variables of its environment, besides ours. ``PORT`` and
        ``ROPEWALK_MOUNT`` say the same as ``{port}`` and ``{prefix}``.
    :param prefix_variable: What the variable with the path of the mount is called
        besides.
    :param health: A path that it answers well when it is ready; empty where it is ready
        as soon as it listens.
    :param processes: How many there are of it, 1 or more.
    :param start: Seconds until it must answer, or the daemon does not start.
    :param stop: Seconds that it has to end by itself.
    :param terms: How requests are passed on: see
        :class:`ropewalk.web.proxying.proxied.Terms`.
    :raise BadMount: When that makes no sense.
    """
    if isinstance(words, str) or not words or not all(words):
        problem = 'the program and its arguments are a list: ["python", "app.py"]'
        raise BadMount("command", problem)
    if processes < 1 or start <= 0 or stop <= 0:
        problem = "processes is 1 or more, start and stop are more than 0 seconds"
        raise BadMount("processes", problem)
    agreed = agree(terms)
    return Command(
        tuple(words),
        os.path.abspath(directory or os.curdir),
        dict(environment or {}),
        prefix_variable,
        health,
        processes,
        Patience(start, stop),
        agreed,
    )


class Command(Hosted):
    """
    A program. The parameters are those of :func:`command`.
    """

    kind = "command"

    def __init__(
        self,
        words: tuple[str, ...],
        directory: str,
        environment: Mapping[str, str],
        prefix_variable: str,
        health: str,
        processes: int,
        patience: Patience,
        terms: Terms,
    ) -> None:
        self._words, self._directory = words, directory
        self._environment, self._variable = environment, prefix_variable
        self.health, self.processes = health, processes
        self.patience, self.terms = patience, terms
        self.longest_body = terms.longest_body

    def at(self, place: Place) -> CommandMounting:
        environment = dict(self._environment)
        if self._variable:
            environment.setdefault(self._variable, place.prefix)
        order = Order(self._words, self._directory, environment, place.prefix)
        return CommandMounting(self, order, place)

    @property
    def shown(self) -> str:
        return f"{' '.join(self._words)} (command)"


class CommandMounting(Mounting):
    """
    A program at its place.

    :ivar keepers: Those that keep its processes running.
    :ivar backends: These processes, as they are asked.
    """

    resource: Gate

    def __init__(self, described: Command, order: Order, place: Place) -> None:
        terms, reactor = described.terms, place.network or place.reactor
        names = _names(order.name, described.processes)
        nowhere = [Target(each, "127.0.0.1", 1) for each in names]
        made = [Backend(each, limits_of(terms), reactor) for each in nowhere]
        self.backends = Backends(made, terms.balance)
        self.resource = make_gate(self.backends, place, terms)
        self._directory = private_directory() if order.by_socket else None
        self.keepers = [
            Keeper(
                *(name, order, backend, f"{self._directory}/{number}.sock", reactor),
                health=described.health,
                patience=described.patience,
            )
            for number, (name, backend) in enumerate(zip(names, made, strict=True))
        ]

    @inlineCallbacks
    def startService(self) -> Steps[None]:
        """
        Run it, and wait until it answers.

        :raise DoesNotRun: When it does not.
        """
        super().startService()
        self.resource.start()
        starting = gatherResults([each.start() for each in self.keepers], True)
        try:
            yield starting
        except Exception as error:
            first = getattr(error, "subFailure", None)
            yield self.stopService()
            raise (first.value if first is not None else error) from None

    def stopService(self) -> Deferred[Any]:
        """End it, and wait until it has ended."""
        super().stopService()
        self.resource.stop()
        stopping = DeferredList([each.stop() for each in self.keepers])
        return stopping.addCallback(self._tidy)

    def problem(self) -> str | None:
        """
        Why it cannot be asked, or ``None``: a check for ``host.health.add``.
        """
        down = [name for name, each in self._named() if each.state != "ready"]
        if len(down) < len(self.keepers):
            return None
        return f"{', '.join(down)}: no process answers"

    def figures(self) -> dict[str, dict[str, Any]]:
        """What can be said of each process in numbers, by its name."""
        starts = [each.starts for each in self.keepers]
        return {
            name: {**each.figures(), "starts": count}
            for (name, each), count in zip(self._named(), starts, strict=True)
        }

    def _named(self) -> list[tuple[str, Backend]]:
        names = [each.name for each in self.keepers]
        return list(zip(names, self.backends, strict=True))

    def _tidy(self, outcome: Any) -> None:
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)


def _names(name: str, count: int) -> list[str]:
    return [name] if count == 1 else [f"{name} #{each + 1}" for each in range(count)]
