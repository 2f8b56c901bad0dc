"""The page of every option that a recipe can hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from text import cell, prose

from ganlab.interfaces import Dataset, Model, Optimizer, Options, Schedule
from ganlab.recipe.options import Option, options_of
from ganlab.recipe.settings import Evaluations, MovingAverage, Settings, Snapshots, Train
from ganlab.registry import Registry
from ganlab.registry.kinds import Kind

OWN = Registry()
"""The components that come with ganlab, whatever else is installed."""
OWN.scan(lambda distribution: distribution == "ganlab")


def page() -> Iterator[str]:
    """Yield the lines of the page."""
    yield from (
        "# Recipe options",
        "",
        "Every key of a recipe, what it accepts, and what it is when it is left out. "
        "`ganlab plugins show KIND NAME` prints the same for any installed component. "
        "[Writing a recipe](../recipes.md) says how the tables work together.",
        "",
        "*a schedule*: a number that changes with the training may be written as a [table](#schedules).",
        "",
        "*required*: the key must be written. *unset*: leaving it out has a meaning of its own.",
    )
    yield from _host_table("Top of the file", Settings)
    yield from _components("[model]", "model", 'Without `name`, the model is `"dcgan"`.', Model)
    yield from _components("[dataset]", "dataset", "`name` is required: it says what to train on.", Dataset)
    yield from _components("[loss]", "loss", 'Without `name`, the loss is `"bce"`.')
    yield from _components(
        "[augmentation]",
        "augmentation",
        "What the discriminator's pictures go through in training, real and generated alike. "
        "Without this table they stay as they are.",
    )
    yield from _components(
        "[optimizer]",
        "optimizer",
        'How the networks follow their gradients. Without `name`, the optimizer is `"adam"`. `[optimizer]` is for '
        "every network; a table such as `[optimizer.discriminator]` says what is different for one, or names another "
        "for it, which begins with its own defaults.",
        Optimizer,
    )
    yield from _host_table("Schedules", Schedule[float])
    yield from _host_table("[train]", Train)
    yield from _host_table("[moving_average]", MovingAverage)
    yield from _host_table("[snapshot]", Snapshots)
    yield from _host_table("[evaluate]", Evaluations)
    yield from _components(
        "[observers]",
        "observer",
        "What watches a run. All that come with ganlab are on. `gif = false` switches one off; a table such as "
        "`[observers.gif]` sets its options. A plugin's observer is switched on by its table, or by `name = true`.",
    )
    yield from _components(
        "Metrics",
        "metric",
        "A recipe names them in `[evaluate]`, and a table `[evaluate.NAME]` sets these; so does "
        "`ganlab evaluate --metrics NAME --set NAME.KEY=VALUE`.",
    )
    yield from _components(
        "Exporters", "exporter", "Not part of a recipe: `ganlab export --to NAME --set KEY=VALUE` sets these."
    )


def _host_table(title: str, cls: type[Options]) -> Iterator[str]:
    yield from ("", f"## {title}", "", prose(cls.__doc__), "")
    yield from _rows(options_of(cls))


def _components(title: str, kind: Kind, text: str, base: type[Options] | None = None) -> Iterator[str]:
    """Yield the section of a kind: what its components share, then each with what it adds or has otherwise."""
    yield from ("", f"## {title}", "", text)
    shared = {option.name: option for option in options_of(base)} if base else {}
    if shared:
        yield from ("", f"### Every {kind}", "")
        yield from _rows(shared.values())
    names = OWN.names(kind)
    if not names:
        yield from ("", "None comes with ganlab; a plugin can bring one.")
    for name in names:
        cls = OWN.get(kind, name)
        yield from ("", f"### {kind} {name}", "", prose(cls.__doc__), "")
        own = [option for option in options_of(cls) if option != shared.get(option.name)]
        if own:
            yield from _rows(own)
        if shared:
            yield from ("", f"{'And' if own else 'It has'} the options of [every {kind}](#every-{kind}).")
        elif not own:
            yield "It has no options."


def _rows(options: Iterable[Option]) -> Iterator[str]:
    yield from ("| option | accepts | default | meaning |", "|---|---|---|---|")
    for name, accepted, default, doc in options:
        shown = f"*{default}*" if default in ("required", "unset") else f"`{default}`"
        yield f"| `{name}` | {cell(accepted)} | {cell(shown)} | {cell(doc)} |"
