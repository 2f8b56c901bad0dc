"""The documentation against the code: nothing is missing, nothing is out of date, everything that is shown works."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from documents import (
    DOCS,
    GENERATED,
    PAGES,
    README,
    ROOT,
    WRITTEN,
    Block,
    blocks,
    command,
    headings,
    is_signature,
    play,
    prose,
    recipe_blocks,
    section,
    shell_commands,
    trained,
)

import ganlab
from ganlab.cli import ganlab as command_line
from ganlab.continuation import _FREE_TO_CHANGE as FREE_TO_CHANGE
from ganlab.events import Events
from ganlab.interfaces import Dataset, ImageSpec, Model, Options
from ganlab.options import options_of
from ganlab.recipe import TABLES, load_recipe, parse_recipe, shipped_recipes
from ganlab.registry import KINDS, registry
from ganlab.settings import MovingAverage, Optimizer, Settings, Snapshots, Train

INDEX = DOCS / "index.md"
OPTIONS = GENERATED / "options.md"
COMMANDS = GENERATED / "commands.md"
NAMES = GENERATED / "names.md"
HOST_TABLES = {
    "Top of the file": Settings,
    "[optimizer]": Optimizer,
    "[train]": Train,
    "[moving_average]": MovingAverage,
    "[snapshot]": Snapshots,
}
BASES: dict[str, type[Options]] = {"model": Model, "dataset": Dataset}
MARKDOWN = [README, ROOT / "CHANGELOG.md", *PAGES]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


# What is generated


def test_generated_pages_are_up_to_date() -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    script = [sys.executable, str(ROOT / "scripts" / "reference"), "--check"]
    process = subprocess.run(script, env=environment, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stdout + process.stderr


def own_components() -> Iterator[tuple[str, str, type[Options]]]:
    for provider in registry.providers():
        if provider.distribution == "ganlab":
            yield provider.kind, provider.name, registry.get(provider.kind, provider.name)


def test_every_option_is_documented() -> None:
    tables = dict(HOST_TABLES.items()) | {f"Every {kind}": cls for kind, cls in BASES.items()}
    for heading, cls in tables.items():
        text = section(OPTIONS, heading)
        for option in options_of(cls):
            assert f"| `{option.name}` |" in text, f"{heading}: {option.name}"
            assert option.doc, f"{heading}: {option.name}"
    for kind, name, cls in own_components():
        text = section(OPTIONS, f"{kind} {name}")
        shared = section(OPTIONS, f"Every {kind}") if kind in BASES else ""
        for option in options_of(cls):
            assert f"| `{option.name}` |" in text + shared, f"{kind} {name}: {option.name}"
            assert option.doc, f"{kind} {name}: {option.name}"
            here = text if f"| `{option.name}` |" in text else shared
            (row,) = [row for row in here.splitlines() if row.startswith(f"| `{option.name}` |")]
            assert option.default in row, f"{kind} {name}: {option.name} has another default than the table says"


def test_every_table_and_kind_has_its_place() -> None:
    headers = [f"[{table}]" for table in TABLES]
    text = OPTIONS.read_text()
    for header in headers:
        assert f"\n## {header}\n" in text
        assert f"| `{header}` |" in section(DOCS / "recipes.md", "Writing a recipe")
    for kind in KINDS:
        assert f"\n| {kind} |" in section(DOCS / "extending.md", "How ganlab is extended")


def verbs(verb: click.Command = command_line, path: str = "ganlab") -> Iterator[tuple[str, click.Command]]:
    yield path, verb
    for name, inner in verb.commands.items() if isinstance(verb, click.Group) else ():
        yield from verbs(inner, f"{path} {name}")


@pytest.mark.parametrize(("path", "verb"), list(verbs()))
def test_every_verb_with_its_options_is_documented(path: str, verb: click.Command) -> None:
    text = section(COMMANDS, path)
    for parameter in verb.params:
        if isinstance(parameter, click.Option):
            for flag in parameter.opts:
                assert re.search(rf"^\| `{flag}\b", text, re.MULTILINE), f"{path} {flag}"
        else:
            assert parameter.human_readable_name.upper() in text or isinstance(parameter.type, click.Choice)


def test_every_public_name_and_every_event_is_documented() -> None:
    for name in ganlab.__all__:
        section(NAMES, f"ganlab.{name}")
    table = section(DOCS / "extending.md", "Watching a run")
    events = [event for event in vars(Events) if not event.startswith("_")]
    for event in events:
        arguments = ", ".join(list(inspect.signature(getattr(Events, event)).parameters)[1:])
        assert f"| `{event}({arguments})` |" in table
        assert f"def {event}(" in section(NAMES, "ganlab.events.Events")
    assert table.count("| `") == len(events)


def test_every_shipped_recipe_is_documented() -> None:
    page = GENERATED / "recipes.md"
    for path in shipped_recipes():
        header = next(line for line in path.read_text().splitlines() if not line.startswith("#:")).lstrip("# ")
        assert re.sub(r"<(http[^>]*)>", r"\1", section(page, path.stem)).strip().startswith(header)


# What is shown


REPLACED = {
    "tutorial.md": {"range(len(source))": "range(0, len(source), 400)"},
    "python.md": {
        '["train.epochs=1"]': "['train.epochs=0.001', 'model.base_channels=2', 'snapshot.samples=4']",
        '"base_channels": 32': '"base_channels": 2',
        '"batch_size": 128, "epochs": 1': '"batch_size": 8, "epochs": 0.001',
        "seeds=range(64)": "seeds=range(4)",
    },
}
"""Python that would take long, and what stands for it here."""
ELSEWHERE = ("extending.md", "index.md")
"""Pages that are tried out in tests of their own."""


@pytest.fixture
def _workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Stand in a copy of that folder; the pictures are packed once for all."""
    shutil.copytree(trained(), tmp_path, ignore=shutil.ignore_patterns("cache"), dirs_exist_ok=True)
    monkeypatch.setenv("GANLAB_CACHE", str(trained() / "cache"))
    yield
    registry.remove("observer", "alarm")


