"""The card of a generator: front matter that YAML reads, and no text of a stranger that is markup."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hostile import NAME
from shipping import about, registered

from ganlab.generator.metadata import Metadata
from ganlab.hub.card import Card, Scored, config

EVIL = "<script>alert(1)</script> | `x` [y](http://z) --- # " + NAME.replace("\n", " ").replace("\r", " ")
PROTOCOL = {"dataset": "fashion_mnist", "real": 2048, "fake": 2048, "network": "lite0"}


def metadata_of() -> Metadata:
    with registered():
        return about()


def a_card(**changes: Any) -> Card:
    scored = Scored("fd_lite0", 409.25, 3.5, 154.0, "lower", PROTOCOL)
    files = ("generator.safetensors", "generator.onnx", "sample.png", "recipe.toml")
    return Card("Clothes", "mit", metadata_of(), "seed = 0\n", (scored,), files)._replace(**changes)


def front_matter(readme: str) -> Any:
    yaml = pytest.importorskip("yaml")
    return yaml.safe_load(readme.split("---\n")[1])


def test_the_front_matter_has_what_a_hub_reads() -> None:
    found = front_matter(a_card(dataset="zalando/fashion").readme())
    assert found["library_name"] == "ganlab"
    assert found["pipeline_tag"] == "unconditional-image-generation"
    assert found["license"] == "mit"
    assert found["datasets"] == ["zalando/fashion"]
    assert {"ganlab", "gan", "onnx"} <= set(found["tags"])
    (result,) = found["model-index"][0]["results"]
    assert result["metrics"] == [
        {
            "type": "fd_lite0",
            "value": 409.25,
            "name": "fd_lite0, 2048 generated and 2048 real pictures, features of lite0",
        }
    ]
    assert "FID" not in a_card().readme()


def test_scores_stand_beside_those_of_real_pictures_and_what_is_not_known_is_not_said() -> None:
    readme = a_card().readme()
    assert "| fd\\_lite0 | 409.2 +- 3.5 | 154 | lower |" in readme
    assert "![Samples of the generator](sample.png)" in readme
    bare = a_card(scores=(), files=("generator.safetensors",), recipe="").readme()
    assert "Not measured." in bare
    assert "model-index" not in bare
    assert "sample.png" not in bare
    assert "recipe.toml" not in bare
    assert "onnxruntime" not in bare


def test_no_text_of_a_stranger_is_markup() -> None:
    about = metadata_of()
    names = Metadata.model_validate(about.model_dump() | {"data": {"fingerprint": "x", "dataset": "<img src=x>"}})
    protocol = PROTOCOL | {"dataset": EVIL, "network": EVIL}
    scored = Scored("kid", 1.0, None, None, "lower", protocol)
    card = a_card(
        title=EVIL, licence=EVIL, recipe=f'name = "{EVIL}"\n---\n```\n<script>', metadata=names, scores=(scored,)
    )
    readme = card.readme()
    assert front_matter(readme)["license"] == EVIL
    body = readme.split("---\n", 2)[2]
    shown = "\n".join(line for line in body.splitlines() if not line.startswith("    "))
    assert "<script" not in shown
    assert "<img" not in shown
    assert not re.search(r"(?<!\\)\[y\]", shown)
    assert all(row.replace("\\|", "").count("|") == 6 for row in body.splitlines() if row.startswith("| "))
    assert "\x1b" not in readme


def test_the_configuration_names_every_file_with_its_digest() -> None:
    found = json.loads(config(metadata_of(), {"generator.safetensors": (12, "ab" * 32)}))
    assert found["files"] == {"generator.safetensors": {"bytes": 12, "sha256": "ab" * 32}}
    assert found["library_name"] == "ganlab"
    assert found["images"] == metadata_of().images._asdict()
