"""
``twistd ropewalk``.
"""

from twisted.application.service import ServiceMaker

daemon = ServiceMaker(
    "Ropewalk",
    "ropewalk.run.tap",
    "HTTP, WebSocket and TCP services, as one settings file asks for them.",
    "ropewalk",
)