@pytest.mark.usefixtures("_workplace")
@pytest.mark.parametrize("page", [page for page in WRITTEN if page.name not in ELSEWHERE], ids=name_of)
def test_what_a_page_shows_works(page: Path) -> None:
    for old in REPLACED.get(page.name, {}):
        assert old in page.read_text(), f"{old} has gone from {page.name}"
    play(page, REPLACED.get(page.name, {}))


def test_the_front_page_shows_what_the_readme_shows() -> None:
    shown = [
        [words for block in blocks(page) if block.language == "sh" for words in shell_commands(block.text)]
        for page in (INDEX, README)
    ]
    assert shown[0]
    assert all(words in shown[1] for words in shown[0])


@pytest.mark.usefixtures("_workplace")
def test_the_plugin_that_is_shown_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Installed as an installer would: the module, and beside it the metadata that pyproject.toml asks for."""
    page = DOCS / "extending.md"
    module, project = [block for block in blocks(page) if block.file]
    assert module.text.count("\n") <= 30, "it is called thirty lines"
    about = tomllib.loads(project.text)["project"]
    info = tmp_path / "site" / f"{about['name'].replace('-', '_')}-{about['version']}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {about['name']}\nVersion: {about['version']}\n")
    groups = about["entry-points"].items()
    (info / "entry_points.txt").write_text(
        "".join(
            f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in found.items())
            for group, found in groups
        )
    )
    monkeypatch.chdir(tmp_path / "site")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    importlib.invalidate_caches()
    registry.scan()
    try:
        play(page)
        run = tmp_path / "site" / "runs" / "quickstart" / "0001"
        assert load_recipe(run / "recipe.toml").table["loss"] == {"name": "lsgan", "real_label": 0.9}
        assert '"D(G(z))"' in (run / "metrics.jsonl").read_text()
    finally:
        monkeypatch.undo()
        registry.scan()
        sys.modules.pop("ganlab_lsgan", None)


@pytest.mark.parametrize("page", [README, *PAGES], ids=name_of)
def test_recipes_that_are_shown_have_no_mistakes(page: Path) -> None:
    for _, table in recipe_blocks(page):
        table.setdefault("dataset", {"name": "fashion_mnist"})
        parse_recipe(table)


def signatures() -> Iterator[tuple[str, Block]]:
    for page in WRITTEN:
        yield from ((name_of(page), block) for block in blocks(page) if is_signature(block))


def test_signatures_that_are_shown_are_those_of_the_code() -> None:
    shown = list(signatures())
    assert {block.text.partition("(")[0] for _, block in shown} == {"def train", "def load_generator"}
    for where, block in shown:
        heads = []
        for text in (f"{block.text.rstrip()}: ...", source_of(block)):
            (node,) = ast.parse(text).body
            assert isinstance(node, ast.FunctionDef)
            heads.append((ast.unparse(node.args), ast.unparse(node.returns) if node.returns else None))
        assert heads[0] == heads[1], where


def source_of(block: Block) -> str:
    function: Callable[..., Any] = getattr(ganlab, block.text.removeprefix("def ").partition("(")[0])
    return inspect.getsource(function)


@pytest.mark.usefixtures("_workplace")
def test_the_figures_of_the_dry_run_are_right(tmp_path: Path) -> None:
    page = DOCS / "tutorial.md"
    (recipe,) = [block for block, _ in recipe_blocks(page)]
    (shown,) = [block for block in blocks(page) if "network     generator" in block.text]
    loaded = parse_recipe(recipe.text)
    for name, network in loaded.model.build(ImageSpec(1, 32, 32)).items():
        count = sum(parameter.numel() for parameter in network.parameters())
        assert f"network     {name}: {count:,} parameters\n" in shown.text
    # The same pictures in another form, so that the sizes are those of the tutorial.
    overrides = ["dataset.name=fashion_mnist", "dataset.split=shipped", "dataset.resolution=32", "train.device=cpu"]
    Path("clothes.toml").write_text(recipe.text)
    words = [word for override in overrides for word in ("--set", override)]
    assert shown.text in command(["ganlab", "run", "clothes.toml", "--dry-run", *words]).out


@pytest.mark.usefixtures("_workplace")
def test_a_runs_directory_holds_what_the_table_says() -> None:
    run = Path("runs/quickstart/0001")
    for words in (["sample"], ["export", "--onnx"]):
        assert command(["ganlab", *words]).code == 0
    table = section(DOCS / "runs.md", "What lies in a run's directory")
    listed = {name.partition("/")[0] for name in re.findall(r"^\| `([^`]+)`", table, re.MULTILINE)}
    assert listed == {path.name for path in run.iterdir() if not path.name.startswith(".")}


def test_what_a_continued_run_may_change_is_listed() -> None:
    table = section(DOCS / "runs.md", "What may change")
    for key in FREE_TO_CHANGE:
        assert f"`{key}`" in table or f"`[{key}]`" in table, key


# What is said in passing


DOTTED = re.compile(r"(model|dataset|loss|optimizer|train|moving_average|snapshot|observers)\.([a-z_.]+)")


@pytest.mark.parametrize("page", [README, *WRITTEN], ids=name_of)
def test_options_and_commands_that_are_mentioned_exist(page: Path) -> None:
    known = {path.removeprefix("ganlab").strip(): verb for path, verb in verbs()}
    for code in re.findall(r"`([^`\n]+)`", prose(page)):
        if option := re.match(
            r"(model|dataset|loss|optimizer|train|moving_average|snapshot|observers)\.([a-z_.]+)", code
        ):
            assert option_exists(option[1], option[2]), f"{name_of(page)}: {code}"
        if code.startswith("ganlab "):
            words = code.split()[1:]
            path = next(path for path in (" ".join(words[:2]), words[0]) if path in known)
            flags = {flag for parameter in known[path].params for flag in parameter.opts}
            used = {word.partition("=")[0] for word in words if word.startswith("--")}
            assert used <= flags, f"{name_of(page)}: {code}"


def option_exists(table: str, key: str) -> bool:
    first, _, rest = key.partition(".")
    if table == "optimizer" and rest:
        first = rest
    if host := HOST_TABLES.get(f"[{table}]"):
        return first in host.model_fields
    if table == "observers":
        return any(kind == "observer" and name == first for kind, name, _ in own_components())
    return any(kind == table and (first in cls.model_fields or first == "name") for kind, _, cls in own_components())


LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


@pytest.mark.parametrize("page", MARKDOWN, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(prose(page)):
        if target.startswith(("http://", "https://")):
            continue
        file, _, anchor = target.partition("#")
        goal = (page.parent / file).resolve() if file else page
        assert goal.is_file(), f"{name_of(page)}: {target}"
        if page in PAGES:
            assert goal.is_relative_to(DOCS), f"{name_of(page)}: {target} is not part of the site"
        if anchor:
            assert anchor in headings(goal), f"{name_of(page)}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_fits_its_site(page: Path) -> None:
    for anchor in headings(page):
        assert anchor[0].isalpha(), f"{anchor}: the theme's script stops at an anchor that begins with a digit"
    for block in blocks(page):
        if block.language in ("python", "sh"):
            assert max(map(len, block.text.splitlines())) <= 94, f"{name_of(page)}:{block.line} gets a scroll bar"


def test_every_page_is_in_the_navigation_once() -> None:
    listed = re.findall(r"^ +- .+: (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(str(page.relative_to(DOCS)) for page in PAGES)


def test_every_picture_is_used() -> None:
    used = {target for page in PAGES for target in LINK.findall(page.read_text())}
    assert {f"images/{path.name}" for path in (DOCS / "images").iterdir()} <= used


def test_the_changelog_knows_this_version() -> None:
    assert f"\n## {ganlab_version()} " in (ROOT / "CHANGELOG.md").read_text()


def ganlab_version() -> str:
    version: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    return version
