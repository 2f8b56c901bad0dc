"""The VAE against torch's distributions, a model whose evidence is known, and whole runs."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ganlab_vae import VAE, EvidenceLowerBound, divergence, log_normal
from pydantic import ValidationError
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence
from torch.nn import functional

import ganlab
from ganlab import Batch, ImageSpec, Iteration, RecipeError
from ganlab.cli import main
from ganlab.testing import contract, isolated, tiny_recipe

RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.toml"))
TINY: dict[str, Any] = {"latent_dim": 3, "hidden": 16}
IMAGES = ImageSpec(1, 8, 8)
NOW = Iteration(0, torch.zeros(()))


def recipe(**changes: Any) -> dict[str, Any]:
    base = {
        "model": {"name": "vae", **TINY},
        "loss": {"name": "vae"},
        "train": {"iterations": 6},
        "snapshot": {"every_iterations": 3},
    }
    return tiny_recipe(base, changes)


@pytest.fixture(autouse=True, scope="module")
def _place() -> Iterator[None]:
    with isolated({"vae": VAE}), isolated({"vae": EvidenceLowerBound}):
        yield


@pytest.fixture(scope="module")
def trained() -> Path:
    """Return a run that has learnt the stripes."""
    changes = {"train": {"iterations": 400}, "snapshot": {"every_iterations": 400}, "optimizer": {"lr": 5e-3}}
    return ganlab.train(recipe(moving_average={"enabled": False}, **changes), out="trained").directory


# The loss


def test_the_divergence_in_closed_form_is_torch_s() -> None:
    torch.manual_seed(0)
    mean, log_variance = torch.randn(20, 7), torch.randn(20, 7)
    expected = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(divergence(mean, log_variance), expected)
    assert not divergence(torch.zeros(1, 7), torch.zeros(1, 7)).any()


@pytest.mark.parametrize("std", [0.05, torch.tensor(0.7)])
def test_the_density_of_a_picture_is_torch_s(std: float | Tensor) -> None:
    torch.manual_seed(0)
    x, mean = torch.rand(5, 3, 4, 2), torch.rand(5, 3, 4, 2)
    torch.testing.assert_close(log_normal(x, mean, std), Normal(mean, std).log_prob(x).sum((1, 2, 3)))


def test_the_update_is_the_paper_s_by_hand() -> None:
    networks = VAE(**TINY).build(IMAGES)
    real = torch.rand(9, 1, 8, 8) * 2 - 1
    torch.manual_seed(4)
    (update,) = EvidenceLowerBound(std=0.2).updates(networks, iter([Batch(real, {}, ())]), NOW)
    torch.manual_seed(4)
    mean, log_variance = networks["encoder"](real)
    posterior = Normal(mean, log_variance.exp().sqrt())
    z = posterior.loc + posterior.scale * torch.randn(9, 3)
    log_likelihood = Normal(networks["generator"](z), 0.2).log_prob(real).sum((1, 2, 3))
    kl = kl_divergence(posterior, Normal(0.0, 1.0)).sum(1)
    assert update.networks == ("generator", "encoder")
    torch.testing.assert_close(update.loss, (kl - log_likelihood).mean())
    torch.testing.assert_close(dict(update.stats), {"reconstruction": -log_likelihood.mean(), "KL": kl.mean()})


class Posterior(nn.Module):
    """The true q(z|x) of pictures of one pixel that are z and noise, x = z + s e: z has mean x / (1 + s^2)."""

    def __init__(self, s: float) -> None:
        super().__init__()
        self.s = s

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        x, s = images.flatten(1), self.s
        return x / (1 + s**2), torch.full_like(x, math.log(s**2 / (1 + s**2)))


@pytest.mark.parametrize("s", [0.3, 1.0])
def test_with_the_true_posterior_the_bound_is_the_evidence(s: float) -> None:
    torch.manual_seed(0)
    networks = {"generator": nn.Unflatten(1, (1, 1, 1)), "encoder": Posterior(s)}
    real = (torch.randn(50_000) * math.sqrt(1 + s**2)).view(-1, 1, 1, 1)
    (update,) = EvidenceLowerBound(std=s).updates(networks, iter([Batch(real, {}, ())]), NOW)
    evidence = Normal(0.0, math.sqrt(1 + s**2)).log_prob(real).mean()
    assert update.loss.item() == pytest.approx(-evidence.item(), abs=0.01)


@pytest.mark.parametrize("options", [{"std": 0.0}, {"std": -1.0}])
def test_a_deviation_is_above_0(options: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match="std"):
        EvidenceLowerBound.model_validate(options)


def test_the_loss_of_another_kind_of_model_is_refused() -> None:
    with pytest.raises(RecipeError, match="this loss needs a network encoder; the model has generator, discriminator"):
        ganlab.train(recipe() | {"model": {"name": "dcgan"}})


# The networks


def test_the_networks_are_perceptrons_of_one_hidden_layer() -> None:
    networks = VAE(**TINY).build(ImageSpec(3, 5, 4))
    x, z = torch.randn(6, 3, 5, 4), torch.randn(6, 3)
    first, last = (layer for layer in networks["generator"].children() if isinstance(layer, nn.Linear))
    expected = functional.linear(functional.linear(z, first.weight, first.bias).tanh(), last.weight, last.bias).tanh()
    torch.testing.assert_close(networks["generator"](z), expected.view(6, 3, 5, 4))
    state = networks["encoder"].state_dict()
    hidden = functional.linear(x.reshape(6, 60), state["layers.1.weight"], state["layers.1.bias"]).tanh()
    for made, name in zip(networks["encoder"](x), ("mean", "log_variance"), strict=True):
        torch.testing.assert_close(made, functional.linear(hidden, state[f"{name}.weight"], state[f"{name}.bias"]))


def test_the_encoder_says_means_alone_when_it_is_asked() -> None:
    encoder = VAE(**TINY).build(IMAGES)["encoder"]
    x = torch.randn(4, 1, 8, 8)
    mean, _ = encoder(x)
    assert torch.equal(encoder.eval()(x), mean)


def test_a_prior_without_a_closed_form_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"model\.latent"):
        ganlab.train(recipe(model={"latent": "uniform"}))


test_model = contract(VAE, options=TINY, images=[IMAGES, ImageSpec(3, 5, 4)], loss=EvidenceLowerBound)
test_loss = contract(EvidenceLowerBound, model=VAE(**TINY), images=[IMAGES])


# In the host


def stripes() -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return what it was trained on, uint8 `(N, H, W, C)`."""
    from ganlab.testing.tiny import Stripes

    source = Stripes().open()
    return np.stack([np.asarray(source.image(index)) for index in range(len(source))])


