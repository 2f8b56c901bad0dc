"""The sections of a page about one run, but for its charts and pictures."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

from ganlab.events import Finding
from ganlab.showing.account import Account, Judged
from ganlab.showing.charts import number
from ganlab.showing.markup import Content, Markup, details, joined, table, tag
from ganlab.showing.thinning import evenly

EVALUATIONS = 25
"""So many are in the table; the charts have all."""
COPIES, NEARNESS = "copies", "nearness"
"""What the metric `neighbours` says."""


def section(name: str, title: str, *contents: Content) -> Markup:
    """Return a section, which its `name` leads to."""
    heading = tag("h2", {"id": f"{name}-title"}, title)
    return tag("section", {"id": name, "aria-labelledby": f"{name}-title"}, heading, *contents)


def heading(run: Account) -> Markup:
    """Return what says at a glance how a run stands, and what of it cannot be shown."""
    words = []
    if run.images is not None:
        words.append(f"{run.images:,} images seen")
    if run.begun:
        words.append(f"begun {moment(run.begun)}")
    state = tag("strong", {"class": f"state {run.state.replace(' ', '-')}"}, run.state)
    of = f" of {run.shipped}" if run.shipped else ""
    return joined(
        [
            tag("p", {}, state, *(f" · {word}" for word in words)),
            tag("p", {}, f"Changed in the recipe{of}: ", _code(", ".join(run.changes))) if run.changes else None,
            tag("p", {"class": "note"}, run.note) if run.note else None,
            tag("ul", {"class": "lacking"}, *(tag("li", {}, one) for one in run.lacking)) if run.lacking else None,
        ]
    )


def scores(run: Account) -> Markup:
    """Return what was found of the run's generators, and what the numbers were computed from."""
    if not run.judged:
        before = "Nothing was judged while it trained: its recipe has no "
        between = ", or it has not come that far. "
        return tag("p", {}, before, _code("[evaluate]"), between, _code("ganlab evaluate"), " judges it now.")
    names = list(dict.fromkeys(name for one in run.judged for name in one.values))
    chosen = evenly(run.judged, EVALUATIONS)
    chosen += [one for one in run.judged if one.best and one not in chosen][-1:]
    rows = [list(_evaluation(one, names)) for one in sorted(chosen, key=lambda one: -one.iteration)]
    left = len(run.judged) - len(chosen)
    caption = f"By snapshot, the newest first{f'; {left:,} of {len(run.judged):,} are left out' if left else ''}"
    computed = [tag("h3", {}, "What they were computed from"), _facts(run.protocol)] if run.protocol else []
    head = ["Iteration", "Epoch", *names, "Best so far"]
    return joined([table(head, rows, caption), _neighbours(run.judged[-1]), *computed])


def health(findings: Sequence[Finding]) -> Markup:
    """Return what the watch over the training has found."""
    if not findings:
        return tag("p", {}, "Nothing was found to be wrong.")
    return tag("ul", {"class": "findings"}, *map(_finding, findings))


def about(run: Account) -> Markup:
    """Return on what and with what the run was trained, its recipe, and what it said last."""
    folded = {
        "The recipe, with every default": run.recipe_text,
        "The last lines of the log": run.log,
        "What an error has left": run.error,
    }
    return joined(
        [
            _facts(run.facts),
            *(details(title, tag("pre", {"tabindex": 0}, text)) for title, text in folded.items() if text),
        ]
    )


def moment(seconds: float) -> str:
    """Return a time by the clock here, to the minute."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def _code(text: str) -> Markup:
    return tag("code", {}, text)


def _finding(finding: Finding) -> Markup:
    place = f"At iteration {finding.iteration:,}, "
    return tag("li", {"class": "note" if finding.ended else "warning"}, place, tag("strong", {}, finding.sentence))


def _evaluation(one: Judged, names: Sequence[str]) -> Iterator[str]:
    yield f"{one.iteration:,}"
    yield f"{one.epoch:.4g}"
    for name in names:
        yield number(one.values[name]) if name in one.values else "–"
    yield "yes, kept" if one.best else ""


def _neighbours(last: Judged) -> Markup | None:
    """Say how near the last generator's pictures are to real ones, where that was looked at."""
    words = []
    if (copies := last.values.get(COPIES)) is not None:
        words.append(f"{copies:.2%} of the generated pictures are suspiciously near to a real one.")
    if (nearness := last.values.get(NEARNESS)) is not None:
        words.append(
            f"The median generated picture is {number(nearness)} times as far from the nearest real one as that one is "
            "from its own nearest neighbour; about 1 is new."
        )
    return joined([tag("h3", {}, "Nearest neighbours"), tag("p", {}, " ".join(words))]) if words else None


def _facts(facts: Mapping[str, str]) -> Markup | None:
    rows = (tag("div", {}, tag("dt", {}, name), tag("dd", {}, value)) for name, value in facts.items())
    return tag("dl", {"class": "facts"}, *rows) if facts else None
