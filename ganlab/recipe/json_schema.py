"""JSON Schema of a whole recipe, for editors: ganlab's own tables and the options of every component that loads.

It never calls a recipe wrong that ganlab takes: a component that is not installed here, one that does not load, and
whatever a recipe may have inherited are left open.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ganlab.errors import PluginError
from ganlab.interfaces import Component, Model, Options
from ganlab.recipe.compose import ALTERNATIVES
from ganlab.recipe.options import json_schema
from ganlab.recipe.settings import Evaluations, MovingAverage, Settings, Snapshots, Train
from ganlab.registry.entry_points import Provider
from ganlab.registry.kinds import DECISIVE, KINDS, Kind
from ganlab.registry.loading import blaming
from ganlab.registry.lookup import HERE, Registry, registry

Schema = dict[str, Any]

FILE = "ganlab.schema.json"
"""What a recipe calls the file that lies beside it."""
DIRECTIVE = f"#:schema {FILE}"
"""A recipe's first line, which leads editors to the schema."""

DIALECT = "http://json-schema.org/draft-07/schema#"
"""The newest that every editor's checker reads."""

TABLES: dict[str, type[Options]] = {
    "train": Train,
    "moving_average": MovingAverage,
    "snapshot": Snapshots,
    "evaluate": Evaluations,
}
NAMED: tuple[Kind, ...] = (*DECISIVE, "observer", "metric")
"""The kinds of components whose options a recipe holds."""
_OF_A_NETWORK = "What this network's optimizer has otherwise than that of all networks, or another optimizer by name."
_OPEN: Schema = {"additionalProperties": True}
"""What draft 7 takes for granted and Tombi wants to read."""

_KEYWORDS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("type", "format", "pattern"), str),
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems"), int),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), (int, float)),
    **dict.fromkeys(("enum", "examples", "required"), list),
    **dict.fromkeys(("additionalProperties", "uniqueItems"), bool),
    "const": object,
}
"""What is taken over of a schema as it is, and its type. A plugin may have written anything into its own."""


class RecipeSchema(NamedTuple):
    """A recipe's schema."""

    schema: Schema
    left_open: list[str]
    """Which components' options are not in it, and why."""


class _Offer(NamedTuple):
    """A component that a recipe can name."""

    provider: Provider
    names: list[str]
    """All its names, the shortest first."""
    cls: type[Component] | None
    """None where it does not load."""
    table: Schema
    """Of its options; open where it does not load."""
    place: str = ""
    """Ends the name of the definition where there are several, for tables in several places."""

    @property
    def definition(self) -> str:
        return f"{self.provider.kind}.{self.names[0]}{self.place}"

    @property
    def reference(self) -> Schema:
        return {"$ref": f"#/definitions/{self.definition}"}


def recipe_schema(components: Registry = registry) -> RecipeSchema:
    """Return the schema of recipes with the components that are installed; each of them is loaded for it."""
    left_open: list[str] = []
    offers = [_offer(provider, components, left_open) for provider in components.providers()]
    offers = [offer for offer in offers if offer.provider.kind in NAMED]
    by_kind = {kind: [offer for offer in offers if offer.provider.kind == kind] for kind in NAMED}
    settings = _table(Settings)
    of_networks = [offer._replace(place=".network") for offer in by_kind["optimizer"]]
    by_kind["optimizer"] = [_with_networks(offer, by_kind["model"]) for offer in by_kind["optimizer"]]
    properties = settings["properties"] | {kind: _kind(kind, by_kind[kind]) for kind in DECISIVE}
    properties |= {name: _table(cls) for name, cls in TABLES.items()}
    properties["evaluate"] = _with_metrics(properties["evaluate"], by_kind["metric"])
    for name, alternatives in ALTERNATIVES.items():
        properties[name]["not"] = {"required": list(alternatives)}
    properties["observers"] = _observers(by_kind["observer"])
    complete = {kind: _complete(kind, by_kind[kind]) for kind in DECISIVE}
    complete["optimizer"] = {"allOf": [complete["optimizer"], _complete_networks(by_kind["optimizer"], of_networks)]}
    schema = {
        "$schema": DIALECT,
        "title": "A recipe of ganlab",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        # What a recipe that extends another does not say may stand in the other.
        "if": {"required": ["extends"], **_OPEN},
        "else": {"required": _required(), "properties": complete, **_OPEN},
        "definitions": {
            "network": _kind("optimizer", of_networks),
            **{offer.definition: offer.table for offer in (*offers, *by_kind["optimizer"], *of_networks)},
        },
    }
    return RecipeSchema(schema, left_open)


