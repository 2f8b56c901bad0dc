"""Batches for the loop, drawn on the training device from packed pictures."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ganlab.data.inputs import draw_into, drawn
from ganlab.distributed.share import WHOLE, Share
from ganlab.interfaces import Batch, Input, Labels
from ganlab.seeds import Stream, stream_seed

if TYPE_CHECKING:
    from ganlab.data.packing import Packed

MEMORY_SHARE = 0.5
"""How much of the device's free memory the pictures may take; the rest is for the training."""
MPS_INDICES = 2**31
"""Numbers in a tensor up to which Apple's kernels find each: some of them count with 32 bits."""


def batches_per_epoch(count: int, batch_size: int) -> int:
    """Return how many batches make an epoch of `count` pictures: all that are full, at least one."""
    return max(1, count // batch_size)


class Draw(NamedTuple):
    """What a batch is made of: the choices, in shapes that are always the same; the work on them is for the device."""

    pictures: Tensor
    """The places `(N,)` int64 of the pictures, or, where these are not on the device, themselves: uint8."""
    flips: Tensor | None
    """Which of them are mirrored, `(N,)` bool; None where none ever is."""
    inputs: Mapping[str, Tensor]
    """The generator's inputs by name, but for labels."""
    labels: Tensor | None
    """Labels `(N,)` int64; None for a model without."""

    def copy(self) -> Draw:
        """Return the same in other memory."""
        flips, labels = (part if part is None else part.clone() for part in (self.flips, self.labels))
        inputs = {name: values.clone() for name, values in self.inputs.items()}
        return Draw(self.pictures.clone(), flips, inputs, labels)


class Batches(Iterator[Batch]):
    """Endless batches; the n-th is a pure function of (seed, n), so its place in the data is one number.

    Order and flips depend on (seed, epoch) and the generator's inputs on (seed, n); the last pictures of an epoch that
    do not fill a batch are left out of it. Where there are fewer pictures than a batch has places, an epoch is one
    batch, and the batches take the pictures in turn: within one, and over all of them up to any, each picture comes
    as often as the others, or once more. Of each batch a process takes its share: the batches of all processes
    together are those of one.
    """

    def __init__(
        self,
        packed: Packed,
        inputs: Mapping[str, Input],
        *,
        batch_size: int,
        conditional: bool,
        flip: bool,
        seed: int,
        device: torch.device,
        share: Share = WHOLE,
    ) -> None:
        self.drawn = 0
        """Batches drawn since the training began."""
        self.per_epoch = batches_per_epoch(len(packed.images), batch_size)
        self._local = share.of(batch_size)
        self._batch_size, self._flip, self._seed, self.device = batch_size, flip, seed, device
        self._inputs, self._conditional = dict(inputs), conditional
        storage = Resident if fits(packed.images, device) else Streamed
        self._pictures: Resident | Streamed = storage(packed.images, device)
        labelled = conditional or any(isinstance(kind, Labels) for kind in inputs.values())
        self._all_labels = torch.from_numpy(packed.labels) if labelled and packed.labels is not None else None
        self._labels: Tensor | None = None
        self._generator = torch.Generator(device)
        self._epoch = -1

    def move_to(self, seed: int, drawn: int) -> None:
        """Go on as if `drawn` batches had been drawn with this seed."""
        self._seed, self.drawn, self._epoch = seed, drawn, -1

    def __next__(self) -> Batch:
        return self.made_of(self.draw())

    def draw(self) -> Draw:
        """Choose what the next batch is made of."""
        pictures, flips, labels = self._chosen()
        inputs = drawn(self._inputs, self._batch_size, self._seeded())
        self.drawn += 1
        # The whole batch's, of which this process takes its share: so they do not depend on how many share it.
        return Draw(pictures, flips, {name: values[self._local] for name, values in inputs.items()}, labels)

    def draw_into(self, place: Draw) -> None:
        """Choose what the next batch is made of in the memory of an earlier choice; of a batch that is not shared."""
        for mine, chosen in zip((place.pictures, place.flips, place.labels), self._chosen(), strict=True):
            if mine is not None and chosen is not None:
                mine.copy_(chosen)
        draw_into(place.inputs, self._inputs, self._seeded())
        self.drawn += 1

    def _chosen(self) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Return pictures, flips and labels of this process's share of the next batch."""
        epoch, place = divmod(self.drawn, self.per_epoch)
        if epoch != self._epoch:
            self._start_epoch(epoch)
        first = place * self._batch_size
        window = slice(first + self._local.start, first + self._local.stop)
        flips, labels = (part if part is None else part[window] for part in (self._flips, self._labels))
        return self._pictures.chosen(window), flips, labels

    def _seeded(self) -> torch.Generator:
        """Return what draws the inputs of the next batch."""
        return self._generator.manual_seed(stream_seed(self._seed, Stream.LATENTS, self.drawn))

    def made_of(self, draw: Draw) -> Batch:
        """Gather, mirror and scale the pictures, on the device alone."""
        pixels = self._pictures.gathered(draw.pictures)
        if draw.flips is not None:
            pixels = torch.where(draw.flips[:, None, None, None], pixels.flip(-1), pixels)
        real = torch.empty_like(pixels, dtype=torch.float32, memory_format=torch.channels_last)
        torch.div(pixels, 127.5, out=real).sub_(1.0)
        inputs: dict[str, Tensor] = {}
        for name, kind in self._inputs.items():
            if not isinstance(kind, Labels):
                inputs[name] = draw.inputs[name]
            elif draw.labels is not None:
                inputs[name] = draw.labels
        return Batch(real, inputs, (draw.labels,) if self._conditional and draw.labels is not None else ())

    def _start_epoch(self, epoch: int) -> None:
        count, places = self._pictures.count, self._batch_size
        turn = np.arange(count) if count >= places else np.arange(epoch * places, (epoch + 1) * places) % count
        order = torch.from_numpy(_stream(self._seed, Stream.ORDER, epoch).permutation(turn))
        self._pictures.start_epoch(order)
        self._labels = None if self._all_labels is None else _sent(self._all_labels[order], self.device)
        self._flips: Tensor | None = None
        if self._flip:
            flips = _stream(self._seed, Stream.FLIPS, epoch).integers(0, 2, len(turn)).astype(np.bool_)
            self._flips = _sent(torch.from_numpy(flips), self.device)
        self._epoch = epoch


class Resident:
    """All pictures in the memory of the training device; on the CPU that is the cache file's own mapping."""

    def __init__(self, images: np.ndarray[Any, np.dtype[np.uint8]], device: torch.device) -> None:
        self.count = len(images)
        self._images, self._device = _tensor(images).to(device), device

    def start_epoch(self, order: Tensor) -> None:
        self._order = _sent(order, self._device)

    def chosen(self, window: slice) -> Tensor:
        """Return where the pictures `(N,)` lie that stand at these places of the epoch's order."""
        return self._order[window]

    def gathered(self, chosen: Tensor) -> Tensor:
        """Return the pictures `(N, C, H, W)`, uint8."""
        return self._images.index_select(0, chosen)


class Streamed:
    """Pictures that do not fit on the device: gathered into pinned memory and copied while the device computes.

    Two staging buffers take turns, so a buffer is refilled only after the copy before last has ended. The copies
    have a stream of their own, for which the computing waits, and not the other way round.
    """

    def __init__(self, images: np.ndarray[Any, np.dtype[np.uint8]], device: torch.device) -> None:
        self.count = len(images)
        self._images, self._device = _tensor(images), device
        self._stages: list[tuple[Tensor, torch.cuda.Event]] = []
        self._turn = 0

    def start_epoch(self, order: Tensor) -> None:
        self._order = order

    def chosen(self, window: slice) -> Tensor:
        """Return the pictures `(N, C, H, W)`, uint8, on the device, that stand at these places of the epoch's order."""
        rows = self._order[window]
        if self._device.type != "cuda":
            return self._images.index_select(0, rows).to(self._device)
        if not self._stages:
            shape = (len(rows), *self._images.shape[1:])
            buffers = [torch.empty(shape, dtype=torch.uint8).pin_memory() for _ in range(2)]
            self._stages = [(buffer, torch.cuda.Event()) for buffer in buffers]  # type: ignore[no-untyped-call]
            self._stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        buffer, copied = self._stages[self._turn]
        self._turn = 1 - self._turn
        copied.synchronize()
        torch.index_select(self._images, 0, rows, out=buffer)
        with torch.cuda.stream(self._stream):
            pixels = buffer.to(self._device, non_blocking=True)
            copied.record()
        computing = torch.cuda.current_stream(self._device)
        computing.wait_event(copied)
        # It was allocated for the copies: until the computing has read it too, its memory must not be used again.
        pixels.record_stream(computing)
        return pixels

    def gathered(self, chosen: Tensor) -> Tensor:
        """Return the pictures: they are gathered already."""
        return chosen


def _stream(seed: int, stream: Stream, index: int) -> np.random.Generator:
    return np.random.default_rng(stream_seed(seed, stream, index))


def _sent(values: Tensor, device: torch.device) -> Tensor:
    """Return the values on the device, whose work the host does not wait for."""
    return values.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else values.to(device)


def _tensor(images: np.ndarray[Any, np.dtype[np.uint8]]) -> Tensor:
    with warnings.catch_warnings():
        # torch warns of a read-only mapping, because a tensor could be written to; ours is only gathered from.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(images)


def fits(images: np.ndarray[Any, np.dtype[np.uint8]], device: torch.device) -> bool:
    """Tell whether the pictures may lie on the device as a whole."""
    if device.type == "mps":
        return images.size < MPS_INDICES
    if device.type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return images.nbytes <= free * MEMORY_SHARE
