"""Directions of z that change pictures the most, in closed form: no data, no training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ganlab.errors import GanlabError
from ganlab.generator.file import Artefact
from ganlab.generator.generator import Generator, artefact_of
from ganlab.interfaces import Categorical, Input, Labels, Normal, Uniform
from ganlab.messages import in_words

if TYPE_CHECKING:
    import onnx
    from torch import nn

Floats = np.ndarray[Any, np.dtype[np.float64]]
Arrays = Mapping[str, np.ndarray[Any, Any]]
FirstMap = Callable[[Arrays, str], Floats | None]
"""From inputs, and the name of one, to what the first linear map makes that this one goes through, `(N, ...)`."""

TORCH_MAPS = frozenset(
    [
        *("linear", "matmul", "rmatmul", "mm", "bmm", "mv", "addmm", "addmv", "baddbmm", "einsum"),
        *(f"conv{transposed}{sides}d" for transposed in ("", "_transpose") for sides in (1, 2, 3)),
    ]
)
ONNX_MAPS = frozenset(["Gemm", "MatMul", "Conv", "ConvTranspose", "Einsum"])
TOLERANCE = 1e-2
"""How far a map may be from linear, relative to what it makes: float16 rounds, and what is not linear is far off."""
MOST = 4096
"""Numbers of a latent vector of which directions are sought."""
RANK = 1e-10
"""Of the largest eigenvalue: what lies below is rounding."""


class Directions(NamedTuple):
    """Orthogonal directions of a generator's latent vector, the one that changes the most first."""

    input: str
    """The input that they are directions of."""
    vectors: Floats
    """`(count, latent_dim)`, each of length 1, its largest number positive."""
    shares: Floats
    """`(count,)`: how much of what the first linear map makes of random z each of them explains, 0 to 1."""


def directions(
    generator: Generator | nn.Module, count: int = 5, inputs: Mapping[str, Input] | None = None
) -> Directions:
    """Return the strongest directions of a generator's latent vector, `count` of them, or as many as there are.

    They are the eigenvectors of A A^T for the first linear map z A that z goes through (Shen and Zhou 2021, equation
    6), BatchNorm behind it folded in. Of a map that other inputs go through as well, A is the part that z meets.
    `inputs` says what a torch module takes, as `Model.inputs` does. The vector is the input `z`, or the first one that
    is a vector of numbers. Raises `GanlabError` where there is none, or where it goes through no linear map first.
    """
    if count < 1:
        raise GanlabError(f"count must be 1 or more, not {count}")
    if isinstance(generator, Generator):
        kinds, artefact = generator.metadata.kinds, artefact_of(generator)
        who, first_map = f"{artefact.path}: the generator", _of_file(artefact)
    elif inputs is not None:
        kinds, who, first_map = dict(inputs), "the generator", _of_module(generator)
    else:
        raise GanlabError("a torch module does not say what it takes: give inputs, as Model.inputs returns them")
    name, dim = _vector(kinds, who)
    values, vectors = np.linalg.eigh(_gram(first_map, kinds, name, dim, who))
    kept = [place for place in np.argsort(values)[::-1][:count] if values[place] > RANK * values.max()]
    chosen = vectors.T[kept]
    largest = np.abs(chosen).argmax(1)
    signs = np.sign(chosen[np.arange(len(kept)), largest])
    return Directions(name, chosen * signs[:, None], values[kept] / values.sum())


def along(found: Directions, inputs: Arrays, reach: float, steps: int) -> dict[str, np.ndarray[Any, Any]]:
    """Return inputs changed along each direction: for each row of `inputs`, and each direction, `2 * steps + 1` rows.

    They go from `-reach` to `reach` in equal steps, the one in the middle unchanged.
    """
    places = np.linspace(-reach, reach, 2 * steps + 1)
    changes = (places[None, :, None] * found.vectors[:, None, :]).reshape(-1, found.vectors.shape[1])
    count = len(inputs[found.input])
    made = {name: values.repeat(len(changes), axis=0) for name, values in inputs.items()}
    made[found.input] = (made[found.input] + np.tile(changes, (count, 1))).astype(np.float32)
    return made


def _vector(kinds: Mapping[str, Input], who: str) -> tuple[str, int]:
    """Return the name and the length of the latent vector."""
    vectors = {
        name: kind.shape[0]
        for name, kind in kinds.items()
        if isinstance(kind, Normal | Uniform) and len(kind.shape) == 1
    }
    if not vectors:
        raise GanlabError(f"{who} takes no vector of numbers but {in_words(list(kinds))}, so it has no directions")
    name = "z" if "z" in vectors else next(iter(vectors))
    if vectors[name] > MOST:
        raise GanlabError(f"{who} takes {name} of {vectors[name]} numbers; directions are sought of at most {MOST}")
    return name, vectors[name]


