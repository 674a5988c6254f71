# -*- test-case-name: tests.test_openapi -*-
"""
Types as JSON Schema 2020-12, so that a value has the schema if, and only if,
:func:`ropewalk.schema.read` takes it.

That is more than msgspec's own schemas say: which text is a duration, that a set may
come with duplicates, that a tag may be left out where there is nothing to choose.
What a schema cannot say is left out: what ``__post_init__`` refuses.
"""

from __future__ import annotations

import builtins
import json
import re
import types
import typing
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePath
from typing import Any, get_args, get_origin

from msgspec import NODEFAULT, inspect

from ropewalk.schema import Secret, to_plain, write_json
from ropewalk.schema.docstrings import Told, read_docstring
from ropewalk.schema.kinds import bare, takes_none, type_info
from ropewalk.schema.models import describe_model
from ropewalk.schema.shape import is_model
from ropewalk.schema.words import hides

__all__ = ["REFERENCE", "Schema", "Shapes", "is_text"]

#: Where components are.
REFERENCE = "#/components/schemas/"

Schema = dict[str, Any]

_Named = (
    inspect.StructType
    | inspect.DataclassType
    | inspect.TypedDictType
    | inspect.NamedTupleType
    | inspect.EnumType
)

_DIGIT = "[A-Za-z0-9+/]"
_BASE64 = f"^({_DIGIT}{{4}})*({_DIGIT}{{2}}==|{_DIGIT}{{3}}=)?$"

#: How many groups of base64 a regular expression counts.
_MOST_GROUPS = 250

_DECIMAL = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?$"
_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?"
_OFFSET = r"([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
_LEAP_YEAR = (
    r"([0-9]{2}(0[48]|[2468][048]|[13579][26])"
    r"|(0[48]|[2468][048]|[13579][26])00)"
)
_DAY = (
    r"((000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})-"
    r"((0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])"
    r"|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31)"
    rf"|{_LEAP_YEAR}-02-29)"
)
_TIME = f"^{_CLOCK}{_OFFSET}?$"
_SECONDS = r"[0-9]{1,8}(\.[0-9]{1,6})?S"
_HOURS = (
    rf"T([0-9]{{1,8}}H([0-9]{{1,8}}M)?({_SECONDS})?"
    rf"|[0-9]{{1,8}}M({_SECONDS})?|{_SECONDS})"
)
_DURATION = rf"^P([0-9]{{1,8}}D({_HOURS})?|{_HOURS})$"
_INTEGER = r"^(-?[1-9][0-9]*|-?0)$"
_NUMBER = r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,2})?$"

_RAW = "application/octet-stream"

_PLAIN: dict[type, Schema] = {
    inspect.AnyType: {},
    inspect.RawType: {},
    inspect.ExtType: {},
    inspect.NoneType: {"type": "null"},
    inspect.BoolType: {"type": "boolean"},
    inspect.UUIDType: {"type": "string", "format": "uuid"},
    inspect.DateType: {"type": "string", "format": "date"},
    inspect.DecimalType: {
        "type": ["string", "number"],
        "format": "decimal",
        "pattern": _DECIMAL,
    },
    # RFC 3339 has a "duration", without fractions of seconds.
    inspect.TimeDeltaType: {
        "type": "string",
        "format": "iso-duration",
        "pattern": _DURATION,
    },
}

_LIMITS = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
    "multiple_of": "multipleOf",
}

#: Classes whose values are the same every time they are made.
_STEADY = (list, dict, set, frozenset, tuple, bytearray)


