# -*- test-case-name: tests.test_routing -*-
"""
Routes: a ``klein.Klein`` with more. What Klein says of ``route``, ``subroute``,
``branch=True``, ``handle_errors`` and of what a handler may return holds; besides,
there is a decorator for each method, a handler is given what its parameters ask for
by name and type, and routes are mounted below other routes.

Nothing happens here: what is said is kept, and compiled once when the daemon starts
(:mod:`ropewalk.web.compiling`).
"""

from __future__ import annotations

import inspect
import math
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial, update_wrapper
from types import MethodType
from typing import Any, Literal, TypeVar, get_args, overload
from urllib.parse import quote

from klein import Klein
from msgspec import Struct
from werkzeug.routing import BaseConverter, Map, Rule, ValidationError

from ropewalk.errors import RopewalkError
from ropewalk.plugin import caller
from ropewalk.schema import nearest
from ropewalk.web.around import Middleware, check_middleware
from ropewalk.web.components import Components
from ropewalk.web.patterns import CONVERTERS, Converter, adopt_all, parse, parse_host

__all__ = [
    "Branch",
    "Exposed",
    "More",
    "Named",
    "Options",
    "Routes",
    "Slashes",
    "Timeout",
    "errors",
    "expose",
    "output",
]

F = TypeVar("F", bound=Callable[..., Any])

#: See :attr:`Options.owner`.
OF_APP: Any = object()

#: What becomes of a path that differs from a rule by the slash at its end.
Slashes = Literal["redirect", "ignore", "exact"]


class Timeout(Struct, frozen=True):
    """
    How long a handler may take.

    :ivar seconds: More than 0.
    :ivar status: What the client is answered then: 503 when it is our own work
        that takes too long, 504 when it is somebody's whom we asked (RFC 9110,
        sections 15.6.4 and 15.6.5).
    """

    seconds: float
    status: Literal[503, 504] = 503

    def __post_init__(self) -> None:
        seconds: object = self.seconds
        is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
        if not is_number or not 0 < seconds < math.inf:  # type: ignore[operator]
            problem = f"a time-out is a number of seconds above 0, not {seconds!r}"
            raise ValueError(f"{problem}; None is for no time-out")
        if self.status not in (503, 504):
            raise ValueError(f"a time-out is answered 503 or 504, not {self.status!r}")


class Options(Struct, frozen=True):
    """
    What a route says that Klein does not know.

    :ivar kind: ``"route"``; ``"socket"``, whose function makes the protocol of a
        WebSocket; ``"stream"``, whose function yields what is sent.
    :ivar host: The host it is for: ``"api.example.org"``, ``"<who>.example.org"``;
        ``None`` for all.
    :ivar slashes: See :data:`Slashes`; ``None`` for what its routes say.
    :ivar middleware: What happens around it, outermost first.
    :ivar timeout: How long its handler may take; ``None`` for as long as it likes.
    :ivar longest_body: Bytes of the longest body it takes; ``None`` for what the
        site says.
    :ivar streams: Whether it begins as soon as the headers are here, and takes the
        body while it comes (:attr:`ropewalk.web.requests.Request.intake`).
    :ivar override: Whether it takes the place of another plugin's.
    :ivar bare: Whether it is for the path alone at which its routes are mounted,
        without a slash.
    :ivar owner: Whose method the handler is: an object, or a class of which each
        request gets one; ``None`` for nobody's, :data:`OF_APP` for that of the object
        whose attribute the routes are.
    :ivar known_as: What links may call it besides its handler and its name.
    :ivar link_args: What is in the path of a link to a model that it answers for.
    :ivar view: Which view on the model it is, by name.
    :ivar guards: Functions that say whether the handler may be called; each is given
        what it asks for.
    :ivar permission: What they are asked for.
    :ivar deprecated: Whether its documentation says so.
    :ivar documented: Whether there is any.
    :ivar told: What it says, where the handler's signature does not: fields of
        :class:`~ropewalk.web.openapi.document.Operation`.
    """

    kind: Literal["route", "socket", "stream"] = "route"
    host: str | None = None
    slashes: Slashes | None = None
    middleware: tuple[Middleware, ...] = ()
    timeout: Timeout | None = None
    longest_body: int | None = None
    streams: bool = False
    override: bool = False
    bare: bool = False
    owner: Any = OF_APP
    known_as: tuple[Any, ...] = ()
    link_args: Callable[[Any], Mapping[str, Any]] | None = None
    view: str = ""
    guards: Sequence[Callable[..., Any]] = ()
    permission: Any = None
    deprecated: bool = False
    documented: bool = True
    told: Mapping[str, Any] | None = None


