# -*- test-case-name: tests.test_routes -*-
"""
A host made to be looked at: its services are built, and never started.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from ropewalk.plugin import Found
from ropewalk.run import reactors
from ropewalk.run.configuration import make_plan
from ropewalk.run.host import Host
from ropewalk.run.single import open_settings, with_file

__all__ = ["rehearse"]


def rehearse(
    path: str | os.PathLike[str], environ: Mapping[str, str], found: Found
) -> Host:
    """
    Build what a settings file asks for.

    :param environ: The environment's variables, which are settings too.
    :param found: The plugins that are installed.
    :raise BadSettings: When the settings cannot be used.
    :raise StartFailed: When a service cannot be built.
    """
    plan = make_plan(open_settings(path, environ), with_file(found, path))
    reactor = reactors.running()
    host = Host(plan, reactor, time.time)
    host.make()
    return host
