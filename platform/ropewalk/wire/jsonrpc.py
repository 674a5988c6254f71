# -*- test-case-name: tests.test_jsonrpc -*-
"""
JSON-RPC 2.0 (https://www.jsonrpc.org/specification), both ways: bytes into requests,
answers into bytes. It knows no operations and no connections.

The same messages can be said in msgpack: a :class:`Format` says how.

Of the codes that the specification leaves to servers we use these, by the status of a
:class:`~ropewalk.errors.RopewalkError`; ``data.status`` has the status itself:

=======================  ========================================================
400 and 422, invalid     -32602, with ``data.errors``: ``path`` and ``problem``
404, no such operation   -32601
500                      -32603
401 to 449               -32001 to -32049: -32003 for 403, -32029 for 429
501 to 548               -32051 to -32098: -32053 for 503, -32054 for 504
others                   -32000
cancelled                -32099
=======================  ========================================================
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from ropewalk.errors import Fault, Invalid, NoSuchOperation, RopewalkError, TooMany

__all__ = [
    "CANCELLED",
    "INTERNAL_ERROR",
    "INVALID_PARAMS",
    "INVALID_REQUEST",
    "JSON",
    "METHOD_NOT_FOUND",
    "MSGPACK",
    "PARSE_ERROR",
    "Format",
    "Heard",
    "Id",
    "NoRequest",
    "One",
    "Request",
    "Response",
    "cancelled_answer",
    "error_answer",
    "notification",
    "read",
    "read_one",
    "refusal",
    "request",
    "result_answer",
    "write_result",
]

#: Section 5.1 of the specification.
PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603

#: Ours, for a call that was cancelled.
CANCELLED = -32099

#: What tells one request from another: section 4.
Id = str | int | float | None

_RESPONSES = ({"jsonrpc", "id", "result"}, {"jsonrpc", "id", "error"})

_MEMBERS = frozenset({"jsonrpc", "method", "params", "id", "progress"})

#: Characters of what somebody has sent that are shown to them.
_SHOWN = 40


class Format(Struct, frozen=True):
    """
    How messages are said in bytes.

    :ivar name: What it is called.
    :ivar decode: Gives plain data; raises for what is none.
    :ivar encode: Gives bytes; what is a ``msgspec.Raw`` in it is in bytes already.
    """

    name: str
    decode: Callable[[bytes], Any]
    encode: Callable[[Any], bytes]


JSON = Format("JSON", msgspec.json.decode, msgspec.json.encode)
MSGPACK = Format("msgpack", msgspec.msgpack.decode, msgspec.msgpack.encode)


class Request(Struct, frozen=True):
    """
    What somebody wants done.

    :ivar params: By name, or by place.
    :ivar id: Its id, if it is to be answered.
    :ivar answered: Whether it is; a notification is not.
    :ivar progress: Whether progressive results are wanted before the answer. This is
        ours: the specification has no such member.
    """

    method: str
    params: Mapping[str, Any] | Sequence[Any]
    id: Id = None
    answered: bool = True
    progress: bool = False


class NoRequest(Struct, frozen=True):
    """
    What is no request, though it may have been meant as one.

    :ivar problem: What is wrong with it.
    :ivar id: Its id, so far as that can be told.
    """

    code: int
    problem: str
    id: Id = None


class Response(Struct, frozen=True):
    """
    The answer to a request of ours.

    :ivar id: The request's.
    :ivar result: The result, if it went well.
    :ivar problem: What is wrong otherwise, in a sentence.
    :ivar status: The status of that, if it says one.
    :ivar faults: What is wrong with which parameter, if it says that.
    """

    id: Id
    result: Any = None
    problem: str | None = None
    status: int | None = None
    faults: tuple[Fault, ...] = ()


class Heard(Struct, frozen=True):
    """
    One message.

    :ivar requests: What is in it: requests, and whatever else.
    :ivar batch: Whether these are answered together.
    """

    requests: tuple[Request | Response | NoRequest, ...]
    batch: bool = False


def read(raw: bytes, most: int, form: Format = JSON) -> Heard:
    """
    Take a message apart. Nothing is raised: what is wrong is in what is returned.

    :param most: How many requests there may be in a batch.
    """
    try:
        data = form.decode(raw)
    except RecursionError:
        return _refused(PARSE_ERROR, "nested too deeply")
    except (msgspec.MsgspecError, ValueError):
        return _refused(PARSE_ERROR, f"this is no {form.name}")
    if not isinstance(data, list):
        return Heard((_read_request(data),))
    if not data:
        return _refused(INVALID_REQUEST, "there is nothing in this batch")
    if len(data) > most:
        problem = f"a batch has at most {most} requests, and this has {len(data)}"
        return _refused(INVALID_REQUEST, problem)
    return Heard(tuple(map(_read_request, data)), batch=True)


class One(Struct, frozen=True, forbid_unknown_fields=True):
    """
    The usual request: one, to be answered, with parameters by name.
    """

    jsonrpc: Literal["2.0"]
    method: str
    id: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | str
    params: dict[str, Any] = {}


_decode_one = msgspec.json.Decoder(One).decode


def read_one(raw: bytes) -> One | None:
    """
    Read the usual request in JSON, which is cheaper than :func:`read`; ``None`` for
    whatever else it is.
    """
    try:
        return _decode_one(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def write_result(number: int | str, result: bytes) -> bytes:
    """
    Write the answer to such a request that went well: as :func:`result_answer`.

    :param result: The result, in JSON.
    """
    head = b'{"jsonrpc":"2.0","id":%b,"result":' % msgspec.json.encode(number)
    return b"".join((head, result, b"}"))


def _refused(code: int, problem: str) -> Heard:
    return Heard((NoRequest(code, problem),))


def _read_request(data: Any) -> Request | Response | NoRequest:
    if not isinstance(data, dict):
        return NoRequest(INVALID_REQUEST, "a request is an object")
    number = data.get("id")
    if not _is_id(number):
        problem = "id: expected text, null, or a number of 64 bits"
        return NoRequest(INVALID_REQUEST, problem)
    if "method" not in data and ("result" in data or "error" in data):
        return _read_response(data)
    wrong = _problem(data)
    if wrong is not None:
        return NoRequest(INVALID_REQUEST, wrong, number)
    return Request(
        data["method"],
        data.get("params", {}),
        number,
        "id" in data,
        data.get("progress", False),
    )


def _read_response(data: dict[Any, Any]) -> Response | NoRequest:
    """Section 5: either a result or an error."""
    if data.get("jsonrpc") != "2.0" or {*data} not in _RESPONSES:
        problem = "a response has jsonrpc, id, and either result or error"
        return NoRequest(INVALID_REQUEST, problem)
    if "result" in data:
        return Response(data["id"], data["result"])
    error = data["error"]
    if not isinstance(error, dict) or not isinstance(error.get("message"), str):
        return NoRequest(INVALID_REQUEST, "error: expected an object with a message")
    more = error.get("data")
    if not isinstance(more, dict):
        return Response(data["id"], None, error["message"])
    status = more.get("status")
    if isinstance(status, bool) or not isinstance(status, int):
        status = None
    faults = tuple(_read_faults(more.get("errors")))
    return Response(data["id"], None, error["message"], status, faults)


def _read_faults(errors: Any) -> Iterator[Fault]:
    """What an error says of the parameters, as :func:`error_answer` writes it."""
    for each in errors if isinstance(errors, list) else ():
        if isinstance(each, dict):
            path, problem = each.get("path"), each.get("problem")
            if isinstance(path, str) and isinstance(problem, str):
                yield Fault(path, problem)


def _is_id(number: Any) -> bool:
    """An integer of more bits could not be said in every format."""
    if isinstance(number, bool):
        return False
    if isinstance(number, int):
        return -(2**63) <= number < 2**64
    if isinstance(number, float):
        return math.isfinite(number)
    return number is None or isinstance(number, str)


def _problem(data: dict[Any, Any]) -> str | None:
    """What is wrong with a request, if something is."""
    strange = [str(name) for name in data if name not in _MEMBERS]
    if strange:
        return f"there is no member {strange[0][:_SHOWN]!r} in a request"
    if data.get("jsonrpc") != "2.0":
        return "jsonrpc: expected '2.0'"
    if not isinstance(data.get("method"), str):
        return "method: expected text"
    if not isinstance(data.get("params", {}), dict | list):
        return "params: expected an object or an array"
    if not isinstance(data.get("progress", False), bool):
        return "progress: expected true or false"
    return None


# Answers: what a format encodes.

Answer = dict[str, Any]


def result_answer(number: Id, result: bytes) -> Answer:
    """
    The answer to a request that went well.

    :param result: The result, in the format of the answer.
    """
    return {"jsonrpc": "2.0", "id": number, "result": Raw(result)}


def error_answer(number: Id, error: RopewalkError) -> Answer:
    """The answer to a request that was refused, or went wrong."""
    data: dict[str, Any] = {"status": error.status}
    if isinstance(error, Invalid):
        data["errors"] = [
            {"path": each.path, "problem": each.problem} for each in error.faults
        ]
    if isinstance(error, TooMany):
        data["seconds"] = error.seconds
    told = str(error)
    if error.status == 500:
        told = "something went wrong here; it is in our log"
    return _error(number, _code(error), told, data)


def refusal(refused: NoRequest) -> Answer:
    """The answer to what is no request."""
    return _error(refused.id, refused.code, refused.problem, None)


def cancelled_answer(number: Id) -> Answer:
    """The answer to a request that was cancelled."""
    return _error(number, CANCELLED, "cancelled", None)


def request(number: Id, method: str, params: Any, *, progress: bool = False) -> Answer:
    """What is asked of a peer."""
    asked = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
    return {**asked, "progress": True} if progress else asked


def notification(method: str, params: Mapping[str, Any] | Raw) -> Answer:
    """What is said without being asked, and is not answered."""
    return {"jsonrpc": "2.0", "method": method, "params": params}


def _error(number: Id, code: int, message: str, data: Any) -> Answer:
    error = {"code": code, "message": message}
    if data is not None:
        error["data"] = data
    return {"jsonrpc": "2.0", "id": number, "error": error}


def _code(error: RopewalkError) -> int:
    status = error.status
    if isinstance(error, NoSuchOperation):
        return METHOD_NOT_FOUND
    if status in (400, 422):
        return INVALID_PARAMS
    if status == 500:
        return INTERNAL_ERROR
    if 400 < status < 450:
        return -32000 - (status - 400)
    if 500 < status < 549:
        return -32050 - (status - 500)
    return -32000
