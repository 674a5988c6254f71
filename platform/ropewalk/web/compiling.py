# -*- test-case-name: tests.test_serving -*-
"""
Applications into the entries of the one table that everything reads: Klein's, ours,
and what is mounted below them. It happens once, when the daemon starts, and what
cannot be served is said then.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from itertools import takewhile
from typing import Any
from urllib.parse import quote, urljoin

from klein import Klein
from klein._resource import extractURLparts
from klein.interfaces import IKleinRequest
from klein.resource import KleinResource
from msgspec import Struct
from msgspec.structs import replace
from twisted.web.resource import IResource
from werkzeug.routing import MapAdapter, RequestRedirect, Rule

from ropewalk.awaiting import awaitable, deferred
from ropewalk.errors import BadHandler
from ropewalk.schema.signatures import name_of, place_of
from ropewalk.web.around import Call, Middleware, around, kept
from ropewalk.web.binding import Binding, bind
from ropewalk.web.components import Components
from ropewalk.web.patterns import (
    CONVERTERS,
    BadRule,
    Converter,
    Pattern,
    adopt_all,
    parse,
    parse_host,
)
from ropewalk.web.problems import Forbidden
from ropewalk.web.refusals import nobody
from ropewalk.web.routes import OF_APP, Branch, Options, Routes
from ropewalk.web.serving import BELOW, REST, Area, Endpoint, KleinView
from ropewalk.web.signposts import Elsewhere, Mounted, Offered
from ropewalk.web.table import Entry, Found, Missing, Moved, Table
from ropewalk.web.wrapping import (
    bared,
    guarded,
    patient,
    shaped,
    streamed,
    translating,
    upgraded,
)

__all__ = ["Ground", "compile_app", "compile_mount"]


def no_sockets(request: Any, protocol: Any) -> Any:
    """Where nobody serves WebSockets."""
    raise NotImplementedError("WebSockets are served on a site of the daemon only")


class Ground(Struct, frozen=True):
    """
    Where an application is put.

    :ivar prefix: The path, ``""`` for that of the site.
    :ivar plugin: The service that puts it there.
    :ivar place: Where in its source: ``file:line``.
    :ivar host: The host it is for; ``None`` for all.
    :ivar parent: The area it is in.
    :ivar converters: What its path and host may name.
    :ivar components: What is injected there.
    :ivar around: What is around it: middleware and error handlers, if any.
    :ivar override: Whether it takes the place of others' routes.
    :ivar sockets: Lets a protocol take a request's connection over: called with the
        request and the protocol.
    :ivar is_bare: Whether no middleware is around it.
    """

    prefix: str
    plugin: str
    place: str
    components: Components
    host: str | None = None
    parent: Area | None = None
    converters: Mapping[str, Callable[..., Converter]] = CONVERTERS
    around: Callable[[Call], Call] | None = None
    override: bool = False
    sockets: Callable[[Any, Any], Any] = no_sockets
    is_bare: bool = True


def compile_app(app: Klein, ground: Ground) -> Iterator[Entry[Endpoint]]:
    """
    The entries of an application, and of what is mounted below it.

    :raise BadHandler: For a handler that asks for what no request could give it.
    :raise BadRule: For a path that nobody could ask for.
    """
    yield from _Compiler(app, ground).entries()


class _Compiler:
    """Compiles one application at one place."""

    def __init__(self, app: Klein, ground: Ground) -> None:
        self._app = app
        self._ground = ground
        self._routes = app if isinstance(app, Routes) else None
        self._area = Area(
            app, ground.plugin, ground.place, ground.prefix, ground.parent
        )
        known = ground.converters
        self._prefix = parse(ground.prefix, known) if ground.prefix else None
        self._host = parse_host(ground.host, known) if ground.host else None
        self._converters: Mapping[str, Callable[..., Converter]] = (
            app.converters if isinstance(app, Routes) else adopt_all(app.url_map)
        )
        self._components = ground.components
        self._middleware: Sequence[Middleware] = ()
        if self._routes is not None:
            layers = self._routes._more.layers()
            self._middleware = [each for more in layers for each in more.middleware]
            self._components = Components(ground.components)
            for add in (each for more in layers for each in more.components):
                add(self._components, app._instance)

    def entries(self) -> Iterator[Entry[Endpoint]]:
        for rule in self._app.url_map.iter_rules():
            try:
                yield from self._of_rule(rule)
            except BadRule as error:
                handler = self._app.endpoints[rule.endpoint]
                place = place_of(handler, self._ground.place)
                raise BadHandler(name_of(handler), place, str(error)) from error
        if self._routes is not None:
            layers = self._routes._more.layers()
            for branch in (each for more in layers for each in more.branches):
                yield from self._of_branch(branch)
        yield self._absent()

    # One rule.

    def _of_rule(self, rule: Rule) -> Iterator[Entry[Endpoint]]:
        options = getattr(rule.endpoint, "options", Options())
        pattern = parse(rule.rule, self._converters)
        endpoint = self._endpoint(rule, pattern, options)
        host = self._host_for(options)
        entry = Entry(
            pattern if self._prefix is None else pattern.join(self._prefix),
            endpoint,
            frozenset(rule.methods) if rule.methods is not None else None,
            host=host,
            slashes=self._slashes(rule, options),
            defaults=dict(rule.defaults or {}),
            build_only=rule.build_only,
        )
        if self._prefix is None or rule.rule != "/":
            yield entry
            if self._lacks_slash(rule):  # klein#237
                below = parse(f"{rule.rule}/", self._converters)
                joined = below if self._prefix is None else below.join(self._prefix)
                yield replace(entry, pattern=joined, slashes="exact")
            return
        # A mount's own path is its application's "/", with a slash behind it or not.
        if not options.bare:
            yield replace(entry, slashes="exact")
        yield replace(entry, pattern=self._prefix, slashes="exact")

    def _lacks_slash(self, rule: Rule) -> bool:
        """Whether it is a branch that takes all below its path but its own ``/``."""
        if f"{rule.endpoint}_branch" not in self._app.endpoints:
            return False
        rules = {each.rule for each in self._app.url_map.iter_rules()}
        return not rule.rule.endswith("/") and f"{rule.rule}/" not in rules

    def _host_for(self, options: Options) -> Pattern | None:
        own = options.host
        return parse_host(own, self._converters) if own else self._host

    def _slashes(self, rule: Rule, options: Options) -> Any:
        if options.slashes is not None:
            return options.slashes
        if rule.strict_slashes is False:
            return "ignore"
        return "redirect" if self._routes is None else self._routes._more.slashes

    def _endpoint(self, rule: Rule, pattern: Pattern, options: Options) -> Endpoint:
        app, ground = self._app, self._ground
        handler = app.endpoints[rule.endpoint]
        function = getattr(handler, "__original__", handler)
        called, binding = self._called(rule.endpoint, function, pattern, rule, options)
        bare = getattr(called, "bare", None)
        first = called
        if _is_branch(app, rule):
            called = followed(called)
        if rule.redirect_to is not None:
            called = _redirecting(rule)
        elif app.url_map.redirect_defaults:
            called = _canonical(app, rule, called)
        if called is not first or options.middleware or not self._is_bare:
            bare = None
        if options.timeout is not None:
            called = patient(called, options.timeout)
        called = guarded(around(options.middleware, called), self._area)
        written = getattr(function, "__ropewalk_handler__", function)
        return Endpoint(
            name=str(rule.endpoint),
            path=ground.prefix + rule.rule,
            methods=frozenset(rule.methods) if rule.methods is not None else None,
            handler=written,
            place=place_of(written, ground.place),
            plugin=ground.plugin,
            area=self._area,
            steps=_depth(rule.rule.removesuffix(BELOW)),
            call=self._around(called),
            depth=_depth(ground.prefix) + _depth(rule.rule.removesuffix(BELOW)),
            binding=binding,
            options=replace(options, override=options.override or ground.override),
            kind=options.kind,
            is_root=rule.rule == "/",
            bare=bare,
        )

    @property
    def _is_bare(self) -> bool:
        return self._ground.is_bare and not self._middleware

    def _outer(self, options: Options) -> frozenset[str]:
        """The arguments that come with the mount: not every handler asks for them."""
        host = None if options.host else self._host
        patterns = [each for each in (self._prefix, host) if each is not None]
        return frozenset(name for each in patterns for name in each.names)

    def _around(self, call: Call) -> Call:
        """What is around all that is here, and around what it is in."""
        if self._middleware:
            call = guarded(around(self._middleware, call), self._area)
        outside = self._ground.around
        return call if outside is None else outside(call)

    def _called(
        self,
        name: str,
        function: Any,
        pattern: Pattern,
        rule: Rule,
        options: Options,
    ) -> tuple[Call, Binding | None]:
        """What calls a handler: Klein's way, or by what it asks for."""
        app = self._app
        if type(app).execute_endpoint is not Klein.execute_endpoint:
            return _by_klein(app, name), None  # whoever has their own way keeps it
        if self._routes is None or getattr(function, "__klein_bound__", False):
            spare = self._outer(options) - _named(function)
            call = _plainly(app, function, spare)
            return (call if spare else bared(call)), None
        return self._bound(function, pattern, rule, options)

    def _bound(
        self, function: Any, pattern: Pattern, rule: Rule, options: Options
    ) -> tuple[Call, Binding]:
        owner = options.owner
        instance = self._app._instance if owner is OF_APP else owner
        outer = self._outer(options)
        host = self._host_for(options)
        kinds = {
            slot.name: slot.converter.kind
            for each in (self._prefix, host, pattern)
            if each is not None
            for slot in each.slots
        }
        names = {*outer, *pattern.names, *kinds, *(rule.defaults or ())} - {REST}
        path = {name: kinds.get(name, object) for name in names}
        components = self._components
        if options.permission is not None:
            components = Components(components)
            components.provide(type(options.permission), options.permission)

        def bound(asking: Any, spare: Collection[str], bound: bool = False) -> Binding:
            return bind(
                asking,
                path=path,
                methods=rule.methods,
                components=components,
                bound=bound,
                spare=spare,
            )

        if instance is None and "self" in inspect.signature(function).parameters:
            raise _needs_instance(function)
        known = getattr(function, "__ropewalk_errors__", ())
        if any(status is not None for _, status in known):
            function = translating(function, known)
        if isinstance(owner, type):
            outer |= _named(owner)
        binding = bound(function, outer, instance is not None)
        answering: Callable[..., Any] = binding.call
        beside: list[Binding] = []
        if isinstance(owner, type):
            beside.append(bound(owner, path))
            answering = _with_own(beside[0], binding)
        rest = REST in pattern.names

        def call(request: Any, args: dict[str, Any]) -> Any:
            if rest:
                IKleinRequest(request).branch_segments = args.pop(REST).split("/")
            return answering(request, args, instance)

        declared: Call = call
        if options.guards:
            own = (Routes.as_method(each, instance) for each in options.guards)
            guards = [bound(each, path) for each in own]
            declared = _permitted(declared, guards)
            beside += guards
        shape = getattr(function, "__ropewalk_output__", None)
        if shape is not None:
            declared = shaped(declared, shape)
        if options.kind == "stream":
            declared = streamed(declared)
        elif options.kind == "socket":
            declared = upgraded(declared, self._ground.sockets)
        if declared is call and not beside and not rest:
            declared = bared(call)
            if binding.plain and _takes_request(binding):
                call.direct = (  # type: ignore[attr-defined]
                    function if instance is None else partial(function, instance)
                )
        return declared, _with_all(binding, beside)

    # What is mounted below, and what is not there.

    def _of_branch(self, branch: Branch) -> Iterator[Entry[Any]]:
        above = (self._area, *self._area.outside())
        if any(branch.app == each.app for each in above):
            problem = f"at {branch.prefix!r}, they would be below themselves"
            raise BadHandler("Routes", branch.place, problem)
        ground = replace(
            self._ground,
            prefix=self._ground.prefix + branch.prefix.rstrip("/"),
            place=branch.place,
            host=branch.host or self._ground.host,
            parent=self._area,
            converters={**self._ground.converters, **self._converters},
            components=self._components,
            around=self._around_below,
            is_bare=self._is_bare,
            override=branch.override or self._ground.override,
        )
        yield from compile_mount(branch.app, ground)

    def _around_below(self, call: Call) -> Call:
        """What is around what is mounted here."""
        return self._around(guarded(call, self._area))

    def _absent(self) -> Entry[Endpoint]:
        ground = self._ground

        def call(request: Any, args: dict[str, Any]) -> Any:
            if "moved" in args:
                if self._area.handles(RequestRedirect):
                    raise RequestRedirect(_asking(args["moved"], request))
                return Elsewhere(args["moved"]).call(request, args)
            if request.method == b"OPTIONS" and args["allowed"]:
                return Offered(args["allowed"]).call(request, args)
            raise nobody(args["allowed"], request.method)

        endpoint = self._area.absent = Endpoint(
            name="",
            path=f"{ground.prefix}/…",
            methods=None,
            handler=self._app,
            place=ground.place,
            plugin=ground.plugin,
            area=self._area,
            call=self._around(guarded(call, self._area)),
            depth=_depth(ground.prefix),
            kind="absent",
        )
        return _below_entry(ground, endpoint)


