"""Writes docs/reference/ from the code: recipe options, command line, shipped recipes, Python names.

python scripts/reference.py writes the pages; with --check it only says which ones are out of date.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import click

import ganlab
from ganlab.cli import ganlab as command_line
from ganlab.interfaces import Dataset, Model, Options
from ganlab.options import Option, options_of
from ganlab.providers import Kind
from ganlab.recipe import load_recipe, shipped_recipes
from ganlab.registry import Registry
from ganlab.settings import MovingAverage, Optimizer, Settings, Snapshots, Train

ROOT = Path(__file__).parent.parent
PAGES = ROOT / "docs" / "reference"
NOTICE = "<!-- Written by scripts/reference.py from the code. Do not edit it here. -->"
WIDTH = 88
"""Columns of a code block that a page shows without a scroll bar."""

OWN = Registry()
"""The components that come with ganlab, whatever else is installed."""
OWN.scan(lambda distribution: distribution == "ganlab")


def pages() -> dict[Path, str]:
    """Return the text of every page by its path."""
    made = {"options.md": options(), "cli.md": cli(), "recipes.md": recipes(), "python.md": python()}
    return {PAGES / name: "\n".join((NOTICE, *lines)).rstrip() + "\n" for name, lines in made.items()}


# Recipe options


def options() -> Iterator[str]:
    """Yield the page of every option that a recipe can hold."""
    yield from (
        "# Recipe options",
        "",
        "Every key of a recipe, what it accepts, and what it is when it is left out. "
        "`ganlab plugins show KIND NAME` prints the same for any installed component. "
        "[Writing a recipe](../recipes.md) says how the tables work together.",
        "",
        "*unset* means that leaving the key out has a meaning of its own; *required* that it must be written.",
    )
    yield from _host_table("Top of the file", Settings)
    yield from _components("[model]", "model", 'Without `name`, the model is `"dcgan"`.', Model)
    yield from _components("[dataset]", "dataset", "`name` is required: it says what to train on.", Dataset)
    yield from _components("[loss]", "loss", 'Without `name`, the loss is `"bce"`.')
    yield from _host_table("[optimizer]", Optimizer)
    yield from _host_table("[train]", Train)
    yield from _host_table("[moving_average]", MovingAverage)
    yield from _host_table("[snapshot]", Snapshots)
    yield from _components(
        "[observers]",
        "observer",
        "What watches a run. All that come with ganlab are on; `terminal = false` switches one off, a table such as "
        "`[observers.terminal]` sets its options. An observer of a plugin is switched on by `name = true` or its table.",
    )
    yield from _components(
        "Exporters", "exporter", "Not part of a recipe: `ganlab export --to NAME --set KEY=VALUE` sets these."
    )


def _host_table(title: str, cls: type[Options]) -> Iterator[str]:
    yield from ("", f"## {title}", "", _prose(cls.__doc__), "")
    yield from _option_rows(options_of(cls))


def _components(title: str, kind: Kind, text: str, base: type[Options] | None = None) -> Iterator[str]:
    """Yield the section of a kind: what its components share, then each with what it adds or has otherwise."""
    yield from ("", f"## {title}", "", text)
    shared = {option.name: option for option in options_of(base)} if base else {}
    if shared:
        yield from ("", f"### Every {kind}", "")
        yield from _option_rows(shared.values())
    for name in OWN.names(kind):
        cls = OWN.get(kind, name)
        yield from ("", f"### {kind} {name}", "", _prose(cls.__doc__), "")
        own = [option for option in options_of(cls) if option != shared.get(option.name)]
        if own:
            yield from _option_rows(own)
        if shared:
            yield from ("", f"{'And' if own else 'It has'} the options of [every {kind}](#every-{kind}).")
        elif not own:
            yield "It has no options."


def _option_rows(rows: Iterable[Option]) -> Iterator[str]:
    yield from ("| option | accepts | default | meaning |", "|---|---|---|---|")
    for name, accepted, default, doc in rows:
        shown = f"*{default}*" if default in ("required", "unset") else f"`{default}`"
        yield f"| `{name}` | {_cell(accepted)} | {_cell(shown)} | {_cell(doc)} |"


# Command line


def cli() -> Iterator[str]:
    """Yield the page of every verb of the command line."""
    yield from (
        "# Command line",
        "",
        "Every verb takes `-h` or `--help`. Messages and progress go to stderr, results to stdout. "
        "What the exit codes mean stands in [Runs and resume](../runs.md#exit-codes).",
    )
    yield from _verb(command_line, "ganlab")


def _verb(command: click.Command, path: str) -> Iterator[str]:
    group = isinstance(command, click.Group)
    usage = [path, *map(_argument, command.params), *(["COMMAND"] if group else [])]
    flags = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    if flags:
        usage.insert(1, "[OPTIONS]")
    yield from ("", f"## {path}", "", "```text", " ".join(filter(None, usage)), "```", "")
    yield from _help(command.help or "")
    if flags:
        yield from ("", "| option | meaning |", "|---|---|")
        for flag in flags:
            yield f"| `{_flag(flag)}` | {_cell(_flag_help(flag))} |"
    if isinstance(command, click.Group):
        for name in sorted(command.commands):
            yield from _verb(command.commands[name], f"{path} {name}")


def _argument(parameter: click.Parameter) -> str:
    if not isinstance(parameter, click.Argument):
        return ""
    name = str(parameter.name).upper()
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
        yield from ("```text", *lines[1:], "```", "") if lines[0] == "\b" else (" ".join(lines), "")


# Shipped recipes


def recipes() -> Iterator[str]:
    """Yield the page of the recipes that come with ganlab."""
    yield from (
        "# Shipped recipes",
        "",
        "`ganlab run NAME` trains one, `ganlab recipes copy NAME .` puts a copy into the current folder to change. "
        "Results and times stand beside each where they were measured, with what they were measured on.",
        "",
        "| recipe | pictures | resolution | batch | training |",
        "|---|---|---|---|---|",
    )
    for path in shipped_recipes():
        recipe = load_recipe(path, components=OWN)
        size = recipe.dataset.resolution
        side = f"{size}x{size}" if isinstance(size, int) else "x".join(map(str, size))
        length = f"{recipe.train.epochs:g} epochs" if recipe.train.epochs else f"{recipe.train.iterations:,} iterations"
        yield (
            f"| [{path.stem}](#{path.stem}) | {recipe.table['dataset']['name']} | {side}x{recipe.dataset.channels} "
            f"| {recipe.train.batch_size} | {length} |"
        )
    for path in shipped_recipes():
        header, body = _header(path.read_text(encoding="utf-8"))
        yield from ("", f"## {path.stem}", "", _linked(header), "", "```toml", body, "```")


def _header(text: str) -> tuple[str, str]:
    """Split a recipe into its opening comment, as prose, and the rest."""
    lines = text.splitlines()
    end = next((index for index, line in enumerate(lines) if not line.startswith("#")), len(lines))
    prose = [line.lstrip("#").strip() for line in lines[:end]]
    # What it gives and takes is looked for, so it starts a paragraph of its own.
    joined = re.sub(r" (?=Gives: )", "\n\n", " ".join(prose))
    return joined, "\n".join(lines[end:]).strip()


# Python names

SECTIONS: dict[str, tuple[str, ...]] = {
    "Training": ("train",),
    "Using a generator": ("load_generator", "Generator", "Metadata", "read_metadata"),
    "Components": ("Model", "Dataset", "Source", "Loss", "Exporter", "Observer"),
    "What components exchange": ("ImageSpec", "Batch", "Iteration", "Update"),
    "Events": ("hookimpl", "RunInfo", "Tick", "Snapshot"),
    "For exporters": ("fold_batchnorm", "write_generator", "seal", "replacing_file"),
    "Pictures": ("to_uint8", "grid", "save_png"),
    "Errors": (
        "GanlabError",
        "RecipeError",
        "PluginError",
        "DataError",
        "ArtefactError",
        "RunError",
        "Interrupted",
    ),
}
"""Every public name, in the order of the page."""
BESIDE = {"train": ("ganlab.run", "Run"), "hookimpl": ("ganlab.events", "Events")}
"""What a reader of a name needs with it, though it has no public name itself."""


def python() -> Iterator[str]:
    """Yield the page of the public names of the package."""
    listed = [name for names in SECTIONS.values() for name in names]
    if sorted(listed) != ganlab.__all__:
        raise SystemExit(f"SECTIONS in {__file__} differs from ganlab.__all__: {set(listed) ^ set(ganlab.__all__)}")
    yield from (
        "# Python names",
        "",
        "Everything that `import ganlab` offers. Importing it imports neither torch nor a plugin. "
        "[Python](../python.md) shows how they are used, [How ganlab is extended](../extending.md) what a plugin needs.",
    )
    for title, names in SECTIONS.items():
        yield from ("", f"## {title}")
        for name in names:
            if name == "hookimpl":
                text = "Marks a method of an observer that is named after an event, as in the class `Events` below."
                yield from ("", "### ganlab.hookimpl", "", text)
            else:
                value = getattr(ganlab, name)
                yield from _definition(f"ganlab.{name}", value.__module__, value.__name__)
            if name in BESIDE:
                module, other = BESIDE[name]
                yield from _definition(other, module, other)


def _definition(title: str, module: str, name: str) -> Iterator[str]:
    node = next(node for node in _tree(module).body if getattr(node, "name", None) == name)
    yield from ("", f"### {title}", "")
    if isinstance(node, ast.FunctionDef):
        yield from ("```python", _signature(node), "```", "", _prose(ast.get_docstring(node)))
        return
    assert isinstance(node, ast.ClassDef)
    yield _prose(ast.get_docstring(node))
    fields = list(_fields(node))
    if fields:
        yield from ("", "| field | type | meaning |", "|---|---|---|", *fields)
    for method in node.body:
        if isinstance(method, ast.FunctionDef) and (method.name == "__call__" or not method.name.startswith("_")):
            marks = [f"@{ast.unparse(mark)}\n" for mark in method.decorator_list if _is_telling(mark)]
            text = f"{''.join(marks)}{_signature(method)}"
            yield from ("", "```python", text, "```", "", _prose(ast.get_docstring(method)))


def _fields(node: ast.ClassDef) -> Iterator[str]:
    """Yield a row for each field, with the string under it."""
    for field, after in zip(node.body, [*node.body[1:], None], strict=True):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            doc = ""
            if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                doc = str(after.value.value)
            default = f" = {ast.unparse(field.value)}" if field.value is not None else ""
            kind = _cell(ast.unparse(field.annotation) + default)
            yield f"| `{field.target.id}` | `{kind}` | {_cell(doc)} |"


def _is_telling(mark: ast.expr) -> bool:
    return ast.unparse(mark) in ("property", "classmethod", "abstractmethod")


def _signature(node: ast.FunctionDef) -> str:
    """Return a function's head as it stands in the code, broken into lines where it is long."""
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    line = f"def {node.name}({ast.unparse(node.args)}){returns}"
    if len(line) <= WIDTH:
        return line
    return "\n".join([f"def {node.name}(", *(f"    {text}," for text in _parameters(node.args)), f"){returns}"])


