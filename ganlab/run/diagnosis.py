"""What a run suffers from, during it or after: what it was found to, and what only its generator tells."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from ganlab.errors import GanlabError
from ganlab.events import Finding, Tick
from ganlab.health.history import REALS, Sheets, read_sheet, retell
from ganlab.health.record import findings_of
from ganlab.health.signs import BLOCK, Sign
from ganlab.health.watch import Data, Watch, finding_of
from ganlab.recipe.recipe import load_recipe
from ganlab.run.resume import with_pictures_found
from ganlab.run.watching import options_of, sheets_of

if TYPE_CHECKING:
    from ganlab.data.packing import Packed
    from ganlab.generator.generator import Generator
    from ganlab.recipe.recipe import Recipe
    from ganlab.run.directory import RunDirectory

DRAWN = 256
"""So many pictures are drawn, to look for copies of the data and whether they are all alike."""

MOST_BYTES = 1 << 33
"""Pictures that take more are not looked through: it would take minutes."""

Report = Callable[[str, int, int], None]


class Diagnosis(NamedTuple):
    """What was found of a run."""

    findings: list[Finding]
    """In the order in which they were found; one that has ended is followed by its end."""
    notes: list[str]
    """What could not be looked at, and why."""


def diagnose(run: RunDirectory, report: Report) -> Diagnosis:
    """Return what a run suffers from: by its record, else by its statistics, scores and samples; and by its generator.

    Raise `GanlabError` where it has no recipe that can be read.
    """
    if not run.recipe.is_file():
        raise GanlabError(f"{run.path} has no {run.recipe.name}, which a run begins with; name another run")
    recipe, notes = with_pictures_found(load_recipe(run.recipe), run)
    packed = _packed(recipe, report, notes)
    generator = _generator(run, notes)
    found = findings_of(run.path)
    if not found:
        found = _found_anew(run, recipe, packed, generator, notes)
    if packed is not None and packed.images.nbytes > MOST_BYTES:
        notes.append(f"the pictures take more than {MOST_BYTES / 2**30:.0f} GiB, so copies of them were not looked for")
    elif packed is not None and generator is not None:
        found = _with_pictures(found, recipe, packed, generator, report)
    return Diagnosis(found, notes)


def _packed(recipe: Recipe, report: Report, notes: list[str]) -> Packed | None:
    from ganlab.data.packing import pack

    try:
        return pack(recipe.dataset, recipe.table["dataset"]["name"], report)
    except GanlabError as error:
        notes.append(f"copies of the data were not looked for: {error}")
        return None


def _generator(run: RunDirectory, notes: list[str]) -> Generator | None:
    from ganlab.run.generators import load_generator

    if not run.generator.is_file():
        notes.append(f"there is no {run.generator.name} yet, so copies of the data were not looked for")
        return None
    try:
        return load_generator(run.generator, "cpu")
    except GanlabError as error:
        notes.append(f"copies of the data were not looked for: {error}")
        return None


def _found_anew(
    run: RunDirectory, recipe: Recipe, packed: Packed | None, generator: Generator | None, notes: list[str]
) -> list[Finding]:
    """Tell a watch all that the run has left."""
    images = packed.spec if packed is not None else generator.metadata.images if generator is not None else None
    if images is None:
        notes.append("its samples were not looked at: there are neither its pictures nor its generator")
        return []
    sheets = sheets_of(recipe, images)
    reals = read_sheet(run.path / REALS, Sheets(64, sheets.height, sheets.width))
    if reals is None:
        notes.append(f"its samples were not looked at: there is no {REALS} to compare them with")
        return []
    count = len(packed.images) if packed is not None else 2**31
    return retell(Watch(options_of(recipe), Data(count, reals, None)), run.path, sheets, float("inf"))


def _with_pictures(
    found: list[Finding], recipe: Recipe, packed: Packed, generator: Generator, report: Report
) -> list[Finding]:
    """Add what pictures of the generator show, or show no more: that it draws copies, or one picture."""
    signs = _signs_of(packed, generator, report)
    known = {finding.name: not finding.ended for finding in found}
    training = generator.metadata.training
    at = Tick(training.iterations, training.images, training.epochs, 0.0, 0.0, 0.0, 0.0, {})
    new = (name for name, sign in signs.items() if sign.present != known.get(name, False))
    return [*found, *(finding_of(name, signs[name], at, options_of(recipe)) for name in new)]


def _signs_of(packed: Packed, generator: Generator, report: Report) -> dict[str, Sign]:
    from ganlab.health.looks import sign_of_collapse, sign_of_copies
    from ganlab.health.pictures import Copies

    iteration, what = generator.metadata.training.iterations, f"{DRAWN} pictures"
    drawn, signs = generator.sample(range(DRAWN)), {}
    if iteration >= BLOCK:  # before, it has hardly begun
        collapse = sign_of_collapse(iteration, drawn, packed.some(DRAWN), what)
        if collapse is not None:
            signs["generator_collapse"] = collapse
    work = f"looking for copies among {len(packed.images):,} pictures"
    report(work, 0, 0)
    copies, count = Copies(packed.images), min(DRAWN, len(packed.images))
    share, of_reals = copies.share(drawn), copies.share_among_reals(count)
    report(work, 1, 1)
    signs["memorisation"] = sign_of_copies(iteration, share, of_reals, what)
    return signs
