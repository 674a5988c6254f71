# -*- test-case-name: tests.test_operations -*-
"""
The operations of a daemon: offered by services, called by whoever may.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from attrs import define, field, frozen
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import (
    BadOperation,
    Conflict,
    Fault,
    Forbidden,
    Invalid,
    NoSuchOperation,
    RopewalkError,
)
from ropewalk.interfaces import Caller, IAuthoriser, IOperations, Steps
from ropewalk.operations.calling import Called, Invocation, Registered, Terms
from ropewalk.operations.declaring import Declaration, declaration_of
from ropewalk.operations.describing import Offered, describe
from ropewalk.operations.figures import Count, Figures
from ropewalk.operations.limits import Limit
from ropewalk.operations.parameters import Arguments, Parameters, Progress
from ropewalk.operations.peers import AlreadyOffered, Free, Peer, Peers, Routing
from ropewalk.schema import nearest
from ropewalk.schema.signatures import name_of, place_of

__all__ = ["OFFERING", "Operations"]

_SERVICE = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,79}")

#: A whole name, as peers offer it.
_NAME = re.compile(rf"{_SERVICE.pattern}\.{_SERVICE.pattern}")

#: The first word of what is asked of a connection itself: ``rpc.cancel``. An operation
#: of such a name would be called in its place (JSON-RPC 2.0, section 4, reserves them).
_RESERVED = "rpc"

#: What it takes to offer an operation as a peer.
OFFERING = "operations.offer"

#: How many operations peers may offer, all of them together.
_MOST_OF_PEERS = 10_000

#: Characters of a name that nobody knows which are shown.
_SHOWN = 80


@define
class TooManyOffered(RopewalkError):
    """
    Peers offer as many operations as they may.
    """

    status = 503

    limit: int

    def __str__(self) -> str:
        return f"there are already {self.limit} operations of those who are connected"


@define(eq=False)
class Operations:
    """
    The operations of one daemon.

    :param clock: Where time comes from.
    :param observe: Told of each call of an operation that has ended, if anybody wants
        to know.
    """

    _clock: IReactorTime
    _observe: Callable[[Called], None] | None = None
    _terms: Terms = field(init=False)
    _known: dict[str, Registered] = field(factory=dict, init=False)
    _peers: dict[str, Peers] = field(factory=dict, init=False)

    @_terms.default
    def _make_terms(self) -> Terms:
        return Terms(self._clock, None, self._observe)

    def add(self, name: str, offered: Any, plugin: str | None = None) -> None:
        """
        See :meth:`ropewalk.interfaces.IOperations.add`.

        :param plugin: The service that offers them; work is done in its name.
        """
        if _SERVICE.fullmatch(name) is None:
            problem = (
                f"{name!r} is no name to put before operations: take letters, digits, "
                "'_' and '-', a letter first"
            )
            raise BadOperation(_class_name(offered), _place(offered), problem)
        if name == _RESERVED:
            problem = (
                f"{name!r} is for what connections do themselves: take another name"
            )
            raise BadOperation(_class_name(offered), _place(offered), problem)
        found = list(_marked(offered))
        if not found:
            raise BadOperation(_class_name(offered), _place(offered), _none_in(offered))
        made = [_make(name, plugin, each, declared) for each, declared in found]
        for operation in made:
            taken = self._known.get(operation.name)
            if taken is not None:
                thing = f"the operation {operation.name!r}"
                raise Conflict(thing, _told(taken), _told(operation))
        self._known.update((each.name, each) for each in made)

    def authorise(self, authoriser: IAuthoriser) -> None:
        """
        Have somebody say who may call what. As long as nobody does, an operation that
        requires something may be called by no one.
        """
        self._terms.authoriser = authoriser

    def of(self, plugin: str) -> IOperations:
        """The operations as one plugin sees them."""
        return _PluginOperations(plugin, self)

    def call(
        self,
        name: str,
        arguments: Arguments,
        caller: Caller,
        *,
        progress: Progress | None = None,
        timeout: float | None = None,
        write: Callable[[Any], Any] | None = None,
    ) -> Deferred[Any]:
        """
        Call an operation. Cancelling the Deferred cancels the work; it fires when
        that has given in.

        What could be wrong is looked for in this order: whether there is such an
        operation, whether the caller has called it too often (what is refused later is
        counted as well), whether they may, whether the arguments are right. So who may
        not call it does not hear what is wrong with the arguments. (What it takes is
        no secret: :meth:`offered` tells everybody.)

        :param arguments: By name, or a list of them in their order. They are checked.
        :param progress: Called with each progressive result; one that raises fails the
            operation.
        :param timeout: Seconds the caller will wait; the operation's own time-out
            still holds.
        :param write: Makes of the result what the caller is sent: bytes, say. If it
            raises, the operation has failed: its result was none.
        :return: fires with the result, or what was made of it.
        :raise NoSuchOperation: When nobody offers it.
        :raise TooMany: When the caller has called it too often.
        :raise Forbidden: When they may not.
        :raise Invalid: With all that is wrong with the arguments.
        :raise TimedOut: When it takes too long; it was cancelled then.
        :raise RopewalkError: As the operation does. Any other error of its own is
            logged, and the caller hears that something went wrong, and no more.
        """
        operation = self._known.get(name)
        if operation is None:
            return fail(NoSuchOperation(name[:_SHOWN], nearest(name, self._known)))
        own = operation.declared.timeout
        if timeout is None or (own is not None and own < timeout):
            timeout = own
        call = Invocation(operation, caller, progress, self._terms, write)
        return call.run(arguments, timeout)

    def observe(self, observe: Callable[[Called], None] | None) -> None:
        """Tell somebody of each call that ends from now on, or nobody."""
        self._terms.observe = observe

    @inlineCallbacks
    def offer(
        self,
        name: str,
        peer: Peer,
        caller: Caller,
        routing: Routing = "single",
        requires: str | None = None,
    ) -> Steps[None]:
        """
        Offer an operation of somebody's who is connected, until it is withdrawn. It is
        called as any other; what it takes only the peer knows.

        :param name: ``"lamp.switch"``.
        :param caller: Who offers it. The authoriser is asked whether they may, for
            :data:`OFFERING`; without one, nobody may.
        :param routing: Who is asked if several offer it.
        :param requires: What it takes to call it; ``None`` for nothing.
        :return: fires when it can be called.
        :raise Forbidden: When they may not.
        :raise Invalid: When that is no name, or one that begins with ``rpc.``.
        :raise AlreadyOffered: When somebody else offers it, and not to share it.
        :raise OtherTerms: When others offer it with another ``routing``, or another
            ``requires``.
        :raise TooManyOffered: When peers offer as many as they may.
        """
        _check_name(name)
        authoriser = self._terms.authoriser
        permitted: Any = False
        if authoriser is not None:
            permitted = yield authoriser.permits(caller, OFFERING, name)
        if not permitted:
            raise Forbidden(f"offer {name!r}", OFFERING)
        peers = self._peers.get(name)
        if peers is None:
            if name in self._known:
                raise AlreadyOffered(name)
            if len(self._peers) >= _MOST_OF_PEERS:
                raise TooManyOffered(_MOST_OF_PEERS)
            peers = Peers(name, routing, requires)
            self._known[name] = _make_free(peers)
            self._peers[name] = peers
        peers.add(peer, routing, requires)

    def withdraw(self, name: str, peer: Peer) -> None:
        """Offer a peer's operation no longer; what is under way is for the peer."""
        peers = self._peers.get(name)
        if peers is not None:
            peers.remove(peer)
            if not peers:
                del self._peers[name], self._known[name]

    def find(self, name: str) -> Offered | None:
        """What there is to be told of an operation; ``None`` if there is none."""
        known = self._known.get(name)
        return None if known is None else known.offered

    def offered(self) -> tuple[Offered, ...]:
        """What can be called, by name."""
        return tuple(self._known[name].offered for name in sorted(self._known))

    def figures(self) -> dict[str, Figures]:
        """What was counted of each operation, by name."""
        return {name: self._known[name].count.figures() for name in sorted(self._known)}

    def __contains__(self, name: str) -> bool:
        """Whether there is an operation of this name."""
        return name in self._known

    def __len__(self) -> int:
        """How many there are."""
        return len(self._known)


