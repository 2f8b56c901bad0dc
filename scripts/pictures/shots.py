"""Pictures of pages, as Chromium shows them."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from pathlib import Path

import browser
from browser import Page
from PIL import Image

COLOURS = 256


def shoot(page: Path, picture: Path, size: tuple[int, int], prepare: Callable[[Page], object]) -> None:
    """Write the upper part of a page, of that size in pixels, as PNG, once `prepare` has come back."""
    if reason := browser.missing():
        raise SystemExit(f"{picture.name} is a picture of a page, but {reason}")
    with tempfile.TemporaryDirectory() as folder, browser.started(Path(folder) / "profile") as chromium:
        tab = chromium.open(page, *size)
        tab.set_dark(False)
        prepare(tab)
        shot = Path(folder) / "shot.png"
        tab.screenshot(shot, whole=False)
        tab.close()
        seen = Image.open(io.BytesIO(shot.read_bytes())).convert("RGB")
    # A quarter of the bytes, and what pages are made of has few colours.
    seen.quantize(COLOURS, dither=Image.Dither.NONE).save(picture, optimize=True)


def generated(tab: Page) -> None:
    """Wait for a generator's page until its first picture and its gallery are drawn."""
    tab.wait_for("document.documentElement.dataset.firstPicture")
    full = "one => one.getContext('2d').getImageData(0, 0, 1, 1).data[3] === 255"
    tab.wait_for(f"[...document.querySelectorAll('#seeds canvas')].every({full})")


def charted(tab: Page) -> None:
    """Wait for a run's page until its curves are drawn."""
    tab.wait_for("document.querySelector('canvas') !== null")
