"""A trained generator in another format: written, run, compared with torch, and only then kept."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ganlab.data.inputs import of_seeds
from ganlab.durable import replacing_file, temporary_path
from ganlab.errors import GanlabError, PluginError, RunError
from ganlab.generator.file import KEY, Artefact, OtherFormatError, read_artefact
from ganlab.generator.formats import refuse_weights
from ganlab.generator.generator import BATCH, beside, load_file
from ganlab.generator.metadata import UNSEALED
from ganlab.generator.network import load_network, model_of, refuse_unlike, settled
from ganlab.hardware.memory import memory_errors
from ganlab.interfaces import Exporter
from ganlab.recipe.recipe import make_component
from ganlab.recipe.toml import dump_value
from ganlab.registry.entry_points import Provider
from ganlab.registry.loading import blaming
from ganlab.registry.lookup import registry
from ganlab.regular import named_path

if TYPE_CHECKING:
    from torch import nn

Arrays = Mapping[str, np.ndarray[Any, Any]]
Floats = np.ndarray[Any, np.dtype[np.float32]]

BATCHES = (1, 2, 7)
"""The batch sizes at which the written file is run: what is fixed or transposed by mistake differs at one of them."""
TURNS = 8
"""How often a file's speed is measured, and once more to warm up."""
NOISE = 1e-5
"""Two passes of the same latents through torch that differ by more are taken for a generator that draws noise."""


class Exported(NamedTuple):
    """What an export has left."""

    path: Path
    bytes: int
    max_difference: float
    """From torch in float32, over all batches, on pictures in [-1, 1]."""
    tolerance: float
    relative_difference: float
    """The same on the whole: root mean square of the differences, divided by that of torch's pictures."""
    others: tuple[Exported, ...] = ()
    """The files of other networks that the model ships, beside the generator's."""
    left_out: tuple[str, ...] = ()
    """Networks that the model ships and this format has no place for."""
    usage: str = ""
    """How the file is used, in the exporter's words, where it is made for a certain program."""


class Pace(NamedTuple):
    """How fast a file is computed on this machine's CPU, in milliseconds, medians."""

    one_ms: float
    """For one picture alone."""
    batch_ms: float
    """For `ganlab.generator.generator.BATCH` pictures at once."""


@memory_errors(lambda: "out of memory: an export needs room for the generator several times over")
def export(
    source: Path | str | Artefact,
    exporter: str,
    options: Mapping[str, Any] | Sequence[str] = (),
    path: Path | str | None = None,
    report: Callable[[str], None] = lambda sentence: None,
    *,
    stem: Path | None = None,
) -> Exported:
    """Write the generator of a run or `generator.safetensors` with the named exporter; by default beside `source`.

    A `source` that has been read is taken as it is. `stem` is the path without an ending where `path` is not given.
    `options` are the exporter's, as a table or as `"key=value"` texts.
    The file is run at batches 1, 2 and 7 and compared with torch in float32. Beyond the tolerance, or where
    anything else fails, `RunError` is raised and an earlier file is untouched. `report` hears what is being done.
    """
    from ganlab.hardware.device import usual_modes

    artefact = source if isinstance(source, Artefact) else _read(Path(source))
    provider = registry.provider("exporter", exporter)
    if isinstance(options, Mapping):
        options = [f"{key}={dump_value(value)}" for key, value in options.items()]
    writer: Exporter = make_component("exporter", exporter, options)
    target = (stem or artefact.path).with_suffix(writer.suffix) if path is None else named_path(path)
    if target.suffix.lower() not in ("", ending := Path(f"generator{writer.suffix}").suffix):
        raise GanlabError(f'{target}: exporter "{exporter}" writes {ending} files; name one with --out')
    tolerance = max(model_of(artefact).export_tolerance, writer.tolerance)
    work = _Work(writer, provider, artefact, load_network(artefact), tolerance, report)
    with ExitStack() as places, usual_modes():
        done = []
        for network, place in _files(artefact, writer, target).items():
            written = places.enter_context(_workplace(place))
            done.append((written, _proven(work, network, place, written)))
        if target.exists() and target.samefile(artefact.path) and done[0][0].read_bytes() != artefact.data:
            raise GanlabError(f"{target} is what is being exported; name another file with --out")
        for written, exported in done:
            with replacing_file(exported.path) as temporary:
                os.replace(written, temporary)
    first, *others = (exported for _, exported in done)
    left_out = tuple(record.name for record in artefact.metadata.shipped) if writer.others == "none" else ()
    with blaming(provider, "cannot say how its file is used"):
        usage = writer.usage({KEY: artefact.metadata.to_json()}, first.path)
    return first._replace(others=tuple(others), left_out=left_out, usage=usage)


