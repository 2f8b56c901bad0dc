"""Batches for the loop, drawn on the training device from packed pictures."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ganlab.data.share import WHOLE, Share
from ganlab.errors import DataError
from ganlab.interfaces import Batch
from ganlab.seeds import Stream, stream_seed

if TYPE_CHECKING:
    from ganlab.data.packing import Packed

MEMORY_SHARE = 0.5
"""How much of the device's free memory the pictures may take; the rest is for the training."""


class Latent(NamedTuple):
    """The latent vectors of a model."""

    dim: int
    distribution: Literal["normal", "uniform"]


class Batches(Iterator[Batch]):
    """Endless batches; the n-th is a pure function of (seed, n), so its place in the data is one number.

    Order and flips depend on (seed, epoch) and the latents on (seed, n); the last pictures of an epoch that
    do not fill a batch are left out of it. Of each batch a process takes its share: the batches of all processes
    together are those of one.
    """

    def __init__(
        self,
        packed: Packed,
        latent: Latent,
        *,
        batch_size: int,
        conditional: bool,
        flip: bool,
        seed: int,
        device: torch.device,
        share: Share = WHOLE,
    ) -> None:
        count = len(packed.images)
        if count < batch_size:
            raise DataError(
                f"train.batch_size = {batch_size}, but the data has only {count} pictures; "
                f"set train.batch_size to {count} or less"
            )
        self.drawn = 0
        """Batches drawn since the training began."""
        self.per_epoch = count // batch_size
        self._local = share.of(batch_size)
        self._batch_size, self._latent, self._flip, self._seed, self._device = batch_size, latent, flip, seed, device
        storage = Resident if _fits(packed.images, device) else Streamed
        self._pictures: Resident | Streamed = storage(packed.images, device)
        self._labels = torch.from_numpy(packed.labels).to(device) if conditional and packed.labels is not None else None
        self._generator = torch.Generator(device)
        self._epoch = -1

    def move_to(self, seed: int, drawn: int) -> None:
        """Go on as if `drawn` batches had been drawn with this seed."""
        self._seed, self.drawn, self._epoch = seed, drawn, -1

    def __next__(self) -> Batch:
        epoch, place = divmod(self.drawn, self.per_epoch)
        if epoch != self._epoch:
            self._start_epoch(epoch)
        first = place * self._batch_size
        window = slice(first + self._local.start, first + self._local.stop)
        pixels = self._pictures.take(window)
        if self._flips is not None:
            pixels = torch.where(self._flips[window, None, None, None], pixels.flip(-1), pixels)
        real = pixels.to(torch.float32, memory_format=torch.channels_last).div_(127.5).sub_(1.0)
        condition = () if self._labels is None else (self._labels[self._order[window]],)
        batch = Batch(real, self._draw_latents(), condition)
        self.drawn += 1
        return batch

    def _start_epoch(self, epoch: int) -> None:
        count = self._pictures.count
        order = torch.from_numpy(_stream(self._seed, Stream.ORDER, epoch).permutation(count))
        self._pictures.start_epoch(order)
        self._order = order.to(self._device)
        self._flips: Tensor | None = None
        if self._flip:
            flips = _stream(self._seed, Stream.FLIPS, epoch).integers(0, 2, count).astype(np.bool_)
            self._flips = torch.from_numpy(flips).to(self._device)
        self._epoch = epoch

    def _draw_latents(self) -> Tensor:
        self._generator.manual_seed(stream_seed(self._seed, Stream.LATENTS, self.drawn))
        # The whole batch's, of which this process takes its share: so z does not depend on how many share it.
        z = torch.empty(self._batch_size, self._latent.dim, device=self._device)
        if self._latent.distribution == "normal":
            z.normal_(generator=self._generator)
        else:
            z.uniform_(-1.0, 1.0, generator=self._generator)
        return z[self._local]


class Resident:
    """All pictures in the memory of the training device; on the CPU that is the cache file's own mapping."""

    def __init__(self, images: np.ndarray[Any, np.dtype[np.uint8]], device: torch.device) -> None:
        self.count = len(images)
        self._images, self._device = _tensor(images).to(device), device

    def start_epoch(self, order: Tensor) -> None:
        self._order = order.to(self._device)

    def take(self, window: slice) -> Tensor:
        """Return the pictures `(N, C, H, W)`, uint8, at these places of the epoch's order."""
        return self._images.index_select(0, self._order[window])


class Streamed:
    """Pictures that do not fit on the device: gathered into pinned memory and copied while the device computes.

    Two staging buffers take turns, so a buffer is refilled only after the copy before last has ended.
    """

    def __init__(self, images: np.ndarray[Any, np.dtype[np.uint8]], device: torch.device) -> None:
        self.count = len(images)
        self._images, self._device = _tensor(images), device
        self._stages: list[tuple[Tensor, torch.Event]] = []
        self._turn = 0

    def start_epoch(self, order: Tensor) -> None:
        self._order = order

    def take(self, window: slice) -> Tensor:
        """Return the pictures `(N, C, H, W)`, uint8, at these places of the epoch's order."""
        rows = self._order[window]
        if not self._stages:
            shape = (len(rows), *self._images.shape[1:])
            self._stages = [(torch.empty(shape, dtype=torch.uint8).pin_memory(), torch.Event("cuda")) for _ in range(2)]
        buffer, copied = self._stages[self._turn]
        self._turn = 1 - self._turn
        copied.synchronize()
        torch.index_select(self._images, 0, rows, out=buffer)
        pixels = buffer.to(self._device, non_blocking=True)
        copied.record()
        return pixels


def _stream(seed: int, stream: Stream, index: int) -> np.random.Generator:
    return np.random.default_rng(stream_seed(seed, stream, index))


def _tensor(images: np.ndarray[Any, np.dtype[np.uint8]]) -> Tensor:
    with warnings.catch_warnings():
        # torch warns of a read-only mapping, because a tensor could be written to; ours is only gathered from.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(images)


def _fits(images: np.ndarray[Any, np.dtype[np.uint8]], device: torch.device) -> bool:
    if device.type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return images.nbytes <= free * MEMORY_SHARE
