"""ONNX for torch-fidelity, which draws flat latents of one kind and takes RGB bytes."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from ganlab import (
    Categorical,
    Exporter,
    GanlabError,
    Input,
    Labels,
    Metadata,
    Normal,
    Uniform,
    fold_batchnorm,
    onnx_graph,
    write_onnx,
)
from ganlab import read_metadata as read_file

if TYPE_CHECKING:
    from torch import Tensor, nn

OUTPUT = "rgb"


class Fidelity(Exporter):
    """ONNX that torch-fidelity's own command line judges: `z` as it draws it, `(N, size)`, in; RGB bytes
    `(N, 3, H, W)` out. Everything that the generator takes, labels too, is made from `z` in the graph.

    `z` is uniform on [0, 1] where the generator takes no normal numbers, else normal. Grey becomes three equal
    channels. ganlab itself draws from the other formats.
    """

    api = 1
    suffix: ClassVar[str] = ".fidelity.onnx"
    tolerance: ClassVar[float] = 1 / 255 + 1e-4
    """Half a level of a byte, which rounding costs at most, and as much as z may lose on its way."""

    opset: Annotated[int, Field(ge=16, le=25)] = 20
    """Version of ONNX's operators, as for `onnx`."""

    def export(
        self, generator: nn.Module, inputs: Mapping[str, Tensor], metadata: Mapping[str, str], path: Path
    ) -> None:
        """Write the graph. Raise `GanlabError` for pictures that are neither grey nor RGB."""
        import torch

        about = Metadata.from_json(metadata["ganlab"], "the metadata")
        if about.images.channels not in (1, 3):
            raise GanlabError(
                f"torch-fidelity takes RGB, and pictures of {about.images.channels} channels are neither that nor "
                "grey; export them with onnx"
            )
        z = torch.from_numpy(_flat(about, {name: tensor.numpy() for name, tensor in inputs.items()}))
        # Folded first: BatchNorm is found in sequences, and what comes around the generator is none.
        module = _of_bytes(fold_batchnorm(generator), about)
        write_onnx(onnx_graph(module, {"z": z}, self.opset, OUTPUT), metadata, path)

    def run(self, path: Path, inputs: Mapping[str, np.ndarray[Any, Any]]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Compute with onnxruntime on the CPU, from the z that stands for these inputs."""
        import onnxruntime

        about = read_file(path)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        (rgb,) = session.run([OUTPUT], {"z": _flat(about, inputs)})
        pictures: np.ndarray[Any, np.dtype[np.float32]] = rgb[:, : about.images.channels].astype(np.float32)
        return pictures / np.float32(127.5) - np.float32(1.0)

    def read_metadata(self, path: Path) -> Mapping[str, str]:
        """Read the graph's properties."""
        return {"ganlab": read_file(path).to_json()}

    def usage(self, metadata: Mapping[str, str], path: Path) -> str:
        """Return torch-fidelity's command."""
        kinds = Metadata.from_json(metadata["ganlab"], "the metadata").kinds
        kind, size = "normal" if _is_normal(kinds) else "uniform_0_1", sum(map(_size, kinds.values()))
        return (
            f"fidelity --fid --input1 {shlex.quote(str(path))} --input1-model-z-type {kind} "
            f"--input1-model-z-size {size} --input1-model-num-samples 50000 --input2 FOLDER_OF_REAL_PICTURES"
        )


def _is_normal(kinds: Mapping[str, Input]) -> bool:
    return any(isinstance(kind, Normal) for kind in kinds.values())


def _size(kind: Input) -> int:
    """Return how many numbers of z become one input; a class takes one."""
    return 1 if isinstance(kind, Labels | Categorical) else math.prod(kind.shape)


def _of_bytes(generator: nn.Module, about: Metadata) -> nn.Module:
    """Return a module from z to bytes."""
    import torch
    from torch import nn

    kinds, normal, grey = about.kinds, _is_normal(about.kinds), about.images.channels == 1

    def chances(z: Tensor) -> Tensor:
        """Return numbers that are uniform on [0, 1]: the normal distribution's own function gives them."""
        return 0.5 + 0.5 * torch.special.erf(z / math.sqrt(2.0)) if normal else z

    def argument(kind: Input, z: Tensor) -> Tensor:
        match kind:
            case Normal():
                return z.reshape(-1, *kind.shape)
            case Uniform():
                return (2.0 * chances(z) - 1.0).reshape(-1, *kind.shape)
        n = kind.n if isinstance(kind, Categorical) else about.images.classes
        place = (chances(z) * n).long().clamp(0, n - 1)  # a chance may be rounded up to 1
        return place[:, 0] if isinstance(kind, Labels) else torch.eq(place, torch.arange(n)).float()

    class Bytes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.generator = generator

        def forward(self, z: Tensor) -> Tensor:
            ends = list(accumulate(map(_size, kinds.values()), initial=0))
            parts = [z[:, start:end] for start, end in pairwise(ends)]
            images = self.generator(*map(argument, kinds.values(), parts))
            pixels: Tensor = ((images.clamp(-1.0, 1.0) + 1.0) * 127.5).round().to(torch.uint8)
            return pixels.expand(-1, 3, -1, -1) if grey else pixels

    return Bytes().eval()


def _flat(about: Metadata, inputs: Mapping[str, np.ndarray[Any, Any]]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return z `(N, size)` that the graph makes these inputs of."""
    import torch

    def chances(kind: Input, given: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        if isinstance(kind, Uniform):
            return np.asarray((given.reshape(len(given), -1).astype(np.float64) + 1.0) / 2.0)
        n = kind.n if isinstance(kind, Categorical) else about.images.classes
        place = given.argmax(1) if isinstance(kind, Categorical) else given
        return np.asarray((place[:, None] + 0.5) / n)

    parts = []
    for name, kind in about.kinds.items():
        if isinstance(kind, Normal):
            parts.append(inputs[name].reshape(len(inputs[name]), -1))
        elif _is_normal(about.kinds):
            inner = chances(kind, inputs[name]).clip(1e-12, 1.0 - 1e-12)  # at 0 and 1, z would be infinite
            parts.append(torch.special.ndtri(torch.from_numpy(inner)).numpy())
        else:
            parts.append(chances(kind, inputs[name]))
    return np.concatenate(parts, 1).astype(np.float32)
