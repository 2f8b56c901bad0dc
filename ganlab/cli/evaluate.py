"""`ganlab evaluate`: how good generators are, beside real pictures."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from ganlab.cli.completion import complete_metrics, complete_recipes, complete_runs
from ganlab.cli.output import Told, say
from ganlab.durable import replacing_file

if TYPE_CHECKING:
    from rich.console import Console

    from ganlab.data.packing import Packed
    from ganlab.judging.evaluation import Candidate
    from ganlab.judging.report import Column, Evaluation, Score
    from ganlab.recipe.recipe import Recipe
    from ganlab.run.directory import RunDirectory


@click.command(short_help="Judge generators by their pictures, beside real ones.")
@click.argument("sources", nargs=-1, type=click.Path(path_type=Path), shell_complete=complete_runs)
@click.option(
    "--metrics",
    "names",
    metavar="LIST",
    shell_complete=complete_metrics,
    help="Which metrics, as in kid,prdc (ganlab plugins).  [default: all that can be computed]",
)
@click.option(
    "--set", "settings", multiple=True, metavar="METRIC.KEY=VALUE", help="An option of a metric, as in prdc.k=3."
)
@click.option(
    "--features",
    metavar="lite0|FILE",
    help="The network whose features are compared: lite0, or an ONNX file.  [default: lite0 where it is installed]",
)
@click.option(
    "--count",
    type=click.IntRange(min=20),
    default=2048,
    show_default=True,
    metavar="N",
    help="Real pictures, and generated ones for each block of seeds.",
)
@click.option(
    "--seeds", type=click.IntRange(min=1), default=3, show_default=True, metavar="N", help="How many blocks of seeds."
)
@click.option(
    "--data",
    metavar="RECIPE",
    shell_complete=complete_recipes,
    help="The recipe whose pictures are the real ones.  [default: that of the run]",
)
@click.option("--device", default="auto", show_default=True, metavar="NAME", help="Where to draw the pictures.")
@click.option("--json", "out", type=click.Path(path_type=Path), metavar="FILE", help="Also write all of it there.")
def evaluate(
    sources: tuple[Path, ...],
    names: str | None,
    settings: tuple[str, ...],
    features: str | None,
    count: int,
    seeds: int,
    data: str | None,
    device: str,
    out: Path | None,
) -> None:
    """Judge generators: draw pictures, and compare them with real ones by metrics.

    A SOURCE is a run's directory, a generator.safetensors or an .onnx file; without one it is the newest run. Several
    are judged by the same pictures. Beside them stand real pictures, judged as if they were drawn.
    """
    from ganlab.errors import GanlabError
    from ganlab.judging.choice import choose_metrics, choose_network, options_of_data
    from ganlab.judging.evaluation import evaluate as judge
    from ganlab.judging.reals import choose_reals
    from ganlab.recipe.recipe import find_recipe, load_recipe

    if out is not None:
        _check_out(out)
    told = Told()
    chosen = choose_metrics(None if names is None else [name.strip() for name in names.split(",")], settings)
    subjects = [_Subject.of(source) for source in sources or (None,)]
    recipes = [load_recipe(find_recipe(data))] if data is not None else _recipes(subjects)
    candidates = [subject.candidate(device) for subject in subjects]
    network = choose_network(features, chosen, device, told)
    packed = _packed(recipes, told)
    dataset = recipes[0].table["dataset"]["name"]
    reals = choose_reals(packed, count, dataset)
    if len(reals.first) < count:
        few = f"{len(packed.images):,} pictures, so two times {len(reals.first):,} are compared"
        say(f"the data has {few}, not {count:,}", err=True)
    found = judge(
        candidates,
        reals,
        (dataset, options_of_data(recipes[0])),
        chosen.metrics,
        network,
        seeds,
        told,
        asked=chosen.asked,
    )
    left_out = {**chosen.left_out, **found.left_out}
    found = replace(found, left_out=left_out)
    if not found.better:
        raise GanlabError(
            "\n".join(["no metric can be computed:", *(f"  {name}: {why}" for name, why in left_out.items())])
        )
    if out is not None:
        with replacing_file(out) as temporary:
            temporary.write_text(json.dumps(found.as_json(), indent=1) + "\n", encoding="utf-8")
    from rich.console import Console

    show(found, Console(highlight=False))


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
        from ganlab.run.directory import RunDirectory
        from ganlab.run.names import named_run
        from ganlab.run.resume import with_pictures_found

        path = generator_source(source)
        if source is not None and source.is_file():
            return cls(str(path), path, None, None)
        run = RunDirectory(path.parent)
        name = str(run.path if source is None else named_run(source))
        if not run.recipe.is_file():
            return cls(name, path, run, None)
        recipe, notes = with_pictures_found(load_recipe(run.recipe), run)
        for note in notes:
            say(note, err=True)
        return cls(name, path, run, recipe)

    def candidate(self, device: str) -> Candidate:
        """Load the generator."""
        from ganlab.generator.generator import load_generator
        from ganlab.run.scores import candidate_of

        averaged = None if self.recipe is None else self.recipe.moving_average.enabled
        return candidate_of(load_generator(self.path, device), self.name, averaged)


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


def _check_out(out: Path) -> None:
    """Refuse a place that cannot be written before anything is computed."""
    from ganlab.errors import GanlabError
    from ganlab.regular import named_path

    if named_path(out).exists() and not out.is_file():
        raise GanlabError(f"--json {out} exists and is not a file; name another one")


def show(found: Evaluation, console: Console) -> None:
    """Print the scores as a table, one column a generator, and below it what they were computed from."""
    from rich.table import Table
    from rich.text import Text

    from ganlab.messages import printable

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("metric", style="bold", overflow="fold")
    table.add_column("better", overflow="fold")
    columns = (*found.columns, found.reference)
    for column in columns:
        table.add_column(Text(printable(column.name)), overflow="fold")
    for name, better in found.better.items():
        cells = (_cell(column.scores.get(name)) for column in columns)
        table.add_row(name, "" if better == "neither" else better, *cells)
    console.print(table)
    about = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    about.add_column(style="bold", overflow="fold")
    about.add_column(overflow="fold")
    for label, text in _protocol(found):
        about.add_row(label, Text(printable(text)))
    console.print()
    console.print(about)


def _cell(score: Score | None) -> str:
    """Return a mean with its spread, and as many digits as two of that are."""
    if score is None:
        return "-"
    if not score.spread:
        return f"{score.mean:.4g}"
    digits = max(0, 1 - math.floor(math.log10(score.spread)))
    return f"{score.mean:.{digits}f} +- {score.spread:.{digits}f}"


def _protocol(found: Evaluation) -> Iterator[tuple[str, str]]:
    protocol = found.protocol
    options = ", ".join(f"{key} {value}" for key, value in protocol.options.items() if key == "split")
    of = f"{protocol.dataset}{f' ({options})' if options else ''}, {protocol.fingerprint[:12]}"
    yield "real", f"{protocol.real:,} pictures of {of}; as many others for {found.reference.name}"
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
    for column in found.columns:
        yield "generator", f"{column.name}: {_described(column)}"
    yield "ganlab", protocol.ganlab
    reasons: dict[str, list[str]] = {}
    for name, reason in found.left_out.items():
        reasons.setdefault(reason, []).append(name)
    for reason, names in reasons.items():
        yield "left out", f"{', '.join(names)}: {reason}"


def _described(column: Column) -> str:
    weights = {True: "averaged weights", False: "weights as trained", None: "averaged weights or not: not known"}
    data = "trained on these pictures" if column.trained_on else "trained on other pictures, which it cannot copy here"
    return f"{weights[column.averaged]}, {data}"
