"""SNGAN against the paper's tables, and against its blocks written by hand."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ganlab_sngan import SNGAN
from pydantic import ValidationError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

import ganlab
from ganlab import ImageSpec, RecipeError
from ganlab.recipe.recipe import load_recipe, parse_recipe
from ganlab.testing import contract, isolated, tiny_recipe

RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.toml"))
TINY = SNGAN(base_channels=1, latent_dim=3)
State = Mapping[str, Tensor]


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def layers(network: nn.Module, x: Tensor) -> list[tuple[str, tuple[int, ...], int]]:
    """Return (class, output shape, number of parameters) of each layer that `x` passes."""
    assert type(network) is nn.Sequential
    seen = []
    for layer in network:
        x = layer(x)
        name = type(layer).__name__.removeprefix("Parametrized")
        seen.append((name, tuple(x.shape), sum(p.numel() for p in layer.parameters())))
    return seen


@cache
def sketch(model: SNGAN, images: ImageSpec) -> dict[str, list[tuple[str, tuple[int, ...], int]]]:
    """Return the layers of both networks, from passes that compute shapes alone."""
    networks = {name: network.to("meta") for name, network in model.build(images).items()}
    return {
        "generator": layers(networks["generator"], torch.zeros(2, model.latent_dim, device="meta")),
        "discriminator": layers(networks["discriminator"], torch.zeros(2, *images[:3], device="meta")),
    }


def counts(model: SNGAN, images: ImageSpec) -> dict[str, int]:
    return {name: sum(count for *_, count in network) for name, network in sketch(model, images).items()}


# The paper's networks


def test_the_32_pixel_networks_are_the_paper_s_for_cifar10() -> None:
    """Table 4. Parameters by hand: a doubling block from b to a channels has 10ab + 9aa + 2b + 5a."""
    found = sketch(SNGAN(), ImageSpec(3, 32, 32))
    assert found["generator"] == [
        ("Linear", (2, 4096), 128 * 4096 + 4096),
        ("Unflatten", (2, 256, 4, 4), 0),
        ("Residual", (2, 256, 8, 8), 1_246_976),
        ("Residual", (2, 256, 16, 16), 1_246_976),
        ("Residual", (2, 256, 32, 32), 1_246_976),
        ("BatchNorm2d", (2, 256, 32, 32), 512),
        ("ReLU", (2, 256, 32, 32), 0),
        ("Conv2d", (2, 3, 32, 32), 256 * 3 * 9 + 3),
        ("Tanh", (2, 3, 32, 32), 0),
    ]
    assert found["discriminator"] == [
        ("Residual", (2, 128, 16, 16), 3 * 128 * 9 + 128 + 128 * 128 * 9 + 128 + 3 * 128 + 128),
        ("Residual", (2, 128, 8, 8), 2 * (128 * 128 * 9 + 128) + 128 * 128 + 128),
        ("Residual", (2, 128, 8, 8), 2 * (128 * 128 * 9 + 128)),
        ("Residual", (2, 128, 8, 8), 2 * (128 * 128 * 9 + 128)),
        ("ReLU", (2, 128, 8, 8), 0),
        ("SumPool", (2, 128), 0),
        ("Linear", (2, 1), 129),
        ("Flatten", (2,), 0),
    ]
    assert counts(SNGAN(), ImageSpec(3, 32, 32)) == {"generator": 4_276_739, "discriminator": 1_053_825}


def test_the_64_pixel_networks_are_its_authors() -> None:
    """The implementation that the paper points to; a discriminator's block from b to a has 9bb + 10ab + b + 2a."""
    found = sketch(SNGAN(), ImageSpec(3, 64, 64))
    assert found["generator"] == [
        ("Linear", (2, 16384), 128 * 16384 + 16384),
        ("Unflatten", (2, 1024, 4, 4), 0),
        ("Residual", (2, 512, 8, 8), 7_606_784),
        ("Residual", (2, 256, 16, 16), 1_902_848),
        ("Residual", (2, 128, 32, 32), 476_288),
        ("Residual", (2, 64, 64, 64), 119_360),
        ("BatchNorm2d", (2, 64, 64, 64), 128),
        ("ReLU", (2, 64, 64, 64), 0),
        ("Conv2d", (2, 3, 64, 64), 1731),
        ("Tanh", (2, 3, 64, 64), 0),
    ]
    assert found["discriminator"] == [
        ("Residual", (2, 64, 32, 32), 38_976),
        ("Residual", (2, 128, 16, 16), 119_104),
        ("Residual", (2, 256, 8, 8), 475_776),
        ("Residual", (2, 512, 4, 4), 1_901_824),
        ("Residual", (2, 1024, 2, 2), 7_604_736),
        ("ReLU", (2, 1024, 2, 2), 0),
        ("SumPool", (2, 1024), 0),
        ("Linear", (2, 1), 1025),
        ("Flatten", (2,), 0),
    ]
    assert counts(SNGAN(), ImageSpec(3, 64, 64)) == {"generator": 12_220_675, "discriminator": 10_141_441}


