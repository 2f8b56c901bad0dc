"""`ganlab report`."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from command_line import Command


def test_the_newest_run_has_a_page_whose_path_and_size_are_said(command: Command, trained: Path) -> None:
    (trained / "report.html").unlink()
    ended = command("report")
    size = (trained / "report.html").stat().st_size / 1e6
    assert (ended.code, ended.out) == (0, f"runs/toy/0001/report.html  {size:.2f} MB\n")
    assert re.fullmatch(r"newest run: runs/toy/0001 \(toy, saved [a-z0-9 ]+\)\n", ended.err)
    assert (trained / "report.html").read_text().startswith("<!doctype html>")


def test_several_runs_have_one_here_and_out_names_another_place(command: Command, trained: Path) -> None:
    shutil.copytree(trained, trained.with_name("0002"))
    assert re.fullmatch(r"report\.html  0\.\d\d MB\n", command("report", "toy/1", "toy/2").out)
    assert "toy/0001 and toy/0002" in Path("report.html").read_text()
    assert command("report", "toy/1", "--out", "x/one.html").code == 0
    assert Path("x/one.html").exists()


def test_a_mistake_is_a_sentence_and_nothing_is_written_over(command: Command, trained: Path) -> None:
    place = "mine.html"
    Path(place).write_text("mine")
    for arguments, said in (
        (
            ["toy/1", "--out", "mine.html"],
            "mine.html is there and is no report of ganlab's; name another file, --out\n",
        ),
        (["toy/2"], "there is no run 2 of toy; there is 1\n"),
        (["mine.html"], "mine.html is a file; name a run's directory (ganlab runs lists those that are known here)\n"),
    ):
        ended = command("report", *arguments)
        assert (ended.code, ended.out, ended.err) == (2, "", f"ganlab: {said}")
    assert Path("mine.html").read_text() == "mine"
    shutil.rmtree("runs")
    assert command("report").err == (
        "ganlab: no run with a recipe is known in runs/ here; train one with ganlab run RECIPE, or name a file or run\n"
    )


def test_a_run_says_where_its_page_is_and_it_goes_with_the_run(command: Command, recipe: Path) -> None:
    ended = command("run", recipe, "--progress", "plain")
    assert "  report     runs/toy/0001/report.html\n" in ended.out + ended.err
    assert command("runs", "rm", "toy/1", "--yes").out.endswith("\nruns/toy/0001 is deleted\n")
    assert not Path("runs/toy/0001").exists()
