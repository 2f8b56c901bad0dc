"""The command line: one file a verb. Errors are turned into messages here, and nowhere else."""

from __future__ import annotations

import os
import sys
import traceback

import click

from ganlab.cli.export import export
from ganlab.cli.info import info
from ganlab.cli.plugins import plugins
from ganlab.cli.recipes import recipes
from ganlab.cli.run import run
from ganlab.cli.sample import sample
from ganlab.cli.schema import schema
from ganlab.errors import (
    ArtefactError,
    DataError,
    GanlabError,
    Interrupted,
    PluginError,
    RankError,
    RecipeError,
)

DEPENDENCIES = {
    "numpy",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "PIL",
    "pluggy",
    "pydantic",
    "rich",
    "safetensors",
    "torch",
}
"""What a deliberately small installation may lack: sampling from ONNX needs few of them."""


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="ganlab")
@click.option("--no-plugins", is_flag=True, help="Leave out all plugins: what comes with ganlab itself remains.")
def ganlab(no_plugins: bool) -> None:
    """Train generative image models from a recipe, and ship the generator.

    \b
    ganlab run quickstart          train on the pictures that ganlab ships
    ganlab sample --count 64       draw pictures from the newest run
    ganlab export --onnx           write its generator for onnxruntime
    """
    from ganlab.providers import HOST, forgive_malformed_entry_points

    forgive_malformed_entry_points()
    if no_plugins:
        from ganlab.registry import registry

        registry.scan(lambda distribution: distribution == HOST)


for command in (run, sample, export, info, recipes, plugins, schema):
    ganlab.add_command(command)


def main() -> None:
    """Run the command line and exit: 0 done, 1 the run or export failed, 2 a mistake, 130 or 143 stopped."""
    try:
        if sys.platform == "win32":
            raise GanlabError("ganlab needs Linux or macOS; on Windows, use it inside WSL")
        ganlab.main(prog_name="ganlab", standalone_mode=False)
        sys.stdout.flush()
    except GanlabError as error:
        _show_cause(error)
        if says := _said_by_this_rank(error):
            click.echo(f"ganlab: {says}", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("ganlab: stopped by Ctrl-C", err=True)
        sys.exit(130)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in DEPENDENCIES:
            raise
        click.echo(f"ganlab: this needs the package {error.name}, which is not installed: pip install ganlab", err=True)
        sys.exit(2)
    except BrokenPipeError:
        # Whoever read our output has gone, as `head` does. Python would complain once more when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _show_cause(error: GanlabError) -> None:
    """Print for a plugin's author the traceback of what the message sums up."""
    from ganlab.providers import strict

    if isinstance(error, PluginError) and error.__cause__ is not None and strict():
        traceback.print_exception(error.__cause__)


def _said_by_this_rank(error: GanlabError) -> str:
    """Return the message, or nothing where rank 0 of a run says the same."""
    rank = os.environ.get("RANK", "0")
    if rank == "0":
        return str(error)
    common = (ArtefactError, DataError, Interrupted, PluginError, RankError, RecipeError)
    return "" if isinstance(error, common) else f"rank {rank}: {error}"
