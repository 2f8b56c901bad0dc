"""Broken plugins, all installed at once as real distributions: nobody but who names one notices."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from broken_plugins import ALL, AT_IMPORT, BY_METADATA, OF_THE_WRONG_FORM, Plugin, install
from toys import tiny

from ganlab.recipe.toml import dumps

DRIVER = """
import contextlib, io, json, os, sys, traceback
from ganlab.cli import main

for line in sys.stdin:
    arguments, environment = json.loads(line)
    os.environ.update(environment)
    out, err, code = io.StringIO(), io.StringIO(), 0
    sys.argv = ["ganlab", *arguments]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as error:
            code = error.code
        except BaseException:
            traceback.print_exc()
            code = 99
    for name in environment:
        del os.environ[name]
    if "--no-plugins" in arguments:
        from ganlab.registry import registry
        registry.scan()  # as a new process would
    heavy = "torch" in sys.modules
    print(json.dumps([code, out.getvalue(), err.getvalue(), heavy]), flush=True)
"""
"""Takes one command after the other, so that torch is imported once."""


class Ended(NamedTuple):
    code: int
    out: str
    err: str
    torch_is_there: bool


class Machine:
    """A process of its own, where broken plugins are installed, by default all of them."""

    def __init__(self, folder: Path, *plugins: Plugin) -> None:
        self.folder = folder
        self.site = install(folder / "site", *plugins)
        self.environment = surroundings(folder, self.site)
        recipe = tiny()
        recipe["dataset"] = {"name": "fashion_mnist", "resolution": 8, "split": "shipped"}
        (folder / "toy.toml").write_text(dumps(recipe))
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", DRIVER],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ganlab(self, *arguments: str, **environment: str) -> Ended:
        if self._process is None:
            self.start()
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([arguments, environment]), file=self._process.stdin, flush=True)
        return Ended(*json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        if self._process is not None:
            self._process.communicate()


def surroundings(folder: Path, site: Path) -> dict[str, str]:
    return os.environ | {
        "PYTHONPATH": os.pathsep.join([str(site), *sys.path]),
        "GANLAB_CACHE": str(folder / "cache"),
        "GANLAB_CONFIG": str(folder / "config"),
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "200",
    }


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Any:
    found = Machine(tmp_path_factory.mktemp("machine"))
    yield found
    found.close()


def test_the_distributions_are_real(machine: Machine) -> None:
    """Python's own reading of them breaks down, which is what ganlab has to live with."""
    code = "from importlib.metadata import entry_points; entry_points(group='ganlab.losses')"
    done = subprocess.run([sys.executable, "-c", code], env=machine.environment, capture_output=True, check=False)
    assert done.returncode == 1


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["plugins", "--help"], ["--version"]])
def test_help_works(machine: Machine, arguments: list[str]) -> None:
    ended = machine.ganlab(*arguments)
    assert (ended.code, ended.err, ended.torch_is_there) == (0, "", False)


def test_without_plugins_there_is_nothing_of_them(machine: Machine) -> None:
    ended = machine.ganlab("--no-plugins", "plugins")
    assert ended.code == 0
    assert {line.split()[2] for line in ended.out.partition("\n\n")[0].splitlines()[1:]} == {"ganlab"}
    assert ended.err == ""
    left_out = ended.out.partition("Left out by --no-plugins:")[2]
    for plugin in ALL:
        assert plugin.name in left_out or plugin.name == "malformed"
    ended = machine.ganlab("--no-plugins", "recipes", "check", "toy.toml", "--set", "loss.name=noisy")
    assert ended.code == 2
    assert 'loss "noisy" is offered by noisy 1.0, which is left out by --no-plugins' in ended.err


def reason_of(plugin: Plugin) -> str:
    return plugin.reason.format(module=plugin.module)


def name_it(plugin: Plugin) -> str:
    if plugin.kind == "observer":
        return f"observers.{plugin.component}=true"
    return f"{plugin.kind}.name={plugin.component}"


