"""Run directories, their lock, and the index of runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from toys import tiny

import ganlab
from ganlab import Observer, RunInfo, Tick, hookimpl, save_png
from ganlab.errors import GanlabError, RunError
from ganlab.registry import registry
from ganlab.run.directory import INDEX, RunDirectory, enter_in_index, indexed_runs, new_directory, newest_run


def test_runs_of_a_recipe_are_numbered() -> None:
    assert [new_directory("faces").path for _ in range(2)] == [Path("runs/faces/0001"), Path("runs/faces/0002")]
    Path("runs/faces/notes").mkdir()
    Path("runs/faces/0041").mkdir()
    assert new_directory("faces").path == Path("runs/faces/0042")
    assert new_directory("shoes").path == Path("runs/shoes/0001")


def test_the_newest_run_that_has_what_is_needed_is_found() -> None:
    for recipe in ("faces", "shoes", "faces"):
        run = new_directory(recipe)
        enter_in_index(run, recipe, pytest.fail)
    Path("runs/shoes/0001/generator.safetensors").touch()
    with INDEX.open("a") as file:
        file.write('{"run": "runs/fac')  # a crash cut this line short
    enter_in_index(new_directory("boots"), "boots", pytest.fail)
    assert [entry.directory.path for entry in indexed_runs()] == [
        Path("runs/boots/0001"),
        Path("runs/faces/0002"),
        Path("runs/shoes/0001"),
        Path("runs/faces/0001"),
    ]
    assert newest_run(lambda run: run.generator.exists(), "a generator").recipe == "shoes"
    with pytest.raises(GanlabError, match=r"no run with a checkpoint is known in runs/ here; train one"):
        newest_run(lambda run: run.checkpoints.exists(), "a checkpoint")


def test_a_run_elsewhere_is_found_from_here(tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    enter_in_index(RunDirectory(elsewhere), "faces", pytest.fail)
    assert indexed_runs()[0].directory.path == elsewhere.resolve()


def test_a_run_is_entered_with_its_recipe_s_file_which_moves_with_it(tmp_path: Path) -> None:
    for folder in ("a", "a/runs"):
        Path(folder).mkdir()
    os.chdir("a")
    enter_in_index(RunDirectory(Path("run")), "faces", pytest.fail, Path("faces.toml").absolute())
    enter_in_index(RunDirectory(Path("run")), "faces", pytest.fail, tmp_path / "faces.toml")
    enter_in_index(RunDirectory(Path("run")), "faces", pytest.fail)
    lines = [json.loads(line) for line in INDEX.read_text().splitlines()]
    assert [line.get("file") for line in lines] == ["faces.toml", str((tmp_path / "faces.toml").resolve()), None]
    Path("run").mkdir()
    with INDEX.open("a") as file:
        file.writelines(f'{{"run": "run", "recipe": "x", "started": 1, "file": {bad}}}\n' for bad in ("7", '"\\u0000"'))
    assert [entry.file for entry in indexed_runs()] == [None, tmp_path / "faces.toml", Path("faces.toml")]


def test_a_run_is_entered_with_what_was_changed_in_its_recipe() -> None:
    ganlab.train(tiny(), out="run", overrides={"train.iterations": 1, "model.latent": "normal"})
    ganlab.train(tiny(train={"iterations": 1}), out="other")
    changed, plain = (json.loads(line) for line in INDEX.read_text().splitlines())
    assert changed["overrides"] == ["train.iterations=1", 'model.latent="normal"']
    assert "overrides" not in plain
    with INDEX.open("a") as file:
        start = '{"run": "run", "recipe": "x", "started": 1, "overrides": '
        file.writelines(f"{start}{bad}}}\n" for bad in ("7", '["a", 3]'))
    assert [entry.overrides for entry in indexed_runs()] == [("a",), (), (), tuple(changed["overrides"])]


def test_a_directory_without_permission_is_named(tmp_path: Path) -> None:
    Path("runs").write_text("a file in the way")
    with pytest.raises(RunError, match=r"cannot write runs/faces: .*; choose a directory, out="):
        new_directory("faces")


def test_a_run_in_use_is_refused_and_a_killed_one_is_free(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    hold = "import sys, time; from pathlib import Path; from ganlab.run.directory import RunDirectory\n"
    hold += "with RunDirectory(Path(sys.argv[1])).locked('faces'): print('held', flush=True); time.sleep(60)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    holder = subprocess.Popen([sys.executable, "-c", hold, str(run.path)], stdout=subprocess.PIPE, env=environment)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(GanlabError, match=f"is in use by pid {holder.pid} on "), run.locked("faces"):
        pass
    holder.kill()
    holder.wait()
    holder.stdout.close()
    with run.locked("faces"):
        pass


def contents(folder: Path) -> dict[str, bytes | None]:
    paths = sorted(folder.rglob("*"))
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in paths}


def test_a_folder_with_files_of_a_run_s_names_is_no_run(tmp_path: Path) -> None:
    """A user's own files are neither overwritten nor deleted, whatever they are called."""
    mine = tmp_path / "mine"
    for name in ("recipe.toml", ".tmp-mystuff/a.txt", ".tmp-4711-recipe.toml", "samples/20240131.png", ".lock"):
        (mine / name).parent.mkdir(parents=True, exist_ok=True)
        (mine / name).write_text(f"my {name}")
    (mine / "checkpoints/20240131").mkdir(parents=True)
    before = contents(mine)
    with pytest.raises(GanlabError, match="is not empty and holds no run of ganlab; name a new directory"):
        ganlab.train(tiny(), out=mine)
    assert contents(mine) == before


