"""How many cores: affinity, hardware threads and quotas, on machines made of files."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from ganlab.hardware.cores import available_cores, physical_cores

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and /sys")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the root of a machine of 4 cores with 2 hardware threads each, all of which the process may use."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    for cpu in range(8):
        folder = tmp_path / f"sys/devices/system/cpu/cpu{cpu}/topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(f"{cpu % 4},{cpu % 4 + 4}\n")
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/jobs/mine").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/jobs/mine\n")
    return tmp_path


def test_hardware_threads_of_a_core_count_once(machine: Path) -> None:
    assert physical_cores(machine) == 4


def test_for_other_work_than_arithmetic_they_count_each(machine: Path) -> None:
    assert available_cores(machine) == 8
    (machine / "sys/fs/cgroup/jobs/cpu.max").write_text("650000 100000\n")
    assert available_cores(machine) == 6
    assert physical_cores(machine) == 4


def test_affinity_limits(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 4})
    assert physical_cores(machine) == 2


@pytest.mark.parametrize(
    ("quota", "cores"),
    [("max 100000", 4), ("300000 100000", 3), ("250000 100000", 2), ("50000 100000", 1), ("900000 100000", 4), ("", 4)],
)
@pytest.mark.parametrize("group", ["jobs/mine", "jobs", "."])
def test_a_quota_of_the_cgroup_or_one_above_it_limits(machine: Path, group: str, quota: str, cores: int) -> None:
    (machine / "sys/fs/cgroup" / group / "cpu.max").write_text(f"{quota}\n")
    assert physical_cores(machine) == cores


def test_a_machine_that_tells_nothing_has_the_cores_of_the_affinity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5})
    assert physical_cores(tmp_path) == 2


def test_this_machine_has_some() -> None:
    assert 1 <= physical_cores() <= (os.cpu_count() or 1)


def test_elsewhere_it_is_what_python_counts(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(os, "cpu_count", lambda: 10)
    assert physical_cores(machine / "nothing") == 10
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert physical_cores(machine / "nothing") == 1
