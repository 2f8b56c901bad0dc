"""A generator as a torch module: described for its artefact, and built again from one."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ganlab.data.inputs import declared_inputs
from ganlab.errors import ArtefactError, PluginError
from ganlab.generator.file import Artefact, Outline, distinct_tensors, form, read_tensors
from ganlab.generator.metadata import (
    DataRecord,
    InputRecord,
    Metadata,
    ModelRecord,
    RecipeRecord,
    TrainingRecord,
    VersionsRecord,
    fit_in_file,
)
from ganlab.interfaces import ImageSpec, Input, Model
from ganlab.messages import listed, shown
from ganlab.registry.checkout import how_to_install
from ganlab.registry.entry_points import version
from ganlab.registry.loading import blaming
from ganlab.registry.lookup import HERE, registry

if TYPE_CHECKING:
    from torch import nn


def describe(
    name: str,
    model: Model,
    images: ImageSpec,
    *,
    recipe: RecipeRecord,
    training: TrainingRecord,
    data: DataRecord,
    class_names: Sequence[str] = (),
) -> Metadata:
    """Return the metadata of a generator that `model`, registered as `name`, has built for `images`.

    Names of classes that are too long for a file are left out.
    """
    provider = registry.provider("model", name)
    return Metadata(
        model=ModelRecord(
            name=provider.name,
            options=json.loads(model.model_dump_json()),
            distribution=provider.distribution,
            version=provider.version,
        ),
        images=images,
        class_names=tuple(class_names) if fit_in_file(class_names) else (),
        inputs=tuple(InputRecord.of(name, kind) for name, kind in declared_inputs(model, images).items()),
        recipe=recipe,
        training=training,
        data=data,
        versions=VersionsRecord(ganlab=version("ganlab"), torch=version("torch")),
    )


def load_network(artefact: Artefact) -> nn.Module:
    """Build the generator of a safetensors artefact and load its weights; return it in eval mode on the CPU.

    The class comes from the registry and from nowhere else. Raises `PluginError` where the model is not installed,
    `ArtefactError` where options or tensors do not fit it; nothing is loaded in part.
    """
    from ganlab.hardware.device import usual_modes

    with usual_modes():
        return _loaded(artefact)


def _loaded(artefact: Artefact) -> nn.Module:
    path, images = artefact.path, artefact.metadata.images
    model = model_of(artefact)
    tensors = read_tensors(artefact)
    saved = {name: form(tensor) for name, tensor in tensors.items()}
    # First without memory: what a hostile file claims must not be allocated before it is known to be in the file.
    sketch = _sketch(model, images)
    if sketch is not None:
        _compare(artefact, sketch, saved)
    with blaming(f"{path}: {_called(artefact)}", "cannot build its generator"):
        generator = _build(model, images)
    _compare(artefact, generator, saved)
    first: dict[int, str] = {}
    state = generator.state_dict(keep_vars=True)
    generator.load_state_dict({name: tensors[first.setdefault(id(tensor), name)] for name, tensor in state.items()})
    return generator.eval().requires_grad_(False)


def refuse_unlike(outline: Outline) -> None:
    """Compare the tensors that a safetensors file promises with those of its model, before they are read.

    Raises `ArtefactError` where they differ, and where `load_network` would refuse the model. A model that cannot be
    built without values is compared when it is loaded.
    """
    from ganlab.hardware.device import usual_modes

    if outline.kind != "safetensors":
        return
    with usual_modes():
        sketch = _sketch(model_of(outline), outline.metadata.images)
    if sketch is not None:
        _compare(outline, sketch, outline.forms)


def model_of(artefact: Artefact | Outline) -> Model:
    """Return the model that the artefact names, with the options that it holds."""
    path, metadata = artefact.path, artefact.metadata
    record = metadata.model
    name = record.name if record.distribution in ("", HERE) else f"{record.distribution}:{record.name}"
    try:
        cls: type[Model] = registry.get("model", name)
    except PluginError as error:
        at_hand = how_to_install("model", record.name, record.distribution)
        remedy = "" if at_hand else "; install that plugin as its author says"
        raise PluginError(f"{path}: needs {_called(artefact)}: {error}{remedy}") from error
    with blaming(f"{path}: {_called(artefact)}", "broke down over its options"):
        try:
            model = cls.model_validate_json(json.dumps(record.options))
            model.check(metadata.images)
            declared = declared_inputs(model, metadata.images)
        except ValidationError as error:
            problems = [
                f"{shown('.'.join(map(str, problem['loc'])))}: {problem['msg']}, not {shown(problem['input'])}"
                for problem in error.errors(include_url=False, include_context=False)
            ]
            raise ArtefactError(f"{path}: its options do not fit {_called(artefact)}: {listed(problems)}") from error
        except ValueError as error:
            raise ArtefactError(f"{path}: {_called(artefact)} refuses its pictures: {error}") from error
    if not _alike(metadata.kinds, declared):
        raise ArtefactError(
            f"{path}: its metadata contradicts itself: its inputs are not those of {_called(artefact)} with its options"
        )
    return model


def settled(artefact: Artefact) -> Artefact:
    """Return a safetensors artefact whose metadata gives the inputs the shapes that its model declares.

    Format 1 knew z as a vector only, whatever shape the network then gave it: its numbers are the same in any.
    """
    if artefact.kind != "safetensors":
        return artefact
    declared = declared_inputs(model_of(artefact), artefact.metadata.images)
    records = tuple(InputRecord.of(name, kind) for name, kind in declared.items())
    return artefact._replace(metadata=artefact.metadata.model_copy(update={"inputs": records}))


def _alike(claimed: Mapping[str, Input], declared: Mapping[str, Input]) -> bool:
    """Tell whether a file's inputs are those of its model, or are so laid flat."""
    if list(claimed) != list(declared):
        return False
    return all(
        type(kind) is type(declared[name]) and kind.shape in (declared[name].shape, (math.prod(declared[name].shape),))
        for name, kind in claimed.items()
    )


