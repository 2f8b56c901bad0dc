"""A network that makes features of pictures, from an ONNX file: what it must be, and what it is fed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ganlab.data.pictures import Pictures
from ganlab.errors import ArtefactError, GanlabError
from ganlab.hardware.memory import memory_errors
from ganlab.hardware.onnx_session import open_session
from ganlab.messages import one_line
from ganlab.regular import named_path, read_regular

Array = np.ndarray[Any, np.dtype[np.float32]]

SIDE = 96
"""The shortest side of what a network is fed that takes any size."""
BATCH = 32
"""Pictures computed at once."""
LARGEST = 1 << 31
"""Bytes of a network's file: what one ONNX file can hold."""
CONTRACT = "a feature network takes uint8 (N, 3, height, width), RGB, and makes float32 (N, D), with any N"


class Network(NamedTuple):
    """A network that makes features."""

    name: str
    """What scores call it: the file's name, in small letters, digits and `_`."""
    digest: str
    """SHA-256 of what decides the features: of the file, or of the weights that it was written from."""
    size: tuple[int, int] | None
    """Height and width that it takes; None where it takes any."""
    compute: Callable[[np.ndarray[Any, Any]], Array]
    """From pixels `(N, 3, H, W)`, uint8, to features `(N, D)`."""
    own_resizer: str | None = None
    """How it resizes pictures itself, in words; None where they are resized for it."""

    def resizer(self, height: int, width: int) -> str:
        """Say how pictures of a size become what the network is fed."""
        if self.own_resizer is not None:
            return self.own_resizer
        target = self.target(height, width)
        if target == (height, width):
            return "none"
        from PIL import __version__

        return f"bicubic to {target[0]} x {target[1]}, Pillow {__version__}"

    def target(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width of what is fed: the network's own, or else the picture's, no side below 96."""
        if self.own_resizer is not None:
            return height, width
        if self.size is not None:
            return self.size
        scale = max(1.0, SIDE / min(height, width))
        return round(scale * height), round(scale * width)

    def features(self, pictures: Pictures, advance: Callable[[int], None]) -> Array:
        """Return the features `(N, D)` of pictures `(N, H, W, C)`; `advance` learns how many are done.

        Grey is fed as RGB of three equal channels. Raise `GanlabError` for pictures that are neither, `ArtefactError`
        for features that are not finite numbers.
        """
        if pictures.shape[3] not in (1, 3):
            raise GanlabError(
                f"pictures of {pictures.shape[3]} channels have no features: networks take grey and RGB; name metrics "
                "that need none"
            )
        made: list[Array] = []
        for start in range(0, len(pictures), BATCH):
            batch = pictures[start : start + BATCH]
            with memory_errors(lambda: f"out of memory for {BATCH} pictures in the feature network {self.name}"):
                features = self.compute(_fed(batch, self.target(*batch.shape[1:3])))
            if features.ndim != 2 or len(features) != len(batch):
                raise ArtefactError(
                    f"{self.name}: makes an array of shape {features.shape} of {len(batch)} pictures; {CONTRACT}"
                )
            if not np.isfinite(features).all():
                raise ArtefactError(f"{self.name}: makes features that are not finite")
            made.append(features)
            advance(start + len(batch))
        return np.concatenate(made)


def load_network(path: Path, device: str = "auto", name: str | None = None, digest: str | None = None) -> Network:
    """Load a feature network from an ONNX file, called like the file where it has no `name`.

    Raise `ArtefactError` for a file that is none, or whose inputs and outputs are others.
    """
    try:
        data = read_regular(named_path(path), LARGEST)
    except OSError as error:
        raise ArtefactError(f"{path}: cannot be read: {error.strerror or error}") from error
    session = open_session(data, path, device)
    size = _size(session, path)
    (given,), (output,) = session.get_inputs(), session.get_outputs()

    def compute(pixels: np.ndarray[Any, Any]) -> Array:
        try:
            return np.asarray(session.run([output.name], {given.name: pixels})[0])
        # onnxruntime's exceptions have no common class.
        except Exception as error:
            raise ArtefactError(
                f"{path}: onnxruntime cannot run it on pixels of shape {pixels.shape}: {one_line(str(error))}"
            ) from error

    word = re.sub(r"[^a-z0-9]+", "_", path.stem.lower()).strip("_")[:40] or "features"
    return Network(name or word, digest or hashlib.sha256(data).hexdigest(), size, compute)


def _size(session: Any, path: Path) -> tuple[int, int] | None:
    """Return the size that a network takes, None for any. Raise `ArtefactError` where it is no feature network."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    fits = len(inputs) == len(outputs) == 1 and len(inputs[0].shape) == 4 and len(outputs[0].shape) == 2
    if fits:
        batch, channels, *sides = inputs[0].shape
        free = [not isinstance(side, int) for side in (batch, *sides)]
        types = (inputs[0].type, outputs[0].type) == ("tensor(uint8)", "tensor(float)")
        if types and free[0] and channels == 3 and free[1] == free[2]:
            return None if free[1] else (sides[0], sides[1])
    found = [f"{value.name}: {value.type} {value.shape}" for value in (*inputs, *outputs)]
    raise ArtefactError(f"{path}: {CONTRACT}; this one has {one_line('; '.join(found))}")


def _fed(pictures: Pictures, target: tuple[int, int]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return pictures `(N, H, W, C)` as RGB of the size `target`, `(N, 3, height, width)`."""
    pixels = np.repeat(pictures, 3, 3) if pictures.shape[3] == 1 else pictures
    if target != pictures.shape[1:3]:
        from PIL import Image

        height, width = target
        pixels = np.stack(
            [np.asarray(Image.fromarray(one).resize((width, height), Image.Resampling.BICUBIC)) for one in pixels]
        )
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
