"""What a plugin implements: a Component is a frozen table of options and the methods that the host calls."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, Literal, NamedTuple, TypeVar, Union

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    Tag,
    model_serializer,
    model_validator,
)

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image
    from torch import Tensor, nn

API = 1
"""The version of these interfaces. A component states the version it was written for as `api = 1`."""

Size = PositiveInt | tuple[PositiveInt, PositiveInt]
"""One number for a square, or `[height, width]`, in pixels."""

Colour = Annotated[str, Field(pattern="^#[0-9a-fA-F]{6}$")]
"""A colour as `#rrggbb`."""


def _ascending(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] >= bounds[1]:
        raise ValueError("must be [low, high] with low below high")
    return bounds


Bounds = Annotated[tuple[float, float], AfterValidator(_ascending)]
"""`[low, high]`, low below high."""

Better = Literal["lower", "higher", "neither"]
"""Which numbers of a metric speak for a generator; of some neither does: a reader compares them with those of real
pictures."""

Distribution = Literal["normal", "uniform"]
"""What z is drawn from: standard normal, or uniform on [-1, 1]."""


@dataclass(frozen=True)
class Normal:
    """An input of the generator whose numbers are standard normal: z, or a map of noise."""

    shape: tuple[int, ...]
    """Of one picture's: the generator gets float32 `(N, *shape)`."""
    distribution: ClassVar[Literal["normal"]] = "normal"
    """What a file calls it in its metadata."""


@dataclass(frozen=True)
class Uniform:
    """An input of the generator whose numbers are uniform on [-1, 1]."""

    shape: tuple[int, ...]
    """Of one picture's: the generator gets float32 `(N, *shape)`."""
    distribution: ClassVar[Literal["uniform"]] = "uniform"
    """What a file calls it in its metadata."""


@dataclass(frozen=True)
class Categorical:
    """An input of the generator that is one of `n` categories, each as likely: a code that the data does not label.

    The generator gets it one-hot, float32 `(N, n)`, so that it can be mixed and a loss can compare it with logits.
    """

    n: int
    """Number of categories; they are called 0 to `n - 1`."""
    distribution: ClassVar[Literal["categorical"]] = "categorical"
    """What a file calls it in its metadata."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one picture's: `(n,)`."""
        return (self.n,)


@dataclass(frozen=True)
class Labels:
    """An input of the generator that is the picture's class; in training, that of the real picture beside it.

    The generator gets int64 `(N,)`.
    """

    distribution: ClassVar[Literal["labels"]] = "labels"
    """What a file calls it in its metadata."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one picture's: `()`."""
        return ()


Input = Normal | Uniform | Categorical | Labels
"""One argument of a generator: what it is drawn from, and its shape."""


