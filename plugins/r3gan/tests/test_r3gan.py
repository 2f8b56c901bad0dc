"""R3GAN against the paper: sizes, first weights, blocks and filters by hand, and the loss against its equations."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ganlab_r3gan import R3GAN, ConditionalR3GAN, R3GANLoss
from ganlab_r3gan.model import Residual
from ganlab_r3gan.networks import Double, Halve
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn import functional

import ganlab
from ganlab import Batch, ImageSpec, Iteration, Model, RecipeError
from ganlab.cli import main
from ganlab.interfaces import image_spec
from ganlab.recipe.recipe import load_recipe, parse_recipe
from ganlab.testing import contract, isolated, tiny_recipe

RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.toml"))
SMALL = {"channels": [4, 2], "group_size": 4, "blocks": 1, "latent_dim": 3}
START = Iteration(0, torch.tensor(0.0))


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def small(**options: Any) -> R3GAN:
    return R3GAN.model_validate_json(json.dumps({**SMALL, **options}))


# The paper's networks


@pytest.mark.parametrize(
    ("recipe", "images", "generator", "discriminator"),
    [
        # 8 blocks of 4 C^2 + 9 * 2C * 16 + 4C with C = 768, and what stands before and behind them.
        ("cifar10", ImageSpec(3, 32, 32, 10), 20_781_952, 21_280_512),
        ("ffhq64", ImageSpec(3, 64, 64), 22_429_824, 22_381_440),
        ("ffhq256", ImageSpec(3, 256, 256), 23_057_952, 23_009_568),
        ("imagenet32", ImageSpec(3, 32, 32, 1000), 82_914_304, 86_548_992),
        ("imagenet64", ImageSpec(3, 64, 64, 1000), 103_570_432, 107_205_120),
    ],
)
def test_each_preset_has_the_paper_s_number_of_parameters(
    recipe: str, images: ImageSpec, generator: int, discriminator: int
) -> None:
    with installed():
        model = load_recipe(Path(__file__).parents[1] / f"recipes/r3gan_{recipe}.toml").model
    assert isinstance(model, Residual)
    counted = parameters(model, images)
    assert counted == {"generator": generator, "discriminator": discriminator}
    assert counted == by_hand(model, images)


def test_the_networks_for_cifar10_have_20_7_million_parameters_each_without_classes() -> None:
    assert parameters(R3GAN(channels=768), ImageSpec(3, 32, 32)) == {
        "generator": 20_732_160,
        "discriminator": 20_683_776,
    }


def parameters(model: Model, images: ImageSpec) -> dict[str, int]:
    with torch.device("meta"):
        networks = model.build(images)
    return {name: sum(p.numel() for p in network.parameters()) for name, network in networks.items()}


def by_hand(model: Residual, images: ImageSpec) -> dict[str, int]:
    """Count layer by layer."""
    widths = model.widths(images)
    block = {c: c * 2 * c + 2 * c * model.group_size * 9 + 2 * c * c + 2 * 2 * c for c in widths}
    both = sum(model.blocks * block[c] for c in widths)
    both += sum(a * b for a, b in pairwise(widths) if a != b) + images.channels * widths[-1]
    both += 16 * widths[0]
    if model.conditional:
        to_vector = widths[0] * widths[-1] + images.classes * widths[-1]
        return {"generator": both + 128 * widths[0] + 64 * images.classes, "discriminator": both + to_vector}
    return {"generator": both + 64 * widths[0], "discriminator": both + widths[0]}


def test_first_weights_are_normal_with_the_paper_s_spread() -> None:
    """N(0, gain^2 / fan-in), gain sqrt(2 / 1.04) L^(-1/4) in the L blocks; the last convolution of each is 0."""
    networks = ConditionalR3GAN(channels=(192, 128, 64, 32), group_size=16).build(ImageSpec(3, 32, 32, 10))
    seen = {"blocks": 0, "others": 0, "zero": 0, "biases": 0}
    for name, tensor in nn.ModuleDict(networks).named_parameters():
        if name.endswith("residual.4.weight"):
            assert not tensor.any()
            seen["zero"] += 1
        elif name.endswith("bias"):
            assert not tensor.any()
            seen["biases"] += 1
        else:
            if "residual" in name:
                spread = math.sqrt(2 / 1.04) * 8**-0.25 / math.sqrt(tensor[0].numel())
                seen["blocks"] += 1
            else:
                spread = {
                    "generator.basis": 1.0,
                    "generator.classes.weight": 1 / math.sqrt(10),
                    "discriminator.classes.weight": 1 / math.sqrt(10 * 32),
                }.get(name, 1 / math.sqrt(tensor[0].numel()))
                seen["others"] += 1
            error = 5 / math.sqrt(2 * tensor.numel())  # five standard errors of a spread
            assert tensor.std().item() == pytest.approx(spread, rel=error), name
            assert abs(tensor.mean().item()) < 5 * spread / math.sqrt(tensor.numel()), name
    # In G: classes, z, basis, three projections, RGB. In D: RGB, three projections, 4x4, linear, classes.
    assert seen == {"blocks": 2 * 16, "others": 7 + 7, "zero": 16, "biases": 2 * 16}


def test_the_generator_is_the_paper_s_written_by_hand() -> None:
    G = small().build(ImageSpec(3, 8, 8))["generator"]
    state = randomised(G)
    z = torch.randn(5, 3)
    h = (z @ state["project.weight"].T)[:, :, None, None] * state["basis"]
    h = block(h, state, "layers.0", groups=2)
    h = doubled(functional.conv2d(h, state["layers.1.weight"]))
    h = block(h, state, "layers.3", groups=1)
    expected = functional.conv2d(h, state["layers.4.weight"])
    torch.testing.assert_close(G(z), expected, rtol=1e-4, atol=1e-4)
    assert expected.abs().max() > 1
    torch.testing.assert_close(G.eval()(z), expected.clamp(-1, 1), rtol=1e-4, atol=1e-4)


def test_the_discriminator_is_its_mirror_image_written_by_hand() -> None:
    D = ConditionalR3GAN(channels=(4, 2), group_size=4, blocks=1).build(ImageSpec(3, 8, 8, 3))["discriminator"]
    state = randomised(D)
    x, labels = torch.randn(5, 3, 8, 8), torch.tensor([0, 2, 1, 0, 2])
    h = block(functional.conv2d(x, state["layers.0.weight"]), state, "layers.1", groups=1)
    h = functional.conv2d(halved(h), state["layers.3.weight"])
    h = block(h, state, "layers.4", groups=2)
    h = (h * state["layers.5.weight"][:, 0]).sum((2, 3)) @ state["layers.7.weight"].T
    expected = (h * state["classes.weight"][labels]).sum(1)
    torch.testing.assert_close(D(x, labels), expected, rtol=1e-4, atol=1e-4)

    plain = small().build(ImageSpec(3, 8, 8))["discriminator"]
    assert plain.state_dict()["layers.7.weight"].shape == (1, 4)
    assert plain(x).shape == (5,)


def randomised(network: nn.Module) -> dict[str, Tensor]:
    """Give every parameter a value: at first, blocks are the identity."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.7)
    return {name: parameter.detach() for name, parameter in network.named_parameters()}


