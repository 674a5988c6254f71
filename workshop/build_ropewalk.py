"""
The build backend: setuptools', but for editable installs.

``twisted.plugins`` belongs to Twisted, which looks for more of it in a directory
``twisted/plugins`` below each entry of ``sys.path``. setuptools' editable installs map
single packages to directories, which hides ours. So this one names the two
roots of the tree in a ``.pth`` file and is done: new modules and new plugins show
without installing again. What is in C is compiled beside its source, if it can be.
"""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZIP_DEFLATED, ZipFile

from setuptools import build_meta
from setuptools.build_meta import (
    build_sdist,
    build_wheel,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

_ROOT = Path(__file__).resolve().parent.parent

_WHEEL = b"""\
Wheel-Version: 1.0
Generator: build_ropewalk
Root-Is-Purelib: true
Tag: py3-none-any
"""


def get_requires_for_build_editable(
    config_settings: Mapping[str, object] | None = None,
) -> list[str]:
    """
    What this needs beside setuptools: nothing. To find that out, setuptools would
    leave an ``egg-info`` on Python's path, which is out of date soon after.
    """
    return []


def build_editable(
    wheel_directory: str,
    config_settings: Mapping[str, object] | None = None,
    metadata_directory: str | None = None,
) -> str:
    """
    Make the wheel of an editable install (PEP 660).

    :return: The wheel's name in ``wheel_directory``.
    """
    _compile_in_place()
    with TemporaryDirectory() as metadata:
        name = build_meta.prepare_metadata_for_build_editable(metadata, config_settings)
        distribution = name.removesuffix(".dist-info")
        wheel = f"{distribution}-0.editable-py3-none-any.whl"
        contents = dict(_contents(Path(metadata, name)))
    record = f"{name}/RECORD"
    with ZipFile(Path(wheel_directory, wheel), "w", ZIP_DEFLATED) as archive:
        for path, content in contents.items():
            archive.writestr(path, content)
        archive.writestr(record, _record(contents) + f"{record},,\n")
    return wheel


def _compile_in_place() -> None:
    """
    Compile what is in C, beside its source. Where that cannot be done, setuptools says
    why, and ropewalk does without.
    """
    command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    with TemporaryDirectory() as scratch:
        subprocess.run(
            [*command, "--force", "--build-temp", scratch], cwd=_ROOT, check=False
        )


def _contents(metadata: Path) -> Iterator[tuple[str, bytes]]:
    yield "ropewalk.pth", f"{_ROOT / 'platform'}\n{_ROOT}\n".encode()
    for path in sorted(metadata.rglob("*")):
        if path.is_file() and path.name not in ("RECORD", "WHEEL"):
            yield path.relative_to(metadata.parent).as_posix(), path.read_bytes()
    yield f"{metadata.name}/WHEEL", _WHEEL


def _record(contents: Mapping[str, bytes]) -> str:
    """
    What is in the wheel, as the wheel says it: path, hash and size in a line each.
    """
    lines = []
    for path, content in contents.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest())
        checksum = digest.rstrip(b"=").decode()
        lines.append(f"{path},sha256={checksum},{len(content)}\n")
    return "".join(lines)
