# -*- test-case-name: tests.test_host -*-
"""
What ``makeService`` sees of the daemon.
"""

from __future__ import annotations

from typing import Any

from zope.interface import Attribute, Interface

from ropewalk.interfaces.callers import IAuthoriser

__all__ = ["IHost"]


class IHost(Interface):
    """
    What ``makeService`` sees of the daemon. A host stops at ``makeService``:
    hand on by name what an object needs, never the host.
    """

    web = Attribute("Pages and WebSockets: the default site, an IWeb.")
    hub = Attribute("The channels, an IHub.")
    operations = Attribute("What can be called, an IOperations.")
    health = Attribute("Health checks, an IHealth.")
    reactor = Attribute("The reactor, which is the clock too.")

    def authorise(authoriser: IAuthoriser) -> None:
        """
        Have somebody say who may do what: call which operations, be in which channels.
        As long as nobody does, what takes something is for no one.

        :raise Conflict: When there is another already.
        """

    def listener(endpoint: str, factory: Any) -> Any:
        """
        A service that accepts connections. Certificates are read and TCP ports
        bound before the daemon gives up its privileges; it accepts when *every*
        service has started, and on stopping says goodbye to each connection.

        :param endpoint: Where: a Twisted server endpoint, ``"tcp:7070"``.
        :param factory: Any Twisted factory.
        :return: an ``IService``. Return it from ``makeService``, alone or in a
            ``MultiService``.
        :raise BadEndpoint: When the string is no endpoint, or what it needs is
            not there.
        :raise MissingExtra: When it needs a library that is not installed.
        :raise Conflict: When another service listens there.
        """

    def datagrams(endpoint: str, protocol: Any) -> Any:
        """
        A service that takes datagrams. As with :meth:`listener`, the port is bound
        before the daemon gives up its privileges, what comes is heard when every
        service has started, and on stopping each peer is told goodbye.

        :param endpoint: Where: ``"udp:7072"``, ``"udp:7072:interface=127.0.0.1"``.
        :param protocol: A :class:`~ropewalk.net.datagrams.Datagrams`, or any Twisted
            ``DatagramProtocol``.
        :return: an ``IService``, to be returned from ``makeService``.
        :raise BadEndpoint: When the string is no such endpoint.
        :raise Conflict: When another service takes datagrams there.
        """