def _gram(first_map: FirstMap, kinds: Mapping[str, Input], name: str, dim: int, who: str) -> Floats:
    """Return A A^T `(dim, dim)`, once A has been found to be linear."""
    probe = 1.5 * np.cos(np.arange(dim)) + 0.5
    rows = np.concatenate([np.zeros((1, dim)), np.eye(dim), probe[None], -2.0 * probe[None]])
    given = {other: _constant(kind, len(rows)) for other, kind in kinds.items()} | {name: rows.astype(np.float32)}
    made = first_map(given, name)
    if made is not None and len(made) == len(rows):
        made = made.reshape(len(rows), -1) - made[:1].reshape(1, -1)  # without what is constant in z
        A, probed = made[1 : dim + 1], made[dim + 1 :]
        expected = np.stack([probe @ A, -2.0 * (probe @ A)])
        if np.linalg.norm(probed - expected) <= TOLERANCE * np.linalg.norm(expected) and A.any():
            gram: Floats = A @ A.T
            return gram
    raise GanlabError(f"{who} has no directions: {name} goes through no linear map before anything else")


def _constant(kind: Input, count: int) -> np.ndarray[Any, Any]:
    """Return an input that is the same for all pictures."""
    values = np.zeros((count, *kind.shape), np.int64 if isinstance(kind, Labels) else np.float32)
    if isinstance(kind, Categorical):
        values[:, 0] = 1.0
    return values


def _of_module(module: nn.Module) -> FirstMap:
    """Return what finds the first linear map of a torch module, by watching it compute."""
    import torch
    from torch.overrides import TorchFunctionMode

    from ganlab.generator.folding import fold_batchnorm
    from ganlab.networks.shipment import parts

    class Found(Exception):  # noqa: N818  # it ends a forward whose rest is of no interest, and costs much
        pass

    class Watch(TorchFunctionMode):
        """Keeps what the first linear function makes that gradients reach."""

        made: torch.Tensor | None = None

        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            out = function(*args, **(kwargs or {}))
            if function.__name__.strip("_") in TORCH_MAPS and isinstance(out, torch.Tensor) and out.requires_grad:
                self.made = out
                raise Found
            return out

    def first_map(inputs: Arrays, name: str) -> Floats | None:
        from ganlab.hardware.device import usual_modes

        network = fold_batchnorm(parts(module)["generator"]).requires_grad_(False)
        device = next((tensor.device for tensor in network.state_dict().values()), torch.device("cpu"))
        watch = Watch()
        with usual_modes(), torch.enable_grad():
            tensors = {key: torch.from_numpy(array).to(device) for key, array in inputs.items()}
            # Of all that is computed, only what comes from this input has a gradient. A copy of it may be written into.
            tensors[name] = tensors[name].requires_grad_().clone()
            with watch, suppress(Found):
                network(*tensors.values())
        return None if watch.made is None else np.atleast_1d(watch.made.detach().double().cpu().numpy())

    return first_map


def _of_file(artefact: Artefact) -> FirstMap:
    if artefact.kind == "safetensors":
        from ganlab.generator.network import load_network, settled

        return _of_module(load_network(settled(artefact)))
    return _of_graph(artefact)


def _of_graph(artefact: Artefact) -> FirstMap:
    """Return what finds the first linear map of an ONNX file, and computes no more of it."""

    def first_map(inputs: Arrays, name: str) -> Floats | None:
        import onnx

        from ganlab.hardware.onnx_session import open_session

        model = onnx.load_from_string(artefact.data)
        output = _cut_behind_first_map(model.graph, name)
        if output is None:
            return None
        session = open_session(model.SerializeToString(), artefact.path, "cpu")
        wanted = {value.name for value in session.get_inputs()}
        made = session.run([output], {key: array for key, array in inputs.items() if key in wanted})[0]
        return np.asarray(made, np.float64)

    return first_map


def _cut_behind_first_map(graph: onnx.GraphProto, name: str) -> str | None:
    """Drop what comes behind the first linear map that an input goes through; return what its output is called."""
    import onnx

    reached = {name}
    for place, node in enumerate(graph.node):
        if not reached.intersection(node.input):
            continue
        if node.op_type in ONNX_MAPS:
            del graph.node[place + 1 :], graph.output[:]
            graph.output.append(onnx.ValueInfoProto(name=node.output[0]))
            return str(node.output[0])
        reached |= set(node.output)
    return None
