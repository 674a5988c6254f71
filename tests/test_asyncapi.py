"""
Tests for L{ropewalk.web.asyncapi}.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any

from jsonschema import Draft202012Validator
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.awaiting import inlineCallbacks
from ropewalk.hub import ANYONE, NOBODY, ChannelRule, MemoryHub
from ropewalk.interfaces import Caller, Steps
from ropewalk.net.calls import Calls
from ropewalk.net.limits import CallSettings
from ropewalk.operations import Operations
from ropewalk.schema import Meta, Shape
from ropewalk.testing import TestCase
from ropewalk.web.asyncapi import asyncapi_document
from tests.callables import Callables
from tests.offering import Offering
from tests.test_calls import request


class Line(Shape):
    """What is said."""

    author: Annotated[str, Meta(min_length=1)]
    text: str = ""


RULES = {
    "rooms.*": ChannelRule(shape=Line, publish=ANYONE),
    "prices.**": ChannelRule(publish="prices.set"),
    "news": ChannelRule(subscribe="news.read"),
    "secret": ChannelRule(subscribe=NOBODY),
}


class DocumentTests(SynchronousTestCase):
    """
    The document.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.operations = Operations(self.clock)
        self.operations.add("house", Callables())
        self.hub = MemoryHub(self.clock.seconds, clock=self.clock)
        for pattern, rule in RULES.items():
            self.hub.declare(pattern, rule)
        self.document = asyncapi_document(
            self.operations.offered(), self.hub.declared(), host="a:8080", secure=True
        )

    def resolve(self, reference: dict[str, str]) -> Any:
        """What something refers to."""
        found: Any = self.document
        for part in reference["$ref"].removeprefix("#/").split("/"):
            found = found[part.replace("%20", " ").replace("~1", "/")]
        return found

    def references(self, thing: Any) -> Iterator[dict[str, str]]:
        if isinstance(thing, dict):
            if "$ref" in thing:
                yield thing
            for each in thing.values():
                yield from self.references(each)
        elif isinstance(thing, list):
            for each in thing:
                yield from self.references(each)

    def is_message(self, name: str, message: Any) -> bool:
        """Whether something is a message of that name."""
        payload = self.document["channels"]["live"]["messages"][name]["payload"]
        schema = {**payload, "components": self.document["components"]}
        return bool(Draft202012Validator(schema).is_valid(message))

    def test_whole(self) -> None:
        """
        All that it refers to is there, and all schemas are some.
        """
        references = list(self.references(self.document))
        self.assertGreater(len(references), 20)
        for each in references:
            self.resolve(each)
        for message in self.document["channels"]["live"]["messages"].values():
            Draft202012Validator.check_schema(message["payload"])
        self.assertEqual(self.document["asyncapi"], "3.0.0")
        server = self.document["servers"]["live"]
        self.assertEqual(server, {"host": "a:8080", "protocol": "wss"})

    def test_operations(self) -> None:
        """
        It has what strangers may do, and what it takes; of the rest nothing.
        """
        told = self.document["operations"]
        self.assertEqual(
            {name for name in told if ":" in name},
            {
                *("rooms.*: hear", "rooms.*: publish", "prices.**: hear"),
                *("prices.**: publish", "news: hear"),
            },
        )
        self.assertEqual(told["prices.**: publish"]["x-requires"], "prices.set")
        self.assertEqual(told["news: hear"]["x-requires"], "news.read")
        self.assertEqual(told["house.echo"]["action"], "receive")
        self.assertEqual(told["house.echo"]["summary"], "Say it again")
        self.assertEqual(told["house.burn"]["x-requires"], "house.burn")
        self.assertNotIn("secret", json.dumps(self.document))

    def test_conversation(self) -> None:
        """
        What is said on a connection is as it is told there, and what is refused is not.
        """
        said: list[Any] = []
        calls = Calls(
            self.operations,
            self.hub,
            lambda message: said.append(json.loads(message)),
            CallSettings(),
        )
        calls.begin(Caller("test"))

        def ask(method: str, **params: Any) -> Any:
            asked = request(method, 1, params=params)
            said.clear()
            calls.hear(json.dumps(asked).encode())
            return asked

        ask("rpc.subscribe", channel="rooms.lobby", who="ada")
        self.assertTrue(self.is_message("rooms.*: joined", said[0]))
        line = {"author": "Ada", "text": "hello"}
        asked = ask("rpc.publish", channel="rooms.lobby", body=line)
        self.assertTrue(self.is_message("rooms.*: publish: request", asked))
        message, answer = said
        self.assertTrue(self.is_message("rooms.*: message", message))
        self.assertFalse(self.is_message("prices.**: message", message))
        self.assertTrue(self.is_message("rooms.*: publish: result", answer))
        asked = ask("rpc.publish", channel="rooms.lobby", body={"author": ""})
        self.assertFalse(self.is_message("rooms.*: publish: request", asked))
        self.assertTrue(self.is_message("error", said[0]))
        asked = ask("house.echo", text="a")
        self.assertTrue(self.is_message("house.echo: request", asked))
        self.assertTrue(self.is_message("house.echo: result", said[0]))
        asked = ask("house.echo", text=5)
        self.assertFalse(self.is_message("house.echo: request", asked))
        self.assertTrue(self.is_message("error", said[0]))


class PageTests(TestCase):
    """
    Where it is.
    """

    @inlineCallbacks
    def test_served(self) -> Steps[None]:
        """
        On a site with a WebSocket, for whoever asks; not where it is turned off.
        """

        def make(host: Any) -> None:
            for pattern, rule in RULES.items():
                host.hub.declare(pattern, rule)

        offering = Offering("house", "house", make=make)
        host = yield self.start(offering)
        said = yield host.http().get("/asyncapi.json")
        self.assertEqual(said.headers["content-type"], "application/json")
        self.assertEqual(said.json()["channels"]["live"]["address"], "/live")
        self.assertEqual(
            said.json()["servers"]["live"], {"host": "127.0.0.1:8080", "protocol": "ws"}
        )
        yield host.stop()
        host = yield self.start(offering, settings='[web]\nasyncapi = ""')
        said = yield host.http().get("/asyncapi.json")
        self.assertEqual(said.status, 404)
