"""The documentation against the code: nothing is missing, nothing is out of date, everything that is shown works."""

from __future__ import annotations

import ast
import inspect
import os
import re
import shutil
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import click
import pytest
from documents import (
    DOCS,
    GENERATED,
    PAGES,
    README,
    ROOT,
    SITE,
    WRITTEN,
    Block,
    blocks,
    command,
    forget,
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
import ganlab.testing
from ganlab.cli import ganlab as command_line
from ganlab.events import Events
from ganlab.interfaces import API, Component, Dataset, ImageSpec, Model, Optimizer, Options, Schedule, Source
from ganlab.recipe.options import options_of
from ganlab.recipe.recipe import TABLES, parse_recipe, shipped_recipes
from ganlab.recipe.settings import Evaluations, MovingAverage, Settings, Snapshots, Train
from ganlab.registry import registry
from ganlab.registry.kinds import GROUPS, Kind
from ganlab.registry.loading import BASES
from ganlab.run.resume import _FREE_TO_CHANGE as FREE_TO_CHANGE

INDEX = DOCS / "index.md"
OPTIONS = GENERATED / "options.md"
COMMANDS = GENERATED / "commands.md"
NAMES = GENERATED / "names.md"
HOST_TABLES: dict[str, type[Options]] = {
    "Top of the file": Settings,
    "Schedules": Schedule[float],
    "[train]": Train,
    "[moving_average]": MovingAverage,
    "[snapshot]": Snapshots,
    "[evaluate]": Evaluations,
}
PLUGINS = DOCS / "plugins"
SHARED: dict[str, type[Options]] = {"model": Model, "dataset": Dataset, "optimizer": Optimizer}
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
    tables = dict(HOST_TABLES.items()) | {f"Every {kind}": cls for kind, cls in SHARED.items()}
    for heading, cls in tables.items():
        text = section(OPTIONS, heading)
        for option in options_of(cls):
            assert f"| `{option.name}` |" in text, f"{heading}: {option.name}"
            assert option.doc, f"{heading}: {option.name}"
    for kind, name, cls in own_components():
        text = section(OPTIONS, f"{kind} {name}")
        shared = section(OPTIONS, f"Every {kind}") if kind in SHARED else ""
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
    for kind in BASES:
        page = PLUGINS / f"{kind}.md"
        (row,) = re.findall(
            rf"^\| \[{kind}\]\({page.name}\) \|.*", section(PLUGINS / "index.md", "Write a plugin"), re.M
        )
        (group,) = [group for group, offered in GROUPS.items() if offered == kind]
        assert f"| `{group}` |" in row
        for method in BASES[kind].__abstractmethods__:
            assert f"`{method}`" in row


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
                assert re.search(rf"^\| (?:`|<code>){flag}\b", text, re.MULTILINE), f"{path} {flag}"
        else:
            assert parameter.human_readable_name.upper() in text or isinstance(parameter.type, click.Choice)


def test_every_public_name_and_every_event_is_documented() -> None:
    for name in ganlab.__all__:
        section(NAMES, f"ganlab.{name}")
    table = section(PLUGINS / "observer.md", "What the host calls")
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
        '{"train.epochs": 1}': "{'train.epochs': 0.001, 'model.base_channels': 2, 'snapshot.samples': 4}",
        '"base_channels": 32': '"base_channels": 2',
        '"batch_size": 128, "epochs": 1': '"batch_size": 8, "epochs": 0.001',
        "sample(64)": "sample(4)",
    },
}
"""Python that would take long, and what stands for it here."""
ELSEWHERE = (INDEX,)
"""Pages that are tried out in tests of their own."""


