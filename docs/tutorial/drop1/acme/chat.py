"""
A chat, which only says hello so far.
"""

from klein import Klein
from twisted.application.service import Service


class Pages:
    """What browsers and curl get."""

    routes = Klein()

    @routes.route("/")
    def greet(self, request):
        return "Hello.\n"


def makeService(settings, host):
    host.web.mount("/chat", Pages().routes)
    return Service()