class Options(BaseModel):
    """A table of a recipe: its fields are its keys, types, bounds, defaults and documentation at once."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
    )


class Position(NamedTuple):
    """How far a training is before an iteration, counted in each of the units of a schedule."""

    images: float
    """Real pictures seen, repetitions counted."""
    epochs: float
    """Passes over the data."""
    iterations: float
    """Iterations done."""
    progress: float
    """How much of the training is done, 0 to 1."""


Number = TypeVar("Number")


class Schedule(Options, Generic[Number]):
    """A number that changes with the training, instead of a number: `{ from = 2e-4, to = 0.0, epochs = 10 }`."""

    model_config = ConfigDict(json_schema_extra=lambda schema: schema.pop("required", None))  # some may be inherited

    start: Number = Field(alias="from")
    """What it is at first."""
    to: Number
    """What it becomes, and then stays."""
    shape: Literal["linear", "cosine", "step"] = "linear"
    """How it goes from one to the other: `"linear"`, along a line; `"cosine"`, along half a wave, slowly at both ends;
    `"step"`, at once at the end."""
    after: NonNegativeFloat = 0.0
    """Where it begins to change, counted as its length is."""
    images: PositiveInt | None = None
    """Its length, in real pictures seen."""
    epochs: Annotated[float, Field(gt=0.0, le=1e9)] | None = None
    """Its length, in passes over the data."""
    iterations: PositiveInt | None = None
    """Its length, in iterations."""
    progress: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    """Its length, as a share of the training, however long that is: 0.5 is half of it."""

    @model_validator(mode="after")
    def _one_length(self) -> Schedule[Number]:
        lengths = [unit for unit in Position._fields if dict(self)[unit] is not None]
        if not lengths:
            raise ValueError("has no length; say over how many images, epochs or iterations, or over what progress")
        if len(lengths) > 1:
            raise ValueError(f"has several lengths, {' and '.join(lengths)}; write one of them")
        return self

    @model_serializer
    def _as_written(self) -> dict[str, Any]:
        written = {"from": self.start, "to": self.to, "shape": self.shape, "after": self.after}
        return {**written, self.unit: dict(self)[self.unit]}

    @property
    def unit(self) -> str:
        """What it is counted in: a field of `Position`."""
        return next(unit for unit in Position._fields if dict(self)[unit] is not None)

    @property
    def length(self) -> float:
        """Return over how much of its unit it changes."""
        return float(dict(self)[self.unit])

    def at(self, position: Position) -> float:
        """Return the number at a place of the training: exactly `from` up to `after`, exactly `to` from its end on."""
        place = position._asdict()[self.unit]
        # Not by the quotient, which rounding may leave below 1 at the end.
        done = 1.0 if place >= self.after + self.length else max(0.0, (place - self.after) / self.length)
        match self.shape:
            case "linear":
                left = 1.0 - done
            case "cosine":
                left = (1.0 + math.cos(math.pi * done)) / 2.0
            case "step":
                left = 1.0 if done < 1.0 else 0.0
        start: Any = self.start
        to: Any = self.to
        return float(left * start + (1.0 - left) * to)


if TYPE_CHECKING:
    Scheduled = Union[Number, Tensor]  # noqa: UP007  # an alias with a parameter
else:

    class Scheduled:
        """The type of an option that may be a number or a schedule, `Scheduled[PositiveFloat]`; both its ends are such.

        Where the component computes, it has a float, or the value of the moment as a scalar tensor on the device.
        """

        def __class_getitem__(cls, number: Any) -> Any:
            """Return the type, for numbers of some bounds. Where they are above 0, a schedule may begin or end at 0."""
            ends = NonNegativeFloat if number == PositiveFloat else number
            branches = Annotated[number, Tag("number")] | Annotated[Schedule[ends], Tag("schedule")]
            return Annotated[branches, Discriminator(_branch)]


def _branch(value: object) -> str:
    return "schedule" if isinstance(value, dict | Schedule) else "number"


class Component(Options, ABC):
    """A class that a recipe can name. Its fields are its options; its docstring's first sentence describes it."""

    api: ClassVar[int]
    """The version of the interfaces that it was written for."""


class ImageSpec(NamedTuple):
    """The shape of the pictures, written once, by the data."""

    channels: int
    """1 for greyscale, 3 for RGB."""
    height: int
    """In pixels."""
    width: int
    """In pixels."""
    classes: int = 0
    """Number of class labels; 0 where the data has none, or where they are not known yet."""


class Batch(NamedTuple):
    """What a loss draws for one update."""

    real: Tensor
    """Pictures `(N, C, H, W)`, float32 in [-1, 1]."""
    inputs: Mapping[str, Tensor]
    """What the generator takes, by name, in the order of its arguments: `G(*batch.inputs.values())`."""
    condition: tuple[Tensor, ...]
    """`()`, or `(labels,)` with labels `(N,)` int64 for a conditional model: `D(x, *batch.condition)`."""


class Iteration(NamedTuple):
    """Where in the training an iteration stands."""

    phase: int
    """The iteration's index modulo the loss's `period`."""
    progress: Tensor
    """How much of the training is done, a scalar from 0 to 1 on the device."""
    one_pass: bool = False
    """Whether real and generated pictures may go through the discriminator together, as `ganlab.apart` lets them."""


