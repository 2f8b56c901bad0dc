"""What the verbs work on: the file or run that is named, or the newest run that has a generator."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from ganlab.cli.source import beside, generator_source
from ganlab.errors import GanlabError
from ganlab.run.directory import enter_in_index, new_directory


@pytest.mark.parametrize(
    ("seconds", "age"),
    [
        (0, "saved just now"),
        (-100, "saved just now"),
        (61, "saved 1 minute ago"),
        (59 * 60 + 30, "saved 59 minutes ago"),
        (3600, "saved 1 hour ago"),
        (47 * 3600, "saved 1 day ago"),
        (10 * 86400, "saved 10 days ago"),
    ],
)
def test_the_newest_run_is_taken_and_named_with_its_age(
    seconds: int, age: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for recipe in ("faces", "shoes"):
        enter_in_index(new_directory(recipe), recipe, pytest.fail)
    generator = Path("runs/faces/0001/generator.safetensors")  # of the newer run there is none yet
    generator.touch()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    os.utime(generator, (now - seconds, now - seconds))
    assert generator_source(None) == generator
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", f"newest run: runs/faces/0001 (faces, {age})\n")


def test_what_is_named_is_taken_without_a_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "generator.safetensors"
    file.touch()
    assert generator_source(file) == generator_source(tmp_path) == file
    best = tmp_path / "generator-best.safetensors"
    best.touch()
    assert generator_source(Path(f"{tmp_path}@best")) == generator_source(best) == best
    other = tmp_path / "faces.onnx"
    other.touch()
    assert generator_source(other) == other
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("nothing", "nothing does not exist; name a generator file or a run's directory"),
        ("nothing@best", "nothing@best: nothing is no run's directory; name one, and @best behind it"),
        (
            "@best",
            ". has no generator-best.safetensors: only a run whose recipe names a score, [evaluate] best = NAME, keeps "
            "its best generator; leave @best out for its last one",
        ),
        (".", ". has no generator.safetensors; name a run's directory or a generator file"),
        (
            None,
            "no run with a generator is known in runs/ here; train one with ganlab run RECIPE, or name a file or run",
        ),
    ],
)
def test_what_is_not_there_is_refused(source: str | None, sentence: str) -> None:
    with pytest.raises(GanlabError) as caught:
        generator_source(None if source is None else Path(source))
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("place", "made"),
    [
        ("run/generator.safetensors", "run/sample.png"),
        ("run/generator.int8.onnx", "run/sample.png"),
        ("run/generator-best.safetensors", "run/sample-best.png"),
        ("run/generators/00000468.safetensors", "run/sample-00000468.png"),
        ("run/generators/00000468.onnx", "run/sample-00000468.png"),
        ("run/checkpoints/00000468", "run/sample-00000468.png"),
        ("shop/generators/clothes.onnx", "shop/generators/sample.png"),  # which is no run
        ("shop/clothes.onnx", "shop/sample.png"),
        ("clothes.onnx", "sample.png"),
    ],
)
def test_what_is_made_of_a_generator_does_not_replace_what_was_made_of_another(place: str, made: str) -> None:
    Path("run/.ganlab").mkdir(parents=True)
    Path("run/.ganlab/run.json").touch()
    assert beside(Path(place), "sample.png") == Path(made)
    assert beside(Path(place), "seeds") == Path(made.replace("sample", "seeds").removesuffix(".png"))


def test_within_a_runs_folder_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Path("run/.ganlab").mkdir(parents=True)
    Path("run/.ganlab/run.json").touch()
    Path("run/generators").mkdir()
    monkeypatch.chdir("run/generators")
    assert beside(Path("00000468.safetensors"), "sample.png") == tmp_path / "run/sample-00000468.png"
    monkeypatch.chdir("..")
    assert beside(Path("generators/00000468.safetensors"), "sample.png") == Path("sample-00000468.png")
