"""How the numbers of a run are put into words: in ASCII, so that every terminal, locale and font can show them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from ganlab import printable

if TYPE_CHECKING:
    from ganlab import Finding, RunInfo, Scores, Tick

SHOWN_IN = {"report": "report.html", "samples": "samples/", "plot": "losses.png"}
"""Where standard observers show how a run goes."""
CLASSES_SHOWN = 20
"""How many classes a log names."""


def duration(seconds: float) -> str:
    """Name a span of time in its one or two largest units, such as `45 s`, `2 min 5 s` or `3 h 20 min`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 3600:
        return f"{whole // 60} min"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def number(value: float) -> str:
    """Write a statistic in a width that hardly changes from tick to tick."""
    size = abs(value)
    if not math.isfinite(value):
        return str(value)
    if 0 < size < 0.001:
        return f"{value:.1e}"
    if size < 1000:
        return f"{value:.3f}"
    return f"{value:,.0f}" if size < 1e6 else f"{value:.2e}"


def rate(images_per_second: float) -> str:
    """Write a speed: decimals matter only where it is slow."""
    return f"{images_per_second:,.{1 if images_per_second < 10 else 0}f} images/s"


def position(run: RunInfo, tick: Tick) -> str:
    """Say how far the training is: of so many epochs where the recipe counts them, else in per cent."""
    train = run.recipe.get("train")
    epochs = train.get("epochs") if isinstance(train, Mapping) else None
    if isinstance(epochs, int | float):
        return f"epoch {tick.epoch:.2f}/{epochs:g}"
    return f"epoch {tick.epoch:.2f} ({tick.progress:.0%})"


def counters(run: RunInfo, tick: Tick) -> list[str]:
    """Return position, iteration and speed, each a short text."""
    of = "" if tick.iterations is None else f"/{tick.iterations:,}"
    fields = [position(run, tick), f"iteration {tick.iteration:,}{of}"]
    return [*fields, rate(tick.images_per_second)] if math.isfinite(tick.images_per_second) else fields


def resources(tick: Tick, now: datetime) -> list[str]:
    """Return how long it has trained, when it will end, the memory that is held, and when the next snapshot comes."""
    fields = [f"{duration(tick.seconds)} so far", end_time(tick, now)]
    if tick.memory_bytes is not None:
        fields.append(f"{tick.memory_bytes / 1e9:.1f} GB")
    if tick.next_snapshot is not None:
        fields.append(f"next snapshot at {tick.next_snapshot:,}")
    return list(filter(None, fields))


def end_time(tick: Tick, now: datetime) -> str:
    """Say when the training will end, by the clock; nothing where that cannot be told, or at the end."""
    if not time_left(tick):
        return ""
    try:
        end = now + timedelta(seconds=tick.seconds_left)
    except OverflowError:  # after the year 9999
        return ""
    return f"ends {end:%H:%M}" if end.date() == now.date() else f"ends {end:%Y-%m-%d %H:%M}"


def time_left(tick: Tick) -> str:
    """Say how long the training will still take; nothing where that is not known yet, or at the end."""
    known = math.isfinite(tick.seconds_left) and tick.progress < 1
    return f"{duration(tick.seconds_left)} left" if known else ""


def statistics(tick: Tick) -> dict[str, str]:
    """Return each mean with its name, by that name, the losses first."""
    names = sorted(tick.stats, key=lambda name: not name.startswith("loss_"))  # else in the loss's own order
    return {name: f"{name} {number(tick.stats[name])}" for name in names}


def tick_line(run: RunInfo, tick: Tick) -> str:
    """Write a tick as one line for people."""
    return printable(
        "  ".join(field for field in [*counters(run, tick), time_left(tick), *statistics(tick).values()] if field)
    )


def phase_line(name: str, done: int, total: int, seconds: float) -> str:
    """Write the state of a piece of work as one line, with its time where it has ended."""
    name = printable(name)
    if not total:
        return f"{name}: {done:,}"
    if done < total:
        return f"{name}: {done:,} of {total:,} ({done / total:.0%})"
    return f"{name}: {total:,} in {duration(seconds)}"


def scores_line(scores: Scores) -> str:
    """Write the scores of a snapshot's generator as one line."""
    found = ", ".join(f"{name} {number(value)}" for name, value in scores.values.items()) or "none could be computed"
    return printable(f"scores of iteration {scores.iteration:,}: {found}{'; the best so far' if scores.best else ''}")


def score_fields(scores: Scores) -> list[str]:
    """Return the last scores, each a short text, for a display that is redrawn."""
    found = [f"{name} {number(value)}" for name, value in scores.values.items()]
    return [f"scored at {scores.iteration:,}:", *found, *(["the best so far"] if scores.best else [])]


def run_lines(run: RunInfo) -> list[str]:
    """Introduce a run: where it lies, what it trains on which pictures, and from where it continues."""
    images = run.images
    lines = [
        f"{run.name} in {run.directory}",
        f"{run.dataset_size:,} pictures of {images.height}x{images.width}x{images.channels}; "
        f"{run.device}, {run.precision}",
        "parameters: " + ", ".join(f"{name} {count:,}" for name, count in run.parameters.items()),
    ]
    if run.class_names:
        lines.insert(2, f"{len(run.class_names):,} classes: {few(run.class_names)}")
    lines += [f"continues after iteration {run.first_iteration:,}"] if run.first_iteration else []
    lines += [f"to look at meanwhile: {places}"] if (places := ", ".join(_shown_in(run))) else []
    return list(map(printable, lines))


def _shown_in(run: RunInfo) -> Iterator[str]:
    """Yield what the observers of the recipe draw while it trains, the most telling first."""
    observers = run.recipe.get("observers")
    table = observers if isinstance(observers, Mapping) else {}
    return (str(run.directory / place) for name, place in SHOWN_IN.items() if table.get(name, False) is not False)


def few(names: Sequence[str]) -> str:
    """List names, and count those that are too many for a line."""
    rest = len(names) - CLASSES_SHOWN
    return ", ".join(names[:CLASSES_SHOWN]) + (f" and {rest:,} more" if rest > 0 else "")


def note_line(text: str, level: str) -> str:
    """Write a note for people; only a warning needs saying that it is one."""
    return f"warning: {text}" if level == "warning" else text


def finding_line(finding: Finding) -> str:
    """Write a finding as one line; only what is wrong needs saying that it is a warning."""
    return printable(note_line(finding.sentence, "info" if finding.ended else "warning"))


def finding_values(finding: Finding) -> dict[str, Any]:
    """Return a finding as JSON has it."""
    numbers = {name: finite(value) for name, value in finding.numbers.items()}
    return finding._asdict() | {"numbers": numbers, "advice": [one._asdict() for one in finding.advice]}


def harmless(text: str) -> str:
    """Escape what could move the cursor or colour the terminal: names of files come from anywhere."""
    return printable(text, keep="\n\t")


def finite(value: object) -> object:
    """Return `value`, or None for what JSON cannot write: infinities and nan."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
