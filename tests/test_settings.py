"""
Tests for L{ropewalk.settings}.
"""

from __future__ import annotations

import enum
import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Annotated, Any, Literal

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET, UnsetType
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.errors import BadSettings, Fault, SettingFault
from ropewalk.schema import Meta, Secret, Shape, field
from ropewalk.settings import Change, Document, Setting, differences, load, parse
from ropewalk.settings.lines import find_lines
from tests.test_schema import blocks, run_page


class Limits(Shape):
    """A table in a table."""

    size: Annotated[int, Meta(ge=1)] = 8
    rate: float = 1.0


class Site(Shape):
    """One of many tables in a table."""

    listen: tuple[str, ...] = ("tcp:8080",)
    name: str = ""


class Plain(Shape, tag="plain"):
    """One of two kinds of table."""

    path: str = "x"


class Tls(Shape, tag="tls"):
    """The other kind."""

    key: str = "k"


class Settings(Shape):
    """Settings as a plugin has them."""

    listen: str = "tcp:7070"
    history: Annotated[int, Meta(ge=0, le=10_000)] = 100
    debug: bool = False
    log: Literal["auto", "json", "text"] = "auto"
    token: Secret = Secret("")
    rooms: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    limits: Limits = Limits()
    sites: dict[str, Site] = field(default_factory=dict)
    mirrors: tuple[Site, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    way: Plain | Tls = Plain()
    timeout: int | None = None
    dash_ed: int = field(default=1, name="dash-ed")


class Colour(enum.Enum):
    """Text to choose from."""

    RED = "red"


class Log(Shape):
    """A table with a key that pointers have as well."""

    file: str = ""


class Outer(Shape):
    """Tables of all kinds."""

    log: Log = Log()
    labels: dict[str, str] = field(default_factory=dict)
    any: Any = None


def faults(document: Document, table: str = "chat", shape: Any = Settings) -> list[str]:
    """
    What is wrong with a table, one line each.
    """
    try:
        document.read(table, shape)
    except BadSettings as error:
        return str(error).splitlines()
    return []


def syntax(text: str) -> str:
    """
    What is said of a text that is not TOML.
    """
    try:
        parse(text)
    except BadSettings as error:
        return str(error)
    return ""


class ReadTests(SynchronousTestCase):
    """
    A table becomes a value of its plugin's shape.
    """

    def test_a_table(self) -> None:
        """
        What the file says is read, the rest has its defaults.
        """
        document = parse(
            """
            [chat]
            history = 500
            rooms = ["lobby"]
            limits = { size = 2 }

            [chat.sites.internal]
            name = "intern"

            [[chat.mirrors]]
            name = "one"
            """
        )
        self.assertEqual(
            document.read("chat", Settings),
            Settings(
                history=500,
                rooms=("lobby",),
                limits=Limits(size=2),
                sites={"internal": Site(name="intern")},
                mirrors=(Site(name="one"),),
            ),
        )

    def test_no_table(self) -> None:
        """
        A table that is not there is read as one without keys.
        """
        self.assertEqual(parse("").read("chat", Settings), Settings())

    def test_required(self) -> None:
        """
        A missing key is reported where its table is, and otherwise of the file.
        """

        class Needy(Shape):
            token: Secret

        self.assertEqual(
            faults(parse("\n[chat]\n"), shape=Needy),
            ["ropewalk.toml:2: [chat] token: required, but missing"],
        )
        self.assertEqual(
            faults(parse(""), shape=Needy),
            ["ropewalk.toml: [chat] token: required, but missing"],
        )

    def test_every_fault(self) -> None:
        """
        All faults of a table are told at once, in the order of the file, each
        with its line and the table that it stands in.
        """
        document = parse(
            """\
[chat]
history = -1
histori = 5
log = "jsn"
rooms = [
    "lobby",
    7,
]
limits = { size = 0, sise = 3 }
"debug" = "yes"

[chat.sites.internal]
listn = "x"

[chat.sites."a b"]
name = 1

[[chat.mirrors]]
[[chat.mirrors]]
name = 2

[chat.token]
"""
        )
        self.assertEqual(
            faults(document),
            [
                (
                    "ropewalk.toml:2: [chat] history: "
                    "expected an integer from 0 to 10000, got -1"
                ),
                (
                    "ropewalk.toml:3: [chat] histori: "
                    "unknown key; did you mean 'history'?"
                ),
                (
                    "ropewalk.toml:4: [chat] log: expected one of 'auto', 'json', "
                    "'text', got 'jsn'; did you mean 'json'?"
                ),
                "ropewalk.toml:7: [chat] rooms[1]: expected text, got 7",
                (
                    "ropewalk.toml:9: [chat] limits.size: "
                    "expected an integer of at least 1, got 0"
                ),
                (
                    "ropewalk.toml:9: [chat] limits.sise: "
                    "unknown key; did you mean 'size'?"
                ),
                "ropewalk.toml:10: [chat] debug: expected true or false, got 'yes'",
                (
                    "ropewalk.toml:13: [chat.sites.internal] listn: "
                    "unknown key; did you mean 'listen'?"
                ),
                'ropewalk.toml:16: [chat.sites."a b"] name: expected text, got 1',
                "ropewalk.toml:20: [chat.mirrors[1]] name: expected text, got 2",
                "ropewalk.toml:22: [chat.token]: expected text, got a table",
            ],
        )

    def test_unknown_table_inside(self) -> None:
        """
        An unknown table in a table is called one.
        """
        self.assertEqual(
            faults(parse("[chat.limts]\nsize = 1\n")),
            ["ropewalk.toml:1: [chat.limts]: unknown table; did you mean 'limits'?"],
        )

    def test_null(self) -> None:
        """
        TOML has no word for "nothing", so no message asks for it.
        """
        self.assertEqual(
            faults(parse("[chat]\ntimeout = 'x'\n")),
            ["ropewalk.toml:2: [chat] timeout: expected an integer, got 'x'"],
        )

    def test_no_table_at_all(self) -> None:
        """
        A table must be a table. What is there instead may be a secret.
        """
        self.assertEqual(
            faults(parse("chat = 5")),
            ["ropewalk.toml:1: [chat]: expected a table, got an integer (not shown)"],
        )

    def test_rule(self) -> None:
        """
        A plugin's own rule is reported of the table it is about.
        """

        class Ordered(Shape):
            first: int = 0
            last: int = 0

            def __post_init__(self) -> None:
                if self.last < self.first:
                    raise ValueError("the last comes before the first")

        self.assertEqual(
            faults(parse("\n[chat]\nfirst = 2"), shape=Ordered),
            ["ropewalk.toml:2: [chat]: the last comes before the first"],
        )
        self.assertEqual(
            faults(parse("[chat]\na.first = 2"), shape=dict[str, Ordered]),
            ["ropewalk.toml:2: [chat] a: the last comes before the first"],
        )

    def test_keys_with_hyphens(self) -> None:
        """
        A key is called what its field is called outside.
        """
        document = parse("[chat]\ndash-ed = 3\n", environ={})
        self.assertEqual(document.read("chat", Settings).dash_ed, 3)


class EnvironmentTests(SynchronousTestCase):
    """
    The environment is stronger than the file.
    """

    def read(self, text: str = "", **environ: str) -> Settings:
        """
        The table of the plugin.
        """
        return parse(text, environ=environ).read("chat", Settings)

    def test_overlay(self) -> None:
        """
        A variable sets a key, in any depth, whatever the file says.
        """
        self.assertEqual(
            self.read(
                "[chat]\nhistory = 5\nlimits.size = 3\nlimits.rate = 0.5",
                ROPEWALK_CHAT__HISTORY="500",
                ROPEWALK_CHAT__LIMITS__SIZE="4",
                ROPEWALK_CHAT__SITES__INTERNAL__NAME="x",
            ),
            Settings(
                history=500, limits=Limits(4, 0.5), sites={"internal": Site(name="x")}
            ),
        )

    def test_no_setting(self) -> None:
        """
        Other variables, and those without ``__``, are not settings.
        """
        environ = {"ROPEWALK_SETTINGS": "x", "PATH": "y", "A_ROPEWALK_B__C": "z"}
        document = parse("", environ=environ)
        self.assertEqual(document.tables, ())

    def test_values(self) -> None:
        """
        Where the key takes text the variable is the text; otherwise it is read
        as the number, the choice or the TOML that it is.
        """
        for name, text, wanted in (
            ("LISTEN", "5", Settings(listen="5")),
            ("LISTEN", '"x"', Settings(listen='"x"')),
            ("LISTEN", "", Settings(listen="")),
            ("HISTORY", "500", Settings(history=500)),
            ("HISTORY", "1_000", Settings(history=1000)),
            ("DEBUG", "true", Settings(debug=True)),
            ("DEBUG", "1", Settings(debug=True)),
            ("LOG", "json", Settings(log="json")),
            ("TIMEOUT", "5", Settings(timeout=5)),
            ("TIMEOUT", "null", Settings(timeout=None)),
            ("TOKEN", "hunter2", Settings(token=Secret("hunter2"))),
            ("ROOMS", '["a", "b"]', Settings(rooms=("a", "b"))),
            ("ROOMS", "tcp:8080", Settings(rooms=("tcp:8080",))),
            ("ROOMS", "5", Settings(rooms=("5",))),
            ("ROOMS", "", Settings()),
            ("PORTS", "5", Settings(ports=(5,))),
            ("PORTS", "[5, 6]", Settings(ports=(5, 6))),
            ("LIMITS", "{ size = 2 }", Settings(limits=Limits(2))),
            ("LABELS__A", "5", Settings(labels={"a": "5"})),
            ("LABELS", "{ a = '5' }", Settings(labels={"a": "5"})),
            ("WAY", '{ type = "tls", key = "x" }', Settings(way=Tls("x"))),
            ("WAY__PATH", "y", Settings(way=Plain("y"))),
            ("DASH_ED", "4", Settings(dash_ed=4)),
            ("MIRRORS", '[{ name = "x" }]', Settings(mirrors=(Site(name="x"),))),
        ):
            variable = f"ROPEWALK_CHAT__{name}"
            if "WAY__" in variable:
                value = self.read('[chat.way]\ntype = "plain"', **{variable: text})
            else:
                value = self.read(**{variable: text})
            self.assertEqual(value, wanted)

    def test_table_then_key(self) -> None:
        """
        A variable for a key is stronger than one for its table.
        """
        self.assertEqual(
            self.read(
                ROPEWALK_CHAT__LIMITS__SIZE="5",
                ROPEWALK_CHAT__LIMITS="{ size = 2, rate = 0.5 }",
            ),
            Settings(limits=Limits(5, 0.5)),
        )

    def test_faults(self) -> None:
        """
        A fault names the variable, after those of the file.
        """
        document = parse(
            "[chat]\nlog = 5\nlimits.sise = 3\nhistory.x = 5",
            environ={
                "ROPEWALK_CHAT__HISTORY": "-1",
                "ROPEWALK_CHAT__DEBUG": "yes",
                "ROPEWALK_CHAT__ROMS": "[]",
                "ROPEWALK_CHAT__LIMITS": "{ rat = 1 }",
                "ROPEWALK_CHAT__SITES": "x",
                "ROPEWALK_CHAT__PORTS": "a",
                "ROPEWALK_CHAT__": "a",
            },
        )
        start = "environment variable ROPEWALK_CHAT__"
        self.assertEqual(
            faults(document),
            [
                (
                    "ropewalk.toml:2: [chat] log: "
                    "expected one of 'auto', 'json', 'text', got 5"
                ),
                (
                    f"{start}HISTORY: [chat] history: "
                    "expected an integer from 0 to 10000, got -1"
                ),
                f"{start}DEBUG: [chat] debug: expected true or false, got 'yes'",
                f"{start}PORTS: [chat] ports[0]: expected an integer, got 'a'",
                f"{start}LIMITS: [chat] limits.rat: unknown key; did you mean 'rate'?",
                f"{start}SITES: [chat] sites: expected a table of tables, got 'x'",
                f'{start}: [chat] "": unknown key',
                f"{start}ROMS: [chat] roms: unknown key; did you mean 'rooms'?",
            ],
        )

    def test_injection(self) -> None:
        """
        A variable is one value, whatever line breaks it has.
        """
        document = parse("", environ={"ROPEWALK_CHAT__HISTORY": "1\ndebug = true"})
        self.assertEqual(
            faults(document)[0].split(": ", 2)[2],
            r"expected an integer from 0 to 10000, got '1\ndebug = true'",
        )

    def test_tables_with_hyphens(self) -> None:
        """
        A variable is for the table whose name is its own but for case and
        hyphens: that of the file, or else one that is known.
        """
        environ = {"ROPEWALK_MY_CHAT__HISTORY": "5"}
        for text in ("", "[my-chat]\ndebug = true"):
            document = parse(text, environ=environ)
            self.assertEqual(document.read("my-chat", Settings).history, 5)
            self.assertEqual(document.chosen(["web", "my-chat"]), ("my-chat",))
            self.assertEqual(document.unknown(["web", "my-chat"]), ())
        document = parse("[my_chat]\n[my-chat]", environ=environ)
        self.assertEqual(document.read("my_chat", Settings).history, 5)
        self.assertEqual(document.read("my-chat", Settings).history, 100)

    def test_tables(self) -> None:
        """
        A table that only the environment has is one, after those of the file.
        """
        document = parse(
            "[web]\n[Chat]\n",
            environ={
                "ROPEWALK_CHAT__HISTORY": "5",
                "ROPEWALK_MAIL__HOST": "x",
                "ROPEWALK_MAIL__PORT": "5",
            },
        )
        self.assertEqual(document.tables, ("web", "Chat", "mail"))


class PointerTests(SynchronousTestCase):
    """
    A value may be in a file or a variable of its own.
    """

    def setUp(self) -> None:
        """
        Put some secrets into files.
        """
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        (self.directory / "token").write_text("hunter2\n")
        (self.directory / "binary").write_bytes(b"\xff\xfe")
        (self.directory / "rooms").write_text('["a", "b"]\n')

    def parse(self, text: str, **environ: str) -> Document:
        """
        Settings that stand in the directory with the secrets.
        """
        return parse(text, environ=environ, directory=str(self.directory))

    def test_file(self) -> None:
        """
        A file's text is the value, without the newline at its end.
        """
        document = self.parse("[chat]\ntoken = { file = 'token' }")
        self.assertEqual(
            document.read("chat", Settings), Settings(token=Secret("hunter2"))
        )

    def test_newlines(self) -> None:
        """
        Of several newlines at the end, only one is not part of the value.
        """
        (self.directory / "token").write_bytes(b"a\r\n\r\n")
        document = self.parse("[chat]\nlisten = { file = 'token' }")
        self.assertEqual(document.read("chat", Settings).listen, "a\n")

    def test_variable(self) -> None:
        """
        So is a variable's.
        """
        document = self.parse("[chat]\nlisten.env = 'WHERE'", WHERE="tcp:1")
        self.assertEqual(document.read("chat", Settings).listen, "tcp:1")

    def test_converted(self) -> None:
        """
        Text from elsewhere becomes what the key takes.
        """
        document = self.parse(
            "[chat]\nhistory = { env = 'N' }\nrooms = { file = 'rooms' }\n"
            "[chat.labels]\na = { env = 'N' }\n"
            "[[chat.mirrors]]\nlisten = [{ env = 'N' }]\n",
            N="5",
        )
        self.assertEqual(
            document.read("chat", Settings),
            Settings(
                history=5,
                rooms=("a", "b"),
                labels={"a": "5"},
                mirrors=(Site(listen=("5",)),),
            ),
        )

    def test_from_the_environment(self) -> None:
        """
        A variable may say which file a value is in, as Docker's images do.
        """
        document = self.parse("[chat]\ntoken = 'x'", ROPEWALK_CHAT__TOKEN__FILE="token")
        self.assertEqual(document.read("chat", Settings).token, "hunter2")

    def test_nowhere(self) -> None:
        """
        A file or variable that is not there is a fault of the key.
        """
        document = self.parse(
            "[chat]\ntoken = { file = 'no' }\nlisten = { env = 'NO' }\n"
            "rooms = { file = 'binary' }\nlog = { file = '.' }\n"
            "labels = { a = { env = 'NO' } }"
        )
        there = f"cannot read file {self.directory}/"
        self.assertEqual(
            faults(document),
            [
                f"ropewalk.toml:2: [chat] token: {there}no: No such file or directory",
                "ropewalk.toml:3: [chat] listen: environment variable NO is not set",
                (
                    f"ropewalk.toml:4: [chat] rooms: {there}binary: "
                    "it is not text in UTF-8"
                ),
                f"ropewalk.toml:5: [chat] log: {there}.: Is a directory",
                "ropewalk.toml:6: [chat] labels.a: environment variable NO is not set",
            ],
        )

    def test_absolute(self) -> None:
        """
        A file may be anywhere.
        """
        path = os.path.abspath(self.directory / "token")
        document = parse(f"[chat]\ntoken = {{ file = '{path}' }}")
        self.assertEqual(document.read("chat", Settings).token, "hunter2")

    def test_real_tables(self) -> None:
        """
        Where a table is expected, ``file`` and ``env`` are keys like others.
        """

        document = parse(
            "[chat]\nlog = { file = 'a' }\nlabels = { env = 'b' }\nany = { env = 'c' }"
        )
        self.assertEqual(
            document.read("chat", Outer),
            Outer(log=Log("a"), labels={"env": "b"}, any={"env": "c"}),
        )

    def test_never_shown(self) -> None:
        """
        What was read from elsewhere is not shown, whatever is wrong with it.
        """
        document = self.parse(
            "[chat]\nhistory = { file = 'token' }\nports = { file = 'token' }\n"
            "log = { env = 'N' }\nlisten = { file = 'token' }",
            N="jsn",
        )
        self.assertEqual(
            faults(document),
            [
                (
                    "ropewalk.toml:2: [chat] history: "
                    "expected an integer from 0 to 10000, got text (not shown)"
                ),
                (
                    "ropewalk.toml:3: [chat] ports[0]: "
                    "expected an integer, got text (not shown)"
                ),
                (
                    "ropewalk.toml:4: [chat] log: "
                    "expected one of 'auto', 'json', 'text', got text (not shown)"
                ),
            ],
        )
        shown = document.show("chat", Settings)
        self.assertEqual(
            {each.text for each in shown if each.origin.startswith(("file", "env"))},
            {"****"},
        )

    def test_repr(self) -> None:
        """
        Text from elsewhere is masked in the value's ``repr``, even where the
        plugin's author did not think of it as a secret.
        """
        (self.directory / "limits").write_text('[{ name = "hunter2" }, 5]')
        document = self.parse("[chat]\nlisten = { file = 'token' }")
        anything = self.parse("[chat]\nx = { file = 'limits' }").read(
            "chat", dict[str, list[Any]]
        )
        self.assertEqual(repr(anything), "{'x': [{'name': Secret('****')}, 5]}")
        self.assertNotIn("hunter2", repr(document.read("chat", Settings)))


class ShowTests(SynchronousTestCase):
    """
    Every value is shown with where it came from.
    """

    def test_everything(self) -> None:
        """
        All keys are shown in the order of the shape, each as TOML has it, with
        its origin; secrets are masked.
        """
        document = parse(
            """\
[chat]
history = 500
log = "jsn"
rooms = ["lobby", "a\\"b"]
token = "hunter2"
tokn = "hunter2"
limits.size = 3

[chat.sites.internal]
name = "postgresql://user:pw@host/db"

[[chat.mirrors]]
listen = []

[chat.labels]
a = "x"
"b c" = { env = "LABEL" }
""",
            environ={
                "ROPEWALK_CHAT__DEBUG": "true",
                "ROPEWALK_CHAT__WAY": '{ type = "tls" }',
                "LABEL": "l",
            },
        )
        self.assertEqual(
            [
                (each.name, each.text, each.origin)
                for each in document.show("chat", Settings)
            ],
            [
                ("listen", '"tcp:7070"', "default"),
                ("history", "500", "ropewalk.toml:2"),
                ("debug", "true", "environment variable ROPEWALK_CHAT__DEBUG"),
                ("log", '"jsn"', "ropewalk.toml:3"),
                ("token", "****", "ropewalk.toml:5"),
                ("rooms", r'["lobby", "a\"b"]', "ropewalk.toml:4"),
                ("ports", "[]", "default"),
                ("limits.size", "3", "ropewalk.toml:7"),
                ("limits.rate", "1.0", "default"),
                ("sites.internal.listen", '["tcp:8080"]', "default"),
                (
                    "sites.internal.name",
                    '"postgresql://user:****@host/db"',
                    "ropewalk.toml:10",
                ),
                ("mirrors[0].listen", "[]", "ropewalk.toml:13"),
                ("mirrors[0].name", '""', "default"),
                ("labels.a", '"x"', "ropewalk.toml:16"),
                ('labels."b c"', "****", "environment variable LABEL"),
                ("way.key", '"k"', "default"),
                ("timeout", "not set", "default"),
                ("dash-ed", "1", "default"),
            ],
        )

    def test_hidden(self) -> None:
        """
        Which values are masked can be told from those that look like it. An
        empty secret is seen to be empty.
        """
        document = parse("[chat]\ntoken = 'x'\nlisten = '****'")
        self.assertEqual(
            [each for each in document.show("chat", Settings) if "*" in each.text],
            [
                Setting("listen", '"****"', "ropewalk.toml:3"),
                Setting("token", "****", "ropewalk.toml:2", hidden=True),
            ],
        )
        empty = parse("[chat]\ntoken = ''").show("chat", Settings)
        self.assertIn(Setting("token", '""', "ropewalk.toml:2", hidden=True), empty)

    def test_no_table(self) -> None:
        """
        A table that is not there shows its defaults; what must be given and is
        not has nothing to show.
        """

        class Needy(Shape):
            token: Secret
            tags: tuple[str, ...] = ("a",)
            inner: Limits = Limits(size=5)
            more: dict[str, str] = field(default_factory=lambda: {"a": "b"})

        self.assertEqual(
            [
                (each.name, each.text, each.origin)
                for each in parse("").show("chat", Needy)
            ],
            [
                ("tags", '["a"]', "default"),
                ("inner.size", "5", "default"),
                ("inner.rate", "1.0", "default"),
                ("more.a", '"b"', "default"),
            ],
        )

    def test_dates(self) -> None:
        """
        Dates and tables in lists are shown as TOML has them.
        """
        document = parse(
            "[chat]\nwhen = 2026-01-31T12:00:00Z\n"
            "mixed = [{ a = 1, 'b c' = [] }, 1.5, {}]"
        )
        self.assertEqual(
            [each.text for each in document.show("chat", dict[str, Any])],
            ["2026-01-31T12:00:00+00:00", '[{ a = 1, "b c" = [] }, 1.5, {}]'],
        )

    def test_other_defaults(self) -> None:
        """
        A default of any type is shown as it would be written.
        """

        class Many(Shape):
            span: timedelta = timedelta(minutes=90)
            share: Decimal = Decimal("0.5")
            colour: Colour = Colour.RED
            left: str | UnsetType = UNSET
            pair: tuple[int, tuple[str, ...]] = (1, ("a",))

        self.assertEqual(
            [each.text for each in parse("").show("chat", Many)],
            ['"PT5400S"', '"0.5"', '"red"', "not set", '[1, ["a"]]'],
        )
        self.assertEqual(
            differences(Many(), Many(left="x", share=Decimal(2))),
            (Change("share", '"0.5"', '"2"'), Change("left", "not set", '"x"')),
        )


class Places(Shape):
    """Settings that are no plain data."""

    home: Path = Path("/srv")
    pattern: Any = re.compile("a+")


class PlacesTests(SynchronousTestCase):
    """
    A path is text in a file; what a default is, is the author's affair.
    """

    def test_path(self) -> None:
        """
        A path is read, shown and refused like other values.
        """
        document = parse('[places]\nhome = "/opt"', "f")
        self.assertEqual(document.read("places", Places).home, Path("/opt"))
        shown = {each.name: each.text for each in document.show("places", Places)}
        self.assertEqual(shown, {"home": '"/opt"', "pattern": "re.compile('a+')"})
        error = self.assertRaises(
            BadSettings, parse("[places]\nhome = 5", "f").read, "places", Places
        )
        self.assertEqual(str(error), "f:2: [places] home: expected a path, got 5")

    def test_default(self) -> None:
        """
        A default that TOML cannot say is shown as Python says it.
        """
        shown = {each.name: each.text for each in parse("").show("places", Places)}
        self.assertEqual(shown["home"], '"/srv"')
        self.assertEqual(shown["pattern"], "re.compile('a+')")


class DifferencesTests(SynchronousTestCase):
    """
    Two values of one shape are compared for people.
    """

    def test_differences(self) -> None:
        """
        Each key that differs is named with both values.
        """
        old = Settings(sites={"a": Site(), "b": Site()}, limits=Limits(2))
        new = Settings(sites={"a": Site(("x",)), "c": Site()}, history=5)
        self.assertEqual(
            differences(old, new),
            (
                Change("history", "100", "5"),
                Change("limits.size", "2", "8"),
                Change("sites.a.listen", '["tcp:8080"]', '["x"]'),
                Change("sites.b.listen", '["tcp:8080"]', "not set"),
                Change("sites.b.name", '""', "not set"),
                Change("sites.c.listen", "not set", '["tcp:8080"]'),
                Change("sites.c.name", "not set", '""'),
            ),
        )
        self.assertEqual(differences(old, old), ())
        self.assertEqual(
            differences(Settings(), Settings(labels={"a": "b"})),
            (Change("labels.a", "not set", '"b"'),),
        )

    def test_secrets(self) -> None:
        """
        That a secret differs is told, but not how.
        """
        self.assertEqual(
            differences(
                Settings(token=Secret("a"), history=1),
                Settings(token=Secret("b"), history=2),
                hidden=["history"],
            ),
            (Change("history", "****", "****"), Change("token", "****", "****")),
        )


class UnknownTests(SynchronousTestCase):
    """
    What nobody asked for is reported.
    """

    def test_tables(self) -> None:
        """
        An unknown table names the nearest known one, and how to list them.
        """
        document = parse(
            "[chat]\n[chta]\n[zebra.sub]\n", environ={"ROPEWALK_WEP__LISTEN": "x"}
        )
        more = "`ropewalk plugins` lists those there are"
        self.assertEqual(
            [str(fault) for fault in document.unknown({"chat": 1, "web": 2})],
            [
                f"ropewalk.toml:2: [chta]: unknown table; did you mean [chat]? {more}",
                f"ropewalk.toml:3: [zebra]: unknown table; {more}",
                (
                    "environment variable ROPEWALK_WEP__LISTEN: [wep]: "
                    f"unknown table; did you mean [web]? {more}"
                ),
            ],
        )

    def test_homeless_keys(self) -> None:
        """
        A key above all tables is a fault with its line.
        """
        document = parse("history = 5\na.b = 1\n[[chat]]\n[[chat]]\n")
        self.assertEqual(document.tables, ("a",))
        self.assertEqual(
            [str(fault) for fault in document.unknown(["a"])],
            [
                (
                    "ropewalk.toml:1: history: a key outside of any table; "
                    "it belongs below a line like [chat]"
                ),
                "ropewalk.toml:3: [[chat]] is a list of tables; write [chat], once",
            ],
        )


class LookUpTests(SynchronousTestCase):
    """
    Where something was written can be asked.
    """

    def test_lines_and_origins(self) -> None:
        """
        Tables and keys have a line and an origin; what is not there has that of
        what is around it.
        """
        document = parse(
            "[chat]\nhistory = 5\nlimits.size = 3\n[web.sites.internal]\nname = 'x'\n",
            "a/b.toml",
            {"ROPEWALK_CHAT__DEBUG": "1", "ROPEWALK_MAIL__HOST": "x"},
        )
        self.assertEqual(document.path, "a/b.toml")
        for table, key, line, origin in (
            ("chat", None, 1, "a/b.toml:1"),
            ("chat", "history", 2, "a/b.toml:2"),
            ("chat", "limits.size", 3, "a/b.toml:3"),
            ("web.sites.internal", None, 4, "a/b.toml:4"),
            ("web", "sites.internal.name", 5, "a/b.toml:5"),
            ("web.sites.internal", "name", 5, "a/b.toml:5"),
            ("chat", "debug", None, "environment variable ROPEWALK_CHAT__DEBUG"),
            ("mail", None, None, "environment variable ROPEWALK_MAIL__HOST"),
            ("chat", "nothing", None, "a/b.toml:1"),
            ("chat", "limits.rate", None, "a/b.toml:3"),
            ("nothing", None, None, "a/b.toml"),
        ):
            self.assertEqual(document.line(table, key), line)
            self.assertEqual(document.origin(table, key), origin)


class LoadTests(SynchronousTestCase):
    """
    A file that cannot be used is refused with a reason.
    """

    def write(self, raw: bytes) -> str:
        """
        Put bytes into a file.
        """
        path: str = self.mktemp()
        Path(path).write_bytes(raw)
        return path

    def refused(self, path: str) -> str:
        """
        What is said of a file.
        """
        return str(self.assertRaises(BadSettings, load, path, {}))

    def test_load(self) -> None:
        """
        A file is read; files that it names are beside it.
        """
        path = self.write(b"\xef\xbb\xbf[chat]\r\ntoken = { file = 'token' }\r\n")
        Path(path).with_name("token").write_text("hunter2")
        for name in (path, Path(path)):
            document = load(name, {"ROPEWALK_CHAT__HISTORY": "7"})
            self.assertEqual(
                document.read("chat", Settings),
                Settings(history=7, token=Secret("hunter2")),
            )
            self.assertEqual(document.origin("chat", "token"), f"{path}:2")

    def test_environment_is_an_argument(self) -> None:
        """
        The environment is what was handed in, nothing else.
        """
        self.patch(os, "environ", {"ROPEWALK_CHAT__HISTORY": "7"})
        document = load(self.write(b""), {})
        self.assertEqual(document.read("chat", Settings), Settings())

    def test_no_file(self) -> None:
        """
        A missing file says how to get one.
        """
        self.assertEqual(
            self.refused("nowhere/ropewalk.toml"),
            "nowhere/ropewalk.toml: no such file; `ropewalk new NAME` writes one",
        )

    def test_unreadable(self) -> None:
        """
        A directory and bytes that are no text are named for what they are.
        """
        self.assertEqual(self.refused("."), ".: cannot be read: Is a directory")
        path = self.write(b"[chat]\n# \xff\n")
        self.assertEqual(self.refused(path), f"{path}:2: not text in UTF-8")

    def test_no_toml(self) -> None:
        """
        What is not TOML is refused with its line.
        """
        error = self.assertRaises(BadSettings, parse, "[chat]\nlisten = tcp:7070\n")
        self.assertEqual(
            error.faults,
            (
                SettingFault(
                    "ropewalk.toml:2",
                    "",
                    Fault("", "not TOML: not a value; text needs quotes (column 10)"),
                ),
            ),
        )
        for text, said in (
            (
                "[chat]\na = \n",
                "2: not TOML: not a value; text needs quotes (column 5)",
            ),
            (
                "[a.b]\n\n[a.b]\n",
                "3: not TOML: the table [a.b] is there already (column 5)",
            ),
            ("a = 1\na = 2\n", "2: not TOML: this key is there already (column 6)"),
            (
                "x = { a = 1, a = 2 }\n",
                "1: not TOML: the key 'a' is there already (column 19)",
            ),
            ('a = 1\nb = "x', "2: not TOML: unterminated string"),
            ("a = [\n1,\n\n", "2: not TOML: not a value; text needs quotes"),
            ("= 5", "1: not TOML: invalid statement (column 1)"),
        ):
            self.assertEqual(syntax(text), f"ropewalk.toml:{said}")

    def test_beyond_measure(self) -> None:
        """
        What Python cannot read is refused, too.
        """
        for text in ("a = " + "1" * 10_000, "a = " + "[" * 10_000):
            self.assertIn("ropewalk.toml:1: not TOML: ", syntax(text))


class Writer:
    """
    Writes data as TOML in one of the many ways there are, and knows the line
    of everything it wrote.
    """

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.text = ""
        self.lines: dict[tuple[str | int, ...], int] = {}
        self.newline = chance.choice(["\n", "\r\n"])

    def write(self, data: Mapping[str, Any]) -> None:
        """
        Write a whole document.
        """
        self.gap()
        self.body((), data)
        self.text = self.text.replace("\n", self.newline)

    def mark(self, steps: tuple[str | int, ...]) -> None:
        """
        Remember that something is on this line, unless it was before.
        """
        self.lines.setdefault(steps, self.text.count("\n") + 1)

    def maybe(self) -> bool:
        """
        Throw a coin.
        """
        return self.chance.random() < 0.5

    def gap(self) -> None:
        """
        Lines without anything, and comments that look like something.
        """
        while self.maybe():
            self.text += self.chance.choice(["\n", " \t\n", '# [x] = 5 "\n', "#'''\n"])

    def space(self) -> None:
        """
        Some space within a line.
        """
        self.text += self.chance.choice(["", "", " ", "\t "])

    def body(self, table: tuple[str | int, ...], data: Mapping[str, Any]) -> None:
        """
        Write a table: its keys, then the tables that have headers.
        """
        later = []
        for key, value in data.items():
            headed = isinstance(value, dict) or (
                isinstance(value, list)
                and value != []
                and all(isinstance(item, dict) for item in value)
            )
            if headed and self.maybe():
                later.append(key)
            else:
                self.pair(table, (key,), value)
                self.space()
                self.text += self.chance.choice(["\n", "# y = 3\n", "#\n"])
                self.gap()
        for key in later:
            self.headed((*table, key), data[key])

    def headed(self, steps: tuple[str | int, ...], value: Any) -> None:
        """
        Write a table, or a list of them, with headers.
        """
        if isinstance(value, dict):
            tables = [key for key in value if isinstance(value[key], dict)]
            if value and len(tables) == len(value) and self.maybe():
                for key in tables:
                    self.headed((*steps, key), value[key])
                return
            self.header(steps, "[", "]")
            self.body(steps, value)
            return
        for index, item in enumerate(value):
            self.header((*steps, index), "[[", "]]")
            self.body((*steps, index), item)

    def header(self, steps: tuple[str | int, ...], start: str, end: str) -> None:
        """
        Write the line of a table.
        """
        for length in range(1, len(steps) + 1):
            self.mark(steps[:length])
        self.text += " " if self.maybe() else ""
        self.text += start
        self.names([step for step in steps if isinstance(step, str)])
        self.text += end
        self.space()
        self.text += self.chance.choice(["\n", "# ]\n"])
        self.gap()

    def pair(
        self, table: tuple[str | int, ...], names: tuple[str, ...], value: Any
    ) -> None:
        """
        Write a key and its value; that of a table perhaps with dotted keys.
        """
        if isinstance(value, dict) and value and self.maybe():
            for index, (key, item) in enumerate(value.items()):
                self.text += "\n" if index and not self.text.endswith("\n") else ""
                self.pair(table, (*names, key), item)
            return
        for length in range(1, len(names) + 1):
            self.mark((*table, *names[:length]))
        self.names(list(names))
        self.text += "="
        self.space()
        self.value((*table, *names), value)

    def names(self, names: list[str]) -> None:
        """
        Write a key's names, quoted in some way.
        """
        for index, name in enumerate(names):
            self.text += "." if index else ""
            self.space()
            ways = [json.dumps(name)]
            if "'" not in name and "\n" not in name:
                ways.append(f"'{name}'")
            if name and name.isascii() and name.isalnum():
                ways.append(name)
            self.text += self.chance.choice(ways)
            self.space()

    def value(self, steps: tuple[str | int, ...], value: Any) -> None:
        """
        Write a value.
        """
        if isinstance(value, dict):
            self.text += "{"
            for index, (key, item) in enumerate(value.items()):
                self.text += "," if index else ""
                self.space()
                self.inline_pair(steps, key, item)
                self.space()
            self.text += "}"
        elif isinstance(value, list):
            self.text += "["
            self.gap()
            for index, item in enumerate(value):
                self.space()
                self.mark((*steps, index))
                self.value((*steps, index), item)
                self.space()
                self.gap() if self.maybe() else None
                if index < len(value) - 1 or self.maybe():
                    self.text += ","
                self.gap()
            self.text += "]"
        elif isinstance(value, str):
            self.string(value)
        else:
            self.text += str(value).lower()

    def inline_pair(self, table: tuple[str | int, ...], key: str, item: Any) -> None:
        """
        Write a key of a table within a line.
        """
        self.mark((*table, key))
        self.names([key])
        self.text += "="
        self.value((*table, key), item)

    def string(self, value: str) -> None:
        """
        Write a string in any of the four ways that can have it.
        """
        ways = [json.dumps(value)]
        if "'" not in value:
            ways += [f"'''\n{value}'''"] + ([f"'{value}'"] if "\n" not in value else [])
        escaped = value.replace("\\", "\\\\").replace('"""', '""\\"')
        if not escaped.endswith('"""') and "\\" not in value:
            ways.append(f'"""\n{escaped}"""')
        self.text += self.chance.choice(ways)


NAMES = st.text("abz09.-_ '\"#]=é", min_size=0, max_size=4)

SCALARS = st.one_of(
    st.integers(-5, 5),
    st.booleans(),
    st.text("ab\n\"'#[]{}=,\\é", max_size=6),
    st.sampled_from([1.5, "x"]),
)

TREES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(NAMES, inner, max_size=3)
        | st.lists(st.dictionaries(NAMES, inner, max_size=2), min_size=1, max_size=3)
    ),
    max_leaves=12,
)


