"""What the command line prints, where names, recipes and files are a stranger's."""

from __future__ import annotations

import ast
import json
import shutil
import sys
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path

import click
import pytest
from command_line import Command, Ended
from distributions import put
from hostile import LINE, NAME, TYPED, check_harmless
from measurement import REPORT
from PIL import Image
from rich.console import Console
from toys import tiny

import ganlab
from ganlab.cli.bench import show
from ganlab.cli.output import say, say_mistake, say_row
from ganlab.recipe.toml import dumps
from ganlab.registry import registry

CLI = Path(ganlab.__file__).parent / "cli"


def check(ended: Ended, code: int, *shown: str) -> None:
    """Check that a command ended so, showed these, and printed nothing that a terminal obeys."""
    assert ended.code == code, ended
    for text in shown:
        assert text in ended.out + ended.err
    check_harmless(ended.out)
    check_harmless(ended.err)


def pictures(folder: Path, bad: int) -> dict[str, object]:
    """Fill a folder with pictures, some of them bad, and with a cache; return the dataset's options."""
    for number in range(12):
        path = folder / f"{number}{NAME}" / f"{NAME}.png"
        path.parent.mkdir(parents=True)
        Image.new("L", (8, 8), number).save(path) if number >= bad else path.write_text("no picture")
    cache = folder / f"cache{NAME}"
    cache.mkdir()
    (cache / "CACHEDIR.TAG").write_bytes(b"Signature: 8a477f597d28d172789f06886806bc55")
    return {"name": "image_folder", "root": str(folder), "resolution": 8, "channels": 1}


def test_the_list_of_bad_pictures(command: Command, tmp_path: Path) -> None:
    Path("toy.toml").write_text(dumps(tiny(dataset=pictures(tmp_path / "pictures", 3))))
    check(command("run", "toy.toml"), 2, "3 of the 12 pictures", "[red]:bomb:", r"\u202egnp")


@pytest.mark.parametrize("progress", ["plain", "json", "rich"])
def test_a_run_of_such_pictures_by_such_a_recipe_and_its_log(command: Command, tmp_path: Path, progress: str) -> None:
    options = pictures(tmp_path / f"pictures{NAME}", 1) | {"on_bad": "skip"}
    recipe = f"{TYPED}.toml"
    Path(recipe).write_text(dumps(tiny(dataset=options, train={"iterations": 2})))
    ended = command("run", recipe, "--progress", progress)
    assert ended.code == 0, ended.err
    for text in (ended.out, ended.err):
        own = "\x1b\r" if progress == "rich" and text is ended.err else ""
        check_harmless(text, own)
        for sequence in ("\x1b]", "\x1b[31m", "\x1b[2J", "\r\r"):
            assert sequence not in text
    (log,) = Path("runs").rglob("log.txt")
    check_harmless(log.read_text())
    for text in ("left out", "a run or a cache of ganlab's own", "[red]:bomb:"):
        assert text in log.read_text()


def test_verbs_on_a_recipe(command: Command) -> None:
    recipe = f"{TYPED}.toml"
    Path(recipe).write_text(dumps(tiny(dataset={"name": "image_folder", "root": TYPED})))
    check(command("recipes", "check", recipe), 0, "no mistakes found")
    shown = command("recipes", "show", recipe)
    check(shown, 0)
    Path("again.toml").write_text(shown.out)
    assert command("recipes", "show", "again.toml").out == shown.out
    check(command("recipes", "copy", "quickstart", f"copy{TYPED}"), 0, "edit it")
    check(command("run", recipe), 2, "does not exist")
    check(command("run", recipe, "--dry-run"), 2, "does not exist")
    check(command("bench", recipe), 2, "does not exist")
    check(command("recipes", "check", recipe, "--set", f"model.{TYPED}={TYPED}"), 2)
    check(command("recipes", "check", recipe, "--set", f"dataset.root={json.dumps(TYPED)}"), 0)


def test_verbs_on_a_run(command: Command, trained: Path, tmp_path: Path) -> None:
    place = tmp_path / f"run{NAME}"
    shutil.move(trained, place)
    entry = {"run": str(place), "recipe": NAME, "started": 1.0}
    Path("runs/index.jsonl").write_text(json.dumps(entry) + "\n")
    for words in (["info"], ["sample", "--count", "1"], ["export", "--safetensors", "--out", f"{TYPED}.safetensors"]):
        check(command(*words), 0, "newest run: ", "[red]:bomb:")
    check(command("info", f"{TYPED}/none"), 2, "does not exist")
    check(command("sample", place, "--out", f"{TYPED}.gif"), 2, "name a file that ends in")
    Path(TYPED).mkdir()
    Path(TYPED, "generator.safetensors").write_bytes(NAME.encode())
    check(command("info", TYPED), 2, "is neither a safetensors nor an ONNX file")


