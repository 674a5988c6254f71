# -*- test-case-name: tests.test_formats -*-
"""
Forms with files in them: ``multipart/form-data`` (RFC 7578).

:mod:`multipart` takes them apart and is imported by the first that comes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from io import BytesIO
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, ClassVar, cast

from msgspec import Struct

from ropewalk.errors import Fault, Malformed
from ropewalk.schema.words import spell
from ropewalk.web.queries import MOST_FIELDS

__all__ = ["Upload", "close_all", "read_parts"]

#: How many files a form may have: each may take a file descriptor of ours.
_MOST_FILES = 100

#: How long all text in a form may be, in bytes: it is kept in memory. (Django's
#: ``DATA_UPLOAD_MAX_MEMORY_SIZE`` is 2.5 MB.)
_LONGEST_TEXT = 2 * 1024 * 1024

#: How much of a file is kept in memory, in bytes; longer ones go to the disk.
_SPOOLED = 64 * 1024

_CHUNK = 64 * 1024

#: Names of UTF-8, and of what is UTF-8 as well.
_CHARSETS = ("utf-8", "utf8", "us-ascii", "ascii")

#: Unicode's categories of characters that are not seen, but do something.
_UNSHOWN = ("Cc", "Cf", "Cs", "Zl", "Zp")

#: The longest name that common file systems have.
_LONGEST_NAME = 255


class Upload:
    """
    A file in a form. A field of a shape, or a parameter of a handler, of this
    type takes one.

    Whoever called the handler closes it when the handler's answer is final; copy
    what should stay.

    :ivar name: The field of the form.
    :ivar filename: What the file was called where it came from: the last part
        of a path, safe to show, at most 255 characters, perhaps empty. To store
        a file, think of a name of your own.
    :ivar content_type: What the sender says that it is; nobody checked.
    :ivar size: In bytes.
    :ivar file: The content, from its beginning.
    """

    # No attrs class: that could be read from JSON, and this must not be.
    __slots__ = ("content_type", "file", "filename", "name", "size")

    #: How a fault calls one of them, and more.
    described: ClassVar[tuple[str, str]] = ("a file", "files")

    #: What JSON Schema says of it.
    json_schema: ClassVar[dict[str, Any]] = {
        "type": "string",
        "contentMediaType": "application/octet-stream",
    }

    def __init__(
        self, name: str, filename: str, content_type: str, size: int, file: BinaryIO
    ) -> None:
        self.name = name
        self.filename = filename
        self.content_type = content_type
        self.size = size
        self.file = file

    def __repr__(self) -> str:
        return f"<Upload {self.name!r}: {self.filename!r}, {self.size} bytes>"

    def close(self) -> None:
        """
        Forget the content. To do it again does nothing.
        """
        self.file.close()


def close_all(fields: Iterable[Iterable[Any]]) -> None:
    """
    Close every file of a form.
    """
    for values in fields:
        for value in values:
            if isinstance(value, Upload):
                value.close()


def read_parts(
    body: BinaryIO, boundary: str, *, most: int = MOST_FIELDS
) -> dict[str, list[str | Upload]]:
    """
    Take a form apart. What the user was asked for and did not choose (a file
    without name and content) is left out.

    :param body: Read from where it stands.
    :param boundary: What the ``Content-Type`` says it is.
    :param most: How many parts there may be.
    :return: as :func:`~ropewalk.web.queries.read_query`, and the files.
    :raise Malformed: With one fault. No file is left open.
    """
    fields: dict[str, list[str | Upload]] = {}
    try:
        for name, value in _parts(body, boundary, most):
            fields.setdefault(name, []).append(value)
    except BaseException:
        close_all(fields.values())
        raise
    return fields


def _parts(
    body: BinaryIO, boundary: str, most: int
) -> Iterator[tuple[str, str | Upload]]:
    from multipart import (  # type: ignore[import-untyped]
        MultipartError,
        MultipartSegment,
        PushMultipartParser,
    )

    with ExitStack() as unfinished:
        try:
            parser = PushMultipartParser(boundary, max_segment_count=most)
            room, files = _LONGEST_TEXT, 0
            for event in parser.parse_blocking(body.read, _CHUNK):
                if isinstance(event, MultipartSegment):
                    part = _begin(event)
                    unfinished.callback(part.file.close)
                    files += part.is_file
                elif event is not None:
                    part.write(event)
                    room -= 0 if part.is_file else len(event)
                elif part.is_blank:
                    unfinished.close()
                else:
                    unfinished.pop_all()
                    yield part.name, part.finish()
                _check_room(room, files)
        except MultipartError as error:
            said = str(error.args[0])
            raise _malformed(f"{said[:1].lower()}{said[1:]}") from None


def _check_room(room: int, files: int) -> None:
    if files > _MOST_FILES:
        raise _malformed(f"more than {_MOST_FILES} files")
    if room < 0:
        raise _malformed(f"more than {_LONGEST_TEXT} bytes of text")


class _Part(Struct):
    """
    A part of a form while it comes in.
    """

    name: str
    filename: str | None
    content_type: str
    file: BinaryIO
    size: int = 0

    @property
    def is_file(self) -> bool:
        """Whether it was sent as a file; otherwise it is text."""
        return self.filename is not None

    @property
    def is_blank(self) -> bool:
        """Whether it is what a browser sends when no file was chosen."""
        return self.filename == "" and self.size == 0

    def write(self, piece: bytes) -> None:
        """Take some of the content."""
        self.size += len(piece)
        self.file.write(piece)

    def finish(self) -> str | Upload:
        """
        The text, or the file at its beginning.

        :raise Malformed: When it is text, but not UTF-8.
        """
        self.file.seek(0)
        if self.filename is not None:
            kind = self.content_type or "application/octet-stream"
            shown = _showable(self.filename)
            return Upload(self.name, shown, kind, self.size, self.file)
        try:
            return self.file.read().decode()
        except UnicodeDecodeError:
            raise _not_utf8(self.name) from None


def _begin(segment: Any) -> _Part:
    """
    :raise Malformed: When the part has no name, or is text in another encoding.
    """
    if not segment.name and not _is_named(segment):
        raise _malformed("a part has no name")
    if segment.filename is not None:
        file = cast(BinaryIO, SpooledTemporaryFile(_SPOOLED))  # noqa: SIM115
    elif (segment.charset or "utf-8").lower() in _CHARSETS:
        file = BytesIO()
    else:
        raise _not_utf8(segment.name)
    return _Part(segment.name, segment.filename, segment.content_type or "", file)


def _is_named(segment: Any) -> bool:
    """Whether a part says its name, be it a blank one."""
    from multipart import parse_options_header

    return "name" in parse_options_header(segment.header("Content-Disposition"))[1]


def _showable(filename: str) -> str:
    """
    The last part of a path, without what would change how text around it looks:
    control characters, and those that turn the direction of writing.
    """
    last = re.split(r"[/\\]", filename)[-1]
    kept = "".join(
        each for each in last if unicodedata.category(each) not in _UNSHOWN
    ).strip()
    return "" if kept in (".", "..") else kept[-_LONGEST_NAME:]


def _malformed(problem: str) -> Malformed:
    return Malformed((Fault("", f"not a form: {problem}"),))


def _not_utf8(name: str) -> Malformed:
    return Malformed((Fault(spell((name,)), "not UTF-8"),))