def _build(model: Model, images: ImageSpec) -> nn.Module:
    """Build the generator without moving torch's random state."""
    import torch

    with torch.random.fork_rng(devices=[]):
        networks = model.build(images)
    if "generator" not in networks:
        raise PluginError(f'build() of {type(model).__name__} returns no "generator" but {sorted(networks)}')
    return networks["generator"]


def _sketch(model: Model, images: ImageSpec) -> nn.Module | None:
    """Return the generator with shapes but without values; None for a model that reads values while it is built."""
    import torch
    from torch.overrides import TorchFunctionMode

    class Undrawn(TorchFunctionMode):
        """Leaves normal initialisation out: torch takes a second to import how it is done without memory."""

        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if function.__name__.endswith("normal_"):
                return args[0] if args else kwargs["tensor"]
            return function(*args, **(kwargs or {}))

    try:
        with torch.device("meta"), Undrawn():
            return _build(model, images)
    # A stranger's code, in surroundings that it need not know of.
    except Exception:  # noqa: BLE001
        return None


def _compare(artefact: Artefact | Outline, generator: nn.Module, saved: Mapping[str, str]) -> None:
    """Refuse tensors, given by their forms, that are not exactly those of the generator."""
    expected = {name: form(tensor) for name, tensor in distinct_tensors(generator).items()}
    problems = []
    if missing := [shown(name) for name in expected if name not in saved]:
        problems.append(f"missing: {listed(missing)}")
    if unknown := [shown(name) for name in sorted(saved) if name not in expected]:
        problems.append(f"not known: {listed(unknown)}")
    if unlike := [
        f"{shown(name)} is {saved[name]} instead of {expected[name]}"
        for name in expected
        if name in saved and saved[name] != expected[name]
    ]:
        problems.append(f"unlike: {listed(unlike)}")
    if problems:
        # The checksum of a file whose weights have not been read is not known to fit.
        remedy = ", or copy the file again: it may be damaged" if isinstance(artefact, Outline) else ""
        raise ArtefactError(
            f"{artefact.path}: its tensors are not those of {_called(artefact)}: {'. '.join(problems)}. "
            f"Install the version of the plugin that it was trained with{remedy}"
        )


def _called(artefact: Artefact | Outline) -> str:
    record = artefact.metadata.model
    origin = f" ({f'{record.distribution} {record.version}'.strip()})" if record.distribution else ""
    return f'model "{record.name}"{origin}'
