"""Several processes that train one run together, one a device, as torchrun starts them; or just this one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING, Literal, NamedTuple

from ganlab.distributed.lost_ranks import RollCall, named
from ganlab.errors import DataError, GanlabError, Interrupted, LostRankError, RankError

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.distributed import ProcessGroup

TEXT_BYTES = 4096
"""The longest text that one rank tells the others."""
NCCL_PATIENCE = timedelta(seconds=120)
"""How much longer than the ranks' talk the exchange of gradients waits. What the devices still have to do when the
talk is due, some seconds of work, counts there too."""
_RUNS = count()
"""One number for each time that this process joins the others: all of them join equally often."""


class Place(NamedTuple):
    """Which of the processes this one is."""

    rank: int
    world: int
    local: int
    """The process's number on its own machine: its CUDA device."""
    launched: bool = False
    """Whether torchrun has started it. One that torchrun has started alone is a group of one."""


def place() -> Place:
    """Read this process's place from the environment that torchrun sets; without torchrun, it is alone."""
    try:
        rank, world, local = (int(os.environ.get(name, default)) for name, default in _VARIABLES.items())
    except ValueError as error:
        raise GanlabError(
            f"RANK, WORLD_SIZE and LOCAL_RANK must be whole numbers, as torchrun sets them: {error}"
        ) from error
    found = Place(rank, world, local, launched="TORCHELASTIC_RUN_ID" in os.environ)
    if not 0 <= found.rank < found.world:
        raise GanlabError(
            f"RANK = {found.rank} is not below WORLD_SIZE = {found.world}; start ganlab with --nproc or torchrun"
        )
    return found


_VARIABLES = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}


class Ranks:
    """What the processes of a run tell each other. Alone, nothing is said and nothing costs anything.

    Every method is collective: all ranks call it, in the same order. It raises `LostRankError` where a rank has ended
    or is silent for too long.
    """

    def __init__(
        self,
        found: Place,
        device: torch.device,
        roll_call: RollCall | None = None,
        talk: ProcessGroup | None = None,
    ) -> None:
        """Without a roll call, the process is alone. `talk` is the group for numbers and texts that the host has."""
        self.rank, self.world, self._device, self._roll_call = found.rank, found.world, device, roll_call
        self._talk = talk

    @property
    def first(self) -> bool:
        """Whether this process writes and speaks for all."""
        return self.rank == 0

    @property
    def alone(self) -> bool:
        """Whether there is nobody to talk to."""
        return self._roll_call is None

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by their means over the ranks, in one exchange."""
        if self.alone:
            return
        import torch
        from torch import distributed

        lying = [_as_it_lies(tensor) for tensor in tensors]
        flat = torch.cat([tensor.reshape(-1) for tensor in lying])
        with self.together():
            distributed.all_reduce(flat)
        flat /= self.world
        parts = torch.split(flat, [tensor.numel() for tensor in lying])
        torch._foreach_copy_(lying, [part.view(tensor.shape) for part, tensor in zip(parts, lying, strict=True)])

    def agree(self, tensors: Sequence[Tensor]) -> None:
        """Replace floats by their means over the ranks, and whole numbers by those of rank 0, in one exchange."""
        if self.alone or not tensors:
            return
        import torch
        from torch import distributed

        # In float64, in which the mean of equal float32 is exactly that, and every whole number up to 2**53 itself.
        mine = [tensor.detach().reshape(-1).to(torch.float64) for tensor in tensors]
        flat = torch.cat([m if t.is_floating_point() else m * self.first for t, m in zip(tensors, mine, strict=True)])
        with self.together():
            distributed.all_reduce(flat)
        for tensor, part in zip(tensors, torch.split(flat, [len(part) for part in mine]), strict=True):
            agreed = part / self.world if tensor.is_floating_point() else part
            tensor.detach().copy_(agreed.view_as(tensor))

    def adopt(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite tensors with those of rank 0."""
        if self.alone:
            return
        from torch import distributed

        for tensor in tensors:
            # Row by row, whatever the strides: a backend may send the memory as it lies.
            flat = tensor.reshape(-1).to(self._device, copy=True)
            with self.together():
                distributed.broadcast(flat, src=0)
            tensor.copy_(flat.view_as(tensor))

    def mean(self, values: Mapping[str, float]) -> dict[str, float]:
        """Return the means over the ranks of values that all ranks have."""
        if self.alone or not values:
            return dict(values)
        total = self._reduced([float(value) for value in values.values()], "sum")
        return {name: value / self.world for name, value in zip(values, total, strict=True)}

    def smallest(self, value: float) -> float:
        """Return the smallest of the ranks' values."""
        return value if self.alone else self._reduced([value], "min")[0]

    def largest(self, value: float) -> float:
        """Return the largest of the ranks' values."""
        return value if self.alone else self._reduced([value], "max")[0]

    def any(self, flag: bool) -> bool:
        """Tell whether the flag is set on any rank."""
        return self.largest(float(flag)) > 0

    def rows(self, values: Tensor) -> Tensor:
        """Return the ranks' vectors as the rows of one matrix, float64 on the CPU."""
        import torch

        if self.alone:
            return values.detach().to("cpu", torch.float64)[None]
        from torch import distributed

        mine = values.detach().to("cpu", torch.float64)
        gathered = [torch.empty_like(mine) for _ in range(self.world)]
        with self.together():
            distributed.all_gather(gathered, mine, group=self._talk)
        return torch.stack(gathered)

    def text_of_first(self, text: str) -> str:
        """Return what rank 0 says."""
        if self.alone:
            return text
        import torch
        from torch import distributed

        data = text.encode()[:TEXT_BYTES] if self.first else b""
        buffer = torch.zeros(TEXT_BYTES, dtype=torch.uint8)
        if data:
            buffer[: len(data)] = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        with self.together():
            distributed.broadcast(buffer, src=0, group=self._talk)
            return bytes(buffer.numpy()).rstrip(b"\0").decode(errors="replace")

    def same(self, value: str, what: str) -> None:
        """Refuse to go on, on all ranks, where a rank's value is not rank 0's."""
        import torch

        other = self.text_of_first(value) != value
        strangers = [rank for rank, flag in enumerate(self.rows(torch.tensor([float(other)]))[:, 0].tolist()) if flag]
        if strangers:
            raise DataError(f"{named(strangers)} would train {what}: start all with the same command on the same data")

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

    @contextmanager
    def together(self) -> Iterator[None]:
        """Turn what torch says when an exchange fails into a sentence that names the rank."""
        import torch

        try:
            yield
        except RuntimeError as error:
            if self._roll_call is None or isinstance(error, torch.OutOfMemoryError):
                raise
            raise self._roll_call.verdict(str(error)) from error

    def _reduced(self, values: list[float], operation: Literal["sum", "min", "max"]) -> list[float]:
        import torch
        from torch import distributed

        tensor = torch.tensor(values, dtype=torch.float64)
        operations = distributed.ReduceOp
        chosen = {"sum": operations.SUM, "min": operations.MIN, "max": operations.MAX}[operation]
        with self.together():
            distributed.all_reduce(tensor, chosen, group=self._talk)
            reduced: list[float] = tensor.tolist()
        return reduced


