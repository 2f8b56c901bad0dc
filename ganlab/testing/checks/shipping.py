"""The check of the networks that a model ships beside its generator."""

from __future__ import annotations

import copy

import torch

from ganlab.generator.export import NOISE
from ganlab.generator.file import read_artefact
from ganlab.generator.network import load_network
from ganlab.interfaces import Model
from ganlab.networks.shipment import parts, shipment
from ganlab.testing.checks.generators import built
from ganlab.testing.shapes import accepted
from ganlab.testing.subject import Check, ContractError, Subject
from ganlab.testing.surroundings import SEED
from ganlab.testing.trial import artefact


def ships_other_networks(subject: Subject[Model]) -> None:
    """Call them with pictures, alone and together, and load them from the generator's artefact."""
    model, images = subject.make(), accepted(subject)[0]
    shipped = copy.deepcopy(shipment(model, built(subject, images)))
    names = [name for name in parts(shipped) if name != "generator"]
    if not names:
        return
    real = torch.rand(7, *images[:3], generator=torch.Generator().manual_seed(SEED)) * 2 - 1
    arguments = [real, torch.arange(7) % images.classes] if model.conditional else [real]
    with artefact(model, shipped, images) as path:  # which raises for what cannot be shipped
        torch.default_generator.manual_seed(SEED + 1)  # what is drawn anew, and not loaded, is something else
        loaded = parts(load_network(read_artefact(path)))
    for name in names:
        network = parts(shipped)[name]
        with torch.no_grad():
            together, again, reloaded = network(*arguments), network(*arguments), loaded[name](*arguments)
            alone = torch.cat([network(*(values[place : place + 1] for values in arguments)) for place in range(7)])
        scale = max(1.0, float(together.abs().max()))
        for other, fault in (
            (together, "makes NaN or infinite values from the first weights: look for divisions by 0"),
            (again, "makes something else of the same pictures each time: in eval mode it must draw no noise"),
            (alone, "mixes the pictures of a batch: in eval mode each must be seen by itself"),
            (
                reloaded,
                "makes something else once it is loaded from its artefact: keep whatever forward needs in parameters "
                "and buffers (register_buffer), not in plain attributes",
            ),
        ):
            if not (together - other).abs().max() <= NOISE * scale:  # which NaN is not either
                raise ContractError(f"the {name} {fault}")


CHECKS = (
    Check(
        "shipped",
        "What it ships beside the generator can be called with pictures, saved and loaded.",
        ships_other_networks,
        ("save_load",),
    ),
)
