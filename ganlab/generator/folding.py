"""BatchNorm in eval mode is an affine map: folded into the layer before it, it costs nothing and is in no graph."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.nn.modules.batchnorm import _BatchNorm
    from torch.nn.modules.conv import _ConvNd


class _Step(NamedTuple):
    """One layer of a sequence, nested sequences laid flat."""

    parent: nn.Sequential
    name: str
    layer: nn.Module


def fold_batchnorm(network: nn.Module) -> nn.Module:
    """Return a copy of `network` in eval mode, BatchNorm layers folded into the linear or convolution ones before them.

    Folded are neighbours in an `nn.Sequential`, nested ones included, also with an `nn.Unflatten` between a linear
    layer and BatchNorm over its channels. What is tied, hooked or parametrized stays as it is, and so does a layer of a
    class of its own that computes something else than torch's class below it. The arithmetic is float64, so that the
    weights are rounded once.
    """
    import torch
    from torch import nn

    folded = copy.deepcopy(network).eval()
    uses = _uses(folded)
    for sequence in _sequences(folded):
        steps = list(_steps(sequence))
        for index, (parent, name, norm) in enumerate(steps):
            before = _before(steps, index)
            if before is None or not isinstance(norm, nn.modules.batchnorm._BatchNorm):
                continue
            if all(uses[id(layer)] == 1 and _plain(layer) for layer in (before, norm)):
                with torch.no_grad():
                    _fold(before, norm)
                parent._modules[name] = nn.Identity()
    return folded


def _sequences(network: nn.Module) -> Iterator[nn.Sequential]:
    """Yield the outermost sequences; what lies in them is laid flat by `_steps`, other modules are searched."""
    from torch import nn

    if type(network) is nn.Sequential:
        yield network
        children = [step.layer for step in _steps(network)]
    else:
        children = list(network.children())
    for child in children:
        yield from _sequences(child)


def _steps(sequence: nn.Sequential) -> Iterator[_Step]:
    from torch import nn

    for name, layer in sequence._modules.items():
        if type(layer) is nn.Sequential and not _hooked(layer):
            yield from _steps(layer)
        elif layer is not None:
            yield _Step(sequence, name, layer)


def _before(steps: list[_Step], index: int) -> nn.Linear | _ConvNd | None:
    """Return the layer that the BatchNorm layer at `index` may be folded into."""
    from torch import nn

    norm, last = steps[index].layer, steps[index - 1].layer if index else None
    match norm, last:
        case nn.BatchNorm1d(), nn.Linear() if last.out_features == norm.num_features:
            return last
        case nn.BatchNorm1d(), nn.Conv1d() | nn.ConvTranspose1d():
            return last
        case nn.BatchNorm2d(), nn.Conv2d() | nn.ConvTranspose2d():
            return last
        case nn.BatchNorm3d(), nn.Conv3d() | nn.ConvTranspose3d():
            return last
        case nn.BatchNorm1d() | nn.BatchNorm2d() | nn.BatchNorm3d(), nn.Unflatten(dim=1) if index > 1:
            projection, shape = steps[index - 2].layer, last.unflattened_size
            match projection, shape:
                case nn.Linear(), [norm.num_features, *_] if math.prod(shape) == projection.out_features:
                    return projection
    return None


def _uses(network: nn.Module) -> dict[int, int]:
    """Return how often each module occurs, by its id."""
    uses: dict[int, int] = {}
    for _, module in network.named_modules(remove_duplicate=False):
        uses[id(module)] = uses.get(id(module), 0) + 1
    return uses


def _plain(layer: nn.Module) -> bool:
    """Tell whether a layer computes as torch's own, without hooks or parametrizations, and can take part."""
    from torch import nn

    if _hooked(layer):
        return False
    if isinstance(layer, nn.modules.batchnorm._BatchNorm):
        return _torchs(type(layer)) and layer.running_mean is not None
    return _torchs(type(layer)) or _like_torchs(layer)


def _torchs(kind: type[nn.Module]) -> bool:
    return kind.__module__.startswith("torch.nn.modules.")


def _like_torchs(layer: nn.Module) -> bool:
    """Tell whether a layer of another class makes the same bits in eval mode as the class of torch's that it extends.

    A class that scales its weights in `forward`, say, does not. It is tried with batches of two sizes, of numbers large
    enough for both signs to come out.
    """
    import torch
    from torch import nn

    if "weight" not in layer._parameters:  # parametrized, or a property
        return False
    inherited: Any = next(kind for kind in type(layer).__mro__ if _torchs(kind))
    weight: Any = layer._parameters["weight"]
    shapes: list[tuple[int, ...]] = []
    for count in (2, 5):
        if isinstance(layer, nn.modules.conv._ConvNd):
            sides = [count + dilation * size for dilation, size in zip(layer.dilation, layer.kernel_size, strict=True)]
            shapes.append((count, layer.in_channels, *sides))
        elif isinstance(layer, nn.Linear):
            shapes.append((count, layer.in_features))
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        tried = [100.0 * torch.arange(math.prod(shape)).to(weight).sin().reshape(shape) for shape in shapes]
        try:
            return all(torch.equal(layer(values), inherited.forward(layer, values)) for values in tried)
        # A stranger's code, called by itself: it need not work like that, and is then left as it is.
        except Exception:  # noqa: BLE001
            return False


def _hooked(layer: nn.Module) -> bool:
    return bool(layer._forward_hooks or layer._forward_pre_hooks)


def _fold(layer: nn.Linear | _ConvNd, norm: _BatchNorm) -> None:
    """Give `layer` the weight and bias that it and `norm` after it amount to."""
    from torch import nn

    scale, shift = _affine(norm)
    weight, dtype = layer.weight.double(), layer.weight.dtype
    if isinstance(layer, nn.Linear):  # a channel is a block of outputs when it is unflattened
        repeats = layer.out_features // norm.num_features
        scale, shift = scale.repeat_interleave(repeats), shift.repeat_interleave(repeats)
        weight = weight * scale[:, None]
    elif layer.transposed:  # (in, out / groups, ...): the group of a row and its column are the channel of the output
        grouped = weight.reshape(layer.groups, -1, *weight.shape[1:])
        columns = scale.reshape(layer.groups, 1, -1, *(1 for _ in layer.kernel_size))
        weight = (grouped * columns).flatten(0, 1)
    else:
        weight = weight * scale.reshape(-1, 1, *(1 for _ in layer.kernel_size))
    bias = shift if layer.bias is None else layer.bias.double() * scale + shift
    layer.weight = nn.Parameter(weight.to(dtype), requires_grad=False)
    layer.bias = nn.Parameter(bias.to(dtype), requires_grad=False)


def _affine(norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    """Return the scale and the shift, float64 `(channels,)`, that `norm` applies in eval mode."""
    import torch

    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = torch.rsqrt(norm.running_var.double() + norm.eps)
    if norm.affine:
        scale = scale * norm.weight.double()
    shift = -norm.running_mean.double() * scale
    return scale, shift + norm.bias.double() if norm.affine else shift
