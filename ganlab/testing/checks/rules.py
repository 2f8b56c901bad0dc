"""The checks of every kind: the registry's rules, and options that can be written, read, refused and understood."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from ganlab.errors import PluginError, RecipeError
from ganlab.interfaces import Component, Options
from ganlab.recipe.compose import Written
from ganlab.recipe.options import choices, describe, options_of
from ganlab.recipe.toml import TOMLError, dump_value, dumps, parse
from ganlab.recipe.validation import Mistakes
from ganlab.registry.entry_points import Provider
from ganlab.registry.loading import BASES, checked, refuse_widened
from ganlab.registry.lookup import HERE
from ganlab.testing.import_effects import Found, probed
from ganlab.testing.subject import Check, ContractError, NotRunError, Subject, described

CONFIGURED = ("frozen", "extra", "strict", "allow_inf_nan", "use_attribute_docstrings")
"""What the base class has settled for all options."""

NUMBERS = (-1, 0)
"""Numbers that an option of a whole kind may refuse, and one of its type need not."""

PROBES: Mapping[str, Any] = {
    "a text": "contract",
    "true": True,
    "a number": 3.5,
    "an array": [[]],
    "a table": {"contract": {}},
}
"""Values, no option makes sense with all of which."""


def obeys_the_registry(subject: Subject[Component]) -> None:
    """Hold the class to what the registry asks of those that entry points name."""
    cls = subject.cls
    try:
        checked(Provider(subject.kind, cls.__name__, HERE, "", f"{cls.__module__}:{cls.__qualname__}"), cls)
        refuse_widened(cls, BASES[subject.kind], cls.__name__, NUMBERS)
    except PluginError as error:
        raise ContractError(str(error).replace(f'"{cls.__name__}" ({HERE})', cls.__name__)) from error


def has_defaults(subject: Subject[Component]) -> None:
    """Make the component, and hold its defaults to their own types: pydantic never looks at them."""
    cls, options = subject.cls, subject.options
    required = [name for name, field in cls.model_fields.items() if field.is_required() and name not in options]
    if required:
        names = ", ".join(required)
        raise ContractError(
            f"{names} has no default: give it one, or say what to check with: contract(..., options=[{{...}}]), "
            f"--set {required[0]}=... on the command line"
        )
    mistakes = Mistakes(Written(_plain(options), {}, "options"))
    component = mistakes.read(cls, _plain(options), (), f"{subject.kind} {cls.__name__}")
    if component is None:
        try:
            mistakes.raise_any()
        except RecipeError as error:
            raise ContractError("; ".join(error.problems).replace("options: : ", "options: ")) from error
        raise AssertionError("what cannot be read is a mistake")
    for name in cls.model_fields:
        if name in options:
            continue
        value = _table(component).get(name)
        try:
            if value is not None:
                _read(cls, {**options, name: value})
        except ValidationError as error:
            raise ContractError(
                f"the default of {name}, {_shown(value)}, is not {describe(cls, name)}: change the default or the type"
            ) from error


def is_documented(subject: Subject[Component]) -> None:
    """Look for a docstring, and for a sentence below each option."""
    cls = subject.cls
    if not (cls.__doc__ or "").strip():
        raise ContractError(f'{cls.__name__} has no docstring: say in its first sentence what it is, """Like this."""')
    silent = [option.name for option in options_of(cls) if not option.doc]
    if silent:
        raise ContractError(
            f"{', '.join(silent)} {'is' if len(silent) == 1 else 'are'} not documented: write a string below the "
            'option, """What it does."""'
        )


def survives_toml(subject: Subject[Component]) -> None:
    """Write the options as a run does, read them again, and compare; also with one option changed at a time."""
    for component in (subject.make(), *_variants(subject)):
        table = _table(component)
        try:
            again = _read(subject.cls, parse(dumps(table)).table)
        except TypeError as error:
            raise ContractError(
                f"its options cannot be written to a recipe: {error}; give each a type of TOML"
            ) from error
        except (ValidationError, TOMLError) as error:
            raise ContractError(
                f"its options, written to a recipe as {_shown(table)}, are refused when they are read again: "
                f"{described(error, subject.cls)}; give each a type that is written as it is read"
            ) from error
        for name in subject.cls.model_fields:
            before, after = dict(component)[name], dict(again)[name]
            if before != after:
                remedy = (
                    "in a recipe nothing is unset but what is left out: make None its default, or take a word for it"
                    if before is None
                    else "give it a type that is written as it is read"
                )
                raise ContractError(f"{name} = {before!r} comes back from a recipe as {after!r}: {remedy}")


def refuses_nonsense(subject: Subject[Component]) -> None:
    """Try keys and values that mean nothing, and expect pydantic's error for each."""
    cls = subject.cls
    changed = [key for key in CONFIGURED if dict(cls.model_config).get(key) != dict(Options.model_config).get(key)]
    if changed:
        raise ContractError(
            f"model_config changes {', '.join(changed)}: leave that to ganlab, so that mistakes are found"
        )
    if _accepts(subject, "no-such-option", 1):
        raise ContractError("an option that it does not have is accepted: leave unknown keys to ganlab")
    component = dict(subject.make())
    for name in cls.model_fields:
        taken = [word for word, probe in PROBES.items() if _accepts(subject, name, probe)]
        if len(taken) == len(PROBES):
            raise ContractError(f"{name} accepts anything, {', '.join(taken)}: give it a type")
        value = component[name]
        if isinstance(value, int | float) and "a text" not in taken and _accepts(subject, name, str(value).lower()):
            raise ContractError(f'{name} accepts the text "{value}" for {value}: leave its type strict')


