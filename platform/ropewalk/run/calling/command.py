# -*- test-case-name: tests.test_calling -*-
"""
The command itself. What it does is imported when it runs.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from typing import Any

import click

from ropewalk.errors import RopewalkError

__all__ = ["CallCommand", "call"]


class CallCommand(click.Command):
    """
    Knows what an operation takes, if it can be asked.
    """

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        from click.shell_completion import CompletionItem

        name = ctx.params.get("name")
        if name is None:
            return super().shell_complete(ctx, incomplete)
        from ropewalk.run.calling.words import completions

        operation = _offered_by(ctx.params).get(name)
        found = completions(operation, incomplete) if operation else []
        return [CompletionItem(word, help=about) for word, about in found]


def _complete_name(ctx: click.Context, param: Any, incomplete: str) -> list[Any]:
    """The operations whose names begin with what was typed."""
    from click.shell_completion import CompletionItem

    return [
        CompletionItem(name, help=each["summary"])
        for name, each in _offered_by(ctx.params).items()
        if name.startswith(incomplete)
    ]


def _offered_by(params: dict[str, Any]) -> dict[str, Any]:
    """What can be called; nothing if nobody says so quickly."""
    from ropewalk.run.calling.remote import Remote, address_of

    settings = params.get("settings") or "ropewalk.toml"
    try:
        address = address_of(params.get("url") or "", settings, os.environ)
        return Remote(address, patience=1.0).offered()
    except RopewalkError:
        return {}


@click.command(
    cls=CallCommand,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.option(
    "-u",
    "--url",
    metavar="URL",
    envvar="ROPEWALK_URL",
    show_envvar=True,
    help="Where the daemon is: http://127.0.0.1:8080. Default: where the settings "
    "file says.",
)
@click.option(
    "-s",
    "--settings",
    metavar="FILE",
    envvar="ROPEWALK_SETTINGS",
    show_envvar=True,
    help="The settings file. Default: ropewalk.toml.",
)
@click.argument("name", required=False, shell_complete=_complete_name)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[--PARAMETER]...")
def call(
    url: str | None, settings: str | None, name: str | None, words: tuple[str, ...]
) -> None:
    """
    Call an operation of a running daemon.

    Without NAME, it lists what can be called. `ropewalk call NAME --help` explains an
    operation. Parameters are given by their names; a part of one by a dot; text as it
    is, whatever else as JSON. Options of this command stand before NAME.

    The result is printed as JSON; what an operation tells on its way goes to standard
    error, a line each. Ctrl-C cancels the call.

    \b
    Exit status:
      0  it was called, and this is the result
      1  it was refused, or went wrong, or nobody answers
      2  there is no such operation, or it does not take this

    \b
    Examples:
      $ ropewalk call
      $ ropewalk call chat.say --help
      $ ropewalk call chat.say --room lobby --message.text hi
      $ ropewalk call chat.say --room lobby --message '{"text": "hi"}'
      $ ropewalk call --url http://10.0.0.5:8080 chat.close --room lobby

    Next: a shell completes names and parameters after `eval
    "$(_ROPEWALK_COMPLETE=bash_source ropewalk)"`.
    """
    from ropewalk.run.calling.remote import Remote, Unanswered, address_of
    from ropewalk.run.calling.words import BadWords, explain, listed, read_words

    file = settings or "ropewalk.toml"
    try:
        remote = Remote(address_of(url or "", file, os.environ))
        offered = remote.offered()
        if name is None:
            _print(listed(offered))
        elif {"-h", "--help"} & {*words} and name in offered:
            _print(explain(offered[name]))
        else:
            schema = offered[name]["parameters"] if name in offered else {}
            arguments = read_words(words if name in offered else (), schema)
            result = remote.call(name, arguments, _tell_progress)
            _print([json.dumps(result, indent=2, ensure_ascii=False)])
    except BadWords as error:
        hint = f"\nTry 'ropewalk call {name} --help'."
        raise click.UsageError(f"{error}{hint}") from None
    except Unanswered as error:
        click.echo(str(error), err=True)
        sys.exit(2 if error.misused else 1)


def _tell_progress(value: object) -> None:
    click.echo(json.dumps(value, ensure_ascii=False), err=True)


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)
