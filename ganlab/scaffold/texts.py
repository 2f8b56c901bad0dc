"""The files of a new plugin: templates, filled with its names and with what it offers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

from ganlab.messages import in_words
from ganlab.recipe.toml import dumps
from ganlab.registry.kinds import KINDS, Kind
from ganlab.scaffold.names import Names

TEMPLATES = Path(__file__).parent / "templates"


def texts(names: Names, called: Mapping[Kind, Names]) -> dict[str, str]:
    """Return the text of each file by its path in the plugin's folder; its components are `called` so, by kind."""
    component, package, kinds = names.component, names.package, list(called)
    classes = {kind: own.class_of(kind) for kind, own in called.items()}
    places = {
        "component": component,
        "distribution": names.distribution,
        "description": f"The {_described(called)} for ganlab.",
        "entry_points": "\n\n".join(_entry_point(package, kind, own) for kind, own in called.items()),
        "imports": "\n".join(f"from {package}.{kind} import {classes[kind]}" for kind in sorted(kinds)),
        "contracts": "\n".join(f"test_{kind} = contract({classes[kind]})" for kind in kinds),
        "tables": dumps(_recipe({kind: own.component for kind, own in called.items()})).rstrip(),
        "uses": "\n".join(
            f"- `{package}/{kind}.py` is the {kind}: {_use(own.component, kind)}." for kind, own in called.items()
        ),
    }
    modules = {
        f"{package}/{kind}.py": _filled(
            f"{kind}.py", places | {"component": own.component, "class_name": classes[kind]}
        )
        for kind, own in called.items()
    }
    return {
        "pyproject.toml": _filled("pyproject.toml", places),
        f"{package}/__init__.py": _filled("init.py", places),
        **modules,
        f"tests/test_{component}.py": _filled("test.py", places),
        f"recipes/{component}.toml": _filled("recipe.toml", places),
        "README.md": _filled("README.md", places),
        ".gitignore": _filled("gitignore", places),
    }


def _filled(template: str, places: Mapping[str, str]) -> str:
    return Template((TEMPLATES / f"{template}.txt").read_text(encoding="utf-8")).substitute(places)


def _described(called: Mapping[Kind, Names]) -> str:
    """Return what is offered in words: "model and loss waves", or each with its name where these differ."""
    names = {own.component for own in called.values()}
    if len(names) == 1:
        return f"{in_words(list(called))} {names.pop()}"
    return in_words([f"{kind} {own.component}" for kind, own in called.items()])


def _entry_point(package: str, kind: Kind, own: Names) -> str:
    target = f"{package}.{kind}:{own.class_of(kind)}"
    return f'[project.entry-points."{KINDS[kind].group}"]\n{own.component} = "{target}"'


def _recipe(called: Mapping[Kind, str]) -> dict[str, Any]:
    """Return the tables of a recipe that uses what the plugin offers; the rest is small and comes with ganlab."""
    recipe: dict[str, Any] = {
        "model": {"name": "dcgan", "base_channels": 16},
        "dataset": {"name": "fashion_mnist", "split": "shipped"},
        "loss": {"name": "bce"},
    }
    own: dict[str, Any] = {kind: {"name": name} for kind, name in called.items() if KINDS[kind].decides}
    if "dataset" in own:
        own["dataset"]["resolution"] = 32
    # Small networks on few pictures learn faster at five times the usual rate.
    optimizer = own.pop("optimizer", {}) | {"lr": 1e-3}
    recipe |= own | {"optimizer": optimizer, "train": {"epochs": 10}}
    return recipe | {"observers": {called["observer"]: True}} if "observer" in called else recipe


def _use(component: str, kind: Kind) -> str:
    """Say how a component is used."""
    match kind:
        case "exporter":
            return f"`ganlab export --to {component}` writes with it"
        case "metric":
            return f"`ganlab evaluate --metrics {component}` computes it"
        case "observer":
            return f"a recipe switches it on by `{component} = true` below `[observers]`"
        case _:
            return f'a recipe takes it by `name = "{component}"` below `[{kind}]`'