def test_what_a_user_puts_into_a_run_stays(tmp_path: Path) -> None:
    run = ganlab.train(tiny(train={"iterations": 4}), out="run").directory
    mine = ("samples/20240131.png", ".tmp-mystuff/a", ".tmp-1-x", "checkpoints/00000004/notes.txt", "notes.txt")
    for name in mine:
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).write_text(f"my {name}")
    ganlab.train(tiny(), out="run")
    assert {name: (run / name).read_text() for name in mine} == {name: f"my {name}" for name in mine}
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"00000004", "00000008", "00000012"}
    assert [path.name for path in (run / "checkpoints/00000004").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("name", ["log.txt", "samples", "checkpoints", "metrics.jsonl", ".ganlab"])
def test_a_link_in_a_run_leads_nowhere(tmp_path: Path, name: str) -> None:
    run = ganlab.train(tiny(train={"iterations": 4}), out="run").directory
    elsewhere = tmp_path / "elsewhere"
    (run / name).rename(elsewhere)
    (run / name).symlink_to(elsewhere)
    before = contents(tmp_path)
    with pytest.raises(GanlabError, match=f"run/{name} is a link; ganlab writes only into a run's own files"):
        ganlab.train(tiny(), out="run")
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    "name",
    [
        ".ganlab/tmp",
        ".ganlab/lock",
        ".ganlab/tmp/.tmp-1-x",
        "checkpoints/00000004",
        "checkpoints/00000004/state.safetensors",
        "samples/00000004.png",
    ],
)
def test_a_link_deep_in_a_run_leads_nowhere(tmp_path: Path, name: str) -> None:
    """Nothing of what a link leads to is read, changed or deleted, and that is said before pictures are packed."""
    run = ganlab.train(tiny(train={"iterations": 4}), out="run").directory
    elsewhere = tmp_path / "elsewhere"
    if (run / name).exists():
        (run / name).rename(elsewhere)
    else:
        elsewhere.mkdir()
    if elsewhere.is_dir():
        (elsewhere / "mine").mkdir()
        (elsewhere / "mine/text").write_text("mine")
    (run / name).symlink_to(elsewhere)
    shutil.rmtree("cache")
    before = contents(tmp_path)
    with pytest.raises(GanlabError, match=f"run/{name} is a link; ganlab writes only into a run's own files"):
        ganlab.train(tiny(), out="run")
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", [".ganlab", ".ganlab/tmp", "samples"])
def test_a_link_that_comes_while_a_run_is_on_leads_nowhere(tmp_path: Path, name: str) -> None:
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    with RunDirectory(run).locked("faces"):
        (run / "samples").mkdir()
        (elsewhere / "tmp/mine").mkdir(parents=True)
        (run / name).rename(tmp_path / "old")
        (run / name).symlink_to(elsewhere)
        if name == ".ganlab":
            shutil.copy(tmp_path / "old/run.json", elsewhere)
        before = contents(elsewhere)
        said: list[str] = []
        RunDirectory(run).sweep(said.append)
        if name == "samples":
            with pytest.raises(RunError, match=f"{name} is a link, and none is followed in a run's directory"):
                save_png(run / "samples/00000001.png", np.zeros((2, 2, 1), np.uint8))
        else:
            save_png(run / "samples/00000001.png", np.zeros((2, 2, 1), np.uint8))
            assert len(said) == 1
        assert contents(elsewhere) == before


