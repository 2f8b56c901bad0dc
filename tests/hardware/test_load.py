"""What others take of the cores, by a kernel's counters made by hand, and how torch's threads wait beside them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import ganlab
from ganlab.hardware.load import Load, yielding_threads

TICKS = os.sysconf("SC_CLK_TCK")


class Machine:
    """Two cores, their counters in a folder, and a clock."""

    def __init__(self, proc: Path, patch: pytest.MonkeyPatch) -> None:
        self.seconds, self.own, self._proc = 100.0, 5.0, proc
        self._busy = [1000.0, 2000.0, 3000.0]
        patch.setattr("ganlab.hardware.load.affinity", lambda: {0, 2})
        patch.setattr("ganlab.hardware.load.time", SimpleNamespace(monotonic=lambda: self.seconds))
        patch.setattr("ganlab.hardware.load.os.times", lambda: os.times_result((self.own, 0.0, 0.0, 0.0, 0.0)))
        self._write()

    def go_on(self, seconds: float, own: float, *busy: float) -> None:
        """Let time pass, in which each core was busy for so long, and this process took so much of it."""
        self.seconds += seconds
        self.own += own
        self._busy = [before + more for before, more in zip(self._busy, busy, strict=True)]
        self._write()

    def _write(self) -> None:
        rows = ["cpu  1 2 3 4 5 6 7 8 0 0"]
        for core, busy in enumerate(self._busy):
            part = round(busy * TICKS / 4)
            # user, nice, system, idle, waiting for a disk, two kinds of interrupts, another guest's
            rows.append(f"cpu{core} {part} {part} {part} 77777 88888 0 0 {part} 0 0")
        (self._proc / "stat").write_text("\n".join([*rows, "intr 1 2 3", "ctxt 5"]) + "\n")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_what_others_take_is_what_the_cores_did_without_this_process(machine: Machine, tmp_path: Path) -> None:
    load = Load(tmp_path)
    machine.go_on(10.0, 8.0, 9.0, 999.0, 6.0)  # the second core is not this process's
    assert load.others() == pytest.approx((9.0 + 6.0 - 8.0) / 10.0)


@pytest.mark.parametrize(
    ("busy", "threads", "crowded"), [(0.4, 2, False), (0.6, 2, True), (1.4, 1, False), (1.6, 1, True), (0.6, 64, True)]
)
def test_others_are_told_of_where_there_are_too_few_cores_for_all(
    machine: Machine, tmp_path: Path, busy: float, threads: int, crowded: bool
) -> None:
    load = Load(tmp_path)
    machine.go_on(10.0, 2.0, 10 * busy, 0.0, 2.0)
    said = f"other processes keep {busy:.1f} of 2 cores busy"
    assert load.crowded(threads) == (said if crowded else None)


def test_a_moment_is_too_short_to_tell(machine: Machine, tmp_path: Path) -> None:
    load = Load(tmp_path)
    machine.go_on(0.1, 0.0, 0.1, 0.1, 0.1)
    assert load.others() is None
    assert load.crowded(2) is None


@pytest.mark.parametrize("text", [None, "", "cpu 1 2", "cpu0 a b c d e f g h", "cpu0 1 2 3", "cpu9 1 2 3 4 5 6 7 8"])
def test_where_the_kernel_does_not_count_nothing_is_told(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "stat").write_text(text)
    assert Load(tmp_path).others() is None


def test_threads_yield_and_the_environment_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    before = dict(os.environ)
    with yielding_threads():
        assert dict(os.environ) == before | {"GOMP_SPINCOUNT": "10000"}
    assert dict(os.environ) == before
    with yielding_threads(lasting=True):
        pass
    assert os.environ.pop("GOMP_SPINCOUNT") == "10000"
    for name, value in (("GOMP_SPINCOUNT", "7"), ("OMP_WAIT_POLICY", "active")):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            with yielding_threads():
                assert dict(os.environ) == before | {name: value}


@pytest.mark.parametrize(
    ("code", "after"),
    [
        ("import ganlab; ganlab.train('r.toml')", "None"),
        ("import sys; sys.argv = ['ganlab', 'run', 'r.toml']; from ganlab.__main__ import main; main()", ""),
        ("import ganlab; ganlab.load_generator('trained').sample(2)", "None"),
    ],
    ids=["Python", "command", "sampling"],
)
def test_openmp_itself_says_how_long_its_threads_look_for_work(code: str, after: str) -> None:
    """Its runtime tells what it has read when torch loads it."""
    Path("r.toml").write_text(
        '[model]\nname = "dcgan"\nbase_channels = 1\n[train]\niterations = 1\nbatch_size = 4\n'
        '[dataset]\nname = "fashion_mnist"\nsplit = "shipped"\nresolution = 8\n'
    )
    ganlab.train("r.toml", out="trained")
    told = f"{code}; import os; print(os.environ.get('GOMP_SPINCOUNT'))"
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("OMP_", "GOMP_"))}
    ended = subprocess.run(
        [sys.executable, "-c", told],
        env=environment | {"OMP_DISPLAY_ENV": "verbose", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    if "GOMP_" not in ended.stderr:
        pytest.skip("torch's OpenMP here is not GNU's")
    assert "GOMP_SPINCOUNT = '10000'" in ended.stderr
    assert after in ended.stdout
