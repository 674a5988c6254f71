# -*- test-case-name: tests.test_settings -*-
"""
Where the values of one table come from: the settings file, the environment, or
a file or variable that the settings only point to.
"""

from __future__ import annotations

import copy
import os.path
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct, inspect

from ropewalk.schema.shape import Secret
from ropewalk.schema.words import Step
from ropewalk.settings.kinds import (
    fold,
    from_text,
    inner_kind,
    is_table,
    keys_of,
    match_name,
)

__all__ = ["Origin", "Override", "Pointers", "Sources", "overrides"]

Steps = tuple[Step, ...]

_PREFIX = "ROPEWALK_"


class Origin(Struct, frozen=True):
    """
    Where something was written.

    :ivar text: ``"ropewalk.toml:12"``, ``"environment variable X"``.
    :ivar line: Its line in the settings file, if it is in there.
    :ivar header: Whether it is a table with a ``[header]`` there.
    """

    text: str
    line: int | None = None
    header: bool = False


class Override(Struct, frozen=True):
    """
    An environment variable that sets something.

    :ivar variable: Its whole name.
    :ivar names: What it sets, from the table on, in lower case.
    :ivar text: What it sets it to.
    """

    variable: str
    names: tuple[str, ...]
    text: str

    @property
    def origin(self) -> Origin:
        """
        The variable, as an origin.
        """
        return Origin(f"environment variable {self.variable}")

    def sets(self, names: Sequence[str]) -> bool:
        """
        Whether it sets the key of this name, or one in the table of this name.
        """
        written = self.names[: len(names)]
        return list(map(fold, written)) == list(map(fold, names))


def overrides(environ: Mapping[str, str]) -> tuple[Override, ...]:
    """
    The variables that are settings: ``ROPEWALK_TABLE__KEY`` and deeper. A name
    without ``__`` is for something else. What sets a whole table comes before
    what sets a key in it.
    """
    found = [
        Override(name, tuple(name.removeprefix(_PREFIX).lower().split("__")), text)
        for name, text in environ.items()
        if name.startswith(_PREFIX) and "__" in name.removeprefix(_PREFIX)
    ]
    return tuple(sorted(found, key=lambda each: (len(each.names), each.variable)))


class Pointers(Struct, frozen=True):
    """
    Follows what settings point to: ``{ file = "…" }`` and ``{ env = "…" }``.

    :ivar directory: Where the names of files start.
    :ivar environ: The environment's variables.
    """

    directory: str
    environ: Mapping[str, str]

    def follow(self, pointer: Mapping[str, str]) -> str:
        """
        The text there, without the newline at the end of a file.

        :raise LookupError: When it leads nowhere; says why.
        """
        if "env" in pointer:
            if pointer["env"] not in self.environ:
                raise LookupError(f"{self.describe(pointer)} is not set")
            return self.environ[pointer["env"]]
        try:
            with open(self._path(pointer), encoding="utf-8") as opened:
                return opened.read().removesuffix("\n")
        except OSError as error:
            problem = error.strerror or str(error)
        except ValueError:
            problem = "it is not text in UTF-8"
        raise LookupError(f"cannot read {self.describe(pointer)}: {problem}")

    def describe(self, pointer: Mapping[str, str]) -> str:
        """
        Where it leads, for people.
        """
        if "env" in pointer:
            return f"environment variable {pointer['env']}"
        return f"file {self._path(pointer)}"

    def _path(self, pointer: Mapping[str, str]) -> str:
        return os.path.join(self.directory, pointer["file"])


def _is_pointer(value: dict[str, Any]) -> bool:
    return value.keys() in ({"file"}, {"env"}) and all(
        isinstance(name, str) for name in value.values()
    )


class Sources(Struct):
    """
    The values of one table, and where each came from.

    :ivar kind: What the table should be.
    :ivar data: The values, plain; text from outside the file already converted.
    :ivar origins: Where what stands at a place was written. The table itself,
        at the empty place, always has one.
    :ivar elsewhere: What a place of the settings only points to.
    :ivar problems: Why a pointer leads nowhere.
    """

    kind: inspect.Type
    data: Any
    origins: dict[Steps, Origin]
    elsewhere: dict[Steps, str] = {}
    problems: dict[Steps, str] = {}

    @classmethod
    def gather(
        cls,
        kind: inspect.Type,
        data: Any,
        origins: Mapping[Steps, Origin],
        stronger: Iterable[Override],
        pointers: Pointers,
    ) -> Sources:
        """
        Lay the environment over the file, then follow the pointers.

        :param data: What the file has.
        :param stronger: The variables for this table, by their names after it.
        """
        sources = cls(kind, copy.deepcopy(data), dict(origins))
        if isinstance(sources.data, dict):
            for override in stronger:
                sources._lay_over(override)
        sources.data = sources._follow(kind, sources.data, (), pointers)
        return sources

    def origin(self, steps: Steps) -> Origin:
        """
        Where something was written, or else what is around it.
        """
        return self.origins[self._around(steps)]

    def header(self, steps: Steps) -> Steps:
        """
        The innermost table around a place that has a header of its own.
        """
        for length in range(len(steps), 0, -1):
            origin = self.origins.get(steps[:length])
            if origin is not None and origin.header:
                return steps[:length]
        return ()

    def hidden(self, steps: Steps) -> bool:
        """
        Whether a value came from a place for secrets.
        """
        return any(steps[:length] in self.elsewhere for length in range(len(steps) + 1))

    def _around(self, steps: Steps) -> Steps:
        while steps not in self.origins:
            steps = steps[:-1]
        return steps

    def _lay_over(self, override: Override) -> None:
        table, kind = self.data, self.kind
        steps: Steps = ()
        *parents, last = override.names
        for written in parents:
            name = self._name(kind, table, written)
            kind, steps = inner_kind(kind, name), (*steps, name)
            if not isinstance(table.get(name), dict):
                self._move(steps, override.origin)
                table[name] = {}
            table = table[name]
        name = self._name(kind, table, last)
        self._move((*steps, name), override.origin)
        table[name] = from_text(inner_kind(kind, name), override.text)

    def _name(self, kind: inspect.Type, table: Mapping[str, Any], written: str) -> str:
        return match_name(written, [*keys_of(kind), *table]) or written

    def _move(self, steps: Steps, origin: Origin) -> None:
        for each in [each for each in self.origins if each[: len(steps)] == steps]:
            del self.origins[each]
        self.origins[steps] = origin

    def _follow(
        self, kind: inspect.Type, value: Any, steps: Steps, pointers: Pointers
    ) -> Any:
        """
        The value with what it points to in place of the pointers.
        """
        if isinstance(value, list):
            return [
                self._follow(inner_kind(kind, index), item, (*steps, index), pointers)
                for index, item in enumerate(value)
            ]
        if not isinstance(value, dict):
            return value
        if not _is_pointer(value) or is_table(kind):
            return {
                name: self._follow(
                    inner_kind(kind, name), item, (*steps, name), pointers
                )
                for name, item in value.items()
            }
        try:
            text = pointers.follow(value)
        except LookupError as error:
            self.problems[steps] = str(error)
            return value
        self.elsewhere[steps] = pointers.describe(value)
        return from_text(kind, Secret(text))
