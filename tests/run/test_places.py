"""What `RUN@best`, `RUN@468` and a checkpoint's directory name, and what near misses are told."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from toys import tiny

import ganlab
from ganlab.errors import GanlabError
from ganlab.run.directory import RunDirectory
from ganlab.run.places import generator_place, is_checkpoint, moments


@pytest.fixture(scope="module")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("places")


@pytest.fixture
def run(_folder: Path, tmp_path: Path) -> Path:
    """Return a run that has kept the generators of iterations 2 and 6, and has the checkpoints of 5 and 6."""
    if not (_folder / "run").exists():
        table = tiny(train={"iterations": 6}, snapshot={"every_iterations": 1, "generators": 1})
        ganlab.train(table, out=_folder / "run")
        for iteration in (1, 3, 4, 5):
            (_folder / f"run/generators/{iteration:08d}.safetensors").unlink()
    shutil.copytree(_folder / "run", tmp_path / "run")
    return Path("run")


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("run", "run"),
        ("run@2", "run/generators/00000002.safetensors"),
        ("run@00000002", "run/generators/00000002.safetensors"),
        ("run/@2", "run/generators/00000002.safetensors"),
        ("run@6", "run/generators/00000006.safetensors"),
        ("run@5", "run/checkpoints/00000005"),
        ("run/checkpoints/00000006", "run/checkpoints/00000006"),
        ("run/generators/00000002.safetensors", "run/generators/00000002.safetensors"),
        ("nothing", "nothing"),
        ("nothing@rest", "nothing@rest"),
        ("me@home/x.onnx", "me@home/x.onnx"),
        ("mine@2", "mine@2"),
    ],
)
def test_a_generator_is_named_by_its_iteration(run: Path, name: str, place: str) -> None:
    Path("mine").mkdir()
    Path("mine@2").touch()
    assert generator_place(Path(name)) == Path(place)


def test_the_best_of_a_run_is_named_behind_it_and_a_file_of_that_name_is_itself() -> None:
    run = Path("run")
    run.mkdir()
    (run / "generator-best.safetensors").touch()
    assert generator_place(Path("run@best")) == generator_place(Path("run/@best")) == run / "generator-best.safetensors"
    assert generator_place(run) == run
    assert generator_place(Path("run@rest")) == Path("run@rest")
    Path("run@best").touch()
    assert generator_place(Path("run@best")) == Path("run@best")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("run@0", "run has no generator of iteration 0 and no checkpoint of it; there are @2, @5 and @6"),
        ("run@4", "run has no generator of iteration 4 and no checkpoint of it; there are @2, @5 and @6"),
        ("run@-1", 'run@-1: behind @ stands an iteration or best, and "-1" is neither; there are @2, @5 and @6'),
        ("run@x", 'run@x: behind @ stands an iteration or best, and "x" is neither; there are @2, @5 and @6'),
        ("run@2.5", 'run@2.5: behind @ stands an iteration or best, and "2.5" is neither; there are @2, @5 and @6'),
        ("nothing@7", "nothing@7: nothing is no run's directory; name one, and @7 behind it"),
        ("nothing@best", "nothing@best: nothing is no run's directory; name one, and @best behind it"),
    ],
)
def test_a_near_miss_is_told_what_there_is(run: Path, name: str, sentence: str) -> None:
    with pytest.raises(GanlabError) as caught:
        generator_place(Path(name))
    assert str(caught.value) == sentence


def test_of_many_the_nearest_are_named_and_the_best(run: Path) -> None:
    for iteration in range(100, 2000, 100):
        shutil.copyfile(run / "generator.safetensors", run / f"generators/{iteration:08d}.safetensors")
    (run / "generator-best.safetensors").touch()
    nearest = "@800, @900, @1000, @1100, @1200, @1300, @1400, @1500 and @best"
    with pytest.raises(
        GanlabError, match=rf"iteration 1,150 and no checkpoint of it; of 22, the nearest are {nearest}$"
    ):
        generator_place(Path("run@1150"))


def test_a_run_that_keeps_none_says_how_others_do(run: Path) -> None:
    shutil.rmtree(run / "generators")
    shutil.rmtree(run / "checkpoints")
    keeps = (
        r"it keeps none but the newest, run; with \[snapshot\] generators = N, a run keeps that of every Nth snapshot$"
    )
    for name in ("run@2", "run@x"):
        with pytest.raises(GanlabError, match=keeps):
            generator_place(Path(name))


def test_only_what_is_the_runs_own_counts(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run / "checkpoints/00000005", run / "checkpoints/00000004")  # a copy of the user's
    (run / "generators/3.safetensors").touch()
    (run / "generators/000000007.safetensors").touch()
    (run / "generators/00000008.safetensors").mkdir()
    assert moments(RunDirectory(run)) == [2, 5, 6]
    os.rename(run / "generators", tmp_path / "elsewhere")
    (run / "generators").symlink_to(tmp_path / "elsewhere")
    assert moments(RunDirectory(run)) == [5, 6]


def test_a_link_in_a_run_is_not_followed(run: Path) -> None:
    kept = run / "generators/00000002.safetensors"
    kept.unlink()
    kept.symlink_to((run / "generator.safetensors").absolute())
    with pytest.raises(GanlabError, match=r"run/generators/00000002\.safetensors: is a link, and none is"):
        ganlab.load_generator("run@2")


def test_what_is_a_checkpoint(run: Path) -> None:
    assert is_checkpoint(run / "checkpoints/00000005")
    (run / "checkpoints/00000005/manifest.json").unlink()
    assert is_checkpoint(run / "checkpoints/00000005"), "a damaged one"
    shutil.copytree(run / "checkpoints/00000006", "copy")
    assert is_checkpoint(Path("copy"))
    for other in (run, run / "checkpoints", run / "generators", run / "generator.safetensors", Path("nothing")):
        assert not is_checkpoint(other)
