# -*- test-case-name: tests.test_operations -*-
"""
Operations: declared, offered and called, without any protocol.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable
from typing import Annotated, Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import (
    BadOperation,
    Conflict,
    Fault,
    Forbidden,
    Invalid,
    NoSuchOperation,
    RopewalkError,
    TimedOut,
    TooMany,
)
from ropewalk.interfaces import Caller, IAuthoriser, IOperations, Steps
from ropewalk.operations import (
    Called,
    Figures,
    Limit,
    Operations,
    Progress,
    Rate,
    operation,
)
from ropewalk.schema import Meta, Shape
from ropewalk.telemetry import Work, work, working

ADA = Caller("test", "192.0.2.1", "c1")
GRACE = Caller("test", "192.0.2.2", "c2")

Name = Annotated[str, Meta(min_length=1, max_length=10)]


#: What msgpack can say.
ANYTHING: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(["up", "to"]) | st.text() | st.integers() | st.binary(),
            inner,
        )
    ),
    max_leaves=8,
)


class Tree(Shape):
    branches: tuple[Tree, ...] = ()
    size: int = 0


class Message(Shape):
    text: Annotated[str, Meta(min_length=1)]
    loud: bool = False


class Closed(RopewalkError):
    """The room is closed."""

    status = 409

    def __str__(self) -> str:
        return "the room is closed"


class Rooms:
    """
    Operations of every kind.

    :ivar waiting: What those that wait wait for.
    :ivar cancelled: How many of these were cancelled.
    """

    def __init__(self) -> None:
        self.waiting: list[Deferred[Any]] = []
        self.cancelled = 0
        self.worked_for: list[Work] = []

    @operation
    def echo(self, text: str) -> str:
        """Say it again."""
        return text

    @operation(rate="2/s", timeout=5, requires="rooms.say", name="say")
    @inlineCallbacks
    def talk(self, room: Name, message: Message) -> Steps[int]:
        """
        Say something in a room. Everybody there hears it.

        :param room: Where.
        """
        yield self.wait()
        return len(room) + len(message.text)

    @operation(summary="Wait a while")
    async def sleep(self, *, caller: Caller) -> str:
        self.worked_for.append(work.get())
        await self.wait()
        self.worked_for.append(work.get())
        return caller.connection

    @operation(timeout=None)
    def count(self, up: int, /, to: list[int] = [], *, progress: Progress) -> int:  # noqa: B006
        for each in (up, *to):
            progress(each)
        return up

    @operation
    def close(self) -> Awaitable[None]:
        raise Closed

    @operation
    def fail(self) -> None:
        raise ZeroDivisionError("the secret is 5")

    @operation
    async def unwell(self) -> None:
        await self.wait()
        raise ZeroDivisionError("the secret is 5")

    @operation
    def later(self) -> Deferred[int]:
        """Has fired, and waits all the same."""
        return succeed(1).addCallback(lambda _: self.wait())

    def not_one(self) -> None:
        """This is no operation."""

    def wait(self) -> Deferred[Any]:
        def cancel(_: object) -> None:
            self.cancelled += 1

        self.waiting.append(Deferred(cancel))
        return self.waiting[-1]


@implementer(IAuthoriser)
class Door:
    """
    :ivar permits_it: What is answered.
    """

    def __init__(self, permits_it: Any) -> None:
        self.permits_it = permits_it
        self.asked: list[tuple[Caller, str, str]] = []

    def permits(self, caller: Caller, requirement: str, what: str) -> Any:
        self.asked.append((caller, requirement, what))
        return self.permits_it


class OperationsTestCase(SynchronousTestCase):
    """
    Rooms that are offered as ``chat``.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.called: list[Called] = []
        self.operations = Operations(self.clock, self.called.append)
        self.rooms = Rooms()
        self.operations.add("chat", self.rooms)

    def call(self, name: str, caller: Caller = ADA, **arguments: Any) -> Deferred[Any]:
        return self.operations.call(name, arguments, caller)

    def refused(self, name: str, caller: Caller = ADA, **arguments: Any) -> Any:
        """The error that a call ends with at once."""
        return self.failureResultOf(self.call(name, caller, **arguments)).value


