# -*- test-case-name: tests.test_jsonrpc -*-
"""
JSON-RPC 2.0: bytes into requests, answers into bytes.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.errors import (
    Fault,
    Forbidden,
    Invalid,
    Malformed,
    NoSuchOperation,
    RopewalkError,
    TimedOut,
    TooMany,
)
from ropewalk.wire.jsonrpc import (
    JSON,
    MSGPACK,
    Heard,
    NoRequest,
    Request,
    Response,
    cancelled_answer,
    error_answer,
    notification,
    read,
    refusal,
    request,
    result_answer,
)

IDS: Any = st.none() | st.text() | st.integers(-(2**63), 2**64 - 1)

PLAIN: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


class Teapot(RopewalkError):
    """An error of somebody's own."""

    def __init__(self, status: int) -> None:
        super().__init__(f"this is {status}")
        self.status = status


class ReadingTests(SynchronousTestCase):
    """
    What is heard.
    """

    def heard(self, text: str, most: int = 10) -> Heard:
        return read(text.encode("utf-8"), most)

    def refused(self, text: str) -> tuple[int, Any]:
        """The code, and the id, of what is refused."""
        heard = self.heard(text)
        (refused,) = heard.requests
        assert isinstance(refused, NoRequest), refused
        self.assertFalse(heard.batch)
        self.assertNotEqual(refused.problem, "")
        return refused.code, refused.id

    def test_by_name_and_by_place(self) -> None:
        """
        Parameters come in an object or in an array, or there are none.
        """
        for text, params in (
            (
                '{"jsonrpc": "2.0", "method": "a.b", "params": {"c": 1}, "id": 1}',
                {"c": 1},
            ),
            ('{"jsonrpc": "2.0", "method": "a.b", "params": [1], "id": 1}', [1]),
            ('{"jsonrpc": "2.0", "method": "a.b", "id": 1}', {}),
        ):
            request = Request("a.b", params, 1)
            self.assertEqual(self.heard(text), Heard((request,)))

    def test_notification(self) -> None:
        """
        What has no id is not answered; an id that is null is one.
        """
        for more, answered in (("", False), (', "id": null', True)):
            heard = self.heard('{"jsonrpc": "2.0", "method": "a"' + more + "}")
            self.assertEqual(heard.requests, (Request("a", {}, None, answered),))

    def test_progress(self) -> None:
        """
        Who wants to hear of progress says so.
        """
        text = '{"jsonrpc": "2.0", "method": "a", "id": "x", "progress": true}'
        request = Request("a", {}, "x", True, True)
        self.assertEqual(self.heard(text).requests, (request,))

    def test_batch(self) -> None:
        """
        A batch is taken apart, and each thing in it judged by itself (the
        specification, section 7).
        """
        heard = self.heard('[1, {"jsonrpc": "2.0", "method": "a"}, []]')
        self.assertTrue(heard.batch)
        bad, good, worse = heard.requests
        self.assertEqual(good, Request("a", {}, None, False))
        self.assertIsInstance(bad, NoRequest)
        self.assertIsInstance(worse, NoRequest)

    def test_bad_batches(self) -> None:
        """
        A batch of nothing, or of too much, is refused as a whole.
        """
        self.assertEqual(self.refused("[]"), (-32600, None))
        self.assertEqual(self.refused(json.dumps([1] * 11)), (-32600, None))
        self.assertTrue(self.heard(json.dumps([1] * 10)).batch)

    def test_no_json(self) -> None:
        """
        What is no JSON is refused with a code of its own, whatever it is.
        """
        for text in ("", "{", "nonsense", "[1,", "GET / HTTP/1.1", "NaN", '"\\ud800"'):
            self.assertEqual(self.refused(text), (-32700, None), text)
        for text in ("[" * 100_000, '{"a":' * 100_000):
            self.assertEqual(self.refused(text), (-32700, None))
        (refused,) = read(b"\xff", 1).requests
        self.assertEqual(getattr(refused, "code", None), -32700)

    def test_no_request(self) -> None:
        """
        What is no request is refused, with its id where it has one.
        """
        good = {"jsonrpc": "2.0", "method": "a", "id": 7}
        changes: tuple[dict[str, Any], ...] = (
            {"jsonrpc": "1.0"},
            {"jsonrpc": 2.0},
            {"method": 1},
            {"method": None},
            {"params": None},
            {"params": "a"},
            {"params": 1},
            {"progress": 1},
            {"parms": {}},
            {"result": 1},
        )
        for change in changes:
            text = json.dumps({**good, **change})
            self.assertEqual(self.refused(text), (-32600, 7), text)
        for missing in ("jsonrpc", "method"):
            rest = {name: good[name] for name in good if name != missing}
            self.assertEqual(self.refused(json.dumps(rest)), (-32600, 7))
        numbers: tuple[Any, ...] = (True, [], {}, 10**30, -(10**30))
        for number in numbers:
            text = json.dumps({**good, "id": number})
            self.assertEqual(self.refused(text), (-32600, None))
        for text in ("1", '"a"', "null", "true"):
            self.assertEqual(self.refused(text), (-32600, None))

    def test_responses(self) -> None:
        """
        The answers to requests of ours are told from requests (the specification,
        section 5), with the status that an error says.
        """
        for more, response in (
            ('"result": 5', Response(1, 5)),
            ('"result": null', Response(1)),
            ('"error": {"code": 1, "message": "no"}', Response(1, None, "no")),
            (
                '"error": {"code": 1, "message": "no", "data": {"status": 409}}',
                Response(1, None, "no", 409),
            ),
            (
                '"error": {"code": 1, "message": "no", "data": {"status": true}}',
                Response(1, None, "no"),
            ),
            (
                '"error": {"code": 1, "message": "no", "data": [409]}',
                Response(1, None, "no"),
            ),
            (
                (
                    '"error": {"code": 1, "message": "no", "data": {"errors": ['
                    '{"path": "on", "problem": "x"}, {"path": 1, "problem": "x"}, 7]}}'
                ),
                Response(1, None, "no", faults=(Fault("on", "x"),)),
            ),
            (
                '"error": {"code": 1, "message": "no", "data": {"errors": 7}}',
                Response(1, None, "no"),
            ),
        ):
            heard = self.heard('{"jsonrpc": "2.0", "id": 1, ' + more + "}")
            self.assertEqual(heard, Heard((response,)))

    def test_bad_responses(self) -> None:
        """
        What is neither is refused.
        """
        for text in (
            '{"jsonrpc": "2.0", "id": 1, "result": 5, "error": {"message": "no"}}',
            '{"jsonrpc": "2.0", "result": 5}',
            '{"jsonrpc": "1.0", "id": 1, "result": 5}',
            '{"jsonrpc": "2.0", "id": 1, "result": 5, "more": 1}',
            '{"jsonrpc": "2.0", "id": 1, "error": "no"}',
            '{"jsonrpc": "2.0", "id": 1, "error": {"message": 5}}',
        ):
            self.assertEqual(self.refused(text), (-32600, None))

    @settings(max_examples=300)
    @given(st.binary(max_size=200), st.integers(1, 5))
    def test_anything(self, raw: bytes, most: int) -> None:
        """
        Nobody can say anything that is not answered or a request.
        """
        for form in (JSON, MSGPACK):
            heard = read(raw, most, form)
            self.assertTrue(1 <= len(heard.requests) <= most)
            for each in heard.requests:
                if isinstance(each, NoRequest):
                    form.decode(form.encode(refusal(each)))

    @settings(max_examples=300)
    @given(
        PLAIN
        | st.fixed_dictionaries(
            {},
            optional={
                "jsonrpc": st.just("2.0") | PLAIN,
                "method": st.text() | PLAIN,
                "params": PLAIN,
                "id": IDS | PLAIN,
                "progress": st.booleans() | PLAIN,
            },
        )
    )
    def test_any_data(self, data: Any) -> None:
        """
        A request is taken if, and only if, it has what the specification wants.
        """
        wanted = (
            isinstance(data, dict)
            and {*data} <= {"jsonrpc", "method", "params", "id", "progress"}
            and data.get("jsonrpc") == "2.0"
            and isinstance(data.get("method"), str)
            and isinstance(data.get("params", {}), dict | list)
            and isinstance(data.get("progress", False), bool)
            and (data.get("id") is None or type(data["id"]) in (str, int))
        )
        if isinstance(data, list):
            return
        for form in (JSON, MSGPACK):
            (found,) = read(form.encode(data), 1, form).requests
            self.assertEqual(isinstance(found, Request), wanted)
            if isinstance(found, Request):
                self.assertEqual(found.id, data.get("id"))
                self.assertEqual(found.answered, "id" in data)
                self.assertEqual(found.params, data.get("params", {}))


