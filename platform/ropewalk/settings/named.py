# -*- test-case-name: tests.test_named -*-
"""
What a setting names: ``"acme.fast:JSON"`` is ``JSON`` in the module ``acme.fast``.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

from attrs import define

from ropewalk.errors import RopewalkError
from ropewalk.schema import nearest

__all__ = ["BadName", "load_named"]

_NAME = re.compile(r"\w+(?:\.\w+)*:\w+(?:\.\w+)*")


@define
class BadName(RopewalkError):
    """
    There is nothing under a name.

    :ivar name: As it was written.
    :ivar problem: Why not, and what may have been meant.
    """

    name: str
    problem: str

    def __str__(self) -> str:
        return f"{self.name!r}: {self.problem}"


def load_named(name: str) -> Any:
    """
    Import what has a name.

    :param name: A module, a colon, and what is in it, or in that: dots are between
        them.
    :raise BadName: When there is no such thing, or importing it fails.
    """
    if not _NAME.fullmatch(name):
        raise BadName(name, _misspelt(name))
    module_name, _, path = name.partition(":")
    found: Any = _import(name, module_name)
    where = module_name
    for step in path.split("."):
        try:
            found = getattr(found, step)
        except AttributeError:
            known = [each for each in dir(found) if not each.startswith("_")]
            problem = f"there is no {step} in {where}{_hint(step, known)}"
            raise BadName(name, problem) from None
        except Exception as error:  # a module that imports when it is asked
            raise BadName(name, _failed(f"{where}.{step}", error)) from error
        where = f"{where}.{step}"
    return found


def _misspelt(name: str) -> str:
    module, _, attribute = name.strip().rpartition(".")
    form = "write a module, a colon and a name in it, like acme.fast:JSON"
    meant = f"{module}:{attribute}"
    return f"{form}; did you mean {meant!r}?" if _NAME.fullmatch(meant) else form


def _import(name: str, module_name: str) -> ModuleType:
    try:
        return import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing != module_name and not module_name.startswith(f"{missing}."):
            raise BadName(name, _failed(module_name, error)) from error
        raise BadName(name, _no_module(missing)) from None
    except (Exception, SystemExit) as error:
        raise BadName(name, _failed(module_name, error)) from error


def _no_module(name: str) -> str:
    """Says that there is no module, and which there is."""
    package, _, last = name.rpartition(".")
    if not package:
        known = (each.name for each in iter_modules())
        return f"there is no module {last}{_hint(last, known)}"
    places = getattr(import_module(package), "__path__", None)
    if places is None:
        return f"{package} is no package, so there is no {last} in it"
    known = (each.name for each in iter_modules(places))
    return f"there is no module {last} in {package}{_hint(last, known)}"


def _failed(module_name: str, error: BaseException) -> str:
    text = "".join(traceback.format_exception(error)).rstrip()
    said = str(error) or type(error).__name__
    return f"cannot import {module_name}: {said}\n{text}"


def _hint(word: str, known: Iterable[str]) -> str:
    meant = nearest(word, list(known))
    return f"; did you mean {meant}?" if meant else ""