def test_a_run_s_generator_is_not_read_through_a_link(tmp_path: Path) -> None:
    run = ganlab.train(tiny(train={"iterations": 4}), out="run").directory
    (run / "generator.safetensors").rename("mine.safetensors")
    (run / "generator.safetensors").symlink_to(tmp_path / "mine.safetensors")
    for path in (run, run / "generator.safetensors"):
        with pytest.raises(GanlabError, match=r"generator.safetensors: is a link, and none is followed in a run's"):
            ganlab.load_generator(path)
    Path("folder").mkdir()  # of somebody who keeps his files elsewhere
    Path("folder/generator.safetensors").symlink_to(tmp_path / "mine.safetensors")
    assert ganlab.load_generator("folder").sample(2).shape == (2, 8, 8, 1)


def test_a_copied_checkpoint_proves_no_run(tmp_path: Path) -> None:
    """Who copies checkpoints into a folder of his own keeps what else lies there."""
    run = ganlab.train(tiny(train={"iterations": 4}), out="run").directory
    mine = tmp_path / "mine"
    shutil.copytree(run / "checkpoints", mine / "checkpoints")
    for name in ("recipe.toml", "environment.json", "log.txt"):
        (mine / name).write_text(f"my {name}")
    before = contents(mine)
    with pytest.raises(GanlabError, match="is not empty and holds no run of ganlab; name a new directory"):
        ganlab.train(tiny(), out=mine)
    assert contents(mine) == before


def test_a_run_of_another_format_is_refused_and_left_as_it_is() -> None:
    run = ganlab.train(tiny(train={"iterations": 4}), out="run").directory
    marker = run / ".ganlab/run.json"
    marker.write_text(marker.read_text().replace('"format": 2', '"format": 1'))
    before = contents(run)
    with pytest.raises(GanlabError, match=r"of another version of ganlab, which cannot go on here \(format 1,"):
        ganlab.train(tiny(), out="run")
    assert contents(run) == before
    assert ganlab.load_generator(run).sample(1).shape == (1, 8, 8, 1)


def test_what_somebody_puts_among_ganlab_s_own_files_stays() -> None:
    """No name makes a file ganlab's to delete, in its own folder neither."""
    run = ganlab.train(tiny(train={"iterations": 4}), out="run").directory
    mine = ("error.txt", ".ganlab/tmp/mine", ".ganlab/notes", "checkpoints/00000001/u")
    for name in mine:
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).write_text(f"my {name}")
    ganlab.train(tiny(), out="run")
    assert {name: (run / name).read_text() for name in mine} == {name: f"my {name}" for name in mine}
    log = (run / "log.txt").read_text()
    assert log.count("checkpoints/00000001 was not written by this run: it is no checkpoint of it") == 1
    assert "cannot delete" not in log


def test_an_error_of_somebody_else_s_is_neither_replaced_nor_deleted() -> None:
    ganlab.train(tiny(train={"iterations": 4}), out="run")
    run = RunDirectory(Path("run"))
    assert run.write_error("theirs")
    run.delete_error()
    assert not run.error.exists()
    run.error.write_text("mine")
    assert not run.write_error("theirs")
    run.delete_error()
    assert run.error.read_text() == "mine"


def test_a_run_that_was_killed_before_its_marker_begins_anew(tmp_path: Path) -> None:
    (tmp_path / "run/.ganlab/tmp").mkdir(parents=True)
    (tmp_path / "run/.ganlab/tmp/.tmp-99999999-.ganlab-run.json").write_text("{")
    assert ganlab.train(tiny(), out="run").iterations == 12
    assert not list((tmp_path / "run/.ganlab/tmp").iterdir())


class Mover(Observer):
    """Moves or deletes the run's directory at its first tick."""

    api = 1
    to: str = ""
    """Where to; nowhere: it is deleted."""
    again: bool = False
    """Whether another one is put in its place."""

    @hookimpl
    def tick(self, run: RunInfo, tick: Tick) -> None:
        if tick.iteration == 5:
            shutil.move(run.directory, self.to) if self.to else shutil.rmtree(run.directory)
            if self.again:
                run.directory.mkdir()


