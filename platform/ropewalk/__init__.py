"""
Ropewalk: HTTP, WebSocket and raw TCP services side by side in one Twisted daemon.
"""

__version__ = "0.1.0"
