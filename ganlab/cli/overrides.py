"""What changes a recipe at the command line: the options of every verb that reads one."""

from __future__ import annotations

import click

from ganlab.cli.completion import complete_settings

set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    shell_complete=complete_settings,
    help="Change a value of the recipe, as in train.batch_size=128. Repeatable.",
)
device_option = click.option(
    "--device", metavar="NAME", help="Short for --set train.device=NAME: auto, cpu, cuda, cuda:1 or mps."
)


def with_device(overrides: tuple[str, ...], device: str | None) -> tuple[str, ...]:
    """Return the changes that both options ask for."""
    return overrides if device is None else (*overrides, f"train.device={device}")