@pytest.fixture
def _workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Stand in a copy of that folder; the pictures are packed once for all."""
    shutil.copytree(trained(), tmp_path, ignore=shutil.ignore_patterns("cache"), dirs_exist_ok=True)
    monkeypatch.setenv("GANLAB_CACHE", str(trained() / "cache"))
    monkeypatch.syspath_prepend(str(tmp_path / SITE))  # which keeps the path of before
    yield
    registry.remove("observer", "alarm")
    monkeypatch.undo()
    forget(tmp_path)


@pytest.mark.usefixtures("_workplace")
@pytest.mark.parametrize("page", [page for page in WRITTEN if page not in ELSEWHERE], ids=name_of)
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


@pytest.mark.parametrize("kind", BASES)
def test_a_kinds_page_shows_a_whole_plugin(kind: str) -> None:
    """Written from nothing, installed, held to its contract and trained with: by the test that plays the page."""
    page = PLUGINS / f"{kind}.md"
    typed = [words for block in blocks(page) if block.language == "sh" for words in shell_commands(block.text)]
    name = typed[0][3]
    assert typed[0][:3] == ["ganlab", "plugins", "new"]
    assert ["pip", "install", "-e", name] in typed
    assert ["ganlab", "plugins", "check", f"{name}/"] in typed
    assert f"{name}/ganlab_{name}/{kind}.py" in [block.file for block in blocks(page)]
    assert any(words[:2] == ["ganlab", "run"] for words in typed)


def test_what_a_component_may_state_is_listed() -> None:
    for kind, cls in BASES.items():
        rows = re.findall(r"^\| `(\w+)` \| (.+?) \| ", (PLUGINS / f"{kind}.md").read_text(), re.MULTILINE)
        stated = {name for name in vars(cls).get("__annotations__", {}) if name not in cls.model_fields}
        assert {name for name, _ in rows} == stated, kind
        for name, default in rows:
            shown = str(getattr(cls, name)).replace("'", '"') if name in vars(cls) else None
            assert default == (f"`{shown}`" if shown is not None else "*required*"), f"{kind}: {name}"


def test_the_version_of_the_interfaces_is_the_one_that_is_named() -> None:
    text = (PLUGINS / "api.md").read_text()
    assert f"`api = {API}`" in text
    assert f"This ganlab has version {API}." in text
    assert Component.__annotations__.keys() == {"api"}


def test_the_plugins_of_the_repository_are_listed() -> None:
    rows = section(PLUGINS / "index.md", "Plugins to learn from")
    projects = sorted(ROOT.glob("plugins/*/pyproject.toml"))
    assert rows.count("\n| `ganlab-") == len(projects)
    for path in projects:
        about = tomllib.loads(path.read_text())["project"]
        (row,) = re.findall(rf"^\| `{about['name']}` \|.*", rows, re.MULTILINE)
        for points in about["entry-points"].values():
            assert all(f"`{name}`" in row for name in points)
        assert f"({path.parent.relative_to(ROOT)}/README.md)" in README.read_text()


def test_the_smallest_plugins_are_as_small_as_is_said() -> None:
    said = re.search(r"a model in (\d+) lines, a loss in (\d+)", (PLUGINS / "index.md").read_text())
    assert said is not None
    for kind, count in zip(("model", "loss"), said.groups(), strict=True):
        files = [path for path in (ROOT / "tests" / "smallest" / f"{kind}_plugin").iterdir() if path.is_file()]
        assert sum(bool(line.strip()) for path in files for line in path.read_text().splitlines()) == int(count)


@pytest.mark.parametrize("page", [README, *PAGES], ids=name_of)
def test_recipes_that_are_shown_have_no_mistakes(page: Path) -> None:
    for _, table in recipe_blocks(page):
        table.setdefault("dataset", {"name": "fashion_mnist"})
        parse_recipe(table)


CALLED: dict[str, tuple[type, ...]] = {kind: (cls,) for kind, cls in BASES.items()} | {
    "dataset": (Dataset, Source),
    "observer": (Events,),
}
"""The classes whose methods a kind's page shows with their signatures."""


def heads_of(text: str) -> tuple[str, str | None]:
    """Return the parameters and the result of a function, without names of lines and places."""
    (node,) = ast.parse(textwrap.dedent(text)).body
    assert isinstance(node, ast.FunctionDef)
    return ast.unparse(node.args), ast.unparse(node.returns) if node.returns else None


def methods(*classes: type) -> dict[str, Callable[..., Any]]:
    """Return the methods that classes themselves define, but for private ones."""
    return {
        name: function
        for cls in classes
        for name, function in vars(cls).items()
        if inspect.isfunction(function) and (name in ("__len__", "__call__") or not name.startswith("_"))
    }


def signatures(page: Path) -> dict[str, Block]:
    return {block.text.removeprefix("def ").partition("(")[0]: block for block in blocks(page) if is_signature(block)}


def functions_of(page: Path) -> dict[str, Callable[..., Any]]:
    """Return what must be shown on a page with its signature."""
    if page.parent == PLUGINS and page.stem in get_args(Kind):
        return methods(*CALLED[page.stem])
    shown: dict[Path, dict[str, Callable[..., Any]]] = {
        DOCS / "python.md": {"train": ganlab.train, "load_generator": ganlab.load_generator},
        PLUGINS / "index.md": {"contract": ganlab.testing.contract},
    }
    return shown.get(page, {})


@pytest.mark.parametrize("page", WRITTEN, ids=name_of)
def test_signatures_that_are_shown_are_those_of_the_code(page: Path) -> None:
    functions = functions_of(page)
    assert signatures(page).keys() == functions.keys()
    for name, block in signatures(page).items():
        assert heads_of(f"{block.text.rstrip()}: ...") == heads_of(inspect.getsource(functions[name])), name


def public() -> Iterator[tuple[str, Any]]:
    yield from ((f"ganlab.{name}", getattr(ganlab, name)) for name in ganlab.__all__)
    for name, value in vars(ganlab.testing).items():
        if inspect.isfunction(value) or inspect.isclass(value):
            yield f"ganlab.testing.{name}", value
    yield "ganlab.events.Events", Events


