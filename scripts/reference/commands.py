"""The page of every verb of the command line."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
from text import cell, safe

from ganlab.cli import ganlab


def page() -> Iterator[str]:
    """Yield the lines of the page."""
    yield from (
        "# Command line",
        "",
        "Every verb takes `-h` or `--help`. Messages and progress go to stderr, results to stdout. "
        "What the exit codes mean stands in [Runs and resume](../runs.md#exit-codes).",
    )
    yield from _verb(ganlab, "ganlab")


def _verb(command: click.Command, path: str) -> Iterator[str]:
    flags = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    usage = [path, "[OPTIONS]" if flags else "", *map(_argument, command.params)]
    if isinstance(command, click.Group):
        usage.append("[COMMAND]" if command.invoke_without_command else "COMMAND")
    yield from ("", f"## {path}", "", "```text", " ".join(filter(None, usage)), "```")
    yield from _help(command.help or "")
    if flags:
        yield from ("", "| option | meaning |", "|---|---|")
        for flag in flags:
            yield f"| {cell(f'`{_flag(flag)}`')} | {cell(_flag_help(flag))} |"
    if isinstance(command, click.Group):
        for name in sorted(command.commands):
            yield from _verb(command.commands[name], f"{path} {name}")


def _argument(parameter: click.Parameter) -> str:
    if not isinstance(parameter, click.Argument):
        return ""
    name = parameter.metavar or str(parameter.name).upper()
    if isinstance(parameter.type, click.Choice):
        name = f"{{{'|'.join(parameter.type.choices)}}}"
    return name if parameter.required else f"[{name}]"


def _flag(flag: click.Option) -> str:
    value = "" if flag.is_flag else f" {flag.metavar or ''}"
    if isinstance(flag.type, click.Choice):
        value = f" {'|'.join(flag.type.choices)}"
    return ", ".join(flag.opts) + value.rstrip()


def _flag_help(flag: click.Option) -> str:
    text = (flag.help or "").replace("  [", " [")
    if flag.show_default:
        text += f" [default: {flag.default}]"
    return text + (" Repeatable." if flag.multiple and not flag.is_flag and "Repeatable" not in text else "")


def _help(text: str) -> Iterator[str]:
    """Yield a command's help; a paragraph marked by a backspace keeps its lines."""
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        lines = [line.strip() for line in paragraph.strip().splitlines()]
        yield from ("", "```text", *lines[1:], "```") if lines[0] == "\b" else ("", safe(" ".join(lines)))
