"""The documentation as tests see it: its blocks, its links, and a player that does what a page says."""

from __future__ import annotations

import ast
import atexit
import importlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NamedTuple
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image

from ganlab.cli import main
from ganlab.recipe.toml import parse
from ganlab.registry import registry

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
DOCS = ROOT / "docs"
GENERATED = DOCS / "reference"
PAGES = sorted(DOCS.rglob("*.md"))
WRITTEN = [path for path in PAGES if GENERATED not in path.parents]
"""The pages that people write."""

FAST = {
    "train.epochs": "0.001",
    "train.batch_size": "8",
    "model.base_channels": "2",
    "snapshot.samples": "4",
    "moving_average.statistics_batches": "1",
    "observers.terminal.mode": "off",
}
"""What every `ganlab run` of the documentation gets on top, so that it ends after one or two iterations."""
AT_HAND = {"dataset.name": "fashion_mnist", "dataset.split": "shipped", "dataset.resolution": "32"}
"""What a shipped recipe gets on top whose pictures are not."""
SITE = "site-packages"
"""Where the player installs plugins, below the current folder."""


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    text: str
    line: int
    file: str | None
    """The name of the file that it shows, where the line before the block ends in a colon and names one."""


class Ended(NamedTuple):
    """What a command has left."""

    code: int
    out: str
    err: str


