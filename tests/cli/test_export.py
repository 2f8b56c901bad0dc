"""`ganlab export`: which file it writes of what, and what it says of it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from command_line import Command

import ganlab
from ganlab.registry import registry
from ganlab.standard.exporters.safetensors import Safetensors


def test_the_newest_run_is_exported_beside_its_generator(command: Command, trained: Path) -> None:
    ended = command("export", "--onnx", "--safetensors")
    assert ended.code == 0
    said = r"0\.0 MB, differs from torch by at most \S+ \(allowed 1e-05\)"
    assert re.fullmatch(rf"{trained}/generator\.onnx  {said}\n{trained}/generator\.safetensors  {said}\n", ended.out)
    assert ended.err.startswith(f"newest run: {trained} (toy, saved ")
    pictures = [ganlab.load_generator(trained / f"generator.{kind}").sample([8]) for kind in ("onnx", "safetensors")]
    assert np.abs(pictures[0].astype(int) - pictures[1].astype(int)).max() <= 1


@pytest.mark.parametrize("form", ["fp16", "int8"])
def test_a_reduced_form_is_weighed_against_the_whole(command: Command, trained: Path, form: str) -> None:
    ended = command("export", trained, "--onnx", f"--{form}")
    assert re.fullmatch(
        rf"{trained}/generator\.{form}\.onnx  0\.0 MB, differs from torch by at most \S+ \(allowed \S+\)\n"
        r"  by \d+\.\d\d% on the whole; one picture in \d+\.\d\d ms, 64 in \d+\.\d ms; "
        r"in fp32: 0\.0 MB, \d+\.\d\d ms, \d+\.\d ms\n",
        ended.out,
    )
    assert ended.err == ""
    path = trained / f"generator.{form}.onnx"
    assert re.search(rf"^  precision +{form}$", command("info", path).out, re.MULTILINE)
    assert command("sample", path, "--count", 3, "--out", "few.npy").code == 0
    assert np.load("few.npy").shape == (3, 8, 8, 1)


def test_a_file_goes_where_it_is_wanted(command: Command, trained: Path) -> None:
    assert command("export", "--safetensors", "--out", "copy.safetensors").code == 0
    assert Path("copy.safetensors").read_bytes() == (trained / "generator.safetensors").read_bytes()
    assert command("export", "copy.safetensors", "--to", "safetensors", "--out", "again").code == 0
    assert Path("again").read_bytes() == Path("copy.safetensors").read_bytes()


class Copied(Safetensors):
    """Safetensors under another name, as a plugin may offer it."""

    api = 1


@pytest.fixture
def copied() -> Iterator[None]:
    for name in ("copied_out", "out"):  # the second is an option of the command itself
        registry.add("exporter", name, Copied)
    yield
    for name in ("copied_out", "out"):
        registry.remove("exporter", name)


def test_each_exporter_of_a_plugin_has_a_flag_unless_the_command_has_it(
    command: Command, trained: Path, copied: None
) -> None:
    text = command("export", "--help").out
    assert re.search(r"^  --copied-out +Short for --to copied_out\.$", text, re.MULTILINE)
    assert len(re.findall(r"^  --out ", text, re.MULTILINE)) == 1
    assert command("export", trained, "--copied-out", "--out", "copy.safetensors").code == 0
    assert Path("copy.safetensors").read_bytes() == (trained / "generator.safetensors").read_bytes()
    refused = command("export", trained, "--copied-out", "--safetensors", "--out", "copy.safetensors")
    assert refused.err == "ganlab: --out names one file; export one format at a time\n"


def test_a_flag_of_a_plugin_that_is_not_installed_says_how_it_is(command: Command, trained: Path) -> None:
    if "page" in registry.names("exporter"):
        pytest.skip("ganlab-page is installed")
    ended = command("export", trained, "--page")
    assert ended.code == 2
    assert re.match(r'ganlab: no exporter "page" is installed; it is at hand: pip install \S*plugins/page ', ended.err)
    assert "No such option" in command("export", trained, "--nothing").err


MISTAKES = [
    ([], "name a format: --onnx, --safetensors, or --to NAME"),
    (["--onnx", "--fp16", "--int8"], "--fp16 and --int8 are two files; export one at a time"),
    (["--fp16"], "--fp16 is a form of ONNX; write --onnx --fp16"),
    (["--safetensors", "--int8"], "--int8 is a form of ONNX; write --onnx --int8"),
    (["--onnx", "--safetensors", "--out", "x"], "--out names one file; export one format at a time"),
    (["--onnx"], "no run with a generator is known in runs/ here; train one with ganlab run RECIPE"),
    (["nothing", "--onnx"], "nothing does not exist; name a generator file or a run's directory"),
    (["toy.toml", "--to", "onyx"], "toy.toml: is neither a safetensors nor an ONNX file"),
]


@pytest.mark.parametrize(("arguments", "sentence"), MISTAKES, ids=[" ".join(row[0]) for row in MISTAKES])
def test_a_mistake_ends_in_one_message_and_exit_2(
    command: Command, recipe: Path, arguments: list[str], sentence: str
) -> None:
    before = set(os.listdir())
    ended = command("export", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"ganlab: {sentence}")
    assert len(ended.err.splitlines()) == 1
    assert set(os.listdir()) == before
