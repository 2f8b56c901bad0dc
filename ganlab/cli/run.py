"""`ganlab run`: train what a recipe says."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ganlab.cli.completion import complete_recipes
from ganlab.cli.output import say
from ganlab.cli.overrides import device_option, set_option, with_device
from ganlab.messages import counted, shell_word
from ganlab.regular import BEST
from ganlab.run.signals import COMMAND

if TYPE_CHECKING:
    from ganlab.recipe.recipe import Recipe
    from ganlab.run.train import Run


@click.command(short_help="Train what a recipe says.")
@click.argument("recipe", shell_complete=complete_recipes)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Make DIR the run's directory; the same command again continues the run in it exactly.",
)
@click.option("--resume", is_flag=True, help="Continue the newest run of this recipe, or start one; or the run RECIPE.")
@set_option
@click.option(
    "--init",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Begin with the weights of PATH, a run or a generator.safetensors. Short for --set train.init_from=PATH.",
)
@device_option
@click.option(
    "--progress",
    type=click.Choice(["auto", "rich", "plain", "json", "off"]),
    help="How progress is shown. auto: live on a terminal, else a plain line every few seconds.",
)
@click.option(
    "--nproc",
    type=click.IntRange(min=1),
    default=1,
    metavar="N",
    help="Train in N processes on this machine, one a GPU where there are any.",
)
@click.option("--note", metavar="TEXT", help="A note for ganlab runs.")
@click.option("--dry-run", is_flag=True, help="Show what would be trained and what it would take; train nothing.")
@COMMAND.ending()  # but for the training itself, which lets a signal save
def run(
    recipe: str,
    out: Path | None,
    resume: bool,
    overrides: tuple[str, ...],
    init: Path | None,
    device: str | None,
    progress: str | None,
    nproc: int,
    note: str | None,
    dry_run: bool,
) -> None:
    """Train what RECIPE says: a TOML file, or the name of a shipped recipe (ganlab recipes).

    Every run has a directory with its samples, metrics, checkpoints and generator: DIR, or a new one below runs/.
    Ctrl-C saves before it stops.
    """
    from ganlab.errors import Interrupted
    from ganlab.recipe.recipe import find_recipe, load_recipe
    from ganlab.recipe.toml import dump_value
    from ganlab.run.names import named_run

    recipe, out, resume = _going_on(recipe, out, resume)
    if init is not None:
        init = named_run(init)
        overrides += (f"train.init_from={dump_value(str(init))}",)
    overrides = with_device(overrides, device)
    if progress is not None:
        overrides += (f"observers.terminal.mode={progress}",)
    loaded = load_recipe(find_recipe(recipe), overrides)
    if nproc > 1 or "RANK" in os.environ:
        # What torch prints of a connection that broke; the rank that ends says it in a sentence.
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    if nproc > 1:
        from ganlab.distributed.share import Share

        if "TORCHELASTIC_RUN_ID" in os.environ:
            raise click.UsageError("--nproc starts the processes itself; under torchrun, leave it out")
        Share(0, nproc).of(loaded.train.batch_size)
    if dry_run:
        from ganlab.run.preview import preview

        say(preview(loaded, out, resume), err=_for_programs(loaded))
        return
    if nproc > 1:
        from ganlab.distributed.launch import launch

        # Looked for once before N processes start; they read the recipe again.
        sys.exit(launch(nproc, _without_nproc(sys.argv[1:])))

    from ganlab.distributed.ranks import place
    from ganlab.run.train import train

    here = place()

    def go_on(directory: Path) -> str:
        again = ["ganlab", "run", recipe, "--out", str(directory)]
        again += [word for override in overrides for word in ("--set", override)]
        again += ["--nproc", str(here.world)] if here.world > 1 else []
        return " ".join(map(shell_word, again))

    COMMAND.words.go_on = go_on
    try:
        trained = train(loaded, out=out, resume=resume, note=note)
    except Interrupted as error:
        if error.directory is not None:
            raise Interrupted(f"{error}\ngo on with: {go_on(error.directory)}", error.signal_number) from None
        raise
    if here.rank:
        return  # rank 0 speaks for all
    say(f"{_summary(trained, loaded)}\n{_where_things_lie(trained.directory)}", err=_for_programs(loaded))


def _going_on(recipe: str, out: Path | None, resume: bool) -> tuple[str, Path | None, bool]:
    """Take a run for its own recipe in its own directory, where that is what `recipe` names."""
    from ganlab.errors import GanlabError
    from ganlab.recipe.recipe import shipped_recipes
    from ganlab.run.directory import RunDirectory
    from ganlab.run.names import named_run

    path = Path(recipe)
    if os.path.isfile(path) or recipe in [shipped.stem for shipped in shipped_recipes()]:
        return recipe, out, resume  # also where a run of that name lies here
    if not (run := RunDirectory(named_run(path))).is_run:
        return recipe, out, resume
    if out is not None or not resume:
        raise GanlabError(
            f"{recipe} is a run: --resume alone goes on with it, and {run.recipe} is its recipe, for a new one"
        )
    return str(run.recipe), run.path, False


def _summary(trained: Run, recipe: Recipe) -> str:
    if trained.already_done and trained.out_of_patience:
        return (
            f"The run in {trained.directory} was finished before: {counted(trained.iterations, 'iteration')}. "
            "Train it longer with a larger --set evaluate.patience=..., or start a new one with another --out."
        )
    if trained.already_done:
        return (
            f"The run in {trained.directory} was finished before: {counted(trained.iterations, 'iteration')}. "
            f"Train it longer with --set train.{_length(recipe)}=..., or start a new one with another --out."
        )
    return (
        f"Trained {counted(trained.iterations, 'iteration')} on {counted(trained.images, 'picture')} "
        f"in {_duration(trained.seconds)}."
    )


def _length(recipe: Recipe) -> str:
    """Return the option that says how long the recipe trains."""
    return "epochs" if recipe.train.iterations is None else "iterations"


def _for_programs(recipe: Recipe) -> bool:
    """Tell whether stdout is for programs, as with --progress json."""
    terminal = recipe.table["observers"].get("terminal")
    return isinstance(terminal, dict) and terminal["mode"] == "json"


def _without_nproc(arguments: list[str]) -> list[str]:
    kept: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "--nproc":
            next(words)
        elif not word.startswith("--nproc="):
            kept.append(word)
    return kept


def _where_things_lie(directory: Path) -> str:
    rows = [
        ("report", "report.html"),
        ("samples", "samples"),
        ("progress", "progress.gif"),
        ("losses", "losses.png"),
        ("metrics", "metrics.jsonl"),
        ("generator", "generator.safetensors"),
        ("the best", BEST),
        ("generators", "generators"),
    ]
    lines = [f"  {label:<10} {directory / name}" for label, name in rows if (directory / name).exists()]
    run = shell_word(str(directory))
    lines += ["Next:", f"  ganlab sample {run} --count 64 --seed 7", f"  ganlab export {run} --onnx"]
    return "\n".join(lines)


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
