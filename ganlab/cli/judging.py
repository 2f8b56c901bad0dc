"""How generators are judged at the command line: which ones, by which pictures and metrics, and the options of that."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from ganlab.cli.completion import complete_metrics, complete_recipes
from ganlab.cli.output import Told, say
from ganlab.durable import replacing_file

if TYPE_CHECKING:
    from ganlab.data.packing import Packed
    from ganlab.judging.evaluation import Candidate
    from ganlab.judging.report import Column, Evaluation, Protocol, Score
    from ganlab.recipe.recipe import Recipe
    from ganlab.run.directory import RunDirectory

_OPTIONS = (
    click.option(
        "--metrics",
        "names",
        metavar="LIST",
        shell_complete=complete_metrics,
        help="Which metrics, as in kid,prdc (ganlab plugins).  [default: all that can be computed, but for those with "
        "a network of their own]",
    ),
    click.option(
        "--set", "settings", multiple=True, metavar="METRIC.KEY=VALUE", help="An option of a metric, as in prdc.k=3."
    ),
    click.option(
        "--features",
        metavar="lite0|FILE",
        help="The network whose features are compared: lite0, or an ONNX file.  [default: lite0 where it is installed]",
    ),
    click.option(
        "--count",
        type=click.IntRange(min=20),
        default=2048,
        show_default=True,
        metavar="N",
        help="Real pictures, and generated ones for each block of seeds.",
    ),
    click.option(
        "--seeds",
        type=click.IntRange(min=1),
        default=3,
        show_default=True,
        metavar="N",
        help="How many blocks of seeds.",
    ),
    click.option(
        "--data",
        metavar="RECIPE",
        shell_complete=complete_recipes,
        help="The recipe whose pictures are the real ones.  [default: that of the run]",
    ),
    click.option("--device", default="auto", show_default=True, metavar="NAME", help="Where to draw the pictures."),
)


@dataclass(frozen=True)
class Wanted:
    """How generators are to be judged, as the options say it."""

    names: str | None
    settings: tuple[str, ...]
    features: str | None
    count: int
    seeds: int
    data: str | None
    device: str


def judging_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a verb the options that `Wanted` holds, in the same order."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def judge(sources: Sequence[Path | None], wanted: Wanted) -> Evaluation:
    """Judge generators by the same pictures; None is the newest run. Raise `GanlabError` where no metric can."""
    from ganlab.errors import GanlabError
    from ganlab.judging.choice import choose_metrics, choose_network, options_of_data, read_settings
    from ganlab.judging.evaluation import evaluate
    from ganlab.judging.networks import open_own_networks
    from ganlab.judging.reals import choose_reals
    from ganlab.recipe.recipe import find_recipe, load_recipe

    told, names = Told(), None if wanted.names is None else [name.strip() for name in wanted.names.split(",")]
    subjects = [_Subject.of(source) for source in sources]
    chosen = choose_metrics(names, read_settings(wanted.settings, names))
    recipes = [load_recipe(find_recipe(wanted.data))] if wanted.data is not None else _recipes(subjects)
    candidates = [subject.candidate(wanted.device) for subject in subjects]
    network = choose_network(wanted.features, chosen, wanted.device, told)
    own = open_own_networks(chosen, wanted.device)
    packed = _packed(recipes, told)
    dataset = recipes[0].table["dataset"]["name"]
    reals = choose_reals(packed, wanted.count, dataset)
    if len(reals.first) < wanted.count:
        few = f"{len(packed.images):,} pictures, so two times {len(reals.first):,} are compared"
        say(f"the data has {few}, not {wanted.count:,}", err=True)
    data = (dataset, options_of_data(recipes[0]))
    found = evaluate(
        candidates, reals, data, chosen.metrics, network, wanted.seeds, told, asked=chosen.asked, own_networks=own
    )
    left_out = {**chosen.left_out, **found.left_out}
    if not found.better:
        raise GanlabError(
            "\n".join(["no metric can be computed:", *(f"  {name}: {why}" for name, why in left_out.items())])
        )
    return replace(found, left_out=left_out)


def check_out(out: Path | None) -> None:
    """Refuse a place for the JSON object that cannot be written, before anything is computed."""
    from ganlab.errors import GanlabError
    from ganlab.regular import named_path

    if out is not None and named_path(out).exists() and not out.is_file():
        raise GanlabError(f"--json {out} exists and is not a file; name another one")


def write_json(out: Path | None, table: Mapping[str, Any]) -> None:
    """Write a JSON object where the user wants it."""
    if out is not None:
        with replacing_file(out) as temporary:
            temporary.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


class _Subject(NamedTuple):
    """A generator that is to be judged."""

    name: str
    path: Path
    run: RunDirectory | None
    """Its run, if it was named by that."""
    recipe: Recipe | None
    """Of the run, with its pictures where they are now."""

    @classmethod
    def of(cls, source: Path | None) -> _Subject:
        from ganlab.cli.source import generator_source
        from ganlab.recipe.recipe import load_recipe
        from ganlab.run.names import named_run
        from ganlab.run.places import run_of
        from ganlab.run.resume import with_pictures_found

        path = generator_source(source)
        if source is not None and source.is_file():
            return cls(str(path), path, None, None)
        run = run_of(path)
        name = str(run.path if source is None else named_run(source))
        if not run.recipe.is_file():
            return cls(name, path, run, None)
        recipe, notes = with_pictures_found(load_recipe(run.recipe), run)
        for note in notes:
            say(note, err=True)
        return cls(name, path, run, recipe)

    def candidate(self, device: str) -> Candidate:
        """Load the generator."""
        from ganlab.run.generators import load_generator
        from ganlab.run.scores import candidate_of

        averaged = None if self.recipe is None else self.recipe.moving_average.enabled
        return candidate_of(load_generator(self.path, device), self.name, averaged, self.recipe)


def _recipes(subjects: Sequence[_Subject]) -> list[Recipe]:
    """Return the recipes of the runs. Raise `GanlabError` where one has none, or where there is no run."""
    from ganlab.errors import GanlabError

    for subject in subjects:
        if subject.run is not None and subject.recipe is None:
            raise GanlabError(
                f"{subject.run.path} has no {subject.run.recipe.name}, which says what it was trained on: name the "
                "pictures to judge it by, --data RECIPE"
            )
    recipes = [subject.recipe for subject in subjects if subject.recipe is not None]
    if not recipes:
        raise GanlabError(
            f"{subjects[0].path} is a file, which has no pictures to be judged by: name them, --data RECIPE"
        )
    return recipes


def _packed(recipes: Sequence[Recipe], told: Told) -> Packed:
    """Return the pictures of all recipes, which must be the same ones."""
    from ganlab.data.packing import pack
    from ganlab.errors import GanlabError

    first, *others = [pack(recipe.dataset, recipe.table["dataset"]["name"], told) for recipe in recipes]
    for recipe, packed in zip(recipes[1:], others, strict=True):
        if packed.fingerprint != first.fingerprint:
            raise GanlabError(
                f"{_data_of(recipes[0], first)} and {_data_of(recipe, packed)} are not the same pictures, so scores "
                "could not be compared; judge all by the same, --data RECIPE, or each by itself"
            )
    return first


def _data_of(recipe: Recipe, packed: Packed) -> str:
    place = recipe.file.parent if recipe.file is not None else recipe.name
    images = " x ".join(map(str, packed.images.shape[1:]))
    return f"{len(packed.images):,} of {recipe.table['dataset']['name']} at {images} in {place}"


def mean_and_spread(score: Score | None) -> str:
    """Return a mean with its spread, and as many digits as two of that are."""
    if score is None:
        return "-"
    spread = score.spread
    return rounded(score.mean, spread) + (f" +- {rounded(spread, spread)}" if spread else "")


def rounded(number: float, spread: float | None) -> str:
    """Return a number with as many digits as two of its spread are, with four where it has none."""
    if not spread:
        return f"{number:.4g}"
    return f"{number:.{max(0, 1 - math.floor(math.log10(spread)))}f}"


def protocol_rows(protocol: Protocol) -> Iterator[tuple[str, str]]:
    """Yield what scores were computed from, as rows of a label and a text."""
    options = ", ".join(f"{key} {value}" for key, value in protocol.options.items() if key == "split")
    of = f"{protocol.dataset}{f' ({options})' if options else ''}, {protocol.fingerprint[:12]}"
    yield "real", f"{protocol.real:,} pictures of {of}"
    last = protocol.seeds * protocol.fake - 1
    yield (
        "generated",
        f"{protocol.seeds} x {protocol.fake:,} pictures, seeds 0 to {last:,}; +- is the spread over the blocks",
    )
    yield "resolution", " x ".join(map(str, protocol.pictures))
    if protocol.network is not None:
        yield (
            "features",
            f"{protocol.network} (SHA-256 {str(protocol.network_digest)[:12]}), resized: {protocol.resizer}",
        )
    for metric, own in protocol.own_networks.items():
        digest = own["network_digest"][:12]
        yield f"features of {metric}", f"{own['network']} (SHA-256 {digest}), resized: {own['resizer']}"


def described(column: Column) -> str:
    """Say of a generator which weights it has, and whether it can remember the real pictures."""
    weights = {True: "averaged weights", False: "weights as trained", None: "averaged weights or not: not known"}
    data = "trained on these pictures" if column.trained_on else "trained on other pictures, which it cannot copy here"
    return f"{weights[column.averaged]}, {data}"
