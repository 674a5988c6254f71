# -*- test-case-name: tests.test_openapi -*-
"""
The OpenAPI 3.1 document: what can be asked of a site, and what it answers.

It says what the handlers say: by their parameters, by what they return, and by their
docstrings. Of statuses it lists those that a handler can really answer.
"""

from __future__ import annotations

import inspect
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from ropewalk.errors import RopewalkError
from ropewalk.schema import write_json
from ropewalk.schema.docstrings import Example, Told, read_docstring
from ropewalk.schema.schemas import REFERENCE, Schema, Shapes, is_text
from ropewalk.schema.signatures import written
from ropewalk.web.binding import Binding, Parameter
from ropewalk.web.components import Component
from ropewalk.web.media import NONE, Formats
from ropewalk.web.openapi.outcomes import Outcome, outcomes
from ropewalk.web.parameters import ELSEWHERE
from ropewalk.web.patterns import Pattern, Slot
from ropewalk.web.problems import phrase

__all__ = ["Operation", "document"]

#: The methods that OpenAPI 3.1 has a place for, in the order in which they are read.
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE")

#: Those that a route without methods is documented for.
_USUAL = frozenset(("GET", "POST", "PUT", "PATCH", "DELETE"))

_PROBLEM_TYPE = "application/problem+json"

#: What :mod:`ropewalk.web.problems` sends.
_PROBLEM: Schema = {
    "title": "Problem",
    "description": "What is wrong (RFC 9457).",
    "type": "object",
    "properties": {
        "title": {"type": "string", "description": "The status in words."},
        "status": {"type": "integer", "description": "The status."},
        "detail": {"type": "string", "description": "What is wrong, in a sentence."},
        "errors": {
            "type": "array",
            "description": "All that is wrong with the request, one by one.",
            "items": {
                "type": "object",
                "properties": {
                    "in": {
                        "type": "string",
                        "description": "In which part of the request.",
                    },
                    "path": {
                        "type": "string",
                        "description": "Where in there: `limits.size`, `names[2]`; "
                        "empty for all of it.",
                    },
                    "problem": {"type": "string", "description": "What is wrong."},
                },
                "required": ["path", "problem"],
            },
        },
    },
    "required": ["title", "status", "detail"],
}

#: Where parameters are that are described.
_READ = ("path", "query", "header", "cookie", "form", "body")

_TEXT: Schema = {"type": "string"}

_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
_VALUES = ("application/json", "application/msgpack", "application/xml")
_LINES = "application/x-ndjson"

#: True and false as forms and XML have them.
_DIGITS: Schema = {"type": ["boolean", "integer"], "minimum": 0, "maximum": 1}

#: Why a request is refused before, or without, the handler.
_REASONS = {
    400: "The request cannot be understood.",
    401: "Who asks is not known.",
    403: "Who asks may not do this.",
    404: "There is nothing here.",
    406: "It cannot be had in any form that is accepted.",
    413: "The body is too long.",
    415: "The body is of a type that is not read here.",
    422: "The body is not of the shape that it must have.",
    503: "It took too long.",
    504: "It took too long.",
}


class Operation(Struct, frozen=True):
    """
    One route, as the documentation sees it.

    :ivar path: Its whole path.
    :ivar methods: What it answers to; ``None`` for everything.
    :ivar binding: What its handler asks for; ``None`` where nobody knows.
    :ivar function: The handler.
    :ivar name: What it is called, once in the document: ``"products.create"``.
    :ivar tag: What it is listed under.
    :ivar errors: What the handler says that it raises, each with the status that is
        answered; ``None`` for the error's own.
    :ivar output: Of what shape its answer is, where the annotation does not say it.
    :ivar deprecated: Whether it had better not be used any more.
    :ivar timeout: Seconds it may take; ``None`` for as long as it likes.
    :ivar late: What is answered when it takes longer.
    :ivar longest_body: Bytes; ``None`` for what the site takes.
    :ivar streams: Whether what it returns is sent piece by piece.
    :ivar guarded: Whether there are rules that say who may have it.
    :ivar summary: What it does, in a line, if its docstring does not say that.
    :ivar body: What it reads of the body by itself, as JSON.
    :ivar json_only: Whether it reads and answers JSON and nothing else.
    :ivar progressive: Whether it can be had in lines, of which the last has the answer.
    """

    path: Pattern
    methods: frozenset[str] | None
    binding: Binding | None
    function: Callable[..., Any]
    name: str
    tag: str = ""
    errors: tuple[tuple[type[Exception], int | None], ...] = ()
    output: Any = None
    deprecated: bool = False
    timeout: float | None = None
    late: int = 503
    longest_body: int | None = None
    streams: bool = False
    guarded: bool = False
    summary: str = ""
    body: Parameter | None = None
    json_only: bool = False
    progressive: bool = False


