"""
Tests for L{ropewalk.web.channels}.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from ropewalk.awaiting import inlineCallbacks
from ropewalk.hub import ANYONE, NOBODY, ChannelRule, Mailbox, MemoryHub
from ropewalk.interfaces import Caller, IAuthoriser, Steps
from ropewalk.testing import TestCase
from ropewalk.web.channels import EVENTS, ChannelPages
from tests.offering import Offering
from tests.validating import validate
from tests.visiting import Answer, Place, Visit, chunked, request

OPEN = ChannelRule(publish=ANYONE)

JSON = "Content-Type: application/json"


@implementer(IAuthoriser)
class Authoriser:
    """
    Lets in who comes from the right address, and notes who was asked about.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[Caller, str, str]] = []

    def permits(self, caller: Caller, requirement: str, what: str) -> bool:
        self.asked.append((caller, requirement, what))
        return requirement == "open"


class ChannelCase(SynchronousTestCase):
    """
    A site with channels.
    """

    def setUp(self) -> None:
        self.place = Place.of()
        self.clock = self.place.clock
        self.authoriser = Authoriser()
        self.hub = MemoryHub(
            self.clock.seconds, clock=self.clock, authoriser=self.authoriser, epoch="e"
        )
        self.hub.declare("rooms.*", OPEN)
        self.pages = ChannelPages(self.hub, self.clock, lambda: 0.5)
        self.place.mount("/channels", self.pages.routes, "channels")
        self.visit = self.place.visit()

    def ask(self, path: str, *headers: str) -> Answer:
        return self.visit.ask(f"/channels/{path}", "GET", *headers)

    def post(self, path: str, body: bytes, *headers: str) -> Answer:
        return self.visit.ask(
            f"/channels/{path}", "POST", *(headers or (JSON,)), body=body
        )

    def say(self, *bodies: Any, channel: str = "rooms.lobby") -> list[str]:
        """Publish, and give the tokens."""
        said = [self.hub.publish(channel, body) for body in bodies]
        return [self.successResultOf(each).token for each in said]

    def subscribers(self, channel: str = "rooms.lobby") -> int:
        return self.successResultOf(self.hub.count(channel)).subscriptions

    def bodies(self, answer: Answer) -> list[Any]:
        self.assertEqual(answer.status, 200, answer.text)
        return [each["body"] for each in answer.json["messages"]]


