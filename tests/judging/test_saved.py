"""Evaluations from files: what was written is read, and whatever else a file holds is a sentence."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from comparable import evaluation

from ganlab.errors import ArtefactError
from ganlab.judging.report import Evaluation
from ganlab.judging.saved import read_evaluation

PATH = Path("found.json")
VALUES = {"kid": (0.1, -0.2, 0.3), "ms_ssim": (0.0, 1.0, 0.5)}


def written(found: Evaluation) -> dict[str, Any]:
    table: dict[str, Any] = json.loads(json.dumps(found.as_json()))
    return table


def test_what_was_written_is_read() -> None:
    own = {"kid": {"network": "net", "network_digest": "ab" * 32, "resizer": "none"}}
    found = evaluation(VALUES, {"kid": (1.0, 2.0, 3.0)}, own_networks=own)
    PATH.write_text(json.dumps(found.as_json(), indent=1))
    assert read_evaluation(PATH).as_json() == found.as_json()


def test_a_file_of_an_older_ganlab_does_not_say_where_a_generator_comes_from() -> None:
    table = written(evaluation(VALUES))
    del table["generators"][0]["origin"], table["protocol"]["own_networks"]
    PATH.write_text(json.dumps(table))
    assert read_evaluation(PATH).columns[0].origin is None
    assert read_evaluation(PATH).protocol.own_networks == {}


def changed(*path: Any, to: Any) -> str:
    table = written(evaluation(VALUES))
    *keys, last = path
    inner: Any = table
    for key in keys:
        inner = inner[key]
    inner[last] = to
    return json.dumps(table)


GOOD = json.dumps(written(evaluation(VALUES)))
DAMAGED = {
    "": "Invalid JSON: EOF while parsing a value",
    GOOD[:-20]: "Invalid JSON: EOF while parsing",
    "[" * 100_000: "Invalid JSON: recursion limit exceeded",
    "[]": ": Input should be an object",
    "{}": "format: Field required; protocol: Field required; better: Field required; reference: Field required; gen",
    changed("format", to=2): "it is of format 2, and this ganlab reads 1",
    changed("format", to="1"): "it is of format '1', and this ganlab reads 1",
    changed("protocol", "seeds", to=4): "is damaged: kid has 3 values for 4 blocks of seeds",
    changed("protocol", "real", to=0): "protocol.real: Input should be greater than or equal to 1",
    changed("protocol", "real", to="many"): "protocol.real: Input should be a valid integer",
    changed("protocol", "pictures", to=[1, 8]): "protocol.pictures.2: Field required",
    changed("better", to={"kid": "lower"}): "is damaged: it does not say which numbers of ms_ssim are better",
    changed("better", "kid", to="smaller"): "better.kid: Input should be 'lower', 'higher' or 'neither'",
    changed("generators", 0, "scores", "kid", "values", to=[]): "generators.0.scores.kid.values: Tuple should have at",
    changed("generators", 0, "scores", "kid", "values", 0, to=float("nan")): "kid.values.0: Input should be a finite n",
    changed("generators", 0, "scores", "kid", "values", 0, to=float("inf")): "kid.values.0: Input should be a finite n",
    changed("generators", 0, "scores", "kid", "values", 0, to=None): "kid.values.0: Input should be a valid number",
    changed("generators", 0, "scores", "\x1b[2J", to={"values": [1]}): "scores.\\x1b[2J",
    changed("generators", 0, "name", to="x" * 10_001): "generators.0.name: String should have at most 10000 characters",
    changed("generators", 0, "origin", "images", to=-1): "generators.0.origin.images: Input should be greater than or",
}


@pytest.mark.parametrize("text", DAMAGED, ids=DAMAGED.values())
def test_what_is_damaged_is_one_sentence(text: str) -> None:
    PATH.write_text(text)
    with pytest.raises(ArtefactError, match=r"^found\.json: is ") as caught:
        read_evaluation(PATH)
    said = str(caught.value)
    assert DAMAGED[text] in said
    assert said.isprintable()
    assert len(said) < 700


def test_what_cannot_be_read_is_one_sentence() -> None:
    os.mkfifo(PATH)
    with pytest.raises(ArtefactError, match=r"found\.json: cannot be read: "):
        read_evaluation(PATH)
    with pytest.raises(ArtefactError, match=r"no\.json: cannot be read: No such file or directory"):
        read_evaluation(Path("no.json"))
    PATH.unlink()
    PATH.write_bytes(b"\xff\xfe{")
    with pytest.raises(ArtefactError, match=r"Invalid JSON"):
        read_evaluation(PATH)
