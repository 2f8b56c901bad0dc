"""Several processes that train one run together, one a device, as torchrun starts them; or just this one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Literal, NamedTuple

from ganlab.errors import GanlabError, RankError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

TEXT_BYTES = 4096
"""The longest text that one rank tells the others."""


class Place(NamedTuple):
    """Which of the processes this one is."""

    rank: int
    world: int
    local: int
    """The process's number on its own machine: its CUDA device."""


def place() -> Place:
    """Read this process's place from the environment that torchrun sets; without torchrun, it is alone."""
    try:
        found = Place(*(int(os.environ.get(name, default)) for name, default in _VARIABLES.items()))
    except ValueError as error:
        raise GanlabError(
            f"RANK, WORLD_SIZE and LOCAL_RANK must be whole numbers, as torchrun sets them: {error}"
        ) from error
    if not 0 <= found.rank < found.world:
        raise GanlabError(
            f"RANK = {found.rank} is not below WORLD_SIZE = {found.world}; start ganlab with --nproc or torchrun"
        )
    return found


_VARIABLES = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}


class Ranks:
    """What the processes of a run tell each other. Alone, nothing is said and nothing costs anything.

    Every method is collective: all ranks call it, in the same order.
    """

    def __init__(self, found: Place, device: torch.device) -> None:
        self.rank, self.world, self._device = found.rank, found.world, device

    @property
    def first(self) -> bool:
        """Whether this process writes and speaks for all."""
        return self.rank == 0

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by their means over the ranks, in one exchange."""
        if self.world == 1:
            return
        import torch
        from torch import distributed

        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        distributed.all_reduce(flat)
        flat /= self.world
        for tensor, part in zip(tensors, torch.split(flat, [tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))

    def mean(self, values: Mapping[str, float]) -> dict[str, float]:
        """Return the means over the ranks of values that all ranks have."""
        if self.world == 1 or not values:
            return dict(values)
        total = self._reduced([float(value) for value in values.values()], "sum")
        return {name: value / self.world for name, value in zip(values, total, strict=True)}

    def smallest(self, value: float) -> float:
        """Return the smallest of the ranks' values."""
        return value if self.world == 1 else self._reduced([value], "min")[0]

    def any(self, flag: bool) -> bool:
        """Tell whether the flag is set on any rank."""
        return flag if self.world == 1 else self._reduced([float(flag)], "max")[0] > 0

    def rows(self, values: Tensor) -> Tensor:
        """Return the ranks' vectors as the rows of one matrix, float64 on the CPU."""
        import torch

        if self.world == 1:
            return values.detach().to("cpu", torch.float64)[None]
        from torch import distributed

        mine = values.detach().to(self._device, torch.float64)
        gathered = [torch.empty_like(mine) for _ in range(self.world)]
        distributed.all_gather(gathered, mine)
        return torch.stack(gathered).cpu()

    def text_of_first(self, text: str) -> str:
        """Return what rank 0 says."""
        if self.world == 1:
            return text
        import torch
        from torch import distributed

        data = text.encode()[:TEXT_BYTES] if self.first else b""
        buffer = torch.zeros(TEXT_BYTES, dtype=torch.uint8, device=self._device)
        if data:
            buffer[: len(data)] = torch.frombuffer(bytearray(data), dtype=torch.uint8).to(self._device)
        distributed.broadcast(buffer, src=0)
        return bytes(buffer.cpu().numpy()).rstrip(b"\0").decode(errors="replace")

    @contextmanager
    def work_of_first(self) -> Iterator[bool]:
        """Yield whether to do rank 0's work; if it fails there, every rank learns it and ends."""
        try:
            yield self.first
        except BaseException as error:
            self.text_of_first(str(error) or type(error).__name__)
            raise
        if failure := self.text_of_first(""):
            raise RankError(failure)

    def _reduced(self, values: list[float], operation: Literal["sum", "min", "max"]) -> list[float]:
        import torch
        from torch import distributed

        tensor = torch.tensor(values, dtype=torch.float64, device=self._device)
        operations = distributed.ReduceOp
        distributed.all_reduce(tensor, {"sum": operations.SUM, "min": operations.MIN, "max": operations.MAX}[operation])
        reduced: list[float] = tensor.tolist()
        return reduced


@contextmanager
def joined(found: Place, device: torch.device, timeout_seconds: float) -> Iterator[Ranks]:
    """Join the other processes for the time of a run. A rank that is silent for too long ends all of them."""
    if found.world == 1:
        yield Ranks(found, device)
        return
    from torch import distributed

    backend = "nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, timeout=timedelta(seconds=timeout_seconds))
    try:
        yield Ranks(found, device)
    finally:
        distributed.destroy_process_group()