def document(
    operations: Iterable[Operation],
    *,
    title: str,
    version: str,
    description: str = "",
    servers: Sequence[str] = (),
    tags: Mapping[str, str] | None = None,
    formats: Formats = NONE,
) -> dict[str, Any]:
    """
    Describe some operations. The same operations give the same document.

    :param operations: In the order in which they are to be read; of one host.
    :param description: CommonMark.
    :param servers: Where the site is, for readers who do not have the document from
        the site itself.
    :param tags: What there is to say of each tag.
    :param formats: Formats besides the built-in ones.
    :return: what JSON can say: the document.
    """
    return _Writer(list(operations), formats).document(
        title, version, description, servers, tags or {}
    )


class _Asked(Struct):
    """
    A parameter as it is written: a field of a shape that is the whole query is one
    as well as a parameter of a handler.
    """

    where: str
    key: str
    schema: Schema
    required: bool
    description: str = ""
    slashes: bool = False
    blank: bool = False

    @classmethod
    def of(
        cls, where: str, key: str, schema: Schema, required: bool, told: str = ""
    ) -> _Asked:
        """One that is written as text: blank is nothing there, or true."""
        schema = _written_null(schema)
        blank = where == "query" and any(
            each.get("type") in ("null", "boolean")
            for each in schema.get("anyOf", [schema])
        )
        if where != "query":  # what is blank there is not left out, but blank
            schema = _without_null(schema)
        return cls(where, key, schema, required, told, blank=blank)

    def can_be_wrong(self) -> bool:
        """Whether there is a request that has it, or not, and is refused for it."""
        if self.where in ("path", "query"):  # it need not even be UTF-8
            return True
        return self.required or self.schema != _TEXT

    def written(self) -> dict[str, Any]:
        schema = dict(self.schema)
        description = self.description or schema.pop("description", "")
        parameter: dict[str, Any] = {"name": self.key, "in": self.where}
        if description:
            parameter["description"] = description
        if self.required:
            parameter["required"] = True
        if self.slashes:
            parameter["x-slashes"] = True
        if self.blank:
            parameter["allowEmptyValue"] = True
        if schema.get("type") in ("array", "object") and self.where == "query":
            parameter |= {"style": "form", "explode": True}
        return parameter | {"schema": schema}


