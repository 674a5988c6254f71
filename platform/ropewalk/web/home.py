# -*- test-case-name: tests.test_home -*-
"""
The page at ``/`` where nobody has put another: what is running here, and where.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from html import escape

from msgspec import Struct
from msgspec.structs import asdict
from twisted.web.iweb import IRequest
from twisted.web.resource import Resource

from ropewalk.web.accept import preferred

__all__ = ["Entry", "Home"]

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
  :root {{ color-scheme: light dark; --ink: #1c2733; --soft: #5d6b78;
    --line: #d9e0e6; --rope: #b0721c; --paper: #fbfaf7; }}
  @media (prefers-color-scheme: dark) {{ :root {{ --ink: #e7e4dc; --soft: #9aa5ae;
    --line: #333c45; --rope: #e0a44a; --paper: #14191e; }} }}
  body {{ font: 1.05rem/1.55 system-ui, sans-serif; color: var(--ink);
    background: var(--paper); max-width: 44rem; margin: 0 auto;
    padding: 3rem 1.25rem; }}
  h1 {{ font-size: 1.9rem; letter-spacing: -.02em; margin: 0; }}
  h1 + p {{ color: var(--soft); margin: .25rem 0 2rem; }}
  h2 {{ font-size: .85rem; text-transform: uppercase; letter-spacing: .08em;
    color: var(--rope); margin: 2rem 0 .25rem; }}
  ul {{ list-style: none; margin: 0; padding: 0; }}
  li {{ border-top: 1px solid var(--line); padding: .6rem 0; display: grid;
    grid-template-columns: minmax(11rem, auto) 1fr; gap: 0 1.25rem; }}
  li span {{ color: var(--soft); overflow-wrap: anywhere; }}
  a, code {{ font: .95em ui-monospace, monospace; color: inherit; }}
  a {{ text-decoration-color: var(--rope); text-underline-offset: .2em; }}
  @media (max-width: 32rem) {{ li {{ grid-template-columns: 1fr; }} }}
</style>
<h1>{title}</h1>
<p>What is running here, and where.</p>
{sections}
</html>
"""


class Entry(Struct, frozen=True):
    """
    One thing that runs here.

    :ivar kind: The heading it is listed under: ``"Pages"``.
    :ivar where: A path or an address.
    :ivar what: What it is, in a sentence.
    :ivar link: What to open for it; ``None`` if a browser cannot.
    """

    kind: str
    where: str
    what: str
    link: str | None = None


class Home(Resource):
    """
    Lists what runs here: for a browser as a page, by kind; for anybody else as
    JSON, an object an entry.

    :param title: The heading.
    :param entries: Called for each look at it.
    """

    isLeaf = True

    def __init__(self, title: str, entries: Callable[[], Sequence[Entry]]) -> None:
        super().__init__()
        self._title = title
        self._entries = entries

    def render_GET(self, request: IRequest) -> bytes:
        """The list."""
        entries = self._entries()
        request.setHeader(b"vary", b"accept")
        if preferred(request, "application/json", "text/html") == "text/html":
            request.setHeader(b"content-type", b"text/html; charset=utf-8")
            return self._page(entries).encode("utf-8")
        request.setHeader(b"content-type", b"application/json")
        return json.dumps([asdict(each) for each in entries]).encode("utf-8") + b"\n"

    def _page(self, entries: Sequence[Entry]) -> str:
        kinds = dict.fromkeys(entry.kind for entry in entries)
        sections = [] if kinds else ["<p>Nothing yet.</p>"]
        for kind in kinds:
            items = "\n".join(
                f"<li>{_where(entry)}<span>{escape(entry.what)}</span></li>"
                for entry in entries
                if entry.kind == kind
            )
            sections.append(f"<h2>{escape(kind)}</h2>\n<ul>\n{items}\n</ul>")
        return _PAGE.format(title=escape(self._title), sections="\n".join(sections))


def _where(entry: Entry) -> str:
    where = escape(entry.where)
    if entry.link is None:
        return f"<code>{where}</code>"
    return f'<a href="{escape(entry.link)}">{where}</a>'
