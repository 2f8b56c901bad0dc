"""The command line: one file a verb. Errors are turned into messages here, and nowhere else."""

from __future__ import annotations

import os
import sys

import click

from ganlab.cli.export import export
from ganlab.cli.info import info
from ganlab.cli.plugins import plugins
from ganlab.cli.recipes import recipes
from ganlab.cli.run import run
from ganlab.cli.sample import sample
from ganlab.errors import GanlabError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="ganlab")
def ganlab() -> None:
    """Train generative image models from a recipe, and ship the generator.

    \b
    ganlab run quickstart          train on the pictures that ganlab ships
    ganlab sample --count 64       draw pictures from the newest run
    ganlab export --onnx           write its generator for onnxruntime
    """


for command in (run, sample, export, info, recipes, plugins):
    ganlab.add_command(command)


def main() -> None:
    """Run the command line and exit: 0 done, 1 the run or export failed, 2 a mistake, 130 or 143 stopped."""
    try:
        if sys.platform == "win32":
            raise GanlabError("ganlab needs Linux or macOS; on Windows, use it inside WSL")
        ganlab.main(prog_name="ganlab", standalone_mode=False)
        sys.stdout.flush()
    except GanlabError as error:
        click.echo(f"ganlab: {error}", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("ganlab: stopped by Ctrl-C", err=True)
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read our output has gone, as `head` does. Python would complain once more when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
