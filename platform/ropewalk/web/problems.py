# -*- test-case-name: tests.test_problems -*-
"""
How an error looks to a web client: RFC 9457 problem details, or a page for a
browser. What ropewalk raised on purpose says what is wrong; anything else tells
only where in our log it can be found.
"""

from __future__ import annotations

import json
from html import escape
from http import HTTPStatus
from typing import Any

from twisted.web.iweb import IRequest

from ropewalk.errors import Invalid, RopewalkError
from ropewalk.web.accept import preferred

__all__ = ["respond"]

_STATUSES = frozenset(HTTPStatus)

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{status} {title}</title>
<style>
  body {{ font: 1.1rem/1.5 system-ui, sans-serif; max-width: 38rem;
         margin: 15vh auto; padding: 0 1.5rem; color-scheme: light dark; }}
  h1 {{ font-size: 1.4rem; }}
</style>
<h1>{status} {title}</h1>
<p>{detail}</p>
{faults}
"""


def respond(request: Any, error: BaseException, name: str | None = None) -> bytes:
    """
    Set status and headers for an error, and make its body.

    :param request: A ``twisted.web`` request; nothing was written to it yet.
    :param error: A :class:`~ropewalk.errors.RopewalkError` is told as it is.
    :param name: Under which name the log has what happened.
    """
    if isinstance(error, RopewalkError):
        status, detail = error.status, str(error)
    else:
        status, detail = 500, "Something went wrong here."
        if name is not None:
            detail += f" Our log has it under {name}."
    title = HTTPStatus(status).phrase if status in _STATUSES else "Error"
    faults = error.faults if isinstance(error, Invalid) else ()
    request.setResponseCode(status, title.encode("ascii"))
    request.setHeader(b"vary", b"accept")
    if _is_browser(request):
        request.setHeader(b"content-type", b"text/html; charset=utf-8")
        items = "".join(f"<li>{escape(str(fault))}</li>" for fault in faults)
        text = _PAGE.format(
            status=status,
            title=escape(title),
            detail=escape("" if items else detail),
            faults=f"<ul>{items}</ul>" if items else "",
        )
        return text.encode("utf-8")
    request.setHeader(b"content-type", b"application/problem+json")
    problem: dict[str, Any] = {"title": title, "status": status, "detail": detail}
    if faults:
        problem["errors"] = [
            {"path": fault.path, "problem": fault.problem} for fault in faults
        ]
    return json.dumps(problem).encode("utf-8") + b"\n"


def _is_browser(request: IRequest) -> bool:
    offers = ("application/problem+json", "application/json", "text/html")
    return preferred(request, *offers) == "text/html"