@implementer(IOperations)
@frozen
class _PluginOperations:
    _plugin: str
    _operations: Operations

    def add(self, name: str, offered: Any) -> None:
        self._operations.add(name, offered, self._plugin)

    def call(self, name: str, arguments: Arguments) -> Deferred[Any]:
        caller = Caller("service", self._plugin)
        return self._operations.call(name, arguments, caller)


def _make(
    service: str, plugin: str | None, method: Any, declared: Declaration
) -> Registered:
    name = f"{service}.{declared.name}"
    title = "".join(
        word[:1].upper() + word[1:] for word in re.split(r"[^A-Za-z0-9]+", name)
    )
    parameters = Parameters.of(method, title)
    return Registered(
        name,
        plugin,
        method,
        declared,
        parameters,
        describe(name, method, declared, parameters),
        None if declared.rate is None else Limit(declared.rate),
        Count(),
    )


def _check_name(name: str) -> None:
    """
    See whether a peer may offer something of this name.

    :raise Invalid: When it may not.
    """
    problem = ""
    if _NAME.fullmatch(name) is None:
        problem = "expected a name like 'lamp.switch', of letters, digits, _ and -"
    elif name.partition(".")[0] == _RESERVED:
        problem = "names that begin with 'rpc.' are for what connections do themselves"
    if problem:
        raise Invalid((Fault("name", problem),))


def _make_free(peers: Peers) -> Registered:
    """An operation of peers'."""
    declared = Declaration(
        requires=peers.requires, summary="Offered by who is connected."
    )
    return Registered(
        peers.name,
        None,
        peers.ask,
        declared,
        Free(),
        Offered(
            peers.name,
            peers.name.partition(".")[0],
            declared.summary,
            "",
            peers.requires,
            None,
            declared.timeout,
            True,
            None,
            Any,
            peers.ask,
        ),
        None,
        Count(),
    )


def _marked(offered: Any) -> Iterator[tuple[Any, Declaration]]:
    """
    The operations in an object, in the order in which they are written. Who overrides
    one marks it again, or takes it out.
    """
    own = getattr(offered, "__dict__", {})
    if not isinstance(offered, type):
        names = dict.fromkeys(
            name for cls in reversed(type(offered).__mro__) for name in vars(cls)
        )
        for name in {**names, **dict.fromkeys(own)}:
            written = own.get(name) or _written(type(offered), name)
            declared = declaration_of(written)
            if declared is not None:
                yield getattr(offered, name), declared


def _written(kind: type, name: str) -> Any:
    for cls in kind.__mro__:
        if name in vars(cls):
            return vars(cls)[name]
    return None


def _none_in(offered: Any) -> str:
    if isinstance(offered, type):
        return f"it is a class: add an object, {offered.__name__}(…)"
    return "nothing in it is an operation: mark methods with @operation"


def _class_name(offered: Any) -> str:
    return name_of(offered if isinstance(offered, type) else type(offered))


def _place(offered: Any) -> str:
    return place_of(offered if isinstance(offered, type) else type(offered))


def _told(operation: Registered) -> str:
    return f"{name_of(operation.method)} ({place_of(operation.method)})"
