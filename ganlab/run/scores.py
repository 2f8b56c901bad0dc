"""How good the generator of a run is while it trains: judged at snapshots, and the best one kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ganlab.errors import ArtefactError, GanlabError
from ganlab.events import Scores
from ganlab.generator.file import read_metadata, write_generator
from ganlab.generator.generator import Generator, load_file
from ganlab.generator.metadata import Metadata, ScoreRecord
from ganlab.judging.choice import choose_metrics, choose_network, options_of_data
from ganlab.judging.evaluation import Candidate, Report, evaluate
from ganlab.judging.networks import open_own_networks
from ganlab.judging.reals import choose_reals
from ganlab.judging.report import Origin
from ganlab.messages import did_you_mean
from ganlab.run.standing import LastScore

if TYPE_CHECKING:
    from torch import nn

    from ganlab.data.packing import Packed
    from ganlab.interfaces import Metric
    from ganlab.judging.features import Network
    from ganlab.judging.networks import OwnNetwork
    from ganlab.judging.reals import Reals
    from ganlab.judging.report import Column, Evaluation
    from ganlab.recipe.recipe import Recipe
    from ganlab.run.directory import RunDirectory
    from ganlab.training.plan import Plan
    from ganlab.training.state import State


def candidate_of(generator: Generator, name: str, averaged: bool | None, recipe: Recipe | None = None) -> Candidate:
    """Return a generator as one that is to be judged; `averaged` says whether its weights are, if that is known.

    `recipe` is its run's, where it is one's.
    """
    about = generator.metadata
    data, table = about.data, None if recipe is None else recipe.table
    model = {"name": about.model.name, **about.model.options}
    origin = Origin(model, table, about.training.images, data.dataset, data.fingerprint)
    shape = (about.images.channels, about.images.height, about.images.width)
    return Candidate(name, generator.batches, shape, averaged, about.digest, data.fingerprint, origin)


@dataclass(frozen=True)
class Judge:
    """What the generators of a run are judged by."""

    reals: Reals
    data: tuple[str, Mapping[str, Any]]
    """The data set's name and options."""
    metrics: Mapping[str, Metric]
    network: Network | None
    own_networks: Mapping[str, OwnNetwork]
    found: Evaluation
    """What it says of real pictures."""

    @property
    def reference(self) -> dict[str, float]:
        """Return the scores of real pictures."""
        return _means(self.found.reference)

    @property
    def protocol(self) -> dict[str, Any]:
        """Return what every score is computed from, as JSON has it."""
        table: dict[str, Any] = json.loads(json.dumps(asdict(self.found.protocol)))
        return table

    def of(self, candidates: list[Candidate], report: Report) -> Evaluation:
        """Judge generators. A metric that cannot be computed of these is left out."""
        from ganlab.hardware.device import usual_modes

        with usual_modes():  # a metric may switch them; what it seeds, each iteration seeds anew
            return evaluate(
                candidates,
                self.reals,
                self.data,
                self.metrics,
                self.network,
                1,
                report,
                asked=False,
                own_networks=self.own_networks,
                reference=self.found.reference,
            )


def open_judge(recipe: Recipe, packed: Packed, device: str, report: Report, note: Callable[[str], None]) -> Judge:
    """Return the judge that a recipe's `[evaluate]` asks for, after it has judged real pictures.

    So all that is wrong with it comes before the training. Raises `GanlabError` for metrics and networks that cannot be
    had, for pictures that are too few, and for a score to keep the best generator by that is none.
    """
    from ganlab.hardware.device import usual_modes

    wanted = recipe.evaluate
    assert wanted is not None
    chosen = choose_metrics(wanted.metrics, recipe.metrics)
    if wanted.metrics is None and wanted.features is None:
        chosen.metrics = {
            name: metric
            for name, metric in chosen.metrics.items()
            if name in recipe.metrics or not metric.needs_features
        }
    name = recipe.table["dataset"]["name"]
    reals, data = choose_reals(packed, wanted.count, name), (name, options_of_data(recipe))
    if (count := len(reals.first)) < wanted.count:
        note(f"the generator is judged with {count:,} pictures, not {wanted.count:,}: the data has no more")
    network, own = choose_network(wanted.features, chosen, device, report), open_own_networks(chosen, device)
    with usual_modes():
        found = evaluate((), reals, data, chosen.metrics, network, 1, report, asked=chosen.asked, own_networks=own)
    left_out = {**chosen.left_out, **found.left_out}
    for metric, why in left_out.items():
        note(f"{metric} is left out: {why}")
    if not found.better:
        raise GanlabError('[evaluate]: no metric can be computed; name some, as in metrics = ["sliced_wasserstein"]')
    if wanted.best is not None:
        _check_best(wanted.best, found)
    metrics = {name: metric for name, metric in chosen.metrics.items() if name not in found.left_out}
    return Judge(reals, data, metrics, network, own, found)


