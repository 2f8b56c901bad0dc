"""Each transform against numpy: what it may do to a picture, how often it does each, and nothing else."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ganlab_diffaugment import DiffAugment, transforms
from synchronisations import Synchronisations
from torch import Tensor

import ganlab
from ganlab import RecipeError
from ganlab.generator.export import export
from ganlab.recipe.recipe import load_recipe, parse_recipe
from ganlab.testing import isolated, tiny_recipe

RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.toml"))
ALL = DiffAugment()
Array = np.ndarray[Any, np.dtype[np.float64]]


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def pictures(count: int, channels: int = 3, height: int = 8, width: int = 8) -> Tensor:
    """Return pictures in [-1, 1] that are random but for themselves the same in every call."""
    generator = torch.Generator().manual_seed(5)
    return torch.rand(count, channels, height, width, generator=generator, dtype=torch.float64) * 2 - 1


def uniform(values: Array, low: float, high: float) -> None:
    """Assert that the values could be drawn evenly from `low` to `high`."""
    assert values.min() >= low - 1e-6
    assert values.max() <= high + 1e-6
    counts, _ = np.histogram(values, 10, (low, high))
    even_counts(list(counts), len(values) / 10)


def even_counts(counts: list[int], expected: float) -> None:
    """Assert that counts differ from what is expected by no more than 5 standard deviations."""
    assert np.abs(np.array(counts) - expected).max() < 5 * np.sqrt(expected)


# Colour


def factors(changed: Array, plain: Array, centre: Array) -> Array:
    """Return the one number by which each picture's distances from `centre` were multiplied."""
    distance = plain - centre
    count = len(plain)
    found = ((changed - centre) * distance).reshape(count, -1).sum(1) / (distance**2).reshape(count, -1).sum(1)
    np.testing.assert_allclose(changed, centre + found.reshape(-1, 1, 1, 1) * distance, atol=1e-6)
    return np.asarray(found)


def test_brightness_adds_half_at_most() -> None:
    plain = pictures(2000, height=2, width=2)
    added = (transforms.brightness(plain) - plain).numpy().reshape(2000, -1)
    np.testing.assert_allclose(added, added[:, :1].repeat(12, 1), atol=1e-6)
    uniform(added[:, 0], -0.5, 0.5)


def test_saturation_scales_distances_from_grey() -> None:
    plain = pictures(2000, height=2, width=2)
    grey = plain.numpy().mean(1, keepdims=True)
    uniform(factors(transforms.saturation(plain).numpy(), plain.numpy(), grey), 0.0, 2.0)


def test_contrast_scales_distances_from_the_mean() -> None:
    plain = pictures(2000, height=2, width=2)
    mean = plain.numpy().mean((1, 2, 3), keepdims=True)
    uniform(factors(transforms.contrast(plain).numpy(), plain.numpy(), mean), 0.5, 1.5)


def test_color_is_brightness_then_saturation_then_contrast() -> None:
    plain = pictures(4)
    torch.manual_seed(3)
    changed = transforms.color(plain)
    torch.manual_seed(3)
    step_by_step = transforms.contrast(transforms.saturation(transforms.brightness(plain)))
    assert torch.equal(changed, step_by_step)


def test_a_grey_picture_has_no_saturation_to_change() -> None:
    plain = pictures(4, channels=1)
    torch.testing.assert_close(transforms.saturation(plain), plain)


# Translation and cutout


def shifted(picture: Array, down: int, right: int) -> Array:
    """Move a picture `(C, H, W)`, pixel by pixel."""
    moved = np.zeros_like(picture)
    _, height, width = picture.shape
    for row, column in product(range(height), range(width)):
        if 0 <= row - down < height and 0 <= column - right < width:
            moved[:, row, column] = picture[:, row - down, column - right]
    return moved


