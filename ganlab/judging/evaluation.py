"""Generators against real pictures: draw, compare, and keep what each score was computed from."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np

from ganlab.data.inputs import SEEDS
from ganlab.data.pictures import Pictures
from ganlab.errors import GanlabError, PluginError
from ganlab.interfaces import Better, Comparison, Metric, Moments, better_of, locations
from ganlab.judging.features import Array, Network
from ganlab.judging.moments import moments_of
from ganlab.judging.networks import OwnNetwork, described
from ganlab.judging.reals import Reals, features_of_reals
from ganlab.judging.report import REFERENCE, Column, Evaluation, Origin, Protocol, Score
from ganlab.messages import one_line, shown
from ganlab.registry.entry_points import Provider, strict
from ganlab.registry.loading import blaming
from ganlab.registry.lookup import registry

Rows = np.ndarray[Any, np.dtype[np.float64]]
Report = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is, 0 where that is not known."""


class Candidate(NamedTuple):
    """A generator to be judged."""

    name: str
    """What the report calls it."""
    draw: Callable[[range], Iterable[Pictures]]
    """Returns the pictures of seeds, a batch at a time."""
    pictures: tuple[int, int, int]
    """Channels, height, width."""
    averaged: bool | None
    """Whether its weights are a moving average over training; None where nothing says."""
    digest: str
    """Of its file."""
    fingerprint: str
    """Of the pictures that it was trained on."""
    origin: Origin | None = None
    """Where it comes from."""


def check_fits(candidate: Candidate, pictures: tuple[int, int, int]) -> None:
    """Raise `GanlabError` where a generator draws pictures of another shape than the real ones have."""
    if candidate.pictures != pictures:
        raise GanlabError(
            f"{candidate.name} draws pictures of {_size(candidate.pictures)}, and the data has {_size(pictures)}: name "
            "data of its shape, --data RECIPE"
        )


def evaluate(
    candidates: Sequence[Candidate],
    reals: Reals,
    dataset: tuple[str, Mapping[str, Any]],
    metrics: Mapping[str, Metric],
    network: Network | None,
    seeds: int,
    report: Report,
    *,
    asked: bool,
    own_networks: Mapping[str, OwnNetwork] | None = None,
    reference: Column | None = None,
) -> Evaluation:
    """Judge generators by metrics, each with `seeds` blocks of as many pictures as there are real ones.

    `dataset` is the name and the options of the data. A metric that refuses or fails raises `GanlabError` where the
    user has `asked` for it, else it is left out with its reason. `own_networks` are those that metrics bring along.
    `reference` are the scores of the real pictures, where they are known from before.
    """
    count, height, width, channels = reals.first.shape
    if seeds * count > SEEDS:
        raise GanlabError(f"{seeds:,} blocks of {count:,} pictures need more seeds than there are, {SEEDS:,}")
    for candidate in candidates:
        check_fits(candidate, (channels, height, width))
    own_networks = own_networks or {}
    judge = _Judge(reals, metrics, network, own_networks, report, asked)
    reference = reference or Column(REFERENCE, judge.of_reals())
    columns = tuple(
        Column(
            candidate.name,
            judge.of_generator(candidate, seeds),
            candidate.averaged,
            candidate.digest,
            candidate.fingerprint == reals.fingerprint,
            candidate.origin,
        )
        for candidate in candidates
    )
    protocol = Protocol(
        dataset=dataset[0],
        options=dataset[1],
        fingerprint=reals.fingerprint,
        pictures=(channels, height, width),
        real=count,
        fake=count,
        seeds=seeds,
        network=network and network.name,
        network_digest=network and network.digest,
        resizer=network and network.resizer(height, width),
        metrics={
            name: metric.model_dump(mode="json", exclude=set(locations(metric)))
            for name, metric in judge.metrics.items()
        },
        ganlab=version("ganlab"),
        own_networks=described(
            {name: own for name, own in own_networks.items() if name in judge.metrics}, height, width
        ),
    )
    return Evaluation(protocol, judge.better, reference, columns, judge.left_out)


