"""What an option accepts, in words, from the classes' JSON schema; and how a component is named with its options."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import PydanticSerializationError, to_jsonable_python

from ganlab.interfaces import Component, Options
from ganlab.messages import in_words
from ganlab.recipe.schedules import is_schedule
from ganlab.recipe.toml import dump_key, dump_value
from ganlab.registry.entry_points import Provider

Schema = Mapping[str, Any]

REQUIRED = "required"
"""The default, in words, of an option that must be written."""
ANY = "any value"
"""What an option accepts whose type says nothing about it."""
UNSET = "unset"
"""The default, in words, of an option that means something by being left out."""

_COUNTS = ("no", "one", "two", "three", "four", "five", "six")
_COLOUR_PATTERN = "^#[0-9a-fA-F]{6}$"
_NOUNS = {
    "integer": ("a whole number", "whole numbers"),
    "number": ("a number", "numbers"),
    "string": ("text", "texts"),
    "boolean": ("true or false", "true or false"),
    "object": ("a table", "tables"),
}


class Option(NamedTuple):
    """One option of a table, described."""

    name: str
    accepted: str
    """What may be written, such as "a number above 0"."""
    default: str
    """As it would be written in a recipe, or `REQUIRED`, or `UNSET`."""
    doc: str
    """Its documentation on one line."""


def options_of(cls: type[Options]) -> Iterator[Option]:
    """Yield the options of a table or component in the order of their definition."""
    for name, field in cls.model_fields.items():
        doc = " ".join((field.description or "").split())
        key = field.alias or name
        yield Option(key, describe(cls, key), default_text(cls, name), doc)


def keys_of(cls: type[Options]) -> list[str]:
    """Return the options' keys, as a recipe has them."""
    return [field.alias or name for name, field in cls.model_fields.items()]


def describe(cls: type[Options], name: str) -> str:
    """Return what the option accepts, as in "a whole number above 0, or an array of two whole numbers above 0"."""
    schema = json_schema(cls)
    return _words(schema["properties"][name], schema.get("$defs", {}))


def choices(cls: type[Options], name: str) -> list[str]:
    """Return the texts that the option offers as choices, none where it takes anything else."""
    schema = json_schema(cls)
    branches = _branches(schema["properties"][name], schema.get("$defs", {}))
    return [choice for branch in branches for choice in _constants(branch) if isinstance(choice, str)]


def default_text(cls: type[Options], name: str) -> str:
    """Return the option's default as a recipe would write it, or `REQUIRED`, or `UNSET`."""
    field = cls.model_fields[name]
    if field.is_required():
        return REQUIRED
    default = field.get_default(call_default_factory=True, validated_data={})
    try:
        if isinstance(default, Options | tuple):
            default = to_jsonable_python(default, exclude_none=True)
        return UNSET if default is None else dump_value(default)
    except (TypeError, PydanticSerializationError):
        return str(default)  # a type of a plugin's own


def snippet(provider: Provider, cls: type[Component], name: str) -> str:
    """Return the text that names the component `cls` of `provider` as `name`, ready to be changed.

    For a recipe it is TOML that gives the defaults; what has none stands in a comment. Exporters and metrics are named
    on the command line.
    """
    if provider.kind == "exporter":
        settings = [f"{option.name}={option.default}" for option in options_of(cls) if _has_default(option.default)]
        return " ".join([f"ganlab export --to {name}", *(f"--set '{setting}'" for setting in settings)])
    lines = []
    if provider.kind == "metric":
        settings = [f"{name}.{item.name}={item.default}" for item in options_of(cls) if _has_default(item.default)]
        lines = [" ".join([f"ganlab evaluate --metrics {name}", *(f"--set '{setting}'" for setting in settings)])]
        lines += ["", "[evaluate]", f"metrics = [{dump_value(name)}]"]
        lines += ["", f"[evaluate.{dump_key(name)}]"] if list(options_of(cls)) else []
    elif provider.kind == "observer":
        lines = [f"[observers.{dump_key(name)}]"]
    else:
        lines = [f"[{provider.kind}]", f"name = {dump_value(name)}"]
    for option in options_of(cls):
        if _has_default(option.default):
            lines.append(f"{option.name} = {option.default}")
        else:
            lines.append(f"# {option.name} =   {option.default}: {option.accepted}")
    return "\n".join(lines)


@lru_cache(maxsize=64)
def json_schema(cls: type[Options]) -> dict[str, Any]:
    """Return the JSON schema of a table or component; a type that has none accepts anything there."""
    return cls.model_json_schema(schema_generator=_Schemas)


