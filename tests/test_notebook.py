"""The shipped notebook, cell by cell in a real kernel, with what each of them shows."""

from __future__ import annotations

import io
import json
import re
import sys
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

NOTEBOOK = Path(__file__).parents[1] / "docs/notebook.ipynb"
FEWER = 'overrides={"train.epochs": 0.1, "model.base_channels": 8'
"""What a test trains instead of an epoch."""


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """Return the code cells after they have run."""
    pytest.importorskip("ipykernel")
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    folder = tmp_path_factory.mktemp("notebook")
    book = nbformat.read(NOTEBOOK, as_version=4)
    for cell in book.cells:
        cell.source = cell.source.replace('overrides={"train.epochs": 1', FEWER)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    kernel = {"display_name": "this", "language": "python", "argv": command}
    kernels = folder / "share/jupyter/kernels/python3"
    kernels.mkdir(parents=True)
    (kernels / "kernel.json").write_text(json.dumps(kernel))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(folder / "share/jupyter"))
        nbclient.NotebookClient(book, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    return [cell for cell in book.cells if cell.cell_type == "code"]


def html(outputs: list[Any]) -> str:
    return "".join(output.data.get("text/html", "") for output in outputs if "data" in output)


def words(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", text))


def test_a_training_has_one_display_and_prints_nothing(cells: list[Any]) -> None:
    outputs = cells[0].outputs
    assert [output.output_type for output in outputs] == ["display_data"]
    shown = html(outputs)
    assert 'value="1.0000"' in shown
    done = re.search(r"iteration ([0-9]+)/\1 ", words(shown))
    assert done is not None
    assert f"samples of iteration {done[1]}" in shown
    assert "loss_generator" in words(shown)


def test_a_run_a_generator_and_a_grid_show_pictures(cells: list[Any]) -> None:
    _, run, generator, grid, between, *_ = cells
    for cell in (run, generator):
        source = re.search(r'src="data:image/png;base64,([^"]+)"', html(cell.outputs))
        assert source is not None
        assert Image.open(io.BytesIO(b64decode(source[1]))).width > 100
    for cell, rows in ((grid, 4), (between, 1)):
        picture = Image.open(io.BytesIO(b64decode(cell.outputs[-1].data["image/png"])))
        assert (picture.width - 2) * rows == (picture.height - 2) * 8


def test_an_observer_has_what_it_was_told(cells: list[Any]) -> None:
    assert "loss_generator" in cells[-2].outputs[-1].data["text/plain"]


def test_a_mistake_is_a_sentence_without_a_traceback(cells: list[Any]) -> None:
    (error,) = cells[-1].outputs
    assert error.output_type == "error"
    shown = "\n".join(error.traceback)
    assert "train.epoch" in shown
    assert "did you mean epochs?" in shown
    assert len(shown.splitlines()) <= 3
    assert "site-packages" not in shown