class CallTests(OperationsTestCase):
    """
    Calls, and how they end.
    """

    def test_interface(self) -> None:
        """
        Services see what they are promised.
        """
        verifyObject(IOperations, self.operations.of("chat"))

    def test_plain(self) -> None:
        """
        A plain method's result is there at once.
        """
        self.assertEqual(self.successResultOf(self.call("chat.echo", text="a")), "a")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_by_place(self) -> None:
        """
        Arguments may come in their order instead of by name.
        """
        called = self.operations.call("chat.echo", ["a"], ADA)
        self.assertEqual(self.successResultOf(called), "a")
        called = self.operations.call("chat.echo", ["a", "b"], ADA)
        error = self.failureResultOf(called, Invalid).value
        fault = Fault("", "expected at most 1 parameters, got 2")
        self.assertEqual(error.faults, (fault,))

    def test_inline_callbacks(self) -> None:
        """
        One that waits is waited for.
        """
        self.operations.authorise(Door(True))
        called = self.call("chat.say", room="lobby", message={"text": "hi"})
        self.assertNoResult(called)
        self.rooms.waiting[0].callback(None)
        self.assertEqual(self.successResultOf(called), 7)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_async(self) -> None:
        """
        An ``async def`` works in the name of its service from beginning to end, and
        learns who has called.
        """
        self.operations.of("talk").add("other", self.rooms)
        with working(plugin="web", request="r7"):
            called = self.call("other.sleep")
        self.rooms.waiting[0].callback(None)
        self.assertEqual(self.successResultOf(called), "c1")
        self.assertEqual(self.rooms.worked_for, [Work("talk", "c1", "r7")] * 2)
        self.assertEqual(work.get(), Work())

    def test_unknown(self) -> None:
        """
        Who calls what is not there is told what they may have meant; of a name that
        goes on and on, the beginning is told.
        """
        error = self.refused("chat.ecco")
        self.assertEqual(error.meant, "chat.echo")
        error = self.refused("x" * 10_000)
        self.assertEqual((error.name, error.meant), ("x" * 80, None))
        self.assertEqual(type(error), NoSuchOperation)
        self.assertIsInstance(self.refused("chat.not_one"), NoSuchOperation)

    def test_invalid(self) -> None:
        """
        All that is wrong with the arguments is told at once, by its path; what nobody
        asked for is wrong as well.
        """
        self.operations.authorise(Door(True))
        error = self.refused("chat.say", message={"text": "", "lout": 1}, rom="a")
        paths = [each.path for each in error.faults]
        self.assertEqual(paths, ["room", "message.text", "message.lout", "rom"])
        self.assertEqual(self.rooms.waiting, [])
        error = self.failureResultOf(self.operations.call("chat.echo", "a", ADA)).value
        self.assertIsInstance(error, Invalid)

    def test_integers(self) -> None:
        """
        2.0 is an integer to JSON, and so it is here.
        """
        called = self.operations.call("chat.count", {"up": 2.0, "to": [3.0]}, ADA)
        self.assertEqual(self.successResultOf(called), 2)
        self.assertIsInstance(self.refused("chat.count", up=2.5), Invalid)

    @settings(deadline=None)
    @given(ANYTHING)
    def test_anything(self, arguments: Any) -> None:
        """
        Whatever somebody gives is taken, or refused: nothing is our fault.
        """
        called = self.operations.call("chat.count", arguments, ADA)
        called.addErrback(lambda failure: failure.trap(Invalid))
        self.successResultOf(called)

    def test_depth(self) -> None:
        """
        Not even if it is very deep.
        """

        class Trees:
            @operation
            def plant(self, tree: Tree) -> None: ...

        self.operations.add("trees", Trees())
        for depth in (10, 1_000, 100_000):
            tree: dict[str, Any] = {"size": 2.0}
            for _ in range(depth):
                tree = {"branches": [tree]}
            called = self.operations.call("trees.plant", {"tree": tree}, ADA)
            called.addErrback(lambda failure: failure.trap(Invalid))
            self.successResultOf(called)
            while tree:  # to forget it all at once would take a deep stack
                tree = tree.get("branches", [{}])[0]

    def test_nobody_says_who_may(self) -> None:
        """
        As long as nobody says who may, nobody may; and who may not, does not hear what
        is wrong with the parameters.
        """
        error = self.refused("chat.say", what="?")
        self.assertIsInstance(error, Forbidden)
        told = "you may not call 'chat.say': it takes 'rooms.say'"
        self.assertEqual(str(error), told)

    def test_forbidden(self) -> None:
        """
        The authoriser is asked, and waited for.
        """
        asked: Deferred[bool] = Deferred()
        door = Door(asked)
        self.operations.authorise(door)
        called = self.call("chat.say", what="?")
        self.assertNoResult(called)
        asked.callback(False)
        self.failureResultOf(called, Forbidden)
        self.assertEqual(door.asked, [(ADA, "rooms.say", "chat.say")])
        door.permits_it = False
        self.assertIsInstance(self.refused("chat.say", what="?"), Forbidden)

    def test_permitted_later(self) -> None:
        """
        Whom the authoriser lets in after a while is served.
        """

        async def yes() -> bool:
            return True

        self.operations.authorise(Door(yes()))
        called = self.call("chat.say", room="lobby", message={"text": "hi"})
        self.rooms.waiting[0].callback(None)
        self.assertEqual(self.successResultOf(called), 7)

    def test_broken_authoriser(self) -> None:
        """
        An authoriser that fails lets nobody in, and it is our fault.
        """
        self.operations.authorise(Door(fail(ZeroDivisionError())))
        self.assertEqual(self.refused("chat.say").status, 500)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.rooms.waiting, [])

    def test_limited(self) -> None:
        """
        Each caller may call as often as the rate says, and those who call too often
        are told when there is room again. Calls that are refused count.
        """
        self.refused("chat.say")
        self.refused("chat.say")
        error = self.refused("chat.say")
        self.assertIsInstance(error, TooMany)
        self.assertEqual(error.seconds, 0.5)
        self.assertIsInstance(self.refused("chat.say", GRACE), Forbidden)
        self.clock.advance(0.5)
        self.assertIsInstance(self.refused("chat.say"), Forbidden)
        self.assertIsInstance(self.refused("chat.say"), TooMany)

    def test_timed_out(self) -> None:
        """
        What takes too long is cancelled, and the caller is told.
        """
        self.operations.authorise(Door(True))
        called = self.call("chat.say", room="lobby", message={"text": "hi"})
        self.clock.advance(4.9)
        self.assertNoResult(called)
        self.clock.advance(0.1)
        error = self.failureResultOf(called, TimedOut).value
        self.assertEqual(error.args, ("chat.say", 5))
        self.assertEqual(self.rooms.cancelled, 1)

    def test_callers_patience(self) -> None:
        """
        The caller may wait for less, and not for more, than the operation may take.
        """
        call = self.operations.call
        for patience, allowed in ((1, 1), (100, 30), (None, 30)):
            called = call("chat.sleep", {}, ADA, timeout=patience)
            self.clock.advance(allowed - 0.1)
            self.assertNoResult(called)
            self.clock.advance(0.1)
            error = self.failureResultOf(called, TimedOut).value
            self.assertEqual(error.seconds, allowed)

    def test_fired_and_waiting(self) -> None:
        """
        A Deferred that has fired, and waits for another, has its deadline as well.
        """
        called = self.call("chat.later")
        self.clock.advance(30)
        self.failureResultOf(called, TimedOut)

    def test_cancelled(self) -> None:
        """
        To cancel a call is to cancel its work.
        """
        called = self.call("chat.sleep")
        called.cancel()
        self.failureResultOf(called, CancelledError)
        self.assertEqual(self.rooms.cancelled, 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_refused(self) -> None:
        """
        An error that is raised on purpose is the caller's to hear.
        """
        self.assertIsInstance(self.refused("chat.close"), Closed)

    def test_failed(self) -> None:
        """
        What went wrong by accident is logged with the operation's name; the caller
        hears that it did, and nothing of what.
        """
        waiting = self.call("chat.unwell")
        self.rooms.waiting[0].callback(None)
        for error in (self.refused("chat.fail"), self.failureResultOf(waiting).value):
            self.assertEqual(type(error), RopewalkError)
            self.assertEqual(error.status, 500)
            told = "something went wrong here; it is in our log"
            self.assertEqual(str(error), told)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_progress(self) -> None:
        """
        Who wants to hear of progress hears of it; the defaults are the method's own.
        """
        heard: list[int] = []
        arguments = {"up": 1, "to": [2, 3]}
        called = self.operations.call(
            "chat.count", arguments, ADA, progress=heard.append
        )
        self.assertEqual(self.successResultOf(called), 1)
        self.assertEqual(heard, [1, 2, 3])
        self.assertEqual(self.successResultOf(self.call("chat.count", up=4)), 4)
        self.assertEqual(heard, [1, 2, 3])

    def test_progress_after_the_end(self) -> None:
        """
        What is told after the end is dropped.
        """
        tell: list[Progress] = []

        class Leaky:
            @operation
            def leak(self, progress: Progress) -> None:
                tell.append(progress)
                progress("before")

        self.operations.add("leaky", Leaky())
        heard: list[str] = []
        self.operations.call("leaky.leak", {}, ADA, progress=heard.append)
        tell[0]("after")
        self.assertEqual(heard, ["before"])

    def test_progress_that_nobody_can_take(self) -> None:
        """
        A listener that raises fails the operation.
        """

        def refuse(value: Any) -> None:
            raise TypeError("cannot be said in JSON")

        called = self.operations.call("chat.count", [1], ADA, progress=refuse)
        self.assertEqual(self.failureResultOf(called).value.status, 500)
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)

    def test_figures(self) -> None:
        """
        Calls are counted by how they ended, and timed; each that ends is told.
        """
        self.successResultOf(self.call("chat.echo", text="a"))
        self.refused("chat.echo")
        waiting = self.call("chat.sleep")
        running = self.operations.figures()["chat.sleep"]
        self.assertEqual(running, Figures(0, 1, {}, 0.0))
        self.clock.advance(2)
        self.rooms.waiting[0].callback(None)
        self.successResultOf(waiting)
        figures = self.operations.figures()
        self.assertEqual(figures["chat.sleep"], Figures(1, 0, {"ok": 1}, 2.0))
        outcomes = {"ok": 1, "invalid": 1}
        self.assertEqual(figures["chat.echo"], Figures(2, 0, outcomes, 0.0))
        self.assertEqual(figures["chat.say"], Figures(0, 0, {}, 0.0))
        ended = [(each.operation, each.outcome, each.took) for each in self.called]
        self.assertEqual(
            ended,
            [
                ("chat.echo", "ok", 0.0),
                ("chat.echo", "invalid", 0.0),
                ("chat.sleep", "ok", 2.0),
            ],
        )

    def test_every_outcome(self) -> None:
        """
        Each end has its name.
        """
        for name in ("chat.close", "chat.fail"):
            self.refused(name)
        for _ in range(3):
            self.refused("chat.say")
        cancelled = self.call("chat.sleep")
        cancelled.cancel()
        self.failureResultOf(cancelled, CancelledError)
        self.failureResultOf(self.operations.call("chat.count", [0.5], ADA))
        late = self.call("chat.sleep")
        self.clock.advance(30)
        self.failureResultOf(late)
        self.flushLoggedErrors(ZeroDivisionError)
        self.assertEqual(
            [each.outcome for each in self.called],
            [
                *("refused", "failed", "forbidden", "forbidden", "limited"),
                *("cancelled", "invalid", "timed out"),
            ],
        )