def compile_mount(app: Any, ground: Ground) -> Iterator[Entry[Any]]:
    """
    The entries of anything that can be mounted.

    :raise BadHandler: For something that cannot.
    """
    served = app if isinstance(app, Klein) else _served_by(app)
    if served is not None:
        yield from compile_app(served, ground)
        return
    resource: Any = IResource(app, None)
    if resource is None:
        problem = (
            f"cannot be mounted at {ground.prefix or '/'!r}: it is neither a "
            "klein.Klein nor a twisted.web resource"
        )
        raise BadHandler(repr(app), ground.place, problem)
    depth = _depth(ground.prefix)
    path, plugin, place = ground.prefix or "/", ground.plugin, ground.place
    options = Options(
        override=ground.override,
        longest_body=getattr(resource, "longest_body", None),
        streams=getattr(resource, "streams", False),
    )
    mounted = Mounted(path, plugin, place, app, resource, depth, options=options)
    if ground.around is None:
        yield _below_entry(ground, mounted)
        return

    def call(request: Any, args: dict[str, Any]) -> Any:
        return mounted.rendering(request)

    endpoint = Endpoint(
        name="",
        path=path,
        methods=None,
        handler=app,
        place=place,
        plugin=plugin,
        call=ground.around(call),
        depth=depth,
        kind="resource",
        options=options,
    )
    yield _below_entry(ground, endpoint)


