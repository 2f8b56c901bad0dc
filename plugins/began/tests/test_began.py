"""BEGAN's equations against arithmetic in plain numbers, its networks layer by layer, and both in the host."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from ganlab_began import BEGAN, Equilibrium
from safetensors.numpy import load_file
from synchronisations import Synchronisations
from torch import Tensor, nn

import ganlab
from ganlab import Batch, ImageSpec, Iteration, RecipeError
from ganlab.recipe.recipe import load_recipe, parse_recipe
from ganlab.testing import contract, isolated, tiny_recipe

RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.toml"))
IMAGES = ImageSpec(1, 16, 16)
TINY: dict[str, Any] = {"latent_dim": 3, "base_channels": 2, "layers": 1}
START = Iteration(0, torch.tensor(0.0))


class Plus(nn.Module):
    """Adds one weight to what comes in, so that every loss is a sum that can be done by hand."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.weight


class Times(nn.Module):
    """Multiplies by a weight: the autoencoder leaves |v| |1 - weight| of a picture v."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


def play(
    loss: Equilibrium, iterations: int, lr: float, pictures: list[tuple[float, float]]
) -> tuple[list[dict[str, float]], dict[str, Any]]:
    """Play with pictures of one pixel: x and z by turns; plain gradient steps. Return what is logged, and the end."""
    networks: dict[str, Any] = {"generator": Plus(0.5), "autoencoder": Times(0.25), **loss.build(IMAGES)}

    def batches() -> Iterator[Batch]:
        for x, z in itertools.cycle(pictures):
            yield Batch(torch.full((2, 1, 1, 1), x).double(), {"z": torch.full((2, 1, 1, 1), z).double()}, ())

    drawn, logged = batches(), []
    for _ in range(iterations):
        stats: dict[str, float] = {}
        for update in loss.updates(networks, drawn, START):
            assert isinstance(update.networks, str)
            (weight,) = networks[update.networks].parameters()
            (gradient,) = torch.autograd.grad(update.loss, weight)
            with torch.no_grad():
                weight.sub_(lr * gradient)
            stats |= {name: value.item() for name, value in update.stats.items()}
        logged.append(stats)
    return logged, networks


def sign(value: float) -> float:
    return (value > 0) - (value < 0)


def test_losses_k_and_m_are_the_paper_s() -> None:
    gamma, lambda_k, lr = 0.7, 0.3, 0.05
    pictures = [(0.9, 0.1), (0.4, -0.2), (0.7, 0.3)]
    loss = Equilibrium(gamma=gamma, lambda_k=lambda_k, patience=100)
    logged, networks = play(loss, 40, lr, pictures)
    # The same with numbers: equations of section 3.4 and 3.4.1, and derivatives by hand.
    G, D, k, ks = 0.5, 0.25, 0.0, []
    for stats, (x, z) in zip(logged, itertools.cycle(pictures), strict=False):
        fake = z + G
        real_loss, fake_loss = abs(x - D * x), abs(fake - D * fake)
        ks.append(k)
        assert stats["k"] == pytest.approx(k, abs=1e-5)
        assert stats["L(x)"] == pytest.approx(real_loss, abs=1e-5)
        assert stats["L(G(z))"] == pytest.approx(fake_loss, abs=1e-5)
        assert stats["M"] == pytest.approx(real_loss + abs(gamma * real_loss - fake_loss), abs=1e-5)
        # d|v - D v| / dD = -v sign(v - D v)
        D -= lr * (-x * sign(x - D * x) - k * -fake * sign(fake - D * fake))
        # d|(z + G) (1 - D)| / dG = (1 - D) sign((z + G) (1 - D))
        G -= lr * (1 - D) * sign(fake * (1 - D))
        k = min(1.0, max(0.0, k + lambda_k * (gamma * real_loss - fake_loss)))
    assert networks["equilibrium"].k.item() == pytest.approx(k, abs=1e-5)
    assert networks["generator"].weight.item() == pytest.approx(G, abs=1e-5)
    assert networks["autoencoder"].weight.item() == pytest.approx(D, abs=1e-5)
    assert min(ks) == 0.0, "k has been held at its lower end"
    assert max(ks) > 0.01, "and has moved"


def test_k_ends_at_1() -> None:
    # Generated pictures of 0 cost nothing, so all that is left over goes into k.
    logged, _ = play(Equilibrium(lambda_k=10.0), 3, 0.0, [(1.0, -0.5)])
    assert [stats["k"] for stats in logged] == [0.0, 1.0, 1.0]


def test_the_learning_rate_falls_where_m_is_no_lower_over_its_patience() -> None:
    # Without steps M depends on the picture alone: L(x) = 0.75 x, G(z) = 0. Means over 3: falls, falls, stays, rises.
    reals = [0.9, 0.6, 0.6, 0.5, 0.5, 0.5, 0.3, 0.6, 0.6, 0.9, 0.9, 0.9, 0.1]
    logged, _ = play(Equilibrium(patience=3, lr_factor=0.5), 13, 0.0, [(x, -0.5) for x in reals])
    assert [stats["lr_factor"] for stats in logged] == [1.0] * 9 + [0.5] * 3 + [0.25]


@pytest.mark.parametrize("factor", [1.0, 0.25])
def test_steps_are_those_of_a_smaller_learning_rate(factor: float) -> None:
    """The factor is exact for Adam, too: beside a run whose learning rate is as much smaller from the start."""

    def ends(lr: float, factor: float) -> list[Tensor]:
        torch.manual_seed(0)
        loss = Equilibrium()
        networks: dict[str, Any] = BEGAN(**TINY).build(IMAGES) | loss.build(IMAGES)
        networks["equilibrium"].lr_factor.fill_(factor)
        adams = {name: torch.optim.Adam(networks[name].parameters(), lr=lr) for name in loss.networks}
        batches = (
            Batch(torch.rand(4, 1, 16, 16) * 2 - 1, {"z": torch.rand(4, 3) * 2 - 1}, ()) for _ in itertools.count()
        )
        for _ in range(5):
            for update in loss.updates(networks, batches, START):
                assert isinstance(update.networks, str)
                network = networks[update.networks]
                gradients = torch.autograd.grad(update.loss, list(network.parameters()))
                for weight, gradient in zip(network.parameters(), gradients, strict=True):
                    weight.grad = gradient
                adams[update.networks].step()
        return [weight.detach() for name in loss.networks for weight in networks[name].parameters()]

    for shortened, smaller in zip(ends(0.01, factor), ends(0.01 * factor, 1.0), strict=True):
        torch.testing.assert_close(shortened, smaller, rtol=1e-4, atol=1e-6)
        if factor == 1.0:
            assert torch.equal(shortened, smaller)


def test_nothing_waits_for_the_device() -> None:
    loss = Equilibrium(patience=1)
    networks: dict[str, Any] = BEGAN(**TINY).build(IMAGES) | loss.build(IMAGES)
    batch = Batch(torch.rand(4, 1, 16, 16), {"z": torch.rand(4, 3)}, ())
    with Synchronisations() as synchronisations:
        for _ in range(2):
            for update in loss.updates(networks, itertools.repeat(batch), START):
                update.loss.backward()
        assert synchronisations.count == 0
        torch.ones(()).item()
    assert synchronisations.count == 1, "the counter can count"


# Networks


def parameters(size: int, colours: int, n: int, latent_dim: int, layers: int) -> tuple[int, int]:
    """Count the parameters of generator and autoencoder from the paper's words."""

    def convolution(before: int, after: int) -> int:
        return 9 * before * after + after

    sizes = [8]
    while sizes[-1] < size:
        sizes.append(2 * sizes[-1])
    decoder = (latent_dim + 1) * 64 * n + len(sizes) * layers * convolution(n, n) + convolution(n, colours)
    encoder = convolution(colours, n) + layers * convolution(n, n)
    for level in range(1, len(sizes)):
        encoder += convolution(level * n, (level + 1) * n) + layers * convolution((level + 1) * n, (level + 1) * n)
    encoder += (64 * len(sizes) * n + 1) * latent_dim
    return decoder, encoder + decoder


