"""
``twistd -r uvloop``, ``trial --reactor uvloop``.
"""

from twisted.application.reactors import Reactor

uvloop = Reactor(
    "uvloop", "ropewalk.run.reactors", "asyncio's event loop on uvloop (libuv)."
)
