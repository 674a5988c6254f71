"""
Tests for L{ropewalk.web.around}.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextvars import ContextVar
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.awaiting import deferred
from ropewalk.web.answers import Response
from ropewalk.web.around import Middleware, around, check_middleware


class AroundTests(SynchronousTestCase):
    """
    Middleware around something that answers.
    """

    def setUp(self) -> None:
        self.seen: list[str] = []

    def note(self, word: str) -> Middleware:
        """Middleware that notes when it is passed."""

        def noting(request: Any) -> Generator[Any, Any, None]:
            self.seen.append(f"into {word}")
            response = yield
            self.seen.append(f"out of {word} with {response.body}")

        return noting

    def ask(self, *middleware: Middleware, answer: Any = "answer") -> Any:
        """What comes of a request; what an answer raises is raised."""

        def call(request: Any, args: dict[str, Any]) -> Any:
            self.seen.append("handler")
            if isinstance(answer, Exception):
                raise answer
            return answer

        return around(middleware, call)("request", {"a": 1})

    def now(self, waiting: Any) -> Any:
        """The body of an answer that has been waited for."""
        return self.successResultOf(deferred(waiting)).body

    def test_nothing(self) -> None:
        """
        Without middleware, what is called is the handler itself.
        """

        def call(request: Any, args: dict[str, Any]) -> None:
            """Never called."""

        self.assertIs(around((), call), call)

    def test_order(self) -> None:
        """
        The first is the outermost: first in, last out. No Deferred is made of it.
        """
        response = self.ask(self.note("a"), self.note("b"))
        self.assertEqual(response.body, "answer")
        self.assertEqual(
            self.seen,
            [
                "into a",
                "into b",
                "handler",
                "out of b with answer",
                "out of a with answer",
            ],
        )

    def test_changed(self) -> None:
        """
        An answer may be changed, whatever the handler returned.
        """

        def stamp(request: Any) -> Generator[Any, Any, None]:
            response = yield
            response.headers["X-Stamp"] = "yes"
            response.status += 1

        for answer in {"a": 1}, (200, {"a": 1}), Response({"a": 1}):
            response = self.ask(stamp, answer=answer)
            self.assertEqual(
                (response.body, response.status, response.headers["x-stamp"]),
                ({"a": 1}, 201, "yes"),
            )

    def test_another_answer(self) -> None:
        """
        What a middleware returns is the answer; before it yields, nothing else is
        asked.
        """

        def before(request: Any) -> Generator[Any, Any, str | None]:
            if request == "request":
                return "no"
            yield
            return None

        def after(request: Any) -> Generator[Any, Any, str]:
            response = yield
            return f"{response.body}!"

        self.assertEqual(self.ask(before), "no")
        self.assertEqual(self.seen, [])
        self.assertEqual(self.ask(after), "answer!")

    def test_errors(self) -> None:
        """
        What is raised inside comes up where the middleware yields; it may answer.
        """

        def careful(request: Any) -> Generator[Any, Any, str]:
            try:
                yield
            except KeyError as error:
                return f"no {error}"
            raise AssertionError

        def tidy(request: Any) -> Generator[Any, Any, None]:
            try:
                yield
            finally:
                self.seen.append("tidied")

        self.assertEqual(self.ask(careful, tidy, answer=KeyError("x")), "no 'x'")
        self.assertEqual(self.seen, ["handler", "tidied"])
        self.assertRaises(ValueError, self.ask, careful, answer=ValueError())

    def test_waiting(self) -> None:
        """
        It may wait, before and after, and so may the handler.
        """
        waits: list[Deferred[str]] = [Deferred() for _ in range(3)]

        def slow(request: Any) -> Generator[Any, Any, str]:
            first = yield waits[0]
            response = yield
            last = yield waits[2]
            return f"{first} {response.body} {last}"

        result = self.ask(slow, self.note("b"), answer=waits[1])
        self.assertEqual(self.seen, [])
        waits[0].callback("in")
        self.assertEqual(self.seen, ["into b", "handler"])
        waits[1].callback("the middle")
        self.assertEqual(self.seen[2:], ["out of b with the middle"])
        self.assertNoResult(result)
        waits[2].callback("out")
        self.assertEqual(self.successResultOf(result), "in the middle out")

    def test_errors_after_waiting(self) -> None:
        """
        What a handler raises later comes up in the middleware, too.
        """
        waiting: Deferred[str] = Deferred()

        def careful(request: Any) -> Generator[Any, Any, str]:
            try:
                yield
            except KeyError:
                return "mended"
            raise AssertionError

        result = self.ask(careful, answer=waiting)
        waiting.errback(KeyError())
        self.assertEqual(self.successResultOf(result), "mended")

    def test_cancelled(self) -> None:
        """
        A client that goes away cancels what is waited for; the middleware can clean
        up.
        """

        def tidy(request: Any) -> Generator[Any, Any, None]:
            try:
                yield
            finally:
                self.seen.append("tidied")

        result = self.ask(tidy, answer=Deferred())
        result.cancel()
        self.failureResultOf(result, CancelledError)
        self.assertEqual(self.seen, ["handler", "tidied"])

    def test_whose_work(self) -> None:
        """
        After a wait, what is inside runs in the context of its own request, whoever
        fired the Deferred.
        """
        whose: ContextVar[str] = ContextVar("whose")
        seen = []
        waiting: Deferred[None] = Deferred()

        def slow(request: Any) -> Generator[Any, Any, None]:
            yield waiting
            yield

        def call(request: Any, args: dict[str, Any]) -> str:
            seen.append(whose.get())
            return ""

        whose.set("mine")
        around((slow,), call)("request", {})
        whose.set("another's")
        waiting.callback(None)
        self.assertEqual(seen, ["mine"])

    def test_async(self) -> None:
        """
        An asynchronous generator function does the same by C{await}; a second
        C{yield} gives another answer.
        """

        async def stamp(request: Any) -> AsyncGenerator[Any, Any]:
            await succeed(None)
            response = yield
            await succeed(None)
            response.headers["X-Stamp"] = "yes"

        async def shout(request: Any) -> AsyncGenerator[Any, Any]:
            response = yield
            yield f"{response.body}!"

        async def stop(request: Any) -> AsyncGenerator[Any, Any]:
            yield "no"

        result = self.successResultOf(self.ask(stamp))
        self.assertEqual((result.body, result.headers["X-Stamp"]), ("answer", "yes"))
        self.assertEqual(self.successResultOf(self.ask(shout)), "answer!")
        self.seen.clear()
        self.assertEqual(self.successResultOf(self.ask(stop)), "no")
        self.assertEqual(self.seen, [])

    def test_async_errors(self) -> None:
        """
        What is raised inside comes up where it yields, as in any generator.
        """

        async def careful(request: Any) -> AsyncGenerator[Any, Any]:
            try:
                yield
            except KeyError:
                yield "mended"

        mended = self.ask(careful, answer=KeyError())
        self.assertEqual(self.successResultOf(mended), "mended")
        self.failureResultOf(self.ask(careful, answer=ValueError()), ValueError)

    def test_objects(self) -> None:
        """
        An object has any of three methods, of any flavour.
        """
        seen = self.seen

        class Guard:
            def before(self, request: Any) -> Any:
                seen.append("before")
                return "no" if request is None else None

            async def after(self, request: Any, response: Response) -> None:
                await succeed(None)
                seen.append(f"after {response.body}")

            def on_error(self, request: Any, error: Exception) -> Any:
                seen.append(f"error {error!r}")
                return succeed("mended") if isinstance(error, KeyError) else None

        self.assertEqual(self.now(self.ask(Guard())), "answer")
        self.assertEqual(seen, ["before", "handler", "after answer"])
        self.assertEqual(self.now(self.ask(Guard(), answer=KeyError())), "mended")
        self.failureResultOf(deferred(self.asked(Guard(), ValueError())), ValueError)

    def asked(self, middleware: Middleware, error: Exception) -> Any:
        """As L{ask}, with an error as a Deferred."""
        waiting: Deferred[Any] = Deferred()
        result = self.ask(middleware, answer=waiting)
        waiting.errback(error)
        return result

    def test_objects_that_need_not_wait(self) -> None:
        """
        No Deferred is made for an object whose methods are plain.
        """

        class Stamp:
            def after(self, request: Any, response: Response) -> None:
                response.headers["X-Stamp"] = "yes"

        self.assertEqual(self.ask(Stamp()).headers["X-Stamp"], "yes")

    def test_no_middleware(self) -> None:
        """
        What is none is refused where it is said to be, in words that help.
        """

        class Stamp:
            def after(self, request: Any, response: Response) -> None:
                """Never called."""

        error = self.assertRaises(TypeError, check_middleware, Stamp)
        self.assertEqual(
            str(error), f"middleware is an object, not a class: write {_name(Stamp)}()"
        )

        def aiohttps(request: Any, handler: Any) -> Generator[Any, Any, None]:
            yield

        error = self.assertRaises(TypeError, check_middleware, aiohttps)
        self.assertIn("it is called with the request, and missing", str(error))
        error = self.assertRaises(TypeError, check_middleware, len)
        self.assertIn("<built-in function len> is no middleware", str(error))

    def test_mistakes(self) -> None:
        """
        A middleware that never lets the rest happen, or lets it happen twice, is
        told so, by name.
        """

        def forgets(request: Any) -> Generator[Any, Any, None]:
            if request == "never":
                yield

        def repeats(request: Any) -> Generator[Any, Any, None]:
            yield
            yield

        error = self.assertRaises(RuntimeError, self.ask, forgets)
        self.assertIn("forgets ended without an answer", str(error))
        error = self.assertRaises(RuntimeError, self.ask, repeats)
        self.assertIn("repeats yields nothing twice", str(error))


def _name(kind: type) -> str:
    return kind.__qualname__
