"""
Tests for L{ropewalk.web.components}.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from contextvars import ContextVar, copy_context
from typing import Annotated, Any, NewType

from attrs import define, frozen
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.iweb import IRequest
from twisted.web.server import Request
from zope.interface import Interface

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import BadHandler, Invalid
from ropewalk.interfaces import Steps
from ropewalk.schema import Meta, Shape
from ropewalk.web.binding import Binding, Cookie, Header, Path, Query, bind
from ropewalk.web.components import Components, Scope
from tests.test_binding import request

Tenant = NewType("Tenant", str)


class IClock(Interface):
    """An interface may be asked for as well."""


@frozen
class Settings:
    """What others need."""

    size: int = 1


@frozen
class Session:
    """What is opened, and closed."""

    settings: Settings | None = None


@frozen
class User:
    """Who asks."""

    name: str


@define
class Repository:
    """A class that is a component."""

    session: Session
    _user: User


class Note(Shape):
    """What a component takes from the query."""

    text: str


class Paging(Shape):
    """The same, with a rule."""

    page: Annotated[int, Meta(ge=1)] = 1


class ComponentCase(SynchronousTestCase):
    """
    Components, and handlers that ask for them.

    @ivar told: What happened, in its order.
    """

    def setUp(self) -> None:
        self.components = Components()
        self.told: list[str] = []
        self.asked = request()

    def tell(self, what: str) -> None:
        self.told.append(what)

    def bind(self, function: Callable[..., Any], **more: Any) -> Binding:
        given = {"path": {}, "methods": {"POST"}, "components": self.components}
        return bind(function, **{**given, **more})

    def call(self, function: Callable[..., Any], asked: Request | None = None) -> Any:
        """What a handler returns for a request, which has not ended then."""
        return self.bind(function).call(asked or self.asked, {})

    @property
    def scope(self) -> Scope:
        asked: Any = self.asked
        scope: Scope = asked.scope
        return scope

    def close(self, error: BaseException | None = None) -> Any:
        """End the request."""
        return self.scope.close(error)

    def wrong(self, function: Callable[..., Any], **more: Any) -> BadHandler:
        with self.assertRaises(BadHandler) as raised:
            self.bind(function, **more)
        error: BadHandler = raised.exception
        return error


def line_of(function: Any) -> str:
    """Where a function of this module is written."""
    return f"{__file__}:{function.__code__.co_firstlineno}"


class AskingTests(ComponentCase):
    """
    A handler is given what it asks for by type.
    """

    def test_flavours(self) -> None:
        """
        A component is a function of any flavour, or a class.
        """

        def plain() -> User:
            return User("plain")

        def waiting() -> Deferred[User]:
            return succeed(User("waiting"))

        @inlineCallbacks
        def steps() -> Steps[User]:
            name: str = yield succeed("steps")
            return User(name)

        async def coroutine() -> User:
            return User(await succeed("coroutine"))

        def generator() -> Iterator[User]:
            yield User("generator")

        def long_generator() -> Generator[User, None, None]:
            yield User("long_generator")

        async def asynchronous() -> AsyncIterator[User]:
            yield User(await succeed("asynchronous"))

        async def long_asynchronous() -> AsyncGenerator[User, None]:
            yield User("long_asynchronous")

        def view(user: User) -> str:
            return user.name

        for function in (
            plain,
            waiting,
            steps,
            coroutine,
            generator,
            long_generator,
            asynchronous,
            long_asynchronous,
        ):
            self.components = Components()
            self.components.add(function)
            asked = request()
            answer = self.call(view, asked)
            if isinstance(answer, Deferred):
                answer = self.successResultOf(answer)
            self.assertEqual(answer, function.__name__)

    def test_objects(self) -> None:
        """
        A component may be an object that can be called, or a method.
        """

        class Users:
            def __call__(self) -> Iterator[User]:
                yield User("called")

            def find(self) -> Iterator[User]:
                yield User("found")

        def view(user: User) -> str:
            return user.name

        for function, expected in ((Users(), "called"), (Users().find, "found")):
            self.components = Components()
            self.components.add(function)
            self.assertEqual(self.call(view, request()), expected)

    def test_class(self) -> None:
        """
        A class is its constructor.
        """

        def view(repository: Repository) -> Any:
            return repository

        for each in (Repository, Session, Settings):
            self.components.add(each)
        self.components.provide(User, User("ann"))
        expected = Repository(Session(Settings()), User("ann"))
        self.asked = request("/?size=1")
        self.assertEqual(self.call(view), expected)

    def test_provided(self) -> None:
        """
        A value may be there already; nothing is made, or closed.
        """

        def view(user: User) -> Any:
            return user

        user = User("ann")
        self.components.provide(User, user)
        self.assertIs(self.call(view), user)
        self.assertFalse(hasattr(self.asked, "scope"))
        self.assertEqual(self.bind(view).components, ())

    def test_said_otherwise(self) -> None:
        """
        C{provides} says what the annotation does not: a new type, an interface.
        """

        def clock() -> Any:
            return "clock"

        def tenant(host: Header[str]) -> str:
            return host

        def view(clock: IClock, tenant: Tenant) -> Any:
            return clock, tenant

        self.components.add(clock, provides=IClock)
        self.components.add(tenant, provides=Tenant)
        self.asked = request("/", headers={"Host": "acme"})
        self.assertEqual(self.call(view), ("clock", "acme"))

    def test_none(self) -> None:
        """
        A component may give C{None} to whoever is prepared.
        """

        def user() -> User | None:
            return None

        def view(user: User | None) -> Any:
            return user

        def careless(user: User) -> Any:
            return user

        self.components.add(user)
        self.assertIsNone(self.call(view))
        self.assertEqual(
            self.wrong(careless).problem,
            f"parameter 'user': user ({line_of(user)}) may give None: annotate it with "
            "User | None",
        )

    def test_prepared_for_none(self) -> None:
        """
        Who is prepared for C{None} takes a component that never gives it.
        """

        def view(user: User | None) -> Any:
            return user

        self.components.provide(User, User("ann"))
        self.assertEqual(self.call(view), User("ann"))

    def test_default(self) -> None:
        """
        A default is not used where there is a component.
        """

        def view(user: User = User("nobody")) -> Any:
            return user

        self.components.provide(User, User("ann"))
        self.assertEqual(self.call(view), User("ann"))

    def test_before_the_body(self) -> None:
        """
        What a component gives is not read from the request, though it could be.
        """

        def view(user: User) -> Any:
            return user

        self.asked = request("/", b'{"name": "eve"}')
        self.assertEqual(self.call(view), User("eve"))
        self.components.provide(User, User("ann"))
        self.assertEqual(self.call(view), User("ann"))

    def test_parents(self) -> None:
        """
        What a registry lacks its parent gives; what both have is the child's, also
        for the parent's components.
        """

        def session(settings: Settings) -> Session:
            return Session(settings)

        def view(session: Session, user: User) -> Any:
            return session, user

        parent = self.components
        parent.add(session)
        parent.provide(Settings, Settings(1))
        parent.provide(User, User("ann"))
        self.components = Components(parent)
        self.components.provide(Settings, Settings(2))
        self.assertEqual(self.call(view), (Session(Settings(2)), User("ann")))
        self.components, self.asked = parent, request()
        self.assertEqual(self.call(view), (Session(Settings(1)), User("ann")))

    def test_later(self) -> None:
        """
        Components are looked for when a handler is bound, not before.
        """

        def view(user: User) -> Any:
            return user

        self.components.add(functools.partial(User, "ann"), provides=User)
        self.assertEqual(self.call(view), User("ann"))
        self.components.add(Settings)
        self.assertEqual({each.kind for each in self.components}, {User, Settings})

    def test_all(self) -> None:
        """
        All components there are can be looked at, the nearest of each type.
        """
        parent = self.components
        parent.add(Settings)
        parent.add(Session)
        self.components = Components(parent)
        self.components.provide(Settings, Settings())
        self.assertEqual(
            [(each.kind, each.style) for each in self.components],
            [(Settings, "value"), (Session, "plain")],
        )


class RequestTests(ComponentCase):
    """
    A component takes from the request what a handler can.
    """

    def test_everything_but_the_body(self) -> None:
        """
        The request, what is in its path, query, headers and cookies, and shapes of
        the query.
        """

        def user(
            request: IRequest,
            company: Path[str],
            page: int,
            x_token: Header[str],
            session: Cookie[str],
            paging: Query[Paging],
        ) -> User:
            self.assertIs(request, self.asked)
            return User(f"{company} {page} {x_token} {session} {paging.page}")

        def view(user: User) -> str:
            return user.name

        self.components.add(user)
        self.asked = request("/?page=3", b"", {"X-Token": "t", "Cookie": "session=s"})
        binding = self.bind(view, path={"company": str})
        self.assertEqual(binding.call(self.asked, {"company": "a"}), "a 3 t s 3")

    def test_by_place(self) -> None:
        """
        The request is known by its place, and what is in the path by its name.
        """

        def user(it, company):  # type: ignore[no-untyped-def]
            self.assertIs(it, self.asked)
            return User(company)

        def view(user: User) -> str:
            return user.name

        self.components.add(user, provides=User)
        binding = self.bind(view, path={"company": str})
        self.assertEqual(binding.call(self.asked, {"company": "acme"}), "acme")

    def test_defaults(self) -> None:
        """
        What has no annotation and a default is left at it, also in the first place.
        """

        def user(name="ann", other="bob") -> User:  # type: ignore[no-untyped-def]
            return User(name + other)

        def view(user: User) -> str:
            return user.name

        self.components.add(user)
        self.asked = request("/?name=eve")
        self.assertEqual(self.call(view), "annbob")

    def test_positional(self) -> None:
        """
        What cannot be given by name is given by place.
        """

        def session(settings: Settings, size: int, /) -> Session:
            assert size == 3
            return Session(settings)

        def view(session: Session) -> Any:
            return session

        self.components.add(session)
        self.components.add(lambda: Settings(4), provides=Settings)
        self.asked = request("/?size=3")
        self.assertEqual(self.call(view), Session(Settings(4)))

    def test_faults(self) -> None:
        """
        What is wrong with what a component takes is told with all else; nothing is
        made then.
        """

        def user(x_user: Header[str], page: int) -> User:
            self.tell("made")
            return User(x_user)

        def view(user: User, page: int, note: Note) -> None:
            """Is not called."""

        self.components.add(user)
        self.asked = request("/?page=x", b"{}")
        with self.assertRaises(Invalid) as raised:
            self.call(view)
        self.assertEqual(
            [(each.where, str(each)) for each in raised.exception.faults],
            [
                ("query", "page: expected an integer, got 'x'"),
                ("body", "text: required, but missing"),
                ("header", "X-User: required, but missing"),
            ],
        )
        self.assertEqual((self.told, raised.exception.status), ([], 400))

    def test_parameters(self) -> None:
        """
        What components ask for is told behind what the handler does, with who asks.
        """

        def user(session: Session, x_user: Header[str]) -> User:
            return User(x_user)

        def session(page: int = 1) -> Session:
            return Session()

        def view(user: User) -> None:
            """Asks for a user."""

        security = {"type": "http", "scheme": "basic"}
        self.components.add(user, security=security)
        self.components.add(session)
        binding = self.bind(view)
        self.assertEqual(
            [
                (each.where, each.key, each.component and each.component.kind)
                for each in binding.parameters
            ],
            [
                ("component", "User", None),
                ("query", "page", Session),
                ("component", "Session", User),
                ("header", "X-User", User),
            ],
        )
        self.assertEqual([each.kind for each in binding.components], [Session, User])
        self.assertEqual(binding.components[1].security, security)
        self.assertEqual(binding.components[1].function, user)
        self.assertEqual(binding.components[1].place, line_of(user))


class CountingTests(ComponentCase):
    """
    A component is called as rarely as can be.
    """

    def setUp(self) -> None:
        super().setUp()
        self.calls: Counter[str] = Counter()

        def settings() -> Settings:
            self.calls["settings"] += 1
            return Settings()

        @inlineCallbacks
        def session(settings: Settings) -> Steps[Session]:
            self.calls["session"] += 1
            yield succeed(None)
            return Session(settings)

        async def user(settings: Settings, session: Session) -> User:
            self.calls["user"] += 1
            return User("ann")

        for each in (user, session, settings):
            self.components.add(each)

    def ask(self, function: Callable[..., Any]) -> None:
        answer = self.call(function, request())
        if isinstance(answer, Deferred):
            self.successResultOf(answer)

    def test_not_asked(self) -> None:
        """
        It is not called for handlers that do not ask for it.
        """

        def without(request: IRequest) -> None:
            """Needs nothing."""

        def typed(page: int = 1) -> None:
            """Needs something else."""

        def some(settings: Settings) -> None:
            """Needs one of three."""

        self.ask(without)
        self.ask(typed)
        self.assertEqual(self.calls, {})
        self.ask(some)
        self.assertEqual(self.calls, {"settings": 1})

    def test_once(self) -> None:
        """
        It is called once for a request, also when several ask for it; and again for
        the next request.
        """

        def view(user: User, settings: Settings, same: Settings) -> None:
            assert same is settings

        self.ask(view)
        self.assertEqual(self.calls, {"settings": 1, "session": 1, "user": 1})
        self.ask(view)
        self.assertEqual(self.calls, {"settings": 2, "session": 2, "user": 2})

    def test_once_for_all_of_a_request(self) -> None:
        """
        What one function had made for a request is there for the next, until it is
        closed.
        """

        def before(settings: Settings) -> Any:
            return settings

        def view(settings: Settings) -> Any:
            return settings

        self.assertIs(self.call(before), self.call(view))
        self.assertEqual(self.calls, {"settings": 1})
        self.close()
        self.call(view)
        self.assertEqual(self.calls, {"settings": 2})


class ClosingTests(ComponentCase):
    """
    What was made is closed when the request has ended.
    """

    def setUp(self) -> None:
        super().setUp()

        def settings() -> Iterator[Settings]:
            self.tell("open settings")
            try:
                yield Settings()
            except BaseException as error:
                self.tell(f"{type(error).__name__} in settings")
                raise
            self.tell("close settings")

        async def session(settings: Settings) -> AsyncIterator[Session]:
            self.tell("open session")
            try:
                yield Session(settings)
            except BaseException as error:
                self.tell(f"{type(error).__name__} in session")
                raise
            await self.closing()
            self.tell("close session")

        def user(session: Session) -> User:
            self.tell("open user")
            return User("ann")

        def close_user(user: User) -> Any:
            self.tell(f"close {user.name}")
            return self.closing()

        self.components.add(user, close=close_user)
        self.components.add(session)
        self.components.add(settings)
        self.closing: Callable[[], Deferred[Any]] = lambda: succeed(None)

    opened = ("open settings", "open session", "open user")

    @staticmethod
    def view(user: User) -> str:
        """Needs all three."""
        return user.name

    def begin(self) -> None:
        """Ask, and forget what was told until then."""
        self.assertEqual(self.successResultOf(self.call(self.view)), "ann")
        self.assertEqual(self.told, [*self.opened])
        self.told.clear()

    def test_reverse(self) -> None:
        """
        It is closed in reverse order, each once.
        """
        self.begin()
        self.successResultOf(self.close())
        self.assertEqual(self.told, ["close ann", "close session", "close settings"])
        self.assertIsNone(self.close())
        self.assertEqual(len(self.told), 3)

    def test_nothing_to_wait_for(self) -> None:
        """
        No Deferred is made where nothing has to be waited for.
        """

        def view(settings: Settings) -> None:
            """Needs what need not be waited for."""

        self.assertIsNone(self.call(view))
        self.assertIsNone(self.close())
        self.assertEqual(self.told, ["open settings", "close settings"])

    def test_waiting(self) -> None:
        """
        Each is waited for before the next is closed.
        """
        turns = [Deferred[None](), Deferred[None]()]
        waiting = iter(turns)
        self.closing = lambda: next(waiting)
        self.begin()
        closed = self.close()
        self.assertEqual(self.told, ["close ann"])
        turns[0].callback(None)
        self.assertEqual(self.told, ["close ann"])
        turns[1].callback(None)
        self.assertEqual(self.told, ["close ann", "close session", "close settings"])
        self.assertIsNone(self.successResultOf(closed))

    def test_an_error_of_the_handler(self) -> None:
        """
        It is raised at each yield, and stays what is told: the close fails with
        nothing of its own.
        """
        self.begin()
        self.assertIsNone(self.successResultOf(self.close(ValueError("x"))))
        self.assertEqual(
            self.told,
            ["close ann", "ValueError in session", "ValueError in settings"],
        )
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_cancellation(self) -> None:
        """
        A client that leaves is an error like any other, by the name that it has
        there.
        """
        self.begin()
        self.assertIsNone(self.successResultOf(self.close(CancelledError())))
        self.assertEqual(
            self.told,
            ["close ann", "CancelledError in session", "CancelledError in settings"],
        )
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_a_failing_close(self) -> None:
        """
        One that cannot be closed keeps none of the others open; it is told.
        """
        self.begin()
        results = iter([fail(ValueError("first")), fail(KeyError("second"))])
        self.closing = lambda: next(results)
        self.failureResultOf(self.close(), ValueError)
        self.assertEqual(self.told, ["close ann", "close settings"])
        (logged,) = self.flushLoggedErrors(KeyError)
        self.assertEqual(logged.value.args, ("second",))

    def test_a_failing_close_at_once(self) -> None:
        """
        Where nothing was waited for, it is raised.
        """

        def broken() -> Iterator[Note]:
            yield Note("x")
            raise ValueError("y")

        def view(settings: Settings, note: Note) -> None:
            """Needs both."""

        self.components.add(broken)
        self.call(view)
        with self.assertRaises(ValueError):
            self.close()
        self.assertEqual(self.told, ["open settings", "close settings"])

    def test_a_failing_close_after_an_error(self) -> None:
        """
        The error of the handler is what is told; what else goes wrong is logged.
        """

        def broken() -> Iterator[Note]:
            try:
                yield Note("x")
            except ValueError as error:
                raise KeyError("y") from error

        def view(note: Note) -> None:
            """Needs it."""

        self.components.add(broken)
        self.call(view)
        self.assertIsNone(self.close(ValueError("x")))
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_forgiving(self) -> None:
        """
        A component may take the error of the handler as it likes: it goes on all
        the same.
        """

        def forgiving() -> Iterator[Note]:
            with contextlib.suppress(ValueError):
                yield Note("x")

        def view(settings: Settings, note: Note) -> None:
            """Needs both."""

        self.components.add(forgiving)
        self.call(view)
        self.assertIsNone(self.close(ValueError("x")))
        self.assertEqual(self.told, ["open settings", "ValueError in settings"])

    def test_none_is_not_closed(self) -> None:
        """
        Where a component gave C{None}, there is nothing to close.
        """

        def note() -> Note | None:
            return None

        def view(note: Note | None) -> None:
            """Can do without."""

        self.components.add(note, close=self.tell)
        self.call(view)
        self.close()
        self.assertEqual(self.told, [])

    def test_another_component_fails(self) -> None:
        """
        What was made before another component failed is closed.
        """

        @inlineCallbacks
        def note(session: Session) -> Steps[Note]:
            yield fail(ValueError("x"))
            raise NotImplementedError

        def view(note: Note) -> None:
            """Is not called."""

        self.components.add(note)
        failed = self.failureResultOf(self.call(view), ValueError)
        self.successResultOf(self.close(failed.value))
        self.assertEqual(
            self.told[2:], ["ValueError in session", "ValueError in settings"]
        )

    def test_another_component_fails_at_once(self) -> None:
        """
        Where nothing was waited for, its error is raised.
        """

        def note(settings: Settings) -> Note:
            raise ValueError("x")

        def view(note: Note) -> None:
            """Is not called."""

        self.components.add(note)
        with self.assertRaises(ValueError) as raised:
            self.call(view)
        self.close(raised.exception)
        self.assertEqual(self.told, ["open settings", "ValueError in settings"])


class LeavingTests(ComponentCase):
    """
    A request may end while its components are being made.
    """

    def setUp(self) -> None:
        super().setUp()

        def settings() -> Iterator[Settings]:
            try:
                yield Settings()
            finally:
                self.tell("closed settings")

        self.components.add(settings)

    def view(self, settings: Settings, session: Session, user: User) -> None:
        """Tells when it is called."""
        self.tell("called")

    def test_cancelled(self) -> None:
        """
        What is being made is cancelled, what is to be made is not begun, and what
        was made is closed.
        """

        @inlineCallbacks
        def session() -> Steps[Session]:
            try:
                yield Deferred()
            finally:
                self.tell("cancelled")
            raise NotImplementedError

        def user() -> User:
            self.tell("begun")
            return User("ann")

        self.components.add(session)
        self.components.add(user)
        waiting = self.call(self.view)
        waiting.cancel()
        failure = self.failureResultOf(waiting, CancelledError)
        self.assertIsNone(self.close(failure.value))
        self.assertEqual(self.told, ["cancelled", "closed settings"])

    def test_stubborn(self) -> None:
        """
        What cannot be cancelled is closed as soon as it is made, if the request has
        ended by then; the handler is not called.
        """
        coming: Deferred[Session] = Deferred(lambda _: None)

        @inlineCallbacks
        def session() -> Steps[Session]:
            made: Session = yield coming
            return made

        self.components.add(session, close=lambda _: self.tell("closed session"))
        self.components.add(functools.partial(User, "ann"), provides=User)
        waiting = self.call(self.view)
        self.close(CancelledError())
        self.assertEqual(self.told, ["closed settings"])
        coming.callback(Session())
        self.failureResultOf(waiting, CancelledError)
        self.assertEqual(self.told, ["closed settings", "closed session"])

    def test_handler(self) -> None:
        """
        A handler that waits is cancelled, too.
        """

        async def session() -> Session:
            return Session()

        @inlineCallbacks
        def view(session: Session) -> Steps[None]:
            try:
                yield Deferred()
            finally:
                self.tell("cancelled")

        self.components.add(session)
        waiting = self.call(view)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertEqual(self.told, ["cancelled"])


class HandlerTests(ComponentCase):
    """
    The handler is called when all is there.
    """

    def setUp(self) -> None:
        super().setUp()
        self.coming: Deferred[User] = Deferred()

        def user() -> Deferred[User]:
            return self.coming

        self.components.add(user)

    def test_flavours(self) -> None:
        """
        It may be of any flavour; what it returns is waited for.
        """

        def plain(user: User) -> str:
            return user.name

        @inlineCallbacks
        def steps(user: User) -> Steps[str]:
            name: str = yield succeed(user.name)
            return name

        async def coroutine(user: User) -> str:
            return await succeed(user.name)

        for function in (plain, steps, coroutine):
            self.coming = Deferred()
            waiting = self.call(function, request())
            self.assertNoResult(waiting)
            self.coming.callback(User("ann"))
            self.assertEqual(self.successResultOf(waiting), "ann")

    def test_pieces(self) -> None:
        """
        A generator that it returns is a value like any other.
        """

        def pieces(user: User) -> Iterator[bytes]:
            yield user.name.encode()

        waiting = self.call(pieces)
        self.coming.callback(User("ann"))
        self.assertEqual([*self.successResultOf(waiting)], [b"ann"])

    def test_context(self) -> None:
        """
        It runs on behalf of its request, whoever else made it go on.
        """
        whose = ContextVar("whose", default="nobody's")

        def view(user: User) -> str:
            return whose.get()

        def ask() -> Any:
            whose.set("mine")
            return self.call(view)

        waiting = copy_context().run(ask)
        self.coming.callback(User("ann"))
        self.assertEqual(self.successResultOf(waiting), "mine")

    def test_errors(self) -> None:
        """
        What it raises is what its caller is told.
        """

        def view(user: User) -> None:
            raise ValueError(user.name)

        waiting = self.call(view)
        self.coming.callback(User("ann"))
        self.failureResultOf(waiting, ValueError)


class AsyncioTests(ComponentCase):
    """
    Components may be asynchronous in asyncio's own way.
    """

    def setUp(self) -> None:
        super().setUp()
        self.loop = asyncio.new_event_loop()
        self.addCleanup(self.loop.close)

        async def session() -> AsyncIterator[Session]:
            await asyncio.sleep(0)
            try:
                yield Session()
            except BaseException as error:
                self.tell(repr(error))
                raise
            finally:
                await asyncio.sleep(0)
                self.tell("closed")

        self.components.add(session)

    def view(self, session: Session) -> str:
        """Needs a session."""
        return "done"

    def play(self, error: BaseException | None) -> None:
        """Ask, and end the request, while a loop runs."""

        async def main() -> None:
            answer = await self.call(self.view).asFuture(self.loop)
            self.assertEqual(answer, "done")
            await self.close(error).asFuture(self.loop)

        self.loop.run_until_complete(main())

    def test_asyncio(self) -> None:
        """
        An asynchronous generator may wait for what is asyncio's, before its yield
        and behind it.
        """
        self.play(None)
        self.assertEqual(self.told, ["closed"])

    def test_errors(self) -> None:
        """
        An error of the handler is raised at its yield; a cancellation by asyncio's
        name.
        """
        self.play(ValueError("x"))
        self.play(CancelledError())
        self.assertEqual(
            self.told,
            ["ValueError('x')", "closed", "CancelledError()", "closed"],
        )
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_cancelled(self) -> None:
        """
        One that is being made is cancelled, and cleans up by itself.
        """

        async def main() -> None:
            waiting = self.call(self.view)
            waiting.cancel()
            with self.assertRaises(CancelledError):
                await waiting.asFuture(self.loop)
            self.assertIsNone(self.close(CancelledError()))

        self.loop.run_until_complete(main())
        self.assertEqual(self.told, [])


class RefusalTests(ComponentCase):
    """
    A component that cannot be had stops the start.
    """

    @staticmethod
    def view(user: User) -> None:
        """Needs a user."""

    def wrong_component(self, function: Callable[..., Any], **more: Any) -> str:
        """What is wrong with a component, which is named with its line."""
        self.components = Components()
        self.components.add(function, **more)
        error = self.wrong(self.view)
        self.assertEqual(error.place, line_of(function))
        self.assertEqual(error.name, function.__name__)
        return error.problem

    def test_missing(self) -> None:
        """
        What a component needs and nobody gives is told with who asks for it.
        """

        def user(session: Session) -> User:
            return User("ann")

        def session(it: IClock) -> Session:
            return Session()

        self.components.add(user)
        self.components.add(session)
        error = self.wrong(self.view)
        self.assertEqual((error.name, error.place), ("session", line_of(session)))
        self.assertEqual(
            error.problem,
            "parameter 'it': no request has a IClock in it, and no component gives "
            "one; there are components for User, Session (asked for by "
            "RefusalTests.view → User → Session)",
        )

    def test_circles(self) -> None:
        """
        Components that need each other cannot be made.
        """

        def user(session: Session) -> User:
            return User("ann")

        def session(settings: Settings) -> Session:
            return Session()

        def settings(session: Session) -> Settings:
            return Settings()

        for each in (user, session, settings):
            self.components.add(each)
        error = self.wrong(self.view)
        self.assertEqual((error.name, error.place), ("session", line_of(session)))
        self.assertEqual(
            error.problem,
            "it needs itself: RefusalTests.view → User → Session → Settings → Session; "
            f"these are session ({line_of(session)}), settings ({line_of(settings)})",
        )

    def test_twice(self) -> None:
        """
        Of two components for one type, nobody could tell which is meant.
        """

        def user() -> User:
            return User("ann")

        def other() -> User:
            return User("bob")

        self.components.add(user)
        self.components.add(other)
        error = self.wrong(self.view)
        self.assertEqual((error.name, error.place), ("other", line_of(other)))
        self.assertEqual(
            error.problem, f"User is given by user ({line_of(user)}) already"
        )

    def test_every_time(self) -> None:
        """
        It is told whenever somebody looks for a component.
        """

        def silent():  # type: ignore[no-untyped-def]
            """Says nothing."""

        self.components.add(silent)
        first, second = self.wrong(self.view), self.wrong(self.view)
        self.assertEqual(str(first), str(second))

    def test_twice_provided(self) -> None:
        """
        A value names the line that provides it.
        """
        self.components.provide(User, User("ann"))
        with self.assertRaises(BadHandler) as raised:
            self.components.provide(User, User("bob"))
        self.assertIn(__file__, raised.exception.place)
        self.assertIn(f"User is given by User ({__file__}:", raised.exception.problem)

    def test_too_common(self) -> None:
        """
        A component for text would take the text of every handler.
        """

        def name() -> str:
            return "ann"

        def names() -> list[str]:
            return ["ann"]

        for function, kind in ((name, "str"), (names, "list[str]")):
            self.assertEqual(
                self.wrong_component(function),
                f"a component cannot give every {kind}: give it a type of its own, "
                "such as a class or a typing.NewType",
            )

    def test_nothing_said(self) -> None:
        """
        A component says what it gives, and can be understood.
        """

        def silent():  # type: ignore[no-untyped-def]
            """Says nothing."""

        def unknown() -> Elsewhere:  # type: ignore[name-defined] # noqa: F821
            """Says what nobody knows."""

        def steps() -> Steps[User]:
            yield
            return User("ann")

        def generator() -> User:  # type: ignore[misc]
            yield User("ann")

        async def asynchronous() -> Iterator[User]:  # type: ignore[misc]
            yield User("ann")

        @contextlib.contextmanager
        def manager() -> Iterator[User]:
            yield User("ann")

        for function, problem in (
            (silent, "it does not say what it gives: annotate it with -> its type"),
            (unknown, "it cannot be told what it gives: there is no 'Elsewhere' in "),
            (steps, "it is annotated with Steps: decorate it with @inlineCallbacks"),
            (generator, "a generator is annotated with Iterator[its type]"),
            (asynchronous, "a generator is annotated with AsyncIterator[its type]"),
        ):
            self.assertIn(problem, self.wrong_component(function))
        self.components = Components()
        self.components.add(manager)
        self.assertIn("leave out @contextmanager", self.wrong(self.view).problem)

    def test_closed_twice(self) -> None:
        """
        What is behind the yield of a generator closes it, and nothing else does.
        """

        def user() -> Iterator[User]:
            yield User("ann")

        self.assertIn(
            "it has no need of close=", self.wrong_component(user, close=print)
        )

    def test_body(self) -> None:
        """
        The body is the handler's.
        """

        def user(note: Note) -> User:
            return User(note.text)

        self.assertEqual(
            self.wrong_component(user),
            "parameter 'note': a component cannot have the body; Note is read from the "
            "query if it is annotated with Query[Note] (asked for by RefusalTests.view "
            "→ User)",
        )

    def test_path(self) -> None:
        """
        What a component needs of the path must be in the path of each route that
        needs the component.
        """

        def user(company: Path[str]) -> User:
            return User(company)

        self.assertIn("there is no 'company' in the path", self.wrong_component(user))
        self.assertEqual(len(self.bind(self.view, path={"company": str}).parameters), 2)

    def test_yields(self) -> None:
        """
        A generator yields once.
        """

        def never() -> Iterator[User]:
            yield from ()

        async def never_asynchronous() -> AsyncIterator[User]:
            for name in tuple[str, ...]():
                yield User(name)

        def twice() -> Iterator[User]:
            yield User("ann")
            yield User("bob")

        async def twice_asynchronous() -> AsyncIterator[User]:
            yield User("ann")
            yield User("bob")

        for function in (never, never_asynchronous):
            self.components = Components()
            self.components.add(function)
            with self.assertRaises(RuntimeError) as raised:
                answer = self.call(self.view, request())
                self.failureResultOf(answer).raiseException()
            self.assertEqual(
                str(raised.exception),
                f"{function.__name__} ({line_of(function)}) ended before its yield",
            )
        for function in (twice, twice_asynchronous):
            self.components = Components()
            self.components.add(function)
            self.asked = request()
            self.call(self.view)
            with self.assertRaises(RuntimeError) as raised:
                self.failureResultOf(self.close()).raiseException()
            self.assertEqual(
                str(raised.exception),
                f"{function.__name__} ({line_of(function)}) has more than one yield",
            )