class _Writer:
    """Writes one document."""

    def __init__(self, operations: list[Operation], formats: Formats) -> None:
        self._operations = operations
        self._formats = formats
        self._outcomes = [_outcomes_of(each) for each in operations]
        kinds = [
            kind
            for operation, ends in zip(operations, self._outcomes, strict=True)
            for kind in (
                *(each.shape for each in _parameters(operation) if each.where in _READ),
                *(end.shape for end in ends if end.valued),
            )
        ]
        self._shapes = Shapes(kinds, reserved=("Problem",))
        self._schemes: dict[str, Any] = {}

    def document(
        self,
        title: str,
        version: str,
        description: str,
        servers: Sequence[str],
        tags: Mapping[str, str],
    ) -> dict[str, Any]:
        paths = self._paths()
        used = dict.fromkeys(each.tag for each in self._operations if each.tag)
        about = {"description": description} if description else {}
        made: dict[str, Any] = {
            "openapi": "3.1.0",
            "info": {"title": title, **about, "version": version},
        }
        if servers:
            made["servers"] = [{"url": url} for url in servers]
        if used:
            made["tags"] = [_tag(name, tags.get(name)) for name in used]
        made["paths"] = paths
        schemas = {**self._shapes.components, "Problem": _PROBLEM}
        needed = _referred(paths, schemas)
        components: dict[str, Any] = {
            "schemas": {name: schemas[name] for name in sorted(needed)}
        }
        if self._schemes:
            components["securitySchemes"] = dict(sorted(self._schemes.items()))
        return {**made, "components": components}

    # Paths.

    def _paths(self) -> dict[str, Any]:
        paths: dict[str, dict[str, Any]] = {}
        templates: dict[str, list[str]] = {}
        ids = _unique_names(self._operations)
        for operation, ends in zip(self._operations, self._outcomes, strict=True):
            methods = _methods(operation)
            path, names = _place(operation.path, methods, paths, templates)
            for method in methods:
                told = self._operation(operation, method, ends, names)
                told["operationId"] = _name(ids[id(operation)], method, methods)
                paths.setdefault(path, {})[method.lower()] = told
        return paths

    def _operation(
        self,
        operation: Operation,
        method: str,
        ends: Sequence[Outcome],
        names: Mapping[str, str],
    ) -> dict[str, Any]:
        docstring = _docstring(operation.function)
        parameters = self._asked(operation, docstring, names)
        body = self._body(operation, docstring)
        security = self._security(operation)
        described: dict[str, Any] = {"operationId": ""}
        if operation.tag:
            described["tags"] = [operation.tag]
        if operation.summary or docstring.summary:
            described["summary"] = operation.summary or docstring.summary
        if docstring.description:
            described["description"] = docstring.description
        if operation.deprecated:
            described["deprecated"] = True
        if parameters:
            described["parameters"] = [each.written() for each in parameters]
        if body is not None:
            described["requestBody"] = body
        responses = self._answers(ends, docstring)
        refusals = self._refusals(operation, parameters, body, ends, docstring)
        for status, response in refusals.items():
            if status not in responses:
                responses[status] = response
        described["responses"] = dict(sorted(responses.items()))
        if security:
            described["security"] = security
        return described

    # What is asked for.

    def _asked(
        self, operation: Operation, docstring: Told, names: Mapping[str, str]
    ) -> list[_Asked]:
        given = _parameters(operation)
        asked = [
            self._in_path(slot, names[slot.name], given, docstring)
            for slot in _slots(operation.path)
        ]
        for each in given:
            if each.where in ("query", "header", "cookie") and not _is_guarded(each):
                asked += self._elsewhere(each, docstring)
        found: dict[tuple[str, str], _Asked] = {}
        for one in asked:
            same = found.setdefault((one.where, one.key.lower()), one)
            same.required |= one.required
        return list(found.values())

    def _in_path(
        self, slot: Slot, name: str, given: Sequence[Parameter], docstring: Told
    ) -> _Asked:
        schema = _slot_schema(slot)
        for each in given:
            if each.where == "path" and each.key == slot.name:
                own = _written_null(self._shapes.schema(each.shape))
                if own.get("type") == schema.get("type"):
                    schema = own | schema
                elif "$ref" in own or "enum" in own or _is_any_text(schema):
                    schema = own
        told = docstring.about.get(slot.name, "")
        if slot.converter.slashes:
            told = f"{told} May have slashes in it.".lstrip()
        return _Asked("path", name, schema, True, told, slot.converter.slashes)

    def _elsewhere(self, parameter: Parameter, docstring: Told) -> Iterator[_Asked]:
        """Of a shape that is the whole query, each field is a parameter."""
        about = docstring.about
        if parameter.component is not None:
            about = _docstring(parameter.component.function).about
        if parameter.whole:
            fields = list(self._shapes.fields(parameter.shape))
            for key, schema, needed in fields:
                needed = needed and parameter.required
                yield _Asked.of(parameter.where, key, schema, needed)
            if fields:
                return
        schema = self._shapes.schema(parameter.shape)
        if not parameter.required:
            schema = _with_default(schema, parameter.default)
        told = about.get(parameter.name, "")
        where, key, required = parameter.where, parameter.key, parameter.required
        yield _Asked.of(where, key, schema, required, told)

    def _body(self, operation: Operation, docstring: Told) -> dict[str, Any] | None:
        given = [
            each for each in _parameters(operation) if each.where in ("body", "form")
        ]
        if not given:
            return None
        schema, media_types = self._body_schema(given, docstring)
        if operation.json_only or operation.body is not None:
            media_types = _VALUES[:1]
        examples = [each for each in docstring.examples if not each.answer]
        content: dict[str, Any] = {}
        for media_type in media_types:
            content[media_type] = {"schema": self._in_format(schema, media_type)}
            if media_type == _VALUES[0] or media_type in _FORMS:
                content[media_type] |= _examples(examples)
        body: dict[str, Any] = {"content": content}
        if any(each.required or each.default is ELSEWHERE for each in given):
            body["required"] = True
        told = [docstring.about.get(each.name, "") for each in given if each.whole]
        if any(told):
            body = {"description": "\n\n".join(filter(None, told)), **body}
        return body

    def _body_schema(
        self, given: Sequence[Parameter], docstring: Told
    ) -> tuple[Schema, tuple[str, ...]]:
        forms = any(each.where == "form" for each in given)
        whole = [each for each in given if each.whole]
        if len(given) == 1 and whole:
            shape = whole[0].shape
            schema = self._shapes.schema(shape)
            fields = list(self._shapes.fields(shape))
        else:
            schema, fields = self._fields_schema(given, docstring)
        if any(_is_file(each) for _, each, _ in fields):
            return schema, _FORMS[1:]
        flat = bool(fields) and all(self._shapes.is_flat(each) for _, each, _ in fields)
        types: tuple[str, ...] = () if forms else _VALUES[:2]
        # Only what means the same in every format that is listed: the empty element
        # of a list, or of an object that may be empty, may be that of nothing.
        if not forms and not self._shapes.is_vague(schema):
            types += _VALUES[2:]
        if not forms:
            types = _with_more(types, self._formats.accepted)
        return schema, (*types, *_FORMS) if flat or forms else types

    def _in_format(self, schema: Schema, media_type: str) -> Schema:
        """
        A schema as a format has it. In forms and XML nothing is ``null``, and 1 and 0
        are true and false.
        """
        if media_type in _VALUES[:2] or media_type not in (*_VALUES, *_FORMS):
            return schema
        schema = _without_null(schema)
        inside = self._shapes.behind(schema)
        fields = {
            key: _with_digits(each)
            for key, each in inside.get("properties", {}).items()
        }
        if fields == inside.get("properties", {}):
            return schema
        return {**inside, "properties": fields}

    def _fields_schema(
        self, given: Sequence[Parameter], docstring: Told
    ) -> tuple[Schema, list[tuple[str, Schema, bool]]]:
        """Several parameters in one body."""
        fields: list[tuple[str, Schema, bool]] = []
        for each in given:
            if each.whole:
                fields += self._shapes.fields(each.shape)
                continue
            schema = self._shapes.schema(each.shape)
            if not each.required:
                schema = _with_default(schema, each.default)
            told = docstring.about.get(each.name)
            if told and "description" not in schema:
                schema = {**schema, "description": told}
            fields.append((each.key, schema, each.required))
        schema = {
            "type": "object",
            "properties": {key: each for key, each, _ in fields},
        }
        needed = [key for key, _, required in fields if required]
        if needed:
            schema["required"] = needed
        return schema, fields

    # What is answered.

    def _answers(
        self, ends: Sequence[Outcome], docstring: Told
    ) -> dict[str, dict[str, Any]]:
        responses: dict[str, dict[str, Any]] = {}
        examples = [each for each in docstring.examples if each.answer]
        for end in ends:
            response = responses.setdefault(end.status, {})
            said = docstring.returns if end.status[0] in "2d" else ""
            response["description"] = said or end.description
            headers = {
                name: {"description": about, "schema": {"type": "string"}}
                | ({"required": True} if needed else {})
                for name, about, needed in end.headers
            }
            if headers:
                response["headers"] = headers
            if not end.media_types:
                continue
            schema = self._shapes.schema(end.shape) if end.valued else end.schema
            content = response.setdefault("content", {})
            more = self._formats.written if end.valued else ()
            for media_type in _with_more(end.media_types, more):
                media = content.setdefault(media_type, {"schema": schema})
                if media["schema"] != schema:
                    media["schema"] = _either(media["schema"], schema)
                if media_type == _VALUES[0]:
                    media |= _examples(examples)
        return responses

    def _refusals(
        self,
        operation: Operation,
        parameters: Sequence[_Asked],
        body: Any,
        ends: Sequence[Outcome],
        docstring: Told,
    ) -> dict[str, Any]:
        reasons: defaultdict[int, list[str]] = defaultdict(list)
        for status in _own_statuses(operation, parameters, body, ends):
            reasons[status].append(_reason(status, operation))
        for status, reason in _raised(operation, docstring):
            if reason not in reasons[status]:
                reasons[status].append(reason)
        return {
            str(status): {
                "description": _listed(reasons[status]) or phrase(status),
                "content": {_PROBLEM_TYPE: {"schema": {"$ref": f"{REFERENCE}Problem"}}},
            }
            for status in sorted(reasons)
        }

    # Who may.

    def _security(self, operation: Operation) -> list[dict[str, list[str]]]:
        """Every component with a scheme is needed; of its schemes, any one will do."""
        wanted: list[dict[str, list[str]]] = [{}]
        for component in _guards(operation):
            schemes = _schemes(component)
            self._schemes |= schemes
            ways: list[dict[str, list[str]]] = [{name: []} for name in schemes]
            if component.optional:
                ways.append({})
            wanted = [{**one, **way} for one in wanted for way in ways]
        return [] if wanted == [{}] else wanted


