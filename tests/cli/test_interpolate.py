"""`ganlab interpolate`: a film that leads from picture to picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from command_line import Command
from PIL import Image, ImageSequence

import ganlab


def test_a_film_goes_through_the_pictures_of_the_seeds(command: Command, trained: Path) -> None:
    ended = command("interpolate", "toy/1", "--seeds", "3,14", "--steps", 4, "--out", "w.png", "--scale", 2)
    assert (ended.code, ended.out) == (0, "8 frames in w.png\n")
    with Image.open("w.png") as film:
        frames = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(film)]
    assert len(frames) == 8, "and back to the first"
    drawn = ganlab.load_generator(trained).sample([3, 14])
    for frame, picture in ((frames[0], drawn[0]), (frames[4], drawn[1])):
        assert (frame[::2, ::2] == np.broadcast_to(picture, (*picture.shape[:2], 3))).all()
    open_ended = command("interpolate", "toy/1", "--seeds", "3,14", "--steps", 4, "--no-loop")
    assert open_ended.out == f"5 frames in {trained}/interpolation.gif\n"


def test_mistakes_are_sentences_and_nothing_is_replaced(command: Command, trained: Path) -> None:
    Path("mine.gif").write_text("mine")
    for arguments, sentence in (
        (("--seeds", "3"), '--seeds "3" is one picture; name two or more'),
        (("--seeds", "0-99", "--steps", "100"), "10,000 frames are too many for a film"),
        (("--out", "mine.gif"), "mine.gif is there already; name another place, or replace it with --overwrite"),
        (("--out", "walk.avi"), "films are written to names that end in .gif, .png, .apng, .webp or .mp4"),
        (("--fps", "100"), "a GIF has 50 frames a second at most"),
        (("--label", "cat"), "takes no labels"),
    ):
        ended = command("interpolate", "toy/1", *arguments)
        assert (ended.code, ended.out) == (2, "")
        assert sentence in ended.err
    assert Path("mine.gif").read_text() == "mine"
    assert not (trained / "interpolation.gif").exists()
