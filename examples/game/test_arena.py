"""
The arena as its players and spectators meet it, in memory. ``trial test_arena`` runs
this, and so does ``pytest``.
"""

from __future__ import annotations

import socket
from pathlib import Path
from threading import Thread
from typing import Any

from arena import (  # type: ignore[import-not-found]
    CHANNEL,
    PACE,
    Arena,
    Beat,
    NotNow,
)
from player import Player  # type: ignore[import-not-found]
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.awaiting import inlineCallbacks
from ropewalk.interfaces import Steps
from ropewalk.testing import MemoryHost, TestCase
from ropewalk.wire.proofs import HELLO, answer, challenge

STEP = 1 / PACE


class ArenaTests(SynchronousTestCase):
    """
    The rules.
    """

    def test_moving(self) -> None:
        """
        A body goes its way, as far at each step, and not through walls.
        """
        arena = Arena(2)
        body = arena.join("Ada")
        body.way = (1.0, -0.5)
        self.assertEqual(arena.step().players, {"Ada": (51.0, 49.5)})
        for _ in range(60):
            state = arena.step()
        self.assertEqual(state.players, {"Ada": (100.0, 19.5)})
        self.assertEqual(state.step, 61)

    def test_who_comes_in(self) -> None:
        """
        There is one of each name, and no more than there may be.
        """
        arena = Arena(2)
        arena.join("Ada")
        self.assertRaises(NotNow, arena.join, "Ada")
        arena.join("Grace")
        self.assertRaises(NotNow, arena.join, "Alan")
        arena.leave("Ada")
        arena.join("Alan")


