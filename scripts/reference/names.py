"""The page of the public names of the package, from its source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import zip_longest
from types import FunctionType, UnionType

from annotations import EXPLAINED, check, linked, module_of
from text import cell, prose

import ganlab
import ganlab.testing

WIDTH = 88
"""Columns of a code block that a page shows without a scroll bar."""

SECTIONS: dict[str, tuple[str, ...]] = {
    "Training": ("train", "Run", "Recipe", "write_report"),
    "Using a generator": ("load_generator", "Generator", "Metadata", "read_metadata", "directions", "Directions"),
    "Components": ("Model", "Dataset", "Source", "Loss", "Augmentation", "Optimizer", "Exporter", "Observer", "Metric"),
    "What components exchange": (
        "ImageSpec",
        "Batch",
        "Iteration",
        "Update",
        "Scheduled",
        "Schedule",
        "Comparison",
        "Moments",
    ),
    "What a generator takes": ("Input", "Normal", "Uniform", "Categorical", "Labels"),
    "For losses": ("apart",),
    "Events": ("hookimpl", "RunInfo", "Tick", "Snapshot", "Scores", "Finding", "Advice"),
    "For observers": ("printable",),
    "For datasets": ("walk_folder", "is_listed", "open_picture", "file_kind"),
    "For exporters": (
        "fold_batchnorm",
        "onnx_graph",
        "write_onnx",
        "quiet",
        "write_generator",
        "seal",
        "run_file",
        "write_bundle",
        "unpacked_bundle",
        "bundle_metadata",
    ),
    "For metrics": ("FeatureNetwork", "PublishedWeights", "read_published"),
    "Files": ("replacing_file", "append_text"),
    "Pictures": ("to_uint8", "grid", "save_film", "save_png"),
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
BESIDE = {"hookimpl": ("ganlab.events", "Events")}
"""What a reader of a name needs with it, though it has no public name itself."""
CALLED = ("__call__", "__len__")
"""Methods that a reader uses or writes although their names begin with an underscore."""


def page() -> Iterator[str]:
    """Yield the lines of the page. Raise `ValueError` where a public name has no section."""
    listed = [name for names in SECTIONS.values() for name in names]
    if sorted(listed) != ganlab.__all__:
        raise ValueError(f"SECTIONS in {__file__} differs from ganlab.__all__: {set(listed) ^ set(ganlab.__all__)}")
    yield from (
        "# Python names",
        "",
        "Everything that `import ganlab` offers, and `ganlab.testing` below. "
        "Importing ganlab imports neither torch nor a plugin. "
        "[Python](../python.md) shows how it is used, [Write a plugin](../plugins/index.md) what a plugin needs.",
    )
    for title, names in SECTIONS.items():
        yield from ("", f"## {title}")
        for name in names:
            if name == "hookimpl":
                text = "Marks a method of an observer that is named after an event, as in the class `Events` below."
                yield from ("", "### ganlab.hookimpl", "", text)
            elif isinstance(value := getattr(ganlab, name), UnionType):
                members = ", ".join(f"`{member.__name__}`" for member in value.__args__)
                yield from ("", f"### ganlab.{name}", "", f"What one argument of a generator is: any of {members}.")
            else:
                yield from _definition(f"ganlab.{name}", value.__module__, value.__name__)
            if name in BESIDE:
                module, other = BESIDE[name]
                yield from _definition(f"{module}.{other}", module, other)
    text = "For the authors of plugins: the [contract](checks.md) of every kind, and tiny runs for their own tests."
    yield from ("", "## ganlab.testing", "", text)
    for name, value in sorted(vars(ganlab.testing).items()):
        if isinstance(value, type | FunctionType):
            yield from _definition(f"ganlab.testing.{name}", value.__module__, name)
    text = "What the names above take and return, where it has no public name itself: such objects are got, not made."
    yield from ("", "## Types", "", text)
    for name, module in EXPLAINED.items():
        yield from _definition(name, module, name)


def _definition(title: str, module: str, name: str) -> Iterator[str]:
    node = _found(module, name)
    yield from ("", f"### {title}", "")
    if isinstance(node, ast.FunctionDef):
        yield from _function(node, module)
        return
    if isinstance(node, ast.Assign):
        yield from (f"{linked(node.value, module)}: {_below(module_of(module).body, node)}",)
        return
    assert isinstance(node, ast.ClassDef)
    yield prose(ast.get_docstring(node))
    fields = list(_fields(node, module))
    if fields:
        yield from ("", "| field | type | meaning |", "|---|---|---|", *fields)
    for method in node.body:
        if isinstance(method, ast.FunctionDef) and (method.name in CALLED or not method.name.startswith("_")):
            yield ""
            yield from _function(method, module)


def _found(module: str, name: str) -> ast.stmt:
    """Return the statement that gives a name its meaning."""
    tree = module_of(module)
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return node
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return node
    raise ValueError(f"{module} has no {name}")


def _function(node: ast.FunctionDef, module: str) -> Iterator[str]:
    arguments = node.args
    for argument in (*arguments.args, *arguments.kwonlyargs, arguments.vararg):
        if argument is not None and argument.annotation is not None:
            check(argument.annotation, module)
    if node.returns is not None:
        check(node.returns, module)
    marks = [f"@{ast.unparse(mark)}" for mark in node.decorator_list if _tells_something(mark)]
    yield from ("```python", *marks, _signature(node), "```", "", prose(ast.get_docstring(node)))


def _fields(node: ast.ClassDef, module: str) -> Iterator[str]:
    """Yield a row for each field, with the string under it."""
    for field in node.body:
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            default = f" = {ast.unparse(field.value)}" if field.value is not None and _is_shown(field.value) else ""
            kind = linked(field.annotation, module, default).replace("|", "&#124;")
            yield f"| `{field.target.id}` | {kind} | {cell(_below(node.body, field))} |"


def _is_shown(default: ast.expr) -> bool:
    """Whether a default tells a reader something: neither how pydantic makes it, nor a constant by its name."""
    return not isinstance(default, ast.Call | ast.Name)


def _below(body: list[ast.stmt], node: ast.stmt) -> str:
    """Return the string under a statement."""
    after = dict(zip_longest(body, body[1:])).get(node)
    below = after.value if isinstance(after, ast.Expr) else None
    return str(below.value) if isinstance(below, ast.Constant) else ""


def _tells_something(mark: ast.expr) -> bool:
    return ast.unparse(mark) in ("property", "classmethod", "abstractmethod", "contextmanager")


def _signature(node: ast.FunctionDef) -> str:
    """Return a function's head as it stands in the code, broken into lines where it is long."""
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    parameters = list(_parameters(node.args))
    line = f"def {node.name}({', '.join(parameters)}){returns}"
    if len(line) <= WIDTH:
        return line
    return "\n".join([f"def {node.name}(", *(f"    {text}," for text in parameters), f"){returns}"])


def _parameters(arguments: ast.arguments) -> Iterator[str]:
    required = len(arguments.args) - len(arguments.defaults)
    defaults: list[ast.expr | None] = [*[None] * required, *arguments.defaults]
    for argument, default in zip(arguments.args, defaults, strict=True):
        yield _parameter(argument, default)
    if arguments.vararg:
        yield f"*{_parameter(arguments.vararg, None)}"
    elif arguments.kwonlyargs:
        yield "*"
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield _parameter(argument, default)


def _parameter(argument: ast.arg, default: ast.expr | None) -> str:
    return ast.unparse(argument) + (f" = {ast.unparse(default)}" if default is not None else "")
