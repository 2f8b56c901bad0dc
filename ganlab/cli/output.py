"""What the command line prints: no text in it, whoever wrote it, can steer a terminal."""

from __future__ import annotations

import io
import shutil
import sys
import time
from textwrap import wrap

import click

from ganlab.messages import LAYOUT, printable

NARROWEST = 32
"""A column of fewer letters is hard to read."""


def say(text: object, *, err: bool = False, nl: bool = True, bold: bool | None = None, fg: str | None = None) -> None:
    """Print a text, or a path on one line. Line breaks of a text are ours: names in it have been made `printable`."""
    line = printable(str(text), keep=LAYOUT if isinstance(text, str) else "")
    styled = bold is not None or fg is not None
    click.echo(click.style(line, bold=bold, fg=fg) if styled else line, err=err, nl=nl)


def say_row(head: str, text: str, fg: str | None = None) -> None:
    """Print a row whose last column, on a terminal, is broken between words and goes on below itself.

    Elsewhere a row is one line, for whoever searches in it.
    """
    row, text = printable(head), printable(text)
    width = shutil.get_terminal_size().columns if sys.stdout is not None and sys.stdout.isatty() else sys.maxsize
    indent = len(row) + 2
    longest = max(map(len, text.split()), default=0)
    if width - indent < max(NARROWEST, min(longest, width - 4)):  # no room beside it: below it
        say(row.rstrip())
        row, indent = "", 4
    lines = wrap(text, max(1, width - indent), break_long_words=False, break_on_hyphens=False) or [""]
    heads = [row, *[""] * (len(lines) - 1)]
    say("\n".join(f"{head:<{indent}}{line}".rstrip() for head, line in zip(heads, lines, strict=True)), fg=fg)


def say_in_place(text: str) -> None:
    """Print a text on stderr, a terminal, in place of the one before."""
    click.echo(f"\r\x1b[K{printable(text)}", err=True, nl=False)


class Told:
    """Says on stderr what is being done: each thing once, and on a terminal how far it is."""

    def __init__(self) -> None:
        self._work, self._next = "", 0.0

    def __call__(self, work: str, done: int, total: int) -> None:
        ended = total > 0 and done == total
        new, self._work = work != self._work, work
        if not sys.stderr.isatty():
            if new:
                say(f"{work} ...", err=True)
        elif new or ended or time.monotonic() >= self._next:
            self._next = time.monotonic() + 0.2
            far = f" {done:,} of {total:,}" if total else " ..."
            say_in_place("" if ended else f"{work}{far}")


def say_mistake(error: click.ClickException) -> None:
    """Print what Click says of a mistake on the command line."""
    said = io.StringIO()
    error.show(said)
    say(said.getvalue(), err=True, nl=False)