def places(value: Any, steps: tuple[str | int, ...] = ()) -> Iterator[Any]:
    """
    Every place in some data.
    """
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for step, item in items:
        yield (*steps, step)
        yield from places(item, (*steps, step))


class LinesTests(SynchronousTestCase):
    """
    The line of every key is known.
    """

    @settings(max_examples=150, deadline=None)
    @given(st.dictionaries(NAMES, TREES, max_size=4), st.integers(0, 2**16))
    def test_any_document(self, data: dict[str, Any], seed: int) -> None:
        """
        In whatever way a document is written, everything in it has its line.
        """
        writer = Writer(Random(seed))
        writer.write(data)
        self.assertEqual(tomllib.loads(writer.text), data)
        self.assertEqual(find_lines(writer.text).lines, writer.lines)
        self.assertEqual(set(writer.lines), set(places(data)))

    def test_a_hard_one(self) -> None:
        """
        A document with all the traps at once.
        """
        text = '''\
# [no]
a.b . "c.d" = 1 # = 2
s = """
[no]
x = 1 \\""" ""\\"
"""  # the end
l = \'\'\'[no] = """\'\'\'
t = 1979-05-27 07:32:00
q = """a"""""
[[list]]
  [list.sub]
  x = [ # ]
    1, [
    2], {y = "}"},
  ]
[[list]]
[list.sub]
x = 3
'''
        tomllib.loads(text)
        found = find_lines(text)
        self.assertEqual(
            found.lines,
            {
                ("a",): 2,
                ("a", "b"): 2,
                ("a", "b", "c.d"): 2,
                ("s",): 3,
                ("l",): 7,
                ("t",): 8,
                ("q",): 9,
                ("list",): 10,
                ("list", 0): 10,
                ("list", 0, "sub"): 11,
                ("list", 0, "sub", "x"): 12,
                ("list", 0, "sub", "x", 0): 13,
                ("list", 0, "sub", "x", 1): 13,
                ("list", 0, "sub", "x", 1, 0): 14,
                ("list", 0, "sub", "x", 2): 14,
                ("list", 0, "sub", "x", 2, "y"): 14,
                ("list", 1): 16,
                ("list", 1, "sub"): 17,
                ("list", 1, "sub", "x"): 18,
            },
        )
        self.assertEqual(
            found.headers,
            {("list", 0), ("list", 0, "sub"), ("list", 1), ("list", 1, "sub")},
        )

    def test_header_after_mention(self) -> None:
        """
        A table that is mentioned before it has its header is where the header
        is.
        """
        found = find_lines("[a.b]\n[a]\n")
        self.assertEqual(found.lines, {("a",): 2, ("a", "b"): 1})


class DocumentationTests(SynchronousTestCase):
    """
    The page about settings is true.
    """

    def test_page(self) -> None:
        """
        Its examples do what it says.
        """
        self.assertEqual(run_page("settings.rst")[1], "")

    def test_files(self) -> None:
        """
        Its files are what it says of them.
        """
        names, _ = run_page("settings.rst")
        good, bad, secrets = blocks("settings.rst", "toml")
        shape, here = names["Settings"], self.mktemp()
        (Path(here) / "secrets").mkdir(parents=True)
        (Path(here) / "secrets" / "chat-token").write_text("hunter2\n")
        value = parse(good, directory=here).read("chat", shape)
        self.assertEqual((value.token, value.limits.size), ("hunter2", 4096))
        self.assertEqual(parse(secrets).tables, ("chat", "mail"))
        document = parse(bad)
        told = [*faults(document, "chat", shape), *map(str, document.unknown(["chat"]))]
        self.assertEqual([*told, ""], blocks("settings.rst", "text")[0].split("\n")[:5])
