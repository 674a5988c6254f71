# -*- test-case-name: tests.test_asyncapi -*-
"""
What can be heard, published and called on a WebSocket, as an AsyncAPI document
(version 3.0.0), from the same source as everything else: the rules of channels and the
signatures of operations.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from twisted.web.iweb import IRequest

from ropewalk.hub.spoken import Present, Said
from ropewalk.interfaces import NOBODY, ChannelRule
from ropewalk.operations import Offered
from ropewalk.schema.schemas import Schema, Shapes
from ropewalk.web.texts import Text, Texts

__all__ = ["asyncapi_document", "asyncapi_page"]

#: One word of a channel's name, and any number of them, as regular expressions.
_WORDS = {"*": "[^.]+", "**": r"[^.]+(\.[^.]+)*"}

_LIVE = "#/channels/live"


def asyncapi_page(
    offered: Callable[[], Iterable[Offered]],
    declared: Callable[[], Mapping[str, ChannelRule]],
    live: str,
    title: str,
) -> Texts:
    """
    What serves the document.

    :param offered: Gives the operations.
    :param declared: Gives the rules of channels, by pattern.
    :param live: Where the WebSocket is: ``"/live"``.
    """

    def text(request: IRequest) -> Text:
        host, secure = request.getHeader("host"), bool(request.isSecure())
        made = asyncapi_document(
            offered(),
            declared(),
            live=live,
            title=title,
            host=host or "localhost",
            secure=secure,
        )
        said = json.dumps(made, ensure_ascii=False, separators=(",", ":"))
        return Text.of(said.encode("utf-8", "replace") + b"\n")

    return Texts("application/json", text)


def asyncapi_document(
    offered: Iterable[Offered],
    declared: Mapping[str, ChannelRule],
    *,
    live: str = "/live",
    title: str = "Ropewalk",
    version: str = "0",
    host: str = "localhost",
    secure: bool = False,
) -> dict[str, Any]:
    """
    Make the document. All of it goes over one WebSocket, which is the one channel that
    AsyncAPI knows of; whose channels are told apart by their names, in the messages.

    :param host: Where the WebSocket is, with the port if it is not the usual one.
    :param secure: Whether it is reached by TLS.
    """
    calls = [each for each in offered if each.shape is not None]
    rules = {
        pattern: rule
        for pattern, rule in declared.items()
        if (rule.subscribe, rule.publish) != (NOBODY, NOBODY)
    }
    kinds = [kind for each in calls for kind in (each.shape, each.kind)]
    bodies = [Any if each.shape is None else each.shape for each in rules.values()]
    shapes = Shapes([*kinds, *bodies, Said, Present])
    paper = _Paper(shapes)
    for pattern, rule in rules.items():
        paper.add_channel(pattern, rule)
    for each in calls:
        paper.add_call(each)
    return {
        "asyncapi": "3.0.0",
        "info": {"title": title, "version": version},
        "defaultContentType": "application/json",
        "servers": {
            "live": {"host": host, "protocol": "wss" if secure else "ws"},
        },
        "channels": {
            "live": {
                "address": live,
                "servers": [{"$ref": "#/servers/live"}],
                "messages": paper.messages,
            }
        },
        "operations": paper.operations,
        "components": {"schemas": shapes.components},
    }


class _Paper:
    """
    What is written so far.

    :ivar messages: By their names.
    :ivar operations: What is done with them, from where the daemon stands.
    """

    def __init__(self, shapes: Shapes) -> None:
        self._shapes = shapes
        self.messages: dict[str, Any] = {}
        self.operations: dict[str, Any] = {}

    def add_channel(self, pattern: str, rule: ChannelRule) -> None:
        """Tell what can be done in channels."""
        name = _name_schema(pattern)
        body = {} if rule.shape is None else self._shapes.schema(rule.shape)
        said = self._with(Said, channel=name, body=body)
        if rule.subscribe is not NOBODY:
            someone = self._with(Present)
            someone["properties"] = {"channel": name, **someone["properties"]}
            hear = [
                self._message(f"{pattern}: message", _told("rpc.message", said)),
                self._message(f"{pattern}: joined", _told("rpc.joined", someone)),
                self._message(f"{pattern}: left", _told("rpc.left", someone)),
            ]
            self.operations[f"{pattern}: hear"] = {
                "action": "send",
                "channel": {"$ref": _LIVE},
                "summary": f"What happens in {pattern}, for those who subscribe",
                "messages": hear,
                **_needs(rule.subscribe),
            }
        if rule.publish is not NOBODY:
            params = _object({"channel": name, "body": body}, "channel", "body")
            self._add_request(
                f"{pattern}: publish", "rpc.publish", params, said, rule.publish
            )

    def add_call(self, offered: Offered) -> None:
        """Tell of an operation."""
        params = self._shapes.schema(offered.shape)
        result = self._shapes.schema(offered.kind)
        name = offered.name
        self._add_request(name, name, params, result, offered.requires, offered.summary)

    def _add_request(
        self,
        name: str,
        method: str,
        params: Schema,
        result: Schema,
        needed: Any,
        summary: str = "",
    ) -> None:
        asked = self._message(f"{name}: request", _asked(method, params))
        answers = [
            self._message(f"{name}: result", _answered({"result": result})),
            self._message("error", _answered({"error": _ERROR})),
        ]
        self.operations[name] = {
            "action": "receive",
            "channel": {"$ref": _LIVE},
            **({"summary": summary} if summary else {}),
            "messages": [asked],
            "reply": {"channel": {"$ref": _LIVE}, "messages": answers},
            **_needs(needed),
        }

    def _message(self, name: str, payload: Schema) -> dict[str, str]:
        """Note a message, and refer to it."""
        self.messages[name] = {"payload": payload}
        escaped = name.replace("~", "~0").replace("/", "~1").replace(" ", "%20")
        return {"$ref": f"{_LIVE}/messages/{escaped}"}

    def _with(self, shape: Any, **parts: Schema) -> Schema:
        """The schema of a shape of ours, some of whose parts are known better."""
        whole = self._shapes.behind(self._shapes.schema(shape))
        return {**whole, "properties": {**whole["properties"], **parts}}


_ERROR: Schema = {
    "type": "object",
    "properties": {
        "code": {"type": "integer"},
        "message": {"type": "string"},
        "data": {
            "type": "object",
            "properties": {"status": {"type": "integer"}, "errors": {"type": "array"}},
        },
    },
    "required": ["code", "message"],
}


def _name_schema(pattern: str) -> Schema:
    """The names that match a pattern."""
    words = pattern.split(".")
    if not set(words) & set(_WORDS):
        return {"const": pattern}
    whole = r"\.".join(_WORDS.get(word, word) for word in words)
    return {"type": "string", "pattern": f"^{whole}$"}


def _object(properties: Mapping[str, Any], *required: str) -> Schema:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
    }


def _told(method: str, params: Schema) -> Schema:
    """A notification of the daemon's."""
    return _object(
        {"jsonrpc": {"const": "2.0"}, "method": {"const": method}, "params": params},
        *("jsonrpc", "method", "params"),
    )


def _asked(method: str, params: Schema) -> Schema:
    """A request."""
    told = _told(method, params)
    return {**told, "properties": {**told["properties"], "id": _ID}}


def _answered(outcome: Mapping[str, Schema]) -> Schema:
    """An answer."""
    return _object(
        {"jsonrpc": {"const": "2.0"}, "id": _ID, **outcome},
        *("jsonrpc", "id", *outcome),
    )


_ID: Schema = {"type": ["string", "number"]}


def _needs(needed: Any) -> dict[str, Any]:
    """What it takes, where that is something."""
    return {"x-requires": needed} if isinstance(needed, str) else {}
