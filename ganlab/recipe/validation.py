"""A recipe's tables ▶ options; what is wrong in them is collected, each mistake with its place and remedy."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Annotated, Any, NamedTuple, TypeVar, get_args, get_origin

from pydantic import ValidationError
from pydantic_core.core_schema import ErrorType

from ganlab.errors import RecipeError
from ganlab.interfaces import Options, Schedule
from ganlab.messages import nearest
from ganlab.recipe.compose import Written
from ganlab.recipe.options import ANY, choices, describe, keys_of
from ganlab.recipe.toml import KeyPath, dump_key, in_toml

T = TypeVar("T", bound=Options)

ALIASES = {
    "batch": "batch_size",
    "beta1": "betas",
    "beta2": "betas",
    "bs": "batch_size",
    "critic_steps": "discriminator_steps",
    "data_dir": "root",
    "dataroot": "root",
    "decay": "half_life_images",
    "ema_decay": "half_life_images",
    "ema_halflife": "half_life_images",
    "ema_kimg": "half_life_images",
    "image_size": "resolution",
    "img_size": "resolution",
    "label_smoothing": "real_label",
    "learning_rate": "lr",
    "max_epochs": "epochs",
    "n_critic": "discriminator_steps",
    "n_epochs": "epochs",
    "ndf": "base_channels",
    "ngf": "base_channels",
    "noise_dim": "latent_dim",
    "num_epochs": "epochs",
    "nz": "latent_dim",
    "steps": "iterations",
    "z_dim": "latent_dim",
}
"""What other projects call our options."""


LISTED = 100
"""How many mistakes are told. A file of thousands is no recipe."""


class Unknown(NamedTuple):
    """A key that a table does not have. What was meant can be said when all tables are known."""

    path: KeyPath
    owner: str
    cls: type[Options]
    also: tuple[str, ...]


class Mistakes:
    """What is wrong in one recipe."""

    def __init__(self, written: Written) -> None:
        self._written = written
        self._found: list[tuple[KeyPath, str]] = []
        self._unknown: list[Unknown] = []
        self._tables: dict[str, type[Options]] = {}

    def __bool__(self) -> bool:
        return bool(self._found or self._unknown)

    def value(self, path: KeyPath, what: str) -> None:
        """Note a mistake as `place: key = value: what`, or `place: key: what` for a table."""
        value = _lookup(self._written.table, path)
        given = "" if value is None or isinstance(value, dict) else f" = {in_toml(value)}"
        self._note(path, f"{_dotted(path)}{given}: {what}")

    def key(self, path: KeyPath, what: str) -> None:
        """Note a mistake as `place: key what`."""
        self._note(path, f"{_dotted(path)} {what}")

    def shadowed(self, section: str) -> list[str]:
        """Return the keys of a section that were written over a layer with values closer to what they are for."""
        return sorted(str(path[1]) for path in self._written.shadowed if path[0] == section)

    def raise_any(self) -> None:
        """Raise `RecipeError` with all mistakes, in the order in which they were written, if there is one."""
        if not self:
            return
        order = {place: index for index, place in enumerate(self._written.places.values())}

        def position(mistake: tuple[KeyPath, object] | Unknown) -> int:
            return order.get(self._written.place(mistake[0]), -1)

        for unknown in sorted(self._unknown, key=position)[:LISTED]:
            self.key(unknown.path, f"is not an option of {unknown.owner}{self._meant(unknown)}")
        count = len(self._found) + max(0, len(self._unknown) - LISTED)
        problems = [problem for _, problem in sorted(self._found, key=position)][:LISTED]
        if count > LISTED:
            problems.append(f"{self._written.origin}: and {count - LISTED:,} more mistakes")
        raise RecipeError(problems)

    def read(
        self, cls: type[T], table: Any, path: tuple[str, ...], owner: str = "", also: tuple[str, ...] = ()
    ) -> T | None:
        """Return the options that the table at `path` holds, or None after noting every mistake in it.

        `owner` is what messages call the table, by default its header; `also` are the keys in it that are not its
        options. Whatever else the class's validators raise comes through.
        """
        header = f"[{'.'.join(path)}]" if path else ""
        self._tables.setdefault(header, cls)
        owner = owner or header
        if not isinstance(table, dict):
            self.value(path, f"must be a table, {header}")
            return None
        table = {key: value for key, value in table.items() if key not in also}
        foreign = {key for key in cls.model_fields if key in table and not _is_plain(table[key])}
        for key in sorted(foreign):
            accepted = describe(cls, key)
            if accepted == ANY:
                accepted = "text, a finite number, true or false, an array or a table"
            limit = ", within 64 bits" if isinstance(table[key], int) else ""
            self.value((*path, key), f"must be {accepted}{limit}")
        text = json.dumps({key: None if key in foreign else value for key, value in table.items()}, default=str)
        try:
            # As JSON: there, unlike in Python, an array is the tuple and a text the path that an option wants,
            # while true is still no number and "3" no 3.
            options = cls.model_validate_json(text)
        except ValidationError as error:
            for where, what, inner in _sentences(cls, error):
                if where and where[0] in foreign:
                    continue
                if inner is not None:
                    whose = "a schedule" if issubclass(inner, Schedule) else owner
                    self._unknown.append(Unknown((*path, *where), whose, inner, also if len(where) == 1 else ()))
                else:
                    self._say(table, path, where, what)
            return None
        return None if foreign else options

    def _say(self, table: Mapping[str, Any], path: KeyPath, where: KeyPath, what: str) -> None:
        """Note a sentence about one option, or about several: then at one that it names."""
        if where and _lookup(table, where) is None:
            self.key((*path, *where), f"is missing; it {what}")
            return
        if not where:
            where = tuple(key for key in table if re.search(rf"\b{re.escape(key)}\b", what))[:1]
        self.value((*path, *where), what)

    def _note(self, path: KeyPath, sentence: str) -> None:
        self._found.append((path, f"{self._written.place(path)}: {sentence}"))

    def _meant(self, unknown: Unknown) -> str:
        """Return what to write instead of a key that does not exist."""
        key, here = str(unknown.path[-1]), [*keys_of(unknown.cls), *unknown.also]
        elsewhere: dict[str, str] = {}
        for header, cls in self._tables.items():
            if cls is not unknown.cls:
                elsewhere |= {name: header for name in cls.model_fields if name not in elsewhere}
        if key in elsewhere:
            return f"; it is an option of {elsewhere[key] or 'the recipe, before its first table'}"
        alias = ALIASES.get(key.lower())
        for word in (nearest(key, here), alias):
            if word in here:
                return f"; did you mean {word}?"
        for word in (alias, nearest(key, elsewhere)):
            if word in elsewhere:
                return f"; did you mean {word} in {elsewhere[word]}?"
        return f"; its options are {', '.join(here)}" if here else "; it has none"


def _sentences(cls: type[Options], error: ValidationError) -> Iterator[tuple[KeyPath, str, type[Options] | None]]:
    """Yield one sentence for each wrong option; pydantic has an error for each branch of a union.

    An unknown key comes with the class that does not have it.
    """
    of_pydantic = {*get_args(ErrorType)} - {"value_error", "assertion_error"}
    sentences: dict[KeyPath, str] = {}
    for detail in error.errors(include_url=False):
        where, owner = _located(cls, detail["loc"])
        if detail["type"] == "extra_forbidden" and where[-1] not in owner.model_fields:
            yield where, "", owner
        elif detail["type"] not in of_pydantic:  # a validator's own words
            sentences[where] = str(detail.get("ctx", {}).get("error", detail["msg"]))
        elif where:
            accepted = describe(owner, str(where[-1]))
            hint = _similar(detail["input"], choices(owner, str(where[-1])))
            sentences.setdefault(where, f"must be {accepted}{hint}")
        else:
            sentences.setdefault(where, detail["msg"])
    for where, what in sentences.items():
        yield where, what, None


def _located(cls: type[Options], location: tuple[int | str, ...]) -> tuple[KeyPath, type[Options]]:
    """Return an option's path without pydantic's names for the branches of its type, and the table that holds it."""
    path: KeyPath = ()
    annotation: Any = cls
    place: KeyPath = ()  # in an array: it counts only where a schedule stands there
    for key in location:
        if (schedule := _schedule(annotation)) is not None and key == "schedule":
            path, place, cls, annotation = path + place, (), schedule, schedule
        elif (inner := _table(annotation)) is not None:
            cls, path = inner, (*path, key)
            annotation = next((f.annotation for name, f in cls.model_fields.items() if key in (name, f.alias)), None)
        elif get_origin(annotation) is tuple and isinstance(key, int):
            annotation, place = get_args(annotation)[key], (key,)
        else:
            break
    return path, cls


def _schedule(annotation: Any) -> type[Options] | None:
    """Return the class of the schedule that may stand in place of a number."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    for branch in get_args(annotation):
        only = get_args(branch)[0] if get_origin(branch) is Annotated else branch
        if isinstance(only, type) and issubclass(only, Schedule):
            return only
    return None