def _as_it_lies(tensor: Tensor) -> Tensor:
    """Return the same numbers in the order of the memory, for which a copy of many tensors is one launch."""
    import torch

    last = tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
    return tensor.permute(0, 2, 3, 1) if last else tensor


@contextmanager
def joined(found: Place, device: torch.device, timeout_seconds: float) -> Iterator[Ranks]:
    """Join the other processes for the time of a run. A rank that is silent for too long ends all of them."""
    if found.world == 1 and not found.launched:
        yield Ranks(found, device)
        return
    from torch import distributed
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    if device.type == "mps":
        raise GanlabError("several processes train on CUDA devices or on the CPU, not on mps; set train.device = cpu")
    limit = timedelta(seconds=timeout_seconds)
    try:
        store, rank, world = next(rendezvous("env://", timeout=limit))
    except ValueError as error:
        raise GanlabError(f"{error}; start ganlab with --nproc or torchrun, which set it") from error
    except RuntimeError as error:
        where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        raise LostRankError(
            f"nobody answers at MASTER_ADDR and MASTER_PORT, {where}", str(error), ended=False
        ) from error
    # An elastic restart finds what the processes before it have left in the store.
    store = PrefixStore(f"ganlab/{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}/{next(_RUNS)}", store)
    roll_call, cuda = RollCall(store, found.rank, found.world, timeout_seconds), device.type == "cuda"
    ranks = Ranks(found, device, roll_call)
    with ranks.together():
        distributed.init_process_group(
            "nccl" if cuda else "gloo",
            store=store,
            rank=rank,
            world_size=world,
            # NCCL ends a process that waits for too long, without a word: the talk notices first, and names the rank.
            timeout=limit + NCCL_PATIENCE if cuda else limit,
            device_id=device if cuda else None,
        )
        if cuda:
            talk = distributed.new_group(backend="gloo", timeout=limit)
            assert not isinstance(talk, int)  # as it is for a process that is no member
            ranks = Ranks(found, device, roll_call, talk)
    try:
        yield ranks
    except Interrupted:
        distributed.destroy_process_group()
        raise
    # After any other error the connections stay until the process ends: the others would notice that they are closed,
    # and complain of it before this rank has said why. NCCL would wait here for what is still under way.
    distributed.destroy_process_group()
