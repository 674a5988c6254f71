# -*- test-case-name: tests.test_web -*-
"""
Pages: the site, what is mounted on it, and how errors look to a web client.

What the author of handlers needs can be had from here, whichever module it is in.
Nothing is imported until somebody asks for it by its name.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ropewalk.web.accept import preferred
    from ropewalk.web.answers import (
        Accepted,
        Created,
        File,
        NoContent,
        Redirect,
        Response,
        Stream,
        redirect,
    )
    from ropewalk.web.binding import Body, Cookie, Form, Header, Path, Query, Source
    from ropewalk.web.hosting.asgi import asgi
    from ropewalk.web.hosting.command import command
    from ropewalk.web.hosting.native import native
    from ropewalk.web.hosting.proxy import proxy
    from ropewalk.web.hosting.wsgi import wsgi
    from ropewalk.web.models import Forbidden, Permission
    from ropewalk.web.patterns import BadLink, Converter
    from ropewalk.web.problems import Refused
    from ropewalk.web.routes import Routes, Timeout, errors, expose, output
    from ropewalk.web.site import Request
    from ropewalk.web.uploads import Upload

__all__ = [
    "Accepted",
    "BadLink",
    "Body",
    "Converter",
    "Cookie",
    "Created",
    "File",
    "Forbidden",
    "Form",
    "Header",
    "NoContent",
    "Path",
    "Permission",
    "Query",
    "Redirect",
    "Refused",
    "Request",
    "Response",
    "Routes",
    "Source",
    "Stream",
    "Timeout",
    "Upload",
    "asgi",
    "command",
    "errors",
    "expose",
    "native",
    "output",
    "preferred",
    "proxy",
    "redirect",
    "wsgi",
]

#: The modules, and what can be had from each; as above, where type checkers look.
_HOMES = {
    "accept": "preferred",
    "answers": "Accepted Created File NoContent Redirect Response Stream redirect",
    "binding": "Body Cookie Form Header Path Query Source",
    "hosting.asgi": "asgi",
    "hosting.command": "command",
    "hosting.native": "native",
    "hosting.proxy": "proxy",
    "hosting.wsgi": "wsgi",
    "models": "Forbidden Permission",
    "patterns": "BadLink Converter",
    "problems": "Refused",
    "routes": "Routes Timeout errors expose output",
    "site": "Request",
    "uploads": "Upload",
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