@pytest.mark.parametrize(("size", "colours"), [(16, 1), (32, 3), (64, 3)])
@pytest.mark.parametrize("options", [{}, {"base_channels": 5, "latent_dim": 7, "layers": 1}])
def test_networks_have_the_paper_s_layers(size: int, colours: int, options: dict[str, Any]) -> None:
    with torch.device("meta"):
        networks = BEGAN(**options).build(ImageSpec(colours, size, size))
    counts = tuple(sum(p.numel() for p in networks[name].parameters()) for name in ("generator", "autoencoder"))
    n, latent_dim, layers = (options.get(k, v) for k, v in (("base_channels", 64), ("latent_dim", 64), ("layers", 2)))
    assert counts == parameters(size, colours, n, latent_dim, layers)
    kinds = {type(layer) for network in networks.values() for layer in network.modules()}
    assert not any("Norm" in kind.__name__ for kind in kinds)
    assert {nn.ELU, nn.Upsample} < kinds
    seen = networks["autoencoder"](torch.empty(2, colours, size, size, device="meta"))
    assert seen.shape == (2, colours, size, size)


def test_finished_pictures_are_bounded_and_training_is_not() -> None:
    generator = BEGAN(**TINY).build(IMAGES)["generator"]
    z = 100 * torch.rand(50, 3)
    free = generator(z)
    assert free.abs().max() > 1
    assert torch.equal(generator.eval()(z), free.clamp(-1, 1))


