# -*- test-case-name: tests.test_hosting_loading -*-
"""
Finding an application by its name, and loading it: in a thread in which no event loop
runs, one application after the other, with its own environment and its own modules.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from types import MappingProxyType, ModuleType
from typing import Any

from attrs import define
from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ropewalk.errors import RopewalkError
from ropewalk.schema.words import nearest
from ropewalk.web.hosting.conflicts import (
    Guest,
    cherrypy_config,
    clash,
    foresee,
    see_whole,
)
from ropewalk.web.hosting.spaces import SPACES, Space, Spaces, modules_in
from ropewalk.web.hosting.versions import unmet

__all__ = [
    "BadApplication",
    "Guests",
    "Target",
    "amiss",
    "environment_without",
    "load",
    "loaded",
]

#: Says where it is mounted to an application that asks while it is loaded.
MOUNT = "ROPEWALK_MOUNT"

#: What applications are called where nobody says how.
_USUAL = ("application", "app")

#: And what makes one.
_FACTORIES = ("create_app", "make_app", "get_app")

_NOTHING: Mapping[str, str] = MappingProxyType({})


@define
class BadApplication(RopewalkError):
    """
    An application cannot be loaded.

    :ivar target: How it was called.
    :ivar problem: Why, perhaps with a traceback below.
    """

    target: str
    problem: str

    def __str__(self) -> str:
        return f"cannot load {self.target!r}: {self.problem}"


class Target(Struct, frozen=True):
    """
    What to load.

    :ivar text: As somebody wrote it.
    :ivar module: The dotted name of the module.
    :ivar name: What in it; with dots. Empty for what is usual.
    :ivar called: Whether that makes the application.
    :ivar directory: Where the module is looked for first.
    """

    text: str
    module: str
    name: str
    called: bool
    directory: str

    @classmethod
    def read(cls, text: str, directory: str = "") -> Target:
        """
        :param text: ``"shop.wsgi:application"``, ``"app.py:app"``,
            ``"shop:create_app()"``, ``"app.py"``.
        :raise BadApplication: When nothing can be meant by that.
        """
        module, _, name = text.partition(":")
        called = name.endswith("()")
        name = name.removesuffix("()")
        here = os.path.abspath(directory or os.curdir)
        if module.endswith(".py"):
            here, file = os.path.split(os.path.join(here, module))
            module = file.removesuffix(".py")
            right = bool(module)
        else:
            right = all(each.isidentifier() for each in module.split("."))
        names = name.split(".") if name or called else []
        if not right or not all(each.isidentifier() for each in names):
            raise BadApplication(
                text,
                "expected 'package.module:name', 'file.py:name', or "
                "'package.module:factory()'",
            )
        return cls(text, module, name, called, os.path.realpath(here))


class Guests:
    """
    The applications of one process.
    """

    _log = Logger()

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spaces = Spaces()
        self._guests: dict[tuple[str, str], Guest] = {}
        #: The environment's variables that guests have, as they were before.
        self._before: dict[str, str | None] = {}
        #: The environment without any of that, while one is being loaded.
        self._without: dict[str, str] | None = None

    def load(
        self,
        target: str,
        directory: str = "",
        environment: Mapping[str, str] = _NOTHING,
        prefix: str = "",
    ) -> Any:
        """See :func:`load`."""
        wanted = Target.read(target, directory)
        problem = _missing(wanted)
        if problem:
            raise BadApplication(target, problem)
        with self._lock:
            others = [
                guest
                for (text, here), guest in self._guests.items()
                if (text, here) != (target, wanted.directory)
            ]
            file = _file(wanted)
            source = _text(file)
            foresee(target, wanted.directory, source, environment, others)
            own: dict[str, str | None] = {}
            with self._as_it_was(target), self._given(environment, prefix, own):
                application = _find(wanted, self._spaces.enter(wanted.directory))
            here = wanted.directory
            config = cherrypy_config()
            guest = Guest(target, here, application, own, config, file)
            clash(guest, others)
            self._guests[target, wanted.directory] = guest
            self._settle()
        return application

    @contextmanager
    def _given(
        self, environment: Mapping[str, str], prefix: str, own: dict[str, str | None]
    ) -> Iterator[None]:
        """Let nothing be in the environment that other guests have put there."""
        for key, value in self._before.items():
            _put(key, value)
        self._without = before = dict(os.environ)
        os.environ.update(environment)
        os.environ[MOUNT] = prefix
        try:
            yield
        finally:
            for key in before.keys() | os.environ.keys():
                if before.get(key) != os.environ.get(key):
                    own[key] = os.environ.get(key)
                    self._before.setdefault(key, before.get(key))
            self._settle()
            self._without = None

    def environment_without(self) -> dict[str, str]:
        """See :func:`environment_without`. Another thread may be loading one."""
        if (without := self._without) is not None:
            return dict(without)
        environ = dict(os.environ)
        for key, value in list(self._before.items()):
            environ.pop(key, None)
            if value is not None:
                environ[key] = value
        return environ

    def _settle(self) -> None:
        """
        Leave in the environment what guests have put there and do not disagree on.
        """
        for key, value in self._before.items():
            wishes = {
                guest.environment[key]
                for guest in self._guests.values()
                if key in guest.environment
            }
            kept = len(wishes) == 1 and key not in (MOUNT, "TZ")
            _put(key, wishes.pop() if kept else value)

    @contextmanager
    def _as_it_was(self, target: str) -> Iterator[None]:
        """Notice what an application does to the process, and undo what can be."""
        here, zone, policy = _current(), time.tzname, _policy()
        try:
            yield
        finally:
            if here and _current() != here:
                os.chdir(here)
                self._tell(target, "the current directory", "and it was put back")
            if time.tzname != zone:
                time.tzset()  # the environment is as it was
                self._tell(target, "the time zone", "and it was put back")
            if _policy() is not policy:
                self._tell(target, "the policy of asyncio", "which is left so")

    def _tell(self, target: str, what: str, done: str) -> None:
        self._log.warn(
            "{target} changed {what} of the whole process while it was loaded, {done}; "
            "an application that needs it wants a process of its own "
            "(command = [...])",
            target=target,
            what=what,
            done=done,
        )


_guests = Guests()


def load(
    target: str,
    directory: str = "",
    environment: Mapping[str, str] = _NOTHING,
    prefix: str = "",
) -> Any:
    """
    Load an application, and wait until that is done: one after the other.

    :param target: Which: see :meth:`Target.read`.
    :param directory: Where its modules are; empty for the current directory.
    :param environment: Variables of the environment that it is loaded with. They stay,
        unless another application has the same ones with other values.
    :param prefix: Where it is mounted: ``""``, ``"/shop"``. It is in the environment as
        ``ROPEWALK_MOUNT`` while it is loaded.
    :raise BadApplication: When it cannot be.
    :raise ropewalk.web.hosting.conflicts.CannotShare: When it cannot be in one process
        with those that are loaded.
    """
    return _guests.load(target, directory, environment, prefix)


def environment_without() -> dict[str, str]:
    """
    The environment as it is but for what applications have put there: for other
    programs, which have not been asked whether they agree with them.
    """
    return _guests.environment_without()


def loaded(
    reactor: Any,
    target: str,
    directory: str = "",
    environment: Mapping[str, str] = _NOTHING,
    prefix: str = "",
    within: float = 60.0,
    using: Callable[..., Any] = load,
) -> Deferred[Any]:
    """
    Load an application in a thread of its own: in that of an event loop, some refuse to
    do anything that takes a while.

    :param within: For how many seconds to wait for it.
    :param using: What loads it, as :func:`load` does.
    :return: fires with the application, or fails as :func:`load` does.
    """

    def work() -> None:
        try:
            outcome = using(target, directory, environment, prefix)
        except BaseException:
            outcome = Failure()
        reactor.callFromThread(finish, outcome)

    def finish(outcome: Any) -> None:
        if not arrived.called:
            arrived.callback(outcome)

    def late(_: object, seconds: float) -> Any:
        problem = f"it is not done after {seconds:g} seconds"
        frame = sys._current_frames().get(thread.ident or 0)
        if frame is not None:
            last = "".join(traceback.format_stack(frame)[-1:]).strip()
            problem += f"; the thread that loads it is here:\n  {last}"
        raise BadApplication(target, problem)

    arrived: Deferred[Any] = Deferred()
    thread = threading.Thread(target=work, name=f"loads {target}", daemon=True)
    thread.start()
    return arrived.addTimeout(within, reactor, late)


def amiss(target: str, directory: str = "") -> str | None:
    """
    Why an application cannot be loaded, as far as can be told without running any of
    it; ``None`` when nothing is known against it.
    """
    try:
        wanted = Target.read(target, directory)
    except BadApplication as error:
        return error.problem
    return _missing(wanted) or None


def _missing(wanted: Target) -> str:
    """What is wrong with the name of a module, if something is."""
    places: list[str] | None = [wanted.directory, *sys.path]
    if not os.path.isdir(wanted.directory):
        return f"there is no directory {wanted.directory}"
    known = ""
    for piece in wanted.module.split("."):
        if places is None:
            return f"{known} is a module, not a package: nothing is below it"
        name = f"{known}.{piece}" if known else piece
        spec = PathFinder.find_spec(name, places)
        if spec is None:
            looked = [wanted.directory] if not known else places
            return _not_there(name, piece, looked, bool(known))
        known = name
        locations = spec.submodule_search_locations
        places = None if locations is None else list(locations)
    return ""


def _not_there(name: str, piece: str, places: list[str], inside: bool) -> str:
    meant = nearest(piece, [each for place in places for each in modules_in(place)])
    hint = f"; did you mean {meant!r}?" if meant else ""
    beyond = "" if inside else ", nor on Python's path"
    return f"there is no module {name!r} in {places[0]}{beyond}{hint}"


def _file(wanted: Target) -> str:
    """Where the module is; empty where nobody knows."""
    places: list[str] | None = [wanted.directory, *sys.path]
    spec: ModuleSpec | None = None
    for piece in wanted.module.split("."):
        spec = PathFinder.find_spec(piece, places)
        places = None if spec is None else spec.submodule_search_locations
    return (spec is not None and spec.origin) or ""


def _text(file: str) -> str:
    """What is in a module that is written in Python."""
    if not file.endswith(".py"):
        return ""
    with open(file, "rb") as opened:
        return opened.read().decode("utf-8", "replace")


def _find(wanted: Target, space: Space) -> Any:
    """Import the module, and get the application out of it."""
    try:
        module = space.load(wanted.module)
        found = _named(wanted, module)
        if wanted.called:
            found = found()
    except BadApplication:
        raise
    except BaseException as error:
        see_whole(wanted.text)
        # Whatever it was, SystemExit too, it was in the application.
        problem = f"it failed:\n{_story(error)}"
        for each in unmet(wanted.directory):
            problem += f"\nIts requirements.txt has {each}."
        raise BadApplication(wanted.text, problem) from error
    if not callable(found):
        kind = type(found).__name__
        raise BadApplication(
            wanted.text, f"that is no application: {kind} cannot be called"
        )
    return found


def _named(wanted: Target, module: ModuleType) -> Any:
    names = [wanted.name] if wanted.name else [n for n in _USUAL if hasattr(module, n)]
    if not names:
        makes = [each for each in _FACTORIES if hasattr(module, each)]
        hint = f"{wanted.text}:{makes[0]}()" if makes else f"{wanted.text}:name"
        problem = f"it has neither 'application' nor 'app'; say which: '{hint}'"
        raise BadApplication(wanted.text, problem)
    found: Any = module
    for piece in names[0].split("."):
        if not hasattr(found, piece):
            where = getattr(found, "__file__", None) or repr(found)
            meant = nearest(piece, vars(module) if found is module else dir(found))
            hint = f"; did you mean {meant!r}?" if meant else ""
            raise BadApplication(wanted.text, f"there is no {piece!r} in {where}{hint}")
        found = getattr(found, piece)
    return found


def _story(error: BaseException) -> str:
    """An error as Python prints it, without the frames that only import."""
    trace = error.__traceback__
    while trace is not None and _imports(trace.tb_frame.f_globals):
        trace = trace.tb_next
    told = traceback.TracebackException(type(error), error, trace)
    part: traceback.TracebackException | None = told
    while part is not None:
        theirs = [frame for frame in part.stack if frame.filename != SPACES]
        part.stack = traceback.StackSummary.from_list(theirs)
        part = part.__cause__ or part.__context__
    return "".join(told.format()).rstrip()


def _imports(owner: Mapping[str, Any]) -> bool:
    name: str = owner.get("__name__", "")
    return name.startswith(("ropewalk.web.hosting.", "importlib"))


def _put(key: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(key, None)
    else:
        os.environ[key] = value


def _current() -> str:
    try:
        return os.getcwd()
    except OSError:  # it is gone
        return ""


def _policy() -> object:
    """
    The policy of asyncio, if somebody has set one. To ask for it would make one, and on
    Python 3.14 warn.
    """
    return getattr(asyncio.events, "_event_loop_policy", None)
