"""CONTRIBUTING.md tells the truth: its list of rooms is that of the tree, and what it names is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import floor_plan

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
FACES = {"__init__", "__main__"}


def first_line(room: str) -> str:
    """Return what a room says of itself."""
    place = ROOT / "ganlab" / room
    file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    return (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").splitlines()[0]


def test_it_lists_every_room_with_its_own_first_line_from_the_ground_up() -> None:
    listed = re.findall(r"^\| `(\w+)` \| (.+) \|$", TEXT, re.M)
    floors = floor_plan.floors(floor_plan.arrows())
    rooms = [room for floor in floors for room in floor if room not in {*floor_plan.BESIDE, *FACES}]
    assert listed == [(room, first_line(room)) for room in rooms]


def test_every_path_that_it_names_is_there() -> None:
    named = [word for word in re.findall(r"`([\w./-]+/[\w./-]*)`", TEXT) if "<" not in word]
    assert len(named) > 15
    assert [path for path in named if not (ROOT / path).exists()] == []
