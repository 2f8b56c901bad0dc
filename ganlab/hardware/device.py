"""Where and how exactly a run computes: the device, the precision, and what makes the CPU fast."""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from ganlab.errors import GanlabError

Precision = Literal["fp32", "tf32", "bf16", "fp16"]
Autocast = Callable[[], AbstractContextManager[object]]
"""Makes what is entered around each forward pass."""

HALF: dict[str, torch.dtype] = {"bf16": torch.bfloat16, "fp16": torch.float16}
"""The types of 16 bits, by precision."""

_deterministic: Any = torch.utils.deterministic
_onednn: Any = torch.backends.mkldnn
"""Their attributes are properties of the modules' classes, which type checkers do not see."""
_TRAINING = threading.Lock()
"""Held by the one training of this process."""


def choose_device(wanted: str, option: str, default_index: int = 0) -> torch.device:
    """Return the device that `auto`, `cpu`, `cuda`, `cuda:N` or `mps` means here; refuse one that is not there.

    `option` is what messages call it. `cuda` without a number is the device `default_index`.
    """
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    device = torch.device(wanted)
    if device.type == "cuda":
        count = torch.cuda.device_count()
        if count == 0:
            raise GanlabError(f"{option} = {wanted}: this machine has no usable CUDA device; use cpu or auto")
        index = default_index if device.index is None else device.index
        if index >= count:
            raise GanlabError(
                f"{option} = {wanted}: this machine has {count} CUDA device(s), numbered from 0, not number {index}"
            )
        return torch.device("cuda", index)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise GanlabError(f"{option} = mps: Apple's Metal is not available here; use cpu or auto")
    return device


def choose_precision(
    wanted: Literal["auto", "fp32", "tf32", "bf16", "fp16"], device: torch.device, note: Callable[[str], None]
) -> Precision:
    """Return the precision that is fastest without a loss scaler, or the one asked for if it works here.

    On a CPU without bfloat16, where only speed is lost by it, it is fp32 instead, and `note` gets a line that says so.
    """
    if device.type == "cuda":
        native = half(device) == "bf16"
        if wanted == "tf32" and torch.version.hip is None and torch.cuda.get_device_capability(device) < (8, 0):
            raise GanlabError("train.precision = tf32: this GPU has no TF32 arithmetic; use fp32 or auto")
        if wanted == "bf16" and not native:
            raise GanlabError("train.precision = bf16: this GPU has no bfloat16 arithmetic; use fp16, fp32 or auto")
        if wanted != "auto":
            return wanted
        if not native and torch.version.hip is None and torch.cuda.get_device_capability(device) >= (7, 0):
            note("this GPU's tensor cores know float16 and not bfloat16: train.precision = fp16 is faster")
        return "bf16" if native else "fp32"
    if wanted in ("auto", "fp32"):
        return "fp32"
    if wanted == "bf16" and device.type == "cpu":
        if _cpu_has_bf16():
            return "bf16"
        note("train.precision = bf16: this CPU would only emulate it, up to 100 times slower; computing in fp32")
        return "fp32"
    raise GanlabError(
        f"train.precision = {wanted}: this {device.type} has no {wanted} arithmetic, "
        f"emulating it is up to 100 times slower than fp32; use fp32 or auto"
    )


def half(device: torch.device) -> Precision:
    """Return the precision of 16 bits that a CUDA device has arithmetic for."""
    with torch.cuda.device(device):
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"


def lower_precision(device: torch.device, precision: Precision) -> Precision | None:
    """Return the precision of 16 bits that a device has arithmetic for; None for less than `precision`, or none."""
    if precision in HALF:
        return None
    if device.type == "cuda":
        return half(device)
    return "bf16" if device.type == "cpu" and _cpu_has_bf16() else None


def autocast(precision: Precision, device: torch.device) -> Autocast:
    """Return what to enter around each forward pass."""
    if precision not in HALF:
        return nullcontext
    return lambda: torch.autocast(device.type, HALF[precision])


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Allow TF32 in this process's convolutions and matrix products, or keep it out, and put it back afterwards."""
    # By the settings of old, which torch.export knows; what they change of the new ones is put back, too.
    matmul, cpu, cudnn = torch.backends.cuda.matmul, _onednn.matmul, torch.backends.cudnn
    before = matmul.fp32_precision, cpu.fp32_precision, cudnn.allow_tf32
    try:
        precision = torch.get_float32_matmul_precision()
    except RuntimeError:  # the caller has mixed old and new ones
        precision = None
    try:
        torch.set_float32_matmul_precision("high" if allowed else "highest")
        cudnn.allow_tf32 = allowed
        yield
    finally:
        if precision is not None:
            torch.set_float32_matmul_precision(precision)
        matmul.fp32_precision, cpu.fp32_precision, cudnn.allow_tf32 = before


@contextmanager
def only_training(
    remedy: str = "train one after the other, or each in a process of its own; sampling is allowed beside it",
) -> Iterator[None]:
    """Be this process's one training, or what disturbs one as another would: `GanlabError` where one is on."""
    if not _TRAINING.acquire(blocking=False):
        raise GanlabError(
            f"this process is training already, and torch's random numbers and modes are the process's: {remedy}"
        )
    try:
        yield
    finally:
        _TRAINING.release()


