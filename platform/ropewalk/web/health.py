# -*- test-case-name: tests.test_health -*-
"""
``/health``: whether the process lives, and whether it should be given work.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from klein import Klein
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest

from ropewalk import awaiting
from ropewalk.interfaces import Steps
from ropewalk.telemetry import Check

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

    @routes.route("/live", methods=["GET"])
    def live(self, request: IRequest) -> bytes:
        """The reactor turns: that this is answered at all is the answer."""
        return self._json(request, {"live": True})

    @routes.route("/ready", methods=["GET"])
    @awaiting.inlineCallbacks
    def ready(self, request: IRequest) -> Steps[bytes]:
        """Whether every service can do its work; if not, why not."""
        state = self._state()
        checks: list[dict[str, Any]] = yield gatherResults(
            [self._ask(check) for check in self._checks], consumeErrors=True
        )
        is_ready = state == "ready" and all(check["ok"] for check in checks)
        if not is_ready:
            request.setResponseCode(503)
        return self._json(
            request, {"ready": is_ready, "state": state, "checks": checks}
        )

    def _ask(self, check: Check) -> Deferred[dict[str, Any]]:
        asking: Deferred[Any] = awaiting.within(
            self.patience, awaiting.run(check.ask), self._clock
        )

        def failed(failure: Failure) -> str:
            self._log.failure(
                "health check {plugin}/{check} failed",
                failure,
                plugin=check.plugin,
                check=check.name,
            )
            return f"the check itself failed: {failure.getErrorMessage()}"

        def told(why: str | None) -> dict[str, Any]:
            answer: dict[str, Any] = {
                "service": check.plugin,
                "check": check.name,
                "ok": why is None,
            }
            return answer if why is None else {**answer, "why": str(why)}

        asking.addErrback(failed)
        return asking.addCallback(told)

    def _json(self, request: Any, value: object) -> bytes:
        request.setHeader(b"content-type", b"application/json")
        request.setHeader(b"cache-control", b"no-store")
        return json.dumps(value, indent=2).encode("utf-8") + b"\n"