@pytest.mark.parametrize(
    ("side", "generator", "discriminator"),
    [
        # Table 6: ImageNet.
        (128, [1024, 512, 256, 128, 64], [(64, 64), (128, 32), (256, 16), (512, 8), (1024, 4), (1024, 4)]),
        # Beyond the paper: as many channels as it has at most, down to 4x4.
        (
            256,
            [1024, 1024, 512, 256, 128, 64],
            [(64, 128), (128, 64), (256, 32), (512, 16), (1024, 8), (1024, 4), (1024, 4)],
        ),
    ],
)
def test_larger_networks_go_on_as_the_paper_s(
    side: int, generator: list[int], discriminator: list[tuple[int, int]]
) -> None:
    found = sketch(SNGAN(base_channels=4), ImageSpec(3, side, side))
    blocks = {
        name: [(2, 16 * shape[1], *shape[2:]) for kind, shape, _ in network if kind == "Residual"]
        for name, network in found.items()
    }
    assert found["generator"][1][1] == (2, 1024 // 16, 4, 4)
    assert blocks["generator"] == [(2, c, 8 << index, 8 << index) for index, c in enumerate(generator)]
    assert blocks["discriminator"] == [(2, c, size, size) for c, size in discriminator]


@pytest.mark.parametrize("side", [32, 64])
def test_base_channels_scale_every_width(side: int) -> None:
    full, small = (sketch(SNGAN(base_channels=base), ImageSpec(1, side, side)) for base in (64, 8))
    for name, network in full.items():
        for (kind, shape, _), (small_kind, small_shape, _) in zip(network, small[name], strict=True):
            assert kind == small_kind
            # Pictures, logits and what they are computed from have the size they have.
            scale = 1 if len(shape) == 1 or shape[1] == 1 else 8
            assert (small_shape[0], *(n * scale for n in small_shape[1:2]), *small_shape[2:]) == shape


# The blocks


def normalised(state: State, prefix: str) -> tuple[Tensor, Tensor]:
    """Return a layer's weight over its spectral norm by the singular vectors of the state, and its bias."""
    weight = state[f"{prefix}.parametrizations.weight.original"]
    u, v = (state[f"{prefix}.parametrizations.weight.0.{name}"] for name in ("_u", "_v"))
    sigma = (u[:, None] * weight.flatten(1) * v).sum()
    return torch.div(weight, sigma), state[f"{prefix}.bias"]


def test_the_discriminator_is_the_paper_s_written_by_hand() -> None:
    D = TINY.build(ImageSpec(3, 32, 32))["discriminator"].eval()
    for parameter in D.parameters():
        nn.init.normal_(parameter, std=0.3)
    state = D.state_dict()

    def convolved(x: Tensor, prefix: str) -> Tensor:
        weight, bias = normalised(state, prefix)
        return functional.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)

    x = torch.randn(5, 3, 32, 32)
    # The first block: convolution, ReLU, convolution, means; the shortcut takes means first.
    h = functional.avg_pool2d(convolved(convolved(x, "0.residual.0").relu(), "0.residual.2"), 2)
    h = h + convolved(functional.avg_pool2d(x, 2), "0.shortcut.1")
    # The others: ReLU, convolution, ReLU, convolution, means; the shortcut is a convolution, then means.
    r = convolved(convolved(h.relu(), "1.residual.1").relu(), "1.residual.3")
    h = functional.avg_pool2d(r, 2) + functional.avg_pool2d(convolved(h, "1.shortcut.1"), 2)
    for block in (2, 3):
        h = convolved(convolved(h.relu(), f"{block}.residual.1").relu(), f"{block}.residual.3") + h
    weight, bias = normalised(state, "6")
    expected = h.relu().sum((2, 3)) @ weight[0] + bias
    torch.testing.assert_close(D(x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("training", [True, False])
def test_the_generator_is_the_paper_s_written_by_hand(training: bool) -> None:
    G = TINY.build(ImageSpec(3, 32, 32))["generator"]
    for name, tensor in G.state_dict().items():
        if tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5) if name.endswith(("running_var", "1.weight")) else tensor.normal_(std=0.3)
    G.train(training)
    state = {name: tensor.clone() for name, tensor in G.state_dict().items()}

    def batchnorm(x: Tensor, prefix: str) -> Tensor:
        if training:
            mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
        else:
            mean, variance = state[f"{prefix}.running_mean"], state[f"{prefix}.running_var"]
        normal = (x - mean[:, None, None]) / (variance[:, None, None] + 1e-5).sqrt()
        return normal * state[f"{prefix}.weight"][:, None, None] + state[f"{prefix}.bias"][:, None, None]

    def convolved(x: Tensor, prefix: str) -> Tensor:
        weight = state[f"{prefix}.weight"]
        return functional.conv2d(x, weight, state[f"{prefix}.bias"], padding=weight.shape[-1] // 2)

    def doubled(x: Tensor) -> Tensor:
        return x.repeat_interleave(2, 2).repeat_interleave(2, 3)

    z = torch.randn(4, 3)
    h = (z @ state["0.weight"].T + state["0.bias"]).reshape(4, 4, 4, 4)
    for block in ("2", "3", "4"):
        r = convolved(doubled(batchnorm(h, f"{block}.residual.0").relu()), f"{block}.residual.3")
        r = convolved(batchnorm(r, f"{block}.residual.4").relu(), f"{block}.residual.6")
        h = r + convolved(doubled(h), f"{block}.shortcut.0")  # doubled, then convolved, as the paper has it
    expected = convolved(batchnorm(h, "5").relu(), "7").tanh()
    with torch.no_grad():
        torch.testing.assert_close(G(z), expected, rtol=1e-3, atol=1e-4)


def test_every_layer_of_the_discriminator_and_none_of_the_generator_is_spectrally_normalised() -> None:
    networks = TINY.build(ImageSpec(1, 64, 64))
    kinds = (nn.Conv2d, nn.Linear)
    normalised = [layer for layer in networks["discriminator"].modules() if isinstance(layer, kinds)]
    assert len(normalised) == 3 + 4 * 3 + 1
    for _ in range(30):  # each pass in training is a step of the power iteration
        networks["discriminator"](torch.randn(2, 1, 64, 64))
    for layer in normalised:
        norm = torch.linalg.matrix_norm(layer.weight.flatten(1), ord=2)
        assert norm.item() == pytest.approx(1.0, abs=0.05)
    assert not any("parametrizations" in name for name in networks["generator"].state_dict())


def test_singular_vectors_move_in_training_only() -> None:
    D = TINY.build(ImageSpec(1, 32, 32))["discriminator"]
    for parameter in D.parameters():
        nn.init.normal_(parameter)
    x = torch.randn(2, 1, 32, 32)
    for training in (False, True):
        before = {name: tensor.clone() for name, tensor in D.state_dict().items() if name.endswith(("_u", "_v"))}
        D.train(training)(x)
        moved = [not torch.equal(tensor, D.state_dict()[name]) for name, tensor in before.items() if len(tensor) > 1]
        assert all(moved) if training else not any(moved)


def test_initial_weights_are_glorot_s_with_the_authors_gains() -> None:
    networks = SNGAN(base_channels=8).build(ImageSpec(3, 32, 32))
    seen = 0
    for name, tensor in nn.ModuleDict(networks).named_parameters():
        if name.endswith("bias"):
            assert not tensor.any()
        elif tensor.ndim > 1:
            fans = (tensor.shape[0] + tensor.shape[1]) * tensor[0, 0].numel()
            gain = np.sqrt(2) if "residual" in name else 1.0
            bound = gain * np.sqrt(6 / fans)
            assert tensor.abs().max() <= bound
            assert tensor.abs().max() > 0.85 * bound
            seen += 1
        else:
            assert (tensor == 1).all(), "BatchNorm's scales"
    assert seen == (1 + 3 * 3 + 1) + (3 + 3 + 2 + 2 + 1)


# What every model must do

test_contract = contract(SNGAN, options=[{"base_channels": 1, "latent_dim": 4}], images=[ImageSpec(1, 32, 32)])


@pytest.mark.parametrize(("side", "channels"), [(32, 1), (32, 3), (64, 3), (128, 1)])
def test_pictures_come_out_in_range_and_logits_one_each(side: int, channels: int) -> None:
    networks = TINY.build(ImageSpec(channels, side, side))
    images = networks["generator"](100 * torch.randn(2, 3))
    assert images.shape == (2, channels, side, side)
    assert images.dtype == torch.float32
    assert images.abs().max() <= 1.0
    assert networks["discriminator"](images).shape == (2,)


@pytest.mark.parametrize("side", [32, 64])
def test_every_parameter_gets_a_gradient_and_channels_last_trains_the_same(side: int) -> None:
    model = SNGAN(base_channels=2, latent_dim=3)
    gradients = []
    for layout in (torch.contiguous_format, torch.channels_last):
        torch.manual_seed(0)
        networks = nn.ModuleDict(model.build(ImageSpec(3, side, side))).to(memory_format=layout)
        networks["discriminator"](networks["generator"](torch.randn(4, 3))).sigmoid().sum().backward()
        gradients.append({name: parameter.grad for name, parameter in networks.named_parameters()})
    # A bias before BatchNorm is subtracted again: what is left of its gradient is rounding.
    without_effect = ("residual.3.bias",)
    for name, gradient in gradients[0].items():
        assert gradient is not None
        assert gradient.abs().max() > 0 or (name.startswith("generator") and name.endswith(without_effect)), name
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-3, atol=1e-4)


def test_a_gradient_penalty_can_be_taken_through_the_normalisation() -> None:
    D = TINY.build(ImageSpec(1, 32, 32))["discriminator"]
    x = torch.randn(2, 1, 32, 32, requires_grad=True)
    (slope,) = torch.autograd.grad(D(x).sum(), x, create_graph=True)
    slope.square().sum().backward()
    weights = [parameter for name, parameter in D.named_parameters() if name.endswith("original")]
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in weights)


