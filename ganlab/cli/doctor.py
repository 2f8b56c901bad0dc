"""`ganlab doctor`: what looks wrong in a recipe before it is trained, and in a run that is on or has ended."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ganlab.cli.completion import complete_recipes
from ganlab.cli.output import Told, say
from ganlab.cli.overrides import device_option, set_option, with_device

if TYPE_CHECKING:
    from ganlab.bench.checkup import Checkup
    from ganlab.run.diagnosis import Diagnosis
    from ganlab.run.directory import RunDirectory


@click.command(short_help="Say what looks wrong in a recipe, or in a run.")
@click.argument("source", metavar="RECIPE|RUN", shell_complete=complete_recipes)
@set_option
@device_option
@click.option(
    "--seconds",
    type=click.FloatRange(min=1.0),
    default=10.0,
    show_default=True,
    metavar="S",
    help="How long to train a recipe, to see how long a run will take.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def doctor(source: str, overrides: tuple[str, ...], device: str | None, seconds: float, as_json: bool) -> None:
    """Before a training, look at RECIPE: its pictures, what it will take here, and what looks wrong in it.

    Of a RUN, that is on or has ended, say what it suffers from, with numbers and what may help. Nothing is written but
    the packed pictures.
    """
    from ganlab.recipe.recipe import find_recipe, load_recipe

    run = _run(source)
    if run is not None:
        from ganlab.errors import GanlabError
        from ganlab.run.diagnosis import diagnose

        if overrides or device is not None:
            raise GanlabError(f"{source} is a run, of which nothing can be changed; --set goes with a recipe")
        _show_run(run, diagnose(run, Told()), as_json)
        return
    from ganlab.bench.checkup import check_up

    _show_recipe(check_up(load_recipe(find_recipe(source), with_device(overrides, device)), seconds), as_json)


def _run(source: str) -> RunDirectory | None:
    """Return the run that `source` names; None where it is a recipe, as `ganlab run` takes it."""
    from ganlab.recipe.recipe import shipped_recipes
    from ganlab.regular import named_path
    from ganlab.run.directory import RunDirectory
    from ganlab.run.names import named_run

    if os.path.isfile(named_path(source)) or source in [shipped.stem for shipped in shipped_recipes()]:
        return None
    run = RunDirectory(named_run(Path(source)))
    return run if run.is_run else None


def _show_recipe(found: Checkup, as_json: bool) -> None:
    if as_json:
        say(json.dumps({"figures": list(found.figures), "doubts": list(found.doubts)}, indent=1))
        return
    say("\n".join(found.figures))
    say("")
    for doubt in found.doubts:
        say(f"- {doubt}")
    if not found.doubts:
        say("nothing looks wrong")


def _show_run(run: RunDirectory, found: Diagnosis, as_json: bool) -> None:
    from ganlab.health.record import open_findings

    if as_json:
        findings = [one._asdict() | {"advice": [way._asdict() for way in one.advice]} for one in found.findings]
        say(json.dumps({"run": str(run.path), "findings": findings, "notes": found.notes}, indent=1))
        return
    still = {(one.name, one.iteration) for one in open_findings(found.findings)}
    for one in found.findings:
        wrong = (one.name, one.iteration) in still
        title = one.name.replace("_", " ")
        state = "" if wrong else ", has ended" if one.ended else ", and ended later"
        say(f"{title}, at iteration {one.iteration:,}{state}", bold=True, fg="yellow" if wrong else None)
        say(f"  seen        {one.evidence}")
        if wrong:
            say(f"  threshold   {one.threshold}")
            for way in one.advice:
                say(f"  may help    {f'{way.setting}: ' if way.setting else ''}{way.text}")
    if not found.findings:
        say("nothing was found")
    for note in found.notes:
        say(f"note: {note}")
