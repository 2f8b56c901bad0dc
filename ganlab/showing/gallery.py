"""The pictures of a run in a page: the film of its snapshots with a slider, and real ones beside it."""

from __future__ import annotations

from collections.abc import Sequence

from ganlab.messages import in_words
from ganlab.showing.account import Account, Frame, Picture
from ganlab.showing.markup import Markup, details, joined, tag

ROWS_LABELLED = 32
"""A grid of more rows has no room for a label beside each."""
SMALL = 640
"""A grid of fewer pixels a side is shown enlarged."""


def gallery(run: Account, place: int) -> Markup:
    """Return the pictures of the run at this `place` among the page's, by which the script knows its film."""
    made = _film(run, place) if run.frames else tag("p", {}, "There are no snapshots to show.")
    real = _still(run.reals) if run.reals is not None else None
    return tag("div", {"class": "beside"}, made, real)


def film_data(run: Account) -> list[dict[str, object]]:
    """Return the frames for the page's script; the picture of the last one stands in the page already."""
    return [
        {
            "uri": None if frame is run.frames[-1] else frame.picture.uri,
            "words": frame_words(frame),
            "images": None if frame.place is None else frame.place.images,
            "alt": _alt(run, frame),
        }
        for frame in run.frames
    ]


def frame_words(frame: Frame) -> str:
    """Return which snapshot a frame is of."""
    words = [f"iteration {frame.iteration:,}"]
    if frame.place is not None:
        words += [f"epoch {frame.place.epoch:.4g}", f"{frame.place.images:,} images seen"]
    return ", ".join(words)


def _film(run: Account, place: int) -> Markup:
    last, count = run.frames[-1], len(run.frames)
    name, words = f"film-{place}", frame_words(last)
    of = f", {count} of {run.snapshots:,} snapshots" if count < run.snapshots else ""
    about = tag("p", {"class": "quiet"}, tag("output", {"for": name}, words))
    latents = tag("p", {"class": "quiet"}, f"Of the same latents at each snapshot{of}.")
    slider = tag(
        "div",
        {"class": "slider"},
        tag("button", {"type": "button", "class": "play", "aria-label": "Play the film"}, "▶"),
        tag("label", {"for": name}, "Snapshot"),
        tag(
            "input",
            {
                "id": name,
                "type": "range",
                "min": 0,
                "max": count - 1,
                "step": 1,
                "value": count - 1,
                "aria-valuetext": words,
                "autocomplete": "off",
            },
        ),
    )
    return tag(
        "figure",
        {"class": "film", "data-film": place},
        tag("figcaption", {}, tag("h4", {}, "Generated"), about),
        _grid(last.picture, _alt(run, last), run.rows),
        slider if count > 1 else None,
        latents,
    )


def _still(picture: Picture) -> Markup:
    words = "Pictures of the data, as the networks see them"
    caption = tag("figcaption", {}, tag("h4", {}, "Real"), tag("p", {"class": "quiet"}, words))
    return tag("figure", {"class": "real"}, caption, _grid(picture, words, ()))


def _alt(run: Account, frame: Frame) -> str:
    rows = f"; rows from top to bottom: {in_words(run.rows)}" if run.rows else ""
    return f"Generated pictures, {frame_words(frame)}{rows}"


def _grid(picture: Picture, about: str, rows: Sequence[str]) -> Markup:
    """Return a grid of pictures, with the names of its rows beside it where there is room."""
    times = max(1, SMALL // max(picture.width, picture.height, 1))
    size = {"width": picture.width * times, "height": picture.height * times}
    image = tag("img", {"src": picture.uri, "alt": about, **size, "class": "enlarged" if times > 1 else None})
    if not rows:
        return tag("div", {"class": "grid"}, image)
    if len(rows) > ROWS_LABELLED:
        named = tag("ol", {}, *(tag("li", {}, row) for row in rows))
        return joined([tag("div", {"class": "grid"}, image), details("What the rows show, from top to bottom", named)])
    labels = tag(
        "ol",
        {"class": "rows", "aria-hidden": "true"},
        *(tag("li", {"title": row}, tag("span", {}, row)) for row in rows),
    )
    return tag("div", {"class": "grid"}, labels, image)
