"""What a component shares with everything else in the process: random states, torch's modes, the cache."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

SEED = 0x67616E6C6162
"""What all generators are seeded with before a check: nobody else's favourite number."""


class RandomStates(NamedTuple):
    """The global random states of a process."""

    python: object
    numpy: object
    torch_seed: int | None
    torch: bytes | None
    """None where torch has not been imported."""


class Modes(NamedTuple):
    """What torch is told once and does ever after."""

    grad: bool
    inference: bool
    autocast: bool
    dtype: object
    threads: int
    deterministic: bool


def random_states() -> RandomStates:
    """Return the states as they are now."""
    torch = _torch()
    seed = None if torch is None else torch.initial_seed()
    state = None if torch is None else torch.get_rng_state().numpy().tobytes()
    with np.printoptions(threshold=sys.maxsize):
        legacy = str(np.random.get_state(legacy=False))
    return RandomStates(random.getstate(), legacy, seed, state)


def moved(before: RandomStates, torch_may_draw: bool) -> list[str]:
    """Return in words which of the states have moved since `before`."""
    now = random_states()
    words = []
    if now.python != before.python:
        words.append("Python's random")
    if now.numpy != before.numpy:
        words.append("numpy.random")
    if before.torch is not None:
        if now.torch_seed != before.torch_seed:
            words.append("the seed of torch")
        elif now.torch != before.torch and not torch_may_draw:
            words.append("torch's default generator")
    return words


def modes() -> Modes:
    """Return the modes as they are now."""
    import torch

    return Modes(
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.get_default_dtype(),
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
    )


@contextmanager
def undisturbed() -> Iterator[None]:
    """Seed all generators, and put them and torch's modes back afterwards."""
    python, legacy = random.getstate(), np.random.get_state()
    torch = _torch()
    if torch is not None:
        state, before = torch.get_rng_state(), modes()
        torch.default_generator.manual_seed(SEED)
    random.seed(SEED)
    np.random.seed(SEED % 2**32)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)
        if torch is not None:
            torch.set_rng_state(state)
            torch.set_grad_enabled(before.grad)
            torch.set_autocast_enabled("cpu", before.autocast)
            torch.set_default_dtype(before.dtype)
            torch.set_num_threads(before.threads)
            torch.use_deterministic_algorithms(before.deterministic)


@contextmanager
def own_folder() -> Iterator[Path]:
    """Yield a temporary folder; meanwhile packed pictures are kept in it, and settings are looked for there."""
    with TemporaryDirectory(prefix="ganlab-") as name:
        folder = Path(name).resolve()
        own = {"GANLAB_CACHE": str(folder / "cache"), "GANLAB_CONFIG": str(folder / "config")}
        before = {variable: os.environ.get(variable) for variable in own}
        os.environ.update(own)
        try:
            yield folder
        finally:
            for variable, value in before.items():
                del os.environ[variable]
                if value is not None:
                    os.environ[variable] = value


def _torch() -> Any:
    """Return torch where something has imported it: datasets and observers do without."""
    return sys.modules.get("torch")
