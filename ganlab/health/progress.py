"""Whether a training still gains anything, as its scores tell."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median

from ganlab.health.signs import Sign

EVALUATIONS = 5
"""After how many evaluations without a better score it is looked at how much worse they are."""
LAST = 3
"""Of so many evaluations the median is taken: one may be worse by chance."""
WORSE = 0.25
"""By which part of what the best one still lacks of real pictures' score it may be worse."""


class WorseScore:
    """Looks for scores that have gone away from those of real pictures again, for several evaluations."""

    name = "worse_score"

    def __init__(self, best: str | None) -> None:
        """`best` is the score that decides; without it, half of all scores must be worse."""
        self._best = best
        self._lacking: dict[str, list[tuple[int, float]]] = {}

    def scored(self, iteration: int, values: Mapping[str, float], reference: Mapping[str, float]) -> Sign | None:
        """Look at the scores of an evaluation, beside those of real pictures: nearer to them is better."""
        for name, value in values.items():
            if name in reference:
                self._lacking.setdefault(name, []).append((iteration, abs(value - reference[name])))
        names = [self._best] if self._best is not None else list(self._lacking)
        known = {name: self._lacking[name] for name in names if len(self._lacking.get(name, ())) > EVALUATIONS}
        if not known:
            return None
        worse = {name: found for name, points in known.items() if (found := _worse(points)) is not None}
        if 2 * len(worse) < len(known) or not worse:
            best = max(min(points, key=lambda point: point[1])[0] for points in known.values())
            return Sign(
                False, iteration, f"the scores of iteration {iteration:,} are near the best so far", {"at": best}
            )
        since = min(at for at, _, _ in worse.values())
        shares = ", ".join(f"{name} {best:.3g} then and {now:.3g} now" for name, (_, best, now) in worse.items())
        words = f"scores have been worse since iteration {since:,}, as distances from real pictures': {shares}"
        return Sign(True, since, words, {name: now for name, (_, _, now) in worse.items()})


def _worse(points: list[tuple[int, float]]) -> tuple[int, float, float] | None:
    """Return where the best score was, it and the last ones, where these are worse by far; else None."""
    place = min(reversed(range(len(points))), key=lambda at: points[at][1])
    if len(points) - 1 - place < EVALUATIONS:
        return None
    at, best = points[place]
    now = median(lacking for _, lacking in points[-LAST:])
    since = [lacking for _, lacking in points[place + 1 :]]
    # Not one of them came near the best one again: a score that jumps about says nothing.
    return (at, best, now) if now > (1.0 + WORSE) * best and min(since) > best else None
