# -*- test-case-name: tests.test_cli -*-
"""
The command ``ropewalk``.

What each command does is in a module of its own, which is imported when that
command runs: asking for help imports nothing of Twisted's.
"""

from __future__ import annotations

import difflib
import json
import os
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import click

import ropewalk
from ropewalk.errors import BadSettings, RopewalkError
from ropewalk.run.calling.command import call
from ropewalk.run.statuses import Status

if TYPE_CHECKING:
    from ropewalk.plugin import Found

__all__ = ["commands", "main"]

F = TypeVar("F", bound=Callable[..., Any])


class Commands(click.Group):
    """
    The commands, in the order in which somebody needs them. What a user did
    wrong is told in a sentence, without a traceback.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in self.commands and not name.startswith("-"):
            near = difflib.get_close_matches(name.lower(), self.commands, n=1)
            hint = f"did you mean {near[0]!r}?" if near else _listed(self.commands)
            ctx.fail(f"there is no command {name!r}; {hint}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BadSettings as error:
            click.echo(str(error), err=True)
            ctx.exit(Status.BAD_SETTINGS)
        except RopewalkError as error:
            click.echo(f"ropewalk: {error}", err=True)
            ctx.exit(Status.START_FAILED)


def _listed(names: Iterable[str]) -> str:
    return f"there are {', '.join(names)}"


def settings_file(command: F) -> F:
    """
    Let a command take the name of a settings file, with ``--settings`` or
    without.
    """
    command = click.option(
        "-s",
        "--settings",
        metavar="FILE",
        envvar="ROPEWALK_SETTINGS",
        show_envvar=True,
        help="The settings file. Default: ropewalk.toml.",
    )(command)
    return click.argument("file", metavar="[FILE]", required=False)(command)


def _choose(file: str | None, settings: str | None) -> str:
    source = click.get_current_context().get_parameter_source("settings")
    if file and settings and source is not click.core.ParameterSource.ENVIRONMENT:
        raise click.UsageError("FILE is given twice; leave out --settings")
    return file or settings or "ropewalk.toml"


as_json = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, for programs."
)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 88},
    epilog="`ropewalk COMMAND --help` explains a command, with examples. Begin with "
    "`ropewalk new hello`.",
)
@click.version_option(ropewalk.__version__, prog_name="ropewalk")
def commands() -> None:
    """
    Ropewalk runs services: HTTP, WebSocket and raw TCP, side by side in one
    Twisted daemon, as one settings file asks for them.

    Services are plugins. Those installed are found, and so are those of the
    project in the current directory. `twistd ropewalk` is the daemon; these
    commands are for whoever works with it.
    """
    _look_here()


def main() -> None:
    """The entry point."""
    commands(prog_name="ropewalk")


def _look_here() -> None:
    """
    Let Python find what is in the current directory, before all else.
    """
    try:
        here = os.getcwd()
    except OSError as error:
        raise click.UsageError(f"the current directory: {error.strerror}") from None
    init = os.path.join("twisted", "__init__.py")
    if os.path.exists(init) and not os.path.exists(os.path.join("twisted", "internet")):
        raise click.UsageError(f"{init} hides Twisted from Python: remove it")
    if here not in sys.path:
        sys.path.insert(0, here)


@commands.command()
@click.argument("name")
@click.argument("directory", required=False, type=click.Path())
def new(name: str, directory: str | None) -> None:
    """
    Write a plugin project that runs, with tests that pass.

    It is called NAME. It is a service to begin with: a page and a TCP protocol
    that share one set of rules, the settings they take, and tests for all of
    it. It is written into DIRECTORY, which must be empty if it is there; by
    default into NAME.

    \b
    Example:
      $ ropewalk new hello
      $ cd hello
      $ ropewalk run

    Then read hello.py from top to bottom, change it, and watch the daemon start
    again. Next: the tutorial in the documentation.
    """
    from ropewalk.run.scaffold import write_project

    for line in write_project(name, directory or name, _found()):
        click.echo(line)


@commands.command()
@settings_file
@click.option(
    "--reload/--no-reload",
    default=None,
    help="Start again when a file changes, or not. Default: on a terminal.",
)
@click.option(
    "--watch",
    metavar="DIRECTORY",
    multiple=True,
    type=click.Path(exists=True, file_okay=False),
    help="Watch this directory, and no others. May be given again.",
)
@click.option("--lifeline", type=int, hidden=True)
def run(
    file: str | None,
    settings: str | None,
    reload: bool | None,
    watch: tuple[str, ...],
    lifeline: int | None,
) -> None:
    """
    Run the daemon in the foreground; Ctrl-C stops it.

    This is `twistd --nodaemon ropewalk`, for development. On a terminal it
    watches the project's files (.py, .toml, .html, .css, .js and the like, in
    the current directory and wherever else you develop code) and starts the
    daemon again when one changes. A daemon that cannot start waits for the
    change that mends it.

    It turns `[host] development` on, unless the settings say otherwise: what goes
    wrong is then explained in the browser, to nobody but you.

    The first Ctrl-C lets the services say goodbye, a second one stops at once.
    The exit status is the daemon's: 0 stopped as asked, 1 a service did not
    start, 2 the settings cannot be used, 3 something would not stop.

    FILE may also be a Python file, with nothing set: a service, or an application
    of Flask, Django, FastAPI, aiohttp … `FILE:NAME` and `MODULE:NAME` say which.

    \b
    Examples:
      $ ropewalk run
      $ ropewalk run app.py
      $ ropewalk run shop.wsgi:application
      $ ropewalk run --no-reload /etc/ropewalk.toml
      $ ROPEWALK_CHAT__HISTORY=5 ropewalk run

    In production, let systemd run `twistd`; the documentation has a unit for it.
    Next: `ropewalk routes`.
    """
    path = _choose(file, settings)
    if reload is None:
        reload = bool(watch) or sys.stdout.isatty()
    if reload:
        from ropewalk.run import autoreload

        sys.exit(autoreload.run(path, watch))
    from ropewalk.run import foreground

    foreground.serve(path, lifeline)


@commands.command()
@settings_file
@click.option("-v", "--verbose", is_flag=True, help="With tracebacks.")
@as_json
def check(file: str | None, settings: str | None, verbose: bool, as_json: bool) -> None:
    """
    Show every setting, where it comes from, and every fault.

    Every value is shown, also those that nobody has set; secrets are masked. A
    value comes from the file (and line), from the environment, from a file or
    variable that the settings point to, or is the default. Then every fault is
    told, in the words in which the daemon would refuse to start. The modules of
    the services are imported; nothing is started.

    \b
    Exit status:
      0  no fault
      2  the daemon would refuse to start

    \b
    Examples:
      $ ropewalk check
      $ ropewalk check /etc/ropewalk.toml && systemctl reload ropewalk
      $ ropewalk check --json | jq .faults

    Next: `ropewalk routes` shows what the services answer by these settings.
    """
    path = _choose(file, settings)
    found = _found(with_reactor=True)
    from ropewalk.run.checking import check as check_file

    checked = check_file(path, os.environ, found)
    if as_json:
        _print_json(checked.plain())
    else:
        _print(checked.values())
        _print(map(str, checked.faults), err=True)
        _print(checked.warnings(verbose), err=True)
    sys.exit(checked.status)


@commands.command()
@as_json
def plugins(as_json: bool) -> None:
    """
    List the services that are installed.

    For each: its name, which is its table in the settings file; what it is; the
    module that builds it; the distribution that brought it; where it is
    declared; what can be set, and which services it requires. Modules are read,
    not imported. A declaration that is broken is named, with its traceback, and
    keeps nobody else from being listed.

    Being installed turns nothing on: a table in the settings file does.

    \b
    Exit status:
      0  all of them can be used
      1  something is broken, or two want one name

    \b
    Example:
      $ ropewalk plugins
      $ ropewalk plugins --json | jq '.services[].name'

    Next: add a table for one to ropewalk.toml, then `ropewalk check`.
    """
    from ropewalk.run.installed import take_inventory

    inventory = take_inventory(_found())
    if as_json:
        _print_json(inventory.plain())
    else:
        _print(inventory.lines())
        _print(inventory.warnings(), err=True)
    sys.exit(1 if inventory.problems else 0)


@commands.command()
@settings_file
@as_json
def routes(file: str | None, settings: str | None, as_json: bool) -> None:
    """
    List everything that would be answered, on every protocol.

    The web site's routes, by path: the methods, the function that answers and
    where it is written, and the service it belongs to. Its WebSockets are
    marked WS; a path that ends in … stands for all below it. Then every other
    listener. The services are built for this, and not started.

    \b
    Exit status:
      0  this is what would be answered
      1  a service cannot be built, or two want the same path or port
      2  the settings cannot be used

    \b
    Examples:
      $ ropewalk routes
      $ ropewalk routes --json | jq -r '.routes[].path'

    Next: `ropewalk run`.
    """
    path = _choose(file, settings)
    found = _found(with_reactor=True)
    from ropewalk.run.rehearsal import rehearse
    from ropewalk.run.routes import map_routes

    route_map = map_routes(rehearse(path, os.environ, found))
    if as_json:
        _print_json(route_map.plain())
    else:
        _print(route_map.lines())


commands.add_command(call)


@commands.command()
@as_json
def doctor(as_json: bool) -> None:
    """
    Say what is installed, what is not, and what that gives.

    Versions, the reactor that would run, what makes it faster and what each of
    these gives, extras, plugins that cannot be used, and what the machine
    allows. Whatever is not as it could be comes with the command that changes
    it.

    \b
    Marks:
      +  as it should be
      -  could be better
      !  will hurt under load
      x  does not work

    \b
    Exit status:
      0  nothing is marked x
      1  something is

    Next: `ropewalk check`, for the settings.
    """
    from ropewalk.run.doctor import examine

    report = examine(_found(), os.environ)
    if as_json:
        _print_json(report.plain())
    else:
        _print(report.lines())
    sys.exit(1 if report.problems else 0)


def _found(with_reactor: bool = False) -> Found:
    """
    The plugins that are installed.

    :param with_reactor: Choose the reactor as the daemon does, before anything
        that is about to be imported takes the default one.
    """
    _take_log()
    if with_reactor:
        from ropewalk.run import reactors

        reactors.choose()
    from ropewalk.plugin import discover

    return discover()


def _take_log() -> None:
    """
    Keep what is logged off the output, but for warnings. Failures are told by
    whoever met them.
    """
    from twisted.logger import (
        ILogObserver,
        LogEvent,
        LogLevel,
        formatEvent,
        globalLogBeginner,
    )
    from zope.interface import implementer

    @implementer(ILogObserver)
    def tell(event: LogEvent) -> None:
        level = event.get("log_level", LogLevel.info)
        failure = event.get("failure") or event.get("log_failure")
        if level >= LogLevel.warn and failure is None:
            click.echo(f"ropewalk: {formatEvent(event)}", err=True)

    globalLogBeginner.beginLoggingTo([tell], redirectStandardIO=False)


def _print(lines: Iterable[str], err: bool = False) -> None:
    for line in lines:
        click.echo(line, err=err)


def _print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))
