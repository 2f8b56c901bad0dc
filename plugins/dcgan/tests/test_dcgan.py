"""DCGAN against the published networks, and every resolution that it promises."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise

import pytest
import torch
from ganlab_dcgan import DCGAN
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor, nn

from ganlab import ImageSpec, RecipeError, fold_batchnorm

COURSE_PROJECT = DCGAN(
    base_channels=32, start=2, projection="linear", projection_batchnorm=False, projection_relu=False, head="linear"
)
TINY = DCGAN(base_channels=2, latent_dim=3)

# Written apart from the plugin: a start of 2 to 8 on each side, doubled 2 to 7 times.
LEGAL = {(a * 2**n, b * 2**n) for n in range(2, 8) for a in range(2, 9) for b in range(2, 9)}


def sequence(network: nn.Module) -> list[nn.Module]:
    assert type(network) is nn.Sequential
    return list(network)


def layers(network: nn.Module, x: Tensor) -> list[tuple[str, tuple[int, ...], int]]:
    """Return (class, output shape, number of parameters) of each layer that `x` passes."""
    seen = []
    for layer in sequence(network):
        x = layer(x)
        seen.append((type(layer).__name__, tuple(x.shape), sum(p.numel() for p in layer.parameters())))
    return seen


def total(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def test_the_paper_s_64_pixel_networks_layer_by_layer() -> None:
    networks = DCGAN().build(ImageSpec(3, 64, 64))
    assert layers(networks["generator"], torch.zeros(2, 100)) == [
        ("Unflatten", (2, 100, 1, 1), 0),
        ("PixelConvTranspose2d", (2, 512, 4, 4), 819_200),
        ("BatchNorm2d", (2, 512, 4, 4), 1024),
        ("ReLU", (2, 512, 4, 4), 0),
        ("ConvTranspose2d", (2, 256, 8, 8), 2_097_152),
        ("BatchNorm2d", (2, 256, 8, 8), 512),
        ("ReLU", (2, 256, 8, 8), 0),
        ("ConvTranspose2d", (2, 128, 16, 16), 524_288),
        ("BatchNorm2d", (2, 128, 16, 16), 256),
        ("ReLU", (2, 128, 16, 16), 0),
        ("ConvTranspose2d", (2, 64, 32, 32), 131_072),
        ("BatchNorm2d", (2, 64, 32, 32), 128),
        ("ReLU", (2, 64, 32, 32), 0),
        ("ConvTranspose2d", (2, 3, 64, 64), 3072),
        ("Tanh", (2, 3, 64, 64), 0),
    ]
    assert layers(networks["discriminator"], torch.zeros(2, 3, 64, 64)) == [
        ("Conv2d", (2, 64, 32, 32), 3072),
        ("LeakyReLU", (2, 64, 32, 32), 0),
        ("Conv2d", (2, 128, 16, 16), 131_072),
        ("BatchNorm2d", (2, 128, 16, 16), 256),
        ("LeakyReLU", (2, 128, 16, 16), 0),
        ("Conv2d", (2, 256, 8, 8), 524_288),
        ("BatchNorm2d", (2, 256, 8, 8), 512),
        ("LeakyReLU", (2, 256, 8, 8), 0),
        ("Conv2d", (2, 512, 4, 4), 2_097_152),
        ("BatchNorm2d", (2, 512, 4, 4), 1024),
        ("LeakyReLU", (2, 512, 4, 4), 0),
        ("WholeConv2d", (2, 1, 1, 1), 8192),
        ("Flatten", (2,), 0),
    ]
    assert total(networks["generator"]) == 3_576_704
    assert total(networks["discriminator"]) == 2_765_568


def test_the_course_project_s_32_pixel_networks_layer_by_layer() -> None:
    networks = COURSE_PROJECT.build(ImageSpec(3, 32, 32))
    assert layers(networks["generator"], torch.zeros(2, 100)) == [
        ("Linear", (2, 1024), 103_424),
        ("Unflatten", (2, 256, 2, 2), 0),
        ("ConvTranspose2d", (2, 128, 4, 4), 524_288),
        ("BatchNorm2d", (2, 128, 4, 4), 256),
        ("ReLU", (2, 128, 4, 4), 0),
        ("ConvTranspose2d", (2, 64, 8, 8), 131_072),
        ("BatchNorm2d", (2, 64, 8, 8), 128),
        ("ReLU", (2, 64, 8, 8), 0),
        ("ConvTranspose2d", (2, 32, 16, 16), 32_768),
        ("BatchNorm2d", (2, 32, 16, 16), 64),
        ("ReLU", (2, 32, 16, 16), 0),
        ("ConvTranspose2d", (2, 3, 32, 32), 1536),
        ("Tanh", (2, 3, 32, 32), 0),
    ]
    assert layers(networks["discriminator"], torch.zeros(2, 3, 32, 32)) == [
        ("Conv2d", (2, 32, 16, 16), 1536),
        ("LeakyReLU", (2, 32, 16, 16), 0),
        ("Conv2d", (2, 64, 8, 8), 32_768),
        ("BatchNorm2d", (2, 64, 8, 8), 128),
        ("LeakyReLU", (2, 64, 8, 8), 0),
        ("Conv2d", (2, 128, 4, 4), 131_072),
        ("BatchNorm2d", (2, 128, 4, 4), 256),
        ("LeakyReLU", (2, 128, 4, 4), 0),
        ("Conv2d", (2, 256, 2, 2), 524_288),
        ("BatchNorm2d", (2, 256, 2, 2), 512),
        ("LeakyReLU", (2, 256, 2, 2), 0),
        ("Flatten", (2, 1024), 0),
        ("Linear", (2, 1), 1025),
        ("Flatten", (2,), 0),
    ]
    assert total(networks["generator"]) == 793_536
    assert total(networks["discriminator"]) == 691_585


@pytest.mark.parametrize(
    ("projection", "batchnorm", "relu", "expected"),
    [
        ("conv", True, True, [("Unflatten", 0), ("PixelConvTranspose2d", 192), ("BatchNorm2d", 8), ("ReLU", 0)]),
        ("conv", False, True, [("Unflatten", 0), ("PixelConvTranspose2d", 192), ("ReLU", 0)]),
        ("linear", True, True, [("Linear", 192), ("Unflatten", 0), ("BatchNorm2d", 8), ("ReLU", 0)]),
        ("linear", True, False, [("Linear", 192), ("Unflatten", 0), ("BatchNorm2d", 8)]),
        ("linear", False, True, [("Linear", 256), ("Unflatten", 0), ("ReLU", 0)]),
    ],
)
def test_the_four_projections(projection: str, batchnorm: bool, relu: bool, expected: list[tuple[str, int]]) -> None:
    options = {"projection": projection, "projection_batchnorm": batchnorm, "projection_relu": relu}
    model = DCGAN.model_validate({"base_channels": 2, "latent_dim": 3, **options})
    found = layers(model.build(ImageSpec(1, 16, 16))["generator"], torch.zeros(2, 3))
    assert [(name, count) for name, _, count in found[: len(expected)]] == expected
    assert found[len(expected)] == ("ConvTranspose2d", (2, 2, 8, 8), 4 * 2 * 16)


@pytest.mark.parametrize(
    ("height", "width", "start"),
    [
        (8, 8, (2, 2)),
        (16, 16, (4, 4)),
        (24, 24, (6, 6)),
        (28, 28, (7, 7)),
        (32, 32, (4, 4)),
        (48, 64, (3, 4)),
        (64, 64, (4, 4)),
        (96, 96, (6, 6)),
        (128, 128, (4, 4)),
        (128, 32, (8, 2)),
    ],
)
@pytest.mark.parametrize(("channels", "head"), [(1, "conv"), (3, "linear")])
def test_resolutions_start_where_they_should_and_come_out_in_range(
    height: int, width: int, start: tuple[int, int], channels: int, head: str
) -> None:
    model = DCGAN.model_validate({"base_channels": 2, "latent_dim": 3, "head": head})
    networks = model.build(ImageSpec(channels, height, width))
    assert layers(networks["generator"], torch.zeros(2, 3))[1][1][2:] == start
    images = networks["generator"](100 * torch.randn(2, 3))
    assert images.shape == (2, channels, height, width)
    assert images.dtype == torch.float32
    assert images.abs().max() <= 1.0
    assert networks["discriminator"](images).shape == (2,)


@pytest.mark.parametrize(
    "options", [{}, {"projection": "linear", "projection_batchnorm": False, "head": "linear"}, {"head_channels": 6}]
)
def test_every_parameter_gets_a_gradient_and_channels_last_trains_the_same(options: dict[str, object]) -> None:
    model = DCGAN.model_validate({"base_channels": 4, "latent_dim": 5, **options})
    gradients = []
    for layout in (torch.contiguous_format, torch.channels_last):
        torch.manual_seed(0)
        networks = nn.ModuleDict(model.build(ImageSpec(3, 28, 28))).to(memory_format=layout)
        networks["discriminator"](networks["generator"](torch.randn(4, 5))).sigmoid().sum().backward()
        gradients.append({name: parameter.grad for name, parameter in networks.named_parameters()})
    assert all(gradient is not None and gradient.abs().max() > 0 for gradient in gradients[0].values())
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-5)


def test_a_discriminator_without_batchnorm_has_biases_in_its_place() -> None:
    torch.manual_seed(0)
    network = DCGAN(base_channels=2, discriminator_batchnorm=False).build(ImageSpec(3, 32, 32))["discriminator"]
    assert layers(network, torch.zeros(2, 3, 32, 32)) == [
        ("Conv2d", (2, 2, 16, 16), 96),
        ("LeakyReLU", (2, 2, 16, 16), 0),
        ("Conv2d", (2, 4, 8, 8), 132),
        ("LeakyReLU", (2, 4, 8, 8), 0),
        ("Conv2d", (2, 8, 4, 4), 520),
        ("LeakyReLU", (2, 8, 4, 4), 0),
        ("WholeConv2d", (2, 1, 1, 1), 128),
        ("Flatten", (2,), 0),
    ]
    images = torch.rand(6, 3, 32, 32)
    assert torch.allclose(network(images)[:2], network(images[:2]), rtol=1e-4), "each picture by itself"


@pytest.mark.parametrize(
    ("head", "logit"), [("conv", ("WholeConv2d", (2, 1, 1, 1), 5)), ("linear", ("Linear", (2, 1), 6))]
)
def test_a_hidden_layer_before_the_logit_sees_the_whole_map(head: str, logit: tuple[str, tuple[int, ...], int]) -> None:
    model = DCGAN.model_validate({"base_channels": 4, "discriminator_channels": 2, "head_channels": 5, "head": head})
    networks = model.build(ImageSpec(3, 16, 24))
    found = layers(networks["discriminator"], torch.zeros(2, 3, 16, 24))
    assert found[:5] == [
        ("Conv2d", (2, 2, 8, 12), 96),
        ("LeakyReLU", (2, 2, 8, 12), 0),
        ("Conv2d", (2, 4, 4, 6), 128),
        ("BatchNorm2d", (2, 4, 4, 6), 8),
        ("LeakyReLU", (2, 4, 4, 6), 0),
    ]
    assert found[5:8] == [
        ("WholeConv2d", (2, 5, 1, 1), 4 * 4 * 6 * 5),
        ("PixelBatchNorm2d", (2, 5, 1, 1), 10),
        ("LeakyReLU", (2, 5, 1, 1), 0),
    ]
    assert [layer for layer in found[8:] if layer[0] != "Flatten"] == [logit]
    assert found[-1] == ("Flatten", (2,), 0)
    assert layers(networks["generator"], torch.zeros(2, 100))[4][1] == (2, 4, 8, 12), "as wide as base_channels say"


def test_the_hidden_layer_judges_parts_of_a_picture_together() -> None:
    """Without it, what a change here and a change there do to the logit adds up; BatchNorm would hide that."""
    images = torch.zeros(4, 1, 32, 32)
    images[1::2, :, :8, :8] = 1.0  # two corners so far apart that no convolution sees both
    images[2:, :, 24:, 24:] = 1.0
    for channels, adds_up in ((0, True), (8, False)):
        torch.manual_seed(0)
        model = DCGAN(base_channels=4, start=4, discriminator_batchnorm=False, head_channels=channels)
        network = model.build(ImageSpec(1, 32, 32))["discriminator"].double()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.mul_(10.0)  # so that the second layer bends, too
            nothing, here, there, both = network(images.double())
        together = (both - here - there + nothing).abs() / (both - nothing).abs()
        assert (together < 1e-9) == adds_up


def test_a_hidden_layer_needs_two_pictures_where_it_has_batchnorm() -> None:
    images = torch.zeros(1, 1, 16, 16)
    for batchnorm in (True, False):
        model = DCGAN(base_channels=2, head_channels=4, discriminator_batchnorm=batchnorm)
        network = model.build(ImageSpec(1, 16, 16))["discriminator"]
        if batchnorm:
            with pytest.raises(RecipeError) as caught:
                network(images)
            assert str(caught.value) == (
                "model.head_channels: BatchNorm after the hidden layer takes its mean over the pictures of a batch, "
                "and this batch has one; take two or more on each device with train.batch_size, or "
                "discriminator_batchnorm = false"
            )
            network.eval()
        assert network(images).shape == (1,)


def test_initial_weights_follow_the_tutorial() -> None:
    torch.manual_seed(0)
    networks = DCGAN(projection="linear", projection_batchnorm=False, head="linear").build(ImageSpec(3, 32, 32))
    kernels: list[Tensor] = []
    scales: list[Tensor] = []
    for layer in nn.ModuleDict(networks).modules():
        if isinstance(layer, nn.BatchNorm2d):
            scales.append(layer.weight.detach())
            assert not layer.bias.any()
        elif isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            kernels.append(layer.weight.detach())
            assert kernels[-1].mean().abs() < 0.002
            assert kernels[-1].std() == pytest.approx(0.02, rel=0.1)
            assert layer.bias is None or not layer.bias.any()
    assert len(kernels) == 8
    assert torch.cat(scales).mean() == pytest.approx(1.0, abs=0.005)
    assert torch.cat(scales).std() == pytest.approx(0.02, rel=0.15)


def test_the_same_seed_draws_the_same_weights() -> None:
    first: list[Tensor] = []
    second: list[Tensor] = []
    other: list[Tensor] = []
    for seed, values in ((7, first), (7, second), (8, other)):
        torch.manual_seed(seed)
        values += [
            parameter for network in TINY.build(ImageSpec(1, 8, 8)).values() for parameter in network.parameters()
        ]
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, other, strict=True) if a.any())


def test_batchnorm_stands_where_it_can_be_folded_and_never_at_the_borders() -> None:
    for options in ({}, {"projection": "linear"}, {"generator_dropout": 0.5, "discriminator_dropout": 0.5}):
        networks = DCGAN.model_validate({"base_channels": 2, **options}).build(ImageSpec(3, 32, 32))
        for network in networks.values():
            before = {type(a).__name__ for a, b in pairwise(sequence(network)) if isinstance(b, nn.BatchNorm2d)}
            assert before <= {"Conv2d", "ConvTranspose2d", "PixelConvTranspose2d", "Unflatten"}
            assert not any(isinstance(layer, nn.BatchNorm2d) for layer in fold_batchnorm(network).modules())
        assert [type(layer).__name__ for layer in sequence(networks["discriminator"])][:2] == ["Conv2d", "LeakyReLU"]
        assert [type(layer).__name__ for layer in sequence(networks["generator"])][-2:] == ["ConvTranspose2d", "Tanh"]


def test_dropout_follows_every_hidden_activation_and_rests_outside_training() -> None:
    model = DCGAN(base_channels=2, latent_dim=3, generator_dropout=0.25, discriminator_dropout=0.5, head_channels=4)
    networks = model.build(ImageSpec(1, 16, 16))
    for name, activation, probability, count in (
        ("generator", nn.ReLU, 0.25, 2),
        ("discriminator", nn.LeakyReLU, 0.5, 3),
    ):
        network = sequence(networks[name])
        after = [b for a, b in pairwise(network) if isinstance(a, activation)]
        assert len(after) == count
        assert all(isinstance(layer, nn.Dropout) and layer.p == probability for layer in after)
    z = torch.randn(4, 3)
    generator = networks["generator"]
    assert not torch.equal(generator(z), generator(z))
    generator.eval()
    assert torch.equal(generator(z), generator(z))


def test_leaky_relu_has_slope_one_fifth() -> None:
    slopes = [layer for layer in TINY.build(ImageSpec(1, 16, 16))["discriminator"].modules() if "Leaky" in repr(layer)]
    assert torch.equal(slopes[-1](torch.tensor([-1.0, 2.0])), torch.tensor([-0.2, 2.0]))


@pytest.mark.parametrize(
    ("size", "sentence"),
    [
        (
            (100, 100),
            "pictures of 100x100 cannot be built: each side must be 2 to 8 times the same power of two, 4 or more; "
            "the nearest resolutions are 96, 112 and 80",
        ),
        (
            (50, 70),
            "pictures of 50x70 cannot be built: each side must be 2 to 8 times the same power of two, 4 or more; "
            "the nearest resolutions are [48, 64], [48, 80] and [56, 64]",
        ),
        (
            (1, 1),
            "pictures of 1x1 cannot be built: each side must be 2 to 8 times the same power of two, 4 or more; "
            "the nearest resolutions are 8, 12 and 16",
        ),
        (
            (32, 256),
            "pictures of 32x256 cannot be built: each side must be 2 to 8 times the same power of two, 4 or more; "
            "the nearest resolutions are [64, 256], [64, 224] and [96, 256]",
        ),
    ],
)
def test_a_size_that_cannot_be_built_is_refused_with_the_nearest_that_can(size: tuple[int, int], sentence: str) -> None:
    for refuse in (TINY.check, TINY.build):
        with pytest.raises(ValueError, match="pictures of") as caught:
            refuse(ImageSpec(3, *size))
        assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("start", "size", "sentence"),
    [
        (5, (32, 32), "start = 5 does not fit pictures of 32x32; use 2, 4 or 8, or leave it out"),
        (4, (28, 28), "start = 4 does not fit pictures of 28x28; use 7, or leave it out"),
        (4, (48, 64), "start = 4 does not fit pictures of 48x64; use [3, 4] or [6, 8], or leave it out"),
        ((4, 3), (48, 64), "start = [4, 3] does not fit pictures of 48x64; use [3, 4] or [6, 8], or leave it out"),
    ],
)
def test_a_start_that_does_not_fit_is_refused_with_those_that_do(
    start: int | tuple[int, int], size: tuple[int, int], sentence: str
) -> None:
    with pytest.raises(ValueError, match="pictures of") as caught:
        DCGAN(start=start).check(ImageSpec(3, *size))
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    "options",
    [
        "start = 9",
        "start = 1",
        "start = [4]",
        "generator_dropout = 1.0",
        "discriminator_dropout = -0.1",
        "base_channels = 0",
        "discriminator_channels = 0",
        "head_channels = -1",
    ],
)
def test_options_out_of_bounds_are_refused(options: str) -> None:
    key, value = options.split(" = ")
    with pytest.raises(ValidationError, match=key):
        DCGAN.model_validate_json(f'{{"{key}": {value}}}')


sides = st.integers(1, 72)
starts = st.none() | st.integers(2, 8) | st.tuples(st.integers(2, 8), st.integers(2, 8))


@settings(max_examples=60, deadline=None)
@given(size=st.sampled_from(sorted(s for s in LEGAL if max(s) <= 64)) | st.tuples(sides, sides), start=starts)
def test_check_passes_exactly_where_the_networks_can_be_built(
    size: tuple[int, int], start: int | tuple[int, int] | None
) -> None:
    model = DCGAN(base_channels=1, latent_dim=2, start=start)
    images = ImageSpec(1, *size)
    a, b = (start, start) if isinstance(start, int) else start or (0, 0)
    if size in (LEGAL if start is None else {(a * 2**n, b * 2**n) for n in range(2, 8)}):
        model.check(images)
        networks = model.build(images)
        fake = networks["generator"](torch.zeros(2, 2))
        assert fake.shape == (2, 1, *size)
        assert networks["discriminator"](fake).shape == (2,)
    else:
        for refuse in (model.check, model.build):
            with pytest.raises(ValueError, match="pictures of"):
                refuse(images)


@given(st.tuples(st.integers(1, 300), st.integers(1, 300)).filter(lambda size: size not in LEGAL))
def test_the_sizes_that_a_refusal_names_are_the_nearest(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="cannot be built") as caught:
        TINY.check(ImageSpec(1, *size))
    named = caught.value.args[0].rpartition(" are ")[2].replace(" and ", ", ")
    found = [(one, one) if isinstance(one, int) else tuple(one) for one in json.loads(f"[{named}]")]
    square = size[0] == size[1]
    distances = sorted(abs(h - size[0]) + abs(w - size[1]) for h, w in LEGAL if not square or h == w)
    assert LEGAL.issuperset(found)
    assert [abs(h - size[0]) + abs(w - size[1]) for h, w in found] == distances[:3]


def test_checking_needs_no_torch() -> None:
    program = (
        "import sys; from ganlab import ImageSpec; from ganlab_dcgan import DCGAN; "
        "DCGAN().check(ImageSpec(3, 64, 64)); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
