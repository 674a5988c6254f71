# -*- test-case-name: tests.test_problems -*-
"""
How an error looks to a web client: RFC 9457 problem details, or a page for a
browser. What was raised on purpose says what is wrong; anything else tells only
where in our log it can be found.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from http import HTTPStatus
from typing import Any

from attrs import Factory, define
from twisted.web.iweb import IRequest

from ropewalk.errors import Fault, Forbidden, Invalid, RopewalkError
from ropewalk.web.accept import preferred

__all__ = ["Forbidden", "Refused", "is_told", "phrase", "problem_of", "respond"]

#: RFC 9110's words, where Python learned them only in 3.13.
_PHRASES = {
    **{status.value: status.phrase for status in HTTPStatus},
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{status} {title}</title>
<style>
  body {{ font: 1.1rem/1.5 system-ui, sans-serif; max-width: 38rem;
         margin: 15vh auto; padding: 0 1.5rem; color-scheme: light dark; }}
  h1 {{ font-size: 1.4rem; }}
  p, li {{ overflow-wrap: anywhere; white-space: pre-line; }}
</style>
<h1>{status} {title}</h1>
{detail}{faults}
"""


@define
class Refused(RopewalkError):
    """
    A request that nobody can answer: there is nothing there, say, or not for
    this method.

    :ivar status: The HTTP status, an int in [400, 599].
    :ivar detail: Why, in a sentence.
    :ivar headers: What else the answer says: ``{"WWW-Authenticate": "Bearer"}``.
    """

    status: int
    detail: str
    headers: Mapping[str, str] = Factory(dict)

    def __str__(self) -> str:
        return self.detail


def respond(request: Any, error: BaseException, name: str | None = None) -> bytes:
    """
    Set status and headers for an error, and make its body.

    Of an error that is no :class:`~ropewalk.errors.RopewalkError`, or one with the
    status 500, nothing is told but ``name``: it is for the operator, not for
    whoever asked.

    :param request: A ``twisted.web`` request; nothing was written to it yet.
    :param error: If it has ``headers``, such as ``Retry-After``, these are set, too.
    :param name: Under which name the log has what happened.
    """
    if isinstance(error, RopewalkError) and is_told(error):
        for header, value in error.headers.items():
            request.setHeader(header.encode("ascii"), value.encode("latin-1"))
    status, detail, faults = _facts(error, name)
    title = phrase(status)
    request.setResponseCode(status, title.encode("ascii"))
    request.setHeader(b"vary", b"accept")
    if _is_browser(request):
        request.setHeader(b"content-type", b"text/html; charset=utf-8")
        return _page(status, title, detail, faults).encode("utf-8", "replace")
    request.setHeader(b"content-type", b"application/problem+json")
    return json.dumps(problem_of(error, name)).encode("ascii") + b"\n"


def problem_of(error: BaseException, name: str | None = None) -> dict[str, Any]:
    """
    The problem details of an error: what JSON can say.

    :param name: As for :func:`respond`.
    """
    status, detail, faults = _facts(error, name)
    problem: dict[str, Any] = {
        "title": phrase(status),
        "status": status,
        "detail": detail,
    }
    if faults:
        problem["errors"] = [_told(fault) for fault in faults]
    return problem


def is_told(error: BaseException) -> bool:
    """Whether an error says to a client what is wrong: it was raised on purpose."""
    return isinstance(error, RopewalkError) and error.status != 500


def phrase(status: int) -> str:
    """A status in words: RFC 9110, section 15, and the registry of IANA."""
    return _PHRASES.get(status, "Error")


def _facts(
    error: BaseException, name: str | None
) -> tuple[int, str, tuple[Fault, ...]]:
    """Status, detail and faults, as far as a client is told of them."""
    if isinstance(error, RopewalkError) and is_told(error):
        faults = error.faults if isinstance(error, Invalid) else ()
        return error.status, str(error), faults
    detail = "Something went wrong here."
    if name is not None:
        detail += f" Our log has it under {name}."
    return 500, detail, ()


def _told(fault: Fault) -> dict[str, str]:
    told = {"path": fault.path, "problem": fault.problem}
    return {"in": fault.where, **told} if fault.where else told


def _page(status: int, title: str, detail: str, faults: Sequence[Fault]) -> str:
    items = "".join(f"<li>{escape(str(fault))}</li>" for fault in faults)
    return _PAGE.format(
        status=status,
        title=escape(title),
        detail="" if items else f"<p>{escape(detail)}</p>",
        faults=f"<ul>{items}</ul>" if items else "",
    )


def _is_browser(request: IRequest) -> bool:
    offers = ("application/problem+json", "application/json", "text/html")
    return preferred(request, *offers) == "text/html"
