# -*- test-case-name: tests.test_documenting -*-
"""
The documentation of a site, where it has something to document: handlers that say
what they ask for. Elsewhere nothing of it is imported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ropewalk.web.mounts import Mount, Mounts
from ropewalk.web.serving import Endpoint
from ropewalk.web.table import Entry

if TYPE_CHECKING:
    from ropewalk.web.openapi.document import Operation

__all__ = ["mount_documentation", "operations"]


def mount_documentation(
    mounts: Mounts,
    path: str,
    owner: str,
    place: str,
    *,
    title: str,
    version: str = "",
    about: Mapping[str, str] | None = None,
) -> None:
    """
    Serve the documentation of a site on it: the page at a path, the OpenAPI document at
    the same with ``.json`` behind it. Where a service has put something else, that
    stays.

    :param owner: Whose it is.
    :param place: Where in the settings that is said: ``file:line``.
    :param title: What the documentation is called.
    :param about: What the services are, by name.
    """
    if not any(_is_typed(entry.target) for entry in mounts.table.entries):
        return
    from ropewalk.web.openapi.document import document
    from ropewalk.web.openapi.page import DocumentationPages

    def make() -> dict[str, Any]:
        return document(
            operations(mounts), title=title, version=version or "1", tags=about or {}
        )

    address = f"{path.rpartition('/')[2]}.json"
    pages = DocumentationPages(make, title, address)
    for where, resource in ((path, pages.page), (f"{path}.json", pages.document)):
        if where not in mounts:
            mounts.add(
                Mount(where, resource, owner, place, "pages", resource, gives_way=True)
            )


def operations(mounts: Mounts) -> Iterator[Operation]:
    """
    What is documented of what is on a site: routes of
    :class:`~ropewalk.web.routes.Routes`, each once.
    """
    from ropewalk.web.openapi.document import Operation

    seen: set[int] = set()
    for entry in mounts.table.entries:
        endpoint = entry.target
        if id(endpoint) in seen or not _is_documented(entry):
            continue
        seen.add(id(endpoint))
        options, handler = endpoint.options, endpoint.handler
        routes = endpoint.area.app
        yield Operation(
            path=entry.pattern,
            methods=entry.methods,
            binding=endpoint.binding,
            function=handler,
            name=f"{endpoint.plugin}.{endpoint.name}",
            tag=getattr(routes, "title", "") or endpoint.plugin,
            errors=getattr(handler, "__ropewalk_errors__", ()),
            output=getattr(handler, "__ropewalk_output__", None),
            deprecated=options.deprecated,
            timeout=options.timeout.seconds if options.timeout else None,
            late=options.timeout.status if options.timeout else 503,
            longest_body=options.longest_body,
        )


def _is_documented(entry: Entry[Any]) -> bool:
    endpoint = entry.target
    return (
        isinstance(endpoint, Endpoint)
        and endpoint.binding is not None
        and endpoint.kind in ("route", "stream")
        and endpoint.options.documented
        and not entry.build_only
        and not entry.guard
    )


def _is_typed(endpoint: Any) -> bool:
    return isinstance(endpoint, Endpoint) and endpoint.typed
