"""M2, M5, M6: files from strangers given to every command that takes one: nothing runs, and one message says why."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import re
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import torch

import ganlab
from durable.client import Server
from durable.conftest import Scale, Tally
from durable.damage import dumped, header_and_data, mutated_bytes, mutated_tree, safetensors_file
from durable.parts import ended, short
from ganlab import load_generator
from ganlab.errors import GanlabError
from ganlab.generator.export import export
from ganlab.generator.file import seal
from ganlab.generator.metadata import UNSEALED
from ganlab.recipe.toml import dumps


class Canary:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self.path),)


def payloads(path: Path) -> Iterator[bytes]:
    """Yield files that make a folder when they are loaded as what they are."""
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        yield pickle.dumps(Canary(path), protocol)
    for zipped in (True, False):
        file = io.BytesIO()
        torch.save({"state_dict": Canary(path)}, file, _use_new_zipfile_serialization=zipped)
        yield file.getvalue()
    yield f"__import__('os').mkdir({str(path)!r})\n".encode()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writer:
        writer.writestr("__main__.py", f"import os; os.mkdir({str(path)!r})")
    yield archive.getvalue()


COMMANDS = (
    ("run", "{}"),
    ("run", "{}", "--dry-run"),
    ("run", "toy.toml", "--set", "extends={}"),
    ("run", "extending.toml"),
    ("run", "pictures.toml"),
    ("recipes", "check", "{}"),
    ("recipes", "show", "{}"),
    ("recipes", "copy", "{}", "copy.toml"),
    ("info", "{}"),
    ("sample", "{}"),
    ("export", "{}", "--onnx"),
    ("export", "{}", "--safetensors", "--out", "copy.safetensors"),
)


@pytest.mark.parametrize("ending", ["pt", "pth", "ckpt", "pkl", "safetensors", "onnx", "toml", "zip", "png"])
def test_m2_a_payload_runs_in_no_command(tmp_path: Path, tally: Tally, ending: str) -> None:
    executed = tmp_path / "executed"
    (tmp_path / "toy.toml").write_text(dumps(short()))
    file = tmp_path / f"model.{ending}"
    (tmp_path / "extending.toml").write_text(f'extends = "{file.name}"\n')
    pictures = {"name": "image_folder", "root": str(file), "resolution": 8}
    (tmp_path / "pictures.toml").write_text(dumps(short() | {"dataset": pictures}))
    given = 0
    for data in payloads(executed):
        file.write_bytes(data)
        for words in COMMANDS:
            code, said = ended(*(word.format(file) for word in words))
            given += 1
            assert not executed.exists(), words
            assert code == 2, (words, said)
            assert "Traceback" not in said, said
            assert 1 <= len(said.splitlines()) <= 12, said
    assert not (tmp_path / "copy.safetensors").exists()
    tally("hostile files", given)


@pytest.mark.parametrize(
    "where", ["state.safetensors", "manifest.json", "recipe.toml", "environment.json", "index", "cache"]
)
def test_m2_a_payload_in_a_run_is_never_loaded(tmp_path: Path, tally: Tally, where: str) -> None:
    executed = tmp_path / "executed"
    (tmp_path / "toy.toml").write_text(dumps(short(train={"iterations": 4})))
    assert ended("run", "toy.toml", "--out", "run")[0] == 0
    places = {"index": Path("runs/index.jsonl"), "cache": next(Path("cache").glob("*.safetensors"))}
    for data in payloads(executed):
        for file in [places[where]] if where in places else Path("run").rglob(where):
            file.write_bytes(data)
        code, said = ended("run", "toy.toml", "--out", "run")
        assert not executed.exists()
        assert "Traceback" not in said
        assert code == (2 if where in ("state.safetensors", "manifest.json") else 0), said
        tally("hostile files", 1)


METADATA = {
    "a function": "os:system",
    "a dotted path": "stranger.Model",
    "an entry point": "stranger:Model",
    "a path": "../stranger",
    "long": "x" * 10**6,
    "not installed": "no_such_plugin",
    "an escape sequence": "\\u001b[31m",
    "nothing": "",
}
"""Names of a model that a stranger may have written."""


@pytest.fixture
def run() -> Path:
    """A short run."""
    return ganlab.train(short(), out="run").directory


def resealed(data: bytes) -> bytes:
    """Put a checksum that fits into changed bytes, as a stranger can."""
    digest = json.loads(json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]["ganlab"])[
        "digest"
    ]
    return seal(data.replace(digest.encode(), UNSEALED.encode()))


@pytest.mark.parametrize("name", METADATA.values(), ids=METADATA.keys())
def test_m5_metadata_chooses_no_code(run: Path, monkeypatch: pytest.MonkeyPatch, tally: Tally, name: str) -> None:
    Path("stranger.py").write_text("class Model: pass\n")
    monkeypatch.syspath_prepend(Path.cwd())
    header, data = header_and_data((run / "generator.safetensors").read_bytes())
    about = header["__metadata__"]
    assert about["ganlab"].count('"name":"dcgan"') == 1
    about["ganlab"] = about["ganlab"].replace('"name":"dcgan"', f'"name":"{name}"')
    Path("g.safetensors").write_bytes(resealed(safetensors_file(header, data)))
    for words in (("sample", "g.safetensors"), ("export", "g.safetensors", "--onnx")):
        code, said = ended(*words)
        assert code == 2
        assert "stranger" not in sys.modules
        assert "\x1b" not in said
        assert len(said) < 1500
        if name == "no_such_plugin":
            assert 'needs model "no_such_plugin"' in said
            assert "install that plugin" in said
        else:
            assert re.search(r"model\.name|is not installed|its header claims", said), said
        tally("hostile files", 1)


def test_m4_no_mutated_generator_raises_anything_else(run: Path, scale: Scale, tally: Tally) -> None:
    seed = scale(6, 7, random.SystemRandom().randrange(2**32))
    dice = random.Random(seed)
    good = (run / "generator.safetensors").read_bytes()
    header, data = header_and_data(good)
    count = scale(400, 1_000, 100_000)
    file = Path("g.safetensors")
    for number in range(count):
        if dice.random() < 0.3:
            changed = mutated_bytes(good, dice)
        else:
            about = json.loads(header["__metadata__"]["ganlab"])
            tree = (
                {**header, "__metadata__": {"ganlab": dumped(mutated_tree(about, dice)).decode()}}
                if dice.random() < 0.6
                else (mutated_tree(header, dice))
            )
            changed = safetensors_file(tree, data)
            with suppress(ValueError, KeyError, TypeError, AttributeError, RecursionError):
                changed = resealed(changed)  # where its metadata is still there
        file.write_bytes(changed)
        try:
            load_generator(file, "cpu")
        except GanlabError:
            continue
        except BaseException as error:
            raise AssertionError(f"case {number} of seed {seed}") from error
    tally("generators mutated", count)


def test_m6_no_mutated_onnx_file_raises_anything_else_or_crashes(
    server: Server, run: Path, tmp_path: Path, scale: Scale, tally: Tally
) -> None:
    """In a process of its own: what mutates a graph may reach the parsers of onnxruntime."""
    export(run, "onnx", path=tmp_path / "g.onnx")
    count = scale(60, 150, 10_000)
    ended_well = server.call("mutate_onnx", str(tmp_path / "g.onnx"), count, 8, folder=tmp_path)
    assert ended_well.code == 0, ended_well
    refused = int(ended_well.out)
    assert refused > count / 3
    tally("ONNX files mutated", count)