def _table(annotation: Any) -> type[Options] | None:
    """Return the class of an option that is itself a table, or that or nothing."""
    candidates = [kind for kind in (get_args(annotation) or (annotation,)) if kind is not type(None)]
    only = candidates[0] if len(candidates) == 1 else None
    return only if isinstance(only, type) and issubclass(only, Options) else None


def _similar(value: Any, names: list[str]) -> str:
    found = nearest(value, names) if isinstance(value, str) else None
    return f"; did you mean {in_toml(found)}?" if found is not None else ""


def _lookup(table: Mapping[str, Any], path: KeyPath) -> Any:
    value: Any = table
    for key in path:
        if isinstance(value, list):
            value = value[key] if isinstance(key, int) and key < len(value) else None
        else:
            value = value.get(key) if isinstance(value, dict) else None
    return value


def _dotted(path: KeyPath) -> str:
    keys = (f"[{key}]" if isinstance(key, int) else f".{dump_key(key)}" for key in path)
    return "".join(keys).removeprefix(".")


def _is_plain(value: Any) -> bool:
    """Tell whether JSON holds the value as well: no date, infinity, number beyond 64 bits or object of Python's."""
    match value:
        case bool() | None:
            return True
        case str():
            return value.isprintable() or not any("\ud800" <= letter <= "\udfff" for letter in value)
        case int():
            return -(2**63) <= value < 2**63
        case float():
            return isfinite(value)
        case list():
            return all(map(_is_plain, value))
        case dict():
            return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    return False