def _referred(paths: Any, schemas: Mapping[str, Schema]) -> set[str]:
    """The components that are referred to, also by each other."""
    found: set[str] = set()
    ahead: list[Any] = [paths]
    while ahead:
        thing = ahead.pop()
        if isinstance(thing, list):
            ahead += thing
        elif isinstance(thing, dict):
            ahead += thing.values()
            name = str(thing.get("$ref", "")).removeprefix(REFERENCE)
            if name in schemas and name not in found:
                found.add(name)
                ahead.append(schemas[name])
    return found


# Operations.


def _with_more(types: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*types, *more)))


def _parameters(operation: Operation) -> tuple[Parameter, ...]:
    asked = () if operation.binding is None else operation.binding.parameters
    return asked if operation.body is None else (*asked, operation.body)


def _guards(operation: Operation) -> list[Component]:
    if operation.binding is None:
        return []
    return [each for each in operation.binding.components if each.security]


def _outcomes_of(operation: Operation) -> list[Outcome]:
    empty = inspect.Parameter.empty
    declared = empty if operation.binding is None else operation.binding.answer
    if operation.json_only:
        ends = [Outcome("200", phrase(200), _VALUES[:1], declared, True)]
        if operation.progressive:
            ends.append(Outcome("200", phrase(200), (_LINES,), schema={}))
        return ends
    return outcomes(declared, operation.output, streams=operation.streams)


