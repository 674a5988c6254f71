# -*- test-case-name: tests.test_hosting_here -*-
"""
The daemon, for an application that it hosts: channels and operations, as somebody types
them in a view.

.. code-block:: python

   from ropewalk.web.hosting import here

   here.publish("rooms.lobby", {"text": "sold"})          # in a thread: it waits
   await here.publish("rooms.lobby", {"text": "sold"})    # in an async def

In a thread, as of a WSGI application, each function waits and returns the result, or
raises. In a coroutine, and in the reactor's thread, what it returns can be awaited.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextvars import copy_context
from threading import get_ident
from typing import Any

from attrs import define
from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ropewalk.errors import RopewalkError
from ropewalk.interfaces import IHub, IOperations, ISubscriber

__all__ = [
    "NotHosted",
    "attach",
    "call",
    "detach",
    "history",
    "last",
    "present",
    "publish",
    "subscribe",
    "unsubscribe",
]


@define
class NotHosted(RopewalkError):
    """
    Somebody asks for the daemon where there is none.
    """

    def __str__(self) -> str:
        return (
            "there is no ropewalk daemon here, or it has not started: what is in "
            "ropewalk.web.hosting.here is for applications that are mounted in one, "
            "while they answer"
        )


class _Daemon(Struct, frozen=True):
    reactor: Any
    hub: IHub
    operations: IOperations
    thread: int


_daemons: list[_Daemon] = []


def attach(reactor: Any, hub: IHub, operations: IOperations) -> Callable[[], None]:
    """
    Let applications find the daemon, which does this itself, in the reactor's thread.

    :param operations: Called in the name of the service that is the host.
    :return: lets nobody find it any more; called when it stops.
    """
    daemon = _Daemon(reactor, hub, operations, get_ident())
    _daemons.append(daemon)
    return lambda: detach(daemon)


def detach(daemon: Any) -> None:
    """Forget a daemon."""
    _daemons[:] = [each for each in _daemons if each is not daemon]


def publish(channel: str, body: Any, keep: int | None = None) -> Any:
    """
    Publish into a channel: see :meth:`ropewalk.interfaces.IHub.publish`.

    :return: the :class:`~ropewalk.interfaces.Message`.
    """
    return _have(lambda daemon: daemon.hub.publish(channel, body, keep))


def subscribe(channel: str, subscriber: ISubscriber) -> Any:
    """
    Hear a channel, in the reactor's thread: see
    :meth:`ropewalk.interfaces.IHub.subscribe`. A :class:`~ropewalk.hub.Mailbox` can be
    iterated over by a coroutine.
    """
    return _have(lambda daemon: daemon.hub.subscribe(channel, subscriber))


def unsubscribe(channel: str, subscriber: ISubscriber) -> Any:
    """Hear it no more."""
    return _have(lambda daemon: daemon.hub.unsubscribe(channel, subscriber))


def history(channel: str, limit: int | None = None) -> Any:
    """The last messages of a channel, oldest first."""
    return _have(lambda daemon: daemon.hub.history(channel, limit))


def last(channel: str) -> Any:
    """The last message of a channel, or ``None``."""
    return _have(lambda daemon: daemon.hub.last(channel))


def present(channel: str) -> Any:
    """Who is in a channel."""
    return _have(lambda daemon: daemon.hub.present(channel))


def call(name: str, arguments: Mapping[str, Any] | Sequence[Any] = ()) -> Any:
    """
    Call an operation, whoever offers it: see
    :meth:`ropewalk.interfaces.IOperations.call`.

    :return: its result.
    """
    return _have(lambda daemon: daemon.operations.call(name, arguments))


def _have(ask: Callable[[_Daemon], Deferred[Any]]) -> Any:
    """The result of something, in the way in which whoever asks can wait for it."""
    if not _daemons:
        raise NotHosted
    daemon = _daemons[-1]
    loop = asyncio._get_running_loop()
    if get_ident() == daemon.thread:
        answer = ask(daemon)
        return answer if loop is None else answer.asFuture(loop)
    result: Future[Any] = Future()
    daemon.reactor.callFromThread(copy_context().run, _ask, ask, daemon, result)
    return result.result() if loop is None else asyncio.wrap_future(result)


def _ask(
    ask: Callable[[_Daemon], Deferred[Any]], daemon: _Daemon, result: Future[Any]
) -> None:
    def fail(failure: Failure) -> None:
        result.set_exception(failure.value)

    try:
        answer = ask(daemon)
    except Exception as error:
        result.set_exception(error)
    else:
        answer.addCallbacks(result.set_result, fail)