def block(x: Tensor, state: Mapping[str, Tensor], prefix: str, groups: int) -> Tensor:
    def part(index: int) -> tuple[Tensor, Tensor]:
        return state[f"{prefix}.residual.{index}.weight"], state[f"{prefix}.residual.{index}.bias"]

    y = functional.conv2d(x, *part(0))
    y = torch.where(y > 0, y, 0.2 * y)
    y = functional.conv2d(y, *part(2), padding=1, groups=groups)
    y = torch.where(y > 0, y, 0.2 * y)
    return x + functional.conv2d(y, state[f"{prefix}.residual.4.weight"])


def doubled(x: Tensor) -> Tensor:
    """Double each pixel, then filter with [1, 2, 1] / 4 along both axes; 0 lies beyond the edge."""
    for axis in (2, 3):
        x = x.movedim(axis, -1)
        single = torch.nn.functional.pad(x, (1, 1)).repeat_interleave(2, -1)
        x = ((single[..., :-2] + 2 * single[..., 1:-1] + single[..., 2:]) / 4)[..., 1:-1].movedim(-1, axis)
    return x


def halved(x: Tensor) -> Tensor:
    """Filter with [1, 2, 1] / 4 along both axes, 0 beyond the edge, then take means of two pixels each."""
    for axis in (2, 3):
        x = torch.nn.functional.pad(x.movedim(axis, -1), (1, 1))
        # In place: the means of the filtered pixels 2i and 2i + 1.
        smooth = (x[..., :-2] + 2 * x[..., 1:-1] + x[..., 2:]) / 4
        x = ((smooth[..., 0::2] + smooth[..., 1::2]) / 2).movedim(-1, axis)
    return x


