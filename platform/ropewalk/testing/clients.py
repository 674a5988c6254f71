# -*- test-case-name: tests.test_testing -*-
"""
Somebody at the other end: of HTTP, of a WebSocket, of a line. Each sends,
receives and closes; each speaks through the code that real clients use.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from email.message import Message
from http.client import HTTPMessage
from typing import Any, Generic, NamedTuple, TypeVar

import txaio
from attrs import define, field, frozen
from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from treq.client import HTTPClient as TreqClient
from treq import content
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory, connectionDone
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure
from twisted.internet.error import ConnectionDone
from twisted.trial.unittest import FailTest
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from ropewalk.awaiting import inlineCallbacks
from ropewalk.interfaces import Steps
from ropewalk.testing.clock import Clock