class OfferTests(OperationsTestCase):
    """
    What is told of operations.
    """

    def test_offered(self) -> None:
        """
        All that a face needs to know is told, by name.
        """
        offered = {each.name: each for each in self.operations.offered()}
        self.assertEqual(list(offered), sorted(offered))
        self.assertIn("chat.say", self.operations)
        self.assertEqual(len(self.operations), len(offered))
        say = offered["chat.say"]
        self.assertEqual(
            say.plain(),
            {
                "name": "chat.say",
                "summary": "Say something in a room",
                "description": "Everybody there hears it.",
                "parameters": {
                    "title": "ChatSay",
                    "type": "object",
                    "properties": {
                        "room": {
                            "type": "string",
                            "minLength": 1,
                            "maxLength": 10,
                            "description": "Where.",
                        },
                        "message": {"$ref": "#/$defs/Message"},
                    },
                    "required": ["room", "message"],
                    "additionalProperties": False,
                    "$defs": {
                        "Message": {
                            "title": "Message",
                            "type": "object",
                            "properties": {
                                "text": {"type": "string", "minLength": 1},
                                "loud": {"type": "boolean", "default": False},
                            },
                            "required": ["text"],
                            "additionalProperties": False,
                        }
                    },
                },
                "result": {"type": "integer"},
                "requires": "rooms.say",
                "rate": {"calls": 2, "seconds": 1.0},
                "timeout": 5,
                "progressive": False,
            },
        )
        sleep = offered["chat.sleep"]
        self.assertEqual(sleep.summary, "Wait a while")
        self.assertEqual(sleep.parameters["properties"], {})
        self.assertTrue(offered["chat.count"].progressive)
        self.assertEqual(offered["chat.close"].result, {"type": "null"})

    def test_duplicates(self) -> None:
        """
        No two operations have one name, and both places are told; none of an object
        with a duplicate is added.
        """

        class More:
            @operation
            def first(self) -> None: ...

            @operation
            def echo(self) -> None: ...

        error = self.assertRaises(Conflict, self.operations.add, "chat", More())
        self.assertEqual(error.thing, "the operation 'chat.echo'")
        self.assertRegex(error.first, r"Rooms\.echo \(.*test_operations\.py:\d+\)")
        self.assertRegex(error.second, r"More\.echo \(.*test_operations\.py:\d+\)")
        self.assertNotIn("chat.first", self.operations)

    def test_overriding(self) -> None:
        """
        Who overrides an operation marks it again, or takes it out.
        """

        class Quiet(Rooms):
            def echo(self, text: str) -> str:
                return ""

            @operation
            def close(self) -> int:  # type: ignore[override]
                return 5

        self.operations.add("quiet", Quiet())
        self.assertNotIn("quiet.echo", self.operations)
        self.assertEqual(self.successResultOf(self.call("quiet.close")), 5)

    def test_functions_of_an_object(self) -> None:
        """
        Whatever has marked functions will do, such as a module.
        """

        class Module:
            pass

        @operation
        def now() -> int:
            return 3

        module: Any = Module()
        module.now = now
        self.operations.add("time", module)
        self.assertEqual(self.successResultOf(self.call("time.now")), 3)

    def test_names(self) -> None:
        """
        What could not be called cannot be added.
        """
        for name in ("", "a.b", "a/b", "5", "a" * 81, "rpc"):
            error = self.assertRaises(
                BadOperation, self.operations.add, name, self.rooms
            )
            self.assertIn(repr(name), str(error))

    def test_nothing_to_offer(self) -> None:
        """
        An object without operations, and a class, are refused.
        """
        for wrong, told in (
            (object(), "mark methods with @operation"),
            (Rooms, "add an object, Rooms(…)"),
        ):
            error = self.assertRaises(BadOperation, self.operations.add, "x", wrong)
            self.assertIn(told, str(error))

    def test_methods_of_classes(self) -> None:
        """
        Static methods and those of classes can be operations as well, with the mark
        above that or below it.
        """

        class More:
            @operation
            @staticmethod
            def one() -> int:
                return 1

            @staticmethod
            @operation
            def two() -> int:
                return 2

            @classmethod
            @operation
            def three(cls) -> str:
                return cls.__name__

        self.operations.add("more", More())
        for name, result in (("one", 1), ("two", 2), ("three", "More")):
            self.assertEqual(self.successResultOf(self.call(f"more.{name}")), result)

    def test_decorated_again(self) -> None:
        """
        Below ``@operation`` there may be any decorators that say what they wrap.
        """

        def twice(function: Any) -> Any:
            @functools.wraps(function)
            def call(*args: Any) -> Any:
                return 2 * function(*args)

            return call

        class More:
            @operation
            @twice
            def half(self, number: int) -> int:
                return number

        self.operations.add("more", More())
        self.assertEqual(self.successResultOf(self.call("more.half", number=4)), 8)


