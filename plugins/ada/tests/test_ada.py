"""Every transform against matrices and pixels worked out by hand, how p moves against plain numbers, and the host."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ganlab_ada import ADA, color, geometry, resampling
from safetensors.numpy import load_file
from synchronisations import Synchronisations
from torch import Tensor

import ganlab
from ganlab import ImageSpec, RecipeError
from ganlab.recipe.recipe import load_recipe, parse_recipe
from ganlab.testing import contract, isolated, tiny_recipe

RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.toml"))
IMAGES = ImageSpec(3, 8, 8)
Array = np.ndarray[Any, np.dtype[np.float64]]
LOWPASS = torch.tensor(resampling.SYM6)
ONE, ZERO = torch.ones(()), torch.zeros(())


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def pictures(count: int, channels: int = 3, height: int = 8, width: int = 8) -> Tensor:
    """Return pictures in [-1, 1] that are random but for themselves the same in every call."""
    generator = torch.Generator().manual_seed(5)
    return torch.rand(count, channels, height, width, generator=generator, dtype=torch.float64) * 2 - 1


def state(p: float = 0.0, **options: Any) -> dict[str, Any]:
    made: dict[str, Any] = ADA(**options).build(IMAGES)
    made["ada"].p.fill_(p)
    return made


def blobs(height: int, width: int, x: float, y: float, matrix: Array | None = None) -> Array:
    """Return a smooth picture of its formula: a blob at (x, y) from the middle, seen through `matrix` to its places."""
    rows, columns = np.mgrid[0:height, 0:width].astype(float)
    places = np.stack([columns - (width - 1) / 2, rows - (height - 1) / 2, np.ones_like(rows)])
    at = places if matrix is None else np.einsum("ij,jhw->ihw", np.linalg.inv(matrix), places)
    return np.asarray(np.exp(-((at[0] - x) ** 2 / 20 + (at[1] - y) ** 2 / 12)))


# Matrices: those of the textbook lead from a picture to the changed one, so they are compared with inverses.


def scale(x: float, y: float) -> Array:
    return np.diag([x, y, 1.0])


def move(x: float, y: float) -> Array:
    return np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])


def turn(angle: float) -> Array:
    """Counter-clockwise where y points down."""
    return np.array(
        [[math.cos(angle), math.sin(angle), 0.0], [-math.sin(angle), math.cos(angle), 0.0], [0.0, 0.0, 1.0]]
    )


def test_matrices_are_the_inverses_of_what_they_do() -> None:
    angle = 0.7
    made = [
        geometry.scaling(torch.tensor([2.0]), torch.tensor([-0.5])),
        geometry.turning(torch.tensor([math.sin(angle)]), torch.tensor([math.cos(angle)])),
        geometry.moving(torch.tensor([[3.0, -1.5]])),
    ]
    expected = [scale(2.0, -0.5), turn(angle), move(3.0, -1.5)]
    for found, forward in zip(made, expected, strict=True):
        np.testing.assert_allclose(found[0].numpy(), np.linalg.inv(forward), atol=1e-6)
    forward = expected[2] @ expected[1] @ expected[0]
    np.testing.assert_allclose(geometry.product(*made)[0].numpy(), np.linalg.inv(forward), atol=1e-6)


@pytest.mark.parametrize("forward", [scale(1.3, 0.9), turn(0.5), move(2.4, -1.7), move(1.3, 0.6) @ turn(-0.4)])
def test_pictures_come_to_lie_where_the_matrix_says(forward: Array) -> None:
    plain = torch.from_numpy(blobs(32, 40, 3.0, -2.0))[None, None]
    back = torch.from_numpy(np.linalg.inv(forward)).float()[None]
    expected = blobs(32, 40, 3.0, -2.0, forward)
    np.testing.assert_allclose(resampling.interpolated(plain, back, LOWPASS)[0, 0].numpy(), expected, atol=0.01)
    assert np.abs(plain[0, 0].numpy() - expected).max() > 0.1, "it has been moved"


def test_geometric_changes_are_the_paper_s_in_its_order() -> None:
    count, width, height = 20_000, 12, 8
    found = geometry.free(torch.zeros(count, 1, height, width), ONE).double().numpy()
    # S: of a product of one scale s and of stretches by t and 1 / t, the determinant is 1 / s squared.
    logs = -np.log2(np.linalg.det(found)) / 2
    assert abs(logs.mean()) < 0.01
    assert logs.std() == pytest.approx(0.2, abs=0.005)
    singular = np.linalg.svd(found[:, :2, :2], compute_uv=False)
    stretches = np.log2(singular[:, 0] / singular[:, 1]) / 2
    assert np.sqrt((stretches**2).mean()) == pytest.approx(0.2, abs=0.005)
    # The middle comes last to its place: it is moved by the translation alone.
    moved = np.linalg.inv(found)[:, :2, 2]
    np.testing.assert_allclose(moved.std(0), [0.125 * width, 0.125 * height], rtol=0.03)
    # Turned by any angle alike.
    angles = np.arctan2(found[:, 1, 0] - found[:, 0, 1], found[:, 0, 0] + found[:, 1, 1])
    counts, _ = np.histogram(angles, 8, (-math.pi, math.pi))
    assert np.abs(counts - count / 8).max() < 5 * math.sqrt(count / 8)


@pytest.mark.parametrize("p", [0.2, 0.6])
def test_each_change_comes_with_probability_p(p: float) -> None:
    count = 20_000
    images, strength = torch.zeros(count, 3, 8, 8), torch.tensor(p)
    found = geometry.free(images, strength).numpy()
    error = 5 * math.sqrt(p * (1 - p) / count)
    moved = (found[:, 0, 2] != 0) | (found[:, 1, 2] != 0)
    assert moved.mean() == pytest.approx(p, abs=error)
    scaled = np.abs(np.linalg.det(found[:, :2, :2].astype(float)) - 1) > 1e-5
    assert scaled.mean() == pytest.approx(p, abs=error + 1e-3)
    # Turned before or after the stretch, or both: a picture that is not stretched shows whether it was.
    singular = np.linalg.svd(found[:, :2, :2], compute_uv=False)
    plain = np.abs(singular[:, 0] / singular[:, 1] - 1) < 1e-4
    turned = np.abs(found[plain, 0, 1]) > 1e-5
    assert turned.mean() == pytest.approx(p, abs=2 * error + 1e-3)
    left = geometry.blit(images, strength).numpy()
    shares = Counter(round(x) for x in np.linalg.det(left))
    assert shares[-1] / count == pytest.approx(p / 2, abs=error), "half of the flips are none"


def test_blits_are_flips_then_turns_then_moves_of_whole_pixels() -> None:
    plain = pictures(1, 2, 16, 16)
    ways = {}
    for flips in (False, True):
        for quarters in range(4):
            turned = np.rot90(np.flip(plain[0].numpy(), 2) if flips else plain[0].numpy(), quarters, (1, 2))
            framed = np.pad(turned, ((0, 0), (2, 2), (2, 2)), mode="reflect")
            for down in range(-2, 3):
                for right in range(-2, 3):
                    ways[framed[:, 2 - down : 18 - down, 2 - right : 18 - right].tobytes()] = flips, quarters, down
    assert len(ways) == 2 * 4 * 25
    count = 8_000
    images = plain.expand(count, -1, -1, -1)
    made = resampling.copied(images, geometry.blit(images, ONE)).contiguous().numpy()
    found = [ways[picture.tobytes()] for picture in made]  # a KeyError is a picture that no blit makes
    for place, shares in ((0, [1 / 2] * 2), (1, [1 / 4] * 4), (2, [1 / 8, 1 / 4, 1 / 4, 1 / 4, 1 / 8])):
        counts = Counter(way[place] for way in found)
        values = sorted(counts)
        assert len(values) == len(shares)
        for value, share in zip(values, shares, strict=True):
            assert abs(counts[value] - share * count) < 5 * math.sqrt(share * count)


# Colours: 4 x 4 matrices on (r, g, b, 1), as the paper has them.

AXIS = np.array([1.0, 1.0, 1.0, 0.0]) / math.sqrt(3)


def colour_matrix(images: Tensor, change: Callable[[Tensor], Tensor], pixel: Array) -> Array:
    images = torch.from_numpy(pixel[:3]).view(1, 3, 1, 1)
    return np.asarray(change(images).view(3).numpy())


def rotation(angle: float) -> Array:
    """Turn around the axis of the greys: three places where the colours go by turns, joined by cosines."""
    third = 2 * math.pi / 3
    a, b, c = ((1 + 2 * math.cos(angle - k * third)) / 3 for k in range(3))
    made = np.eye(4)
    made[:3, :3] = [[a, c, b], [b, a, c], [c, b, a]]
    return made


@pytest.mark.parametrize("value", [0.0, 0.4, 1.0, 2.5])
def test_colour_changes_are_the_paper_s_matrices(value: float) -> None:
    pixels = pictures(5).permute(0, 2, 3, 1).reshape(-1, 3).numpy()
    images = torch.from_numpy(pixels).view(-1, 3, 1, 1)
    drawn = torch.full((len(pixels), 1, 1, 1), value, dtype=torch.float64)
    grey = np.outer(AXIS, AXIS)
    expected = {
        color.luma_flipped: np.eye(4) - 2 * grey * value,
        color.saturated: grey + (np.eye(4) - grey) * value,
        color.hue_turned: rotation(value),
    }
    for change, matrix in expected.items():
        made = change(images, drawn).view(-1, 3).numpy()
        np.testing.assert_allclose(made, (matrix @ np.c_[pixels, np.ones(len(pixels))].T).T[:, :3], atol=1e-12)


def test_grey_pictures_become_other_greys_by_brightness_contrast_and_flips_alone() -> None:
    count = 20_000
    plain = torch.tensor([[-1.0, 1.0]]).double().expand(count, 2).reshape(count, 1, 1, 2)
    dark, light = color.change(plain, ONE).view(count, 2).T.numpy()
    # dark, light = f c (b - 1), f c (b + 1) with f = -1 or 1, c = 2 ** N(0, 0.5 ** 2), b = N(0, 0.2 ** 2)
    contrast, brightness = (light - dark) / 2, (light + dark) / (light - dark)
    assert (contrast < 0).mean() == pytest.approx(0.5, abs=0.02)
    assert np.log2(np.abs(contrast)).std() == pytest.approx(0.5, abs=0.01)
    assert abs(np.log2(np.abs(contrast)).mean()) < 0.02
    assert brightness.std() == pytest.approx(0.2, abs=0.005)


def test_colours_are_drawn_as_the_paper_says() -> None:
    count = 20_000
    plain = torch.tensor([0.5, -0.2, 0.1]).double().view(1, 3, 1, 1).expand(count, -1, -1, -1)
    made = color.change(plain, ONE).view(count, 3).numpy()
    # Of the part across the greys, contrast and saturation change the length, and hue the direction.
    across = made - made.mean(1, keepdims=True)
    start = np.array([0.5, -0.2, 0.1]) - 0.4 / 3
    lengths = np.log2(np.linalg.norm(across, axis=1) / np.linalg.norm(start))
    assert lengths.std() == pytest.approx(math.sqrt(0.5**2 + 1.0**2), abs=0.02)
    plane = np.array([[1, -1, 0], [1, 1, -2]]) / np.sqrt([[2], [6]])
    counts, _ = np.histogram(np.arctan2(*(across @ plane.T).T), 8, (-math.pi, math.pi))
    assert np.abs(counts - count / 8).max() < 5 * math.sqrt(count / 8)


# Resampling


def test_the_filter_is_an_orthogonal_wavelet_with_six_vanishing_moments() -> None:
    h = np.array(resampling.SYM6)
    for shift in range(0, 12, 2):
        assert (h[: 12 - shift] * h[shift:]).sum() == pytest.approx(float(shift == 0), abs=1e-11)
    for power in range(6):
        assert ((-1.0) ** np.arange(12) * np.arange(12.0) ** power * h).sum() == pytest.approx(0.0, abs=1e-8)
    assert h.sum() == pytest.approx(math.sqrt(2), abs=1e-11)
    assert (np.arange(12) * h).sum() / h.sum() == pytest.approx(resampling.CENTRE, abs=1e-9)


@pytest.mark.parametrize("shape", [(3, 1, 28, 28), (2, 3, 8, 12), (1, 4, 9, 5), (2, 2, 3, 3), (2, 1, 1, 1)])
def test_at_p_0_pictures_are_left_as_they_are(shape: tuple[int, ...]) -> None:
    plain = pictures(*shape).float()
    torch.testing.assert_close(ADA().augment(plain, state()), plain, rtol=0, atol=1e-6)
    filtered = resampling.interpolated(plain, geometry.identity(plain), LOWPASS)
    torch.testing.assert_close(filtered, plain, rtol=0, atol=2e-6)


@pytest.mark.parametrize("shape", [(64, 1, 28, 28), (64, 3, 8, 12), (64, 1, 2, 3), (64, 1, 1, 1)])
def test_nothing_comes_in_from_outside(shape: tuple[int, ...]) -> None:
    plain = torch.full(shape, 0.7)
    for _ in range(5):
        made = ADA(groups=("blit", "geometric")).augment(plain, state(1.0))
        torch.testing.assert_close(made, plain, rtol=0, atol=1e-5)


@pytest.mark.parametrize("length", [1, 2, 5])
def test_pictures_end_in_mirrors(length: int) -> None:
    wide = np.pad(np.arange(length), 7, mode="reflect" if length > 1 else "edge")
    found = resampling.mirrored(torch.arange(-7.0, length + 7), length)
    assert found.tolist() == wide.tolist()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_shapes_stay_whatever_they_are(layout: torch.memory_format) -> None:
    plain = pictures(4, 3, 9, 12).float().contiguous(memory_format=layout)
    torch.manual_seed(1)
    made = ADA().augment(plain, state(0.8))
    assert made.shape == plain.shape
    torch.manual_seed(1)
    torch.testing.assert_close(made, ADA().augment(plain.contiguous(), state(0.8)))
    assert not torch.equal(made[0] - plain[0], made[1] - plain[1]), "each picture has numbers of its own"


def test_half_precision_pictures_are_changed_as_exactly() -> None:
    plain = pictures(4).to(torch.bfloat16)
    torch.manual_seed(1)
    with torch.autocast("cpu", torch.bfloat16):
        made = ADA().augment(plain, state(1.0))
    torch.manual_seed(1)
    torch.testing.assert_close(made, ADA().augment(plain.float(), state(1.0)))


def test_gradients_flow_once_and_twice() -> None:
    plain = pictures(2, 3, 6, 5).requires_grad_()
    memory = state(1.0)

    def cubed(images: Tensor) -> Tensor:
        torch.manual_seed(4)
        changed: Tensor = ADA().augment(images, memory) ** 3
        return changed

    assert torch.autograd.gradcheck(cubed, plain, fast_mode=True, atol=1e-4)
    assert torch.autograd.gradgradcheck(cubed, plain, fast_mode=True, atol=1e-4)


def test_nothing_waits_for_the_device() -> None:
    plain, memory = torch.randn(2, 3, 16, 16, requires_grad=True), state(0.5)
    with Synchronisations() as synchronisations:
        ADA().augment(plain, memory).sum().backward()
        ADA().adapt(memory, {"sign(D(x))": torch.tensor(0.5)})
        assert synchronisations.count == 0
        torch.ones(()).item()
    assert synchronisations.count == 1, "the counter can count"


def test_a_dry_run_can_count_without_numbers() -> None:
    with torch.device("meta"):
        made = ADA().augment(torch.zeros(4, 3, 16, 12), ADA().build(IMAGES))
    assert made.shape == (4, 3, 16, 12)


# The feedback


def test_p_follows_the_mean_sign_of_real_logits() -> None:
    ada, memory = ADA(target=0.5, speed=100, interval=2), state()
    ada.augment(torch.zeros(7, 3, 8, 8), memory)
    # Means of two: 0.9, 0.6, 0.4, 0.5, -1, 1. Each moves p by 14 / 100 as soon as the next report comes.
    reports = [0.8, 1.0, 0.4, 0.8, 0.3, 0.5, 0.5, 0.5, -1.0, -1.0, 1.0, 1.0, 0.0]
    found = []
    for value in reports:
        ada.adapt(memory, {"sign(D(x))": torch.tensor(value), "D(x)": torch.tensor(9.0)})
        ada.adapt(memory, {})
        found.append(memory["ada"].p.item())
    expected = [0, 0, 0.14, 0.14, 0.28, 0.28, 0.14, 0.14, 0.14, 0.14, 0.0, 0.0, 0.14]
    assert found == pytest.approx(expected, abs=1e-6)


def test_p_goes_from_0_to_1_in_as_many_pictures_as_speed_says_and_no_further() -> None:
    ada, memory = ADA(speed=160, interval=4), state()
    ada.augment(torch.zeros(4, 3, 8, 8), memory)
    for report in range(1, 61):
        ada.adapt(memory, {"sign(D(x))": torch.tensor(1.0)})
        steps = (report - 1) // 4
        assert memory["ada"].p.item() == pytest.approx(min(1.0, steps * 4 * 4 / 160), abs=1e-6)


RANK = """
import sys
import torch
from ganlab_ada import ADA
from torch import distributed
from ganlab import ImageSpec

