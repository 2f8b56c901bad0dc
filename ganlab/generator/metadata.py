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

from ganlab.data.inputs import MOST, NAME, is_shape
from ganlab.errors import ArtefactError
from ganlab.interfaces import Categorical, Distribution, ImageSpec, Input, Labels, Normal, Uniform
from ganlab.messages import listed, shown

FORMAT: Literal[2] = 2
"""The version of the metadata. A reader ignores keys that it does not know, and refuses a version it does not know.
Files of format 1 are read too: they have `latent` and `conditional` in place of `inputs`."""
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


def _as_tuple(items: object) -> object:
    """Return a list, as JSON has them, as a tuple."""
    return tuple(items) if isinstance(items, list) else items


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)


class ModelRecord(_Record):
    """The component that builds the generator, with all its options."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_.-]{1,64}$")]
    """As a recipe names it."""
    options: dict[str, JsonValue]
    """All of them, with their values."""
    distribution: Text
    """The installed distribution that it comes from."""
    version: Text
    """That of the distribution."""


class InputRecord(_Record):
    """What one input of the generator is."""

    name: Annotated[str, Field(pattern=f"^{NAME}$")]
    """What it is called, as in `Model.inputs`."""
    distribution: Literal["normal", "uniform", "categorical", "labels"]
    """What it is drawn from."""
    shape: Annotated[tuple[Size, ...], Field(max_length=8), BeforeValidator(_as_tuple)]
    """Of one picture's; that of a categorical input is its number of categories, that of labels is empty."""

    @classmethod
    def of(cls, name: str, kind: Input) -> InputRecord:
        """Return the record of an input that a model declares."""
        return cls(name=name, distribution=kind.distribution, shape=kind.shape)

    @property
    def kind(self) -> Input:
        """The input as a model declares it."""
        match self.distribution:
            case "normal":
                return Normal(self.shape)
            case "uniform":
                return Uniform(self.shape)
            case "categorical":
                return Categorical(self.shape[0])
        return Labels()

    @model_validator(mode="after")
    def _check_shape(self) -> InputRecord:
        dimensions = {"categorical": (1,), "labels": (0,)}.get(self.distribution, range(1, 9))
        if len(self.shape) not in dimensions or not is_shape(self.shape):
            raise ValueError(f"{self.name} has a shape that no {self.distribution} input has")
        if self.name == "images":
            raise ValueError("no input is called images, which is what the generator makes")
        return self


class NetworkRecord(_Record):
    """A network that is shipped with the generator: what it takes and makes."""

    name: Annotated[str, Field(pattern=f"^{NAME}$")]
    """What it is called, as in `Model.shipped`."""
    output: Annotated[str, Field(pattern=f"^{NAME}$")]
    """What that is called which it makes."""
    shape: Annotated[tuple[Size, ...], Field(max_length=8), BeforeValidator(_as_tuple)]
    """Of what it makes of one picture."""
    labels: bool = False
    """Whether it takes the pictures' classes behind them."""

    @model_validator(mode="after")
    def _check_shape(self) -> NetworkRecord:
        if not is_shape(self.shape):
            raise ValueError(f"{self.name} makes too many numbers")
        if self.name == "generator":
            raise ValueError("the generator is not shipped beside itself")
        return self


class LatentRecord(_Record):
    """What z is drawn from, in format 1."""

    dim: Size
    distribution: Distribution


class _Format1(_Record):
    """What format 1 says about the generator's inputs."""

    latent: LatentRecord
    conditional: bool

    def inputs(self) -> list[dict[str, Any]]:
        z = {"name": "z", "distribution": self.latent.distribution, "shape": [self.latent.dim]}
        labels = {"name": "labels", "distribution": "labels", "shape": []}
        return [z, labels] if self.conditional else [z]


class RecipeRecord(_Record):
    """The resolved recipe."""

    name: Annotated[Text, BeforeValidator(_one_line)]
    """The name of the recipe's file, without its ending."""
    sha256: Sha256
    """Of the resolved recipe."""


class TrainingRecord(_Record):
    """How long the generator was trained, and from which weights on."""

    iterations: Count
    """Iterations done."""
    images: Count
    """Real pictures seen, repetitions counted."""
    epochs: Annotated[float, Field(ge=0)]
    """Passes over the data done."""
    init_sha256: Sha256 | None = None
    """Of the file that the training began with; None where the weights were fresh."""


class DataRecord(_Record):
    """What it was trained on."""

    fingerprint: Text
    """A digest of the packed pictures: equal for equal pictures."""
    dataset: Text = ""
    """The name of the data set. Files of an older ganlab do not say it."""


