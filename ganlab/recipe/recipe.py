"""What to train: a TOML file ▶ Recipe, with every mistake found before anything expensive."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from ganlab.errors import PluginError
from ganlab.interfaces import Augmentation, Component, Dataset, Loss, Model, Observer, Options, image_spec, locations
from ganlab.messages import did_you_mean, with_article
from ganlab.recipe.compose import ALTERNATIVES, Overrides, Written, read_layers, read_overrides, read_tables
from ganlab.recipe.compose import find_recipe as find_recipe
from ganlab.recipe.compose import shipped_recipes as shipped_recipes
from ganlab.recipe.settings import MovingAverage as MovingAverage
from ganlab.recipe.settings import Optimizer as Optimizer
from ganlab.recipe.settings import Settings as Settings
from ganlab.recipe.settings import Snapshots as Snapshots
from ganlab.recipe.settings import Train as Train
from ganlab.recipe.toml import KeyPath, dumps
from ganlab.recipe.validation import Mistakes
from ganlab.registry.entry_points import Provider
from ganlab.registry.kinds import DECISIVE, KINDS, Kind
from ganlab.registry.loading import blaming
from ganlab.registry.lookup import Registry, registry

T = TypeVar("T", bound=Options)

STANDARD_OBSERVERS = ("terminal", "metrics", "log", "samples", "plot", "gif")
"""What watches a run unless its recipe says `name = false`."""

BRINGING: tuple[Literal["loss", "augmentation"], ...] = ("loss", "augmentation")
"""The kinds that may bring modules along."""

TABLES = (*DECISIVE, "optimizer", "train", "moving_average", "snapshot", "observers")
"""The tables of a recipe, in the order in which a resolved one is written."""


@dataclass(frozen=True)
class Recipe:
    """What to train, checked and resolved."""

    name: str
    """The file's name without its ending."""
    seed: int
    components: Mapping[Kind, Component]
    """What decides the result, by kind; an optional kind only where the recipe has its table."""
    optimizer: Mapping[str, Optimizer]
    """The options of each network: of the model's, and of what the loss and the augmentation bring along."""
    train: Train
    moving_average: MovingAverage
    snapshot: Snapshots
    observers: Mapping[str, Observer] = field(compare=False)  # they hold state; `table` has their options
    """What watches the run, by name."""
    table: Mapping[str, Any]
    """The resolved recipe as nested tables, with every default written out."""
    file: Path | None = field(default=None, compare=False)
    """The file that it was read from, absolute; None for one that was never a file."""

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

    def dump(self) -> str:
        """Return the resolved recipe as TOML; read again, it gives an equal one."""
        return dumps(self.table)

    @property
    def sha256(self) -> str:
        """The digest of what decides the result: the resolved recipe without what only watches.

        Nor does it tell where the pictures lie; what they are, `Packed.fingerprint` says.
        """
        decisive = {key: value for key, value in self.table.items() if key != "observers"}
        if "dataset" in decisive:
            placed = locations(self.dataset)
            decisive["dataset"] = {key: value for key, value in decisive["dataset"].items() if key not in placed}
        text = json.dumps(decisive, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()


def load_recipe(path: Path, overrides: Overrides = (), *, components: Registry = registry) -> Recipe:
    """Read the recipe at `path`, with `key=value` overrides on top. Raise `RecipeError` with all its mistakes."""
    recipe = _resolved(read_layers(path, overrides), path.name.removesuffix(".toml"), components)
    return replace(recipe, file=path.absolute())


def parse_recipe(
    source: Mapping[str, Any] | str,
    name: str = "recipe",
    overrides: Overrides = (),
    *,
    components: Registry = registry,
) -> Recipe:
    """Take a recipe from nested tables or from TOML text. Raise `RecipeError` with all its mistakes."""
    return _resolved(read_tables(source, name, overrides), name, components)


def make_component(kind: Kind, name: str, overrides: Overrides = (), *, components: Registry = registry) -> Any:
    """Return a component with options from `key=value` texts. Raise `RecipeError` with all that is wrong in them."""
    provider, cls = components.provider(kind, name), components.get(kind, name)
    written = read_overrides(overrides, f'{kind} "{name}"')
    mistakes = Mistakes(written)
    with blaming(provider, "broke down over its options"):
        component = mistakes.read(cls, written.table, (), f'{kind} "{name}"')
    mistakes.raise_any()
    return component


def _resolved(written: Written, name: str, components: Registry) -> Recipe:
    mistakes = Mistakes(written)
    reader = _Reader(written.table, mistakes, components)

    # Each table by itself, so that all mistakes come at once.
    settings = mistakes.read(Settings, written.table, (), "a recipe", also=TABLES)
    kinds = [kind for kind in DECISIVE if kind in written.table or not KINDS[kind].optional]
    decisive: dict[Kind, Any] = {kind: reader.component(kind) for kind in kinds}
    optimizer, optimizer_table = reader.optimizers()
    train = reader.settings(Train, "train")
    moving_average = reader.settings(MovingAverage, "moving_average")
    snapshot = reader.settings(Snapshots, "snapshot")
    observers, observers_table = reader.observers()
    mistakes.raise_any()
    if settings is None or train is None or moving_average is None or snapshot is None or None in decisive.values():
        raise AssertionError("a table that could not be read is a mistake")

    # Then what they are together.
    reader.check_networks(decisive["model"], decisive["loss"])
    reader.check_brought(decisive)
    reader.check_augmentation(decisive.get("augmentation"), decisive["model"])
    reader.check_images(decisive["model"], decisive["dataset"])
    mistakes.raise_any()
    table: dict[str, Any] = {
        "seed": settings.seed,
        **{kind: reader.dumped(kind, component) for kind, component in decisive.items()},
        "optimizer": optimizer_table,
        "train": _dumped(train),
        "moving_average": _dumped(moving_average),
        "snapshot": _dumped(snapshot),
        "observers": observers_table,
    }
    return Recipe(name, settings.seed, decisive, optimizer, train, moving_average, snapshot, observers, table)


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
        table = self._table.get(kind, {})
        if not isinstance(table, dict):
            self._mistakes.value((kind,), f"must be a table, [{kind}]")
            return None
        name = table.get("name", KINDS[kind].default)
        if not isinstance(name, str):
            what = f"must be text, the name of {with_article(kind)}: {', '.join(self._components.names(kind))}"
            if name is None:
                self._mistakes.key((kind, "name"), f"is missing; it {what}")
            else:
                self._mistakes.value((kind, "name"), what)
            return None
        return self._read(kind, name, table, (kind,), (kind, "name"))

    def optimizers(self) -> tuple[dict[str, Optimizer], dict[str, Any]]:
        """Return the options of each network, and the table of all."""
        table = self._table.get("optimizer", {})
        networks = self._networks()
        overrides = []
        if isinstance(table, dict):
            own = [key for key in table if key not in Optimizer.model_fields]
            overrides = [key for key in own if isinstance(table[key], dict) or key in networks]
        shared = {key: value for key, value in table.items() if key not in overrides} if overrides else table
        general = self._mistakes.read(Optimizer, shared, ("optimizer",), also=networks)
        options = {}
        for network in overrides:
            if networks and network not in networks:
                known = f"{did_you_mean(network, networks) or ';'} its networks are {', '.join(networks)}"
                self._mistakes.key(("optimizer", network), f"is not a network of this recipe{known}")
            options[network] = self._mistakes.read(Optimizer, table[network], ("optimizer", network))
        if general is None:
            return {}, {}
        found = dict.fromkeys(networks, general)
        resolved = _dumped(general)
        for network, override in options.items():
            if override is not None:
                written = override.model_fields_set
                found[network] = general.model_copy(update={key: getattr(override, key) for key in written})
                resolved[network] = override.model_dump(mode="json", include=written)
        return found, resolved

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
            elif (observer := self._read("observer", name, {} if options is True else options, path, path)) is not None:
                found[name] = observer
                resolved[name] = self.dumped("observer", observer, name)
        return found, resolved

    def check_networks(self, model: Model, loss: Loss) -> None:
        missing = [network for network in loss.networks if network not in model.networks]
        if missing:
            names = f"the model has {', '.join(model.networks)}"
            self._mistakes.value(("loss", "name"), f"this loss needs a network {' and '.join(missing)}; {names}")

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

    def _read(self, kind: Kind, name: str, table: Mapping[str, Any], path: tuple[str, ...], named: KeyPath) -> Any:
        provider = self._provider(kind, name, named)
        if provider is None:
            return None
        try:
            cls = self._components.get(kind, name)
        except PluginError as error:
            self._mistakes.value(named, str(error))
            return None
        also = ("name",) if named != path else ()
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
        return str(table.get("name", KINDS[kind].default) if isinstance(table, dict) else KINDS[kind].default)


def _brings(component: Component | type[Component]) -> tuple[str, ...]:
    """Return the names of what a loss or an augmentation brings along."""
    return cast("Loss | Augmentation", component).brings


def _dumped(options: Options) -> dict[str, Any]:
    return options.model_dump(mode="json", exclude_none=True)