@dataclass(frozen=True)
class Update:
    """One optimizer step that a loss asks for: the host differentiates `loss` and steps the named networks."""

    networks: str | tuple[str, ...]
    """The network whose weights the loss moves, or all of them where one loss moves several."""
    loss: Tensor
    """A scalar; logged as `loss_<network>`."""
    stats: Mapping[str, Tensor] = field(default_factory=dict)
    """Scalars to log beside the loss, such as `{"D(x)": ...}`; the host detaches and averages them."""


class Model(Component):
    """Networks for pictures of a given shape."""

    networks: ClassVar[tuple[str, ...]] = ("generator", "discriminator")
    """The names that `build` returns; `"generator"` is required."""
    shipped: ClassVar[tuple[str, ...]] = ("generator",)
    """The networks that a generator file holds; others than the generator map pictures `(N, C, H, W)` in [-1, 1], and
    labels where the model is conditional, to one tensor `(N, ...)`, in eval mode. An `"encoder"` maps them to z."""
    conditional: ClassVar[bool] = False
    """Whether the networks take class labels after their first argument."""
    one_pass: ClassVar[bool] = False
    """Whether the discriminator judges each picture by itself, BatchNorm layers left aside. On a GPU real and generated
    pictures may then go through it in one pass, each batch normalised by its own statistics: half the launches."""
    export_tolerance: ClassVar[float] = 1e-5
    """Largest difference from torch that an exported generator may show, on pictures in [-1, 1]."""

    latent_dim: PositiveInt = 100
    """Length of the latent vector z."""
    latent: Distribution = "normal"
    """Distribution of z: standard normal, or uniform on [-1, 1]."""

    @abstractmethod
    def check(self, images: ImageSpec) -> None:
        """Raise `ValueError` with a remedy where no network can be built for `images`. Runs without torch."""

    def inputs(self, images: ImageSpec) -> dict[str, Input]:
        """Return what the generator takes, by name, in the order of its arguments. Runs without torch.

        By default `z`, `latent_dim` numbers of the distribution `latent`, and for a conditional model the `labels`.
        """
        shape = (self.latent_dim,)
        z: Input = Normal(shape) if self.latent == "normal" else Uniform(shape)
        return {"z": z, "labels": Labels()} if self.conditional else {"z": z}

    @abstractmethod
    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        """Return the networks by name. The generator maps its `inputs` to pictures `(N, C, H, W)` in [-1, 1].

        Initial weights are drawn from torch's default generator, which the host has seeded.
        """


class Loss(Component):
    """The algorithm of one training iteration."""

    networks: ClassVar[tuple[str, ...]] = ("generator", "discriminator")
    """The networks that the loss needs from the model."""
    brings: ClassVar[tuple[str, ...]] = ()
    """The names that `build` returns: what the loss itself remembers or trains, beside the model's networks."""

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        """Return the modules named in `brings`, which join the model's networks under these names.

        Their buffers are state, such as a balance or a running mean: write into them in place, on the device. They
        are saved, restored, and made equal on all ranks after each iteration: means of floats, rank 0's whole numbers.
        Parameters are trained by the updates that name the module. Initial weights are drawn from torch's default
        generator, which the host has seeded.
        """
        return {}

    @property
    def period(self) -> int:
        """Number of different iterations that take turns, such as 16 for a penalty every 16th iteration."""
        return 1

    @abstractmethod
    def updates(
        self, networks: Mapping[str, nn.Module], batches: Iterator[Batch], iteration: Iteration
    ) -> Iterator[Update]:
        """Yield the updates of one iteration in order; the host steps the optimizer between them.

        `networks` are the model's and what the loss brings, by name. `batches` never ends: each `next` draws new
        pictures and latents.
        """