def _below_entry(ground: Ground, endpoint: Any) -> Entry[Any]:
    """What owns all at a path and below it that nobody else answers for."""
    known = ground.converters
    host = None if ground.host is None else parse_host(ground.host, known)
    pattern = parse(ground.prefix or "/", known)
    return Entry(pattern, endpoint, host=host, guard=True)


# An application by itself.


def find(app: Klein, request: Any) -> Endpoint:
    """
    What of an application answers for what is left of a request's path. The request
    is told the arguments in its path.

    :raise URLDecodeError: When no text can come of the URL, and the site is not ours.
    :raise UnicodeDecodeError: When no text can come of the path.
    """
    view: Any = IKleinRequest(request)
    if not isinstance(view, KleinView):
        view.mapper = _bound(app, request)
    table = _table_of(app)
    path, method = _quoted(request.postpath), request.method.decode("latin-1")
    found = table.find(path, method)
    if isinstance(found, Moved):
        location = "/" + (_quoted(request.prepath) + found.path).lstrip("/")
        there = table.find(found.path, method)
        endpoint: Endpoint = _moved(request, there, location)
    else:
        endpoint = settle_route(request, found)
    return endpoint


def settle_route(request: Any, found: Found[Any] | Moved | Missing[Any]) -> Any:
    """
    Tell a request what was found for it.

    :return: what answers; ``None`` if nobody does.
    """
    if isinstance(found, Found):
        request.path_args = found.args
        return found.entry.target
    if isinstance(found, Moved):
        host = (request.getHeader(b"host") or b"").decode("latin-1")
        method = request.method.decode("latin-1")
        there = request.site.mounts.table.find(found.path, method, host)
        return _moved(request, there, found.path)
    offered = found.allowed and request.method == b"OPTIONS"
    if found.guard is None or (offered and found.guard.target.kind == "resource"):
        if not found.allowed:
            return None
        return Offered(found.allowed, 204 if offered else 405)
    request.path_args = {"allowed": found.allowed}
    return found.guard.target