def test_resampling_filters_with_1_2_1_and_keeps_the_brightness_inside() -> None:
    x = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(Double()(x), doubled(x))
    torch.testing.assert_close(Halve()(x), halved(x))
    ones = torch.ones(1, 2, 8, 8)
    assert torch.equal(Double()(ones)[:, :, 1:-1, 1:-1], torch.ones(1, 2, 14, 14))
    assert torch.equal(Halve()(ones)[:, :, 1:-1, 1:-1], torch.ones(1, 2, 2, 2))
    edge = Double()(ones)[0, 0, 0]
    assert edge.tolist() == [0.5625] + [0.75] * 14 + [0.5625]


def test_a_block_begins_as_the_identity_so_the_first_pictures_are_the_bases_doubled() -> None:
    G = R3GAN(channels=4, group_size=4, latent_dim=3).build(ImageSpec(1, 16, 16))["generator"]
    z, state = torch.randn(2, 3), dict(G.named_parameters())
    basis = (z @ state["project.weight"].T)[:, :, None, None] * state["basis"]
    expected = functional.conv2d(doubled(doubled(basis)), state["layers.8.weight"])
    torch.testing.assert_close(G(z), expected)


# Options


@pytest.mark.parametrize(
    ("size", "nearest"),
    [
        ((28, 28), "the nearest resolutions are 32 and 16"),
        ((48, 48), "the nearest resolutions are 32 and 64"),
        ((4, 4), "the nearest resolution is 8"),
        ((32, 64), "the nearest resolution is 64"),
        ((100, 100), "the nearest resolutions are 128 and 64"),
    ],
)
def test_a_size_that_cannot_be_built_is_refused_with_the_nearest_that_can(size: tuple[int, int], nearest: str) -> None:
    for refuse in (R3GAN().check, R3GAN().build):
        with pytest.raises(ValueError, match="cannot be built") as caught:
            refuse(ImageSpec(3, *size))
        assert str(caught.value) == (
            f"pictures of {size[0]}x{size[1]} cannot be built: they must be square, with a side of 8, 16, 32, 64 or "
            f"another power of two above; {nearest}"
        )


def test_widths_that_do_not_fit_the_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="channels has") as caught:
        small().check(ImageSpec(3, 32, 32))
    assert str(caught.value) == (
        "model.channels has 2 numbers, but pictures of 32x32 have 4 sizes of maps, 4x4 to 32x32; write 4 numbers, or "
        "one for all"
    )
    assert small(channels=8).widths(ImageSpec(3, 64, 64)) == (8,) * 5


def test_a_group_that_is_no_part_of_the_channels_is_refused_with_one_that_is() -> None:
    with pytest.raises(ValidationError) as caught:
        small(channels=[48, 20], group_size=16)
    assert (
        "group_size = 16 does not divide the 40 channels of a 3x3 convolution, twice the 20 of channels; choose a "
        "divisor, such as 10"
    ) in str(caught.value)