def _methods(operation: Operation) -> list[str]:
    methods = _USUAL if operation.methods is None else operation.methods
    if "GET" in methods:  # HEAD comes with it
        methods = methods - {"HEAD"}
    return [method for method in _METHODS if method in methods]


def _docstring(function: Any) -> Told:
    return read_docstring(getattr(written(function), "__doc__", None))


def _unique_names(operations: Sequence[Operation]) -> dict[int, str]:
    """
    What each operation is called; of those with one name, the later by numbers that
    make no name of another's.
    """
    given = {name for each in operations for name in _names(each.name, _methods(each))}
    taken: set[str] = set()
    names = {}
    for operation in operations:
        methods, name, number = _methods(operation), operation.name, 1
        while taken & (own := _names(name, methods)) or (number > 1 and given & own):
            number += 1
            name = f"{operation.name}_{number}"
        taken |= own
        names[id(operation)] = name
    return names


def _names(name: str, methods: Sequence[str]) -> set[str]:
    """What the operations of a route are called."""
    return {_name(name, method, methods) for method in methods}


def _name(name: str, method: str, methods: Sequence[str]) -> str:
    return f"{name}.{method.lower()}" if len(methods) > 1 else name


def _tag(name: str, description: str | None) -> dict[str, str]:
    return {"name": name} | ({"description": description} if description else {})


