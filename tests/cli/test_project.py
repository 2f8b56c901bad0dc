"""`ganlab project`: the latent vector of a picture."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from command_line import Command
from PIL import Image

import ganlab


def test_what_is_found_is_shown_and_can_be_given_to_the_generator(command: Command, trained: Path) -> None:
    generator = ganlab.load_generator(trained)
    ganlab.save_png(Path("wanted.png"), generator.sample([7])[0])
    ended = command("project", "wanted.png", "toy/1", "--starts", 4, "--steps", 60)
    assert ended.code == 0, ended.err
    said = re.match(r"error ([0-9.]+) of 255 levels; [1-4] of 4 starts came as near\n", ended.out)
    assert said is not None
    with np.load(trained / "projection.npz") as inputs:
        made = ganlab.to_uint8(generator(dict(inputs)))[0]
    difference = made.astype(float) - generator.sample([7])[0]
    assert abs(float(said[1]) - np.sqrt(np.mean(difference**2))) < 0.06
    sheet = np.asarray(Image.open(trained / "projection.png"))
    assert np.abs(sheet[2:10, 12:20].astype(int) - made[..., 0]).max() <= 1, "the nearest one, in the middle"


def test_what_cannot_be_projected_is_one_sentence(command: Command, trained: Path) -> None:
    Path("broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save("grey.png")
    assert command("export", "toy/1", "--onnx").code == 0
    for arguments, sentence in (
        (("none.png", "toy/1"), "none.png: No such file or directory"),
        (("broken.png", "toy/1"), "broken.png: is not one of JPEG, PNG"),
        (("grey.png", str(trained / "generator.onnx")), "gradients need the weights in torch"),
        (("grey.png", "toy/1", "--label", "1"), "takes no labels"),
    ):
        ended = command("project", *arguments)
        assert (ended.code, ended.out) == (2, "")
        assert sentence in ended.err
    assert not list(trained.glob("projection*"))
