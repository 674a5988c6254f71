# -*- test-case-name: tests.test_vanished -*-
"""
Peers that vanish without a word.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tomllib
from contextlib import closing
from typing import Any
from unittest import skipUnless

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SkipTest, SynchronousTestCase, TestCase

from ropewalk.awaiting import inlineCallbacks
from ropewalk.hub import ANYONE, ChannelRule, MemoryHub
from ropewalk.interfaces import Steps
from ropewalk.net.calls.sockets import CallSocket
from ropewalk.net.limits import CallSettings
from ropewalk.net.listening import Listener
from ropewalk.net.sockets import SocketFactory, SocketLimits
from ropewalk.net.vanished import VANISHED, watch_peers
from ropewalk.operations import Operations
from ropewalk.run.configuration import HostSettings
from ropewalk.schema import write_json
from tests.daemonry import ROOT
from tests.test_calls import request
from tests.test_sockets import HANDSHAKE, TEXT, frame
from tests.visiting import blocks
from tests.wiring import connect

reactor: Any = global_reactor

#: The options that say after how long a peer is gone, and when that is two minutes.
WATCHED = {
    "TCP_KEEPIDLE": 60,
    "TCP_KEEPINTVL": 20,
    "TCP_KEEPCNT": 3,
    "TCP_USER_TIMEOUT": 120_000,
}

IS_LINUX = sys.platform == "linux"


def options(of: socket.socket) -> dict[str, int]:
    """What a socket has of these; nothing where it is not to be asked."""
    if not of.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE):
        return {}
    return {
        name: of.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
        for name in WATCHED
    }


@skipUnless(IS_LINUX, "other systems have not all of these options")
class OptionTests(SynchronousTestCase):
    """
    What the system is told.
    """

    def test_accepted(self) -> None:
        """
        Those that are accepted have what the socket has that listens.
        """
        for family, address in (
            (socket.AF_INET, "127.0.0.1"),
            (socket.AF_INET6, "::1"),
        ):
            with closing(socket.socket(family)) as listening:
                listening.bind((address, 0))
                watch_peers(listening, 120)
                listening.listen()
                self.assertEqual(options(listening), WATCHED)
                with closing(socket.create_connection(listening.getsockname()[:2])):
                    accepted, _ = listening.accept()
                    with accepted:
                        self.assertEqual(options(accepted), WATCHED)

    def test_left_alone(self) -> None:
        """
        It can be left to the system; with a UNIX socket there is nothing to do.
        """
        with closing(socket.socket()) as listening:
            watch_peers(listening, 0)
            self.assertEqual(options(listening), {})
        with closing(socket.socket(socket.AF_UNIX)) as listening:
            watch_peers(listening, 120)
            keeps = listening.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            self.assertEqual(keeps, 0)

    def test_page(self) -> None:
        """
        ``docs/net.rst`` shows the time that is set unless somebody says otherwise.
        """
        (text,) = (each for each in blocks("net", "toml") if "vanished" in each)
        self.assertEqual(tomllib.loads(text)["host"]["vanished"], VANISHED)

    def test_short(self) -> None:
        """
        Of a time that is too short for the system, it makes what it can.
        """
        with closing(socket.socket()) as listening:
            watch_peers(listening, 1)
            self.assertEqual(options(listening)["TCP_KEEPINTVL"], 1)


class Waiting(Protocol):
    """
    Tells when somebody is there.
    """

    def connectionMade(self) -> None:
        factory: Any = self.factory
        factory.come.callback(self.transport)


@skipUnless(IS_LINUX, "other systems have not all of these options")
class ListenerTests(TestCase):
    """
    Listeners of the daemon.
    """

    @inlineCallbacks
    def accepted(self, where: str, *more: Any) -> Steps[dict[str, int]]:
        """The options of a connection that a listener has accepted."""
        factory: Any = Factory.forProtocol(Waiting)
        factory.come = Deferred()
        listener = Listener(where, factory, "test", reactor, None, None, *more)
        yield listener.startService()
        self.addCleanup(listener.stopService)
        listener.privilegedStartService()
        yield listener.open()
        with closing(
            socket.create_connection((listener.address.host, listener.address.port))
        ):
            transport = yield factory.come
            found = options(transport.getHandle())
            transport.abortConnection()
        yield listener.stopService()
        return found

    @inlineCallbacks
    def test_every_listener(self) -> Steps[None]:
        """
        Whoever comes is looked after, unless it is left to the system.
        """
        self.assertEqual(HostSettings().vanished, VANISHED)
        self.assertGreaterEqual(VANISHED, 100)  # RFC 1122, section 4.2.3.5
        where = "tcp:0:interface=127.0.0.1"
        self.assertEqual((yield self.accepted(where)), WATCHED)
        self.assertEqual((yield self.accepted(where, 0)), {})


class SocketTests(SynchronousTestCase):
    """
    A WebSocket whose peer vanishes.
    """

    def test_presence(self) -> None:
        """
        It has left its channels a minute after it was heard last.
        """
        clock = Clock()
        hub = MemoryHub(clock.seconds, clock=clock)
        hub.declare("rooms.*", ChannelRule(publish=ANYONE))
        factory: Any = SocketFactory(
            lambda: CallSocket(Operations(clock), hub, CallSettings()),
            SocketLimits(),
            clock,
        )
        peer = connect(clock, factory.buildProtocol(None))
        peer.transport.write(HANDSHAKE + b"\r\n")
        clock.advance(0)
        params = {"channel": "rooms.lobby", "who": "Ada"}
        asked = request("rpc.subscribe", 1, params=params)
        peer.transport.write(frame(TEXT, write_json(asked)))
        clock.advance(0)
        clock.pump([1.0] * 59)
        present = self.successResultOf(hub.present("rooms.lobby"))
        self.assertEqual([each.who for each in present], ["Ada"])
        clock.pump([1.0, 0.0])
        self.assertEqual(self.successResultOf(hub.present("rooms.lobby")), [])


#: Runs in a network of its own, whose cable can be pulled: who is in a channel by a
#: connection in lines, and after how many seconds they are no more.
_VANISHES = """
import fcntl, json, socket, struct, sys, time

