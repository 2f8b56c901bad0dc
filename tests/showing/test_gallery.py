"""The film of a run, and the names of its rows."""

from __future__ import annotations

import re

from showing.test_markup import Read

from ganlab.showing.account import Account, Frame, Picture, Place
from ganlab.showing.gallery import ROWS_LABELLED, film_data, gallery


def account(frames: int, rows: list[str], side: int = 100, snapshots: int = 0) -> Account:
    shown = [
        Frame(number, Place(number * 8, number / 2) if number else None, Picture(f"data:{number}", side, side))
        for number in range(frames)
    ]
    return Account(
        name="run",
        state="finished",
        begun=0.0,
        images=None,
        shipped="",
        changes=[],
        note="",
        facts={},
        recipe={},
        recipe_text="",
        curves={},
        judged=[],
        protocol={},
        frames=shown,
        snapshots=snapshots or frames,
        rows=rows,
        reals=None,
        error="",
        log="",
    )


def test_the_last_snapshot_is_shown_and_the_script_gets_the_others() -> None:
    run = account(3, [], snapshots=7)
    read = Read(gallery(run, 4).html)
    (image,) = [given for name, given in read.elements if name == "img"]
    assert (image["src"], image["alt"]) == ("data:2", "Generated pictures, iteration 2, epoch 1, 16 images seen")
    assert "Of the same latents at each snapshot, 3 of 7 snapshots." in read.texts
    assert [(one["uri"], one["words"], one["images"]) for one in film_data(run)] == [
        ("data:0", "iteration 0", None),
        ("data:1", "iteration 1, epoch 0.5, 8 images seen", 8),
        (None, "iteration 2, epoch 1, 16 images seen", 16),
    ]
    (slider,) = [given for name, given in read.elements if name == "input"]
    assert (slider["min"], slider["max"], slider["value"]) == ("0", "2", "2")


def test_one_snapshot_needs_no_slider_and_none_is_a_sentence() -> None:
    assert "<input" not in gallery(account(1, []), 0).html
    assert "There are no snapshots to show." in Read(gallery(account(0, []), 0).html).texts


def test_small_pictures_are_enlarged_by_a_whole_number() -> None:
    sizes = []
    for side in (10, 300, 321, 2000):
        (image,) = [given for name, given in Read(gallery(account(1, [], side), 0).html).elements if name == "img"]
        sizes.append((image["width"], image.get("class")))
    assert sizes == [("640", "enlarged"), ("600", "enlarged"), ("321", None), ("2000", None)]


def test_rows_are_named_beside_the_grid_or_below_it_where_there_are_many() -> None:
    few = gallery(account(1, ["cat", "<b>"]), 0).html
    labels = re.search(r'<ol class="rows".*?</ol>', few)
    assert labels is not None
    assert Read(labels[0]).texts == ["cat", "<b>"]
    assert "rows from top to bottom: cat and &lt;b&gt;" in few
    many = gallery(account(1, ["x"] * (ROWS_LABELLED + 1)), 0).html
    assert 'class="rows"' not in many
    assert many.count("<li>x</li>") == ROWS_LABELLED + 1