def test_plugins(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = f"from ganlab.interfaces import Model\nclass M(Model):\n    __doc__ = {TYPED!r}\n    api = 1\n"
    code += "    def check(self, images): pass\n    def build(self, images): return {}\n"
    put(tmp_path, "strange", "[ganlab.models]\nstrange = strange:M\nbroken = strange:None", code, version="1\x1b[31m")
    monkeypatch.syspath_prepend(tmp_path)
    registry.scan(lambda name: name in ("ganlab", "strange"))
    try:
        check(command("plugins"), 0, "strange 1", "Broken:")
        check(command("plugins", "show", "model", "strange"), 0, "[red]:bomb:")
    finally:
        sys.path.remove(str(tmp_path))
        registry.scan()
    check(command("plugins", "disable", TYPED), 2, "is no distribution")
    check(command("plugins", "new", TYPED), 2)
    check(command("plugins", "check", f"./{TYPED}"), 2)
    check(command("schema", "--out", f"{TYPED}.json"), 0, "begin a recipe beside it")


@pytest.mark.parametrize(
    "words", [[TYPED], ["run"], ["run", f"--{TYPED}"], ["sample", "--count", TYPED], ["export", TYPED]]
)
def test_mistakes_on_the_command_line(command: Command, words: list[str]) -> None:
    check(command(*words), 2)


def test_the_table_of_a_measurement() -> None:
    file = StringIO()
    show(replace(REPORT, recipe=NAME), Console(file=file, width=1000))
    check_harmless(file.getvalue())
    assert "[red]:bomb:" in file.getvalue()


def test_a_text_keeps_its_lines_and_a_path_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    say("a\n\tb\x1b[2J")
    say(Path("a\nb\x1b[2J"), err=True)
    say_mistake(click.UsageError(f"{NAME[:9]}\nsecond line"))
    out, err = capsys.readouterr()
    assert out == "a\n\tb\\x1b[2J\n"
    assert err == "a\\nb\\x1b[2J\nError: \\x1b]0;owned\nsecond line\n"


def test_an_error_is_harmless_in_python_too() -> None:
    assert str(ganlab.GanlabError(f"a\n\x1b[2J{LINE}")) == f"a\n\\x1b[2J{LINE}"


def test_no_verb_prints_past_it() -> None:
    for path in CLI.rglob("*.py"):
        names = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
        assert path.name == "output.py" or not names & {"echo", "secho", "print_exception", "stdout.write"}, path


class Terminal(StringIO):
    """Stdout, on which the width of COLUMNS counts."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 120])
@pytest.mark.parametrize("words", [["plugins"], ["recipes"]])
def test_tables_break_between_words_on_a_terminal_and_not_at_all_elsewhere(
    command: Command, words: list[str], columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", f"{columns}")
    rows = command(*words).out.splitlines()
    terminal = Terminal()
    with redirect_stdout(terminal):
        assert command(*words).code == 0
    lines = click.unstyle(terminal.getvalue()).splitlines()
    assert " ".join(" ".join(lines).split()) == " ".join(" ".join(rows).split()), "not a word is lost or broken"
    head = max(len(row.rpartition("  ")[0]) for row in rows)
    head = max(head, len(rows[0]) if words == ["plugins"] else 0)  # its heading is one line
    assert [line for line in lines if len(line) > max(columns, head) and len(line.split()) > 1] == []
    assert len(lines) > len(rows) or columns == 120


@pytest.mark.parametrize("words", [["--help"], ["plugins", "--help"], ["recipes", "--help"]])
def test_what_a_verb_does_fits_on_its_line_of_the_help(
    command: Command, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    said = command(*words).out
    assert "..." not in said.partition("Commands:")[2]
    assert max(map(len, said.splitlines())) <= 80


@pytest.mark.parametrize(("letters", "beside"), [(40, True), (41, False), (76, False), (90, False)])
def test_a_row_goes_on_beside_its_head_where_its_words_fit_there(
    letters: int, beside: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(type(sys.stdout), "isatty", lambda _: True, raising=False)
    head, word = "h" * 38, "w" * letters
    say_row(head, f"first {word} last")
    lines = capsys.readouterr().out.splitlines()
    indent = 40 if beside else 4
    rest = [f"{'':<{indent}}first", f"{'':<{indent}}{word}", f"{'':<{indent}}last"]
    if beside:
        assert lines == [f"{head}  first", *rest[1:]]
    else:
        assert lines[0] == head
        assert " ".join(" ".join(lines[1:]).split()) == f"first {word} last"
        assert all(line.startswith("    ") for line in lines[1:])
