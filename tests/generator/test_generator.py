"""A generator as a callable: seeds or inputs in, pictures out, the same from whatever file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from graphs import DIM, graph, shipped_graph, weights
from onnx import numpy_helper
from shipping import CREATURES, registered, ship, ship_labelled, ship_varied

from ganlab import load_generator
from ganlab.data.pictures import to_uint8
from ganlab.errors import ArtefactError, GanlabError
from ganlab.generator.file import read_metadata
from ganlab.generator.generator import BATCH, Generator


@pytest.fixture(autouse=True, scope="module")
def _models() -> Iterator[None]:
    with registered():
        yield


@pytest.fixture
def generator(tmp_path: Path) -> Generator:
    ship(tmp_path / "g.safetensors")
    return load_generator(tmp_path / "g.safetensors")


@pytest.fixture
def labelled(tmp_path: Path) -> Generator:
    ship_labelled(tmp_path / "l.safetensors")
    return load_generator(tmp_path / "l.safetensors", device="cpu")


@pytest.fixture
def varied(tmp_path: Path) -> Generator:
    ship_varied(tmp_path / "v.safetensors")
    return load_generator(tmp_path / "v.safetensors", device="cpu")


# Calling


def test_images_are_those_of_torch(tmp_path: Path) -> None:
    network = ship(tmp_path / "g")
    z = np.random.RandomState(0).standard_normal((5, DIM)).astype(np.float32)
    images = load_generator(tmp_path / "g", device="cpu")({"z": z})
    assert images.dtype == np.float32
    assert images.shape == (5, 3, 8, 8)
    assert np.array_equal(images, network(torch.from_numpy(z)).numpy())


def test_images_are_those_of_onnxruntime(tmp_path: Path) -> None:
    path = shipped_graph(tmp_path / "g.onnx", graph())
    generator = load_generator(str(path))
    z = generator.draw(range(3))
    np.testing.assert_allclose(generator(z), np.tanh(z["z"] @ weights()).reshape(3, 3, 8, 8), atol=1e-6)


def test_a_run_is_its_generator(tmp_path: Path) -> None:
    ship(tmp_path / "generator.safetensors")
    assert load_generator(tmp_path).metadata.recipe.name == "faces"


def test_bytes_tell_what_a_file_is_and_its_ending_does_not(tmp_path: Path) -> None:
    ship(tmp_path / "g.onnx")
    assert load_generator(tmp_path / "g.onnx").sample([1]).shape == (1, 8, 8, 3)
    path = shipped_graph(tmp_path / "g.safetensors", graph())
    assert load_generator(path).sample([1]).shape == (1, 8, 8, 3)


def test_many_latents_are_computed_in_parts(generator: Generator) -> None:
    z = generator.draw(range(2 * BATCH + 3))["z"]
    images = generator({"z": z})
    assert len(images) == len(z)
    assert np.abs(images[-1:] - generator({"z": z[-1:]})).max() < 1e-6
    assert generator({"z": z[:0]}).shape == (0, 3, 8, 8)


def test_other_floats_and_strides_are_taken(generator: Generator) -> None:
    z = generator.draw(range(4))["z"]
    assert np.array_equal(generator({"z": np.asfortranarray(z.astype(np.float64))}), generator({"z": z}))
    assert np.array_equal(generator({"z": z[::2]}), generator({"z": np.ascontiguousarray(z[::2])}))


@pytest.mark.parametrize(
    "z", [np.zeros((2, 5)), np.zeros(6), np.zeros((1, 6, 1)), np.zeros((2, 6), int), [["a"] * 6]], ids=str
)
def test_latents_of_another_shape_or_type_are_refused(generator: Generator, z: np.ndarray) -> None:
    with pytest.raises(ArtefactError, match=r"g\.safetensors: z must be floats of shape \(N, 6\), not"):
        generator({"z": z})


def test_what_is_no_dictionary_of_inputs_is_refused(generator: Generator) -> None:
    with pytest.raises(ArtefactError, match=r'takes its inputs by name, \{"z": \.\.\.\}, not a ndarray'):
        generator(np.zeros((1, DIM), np.float32))  # type: ignore[arg-type]  # on purpose


@pytest.mark.parametrize("truncation", ["a", None, np.ones(2), -0.5, np.nan], ids=str)
def test_a_truncation_that_is_no_number_from_0_is_refused(generator: Generator, truncation: Any) -> None:
    with pytest.raises(ArtefactError, match="truncation must be a number from 0, not "):
        generator.sample(1, truncation=truncation)


def test_a_truncation_may_be_a_number_of_numpy(generator: Generator) -> None:
    expected = generator.sample(2, truncation=0.5)
    assert np.array_equal(generator.sample(2, truncation=np.float32(0.5)), expected)  # type: ignore[arg-type]


def test_latents_that_are_not_finite_are_refused(generator: Generator) -> None:
    with pytest.raises(ArtefactError, match="z holds values that are not finite"):
        generator({"z": np.full((1, DIM), np.nan)})


# Labels


def test_labels_reach_the_network(labelled: Generator) -> None:
    images = labelled({**labelled.draw([3, 3]), "labels": np.array([0, 4])})
    assert images.shape == (2, 1, 4, 4)
    assert np.abs(images[0] - images[1]).max() > 0.01


@pytest.mark.parametrize("label", [-1, 5, 2**40])
def test_a_label_that_is_no_class_is_refused(labelled: Generator, label: int) -> None:
    with pytest.raises(ArtefactError, match=rf"label {label} is none of its classes, 0 to 4"):
        labelled({**labelled.draw([0, 1]), "labels": np.array([2, label])})
    with pytest.raises(ArtefactError, match=rf"label {label} is none of its classes, 0 to 4"):
        labelled.sample([0], label=label)


@pytest.mark.parametrize("labels", [np.zeros(3, int), np.zeros((2, 1), int), np.zeros(2), np.zeros(2, bool)], ids=str)
def test_labels_of_another_shape_or_type_are_refused(labelled: Generator, labels: np.ndarray) -> None:
    with pytest.raises(ArtefactError, match=r"labels must be integers of shape \(2,\), not"):
        labelled({**labelled.draw([0, 1]), "labels": labels})


def test_labels_are_needed_or_not_taken(generator: Generator, labelled: Generator) -> None:
    with pytest.raises(ArtefactError, match=r"needs labels \(classes 0 to 4\)$"):
        labelled({"z": labelled.draw([0])["z"]})
    with pytest.raises(ArtefactError, match=r"has no input 'labels'; its inputs are z \(normal, 6\)$"):
        generator({**generator.draw([0]), "labels": np.array([0])})
    with pytest.raises(ArtefactError, match="takes no labels"):
        generator.sample([0], label=0)


def test_a_class_is_drawn_by_its_name_or_its_number(tmp_path: Path, labelled: Generator) -> None:
    ship_labelled(tmp_path / "n.safetensors", CREATURES)
    named = load_generator(tmp_path / "n.safetensors", device="cpu")
    for label, number in (("ant", 0), ("cat", 2), ("T-shirt/top", 4), ("0", 0), ("2", 2), (1, 1), ("1", 3)):
        assert np.array_equal(named.sample([7, 8], label=label), labelled.sample([7, 8], label=number)), label
    assert np.array_equal(labelled.sample([7], label="4"), labelled.sample([7], label=4)), "a file without names"


def test_classes_are_named_wherever_they_are_chosen(tmp_path: Path) -> None:
    ship_labelled(tmp_path / "n.safetensors", CREATURES)
    named = load_generator(tmp_path / "n.safetensors", device="cpu")
    assert named.draw(2, label="cat")["labels"].tolist() == [2, 2]
    assert named.draw(4, inputs={"labels": ["cat", "1", 0]})["labels"].tolist() == [2, 3, 0, 2]
    assert np.array_equal(next(named.batches(3, label="cat")), named.sample(3, label=2))
    with pytest.raises(ArtefactError, match="did you mean bee"):
        named.batches(3, label="bea")


@pytest.mark.parametrize(
    ("label", "sentence"),
    [
        (
            "bea",
            'label "bea" is none of its classes, ant; bee; cat; 1; T-shirt/top, or their numbers 0 to 4; did you mean '
            "bee?",
        ),
        ("T-SHIRT/TOP", "did you mean T-shirt/top?"),
        ("zebra", 'label "zebra" is none of its classes, ant; bee; cat; 1; T-shirt/top, or their numbers 0 to 4'),
        ("", 'label "" is none of its classes'),
        ("-1", "label -1 is none of its classes, 0 to 4"),
        ("5", "label 5 is none of its classes, 0 to 4"),
        ("9" * 5000, "is none of its classes"),
        ("\x1b[31m", r'label "\x1b[31m" is none of its classes'),
    ],
)
def test_what_names_no_class_is_told_the_nearest_and_all(tmp_path: Path, label: str, sentence: str) -> None:
    ship_labelled(tmp_path / "n.safetensors", CREATURES)
    with pytest.raises(ArtefactError) as caught:
        load_generator(tmp_path / "n.safetensors", device="cpu").sample([0], label=label)
    assert sentence in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def test_a_name_is_none_where_there_are_no_names_or_no_classes(generator: Generator, labelled: Generator) -> None:
    with pytest.raises(
        ArtefactError, match=r'"cat" is none of its classes, which have no names but their numbers 0 to'
    ):
        labelled.sample([0], label="cat")
    with pytest.raises(ArtefactError, match="takes no labels"):
        generator.sample([0], label="cat")


def test_without_a_label_the_seed_decides_the_class(labelled: Generator) -> None:
    assert np.array_equal(labelled.sample([7, 12]), labelled.sample([7, 12], label=2))
    assert not np.array_equal(labelled.sample([8]), labelled.sample([8], label=2))


# Sampling


def test_a_seed_is_the_same_picture_in_any_batch(generator: Generator) -> None:
    pictures = generator.sample(range(20))
    assert pictures.dtype == np.uint8
    assert pictures.shape == (20, 8, 8, 3)
    others = generator.sample([7, 3], batch_size=1)
    assert np.abs(pictures[[7, 3]].astype(int) - others).max() <= 1
    assert np.array_equal(generator.sample(iter([5]))[0], generator.sample([5])[0])


def test_latents_follow_the_distribution_in_the_file(generator: Generator, labelled: Generator) -> None:
    assert np.abs(generator.draw(range(50))["z"]).max() > 1
    assert np.abs(labelled.draw(range(50))["z"]).max() < 1


def test_a_number_is_a_count_of_seeds(generator: Generator) -> None:
    assert np.array_equal(generator.sample(5), generator.sample(range(5)))
    assert np.array_equal(generator.sample(int(np.int64(2))), generator.sample([0, 1]))
    assert generator.sample(0).shape == (0, 8, 8, 3)
    assert np.array_equal(generator.draw(3)["z"], generator.draw(range(3))["z"])
    with pytest.raises(ArtefactError, match="neither seeds nor how many"):
        generator.sample(2.0)  # type: ignore[arg-type]


def test_what_is_no_seed_or_batch_size_is_refused(generator: Generator) -> None:
    with pytest.raises(ArtefactError, match=r"g\.safetensors: '-1' is not a seed"):
        generator.sample([-1])
    with pytest.raises(ArtefactError, match="batch_size must be a whole number from 1, not 0"):
        generator.sample([1], batch_size=0)


def test_batches_are_the_pictures_of_sample(varied: Generator) -> None:
    wishes: dict[str, Any] = {"inputs": {"category": [0, 1, 2, 2, 1]}, "truncation": 0.5}
    batches = list(varied.batches(range(7), batch_size=3, **wishes))
    assert [len(batch) for batch in batches] == [3, 3, 1]
    difference = np.concatenate(batches).astype(int) - varied.sample(7, **wishes)
    assert np.abs(difference).max() <= 1, "turns go on over the ends of batches"


# Inputs


def test_a_generator_is_what_its_network_makes_of_its_inputs(tmp_path: Path) -> None:
    network = ship_varied(tmp_path / "v")
    generator = load_generator(tmp_path / "v", device="cpu")
    inputs = generator.draw([4, 2**32 - 1])
    assert {name: array.shape[1:] for name, array in inputs.items()} == {
        "z": (4,), "category": (3,), "codes": (2,), "noise": (1, 8, 8),
    }  # fmt: skip
    expected = network(*(torch.from_numpy(array) for array in inputs.values())).numpy()
    assert np.array_equal(generator(inputs), expected)
    assert np.array_equal(generator(dict(reversed(inputs.items()))), expected), "inputs have names, not places"
    assert np.array_equal(generator.sample([4, 2**32 - 1]), to_uint8(expected))


def test_a_chosen_category_takes_the_place_of_the_drawn_one(varied: Generator) -> None:
    drawn, chosen = varied.draw(4), varied.draw(4, inputs={"category": 2})
    assert chosen["category"].tolist() == [[0, 0, 1]] * 4
    assert all(np.array_equal(drawn[name], chosen[name]) for name in ("z", "codes", "noise"))
    assert varied.draw(5, inputs={"category": np.array([1, 0])})["category"].argmax(1).tolist() == [1, 0, 1, 0, 1]


def test_numbers_are_chosen_for_all_of_an_input_or_each(varied: Generator) -> None:
    assert varied.draw(2, inputs={"codes": 0.25})["codes"].tolist() == [[0.25, 0.25]] * 2
    assert varied.draw(2, inputs={"codes": [0.5, -1]})["codes"].tolist() == [[0.5, -1.0]] * 2
    noise = np.linspace(0, 1, 64).reshape(1, 8, 8)
    assert np.array_equal(varied.draw(2, inputs={"noise": noise})["noise"][1], noise.astype(np.float32))


def test_truncation_scales_what_is_drawn_from_a_normal_distribution(varied: Generator) -> None:
    whole, scaled = varied.draw(3), varied.draw(3, inputs={"noise": 2.0}, truncation=0.5)
    assert np.array_equal(scaled["z"], whole["z"] / 2)
    assert np.array_equal(scaled["codes"], whole["codes"])
    assert np.array_equal(scaled["category"], whole["category"])
    assert (scaled["noise"] == 2.0).all(), "what is chosen is not scaled"
    assert (varied.draw(3, truncation=0.0)["z"] == 0).all()


def test_label_is_short_for_the_input_that_is_the_class(labelled: Generator) -> None:
    assert np.array_equal(labelled.sample(4, label=3), labelled.sample(4, inputs={"labels": 3}))
    assert labelled.draw(4, inputs={"labels": [1, 4]})["labels"].tolist() == [1, 4, 1, 4]
    with pytest.raises(ArtefactError, match="label and inputs both choose labels; give one of them"):
        labelled.sample(4, label=3, inputs={"labels": 3})


@pytest.mark.parametrize(
    ("wishes", "sentence"),
    [
        ({"inputs": {"catgory": 1}}, "has no input 'catgory'; did you mean category?"),
        ({"inputs": {"truncate": 1}}, "has no input 'truncate'; its inputs are z (normal, 4), category (categories "
         "0 to 2), codes (uniform, 2) and noise (normal, 1 x 8 x 8)"),
        ({"inputs": {"category": 3}}, "category 3 is none of its categories, 0 to 2"),
        ({"inputs": {"category": [0, -1]}}, "category -1 is none of its categories, 0 to 2"),
        ({"inputs": {"category": 1.0}}, "category (categories 0 to 2) takes whole numbers, not 1.0"),
        ({"inputs": {"category": True}}, "category (categories 0 to 2) takes whole numbers, not True"),
        ({"inputs": {"category": "cat"}}, "category (categories 0 to 2) takes whole numbers, not cat"),
        ({"inputs": {"category": []}}, "category (categories 0 to 2) is given no number"),
        ({"inputs": {"codes": [1, 2, 3]}}, "codes takes 1 number, or the 2 of its shape (2,), not 3"),
        ({"inputs": {"codes": "x"}}, "codes takes numbers, not x"),
        ({"inputs": {"codes": [[1], [1, 2]]}}, "codes takes numbers, not [[1], [1, 2]]"),
        ({"inputs": {"codes": 1e300}}, "codes holds values that are not finite"),
        ({"inputs": {"z": float("nan")}}, "z holds values that are not finite"),
        ({"truncation": -1.0}, "truncation must be a number from 0, not -1.0"),
        ({"truncation": float("nan")}, "truncation must be a number from 0, not nan"),
        ({"label": 1}, "takes no labels: its model is not conditional"),
    ],
)  # fmt: skip
def test_what_cannot_be_chosen_is_refused(varied: Generator, wishes: dict[str, Any], sentence: str) -> None:
    for ask in (varied.sample, varied.draw):
        with pytest.raises(ArtefactError) as caught:
            ask([0], **wishes)
        assert str(caught.value).endswith(f"v.safetensors: {sentence}")


def test_truncation_needs_an_input_that_is_normal(labelled: Generator, varied: Generator) -> None:
    with pytest.raises(ArtefactError, match=r"there is none: its inputs are z \(uniform, 6\) and labels"):
        labelled.sample([0], truncation=0.7)
    with pytest.raises(ArtefactError, match="truncation scales inputs that are drawn"):
        varied.sample([0], inputs={"z": 0, "noise": 0}, truncation=0.7)


def test_one_input_has_as_many_rows_as_another(varied: Generator) -> None:
    inputs = varied.draw(3)
    with pytest.raises(ArtefactError, match=r"category must be floats of shape \(3, 3\), not int64 of shape \(3,\)"):
        varied({**inputs, "category": np.array([0, 1, 2])})
    with pytest.raises(ArtefactError, match=r"codes must be floats of shape \(3, 2\), not float32 of shape \(2, 2\)"):
        varied({**inputs, "codes": inputs["codes"][:2]})


# Devices


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "cpu:0", "", "CPU"])
def test_an_unknown_device_is_refused(tmp_path: Path, device: str) -> None:
    with pytest.raises(GanlabError, match=f'device "{device}" is none of auto, cpu, cuda, cuda:N and mps'):
        load_generator(tmp_path, device=device)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_seed_is_the_same_picture_on_cuda(tmp_path: Path) -> None:
    ship(tmp_path / "g")
    pictures = [load_generator(tmp_path / "g", device=device).sample(range(64)) for device in ("cpu", "cuda")]
    assert np.abs(pictures[0].astype(int) - pictures[1]).max() <= 1


# Files that are not what they claim


def test_pictures_of_another_shape_are_refused(tmp_path: Path) -> None:
    model = graph()
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(np.array([-1, 3, 4, 16]), "shape"))
    generator = load_generator(shipped_graph(tmp_path / "g.onnx", model))
    with pytest.raises(ArtefactError, match=r"makes arrays of shape \(1, 3, 4, 16\) instead of \(1, 3, 8, 8\)"):
        generator.sample([0])


def test_pictures_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    broken = numpy_helper.from_array(np.full((DIM, 3 * 8 * 8), np.nan, np.float32), "w")
    generator = load_generator(shipped_graph(tmp_path / "g.onnx", graph(weights=broken)))
    with pytest.raises(ArtefactError, match=r"g\.onnx: makes pictures that are not finite"):
        generator.sample([0])


def test_metadata_says_which_file_it_came_from_by_its_digest(tmp_path: Path) -> None:
    ship(tmp_path / "a")
    ship(tmp_path / "b", seed=1)
    digests = {load_generator(tmp_path / name).metadata.digest for name in "ab"}
    assert digests == {read_metadata(tmp_path / name).digest for name in "ab"}
    assert len(digests) == 2


@pytest.mark.parametrize("seeds", [2.5, -1, True, None, 2**32 + 1, np.array(2.5)])
def test_what_is_neither_seeds_nor_a_count_is_refused_with_a_sentence(generator: Generator, seeds: object) -> None:
    for draw in (generator.sample, generator.draw):
        with pytest.raises(ArtefactError, match="is neither seeds nor how many there are; give a whole number from 0"):
            draw(seeds)  # type: ignore[arg-type]


def test_a_number_of_numpy_s_is_a_count_and_an_array_of_one_is_a_seed(generator: Generator) -> None:
    assert len(generator.sample(int(np.int64(3)))) == len(generator.sample(np.array(3))) == 3
    for seeds in (np.array([3]), torch.tensor([3])):
        assert np.array_equal(generator.sample(seeds), generator.sample([3]))
    assert len(generator.sample(0)) == 0


@pytest.mark.parametrize("size", [0, 2.5, True, "4"])
def test_a_batch_size_is_a_whole_number(generator: Generator, size: object) -> None:
    with pytest.raises(ArtefactError, match="batch_size must be a whole number from 1, not"):
        generator.sample(2, batch_size=size)  # type: ignore[arg-type]


def test_what_is_no_path_or_device_is_refused_with_a_sentence() -> None:
    for read in (load_generator, read_metadata):
        for path in (5, None, "x" * 300, "a\0b"):
            with pytest.raises(GanlabError, match=r"is no path|longer than a path can be|holds what no path can hold"):
                read(path)  # type: ignore[arg-type]
    with pytest.raises(GanlabError, match='device "5" is none of auto, cpu'):
        load_generator("there", device=5)  # type: ignore[arg-type]
