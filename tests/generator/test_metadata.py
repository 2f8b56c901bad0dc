"""What a generator file says about itself: written canonically, read with distrust."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from shipping import CLASSES, CREATURES, IMAGES, Labelled, about, registered

from ganlab.errors import ArtefactError
from ganlab.generator.metadata import UNSEALED, Metadata, ScoreRecord, fit_in_file, parse_object
from ganlab.interfaces import ImageSpec, Labels, Uniform


@pytest.fixture(autouse=True, scope="module")
def _models() -> Iterator[None]:
    with registered():
        yield


def reason(text: str | bytes) -> str:
    with pytest.raises(ArtefactError) as caught:
        Metadata.from_json(text, "g")
    return str(caught.value)


@pytest.mark.parametrize("images", [IMAGES, CLASSES])
def test_what_is_written_is_read_again(images: ImageSpec) -> None:
    model = Labelled(latent="uniform") if images.classes else None
    metadata = about("labelled", model, images) if model else about()
    text = metadata.to_json()
    assert text.isascii()
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))
    assert Metadata.from_json(text, "g") == Metadata.from_json(text.encode(), "g") == metadata
    assert metadata.images == images
    assert metadata.digest == UNSEALED
    assert metadata.precision == "fp32"


CHANGES = {
    "dotted path": ('"name":"tiny"', '"name":"os:system"', "model.name: String should match pattern"),
    "path": ('"name":"tiny"', '"name":"../x"', "model.name: String should match pattern"),
    "long name": ('"name":"tiny"', f'"name":"{"x" * 500_000}"', "model.name: String should match"),
    "text for number": ('"shape":[6]', '"shape":["6"]', "inputs.0.shape.0: Input should be a valid integer, not '6'"),
    "true for number": ('"shape":[6]', '"shape":[true]', "inputs.0.shape.0: Input should be a valid integer, not True"),
    "no size": ('"height":8', '"height":0', "height must be from 1 to 1000000"),
    "huge": ('"width":8', '"width":1000001', "width must be from 1 to 1000000"),
    "infinite": ('"epochs":2.5', '"epochs":Infinity', "training.epochs: Input should be a finite number"),
    "escape codes": ('"pictures"', '"\\u001b[31m"', "data.fingerprint: String should match pattern"),
    "no classes": (
        '[{"distribution":"normal","name":"z","shape":[6]}]',
        '[{"distribution":"labels","name":"y","shape":[]}]',
        "a conditional generator has at least 1 class",
    ),
    "no inputs": ('[{"distribution":"normal","name":"z","shape":[6]}]', "[]", "inputs: Tuple should have at least 1"),
    "not a list": ('[{"distribution":"normal","name":"z","shape":[6]}]', "6", "inputs: Input should be a valid tuple"),
    "input twice": (
        '[{"distribution":"normal","name":"z","shape":[6]}]',
        '[{"distribution":"normal","name":"z","shape":[6]},{"distribution":"normal","name":"z","shape":[6]}]',
        "two inputs have one name",
    ),
    "too many numbers": ('"shape":[6]', '"shape":[1000000,1000000]', "z has a shape that no normal input has"),
    "many dimensions": ('"shape":[6]', f'"shape":{[1] * 9}', "inputs.0.shape: Tuple should have at most 8 items"),
    "no dimension": ('"shape":[6]', '"shape":[]', "z has a shape that no normal input has"),
    "maps of categories": (
        '"distribution":"normal","name":"z","shape":[6]',
        '"distribution":"categorical","name":"z","shape":[6,6]',
        "z has a shape that no categorical input has",
    ),
    "name of the output": ('"name":"z"', '"name":"images"', "no input is called images"),
    "name of a path": ('"name":"z"', '"name":"../z"', "inputs.0.name: String should match pattern"),
    "unknown distribution": (
        '"distribution":"normal"',
        '"distribution":"cauchy"',
        "inputs.0.distribution: Input",
    ),
    "unknown precision": ('"precision":"fp32"', '"precision":"fp8"', "precision: Input should be 'fp32', 'fp16' or"),
    "key twice": ('"format":2', '"format":2,"format":2', "a key appears twice"),
    "format of text": ('"format":2', '"format":"2"', "format: Input should be 2, not '2'"),
}


@pytest.mark.parametrize(("old", "new", "sentence"), CHANGES.values(), ids=CHANGES.keys())
def test_what_is_not_right_names_the_key(old: str, new: str, sentence: str) -> None:
    text = about().to_json()
    assert old in text
    said = reason(text.replace(old, new))
    assert said.startswith("g: ")
    assert sentence in said
    assert "\x1b" not in said
    assert len(said) < 500


def test_a_key_of_a_stranger_is_printable() -> None:
    table: dict[str, Any] = json.loads(about().to_json())
    table["model"]["options"] = {"\x1b[31m\n" * 50: {1: 2}, "a": float("nan")}
    said = reason(json.dumps(table))
    assert said.isprintable()
    assert len(said) < 500


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("x", "g: its metadata is not valid JSON ("),
        (b'{"\xff": 1}', "g: its metadata is not valid JSON ("),
        ("[" * 100_000, "g: its metadata is not valid JSON ("),
        ("[1]", "g: its metadata is not a JSON object: damaged, or not written by ganlab"),
        ("{}", "g: its metadata is not what ganlab writes: model: Field required"),
        ('{"format":3}', "g: is of format 3; this ganlab reads formats up to 2: upgrade ganlab"),
    ],
)
def test_what_is_no_metadata_says_so(text: str | bytes, sentence: str) -> None:
    assert reason(text).startswith(sentence)


def test_names_of_classes_are_kept_and_an_older_file_without_is_read() -> None:
    metadata = about("labelled", Labelled(), CLASSES, class_names=CREATURES)
    text = metadata.to_json()
    assert Metadata.from_json(text, "g") == metadata
    assert json.loads(text)["class_names"] == list(CREATURES)
    older = json.loads(text)
    del older["class_names"]
    assert Metadata.from_json(json.dumps(older), "g").class_names == ()


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["ant", "bee"], "2 class_names for 5 classes"),
        (["ant", "bee", "cat", "dog", "ant"], "a name in class_names appears twice"),
        (["ant", "bee", "cat", "dog", "\x1b[31m"], "class_names.4: String should match pattern"),
        (["ant", "bee", "cat", "dog", ""], "class_names.4: String should have at least 1 character"),
        (["x" * 201] * 5, "class_names.0: String should have at most 200 characters"),
        ([1, 2, 3, 4, 5], "class_names.0: Input should be a valid string"),
        ("abcde", "class_names: Input should be a valid tuple"),
        ({"0": "ant"}, "class_names: Input should be a valid tuple"),
    ],
)
def test_what_are_no_names_of_its_classes_says_so(names: Any, sentence: str) -> None:
    table = json.loads(about("labelled", Labelled(), CLASSES).to_json()) | {"class_names": names}
    said = reason(json.dumps(table))
    assert sentence in said
    assert said.isprintable()


def test_names_that_are_too_long_together_are_left_out_of_a_file() -> None:
    """A header has up to 1,000,000 bytes. Each of these names is 12 letters, quoted within a quoted text: 18 bytes."""
    few, many = ([f"n{number:011d}" for number in range(count)] for count in (27_000, 28_000))
    assert (fit_in_file(few), fit_in_file(many)) == (True, False)
    images = CLASSES._replace(classes=27_000)
    metadata = about("labelled", Labelled(), images, class_names=few)
    assert metadata.class_names == tuple(few)
    assert len(json.dumps(metadata.to_json())) < 1_000_000
    assert about("labelled", Labelled(), images._replace(classes=28_000), class_names=many).class_names == ()
    assert not fit_in_file(["\u00e9" * 200] * 500), "an accent is seven bytes there"


def test_keys_of_a_later_version_are_ignored() -> None:
    text = about().to_json().replace('"format":2', '"format":2,"fid":3.5')
    assert Metadata.from_json(text, "g") == about()


def of_format_1(text: str, latent: object, conditional: object) -> str:
    table: dict[str, Any] = json.loads(text)
    del table["inputs"]
    return json.dumps({**table, "format": 1, "latent": latent, "conditional": conditional})


def test_files_of_format_1_are_read() -> None:
    """They said what z is drawn from, and whether there are labels; later ones name the classes, too."""
    old = of_format_1(about().to_json(), {"dim": 6, "distribution": "normal"}, False)
    assert Metadata.from_json(old, "g") == about()
    model = Labelled(latent="uniform")
    now = about("labelled", model, CLASSES, class_names=CREATURES)
    old = of_format_1(now.to_json(), {"dim": 6, "distribution": "uniform"}, True)
    assert Metadata.from_json(old, "g") == now
    assert now.kinds == {"z": Uniform((6,)), "labels": Labels()}


@pytest.mark.parametrize(
    ("latent", "conditional", "sentence"),
    [
        ({"dim": "6", "distribution": "normal"}, False, "latent.dim: Input should be a valid integer, not '6'"),
        ({"dim": 6, "distribution": "cauchy"}, False, "latent.distribution: Input should be 'normal' or 'uniform'"),
        (None, False, "latent: Input should be"),
        ({"dim": 6, "distribution": "normal"}, 1, "conditional: Input should be a valid boolean, not 1"),
        ({"dim": 6, "distribution": "normal"}, True, "a conditional generator has at least 1 class"),
    ],
)
def test_what_is_not_right_in_format_1_names_the_key(latent: object, conditional: object, sentence: str) -> None:
    assert sentence in reason(of_format_1(about().to_json(), latent, conditional))


def test_a_recipe_may_be_called_anything() -> None:
    assert about(recipe_name="fa\nces\x1b[31m\udcff é").recipe.name == "fa?ces?[31m? é"
    assert len(about(recipe_name="x" * 255).recipe.name) == 200


def test_one_object_is_parsed_and_no_key_twice() -> None:
    assert parse_object('{"a": {"b": 1}, "c": {"b": 2}}', "it") == {"a": {"b": 1}, "c": {"b": 2}}
    for text in ('{"a": 1, "a": 1}', '{"x": {"a": 1, "a": 2}}'):
        with pytest.raises(ArtefactError, match=r"^it is not valid JSON \(a key appears twice\): damaged, or not"):
            parse_object(text, "it")


def test_a_score_is_kept_with_its_protocol_and_a_file_without_has_no_such_key() -> None:
    plain = about()
    assert '"score"' not in plain.to_json()
    score = ScoreRecord(name="kid", value=-0.25, better="lower", protocol={"fake": 1024, "metrics": {"kid": {}}})
    judged = plain.model_copy(update={"score": score})
    assert Metadata.from_json(judged.to_json(), "g") == judged
    assert json.loads(judged.to_json())["score"]["protocol"]["fake"] == 1024
    assert "score.better" in reason(judged.to_json().replace('"lower"', '"neither"'))
