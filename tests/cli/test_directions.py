"""`ganlab directions`: a sheet of what the strongest directions change."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from command_line import Command
from PIL import Image

import ganlab


def test_a_row_is_a_direction_with_the_picture_itself_in_the_middle(command: Command, trained: Path) -> None:
    ended = command("directions", "toy/1", "--count", 2, "--seeds", "5,8", "--steps", 1, "--reach", 2)
    assert ended.code == 0
    assert ended.out.splitlines()[0].startswith("direction 1 of z: ")
    sheet = np.asarray(Image.open(trained / "directions.png"))
    generator = ganlab.load_generator(trained)
    found = ganlab.directions(generator, 2)
    z = generator.draw([5, 8])["z"]
    rows = [z[seed] + place * vector for seed in range(2) for vector in found.vectors for place in (-2, 0, 2)]
    made = generator({"z": np.stack(rows).astype(np.float32)})
    expected = ganlab.grid(ganlab.to_uint8(made), 3)
    assert np.abs(sheet.astype(int).reshape(expected.shape) - expected).max() <= 1
    again = command("directions", "toy/1", "--count", 2)
    assert again.out.rstrip().endswith("directions-2.png"), "the first one is kept"
