"""A run is deleted: all that ganlab has written, nothing else, and never half of it unseen."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from toys import tiny

import ganlab
from ganlab.errors import GanlabError, RunError
from ganlab.generator.export import export
from ganlab.run.deletion import deletable, delete_run, size_of
from ganlab.run.directory import RunDirectory
from ganlab.run.listing import known_runs, summary
from ganlab.run.standing import write_note

EVERYBODY = {"terminal": {"mode": "off"}, **dict.fromkeys(("log", "metrics", "samples", "plot", "gif"), True)}


def trained(out: str | None = None) -> Path:
    return ganlab.train(tiny(observers=EVERYBODY, train={"iterations": 4}), out=out, note="mine").directory


def contents(folder: Path) -> dict[str, bytes | None]:
    paths = sorted(folder.rglob("*"))
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in paths}


def test_all_that_a_run_its_notes_and_exports_have_written_goes() -> None:
    run = trained()
    export(run / "generator.safetensors", "safetensors", (), run / "copy.safetensors")
    ganlab.save_png(run / "seeds/a/1.png", ganlab.load_generator(run).sample(1)[0])
    write_note(RunDirectory(run), "note")
    assert size_of(RunDirectory(run)) == sum(path.stat().st_size for path in run.rglob("*") if path.is_file())
    assert delete_run(deletable(run)) == []
    assert os.listdir("runs/recipe") == []


def test_what_ganlab_has_not_written_stays_in_its_place() -> None:
    run = trained("run")
    (run / "elsewhere").mkdir()
    (run / "elsewhere/link").symlink_to("/etc")
    (run / "losses.png").unlink()
    (run / "losses.png").symlink_to("/etc/hosts")
    mine = ("samples/20240131.png", "checkpoints/00000004/notes", "checkpoints/20240131/x", ".ganlab/mine", "notes.txt")
    for name in (*mine, ".ganlab/tmp/mine"):
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).write_text(f"my {name}")
    (run / "empty").mkdir()
    stays = sorted([*mine, ".ganlab/tmp/mine", "elsewhere/link", "empty/", "losses.png"])
    assert delete_run(deletable(run)) == stays
    assert {name: (run / name).read_text() for name in mine} == {name: f"my {name}" for name in mine}
    assert os.listdir("run/samples") == ["20240131.png"]
    assert not Path("run.deleted").exists()
    with pytest.raises(GanlabError, match=r"^run is no run of this ganlab, so what in it may be deleted is not known$"):
        deletable(run)


@pytest.mark.parametrize("name", ["../mine", "/tmp/mine", "a/../../mine", "", ".", "\0", "..", "elsewhere/mine"])
def test_no_line_of_a_list_leads_out_of_the_run(tmp_path: Path, name: str) -> None:
    run = trained("run")
    (tmp_path / "mine").write_text("mine")
    (run / "elsewhere").symlink_to(tmp_path)
    with (run / ".ganlab/files.jsonl").open("a") as file:
        file.write("{\n[1]\n" + json.dumps(name.replace("/tmp", str(tmp_path))) + "\n" + "[" * 10_000)
    assert delete_run(deletable(run)) == ["elsewhere"]
    assert (tmp_path / "mine").read_text() == "mine"


def test_what_is_no_run_is_refused() -> None:
    run = trained("run")
    Path("link").symlink_to("run")
    Path("folder").mkdir()
    Path("run.deleted").mkdir()
    before = contents(run)
    for source, sentence in (
        ("nothing", "nothing does not exist; ganlab runs lists the runs that are known here"),
        ("link", "link is a link to run; name the directory itself"),
        ("folder", "folder is no run of this ganlab, so what in it may be deleted is not known"),
        ("run", "run.deleted is in the way; if an interrupted deletion has left it, delete that first"),
    ):
        with pytest.raises(GanlabError) as caught:
            deletable(Path(source))
        assert str(caught.value) == sentence
    assert contents(run) == before


def test_a_run_that_is_on_is_refused_also_where_it_began_after_the_question() -> None:
    run = RunDirectory(trained("run"))
    before = {name: data for name, data in contents(run.path).items() if name != ".ganlab/lock"}
    with run.locked("recipe"):
        for delete in (lambda: deletable(run.path), lambda: delete_run(run)):
            with pytest.raises(GanlabError, match=rf"^run is in use by pid {os.getpid()} on .*; stop that first"):
                delete()
    assert {name: data for name, data in contents(run.path).items() if name != ".ganlab/lock"} == before


DELETE = """
import os, sys
from pathlib import Path
from ganlab.run.deletion import deletable, delete_run
run, calls = deletable(Path("runs/recipe/1")), 0
def count(event, arguments):
    global calls
    if event in ("os.remove", "os.rmdir", "os.rename"):
        calls += 1
        if calls == int(sys.argv[1]):
            os._exit(9)
sys.addaudithook(count)
delete_run(run)
"""


def test_a_deletion_that_is_killed_anywhere_leaves_a_run_or_what_the_same_command_deletes() -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    at, code, states = 0, 9, set()
    run = trained()
    shutil.copytree(run, "whole")
    while code == 9:
        (run / "mine").write_text("mine")
        before, at = contents(run), at + 3
        code = subprocess.run([sys.executable, "-c", DELETE, str(at)], env=environment, check=False).returncode
        if run.exists() and (run / "recipe.toml").exists():
            assert contents(run) == before
        if code == 9 and RunDirectory(Path(f"{run}.deleted")).is_run:
            (known,) = known_runs()
            states.add(summary(known).state)
            assert not run.exists()
        if Path(f"{run}.deleted").exists() or RunDirectory(run).is_run:
            assert delete_run(deletable(Path("recipe/1"))) == ["mine"]
        assert {name: data for name, data in contents(run).items() if data is not None} == {"mine": b"mine"}
        shutil.rmtree(run)
        shutil.copytree("whole", run)
    assert (code, states) == (0, {"half deleted"})
    assert at > 20


def test_a_disk_that_refuses_is_named_and_the_same_command_goes_on() -> None:
    if os.getuid() == 0:
        pytest.skip("root may delete everything")
    run = trained("run")
    (run / "samples").chmod(0o500)
    with pytest.raises(RunError, match=r"cannot delete .*samples/.*: Permission denied; the same command goes on with"):
        delete_run(deletable(run))
    Path("run.deleted/samples").chmod(0o700)
    assert delete_run(deletable(run)) == []
    assert not Path("run.deleted").exists()


def test_a_new_run_may_lie_where_a_deletion_was_interrupted() -> None:
    trained("run")
    Path("run").rename("run.deleted")
    trained("run")
    with pytest.raises(GanlabError, match=r"run\.deleted is in the way"):
        deletable(Path("run"))
    Path("run.deleted/mine").write_text("mine")
    assert delete_run(deletable(Path("run.deleted"))) == ["mine"]
    assert Path("run.deleted/mine").read_text() == "mine"
    assert RunDirectory(Path("run")).is_run