class RefusalTests(SynchronousTestCase):
    """
    What cannot be an operation, said where it is declared or added, with what to do.
    """

    def refused(self, declare: Any) -> str:
        """What is said of it."""

        def add() -> None:
            Operations(Clock()).add("bad", declare()())

        error = self.assertRaises(BadOperation, add)
        self.assertRegex(error.place, r"test_operations\.py:\d+$")
        return str(error)

    def test_the_wrong_order(self) -> None:
        """
        ``@operation`` stands above ``@inlineCallbacks``.
        """

        def declare() -> Any:
            class Bad:
                @inlineCallbacks
                @operation
                def bad(self) -> Steps[None]:
                    yield

            return Bad

        said = self.refused(declare)
        self.assertIn("Bad.bad", said)
        self.assertIn("@inlineCallbacks below it", said)

    def test_an_async_generator(self) -> None:
        """
        An operation has one result.
        """

        def declare() -> Any:
            class Bad:
                @operation
                async def bad(self) -> Any:
                    yield 5

            return Bad

        self.assertIn("annotated Progress", self.refused(declare))

    def test_steps_without_a_decorator(self) -> None:
        """
        ``Steps`` is for ``@inlineCallbacks``.
        """

        def declare() -> Any:
            class Bad:
                @operation
                def bad(self) -> Steps[int]:
                    return iter(())  # type: ignore[return-value]

            return Bad

        self.assertIn("@inlineCallbacks", self.refused(declare))

    def test_parameters(self) -> None:
        """
        Each parameter has a name, and a type that can be read.
        """

        class Stars:
            @operation
            def bad(self, *names: str) -> None: ...

        class Names:
            @operation
            def bad(self, **names: str) -> None: ...

        class Untyped:
            @operation
            def bad(self, name) -> None: ...  # type: ignore[no-untyped-def]

        class Nowhere:
            @operation
            def bad(self, name: Nowhere2) -> None: ...  # type: ignore[name-defined]  # noqa: F821

        class Unreadable:
            @operation
            def bad(self, name: Clock) -> None: ...

        class Spoofed:
            @operation
            def bad(self, caller: Caller | None = None) -> None: ...

        class Told:
            @operation
            def bad(self, tell: list[Progress]) -> None: ...

        class Unknown:
            @operation
            def bad(self) -> Nowhere2: ...  # type: ignore[name-defined]  # noqa: F821

        for bad, told in (
            (Stars, "*names"),
            (Names, "**names"),
            (Untyped, "write name: str"),
            (Nowhere, "'Nowhere2'"),
            (Unreadable, "cannot be read"),
            (Spoofed, "write caller: Caller, and nothing else"),
            (Told, "write tell: Progress, and nothing else"),
            (Unknown, "what it returns"),
        ):
            self.assertIn(told, self.refused(lambda bad=bad: bad))

    def test_words(self) -> None:
        """
        What is said of an operation is checked as well.
        """

        def method(self: Any) -> None: ...

        for said, told in (
            ({"rate": "often"}, "'10/s'"),
            ({"rate": "0/s"}, "'10/s'"),
            ({"timeout": 0}, "more than 0"),
            ({"timeout": float("nan")}, "more than 0"),
            ({"name": "a.b"}, "'a.b'"),
        ):
            options: Any = said
            error = self.assertRaises(BadOperation, operation(**options), method)
            self.assertIn(told, str(error))
            self.assertIn("test_operations.py", error.place)
        odd: Any = operation
        self.assertRaises(BadOperation, odd, Rooms)
        self.assertRaises(BadOperation, odd, 5)