def test_pictures_come_back_from_their_z(trained: Path) -> None:
    generator, pictures = ganlab.load_generator(trained, device="cpu"), stripes()
    z = generator.encode(pictures)
    assert z.shape == (40, 3)
    back = (generator({"z": z}).transpose(0, 2, 3, 1) + 1) * 127.5
    error, spread = np.square(back - pictures).mean(), np.square(pictures - pictures.mean(0)).mean()
    assert error < 0.5 * spread
    shuffled = (generator({"z": z[::-1]}).transpose(0, 2, 3, 1) + 1) * 127.5
    assert np.square(shuffled - pictures).mean() > spread


def test_onnx_has_both_networks_which_do_as_torch_s(trained: Path) -> None:
    assert command("export", str(trained), "--onnx") == 0
    assert (trained / "generator.encoder.onnx").is_file()
    from_torch, from_onnx = (
        ganlab.load_generator(file, device="cpu") for file in (trained, trained / "generator.onnx")
    )
    pictures = stripes()
    np.testing.assert_allclose(from_onnx.encode(pictures), from_torch.encode(pictures), atol=1e-4)
    drawn = from_onnx.draw(range(5))
    np.testing.assert_allclose(from_onnx(drawn), from_torch(drawn), atol=1e-5)


def command(*arguments: str) -> int:
    """Run a command as a terminal does; return its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["ganlab", *arguments])
        try:
            main()
        except SystemExit as ended:
            return int(ended.code or 0)
    return 0


def test_a_continued_run_ends_with_the_same_bits() -> None:
    whole = ganlab.train(recipe(), out="whole").directory
    ganlab.train(recipe(train={"iterations": 3}), out="parts")
    parts = ganlab.train(recipe(), out="parts").directory
    state = "checkpoints/00000006/state.safetensors"
    assert (parts / state).read_bytes() == (whole / state).read_bytes()
    assert (parts / "generator.safetensors").read_bytes() == (whole / "generator.safetensors").read_bytes()


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_each_recipe_trains(path: Path) -> None:
    small = ["dataset={name='stripes', resolution=8}", "model.hidden=8", "train.iterations=1"]
    assert ganlab.train(path, overrides=[*small, "observers.terminal.mode=off"]).iterations == 1


def test_importing_model_and_loss_imports_no_torch() -> None:
    script = (
        "import sys, ganlab_vae; from ganlab import ImageSpec; "
        "ganlab_vae.VAE().check(ImageSpec(3, 5, 4)); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[1])