@pytest.mark.parametrize("option", ['"channels": 0', '"channels": []', '"blocks": 0', '"group_size": 0'])
def test_options_out_of_bounds_are_refused(option: str) -> None:
    with pytest.raises(ValidationError, match=option.split('"')[1]):
        R3GAN.model_validate_json(f"{{{option}}}")


def test_a_conditional_model_refuses_data_without_classes() -> None:
    with pytest.raises(ValueError, match="needs class labels, and this data has none; take model r3gan"):
        ConditionalR3GAN().build(ImageSpec(3, 8, 8))


# The loss

Array = np.ndarray[Any, np.dtype[np.float64]]


def networks() -> dict[str, nn.Module]:
    return {
        "generator": nn.Sequential(nn.Linear(3, 4), nn.Unflatten(1, (1, 2, 2))),
        "discriminator": nn.Sequential(nn.Flatten(), nn.Linear(4, 8), nn.Softplus(), nn.Linear(8, 1), nn.Flatten(0)),
    }


def batches(drawn: list[Batch]) -> Iterator[Batch]:
    for _ in count():
        drawn.append(Batch(torch.rand(6, 1, 2, 2) * 2 - 1, {"z": torch.randn(6, 3)}, ()))
        yield drawn[-1]


def test_the_losses_are_the_paper_s_equations_computed_by_hand() -> None:
    """Equation 2 with the sign turned, with R1 and R2; a small perceptron's slope by the chain rule."""
    parts, drawn = networks(), list[Batch]()
    state = parts["discriminator"].state_dict()  # follows the weights
    updates = R3GANLoss(gamma=0.7).updates(parts, batches(drawn), START)
    update = next(updates)
    batch, fakes = drawn[0], parts["generator"](drawn[0].inputs["z"])

    def logits_and_slopes(images: Tensor) -> tuple[Array, Array]:
        w1, b1, w2, b2 = (tensor.double().numpy() for tensor in state.values())
        hidden = images.detach().double().flatten(1).numpy() @ w1.T + b1
        slope = (w2[0] / (1 + np.exp(-hidden))) @ w1
        return np.log1p(np.exp(hidden)) @ w2[0] + b2[0], (slope**2).sum(1)

    (real, r1), (fake, r2) = logits_and_slopes(batch.real), logits_and_slopes(fakes)
    expected = np.log1p(np.exp(fake - real)).mean() + 0.7 / 2 * (r1.mean() + r2.mean())
    assert update.networks == "discriminator"
    assert update.loss.item() == pytest.approx(expected, rel=1e-5)
    stats = {name: value.item() for name, value in update.stats.items()}
    assert stats == pytest.approx(
        {
            "D(x)": real.mean(),
            "D(G(z))": fake.mean(),
            "sign(D(x))": np.sign(real).mean(),
            "r1": r1.mean(),
            "r2": r2.mean(),
        },
        rel=1e-4,
        abs=1e-6,
    )

    # The generator's, with the discriminator as its step has left it, and with the same pictures.
    with torch.no_grad():
        for parameter in parts["discriminator"].parameters():
            parameter.add_(0.1)
    update = next(updates)
    (real, _), (fake, _) = logits_and_slopes(batch.real), logits_and_slopes(fakes)
    assert update.networks == "generator"
    assert update.loss.item() == pytest.approx(np.log1p(np.exp(real - fake)).mean(), rel=1e-5)
    assert next(updates, None) is None
    assert len(drawn) == 1


