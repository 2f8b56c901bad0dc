"""What two generators differ in: each score against what chance makes of it, their recipes, and what else is known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

from ganlab.errors import GanlabError
from ganlab.interfaces import Better
from ganlab.judging.chance import LEVEL, factor
from ganlab.judging.report import Column, Evaluation, Protocol, Score, column_as_json
from ganlab.messages import in_words, one_line
from ganlab.recipe.keys import Pair, differing, value_shown

FORMAT = 1
"""Of the JSON object."""

Verdict = Literal["A", "B", "differ", "none"]
"""Which is better; of a score of which no number is better, whether they differ; none where no difference is seen."""


class Side(NamedTuple):
    """One of the two generators."""

    called: str
    """What messages call it."""
    evaluation: Evaluation
    column: Column


@dataclass(frozen=True)
class Contrast:
    """One score of both."""

    better: Better
    first: Score
    second: Score

    @property
    def difference(self) -> Score:
        """Return how much more the first has, block by block: both drew the pictures of the same seeds there."""
        return Score(tuple(a - b for a, b in zip(self.first.values, self.second.values, strict=True)))

    @property
    def verdict(self) -> Verdict:
        """Tell which is better, by a t-test of the blocks' differences."""
        mean, spread = self.difference.mean, self.difference.spread
        if spread is None or not abs(mean) > factor(len(self.first.values)) * spread:
            return "none"
        if self.better == "neither":
            return "differ"
        return "A" if (mean < 0) == (self.better == "lower") else "B"


@dataclass(frozen=True)
class Differences:
    """What `compare` found."""

    protocol: Protocol
    """Of the first; that of the second says the same of all that was compared."""
    first: Column
    second: Column
    scores: Mapping[str, Contrast]
    recipe: Mapping[str, Pair]
    """Options that are not the same, by dotted key."""
    others: Mapping[str, Pair]
    """What else is not the same."""
    remarks: tuple[str, ...]
    """What could not be compared, and why."""

    @property
    def rule(self) -> str:
        """Say in a line when a difference is one."""
        blocks = self.protocol.seeds
        return (
            f"a difference is seen where it is more than {factor(blocks):.2f} times its spread over the {blocks} "
            f"blocks (paired t-test); between equal generators, one score in {round(1 / LEVEL)} shows one by chance"
        )

    def as_json(self) -> dict[str, Any]:
        """Return the object that `ganlab compare --json` writes."""
        scores = {
            name: {
                "better": score.better,
                "A": score.first.mean,
                "B": score.second.mean,
                "difference": score.difference.mean,
                "spread": score.difference.spread,
                "verdict": score.verdict,
            }
            for name, score in self.scores.items()
        }
        return {
            "format": FORMAT,
            "protocol": asdict(self.protocol),
            "rule": {
                "test": "paired t",
                "level": LEVEL,
                "blocks": self.protocol.seeds,
                "factor": factor(self.protocol.seeds),
            },
            "A": column_as_json(self.first),
            "B": column_as_json(self.second),
            "scores": scores,
            "recipe": {key: {"A": pair.first, "B": pair.second} for key, pair in self.recipe.items()},
            "others": {key: {"A": pair.first, "B": pair.second} for key, pair in self.others.items()},
            "remarks": list(self.remarks),
        }


def compare(first: Side, second: Side) -> Differences:
    """Compare two generators. Raise `GanlabError` where they were not judged in the same way, or in one block alone."""
    one, two = first.evaluation.protocol, second.evaluation.protocol
    if unlike := list(_unlike(one, two)):
        raise GanlabError(
            f"{first.called} and {second.called} were not judged in the same way, so their scores cannot be compared: "
            f"{'; '.join(unlike)}. Evaluate both with the same options"
        )
    check_blocks(one.seeds)
    a, b = first.column, second.column
    better = first.evaluation.better
    common = [name for name in better if name in a.scores and name in b.scores]
    if not common:
        raise GanlabError(
            f"{first.called} and {second.called} have no score in common: {_names(a)} and {_names(b)}; evaluate both "
            "with the same metrics"
        )
    recipe, remarks = _recipes(a, b)
    for letter, column, other in (("A", a, b), ("B", b, a)):
        if alone := [name for name in column.scores if name not in other.scores]:
            remarks.append(f"only {letter} has {in_words(alone)}")
    if a.digest is not None and a.digest == b.digest:
        remarks.append("A and B are the same generator")
    scores = {name: Contrast(better[name], a.scores[name], b.scores[name]) for name in common}
    others = {key: pair for key, pair in _others(first, second) if pair.first != pair.second}
    return Differences(one, a, b, scores, recipe, others, tuple(remarks))