def plug(state):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any:
        fcntl.ioctl(any, 0x8914, struct.pack("16sH14s", b"lo", state, b""))

plug(1)
from twisted.internet.selectreactor import install
install()
from twisted.internet import reactor
from twisted.internet.task import LoopingCall
from ropewalk.hub import ANYONE, ChannelRule, MemoryHub
from ropewalk.net.calls import CallLines
from ropewalk.net.limits import CallSettings
from ropewalk.net.listening import Listener
from ropewalk.net.protocols import ConversationFactory
from ropewalk.operations import Operations

hub = MemoryHub(reactor.seconds, clock=reactor)
hub.declare("rooms.*", ChannelRule(publish=ANYONE))
factory = ConversationFactory(
    CallLines, reactor, Operations(reactor), hub, CallSettings()
)
listener = Listener(
    "tcp:0:interface=127.0.0.1", factory, "test", reactor, None, None, VANISHED
)
peer = socket.socket()
began = None

def look():
    global began
    present = hub.present("rooms.lobby").result
    if began is None and present:
        plug(0)
        began = time.monotonic()
    elif began is not None and SPEAKS and present:
        hub.publish("rooms.lobby", "anyone?")
    elif began is not None and not present:
        print(time.monotonic() - began)
        reactor.stop()

def talk(_):
    peer.connect(("127.0.0.1", listener.address.port))
    params = {"channel": "rooms.lobby", "who": "Ada"}
    asked = {"jsonrpc": "2.0", "method": "rpc.subscribe", "params": params}
    peer.sendall(json.dumps(asked).encode() + b"\\n")

listener.privilegedStartService()
listener.open().addCallback(talk)
LoopingCall(look).start(0.05)
reactor.callLater(15, reactor.stop)
reactor.run()
"""


class CableTests(SynchronousTestCase):
    """
    A cable that is pulled.
    """

    def pull(self, vanished: float, speaks: bool) -> float | None:
        """
        After how many seconds who is behind it has left; ``None`` for not before 15.

        :param speaks: Whether something is said to them meanwhile.
        """
        unshare = shutil.which("unshare")
        if unshare is None:
            raise SkipTest("there is no unshare here, to make a network with")
        script = f"VANISHED, SPEAKS = {vanished}, {speaks}\n{_VANISHES}"
        path = os.pathsep.join([str(ROOT / "platform"), str(ROOT)])
        ended = subprocess.run(
            [unshare, "-rn", sys.executable, "-c", script],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "PYTHONPATH": path},
            check=False,
        )
        if "unshare" in ended.stderr:
            raise SkipTest(f"no network can be made here: {ended.stderr.strip()}")
        self.assertEqual((ended.returncode, ended.stderr), (0, ""))
        return float(ended.stdout) if ended.stdout else None

    def test_silent(self) -> None:
        """
        Who is behind it has left after the time that is set, though nobody says
        anything.
        """
        took = self.pull(4, speaks=False)
        self.assertIsNotNone(took)
        self.assertTrue(3 < (took or 0) < 12, took)

    def test_spoken_to(self) -> None:
        """
        Nor does it take longer where something is said to them that they do not
        acknowledge.
        """
        took = self.pull(4, speaks=True)
        self.assertIsNotNone(took)
        self.assertTrue(3 < (took or 0) < 12, took)