@pytest.mark.parametrize(
    ("size", "nearest"),
    [
        ((28, 28), "the nearest resolution is 32"),
        ((48, 48), "the nearest resolutions are 32 and 64"),
        ((60, 60), "the nearest resolutions are 64 and 32"),
        ((32, 64), "the nearest resolutions are 32 and 64"),
        ((100, 100), "the nearest resolutions are 128 and 64"),
        ((1, 1), "the nearest resolution is 32"),
    ],
)
def test_a_size_that_cannot_be_built_is_refused_with_the_nearest_that_can(size: tuple[int, int], nearest: str) -> None:
    for refuse in (TINY.check, TINY.build):
        with pytest.raises(ValueError, match="pictures of") as caught:
            refuse(ImageSpec(3, *size))
        assert str(caught.value) == (
            f"pictures of {size[0]}x{size[1]} cannot be built: they must be square, with a side of 32, 64, 128 or "
            f"another power of two above; {nearest}"
        )


@pytest.mark.parametrize("option", ['"base_channels": 0', '"latent_dim": 0', '"spectral_norm": false'])
def test_options_out_of_bounds_are_refused(option: str) -> None:
    with pytest.raises(ValidationError, match=option.split('"')[1]):
        SNGAN.model_validate_json(f"{{{option}}}")