# Places.


def _slots(pattern: Pattern) -> list[Slot]:
    return [piece for piece in pattern.pieces if not isinstance(piece, str)]


def _place(
    pattern: Pattern,
    methods: Sequence[str],
    paths: Mapping[str, Mapping[str, Any]],
    templates: dict[str, list[str]],
) -> tuple[str, dict[str, str]]:
    """
    The path of an operation, and what the slots are called in there.

    To OpenAPI, ``/a/{x}`` and ``/a/{y}`` are one path: the later takes the names of
    the earlier. Where that has the same method (they differ by their converters), it
    is told apart by a number.

    :param templates: The paths that there are, by what they are without names.
    """
    names = [slot.name for slot in _slots(pattern)]
    bare = _template(pattern, ["" for _ in names])
    for known in templates.get(bare, ()):
        taken = paths.get(known, {})
        if not any(method.lower() in taken for method in methods):
            theirs = re.findall(r"\{([^}]*)\}", known)
            return known, dict(zip(names, theirs, strict=True))
    told = [name.strip("_") or name for name in names]
    if len({*told}) < len(told):
        told = names
    number, ours = 1, told
    while (path := _template(pattern, ours)) in paths and names:
        number += 1
        ours = [f"{name}_{number}" for name in told]
    templates.setdefault(bare, []).append(path)
    return path, dict(zip(names, ours, strict=True))


def _template(pattern: Pattern, names: Sequence[str]) -> str:
    given = iter(names)
    return "".join(
        piece if isinstance(piece, str) else f"{{{next(given)}}}"
        for piece in pattern.pieces
    )


def _slot_schema(slot: Slot) -> Schema:
    """What a converter takes."""
    converter: Any = slot.converter
    name = converter.kind.__name__ if isinstance(converter.kind, type) else ""
    schema: Schema = {"type": "string"}
    if name in ("int", "float"):
        schema = {"type": "integer" if name == "int" else "number"}
        least, most = getattr(converter, "min", None), getattr(converter, "max", None)
        if not getattr(converter, "signed", False):
            least = max(least or 0, 0)
        bounds = {"minimum": least, "maximum": most}
        schema |= {word: bound for word, bound in bounds.items() if bound is not None}
    elif name == "UUID":
        schema["format"] = "uuid"
    elif name == "date":
        schema["format"] = "date"
    elif getattr(converter, "items", None):
        schema["enum"] = list(converter.items)
    elif converter.slashes:
        schema["minLength"] = 1
    else:
        schema |= _text_limits(converter)
    return schema


def _is_any_text(schema: Schema) -> bool:
    """Whether the converter leaves it to the handler what the text is."""
    return {**schema, "minLength": 1} == {"type": "string", "minLength": 1}


def _text_limits(converter: Any) -> Schema:
    least, most = (
        getattr(converter, name, None) for name in ("minlength", "maxlength")
    )
    if least is None:
        return {"pattern": f"^(?:{converter.regex})$", "minLength": 1}
    limits: Schema = {"minLength": least}
    return limits if most is None else limits | {"maxLength": most}


# Parameters.


def _written_null(schema: Schema) -> Schema:
    """
    A schema of what is written as text: ``null`` is text where there may be text.
    """
    if "default" in schema and schema["default"] is None:
        schema = {name: said for name, said in schema.items() if name != "default"}
    rest = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
    return _without_null(schema) if any(map(is_text, rest)) else schema


def _without_null(schema: Schema) -> Schema:
    """A schema for a format that has no word for nothing, or has text for it."""
    rest = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
    if not rest or len(rest) == len(schema["anyOf"]):
        return schema
    own = {name: value for name, value in schema.items() if name != "anyOf"}
    return {**rest[0], **own} if len(rest) == 1 else {"anyOf": rest, **own}


def _with_digits(schema: Schema) -> Schema:
    """What is taken in forms and XML where a schema has true and false."""
    if schema.get("type") == "boolean":
        return {**schema, **_DIGITS}
    if "anyOf" in schema:
        return {**schema, "anyOf": [_with_digits(each) for each in schema["anyOf"]]}
    if schema.get("type") == "array" and isinstance(schema.get("items"), dict):
        return {**schema, "items": _with_digits(schema["items"])}
    return schema