class BeatTests(SynchronousTestCase):
    """
    The pace.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.steps: list[float] = []
        self.error: Exception | None = None
        self.beat = Beat(self.step, 20, self.clock, self.clock.seconds)
        self.beat.startService()

    def step(self) -> None:
        self.steps.append(round(self.clock.seconds(), 3))
        if self.error is not None:
            raise self.error

    def test_steps(self) -> None:
        """
        A step is due each 50 ms, and none at the start.
        """
        self.clock.pump([0.0, 0.049, 0.001, 0.05, 0.05])
        self.assertEqual(self.steps, [0.05, 0.1, 0.15])

    def test_no_drift(self) -> None:
        """
        One that is late makes no other late: the next are due when they were.
        """
        for _ in range(100):
            self.clock.advance(0.057)
        self.assertEqual(len(self.steps), int(100 * 0.057 * 20))
        self.assertLess(max(self.beat.lateness), 0.057)

    def test_made_up(self) -> None:
        """
        A few that are overdue are made up for at once; of many, time is lost.
        """
        self.clock.advance(0.21)
        self.assertEqual(len(self.steps), 4)
        self.clock.advance(10)
        self.assertEqual(len(self.steps), 4 + Beat.made_up)
        self.clock.advance(0.04)
        self.assertEqual(self.steps[-1], 10.25)

    def test_an_error(self) -> None:
        """
        A step that fails is logged, and the next is due all the same.
        """
        self.error = ZeroDivisionError()
        self.clock.pump([0.05, 0.05])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_told(self) -> None:
        """
        It tells how late the last steps were, in milliseconds.
        """
        beat = Beat(self.step, 16, self.clock, self.clock.seconds)
        self.assertEqual(beat.told().steps, 0)
        beat.startService()
        self.clock.pump([1 / 16] * 98 + [1 / 16 + 0.01, 1 / 16 - 0.01])
        told = beat.told()
        self.assertEqual(told.steps, 100)
        self.assertAlmostEqual(told.p50, 0.0)
        self.assertAlmostEqual(told.worst, 10.0)

    def test_stop(self) -> None:
        """
        When it has stopped nothing is due.
        """
        self.beat.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class GameTests(TestCase):
    """
    A game for two.
    """

    host: MemoryHost

    @inlineCallbacks
    def setUp(self) -> Steps[None]:  # type: ignore[override]
        self.host = yield self.start("game", players=2)

    @inlineCallbacks
    def player(self, name: str) -> Steps[Any]:
        """Somebody who has joined."""
        player = self.host.datagrams("game")
        yield player.send(f'{{"join": "{name}"}}')
        return player

    @inlineCallbacks
    def test_play(self) -> Steps[None]:
        """
        Who plays is told at each step where everybody is.
        """
        ada = yield self.player("Ada")
        grace = yield self.player("Grace")
        yield ada.send('{"move": [1, 0]}')
        yield self.clock.advance(STEP)
        place = {"Ada": [51.0, 50.0], "Grace": [50.0, 50.0]}
        for player in ada, grace:
            seen = (yield player.receive()).json()
            self.assertEqual(seen, {"step": 1, "players": place})
        yield self.clock.advance(1 - STEP)
        self.assertEqual(len((yield ada.received())), PACE - 1)

    @inlineCallbacks
    def test_join_twice(self) -> Steps[None]:
        """
        Joining again is joining once, as a hello may get lost; as somebody else it is
        refused.
        """
        ada = yield self.player("Ada")
        yield ada.send('{"join": "Ada"}')
        self.assertEqual((yield ada.received()), [])
        yield ada.send('{"join": "Grace"}')
        self.assertIn("you are Ada already", (yield ada.receive()).json()["problem"])

    @inlineCallbacks
    def test_what_is_wrong(self) -> Steps[None]:
        """
        What cannot be done, or read, is told to who said it.
        """
        for said, told in (
            ('{"move": [1, 0]}', "join first"),
            ('{"move": [2, 0]}', "move[0]"),
            ('{"join": "a b"}', "join"),
            ("{", "JSON"),
        ):
            guest = self.host.datagrams("game")
            yield guest.send(said)
            self.assertIn(told, (yield guest.receive()).json()["problem"])
            yield guest.close()

    @inlineCallbacks
    def test_full(self) -> Steps[None]:
        """
        Who comes when it is full is told so.
        """
        yield self.player("Ada")
        yield self.player("Grace")
        alan = yield self.player("Alan")
        self.assertIn("the arena is full", (yield alan.receive()).json()["problem"])

    @inlineCallbacks
    def test_leave(self) -> Steps[None]:
        """
        Who leaves, or is silent for too long, is not in the arena any more.
        """
        ada = yield self.player("Ada")
        grace = yield self.player("Grace")
        yield ada.send('{"leave": true}')
        self.assertEqual((yield ada.receive()).json(), {"goodbye": "you have left"})
        yield self.clock.advance(10)
        self.assertIn("nothing was heard", (yield grace.received())[-1])
        state = (yield self.host.http().get("/game/state")).json()
        self.assertEqual(state, {"step": 10 * PACE, "players": {}})

    @inlineCallbacks
    def test_watch(self) -> Steps[None]:
        """
        Spectators see each step; of an empty arena, that it is empty.
        """
        watching = self.host.socket("/game/live")
        self.assertEqual((yield watching.received()), [])
        yield self.clock.advance(3 * STEP)
        self.assertEqual((yield watching.received()), [])
        ada = yield self.player("Ada")
        yield self.clock.advance(STEP)
        seen = (yield watching.receive()).json()
        self.assertEqual(seen, {"step": 4, "players": {"Ada": [50.0, 50.0]}})
        yield ada.send('{"leave": true}')
        yield self.clock.advance(3 * STEP)
        [last] = yield watching.received()
        self.assertEqual(last.json(), {"step": 5, "players": {}})
        [kept] = yield self.host.hub.history(CHANNEL)
        self.assertEqual(kept.body.step, 5)

    @inlineCallbacks
    def test_pages(self) -> Steps[None]:
        """
        There is a page to watch it on, and it is told how late the steps are.
        """
        http = self.host.http()
        self.assertIn("<canvas", (yield http.get("/game/")).text)
        yield self.clock.advance(STEP)
        told = (yield http.get("/game/lateness")).json()
        self.assertEqual(told["steps"], 1)

    @inlineCallbacks
    def test_stop(self) -> Steps[None]:
        """
        When the daemon stops, players are told.
        """
        ada = yield self.player("Ada")
        yield self.host.stop()
        self.assertEqual((yield ada.receive()).json(), {"goodbye": "shutting down"})

    @inlineCallbacks
    def test_settings(self) -> Steps[None]:
        """
        The settings that come with it are good.
        """
        yield self.host.stop()
        settings = Path(__file__).with_name("ropewalk.toml")
        host = yield self.start(settings=settings)
        ada = host.datagrams("udp:7072")
        yield ada.send('{"join": "Ada"}')
        yield self.clock.advance(STEP)
        self.assertIn("Ada", (yield ada.receive()).json()["players"])


class PlayerTests(SynchronousTestCase):
    """
    The player in a screen, against a socket.
    """

    def test_talk(self) -> None:
        """
        It proves to be there, joins, sees, moves and leaves.
        """
        heard: list[bytes] = []
        cookie = b"0123456789abcdef"
        arena = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        arena.bind(("127.0.0.1", 0))
        arena.settimeout(5)

        def serve() -> None:
            said, where = arena.recvfrom(2048)
            heard.append(said)
            arena.sendto(challenge(cookie), where)
            heard.append(arena.recv(2048))
            arena.sendto(b'{"step": 1, "players": {}}', where)
            heard.extend(arena.recv(2048) for _ in range(2))

        thread = Thread(target=serve)
        thread.start()
        player = Player(arena.getsockname(), "Ada")
        self.assertIsNone(player.see())
        self.assertEqual(player.see(), {"step": 1, "players": {}})
        player.move(1, 0)
        player.leave()
        thread.join()
        arena.close()
        joined = answer(cookie, b'{"join": "Ada"}')
        told = [b'{"move": [1, 0]}', b'{"leave": true}']
        self.assertEqual(heard, [HELLO, joined, *told])