class _Judge:
    """Computes the metrics of pictures, and keeps what it has learnt of each metric."""

    def __init__(
        self,
        reals: Reals,
        metrics: Mapping[str, Metric],
        network: Network | None,
        own_networks: Mapping[str, OwnNetwork],
        report: Report,
        asked: bool,
    ) -> None:
        self._reals, self._network, self._own, self._report, self._asked = reals, network, own_networks, report, asked
        self.metrics = dict(metrics)
        """Those that have not refused so far."""
        self.better: dict[str, Better] = {}
        """Which numbers are the better ones, by what the scores are called."""
        self.left_out: dict[str, str] = {}
        self._owners: dict[str, str] = {}
        self._features_of_reals = cache(self._compute_features_of_reals)
        self._refuse_too_few(len(reals.first))

    def of_reals(self) -> dict[str, Score]:
        """Return the scores of the second sample of real pictures."""
        numbers = self._numbers(REFERENCE, 0, self._reals.second, lambda network: self._features_of_reals(network)[1])
        return {key: Score((value,)) for key, value in numbers.items()}

    def of_generator(self, candidate: Candidate, blocks: int) -> dict[str, Score]:
        """Return the scores of a generator, over all its blocks of seeds."""
        found: dict[str, list[float]] = {}
        for block in range(blocks):
            fake = self._drawn(candidate, block)
            features = cache(partial(self._features, f"the pictures of {candidate.name}", fake))
            for key, value in self._numbers(candidate.name, block, fake, features).items():
                found.setdefault(key, []).append(value)
        # A metric that has refused one of the blocks has no score.
        return {key: Score(tuple(values)) for key, values in found.items() if len(values) == blocks}

    def _drawn(self, candidate: Candidate, block: int) -> Pictures:
        """Return the pictures of a block of seeds."""
        count, work = len(self._reals.first), f"drawing pictures of {candidate.name}"
        pictures, done = np.empty_like(self._reals.first), 0
        self._report(work, 0, count)
        for batch in candidate.draw(range(block * count, (block + 1) * count)):
            pictures[done : done + len(batch)] = batch
            done += len(batch)
            self._report(work, done, count)
        pictures.flags.writeable = False
        return pictures

    def _refuse_too_few(self, count: int) -> None:
        """Leave out the metrics that take more pictures. Raise `GanlabError` where the user has asked for one."""
        for name, metric in list(self.metrics.items()):
            if count < metric.least_pictures:
                why = (
                    f"{count:,} pictures are too few: it takes at least {metric.least_pictures:,} generated ones, and "
                )
                why += "as many real ones twice"
                if self._asked:
                    raise GanlabError(f"{name}: {why}; ask for more, --count or evaluate.count, or leave it out")
                del self.metrics[name]
                self.left_out[name] = why

    def _compute_features_of_reals(self, network: Network) -> tuple[_Features, _Features]:
        total = 2 * len(self._reals.first)
        work = f"features of {total:,} real pictures in {network.name}"
        self._report(work, 0, total)
        first, second = features_of_reals(self._reals, network, lambda done: self._report(work, done, total))
        return _Features(first), _Features(second)

    def _features(self, what: str, pictures: Pictures, network: Network) -> _Features:
        work, total = f"features of {what} in {network.name}", len(pictures)
        self._report(work, 0, total)
        return _Features(network.features(pictures, lambda done: self._report(work, done, total)))

    def _comparison(
        self, name: str, block: int, fake: Pictures, features: Callable[[Network], _Features]
    ) -> Comparison:
        """Return what a metric compares: with its own network, or else with that of all others."""
        own = self._own.get(name)
        network, columns = own or (self._network, slice(None))

        def both() -> tuple[_Features, _Features]:
            if network is None:
                raise ValueError("no network makes features; name one")
            return self._features_of_reals(network)[0], features(network)

        def rows() -> tuple[Rows, Rows]:
            real, made = both()
            return real.exact(columns), made.exact(columns)

        def moments() -> tuple[Moments, Moments]:
            real, made = both()
            return real.moments(columns), made.moments(columns)

        return Comparison(self._reals.first, fake, block, network.name if network else "", rows, moments)

    def _numbers(
        self, name: str, block: int, fake: Pictures, features: Callable[[Network], _Features]
    ) -> dict[str, float]:
        """Return what all metrics say of some pictures."""
        numbers: dict[str, float] = {}
        work, total = f"comparing {name}, block {block + 1}", len(self.metrics)
        for done, (metric_name, metric) in enumerate(list(self.metrics.items())):
            self._report(work, done, total)
            try:
                comparison = self._comparison(metric_name, block, fake, features)
                numbers |= self._computed(metric_name, metric, comparison)
            except (ValueError, PluginError) as error:
                refusal = error if isinstance(error, PluginError) else GanlabError(f"{metric_name}: {error}")
                if self._asked or (isinstance(error, PluginError) and strict()):
                    raise refusal from error
                del self.metrics[metric_name]
                self.left_out[metric_name] = one_line(str(error), 300)
        self._report(work, total, total)
        return numbers

    def _computed(self, name: str, metric: Metric, comparison: Comparison) -> dict[str, float]:
        """Return the numbers of a metric, and believe none that is not one. Raise `ValueError` where it refuses."""
        provider = registry.provider("metric", name)
        made: object = None
        refusal: ValueError | None = None
        with blaming(provider, "cannot compare pictures"):
            try:
                made = metric.compute(comparison)
            except ValueError as error:
                refusal = error
        if refusal is not None:
            raise refusal
        if not isinstance(made, Mapping) or not made:
            raise PluginError(f"{provider.title} returns {shown(made)}: it must return numbers by name")
        return {self._checked(name, provider, metric, key): _finite(provider, key, made[key]) for key in made}

    def _checked(self, name: str, provider: Provider, metric: Metric, key: object) -> str:
        """Return what a number is called."""
        if not isinstance(key, str) or not re.fullmatch(r"[a-z0-9_]{1,64}", key):
            raise PluginError(f"{provider.title} returns a number called {shown(key)}: a name is of a-z, 0-9 and _")
        better = better_of(metric, key)
        if better is None:
            raise PluginError(f"{provider.title} returns {key}, and `better` does not say which numbers of it are")
        if (owner := self._owners.setdefault(key, name)) != name:
            raise PluginError(f"{provider.title} returns {key}, and so does the metric {owner}: leave out one of them")
        self.better[key] = better
        return key


def _finite(provider: Provider, key: object, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, float | int | np.floating | np.integer):
        raise PluginError(f"{provider.title} returns {key} = {shown(value)}, which is no number")
    if not math.isfinite(value):
        raise PluginError(f"{provider.title} returns {key} = {value}, which is not finite")
    return float(value)


class _Features:
    """Features of some pictures as a network made them, float32, and what metrics are given of them."""

    def __init__(self, rows: Array) -> None:
        self._rows = rows
        self._exact: Rows | None = None
        self._moments: dict[str, Moments] = {}

    def exact(self, columns: slice) -> Rows:
        """Return columns in float64, the same array for all metrics, which nobody can write into."""
        if self._exact is None:
            self._exact = self._rows.astype(np.float64)
            self._exact.flags.writeable = False
        return self._exact if columns == slice(None) else self._exact[:, columns]

    def moments(self, columns: slice) -> Moments:
        """Return the moments of columns."""
        if (key := str(columns)) not in self._moments:  # before Python 3.12 a slice is no key
            found = moments_of(self._rows[:, columns])
            found.mean.flags.writeable = found.covariance.flags.writeable = False
            self._moments[key] = found
        return self._moments[key]


def _size(images: Sequence[int]) -> str:
    return " x ".join(map(str, images))