def _with_default(schema: Schema, default: Any) -> Schema:
    if default is None or schema.get("writeOnly"):
        return schema
    try:
        return {**schema, "default": json.loads(write_json(default))}
    except (TypeError, ValueError, NotImplementedError):
        return schema


def _is_guarded(parameter: Parameter) -> bool:
    """Whether the description of a security scheme says it already, or nobody may."""
    where, key = parameter.where, parameter.key.lower()
    if where == "header" and key in ("accept", "content-type"):
        return True
    component = parameter.component
    if component is None or not component.security:
        return False
    return (where == "header" and key == "authorization") or any(
        (scheme.get("in"), str(scheme.get("name", "")).lower()) == (where, key)
        for scheme in _schemes(component).values()
    )


def _schemes(component: Component) -> dict[str, Any]:
    """
    The security schemes that a component stands for, by name. One that is said
    without a name is called what the component is.
    """
    said = dict(component.security or {})
    if isinstance(said.get("type"), str):
        return {re.sub(r"[^A-Za-z0-9._-]", "_", component.name): said}
    return said


# Refusals.


def _own_statuses(
    operation: Operation,
    parameters: Sequence[_Asked],
    body: Any,
    ends: Sequence[Outcome],
) -> Iterator[int]:
    """The statuses that are answered for a handler."""
    if body is not None or any(each.can_be_wrong() for each in parameters):
        yield 400
    if any(each.where == "path" for each in parameters):
        yield 404
    if any(end.valued for end in ends) and not operation.json_only:
        yield 406
    if body is not None:
        yield from (413, 415, 422)
    if _guards(operation):
        yield 401
    if _guards(operation) or operation.guarded:
        yield 403
    if operation.timeout is not None:
        yield operation.late


def _reason(status: int, operation: Operation) -> str:
    if status == 413 and operation.longest_body is not None:
        return f"The body is longer than {operation.longest_body:,} bytes."
    return _REASONS[status]


def _raised(operation: Operation, docstring: Told) -> Iterator[tuple[int, str]]:
    """What the handler says that it raises: the status, and why."""
    reasons = dict(docstring.raises)
    for kind, status in operation.errors:
        answered = status if status is not None else getattr(kind, "status", None)
        if isinstance(answered, int):
            reason = reasons.pop(kind.__name__, "")
            yield answered, reason or _own_prose(kind)
    known = getattr(written(operation.function), "__globals__", {})
    for name, reason in reasons.items():
        error = _resolve(name, known)
        if error is not None:
            yield error.status, reason or _own_prose(error)


def _own_prose(kind: type[Exception]) -> str:
    """What an error says of itself; Python's own speak of Python."""
    return "" if kind.__module__ == "builtins" else read_docstring(kind.__doc__).prose


def _resolve(name: str, known: Mapping[str, Any]) -> type[RopewalkError] | None:
    """An error by the name in a docstring, if a client is told of it."""
    first, *rest = name.strip("`~!").split(".")
    found = known.get(first)
    for each in rest:
        found = getattr(found, each, None)
    if not isinstance(found, type) or not issubclass(found, RopewalkError):
        return None
    status: object = found.status  # a class may leave it to its instances
    return found if isinstance(status, int) and status != 500 else None


def _listed(reasons: Sequence[str]) -> str:
    said = [each for each in reasons if each]
    return said[0] if len(said) == 1 else "\n".join(f"- {each}" for each in said)


def _either(one: Schema, other: Schema) -> Schema:
    many = one.get("anyOf", [one])
    return {"anyOf": [*many, other]}


def _is_file(schema: Schema) -> bool:
    choices = schema.get("anyOf", [schema])
    inner = [each.get("items", each) for each in choices]
    return any(isinstance(each, dict) and "contentMediaType" in each for each in inner)


def _examples(examples: Sequence[Example]) -> dict[str, Any]:
    if not examples:
        return {}
    named = {}
    for number, each in enumerate(examples, 1):
        title = {"summary": each.title} if each.title else {}
        named[f"example{number}"] = {**title, "value": each.value}
    return {"examples": named}