class ScoreRecord(_Record):
    """By which score a generator is the best of its run."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")]
    """The score, such as `kid`."""
    value: float
    """What the generator had."""
    better: Literal["lower", "higher"]
    """Which numbers are the better ones."""
    protocol: dict[str, JsonValue]
    """What it was computed from, as `ganlab evaluate --json` says it: that of another one is not comparable."""


class VersionsRecord(_Record):
    """What it was trained with."""

    ganlab: Text
    """The version of ganlab."""
    torch: Text
    """The version of torch."""


def _checked(images: ImageSpec) -> ImageSpec:
    for name, value in images._asdict().items():
        least = 0 if name == "classes" else 1
        if not least <= value <= 1_000_000:
            raise ValueError(f"{name} must be from {least} to 1000000")
    return images


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

    format: Literal[2] = FORMAT
    """Of the metadata themselves."""
    model: ModelRecord
    """What builds the generator."""
    images: Annotated[ImageSpec, AfterValidator(_checked), PlainSerializer(_table)]
    """The pictures that it makes."""
    class_names: Annotated[tuple[ClassName, ...], BeforeValidator(_as_tuple)] = ()
    """What the classes are called, in the order of their numbers; empty where that is not known."""
    inputs: Annotated[tuple[InputRecord, ...], Field(min_length=1, max_length=MOST), BeforeValidator(_as_tuple)]
    """What the generator takes, in the order of its arguments."""
    shipped: Annotated[tuple[NetworkRecord, ...], Field(max_length=MOST), BeforeValidator(_as_tuple)] = ()
    """The networks that are shipped with the generator."""
    network: Annotated[str, Field(pattern=f"^{NAME}$")] = "generator"
    """Which network a file holds that has one alone, as an ONNX file does."""
    recipe: RecipeRecord
    """What it was trained by."""
    training: TrainingRecord
    """How long it was trained."""
    data: DataRecord
    """What it was trained on."""
    versions: VersionsRecord
    """What it was trained with."""
    score: ScoreRecord | None = None
    """Of the best generator of a run. Other files do not have the key."""
    precision: Literal["fp32", "fp16", "int8"] = "fp32"
    """What the file computes in; its inputs and pictures are float32 all the same."""
    digest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")] = UNSEALED
    """SHA-256 of the whole file, taken while these 64 digits are 0."""

    @property
    def kinds(self) -> dict[str, Input]:
        """What the generator takes, by name, in the order of its arguments."""
        return {record.name: record.kind for record in self.inputs}

    @property
    def networks(self) -> tuple[str, ...]:
        """The names of the networks that are shipped, the generator's first."""
        return ("generator", *(record.name for record in self.shipped))

    def takes(self, network: str) -> dict[str, tuple[int, ...]]:
        """Return the shapes of what the network called `network` takes of one picture, in order; `()` are classes."""
        if network == "generator":
            return {name: kind.shape for name, kind in self.kinds.items()}
        labels: dict[str, tuple[int, ...]] = {"labels": ()} if self.record(network).labels else {}
        return {"images": self.images[:3], **labels}

    def makes(self, network: str) -> tuple[str, tuple[int, ...]]:
        """Return the name and the shape of what the network called `network` makes of one picture."""
        if network == "generator":
            return "images", self.images[:3]
        return self.record(network).output, self.record(network).shape

    def record(self, network: str) -> NetworkRecord:
        """Return the record of `network`, which is shipped with the generator."""
        return next(record for record in self.shipped if record.name == network)

    @model_validator(mode="after")
    def _check_inputs_and_classes(self) -> Metadata:
        labels = [record for record in self.inputs if record.distribution == "labels"]
        if labels and not self.images.classes:
            raise ValueError("a conditional generator has at least 1 class")
        if self.class_names and len(self.class_names) != self.images.classes:
            raise ValueError(f"{len(self.class_names)} class_names for {self.images.classes} classes")
        if len(set(self.class_names)) != len(self.class_names):
            raise ValueError("a name in class_names appears twice")
        if len({record.name for record in self.inputs}) < len(self.inputs) or len(labels) > 1:
            raise ValueError("two inputs have one name, or two are labels")
        if len(set(self.networks)) < len(self.networks) or self.network not in self.networks:
            raise ValueError("two networks have one name, or the file's is none of them")
        if any(record.labels for record in self.shipped) and not self.images.classes:
            raise ValueError("a network that takes labels has at least 1 class")
        return self

    def to_json(self) -> str:
        """Return the canonical text: sorted keys, no spaces, ASCII."""
        table = self.model_dump(mode="json", exclude={"score"} if self.score is None else None)
        return json.dumps(table, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes, origin: str) -> Metadata:
        """Read `text` of `to_json`. Raise `ArtefactError` naming `origin` and every key that is not right."""
        table = parse_object(text, f"{origin}: its metadata")
        if type(table.get("format")) is int and table["format"] > FORMAT:
            raise ArtefactError(
                f"{origin}: is of format {shown(table['format'])}; this ganlab reads formats up to {FORMAT}: "
                "upgrade ganlab"
            )
        try:
            if table.get("format") == 1 and type(table["format"]) is int:
                inputs = _Format1.model_validate(table, strict=True).inputs()
                table = {**table, "format": FORMAT, "inputs": inputs}
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