def _moved(
    request: Any, there: Found[Any] | Moved | Missing[Any], location: str
) -> Any:
    """
    What answers where there is something at another path only: its application, whose
    error handlers may be for what Klein raises then.

    :param there: What is at the other path.
    """
    target = there.entry.target if isinstance(there, Found) else None
    area = getattr(target, "area", None)
    if area is None or area.absent is None:
        return Elsewhere(location)
    request.path_args = {"moved": location}
    return area.absent


def _asking(location: str, request: Any) -> str:
    """Where to go; what was asked for goes along, unless it asks for something."""
    _, mark, query = request.uri.decode("latin-1").partition("?")
    return location if "?" in location else location + mark + query


def _quoted(segments: Sequence[bytes]) -> str:
    return "/" + "/".join(quote(each, safe="") for each in segments)


def _bound(app: Klein, request: Any) -> MapAdapter:
    """Werkzeug's map, as Klein binds it to a request."""
    scheme, host, _, path, script = extractURLparts(request)
    return app.url_map.bind(
        host,
        script,
        path_info=path,
        default_method=request.method.decode("latin-1"),
        url_scheme=scheme,
    )


def is_resource(guard: Entry[Any] | None) -> bool:
    """Whether what is below a path belongs to a resource, or to nobody."""
    return guard is None or guard.target.kind == "resource"