@pytest.mark.parametrize("plugin", [*AT_IMPORT, *OF_THE_WRONG_FORM, BY_METADATA[3]], ids=lambda plugin: plugin.name)
def test_whoever_names_one_gets_its_distribution_and_reason(machine: Machine, plugin: Plugin) -> None:
    ended = machine.ganlab("recipes", "check", "toy.toml", "--set", name_it(plugin))
    assert ended.code == 2
    assert plugin.name in ended.err
    assert "1.0" in ended.err
    assert reason_of(plugin) in ended.err
    assert "Traceback" not in ended.err
    assert len(ended.err.splitlines()) == 1
    assert len(ended.err) < 800
    assert not ended.torch_is_there


def test_a_plugin_takes_no_name_of_ganlabs_own(machine: Machine) -> None:
    assert machine.ganlab("recipes", "check", "toy.toml").code == 0
    ended = machine.ganlab("recipes", "check", "toy.toml", "--set", "model.name=dcgan-again:dcgan")
    assert "never needed" in ended.err


def test_the_list_says_what_failed_and_why(machine: Machine) -> None:
    ended = machine.ganlab("plugins")
    assert ended.code == 0
    assert "Traceback" not in ended.err
    table, broken = ended.out.split("\nBroken:\n")
    broken, remarks = broken.split("\nTo know:\n")
    rows = {tuple(line.split()[:3]): line for line in table.splitlines()}
    for plugin in ALL:
        row = rows.get((plugin.kind, plugin.component, plugin.name), "")
        if plugin.name == "malformed":
            assert "entry_points.txt:2" in broken
            assert "did you mean ganlab.losses?" in broken
        elif plugin in (*AT_IMPORT, *OF_THE_WRONG_FORM):
            assert row.endswith("broken, see below")
            assert re.search(rf"{re.escape(plugin.title)}:? {re.escape(reason_of(plugin))}", broken)
        elif plugin.name != "dcgan-again":
            assert row
            assert "broken" not in row
    assert broken.count("an unreadable distribution: ") == 2
    assert "\x1b" not in ended.out
    assert '  augmentation "seeder" (seeder 1.0) seeds torch\'s random numbers at its import; that was' in remarks
    assert '  loss "twin" is offered by twin-one 1.0 and twin-two 1.0; write ' in remarks
    assert '  model "dcgan" is offered by dcgan-again 1.0 too, but the name stands for ganlab\'s own; write ' in remarks
    for own in ("dcgan", "bce", "terminal", "onnx"):
        assert re.search(rf"^\w+ +{own} +ganlab ", table, re.MULTILINE)


def test_for_authors_the_same_fails(machine: Machine) -> None:
    ended = machine.ganlab("plugins", GANLAB_STRICT_PLUGINS="1")
    assert ended.code == 2
    assert re.search(r"ganlab: \d\d things to put right \(GANLAB_STRICT_PLUGINS is set\)\n$", ended.err)
    ended = machine.ganlab("recipes", "check", "toy.toml", GANLAB_STRICT_PLUGINS="1")
    assert ended.code == 2
    assert "(GANLAB_STRICT_PLUGINS is set)" in ended.err


def test_a_schema_is_written_that_leaves_the_broken_ones_open(machine: Machine) -> None:
    ended = machine.ganlab("schema")
    assert ended.code == 0
    definitions = json.loads(ended.out)["definitions"]
    assert "base_channels" in definitions["model.dcgan"]["properties"]
    assert definitions["loss.import_error"] == {"type": "object", "additionalProperties": True}
    assert "twin-one:twin" in str(definitions["loss.twin-one:twin"]["properties"]["name"]["enum"])
    assert 'left unchecked: loss "import_error" (import-error 1.0) cannot be imported' in ended.err


def test_a_dcgan_trains_among_them_with_those_that_only_misbehave(machine: Machine) -> None:
    with_them = ("--set", "augmentation.name=seeder", "--set", "observers.raiser=true")
    ended = machine.ganlab("run", "toy.toml", "--out", "among", *with_them)
    assert ended.code == 0, ended.err
    log = (machine.folder / "among" / "log.txt").read_text()
    assert 'observer "raiser" (raiser 1.0) failed at tick and is switched off: ValueError: tick, tick' in log
    assert log.count("raiser 1.0") == 1
    assert 'augmentation "seeder" (seeder 1.0) seeds torch\'s random numbers at its import; that was undone' in log
    assert len((machine.folder / "among" / "metrics.jsonl").read_text().splitlines()) > 1

    # They have not changed it: the augmentation and the observer do nothing to the weights.
    assert machine.ganlab("--no-plugins", "run", "toy.toml", "--out", "without").code == 0
    first, second = (machine.folder / run / "generator.safetensors" for run in ("among", "without"))
    assert weights(first) == weights(second)