class Shapes:
    """
    The schemas of some types, and of what these are made of.

    :param reserved: Names that are taken.
    :ivar components: The schemas that have names, by name. Two classes with one
        name are told apart by their modules, and if need be by a number.
    """

    def __init__(self, kinds: Iterable[Any], reserved: Iterable[str] = ()) -> None:
        self._classes: dict[Any, _Named] = {}
        self._models: dict[Any, None] = {}
        for kind in kinds:
            self._collect(_type_info(kind))
        self._names = _name([*self._classes, *self._models], reserved)
        self.components: dict[str, Schema] = {}
        for named in self._classes.values():
            self.components[self._names[named.cls]] = self._describe_named(named)
        for model in self._models:
            self._describe_model(model)

    def schema(self, kind: Any) -> Schema:
        """
        The schema of a type.

        :param kind: One of those that this was made with, or a part of one.
        """
        return self._describe(_type_info(kind))

    def fields(self, kind: Any) -> Iterator[tuple[str, Schema, bool]]:
        """
        The fields of a type that has fields: their names, their schemas, and whether
        they must be there. A type that has parts of any name has none.
        """
        for named in _tables(_type_info(kind)):
            schema = self.components[self._names[named.cls]]
            needed = schema.get("required", ())
            for name, inner in schema.get("properties", {}).items():
                yield name, inner, name in needed

    def is_flat(self, schema: Schema) -> bool:
        """
        Whether a form can have it as OpenAPI understands forms: text, a number, or a
        list of these.
        """
        schema = self.behind(schema)
        if schema.get("type") == "array" and isinstance(schema.get("items"), dict):
            schema = self.behind(schema["items"])
            return schema.get("type") != "array" and self.is_flat(schema)
        parts = schema.get("anyOf")
        if parts is not None:
            return all(self.is_flat(each) for each in parts)
        said = schema.get("type")
        return (
            "enum" in schema
            or "const" in schema
            or (said is not None and said not in ("object", "array"))
        )

    def is_vague(self, schema: Schema) -> bool:
        """
        Whether XML says less of it than JSON, where an empty element may be a list, an
        object or nothing, or text that must not be blank; or more, of true and false
        deep inside.
        """
        outside = self.behind(schema).get("properties", {})
        return any(map(_may_be_empty, self._inside([schema]))) or any(
            each.get("type") == "boolean"
            for inner in outside.values()
            if inner.get("type") != "boolean"
            for each in self._inside([inner])
        )

    def _inside(self, schemas: Iterable[Schema]) -> Iterator[Schema]:
        """What schemas are made of, themselves included."""
        seen: set[str] = set()
        ahead = [*schemas]
        while ahead:
            each = ahead.pop()
            reference = each.get("$ref")
            if reference is None:
                yield each
                ahead += each.get("anyOf", [])
                ahead += each.get("properties", {}).values()
            elif reference not in seen:
                seen.add(reference)
                ahead.append(self.behind(each))

    def behind(self, schema: Schema) -> Schema:
        """A schema, or the component that it refers to."""
        reference = schema.get("$ref")
        if reference is None:
            return schema
        return self.components[reference.removeprefix(REFERENCE)]

    def told(self, kind: Any) -> Told:
        """What the docstring of a type says."""
        return read_docstring(getattr(kind, "__doc__", None))

    def _collect(self, kind: inspect.Type) -> None:
        kind = bare(kind)
        cls = getattr(kind, "cls", None)
        if hasattr(cls, "json_schema"):  # it says itself what it is
            return
        if isinstance(kind, inspect.CustomType) and is_model(cls):
            self._models[cls] = None
        if isinstance(kind, _Named):
            if kind.cls in self._classes:
                return
            self._classes[kind.cls] = kind
        for part in _parts(kind):
            self._collect(part)

    def _describe(self, kind: inspect.Type) -> Schema:
        match kind:
            case inspect.Metadata():
                schema = self._describe(kind.type)
                extra = dict(kind.extra_json_schema or {})
                if hides(kind.type):
                    extra.pop("default", None)
                return {**schema, **extra}
            case inspect.IntType() | inspect.FloatType():
                return _describe_number(kind)
            case inspect.StrType():
                return _describe_text(kind)
            case inspect.BytesType() | inspect.ByteArrayType():
                return _describe_bytes(kind)
            case inspect.MemoryViewType():
                return _describe_bytes(kind)
            case inspect.DateTimeType() | inspect.TimeType():
                return _describe_moment(kind)
            case inspect.LiteralType():
                return _describe_choice(kind.values)
            case inspect.UnionType():
                return self._describe_either(kind)
            case inspect.TupleType():
                return _row([self._describe(each) for each in kind.item_types])
            case inspect.CollectionType():
                return self._describe_list(kind)
            case inspect.DictType():
                return self._describe_dict(kind)
            case inspect.CustomType():
                return self._describe_custom(kind.cls)
            case _ if hasattr(getattr(kind, "cls", None), "json_schema"):
                return self._describe_custom(kind.cls)  # type: ignore[attr-defined]
            case _ if isinstance(kind, _Named):
                return {"$ref": REFERENCE + self._names[kind.cls]}
            case _:
                return dict(_PLAIN.get(type(kind), {}))

    def _describe_either(self, kind: inspect.UnionType) -> Schema:
        """Of several structs that are told apart by a tag, the tag must be there."""
        tagged = [
            each
            for each in map(bare, kind.types)
            if isinstance(each, inspect.StructType) and each.tag_field is not None
        ]
        schemas: list[Schema] = []
        tags: dict[str, str] = {}
        for each in kind.types:
            schema = self._describe(each)
            struct = bare(each)
            if struct in tagged and len(tagged) > 1:
                tags[str(struct.tag)] = schema["$ref"]
                if not struct.array_like:
                    schema = {**schema, "required": [struct.tag_field]}
            # A moment with and without an offset are two already.
            schemas += schema["anyOf"] if [*schema] == ["anyOf"] else [schema]
        # "null" last reads better.
        schemas.sort(key=lambda schema: schema.get("type") == "null")
        several: Schema = {"anyOf": schemas}
        if len(tags) == len(schemas) and not tagged[0].array_like:
            field = tagged[0].tag_field
            several["discriminator"] = {"propertyName": field, "mapping": tags}
        return several

    def _describe_list(self, kind: inspect.CollectionType) -> Schema:
        schema: Schema = {"type": "array"}
        if not isinstance(kind.item_type, inspect.AnyType):
            schema["items"] = self._describe(kind.item_type)
        return schema | _lengths(kind, "Items")

    def _describe_dict(self, kind: inspect.DictType) -> Schema:
        schema: Schema = {"type": "object"}
        names = self._describe_key(bare(kind.key_type))
        if names:
            schema["propertyNames"] = names
        if not isinstance(kind.value_type, inspect.AnyType):
            schema["additionalProperties"] = self._describe(kind.value_type)
        return schema | _lengths(kind, "Properties")

    def _describe_key(self, kind: inspect.Type) -> Schema:
        """The schema of a name in an object."""
        match kind:
            case inspect.IntType():
                return {"pattern": _INTEGER}
            case inspect.FloatType():
                return {"pattern": _NUMBER}
            case inspect.DecimalType():
                return {"pattern": _DECIMAL}
            case inspect.EnumType():
                return {"enum": [str(each.value) for each in kind.cls]}
            case inspect.LiteralType():
                return {"enum": [str(each) for each in kind.values]}
            case inspect.UnionType():
                return {
                    "anyOf": [self._describe_key(bare(each)) for each in kind.types]
                }
            case _:
                schema = self._describe(kind)
                return {} if schema == {"type": "string"} else schema

    def _describe_custom(self, cls: type) -> Schema:
        if is_model(cls):
            return {"$ref": REFERENCE + self._names[cls]}
        if issubclass(cls, Secret):
            return {"type": "string", "format": "password", "writeOnly": True}
        if issubclass(cls, (str, PurePath)):
            return {"type": "string"}
        said = dict(getattr(cls, "json_schema", {}))
        if said.get("contentMediaType") == _RAW:
            said["format"] = "binary"  # which readers of older documents know it by
        return said

    def _describe_named(self, kind: _Named) -> Schema:
        told = self.told(kind.cls)
        schema: Schema = {"title": _short_name(kind.cls)}
        if told.prose:
            schema["description"] = told.prose
        if isinstance(kind, inspect.EnumType):
            return schema | _describe_choice([each.value for each in kind.cls])
        if isinstance(kind, inspect.NamedTupleType) or getattr(
            kind, "array_like", False
        ):
            return schema | self._describe_row(kind)
        return schema | self._describe_object(kind, told)

    def _describe_object(self, kind: Any, told: Told) -> Schema:
        properties: dict[str, Schema] = {}
        tag_field = getattr(kind, "tag_field", None)
        if tag_field is not None:
            properties[tag_field] = {"const": kind.tag}
        for field in kind.fields:
            schema = self._describe(field.type)
            about = told.about.get(field.name) or told.about.get(field.encode_name)
            if about and "description" not in schema:
                schema["description"] = about
            default = _default(field)
            if default is not NODEFAULT:
                schema["default"] = default
            properties[field.encode_name] = schema
        described: Schema = {"type": "object", "properties": properties}
        required = [field.encode_name for field in kind.fields if field.required]
        if required:
            described["required"] = required
        if getattr(kind, "forbid_unknown_fields", False):
            described["additionalProperties"] = False
        return described

    def _describe_row(self, kind: Any) -> Schema:
        """A class whose values are written as lists."""
        items = [self._describe(field.type) for field in kind.fields]
        needed = [at for at, field in enumerate(kind.fields, 1) if field.required]
        least = max(needed, default=0)
        if getattr(kind, "tag_field", None) is not None:
            items.insert(0, {"const": kind.tag})
            least += 1
        row = _row(items)
        row["minItems"] = least
        if isinstance(kind, inspect.StructType) and not kind.forbid_unknown_fields:
            del row["items"], row["maxItems"]
        return row

    def _describe_model(self, model: Any) -> None:
        """A pydantic model, by what it says itself."""
        name = self._names[model]
        said = describe_model(model, REFERENCE + name + ".{model}")
        for inner, schema in said.pop("$defs", {}).items():
            self.components[f"{name}.{inner}"] = schema
        if "$ref" in said:  # one that contains itself
            schema = self.components.pop(f"{name}.{model.__name__}")
            said = _replace(schema, f"{REFERENCE}{name}.{model.__name__}", name)
        self.components[name] = said


