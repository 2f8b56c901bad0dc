"""Films, read again by Pillow and ffmpeg."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

from ganlab import GanlabError, save_film
from ganlab.data.film import ENDINGS

RNG = np.random.default_rng(0)


def frames_of(path: Path) -> list[tuple[np.ndarray, float]]:
    with Image.open(path) as film:
        return [(np.asarray(frame.convert("RGB")), frame.info["duration"]) for frame in ImageSequence.Iterator(film)]


@pytest.mark.parametrize("ending", [".png", ".apng", ".webp"])
def test_a_lossless_film_has_every_pixel_of_every_frame(ending: str, tmp_path: Path) -> None:
    frames = RNG.integers(0, 256, (5, 9, 7, 3), np.uint8)
    save_film(tmp_path / f"film{ending}", frames, [40, 40, 40, 40, 200])
    read = frames_of(tmp_path / f"film{ending}")
    assert (np.stack([frame for frame, _ in read]) == frames).all()
    assert [milliseconds for _, milliseconds in read] == [40, 40, 40, 40, 200]


def test_a_gif_of_grey_frames_is_exact_and_of_few_colours_too(tmp_path: Path) -> None:
    grey = RNG.integers(0, 256, (4, 8, 8, 1), np.uint8)
    few = np.array([[0, 0, 0], [200, 0, 0], [0, 0, 200], [255, 255, 255]], np.uint8)[RNG.integers(0, 4, (4, 8, 8))]
    for name, frames in (("grey", grey), ("few", few)):
        save_film(tmp_path / f"{name}.gif", frames, [40] * 4)
        read = frames_of(tmp_path / f"{name}.gif")
        assert len(read) == 4
        worst = max(np.abs(shown.astype(int) - frame).max() for (shown, _), frame in zip(read, frames, strict=True))
        assert worst <= (0 if name == "grey" else 8)


def test_what_is_transparent_is_laid_on_white(tmp_path: Path) -> None:
    frames = np.zeros((2, 4, 4, 4), np.uint8)
    frames[1] = (10, 20, 30, 255)
    save_film(tmp_path / "film.png", frames, [40, 40])
    assert [frame[0, 0].tolist() for frame, _ in frames_of(tmp_path / "film.png")] == [[255] * 3, [10, 20, 30]]


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_an_mp4_is_h264_with_even_sides_and_the_right_colours(tmp_path: Path) -> None:
    frames = np.zeros((10, 31, 33, 3), np.uint8)
    frames[:5] = (200, 30, 30)
    frames[5:] = (30, 30, 200)
    save_film(tmp_path / "film.mp4", frames, [40] * 10)
    command = ["ffmpeg", "-v", "error", "-i", str(tmp_path / "film.mp4"), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    pixels = np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, np.uint8)
    read = pixels.reshape(10, 32, 34, 3)
    assert np.abs(read[:, 4:28, 4:28].astype(int) - frames[:, 4:28, 4:28]).max() <= 12


def test_what_cannot_be_a_film_is_refused_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = np.zeros((2, 4, 4, 3), np.uint8)
    for name, milliseconds, sentence in (
        ("film.avi", [40, 40], "films are written to names that end in .gif, .png, .apng, .webp or .mp4"),
        ("film.gif", [40, 10], "a GIF has 50 frames a second at most; name a .webp"),
    ):
        with pytest.raises(GanlabError, match=sentence):
            save_film(tmp_path / name, frames, milliseconds)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GanlabError, match=r"an \.mp4 needs ffmpeg, which is not there; install it"):
        save_film(tmp_path / "film.mp4", frames, [40, 40])
    assert list(tmp_path.iterdir()) == []
    assert set(ENDINGS) == {".gif", ".png", ".apng", ".webp", ".mp4"}


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_an_mp4_of_uneven_frames_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(GanlabError, match=r"the frames of an \.mp4 last equally long"):
        save_film(tmp_path / "film.mp4", np.zeros((2, 4, 4, 3), np.uint8), [40, 80])
    assert list(tmp_path.iterdir()) == []
