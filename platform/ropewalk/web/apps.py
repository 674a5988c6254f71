# -*- test-case-name: tests.test_mounts -*-
"""
An application as a resource of its own: one that a handler returned, or one on a
site that is not ours.
"""

from __future__ import annotations

from typing import Any

from klein._resource import URLDecodeError
from klein.resource import KleinResource
from twisted.logger import Logger

from ropewalk.web.compiling import find
from ropewalk.web.problems import Refused

__all__ = ["AppResource"]

_log = Logger()


class AppResource(KleinResource):
    """
    Serves an application.

    :param app: A ``klein.Klein`` or :class:`~ropewalk.web.routes.Routes`, bound to
        an instance or not.
    :cvar is_application: That what is in it can be mounted in its place.
    """

    is_application = True

    def render(self, request: Any) -> Any:
        """
        Let the application answer for what is left of the path.

        :raise Refused: When no text can come of that, and the site is ours.
        """
        try:
            endpoint = find(self._app, request)
        except URLDecodeError as error:
            return _refuse(request, error)
        except UnicodeDecodeError:
            raise Refused(400, "the address is not text in UTF-8") from None
        return endpoint.enter(request).render(request)


def _refuse(request: Any, error: URLDecodeError) -> bytes:
    """Answer, and log, as Klein does."""
    for part, failure in error.errors:
        _log.failure("the {part} of a URL is not UTF-8", failure, part=part)
    request.setResponseCode(400)
    return b"Non-UTF-8 encoding in URL."
