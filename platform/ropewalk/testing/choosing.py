# -*- test-case-name: tests.test_testing -*-
"""
The reactor of a test run: asyncio's, although Twisted's default one is installed by
whoever first imports something that imports it, as Klein does.
"""

from __future__ import annotations

import gc
import sys
import warnings
from types import ModuleType
from typing import Any

import twisted.internet
from twisted.trial.unittest import TestCase

from ropewalk.run import reactors

__all__ = ["choose"]

#: Distributions whose modules import the reactor, and do not use it until later.
_HARMLESS = {"klein", "twisted"}


def choose() -> Any:
    """
    Install the asyncio reactor. One that somebody chose (``trial --reactor …``)
    stays, and so does one that was used already.

    :return: the reactor.
    """
    unwanted = sys.modules.get("twisted.internet.reactor")
    if unwanted is None or not _nobody_chose(unwanted):
        return reactors.choose()
    holders = _holders(unwanted)
    strangers = {module.__name__ for module, _ in holders}
    strangers = {name for name in strangers if name.split(".")[0] not in _HARMLESS}
    if strangers:
        warnings.warn_explicit(
            f"the reactor was imported by {', '.join(sorted(strangers))} before "
            "ropewalk.testing could install asyncio's, so that tests cannot wait for "
            "asyncio. Import ropewalk.testing first, or `trial --reactor asyncio`",
            RuntimeWarning,
            *_importer(),
        )
        return reactors.choose()
    del sys.modules["twisted.internet.reactor"]
    del twisted.internet.reactor
    chosen = reactors.choose()
    for module, name in holders:
        setattr(module, name, chosen)
    for case in gc.get_objects():
        # Tests that were loaded before keep their time-outs in it.
        if issubclass(type(case), TestCase):
            case._twistedPrivateScheduler = chosen
    return chosen


def _importer() -> tuple[str, int]:
    """The file, and the line in it, that imports the kit."""
    frame = sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(
        ("ropewalk.testing", "importlib")
    ):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


def _nobody_chose(reactor: Any) -> bool:
    """Whether it is the default one, and is as new."""
    return (
        "twisted.internet.default" in sys.modules
        and "twisted.internet.asyncioreactor" not in sys.modules
        and not reactor._startedBefore
        and not reactor.getDelayedCalls()
    )


def _holders(reactor: Any) -> list[tuple[ModuleType, str]]:
    """Where modules have it, and under which names."""
    modules: list[Any] = list(sys.modules.values())  # the reactor is among them
    return [
        (module, name)
        for module in modules
        if isinstance(module, ModuleType) and module is not twisted.internet
        for name, value in list(vars(module).items())
        if value is reactor
    ]
