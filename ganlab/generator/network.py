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
    NetworkRecord,
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
    generator: nn.Module,
    *,
    recipe: RecipeRecord,
    training: TrainingRecord,
    data: DataRecord,
    class_names: Sequence[str] = (),
) -> Metadata:
    """Return the metadata of a generator that `model`, registered as `name`, has built for `images`.

    Networks that are shipped with it are called once, to see what they make. Names of classes that are too long for a
    file are left out.
    """
    from ganlab.networks.shipment import parts

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
        shipped=tuple(
            _record(model, images, name, network) for name, network in parts(generator).items() if name != "generator"
        ),
        recipe=recipe,
        training=training,
        data=data,
        versions=VersionsRecord(ganlab=version("ganlab"), torch=version("torch")),
    )


def _record(model: Model, images: ImageSpec, name: str, network: nn.Module) -> NetworkRecord:
    """Return what a network makes of pictures. Raise `PluginError` where that cannot be shipped."""
    import torch

    who = f"the {name} of {type(model).__name__}"
    device = next((tensor.device for tensor in network.state_dict().values()), torch.device("cpu"))
    condition = [torch.zeros(2, dtype=torch.int64, device=device)] if model.conditional else []
    with torch.no_grad(), blaming(who, "cannot be called with pictures"):
        made = network(torch.zeros(2, *images[:3], device=device), *condition)
    if not isinstance(made, torch.Tensor) or made.shape[:1] != (2,) or not made.is_floating_point():
        shape = tuple(made.shape) if isinstance(made, torch.Tensor) else type(made).__name__
        raise PluginError(f"{who} is shipped and must make one tensor (N, ...) of floats in eval mode, not {shape}")
    shape, z = tuple(made.shape[1:]), declared_inputs(model, images).get("z")
    if name == "encoder" and (z is None or shape != z.shape):
        taken = "takes none" if z is None else f"takes it of shape (N, {', '.join(map(str, z.shape))})"
        raise PluginError(
            f"{who} must map pictures to z in eval mode: it makes (N, {', '.join(map(str, shape))}), and the generator "
            f"{taken}"
        )
    output = "z" if name == "encoder" else "output"
    return NetworkRecord(name=name, output=output, shape=shape, labels=model.conditional)


def load_network(artefact: Artefact) -> nn.Module:
    """Build the generator of a safetensors artefact and load its weights; return it in eval mode on the CPU.

    Networks that are shipped with it come with it. The class comes from the registry and from nowhere else. Raises
    `PluginError` where the model is not installed, `ArtefactError` where options or tensors do not fit it; nothing is
    loaded in part.
    """
    from ganlab.hardware.device import usual_modes

    with usual_modes():
        return _loaded(artefact)


def _loaded(artefact: Artefact) -> nn.Module:
    from ganlab.networks.shipment import named_state, parts, prefixed

    path = artefact.path
    model = model_of(artefact)
    tensors = read_tensors(artefact)
    saved = {name: form(tensor) for name, tensor in tensors.items()}
    # First without memory: what a hostile file claims must not be allocated before it is known to be in the file.
    sketch = _sketch(model, artefact.metadata)
    if sketch is not None:
        _compare(artefact, sketch, saved)
    with blaming(f"{path}: {_called(artefact)}", "cannot build its generator"):
        generator = _build(model, artefact.metadata)
    _compare(artefact, generator, saved)
    first: dict[int, str] = {}
    state = {name: tensors[first.setdefault(id(tensor), name)] for name, tensor in named_state(generator)}
    for network, part in parts(generator).items():
        part.load_state_dict({name: state[prefixed(network, name)] for name in part.state_dict()})
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
        sketch = _sketch(model_of(outline), outline.metadata)
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
    if unknown := [record.name for record in metadata.shipped if record.name not in model.shipped]:
        raise ArtefactError(f"{path}: holds a network that {_called(artefact)} does not ship: {listed(unknown)}")
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


def _build(model: Model, metadata: Metadata) -> nn.Module:
    """Build what a file holds without moving torch's random state."""
    import torch

    from ganlab.networks.shipment import Shipment

    with torch.random.fork_rng(devices=[]):
        networks = model.build(metadata.images)
    wanted = metadata.networks
    if missing := [name for name in wanted if name not in networks]:
        raise PluginError(f'build() of {type(model).__name__} returns no "{missing[0]}" but {sorted(networks)}')
    return networks["generator"] if len(wanted) == 1 else Shipment({name: networks[name] for name in wanted})


def _sketch(model: Model, metadata: Metadata) -> nn.Module | None:
    """Return what a file holds with shapes but without values; None for a model that reads values while it is built."""
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
            return _build(model, metadata)
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
