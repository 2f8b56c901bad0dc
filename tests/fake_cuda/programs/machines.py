"""Machines of several GPUs, of old ones, and of one that has no room for all pictures."""

from __future__ import annotations

from typing import NamedTuple

from toys import tiny

import ganlab
from fake_cuda.device import Action, begin_ledger, has_context, ledger, limit_memory, memory_used
from fake_cuda.training import Trained, blank, endless, prepare, train
from ganlab.hardware.device import choose_device, choose_precision
from ganlab.training.cuda_graphs import PROBES, PROOFS

CAPABILITIES = (90, 90, 75, 70)
"""Two H100, a T4 and a V100."""
REPLAYS = 8
"""Replayed iterations of streamed pictures that are looked at."""


class Second(NamedTuple):
    """What a whole run on the second GPU has left, by the number of the GPU."""

    contexts: list[bool]
    used: list[int]


class Streamed(NamedTuple):
    """What iterations were for which the host gathers the pictures."""

    trained: Trained
    picture_bytes: int
    used: int
    """Bytes taken of the GPU, at the end."""
    replays: list[Action]
    """What was asked of the GPU in `REPLAYS` replayed iterations."""


class Machine(NamedTuple):
    """What was asked of the GPUs of `CAPABILITIES`."""

    on_second: Second
    precisions: dict[int, dict[str, str]]
    """What each precision that a recipe may state becomes on a GPU, or why it is refused, by the GPU's number; and what
    is noted."""
    trained_on_old: Trained
    """On the T4."""
    streamed: Streamed
    epochs: list[Action]
    """What was asked in 20 replayed iterations, among which two epochs begin."""


def look() -> Machine:
    """Try all of it, in one process; the first GPU must be untouched at first."""
    prepare()
    on_second = _on_second()
    old = endless(device="cuda:2")
    trained_on_old = train(old, blank(old, 40), 1 + PROBES + PROOFS + 2)
    return Machine(on_second, _precisions(), trained_on_old, _streamed(), _epochs())


def _on_second() -> Second:
    """Train, draw samples, save and load on the second GPU."""
    run = ganlab.train(tiny(train={"device": "cuda:1"}, moving_average={"statistics_batches": 1}))
    ganlab.load_generator(run.generator, device="cuda:1").sample(range(2))
    return Second([has_context(device) for device in range(2)], [memory_used(device) for device in range(2)])


def _precisions() -> dict[int, dict[str, str]]:
    found: dict[int, dict[str, str]] = {}
    for index in range(1, len(CAPABILITIES)):
        found[index], notes = {}, list[str]()
        for wanted in ("auto", "fp32", "tf32", "bf16", "fp16"):
            try:
                device = choose_device(f"cuda:{index}", "train.device")
                found[index][wanted] = choose_precision(wanted, device, notes.append)
            except ganlab.GanlabError as error:
                found[index][wanted] = str(error)
        found[index]["noted"] = " ".join(notes)
    return found


def _streamed() -> Streamed:
    recipe = endless(device="cuda:0", dataset={"flip": True})
    pictures = blank(recipe, 2**22)  # 256 MiB of them
    limit_memory(300 * 2**20)
    asked: list[Action] = []
    used: list[int] = []
    first = 1 + PROBES + PROOFS

    def told(iterations: int) -> None:
        if iterations == first:
            begin_ledger()
        elif iterations == first + REPLAYS:
            asked.extend(ledger().done)
            used.append(memory_used(0))

    trained = train(recipe, pictures, first + REPLAYS, told)
    limit_memory(80 * 2**30)
    return Streamed(trained, pictures.images.nbytes, used[0], asked)


def _epochs() -> list[Action]:
    recipe = endless(device="cuda:0", dataset={"flip": True})
    asked: list[Action] = []

    def told(iterations: int) -> None:
        if iterations == 15:
            begin_ledger()
        elif iterations == 35:
            asked.extend(ledger().done)

    train(recipe, blank(recipe, 80), 40, told)  # an epoch is of ten iterations
    return asked
