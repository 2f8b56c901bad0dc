"""A run in a notebook: what its one display holds, and that no stranger's text is markup in it."""

from __future__ import annotations

import io
import re
from base64 import b64decode
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hostile import NAME
from PIL import Image
from standard.observers.events import STATS, a_run, a_snapshot, a_tick

from ganlab.events import Finding, Scores
from ganlab.standard.observers import notebook
from ganlab.standard.observers.notebook import Notebook


class Shown:
    """What IPython's display was given: one output, and what has become of it."""

    def __init__(self) -> None:
        self.outputs: list[str] = []

    def display(self, shown: Any, display_id: bool) -> Shown:
        assert display_id
        assert self.outputs == [], "a second output"
        self.outputs.append(shown.data)
        return self

    def update(self, shown: Any) -> None:
        self.outputs.append(shown.data)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    display = pytest.importorskip("IPython.display")
    monkeypatch.setattr(notebook, "REFRESH_SECONDS", 0.0)
    found = Shown()
    monkeypatch.setattr(display, "display", found.display)
    return found


def words(html: str) -> str:
    return unescape(re.sub("<[^>]*>", " ", html))


def test_one_display_has_bar_numbers_scores_and_the_newest_samples(shown: Shown) -> None:
    display = Notebook()
    display.phase("packing", 1, 2, 0.0)
    assert "packing 1" in words(shown.outputs[-1])
    assert 'value="0.5000"' in shown.outputs[-1]
    display.phase("packing", 2, 2, 1.0)
    display.run_start(a_run())
    for iteration, loss in ((100, 1.0), (200, 2.0), (500, 3.0)):
        tick = a_tick(iteration, **(STATS | {"loss_discriminator": loss}))
        display.tick(a_run(), tick._replace(iterations=1000, next_snapshot=600, memory_bytes=2_000_000_000))
    samples = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8)
    display.snapshot(a_snapshot(500, samples))
    display.scored(Scores(500, 64_000, 12.5, {"kid": 0.25}, {"kid": 0.0}, best=True))
    display.note("one bad picture", "warning")
    display.finding(Finding("saturation", 500, 64_000, 12.5, False, 100, "all is white", "half", {}))
    display.run_end("finished")
    last = shown.outputs[-1]
    for part in (
        "faces in runs/faces/1",
        "50%  50 s left",
        "iteration 500/1,000",
        "2.0 GB",
        "loss_discriminator 3.000",
        "kid 0.250",
        "the best so far",
        "packing: 2 in 1 s",
        "warning: one bad picture",
        "warning: saturation: all is white",
        "finished",
    ):
        assert part in words(last), part
    assert "\u2581" in last, "a sparkline"
    source = re.search(r'src="data:image/png;base64,([^"]+)"', last)
    assert source is not None
    picture = np.asarray(Image.open(io.BytesIO(b64decode(source[1]))))
    assert (picture[2:10, 2:10] == samples[0]).all()


def test_no_text_of_a_stranger_is_markup_or_hidden(shown: Shown) -> None:
    evil = "<script>alert(1)</script>" + NAME
    display = Notebook()
    display.note(evil, "info")
    display.phase(evil, 1, 2, 0.0)
    run = a_run(Path("runs/x"))._replace(name=evil, class_names=(evil,))
    display.run_start(run)
    display.tick(run, a_tick(500, **{evil: 1.0}))
    display.scored(Scores(500, 64_000, 12.5, {evil: 0.25}, {}, best=False))
    for output in shown.outputs:
        assert "<script" not in output
        assert "\x1b" not in output
    assert words(shown.outputs[-1]).count("<script>alert(1)</script>") >= 4
