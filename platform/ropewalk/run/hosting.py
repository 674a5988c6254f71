# -*- test-case-name: tests.test_hosting -*-
"""
What a daemon does for the applications that it hosts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.application.service import Service

from ropewalk.web.hosting import here

if TYPE_CHECKING:
    from ropewalk.run.host import PluginHost

__all__ = ["Attachment"]


class Attachment(Service):
    """
    Lets applications ask for channels and operations
    (:mod:`ropewalk.web.hosting.here`) from before they start until they have stopped.

    :param host: Whose those are.
    """

    def __init__(self, host: PluginHost) -> None:
        self._host = host
        self._detach: Callable[[], None] | None = None

    def startService(self) -> None:
        super().startService()
        host = self._host
        self._detach = here.attach(host.reactor, host.hub, host.operations)

    def stopService(self) -> None:
        super().stopService()
        if self._detach is not None:
            self._detach()
            self._detach = None