class Named(str):
    """
    The name of a route, which is all that Werkzeug hands on of what was said of it.

    :ivar options: The rest.
    """

    __slots__ = ("options",)

    options: Options

    def __new__(cls, name: str, options: Options) -> Named:
        named = super().__new__(cls, name)
        named.options = options
        return named

    def __add__(self, more: str) -> Named:
        # Klein gives a branch a second name.
        return Named(super().__add__(more), self.options)


class Branch(Struct, frozen=True, eq=False):
    """
    Something mounted below routes.

    :ivar prefix: The path it is below, which may have parameters.
    :ivar app: Routes, a ``klein.Klein`` or a ``twisted.web`` resource.
    :ivar place: Where that is said: ``file:line``.
    """

    prefix: str
    app: Any
    place: str
    host: str | None
    override: bool


class More(Struct, eq=False):
    """
    What routes know besides what Klein does. As Klein has it, those of two instances
    are equal if these are, and nothing else differs.

    :ivar url_map: Werkzeug's map, also while there is a ``subroute``.
    :ivar below: The path of that.
    :ivar shared: What those of all instances know, if this is what one's do.
    :ivar own: What those of an instance know, for instances that cannot keep it.
    """

    url_map: Map
    slashes: Slashes = "redirect"
    name: str = ""
    models: dict[type, Any] = {}
    shared: More | None = None
    middleware: list[Middleware] = []
    components: list[Callable[[Components, Any], None]] = []
    branches: list[Branch] = []
    below: str = ""
    own: dict[int, tuple[Any, More]] = {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, More) and self._said() == other._said()

    def layers(self) -> tuple[More, ...]:
        """What all instances have in common, then what is one's alone."""
        return (self,) if self.shared is None else (self.shared, self)

    def of(self, instance: Any, name: str) -> More:
        """What the routes of an instance know."""
        try:
            kept = vars(instance)
        except TypeError:
            return self._of_slotted(instance)
        more: More = kept.setdefault(f"__ropewalk_{name}__", self._for_one())
        return more

    def _said(self) -> tuple[object, ...]:
        """What counts when two are compared."""
        return (
            *(self.url_map, self.slashes, self.name, self.below),
            *(self.middleware, self.components, self.branches),
            *(id(self.models), id(self.shared)),
        )

    def _for_one(self) -> More:
        return More(self.url_map, self.slashes, self.name, self.models, self)

    def _of_slotted(self, instance: Any) -> More:
        key = id(instance)
        if key not in self.own:
            own = self.own
            try:
                kept: Any = weakref.ref(instance, lambda _: own.pop(key, None))
            except TypeError:
                kept = instance
            own[key] = kept, self._for_one()
        return self.own[key][1]