def check_blocks(seeds: int) -> None:
    """Refuse to compare by a single block of pictures."""
    if seeds < 2:
        raise GanlabError(
            "one block of pictures shows no spread, so that no difference can be told from chance; evaluate both with "
            "--seeds 3 or more"
        )


def _unlike(one: Protocol, two: Protocol) -> Iterator[str]:
    """Yield how two protocols differ in what scores depend on. The version of ganlab is shown, and no obstacle."""
    if one.fingerprint != two.fingerprint:
        yield f"the real pictures are {_real(one)} and {_real(two)}"
    counts = (
        ("real pictures", one.real, two.real),
        ("generated pictures in a block", one.fake, two.fake),
        ("blocks of seeds", one.seeds, two.seeds),
    )
    for what, before, after in counts:
        if before != after:
            yield f"{before:,} and {after:,} {what}"
    if one.network is not None and two.network is not None:  # else no score in common depends on one
        if one.network_digest != two.network_digest:
            yield f"the feature networks are {_network(one)} and {_network(two)}"
        if one.resizer != two.resizer:
            yield f"the pictures were resized by {one_line(str(one.resizer))} and {one_line(str(two.resizer))}"
    for metric in (name for name in one.own_networks if name in two.own_networks):
        for key, pair in differing(one.own_networks[metric], two.own_networks[metric]).items():
            yield f"the {key} of {one_line(metric)} is {_shown(pair.first)} and {_shown(pair.second)}"
    for metric in (name for name in one.metrics if name in two.metrics):
        for option, pair in differing(one.metrics[metric], two.metrics[metric]).items():
            yield f"{one_line(f'{metric}.{option}')} is {_shown(pair.first)} and {_shown(pair.second)}"


def _recipes(a: Column, b: Column) -> tuple[dict[str, Pair], list[str]]:
    """Return what two recipes differ in, but for what only watches, and what of them is not known."""
    if a.origin is None or b.origin is None:
        letters = [letter for letter, column in (("A", a), ("B", b)) if column.origin is None]
        return {}, [f"the recipe of {in_words(letters)} is not known: its evaluation is of an older ganlab"]
    if a.origin.recipe is None or b.origin.recipe is None:
        letters = [letter for letter, column in (("A", a), ("B", b)) if column.origin and column.origin.recipe is None]
        known = f"of the recipe of {in_words(letters)} no more than the model is known: only a run has all of it"
        return differing({"model": a.origin.model}, {"model": b.origin.model}), [known]
    found = differing(a.origin.recipe, b.origin.recipe)
    return {key: pair for key, pair in found.items() if not key.startswith("observers.")}, []


def _others(first: Side, second: Side) -> Iterator[tuple[str, Pair]]:
    a, b = first.column, second.column
    if a.origin is not None and b.origin is not None:
        yield "images seen", Pair(a.origin.images, b.origin.images)
        if a.origin.fingerprint != b.origin.fingerprint:
            yield "trained on", Pair(*(f"{one.dataset} {one.fingerprint[:12]}" for one in (a.origin, b.origin)))
    yield "averaged weights", Pair(a.averaged, b.averaged)
    yield "judged by ganlab", Pair(first.evaluation.protocol.ganlab, second.evaluation.protocol.ganlab)


def _real(protocol: Protocol) -> str:
    return one_line(f"{protocol.dataset} {protocol.fingerprint[:12]}")


def _network(protocol: Protocol) -> str:
    return one_line(f"{protocol.network} (SHA-256 {str(protocol.network_digest)[:12]})")


def _shown(value: object) -> str:
    return one_line(value_shown(value))


def _names(column: Column) -> str:
    return in_words(list(column.scores)) or "none"