@pytest.fixture
def _mover() -> Iterator[None]:
    registry.add("observer", "mover", Mover)
    yield
    registry.remove("observer", "mover")


@pytest.mark.usefixtures("_mover")
def test_a_directory_that_is_moved_is_followed() -> None:
    plain = ganlab.train(tiny(), out="plain")
    run = ganlab.train(tiny(observers={"terminal": {"mode": "off"}, "mover": {"to": "new"}}), out="old")
    assert run.directory == Path("new").resolve()
    assert not Path("old").exists()
    assert run.generator.read_bytes() == plain.generator.read_bytes()
    left = {path for path in contents(run.directory) if "tmp" not in path}
    assert left == {path for path in contents(plain.directory) if "tmp" not in path}
    assert f"the run's directory was moved from old to {run.directory}" in (run.directory / "log.txt").read_text()
    assert ganlab.train(tiny(), out="new").already_done


EVERYBODY = dict.fromkeys(("log", "metrics", "samples", "plot", "gif"), True)


@pytest.mark.usefixtures("_mover")
@pytest.mark.parametrize("again", [False, True], ids=["deleted", "another in its place"])
def test_a_directory_that_is_deleted_is_said_to_be_gone_and_not_made_again(
    capsys: pytest.CaptureFixture[str], again: bool
) -> None:
    watched = {"terminal": {"mode": "plain"}, "mover": {"again": again}} | EVERYBODY
    with pytest.raises(RunError) as caught:
        ganlab.train(tiny(observers=watched), out="gone")
    assert str(caught.value) == (
        "the run's directory gone is gone: it was deleted while the run was on, or moved to another disk. "
        'Nothing was written there any more; the same call with out="gone" begins a new run'
    )
    assert (os.listdir("gone") == []) if again else not Path("gone").exists()
    assert "failed" not in capsys.readouterr().err
    assert ganlab.train(tiny(), out="gone").iterations == 12


@pytest.mark.parametrize(
    "line",
    [
        '{"run": "x", "recipe": "x", "started": ' + "9" * 400 + "}",
        "[" * 100_000,
        "{}",
        "",
        '{"run": "' + "x" * 5000 + '", "recipe": "x", "started": 1}',
        '{"run": "a\\u0000b", "recipe": "x", "started": 1}',
        '{"run": "/\\ud800", "recipe": "x", "started": 1}',
        '{"run": ".", "recipe": "x", "started": 1, "file": "/\\ud800"}',
        '{"run": ".", "recipe": "x", "started": 1, "file": "' + "x" * 5000 + '"}',
    ],
)
def test_no_line_of_the_index_ends_a_verb(line: str) -> None:
    INDEX.parent.mkdir()
    INDEX.write_text(f"{line}\n")
    assert indexed_runs() == []


@pytest.mark.parametrize("text", ["my notes\n", '{"name": "mine"}\n', "\x00\x01"])
def test_another_program_s_index_is_left_alone(text: str) -> None:
    INDEX.parent.mkdir()
    INDEX.write_text(text)
    run = ganlab.train(tiny(train={"iterations": 4}), out="run")
    assert INDEX.read_text() == text
    assert (
        "runs/index.jsonl is not ganlab's, so this run is not listed in it" in (run.directory / "log.txt").read_text()
    )


@pytest.mark.parametrize("name", ["metrics.jsonl", "log.txt", "samples/00000004.png"])
def test_a_pipe_in_place_of_a_file_is_refused(tmp_path: Path, name: str) -> None:
    run = ganlab.train(tiny(train={"iterations": 4}), out="run").directory
    (run / name).unlink()
    os.mkfifo(run / name)
    with pytest.raises(GanlabError, match=rf"run/{name} is a pipe or a device, not a file; remove it"):
        ganlab.train(tiny(), out="run")


def test_a_pipe_in_place_of_the_index_is_no_index() -> None:
    INDEX.parent.mkdir()
    os.mkfifo(INDEX)
    assert indexed_runs() == []
    said: list[str] = []
    enter_in_index(RunDirectory(Path("run")), "toy", said.append)
    assert len(said) == 1
    assert "is not ganlab's" in said[0]


def test_a_pipe_in_place_of_the_marker_proves_nothing() -> None:
    Path("run/.ganlab").mkdir(parents=True)
    os.mkfifo("run/.ganlab/run.json")
    run = RunDirectory(Path("run"))
    assert (run.is_run, run.begun_in) == (False, None)