class PollTests(ChannelCase):
    """
    Who asks, hears what there is.
    """

    def test_what_is_kept(self) -> None:
        """
        Without a token, the latest of what is kept.
        """
        self.clock.advance(7)
        tokens = self.say("1", {"text": "2"}, 3)
        answer = self.ask("rooms.lobby")
        self.assertEqual(self.bodies(answer), ["1", {"text": "2"}, 3])
        self.assertEqual(
            answer.json["messages"][0],
            {
                "channel": "rooms.lobby",
                "sequence": 1,
                "at": 7.0,
                "token": tokens[0],
                "body": "1",
            },
        )
        self.assertEqual(answer.json["token"], tokens[-1])
        self.assertIs(answer.json["whole"], True)
        self.assertEqual(answer.headers["cache-control"], "no-store")
        self.assertEqual(self.bodies(self.ask("rooms.lobby?limit=2"))[0], {"text": "2"})
        self.assertEqual(self.subscribers(), 0)

    def test_nothing_yet(self) -> None:
        """
        Nothing, and something to ask on with; with a limit of 0 in any case.
        """
        for path in "rooms.lobby", "rooms.lobby?limit=0":
            heard = self.ask(path).json
            self.assertEqual((heard["messages"], heard["whole"]), ([], True))
            self.say("1")
            answer = self.ask(f"rooms.lobby?after={heard['token']}")
            self.assertEqual(self.bodies(answer), ["1"])
            self.assertIs(answer.json["whole"], True)

    def test_after(self) -> None:
        """
        After a token, what has come since: at once, the first ones first.
        """
        tokens = self.say("1", "2", "3", "4")
        path = f"rooms.lobby?after={tokens[0]}&wait=60&limit=2"
        answer = self.ask(path)
        self.assertEqual(self.bodies(answer), ["2", "3"])
        self.assertEqual(answer.json["token"], tokens[2])
        answer = self.ask(f"rooms.lobby?after={tokens[3]}")
        self.assertEqual(
            answer.json, {"messages": [], "token": tokens[3], "whole": True}
        )

    def test_forgotten(self) -> None:
        """
        Where the history does not reach back so far, that is said.
        """
        (token,) = self.say("1")
        self.hub.publish("rooms.lobby", "2", keep=1)
        self.hub.publish("rooms.lobby", "3", keep=1)
        answer = self.ask(f"rooms.lobby?after={token}")
        self.assertEqual(self.bodies(answer), ["3"])
        self.assertIs(answer.json["whole"], False)

    def test_wait(self) -> None:
        """
        Where there is nothing new, it waits for the next, as long as it may.
        """
        (token,) = self.say("1")
        for path in f"rooms.lobby?after={token}&wait=20", "rooms.empty?wait=20":
            self.visit.send(request(f"/channels/{path}"))
            self.clock.advance(19)
            self.assertEqual(self.visit.answers(), [])
            self.clock.advance(1)
            answer = self.visit.answer()
            self.assertEqual(self.bodies(answer), [])
            self.assertEqual(self.subscribers(), 0)
        self.visit.send(request(f"/channels/rooms.lobby?after={token}&wait=20"))
        self.clock.advance(19)
        self.say("2")
        self.assertEqual(self.bodies(self.visit.answer()), ["2"])
        self.assertEqual(self.subscribers(), 0)

    def test_leave(self) -> None:
        """
        Who leaves does not go on listening.
        """
        self.visit.send(request("/channels/rooms.lobby?wait=20"))
        self.assertEqual(self.subscribers(), 1)
        self.visit.leave()
        self.assertEqual(self.subscribers(), 0)

    def test_goodbye(self) -> None:
        """
        When the daemon ends, who waits is answered at once.
        """
        self.visit.send(request("/channels/rooms.lobby?wait=20"))
        self.visit.connection.drain("shutting down")
        answer = self.visit.answer()
        self.assertEqual(self.bodies(answer), [])
        self.assertEqual(answer.headers["connection"], "close")
        self.assertEqual(self.subscribers(), 0)
        late = self.place.visit()
        late.send(request("/channels/rooms.lobby?wait=20"))
        self.assertEqual(self.bodies(late.answer()), [])

    def test_may_not(self) -> None:
        """
        Whether there is such a channel is not told to whom it is not for.
        """
        self.hub.declare("rooms.secret", ChannelRule(subscribe=NOBODY))
        self.hub.declare("rooms.staff", ChannelRule(subscribe="staff"))
        self.hub.declare("rooms.club", ChannelRule(subscribe="open"))
        for name in "rooms.secret", "rooms.staff", "elsewhere":
            for rest in "", "?wait=3", "/present":
                answer = self.ask(name + rest)
                self.assertEqual(answer.status, 403)
            answer = self.ask(name, f"Accept: {EVENTS}")
            self.assertEqual(answer.status, 403)
        self.assertEqual(self.ask("rooms.club").status, 200)
        caller, requirement, what = self.authoriser.asked[-1]
        self.assertEqual((requirement, what), ("open", "rooms.club"))
        self.assertEqual((caller.via, caller.address), ("http", "10.9.8.7"))
        self.assertRegex(caller.connection, "^c[0-9]+$")

    def test_wrong(self) -> None:
        """
        What cannot be asked is told, each thing by its place.
        """
        answer = self.ask("rooms.lobby?wait=61&limit=-1")
        self.assertEqual(answer.status, 400)
        self.assertEqual(
            [each["path"] for each in answer.json["errors"]], ["wait", "limit"]
        )
        for name in "rooms..lobby", "rooms.%0a", "rooms.*.x%20y":
            self.assertIn(self.ask(name).status, (400, 422), name)


