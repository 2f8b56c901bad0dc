"""The command line as a whole: errors become messages and exit codes, output that is lost, and what is imported."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from command_line import Command, outside

from ganlab.cli import ganlab as group
from ganlab.cli import main
from ganlab.errors import GanlabError, Interrupted, LostRankError, PluginError, RankError, RecipeError, RunError


@pytest.fixture
def fail() -> Iterator[Callable[[BaseException], None]]:
    """Return a function that makes `ganlab fail` raise something."""

    def add(error: BaseException) -> None:
        @group.command("fail")
        def command() -> None:
            raise error

    yield add
    group.commands.pop("fail", None)


# How a command ends


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (GanlabError("this; do that"), 2, "ganlab: this; do that\n"),
        (RecipeError(["r.toml:1: this", "r.toml:2: that"]), 2, "ganlab: r.toml:1: this\nr.toml:2: that\n"),
        (RunError("it diverged"), 1, "ganlab: it diverged\n"),
        (Interrupted("stopped by SIGTERM", signal.SIGTERM), 143, "ganlab: stopped by SIGTERM\n"),
        (KeyboardInterrupt(), 130, "ganlab: stopped by Ctrl-C\n"),
        (click.Abort(), 130, "ganlab: stopped by Ctrl-C\n"),
        (click.UsageError("not like this"), 2, "Error: not like this\n"),
        (
            ModuleNotFoundError("No module", name="onnxruntime"),
            2,
            "ganlab: this needs the package onnxruntime, which is not installed: pip install onnxruntime\n",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_what_is_raised_becomes_a_message_and_an_exit_code(
    command: Command, fail: Callable[[BaseException], None], error: BaseException, code: int, said: str
) -> None:
    fail(error)
    ended = command("fail")
    assert (ended.code, ended.out) == (code, "")
    assert ended.err.endswith(said)


@pytest.mark.parametrize(
    "error", [ValueError("a bug"), ModuleNotFoundError("No module", name="ganlab_strange")], ids=str
)
def test_a_bug_keeps_its_traceback(
    error: Exception, fail: Callable[[BaseException], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(error)
    monkeypatch.setattr(sys, "argv", ["ganlab", "fail"])
    with pytest.raises(type(error)) as caught:
        main()
    assert caught.value is error
    monkeypatch.setenv("RANK", "3")
    if isinstance(error, ValueError):
        with pytest.raises(ValueError, match="a bug"):
            main()
        assert error.__notes__ == ["This was rank 3."]


def test_an_author_sees_what_a_message_sums_up(
    fail: Callable[[BaseException], None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = PluginError('loss "toy" cannot be used')
    error.__cause__ = ZeroDivisionError("by their leave")
    fail(error)
    monkeypatch.setattr(sys, "argv", ["ganlab", "fail"])
    for strict, lines in (("0", 1), ("1", 2)):
        monkeypatch.setenv("GANLAB_STRICT_PLUGINS", strict)
        with pytest.raises(SystemExit):
            main()
        said = capsys.readouterr().err.splitlines()
        assert said[-1] == 'ganlab: loss "toy" cannot be used'
        assert said[:-1] == ["ZeroDivisionError: by their leave"][: lines - 1]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["rum", "toy.toml"], "No such command 'rum'. Did you mean 'run'?"),
        (["--no-plugin"], "No such option '--no-plugin'. Did you mean '--no-plugins'?"),
        (["sample", "--count", "0"], "0 is not in the range x>=1"),
    ],
)
def test_a_mistyped_command_comes_with_the_nearest(command: Command, arguments: list[str], sentence: str) -> None:
    ended = command(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert sentence in ended.err


def test_windows_is_refused_in_a_sentence(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganlab.cli.sys.platform", "win32")
    assert command("--help") == (2, "", "ganlab: ganlab needs Linux or macOS; on Windows, use it inside WSL\n")


def test_a_pickle_is_never_loaded(command: Command) -> None:
    import torch

    class Canary:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path("canary").touch, ())

    torch.save(Canary(), "generator.pt")
    for arguments in (["info"], ["sample"], ["export", "--onnx"]):
        ended = command(arguments[0], "generator.pt", *arguments[1:])
        assert ended.code == 2
        assert "ganlab never loads pickles" in ended.err
    assert not Path("canary").exists()


# Of several processes


@pytest.mark.parametrize(
    ("error", "signed"),
    [
        (RunError("it diverged"), "rank 1: it diverged"),
        (GanlabError("this"), "rank 1: this"),
        (RecipeError(["r.toml:1: this"]), "r.toml:1: this"),
        (PluginError("this"), "this"),
        (Interrupted("stopped", signal.SIGINT), "stopped"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_message_that_may_not_hold_for_all_is_signed_and_only_one_process_speaks(
    command: Command,
    fail: Callable[[BaseException], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    error: GanlabError,
    signed: str,
) -> None:
    folder = tmp_path / "attempt" / "1"
    folder.mkdir(parents=True)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(folder / "error.json"))
    fail(error)
    assert command("fail") == (error.exit_code, "", f"ganlab: {signed}\n")
    assert command("fail") == (error.exit_code, "", ""), "it was said before"


def test_who_only_ends_for_anothers_sake_is_silent_where_that_one_has_spoken(
    command: Command, fail: Callable[[BaseException], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(tmp_path / "attempt" / "1" / "error.json"))
    monkeypatch.setenv("GROUP_WORLD_SIZE", "1")
    (tmp_path / "attempt").mkdir()
    fail(LostRankError("rank 0 does not answer", "try again", ended=False))
    assert command("fail") == (1, "", "ganlab: rank 0 does not answer; try again\n"), "it knows itself"
    for error in (RankError("rank 0 failed"), LostRankError("rank 0 has ended", "try again", ended=True)):
        fail(error)
        assert command("fail") == (1, "", "")


# Output that nobody takes; tests/durable has closed and full streams


def test_a_closed_pipe_is_no_error() -> None:
    process = outside("plugins")
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait() in (0, 1)
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()


# What is imported

HEAVY = {"torch", "torchvision", "onnx", "onnxruntime", "PIL"}
CHECK = {*HEAVY, "numpy", "rich", "ganlab.recipe.json_schema"}
HELP = {*CHECK, "pydantic", "ganlab.registry.lookup"}
LIGHT = [
    (["--help"], {*HELP, "importlib.metadata"}),
    (["run", "--help"], HELP),
    (["plugins", "--help"], HELP),
    (["recipes"], CHECK),
    (["recipes", "check", "dcgan_celeba"], CHECK),
    (["recipes", "check", "dcgan_mnist"], CHECK),
    (["plugins"], HEAVY),
]
"""Commands, and modules that each does without, even after those before it: so they are quick on any machine."""


def test_help_lists_and_checks_import_little() -> None:
    code = (
        "import json, sys\n"
        "from ganlab.cli import main\n"
        "for arguments in json.loads(sys.argv[1]):\n"
        "    sys.argv = ['ganlab', *arguments]\n"
        "    try: main()\n"
        "    except SystemExit as error: assert not error.code, error.code\n"
        "    print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    )
    words = json.dumps([arguments for arguments, _ in LIGHT])
    done = subprocess.run([sys.executable, "-c", code, words], capture_output=True, text=True, check=True)
    for (arguments, absent), line in zip(LIGHT, done.stderr.splitlines(), strict=True):
        assert absent & set(json.loads(line)) == set(), arguments
