"""
A service for tests that is in no file.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from attrs import field, frozen
from twisted.application.service import Service

from ropewalk.plugin import ServiceModule, ServicePlugin
from ropewalk.run.configuration import Unset


@frozen
class Offering(ServicePlugin):
    """
    A service that offers operations, and nothing else.

    :ivar make: Called with the host.
    """

    make: Any = field(default=None, eq=False)

    def load(self) -> ServiceModule:
        """Make its module, which is in no file."""
        module: Any = ModuleType(self.module, "Operations.")

        def make_service(settings: Unset, host: Any) -> Service:
            self.make(host)
            return Service()

        module.makeService = make_service
        return ServiceModule(self, module, ())
