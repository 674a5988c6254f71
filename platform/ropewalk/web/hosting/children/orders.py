# -*- test-case-name: tests.test_hosting_command -*-
"""
What is run, and where it is to listen.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path
from tempfile import mkdtemp

from msgspec import Struct

from ropewalk.web.hosting.loading import environment_without
from ropewalk.web.proxying.targets import Target

__all__ = ["Order", "free_port", "private_directory"]

#: Bytes of the longest path of a UNIX socket (unix(7) has 108, other systems 104).
_LONGEST_PATH = 100


#: What systemd says to the daemon, and to nobody else (sd_notify(3), sd_listen_fds(3)).
_SYSTEMDS = frozenset(
    "NOTIFY_SOCKET WATCHDOG_USEC WATCHDOG_PID LISTEN_FDS LISTEN_PID "
    "LISTEN_FDNAMES".split()
)


class Order(Struct, frozen=True):
    """
    A program to run.

    :ivar words: The program and its arguments. ``{port}``, ``{socket}`` and
        ``{prefix}`` in them stand for where it listens and where it is mounted.
    :ivar directory: Where it runs.
    :ivar environment: What is in its environment besides ours. Of ours it does not
        have what applications in the daemon have put there.
    :ivar prefix: Where it is mounted: ``""``, ``"/old"``.
    """

    words: tuple[str, ...]
    directory: str
    environment: Mapping[str, str]
    prefix: str

    @property
    def name(self) -> str:
        """What it is called, in messages."""
        return " ".join(self.words)

    @property
    def by_socket(self) -> bool:
        """Whether it listens at a UNIX socket."""
        return any("{socket}" in each for each in self.words)

    def program(self) -> str | None:
        """Where the program is; ``None`` where it is not."""
        path = self.environment.get("PATH", os.environ.get("PATH", ""))
        word = self.words[0]
        if os.sep in word and not os.path.isabs(word):
            word = os.path.join(self.directory, word)
        return shutil.which(word, path=path)

    def filled(self, target: Target) -> list[str]:
        """The words for a program that is to listen there."""
        values = {
            "{port}": str(target.port),
            "{socket}": target.socket,
            "{prefix}": self.prefix,
        }
        return [_filled(each, values) for each in self.words]

    def variables(self, target: Target) -> dict[str, str]:
        """Its environment."""
        where = {} if target.socket else {"PORT": str(target.port)}
        ours = environment_without()
        return {
            **{name: ours[name] for name in ours if name not in _SYSTEMDS},
            "ROPEWALK_MOUNT": self.prefix,
            "PYTHONUNBUFFERED": "1",  # what it prints is to be read now
            **where,
            **self.environment,
        }


def _filled(word: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        word = word.replace(name, value)
    return word


def free_port() -> int:
    """A port of this machine that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def private_directory() -> Path:
    """A new directory that nobody else can look into, with a short name."""
    made = Path(mkdtemp(prefix="ropewalk-"))
    if len(os.fsencode(made)) + 12 > _LONGEST_PATH:
        made.rmdir()
        made = Path(mkdtemp(prefix="ropewalk-", dir="/tmp"))
    return made