def weights(path: Path) -> dict[str, bytes]:
    from safetensors.numpy import load_file

    return {name: array.tobytes() for name, array in load_file(path).items()}


def test_a_plugin_that_breaks_down_in_training_is_named_and_the_run_goes_on_later(machine: Machine) -> None:
    command = ("run", "toy.toml", "--out", "run", "--set", "loss.name=breaker")
    ended = machine.ganlab(*command, BREAK="6")
    assert ended.code == 1
    assert "Traceback" not in ended.err
    what = 'loss "breaker" (breaker 1.0) broke down at iteration 6: ValueError: it is Tuesday'
    assert ended.err.splitlines() == [
        f"ganlab: {what}",
        "Its traceback is in run/error.txt.",
        "The checkpoint of iteration 4 is kept: once the plugin is repaired, "
        "the same command with --out run goes on from there.",
        "To do without it: another loss in the recipe, or ganlab plugins disable breaker",
    ]
    kept = (machine.folder / "run" / "error.txt").read_text()
    assert kept.startswith(f"{what}\n\nTraceback")
    assert f'File "{machine.site / "breaker.py"}", line' in kept

    ended = machine.ganlab(*command)
    assert ended.code == 0, ended.err
    assert "Trained 12 iterations" in ended.out
    assert not (machine.folder / "run" / "error.txt").exists()


def test_a_model_of_torchs_own_layers_is_blamed_for_what_they_raise(machine: Machine) -> None:
    ended = machine.ganlab("run", "toy.toml", "--out", "stock", "--set", "model.name=stock_layers")
    assert ended.code == 1
    first = ended.err.splitlines()[0]
    assert first.startswith('ganlab: model "stock_layers" (stock-layers 1.0) broke down at iteration 0: RuntimeError: ')
    assert "The checkpoint of iteration 0 is kept" in ended.err
    # A dry run builds the networks, but does not run them.
    assert machine.ganlab("run", "toy.toml", "--dry-run", "--set", "model.name=stock_layers").code == 0


def test_for_authors_what_misbehaves_fails_with_its_traceback(machine: Machine) -> None:
    for folder in machine.site.glob("*.dist-info"):
        if folder.name.partition("-")[0] in ("malformed", "nameless", "binary"):
            shutil.rmtree(folder)  # they alone would make every command fail
    machine.ganlab("--no-plugins", "--version")  # so that it looks anew
    strict = {"GANLAB_STRICT_PLUGINS": "1"}

    ended = machine.ganlab("plugins", "show", "loss", "import_error", **strict)
    assert ended.code == 2
    assert ended.err.startswith("Traceback")
    assert f'{machine.site / "import_error.py"}", line 1, in <module>' in ended.err

    ended = machine.ganlab("run", "toy.toml", "--out", "one", "--set", "observers.raiser=true", **strict)
    assert ended.code == 2
    assert re.search(r"raiser.py\", line \d+, in tick", ended.err)
    assert 'observer "raiser" (raiser 1.0) failed at tick: ValueError: tick, tick (GANLAB_STRICT' in ended.err

    ended = machine.ganlab("run", "toy.toml", "--out", "two", "--set", "loss.name=breaker", BREAK="6", **strict)
    assert ended.code == 1
    assert re.search(r"breaker.py\", line \d+, in updates", ended.err)
    assert 'loss "breaker" (breaker 1.0) broke down at iteration 6: ValueError: it is Tuesday' in ended.err


def test_a_real_interrupt_during_an_import_ends_the_command(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    code = f"import time\nopen({str(begun)!r}, 'w').close()\ntime.sleep(600)"
    site = install(tmp_path / "site", Plugin("sleeper", "loss", "sleeper", code))
    (tmp_path / "toy.toml").write_text(dumps({"dataset": {"name": "fashion_mnist"}, "loss": {"name": "sleeper"}}))
    process = subprocess.Popen(
        [sys.executable, "-m", "ganlab", "recipes", "check", "toy.toml"],
        cwd=tmp_path,
        env=surroundings(tmp_path, site),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not begun.exists() and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert (process.returncode, err.strip()) == (130, "ganlab: stopped by Ctrl-C")