def test_penalties_of_a_linear_discriminator_are_its_weight_squared_and_pull_it_to_0() -> None:
    """D(x) = w x: R1 = R2 = |w|^2, so that gamma / 2 (R1 + R2) = gamma |w|^2, whose gradient is 2 gamma w."""
    layer, drawn = nn.Linear(4, 1, bias=False), Batch(torch.rand(6, 1, 2, 2), {"z": torch.randn(6, 3)}, ())
    layer.weight.data = torch.tensor([[3.0, -1.0, 0.5, 2.0]])
    parts = networks() | {"discriminator": nn.Sequential(nn.Flatten(), layer, nn.Flatten(0))}
    gradients: list[Tensor] = []
    for gamma in (0.0, 0.25):
        update = next(R3GANLoss(gamma=gamma).updates(parts, iter([drawn]), START))
        assert update.stats["r1"].item() == pytest.approx(14.25)
        assert update.stats["r2"].item() == pytest.approx(14.25)
        gradients += torch.autograd.grad(update.loss, layer.weight)
    torch.testing.assert_close(gradients[1] - gradients[0], 2 * 0.25 * layer.weight.detach())


def test_a_discriminator_with_batchnorm_is_refused() -> None:
    parts = networks()
    parts["discriminator"] = nn.Sequential(parts["discriminator"], nn.BatchNorm1d(1))
    with pytest.raises(RecipeError, match=r"loss\.name: r3gan penalises .* has BatchNorm, .* choose one without"):
        next(R3GANLoss().updates(parts, batches([]), START))


def test_a_negative_gamma_is_refused() -> None:
    with pytest.raises(ValidationError, match="gamma"):
        R3GANLoss(gamma=-0.1)


# What every component must do

test_model = contract(R3GAN, options=[SMALL], images=[ImageSpec(1, 8, 8)], loss=R3GANLoss)
test_conditional_model = contract(ConditionalR3GAN, options=[SMALL], images=[ImageSpec(3, 8, 8)], loss=R3GANLoss)
test_loss = contract(R3GANLoss)


# In the host


@contextmanager
def installed() -> Iterator[None]:
    with isolated({"r3gan": R3GAN, "conditional_r3gan": ConditionalR3GAN}), isolated({"r3gan": R3GANLoss}):
        yield


@pytest.fixture
def _place() -> Iterator[None]:
    with installed():
        yield


def recipe(iterations: int) -> dict[str, Any]:
    return tiny_recipe(
        {
            "model": {"name": "r3gan", **SMALL},
            "loss": {"name": "r3gan"},
            "train": {"iterations": iterations},
        }
    )


@pytest.mark.usefixtures("_place")
def test_a_run_that_was_continued_ends_with_the_same_bits() -> None:
    at_once = ganlab.train(recipe(6), out="at-once")
    ganlab.train(recipe(3), out="in-two")
    continued = ganlab.train(recipe(6), out="in-two")
    files = [run.directory / "checkpoints/00000006/state.safetensors" for run in (at_once, continued)]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert at_once.generator.read_bytes() == continued.generator.read_bytes()


@pytest.mark.usefixtures("_place")
@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_dry_run_of_each_recipe_says_how_large_its_networks_are(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = load_recipe(path)
    classes = 1000 if "imagenet" in path.stem else 10
    images = image_spec(recipe.dataset, classes)
    data = f"dataset={{name='stripes', resolution={images.height}, channels={images.channels}, classes={classes}}}"
    monkeypatch.setattr(sys, "argv", ["ganlab", "run", str(path), "--dry-run", "--device", "cpu", "--set", data])
    main()
    counted = parameters(recipe.model, images)
    printed = capsys.readouterr().out
    assert f"generator: {counted['generator']:,} parameters" in printed
    assert f"discriminator: {counted['discriminator']:,} parameters" in printed


@pytest.mark.usefixtures("_place")
def test_a_wrong_resolution_is_found_in_the_recipe() -> None:
    with pytest.raises(RecipeError, match=r"dataset\.resolution = 28: pictures of 28x28 cannot be built"):
        parse_recipe(recipe(1) | {"dataset": {"name": "stripes", "resolution": 28}})


def test_importing_the_components_and_checking_a_size_imports_no_torch() -> None:
    script = (
        "import sys, ganlab_r3gan; from ganlab import ImageSpec; ganlab_r3gan.R3GANLoss(); "
        "ganlab_r3gan.R3GAN().check(ImageSpec(3, 64, 64)); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[1])
