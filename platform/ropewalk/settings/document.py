# -*- test-case-name: tests.test_settings -*-
"""
A settings file that was read, with the environment laid over it.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, TypeVar, overload

import msgspec

from ropewalk.errors import BadSettings, Fault, SettingFault
from ropewalk.schema.walk import Flaw, convert, find_flaws, kind_of
from ropewalk.schema.words import SETTINGS, Step, nearest, spell
from ropewalk.settings.kinds import fold, match_name
from ropewalk.settings.lines import Lines, find_lines
from ropewalk.settings.showing import Setting, show
from ropewalk.settings.sources import Origin, Override, Pointers, Sources, overrides

__all__ = ["Document", "load", "parse"]

T = TypeVar("T")

Steps = tuple[Step, ...]


def load(path: str | os.PathLike[str], environ: Mapping[str, str]) -> Document:
    """
    Read a settings file.

    :param path: Shown in messages as it is given here.
    :param environ: The environment's variables: ``os.environ``.
    :raise BadSettings: When there is no such file, or it is not TOML.
    """
    name = os.fspath(path)
    try:
        with open(name, "rb") as opened:
            raw = opened.read()
    except FileNotFoundError:
        problem = "no such file; `ropewalk new NAME` writes one"
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    else:
        return parse(_decode(name, raw), name, environ, os.path.dirname(name))
    raise BadSettings((SettingFault(name, "", Fault("", problem)),))


def _decode(name: str, raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        fault = Fault("", "not text in UTF-8")
        raise BadSettings((SettingFault(f"{name}:{line}", "", fault),)) from None


def parse(
    text: str,
    name: str = "ropewalk.toml",
    environ: Mapping[str, str] | None = None,
    directory: str = "",
) -> Document:
    """
    Read settings from a text.

    :param name: What the text is called in messages.
    :param environ: The environment's variables; none by default.
    :param directory: Where the names of files in ``{ file = "…" }`` start.
    :raise BadSettings: When the text is not TOML.
    """
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        # Not only TOMLDecodeError: a number can be too long, a list too deep.
        raise BadSettings((_no_toml(name, text, error),)) from None
    variables = dict(environ or {})
    return Document(
        name,
        data,
        find_lines(text),
        overrides(variables),
        Pointers(directory, variables),
    )


_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")

# What tomllib says, and what it should say to somebody in a hurry.
_CLEARER = (
    (r"Invalid value", "not a value; text needs quotes"),
    (r"Cannot overwrite a value", "this key is there already"),
    (r"Duplicate inline table key '(.*)'", r"the key '\1' is there already"),
    (r"Cannot declare \('(.*?)',?\) twice", r"the table [\1] is there already"),
)


def _no_toml(name: str, text: str, error: Exception) -> SettingFault:
    said = str(error)
    place = _PLACE.search(said)
    problem = said[: place.start()] if place else said
    for pattern, clearer in _CLEARER:
        problem = re.sub(f"^{pattern}$", clearer, problem).replace("', '", ".")
    problem = problem[:1].lower() + problem[1:]
    if place and place[1]:
        line, column = int(place[1]), f" (column {place[2]})"
    else:
        line, column = text.rstrip().count("\n") + 1, ""
    return SettingFault(f"{name}:{line}", "", Fault("", f"not TOML: {problem}{column}"))


class Document:
    """
    A settings file that was read, with the environment laid over it.

    :ivar path: The file's name as it was given.
    """

    __slots__ = ("_data", "_lines", "_overrides", "_pointers", "path")

    def __init__(
        self,
        path: str,
        data: Mapping[str, Any],
        lines: Lines,
        overrides: tuple[Override, ...],
        pointers: Pointers,
    ) -> None:
        self.path = path
        self._data, self._lines = data, lines
        self._overrides, self._pointers = overrides, pointers

    @property
    def home(self) -> str:
        """The directory in which the file is."""
        return os.path.dirname(os.path.abspath(self.path))

    @property
    def tables(self) -> tuple[str, ...]:
        """
        The names of the tables: those of the file in its order, then those that
        only the environment has, with ``_`` for what may be a ``-``.
        """
        names = [name for name, value in self._data.items() if isinstance(value, dict)]
        for override in self._overrides:
            if match_name(override.names[0], [*names, *self._data]) is None:
                names.append(override.names[0])
        return tuple(names)

    def has(self, table: str, *, besides: str) -> bool:
        """
        Whether a table is in the document for more than another one that is in it.

        :param besides: The other one: ``[web.sites.internal]`` alone says nothing of
            ``web`` besides ``sites``.
        """
        if (table,) in self._lines.headers:
            return True
        value = self._data.get(table)
        return (isinstance(value, dict) and value.keys() != {besides}) or any(
            self._is_for(each, table) and fold(each.names[1]) != fold(besides)
            for each in self._overrides
        )

    def chosen(self, known: Collection[str]) -> tuple[str, ...]:
        """
        The known tables that are in the document, in its order and spelled as
        they are known: ``ROPEWALK_MY_CHAT__X`` chooses ``my-chat``.
        """
        found = []
        for name in self.tables:
            match = match_name(name, known)
            if match is None or (name in self._data and match != name):
                continue
            if match not in found:
                found.append(match)
        return tuple(found)

    def unknown(self, known: Collection[str]) -> tuple[SettingFault, ...]:
        """
        What is wrong at the top of the document: tables that nobody knows, and
        keys outside of any table.

        :param known: The names of all tables that somebody knows.
        """
        return tuple(self._unknown(known))

    def _unknown(self, known: Collection[str]) -> Iterator[SettingFault]:
        for name, value in self._data.items():
            if not isinstance(value, dict):
                yield SettingFault(
                    self._file_origin((name,)).text, "", self._homeless(name)
                )
        for name in self.tables:
            if name in known:
                continue
            if name not in self._data and match_name(name, known):
                continue
            meant = nearest(name, known)
            hint = f"did you mean [{meant}]? " if meant else ""
            yield SettingFault(
                self.origin(name),
                spell([name]),
                Fault(
                    "", f"unknown table; {hint}`ropewalk plugins` lists those there are"
                ),
            )

    def _homeless(self, name: str) -> Fault:
        key = spell([name])
        if (name, 0) in self._lines.headers:
            return Fault("", f"[[{key}]] is a list of tables; write [{key}], once")
        return Fault(
            key, "a key outside of any table; it belongs below a line like [chat]"
        )

    def line(self, table: str, key: str | None = None) -> int | None:
        """
        The line, from 1, of a table or a key in the file.

        :param table: The table's dotted name.
        :param key: The key's name, dotted when it is deeper.
        :return: ``None`` when it is not in the file.
        """
        wanted = table if key is None else f"{table}.{key}"
        for steps, line in self._lines.lines.items():
            if spell(steps) == wanted:
                return line
        return None

    def origin(self, table: str, key: str | None = None) -> str:
        """
        Where a table or a key was written: ``"ropewalk.toml:12"`` or
        ``"environment variable X"``. Of what was not written, where the table
        around it is, or only the file's name.
        """
        line = self.line(table, key)
        names = (
            table.split(".") if key is None else [*table.split("."), *key.split(".")]
        )
        if line is None or key is not None:
            for override in self._overrides:
                if override.sets(names):
                    return override.origin.text
        if line is not None:
            return f"{self.path}:{line}"
        around = ".".join(names[:-1])
        return self.origin(around) if around else self.path

    @overload
    def read(self, table: str, shape: type[T]) -> T: ...
    @overload
    def read(self, table: str, shape: Any) -> Any: ...
    def read(self, table: str, shape: Any) -> Any:
        """
        The typed value of a table. One that is not there is read as one
        without keys.

        :raise BadSettings: With all that is wrong with the table.
        """
        sources = self._sources(table, shape)
        try:
            return convert(shape, sources.data, strict=True)
        except msgspec.ValidationError as refused:
            flaws = find_flaws(shape, sources.data, refused, words=SETTINGS)
        raise BadSettings(self._faults(table, sources, flaws))

    def show(self, table: str, shape: Any) -> tuple[Setting, ...]:
        """
        Every value of a table with its origin, in the order of the shape; also
        of a table that has faults.
        """
        return tuple(show(self._sources(table, shape)))

    def _sources(self, table: str, shape: Any) -> Sources:
        root = (table,)
        origins = {
            steps[1:]: self._file_origin(steps)
            for steps in self._lines.lines
            if steps[:1] == root
        }
        stronger = [
            Override(each.variable, each.names[1:], each.text)
            for each in self._overrides
            if self._is_for(each, table)
        ]
        return Sources.gather(
            kind_of(shape),
            self._data.get(table, {}),
            {(): Origin(self.path), **origins},
            stronger,
            self._pointers,
        )

    def _is_for(self, override: Override, table: str) -> bool:
        # Of [my-chat] and [my_chat] in one file, the second is the variable's.
        meant = match_name(override.names[0], [*self._data, table])
        return meant == table

    def _file_origin(self, steps: Steps) -> Origin:
        line = self._lines.lines[steps]
        return Origin(f"{self.path}:{line}", line, steps in self._lines.headers)

    def _faults(
        self, table: str, sources: Sources, flaws: Iterable[Flaw]
    ) -> tuple[SettingFault, ...]:
        found = []
        for flaw in flaws:
            origin = sources.origin(flaw.steps)
            header = sources.header(flaw.steps)
            problem = sources.problems.get(flaw.steps, flaw.problem)
            fault = Fault(spell(flaw.steps[len(header) :]), problem)
            name = spell((table, *header))
            found.append((origin, SettingFault(origin.text, name, fault)))
        found.sort(key=lambda each: (each[0].line is None, each[0].line or 0))
        return tuple(fault for _, fault in found)
