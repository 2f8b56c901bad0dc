"""The shape of the tree: imports go down, the standard parts use the public door, data never becomes code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import floor_plan

import ganlab

PACKAGE = Path(ganlab.__file__).parent
ROOT = PACKAGE.parent
PLUGINS = sorted(ROOT.glob("plugins/*/*/__init__.py"))

PUBLIC = set(ganlab.__all__)


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (module, name) of everything that a file imports, function bodies included, annotations' alone excluded."""
    tree = ast.parse(path.read_text())
    for_annotations = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in for_annotations:
            continue
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from ((node.module or "", alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)


def sources() -> list[Path]:
    return sorted([*PACKAGE.rglob("*.py"), *(path for plugin in PLUGINS for path in plugin.parent.rglob("*.py"))])


def test_the_house_is_small_and_imports_only_downwards() -> None:
    graph = floor_plan.arrows()
    assert floor_plan.circles(graph) == []
    assert len(graph) <= 30
    assert len(floor_plan.floors(graph)) <= 9


def test_nothing_in_the_host_knows_a_plugin() -> None:
    for path in PACKAGE.rglob("*.py"):
        for module, _ in imports(path):
            assert not module.startswith("ganlab_"), f"{path}: {module}"


def test_standard_components_and_plugins_use_public_names_only() -> None:
    assert PLUGINS, "the reference plugin is gone"
    for path in [*(PACKAGE / "standard").rglob("*.py"), *(file for p in PLUGINS for file in p.parent.rglob("*.py"))]:
        for module, name in imports(path):
            if module == "ganlab":
                assert name in PUBLIC or name == "", f"{path.relative_to(ROOT)} imports {name}"
            elif module.startswith("ganlab."):
                assert module.startswith("ganlab.standard"), f"{path.relative_to(ROOT)} imports {module}"


def test_every_public_name_resolves() -> None:
    for name in PUBLIC:
        assert getattr(ganlab, name) is not None


def test_no_import_cycle() -> None:
    graph: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        tops = {node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ImportFrom)}
        graph[name] = {node.module for node in tops if node.module and node.module.startswith("ganlab.")}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " ▶ ".join((*trail, name))
        if name not in done:
            for other in graph.get(name, ()):
                visit(other, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


FORBIDDEN_MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml", "multiprocessing"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "hasattr", "__import__"}
LOADS = {"judging/lite0.py": "weights whose digest has been compared, and nothing of them but tensors"}
IMPORTS_BY_NAME = {
    "__init__.py": "the package's own lazy names",
    "testing/suite.py": "the checks of a kind in our table",
}


def test_data_never_becomes_code() -> None:
    for path in sources():
        where = path.relative_to(ROOT)
        for module, name in imports(path):
            assert module.split(".")[0] not in FORBIDDEN_MODULES, f"{where}: {module}"
            if "import_module" in (module, name):
                assert path.relative_to(PACKAGE).as_posix() in IMPORTS_BY_NAME, where
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in FORBIDDEN_CALLS, f"{where}:{node.lineno}: {node.func.id}"
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "torch":
                known = node.attr == "load" and path.relative_to(PACKAGE).as_posix() in LOADS
                assert known or node.attr not in ("load", "save", "jit", "hub"), (
                    f"{where}:{node.lineno}: torch.{node.attr}"
                )
            if isinstance(node, ast.ExceptHandler):
                assert node.type is not None, f"{where}:{node.lineno}: bare except"


def test_no_file_is_written_but_through_durable() -> None:
    """Whole files are written to the temporary path that `durable` hands out; an exporter is handed one by its host."""
    for path in sources():
        receiver = "path" if path.parent.name == "exporters" else "temporary"
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Attribute(attr="write_text" | "write_bytes", value=target)):
                    written = ast.unparse(target)
                    assert written.startswith(receiver), f"{path.relative_to(ROOT)}:{node.lineno}: {written}"


def test_no_module_is_a_drawer() -> None:
    for path in sources():
        assert path.stem not in {"utils", "helpers", "manager", "misc", "common", "base"}, path
        assert "TODO" not in path.read_text(), path


def test_dir_shows_the_public_names_and_nothing_else() -> None:
    import ganlab.run.train  # which makes submodules attributes

    assert set(dir(ganlab)) == PUBLIC
    assert {"Recipe", "Run", "load_generator", "train"} <= PUBLIC


def test_no_remedy_asks_for_a_package_that_nobody_has_published() -> None:
    for path in [*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.txt")]:
        assert not re.search(r"pip install (-e )?[\"']?ganlab", path.read_text()), path
