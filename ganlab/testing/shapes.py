"""Which pictures a model accepts: what it is checked with."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from ganlab.data.inputs import needs_labels
from ganlab.interfaces import ImageSpec, Model
from ganlab.testing.subject import ContractError, Subject, described
from ganlab.testing.toys import CLASSES

USUAL = ((28, 28), (32, 32), (64, 64), (48, 64))
UNUSUAL = ((8, 8), (16, 16), (128, 128), (256, 256))
"""Heights and widths that are tried; the unusual ones where no usual one is accepted."""


@lru_cache(maxsize=8)
def accepted(subject: Subject[Model]) -> tuple[ImageSpec, ...]:
    """Return pictures that the subject's model accepts, smallest first: those asked for, or one of each usual size."""
    return shapes(subject.make(), subject.images)


def shapes(model: Model, wanted: Sequence[ImageSpec] = ()) -> tuple[ImageSpec, ...]:
    """Return pictures that a model accepts, smallest first. Raise `ContractError` where there are none."""
    for images in wanted:
        if (reason := _refusal(model, images)) is not None:
            raise ContractError(f"check() refuses {shown(images)}, which it was to be checked with: {reason}")
    found = list(wanted) or _search(model, USUAL) or _search(model, UNUSUAL)
    if not found:
        tried = ", ".join(f"{height}x{width}" for height, width in (*USUAL, *UNUSUAL))
        raise ContractError(
            f"check() refuses pictures of {tried}, in grey and in colour: correct it, or say what can be built, "
            "contract(..., images=[ImageSpec(channels, height, width)])"
        )
    found = [
        images._replace(classes=images.classes or CLASSES) if _labelled(model, images) else images for images in found
    ]
    return tuple(sorted(found, key=lambda images: images.channels * images.height * images.width))


def shown(images: ImageSpec) -> str:
    """Return the shape as messages write it."""
    return f"{images.channels}x{images.height}x{images.width}"


def _search(model: Model, sizes: Sequence[tuple[int, int]]) -> list[ImageSpec]:
    """Return one shape of each size that is accepted, grey and colour in turns where the model takes both."""
    found = []
    for index, (height, width) in enumerate(sizes):
        shapes = [ImageSpec(channels, height, width) for channels in ((1, 3) if index % 2 == 0 else (3, 1))]
        found += [shape for shape in shapes if _refusal(model, shape) is None][:1]
    return found


def _labelled(model: Model, images: ImageSpec) -> bool:
    """Tell whether the model needs labels; what it wrongly declares is for another check to say."""
    try:
        return needs_labels(model, images)
    # A stranger's code.
    except Exception:  # noqa: BLE001
        return model.conditional


def _refusal(model: Model, images: ImageSpec) -> str | None:
    """Return why `check()` refuses the pictures, or None."""
    try:
        model.check(images)
    except ValueError as error:
        if not str(error):
            raise ContractError(f"check() refuses {shown(images)} without a word: say what to do instead") from error
        return str(error)
    # A stranger's code.
    except Exception as error:
        raise ContractError(
            f"check() raises {described(error, type(model))} over {shown(images)}: raise ValueError, with a remedy"
        ) from error
    return None