@pytest.mark.parametrize(("height", "width"), [(8, 16), (17, 9)])
def test_translation_moves_by_an_eighth_at_most_each_way_as_often(height: int, width: int) -> None:
    plain = pictures(1, channels=2, height=height, width=width)
    ways = list(product(range(-(height // 8), height // 8 + 1), range(-(width // 8), width // 8 + 1)))
    expected = {shifted(plain[0].numpy(), *way).tobytes(): way for way in ways}
    count = 400 * len(ways)
    moved = transforms.translation(plain.expand(count, -1, -1, -1)).contiguous().numpy()
    found = Counter(expected[picture.tobytes()] for picture in moved)
    even_counts([found[way] for way in ways], 400)


@pytest.mark.parametrize(("height", "width"), [(4, 6), (5, 7), (2, 3)])
def test_cutout_blanks_a_box_of_half_the_size_centred_anywhere(height: int, width: int) -> None:
    def boxes(length: int) -> list[np.ndarray[Any, np.dtype[np.bool_]]]:
        """Return, for each middle that the authors draw, which of the places are blank."""
        size = length // 2
        middles = range(length + 1) if size % 2 == 0 else range(length)
        return [
            np.array([middle - size // 2 <= place < middle - size // 2 + size for place in range(length)])
            for middle in middles
        ]

    ways = [rows[:, None] & columns for rows, columns in product(boxes(height), boxes(width))]
    plain = torch.ones(1, 1, height, width)
    count = 400 * len(ways)
    cut = transforms.cutout(plain.expand(count, -1, -1, -1)).numpy()[:, 0]
    found = Counter((picture == 0).tobytes() for picture in cut)
    assert len({way.tobytes() for way in ways}) == len(ways), "each middle is a box of its own"
    even_counts([found[way.tobytes()] for way in ways], 400)
    assert sum(found.values()) == count
    assert set(np.unique(cut)) <= {0.0, 1.0}


def test_cutout_keeps_what_is_outside_the_box() -> None:
    plain = pictures(50, channels=2)
    cut = transforms.cutout(plain)
    blank = cut == 0
    assert torch.equal(blank[:, 0], blank[:, 1]), "the same box in every channel"
    assert torch.equal(cut[~blank], plain[~blank])


# The whole


@pytest.mark.parametrize("shape", [(3, 1, 28, 28), (2, 3, 8, 12), (1, 4, 9, 5), (2, 2, 3, 3), (2, 1, 1, 1)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_shapes_stay_whatever_they_are(shape: tuple[int, ...], layout: torch.memory_format) -> None:
    plain = torch.randn(shape).contiguous(memory_format=layout)
    before = plain.clone()
    changed = ALL.augment(plain, {})
    assert changed.shape == shape
    assert changed.dtype == torch.float32
    assert torch.equal(plain, before), "the pictures themselves are left alone"


def test_the_layout_in_memory_does_not_matter() -> None:
    plain = torch.randn(4, 3, 16, 16)
    torch.manual_seed(1)
    first = ALL.augment(plain, {})
    torch.manual_seed(1)
    second = ALL.augment(plain.contiguous(memory_format=torch.channels_last), {})
    torch.testing.assert_close(first, second)


def test_only_torch_s_random_numbers_are_used_and_a_seed_repeats_them() -> None:
    plain = pictures(4)
    states = random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]
    changed = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        changed.append(ALL.augment(plain, {}))
    assert torch.equal(changed[0], changed[1])
    assert not torch.equal(changed[0], changed[2])
    assert not torch.equal(changed[0][0], changed[0][1]), "each picture has numbers of its own"
    assert states == (random.getstate(), np.random.get_state()[1].tolist())  # type: ignore[index]


def test_gradients_flow_once_and_twice() -> None:
    plain = pictures(2, channels=2, height=9, width=8).requires_grad_()

    def cubed(images: Tensor) -> Tensor:
        torch.manual_seed(4)
        changed: Tensor = ALL.augment(images.to(torch.float64), {}) ** 3
        return changed

    assert torch.autograd.gradcheck(cubed, plain, fast_mode=True, atol=1e-4)
    assert torch.autograd.gradgradcheck(cubed, plain, fast_mode=True, atol=1e-4)


def test_half_precision_pictures_are_changed_as_well() -> None:
    plain = pictures(2).to(torch.bfloat16).requires_grad_()
    changed = ALL.augment(plain, {})
    changed.sum().backward()
    assert changed.isfinite().all()
    assert plain.grad is not None
    assert plain.grad.isfinite().all()


def test_nothing_waits_for_the_device() -> None:
    plain = torch.randn(2, 3, 16, 16, requires_grad=True)
    with Synchronisations() as synchronisations:
        ALL.augment(plain, {}).sum().backward()
        assert synchronisations.count == 0
        torch.ones(()).item()
    assert synchronisations.count == 1, "the counter can count"


# Options


@pytest.fixture(autouse=True, scope="module")
def _place() -> Iterator[None]:
    with isolated({"diffaugment": DiffAugment}):
        yield


def recipe(iterations: int = 6, **options: Any) -> dict[str, Any]:
    return tiny_recipe({"augmentation": {"name": "diffaugment", **options}, "train": {"iterations": iterations}})


def test_the_policy_is_an_array_of_names() -> None:
    assert parse_recipe(recipe()).augmentation == ALL
    translation = parse_recipe(recipe(policy=["cutout", "translation"])).augmentation
    assert translation == DiffAugment(policy=("cutout", "translation"))


def test_only_what_the_policy_names_is_done() -> None:
    plain = pictures(1, channels=1, height=16, width=16).expand(50, -1, -1, -1)
    moved = DiffAugment(policy=("translation",)).augment(plain, {})
    known = set(plain.unique().tolist()) | {0.0}
    assert set(moved.unique().tolist()) <= known
    assert not torch.equal(moved, plain)
    coloured = DiffAugment(policy=("color",)).augment(plain, {})
    assert torch.equal(coloured.argsort(-1), plain.argsort(-1)), "no pixel has moved"


AN_ARRAY = 'must be an array of one or more values, each "color", "translation" or "cutout"'


@pytest.mark.parametrize(
    ("policy", "sentence"),
    [
        (["colour"], f'["colour"]: {AN_ARRAY}'),
        ([], f"[]: {AN_ARRAY}"),
        ("color,cutout", f'"color,cutout": {AN_ARRAY}'),
        (
            ["cutout", "cutout"],
            '["cutout", "cutout"]: names a transform twice, which would be stronger than the paper\'s',
        ),
    ],
)
def test_other_policies_are_refused(policy: Any, sentence: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(recipe(policy=policy))
    assert str(caught.value) == f"recipe: augmentation.policy = {sentence}"


# In the host


def test_a_run_that_was_continued_ends_with_the_same_bits_and_is_exported() -> None:
    at_once = ganlab.train(recipe(), out="at-once")
    ganlab.train(recipe(iterations=3), out="in-two")
    continued = ganlab.train(recipe(), out="in-two")
    plain = ganlab.train(recipe() | {"augmentation": None}, out="plain")
    states = [
        (run.directory / "checkpoints/00000006/state.safetensors").read_bytes() for run in (at_once, continued, plain)
    ]
    assert states[0] == states[1]
    assert states[0] != states[2]
    exported = export(at_once.generator, "onnx")
    assert exported.max_difference <= 1e-5
    assert ganlab.load_generator(exported.path).sample(range(3)).shape == (3, 8, 8, 1)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_each_recipe_trains(path: Path) -> None:
    assert load_recipe(path).augmentation == ALL
    small = [
        "dataset.name=stripes",
        "model.base_channels=2",
        "train.iterations=1",
        "train.batch_size=8",
        "observers.terminal.mode=off",
    ]
    assert ganlab.train(path, overrides=small).iterations == 1


def test_importing_the_augmentation_imports_no_torch() -> None:
    script = "import sys, ganlab_diffaugment; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[1])
