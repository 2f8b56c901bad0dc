"""What a user calls a run: a path, or its recipe and number."""

from __future__ import annotations

from pathlib import Path

import pytest

from ganlab.errors import GanlabError
from ganlab.run.names import named_run, short_name


@pytest.fixture(autouse=True)
def _runs() -> None:
    for name in ("faces/0001", "faces/0002", "faces/0012", "faces/notes", "shoes/0001"):
        Path("runs", name).mkdir(parents=True)


@pytest.mark.parametrize("source", ["faces/2", "faces/0002", "runs/faces/2", "runs/faces/0002", "faces/000000002"])
def test_a_run_is_called_by_recipe_and_number(source: str) -> None:
    assert named_run(Path(source)) == Path("runs/faces/0002")


@pytest.mark.parametrize(
    "source", ["faces", "2", ".", "/faces/2", "a/faces/2", "../2", "faces/-2", "faces/x", "runs/faces", "boots/2"]
)
def test_any_other_path_stays_what_it_is(source: str) -> None:
    assert named_run(Path(source)) == Path(source)


def test_a_path_that_is_there_is_meant_but_where_it_could_be_both() -> None:
    Path("shoes/3").mkdir(parents=True)
    assert named_run(Path("shoes/3")) == Path("shoes/3")
    Path("faces/2").mkdir(parents=True)
    with pytest.raises(GanlabError) as caught:
        named_run(Path("faces/2"))
    assert str(caught.value) == (
        "faces/2 is a path here, and in short the run runs/faces/0002; name either by its whole path, "
        f"{Path('faces/2').absolute()} or runs/faces/0002"
    )
    assert named_run(Path("runs/faces/0002")) == Path("runs/faces/0002")
    Path("runs/faces/2").mkdir()
    assert named_run(Path("runs/faces/2")) == Path("runs/faces/2")
    with pytest.raises(GanlabError, match=r"runs/faces/02 is runs/faces/0002 or runs/faces/2; name one by its whole"):
        named_run(Path("runs/faces/02"))


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("faces/3", "there is no run 3 of faces; there are 1, 2 and 12"),
        ("shoes/3", "there is no run 3 of shoes; there is 1"),
        ("fases/2", "runs/ has no run of fases; did you mean faces?"),
    ],
)
def test_a_near_miss_is_told_what_there_is(source: str, sentence: str) -> None:
    with pytest.raises(GanlabError) as caught:
        named_run(Path(source))
    assert str(caught.value) == sentence


def test_of_many_runs_the_newest_is_named() -> None:
    for number in range(20, 40):
        Path(f"runs/faces/{number:04d}").mkdir()
    with pytest.raises(GanlabError, match=r"^there is no run 3 of faces; there are 23, the newest is 39$"):
        named_run(Path("faces/3"))


@pytest.mark.parametrize("path", ["runs/faces/0002", "faces", "/a/runs/faces/0002", "runs/faces/notes"])
def test_a_short_name_is_understood(path: str) -> None:
    assert named_run(Path(short_name(Path(path)))) == Path(path)
