"""`write_report`: what is a run, where the page lies, what it never writes over, and what it says of hostile names."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from hostile import NAME
from left_runs import RECIPE, left_run
from showing.test_markup import Read
from toys import tiny

import ganlab
from ganlab.errors import GanlabError, RunError
from ganlab.run.deletion import deletable, delete_run
from ganlab.run.report import check_place, names_in_page, write_report

MARKUP = "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=1>"


def elements(path: Path) -> list[str]:
    return [name for name, _ in Read(path.read_text()).elements]


def texts(path: Path) -> str:
    return " ".join(Read(path.read_text()).texts)


def test_the_page_of_a_run_lies_in_it_and_is_deleted_with_it(tmp_path: Path) -> None:
    run = ganlab.train(tiny(), out=tmp_path / "run")
    page = run.directory / "report.html"
    page.unlink()
    assert run.report() == page
    assert page.stat().st_size < 300_000
    assert run.report(tmp_path / "x" / "other.html") == tmp_path / "x" / "other.html"
    assert delete_run(deletable(run.directory)) == []
    assert not run.directory.exists()


def test_several_runs_have_a_page_in_this_folder_and_each_is_in_it_once(tmp_path: Path) -> None:
    for number in (1, 2):
        left_run(Path(f"runs/faces/000{number}"), recipe=RECIPE.replace("32", str(number)))
    path = write_report(["faces/1", "runs/faces/0002", Path("runs/faces/0001").absolute()])
    assert path == Path("report.html")
    read = texts(path)
    assert "faces/0001 and faces/0002 – ganlab" in read
    assert "model.latent_dim 1 2" in read
    assert str(tmp_path) not in read.replace(str(tmp_path / "runs" / "faces"), ""), "whoever gets it learns no path"
    assert elements(path).count("figure") == 4 + 4, "a film and real pictures of each, a chart of each number"


def test_runs_are_called_by_what_tells_them_apart() -> None:
    assert names_in_page([Path("runs/faces/0003")]) == ["faces/0003"]
    assert names_in_page([Path("/a/best")]) == ["best"]
    assert names_in_page([Path("/a/x/1"), Path("/b/x/1"), Path("/b/y/1"), Path("/c")]) == ["a/x/1", "b/x/1", "y/1", "c"]
    assert names_in_page([Path("/x"), Path("/y/x")]) == ["//x", "y/x"]


@pytest.mark.parametrize("content", ["mine", "", "<!doctype html><p>mine"])
def test_a_file_that_is_no_report_is_left(tmp_path: Path, content: str) -> None:
    run = left_run(tmp_path / "r")
    (run / "report.html").write_text(content)
    with pytest.raises(
        GanlabError, match=r"report\.html is there and is no report of ganlab's; name another file, out="
    ):
        write_report([run])
    assert (run / "report.html").read_text() == content
    assert write_report([run], tmp_path / "new.html").exists()
    before = (tmp_path / "new.html").read_text()
    write_report([run], tmp_path / "new.html")
    assert len((tmp_path / "new.html").read_text()) == len(before), "ours is written anew"


def test_links_folders_and_pipes_are_no_place(tmp_path: Path) -> None:
    run = left_run(tmp_path / "r")
    ours = write_report([run])
    (tmp_path / "link.html").symlink_to(ours)
    (tmp_path / "dangling.html").symlink_to(tmp_path / "none")
    os.mkfifo(tmp_path / "pipe.html")
    for name in ("link.html", "dangling.html", "pipe.html"):
        with pytest.raises(GanlabError, match="is there and is no report"):
            check_place(tmp_path / name)
    with pytest.raises(GanlabError, match="is a directory; name a file"):
        write_report([run], tmp_path)
    with pytest.raises(RunError, match="cannot write"):
        write_report([run], ours / "below.html")


def test_what_is_no_run_is_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    for name, said in (
        ("empty", "holds no run of ganlab; ganlab runs lists"),
        ("file", "is a file; name a run's directory"),
        ("none", "does not exist; name a run's directory"),
        ("a\0b", "holds what no path can hold"),
    ):
        with pytest.raises(GanlabError, match=said):
            write_report([tmp_path / name])
    with pytest.raises(GanlabError, match="name at least one run"):
        write_report([])


@pytest.mark.parametrize("part", ["recipe.toml", "metrics.jsonl", "samples"])
def test_a_part_of_a_run_is_enough(tmp_path: Path, part: str) -> None:
    run = left_run(tmp_path / "r")
    (tmp_path / "copy").mkdir()
    (run / part).rename(tmp_path / "copy" / part)
    read = texts(write_report([tmp_path / "copy"]))
    assert "unknown" in read
    assert "is missing, so there" in read


def test_nothing_that_a_run_says_becomes_html(tmp_path: Path) -> None:
    stats = {"loss_a": 1.0, "b": 0.1, "c": 0.0}
    plain = elements(write_report([left_run(tmp_path / "plain", stats=stats, rows=["a"], note="a", overrides=["a=1"])]))
    name = "<img src=x onerror=alert(1)>"
    run = left_run(
        tmp_path / name,
        recipe=f"seed = 0\n[model]\nname = {json.dumps(MARKUP)}\n",
        stats={f"loss_{MARKUP}": 1.0, MARKUP: 0.1, f"'\"{NAME}": 0.0},
        rows=[MARKUP],
        overrides=[f"model.name={MARKUP}"],
        note=MARKUP + NAME,
    )
    (run / "log.txt").write_text(MARKUP)
    (run / ".ganlab" / "run.json").write_text(json.dumps({"format": 2, "recipe": MARKUP}))
    page = write_report([run])
    assert elements(page) == plain
    read = Read(page.read_text())
    assert [one for one, _ in read.elements].count("script") == 3
    assert not [given for _, given in read.elements if any(key.startswith("on") for key in given)]
    assert all((given["src"] or "").startswith("data:image/") for one, given in read.elements if one == "img")
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202e\u2066]", page.read_text())
    assert MARKUP in " ".join(read.texts), "it is shown, as a text"


def test_a_conditional_run_names_its_rows(tmp_path: Path) -> None:
    few = write_report([left_run(tmp_path / "few", rows=["cat", "dog"])])
    labels = re.search(r'<ol class="rows".*?</ol>', few.read_text())
    assert labels is not None
    assert Read(labels[0]).texts == ["cat", "dog"]
    many = write_report([left_run(tmp_path / "many", rows=[f"class {number}" for number in range(1000)])])
    assert "What the rows show, from top to bottom" in texts(many)
    assert many.stat().st_size < 500_000


def test_health_is_a_section_where_a_run_was_examined(tmp_path: Path) -> None:
    run = left_run(tmp_path / "r")
    assert 'id="health"' not in write_report([run]).read_text(), "nobody watched it"
    recipe = (run / "recipe.toml").read_text()
    (run / "recipe.toml").write_text(f"{recipe}\n[observers.health]\n")
    assert "Nothing was found to be wrong." in texts(write_report([run]))
    line = {"name": "saturation", "iteration": 1500, "images": 9, "epoch": 1.0, "ended": False, "since": 500}
    line |= {"evidence": "all is <b>", "threshold": "half", "numbers": {}}
    line["advice"] = [{"text": "it is slower", "setting": "optimizer.lr=1e-4"}]
    (run / "findings.jsonl").write_text(json.dumps(line) + "\n")
    read = " ".join(texts(write_report([run])).split())
    assert "At iteration 1,500, saturation: all is <b>. What may help: optimizer.lr=1e-4 (it is slower)" in read


def test_25_epochs_at_64_pixels_are_less_than_3_megabytes_and_keep_their_spike(tmp_path: Path) -> None:
    run = left_run(tmp_path / "r", ticks=20_000, epochs=25, snapshots=26, pixels=64, channels=3, grid=8)
    lines = (run / "metrics.jsonl").read_text().splitlines()
    lines[7777] = json.dumps({**json.loads(lines[7777]), "loss_generator": 4321.0})
    (run / "metrics.jsonl").write_text("\n".join(lines))
    page = write_report([run])
    assert page.stat().st_size < 3_000_000
    assert "4321.0" in page.read_text()