def _type_info(kind: Any) -> inspect.Type:
    """
    A type taken apart, also one that can only be written: which of two classes
    without tags is meant nobody could read.
    """
    try:
        return type_info(kind)
    except TypeError:
        parts = [_type_info(each) for each in get_args(kind)]
    match get_origin(kind):
        case typing.Union | types.UnionType:
            return inspect.UnionType(tuple(parts))
        case builtins.list:
            return inspect.ListType(parts[0])
        case builtins.dict:
            return inspect.DictType(parts[0], parts[1])
        case _:
            return inspect.AnyType()


def _may_be_empty(schema: Schema) -> bool:
    """Whether an empty element of XML may be meant for it, rightly or not."""
    said = schema.get("type")
    return (
        said == "array"
        or (said == "object" and not schema.get("required"))
        or (said == "string" and bool(schema.get("minLength")))
        or _is_open(schema)
    )


def is_text(schema: Schema) -> bool:
    """Whether it is of text for its own sake, not of what is written as text."""
    return (
        schema.get("type") == "string"
        and not {"enum", "contentEncoding"} & {*schema}
        and schema.get("format") in (None, "password")
        and schema.get("pattern") != _TIME
    )


def _is_open(schema: Schema) -> bool:
    """Whether a schema says nothing of what a value is."""
    return not {"type", "anyOf", "enum", "const", "properties"} & {*schema}