class _Schemas(GenerateJsonSchema):
    """pydantic's schemas, for every class: what JSON cannot describe is left open."""

    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012  # pydantic's own attribute

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> JsonSchemaValue:
        return {}


def _words(schema: Schema, definitions: Schema) -> str:
    return _either([_singular(branch, definitions) for branch in _branches(schema, definitions)])


def _branches(schema: Schema, definitions: Schema) -> Iterator[Schema]:
    """Yield the alternatives of a schema. null is none: it is never written, a key is left out."""
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    for key in ("anyOf", "oneOf", "allOf"):
        for branch in schema.get(key, ()):
            yield from _branches(branch, definitions)
        if key in schema:
            return
    if schema.get("type") != "null":
        yield schema


def _singular(schema: Schema, definitions: Schema) -> str:
    if constants := _constants(schema):
        return in_words([dump_value(constant) for constant in constants], "or")
    match schema.get("type"):
        case "array":
            return _array(schema, definitions)
        case "integer" | "number" as kind:
            return f"{_NOUNS[kind][0]}{_bounds(schema)}"
        case "string":
            return _text(schema)
        case "object" if is_schedule(schema.get("properties")):
            return "a schedule"
        case str() as kind:
            return _NOUNS[kind][0]
    return ANY


def _plural(schema: Schema, definitions: Schema) -> str:
    """Return words for many values, such as "whole numbers above 0"."""
    branches = list(_branches(schema, definitions))
    kind = branches[0].get("type") if len(branches) == 1 and not _constants(branches[0]) else None
    if kind in ("integer", "number"):
        return f"{_NOUNS[kind][1]}{_bounds(branches[0])}"
    if kind in ("object", "string") and "pattern" not in branches[0]:
        return "paths" if branches[0].get("format") == "path" else _NOUNS[kind][1]
    return f"values, each {_words(schema, definitions)}"


def _constants(schema: Schema) -> list[Any]:
    return [schema["const"]] if "const" in schema else list(schema.get("enum", ()))


def _bounds(schema: Schema) -> str:
    """Return an interval in words, such as " above 0", " of at least 2" or " from 0 to below 1"."""
    least, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    most, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    words = ""
    if least is not None:
        end = f" to below {_number(below)}" if below is not None else f" to {_number(most)}" if most is not None else ""
        words = f" from {_number(least)}{end}" if end else f" of at least {_number(least)}"
    elif above is not None:
        end = (
            f" and below {_number(below)}"
            if below is not None
            else f" up to {_number(most)}"
            if most is not None
            else ""
        )
        words = f" above {_number(above)}{end}"
    elif most is not None:
        words = f" of at most {_number(most)}"
    elif below is not None:
        words = f" below {_number(below)}"
    return f"{words}, a multiple of {_number(schema['multipleOf'])}" if "multipleOf" in schema else words


def _number(value: float) -> str:
    whole = value == round(value) and abs(value) < 1e15
    return str(round(value)) if whole else f"{value:g}"


def _text(schema: Schema) -> str:
    if schema.get("pattern") == _COLOUR_PATTERN:
        return 'a colour such as "#ffffff"'
    if schema.get("format") == "path":
        return "a path"
    if examples := schema.get("examples"):
        return f"text such as {in_words([dump_value(example) for example in examples], 'or')}"
    if "pattern" in schema:
        return f"text of the form {schema['pattern']}"
    return "text that is not empty" if schema.get("minLength") else "text"


def _array(schema: Schema, definitions: Schema) -> str:
    items = schema.get("prefixItems", [])
    if items and all(item == items[0] for item in items):
        return f"an array of {_count(len(items))} {_plural(items[0], definitions)}"
    if items:
        return f"an array of {in_words([_words(item, definitions) for item in items])}"
    least, most = schema.get("minItems", 0), schema.get("maxItems")
    if least and least == most:
        count = f"{_count(least)} "
    elif most is not None:
        count = f"{_count(least)} to {_count(most)} " if least else f"at most {_count(most)} "
    else:
        count = f"{_count(least)} or more " if least else ""
    return f"an array of {count}{_plural(schema.get('items', {}), definitions)}"


def _count(number: int) -> str:
    return _COUNTS[number] if number < len(_COUNTS) else str(number)


def _either(words: list[str]) -> str:
    """Join alternatives; commas where they are more than single words."""
    plain = all(" " not in word for word in words)
    return in_words(words, "or") if plain else ", or ".join(words) or ANY


def _has_default(text: str) -> bool:
    return text not in (REQUIRED, UNSET)
