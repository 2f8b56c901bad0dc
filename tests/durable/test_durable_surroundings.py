"""T5 and D4: closed streams, no home, a folder that cannot be written, a narrow terminal, little disk."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from durable.client import Ended, Server
from durable.conftest import Tally
from durable.parts import short
from durable.runs import end, leftovers
from ganlab.recipe.toml import dumps

POOR: dict[str, dict[str, str | None]] = {
    "no home": {
        "HOME": None,
        "GANLAB_CACHE": None,
        "XDG_CACHE_HOME": None,
        "GANLAB_CONFIG": None,
        "XDG_CONFIG_HOME": None,
    },
    "a home that is not there": {"HOME": "/nowhere/at/all", "GANLAB_CONFIG": None, "XDG_CONFIG_HOME": None},
    "twenty columns": {"COLUMNS": "20", "LINES": "5"},
    "a dumb terminal": {"TERM": "dumb"},
    "no terminal": {"TERM": None},
    "a locale without UTF-8": {
        "LC_ALL": "C",
        "LANG": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONIOENCODING": "ascii",
    },
    "an unknown locale": {"LC_ALL": "xx_XX.nonsense", "LANG": "xx"},
}
LIGHT = (["--help"], ["recipes"], ["plugins"], ["recipes", "check", "quickstart"], ["run", "nosuch"])
ONE = "import sys; from ganlab.__main__ import main; sys.argv[0] = 'ganlab'; main()"
TOY = f"from durable.parts import register; register(); {ONE}"
ALL = f"""\
import sys
from ganlab.__main__ import main
codes = []
for words in {LIGHT}:
    sys.argv = ["ganlab", *words]
    try:
        main()
        codes.append(0)
    except SystemExit as end:
        codes.append(end.code)
