"""The checks of exporters: what they write makes torch's pictures."""

from __future__ import annotations

import inspect
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from ganlab.errors import GanlabError
from ganlab.generator.export import export
from ganlab.generator.file import KEY, read_artefact
from ganlab.generator.metadata import Metadata
from ganlab.interfaces import Exporter, Model
from ganlab.networks.shipment import shipment
from ganlab.testing.subject import Check, ContractError, NotRunError, Subject, registered
from ganlab.testing.surroundings import modes, moved, random_states
from ganlab.testing.toys import CLASSES, IMAGES, Tiny, TinyEncoding, TinyLabelled, TinyVaried
from ganlab.testing.trial import artefact


def has_a_suffix(subject: Subject[Exporter]) -> None:
    """Look at the ending of its files."""
    suffix = inspect.getattr_static(subject.cls, "suffix", None)
    if not isinstance(suffix, str) or len(suffix) < 2 or not suffix.startswith(".") or "/" in suffix:
        raise ContractError(
            f'suffix is {suffix!r}: state the ending of its files with a dot, suffix: ClassVar[str] = ".x"'
        )
    if subject.cls.others not in ("inside", "beside", "none"):
        raise ContractError(f'others is {subject.cls.others!r}: state "inside", "beside" or "none"')
    if not 0 < subject.make().tolerance < 1:
        raise ContractError("tolerance is the largest difference on pictures in [-1, 1]: state one above 0 and below 1")


def equals_torch(subject: Subject[Exporter]) -> None:
    """Export a generator, run the file at batches 1, 2 and 7, and compare."""
    _exported(subject, Tiny())


def equals_torch_with_labels(subject: Subject[Exporter]) -> None:
    """Do the same with a conditional generator, whose second input is the label."""
    _exported(subject, TinyLabelled())


def equals_torch_with_more_inputs(subject: Subject[Exporter]) -> None:
    """Do the same with a generator of four inputs: numbers, a category and a map of noise."""
    _exported(subject, TinyVaried())


def reads_metadata(subject: Subject[Exporter]) -> None:
    """Ask for the metadata of what was written, as `ganlab info` and `ganlab.load_generator` do."""
    found = _exported(subject, Tiny())
    if isinstance(found.read, Exception):
        raise found.read
    kept = ("model", "images", "inputs", "class_names", "recipe", "training", "data", "versions")
    if found.read is None or any(getattr(found.read, name) != getattr(found.written, name) for name in kept):
        what = "nothing" if found.read is None else "something else"
        raise ContractError(
            f'read_metadata() gives {what} back: put the text with the key "ganlab" into the file, and return it with '
            "that key"
        )


def ships_the_others(subject: Subject[Exporter]) -> None:
    """Export a generator whose model ships an encoder, too."""
    if subject.cls.others == "none":
        raise NotRunError("it exports the generator alone")
    _exported(subject, TinyEncoding())


def leaves_surroundings(subject: Subject[Exporter]) -> None:
    """Look at what the export has changed."""
    if found := _exported(subject, Tiny()).changed:
        raise ContractError(f"an export changes {' and '.join(found)}: leave all of it as it was")


CHECKS = (
    Check("suffix", "Its files have an ending.", has_a_suffix, ("defaults",)),
    Check("equal", "What it wrote makes torch's pictures at batches 1, 2 and 7.", equals_torch, ("suffix",)),
    Check("labels", "So it does for a conditional generator.", equals_torch_with_labels, ("equal",)),
    Check(
        "inputs",
        "So it does for a generator of several inputs, by their names.",
        equals_torch_with_more_inputs,
        ("labels",),
    ),
    Check("metadata", "It reads back the metadata that it wrote.", reads_metadata, ("equal",)),
    Check("others", "It exports what a model ships beside its generator, as it states.", ships_the_others, ("equal",)),
    Check("random", "It changes no random state and no mode of torch.", leaves_surroundings, ("equal",)),
)


class _Exported(NamedTuple):
    """What an export has left."""

    changed: list[str]
    """What else it has changed, in words."""
    written: Metadata
    read: Metadata | Exception | None
    """What it says of the file, or raises over it; None where it says nothing."""


@lru_cache(maxsize=8)
def _exported(subject: Subject[Exporter], model: Model) -> _Exported:
    """Export a tiny generator, and ask what it has written. Frozen models are equal by options."""
    images = IMAGES._replace(classes=CLASSES if model.conditional else 0)
    generator = shipment(model, model.build(images)).eval()
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
        changed = states + (["torch's modes"] if modes() != before_modes else [])
        return _Exported(
            changed, read_artefact(path).metadata, _read(exporter, path.with_name(f"written{exporter.suffix}"))
        )


def _read(exporter: Exporter, path: Path) -> Metadata | Exception | None:
    try:
        text = exporter.read_metadata(path).get(KEY)
        return None if text is None else Metadata.from_json(text, "what read_metadata() returns")
    # A stranger's code; another check says so.
    except Exception as error:  # noqa: BLE001
        return error
