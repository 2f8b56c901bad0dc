"""The types of the page of names: written as code whose names link to where each is explained."""

from __future__ import annotations

import ast
import html
import re
from functools import cache
from pathlib import Path

import ganlab
import ganlab.testing

SOURCE = Path(ganlab.__file__).parent.parent

EXPLAINED = {
    "Component": "ganlab.interfaces",
    "Position": "ganlab.interfaces",
    "Kind": "ganlab.registry.kinds",
    "Size": "ganlab.interfaces",
    "Colour": "ganlab.interfaces",
    "Distribution": "ganlab.interfaces",
    "Better": "ganlab.interfaces",
    "Reason": "ganlab.events",
    "Overrides": "ganlab.recipe.compose",
    "Choice": "ganlab.generator.arguments",
    "Pictures": "ganlab.data.pictures",
    "Floats": "ganlab.generator.backends",
    "Arrays": "ganlab.data.inputs",
    **dict.fromkeys(
        (
            "ModelRecord",
            "InputRecord",
            "NetworkRecord",
            "RecipeRecord",
            "TrainingRecord",
            "DataRecord",
            "ScoreRecord",
            "VersionsRecord",
        ),
        "ganlab.generator.metadata",
    ),
}
"""Types that public names show and that are none themselves, by name, with their module."""
ELSEWHERE = {
    "Train": "options.md#train",
    "MovingAverage": "options.md#moving_average",
    "Snapshots": "options.md#snapshot",
    "Evaluations": "options.md#evaluate",
    "Path": "https://docs.python.org/3/library/pathlib.html#pathlib.Path",
    "os.PathLike": "https://docs.python.org/3/library/os.html#os.PathLike",
    "Image.Image": "https://pillow.readthedocs.io/en/stable/reference/Image.html#PIL.Image.Image",
    "np.ndarray": "https://numpy.org/doc/stable/reference/generated/numpy.ndarray.html",
    "nn.Module": "https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html",
    "Tensor": "https://docs.pytorch.org/docs/stable/tensors.html",
    "JsonValue": "https://docs.pydantic.dev/latest/api/types/#pydantic.types.JsonValue",
    "onnx.ModelProto": "https://onnx.ai/onnx/api/classes.html#modelproto",
}
"""Types that another page explains."""
PLAIN = {
    *("Any", "Callable", "ClassVar", "Iterable", "Iterator", "Literal", "Mapping", "None", "Sequence"),
    *("NonNegativeFloat", "PositiveFloat", "PositiveInt", "Number", "C", "True", "False"),
}
"""What Python, pydantic and a reader of annotations know."""


def anchor(title: str) -> str:
    """Return the anchor of a heading."""
    return re.sub(r"[^\w-]", "", title).lower()


def linked(annotation: ast.expr, module: str, default: str = "") -> str:
    """Return a type as code in Markdown that links. Raise `ValueError` where nothing explains it."""
    text = html.escape(ast.unparse(plain(annotation, module)), quote=False)
    return f"<code>{re.sub(NAME, _link, text)}{html.escape(default, quote=False)}</code>"


def check(annotation: ast.expr, module: str) -> None:
    """Raise `ValueError` where nothing explains a type."""
    linked(annotation, module)


NAME = r"(?P<string>'[^']*')|[A-Za-z_][\w.]*"


def _link(found: re.Match[str]) -> str:
    name = found[0]
    if target := targets().get(name):
        return f"[{name}]({target})"
    if not found["string"] and name[0].isupper() and name not in PLAIN:
        raise ValueError(f"{__file__}: no page explains the type {name}: add it to EXPLAINED or ELSEWHERE")
    return name


@cache
def targets() -> dict[str, str]:
    """Return where each type is explained, as seen from the page of names."""
    here = {name: f"#{anchor(name)}" for name in EXPLAINED}
    testing = {
        name: f"#{anchor(f'ganlab.testing.{name}')}"
        for name, value in vars(ganlab.testing).items()
        if isinstance(value, type)
    }
    return ELSEWHERE | here | testing | {name: f"#{anchor(f'ganlab.{name}')}" for name in ganlab.__all__}


def plain(annotation: ast.expr, module: str) -> ast.expr:
    """Return a type without what only a validator reads: what it is annotated with."""
    bare: ast.expr = _Bare(module).visit(ast.parse(ast.unparse(annotation), mode="eval").body)
    return bare


class _Bare(ast.NodeTransformer):
    def __init__(self, module: str) -> None:
        self._module = module

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:  # ast's name
        if ast.unparse(node.value) == "Annotated" and isinstance(node.slice, ast.Tuple):
            first: ast.expr = self.visit(node.slice.elts[0])
            return first
        self.generic_visit(node)
        return node

    def visit_Name(self, node: ast.Name) -> ast.expr:  # ast's name
        meant = aliases(self._module).get(node.id)
        if meant is None or isinstance(meant, ast.Call) or node.id in ganlab.__all__:
            return node
        if EXPLAINED.get(node.id) == self._module:
            return node
        bare: ast.expr = self.visit(meant)
        return bare


@cache
def module_of(name: str) -> ast.Module:
    """Return a module's source as a tree."""
    return ast.parse(SOURCE.joinpath(*name.split(".")).with_suffix(".py").read_text(encoding="utf-8"))


@cache
def aliases(module: str) -> dict[str, ast.expr]:
    """Return what a module gives a name of its own, by that name."""
    return {
        target.id: node.value
        for node in module_of(module).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