def _parameters(arguments: ast.arguments) -> Iterator[str]:
    positional = [*arguments.posonlyargs, *arguments.args]
    missing = len(positional) - len(arguments.defaults)
    for argument, default in zip(positional, [None] * missing + arguments.defaults, strict=True):
        yield _parameter(argument, default)
    if arguments.kwonlyargs:
        yield "*"
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield _parameter(argument, default)


def _parameter(argument: ast.arg, default: ast.expr | None) -> str:
    return ast.unparse(argument) + (f" = {ast.unparse(default)}" if default is not None else "")


@lru_cache
def _tree(module: str) -> ast.Module:
    return ast.parse((ROOT / Path(*module.split("."))).with_suffix(".py").read_text(encoding="utf-8"))


# Markdown


def _prose(text: str | None) -> str:
    """Return a docstring as paragraphs, each on one line."""
    paragraphs = re.split(r"\n\s*\n", (text or "").strip())
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _linked(text: str) -> str:
    return re.sub(r"https?://[^\s),]+", r"<\g<0>>", text)


def main(arguments: list[str]) -> int:
    """Write the pages, or with --check say which ones differ from the code."""
    made: dict[Path, Any] = pages()
    if arguments == ["--check"]:
        stale = [path for path, text in made.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
        for path in stale:
            print(f"{path.relative_to(ROOT)} is out of date: python scripts/reference.py")
        return bool(stale)
    if arguments:
        print(__doc__, file=sys.stderr)
        return 2
    PAGES.mkdir(parents=True, exist_ok=True)
    for path, text in made.items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
