"""The latent vector of a picture: what a generator must be given to come as near to it as it can."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ganlab.data.inputs import Arrays
from ganlab.errors import ArtefactError, GanlabError
from ganlab.generator.backends import check_outline
from ganlab.generator.file import Artefact, read_artefact
from ganlab.interfaces import Input, Normal, Uniform

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ganlab.data.pictures import Pictures
    from ganlab.generator.metadata import Metadata

LR = 0.1
"""Adam's, at first; it falls to 0 along half a wave."""
SHRINKS = (1, 2, 4)
"""Pictures are compared as they are, and as means over blocks of so many pixels a side: far from the picture, the
large shapes say where it lies."""


class Projection(NamedTuple):
    """What a generator makes of a picture."""

    inputs: Arrays
    """One row each, as the generator takes them."""
    picture: Pictures
    """`(H, W, C)`, uint8."""
    error: float
    """Root of the mean squared difference of the pixels, in levels, 0 to 255."""
    errors: tuple[float, ...]
    """Those of all starts, the best first: where many reach the same one, it is the generator that can do no better."""


def network_of(source: Path | Artefact) -> tuple[nn.Module, Metadata]:
    """Return a generator as a torch module, with its metadata. Raise `ArtefactError` where it is not of safetensors."""
    from ganlab.generator.network import load_network, settled
    from ganlab.networks.shipment import parts

    artefact = read_artefact(source, check_outline) if isinstance(source, Path) else source
    if artefact.kind != "safetensors":
        raise ArtefactError(
            f"{artefact.path}: gradients need the weights in torch, and an .onnx file has none; name the run or its "
            "generator.safetensors"
        )
    artefact = settled(artefact)
    return parts(load_network(artefact))["generator"], artefact.metadata


def project(
    generator: nn.Module,
    kinds: Mapping[str, Input],
    picture: Pictures,
    starts: Arrays,
    steps: int,
    report: Callable[[int], None],
) -> Projection:
    """Return what comes nearest to `picture` `(H, W, C)`, uint8, after gradient descent from each row of `starts`.

    Adam moves normal and uniform inputs for so many steps, of which `report` is told; labels and categories stay as
    they are. Normal inputs keep the length that such vectors have, uniform ones stay in [-1, 1] (Abdal et al. 2019 and
    Karras et al. 2020, appendix D, descend likewise). The nearest of all moments counts, not the last one.
    """
    import torch

    from ganlab.hardware.device import usual_modes

    moved = [name for name, kind in kinds.items() if isinstance(kind, Normal | Uniform)]
    if not moved:
        raise GanlabError("the generator takes no numbers that could be moved, so a picture has no latent vector")
    count = len(next(iter(starts.values())))
    wanted = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1), np.float32) / 127.5 - 1.0)[None]
    with usual_modes(), torch.enable_grad():
        given = {name: torch.from_numpy(values.copy()) for name, values in starts.items()}
        for name in moved:
            given[name].requires_grad_()
        optimizer = torch.optim.Adam([given[name] for name in moved], lr=LR)
        least = torch.full((count,), math.inf)
        best = {name: given[name].detach().clone() for name in moved}
        for step in range(steps + 1):
            for name in moved:
                _keep(given[name], kinds[name])
            made = generator(*given.values())
            if made.shape[1:] != wanted.shape[1:]:
                raise ArtefactError(f"makes pictures of {tuple(made.shape[1:])} instead of {tuple(wanted.shape[1:])}")
            squares = (made.detach().clamp(-1.0, 1.0) - wanted).square().mean((1, 2, 3))
            nearer = squares < least
            least = torch.where(nearer, squares, least)
            for name in moved:
                best[name][nearer] = given[name].detach()[nearer]
            if step == steps:
                break
            optimizer.param_groups[0]["lr"] = LR * (1.0 + math.cos(math.pi * step / steps)) / 2.0
            optimizer.zero_grad()
            torch.autograd.backward(_distance(made, wanted).sum())
            optimizer.step()
            report(step + 1)
    if not torch.isfinite(least).all():
        raise ArtefactError("makes pictures that are not finite")
    return _nearest(
        generator, {name: best.get(name, values.detach()) for name, values in given.items()}, least, picture
    )


def _keep(values: Tensor, kind: Input) -> None:
    """Put inputs back to where those lie that are drawn: on the sphere of their mean length, or in their range."""
    import torch

    with torch.no_grad():
        if isinstance(kind, Uniform):
            values.clamp_(-1.0, 1.0)
        else:
            lengths = values.flatten(1).norm(dim=1).clamp_min(1e-12).reshape(-1, *[1] * (values.ndim - 1))
            values.mul_(math.sqrt(values[0].numel()) / lengths)


def _distance(made: Tensor, wanted: Tensor) -> Tensor:
    """Return how far each picture is from the one that is wanted, at several sizes."""
    from torch.nn.functional import avg_pool2d

    difference = made - wanted
    sides = [side for side in SHRINKS if side <= min(made.shape[2:])]
    return sum(
        (avg_pool2d(difference, side).square().mean((1, 2, 3)) for side in sides),
        start=difference.new_zeros(len(made)),
    )


def _nearest(generator: nn.Module, found: Mapping[str, Tensor], squares: Tensor, picture: Pictures) -> Projection:
    import torch

    from ganlab.data.pictures import to_uint8

    order = squares.argsort().tolist()
    inputs = {name: values[order[:1]] for name, values in found.items()}
    with torch.inference_mode():
        made = to_uint8(generator(*inputs.values()).numpy())[0]
    difference = made.astype(np.float64) - picture
    return Projection(
        {name: values.numpy() for name, values in inputs.items()},
        made,
        float(np.sqrt(np.mean(difference**2))),
        tuple(127.5 * math.sqrt(squares[place]) for place in order),
    )
