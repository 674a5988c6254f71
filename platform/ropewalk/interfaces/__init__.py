# -*- test-case-name: tests.test_interfaces -*-
"""
The seams of ropewalk that are not Twisted's or Klein's already. There are few:
an interface is here where two implementations exist, or a stranger writes one.

Whichever module it is in, it can be had from here. Nothing is imported until somebody
asks for it by its name: who has no channels waits for nothing of theirs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ropewalk.interfaces.callers import ANYONE, NOBODY, Access, Caller, IAuthoriser
    from ropewalk.interfaces.channels import (
        Attendance,
        ChannelFigures,
        ChannelRule,
        HubFigures,
        Losses,
        Message,
        Presence,
        Resumed,
        Since,
    )
    from ropewalk.interfaces.host import IHost
    from ropewalk.interfaces.hub import IHub, IPaced, ISubscriber, ITallied
    from ropewalk.interfaces.services import (
        IDrainable,
        IHealth,
        IOperations,
        IReconfigurable,
        IServicePlugin,
    )
    from ropewalk.interfaces.steps import Steps
    from ropewalk.interfaces.web import IWeb

__all__ = [
    "ANYONE",
    "NOBODY",
    "Access",
    "Attendance",
    "Caller",
    "ChannelFigures",
    "ChannelRule",
    "HubFigures",
    "IAuthoriser",
    "IDrainable",
    "IHealth",
    "IHost",
    "IHub",
    "IOperations",
    "IPaced",
    "IReconfigurable",
    "IServicePlugin",
    "ISubscriber",
    "ITallied",
    "IWeb",
    "Losses",
    "Message",
    "Presence",
    "Resumed",
    "Since",
    "Steps",
]

#: The modules, and what can be had from each; as above, where type checkers look.
_HOMES = {
    "callers": "ANYONE NOBODY Access Caller IAuthoriser",
    "channels": (
        "Attendance ChannelFigures ChannelRule HubFigures Losses Message Presence "
        "Resumed Since"
    ),
    "host": "IHost",
    "hub": "IHub IPaced ISubscriber ITallied",
    "services": "IDrainable IHealth IOperations IReconfigurable IServicePlugin",
    "steps": "Steps",
    "web": "IWeb",
}

_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}


if not TYPE_CHECKING:  # who would then believe that there is any name

    def __getattr__(name: str) -> Any:
        """Import what is asked for (PEP 562)."""
        home = _HOME_OF.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{home}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
