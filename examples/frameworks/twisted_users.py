"""
``getUsers`` as in Twisted: a method of a service, which asks another server by treq,
and waits by ``yield``. When that server cannot be reached, the log says why, and there
are no users; when it talks nonsense, our client is told that it is not to blame.

::

    $ ropewalk run twisted_users.py
    $ curl http://127.0.0.1:8080/users
    []

``ROPEWALK_TWISTED_USERS__URL`` in the environment is where to ask.
"""

import treq
from treq.client import HTTPClient
from twisted.application.service import Service
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.logger import Logger
from twisted.web.client import Agent, ResponseFailed

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import Invalid
from ropewalk.interfaces import IHost, Steps
from ropewalk.schema import Shape, read_json
from ropewalk.web import Refused, Routes, Timeout


class Settings(Shape):
    url: str = "http://127.0.0.1:9/users.json"


class User(Shape):
    name: str


class UserService(Service):
    routes = Routes()
    _log = Logger()

    def __init__(self, url: str, http: HTTPClient) -> None:
        self._url = url
        self._http = http

    @routes.get("/users", timeout=Timeout(5, 504))
    @inlineCallbacks
    def getUsers(self) -> Steps[list[User]]:
        """All users, as the other server knows them."""
        try:
            response = yield self._http.get(self._url)
            body: bytes = yield treq.content(response)
            return read_json(list[User], body)
        except (DNSLookupError, ConnectError, ResponseFailed):
            self._log.failure("no users from {url}", url=self._url)
            return []
        except Invalid as error:
            raise Refused(502, f"the other server talks nonsense: {error}") from error


def makeService(settings: Settings, host: IHost) -> UserService:
    users = UserService(settings.url, HTTPClient(Agent(host.reactor)))
    host.web.mount("/", users.routes)
    return users
