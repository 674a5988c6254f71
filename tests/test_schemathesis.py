"""
Schemathesis, which asks a site whatever its documentation says can be asked, and much
that cannot, finds nothing in what we show.

All its checks are made but ``max_response_time``, which is off unless a time is said.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.commandline import PATIENCE, ROOT, Running, variables
from tests.shop import TOKEN
from tests.validating import require_validator

FRAMEWORKS = ROOT / "examples" / "frameworks"

#: Those in which no handler says what it asks for.
PLAIN = ("japronto_hello.py",)


def require_schemathesis() -> None:
    """
    :raise SkipTest: Where it is not installed. In continuous integration that is an
        error.
    """
    require_validator()
    if find_spec("schemathesis"):
        return
    problem = "no schemathesis here: `pip install 'ropewalk[test]'` brings it"
    if os.environ.get("CI"):
        raise AssertionError(problem)
    raise SkipTest(problem)


class SchemathesisTests(SynchronousTestCase):
    """
    What is documented is what is answered, over a socket.
    """

    def setUp(self) -> None:
        require_schemathesis()
        self.home = Path(self.mktemp())
        self.home.mkdir()

    @contextmanager
    def serving(self, path: Path) -> Iterator[str]:
        """Run a file, and say where it is."""
        running = Running(
            "run",
            "--no-reload",
            str(path),
            cwd=self.home,
            ROPEWALK_WEB__LISTEN="tcp:0:interface=127.0.0.1",
            ROPEWALK_WEB__ACCESS_LOG="false",
        )
        try:
            running.says("ready: ")
            said = "\n".join(running.said)
            found = re.search(r"http://127\.0\.0\.1:[0-9]+/", said)
            assert found is not None, said
            yield found[0]
        finally:
            running.kill()

    def examine(self, place: str, *options: str, examples: int) -> str:
        """
        Let Schemathesis look at a site.

        :param examples: How many requests it invents for each operation; there are as
            many more as it takes to see every limit from both sides.
        :return: what it says.
        """
        done = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "run"),
                f"{place}openapi.json",
                *("--generation-deterministic", "--no-color"),
                *("--max-examples", str(examples)),
                *options,
            ],
            cwd=self.home,
            env=variables(SCHEMATHESIS_HOOKS="tests.formats_for_schemathesis"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=4 * PATIENCE,
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def test_shop(self) -> None:
        """
        Handlers that ask for all that there is.
        """
        keys = ("-H", f"Authorization: Bearer {TOKEN}", "-H", "X-Key: 7")
        with self.serving(ROOT / "tests" / "shop.py") as place:
            said = self.examine(place, *keys, examples=3)
        self.assertIn("Tested: 31", said)

    def test_frameworks(self) -> None:
        """
        The samples of other frameworks.
        """
        files = sorted(
            each
            for each in FRAMEWORKS.glob("*.py")
            if not each.name.startswith("test_") and each.name not in PLAIN
        )
        self.assertGreater(len(files), 8)
        for path in files:
            with self.serving(path) as place:
                self.examine(place, examples=5)