def _parts(kind: inspect.Type) -> Sequence[inspect.Type]:
    match kind:
        case inspect.UnionType():
            return kind.types
        case inspect.CollectionType():
            return (kind.item_type,)
        case inspect.TupleType():
            return kind.item_types
        case inspect.DictType():
            return (kind.key_type, kind.value_type)
        case (
            inspect.StructType()
            | inspect.DataclassType()
            | inspect.TypedDictType()
            | inspect.NamedTupleType()
        ):
            return [field.type for field in kind.fields]
        case _:
            return ()


def _tables(kind: inspect.Type) -> list[Any]:
    """What has fields with names; of several nobody knows which is meant."""
    kind = bare(kind)
    if isinstance(kind, inspect.UnionType):
        found = [table for each in kind.types for table in _tables(each)]
        return found if len(found) == 1 else []
    if isinstance(kind, inspect.EnumType) or not isinstance(kind, _Named):
        return []
    if isinstance(kind, inspect.NamedTupleType) or getattr(kind, "array_like", False):
        return []
    return [kind]


def _name(classes: Sequence[Any], reserved: Iterable[str]) -> dict[Any, str]:
    """Names for components: short where that says which class is meant."""
    names: dict[Any, str] = {}
    reserved = frozenset(reserved)
    for spell in (_short_name, _long_name):
        alike: defaultdict[str, list[Any]] = defaultdict(list)
        for cls in classes:
            if cls not in names:
                alike[re.sub(r"[^A-Za-z0-9._-]", "_", spell(cls))].append(cls)
        for name, group in alike.items():
            if len(group) == 1 and name not in reserved:
                names[group[0]] = name
            elif spell is _long_name:
                numbers = enumerate(group, 1)
                names |= {cls: f"{name}_{number}" for number, cls in numbers}
    return names


def _short_name(cls: Any) -> str:
    arguments = [
        _short_name(each) if isinstance(each, type) else _plainly(each)
        for each in getattr(cls, "__args__", ())
    ]
    return f"{cls.__name__}[{','.join(arguments)}]" if arguments else cls.__name__


def _plainly(annotation: Any) -> str:
    return re.sub(r"\b\w+\.", "", str(annotation))


def _long_name(cls: Any) -> str:
    return f"{cls.__module__}.{_short_name(cls)}"


