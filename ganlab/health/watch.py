"""The watch over a training: what happens in it goes in, findings come out, each once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ganlab.events import Finding, Scores, Snapshot, Tick
from ganlab.health.advice import Options, advice
from ganlab.health.balance import DiscriminatorWins, FewPictures
from ganlab.health.cycles import Oscillation
from ganlab.health.diseases import DISEASES
from ganlab.health.looks import Looks
from ganlab.health.pictures import Pictures
from ganlab.health.progress import WorseScore
from ganlab.health.signs import Sign


class Data(NamedTuple):
    """The pictures that a training has."""

    size: int
    """How many."""
    reals: Pictures
    """Some of them `(N, H, W, C)`."""
    images: Pictures | None
    """All of them `(N, C, H, W)`, where they are few enough to look for copies of them."""


class Watch:
    """Looks for signs of what goes wrong in what a run tells anyway: it computes nothing of the training anew."""

    def __init__(self, options: Options, data: Data) -> None:
        self._options = options
        self._wins, self._few, self._cycles = DiscriminatorWins(), FewPictures(data.size), Oscillation()
        self._looks = Looks(data.reals, data.images)
        self._scores = WorseScore(options.recipe.get("evaluate", {}).get("best"))
        self._open: set[str] = set()

    def take_up(self, findings: Iterable[Finding]) -> None:
        """Learn what was found before: what has not ended is not told again."""
        for finding in findings:
            (self._open.discard if finding.ended else self._open.add)(finding.name)

    def tick(self, tick: Tick) -> list[Finding]:
        """Return what the statistics of a tick show."""
        iteration, stats = tick.iteration, tick.stats
        signs = {
            self._wins.name: self._wins.tick(iteration, stats),
            self._few.name: self._few.tick(iteration, tick.epoch, stats),
            self._cycles.name: self._cycles.tick(iteration, stats),
        }
        return list(self._told(signs, tick))

    def snapshot(self, snapshot: Snapshot) -> list[Finding]:
        """Return what the samples of a snapshot show."""
        return list(self._told(self._looks.snapshot(snapshot.iteration, snapshot.samples), snapshot))

    def scored(self, scores: Scores) -> list[Finding]:
        """Return what the scores of an evaluation show."""
        sign = self._scores.scored(scores.iteration, scores.values, scores.reference)
        return list(self._told({self._scores.name: sign}, scores))

    def _told(self, signs: dict[str, Sign] | dict[str, Sign | None], at: Tick | Snapshot | Scores) -> Iterator[Finding]:
        """Yield what is new: a sign of something that was not known, or that it is gone."""
        for name, sign in signs.items():
            if sign is None or sign.present == (name in self._open):
                continue
            (self._open.add if sign.present else self._open.discard)(name)
            yield finding_of(name, sign, at, self._options)


def finding_of(name: str, sign: Sign, at: Tick | Snapshot | Scores, options: Options) -> Finding:
    """Return what a sign means, with what may help."""
    ways = advice(name, options) if sign.present else ()
    threshold, ended = DISEASES[name].threshold, not sign.present
    place = (at.iteration, at.images, at.epoch)
    return Finding(name, *place, ended, sign.since, sign.evidence, threshold, sign.numbers, ways)