def imports_quietly(subject: Subject[Component]) -> str | None:
    """Import the module twice in a new process, and ask what the second time has changed."""
    module = subject.cls.__module__
    if (found := probed(module)) is None:
        raise NotRunError(f"no other process can import {module}; put the component into a module of its own")
    return advice(module, found)


def advice(module: str, found: Found) -> str | None:
    """Return what to say of an import that is allowed; raise `ContractError` for one that is not."""
    if found.effects:
        raise ContractError(
            f"importing {module} {' and '.join(found.effects)}: "
            "a module only defines things; whatever is done belongs into the methods that ganlab calls"
        )
    if found.torch:
        return (
            f"importing {module} imports torch, which makes `ganlab recipes check` wait for seconds: "
            "import torch in the methods that need it, and networks in build()"
        )
    return None


CHECKS = (
    Check("rules", "It obeys the rules of its kind.", obeys_the_registry),
    Check("defaults", "Its defaults are values that its options accept.", has_defaults, ("rules",)),
    Check("documentation", "It and each of its options are documented.", is_documented, ("rules",)),
    Check("round_trip", "Its options survive being written to a recipe.", survives_toml, ("defaults",)),
    Check("refusals", "It refuses options and values that mean nothing.", refuses_nonsense, ("defaults",)),
    Check("import", "Importing it changes nothing else, and does not import torch.", imports_quietly, ("rules",)),
)


def _variants(subject: Subject[Component]) -> Iterator[Component]:
    """Yield the component with one option at a time changed to something else that it accepts."""
    cls, component = subject.cls, subject.make()
    for name, value in component:
        others: list[Any] = [None, *choices(cls, name)]
        if isinstance(value, bool):
            others.append(not value)
        for other in others:
            if other != value and _accepts(subject, name, other):
                yield _read(cls, {**subject.options, name: other})


def _accepts(subject: Subject[Component], name: str, value: Any) -> bool:
    try:
        _read(subject.cls, {**subject.options, name: value})
    except ValidationError:
        return False
    # A stranger's validator.
    except Exception as error:
        raise ContractError(
            f"a validator raises {type(error).__name__} over {name} = {_shown(value)}: raise ValueError with a sentence"
        ) from error
    return True


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options as a recipe would hold them, paths as text."""
    table: dict[str, Any] = json.loads(json.dumps(options, default=str))
    return table


def _read(cls: type[Component], table: Mapping[str, Any]) -> Component:
    return cls.model_validate_json(json.dumps(table, default=str))


def _table(component: Component) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydantic warns of what is found out below
        return component.model_dump(mode="json", exclude_none=True)


def _shown(value: object) -> str:
    try:
        return dump_value(value)
    except TypeError:
        return repr(value)