class PublishTests(ChannelCase):
    """
    Who may, publishes.
    """

    def test_published(self) -> None:
        """
        The JSON of the body, whatever it is; the answer is the message.
        """
        for number, body in enumerate(('{"text": "hi"}', "3", "null", '"x"'), 1):
            answer = self.post("rooms.lobby", body.encode())
            self.assertEqual(answer.status, 201, answer.text)
            self.assertEqual(answer.json["body"], json.loads(body))
            self.assertEqual(answer.json["sequence"], number)
            self.assertTrue(answer.json["token"])

    def test_unsayable(self) -> None:
        """
        What cannot be said on every protocol is not published.
        """
        answer = self.post("rooms.lobby", b'{"n": 1' + b"0" * 29 + b"}")
        self.assertEqual(answer.status, 422, answer.text)
        self.assertIn("msgpack cannot say it", answer.text)

    def test_shape(self) -> None:
        """
        Where a shape is declared, it has that; all that is wrong is told.
        """
        self.hub.declare("prices.*", ChannelRule(publish=ANYONE, shape=dict[str, int]))
        self.assertEqual(self.post("prices.rope", b'{"a": 1}').status, 201)
        answer = self.post("prices.rope", b'{"a": "b", "c": null}')
        self.assertEqual(answer.status, 422)
        self.assertEqual(len(answer.json["errors"]), 2)

    def test_may_not(self) -> None:
        """
        Nobody publishes into what is not declared, or not for them.
        """
        self.hub.declare("news", ChannelRule())
        for name in "news", "elsewhere":
            self.assertEqual(self.post(name, b"1").status, 403)
        self.assertEqual(self.successResultOf(self.hub.history("news")), [])

    def test_forms_of_others(self) -> None:
        """
        What a form of another site can send is not taken.
        """
        for kind in (
            "Content-Type: text/plain",
            "Content-Type: application/x-www-form-urlencoded",
            "X-None: 1",
        ):
            answer = self.post("rooms.lobby", b'{"text": "hi"}', kind)
            self.assertEqual(answer.status, 415)
        self.assertEqual(self.successResultOf(self.hub.history("rooms.lobby")), [])

    def test_no_json(self) -> None:
        """
        What is no JSON is told where.
        """
        for body in b"{", b"", b"\xff", b"[" * 5000:
            answer = self.post("rooms.lobby", body)
            self.assertEqual(answer.status, 400, body[:9])

    def test_wait(self) -> None:
        """
        It is answered when whoever hears the channel has room, if that is wanted.
        """
        box = Mailbox(1, "wait")
        self.hub.subscribe("rooms.lobby", box)
        self.visit.send(
            request("/channels/rooms.lobby?wait=true", "POST", JSON, body=b"1")
        )
        self.assertEqual(self.visit.answers(), [])
        self.successResultOf(box.take())
        self.assertEqual(self.visit.answer("POST").status, 201)


class PresentTests(ChannelCase):
    """
    Who is there.
    """

    def test_present(self) -> None:
        """
        Those with names, and how many there are.
        """
        self.hub.subscribe("rooms.lobby", Mailbox())
        self.clock.advance(3)
        self.hub.subscribe("rooms.lobby", Mailbox(), "ada", data={"mood": "good"})
        ada = {"who": "ada", "since": 3.0, "data": {"mood": "good"}}
        self.assertEqual(
            self.ask("rooms.lobby/present").json, {"people": [ada], "subscriptions": 2}
        )


