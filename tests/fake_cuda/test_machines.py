"""Several GPUs, old ones, one with too little room for the pictures: where work lands, and what the host waits for."""

from __future__ import annotations

import pytest

from fake_cuda.child import FakeGPUs
from fake_cuda.device import by_kind
from fake_cuda.programs import machines
from fake_cuda.programs.machines import CAPABILITIES, REPLAYS, Machine

H100, T4, V100 = 1, 2, 3


@pytest.fixture(scope="module")
def machine(fake_gpus: FakeGPUs) -> Machine:
    return fake_gpus.ask(machines.look, capabilities=CAPABILITIES)


def test_a_run_on_the_second_gpu_leaves_nothing_on_the_first(machine: Machine) -> None:
    """Not even a context, which takes some hundred megabytes of a GPU that somebody else may be using."""
    assert machine.on_second.contexts == [False, True]
    assert machine.on_second.used[0] == 0
    assert machine.on_second.used[1] > 0


def test_a_gpu_computes_in_the_best_precision_it_has(machine: Machine) -> None:
    new = {"auto": "bf16", "fp32": "fp32", "tf32": "tf32", "bf16": "bf16", "fp16": "fp16", "noted": ""}
    assert machine.precisions[H100] == new
    for old in (T4, V100):
        assert machine.precisions[old] == {
            "auto": "fp32",
            "fp32": "fp32",
            "tf32": "train.precision = tf32: this GPU has no TF32 arithmetic; use fp32 or auto",
            "bf16": "train.precision = bf16: this GPU has no bfloat16 arithmetic; use fp16, fp32 or auto",
            "fp16": "fp16",
            "noted": "this GPU's tensor cores know float16 and not bfloat16: train.precision = fp16 is faster",
        }


def test_iterations_are_captured_on_an_old_gpu_too(machine: Machine) -> None:
    assert machine.trained_on_old.notes == []


def test_pictures_that_do_not_fit_are_sent_batch_by_batch(machine: Machine) -> None:
    """For each captured iteration one copy from pinned memory; the host waits only for the buffer it fills anew."""
    streamed = machine.streamed
    assert streamed.trained.notes == []
    assert streamed.used < streamed.picture_bytes / 2
    asked = {(action.kind, action.name): action.number for action in streamed.replays}
    assert asked["graph", "cudaGraphLaunch"] == REPLAYS
    assert asked["copy", "pinned to device"] == REPLAYS
    assert {name for kind, name in asked if kind == "wait"} == {"cudaEventSynchronize"}
    assert ("copy", "pageable to device") not in asked


def test_an_epoch_begins_without_waiting_for_the_gpu(machine: Machine) -> None:
    """Two epochs begin among these replays: their order and flips are sent from pinned memory."""
    kinds = by_kind(machine.epochs)
    assert kinds["graph"] == 20
    assert {action.number for action in machine.epochs if action.name == "pinned to device"} == {2 * 2}
    assert kinds.keys() <= {"graph", "kernel", "copy", "event", "query"}