store = distributed.FileStore(sys.argv[1], 2)
distributed.init_process_group("gloo", store=store, rank=int(sys.argv[2]), world_size=2)
ada = ADA(speed=100, interval=1)
state = ada.build(ImageSpec(3, 8, 8))
ada.augment(torch.zeros(5, 3, 8, 8), state)
for _ in range(4):
    ada.adapt(state, {"sign(D(x))": torch.tensor(1.0)})
print(state["ada"].p.item())
distributed.destroy_process_group()
"""


def test_pictures_of_all_ranks_count(tmp_path: Path) -> None:
    commands = [[sys.executable, "-c", RANK, str(tmp_path / "store"), rank] for rank in "01"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    ranks = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for command in commands]
    # 3 steps have been made, each for 2 batches of 5.
    assert [float(rank.communicate(timeout=120)[0]) for rank in ranks] == pytest.approx([0.3, 0.3])


# Options


@pytest.fixture(autouse=True, scope="module")
def _place() -> Iterator[None]:
    with isolated({"ada": ADA}):
        yield


def recipe(iterations: int = 6, **options: Any) -> dict[str, Any]:
    return tiny_recipe({"augmentation": {"name": "ada", **options}, "train": {"iterations": iterations}})


def test_p_may_be_a_number_or_a_schedule_that_no_discriminator_moves() -> None:
    fixed, memory = ADA(p=0.3), state()
    fixed.augment(torch.zeros(4, 3, 8, 8), memory)
    for _ in range(9):
        fixed.adapt(memory, {"sign(D(x))": torch.tensor(1.0)})
    assert memory["ada"].p.item() == pytest.approx(0.3)
    rising = {"from": 0.0, "to": 0.6, "iterations": 6}
    run = ganlab.train(recipe(4, p=rising))
    tensors = load_file(max((run.directory / "checkpoints").iterdir()) / "state.safetensors")
    assert tensors["networks/ada/p"].item() == pytest.approx(0.3), "of the fourth iteration, which began at 3"


def test_only_the_groups_that_are_named_are_done() -> None:
    plain = pictures(50, 1, 16, 16)
    known = set(plain.unique().tolist())
    blitted = ADA(groups=("blit",)).augment(plain, state(1.0))
    assert set(blitted.unique().tolist()) <= known
    assert not torch.equal(blitted, plain)
    free = ADA(groups=("geometric",)).augment(plain, state(1.0))
    assert not set(free.unique().tolist()) <= known
    coloured = ADA(groups=("color",)).augment(plain, state(1.0))
    order, reverse = plain.view(50, -1).argsort(1), plain.view(50, -1).argsort(1, descending=True)
    for made, forwards, backwards in zip(coloured.view(50, -1).argsort(1), order, reverse, strict=True):
        assert torch.equal(made, forwards) or torch.equal(made, backwards), "no pixel has moved"


@pytest.mark.parametrize(
    ("groups", "sentence"),
    [
        (["colour"], '["colour"]: must be an array of one or more values, each "blit", "geometric" or "color"'),
        ([], '[]: must be an array of one or more values, each "blit", "geometric" or "color"'),
        (["blit", "blit"], '["blit", "blit"]: names a group twice'),
    ],
)
def test_other_groups_are_refused(groups: list[str], sentence: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(recipe(groups=groups))
    assert str(caught.value) == f"recipe: augmentation.groups = {sentence}"


# In the host

test_contract = contract(ADA, options=[{}, {"groups": ["blit"]}, {"groups": ["color"], "interval": 1}])


def test_a_run_that_was_continued_ends_with_the_same_bits() -> None:
    eager: dict[str, Any] = {"target": -0.99, "speed": 40, "interval": 1}
    at_once = ganlab.train(recipe(**eager), out="at-once").directory
    ganlab.train(recipe(iterations=3, **eager), out="in-two")
    continued = ganlab.train(recipe(**eager), out="in-two").directory
    states = [run / "checkpoints/00000006/state.safetensors" for run in (at_once, continued)]
    assert states[0].read_bytes() == states[1].read_bytes()
    # 5 of 6 reports have been counted, each of a batch of 8; the mean sign was above the target in all but few.
    assert load_file(states[0])["networks/ada/p"] > 0


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_each_recipe_trains(path: Path) -> None:
    assert isinstance(load_recipe(path).augmentation, ADA)
    small = [
        "dataset.name=stripes",
        "model.base_channels=2",
        "train.iterations=1",
        "train.batch_size=8",
        "observers.terminal.mode=off",
    ]
    assert ganlab.train(path, overrides=small).iterations == 1


def test_importing_the_augmentation_imports_no_torch() -> None:
    script = "import sys, ganlab_ada; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[1])