class Routes(Klein):
    """
    What a plugin serves on the web. As an attribute of a class, its handlers are
    methods: mount the routes of an instance. Of an instance alone are what is mounted
    below its routes, its middleware and its components, where they were added to the
    routes of the instance; as with Klein, routes are of all instances.

    :param slashes: What becomes of a path that differs from a rule by the slash at
        its end: ``"redirect"`` leads from ``/a`` to the rule ``/a/``, ``"ignore"``
        answers both as one, ``"exact"`` neither.
    :param name: What the documentation calls them; what their plugin is called
        unless given.
    """

    def __init__(self, *, slashes: Slashes = "redirect", name: str = "") -> None:
        super().__init__()
        _check_slashes(slashes)
        self._more = More(self._url_map, slashes, name)
        ours: Mapping[str, Any] = CONVERTERS
        for known in ours.keys() - Map.default_converters:
            self._url_map.converters[known] = _lent(ours[known])

    def __get__(self, instance: Any, owner: object) -> Routes:
        bound = super().__get__(instance, owner)
        assert isinstance(bound, Routes)
        if bound is not self and bound._more.shared is None:
            bound._more = self._more.of(instance, self._boundAs or "")
        return bound

    @property
    def converters(self) -> Mapping[str, Callable[..., Converter]]:
        """What a rule may name, also of what was put into Werkzeug's map."""
        known = self._more.url_map.converters
        adopted = adopt_all(self._more.url_map)
        return {name: getattr(known[name], "ours", adopted[name]) for name in known}

    # Handlers.

    def route(
        self,
        url: str,
        *args: Any,
        branch: bool = False,
        name: str = "",
        host: str | None = None,
        slashes: Slashes | None = None,
        middleware: Iterable[Middleware] = (),
        timeout: float | Timeout | None = None,
        longest_body: int | None = None,
        override: bool = False,
        deprecated: bool = False,
        documented: bool = True,
        told: Mapping[str, Any] | None = None,
        owner: Any = OF_APP,
        known_as: tuple[Any, ...] = (),
        link_args: Callable[[Any], Mapping[str, Any]] | None = None,
        view: str = "",
        guards: Sequence[Callable[..., Any]] = (),
        permission: Any = None,
        kind: Literal["route", "socket", "stream"] = "route",
        **kwargs: Any,
    ) -> Callable[[F], F]:
        """
        Let a function answer at a path: Klein's ``route``, with more. What is not
        named here is for :class:`werkzeug.routing.Rule`, such as ``methods`` and
        ``defaults``.

        :param url: ``"/companies/<int:id>"``; ``""`` for the path at which these
            routes are mounted, without a slash behind it.
        :param name: What links may call it; the function's name unless given.
        :param host: ``"api.example.org"`` or ``"<who>.example.org"``, whose
            parameters are arguments as well.
        :param guards: Functions that are given what they ask for, like handlers. The
            handler is called only when all of them return something true; otherwise
            the client is answered 403.
        :param middleware: See :mod:`ropewalk.web.around`.
        :param timeout: Seconds the handler may take; it is cancelled then, and the
            client is answered 503. ``Timeout(2.5, 504)`` answers 504.
        :param longest_body: Bytes.
        :param override: Take the place of the same route of another plugin.
        :raise BadRule: When nobody could ask for the path, or for the host.
        :raise TypeError: For an option that there is not.
        :raise ValueError: For an option that cannot be so.
        """
        _check_path(url)
        parse(url or "/", self.converters)
        if host is not None:
            parse_host(host, self.converters)
        _check_options(kwargs)
        _check_slashes(slashes)
        _check_longest(longest_body)
        middleware = _several("middleware", middleware)
        for each in middleware:
            check_middleware(each)
        if callable(guards):
            raise TypeError("guards are a list: write guards=[…]")
        limit = timeout
        if limit is not None and not isinstance(limit, Timeout):
            limit = Timeout(limit)
        options = Options(
            kind=kind,
            host=host,
            slashes=slashes,
            middleware=middleware,
            timeout=limit,
            longest_body=longest_body,
            override=override,
            bare=url == "",
            owner=owner,
            known_as=known_as,
            link_args=link_args,
            view=view,
            guards=guards,
            permission=permission,
            deprecated=deprecated,
            documented=documented,
            told=told,
        )

        def decorate(function: F) -> F:
            endpoint = kwargs.get("endpoint") or self._free_name(function, name, branch)
            said = {**kwargs, "branch": branch, "endpoint": Named(endpoint, options)}
            if url == "" and self._more.below:
                with self._outside():
                    self._add(self._more.below, args, said, function)
            else:
                self._add(url or "/", args, said, function)
            return function

        return decorate

    def _add(self, url: str, args: Any, said: Mapping[str, Any], function: Any) -> None:
        super().route(url, *args, **said)(_with_name(function))

    @contextmanager
    def subroute(self, prefix: str) -> Iterator[Routes]:
        """
        Put what is added in this block below a path: routes, and what is mounted.
        """
        parse(prefix, self.converters)
        before = self._more.below
        with super().subroute(prefix):
            self._more.below = before + prefix.rstrip("/")
            try:
                yield self
            finally:
                self._more.below = before

    @contextmanager
    def _outside(self) -> Iterator[None]:
        """Add what is added in this block outside of any ``subroute``."""
        inside = self._url_map, self._subroute_segments
        self._url_map, self._subroute_segments = self._more.url_map, 0
        try:
            yield
        finally:
            self._url_map, self._subroute_segments = inside

    def get(self, url: str, **options: Any) -> Callable[[F], F]:
        """:meth:`route` for GET, and HEAD with it."""
        return self.route(url, methods=["GET"], **options)

    def post(self, url: str, **options: Any) -> Callable[[F], F]:
        """:meth:`route` for POST."""
        return self.route(url, methods=["POST"], **options)

    def put(self, url: str, **options: Any) -> Callable[[F], F]:
        """:meth:`route` for PUT."""
        return self.route(url, methods=["PUT"], **options)

    def patch(self, url: str, **options: Any) -> Callable[[F], F]:
        """:meth:`route` for PATCH."""
        return self.route(url, methods=["PATCH"], **options)

    def delete(self, url: str, **options: Any) -> Callable[[F], F]:
        """:meth:`route` for DELETE."""
        return self.route(url, methods=["DELETE"], **options)

    def head(self, url: str, **options: Any) -> Callable[[F], F]:
        """
        :meth:`route` for HEAD alone, where the route for GET should not answer it.
        """
        return self.route(url, methods=["HEAD"], **options)

    def options(self, url: str, **options: Any) -> Callable[[F], F]:
        """
        :meth:`route` for OPTIONS. Where there is none, it is answered with what
        other methods there are.
        """
        return self.route(url, methods=["OPTIONS"], **options)

    def socket(self, url: str, **options: Any) -> Callable[[F], F]:
        """
        Serve WebSockets at a path. The function is given what it asks for like any
        handler, and returns an Autobahn ``WebSocketServerProtocol``; what it
        raises is answered before there is a WebSocket.
        """
        return self.route(url, methods=["GET"], kind="socket", **options)

    def stream(self, url: str, **options: Any) -> Callable[[F], F]:
        """
        Send what a generator function yields, plain or asynchronous, as it comes
        and no faster than the client takes it: text and bytes as they are, any
        other value as a line of JSON (or as a Server-Sent Event where the client
        asks for these).
        """
        return self.route(url, methods=["GET"], kind="stream", **options)

    # What is around them, and below them.

    def use(self, *middleware: Middleware) -> None:
        """
        Put middleware around all of these routes, and what is mounted below them:
        the first is the outermost.

        :raise TypeError: For something that is no middleware.
        """
        for each in middleware:
            check_middleware(each)
        self._more.middleware += middleware

    @overload  # type: ignore[override]
    def handle_errors(self, f_or_exception: type[Exception]) -> Callable[[F], F]: ...
    @overload
    def handle_errors(
        self, f_or_exception: type[Exception], *additional_exceptions: type[Exception]
    ) -> Callable[[F], F]: ...
    @overload
    def handle_errors(self, f_or_exception: F) -> F: ...
    def handle_errors(self, f_or_exception: Any, *additional_exceptions: Any) -> Any:
        """
        Let a function answer for errors of these classes, of all if there are none:
        Klein's, which hands on what it decorates.
        """
        declare: Any = super().handle_errors
        if isinstance(f_or_exception, int):
            raise TypeError(
                f"{f_or_exception} is a status; name the error, such as NotFound of "
                "werkzeug.exceptions"
            )
        if not isinstance(f_or_exception, type):
            declare(f_or_exception)
            return f_or_exception

        def decorate(function: F) -> F:
            declare(f_or_exception, *additional_exceptions)(function)
            return function

        return decorate

    @overload
    def component(
        self,
        function: F,
        *,
        provides: Any = None,
        close: Callable[[Any], Any] | None = None,
        security: Mapping[str, Any] | None = None,
    ) -> F: ...
    @overload
    def component(
        self,
        *,
        provides: Any = None,
        close: Callable[[Any], Any] | None = None,
        security: Mapping[str, Any] | None = None,
    ) -> Callable[[F], F]: ...
    def component(
        self,
        function: Any = None,
        *,
        provides: Any = None,
        close: Callable[[Any], Any] | None = None,
        security: Mapping[str, Any] | None = None,
    ) -> Any:
        """
        Let a function make what handlers ask for by its type; also for those of
        what is mounted below. A decorator, with or without arguments: see
        :meth:`ropewalk.web.components.Components.add`.
        """

        def decorate(function: F) -> F:
            def add(components: Components, instance: Any) -> None:
                components.add(
                    self.as_method(function, instance),
                    provides=provides,
                    close=close,
                    security=security,
                )

            self._more.components.append(add)
            return function

        return decorate if function is None else decorate(function)

    def provide(self, kind: Any, value: Any) -> None:
        """Give one value to all handlers that ask for its type."""
        place = caller()
        self._more.components.append(
            lambda components, _: components.provide(kind, value, place)
        )

    def convert(self, name: str, converter: Any) -> None:
        """
        Let ``<name:parameter>`` mean a converter of one's own, in the rules that
        follow and in the paths at which something is mounted below these.

        :param converter: A :class:`~ropewalk.web.converters.Converter`, as a class or
            as what makes one; or one that was written for Werkzeug.
        """
        is_werkzeugs = isinstance(converter, type) and issubclass(
            converter, BaseConverter
        )
        known = self._more.url_map.converters
        known[name] = converter if is_werkzeugs else _lent(converter)

    def mount(
        self, prefix: str, app: Any, *, host: str | None = None, override: bool = False
    ) -> None:
        """
        Serve other routes below a path of these; their errors reach our handlers
        when they have none of their own. One set of routes may be mounted at two
        paths.

        :param prefix: ``"/v1"``, or with parameters: ``"/<tenant>"``.
        :param app: Routes, a ``klein.Klein`` or a ``twisted.web`` resource.
        :param host: As for :meth:`route`.
        :param override: Take the place of the same routes of another plugin.
        :raise BadRule: When nobody could ask for the path, or for the host.
        """
        _check_path(prefix)
        parse(prefix or "/", self.converters)
        if host is not None:
            parse_host(host, self.converters)
        prefix = self._more.below + prefix
        self._more.branches.append(Branch(prefix, app, caller(), host, override))

    # Handlers of other shapes.

    def add_route(self, path: str, resource: Any, **options: Any) -> None:
        """
        Serve an object or a class with a method for each of HTTP's: ``on_get(self,
        req, resp)`` in Falcon's shape, or ``get(self, …)`` which is given what it
        asks for. See :mod:`ropewalk.web.classes`.
        """
        from ropewalk.web.classes import add_route

        add_route(self, path, resource, caller(), **options)

    def publish(self, path: str, root: Any, **options: Any) -> None:
        """
        Serve a tree of objects, of which those methods answer that are marked with
        :func:`expose`. See :mod:`ropewalk.web.published`.
        """
        from ropewalk.web.published import publish

        publish(self, path, root, caller(), **options)

    def model(self, kind: type, path: str, **options: Any) -> Callable[[F], F]:
        """
        Bind a path to a model: the function finds the one that a path is about, or
        returns ``None``. See :mod:`ropewalk.web.models`.
        """
        from ropewalk.web.models import model

        _check_path(path)
        return model(self, kind, path, caller(), **options)

    def view(self, kind: type, /, name: str = "", **options: Any) -> Callable[[F], F]:
        """
        Let a function answer for a model, at the model's path or below it by name.
        """
        from ropewalk.web.models import view

        return view(self, kind, name, caller(), **options)

    def permits(self, kind: type) -> Callable[[F], F]:
        """
        Let a function say whether a view on a model may be had: it guards every
        view on it.
        """
        from ropewalk.web.models import permits

        return permits(self, kind, caller())

    def resource(self) -> Any:
        """A ``twisted.web`` resource that serves these routes alone."""
        from ropewalk.web.apps import AppResource

        return AppResource(self)

    @staticmethod
    def as_method(function: Any, instance: Any) -> Any:
        """
        A function of an instance's class as a method of the instance; another one as
        it is. As with Klein's handlers, it is this function, also where the class of
        the instance overrides it.
        """
        kind = type(instance)
        members = (each for cls in kind.__mro__[:-1] for each in vars(cls).values())
        found = next((each for each in members if _is_around(each, function)), None)
        inner = getattr(function, "__func__", function)
        if found is None or isinstance(found, staticmethod):
            return inner
        if isinstance(found, classmethod):
            return MethodType(inner, kind)
        return MethodType(inner, instance)

    def _free_name(self, function: Any, name: str, branch: bool) -> str:
        """
        A name, the function's if there is none, with a number if another function
        has it. (Klein would let the second answer at the routes of both.)
        """
        name = name or _name_of(function)
        free, number = name, 1
        while self._is_taken(free, function) or (
            branch and self._is_taken(f"{free}_branch", function)
        ):
            number += 1
            free = f"{name}_{number}"
        return free

    def _is_taken(self, name: str, function: Any) -> bool:
        known = self._endpoints.get(name)
        original = getattr(known, "__original__", None)
        return known is not None and original is not function