#: Where an application keeps its table, with what it was made of. Nobody else can: the
#: table leads to the application, which would live as long as it did.
_KEPT = "_ropewalk_table"


def _table_of(app: Klein) -> Table[Endpoint]:
    """
    The table of an application by itself. It is made again when routes were added,
    and forgotten with the application.
    """
    size = _size(app)
    kept: tuple[Any, Table[Endpoint]] | None = vars(app).get(_KEPT)
    if kept is None or kept[0] != size:
        table = Table(compile_app(app, Ground("", "", "", Components())))
        kept = vars(app)[_KEPT] = size, table
    return kept[1]


def _size(app: Klein) -> tuple[int, ...]:
    """How much there is of what comes into a table."""
    rules = sum(1 for _ in app.url_map.iter_rules())
    if not isinstance(app, Routes):
        return (rules,)
    kept = (
        sum(len(each) for each in (more.branches, more.middleware, more.components))
        for more in app._more.layers()
    )
    return rules, *kept


# How handlers are called.


def _by_klein(app: Klein, name: str) -> Call:
    def call(request: Any, args: dict[str, Any]) -> Any:
        return app.execute_endpoint(name, request, **args)

    return call


def _plainly(app: Klein, function: Any, spare: frozenset[str]) -> Call:
    """As Klein calls a handler, whatever it asks for."""
    instance = app._instance
    bound = instance is not None or getattr(function, "__klein_bound__", False)

    def call(request: Any, args: dict[str, Any]) -> Any:
        if REST in args:
            below = args.pop(REST)
            IKleinRequest(request).branch_segments = below.split("/")
        if spare:  # links from here need them
            args = {name: args[name] for name in args if name not in spare}
        if bound:
            return function(instance, request, **args)
        return function(request, **args)

    direct = partial(function, instance) if bound else function
    call.direct = direct  # type: ignore[attr-defined]
    return call


def _takes_request(binding: Binding) -> bool:
    return any(
        each.where == "request" and each.component is None
        for each in binding.parameters
    )