def _read(source: Path) -> Artefact:
    try:
        return settled(read_artefact(source, refuse_unlike))
    except OtherFormatError as error:
        raise refuse_weights(source, error) from error


def _files(artefact: Artefact, writer: Exporter, target: Path) -> dict[str, Path]:
    """Return which networks get which files. Raise `GanlabError` where a file of another kind is in the way."""
    files = {"generator": target}
    if writer.others == "beside":
        files |= {record.name: beside(target, record.name) for record in artefact.metadata.shipped}
    for place in files.values():
        if place.exists() and not place.is_file():
            raise GanlabError(f"{place} is not a file; name one with --out")
    return files


class _Work(NamedTuple):
    """What an export works with, for each of its files."""

    writer: Exporter
    provider: Provider
    artefact: Artefact
    generator: nn.Module
    tolerance: float
    report: Callable[[str], None]


def _proven(work: _Work, network: str, target: Path, written: Path) -> Exported:
    """Write one network to `written`, which is to become `target`, run it, and compare it with torch."""
    writer, provider, artefact, generator, tolerance, report = work
    checks = [_inputs(artefact, generator, network, count) for count in BATCHES]
    expected = [_compute(artefact, generator, network, inputs) for inputs in checks]
    report(f"writing {target}")
    with blaming(provider, "cannot write"):
        _write(writer, provider, generator, artefact, network, written)
    _check_written(provider, written)
    if network != "generator":  # of no range: as far from torch as float32 is, in proportion
        tolerance *= max(1.0, *(float(np.abs(made).max()) for made in expected))
    difference, squares = 0.0, np.zeros(2)
    for inputs, right in zip(checks, expected, strict=True):
        report(f"comparing with torch at batch {len(right)}")
        with blaming(provider, "cannot run what it wrote"):
            made = writer.run(written, inputs)
        difference = max(difference, _difference(provider, made, right, tolerance))
        squares += [np.square(made - right, dtype=float).sum(), np.square(right, dtype=float).sum()]
    relative = float(np.sqrt(squares[0] / squares[1])) if squares[1] else 0.0
    return Exported(target, written.stat().st_size, difference, tolerance, relative)


def paces(*paths: Path) -> list[Pace]:
    """Measure files against each other: they take turns, so that what else the machine does meets all of them."""
    generators = [load_file(path, device="cpu") for path in paths]
    times: list[tuple[list[float], list[float]]] = [([], []) for _ in paths]
    for turn in range(TURNS + 1):
        for generator, (one, many) in zip(generators, times, strict=True):
            for count, taken, calls in ((1, one, 10), (BATCH, many, 1)):
                inputs = generator.draw(range(count))
                started = time.perf_counter()
                for _ in range(calls):
                    generator(inputs)
                if turn:  # the first warms up
                    taken.append((time.perf_counter() - started) / calls * 1000)
    return [Pace(float(np.median(one)), float(np.median(many))) for one, many in times]


def _inputs(artefact: Artefact, generator: nn.Module, network: str, count: int) -> dict[str, np.ndarray[Any, Any]]:
    """Return inputs in the order of a network's arguments; other seeds for each batch size.

    Networks that take pictures get those that the generator makes.
    """
    metadata, seeds = artefact.metadata, range(100 * count, 101 * count)
    inputs = of_seeds(metadata.kinds, seeds, metadata.images.classes)
    if network == "generator":
        return inputs
    pictures = {"images": _compute(artefact, generator, "generator", inputs)}
    labels = {"labels": np.array(seeds, np.int64) % metadata.images.classes} if metadata.record(network).labels else {}
    return {**pictures, **labels}


