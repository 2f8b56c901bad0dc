"""What to train: a TOML file ▶ Recipe, with every mistake found before anything expensive."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar, cast

from ganlab.errors import PluginError
from ganlab.interfaces import (
    Augmentation,
    Component,
    Dataset,
    Loss,
    Metric,
    Model,
    Observer,
    Optimizer,
    Options,
    image_spec,
    locations,
)
from ganlab.messages import did_you_mean, with_article
from ganlab.recipe.compose import (
    ALTERNATIVES,
    Overrides,
    Written,
    override_texts,
    read_layers,
    read_overrides,
    read_tables,
)
from ganlab.recipe.compose import find_recipe as find_recipe
from ganlab.recipe.compose import shipped_recipes as shipped_recipes
from ganlab.recipe.schedules import is_schedule
from ganlab.recipe.settings import Evaluations as Evaluations
from ganlab.recipe.settings import MovingAverage as MovingAverage
from ganlab.recipe.settings import Settings as Settings
from ganlab.recipe.settings import Snapshots as Snapshots
from ganlab.recipe.settings import Train as Train
from ganlab.recipe.toml import KeyPath, dump_value, dumps
from ganlab.recipe.validation import Mistakes
from ganlab.registry.entry_points import Provider
from ganlab.registry.kinds import DECISIVE, KINDS, Kind
from ganlab.registry.loading import blaming
from ganlab.registry.lookup import Registry, registry

T = TypeVar("T", bound=Options)

STANDARD_OBSERVERS = ("terminal", "metrics", "log", "samples", "plot", "gif", "health", "report")
"""What watches a run unless its recipe says `name = false`."""

BRINGING: tuple[Kind, ...] = ("loss", "augmentation")
"""The kinds that may bring modules along."""

METRICS: KeyPath = ("evaluate", "metrics")
"""The key that names metrics."""

TABLES = (*DECISIVE, "train", "moving_average", "snapshot", "evaluate", "observers")
"""The tables of a recipe, in the order in which a resolved one is written."""


@dataclass(frozen=True)
class Recipe:
    """What to train, checked and resolved."""

    name: str
    """The file's name without its ending."""
    seed: int
    """What every random draw of the run follows from."""
    components: Mapping[Kind, Component]
    """What decides the result, by kind; an optional kind only where the recipe has its table. The optimizer is that of
    the networks which name none of their own."""
    optimizer: Mapping[str, Optimizer]
    """That of each network: of the model's, and of what the loss and the augmentation bring along."""
    train: Train
    """How long it trains, on what, and how fast."""
    moving_average: MovingAverage
    """The averaged weights that are sampled and shipped."""
    snapshot: Snapshots
    """When samples and checkpoints are written."""
    observers: Mapping[str, Observer] = field(compare=False)  # they hold state; `table` has their options
    """What watches the run, by name."""
    table: Mapping[str, Any]
    """The resolved recipe as nested tables, with every default written out."""
    evaluate: Evaluations | None = None
    """How the generator is judged during the training; None where it is not."""
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    """The metrics that `evaluate` names or gives options to, by name."""
    file: Path | None = field(default=None, compare=False)
    """The file that it was read from, absolute; None for one that was never a file."""
    overrides: tuple[str, ...] = field(default=(), compare=False)
    """What was changed in it for this time, as `key=value` texts."""
    files: tuple[Path, ...] = field(default=(), compare=False)
    """The files that it was read from, each before the one that it extends."""
    written: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """What these files and the overrides say, without the defaults."""

    @property
    def model(self) -> Model:
        return cast("Model", self.components["model"])

    @property
    def dataset(self) -> Dataset:
        return cast("Dataset", self.components["dataset"])

    @property
    def loss(self) -> Loss:
        return cast("Loss", self.components["loss"])

    @property
    def augmentation(self) -> Augmentation | None:
        """What the discriminator's pictures go through, where the recipe has an `[augmentation]`."""
        return cast("Augmentation | None", self.components.get("augmentation"))

    @property
    def brought(self) -> dict[str, Kind]:
        """The names of what the loss and the augmentation bring along, each with the kind of who brings it."""
        return {name: kind for kind in BRINGING if kind in self.components for name in _brings(self.components[kind])}

    def decisive(self) -> Iterator[tuple[Kind, str, Component]]:
        """Yield what decides the result with kind and name, the optimizers that networks name for themselves too."""
        for kind, component in self.components.items():
            yield kind, self.table[kind]["name"], component
        for network, optimizer in self.optimizer.items():
            if (own := self.table["optimizer"].get(network, {}).get("name")) is not None:
                yield "optimizer", own, optimizer

    def dump(self) -> str:
        """Return the resolved recipe as TOML; read again, it gives an equal one."""
        return dumps(self.table, inline=is_schedule)

    def with_init(self, place: str | None = None, sha256: str | None = None) -> Recipe:
        """Return the recipe with `place` as its `train.init_from`, and `sha256` as that file's; None leaves either."""
        given = {"init_from": None if place is None else Path(place), "init_sha256": sha256}
        train = self.train.model_copy(update={key: value for key, value in given.items() if value is not None})
        texts = self.overrides if place is None else (*self.overrides, f"train.init_from={dump_value(place)}")
        return replace(self, train=train, table={**self.table, "train": _dumped(train)}, overrides=texts)

    @property
    def sha256(self) -> str:
        """The digest of what decides the result: the resolved recipe without what only watches.

        Nor does it tell where the pictures lie; what they are, `Packed.fingerprint` says. Of what the run begins with,
        `train.init_sha256` says what it is, and where it lies does not matter.
        """
        decisive = {key: value for key, value in self.table.items() if key not in ("observers", "evaluate")}
        if "snapshot" in decisive:
            decisive["snapshot"] = {key: value for key, value in decisive["snapshot"].items() if key != "generators"}
        if "train" in decisive:
            decisive["train"] = {key: value for key, value in decisive["train"].items() if key != "init_from"}
        if "dataset" in decisive:
            placed = locations(self.dataset)
            decisive["dataset"] = {key: value for key, value in decisive["dataset"].items() if key not in placed}
        text = json.dumps(decisive, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()


def load_recipe(path: Path, overrides: Overrides = (), *, components: Registry = registry) -> Recipe:
    """Read the recipe at `path`, with `key=value` overrides on top. Raise `RecipeError` with all its mistakes."""
    recipe = _resolved(read_layers(path, overrides), path.name.removesuffix(".toml"), components)
    return replace(recipe, file=path.absolute(), overrides=override_texts(overrides))


def parse_recipe(
    source: Mapping[str, Any] | str,
    name: str = "recipe",
    overrides: Overrides = (),
    *,
    components: Registry = registry,
) -> Recipe:
    """Take a recipe from nested tables or from TOML text. Raise `RecipeError` with all its mistakes."""
    recipe = _resolved(read_tables(source, name, overrides), name, components)
    return replace(recipe, overrides=override_texts(overrides))


def make_component(kind: Kind, name: str, overrides: Overrides = (), *, components: Registry = registry) -> Any:
    """Return a component with options from `key=value` texts. Raise `RecipeError` with all that is wrong in them."""
    provider, cls = components.provider(kind, name), components.get(kind, name)
    written = read_overrides(overrides, f'{kind} "{name}"')
    mistakes = Mistakes(written)
    with blaming(provider, "broke down over its options"):
        component = mistakes.read(cls, written.table, (), f'{kind} "{name}"')
    mistakes.raise_any()
    return component


def make_components(kind: Kind, overrides: Overrides, *, components: Registry = registry) -> dict[str, Any]:
    """Return the components that `name.key=value` texts give options to. Raise `RecipeError` with all mistakes."""
    written = read_overrides(overrides, kind)
    mistakes = Mistakes(written)
    reader = _Reader(written.table, mistakes, components)
    found = {name: reader.from_table(kind, name, table, (name,), (name,)) for name, table in written.table.items()}
    mistakes.raise_any()
    return found


def _resolved(written: Written, name: str, components: Registry) -> Recipe:
    mistakes = Mistakes(written)
    reader = _Reader(written.table, mistakes, components)

    # Each table by itself, so that all mistakes come at once.
    settings = mistakes.read(Settings, written.table, (), "a recipe", also=TABLES)
    kinds = [kind for kind in DECISIVE if kind in written.table or not KINDS[kind].optional]
    decisive: dict[Kind, Any] = {kind: reader.component(kind) for kind in kinds if kind != "optimizer"}
    decisive["optimizer"], optimizer, optimizer_table = reader.optimizers()
    train = reader.settings(Train, "train")
    moving_average = reader.settings(MovingAverage, "moving_average")
    snapshot = reader.settings(Snapshots, "snapshot")
    evaluate, metrics, evaluate_table = reader.evaluations()
    observers, observers_table = reader.observers()
    mistakes.raise_any()
    if settings is None or train is None or moving_average is None or snapshot is None or None in decisive.values():
        raise AssertionError("a table that could not be read is a mistake")

    # Then what they are together.
    if train.init_sha256 is not None and train.init_from is None:
        mistakes.value(("train", "init_sha256"), "stands without init_from, which says where that lies")
    reader.check_networks(decisive["model"], decisive["loss"])
    reader.check_brought(decisive)
    reader.check_augmentation(decisive.get("augmentation"), decisive["model"])
    reader.check_images(decisive["model"], decisive["dataset"])
    mistakes.raise_any()
    table: dict[str, Any] = {
        "seed": settings.seed,
        **{kind: reader.dumped(kind, component) for kind, component in decisive.items() if kind != "optimizer"},
        "optimizer": optimizer_table,
        "train": _dumped(train),
        "moving_average": _dumped(moving_average),
        "snapshot": _dumped(snapshot),
        **({} if evaluate is None else {"evaluate": evaluate_table}),
        "observers": observers_table,
    }
    return Recipe(
        name,
        settings.seed,
        decisive,
        optimizer,
        train,
        moving_average,
        snapshot,
        observers,
        table,
        evaluate,
        metrics,
        files=written.files,
        written=written.table,
    )


class _Reader:
    """Reads the tables of one recipe, noting mistakes."""

    def __init__(self, table: Mapping[str, Any], mistakes: Mistakes, components: Registry) -> None:
        self._table, self._mistakes, self._components = table, mistakes, components

    def settings(self, cls: type[T], section: str) -> T | None:
        table = self._table.get(section, {})
        if isinstance(table, dict) and section in ALTERNATIVES:
            usual, other = ALTERNATIVES[section]
            if usual in table and other in table:
                self._mistakes.value((section, other), f"stands beside {usual}; write one of the two")
            elif other in table:
                table = {usual: None, **table}
        return self._mistakes.read(cls, table, (section,))

    def component(self, kind: Kind) -> Any:
        """Return the component that the table of this kind describes, or None after noting its mistakes."""
        return self._named(kind, self._table.get(kind, {}), (kind,), KINDS[kind].default)

    def optimizers(self) -> tuple[Optimizer | None, dict[str, Optimizer], dict[str, Any]]:
        """Return the optimizer of the networks that have none of their own, that of each, and the table of all."""
        table, networks = self._table.get("optimizer", {}), self._networks()
        own = self._tables_of_networks(table, networks) if isinstance(table, dict) else {}
        shared = {key: value for key, value in table.items() if key not in own} if own else table
        general: Optimizer | None = self._named(
            "optimizer", shared, ("optimizer",), KINDS["optimizer"].default, networks
        )
        found: dict[str, Optimizer | None] = dict.fromkeys(networks, general)
        resolved: dict[str, Any] = {}
        for network, options in own.items():
            if networks and network not in networks:
                known = f"{did_you_mean(network, networks) or ';'} its networks are {', '.join(networks)}"
                self._mistakes.key(("optimizer", network), f"is not a network of this recipe{known}")
            found[network], resolved[network] = self._optimizer_of(network, options, shared, general)
        for key in self._mistakes.shadowed("optimizer"):
            if networks and all(key in own.get(network, {}) for network in networks):
                theirs = " and ".join(f"optimizer.{network}.{key}" for network in networks)
                self._mistakes.value(("optimizer", key), f"changes nothing, for each network has its own: {theirs}")
        usable = {network: optimizer for network, optimizer in found.items() if optimizer is not None}
        table = {} if general is None else self.dumped("optimizer", general) | resolved
        return general, usable, table

    def _tables_of_networks(self, table: Mapping[str, Any], networks: tuple[str, ...]) -> dict[str, Any]:
        """Return what `[optimizer]` holds for single networks: tables, and whatever has a network's name."""
        try:
            options = self._components.get("optimizer", self._name("optimizer")).model_fields
        except PluginError:  # noted where it is read
            options = Optimizer.model_fields
        own = {key: value for key, value in table.items() if key not in options}
        return {
            key: value
            for key, value in own.items()
            if (isinstance(value, dict) and not is_schedule(value)) or key in networks
        }

    def _optimizer_of(
        self, network: str, options: Any, shared: Mapping[str, Any], general: Optimizer | None
    ) -> tuple[Optimizer | None, dict[str, Any]]:
        """Return the optimizer of one network, and the table that says what it has otherwise than the general one.

        One of another class begins with its own defaults: options of the general one were chosen for that.
        """
        usual, path = self._name("optimizer"), ("optimizer", network)
        if (
            isinstance(options, dict)
            and general is not None
            and self._same_optimizer(options.get("name", usual), general)
        ):
            inherited = {key: value for key, value in shared.items() if key != "name"}
            optimizer = self._named("optimizer", inherited | options, path, usual)
            if optimizer is None:
                return None, {}
            return optimizer, {key: value for key, value in _dumped(optimizer).items() if key in options}
        optimizer = self._named("optimizer", options, path, usual)
        if optimizer is None:
            return None, {}
        name = options.get("name", usual)
        return optimizer, {"name": name, **self.dumped("optimizer", optimizer, name)}

    def _same_optimizer(self, name: Any, general: Optimizer) -> bool:
        try:
            return isinstance(name, str) and self._components.get("optimizer", name) is type(general)
        except PluginError:
            return False

    def _named(
        self, kind: Kind, table: Any, path: tuple[str, ...], usual: str | None, also: tuple[str, ...] = ()
    ) -> Any:
        """Return the component that the table at `path` names, else the usual one, or None after noting its mistakes.

        `also` are keys that belong to the table beside the component's options.
        """
        if not isinstance(table, dict):
            self._mistakes.value(path, f"must be a table, [{'.'.join(path)}]")
            return None
        name = table.get("name", usual)
        if not isinstance(name, str):
            what = f"must be text, the name of {with_article(kind)}: {', '.join(self._components.names(kind))}"
            if name is None:
                self._mistakes.key((*path, "name"), f"is missing; it {what}")
            else:
                self._mistakes.value((*path, "name"), what)
            return None
        return self.from_table(kind, name, table, path, (*path, "name"), ("name", *also))

    def observers(self) -> tuple[dict[str, Observer], dict[str, Any]]:
        """Return the observers that are on, the standard ones first, and the table of all that are on or off."""
        table = self._table.get("observers", {})
        if not isinstance(table, dict):
            self._mistakes.value(("observers",), "must be a table, [observers]")
            return {}, {}
        found: dict[str, Observer] = {}
        resolved: dict[str, Any] = {}
        for name in dict.fromkeys((*STANDARD_OBSERVERS, *table)):
            path = ("observers", name)
            options = table.get(name, True)
            if options is False:
                self._provider("observer", name, path)
                resolved[name] = False
            elif options is not True and not isinstance(options, dict):
                self._mistakes.value(path, "must be true, false or a table of its options")
            elif (
                observer := self.from_table("observer", name, {} if options is True else options, path, path)
            ) is not None:
                found[name] = observer
                resolved[name] = self.dumped("observer", observer, name)
        return found, resolved

    def evaluations(self) -> tuple[Evaluations | None, dict[str, Metric], dict[str, Any]]:
        """Return what the recipe says of evaluations, the metrics that it names or gives options, and the whole table.

        Without that table there are none.
        """
        if "evaluate" not in self._table:
            return None, {}, {}
        table = self._table["evaluate"]
        own = self._tables_of_metrics(table) if isinstance(table, dict) else {}
        found = self._mistakes.read(Evaluations, table, ("evaluate",), also=tuple(own))
        listed = None if found is None else found.metrics
        metrics: dict[str, Metric | None] = {}
        for name in dict.fromkeys((*(listed or ()), *own)):
            path = ("evaluate", name)
            metrics[name] = self.from_table("metric", name, own.get(name, {}), path, path if name in own else METRICS)
            if metrics[name] is not None and listed is not None and name not in listed:
                what = f"has options, and evaluate.metrics does not name it: add {dump_value(name)} there"
                self._mistakes.key(path, f"{what}, or leave these out")
        if found is not None and found.patience is not None and found.best is None:
            what = "stands without best, which says what a better score is"
            self._mistakes.value(("evaluate", "patience"), what)
        usable = {name: metric for name, metric in metrics.items() if metric is not None}
        options = {name: self.dumped("metric", metric, name) for name, metric in usable.items()}
        resolved = {} if found is None else _dumped(found)
        return found, usable, resolved | {name: given for name, given in options.items() if given or name in own}

    def _tables_of_metrics(self, table: Mapping[str, Any]) -> dict[str, Any]:
        """Return what `[evaluate]` holds for single metrics: tables, and whatever has a metric's name."""
        names = self._components.names("metric")
        own = {key: value for key, value in table.items() if key not in Evaluations.model_fields}
        return {key: value for key, value in own.items() if isinstance(value, dict) or key in names}

    def check_networks(self, model: Model, loss: Loss) -> None:
        missing = [network for network in loss.networks if network not in model.networks]
        if missing:
            named = "this loss" if "name" in self._table.get("loss", {}) else f'the loss "{KINDS["loss"].default}"'
            fitting = ", ".join(self._components.losses_for(model.networks))
            fits = f"losses that fit: {fitting}" if fitting else "no installed loss fits, so its plugin must bring one"
            self._mistakes.value(
                ("loss", "name"),
                f"{named} needs a network {' and '.join(missing)}; the model has {', '.join(model.networks)}; {fits}",
            )

    def check_brought(self, components: Mapping[Kind, Any]) -> None:
        """Refuse a loss or an augmentation that brings along what is there already under the same name."""
        owners = dict.fromkeys(components["model"].networks, "model")
        for kind in BRINGING:
            for name in _brings(components[kind]) if kind in components else ():
                if name in owners:
                    remedy = f"take another {kind}, or rename it in the code of one of them"
                    self._mistakes.value((kind, "name"), f'brings "{name}", as the {owners[name]} does: {remedy}')
                owners.setdefault(name, kind)

    def check_augmentation(self, augmentation: Augmentation | None, model: Model) -> None:
        if augmentation is not None and "discriminator" not in model.networks:
            names = f"the model has {', '.join(model.networks)}"
            self._mistakes.value(("augmentation", "name"), f"an augmentation needs a discriminator; {names}")

    def check_images(self, model: Model, dataset: Dataset) -> None:
        """Ask the model whether it can be built for the dataset's pictures."""
        with blaming(self._components.provider("model", self._name("model")), "broke down in check()"):
            try:
                model.check(image_spec(dataset))
            except ValueError as error:
                self._mistakes.value(("dataset", "resolution"), str(error))

    def dumped(self, kind: Kind, component: Component, name: str = "") -> dict[str, Any]:
        """Return the table that gives this component again, with every default written out."""
        with blaming(self._components.provider(kind, name or self._name(kind)), "broke down over writing its options"):
            options = _dumped(component)
        return options if name else {"name": self._name(kind), **options}

    def from_table(
        self,
        kind: Kind,
        name: str,
        table: Any,
        path: tuple[str, ...],
        named: KeyPath,
        also: tuple[str, ...] = (),
    ) -> Any:
        """Return the component `name` with the options in the table at `path`, or None after noting its mistakes.

        `named` is the key that names it; `also` are keys of the table beside its options.
        """
        provider = self._provider(kind, name, named)
        if provider is None:
            return None
        try:
            cls = self._components.get(kind, name)
        except PluginError as error:
            self._mistakes.value(named, str(error))
            return None
        with blaming(provider, "broke down over its options"):
            return self._mistakes.read(cls, table, path, f'{kind} "{name}"', also)

    def _provider(self, kind: Kind, name: str, named: KeyPath) -> Provider | None:
        try:
            return self._components.provider(kind, name)
        except PluginError as error:
            self._mistakes.value(named, str(error))
            return None

    def _networks(self) -> tuple[str, ...]:
        """Return the names of all networks, none where it is not known whose they are."""
        try:
            model: type[Model] = self._components.get("model", self._name("model"))
            names = list(model.networks)
            for kind in BRINGING:
                if kind in self._table or not KINDS[kind].optional:
                    names += _brings(self._components.get(kind, self._name(kind)))
        except PluginError:
            return ()  # noted where the component is read
        return tuple(dict.fromkeys(names))

    def _name(self, kind: Kind) -> str:
        table = self._table.get(kind)
        name = table.get("name") if isinstance(table, dict) else None
        return str(name if isinstance(name, str) else KINDS[kind].default)


def _brings(component: Component | type[Component]) -> tuple[str, ...]:
    """Return the names of what a loss or an augmentation brings along."""
    return cast("Loss | Augmentation", component).brings


def _dumped(options: Options) -> dict[str, Any]:
    return options.model_dump(mode="json", exclude_none=True)