def _named(function: Any) -> frozenset[str]:
    """The arguments that a handler asks for by name."""
    try:
        return frozenset(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return frozenset()


def _with_own(making: Binding, binding: Binding) -> Callable[..., Any]:
    """Call a method of an object that each request gets."""

    def call(request: Any, args: dict[str, Any], _: Any = None) -> Any:
        made = making.call(request, args)
        if awaitable(made):
            method = kept(partial(binding.call, request, args))
            return deferred(made).addCallback(method)
        return binding.call(request, args, made)

    return call


def _with_all(binding: Binding, beside: Sequence[Binding]) -> Binding:
    """
    A handler's binding, with what is asked for on its behalf: by what makes the object
    that it is a method of, and by its guards.
    """
    if not beside:
        return binding
    every = (binding, *beside)
    components = dict.fromkeys(each for one in every for each in one.components)
    return replace(
        binding,
        parameters=tuple(each for one in every for each in one.parameters),
        components=tuple(components),
    )


def _permitted(call: Call, guards: Sequence[Binding]) -> Call:
    """Call when all guards say yes."""

    def enter(request: Any, args: dict[str, Any], first: int = 0) -> Any:
        for number, guard in enumerate(guards[first:], first):
            said = guard.call(request, args)
            if awaitable(said):
                rest = kept(partial(go_on, request, args, number + 1))
                return deferred(said).addCallback(rest)
            if not said:
                raise Forbidden
        return call(request, args)

    def go_on(request: Any, args: dict[str, Any], after: int, said: Any) -> Any:
        if not said:
            raise Forbidden
        return enter(request, args, after)

    return enter


def followed(call: Call) -> Call:
    """
    Go on into the application whose resource a handler returns, so that its errors
    are ours as well.
    """

    def follow(request: Any, args: dict[str, Any]) -> Any:
        answer = call(request, args)
        if awaitable(answer):
            return deferred(answer).addCallback(kept(partial(into, request)))
        return into(request, answer)

    def into(request: Any, answer: Any) -> Any:
        app = _served_by(answer)
        if app is None:
            return answer
        endpoint = find(app, request).enter(request)
        return endpoint.call(request, request.path_args)

    return follow


def _served_by(resource: Any) -> Klein | None:
    """The application that a resource serves, if it does nothing else."""
    if type(resource) is KleinResource or getattr(resource, "is_application", False):
        return resource._app if isinstance(resource._app, Klein) else None
    return None


def _redirecting(rule: Rule) -> Call:
    """Werkzeug's ``redirect_to``: a path with slots, or a function of them."""
    target = rule.redirect_to

    def call(request: Any, args: dict[str, Any]) -> Any:
        mapper = IKleinRequest(request).mapper
        if callable(target):
            path = target(mapper, **args)
        else:
            path = _SLOT.sub(lambda found: written(found[1], args), str(target))
        location = urljoin(mapper.script_name, path)
        raise RequestRedirect(_asking(location, request))

    def written(name: str, args: dict[str, Any]) -> str:
        return rule._converters[name].to_url(args[name])

    return call


def _canonical(app: Klein, rule: Rule, call: Call) -> Call:
    """
    Lead to another path where Werkzeug does: from an alias, and from a path that says
    what are the defaults of a shorter one.
    """
    rules = app.url_map.iter_rules(rule.endpoint)
    before = takewhile(lambda each: each is not rule, rules)
    shorter = [each for each in before if each.provides_defaults_for(rule)]
    if not shorter and not rule.alias:
        return call

    def lead(request: Any, args: dict[str, Any]) -> Any:
        method = request.method.decode("latin-1")
        fitting = (each.defaults for each in shorter if each.suitable_for(args, method))
        defaults = next(fitting, None)
        if defaults is None and not rule.alias:
            return call(request, args)
        mapper = IKleinRequest(request).mapper
        values = {**args, **(defaults or {})}
        path = mapper.build(rule.endpoint, values, method, append_unknown=False)
        raise RequestRedirect(_asking(path, request))

    return lead


_SLOT = re.compile(r"<(?:[^<>:]*:)?([A-Za-z_]\w*)>")


def _is_branch(app: Klein, rule: Rule) -> bool:
    name = rule.endpoint
    return rule.rule.endswith(BELOW) or f"{name}_branch" in app.endpoints


def _depth(path: str) -> int:
    """How many segments a path has, as Klein counts them."""
    return path.count("/") - path.endswith("/")


def _needs_instance(function: Any) -> BadHandler:
    owner, _, _ = name_of(function).rpartition(".")
    problem = "these are the routes of a class; mount those of an instance"
    hint = f": {owner}(…).routes" if owner else ""
    return BadHandler(name_of(function), place_of(function), problem + hint)
