"""The documentation's pictures: none lies there whose origin nobody knows, and the recording of a terminal shows it."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest
from pictures import drawing
from pictures.catalogue import LARGEST_BYTES, LONGER, MADE
from pictures.films import progress
from pictures.recording import COLUMNS, ROWS, Recording, keep, kept, record
from pictures.screens import Cell, Screen, screens
from PIL import Image, ImageSequence

ROOT = Path(__file__).parents[1]
PICTURES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("docs/images/**/*", "docs/demo/*", "plugins/*/*.png")
    for path in ROOT.glob(pattern)
    if path.is_file()
)
NOTHING = Cell(" ", "#ffffff", "", False)
BLANK = (NOTHING,) * COLUMNS
SVG = "{http://www.w3.org/2000/svg}"


def screen(*texts: str, seconds: float = 1.0) -> Screen:
    """Return a screen with these lines on top."""
    rows = tuple(tuple(Cell(text, "#ffffff", "", False) for text in line.ljust(COLUMNS)) for line in texts)
    return Screen((rows + (BLANK,) * ROWS)[:ROWS], seconds)


@pytest.mark.parametrize("picture", PICTURES)
def test_each_picture_has_a_command_that_makes_it_and_is_small(picture: str) -> None:
    assert sum([picture in MADE, *(fnmatch(picture, pattern) for pattern in LONGER)]) == 1
    assert 0 < (ROOT / picture).stat().st_size <= LARGEST_BYTES


def test_what_is_listed_is_there() -> None:
    assert set(MADE) <= set(PICTURES)
    assert all(any(fnmatch(picture, pattern) for picture in PICTURES) for pattern in LONGER)


def test_paths_in_the_commands_are_there() -> None:
    commands = " ".join([*(made.command for made in MADE.values()), *LONGER.values()])
    named = re.findall(r"(?:plugins|benchmarks)/[\w./-]+", commands)
    assert len(named) > 8
    assert [path for path in named if not (ROOT / path.rstrip(".")).exists()] == []


def script(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the script as it is typed."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PATH": "/nonexistent"}
    words = (sys.executable, str(ROOT / "scripts" / "pictures"), *words)
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=False)


def test_the_script_lists_every_picture_with_its_command() -> None:
    listed = script()
    assert listed.returncode == 0, listed.stderr
    assert all(f"  {name}\n      {made.command}\n" in listed.stdout for name, made in MADE.items())
    assert all(name in listed.stdout for name in LONGER)


def test_an_unknown_picture_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    refused = script(str(tmp_path / "work"), "docs/images/no.png")
    assert refused.returncode == 2
    assert refused.stderr == "docs/images/no.png is not made here; python scripts/pictures lists what is\n"
    assert not (tmp_path / "work").exists()


def test_a_terminal_is_recorded_with_its_size_and_kept(tmp_path: Path) -> None:
    (tmp_path / "say.py").write_text("import os; print(*os.get_terminal_size(), 'ü', sep=' ')")
    said = record(f"{sys.executable} say.py", tmp_path, os.environ)
    assert "".join(text for _, text in said.written) == f"{COLUMNS} {ROWS} ü\r\n"
    assert said.seconds > 0
    keep([said], tmp_path / "kept.json")
    assert kept(tmp_path / "kept.json") == [said]


def test_a_command_that_fails_is_no_recording(tmp_path: Path) -> None:
    (tmp_path / "fail.py").write_text("import sys; sys.exit('no luck')")
    with pytest.raises(SystemExit, match=r"fail\.py in .* ended with 1: no luck"):
        record(f"{sys.executable} fail.py", tmp_path, os.environ)


def test_a_recording_is_played_as_it_was_typed_and_written() -> None:
    pytest.importorskip("pyte", reason="pyte is not installed: pip install pyte")
    slow = Recording("run", ((0.1, "\x1b[32mone\x1b[0m\r\n"), (20.0, "\x1b[1A\x1b[2Ktwo"), (100.0, "\r\n\x1b[2mdim")))
    seen = list(screens([slow]))
    lines = ["\n".join("".join(cell.text for cell in row).rstrip() for row in one.rows).rstrip() for one in seen]
    assert lines[:4] == ["$ r", "$ ru", "$ run", "$ run"]
    assert {"$ run\none", "$ run\ntwo", "$ run\ntwo\ndim"} <= set(lines)
    assert lines.index("$ run\ntwo") < lines.index("$ run\ntwo\ndim")
    green = next(one.rows[1][0] for one in seen if one.rows[1][0].text == "o")
    assert green.colour != next(one.rows[1][0] for one in seen if one.rows[1][0].text == "t").colour
    assert sum(one.seconds for one in seen) < 30, "a hundred seconds were played faster"


def test_the_film_of_a_terminal_shows_each_screen_in_its_time_and_stands_still_where_that_is_wished() -> None:
    text = drawing.drawn([screen("<one>", "same"), screen("two", "same", seconds=3.0)], "A & B")
    film = ET.fromstring(text)
    assert film.findtext(f"{SVG}title") == "A & B"
    rows = {row.get("id"): "".join(row.itertext()) for row in film.findall(f"{SVG}defs/{SVG}g")}
    height = ROWS * drawing.HEIGHT
    shown = [(rows[(use.get("href") or "")[1:]], int(use.get("y") or "")) for use in film.iter(f"{SVG}use")]
    assert shown == [("<one>", 0), ("same", 16), ("two", height), ("same", height + 16)]
    assert len(rows) == 3, "what is the same is drawn once"
    assert f"0.000% {{ transform: translateY(-0px) }} 25.000% {{ transform: translateY(-{height}px) }}" in text
    assert "@media (prefers-reduced-motion: reduce) { .film { animation: none } }" in text
    assert f".film {{ transform: translateY(-{height}px); animation: film 4.00s" in text, "then it is the last one"
    assert not re.search(r'(href|src)="(?!#|data:)', text), "nothing is fetched"


def test_half_blocks_become_a_picture_of_two_pixels_each(tmp_path: Path) -> None:
    block = Cell(drawing.HALF_BLOCK, "#ff0000", "#0000ff", False)
    rows = ((NOTHING, block, *BLANK[2:]), *(BLANK,) * (ROWS - 1))
    film = ET.fromstring(drawing.drawn([Screen(rows, 1.0)], ""))
    (image,) = film.iter(f"{SVG}image")
    file = tmp_path / "blocks.webp"
    file.write_bytes(base64.b64decode((image.get("href") or "").removeprefix("data:image/webp;base64,")))
    pixels = np.asarray(Image.open(file).convert("RGBA"))
    assert pixels[:, 1].tolist() == [[255, 0, 0, 255], [0, 0, 255, 255]]
    assert pixels[:, 0, 3].tolist() == [0, 0]


def test_the_film_of_a_run_has_its_grids_in_order_and_stays_at_the_last(tmp_path: Path) -> None:
    (tmp_path / "samples").mkdir()
    for number, value in ((10, 255), (2, 128), (0, 0)):
        Image.new("L", (6, 4), value).save(tmp_path / "samples" / f"{number:08}.png")
    progress(tmp_path, tmp_path / "film.webp")
    film = Image.open(tmp_path / "film.webp")
    values, milliseconds = [], []
    for frame in ImageSequence.Iterator(film):
        frame.load()
        values.append(np.asarray(frame.convert("L"))[0, 0])
        milliseconds.append(frame.info["duration"])
    assert np.abs(np.array(values, int) - [0, 128, 255]).max() <= 5
    assert milliseconds[-1] > milliseconds[0]