@pytest.mark.parametrize(("name", "value"), list(public()), ids=[name for name, _ in public()])
def test_every_public_name_is_shown_with_its_exact_signature(name: str, value: Any) -> None:
    """Read from the page and from the code by other means than those that write the page."""
    text = section(NAMES, name)
    shown = re.findall(r"^(?:@\w+\n)*def (\w+)(\(.*?)\n```$", text, re.MULTILINE | re.DOTALL)
    expected: dict[str, Any] = {value.__name__: value} if inspect.isfunction(value) else {}
    if inspect.isclass(value):
        expected = {
            method: getattr(member, "fget", None) or getattr(member, "__func__", member)
            for method, member in vars(value).items()
            if isinstance(member, (classmethod, staticmethod, property)) or inspect.isfunction(member)
            if method in ("__len__", "__call__") or not method.startswith("_")
            if getattr(member, "__module__", value.__module__) == value.__module__
        }
        fields = vars(value).get("__annotations__", {})
        rows = re.findall(r"^\| `(\w+)` \| <code>.+</code> \| (.*) \|$", text, re.MULTILINE)
        assert [field for field, _ in rows] == [field for field in fields if not field.startswith("_")]
        assert all(meaning for _, meaning in rows), "a field without a meaning"
    assert [method for method, _ in shown] == list(expected)
    for method, rest in shown:
        assert heads_of(f"def {method}{rest}: ...") == heads_of(inspect.getsource(expected[method])), method


def test_every_parameter_of_a_public_name_is_explained() -> None:
    """By the docstring, which names it, or by the entry of its type."""
    entries = {title.rpartition(".")[2] for title in re.findall(r"^### ([\w.]+)$", NAMES.read_text(), re.MULTILINE)}
    assert len(entries) > 80
    for name, value in public():
        functions = {name: value} if inspect.isfunction(value) else methods(value) if inspect.isclass(value) else {}
        for called, function in functions.items():
            named = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]*)`", inspect.getdoc(function) or ""))))
            for parameter in list(inspect.signature(function).parameters.values())[inspect.isclass(value) :]:
                of_type = set(re.findall(r"\w+", str(parameter.annotation)))
                assert parameter.name in named or of_type & entries, f"{name} {called}: {parameter.name}"


def test_types_on_the_page_of_names_link_to_their_entries() -> None:
    (row,) = [row for row in section(NAMES, "ganlab.Recipe").splitlines() if row.startswith("| `optimizer` |")]
    assert "<code>Mapping[str, [Optimizer](#ganlaboptimizer)]</code>" in row
    (row,) = [row for row in section(NAMES, "ganlab.Metadata").splitlines() if row.startswith("| `digest` |")]
    assert "<code>str</code>" in row, "what only a validator reads is left out"
    assert "[Train](options.md#train)" in section(NAMES, "ganlab.Recipe")


@pytest.mark.usefixtures("_workplace")
def test_the_figures_of_the_dry_run_are_right(tmp_path: Path) -> None:
    page = DOCS / "tutorial.md"
    (recipe,) = [block for block, _ in recipe_blocks(page)]
    (shown,) = [block for block in blocks(page) if "network     generator" in block.text]
    loaded = parse_recipe(recipe.text)
    for name, network in loaded.model.build(ImageSpec(1, 28, 28)).items():
        count = sum(parameter.numel() for parameter in network.parameters())
        assert f"network     {name}: {count:,} parameters\n" in shown.text
    # The same pictures in another form, so that the sizes are those of the tutorial.
    overrides = ["dataset.name=fashion_mnist", "dataset.split=shipped", "train.device=cpu"]
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
    assert listed - {"findings.jsonl"} == {path.name for path in run.iterdir()}, "nothing was found to be wrong"


def test_what_a_continued_run_may_change_is_listed() -> None:
    table = section(DOCS / "runs.md", "What may change")
    for key in FREE_TO_CHANGE:
        assert f"`{key}`" in table or f"`[{key}]`" in table, key


# What is said in passing


DOTTED = re.compile(r"(model|dataset|loss|optimizer|train|moving_average|snapshot|observers)\.([a-z0-9_.]+)")


@pytest.mark.parametrize("page", [README, *WRITTEN], ids=name_of)
def test_options_and_commands_that_are_mentioned_exist(page: Path) -> None:
    known = {path.removeprefix("ganlab").strip(): verb for path, verb in verbs()}
    for code in re.findall(r"`([^`\n]+)`", prose(page)):
        if option := re.match(
            r"(model|dataset|loss|optimizer|train|moving_average|snapshot|observers)\.([a-z0-9_.]+)", code
        ):
            assert option_exists(option[1], option[2]), f"{name_of(page)}: {code}"
        if code.startswith("ganlab "):
            words = code.split()[1:]
            paths = (" ".join(words[:2]), words[0]) if not words[0].startswith("-") else ("",)
            verb = next(known[path] for path in paths if path in known)
            flags = {"--help"} | {flag for parameter in verb.params for flag in parameter.opts}
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
IN_HTML = re.compile(r'(?:src|srcset)="([^"]+)"')


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
    texts = [page.read_text() for page in PAGES]
    used = {target for text in texts for target in [*LINK.findall(text), *IN_HTML.findall(text)]}
    pictures = {path.relative_to(DOCS).as_posix() for path in (DOCS / "images").rglob("*") if path.is_file()}
    assert pictures <= used


def test_the_changelog_knows_this_version() -> None:
    assert f"\n## {ganlab_version()} " in (ROOT / "CHANGELOG.md").read_text()


def ganlab_version() -> str:
    version: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    return version