class EventsTests(ChannelCase):
    """
    A stream of events.
    """

    def listen(self, path: str = "rooms.lobby", *headers: str) -> Visit:
        """Ask for one."""
        visit = self.place.visit()
        accept = f"Accept: {EVENTS}"
        visit.send(request(f"/channels/{path}", "GET", accept, *headers))
        return visit

    def heard(self, visit: Visit) -> Iterator[dict[str, str]]:
        """The events that have come since."""
        self.clock.advance(0)
        said = visit.wire.value()
        visit.wire.clear()
        if said.startswith(b"HTTP/"):
            head, _, said = said.partition(b"\r\n\r\n")
            self.assertIn(b" 200 ", head)
            self.assertIn(b"text/event-stream", head.lower())
        text = b"".join(said.split(b"\r\n")[1::2]).decode()
        for event in text.split("\n\n")[:-1]:
            yield dict(line.split(": ", 1) for line in event.split("\n") if line != ":")

    def bodies_of(self, visit: Visit) -> list[Any]:
        events = [each for each in self.heard(visit) if "event" not in each]
        return [json.loads(each["data"])["body"] for each in events if "data" in each]

    def test_stream(self) -> None:
        """
        What is published is told at once, with its token.
        """
        visit = self.listen()
        first, ready = self.heard(visit)
        self.assertEqual(first, {"retry": "2000"})
        self.assertEqual(ready["event"], "ready")
        told = {"channel": "rooms.lobby", "token": ready["id"]}
        self.assertEqual(json.loads(ready["data"]), told)
        (token,) = self.say({"text": "one\ntwo"})
        (event,) = self.heard(visit)
        self.assertEqual(event["id"], token)
        self.assertEqual(json.loads(event["data"])["body"], {"text": "one\ntwo"})
        self.say("2", "3")
        self.assertEqual(self.bodies_of(visit), ["2", "3"])

    def test_come_back(self) -> None:
        """
        Who comes back with a token hears what came since, and then what comes.
        """
        tokens = self.say("1", "2", "3")
        visit = self.listen("rooms.lobby", f"Last-Event-ID: {tokens[0]}")
        self.say("4")
        self.assertEqual(self.bodies_of(visit), ["2", "3", "4"])
        # What a browser has heard last is later than what its page began with.
        path = f"rooms.lobby?after={tokens[0]}"
        visit = self.listen(path, f"Last-Event-ID: {tokens[2]}")
        self.assertEqual(self.bodies_of(visit), ["4"])
        self.assertEqual(self.bodies_of(self.listen(path)), ["2", "3", "4"])

    def test_gap(self) -> None:
        """
        If that is not all, it says so first.
        """
        self.say("1", "2")
        events = list(self.heard(self.listen("rooms.lobby?after=yesterday.7")))
        self.assertEqual(events[0]["retry"], "2000")
        self.assertEqual(events[1]["event"], "gap")
        self.assertEqual(
            json.loads(events[1]["data"]), {"channel": "rooms.lobby", "kept": 2}
        )
        self.assertEqual(
            [each.get("event") for each in events[2:]], [None, None, "ready"]
        )
        self.assertEqual(events[-1]["id"], events[-2]["id"])

    def test_presence(self) -> None:
        """
        Who comes with a name is there, and hears who comes and goes.
        """
        visit = self.listen("rooms.lobby?who=ada")
        other = self.listen("rooms.lobby?who=alan")
        other.leave()
        events = [
            (each["event"], json.loads(each["data"])["who"])
            for each in self.heard(visit)
            if each.get("event") in ("joined", "left")
        ]
        self.assertEqual(
            events, [("joined", "ada"), ("joined", "alan"), ("left", "alan")]
        )
        visit.leave()
        self.assertEqual(self.subscribers(), 0)

    def test_silence(self) -> None:
        """
        In silence there is a comment, so that it is known to live.
        """
        visit = self.listen()
        list(self.heard(visit))
        self.clock.advance(14)
        self.assertEqual(visit.wire.value(), b"")
        self.clock.advance(1)
        self.assertEqual(visit.wire.value(), chunked(b"event: beat\ndata: {}\n\n")[:-5])
        visit.wire.clear()
        self.say("1")
        self.assertEqual(self.bodies_of(visit), ["1"])

    def test_pattern(self) -> None:
        """
        Of several channels at once there is no token to come back with.
        """
        visit = self.listen("rooms.*")
        list(self.heard(visit))
        self.say("1")
        self.say("2", channel="rooms.bar")
        events = list(self.heard(visit))
        self.assertNotIn("id", events[0])
        told = [json.loads(each["data"]) for each in events]
        self.assertEqual(
            [(each["channel"], each["body"]) for each in told],
            [("rooms.lobby", "1"), ("rooms.bar", "2")],
        )
        self.assertEqual(self.listen("rooms.*?after=e.1").answer().status, 422)
        for path in "rooms.*", "rooms.*?wait=3", "rooms.*?limit=0", "rooms.*?after=e.1":
            answer = self.ask(path)
            self.assertEqual(answer.status, 422)
            self.assertIn("not by polling", answer.text)

    def test_slow(self) -> None:
        """
        One that does not read is let go when too much waits; it comes back for the
        rest, and harms nobody.
        """
        visit = self.listen()
        other = self.listen()
        list(self.heard(visit))
        list(self.heard(other))
        visit.connection.transport.producer.pauseProducing()
        tokens = self.say(*map(str, range(103)))
        self.assertEqual(len(self.bodies_of(other)), 103)
        visit.connection.transport.producer.resumeProducing()
        heard = [each["id"] for each in self.heard(visit)]
        self.assertEqual(heard, tokens[: len(heard)])
        self.assertLess(len(heard), 103)
        self.assertEqual(self.subscribers(), 1)

    def test_goodbye(self) -> None:
        """
        When the daemon ends, a stream ends behind what was said.
        """
        visit, other = self.listen(), self.listen()
        list(self.heard(visit))
        self.say("1")
        visit.connection.drain("shutting down")
        self.assertEqual(self.bodies_of(visit), ["1"])
        self.assertTrue(visit.closed)
        self.assertEqual(self.subscribers(), 0)
        other.leave()

    def test_refused(self) -> None:
        """
        A stream that is refused leaves nothing behind.
        """
        self.listen("secret")
        self.listen("rooms..x")
        self.assertEqual(self.place.site._waiting, {})
        self.listen().leave()
        self.assertEqual(self.place.site._waiting, {})

    def test_head(self) -> None:
        """
        Who asks for the head alone does not listen.
        """
        accept = f"Accept: {EVENTS}"
        answer = self.visit.ask("/channels/rooms.lobby", "HEAD", accept)
        self.assertEqual((answer.status, answer.body), (200, b""))
        self.assertEqual(self.subscribers(), 0)


class DocumentTests(TestCase):
    """
    What the OpenAPI document of a site says of channels.
    """

    @inlineCallbacks
    def test_document(self) -> Steps[None]:
        """
        What may be asked, published and answered.
        """

        def make(host: Any) -> None:
            host.hub.declare("rooms.*", OPEN)

        host = yield self.start(Offering("house", "house", make=make))
        document = (yield host.http().get("/openapi.json")).json()
        validate(document)
        paths = document["paths"]
        publish = paths["/channels/{channel}"]["post"]
        self.assertEqual(
            publish["summary"], "Publish the JSON that is the body of the request"
        )
        body = publish["requestBody"]
        self.assertEqual(
            body, {"content": {"application/json": {"schema": {}}}, "required": True}
        )
        given = [each["name"] for each in publish["parameters"]]
        self.assertEqual(given, ["channel", "wait", "Idempotency-Key"])
        self.assertLessEqual(
            {"201", "400", "403", "409", "415", "422", "429", "503"},
            {*publish["responses"]},
        )
        for path in "/channels/{channel}", "/channels/{channel}/present":
            self.assertIn("403", paths[path]["get"]["responses"])
