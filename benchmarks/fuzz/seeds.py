"""
The first corpora, of what the suite has: requests that are to be answered or refused,
and random streams of them.

    python -m benchmarks.fuzz.seeds DIRECTORY
"""

from __future__ import annotations

import sys
from hashlib import sha256
from pathlib import Path
from random import Random

from tests.http_corpus import ANSWERED, OPEN, REFUSED
from tests.streams import Client


def main(directory: Path) -> None:
    """Write a directory for each target."""
    groups = *ANSWERED.values(), *REFUSED.values(), OPEN
    said = [each.said for group in groups for each in group if len(each.said) < 2000]
    for name, options in ("heads", (b"\0", b"\1")), ("connections", (b"\0\0", b"\7\3")):
        place = directory / name
        place.mkdir(parents=True, exist_ok=True)
        for each in said:
            for option in options:
                data = option + each
                (place / sha256(data).hexdigest()[:16]).write_bytes(data)
    for number in range(300):
        random = Random(number)
        pieces = Client(random, 0).say()
        marks = (b"\xff" + bytes([random.choice(b"fffFtTprl-")]) for _ in pieces)
        data = bytes(random.choices(b"\0\37\7", k=2))
        data += b"".join(map(bytes.__add__, marks, pieces))
        (directory / "connections" / str(number)).write_bytes(data)
    place = directory / "paths"
    place.mkdir(parents=True, exist_ok=True)
    for number in range(200):
        # What Hypothesis makes an example of.
        (place / str(number)).write_bytes(Random(number).randbytes(50 * (number + 1)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
