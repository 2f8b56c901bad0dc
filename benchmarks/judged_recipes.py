"""The tables of docs/results.md, and the line that each recipe has about itself, from the results of scores.py."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from compared import recipe_of, sets

from ganlab.judging.report import Score

SCORES = ("kid", "mind", "fd_lite0", "precision", "recall", "density", "coverage", "ms_ssim", "copies", "nearness")
"""Those that the tables show, in their order."""
SHORT = ("kid", "recall", "coverage")
"""Those that a recipe says of itself."""
SETS = {"clothes": "Fashion-MNIST's 70,000", "digits": "10,000 digits"}
"""What is said of the pictures in a recipe."""
ACROSS = 4
"""Sheets beside each other."""
MEASURED = re.compile(r"^# Measured: .*\n(?:#   .*\n)*", re.MULTILINE)

Found = Mapping[str, Any]


class Recipe(NamedTuple):
    """The trainings of one recipe, which differ by their seeds."""

    name: str
    trainings: tuple[Found, ...]

    @property
    def first(self) -> Found:
        """Return one that stands for all in what they have in common."""
        return self.trainings[0]

    def score(self, name: str) -> Score | None:
        """Return the means of all trainings; of a single one those of its blocks of pictures."""
        found = [row["scores"]["generators"][0]["scores"].get(name) for row in self.trainings]
        if None in found:
            return None
        return Score(tuple(score["mean"] for score in found) if len(found) > 1 else tuple(found[0]["values"]))


def by_recipe(rows: Sequence[Found]) -> list[Recipe]:
    """Return the recipes that were trained."""
    found: dict[str, list[Found]] = {}
    for row in sorted(rows, key=lambda row: int(row["seed"])):
        found.setdefault(recipe_of(row["name"], row["seed"]), []).append(row)
    return [Recipe(name, tuple(trainings)) for name, trainings in found.items()]


def section(rows: Sequence[Found], name: str) -> Iterator[str]:
    """Yield the lines about one set of pictures."""
    recipes = by_recipe([row for row in rows if row["set"] == name])
    if not recipes:
        yield "Not measured yet: run `python benchmarks/scores.py`."
        return
    for side in sorted({_side(recipe) for recipe in recipes}, reverse=True):
        yield from _scores([recipe for recipe in recipes if _side(recipe) == side], side)
    yield from _missing(recipes, name)
    yield from _times(recipes)
    yield from _sheets([recipe.name for recipe in recipes])
    yield from ("", "### Commands", "", "```text", *(recipe.first["command"] for recipe in recipes), "```")


def with_measured(text: str, recipe: Recipe) -> str:
    """Return a recipe whose header says what was measured of it."""
    row = recipe.first
    said = ", ".join(f"{name} {_text(recipe.score(name), '+-')}" for name in SHORT)
    count = len(recipe.trainings)
    line = (
        f"# Measured: {row['images']:,} pictures, {_share(row)} of its length, of {SETS[row['set']]}, in {count} "
        f"training{'s' if count > 1 else ''}:\n#   {said}: docs/results.md.\n"
    )
    head, blank, rest = MEASURED.sub("", text).partition("\n\n")
    return f"{head}\n{line}\n{rest}" if blank else text


def _side(recipe: Recipe) -> int:
    return int(recipe.first["scores"]["protocol"]["pictures"][1])


def _scores(recipes: Sequence[Recipe], side: int) -> Iterator[str]:
    """Yield the scores at one resolution, the best KID first, real pictures last."""
    judged = recipes[0].first["scores"]
    better = judged["better"]
    names = [name for name in SCORES if name in better]
    arrows = {"lower": " ↓", "higher": " ↑", "neither": ""}
    lines = [
        (f"`{recipe.name}`", *(_text(recipe.score(name)) for name in names)) for recipe in sorted(recipes, key=_kid)
    ]
    real = judged["reference"]["scores"]
    lines.append(("*real against real*", *(f"{real[name]['mean']:.4g}" for name in names)))
    head = ("recipe", *(name + arrows[better[name]] for name in names))
    yield from _table(f"At {side} px", head, lines)


def _times(recipes: Sequence[Recipe]) -> Iterator[str]:
    """Yield how many trainings there are, and what the first took: others may have been trained elsewhere."""
    lines = [
        (
            f"`{recipe.name}`",
            len(recipe.trainings),
            f"{recipe.first['images']:,}",
            _share(recipe.first),
            recipe.first["processor"],
            f"{recipe.first['seconds']:,.0f}",
            f"{recipe.first['cpu_seconds']:,.0f}",
            recipe.first["date"].partition(" ")[0],
        )
        for recipe in sorted(recipes, key=lambda recipe: float(recipe.first["seconds"]))
    ]
    head = ("recipe", "trainings", "pictures seen", "of its length", "first one on", "s", "CPU s", "date")
    yield from _table("What it took", head, lines)


def _missing(recipes: Sequence[Recipe], name: str) -> Iterator[str]:
    """Yield which recipes were not trained at all, where there are any."""
    (one,) = [one for one in sets(Path()) if one.name == name]
    there = {recipe.name for recipe in recipes}
    names = dict.fromkeys(recipe_of(row.name, row.seed) for row in one.rows)
    if missing := [f"`{name}`" for name in names if name not in there]:
        yield from ("", f"Not trained yet, for want of time: {', '.join(missing)}.")


def _sheets(names: Sequence[str]) -> Iterator[str]:
    yield from ("", "### Pictures", "", f"|{' |' * ACROSS}", f"|{'---|' * ACROSS}")
    for start in range(0, len(names), ACROSS):
        some = names[start : start + ACROSS]
        filler = [""] * (ACROSS - len(some))
        sheets = [f"![64 pictures of {name}](images/results/{name}.png)" for name in some]
        yield f"| {' | '.join([*sheets, *filler])} |"
        yield f"| {' | '.join([*(f'`{name}`' for name in some), *filler])} |"


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    yield from ("", f"### {title}", "", f"| {' | '.join(head)} |", f"|{'---|' * len(head)}")
    yield from (f"| {' | '.join(map(str, row))} |" for row in rows)


def _kid(recipe: Recipe) -> float:
    score = recipe.score("kid")
    return math.inf if score is None else score.mean


def _share(row: Found) -> str:
    share = row["images"] / row["full"]
    return f"{share:.0%}" if share >= 0.1 else f"{100 * share:.2g}%"


def _text(score: Score | None, sign: str = "±") -> str:
    """Return a mean with its spread, and as many digits as two of that are."""
    if score is None:
        return "-"
    if not score.spread:
        return f"{score.mean:.4g}"
    digits = max(0, 1 - math.floor(math.log10(score.spread)))
    return f"{score.mean:.{digits}f} {sign} {score.spread:.{digits}f}"
