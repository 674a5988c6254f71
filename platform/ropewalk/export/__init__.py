# -*- test-case-name: tests.test_export -*-
"""
The other way round: a site of ropewalk's as an application for other servers, by ASGI
(uvicorn, hypercorn, daphne) or by WSGI (gunicorn, waitress, mod_wsgi).

Nothing of Twisted's is imported before the site starts: only then is it known on which
event loop.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ropewalk.export.environs import Environs
    from ropewalk.export.scopes import Scopes

__all__ = ["asgi", "wsgi"]


def asgi(
    settings: str | os.PathLike[str], *, site: str = "", listeners: bool = True
) -> Scopes:
    """
    A site, with all services of its daemon, as an ASGI 3 application.

    They start when the server says so (lifespan), or at the first request where it
    never does; on the server's event loop, which must be asyncio's.

    :param settings: The settings file, or a Python file; a relative path starts from
        the current directory.
    :param site: The name of the site; the default one has none.
    :param listeners: Whether whatever else listens does so here as well. Of several
        processes only one can.
    """
    from ropewalk.export.scopes import Scopes

    return Scopes(os.fspath(settings), site, listeners)


def wsgi(
    settings: str | os.PathLike[str], *, site: str = "", listeners: bool = False
) -> Environs:
    """
    The same as a WSGI application. The services run in a thread of their own, which
    begins with the first request, or with a call of ``start()``.

    :param listeners: As for :func:`asgi`; but servers of WSGI usually have several
        processes.
    """
    from ropewalk.export.environs import Environs

    return Environs(os.fspath(settings), site, listeners)
