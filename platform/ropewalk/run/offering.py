# -*- test-case-name: tests.test_operations_web -*-
"""
Where the operations of a daemon can be called, and its channels heard: on its web
sites, by WebSocket, in lines, frames, text and datagrams. It is imported where there
are some.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ropewalk.errors import RopewalkError, StartFailed
from ropewalk.interfaces import IHub
from ropewalk.net.calls import CallFrames, CallLines
from ropewalk.net.calls.boxes import CallBoxes
from ropewalk.net.calls.datagrams import CallDatagrams
from ropewalk.net.calls.sockets import CallSocket
from ropewalk.net.calls.text import CallText
from ropewalk.net.datagrams import Datagrams
from ropewalk.net.limits import CallSettings
from ropewalk.net.protocols import ConversationFactory
from ropewalk.operations import Called, Operations
from ropewalk.run.sites import WebSite
from ropewalk.settings import Document
from ropewalk.web.asyncapi import asyncapi_page
from ropewalk.web.channels import ChannelPages
from ropewalk.web.live import client_module
from ropewalk.web.operations import OperationPages

__all__ = ["datagrams_of", "factory_of", "log_call", "offer_on"]

#: Where pages find what speaks to all that.
_CLIENT = "/ropewalk.js"

#: Who speaks what, by the names of the settings.
_PROTOCOLS: dict[str, Any] = {
    "lines": CallLines,
    "frames": CallFrames,
    "amp": CallBoxes,
    "text": CallText,
}

_log = Logger(namespace="ropewalk.calls")


def offer_on(
    site: WebSite,
    operations: Operations,
    hub: IHub,
    settings: CallSettings,
    document: Document,
    clock: IReactorTime,
) -> None:
    """
    Offer operations and declared channels on a site, so far as there are some, where
    its settings say. They give way to whatever a service has mounted there.

    :raise StartFailed: When they cannot be mounted.
    """
    told = site.settings
    pages: list[tuple[str, str, Any]] = []
    if told.operations and (operations or not hub.declared()):
        routes = OperationPages(operations).routes()
        pages.append(("operations", told.operations, routes))
    if told.channels and hub.declared():
        pages.append(("channels", told.channels, ChannelPages(hub, clock).routes))
    if told.live:
        pages.append(("live", _CLIENT, client_module()))
    if told.live and told.asyncapi:
        page = asyncapi_page(
            operations.offered, hub.declared, told.live, told.title or "Ropewalk"
        )
        pages.append(("asyncapi", told.asyncapi, page))
    try:
        for key, path, page in pages:
            place = document.origin(site.table, key)
            site.mount(site.owner, place, path, page, gives_way=True)
        if told.live and told.live not in site.mounts:
            make = partial(CallSocket, operations, hub, settings)
            place = document.origin(site.table, "live")
            site.socket(site.owner, place, told.live, make, CallSocket)
    except RopewalkError as error:
        raise StartFailed(site.owner, str(error)) from error


def factory_of(
    name: str,
    operations: Operations,
    hub: IHub,
    settings: CallSettings,
    reactor: Any,
) -> ConversationFactory[Any]:
    """
    What makes the protocols of those who call and hear by a connection.

    :param name: By which, as the settings call it: ``"lines"``.
    """
    return _CallFactory(_PROTOCOLS[name], reactor, operations, hub, settings)


def datagrams_of(
    operations: Operations, hub: IHub, settings: CallSettings, reactor: Any
) -> Datagrams:
    """What knows those who call and hear by datagrams."""
    return Datagrams(
        CallDatagrams,
        *(operations, hub, settings),
        clock=reactor,
        most=settings.peers,
        most_of_one=max(1, settings.peers // 16),
    )


class _CallFactory(ConversationFactory[Any]):
    """
    Makes the protocols of those who call, so many for each address.
    """

    def __init__(
        self,
        protocol: Any,
        reactor: Any,
        operations: Operations,
        hub: IHub,
        settings: CallSettings,
    ) -> None:
        super().__init__(protocol, reactor, operations, hub, settings)
        self._most = settings.connections

    def most_connections(self, address: Any) -> int:
        """How many connections an address may have; 0 for any number."""
        return self._most


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
