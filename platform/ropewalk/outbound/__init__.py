# -*- test-case-name: tests.test_outbound -*-
"""
Calls to others: tried again when they fail, and not tried at all while that is in vain.

``ropewalk.outbound.http`` asks over HTTP, ``ropewalk.outbound.webhooks`` tells others
what is published; who wants neither need not import what they take.
"""

from ropewalk.outbound.breakers import Breaker
from ropewalk.outbound.retries import Retries, call

__all__ = ["Breaker", "Retries", "call"]