class Source(ABC):
    """A sized collection of pictures, read once, by several threads at a time, when a dataset is packed."""

    classes: int = 0
    """Number of class labels; 0 where the data has none."""
    class_names: Sequence[str] = ()
    """What the classes are called, in the order of their numbers: each once, on one printable line of up to 200
    letters. Left empty, they are called by their numbers."""
    remarks: Sequence[str] = ()
    """What its user should be told of the pictures, a sentence each, such as which files were left out."""
    warnings: Sequence[str] = ()
    """What its user should be warned of, a sentence each: the pictures may not be those that were meant."""

    box: tuple[int, int, int, int] | None = None
    """The part of each picture that counts, before the dataset's `crop`: left, top, right, bottom, in the picture's
    own pixels. None: all of it."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of pictures."""

    @abstractmethod
    def image(self, index: int) -> Image.Image | np.ndarray[Any, np.dtype[np.uint8]]:
        """Return picture `index`: a PIL image of any mode, or uint8 `(H, W)` or `(H, W, C)`.

        It raises what reading raises."""

    @abstractmethod
    def name(self, index: int) -> str:
        """Return what a person would call picture `index`: a path, or `archive.zip/member.jpg`."""

    def label(self, index: int) -> int:
        """Return the class of picture `index`, 0 to `classes - 1`. Called only where `classes` is not 0."""
        raise NotImplementedError(f"{type(self).__name__} states {self.classes} classes and must define label()")

    def encoded(self, index: int) -> bytes | None:
        """Return the file of picture `index`, so that another process can decode it. Raise what reading raises.

        `ganlab.open_picture` makes of it what `image` returns. None: the picture is decoded in this process only, whose
        threads keep no more than two cores busy with small ones.
        """
        return None


class Dataset(Component):
    """Pictures and how they become training data: the host crops, resizes and packs what `open` yields."""

    resolution: Size = 64
    """Height and width of the training pictures, in pixels: one number, or `[height, width]`."""
    channels: PositiveInt = 3
    """1 for greyscale, 3 for RGB, 4 for RGBA."""
    crop: Literal["center", "none"] | Size = "center"
    """`"center"`: the largest centred box of the target's proportions; `"none"`: the whole picture, stretched;
    a number or `[height, width]`: a centred box of that many pixels."""
    flip: bool = False
    """Mirror each picture left to right with probability 1/2, anew in each epoch."""
    background: Colour = "#ffffff"
    """Colour that shows through transparent pixels, as `#rrggbb`."""
    range: Literal["full", "data"] | Bounds = "full"
    """Which values become black and white in a picture of more than 8 bits. `"full"`: the least and the greatest that
    the file can hold; `"data"`: those that the picture has; `[low, high]`: these, in the file's own numbers."""
    on_bad: Literal["error", "skip"] = "error"
    """What an unreadable picture does: stop with a list, or be left out and counted."""
    max_pixels: PositiveInt = 64_000_000
    """Pictures that claim more pixels than this are refused before they are decoded."""

    @abstractmethod
    def sources(self) -> Iterable[Path]:
        """Return the files and folders that the packed data depends on; a change in one packs it anew."""

    @abstractmethod
    def open(self) -> Source:
        """Find the pictures. Raise `DataError` that says where they were sought and how they must lie."""


class Augmentation(Component):
    """A differentiable change of every picture that the discriminator sees, real or generated, in training.

    The host applies it before each call of the discriminator, whatever the model and the loss are.
    """

    brings: ClassVar[tuple[str, ...]] = ()
    """The names that `build` returns: what the augmentation remembers, such as how strong it is by now."""

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        """Return the modules named in `brings`. What holds for those of a loss holds for them."""
        return {}

    @abstractmethod
    def augment(self, images: Tensor, state: Mapping[str, nn.Module]) -> Tensor:
        """Return `images` `(N, C, H, W)` changed, of the same shape, through which gradients flow.

        `state` are the modules that `build` has returned. Random draws come from torch's default generator of the
        pictures' device, which the host seeds.
        """

    def adapt(self, state: Mapping[str, nn.Module], stats: Mapping[str, Tensor]) -> None:
        """Change the buffers of `state` in place by what an update has reported; called after each update's step.

        `stats` are the update's own, scalars on the device without a graph; which there are depends on the loss and
        on the network. Gradients are off. Several ranks report each of its own pictures.
        """


