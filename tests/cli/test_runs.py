"""`ganlab runs`: the table, notes, deletion, and short names of runs wherever one is meant."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import Command
from hostile import NAME
from toys import tiny

from ganlab.recipe.toml import dumps
from ganlab.run.directory import INDEX, RunDirectory
from ganlab.run.listing import TAIL_BYTES
from ganlab.run.standing import write_note


def rows(command: Command) -> list[str]:
    ended = command("runs")
    assert (ended.code, ended.err) == (0, "")
    return ended.out.splitlines()[1:]


def test_no_run_is_a_sentence(command: Command) -> None:
    assert command("runs").out == "no runs are known here; ganlab run RECIPE begins one\n"


def test_the_table_says_how_each_run_stands_and_what_is_different_in_it(command: Command, recipe: Path) -> None:
    assert command("run", recipe, "--note", "first try").code == 0
    changed = ["--set", "train.iterations=4", "--set", "model.base_channels=8", "--progress", "off"]
    assert command("run", recipe, "--out", "faces", *changed).code == 0
    faces, toy = rows(command)
    loss = r"loss_discriminator \S+, loss_generator \S+"
    fields = r"faces     finished +now +32  toy with train\.iterations=4, model\.base_channels=8; "
    assert re.fullmatch(fields + loss, faces)
    assert re.fullmatch(rf"toy/0001  finished +now +96  {loss}; first try", toy)
    last = json.loads(Path("runs/toy/0001/metrics.jsonl").read_text().splitlines()[-1])
    assert f"loss_generator {last['loss_generator']:.4g}" in toy


def test_what_a_recipe_differs_in_from_the_shipped_one_is_shown_and_the_last_score(command: Command) -> None:
    clothes = {"name": "fashion_mnist", "split": "shipped", "resolution": 16}
    judged = {"metrics": ["sliced_wasserstein"], "count": 20, "best": "sliced_wasserstein"}
    table = tiny(dataset=clothes, snapshot={"every_iterations": 3}, evaluate=judged)
    Path("clothes.toml").write_text(f'extends = "quickstart"\n{dumps(table)}')
    assert command("run", "clothes.toml", "--set", "train.iterations=6").code == 0
    assert command("run", "clothes.toml", "--set", "train.iterations=3", "--out", "shoes").code == 0
    shoes, clothes_row = rows(command)
    score = json.loads(Path("runs/clothes/0001/.ganlab/score.json").read_text())
    best = "the best" if score["best"] == score["value"] else f"best {score['best']:.4g}"
    assert f"; sliced_wasserstein {score['value']:.4g} ({best}); loss_discriminator" in clothes_row
    assert " from quickstart with " in clothes_row
    assert "train.iterations=6" in clothes_row
    assert "dataset.resolution=16" in clothes_row
    assert "  clothes, from quickstart with " in shoes
    assert "(the best); loss_" in shoes


def test_without_a_record_the_index_says_what_was_changed(command: Command, recipe: Path) -> None:
    assert command("run", recipe, "--set", "train.iterations=4").code == 0
    Path("runs/toy/0001/.ganlab/session.json").unlink()
    (row,) = rows(command)
    assert re.match(r"toy/0001  unknown +now +32  train\.iterations=4; loss_", row)


def test_a_run_is_found_that_is_in_no_index_and_none_that_is_gone_or_listed_twice(
    command: Command, trained: Path
) -> None:
    shutil.copytree(trained, "runs/other/0007")
    shutil.copytree(trained, "runs/toy/0002")
    line = INDEX.read_text()
    with INDEX.open("a") as file:
        file.write(line + line.replace("0001", "0002") + '{"run": "runs/fac')
    shutil.rmtree("runs/toy/0002")
    assert sorted(row.split()[0] for row in rows(command)) == ["other/0007", "toy/0001"]
    INDEX.unlink()
    assert sorted(row.split()[0] for row in rows(command)) == ["other/0007", "toy/0001"]


def test_what_is_damaged_in_a_run_is_left_out_and_ends_nothing(command: Command, trained: Path) -> None:
    metrics = trained / "metrics.jsonl"
    good = '{"iteration": 3, "images": 24, "loss_generator": 0.5, "loss_x": null, "loss_y": "\\u001b[2J"}\n'
    metrics.write_text(good + '[]\n{"iteration": "x"}\n{"iter\n' + "\x00" * 50 + '\n{"iteration": 4}\n')
    (row,) = rows(command)
    assert row.endswith(" 96  loss_generator 0.5")
    digits = "9" * 400
    metrics.write_text(f'{{"iteration": 1, "images": {digits}, "loss_x": {digits}, "loss_y": 1e999}}')
    with INDEX.open("a") as file:
        for started in ("-1e999", "1e999", "NaN", "-1e300"):
            file.write(f'{{"run": "runs/toy/0001", "recipe": "toy", "started": {started}}}\n')
    (row,) = rows(command)
    assert row.endswith(" 96  loss_y inf")
    metrics.write_text("x" * 10 * TAIL_BYTES)
    for name in ("session.json", "written.json"):
        (trained / ".ganlab" / name).write_text("[" * 100_000)
    (row,) = rows(command)
    assert re.fullmatch(r"toy/0001  unknown +\S+(?: \w+)? +-", row)
    (trained / "metrics.jsonl").unlink()
    os.mkfifo(trained / "metrics.jsonl")
    assert len(rows(command)) == 1


def test_no_text_of_a_run_can_steer_the_terminal(command: Command, trained: Path) -> None:
    trained.rename(f"runs/toy/{NAME}")
    write_note(RunDirectory(Path(f"runs/toy/{NAME}")), "\x1b[2Jnote\u202e")
    out = command("runs").out
    assert out.replace("\n", "").isprintable()
    assert "\\x1b[2Jnote\\u202e" in out


def test_hundreds_of_runs_are_listed_at_once_and_without_torch(trained: Path) -> None:
    line = INDEX.read_text()
    for number in range(2, 301):
        shutil.copytree(trained, f"runs/toy/{number:04d}", ignore=shutil.ignore_patterns("*.safetensors", "*.png"))
        with INDEX.open("a") as file:
            file.write(line.replace("0001", f"{number:04d}"))
    code = "import sys; sys.argv = ['ganlab', 'runs']; from ganlab.cli import main; main()\n"
    code += "assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == 301


def test_few_files_are_opened_for_each_run(trained: Path) -> None:
    def opened(count: int) -> int:
        for number in range(2, count + 1):
            shutil.copytree(trained, f"runs/toy/{number:04d}", dirs_exist_ok=True)
        code = "import sys; opened = []; there = sys.argv[1]\n"
        code += "sys.addaudithook(lambda event, found: event == 'open' and opened.append(str(found[0])))\n"
        code += "sys.argv = ['ganlab', 'runs']; from ganlab.cli import main\n"
        code += "try: main()\n"
        code += "except SystemExit: pass\n"
        code += "sys.stderr.write(str(sum(name.startswith('runs') for name in opened)))"
        done = subprocess.run([sys.executable, "-c", code, "runs"], capture_output=True, text=True, check=True)
        assert len(done.stdout.splitlines()) == count + 1
        return int(done.stderr)

    few, many = opened(2), opened(12)
    assert (many - few) / 10 <= 10, "marker, lock, session, score, note, metrics, the checkpoint and its record"


@pytest.mark.parametrize("verb", [["info"], ["sample", "--count", "1"], ["export", "--safetensors"], ["evaluate"]])
def test_a_run_may_be_called_by_recipe_and_number(command: Command, trained: Path, verb: list[str]) -> None:
    word, *options = verb
    if word == "evaluate":
        options = ["--metrics", "sliced_wasserstein", "--count", "20", "--seeds", "1"]
    ended = command(word, "toy/1", *options)
    assert (ended.code, "runs/toy/0001" in ended.out) == (0, True), ended.err
    ended = command(word, "toy/2", *options)
    assert (ended.code, ended.err) == (2, "ganlab: there is no run 2 of toy; there is 1\n")
    assert command(word, "toy", *options).err == "ganlab: which run of toy? there is 1; name one, as in toy/1\n"


def test_a_run_goes_on_by_its_name(command: Command, recipe: Path, trained: Path) -> None:
    ended = command("run", "toy/1", "--resume", "--set", "train.iterations=14")
    assert "Trained 14 iterations" in ended.out
    assert json.loads((trained / ".ganlab/session.json").read_text())["overrides"] == ["train.iterations=14"]
    sentence = "is a run: --resume alone goes on with it, and runs/toy/0001/recipe.toml is its recipe, for a new one\n"
    assert command("run", "toy/1").err == f"ganlab: toy/1 {sentence}"
    assert command("run", trained, "--resume", "--out", "x").err == f"ganlab: runs/toy/0001 {sentence}"
    assert "there is no run 7 of toy; there is 1" in command("run", "toy/7", "--resume").err
    shutil.copytree(trained, "quickstart")  # the name of a recipe is the recipe
    assert command("run", "quickstart", "--out", "x", "--dry-run").code == 0
    again = command("run", recipe, "--init", "toy/1", "--set", "train.iterations=1")
    assert again.code == 0
    assert any("toy/0002" in row and 'train.init_from="runs/toy/0001"' in row for row in rows(command))


def answer(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


@pytest.mark.parametrize("text", ["", "\n", "n\n", "no\n", "yess\n"])
def test_nothing_is_deleted_unless_it_is_agreed_to(
    command: Command, trained: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    answer(monkeypatch, text)
    ended = command("runs", "rm", "toy/1")
    assert (ended.code, ended.err) == (2, "ganlab: nothing was deleted; y or --yes deletes\n")
    assert (trained / "generator.safetensors").exists()
    assert re.search(r"^toy/0001  finished  .*  \d+\.\d MB  loss_", ended.out)
    assert re.search(r"Delete 1 run of \d+\.\d MB for ever\? \[y/N\] $", ended.out)


def test_runs_are_deleted_and_what_is_not_ganlab_s_is_named(
    command: Command, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(trained, "runs/toy/0002")
    Path("runs/toy/0002/mine.txt").write_text("mine")
    answer(monkeypatch, "y\n")
    ended = command("runs", "rm", "toy/1", "toy/2", "runs/toy/0001")
    assert ended.code == 0, ended.err
    assert "Delete 2 runs" in ended.out
    assert "runs/toy/0001 is deleted\n" in ended.out
    assert ended.out.endswith("runs/toy/0002 is deleted but for what ganlab has not written: mine.txt\n")
    assert (os.listdir("runs/toy"), os.listdir("runs/toy/0002")) == (["0002"], ["mine.txt"])
    assert command("runs").out.startswith("no runs are known here")


def test_one_run_that_cannot_be_deleted_keeps_all(command: Command, trained: Path) -> None:
    with RunDirectory(trained).locked("toy"):
        assert rows(command)[0].split()[1] == "running"
        shutil.copytree(trained, "runs/toy/0002")
        ended = command("runs", "rm", "toy/2", "toy/1", "--yes")
    assert ended.code == 2
    assert ended.err.startswith("ganlab: runs/toy/0001 is in use by pid ")
    assert Path("runs/toy/0002/generator.safetensors").exists()


def test_what_an_interrupted_deletion_has_left_is_seen_and_deleted_by_the_same_command(
    command: Command, trained: Path
) -> None:
    trained.rename("runs/toy/0001.deleted")
    (row,) = rows(command)
    assert row.startswith("runs/toy/0001.deleted  half deleted ")
    assert command("runs", "rm", "toy/1", "--yes").code == 0
    assert os.listdir("runs/toy") == []
    Path("runs/toy/0001.deleted/.ganlab").mkdir(parents=True)  # the very end was interrupted
    assert command("runs", "rm", "toy/1", "--yes").code == 0
    assert os.listdir("runs/toy") == []


@pytest.mark.parametrize("name", ["x" * 300, "x" * 250, "a\nb", "toy/" + "9" * 30])
@pytest.mark.parametrize("verb", [["rm", "--yes"], ["note"]])
def test_what_can_be_no_run_is_a_sentence(command: Command, name: str, verb: list[str]) -> None:
    ended = command("runs", *verb, name, *(["text"] if verb == ["note"] else []))
    assert ended.code == 2
    assert ended.err.startswith("ganlab: ")


def test_a_note_is_kept_and_shown(command: Command, trained: Path) -> None:
    assert command("runs", "note", "toy/1", "the better one").code == 0
    assert rows(command)[0].endswith("; the better one")
    assert command("runs", "note", "toy/1", "").code == 0
    assert "better" not in rows(command)[0]
    assert (
        command("runs", "note", "runs", "x").err
        == "ganlab: runs is no run; ganlab runs lists those that are known here\n"
    )


def test_a_narrow_terminal_gets_rows_below_one_another(
    command: Command, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_note(RunDirectory(trained), "a word or two " * 10)
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(type(sys.stdout), "isatty", lambda _: True, raising=False)
    lines = command("runs").out.splitlines()
    assert max(map(len, lines[1:])) <= 48  # the four columns; the rest is below them, broken at 40
    assert " ".join(lines).count("word") == 10


def test_a_run_that_begins_while_the_table_is_read_is_not_refused(trained: Path) -> None:
    """Who looks whether a run is on holds its lock for a moment."""
    import fcntl
    import threading

    lock = os.open(trained / ".ganlab/lock", os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_SH)
    threading.Timer(0.1, os.close, [lock]).start()
    begun = time.monotonic()
    with RunDirectory(trained).locked("toy"):
        assert time.monotonic() - begun >= 0.05
