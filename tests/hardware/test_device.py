"""Where and how exactly a run computes, on a machine without a GPU; tests/test_gpu.py has the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from toys import tiny

import ganlab
from ganlab import GanlabError
from ganlab.generator.export import export
from ganlab.hardware.device import Precision, arithmetic, choose_device, choose_precision, only_training
from ganlab.recipe.recipe import parse_recipe

CPU = torch.device("cpu")
ONEDNN: Any = torch.backends.mkldnn
COMPUTES_FP32 = "train.precision = bf16: this CPU would only emulate it, up to 100 times slower; computing in fp32"


@pytest.fixture
def _without_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


def instructions(monkeypatch: pytest.MonkeyPatch, present: bool) -> None:
    monkeypatch.setattr("ganlab.hardware.device._cpu_has_bf16", lambda: present)


@pytest.mark.usefixtures("_without_gpu")
def test_a_device_that_is_not_there_is_one_sentence() -> None:
    assert choose_device("auto", "train.device") == choose_device("cpu", "train.device") == CPU
    for wanted in ("cuda", "cuda:1"):
        with pytest.raises(GanlabError, match=f"train.device = {wanted}: this machine has no usable CUDA device; use"):
            choose_device(wanted, "train.device")
    with pytest.raises(GanlabError, match=r"train\.device = mps: Apple's Metal is not available here; use cpu or auto"):
        choose_device("mps", "train.device")


@pytest.mark.parametrize("wanted", ["auto", "fp32"])
@pytest.mark.parametrize("present", [True, False])
def test_the_cpu_computes_in_fp32_by_itself(monkeypatch: pytest.MonkeyPatch, wanted: Any, present: bool) -> None:
    instructions(monkeypatch, present)
    notes: list[str] = []
    assert choose_precision(wanted, CPU, notes.append) == "fp32"
    assert notes == []


def test_bf16_is_computed_by_a_cpu_that_has_it_and_never_emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    notes: list[str] = []
    instructions(monkeypatch, True)
    assert choose_precision("bf16", CPU, notes.append) == "bf16"
    assert notes == []
    instructions(monkeypatch, False)
    assert choose_precision("bf16", CPU, notes.append) == "fp32"
    assert notes == [COMPUTES_FP32]


@pytest.mark.parametrize(("wanted", "device"), [("tf32", "cpu"), ("tf32", "mps"), ("bf16", "mps")])
def test_what_a_device_has_not_is_refused(wanted: Any, device: str) -> None:
    with pytest.raises(GanlabError, match=f"train.precision = {wanted}: this {device} has no {wanted} arithmetic"):
        choose_precision(wanted, torch.device(device), lambda _: None)


@pytest.mark.parametrize(("capability", "there"), [((7, 0), False), ((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_tf32_is_refused_by_gpus_from_before_it(
    capability: tuple[int, int], there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device", lambda _: nullcontext())
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: there)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    cuda = torch.device("cuda", 0)
    assert choose_precision("auto", cuda, lambda _: None) == ("bf16" if there else "fp32")
    if there:
        assert choose_precision("tf32", cuda, lambda _: None) == "tf32"
    else:
        with pytest.raises(GanlabError, match="this GPU has no TF32 arithmetic; use fp32 or auto"):
            choose_precision("tf32", cuda, lambda _: None)
        with pytest.raises(GanlabError, match="this GPU has no bfloat16 arithmetic; use fp16, fp32 or auto"):
            choose_precision("bf16", cuda, lambda _: None)


def test_a_run_a_preview_and_a_bench_say_that_they_compute_in_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    from ganlab.bench.measure import measure
    from ganlab.run.preview import preview

    instructions(monkeypatch, False)
    asked = ganlab.train(tiny(train={"precision": "bf16"}), out="asked")
    plain = ganlab.train(tiny(), out="plain")
    assert COMPUTES_FP32 in Path("asked/log.txt").read_text()
    states = [(max((run.directory / "checkpoints").iterdir()) / "state.safetensors") for run in (asked, plain)]
    assert states[0].read_bytes() == states[1].read_bytes()

    recipe = parse_recipe(tiny(train={"precision": "bf16"}))
    assert {"device      cpu, fp32", f"note        {COMPUTES_FP32}"} <= set(preview(recipe).splitlines())
    report = measure(recipe, 1.0, lambda *_: None)
    assert (report.precision, report.notes[0]) == ("fp32", COMPUTES_FP32)


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
def test_the_process_s_arithmetic_is_put_back(precision: Precision) -> None:
    def settings() -> tuple[object, ...]:
        return (
            torch.backends.cuda.matmul.allow_tf32,
            torch.backends.cudnn.allow_tf32,
            torch.backends.cudnn.benchmark,
            torch.are_deterministic_algorithms_enabled(),
            torch._C._get_deterministic_fill_uninitialized_memory(),
            torch.get_num_threads(),
        )

    before = settings()
    with suppress(ZeroDivisionError), arithmetic(CPU, precision, deterministic=True, threads=2):
        tf32 = precision != "fp32"
        assert settings() == (tf32, tf32, False, True, False, 2)
        raise ZeroDivisionError
    assert settings() == before


@contextmanager
def default_dtype() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@contextmanager
def default_device() -> Iterator[None]:
    torch.set_default_device("meta")
    yield
    torch.set_default_device(None)


@contextmanager
def product_precision(precision: str) -> Iterator[None]:
    """Let matrix products be less exact, on CPUs that have such products too."""
    torch.set_float32_matmul_precision(precision)
    yield
    torch.set_float32_matmul_precision("highest")


@contextmanager
def without_onednn() -> Iterator[None]:
    ONEDNN.enabled = False
    yield
    ONEDNN.enabled = True


MODES: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "no grad": torch.no_grad,
    "inference": torch.inference_mode,
    "dtype": default_dtype,
    "device": default_device,
    "high products": lambda: product_precision("high"),
    "medium products": lambda: product_precision("medium"),
    "no oneDNN": without_onednn,
}


@pytest.mark.parametrize("mode", MODES)
def test_the_caller_s_modes_and_random_numbers_do_not_matter_and_are_left(mode: str) -> None:
    def work(out: str) -> tuple[bytes, bytes, bytes]:
        run = ganlab.train(tiny(), out=out)
        exported = export(run.generator, "onnx").path.read_bytes()
        return run.generator.read_bytes(), exported, ganlab.load_generator(run.generator).sample([1, 2]).tobytes()

    def found() -> tuple[object, ...]:
        modes: tuple[object, ...] = (
            torch.is_grad_enabled(),
            torch.is_inference_mode_enabled(),
            torch.is_autocast_enabled("cpu"),
        )
        products = (torch.get_float32_matmul_precision(), ONEDNN.matmul.fp32_precision)
        cuda = (torch.backends.cuda.matmul.fp32_precision, torch.backends.cudnn.allow_tf32)
        modes += (*products, *cuda, ONEDNN.enabled)
        return (*modes, torch.get_default_dtype(), torch.get_default_device(), torch.get_rng_state().tolist())

    expected = work("plain")
    torch.manual_seed(5)
    with MODES[mode]():
        before = found() if mode != "device" else ()
        assert work("moded") == expected
        assert mode == "device" or found() == before
    assert torch.initial_seed() == 5


def test_a_second_training_in_a_process_is_refused_while_sampling_goes_on(tmp_path: Path) -> None:
    generator = ganlab.load_generator(ganlab.train(tiny(), out="first").generator)
    expected = generator.sample([3])
    with only_training():
        with pytest.raises(GanlabError, match="this process is training already, and torch's random numbers and modes"):
            ganlab.train(tiny(), out="second")
        assert (generator.sample([3]) == expected).all()
    assert ganlab.train(tiny(), out="third").iterations == 12