class LimitTests(SynchronousTestCase):
    """
    How often somebody may call.
    """

    def test_rates(self) -> None:
        """
        A rate is so many a second, minute, hour or day.
        """
        for text, rate in (
            ("10/s", Rate(10, 1)),
            ("1/m", Rate(1, 60)),
            ("100/h", Rate(100, 3600)),
            ("5/d", Rate(5, 86_400)),
        ):
            self.assertEqual(Rate.read(text), rate)
        for text in ("", "10", "/s", "-1/s", "1.5/s", "1/w", "10 / s", "1/s\n"):
            self.assertRaises(ValueError, Rate.read, text)

    def test_whom_it_counts(self) -> None:
        """
        A user is one caller wherever they come from; others are counted by address,
        of which in IPv6 a household has 64 bits.
        """
        for one, other, same in (
            (Caller("http", "192.0.2.1"), Caller("lines", "192.0.2.1", "c2"), True),
            (Caller("http", "192.0.2.1"), Caller("http", "192.0.2.2"), False),
            (
                Caller("a", "1.1.1.1", "", "ada"),
                Caller("b", "2.2.2.2", "", "ada"),
                True,
            ),
            (Caller("a", "ada"), Caller("a", "ada", "", "ada"), False),
            (Caller("a", "2001:db8::1"), Caller("a", "2001:db8::2"), True),
            (Caller("a", "2001:db8::1"), Caller("a", "2001:db8:0:1::1"), False),
            (Caller("a", "::ffff:192.0.2.1"), Caller("a", "192.0.2.1"), True),
            (Caller("a", "x:1"), Caller("a", "x:2"), False),
            (Caller("unix", "", "c1"), Caller("unix", "", "c2"), False),
        ):
            limit = Limit(Rate(1, 1))
            self.assertEqual(limit.take(one, 0), 0)
            self.assertEqual(bool(limit.take(other, 0)), same, (one, other))

    def test_bound(self) -> None:
        """
        So many callers are remembered, and who has not called for longest is forgotten.
        """
        limit = Limit(Rate(1, 60), most=2)
        ada, grace, alan = (Caller("a", name) for name in ("ada", "grace", "alan"))
        for each in (ada, grace, ada, alan):
            limit.take(each, 0)
        self.assertEqual(len(limit), 2)
        self.assertEqual(limit.take(ada, 1), 59)
        self.assertEqual(limit.take(grace, 1), 0)

    @given(
        st.integers(1, 20),
        st.lists(st.floats(0, 0.5, allow_nan=False), max_size=60),
    )
    def test_a_bucket_of_tokens(self, calls: int, pauses: list[float]) -> None:
        """
        It gives what a bucket gives that is filled at the rate, up to one time's worth;
        and who waits as long as they are told is let in.
        """
        limit, now, tokens = Limit(Rate(calls, 1)), 0.0, float(calls)
        for pause in pauses:
            now += pause
            tokens = min(calls, tokens + pause * calls)
            missing = limit.take(ADA, now)
            if abs(tokens - 1) > 1e-3:
                self.assertEqual(missing == 0, tokens > 1)
            if missing:
                self.assertAlmostEqual(missing, (1 - tokens) / calls, 3)
                self.assertEqual(limit.take(ADA, now + missing), 0)
                now, tokens = now + missing, tokens + missing * calls
            tokens -= 1