@contextmanager
def arithmetic(
    device: torch.device,
    precision: Precision,
    deterministic: bool = False,
    threads: int | None = None,
    *,
    brief: bool = False,
) -> Iterator[None]:
    """Take torch's process-wide arithmetic, modes and random numbers for a training, and put them back afterwards.

    What is `brief` does without a setting of the allocator that cannot be put back.
    """
    benchmark, certain = torch.backends.cudnn.benchmark, torch.are_deterministic_algorithms_enabled()
    thread_count, random = torch.get_num_threads(), torch.get_rng_state()
    filling = _deterministic.fill_uninitialized_memory
    try:
        if device.type == "cpu" and not brief:
            keep_freed_memory()
        torch.backends.cudnn.benchmark = not deterministic
        if deterministic:
            # cuBLAS reads it when its handle is made, which is after this.
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            torch.use_deterministic_algorithms(True)
            # Memory that torch hands out is written before it is read; filling it takes as many kernels again.
            _deterministic.fill_uninitialized_memory = False
        if threads is not None:
            torch.set_num_threads(threads)
        with usual_modes(), tf32(precision != "fp32"), _current(device):
            yield
    finally:
        torch.backends.cudnn.benchmark = benchmark
        if deterministic:  # only then: it imports torch's compiler, a second of a run
            torch.use_deterministic_algorithms(certain)
            _deterministic.fill_uninitialized_memory = filling
        torch.set_num_threads(thread_count)
        torch.set_rng_state(random)


@contextmanager
def _current(device: torch.device) -> Iterator[None]:
    """Make a CUDA device the process's current one, and put that and the device's random state back afterwards."""
    if device.type != "cuda":
        yield
        return
    with torch.cuda.device(device):
        random = torch.cuda.get_rng_state(device)
        try:
            yield
        finally:
            torch.cuda.set_rng_state(random, device)


@contextmanager
def usual_modes() -> Iterator[None]:
    """Compute as torch does by itself, whatever modes the caller has set; they are put back afterwards."""
    dtype, kinds = torch.get_default_dtype(), ("cpu", "cuda")
    enabled = [torch.is_autocast_enabled(kind) for kind in kinds]
    onednn = _onednn.enabled
    # Only where there is another: within it, every call of torch takes a detour.
    elsewhere = torch.get_default_device().type != "cpu"
    with torch.inference_mode(False), torch.enable_grad(), torch.device("cpu") if elsewhere else nullcontext():
        try:
            torch.set_default_dtype(torch.float32)
            _onednn.enabled = True
            for kind in kinds:
                torch.set_autocast_enabled(kind, False)
            yield
        finally:
            torch.set_default_dtype(dtype)
            _onednn.enabled = onednn
            for kind, was in zip(kinds, enabled, strict=True):
                torch.set_autocast_enabled(kind, was)


def synchronize(device: torch.device) -> None:
    """Wait until the device has done all it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def memory_held(device: torch.device) -> int:
    """Return the memory that the training holds: the device's, or on the CPU the most that the process has had."""
    if device.type == "cuda":
        return torch.cuda.memory_reserved(device)
    if device.type == "mps":
        return torch.mps.driver_allocated_memory()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def processor(device: torch.device) -> str:
    """Return the name of what computes."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    except OSError:
        named = []
    return named[0] if named else platform.processor() or platform.machine()


def exact_dtype(device: torch.device) -> torch.dtype:
    """Return the widest floating-point type of a device: Apple's GPUs have no float64."""
    return torch.float32 if device.type == "mps" else torch.float64


def exact(tensor: Tensor) -> Tensor:
    """Return the tensor in float64, on the CPU where its device has none."""
    return (tensor.cpu() if tensor.device.type == "mps" else tensor).to(torch.float64)


@contextmanager
def stream_of_its_own(device: torch.device) -> Iterator[None]:
    """Compute on another CUDA stream than the default one, on which nothing can be captured; elsewhere do nothing."""
    if device.type != "cuda":
        yield
        return
    before = torch.cuda.current_stream(device)
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # so in torch
    stream.wait_stream(before)
    try:
        with torch.cuda.stream(stream):
            yield
    finally:
        before.wait_stream(stream)
        # torch keeps a workspace of its products, up to 32 MiB, for every stream that there has been.
        torch._C._cuda_clearCublasWorkspaces()


def keep_freed_memory() -> None:
    """Tell glibc to keep large freed blocks, which a training iteration asks for again at once.

    Without it every iteration on the CPU returns its activations to the kernel and faults them in anew.
    """
    if sys.platform != "linux":
        return
    m_trim_threshold, m_mmap_max = -1, -4
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return  # another C library, such as musl: its allocator has no such setting
    mallopt(m_mmap_max, 0)
    mallopt(m_trim_threshold, 2**31 - 1)


def _cpu_has_bf16() -> bool:
    """Tell whether the kernel lists bfloat16 instructions: AVX-512 or AMX on x86, BF16 on Arm."""
    try:
        words = Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return False
    return not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(words)