def _offer(provider: Provider, components: Registry, left_open: list[str]) -> _Offer:
    names = [provider.name]
    if provider.distribution != HERE:
        names.append(f"{provider.distribution}:{provider.name}")
    try:
        if components.provider(provider.kind, provider.name) != provider:
            names = names[1:]  # the short name stands for ganlab's own
    except PluginError:
        names = names[1:]  # it is another's too
    try:
        with blaming(provider, "has options that cannot be described"):
            cls = components.load(provider)
            table = _table(cls)
            json.dumps(table)
    except PluginError as error:
        left_open.append(str(error))
    else:
        return _Offer(provider, names, cls, _named(provider, names, table))
    kinds = ["boolean", "object"] if provider.kind == "observer" else "object"
    return _Offer(provider, names, None, {"type": kinds, **_OPEN})


def _named(provider: Provider, names: list[str], table: Schema) -> Schema:
    """Let the table of a component's options hold its name, or the word that switches an observer on or off."""
    if provider.kind == "observer":
        return {**table, "type": ["boolean", "object"]}
    if provider.kind == "metric":
        return table
    name = {"type": "string", "enum": names, "description": table.get("description", "")}
    return {**table, "properties": {"name": name, **table["properties"]}}


def _kind(kind: Kind, offers: list[_Offer]) -> Schema:
    """Return the schema of a kind's table: that of the component which it names, if that is known."""
    known = [{"enum": offer.names[:1], "description": offer.table.get("description", "")} for offer in offers]
    return {
        "description": _described(kind),
        "type": "object",
        "properties": {"name": {"description": f"Which {kind}.", "anyOf": [*known, {"type": "string"}]}},
        **_OPEN,
        # Always true: editors look here for what they offer to complete.
        "anyOf": [*(offer.reference for offer in offers if offer.cls), {}],
        # What is checked; in this form, an editor says which key is wrong.
        **_all([_when(offer, offer.reference) for offer in offers if offer.cls]),
    }


def _required() -> list[Kind]:
    return [kind for kind in DECISIVE if KINDS[kind].default is None and not KINDS[kind].optional]


def _described(kind: Kind) -> str:
    traits = KINDS[kind]
    default = traits.default or ("nothing" if traits.optional else None)
    return traits.what if default is None else f"{traits.what} Default: {default}."


def _complete(kind: Kind, offers: list[_Offer]) -> Schema:
    """Return what else is asked of a kind's table where nothing is inherited."""
    default = KINDS[kind].default
    rules = []
    for offer in offers:
        if offer.cls is None:
            continue
        required = [name for name, field in offer.cls.model_fields.items() if field.is_required()]
        if default in offer.names:
            rules.append({"if": {"not": {"required": ["name"]}}, "then": offer.reference})
        if required:
            rules.append(_when(offer, {"required": required, **_OPEN}))
    return {**_OPEN, **({} if default else {"required": ["name"]}), **_all(rules)}


def _all(rules: list[Schema]) -> Schema:
    return {"allOf": rules} if rules else {}  # which must not be empty


def _when(offer: _Offer, then: Schema) -> Schema:
    return {"if": {"required": ["name"], "properties": {"name": {"enum": offer.names}}, **_OPEN}, "then": then}


def _with_networks(offer: _Offer, models: list[_Offer]) -> _Offer:
    """Let the table of an optimizer hold tables of single networks, which may name another."""
    if offer.cls is None:
        return offer
    options, own = (
        offer.table["properties"],
        {"description": _OF_A_NETWORK, "allOf": [{"$ref": "#/definitions/network"}]},
    )
    networks: list[str] = []
    for model in models:
        if model.cls is not None and issubclass(model.cls, Model):
            networks += [name for name in model.cls.networks if name not in (*networks, *options)]
    # Other networks are those of models that are not installed here.
    table = {**offer.table, "properties": options | dict.fromkeys(networks, own), "additionalProperties": own}
    return offer._replace(table=table)


