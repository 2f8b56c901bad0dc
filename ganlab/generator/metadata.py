"""What a generator file says about itself: one JSON object, written canonically and read with distrust."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    ValidationError,
    model_validator,
)

from ganlab.errors import ArtefactError
from ganlab.interfaces import Distribution, ImageSpec
from ganlab.messages import listed, shown

FORMAT: Literal[1] = 1
"""The version of the metadata. A reader ignores keys that it does not know, and refuses a version it does not know."""
UNSEALED = "sha256:" + "0" * 64
"""The digest before the file is sealed."""

Text = Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
"""One line that is safe to print on a terminal."""
Size = Annotated[int, Field(ge=1, le=1_000_000)]
Count = Annotated[int, Field(ge=0, le=2**63)]
ClassName = Annotated[Text, Field(min_length=1)]
NAMES_BYTES = 500_000
"""The most that the names of all classes may take: half of what the header of a generator's file may have."""
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _one_line(name: object) -> object:
    """Return a recipe's name, which is that of a file and may hold anything, as a short line of text."""
    if not isinstance(name, str):
        return name
    return "".join(letter if letter.isprintable() else "?" for letter in name)[:200]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)


class ModelRecord(_Record):
    """The component that builds the generator, with all its options."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_.-]{1,64}$")]
    options: dict[str, JsonValue]
    distribution: Text
    version: Text


class LatentRecord(_Record):
    """What z is drawn from."""

    dim: Size
    distribution: Distribution


class RecipeRecord(_Record):
    """The resolved recipe."""

    name: Annotated[Text, BeforeValidator(_one_line)]
    sha256: Sha256


class TrainingRecord(_Record):
    """How long the generator was trained, and from which weights on."""

    iterations: Count
    images: Count
    epochs: Annotated[float, Field(ge=0)]
    init_sha256: Sha256 | None = None
    """Of the file that the training began with; None where the weights were fresh."""


class DataRecord(_Record):
    """What it was trained on."""

    fingerprint: Text
    dataset: Text = ""
    """The name of the data set. Files of an older ganlab do not say it."""


class VersionsRecord(_Record):
    """What it was trained with."""

    ganlab: Text
    torch: Text


def _checked(images: ImageSpec) -> ImageSpec:
    for name, value in images._asdict().items():
        least = 0 if name == "classes" else 1
        if not least <= value <= 1_000_000:
            raise ValueError(f"{name} must be from {least} to 1000000")
    return images


def _as_tuple(names: object) -> object:
    return tuple(names) if isinstance(names, list) else names


def fit_in_file(class_names: Sequence[str]) -> bool:
    """Tell whether the names of all classes have room in a generator's file."""
    # Twice: the metadata is text within the JSON of a safetensors header.
    return sum(len(json.dumps(json.dumps(name))) for name in class_names) <= NAMES_BYTES


def _dotted(location: tuple[int | str, ...]) -> str:
    """Return a dotted key, printable whatever a stranger called it."""
    return ascii(".".join(str(part) for part in location[:4])[:80])[1:-1]


def _table(images: ImageSpec) -> dict[str, int]:
    return images._asdict()


class Metadata(_Record):
    """Everything needed to use a generator, and where it comes from. No paths, no times: equal weights, equal bytes."""

    format: Literal[1] = FORMAT
    model: ModelRecord
    images: Annotated[ImageSpec, AfterValidator(_checked), PlainSerializer(_table)]
    latent: LatentRecord
    class_names: Annotated[tuple[ClassName, ...], BeforeValidator(_as_tuple)] = ()
    """What the classes are called, in the order of their numbers; empty where that is not known."""
    conditional: bool
    recipe: RecipeRecord
    training: TrainingRecord
    data: DataRecord
    versions: VersionsRecord
    precision: Literal["fp32", "fp16", "int8"] = "fp32"
    """What the file computes in; its inputs and pictures are float32 all the same."""
    digest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")] = UNSEALED
    """SHA-256 of the whole file, taken while these 64 digits are 0."""

    @model_validator(mode="after")
    def _check_classes(self) -> Metadata:
        if self.conditional and not self.images.classes:
            raise ValueError("a conditional generator has at least 1 class")
        if self.class_names and len(self.class_names) != self.images.classes:
            raise ValueError(f"{len(self.class_names)} class_names for {self.images.classes} classes")
        if len(set(self.class_names)) != len(self.class_names):
            raise ValueError("a name in class_names appears twice")
        return self

    def to_json(self) -> str:
        """Return the canonical text: sorted keys, no spaces, ASCII."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes, origin: str) -> Metadata:
        """Read what `to_json` wrote. Raise `ArtefactError` naming `origin` and every key that is not right."""
        table = parse_object(text, f"{origin}: its metadata")
        if type(table.get("format")) is int and table["format"] > FORMAT:
            raise ArtefactError(
                f"{origin}: is of format {shown(table['format'])}; this ganlab reads format {FORMAT}: upgrade ganlab"
            )
        try:
            return cls.model_validate(table, strict=True)
        except ValidationError as error:
            problems = [
                f"{_dotted(problem['loc'])}: {problem['msg']}, not {shown(problem['input'])}"
                for problem in error.errors(include_url=False, include_context=False)
            ]
            raise ArtefactError(f"{origin}: its metadata is not what ganlab writes: {listed(problems)}") from error


def parse_object(text: str | bytes, what: str) -> dict[str, Any]:
    """Parse one JSON object in which no key appears twice. Raise `ArtefactError` that begins with `what`."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(pairs)
        if len(table) != len(pairs):
            raise ValueError("a key appears twice")
        return table

    try:
        table = json.loads(text, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise ArtefactError(
            f"{what} is not valid JSON ({str(error)[:100]}): damaged, or not written by ganlab"
        ) from error
    if not isinstance(table, dict):
        raise ArtefactError(f"{what} is not a JSON object: damaged, or not written by ganlab")
    return table
