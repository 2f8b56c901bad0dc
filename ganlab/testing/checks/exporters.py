"""The checks of exporters: what they write makes torch's pictures."""

from __future__ import annotations

import inspect
from functools import lru_cache

from ganlab.errors import GanlabError
from ganlab.generator.export import export
from ganlab.interfaces import Exporter, Model
from ganlab.testing.subject import Check, ContractError, Subject, registered
from ganlab.testing.surroundings import modes, moved, random_states
from ganlab.testing.toys import CLASSES, IMAGES, Tiny, TinyLabelled
from ganlab.testing.trial import artefact


def has_a_suffix(subject: Subject[Exporter]) -> None:
    """Look at the ending of its files."""
    suffix = inspect.getattr_static(subject.cls, "suffix", None)
    if not isinstance(suffix, str) or len(suffix) < 2 or not suffix.startswith(".") or "/" in suffix:
        raise ContractError(
            f'suffix is {suffix!r}: state the ending of its files with a dot, suffix: ClassVar[str] = ".x"'
        )
    if not 0 < subject.make().tolerance < 1:
        raise ContractError("tolerance is the largest difference on pictures in [-1, 1]: state one above 0 and below 1")


def equals_torch(subject: Subject[Exporter]) -> None:
    """Export a generator, run the file at batches 1, 2 and 7, and compare."""
    _exported(subject, Tiny())


def equals_torch_with_labels(subject: Subject[Exporter]) -> None:
    """Do the same with a conditional generator, whose second input is the label."""
    _exported(subject, TinyLabelled())


def leaves_surroundings(subject: Subject[Exporter]) -> None:
    """Look at what the export has changed."""
    found = _exported(subject, Tiny())
    if found:
        raise ContractError(f"an export changes {' and '.join(found)}: leave all of it as it was")


CHECKS = (
    Check("suffix", "Its files have an ending.", has_a_suffix, ("defaults",)),
    Check("equal", "What it wrote makes torch's pictures at batches 1, 2 and 7.", equals_torch, ("suffix",)),
    Check("labels", "So it does for a conditional generator.", equals_torch_with_labels, ("equal",)),
    Check("random", "It changes no random state and no mode of torch.", leaves_surroundings, ("equal",)),
)


@lru_cache(maxsize=8)
def _exported(subject: Subject[Exporter], model: Model) -> list[str]:
    """Export a tiny generator, and return in words what else that has changed. Frozen models are equal by options."""
    images = IMAGES._replace(classes=CLASSES if model.conditional else 0)
    generator = model.build(images)["generator"].eval()
    exporter = subject.make()
    options = exporter.model_dump(mode="json", exclude_none=True)
    with artefact(model, generator, images) as path, registered("exporter", subject.cls) as name:
        before_states, before_modes = random_states(), modes()
        try:
            export(path, name, options, path.with_name(f"written{exporter.suffix}"))
        except GanlabError as error:
            reason = str(error).replace(f'exporter "{name}" (this process)', "it").replace(str(path.parent), "")
            raise ContractError(reason) from error
        states = moved(before_states, torch_may_draw=False)
    return states + (["torch's modes"] if modes() != before_modes else [])
