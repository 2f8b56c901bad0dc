"""How a component is named: the lines of a recipe, or the command, with every option at its default."""

from __future__ import annotations

from ganlab.interfaces import Component
from ganlab.options import REQUIRED, UNSET, options_of
from ganlab.registry.entry_points import Provider
from ganlab.toml import dump_key, dump_value


def snippet(provider: Provider, cls: type[Component], name: str) -> str:
    """Return the text that names the component `cls` of `provider` as `name`, ready to be changed.

    For a recipe it is TOML that gives the defaults; what has none stands in a comment.
    """
    if provider.kind == "exporter":
        settings = [f"{option.name}={option.default}" for option in options_of(cls) if _has_default(option.default)]
        return " ".join([f"ganlab export --to {name}", *(f"--set '{setting}'" for setting in settings)])
    if provider.kind == "observer":
        lines = [f"[observers.{dump_key(name)}]"]
    else:
        lines = [f"[{provider.kind}]", f"name = {dump_value(name)}"]
    for option in options_of(cls):
        if _has_default(option.default):
            lines.append(f"{option.name} = {option.default}")
        else:
            lines.append(f"# {option.name} =   {option.default}: {option.accepted}")
    return "\n".join(lines)


def _has_default(text: str) -> bool:
    return text not in (REQUIRED, UNSET)
