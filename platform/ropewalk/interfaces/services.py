# -*- test-case-name: tests.test_host -*-
"""
What a service is to the daemon, and offers there: plugins, lifetimes, health,
operations.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

__all__ = ["IDrainable", "IHealth", "IOperations", "IReconfigurable", "IServicePlugin"]


class IServicePlugin(Interface):
    """
    A service that can be had, named without being imported.
    """

    name = Attribute("Its table in the settings file, a str.")
    module = Attribute("The dotted name of the module that builds it, a str.")
    place = Attribute("Where it is declared: ``file:line`` or a distribution, a str.")


class IOperations(Interface):
    """
    Where a service offers operations: methods that anybody may call, by whatever
    protocol the daemon speaks.
    """

    def add(name: str, offered: Any) -> None:
        """
        Offer all methods of an object that are marked with
        :func:`~ropewalk.operations.operation`.

        :param name: What stands before the methods' names: ``"chat"`` for
            ``chat.say``. Letters, digits, ``_`` and ``-``; a letter first.
        :raise BadOperation: When one cannot be offered, or there is none.
        :raise Conflict: When there is an operation of that name already.
        """

    def call(name: str, arguments: Mapping[str, Any] | Sequence[Any]) -> Deferred[Any]:
        """
        Call an operation, whoever offers it, in the name of the service: as a caller
        whose ``via`` is ``"service"`` and whose ``address`` is the service's name.

        :param arguments: What JSON can say, by name or by place.
        :return: fires with the result, or fails, as
            :meth:`ropewalk.operations.Operations.call` does.
        """


class IDrainable(Interface):
    """
    One end of a connection that can say goodbye. A protocol implements it, or
    is adapted to it; one that is neither is closed as it stands.
    """

    def drain(reason: str) -> None:
        """
        Finish what is under way, tell the peer why, and close; soon, not at
        once. The connection's loss is how the caller knows that it is done.

        :param reason: Why, in a few words for people: ``"shutting down"``.
        """


class IReconfigurable(Interface):
    """
    A service that can take new settings while it runs.
    """

    def reconfigure(
        settings: Any,
    ) -> Collection[str] | Deferred[Collection[str]] | None:
        """
        Work by these settings from now on. Raise to refuse: everything that
        was already reconfigured, and this service, which may have come half
        way, is then given its old settings again. Taking longer than the
        service may take to start is refusing, too.

        :param settings: The new value of the plugin's ``Settings``.
        :return: the names of changed settings which only a restart applies
            (or a Deferred of them); nothing when all is applied.
        """


class IHealth(Interface):
    """
    Where a service says whether it can do its work.
    """

    def add(name: str, check: Callable[[], str | Deferred[str | None] | None]) -> None:
        """
        Ask this on every look at ``/health/ready``.

        :param name: What is checked: ``"database"``.
        :param check: Called without arguments; returns ``None`` while all is
            well, otherwise why it is not (or a Deferred or awaitable of these).
            Raising, or taking longer than five seconds, is not well.
        """
