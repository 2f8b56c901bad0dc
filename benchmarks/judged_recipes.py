"""The tables of docs/results.md, and the line that each recipe has about itself, from the results of scores.py."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from compared import sets

SCORES = ("kid", "mind", "fd_lite0", "precision", "recall", "density", "coverage", "ms_ssim", "copies", "nearness")
"""Those that the tables show, in their order."""
SHORT = ("kid", "recall", "coverage")
"""Those that a recipe says of itself."""
SETS = {"clothes": "Fashion-MNIST's 70,000", "costly": "Fashion-MNIST's 70,000", "digits": "10,000 digits"}
"""What is said of the pictures in a recipe."""
ACROSS = 4
"""Sheets beside each other."""
MEASURED = re.compile(r"^# Measured: .*\n(?:#   .*\n)*", re.MULTILINE)

Found = Mapping[str, Any]


def section(rows: Sequence[Found], name: str) -> Iterator[str]:
    """Yield the lines about one set of pictures."""
    here = [row for row in rows if row["set"] == name]
    if not here:
        yield "Not measured yet: run `python benchmarks/scores.py`."
        return
    first = [row for row in here if not row["seed"]]
    for side in sorted({_side(row) for row in first}, reverse=True):
        yield from _scores([row for row in first if _side(row) == side], side)
    yield from _missing(here, name)
    yield from _times(first)
    yield from _trainings(here)
    yield from _sheets(first)
    yield from ("", "### Commands", "", "```text", *(row["command"] for row in first), "```")


def with_measured(text: str, row: Found) -> str:
    """Return a recipe whose header says what was measured of it."""
    scores = row["scores"]["generators"][0]["scores"]
    said = ", ".join(f"{name} {_score(scores[name], '+-')}" for name in SHORT)
    line = (
        f"# Measured: {row['images']:,} pictures, {_share(row)} of its length, of {SETS[row['set']]} took "
        f"{row['cpu_seconds']:,.0f} s of one CPU core.\n#   {said}: docs/results.md.\n"
    )
    head, blank, rest = MEASURED.sub("", text).partition("\n\n")
    return f"{head}\n{line}\n{rest}" if blank else text


def _side(row: Found) -> int:
    return int(row["scores"]["protocol"]["pictures"][1])


def _scores(rows: Sequence[Found], side: int) -> Iterator[str]:
    """Yield the scores at one resolution, the best KID first, real pictures last."""
    names = [name for name in SCORES if name in rows[0]["scores"]["better"]]
    better = rows[0]["scores"]["better"]
    arrows = {"lower": " ↓", "higher": " ↑", "neither": ""}
    lines = [
        (f"`{row['name']}`", *(_score(row["scores"]["generators"][0]["scores"].get(name)) for name in names))
        for row in sorted(rows, key=_kid)
    ]
    real = rows[0]["scores"]["reference"]["scores"]
    lines.append(("*real against real*", *(_score(real.get(name)) for name in names)))
    yield from _table(f"At {side} px", ("recipe", *(name + arrows[better[name]] for name in names)), lines)


def _times(rows: Sequence[Found]) -> Iterator[str]:
    lines = [
        (
            f"`{row['name']}`",
            f"{row['images']:,}",
            _share(row),
            f"{row['cpu_seconds']:,.0f}",
            f"{row['seconds']:,.0f}",
            f"{row['cpu_seconds'] / row['images'] * row['full'] / 60:,.0f}",
            row["date"],
        )
        for row in sorted(rows, key=lambda row: float(row["cpu_seconds"]))
    ]
    head = ("recipe", "pictures seen", "of its length", "CPU s", "s", "CPU minutes for all of it, at that rate", "date")
    yield from _table("What it took", head, lines)


def _missing(rows: Sequence[Found], name: str) -> Iterator[str]:
    """Yield which recipes were not trained, where there are any."""
    (one,) = [one for one in sets(Path()) if one.name == name]
    there = {row["name"] for row in rows}
    missing = [f"`{row.name}`" for row in one.rows if not row.seed and row.name not in there]
    if missing:
        yield from ("", f"Not trained yet, for want of time: {', '.join(missing)}.")


def _trainings(rows: Sequence[Found]) -> Iterator[str]:
    """Yield how far trainings of one recipe with other seeds lie apart, where there are several."""
    lines = []
    for recipe in dict.fromkeys(row["recipe"] for row in rows if row["seed"]):
        for row in sorted((row for row in rows if row["recipe"] == recipe), key=lambda row: int(row["seed"])):
            scores = row["scores"]["generators"][0]["scores"]
            lines.append((f"`{recipe}`", row["seed"], *(_score(scores[name]) for name in ("kid", *SHORT[1:]))))
    if lines:
        yield from _table("Several trainings", ("recipe", "seed", "kid", *SHORT[1:]), lines)


def _sheets(rows: Sequence[Found]) -> Iterator[str]:
    yield from ("", "### Pictures", "", f"|{' |' * ACROSS}", f"|{'---|' * ACROSS}")
    for start in range(0, len(rows), ACROSS):
        some = rows[start : start + ACROSS]
        filler = [""] * (ACROSS - len(some))
        names = [f"`{row['name']}`" for row in some]
        sheets = [f"![64 pictures of {row['name']}](images/results/{row['name']}.png)" for row in some]
        yield f"| {' | '.join([*sheets, *filler])} |"
        yield f"| {' | '.join([*names, *filler])} |"


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    yield from ("", f"### {title}", "", f"| {' | '.join(head)} |", f"|{'---|' * len(head)}")
    yield from (f"| {' | '.join(map(str, row))} |" for row in rows)


def _kid(row: Found) -> float:
    return float(row["scores"]["generators"][0]["scores"].get("kid", {"mean": math.inf})["mean"])


def _share(row: Found) -> str:
    share = row["images"] / row["full"]
    return f"{share:.0%}" if share >= 0.1 else f"{100 * share:.2g}%"


def _score(score: Found | None, sign: str = "±") -> str:
    """Return a mean with its spread, and as many digits as two of that are."""
    if score is None:
        return "-"
    if not score["spread"]:
        return f"{score['mean']:.4g}"
    digits = max(0, 1 - math.floor(math.log10(score["spread"])))
    return f"{score['mean']:.{digits}f} {sign} {score['spread']:.{digits}f}"