def _replace(schema: Any, reference: str, name: str) -> Any:
    if isinstance(schema, dict):
        return {
            key: REFERENCE + name
            if key == "$ref" and value == reference
            else _replace(value, reference, name)
            for key, value in schema.items()
        }
    if isinstance(schema, list):
        return [_replace(each, reference, name) for each in schema]
    return schema


def _row(items: list[Schema]) -> Schema:
    row: Schema = {"type": "array"}
    if items:
        row["prefixItems"] = items
    return row | {"items": False, "minItems": len(items), "maxItems": len(items)}


def _lengths(kind: Any, what: str) -> Schema:
    limits = {f"min{what}": kind.min_length, f"max{what}": kind.max_length}
    return {name: limit for name, limit in limits.items() if limit is not None}


def _describe_number(kind: inspect.IntType | inspect.FloatType) -> Schema:
    number = "integer" if isinstance(kind, inspect.IntType) else "number"
    limits = {word: getattr(kind, name) for name, word in _LIMITS.items()}
    given = {word: limit for word, limit in limits.items() if limit is not None}
    return {"type": number} | given


def _describe_text(kind: inspect.StrType) -> Schema:
    schema: Schema = {"type": "string"} | _lengths(kind, "Length")
    if kind.pattern is not None:
        schema["pattern"] = _ecma(kind.pattern)
    return schema


def _ecma(pattern: str) -> str:
    """
    A regular expression as JSON Schema has it: that of JavaScript. It is searched
    for, as Python's is here.
    """
    for python, script in ((r"\A", "^"), (r"\Z", "$"), ("(?P<", "(?<")):
        pattern = pattern.replace(python, script)
    return pattern


def _describe_bytes(kind: Any) -> Schema:
    least, most = kind.min_length, kind.max_length
    schema: Schema = {"type": "string", "contentEncoding": "base64"}
    schema["pattern"] = _base64(least or 0, most)
    if least is not None:
        schema["minLength"] = -(-least // 3) * 4
    if most is not None:
        schema["maxLength"] = -(-most // 3) * 4
    return schema


def _base64(least: int, most: int | None) -> str:
    """
    What so many bytes look like: groups of three, and what is left of another. With
    too many groups, readers of regular expressions give up.
    """
    if (least, most) == (0, None) or max(least, most or 0) > _MOST_GROUPS * 3:
        return _BASE64
    ways = []
    for left, tail in enumerate(("", f"{_DIGIT}{{2}}==", f"{_DIGIT}{{3}}=")):
        fewest = max(-(-(least - left) // 3), 0)
        greatest = fewest if most is None else (most - left) // 3
        if greatest >= fewest:
            upto = "" if most is None else greatest
            ways.append(f"({_DIGIT}{{4}}){{{fewest},{upto}}}{tail}")
    return f"^({'|'.join(ways)})$"


def _describe_moment(kind: inspect.DateTimeType | inspect.TimeType) -> Schema:
    """
    Without an offset it is no ``date-time`` and no ``time`` of RFC 3339, but what
    OpenAPI's registry of formats calls ``date-time-local`` and ``time-local``.
    """
    dated = isinstance(kind, inspect.DateTimeType)
    name, day = ("date-time", f"{_DAY}[Tt ]") if dated else ("time", "")
    known = {"type": "string", "format": name}
    local = {"type": "string", "format": f"{name}-local", "pattern": f"^{day}{_CLOCK}$"}
    if kind.tz is not None:
        return known if kind.tz else local
    if dated:
        return {"anyOf": [known, local]}
    # JSON Schema's older drafts had a "time" that has no offset.
    return {"type": "string", "pattern": _TIME}


def _describe_choice(values: Iterable[Any]) -> Schema:
    values = list(values)
    kinds = {type(value) for value in values}
    schema: Schema = {"enum": values}
    if kinds == {str} or kinds == {int}:
        schema = {"type": "string" if str in kinds else "integer"} | schema
    return schema


def _default(field: inspect.Field) -> Any:
    """What a field is when it is not there, if that is no secret and no accident."""
    if field.default is not NODEFAULT:
        default = field.default
    elif field.default_factory in _STEADY:
        default = field.default_factory()
    else:
        return NODEFAULT
    if hides(field.type) or (default is None and not takes_none(field.type)):
        return NODEFAULT
    try:
        plain = to_plain(default)
        if isinstance(default, (set, frozenset)):
            return sorted(plain, key=write_json)
        return json.loads(write_json(plain))
    except (TypeError, ValueError, NotImplementedError):
        return NODEFAULT