def _check_best(best: str, found: Evaluation) -> None:
    """Refuse what is no score, or one of which no number is better than another."""
    usable = [name for name, better in found.better.items() if better != "neither"]
    which = f"those that have a better and a worse are {', '.join(usable)}" if usable else "none has a better and worse"
    if best not in found.better:
        meant = did_you_mean(best, found.better)
        raise GanlabError(f'evaluate.best = "{best}": is none of the scores of evaluate.metrics{meant}; {which}')
    if found.better[best] == "neither":
        raise GanlabError(f'evaluate.best = "{best}": no number of it is better than another; {which}')


class _Best(NamedTuple):
    """The best generator so far."""

    value: float
    snapshots: int
    """How many snapshots belong to the training up to it."""


class Scoring:
    """Judges the generator of a run at its snapshots and keeps the best one. Of several ranks, the first has it."""

    def __init__(self, judge: Judge, recipe: Recipe, plan: Plan, device: str, warn: Callable[[str], None]) -> None:
        assert recipe.evaluate is not None
        self._judge, self._wanted, self._plan, self._device, self._warn = judge, recipe.evaluate, plan, device, warn
        self._averaged, self._batch_size = recipe.moving_average.enabled, recipe.train.batch_size
        self._best: _Best | None = None
        self._unlike: _Best | None = None
        """The best so far where its score was computed otherwise: it is judged anew, beside the next generator."""

    def take_up(self, directory: RunDirectory) -> None:
        """Learn which generator is the best so far of a run that goes on. Raise `ArtefactError` where it is damaged."""
        if self._wanted.best is None or not directory.best.is_file():
            return
        try:
            about = read_metadata(directory.best)
        except ArtefactError as error:
            raise ArtefactError(f"{error}. Remove it to go on; the next generator is then the best so far") from error
        iterations, drawn = about.training.iterations, about.training.images // self._batch_size
        snapshots, score = self._plan.snapshots_at(iterations, drawn), about.score
        if score is not None and (score.name, score.protocol) == (self._wanted.best, self._judge.protocol):
            self._best = _Best(score.value, snapshots)
        else:
            self._unlike = _Best(0.0, snapshots)

    def is_due(self, state: State) -> bool:
        """Tell whether the generator of the snapshot at this place is judged."""
        return self._plan.is_one_of(self._wanted.every, state)

    def patience_is_over(self, state: State) -> bool:
        """Tell whether as many evaluations as the recipe allows have passed since the best one."""
        if self._wanted.patience is None or self._best is None:
            return False
        every = self._wanted.every
        passed = self._plan.snapshots_due(state) // every - self._best.snapshots // every
        return passed >= self._wanted.patience

    def judge(self, directory: RunDirectory, state: State, report: Report) -> Scores:
        """Judge the generator that was just written. What `report` raises breaks it off."""
        candidates = [self._candidate(directory.generator, "the generator")]
        if self._unlike is not None:
            candidates.append(self._candidate(directory.best, "the best one so far"))
        found = self._judge.of(candidates, report)
        for metric, why in found.left_out.items():
            self._warn(f"{metric} cannot be computed of the generator of iteration {state.iteration:,}: {why}")
        values = _means(found.columns[0])
        if self._unlike is not None:
            self._take_anew(_means(found.columns[1]))
        place = (state.iteration, self._plan.images(state), self._plan.epoch(state))
        return Scores(*place, values, self._judge.reference, self._is_better(values))

    def keep(
        self, directory: RunDirectory, generator: nn.Module, about: Metadata, scores: Scores, state: State
    ) -> None:
        """Write the generator, of which `about` is the metadata, as the best so far."""
        name = self._wanted.best
        assert name is not None
        value = scores.values[name]
        score = ScoreRecord(name=name, value=value, better=self._better, protocol=self._judge.protocol)
        write_generator(directory.best, generator, about.model_copy(update={"score": score}))
        self._best = _Best(value, self._plan.snapshots_due(state))

    def last(self, scores: Scores) -> LastScore | None:
        """Return what a list of runs says of an evaluation: its score that decides, else its first one."""
        name = self._wanted.best or next(iter(scores.values), None)
        if name is None or (value := scores.values.get(name)) is None:
            return None
        best = None if self._wanted.best is None or self._best is None else self._best.value
        return LastScore(scores.iteration, name, value, best)

    def _candidate(self, path: Path, name: str) -> Candidate:
        return candidate_of(load_file(path, self._device), name, self._averaged)

    def _take_anew(self, values: Mapping[str, float]) -> None:
        """Take the score that the best generator of before has under the protocol of now."""
        assert self._unlike is not None
        assert self._wanted.best is not None
        if (value := values.get(self._wanted.best)) is not None:
            self._best, self._unlike = self._unlike._replace(value=value), None

    def _is_better(self, values: Mapping[str, float]) -> bool:
        name = self._wanted.best
        if name is None or (value := values.get(name)) is None:
            return False
        if self._best is None:
            return self._unlike is None
        return value < self._best.value if self._better == "lower" else value > self._best.value

    @property
    def _better(self) -> Literal["lower", "higher"]:
        assert self._wanted.best is not None
        return "lower" if self._judge.found.better[self._wanted.best] == "lower" else "higher"


def _means(column: Column) -> dict[str, float]:
    return {name: score.mean for name, score in column.scores.items()}
