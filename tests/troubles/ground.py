"""
What the troubled service stands on; it only says when it starts and stops.
"""

from __future__ import annotations

from typing import Any

from twisted.application.service import Service
from twisted.logger import Logger


class Ground(Service):
    """Says when it starts and stops."""

    _log = Logger()

    def startService(self) -> None:
        super().startService()
        self._log.info("the ground has started")

    def stopService(self) -> None:
        super().stopService()
        self._log.info("the ground has stopped")


def makeService(settings: object, host: Any) -> Ground:
    """Make it."""
    return Ground()