class Optimizer(Component):
    """How parameters follow their gradients. It remembers nothing itself: what lasts is the state of each parameter."""

    lr: Scheduled[PositiveFloat] = 2e-4
    """Learning rate."""

    @abstractmethod
    def state(self, parameter: Tensor) -> dict[str, Tensor]:
        """Return what is to be remembered of a parameter from step to step, as it is before the first: `{}` if nothing.

        A checkpoint holds these tensors under their names. What has the parameter's shape is laid out as it is:
        `torch.zeros_like(parameter)`.
        """

    @abstractmethod
    def step(
        self, parameters: Sequence[Tensor], gradients: Sequence[Tensor], states: Sequence[Mapping[str, Tensor]]
    ) -> None:
        """Move `parameters` and their `states` in place along their `gradients`; no graph is recorded.

        Here `self.lr` is a scalar tensor on the parameters' device, and so is every other option that has a schedule.
        They are computed with and never read: on CUDA the step is captured in a graph.
        """


class Exporter(Component):
    """A file format for generators. It writes, then runs what it wrote: the host compares the two with torch."""

    suffix: ClassVar[str]
    """The file's ending, such as `".onnx"`."""
    tolerance: ClassVar[float] = 1e-5
    """Largest difference from torch that this format may show, on pictures in [-1, 1]; a pixel's step is 0.008."""
    others: ClassVar[Literal["inside", "beside", "none"]] = "none"
    """Where the networks go that a model ships with its generator: `"inside"` the same file, which `write_generator`
    does; `"beside"` it, in files of their own, for which `export` and `run` are called with each; or nowhere."""

    @abstractmethod
    def export(
        self, generator: nn.Module, inputs: Mapping[str, Tensor], metadata: Mapping[str, str], path: Path
    ) -> None:
        """Write `generator`, in eval mode on the CPU, to the one file `path`, with `metadata` inside.

        `inputs` are example inputs by name, in the order of the generator's arguments, as the model declares them.
        Their first dimension, N, is dynamic. Where `others` go beside, `generator` is each of them in turn: `inputs`
        are then `images`, and `labels` for a conditional model.
        """

    @abstractmethod
    def run(self, path: Path, inputs: Mapping[str, np.ndarray[Any, Any]]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Return what the file at `path` makes of `inputs`: of a generator, pictures `(N, C, H, W)` in [-1, 1]."""

    @abstractmethod
    def read_metadata(self, path: Path) -> Mapping[str, str]:
        """Return the metadata that the file at `path` holds, with the keys that `export` was given."""

    def usage(self, metadata: Mapping[str, str], path: Path) -> str:
        """Return how the file at `path`, with its `metadata`, is used, as a line; empty where any program will do."""
        return ""


class Observer(Component):
    """Watches a run: its methods marked `@hookimpl` are called at the events they are named after (`ganlab.events`).

    State belongs into private attributes (`_count: int = 0`), which frozen components may set.
    """


class Moments(NamedTuple):
    """What is known of features by the normal distribution that fits them best, in float64."""

    pictures: int
    """How many they are of."""
    mean: np.ndarray[Any, np.dtype[np.float64]]
    """`(D,)`."""
    covariance: np.ndarray[Any, np.dtype[np.float64]]
    """`(D, D)`, unbiased: a sum over the pictures, divided by their number less one."""


@dataclass(frozen=True)
class Comparison:
    """Real pictures and generated ones, which a metric compares. It reads them and never writes into them."""

    real: np.ndarray[Any, np.dtype[np.uint8]]
    """Real pictures `(N, H, W, C)`, uint8."""
    fake: np.ndarray[Any, np.dtype[np.uint8]]
    """Generated pictures `(M, H, W, C)`, uint8; the host takes as many as there are real ones."""
    seed: int
    """For what the metric itself draws: the same seed, the same numbers."""
    network: str
    """What the network is called that makes features of pictures, in small letters, digits and `_`; empty without."""
    features: Callable[[], tuple[np.ndarray[Any, np.dtype[np.float64]], np.ndarray[Any, np.dtype[np.float64]]]]
    """Returns the features of the real pictures `(N, D)` and of the generated ones `(M, D)`, float64, computed once for
    all metrics. Raises `ValueError` without a network."""
    moments: Callable[[], tuple[Moments, Moments]]
    """Returns the moments of both features, computed once for all metrics and for real pictures once for all
    generators. They take no copy of the features, which of many pictures is gigabytes. Raises as `features` does."""


class FeatureNetwork(NamedTuple):
    """A network that a metric brings along, because it is defined by that one. It resizes pictures by itself."""

    name: str
    """What it is called, in small letters, digits and `_`."""
    digest: str
    """SHA-256 of its weights."""
    resizer: str
    """How it resizes pictures, in words."""
    compute: Callable[[np.ndarray[Any, np.dtype[np.uint8]]], np.ndarray[Any, np.dtype[np.float32]]]
    """From RGB pictures `(N, 3, H, W)`, uint8, to features `(N, D)`. Grey has become three equal channels."""
    columns: slice = slice(None)
    """Which of the features are the metric's: several that bring the same network share what it computes."""


class PublishedWeights(NamedTuple):
    """A file of weights that a metric needs, and that `ganlab metrics fetch` downloads where the user asks for it."""

    file: str
    """What it is called in the cache."""
    url: str
    """Where it is published."""
    sha256: str
    """Of its bytes, in hexadecimal."""
    size: int
    """In bytes."""
    about: str
    """What it is and under which licence, in a few words."""


class Metric(Component):
    """Numbers that say how generated pictures compare with real ones."""

    better: ClassVar[Better | Mapping[str, Better]]
    """Which numbers are the better ones, `"lower"`, `"higher"` or `"neither"`: of all that it returns, or by name."""
    needs_features: ClassVar[bool] = False
    """Whether it compares features of a network instead of pixels. Without a network it is left out."""
    brings_network: ClassVar[bool] = False
    """Whether it compares features of a network of its own, from `network()`. Then it is computed only where it is
    named: another network is another pass over all pictures."""
    least_pictures: ClassVar[int] = 1
    """How many generated pictures it takes at least; with fewer it is refused before anything is computed."""
    published: ClassVar[PublishedWeights | None] = None
    """The weights that it needs and ganlab may not or should not carry; `read_published` reads them."""

    def network(self, device: str) -> FeatureNetwork:
        """Return the network of a metric that brings one, computing on `device`, as torch calls it.

        Raise `GanlabError` with the remedy where something is not installed.
        """
        raise NotImplementedError

    @abstractmethod
    def compute(self, comparison: Comparison) -> Mapping[str, float]:
        """Return finite numbers by name, in the order in which they are shown; a name is of a-z, 0-9 and `_`.

        The same comparison gives the same numbers, in whatever order the pictures come. Computed in float64. Raise
        `ValueError` with the remedy where there are too few pictures, or where they are too small.
        """


def better_of(metric: Metric, name: str) -> Better | None:
    """Return which numbers of a name are the better ones, None where the metric does not say so."""
    return metric.better if isinstance(metric.better, str) else metric.better.get(name)


def size_pair(size: int | tuple[int, int]) -> tuple[int, int]:
    """Return `(height, width)` of a `Size`."""
    return (size, size) if isinstance(size, int) else size


def image_spec(dataset: Dataset, classes: int = 0) -> ImageSpec:
    """Return the shape of the pictures that `dataset` will give."""
    return ImageSpec(dataset.channels, *size_pair(dataset.resolution), classes)


def locations(component: Dataset | Metric) -> dict[str, Path]:
    """Return the options that say where pictures or weights lie, and nothing of what they are: the paths."""
    return {option: value for option, value in component if isinstance(value, Path)}