@pytest.mark.parametrize(("resolution", "nearest"), [(28, 32), (8, 16), (40, 32), (50, 64), ([32, 64], 64), (96, 128)])
def test_other_sizes_are_refused(resolution: Any, nearest: int) -> None:
    height, width = (resolution, resolution) if isinstance(resolution, int) else resolution
    with pytest.raises(ValueError, match=f"^{height}x{width} is not 16x16, 32x32, 64x64 ...; ") as caught:
        BEGAN().check(ImageSpec(3, height, width))
    assert str(caught.value).endswith(f"take {nearest}x{nearest}")
    BEGAN().check(ImageSpec(3, nearest, nearest))


# In the host

test_model = contract(BEGAN, options=TINY, images=[IMAGES, ImageSpec(3, 32, 32)], loss=Equilibrium())
test_loss = contract(Equilibrium, options=[{}, {"patience": 1}], model=BEGAN(**TINY), images=[IMAGES])


@pytest.fixture(autouse=True, scope="module")
def _place() -> Iterator[None]:
    with isolated({"began": BEGAN}), isolated({"began": Equilibrium}):
        yield


def recipe(iterations: int = 6, **options: Any) -> dict[str, Any]:
    return tiny_recipe(
        {
            "model": {"name": "began", **TINY},
            "dataset": {"resolution": 16},
            "loss": {"name": "began", "patience": 2, **options},
            "train": {"iterations": iterations},
        }
    )


def test_a_run_that_was_continued_ends_with_the_same_bits() -> None:
    at_once = ganlab.train(recipe(), out="at-once").directory
    ganlab.train(recipe(iterations=3), out="in-two")
    continued = ganlab.train(recipe(), out="in-two").directory
    states = [run / "checkpoints/00000006/state.safetensors" for run in (at_once, continued)]
    assert states[0].read_bytes() == states[1].read_bytes()
    saved = load_file(states[0])
    assert saved["networks/equilibrium/k"] > 0
    assert saved["networks/equilibrium/terms"] == 2


def test_a_loss_and_a_model_of_another_kind_are_refused() -> None:
    with pytest.raises(RecipeError, match="this loss needs a network discriminator"):
        parse_recipe(recipe() | {"loss": {"name": "bce"}})
    with pytest.raises(RecipeError, match="this loss needs a network autoencoder"):
        parse_recipe(recipe() | {"model": {"name": "dcgan"}})


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_each_recipe_trains(path: Path) -> None:
    assert isinstance(load_recipe(path).loss, Equilibrium)
    small = [
        "dataset.name=stripes",
        "dataset.resolution=16",
        "model.base_channels=2",
        "train.iterations=1",
        "train.batch_size=8",
        "observers.terminal.mode=off",
    ]
    assert ganlab.train(path, overrides=small).iterations == 1


def test_importing_the_package_imports_no_torch() -> None:
    script = "import sys, ganlab_began; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[1])
