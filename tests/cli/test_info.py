"""`ganlab info`: what a generator says about itself, row by row."""

from __future__ import annotations

import json
from pathlib import Path

from command_line import Command
from shipping import CREATURES, registered, ship_labelled

from ganlab import read_metadata


def test_everything_that_the_metadata_holds_has_a_row(command: Command, trained: Path) -> None:
    ended = command("info")
    assert ended.code == 0
    assert ended.err.startswith(f"newest run: {trained} (toy, saved ")
    heading, *rows = ended.out.splitlines()
    assert heading == f"{trained}/generator.safetensors  0.0 MB"
    found = dict(row.split(maxsplit=1) for row in rows)
    expected = {
        "model.name": "dcgan",
        "model.options.base_channels": "4",
        "images.height": "8",
        "inputs.z": "normal, 6",
        "recipe.name": "toy",
        "data.dataset": "stripes",
        "training.iterations": "12",
        "precision": "fp32",
    }
    assert found.items() >= expected.items()
    metadata = json.loads(read_metadata(trained).to_json())
    assert metadata.pop("class_names") == [], "what is empty has no row"
    leaves = [leaf for value in metadata.values() for leaf in (value.values() if isinstance(value, dict) else [value])]
    assert found["digest"] == metadata["digest"]
    assert len(rows) == len(leaves) - 1 + len(metadata["model"]["options"])


def test_classes_are_listed_by_their_names(command: Command, tmp_path: Path) -> None:
    with registered():
        ship_labelled(tmp_path / "l.safetensors", CREATURES)
        out = command("info", "l.safetensors").out
    assert "\n  class_names                  ant, bee, cat, 1, T-shirt/top\n" in out


def test_a_mistake_ends_in_one_message_and_exit_2(command: Command, recipe: Path) -> None:
    sentence = ". has no generator.safetensors; name a run's directory or a generator file"
    assert command("info", ".") == (2, "", f"ganlab: {sentence}\n")
    ended = command("info", "toy.toml")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("ganlab: toy.toml: is neither a safetensors nor an ONNX file; name a run's directory")
