# -*- test-case-name: tests.test_calling -*-
"""
The operations of a daemon somewhere, over HTTP.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from attrs import define

from ropewalk.errors import RopewalkError

__all__ = ["Remote", "Unanswered", "address_of"]

_LINES = "application/x-ndjson"


@define
class Unanswered(RopewalkError):
    """
    There is no result.

    :ivar status: The HTTP status; 503 when nobody was there to say one.
    :ivar problem: What is wrong, in lines.
    """

    status: int
    problem: str

    def __str__(self) -> str:
        return self.problem

    @property
    def misused(self) -> bool:
        """Whether another command line would help."""
        return self.status in (400, 404, 422)


def address_of(url: str, settings: str, environ: Mapping[str, str]) -> str:
    """
    Where the operations of a daemon are.

    :param url: What somebody said: of a site, or of its operations. If nothing, the
        settings say where the default site listens.
    :param settings: The settings file; it need not be there.
    :param environ: The environment's variables, which are settings too.
    :raise BadSettings: When the settings cannot be read.
    :raise Unanswered: When the site cannot be called by HTTP.
    """
    if not url:
        return _address_in(settings, environ)
    url = url.rstrip("/")
    if urlsplit(url).scheme not in ("http", "https"):
        example = "http://127.0.0.1:8080"
        raise Unanswered(400, f"{url!r} is no URL; write one like {example}")
    return url if urlsplit(url).path else f"{url}/operations"


def _address_in(settings: str, environ: Mapping[str, str]) -> str:
    from ropewalk.net.endpoints import claim
    from ropewalk.run.configuration import WebSettings
    from ropewalk.run.single import open_settings
    from ropewalk.settings import parse

    if os.path.exists(settings):
        document = open_settings(settings, environ)
    else:
        document = parse("", settings, environ)
    web: Any = document.read("web", WebSettings)
    if not web.operations:
        raise Unanswered(503, f"{settings}: [web] operations is empty: nobody is there")
    for endpoint in web.listen:
        found = claim(endpoint)
        if found.kind != "tcp":
            continue
        host = {"": "127.0.0.1", "::": "[::1]"}.get(found.interface, found.interface)
        host = f"[{host}]" if ":" in host and "[" not in host else host
        secure = endpoint.removeprefix("haproxy:").startswith(("ssl:", "tls:"))
        scheme = "https" if secure else "http"
        return f"{scheme}://{host}:{found.address}{web.operations}"
    problem = f"{settings}: [web] listens at no TCP port; say where with --url"
    raise Unanswered(503, problem)


class Remote:
    """
    The operations of a daemon somewhere.

    :param address: Their URL: ``"http://127.0.0.1:8080/operations"``.
    :param patience: Seconds to wait for the list; for a result, as long as it takes.
    """

    def __init__(self, address: str, patience: float = 10.0) -> None:
        self.address = address
        self._patience = patience

    def offered(self) -> dict[str, Any]:
        """
        What can be called, by name, each as
        :meth:`ropewalk.operations.Offered.plain` tells it.

        :raise Unanswered: When nobody says.
        """
        with self._ask(Request(self.address), self._patience) as answer:
            try:
                return {each["name"]: each for each in json.load(answer)["operations"]}
            except (ValueError, TypeError, KeyError):
                problem = f"at {self.address} there is something else than operations"
                raise Unanswered(404, problem) from None

    def call(
        self,
        name: str,
        arguments: Mapping[str, Any],
        progress: Callable[[Any], None],
    ) -> Any:
        """
        Call an operation.

        :param progress: Called with each progressive result.
        :return: the result.
        :raise Unanswered: With what is wrong.
        """
        asked = Request(
            f"{self.address}/{name}",
            json.dumps(arguments).encode("utf-8"),
            {"Content-Type": "application/json", "Accept": _LINES},
        )
        with self._ask(asked, None) as answer:
            try:
                for line in answer:
                    told = json.loads(line)
                    if "result" in told:
                        return told["result"]
                    if "error" in told:
                        raise _refused(told["error"])
                    progress(told["progress"])
            except (ValueError, TypeError, KeyError, HTTPException, OSError):
                pass
        raise Unanswered(503, "the answer broke off")

    def _ask(self, request: Request, patience: float | None) -> Any:
        request.add_header("User-Agent", "ropewalk")
        try:
            return urlopen(request, timeout=patience)
        except HTTPError as error:
            with error:
                raise _problem(error) from None
        except URLError as error:
            reason = getattr(error.reason, "strerror", None) or str(error.reason)
        except (OSError, HTTPException, ValueError) as error:
            reason = str(error) or type(error).__name__
        problem = f"nobody answers at {self.address}: {reason}"
        raise Unanswered(503, f"{problem}. Does the daemon run? --url says where it is")


def _problem(error: HTTPError) -> Unanswered:
    try:
        return _refused(json.load(error))
    except (ValueError, TypeError, KeyError):
        return Unanswered(
            error.code, f"{error.url} answers {error.code} {error.reason}"
        )


def _refused(problem: Mapping[str, Any]) -> Unanswered:
    faults = problem.get("errors") or ()
    told = [
        f"{each['path']}: {each['problem']}" if each["path"] else each["problem"]
        for each in faults
    ]
    return Unanswered(problem["status"], "\n".join(told) or problem["detail"])
