# -*- test-case-name: tests.test_health -*-
"""
``/health``: whether the process lives, and whether it should be given work.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from klein import Klein
from twisted.internet.defer import CancelledError, TimeoutError, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.web.iweb import IRequest

from ropewalk import awaiting
from ropewalk.errors import RopewalkError
from ropewalk.interfaces import Steps
from ropewalk.telemetry import Check, working

__all__ = ["HealthPages"]


class HealthPages:
    """
    The two questions of an orchestrator or a load balancer.

    :param state: Says ``"ready"``, or what the daemon is doing instead.
    :param checks: What the services want to be asked.
    :cvar patience: Seconds a check may take.
    """

    routes = Klein()
    patience = 5.0

    _log = Logger()

    def __init__(
        self, state: Callable[[], str], checks: Iterable[Check], clock: IReactorTime
    ) -> None:
        self._state = state
        self._checks = checks
        self._clock = clock
        self._broken: set[tuple[str, str]] = set()

    @routes.route("/live", methods=["GET"])
    def live(self, request: IRequest) -> bytes:
        """The reactor turns: that this is answered at all is the answer."""
        return self._json(request, {"live": True})

    @routes.route("/ready", methods=["GET"])
    @awaiting.inlineCallbacks
    def ready(self, request: IRequest) -> Steps[bytes]:
        """Whether every service can do its work; if not, why not."""
        checks: list[dict[str, Any]] = yield gatherResults(
            [self._ask(check) for check in self._checks], consumeErrors=True
        )
        state = self._state()
        is_ready = state == "ready" and all(check["ok"] for check in checks)
        if not is_ready:
            request.setResponseCode(503)
        return self._json(
            request, {"ready": is_ready, "state": state, "checks": checks}
        )

    @awaiting.inlineCallbacks
    def _ask(self, check: Check) -> Steps[dict[str, Any]]:
        why: str | None
        name = (check.plugin, check.name)
        try:
            with working(plugin=check.plugin):
                asked = awaiting.run(check.ask)
                why = yield awaiting.within(self.patience, asked, self._clock)
            if why is not None:
                why = str(why)
            self._broken.discard(name)
        except CancelledError:
            why = "cancelled"  # most often since whoever asked has left
        except TimeoutError:
            why = f"no answer within {self.patience:g} seconds"
        except Exception as error:
            # Somebody asks every few seconds; the log need not say it each time.
            if name not in self._broken:
                self._broken.add(name)
                with working(plugin=check.plugin):
                    self._log.failure("health check {check} failed", check=check.name)
            why = f"the check itself failed: {_told(error)}"
        answer: dict[str, Any] = {
            "service": check.plugin,
            "check": check.name,
            "ok": why is None,
        }
        return answer if why is None else {**answer, "why": why}

    def _json(self, request: Any, value: object) -> bytes:
        request.setHeader(b"content-type", b"application/json")
        request.setHeader(b"cache-control", b"no-store")
        return json.dumps(value, indent=2).encode("ascii") + b"\n"


def _told(error: Exception) -> str:
    """What a stranger may know of an error: it may have a password in it."""
    if isinstance(error, RopewalkError):
        return str(error)
    return f"{type(error).__name__}; our log has more"
