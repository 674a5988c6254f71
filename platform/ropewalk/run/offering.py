# -*- test-case-name: tests.test_operations_web -*-
"""
Where the operations of a daemon can be called: on its web sites, by WebSocket, in
lines. It is imported where there are some.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from twisted.logger import Logger

from ropewalk.errors import RopewalkError, StartFailed
from ropewalk.net.calls import CallFrames, CallLines
from ropewalk.net.calls.boxes import CallBoxes
from ropewalk.net.calls.sockets import CallSocket
from ropewalk.net.limits import CallSettings
from ropewalk.net.protocols import ConversationFactory
from ropewalk.operations import Called, Operations
from ropewalk.run.sites import WebSite
from ropewalk.settings import Document
from ropewalk.web.operations import OperationPages

__all__ = ["factory_of", "log_call", "mount_operations"]

#: Where WebSockets are, below the operations of a site.
_LIVE = "live"

_log = Logger(namespace="ropewalk.calls")


def mount_operations(
    site: WebSite, operations: Operations, settings: CallSettings, document: Document
) -> None:
    """
    Offer operations on a site, if its settings say where. They give way to whatever a
    service has mounted there.

    :raise StartFailed: When they cannot be mounted.
    """
    path = site.settings.operations
    if not path:
        return
    place = document.origin(site.table, "operations")
    try:
        pages = OperationPages(operations).routes()
        site.mount(site.owner, place, path, pages, gives_way=True)
        live = f"{path}/{_LIVE}"
        if live not in site.mounts:
            make = partial(CallSocket, operations, settings)
            site.socket(site.owner, place, live, make, CallSocket)
    except RopewalkError as error:
        raise StartFailed(site.owner, str(error)) from error


def factory_of(
    name: str, operations: Operations, settings: CallSettings, reactor: Any
) -> ConversationFactory[Any]:
    """
    What makes the protocols of those who call by a connection.

    :param name: By which: ``"lines"``, ``"frames"`` or ``"amp"``.
    """
    protocol: Any = {"lines": CallLines, "frames": CallFrames, "amp": CallBoxes}[name]
    return ConversationFactory(protocol, reactor, operations, settings)


def log_call(called: Called) -> None:
    """Log a call that has ended, as the access log does requests."""
    _log.info(
        "{who} {via} {operation}: {outcome}, {milliseconds:.1f} ms",
        who=called.caller.user or called.caller.address or "-",
        via=called.caller.via,
        operation=called.operation,
        outcome=called.outcome,
        milliseconds=called.took * 1000,
    )