def _name_of(function: Any) -> str:
    if isinstance(function, partial):
        return _name_of(function.func)
    name: str = getattr(function, "__name__", type(function).__name__)
    return name


def _with_name(function: Any) -> Any:
    """A function that has a name, which Klein asks it for."""
    if hasattr(function, "__name__"):
        return function

    def named(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    told: Any = update_wrapper(named, function)
    told.__name__ = _name_of(function)
    told.__ropewalk_handler__ = function
    return told


#: What Werkzeug's rules can be told.
_RULE_OPTIONS = frozenset(inspect.signature(Rule).parameters) - {"string"}


def _check_path(path: object) -> None:
    """
    :raise TypeError: When it is none, as where a decorator was not called.
    """
    if isinstance(path, str):
        return
    if inspect.isroutine(path):
        name = path.__name__
        raise TypeError(f'the path is missing: write @routes.get("/{name}"), say')
    raise TypeError(f"a path is a str, not {type(path).__name__}")


def _check_options(options: Mapping[str, Any]) -> None:
    for name in options:
        if name in _RULE_OPTIONS:
            continue
        known = inspect.signature(Routes.route).parameters.values()
        ours = {each.name for each in known if each.kind is each.KEYWORD_ONLY}
        meant = nearest(name, {*_RULE_OPTIONS, *ours})
        hint = f"; did you mean {meant!r}?" if meant else ""
        raise TypeError(f"a route has no option {name!r}{hint}")


def _check_slashes(slashes: object) -> None:
    known = get_args(Slashes)
    if slashes is not None and slashes not in known:
        words = ", ".join(map(repr, known))
        raise ValueError(f"slashes is one of {words}, not {slashes!r}")


def _check_longest(longest: object) -> None:
    if longest is None:
        return
    if not isinstance(longest, int) or isinstance(longest, bool) or longest < 0:
        raise ValueError(f"longest_body is a number of bytes, not {longest!r}")


def _several(what: str, given: Any) -> tuple[Any, ...]:
    if callable(given):
        raise TypeError(f"{what} is a list: write {what}=[…]")
    return tuple(given)


def _is_around(member: Any, function: Any) -> bool:
    """Whether a member of a class is a function, or what decorators made of it."""
    while member is not function and inspect.isroutine(member):
        member = getattr(member, "__wrapped__", None)
    return member is function


@lru_cache(None)
def _lent(converter: Any) -> type[BaseConverter]:
    """A converter of ours as Werkzeug's maps have them."""

    class Lent(BaseConverter):
        ours = staticmethod(converter)

        def __init__(self, map: Map, *args: Any, **kwargs: Any) -> None:
            super().__init__(map)
            self._ours = converter(*args, **kwargs)
            self.regex = self._ours.regex
            self.weight = self._ours.weight
            self.part_isolating = not self._ours.slashes

        def to_python(self, value: str) -> Any:
            try:
                return self._ours.to_python(value)
            except ValueError as error:
                raise ValidationError from error

        def to_url(self, value: Any) -> str:
            return quote(self._ours.to_url(value), safe="/")

    return Lent


def errors(*kinds: type[Exception], status: int | None = None) -> Callable[[F], F]:
    """
    Say which errors a handler may raise, for its documentation.

    :param status: What the client is answered; without it, they are
        :exc:`~ropewalk.errors.RopewalkError`\\ s, which know that themselves.
    :raise TypeError: For an error that does not.
    """
    for kind in kinds:
        if status is None and not issubclass(kind, RopewalkError):
            name = kind.__name__
            raise TypeError(
                f"{name} does not know its HTTP status: derive it from "
                f"RopewalkError, or say errors({name}, status=404)"
            )

    def decorate(function: F) -> F:
        said = getattr(function, "__ropewalk_errors__", ())
        added = tuple((kind, status) for kind in kinds)
        function.__ropewalk_errors__ = (*added, *said)  # type: ignore[attr-defined]
        return function

    return decorate


def output(shape: Any) -> Callable[[F], F]:
    """
    Say of what shape the answer of a handler is, where its annotation does not. What
    it returns is read into that shape before it is written.
    """

    def decorate(function: F) -> F:
        function.__ropewalk_output__ = shape  # type: ignore[attr-defined]
        return function

    return decorate


class Exposed(Struct, frozen=True):
    """
    What was said of a method that is published.

    :ivar name: What the path calls it; empty for what Python does.
    :ivar methods: HTTP's methods; none for those that the others are for.
    """

    name: str = ""
    methods: tuple[str, ...] = ()


@overload
def expose(function: F) -> F: ...
@overload
def expose(*, name: str = "", methods: Sequence[str] = ()) -> Callable[[F], F]: ...
def expose(function: Any = None, *, name: str = "", methods: Sequence[str] = ()) -> Any:
    """
    Publish a method of an object that :meth:`Routes.publish` serves.

    :param name: What the path calls it, if not what Python does.
    :param methods: ``["POST"]`` for what must not happen by following a link.
    """
    if isinstance(methods, str):
        raise TypeError(f"methods is a list: write methods=[{methods!r}]")

    def decorate(function: F) -> F:
        exposed = Exposed(name, tuple(methods))
        function.__ropewalk_exposed__ = exposed  # type: ignore[attr-defined]
        return function

    return decorate if function is None else decorate(function)
