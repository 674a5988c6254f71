"""
The glue as whoever has ``nc`` meets it, with a warehouse that is real, and well, slow,
wrong, stuck, down, and back. ``trial test_glue`` runs this, and so does ``pytest``.
"""

from __future__ import annotations

from pathlib import Path

from glue import NoAnswer, question, read_count  # type: ignore[import-not-found]
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.awaiting import inlineCallbacks
from ropewalk.interfaces import Steps
from ropewalk.outbound.http import Answer
from ropewalk.testing import LineClient, MemoryHost, TestCase

WAREHOUSE = '[web]\nlisten = ["tcp:8081:interface=127.0.0.1"]\n[warehouse]\n'


class GlueTests(TestCase):
    """
    Two daemons: the glue, and the warehouse.
    """

    glue: MemoryHost
    warehouse: MemoryHost
    lines: LineClient

    @inlineCallbacks
    def setUp(self) -> Steps[None]:  # type: ignore[override]
        self.glue = yield self.start(
            "glue",
            url="http://127.0.0.1:8081/warehouse/stock",
            private=True,
            seconds=5.0,
            threshold=3,
            rest=30.0,
        )
        self.warehouse = yield self.start(settings=WAREHOUSE)
        self.lines = self.glue.lines("glue")
        yield self.lines.received()

    @inlineCallbacks
    def feel(self, mood: str) -> Steps[None]:
        """The warehouse's mood from now on."""
        answer = yield self.warehouse.http().post(f"/warehouse/mood/{mood}")
        self.assertEqual(answer.status, 200)

    @inlineCallbacks
    def ask(self, article: str, seconds: float = 0.0) -> Steps[list[str]]:
        """
        Type something.

        :return: fires with what is told in so many seconds.
        """
        yield self.lines.send(article)
        yield self.clock.advance(seconds)
        told: list[str] = yield self.lines.received()
        return told

    @inlineCallbacks
    def test_well(self) -> Steps[None]:
        """
        Who asks is told; what there is none of is an answer, too, and no failure.
        """
        self.assertEqual((yield self.ask("hawser")), ["hawser: 12"])
        for _ in range(5):
            told = yield self.ask("a & b <c>")
            self.assertIn("article", told[0])
            told = yield self.ask("gold")
            self.assertEqual(told, ["! the warehouse has never heard of that"])
        self.assertEqual((yield self.ask("twine")), ["twine: 340"])

    @inlineCallbacks
    def test_slow(self) -> Steps[None]:
        """
        Who waits for longer than a second is told so. Nobody else waits.
        """
        yield self.feel("slow")
        slow = yield self.ask("hawser", 1.9)
        self.assertEqual(slow, ["* the warehouse is slow; one moment"])
        yield self.feel("well")
        other = self.glue.lines("glue")
        yield other.send("twine")
        self.assertIn("twine: 340", (yield other.received()))
        yield self.clock.advance(0.1)
        self.assertEqual((yield self.lines.receive()), "hawser: 12")

    @inlineCallbacks
    def test_wrong_for_a_moment(self) -> Steps[None]:
        """
        What nobody can read is asked again, and who asked does not notice.
        """
        yield self.feel("wrong")
        self.assertEqual((yield self.ask("hawser")), [])
        yield self.feel("well")
        yield self.clock.advance(0.5)
        self.assertEqual((yield self.lines.received()), ["hawser: 12"])

    @inlineCallbacks
    def test_wrong(self) -> Steps[None]:
        """
        When it is asked in vain, that is told; then nobody is made to wait, until it is
        well again.
        """
        yield self.feel("wrong")
        [slow, told] = yield self.ask("hawser", 2.0)
        self.assertEqual(slow, "* the warehouse is slow; one moment")
        self.assertEqual(told, "! the warehouse says what nobody can read")
        [told] = yield self.ask("hawser")
        self.assertIn("'the warehouse' has failed too often; it is tried again", told)
        yield self.feel("well")
        yield self.clock.advance(30)
        self.assertEqual((yield self.ask("hawser")), ["hawser: 12"])

    @inlineCallbacks
    def test_stuck(self) -> Steps[None]:
        """
        Who never answers has not answered, after a time.
        """
        yield self.feel("stuck")
        told = yield self.ask("hawser", 3 * 5.0 + 2.0)
        self.assertIn("took more than 5 seconds", told[-1])
        self.assertIn("has failed too often", (yield self.ask("hawser"))[0])

    @inlineCallbacks
    def test_down_and_back(self) -> Steps[None]:
        """
        When it is down that is told, and then at once; one who asks after a rest tries
        it, and when it is back all is as before.
        """
        yield self.warehouse.stop()
        told = yield self.ask("hawser", 5.0)
        self.assertEqual(told[-1], "! the warehouse does not answer")
        self.assertIn("has failed too often", (yield self.ask("hawser"))[0])
        yield self.clock.advance(30)
        told = yield self.ask("hawser", 2.0)
        self.assertIn("has failed too often", told[-1])
        self.warehouse = yield self.start(settings=WAREHOUSE)
        yield self.clock.advance(30)
        self.assertEqual((yield self.ask("hawser")), ["hawser: 12"])

    @inlineCallbacks
    def test_settings(self) -> Steps[None]:
        """
        The settings that come with it are good: both ends in one daemon, which says at
        ``/health/ready`` whether the warehouse answers.
        """
        yield self.glue.stop()
        settings = Path(__file__).with_name("ropewalk.toml")
        host = yield self.start(settings=settings)
        lines, http = host.lines("glue"), host.http()
        yield lines.send("hawser")
        self.assertEqual((yield lines.received())[-1], "hawser: 12")
        yield http.post("/warehouse/mood/wrong")
        for status in 200, 503:
            self.assertEqual((yield http.get("/health/ready")).status, status)
            for _ in range(2):
                yield lines.send("hawser")
                yield self.clock.advance(3.0)


class XMLTests(SynchronousTestCase):
    """
    What is said in XML.
    """

    def test_question(self) -> None:
        """
        What is asked about cannot be taken for XML.
        """
        self.assertIn(b"Article>a&lt;b&amp;</", question("a<b&"))

    def test_unreadable(self) -> None:
        """
        What is no answer is told to be none, whatever it is.
        """
        good = b'<a xmlns="urn:example:stock"><Count>7</Count></a>'
        self.assertEqual(read_count(Answer(200, {}, good)), 7)
        for answer in (
            Answer(200, {}, good, whole=False),
            Answer(500, {}, good),
            Answer(200, {}, b'<!DOCTYPE a [<!ENTITY b "c">]>' + good),
            Answer(200, {}, good.replace(b"7", b"many")),
            Answer(200, {}, b""),
            Answer(200, {}, b"\xff"),
            Answer(200, {}, b"<a/>"),
        ):
            self.assertRaises(NoAnswer, read_count, answer)