def _compute(artefact: Artefact, generator: nn.Module, network: str, inputs: Arrays) -> Floats:
    """Return what torch makes, having made sure that it is worth comparing with."""
    import torch

    from ganlab.networks.shipment import parts

    part, tensors = parts(generator)[network], [torch.from_numpy(array) for array in inputs.values()]
    with torch.inference_mode():
        images: Floats = part(*tensors).float().numpy()
        again: Floats = part(*tensors).float().numpy()
    expected = (len(tensors[0]), *artefact.metadata.makes(network)[1])
    if images.shape != expected or not np.isfinite(images).all():
        raise RunError(
            f"{artefact.path}: its {network} makes {_described(images)} instead of finite arrays of shape {expected}"
        )
    if np.abs(images - again).max() > NOISE * max(1.0, float(np.abs(images).max())):
        if network != "generator":
            raise PluginError(
                f"{artefact.path}: its {network} makes something else of the same pictures each time, so no export can "
                "be compared; in eval mode it must draw no noise"
            )
        raise PluginError(
            f"{artefact.path}: its generator makes other pictures of the same inputs each time, so no export can be "
            "compared; a forward that draws noise must do so in training mode only, or declare it in inputs()"
        )
    return images


def _write(
    writer: Exporter, provider: Provider, generator: nn.Module, artefact: Artefact, network: str, path: Path
) -> None:
    import copy

    import torch

    from ganlab.networks.shipment import parts

    held = () if writer.others == "none" else artefact.metadata.shipped
    text = artefact.metadata.model_copy(update={"digest": UNSEALED, "network": network, "shipped": held}).to_json()
    inputs = _inputs(artefact, generator, network, 2)
    examples = {name: torch.from_numpy(array) for name, array in inputs.items()}
    module = generator if writer.others == "inside" else parts(generator)[network]
    # A copy: what the exporter does to its generator must not reach the one that it is compared with.
    try:
        writer.export(copy.deepcopy(module), examples, {KEY: text}, path)
    except OSError as error:
        raise RunError(f"{provider.title} cannot write: {error.strerror or error}") from error


def _check_written(provider: Provider, written: Path) -> None:
    if not written.is_file() or list(written.parent.iterdir()) != [written]:
        raise PluginError(f"{provider.title} must write exactly one file, the path that it is given")


def _difference(provider: Provider, made: object, images: np.ndarray[Any, Any], tolerance: float) -> float:
    """Return the largest difference of a file's images from torch's. Raise `RunError` beyond the tolerance."""
    if not isinstance(made, np.ndarray) or made.shape != images.shape or not np.isfinite(made).all():
        raise RunError(
            f"{provider.title} wrote a file that makes {_described(made)} "
            f"instead of finite arrays of shape {images.shape}; it was not kept"
        )
    difference = float(np.abs(made.astype(np.float64) - images).max())
    if difference > tolerance:
        raise RunError(
            f"{provider.title} wrote a file that differs from torch by {difference:.1e} at batch {len(images)}, "
            f"more than the {tolerance:.0e} allowed; it was not kept"
        )
    return difference


@contextmanager
def _workplace(target: Path) -> Iterator[Path]:
    """Yield the path of a file to be written, in an empty directory beside `target` that is removed afterwards."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        place = temporary_path(target)
        with tempfile.TemporaryDirectory("", place.name, place.parent, ignore_cleanup_errors=True) as folder:
            yield Path(folder) / target.name
    except OSError as error:
        raise RunError(f"cannot write {target}: {error.strerror}; name another file with --out") from error


def _described(made: object) -> str:
    if not isinstance(made, np.ndarray):
        return type(made).__name__
    finite = made.dtype.kind == "f" and np.isfinite(made).all()
    return f"{made.dtype} of shape {made.shape}" + ("" if finite else " that is not finite")
