"""
A chat, which greets as its settings say.
"""

from typing import Annotated

from klein import Klein
from twisted.application.service import Service

from ropewalk.schema import Meta, Shape


class Settings(Shape):
    """The table [chat] of the settings file."""

    greeting: Annotated[str, Meta(min_length=1, max_length=60)] = "Hello."


class Pages:
    """What browsers and curl get."""

    routes = Klein()

    def __init__(self, greeting):
        self._greeting = greeting

    @routes.route("/")
    def greet(self, request):
        return f"{self._greeting}\n"


def makeService(settings, host):
    host.web.mount("/chat", Pages(settings.greeting).routes)
    return Service()
