"""Run directories, their lock, and the index of runs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ganlab.errors import GanlabError, RunError
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
        enter_in_index(run, recipe)
    Path("runs/shoes/0001/generator.safetensors").touch()
    with INDEX.open("a") as file:
        file.write('{"run": "runs/fac')  # a crash cut this line short
    enter_in_index(new_directory("boots"), "boots")
    assert [entry.directory.path for entry in indexed_runs()] == [
        Path("runs/boots/0001"),
        Path("runs/faces/0002"),
        Path("runs/shoes/0001"),
        Path("runs/faces/0001"),
    ]
    assert newest_run(lambda run: run.generator.exists(), "a generator").recipe == "shoes"
    assert newest_run(lambda run: True, "anything", "faces").directory.path == Path("runs/faces/0002")
    with pytest.raises(GanlabError, match=r"no run of faces with a generator is known in runs/ here; train one"):
        newest_run(lambda run: run.generator.exists(), "a generator", "faces")


def test_a_run_elsewhere_is_found_from_here(tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    enter_in_index(RunDirectory(elsewhere), "faces")
    assert indexed_runs()[0].directory.path == elsewhere.resolve()


def test_a_directory_without_permission_is_named(tmp_path: Path) -> None:
    Path("runs").write_text("a file in the way")
    with pytest.raises(RunError, match=r"cannot write runs/faces: .*; choose a directory with --out DIR"):
        new_directory("faces")


def test_a_run_in_use_is_refused_and_a_killed_one_is_free(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    hold = "import sys, time; from pathlib import Path; from ganlab.run.directory import RunDirectory\n"
    hold += "with RunDirectory(Path(sys.argv[1])).locked(): print('held', flush=True); time.sleep(60)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    holder = subprocess.Popen([sys.executable, "-c", hold, str(run.path)], stdout=subprocess.PIPE, env=environment)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(GanlabError, match=f"is in use by pid {holder.pid} on "), run.locked():
        pass
    holder.kill()
    holder.wait()
    holder.stdout.close()
    deadline = time.monotonic() + 10
    with run.locked():
        assert time.monotonic() < deadline
