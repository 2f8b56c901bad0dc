"""The command line: one file a verb. Errors are turned into messages here, and nowhere else."""

from __future__ import annotations

import os
import signal
import sys
import traceback

import click

from ganlab.cli.bench import bench
from ganlab.cli.card import card
from ganlab.cli.compare import compare
from ganlab.cli.directions import directions
from ganlab.cli.doctor import doctor
from ganlab.cli.evaluate import evaluate
from ganlab.cli.export import export
from ganlab.cli.info import info
from ganlab.cli.interpolate import interpolate
from ganlab.cli.metrics import metrics
from ganlab.cli.output import say, say_mistake
from ganlab.cli.plugins import plugins
from ganlab.cli.project import project
from ganlab.cli.push import push
from ganlab.cli.recipes import recipes
from ganlab.cli.report import report
from ganlab.cli.run import run
from ganlab.cli.runs import runs
from ganlab.cli.sample import sample
from ganlab.cli.schema import schema
from ganlab.distributed.speaker import another_speaks, speaks_first
from ganlab.errors import (
    ArtefactError,
    DataError,
    GanlabError,
    Interrupted,
    LostRankError,
    PluginError,
    RankError,
    RecipeError,
)
from ganlab.hardware.memory import ran_out
from ganlab.messages import at_command_line
from ganlab.run.last_words import signal_name
from ganlab.run.signals import COMMAND

DEPENDENCIES = {
    "numpy": "numpy",
    "onnx": "onnx",
    "onnxruntime": "onnxruntime",
    "onnxscript": "onnxscript",
    "PIL": "pillow",
    "pluggy": "pluggy",
    "pydantic": "pydantic",
    "rich": "rich",
    "safetensors": "safetensors",
    "torch": "torch",
    "torchvision": "torchvision",
}
"""What a deliberately small installation may lack, and what installs it: sampling from ONNX needs few of them."""


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="ganlab")
@click.option("--no-plugins", is_flag=True, help="Leave out all plugins: what comes with ganlab itself remains.")
def ganlab(no_plugins: bool) -> None:
    """Train generative image models from a recipe, and ship the generator.

    \b
    ganlab run quickstart          train on the pictures that ganlab ships
    ganlab sample --count 64       draw pictures from the newest run
    ganlab evaluate                judge them against real ones
    ganlab compare shoes/1 shoes/2 tell which of two runs is better
    ganlab doctor quickstart       say what looks wrong in a recipe, or in a run
    ganlab export --onnx           write its generator for onnxruntime
    ganlab runs                    list the runs that are known here
    ganlab report                  write a page about the newest one
    """
    from ganlab.registry.entry_points import HOST, forgive_malformed_entry_points

    forgive_malformed_entry_points()
    if no_plugins:
        from ganlab.registry.lookup import registry

        registry.scan(lambda distribution: distribution == HOST)


VERBS = (
    *(
        run,
        runs,
        report,
        sample,
        interpolate,
        directions,
        project,
        evaluate,
        compare,
        metrics,
        doctor,
        export,
        card,
        push,
    ),
    *(info, bench, recipes, plugins, schema),
)
for command in VERBS:
    ganlab.add_command(command)


def main() -> None:
    """Run the command line and exit: 0 done, 1 the run or export failed, 2 a mistake, 130 or 143 stopped."""
    try:
        if sys.platform == "win32":
            raise GanlabError("ganlab needs Linux or macOS; on Windows, use it inside WSL")
        with COMMAND.raising(), at_command_line():
            ganlab.main(prog_name="ganlab", standalone_mode=False)
        if sys.stdout is not None:  # it may have been closed before we began
            sys.stdout.flush()
    except GanlabError as error:
        if _speaks(error):
            _show_cause(error)
            say(f"ganlab: {_signed(error)}", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        if speaks_first():
            say_mistake(error)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        number = COMMAND.received or signal.SIGINT
        if speaks_first():
            say(f"ganlab: stopped by {signal_name(number)}", err=True)
        sys.exit(128 + number)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in DEPENDENCIES:
            raise
        remedy = f"pip install {DEPENDENCIES[missing]}"
        say(f"ganlab: this needs the package {missing}, which is not installed: {remedy}", err=True)
        sys.exit(2)
    except Exception as error:
        if _output_is_lost(error):
            if sys.stdout is not None:  # Python would complain once more when it flushes
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):  # `head` takes what it wants
                say(f"ganlab: cannot write the output: {error.strerror}", err=True)
            sys.exit(1)
        if ran_out(error):
            say("ganlab: out of memory", err=True)
            sys.exit(1)
        if not speaks_first():  # another process of this run has the same traceback, or the cause of this one
            sys.exit(1)
        if "RANK" in os.environ:
            error.add_note(f"This was rank {os.environ['RANK']}.")
        raise


def _output_is_lost(error: Exception) -> bool:
    """Tell whether what has failed is the writing of our output: whoever read it has gone, or its disk is full."""
    if isinstance(error, BrokenPipeError):
        return True
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return isinstance(error, OSError) and frame.f_globals.get("__name__") in ("click.utils", __name__)


def _show_cause(error: GanlabError) -> None:
    """Print for a plugin's author the traceback of what the message sums up."""
    from ganlab.registry.entry_points import strict

    if isinstance(error, PluginError) and error.__cause__ is not None and strict():
        say("".join(traceback.format_exception(error.__cause__)), err=True, nl=False)


def _speaks(error: GanlabError) -> bool:
    """Tell whether this process says why the run ends: of several, one does, and rather one that knows."""
    if isinstance(error, LostRankError) and not error.ended:
        return speaks_first()
    if isinstance(error, RankError) and another_speaks():
        return False
    # Where all are on one machine, whoever has started them sees which of them ended without a word.
    alone_at_fault = isinstance(error, LostRankError) and os.environ.get("GROUP_WORLD_SIZE") == "1"
    return not alone_at_fault and speaks_first()


def _signed(error: GanlabError) -> str:
    """Return the message, with the rank before it where it may not hold for all."""
    rank = os.environ.get("RANK", "0")
    common = (ArtefactError, DataError, Interrupted, PluginError, RankError, RecipeError)
    return str(error) if rank == "0" or isinstance(error, common) else f"rank {rank}: {error}"
