"""What the command line prints: no text in it, whoever wrote it, can steer a terminal."""

from __future__ import annotations

import io

import click

from ganlab.messages import LAYOUT, printable


def say(text: object, *, err: bool = False, nl: bool = True, bold: bool | None = None, fg: str | None = None) -> None:
    """Print a text, or a path on one line. Line breaks of a text are ours: names in it have been made `printable`."""
    line = printable(str(text), keep=LAYOUT if isinstance(text, str) else "")
    styled = bold is not None or fg is not None
    click.echo(click.style(line, bold=bold, fg=fg) if styled else line, err=err, nl=nl)


def say_in_place(text: str) -> None:
    """Print a text on stderr, a terminal, in place of the one before."""
    click.echo(f"\r\x1b[K{printable(text)}", err=True, nl=False)


def say_mistake(error: click.ClickException) -> None:
    """Print what Click says of a mistake on the command line."""
    said = io.StringIO()
    error.show(said)
    say(said.getvalue(), err=True, nl=False)