def _complete_networks(offers: list[_Offer], of_networks: list[_Offer]) -> Schema:
    """Return what is asked of the tables of networks that name no optimizer, where nothing is inherited."""
    rules = []
    for offer, own in zip(offers, of_networks, strict=True):
        if offer.cls is None:
            continue
        unnamed = {"if": {"not": {"required": ["name"]}}, "then": own.reference}
        then = {"properties": {key: {} for key in own.table["properties"]}, "additionalProperties": unnamed}
        rules.append(_when(offer, then))
        if KINDS["optimizer"].default in offer.names:
            rules.append({"if": {"not": {"required": ["name"]}}, "then": then})
    return _all(rules)


def _with_metrics(table: Schema, offers: list[_Offer]) -> Schema:
    """Let the table of evaluations hold tables of single metrics; others may be installed elsewhere."""
    own = {name: offer.reference for offer in offers for name in offer.names[:1] if name not in table["properties"]}
    others = {"type": "object", **_OPEN}
    return {**table, "properties": table["properties"] | own, "additionalProperties": others}


def _observers(offers: list[_Offer]) -> Schema:
    return {
        "description": "What watches the run: name = true, name = false, or a table of its options.",
        "type": "object",
        "properties": {name: offer.reference for offer in offers for name in offer.names[:1]},
        "additionalProperties": {"type": ["boolean", "object"], **_OPEN},
    }


def _table(cls: type[Options]) -> Schema:
    """Return the schema of a table of options, in which nothing needs to be written."""
    whole = json_schema(cls)
    properties = {
        name: _plain(option, whole.get("$defs", {}), ()) for name, option in whole.get("properties", {}).items()
    }
    doc = " ".join((cls.__doc__ or "").split())
    return {"description": doc, "type": "object", "properties": properties, "additionalProperties": False}


def _plain(schema: Mapping[str, Any], definitions: Mapping[str, Any], inside: tuple[str, ...]) -> Schema:
    """Return pydantic's schema as an editor needs it: draft 7, without null, which TOML has not, and references."""
    if reference := schema.get("$ref"):
        name = str(reference).rpartition("/")[2]
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        if name in inside or name not in definitions:
            return _plain(rest, definitions, inside)  # a table of its own kind is left open
        return _plain({**definitions[name], **rest}, definitions, (*inside, name))
    branches = [branch for key in ("anyOf", "oneOf") for branch in schema.get(key, ()) if branch.get("type") != "null"]
    plain = dict(_keywords(schema, definitions, inside))
    if len(branches) == 1:
        return _plain({**branches[0], **plain}, definitions, inside)
    if branches:
        plain["anyOf"] = [_plain(branch, definitions, inside) for branch in branches]
    return plain


def _keywords(
    schema: Mapping[str, Any], definitions: Mapping[str, Any], inside: tuple[str, ...]
) -> Iterator[tuple[str, Any]]:
    for key, value in schema.items():
        match key:
            case "default":
                yield from () if value is None else ((key, _written(value)),)
            case "description":
                yield key, " ".join(str(value).split())
            case "prefixItems":
                yield "items", [_plain(item, definitions, inside) for item in value]
                yield "additionalItems", False
            case "items" if "prefixItems" in schema:
                continue
            case "items" | "additionalProperties" if isinstance(value, dict):
                yield key, _plain(value, definitions, inside)
            case "properties":
                yield key, {name: _plain(item, definitions, inside) for name, item in value.items()}
            case "pattern" if "(?" in value:
                continue  # of Python's regular expressions, which other languages refuse
            case _ if isinstance(value, _KEYWORDS.get(key, ())):
                yield key, value


def _written(default: Any) -> Any:
    """Return a default without the keys that a recipe leaves out."""
    if isinstance(default, dict):
        return {key: _written(value) for key, value in default.items() if value is not None}
    return default