# In the host


@pytest.fixture(autouse=True, scope="module")
def _place() -> Iterator[None]:
    with isolated({"sngan": SNGAN}):
        yield


def recipe(iterations: int) -> dict[str, Any]:
    model = {"name": "sngan", "base_channels": 1, "latent_dim": 3}
    return tiny_recipe({"model": model, "dataset": {"resolution": 32}, "train": {"iterations": iterations}})


def test_a_run_that_was_continued_ends_with_the_same_bits() -> None:
    at_once = ganlab.train(recipe(6), out="at-once")
    ganlab.train(recipe(3), out="in-two")
    continued = ganlab.train(recipe(6), out="in-two")
    files = [run.directory / "checkpoints/00000006/state.safetensors" for run in (at_once, continued)]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert at_once.generator.read_bytes() == continued.generator.read_bytes()

    # The singular vectors are in the checkpoint, and what is shipped is the average of the generator's weights.
    state, shipped = load_file(files[0]), load_file(at_once.generator)
    vectors = [name for name in state if name.endswith(("weight.0._u", "weight.0._v"))]
    assert len(vectors) == 2 * 11
    averages = {name.removeprefix("average/"): tensor for name, tensor in state.items() if name.startswith("average/")}
    assert averages.keys() == {name for name in shipped if "running" not in name and "num_batches" not in name}
    for name, tensor in averages.items():
        assert torch.equal(tensor, shipped[name])
        if name.endswith("weight"):
            assert not torch.equal(tensor, state[f"networks/generator/{name}"])


def test_a_wrong_resolution_is_found_in_the_recipe() -> None:
    with pytest.raises(RecipeError, match=r"dataset\.resolution = 28: pictures of 28x28 cannot be built"):
        parse_recipe(recipe(1) | {"dataset": {"name": "stripes", "resolution": 28}})


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_each_recipe_trains(path: Path) -> None:
    losses = pytest.importorskip("ganlab_gan_losses", reason="the recipe takes its loss from ganlab-gan-losses")
    small = ["dataset={name='stripes', resolution=32}", "model.base_channels=1", "train.iterations=1"]
    with isolated({"hinge": losses.Hinge}):
        assert load_recipe(path).table["model"]["name"] == "sngan"
        run = ganlab.train(path, overrides=[*small, "train.batch_size=8", "observers.terminal.mode=off"])
        assert run.iterations == 1


def test_importing_the_model_and_checking_a_size_imports_no_torch() -> None:
    script = (
        "import sys, ganlab_sngan; from ganlab import ImageSpec; "
        "ganlab_sngan.SNGAN().check(ImageSpec(3, 64, 64)); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[1])
