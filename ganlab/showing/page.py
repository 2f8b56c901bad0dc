"""The whole page: one run with all that it tells, or several beside each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from itertools import islice

from ganlab.messages import counted, in_words
from ganlab.showing.account import Account, Curve
from ganlab.showing.charts import Chart, charts_apart, charts_of, charts_of_runs, figure, number
from ganlab.showing.differences import differences
from ganlab.showing.gallery import film_data, gallery
from ganlab.showing.markup import NOTHING, Markup, document, joined, json_block, table, tag
from ganlab.showing.sections import about, heading, health, moment, scores, section

MARK = "A report that ganlab has written and may write anew."
"""What a page says of itself on its second line."""
CHARTS = 40
"""A page has no more: a loss may report anything."""
LOSSES = 4
"""So many last losses are in the table of several runs."""


def page(runs: Sequence[Account], written: float) -> str:
    """Return the page of one run or several as HTML; `written` is the time now, in seconds since 1970."""
    charts, judged = _charts(runs)
    left_out = max(0, len(charts) - CHARTS)
    charts = charts[:CHARTS]
    said = f"{counted(left_out, 'more number')} of metrics.jsonl {'is' if left_out == 1 else 'are'} left out."
    sections = {
        "runs": ("Runs", _overview(runs)) if len(runs) > 1 else ("How it stands", heading(runs[0])),
        "differences": ("Differences", _differences(runs)) if len(runs) > 1 else None,
        "pictures": ("Pictures", _each(runs, [gallery(run, place) for place, run in enumerate(runs)])),
        "curves": ("Curves", _curves(charts, said if left_out else None)),
        "scores": ("Scores", joined([_each(runs, list(map(scores, runs))), _plots(judged, len(charts))])),
        "health": ("Health", _health(runs)) if any(run.findings is not None for run in runs) else None,
        "about": ("How it was trained", _each(runs, [about(run) for run in runs])),
    }
    shown = {name: one for name, one in sections.items() if one is not None}
    title = in_words([run.name for run in runs]) if len(runs) < 4 else f"{len(runs)} runs"
    data = {
        "charts": [chart.data for chart in (*charts, *judged)],
        "films": [film_data(run) for run in runs],
        "running": any(run.state == "running" for run in runs),
    }
    body = [
        _header(title, shown, written, bool(data["running"])),
        tag("main", {}, *(section(name, head, content) for name, (head, content) in shown.items())),
        json_block("data", data),
    ]
    return document(f"{title} – ganlab", body, _styles(), _scripts(), MARK)


def _header(title: str, sections: Mapping[str, tuple[str, Markup]], written: float, running: bool) -> Markup:
    links = (tag("a", {"href": f"#{name}"}, head) for name, (head, _) in sections.items())
    live = tag("button", {"type": "button", "id": "live", "aria-pressed": "false"}, "Reload by itself")
    theme = tag("button", {"type": "button", "id": "theme", "aria-pressed": "false"}, "Dark")
    return tag(
        "header",
        {},
        tag("h1", {}, title),
        tag("p", {"class": "quiet"}, f"Written by ganlab {moment(written)}"),
        tag("nav", {"aria-label": "Sections"}, *links),
        tag("div", {"class": "buttons"}, live if running else None, theme),
    )


def _charts(runs: Sequence[Account]) -> tuple[list[Chart], list[Chart]]:
    """Return the charts of what was measured while training, and those of the scores."""
    judged = [_scored(run) for run in runs]
    if len(runs) == 1:
        scores = {name: curve for name, curve in judged[0].items() if len(curve.images) > 1}
        return charts_of(runs[0].curves), charts_apart(scores)
    names = [run.name for run in runs]
    curves = dict(zip(names, (run.curves for run in runs), strict=True))
    return charts_of_runs(curves), charts_of_runs(dict(zip(names, judged, strict=True)))


def _scored(run: Account) -> dict[str, Curve]:
    """Return the scores of a run as curves."""
    import numpy as np

    names = dict.fromkeys(name for one in run.judged for name in one.values)
    found = {name: [(one.images, one.values[name]) for one in run.judged if name in one.values] for name in names}
    return {
        name: Curve(*(np.array(column, np.float64) for column in zip(*points, strict=True)))
        for name, points in found.items()
    }


def _curves(charts: Sequence[Chart], left_out: str | None) -> Markup:
    if not charts:
        return tag("p", {}, "There are no numbers to draw: metrics.jsonl has none.")
    return joined([_plots(charts, 0), tag("p", {}, left_out) if left_out else None])


def _plots(charts: Sequence[Chart], first: int) -> Markup:
    """Return charts, which the script knows by their numbers from `first` on."""
    if not charts:
        return NOTHING
    return tag("div", {"class": "plots"}, *(figure(chart, first + place) for place, chart in enumerate(charts)))


def _each(runs: Sequence[Account], contents: Sequence[Markup]) -> Markup:
    """Return what belongs to each run, below its name where there are several."""
    if len(runs) == 1:
        return contents[0]
    return joined(tag("div", {}, tag("h3", {}, run.name), one) for run, one in zip(runs, contents, strict=True))


def _overview(runs: Sequence[Account]) -> Markup:
    rows = [list(_row(run)) for run in runs]
    whole = table(["Run", "State", "Begun", "Images seen", "Changed in the recipe", "Last losses", "Note"], rows)
    lacking = [tag("li", {}, f"{run.name}: {one}") for run in runs for one in run.lacking]
    return joined([whole, tag("ul", {"class": "lacking"}, *lacking) if lacking else None])


def _row(run: Account) -> Iterator[str]:
    yield run.name
    yield run.state
    yield moment(run.begun) if run.begun else "–"
    yield "–" if run.images is None else f"{run.images:,}"
    of = f"{run.shipped}: " if run.shipped and run.changes else run.shipped
    yield f"{of}{', '.join(run.changes)}"
    losses = ((name, curve) for name, curve in run.curves.items() if name.startswith("loss_"))
    yield ", ".join(f"{name} {number(curve.values[-1])}" for name, curve in islice(losses, LOSSES))
    yield run.note


def _differences(runs: Sequence[Account]) -> Markup:
    """Return in what the recipes differ."""
    known = [run for run in runs if run.recipe]
    if len(known) < 2:
        return tag("p", {}, "Fewer than two recipes can be read, so nothing can be compared.")
    found = differences([run.recipe for run in known])
    if not found:
        return tag("p", {}, "Their recipes are equal.")
    rows = [(one.key, *one.values) for one in found]
    return table(["Key", *(run.name for run in known)], rows, "Keys whose values are not the same in all recipes")


def _health(runs: Sequence[Account]) -> Markup:
    unknown = tag("p", {}, "Nobody has watched it.")
    return _each(runs, [unknown if run.findings is None else health(run.findings) for run in runs])


def _styles() -> list[str]:
    return [_asset("uplot/uPlot.min.css"), _asset("page.css")]


def _scripts() -> list[str]:
    licence = _asset("uplot/LICENSE")
    return [f"/*\nuPlot\n\n{licence}*/\n{_asset('uplot/uPlot.iife.min.js')}", _asset("page.js")]


def _asset(name: str) -> str:
    """Return a text that comes with ganlab."""
    return files("ganlab.showing").joinpath(name).read_text(encoding="utf-8")
