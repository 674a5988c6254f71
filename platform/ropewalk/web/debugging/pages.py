# -*- test-case-name: tests.test_debugging -*-
"""
What a developer sees of an error: a page in a browser, problem details elsewhere.
"""

from __future__ import annotations

import json
import os
import platform
import re
import secrets
import time
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any

import klein
import twisted
from twisted.python.failure import Failure

import ropewalk
from ropewalk.web.debugging.asking import learn_request, read_request
from ropewalk.web.debugging.debugger import PATH, Debugger, Development
from ropewalk.web.debugging.frames import read_trouble, tell
from ropewalk.web.debugging.masking import Masker
from ropewalk.web.debugging.values import Shower
from ropewalk.web.debugging.writing import Facts, write_page
from ropewalk.web.local import is_local
from ropewalk.web.problems import respond

__all__ = ["ErrorPages"]

#: Variables of the environment whose values are secrets. It has many more whose
#: names only sound like it: ``PWD``, ``DESKTOP_SESSION``.
_VARIABLE = re.compile(
    "(?i)passw|secret|token|(?:api|private|access)_?key|credential|passphrase"
)

_VERSIONS = (
    ("Ropewalk", ropewalk.__version__),
    ("Python", platform.python_version()),
    ("Twisted", twisted.__version__),
    ("Klein", klein.__version__),
    ("System", platform.platform()),
)


class ErrorPages:
    """
    Explains errors to who develops: to nobody but who sits at this machine.

    :param development: That it may.
    :param known: Called for each error; gives values that are secret wherever they
        are met, such as those of the settings.
    :param debugger: Has consoles in the frames; ``None`` for none.
    :param timer: Tells the seconds that something takes.
    """

    def __init__(
        self,
        development: Development,
        known: Callable[[], Iterable[str]] = tuple,
        debugger: Debugger | None = None,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._known = known
        self._debugger = debugger
        self._timer = timer

    def explain(self, request: Any, failure: Failure) -> bytes | None:
        """
        Set status and headers for an error, and make a body that says all of it.

        :param request: A ``twisted.web`` request; nothing was written to it yet.
        :return: the body; ``None`` where who asks is to be told no more than in
            production.
        """
        if not is_local(request):
            return None
        error = failure.value
        assert error is not None
        masker = self._masker(request)
        frames: list[FrameType] = []

        def keep(frame: FrameType) -> int:
            frames.append(frame)
            return len(frames) - 1

        trace = failure.getTracebackObject()
        trouble = read_trouble(error, trace, Shower(masker, self._timer), keep)
        trouble = masker.cleaned(trouble)
        asked = masker.cleaned(read_request(request, masker))
        lines = list(tell(trouble))
        plain = respond(request, error, request.work.request)
        kind = request.responseHeaders.getRawHeaders(b"content-type") or [b""]
        request.setHeader(b"cache-control", b"no-store")
        request.setHeader(b"x-content-type-options", b"nosniff")
        if not kind[0].startswith(b"text/html"):
            problem = {**json.loads(plain), "traceback": lines}
            return json.dumps(problem, indent=2).encode("ascii") + b"\n"
        nonce = secrets.token_urlsafe(16)
        for name, value in _policies(nonce):
            request.setHeader(name, value)
        ticket = ""
        if self._debugger is not None:
            ticket = self._debugger.keep(asked.name, masker, frames)
        console = f"{PATH}/{ticket}" if ticket else ""
        page = write_page(Facts(trouble, asked, _VERSIONS, lines, console, nonce))
        return page.encode("utf-8", "replace")

    def _masker(self, request: Any) -> Masker:
        masker = Masker()
        masker.learn_all(self._known())
        for name, value in os.environ.items():
            masker.notice(value)
            if _VARIABLE.search(name) and not os.path.exists(value):
                masker.learn(value, least=8)
        learn_request(request, masker)
        return masker


def _policies(nonce: str) -> Iterable[tuple[bytes, bytes]]:
    """The headers that keep the page to itself."""
    ours = f"'nonce-{nonce}'"
    policy = (
        f"default-src 'none'; style-src {ours}; script-src {ours}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    yield b"content-security-policy", policy.encode("ascii")
    yield b"cross-origin-opener-policy", b"same-origin"
    yield b"cross-origin-resource-policy", b"same-origin"
    yield b"referrer-policy", b"no-referrer"
    yield b"x-frame-options", b"DENY"