class AnswerTests(SynchronousTestCase):
    """
    What is said.
    """

    def error(self, error: RopewalkError) -> Any:
        answer = json.loads(JSON.encode(error_answer(5, error)))
        self.assertEqual((answer.pop("jsonrpc"), answer.pop("id")), ("2.0", 5))
        self.assertEqual([*answer], ["error"])
        return answer["error"]

    def test_result(self) -> None:
        """
        The result is in the answer as it was written, in either format.
        """
        answer = JSON.encode(result_answer("x", b'{"a":[1,null]}'))
        self.assertEqual(
            json.loads(answer),
            {"jsonrpc": "2.0", "id": "x", "result": {"a": [1, None]}},
        )
        packed = MSGPACK.encode(result_answer(1, msgspec.msgpack.encode([b"raw"])))
        told = {"jsonrpc": "2.0", "id": 1, "result": [b"raw"]}
        self.assertEqual(msgspec.msgpack.decode(packed), told)

    def test_codes(self) -> None:
        """
        Each status has its code, and all are told apart that may be in use.
        """
        for error, code in (
            (NoSuchOperation("a"), -32601),
            (Invalid(()), -32602),
            (Malformed(()), -32602),
            (RopewalkError(), -32603),
            (Forbidden(), -32003),
            (TooMany("a", 1), -32029),
            (TimedOut("a", 1), -32054),
            (Teapot(401), -32001),
            (Teapot(404), -32004),
            (Teapot(418), -32018),
            (Teapot(449), -32049),
            (Teapot(451), -32000),
            (Teapot(501), -32051),
            (Teapot(503), -32053),
            (Teapot(548), -32098),
            (Teapot(599), -32000),
        ):
            told = self.error(error)
            self.assertEqual(
                (told["code"], told["data"]["status"]), (code, error.status)
            )
        statuses = [*range(401, 422), *range(423, 450), *range(501, 549)]
        codes = [self.error(Teapot(each))["code"] for each in statuses]
        codes.append(cancelled_answer(1)["error"]["code"])
        self.assertEqual(len({*codes}), len(codes))
        self.assertTrue(all(-32099 <= each <= -32001 for each in codes))

    def test_data(self) -> None:
        """
        Faults are told by path, and who called too often when to call again.
        """
        faults = (Fault("a.b", "expected text"), Fault("", "too much", "body"))
        self.assertEqual(
            self.error(Invalid(faults)),
            {
                "code": -32602,
                "message": "a.b: expected text; too much",
                "data": {
                    "status": 422,
                    "errors": [
                        {"path": "a.b", "problem": "expected text"},
                        {"path": "", "problem": "too much"},
                    ],
                },
            },
        )
        data = self.error(TooMany("a", 2.5))["data"]
        self.assertEqual(data, {"status": 429, "seconds": 2.5})

    def test_accidents(self) -> None:
        """
        Of what is our fault nothing is told.
        """
        told = self.error(RopewalkError("the secret is 5"))["message"]
        self.assertEqual(told, "something went wrong here; it is in our log")

    def test_refusals(self) -> None:
        """
        What is no request is answered by its id.
        """
        self.assertEqual(
            refusal(NoRequest(-32600, "no", "x")),
            {"jsonrpc": "2.0", "id": "x", "error": {"code": -32600, "message": "no"}},
        )

    def test_notifications(self) -> None:
        """
        A notification has no id.
        """
        told = {"jsonrpc": "2.0", "method": "a", "params": {"b": 1}}
        self.assertEqual(notification("a", {"b": 1}), told)

    def test_requests(self) -> None:
        """
        What we ask of a peer is a request as we take them.
        """
        for progress in (False, True):
            asked = JSON.encode(request("x", "a", [1], progress=progress))
            expected = Request("a", [1], "x", True, progress)
            self.assertEqual(read(asked, 1), Heard((expected,)))