codes == [0, 0, 0, 0, 2] or sys.exit(f"the exit codes were {{codes}}")
"""


def environment(changes: Mapping[str, str | None]) -> dict[str, str]:
    changed = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1", **changes}
    return {name: value for name, value in changed.items() if value is not None}


def outside(code: str, words: list[str], changes: Mapping[str, str | None], folder: Path, shell: str = '"$@"') -> Ended:
    """Run the command line in a process of its own, below a shell that may close or connect its streams."""
    if "HOME" in changes and changes["HOME"] is None:  # nor is there one in the list of users
        code = f"import os, pwd; pwd.getpwuid = {{}}.__getitem__; {code}"
    process = subprocess.run(
        ["bash", "-c", shell, "-", sys.executable, "-W", "error", "-c", code, *words],
        env=environment(changes),
        cwd=folder,
        capture_output=True,
        timeout=120,
        check=False,
    )
    return Ended(process.returncode, process.stdout.decode(errors="replace"), process.stderr.decode(errors="replace"))


def check_calm(ended: Ended) -> None:
    for trouble in ("Traceback", "Exception ignored", "Warning:"):
        assert trouble not in ended.err, ended.err


@pytest.mark.parametrize("changes", POOR.values(), ids=POOR.keys())
def test_t5_commands_work_in_poor_surroundings(tmp_path: Path, changes: dict[str, str | None]) -> None:
    ended = outside(ALL, [], changes, tmp_path)
    assert ended.code == 0, ended
    check_calm(ended)


def test_t5_a_run_works_in_all_of_them_at_once(tmp_path: Path) -> None:
    (tmp_path / "toy.toml").write_text(
        dumps(short(observers={"terminal": {"mode": "auto"}, "log": True, "metrics": True}))
    )
    together = {name: value for changes in POOR.values() for name, value in changes.items()}
    changes = together | {"GANLAB_CACHE": str(tmp_path / "cache")}
    ended = outside(TOY, ["run", "toy.toml", "--out", "run"], changes, tmp_path)
    assert ended.code == 0, ended
    check_calm(ended)
    assert "Trained 4 iterations" in ended.out


def test_t5_without_a_home_or_a_cache_it_is_said_what_to_set(tmp_path: Path) -> None:
    (tmp_path / "toy.toml").write_text(dumps(short()))
    ended = outside(TOY, ["run", "toy.toml", "--out", "run"], POOR["no home"], tmp_path)
    check_calm(ended)
    assert ended.code in (1, 2)
    assert "set GANLAB_CACHE" in ended.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "shell", ['"$@" >&-', '"$@" 2>&-', '"$@" <&-', '"$@" >&- 2>&- <&-', '"$@" | head -c 1', '"$@" > /dev/full']
)
def test_t5_streams_that_are_closed_or_full_do_no_harm(tmp_path: Path, shell: str) -> None:
    for words in LIGHT[1:3]:
        ended = outside(ONE, words, {}, tmp_path, shell)
        check_calm(ended)
        assert ended.code in (0, 1)
        if "/dev/full" in shell:
            assert (ended.code, ended.err) == (1, "ganlab: cannot write the output: No space left on device\n")


@pytest.mark.parametrize("shell", ['"$@" >&- 2>&- <&-', '"$@" 2>&1 | head -c 1'])
def test_t5_a_run_survives_whoever_watched_it(tmp_path: Path, shell: str) -> None:
    table = short(observers={"terminal": {"mode": "plain", "every_seconds": 0.0}})
    (tmp_path / "toy.toml").write_text(dumps(table))
    check_calm(outside(TOY, ["run", "toy.toml", "--out", "run"], {}, tmp_path, shell))
    assert sorted(os.listdir(tmp_path / "run" / "checkpoints")) == ["00000002", "00000004"]


@pytest.mark.skipif(not Path("/proc/version").exists(), reason="Linux only: a folder that nobody can write to")
def test_t5_a_folder_that_cannot_be_written(server: Server, folder: Path) -> None:
    (folder / "toy.toml").write_text(dumps(short()))
    recipe = str(folder / "toy.toml")
    ended = server.call("in_folder", "/proc", "run", recipe, folder=folder)
    assert ended.code == 1
    assert ended.err.startswith("ganlab: cannot write runs")
    assert len(ended.err.splitlines()) == 1
    ended = server.call("in_folder", "/proc", "run", recipe, "--out", str(folder / "run"), folder=folder)
    check_calm(ended)
    assert ended.code in (0, 1)
    for words in (["recipes"], ["plugins"], ["recipes", "check", recipe], ["info", str(folder / "nothing")]):
        ended = server.call("in_folder", "/proc", *words, folder=folder)
        check_calm(ended)
        assert ended.code == (2 if "info" in words else 0), ended


# D4


def test_d4_a_limit_on_the_size_of_files(server: Server, folder: Path, tally: Tally) -> None:
    """What is lost of logs and pictures is said once each; a checkpoint that cannot be written ends the run."""
    table = short(
        model={"base_channels": 4},
        train={"iterations": 20, "tick_seconds": 1e-9},
        observers={"metrics": True, "log": True, "samples": True, "gif": True, "plot": True},
    )
    (folder / "toy.toml").write_text(dumps(table))
    words = ["run", str(folder / "toy.toml"), "--out", "run"]
    assert server.call("command", *words, folder=folder).code == 0
    expected = end(folder / "run")
    sizes = {file.name: file.stat().st_size for file in (folder / "run").rglob("*") if file.is_file()}
    state, metrics = sizes["state.safetensors"], sizes["metrics.jsonl"]
    limits = sorted({100, 500, 2000, sizes["generator.safetensors"] - 1, state // 2, state - 1, state, metrics // 2})
    for limit in limits:
        place = folder / f"{limit}"
        (place / "cache").mkdir(parents=True)
        shutil.copytree(folder / "cache", place / "cache", dirs_exist_ok=True)
        ended = server.call("with_small_files", limit, *words, folder=place)
        check_calm(ended)
        assert ended.code in (0, 1)
        if limit < state:
            assert ended.code == 1
            assert "File too large" in ended.err
            assert len(ended.err.splitlines()) <= 12
        if ended.code == 0:
            assert end(place / "run") == expected
            for name in ("metrics", "log"):
                log = (place / "run" / "log.txt").read_text()
                assert (
                    sizes[f"{name}.jsonl" if name == "metrics" else "log.txt"] <= limit or log.count(f'"{name}"') <= 1
                )
        again = server.call("command", *words, folder=place)
        assert again.code == 0, again.err
        assert end(place / "run") == expected
        assert not leftovers(place / "run")
    tally("limits on the size of files", len(limits))


def test_d4_a_disk_that_is_really_full(server: Server, folder: Path, tally: Tally) -> None:
    """A disk of its own, where this process may make one: as root, or with user namespaces."""
    table = short(model={"base_channels": 16}, train={"iterations": 8}, snapshot={"keep": 2})
    (folder / "toy.toml").write_text(dumps(table))
    words = ["run", str(folder / "toy.toml")]
    assert server.call("command", *words, "--out", "run", folder=folder).code == 0
    expected = end(folder / "run")
    used = sum(file.stat().st_size for file in (folder / "run").rglob("*") if file.is_file())
    full = 0
    for share in (0.3, 0.6, 0.9, 1.1, 1.3):
        place = folder / f"disk{share}"
        place.mkdir()
        ended = server.call("on_a_small_disk", str(place), int(share * used), *words, folder=folder)
        if "cannot make a disk" in ended.err:
            pytest.skip("neither root nor user namespaces: " + ended.err)
        assert ended.code == 0, ended
        first, second = ended.out.splitlines()[-2:]
        if first != "0":
            full += 1
            assert first == "1"
            assert "No space left on device (" in ended.err
            assert "bytes are free" in ended.err
        assert second == f"{expected}", "with the space back, the same command ended as if undisturbed"
    assert full >= 2
    tally("full disks", full)