def blocks(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page in order."""
    text = page.read_text(encoding="utf-8")
    for match in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        before = text[: match.start()].rstrip().rpartition("\n")[2]
        named = re.fullmatch(r"`([\w./-]+\.\w+)`.*:", before)
        yield Block(match[1], match[2], text.count("\n", 0, match.start()) + 1, named[1] if named else None)


def prose(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def shell_commands(text: str) -> Iterator[list[str]]:
    """Yield the words of every command in a block of shell lines; `&&` separates commands, `#` begins a comment."""
    for line in text.splitlines():
        words = shlex.split(line, comments=True)
        while words:
            end = words.index("&&") if "&&" in words else len(words)
            yield words[:end]
            words = words[end + 1 :]


def headings(page: Path) -> list[str]:
    """Return the anchors of a page's headings, as Python-Markdown and GitHub make them."""
    found = re.findall(r"^#{1,6} (.+)$", prose(page), re.MULTILINE)
    return [re.sub(r"[\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower()) for heading in found]


def section(page: Path, heading: str) -> str:
    """Return what stands under a heading, up to the next one of any level."""
    text = page.read_text(encoding="utf-8")
    match = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", text, re.MULTILINE | re.DOTALL)
    assert match is not None, f"{page.name} has no heading {heading}"
    return match[1]


def command(words: list[str]) -> Ended:
    """Run `ganlab` with arguments in this process."""
    before, sys.argv = sys.argv, words
    out, err, code = io.StringIO(), io.StringIO(), 0
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as error:
        code = int(error.code or 0)
    finally:
        sys.argv = before
    return Ended(code, out.getvalue(), err.getvalue())


def fast(words: list[str]) -> list[str]:
    """Return a documented command so that it takes a moment; only trainings and their measurements are changed.

    A generator of before is that of the beginning: a training of so few iterations has no other.
    """
    words = [re.sub(r"@\d+$", "@0", word) for word in words]
    if words[1] == "bench":
        return [*words, "--seconds", "1", "--set", f"model.base_channels={FAST['model.base_channels']}"]
    if words[1] == "evaluate" or (words[1] == "compare" and not words[2].endswith(".json")):
        return [*words, "--count", "20", "--seeds", "2"]
    if words[1] != "run" or "--dry-run" in words:
        return words
    changes = FAST | AT_HAND if words[2].startswith("dcgan_") else dict(FAST)
    recipe = Path(words[2])
    if recipe.is_file() and parse(recipe.read_bytes()).table.get("model", {}).get("name", "dcgan") != "dcgan":
        del changes["model.base_channels"]
    return words + [word for key, value in changes.items() for word in ("--set", f"{key}={value}")]


def play(page: Path, replaced: Mapping[str, str] | None = None) -> None:
    """Do what a page says, in the current folder: write its files, run its commands and its Python.

    `replaced` are texts of Python that would take long, and what stands for them.
    """
    names: dict[str, Any] = {"__name__": "page"}
    for block in blocks(page):
        where = f"{page.relative_to(ROOT)}:{block.line}"
        if block.file is not None:
            Path(block.file).write_text(block.text, encoding="utf-8")
            forget(Path().resolve())
        elif block.language == "sh":
            for words in shell_commands(block.text):
                _type(words, where)
        elif block.language == "console":
            _replay(block.text, where)
        elif block.language == "python" and not is_signature(block):
            text = block.text
            for old, new in (replaced or {}).items():
                text = text.replace(old, new)
            with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
                exec(compile(text, where, "exec"), names)  # noqa: S102  # our own pages, and what a reader would do


def _type(words: list[str], where: str) -> None:
    """Run a command of a shell block; variables may stand in front of it. What fails is an error."""
    with pytest.MonkeyPatch.context() as patch:
        while re.fullmatch(r"[A-Z_]+=\w+", words[0]):
            patch.setenv(*words[0].split("=", 1))
            words = words[1:]
        match words:
            case ["ganlab", "metrics", "fetch"]:
                pass  # from another machine
            case ["ganlab", "evaluate", "--metrics", "fid,is", *_]:
                ended = command(fast(words))
                assert ended.code == 2, where
                assert ": ganlab metrics fetch downloads them" in ended.err, ended.err
            case ["ganlab", *_]:
                ended = command(fast(words))
                assert ended.code == 0, f"{where}: {shlex.join(words)}: {ended.out}{ended.err}"
                if "--no-plugins" in words:  # which was meant for that process alone
                    registry.scan()
            case ["pip", "wheel", *_, project]:
                _wheel(Path(project), Path(words[words.index("--wheel-dir") + 1]))
            case ["pip", "install", "-e", project] if _is_plugin(Path(project.partition("[")[0])):
                _link(Path(project.partition("[")[0]))
            case ["pip", "install", project] if project.startswith("./plugins/"):
                _link(ROOT / project)
            case ["pip", "install", wheel] if wheel.endswith(".whl"):
                ZipFile(wheel).extractall(_site())
                registry.scan()
            case ["pytest", folder] if _is_plugin(Path(folder)):
                # Exporting takes longest, and was tried out by `ganlab plugins check` on the same page.
                options = ["-q", "-p", "no:cacheprovider", "-k", "not onnx"]
                _process([sys.executable, "-P", "-m", "pytest", *options, folder], Path())
            case [name, *_]:
                assert name in ("pip", "pytest"), f"{where}: {name} is not tried out"


def forget(folder: Path) -> None:
    """Import what lies below a folder anew when it is next asked for, as another process would."""
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(f"{folder}{os.sep}"):
            del sys.modules[name]
    importlib.invalidate_caches()
    registry.scan()


def _is_plugin(folder: Path) -> bool:
    return (folder / "pyproject.toml").is_file()


def _site() -> Path:
    """Return the folder into which plugins are installed. It is on the path until a fixture puts the path back."""
    folder = Path(SITE).resolve()
    folder.mkdir(exist_ok=True)
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    return folder


def _link(project: Path) -> None:
    """Install a folder as `pip install -e` would: its metadata, and the folder itself on the path."""
    about = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    info = _site() / f"{about['name'].replace('-', '_')}-{about['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {about['name']}\nVersion: {about['version']}\n")
    lines = []
    for group, points in about["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {target}" for name, target in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    sys.path.insert(0, str(project.resolve()))
    importlib.invalidate_caches()
    registry.scan()


def _wheel(project: Path, folder: Path) -> None:
    """Build a wheel as pip does, but with the build backend that is installed, so that nothing is downloaded."""
    _process([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder.resolve())], project)


def _process(words: list[str], folder: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.run(words, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stdout + process.stderr


def is_signature(block: Block) -> bool:
    """Tell whether a Python block only shows the head of a function, without a body."""
    try:
        ast.parse(block.text)
    except SyntaxError:
        return block.text.startswith("def ")
    return False


def _replay(text: str, where: str) -> None:
    """Type what stands after each `$`, and compare what comes with what is shown."""
    for typed, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
        words = shlex.split(typed)
        if words[0] == "cat":
            Path(words[1]).write_text(shown, encoding="utf-8")
        else:
            ended = command(words)
            assert ended.out + ended.err == shown, f"{where}: {typed}"


def prepare(folder: Path) -> None:
    """Lay out what the documentation takes for granted: the shipped recipes, and a folder of pictures."""
    shutil.copytree(ROOT / "recipes", folder / "recipes")
    (folder / "pictures").mkdir()
    for index in range(16):
        pixels = np.random.RandomState(index).randint(0, 256, (70, 80, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "pictures" / f"{index}.png")
    (folder / "faces.toml").write_text('[dataset]\nname = "image_folder"\nroot = "pictures"\nresolution = 64\n')


@cache
def trained() -> Path:
    """Return such a folder in which the quickstart was trained for a moment; its `generator.onnx` lies there, too.

    One for all tests of this process: the first export takes torch some seconds.
    """
    folder = Path(mkdtemp(prefix="ganlab-documents-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    prepare(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("GANLAB_CACHE", str(folder / "cache"))
        for words in (["ganlab", "run", "quickstart"], ["ganlab", "export", "--onnx", "--out", "generator.onnx"]):
            ended = command(fast(words))
            assert ended.code == 0, ended.err
    return folder


def recipe_blocks(page: Path) -> Iterator[tuple[Block, dict[str, Any]]]:
    """Yield the blocks of a page that are recipes or parts of one, with their tables."""
    for block in blocks(page):
        if block.language == "toml" and "[project" not in block.text:
            yield block, parse(block.text).table
