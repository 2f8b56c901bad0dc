"""InfoGAN against torch's distributions, the paper's table, one update by hand, and whole runs."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from ganlab_infogan import InfoGAN
from ganlab_infogan.loss import InfoGANLoss, information
from ganlab_infogan.networks import Generator
from PIL import Image
from torch import Tensor, nn
from torch.distributions import Normal, OneHotCategorical, Uniform
from torch.nn import functional

import ganlab
from ganlab import Batch, ImageSpec, Iteration, PluginError, RecipeError
from ganlab.cli import main
from ganlab.interfaces import Categorical
from ganlab.interfaces import Uniform as UniformInput
from ganlab.testing import contract, isolated, tiny_recipe

RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.toml"))
TINY: dict[str, Any] = {"latent_dim": 3, "categories": 3, "continuous": 2, "base_channels": 4, "hidden": 16}
IMAGES = ImageSpec(1, 8, 8)
NOW = Iteration(0, torch.zeros(()))


def recipe(**changes: Any) -> dict[str, Any]:
    base = {
        "model": {"name": "infogan", **TINY},
        "loss": {"name": "infogan"},
        "train": {"iterations": 6},
        "snapshot": {"every_iterations": 3, "samples": 12},
    }
    return tiny_recipe(base, changes)


@pytest.fixture(autouse=True, scope="module")
def _place() -> Iterator[None]:
    with isolated({"infogan": InfoGAN}), isolated({"infogan": InfoGANLoss}):
        yield


@pytest.fixture(scope="module")
def trained() -> Path:
    """Return a run whose generator's pictures tell their category."""
    changes = {"train": {"iterations": 200}, "snapshot": {"every_iterations": 200}, "optimizer": {"lr": 1e-2}}
    return ganlab.train(recipe(**changes), out="trained").directory


def codes(count: int, categories: int = 3, continuous: int = 2) -> dict[str, Tensor]:
    chosen = functional.one_hot(torch.arange(count) % categories, categories).float()
    return {"category": chosen, "continuous": torch.rand(count, continuous) * 2 - 1}


# The information


def test_the_information_is_that_of_torch_s_distributions() -> None:
    torch.manual_seed(0)
    known, q = codes(50, 4, 3), torch.randn(50, 4 + 2 * 3)
    found = information(q, known)
    category = OneHotCategorical(logits=q[:, :4]).log_prob(known["category"]).mean()
    prior = OneHotCategorical(logits=torch.zeros(4)).entropy()
    torch.testing.assert_close(found["I(category)"], prior + category)
    continuous = Normal(q[:, 4:7], (q[:, 7:] / 2).exp()).log_prob(known["continuous"]).sum(1).mean()
    torch.testing.assert_close(found["I(continuous)"], 3 * Uniform(-1.0, 1.0).entropy() + continuous)


def test_who_knows_the_category_has_all_of_it_and_who_guesses_has_none() -> None:
    known = codes(30)
    for certainty, expected in ((0.0, 0.0), (50.0, math.log(3))):
        q = torch.cat([certainty * known["category"], torch.zeros(30, 4)], 1)
        assert information(q, known)["I(category)"].item() == pytest.approx(expected, abs=1e-6)


def test_who_knows_a_number_to_a_standard_deviation_has_that_much_of_it() -> None:
    # c = mean + s e: ln 2 + E[log N] is ln 2 - ln s - ln(2 pi) / 2 - 1 / 2.
    torch.manual_seed(0)
    known, s = codes(100_000, continuous=1), 0.05
    mean = known["continuous"] + s * torch.randn(100_000, 1)
    q = torch.cat([torch.zeros(100_000, 3), mean, torch.full_like(mean, 2 * math.log(s))], 1)
    expected = math.log(2) - math.log(s) - math.log(2 * math.pi) / 2 - 0.5
    assert information(q, known)["I(continuous)"].item() == pytest.approx(expected, abs=0.02)


# The loss


def test_the_updates_are_the_paper_s_by_hand() -> None:
    torch.manual_seed(0)
    networks = InfoGAN(**TINY).build(IMAGES)
    real, inputs = torch.rand(9, 1, 8, 8) * 2 - 1, {"z": torch.randn(9, 3), **codes(9)}
    loss = InfoGANLoss(categorical_weight=0.7, continuous_weight=0.3)
    updates = list(loss.updates(networks, iter([Batch(real, inputs, ())]), NOW))

    G, D, Q = networks.values()
    fake = G(*inputs.values())
    (on_real, _), (on_fake, features) = D(real), D(fake)
    q, one, zero = Q(features), torch.ones(9), torch.zeros(9)
    category = OneHotCategorical(logits=q[:, :3]).log_prob(inputs["category"]).mean() + math.log(3)
    density = Normal(q[:, 3:5], (q[:, 5:] / 2).exp()).log_prob(inputs["continuous"]).sum(1).mean()
    bound = 0.7 * category + 0.3 * (density + 2 * math.log(2))
    cross = functional.binary_cross_entropy_with_logits
    assert [update.networks for update in updates] == [("discriminator", "recognition"), "generator"]
    torch.testing.assert_close(updates[0].loss, cross(on_real, one) + cross(on_fake, zero) - bound)
    torch.testing.assert_close(updates[1].loss, cross(on_fake, one) - bound)
    expected = {
        "D(x)": on_real.sigmoid().mean(),
        "D(G(z))": on_fake.sigmoid().mean(),
        "sign(D(x))": on_real.sign().mean(),
        "I(category)": category,
        "I(continuous)": density + 2 * math.log(2),
    }
    torch.testing.assert_close(dict(updates[0].stats), expected)


def test_the_information_moves_the_shared_features_and_the_generator() -> None:
    """Without the game, whose gradients are taken away: what is left is the information's."""
    torch.manual_seed(0)
    networks = InfoGAN(**TINY).build(IMAGES)
    gradients = []
    for weight in (0.0, 1.0):
        batch = Batch(torch.zeros(9, 1, 8, 8), {"z": torch.zeros(9, 3), **codes(9)}, ())
        loss = InfoGANLoss(categorical_weight=weight, continuous_weight=0.0)
        trunk, generator = (next(networks[name].parameters()) for name in ("discriminator", "generator"))
        found = [
            torch.autograd.grad(update.loss, parameter)[0]
            for update, parameter in zip(loss.updates(networks, iter([batch]), NOW), (trunk, generator), strict=True)
        ]
        gradients.append(found)
    for without, with_it in zip(*gradients, strict=True):
        assert (with_it - without).abs().max() > 1e-6


def test_a_model_without_the_codes_is_refused() -> None:
    networks = InfoGAN(**TINY).build(IMAGES)
    batch = Batch(torch.zeros(2, 1, 8, 8), {"z": torch.zeros(2, 3), "category": torch.eye(3)[:2]}, ())
    with pytest.raises(PluginError) as caught:
        next(InfoGANLoss().updates(networks, iter([batch]), NOW))
    assert str(caught.value) == "infogan reads codes that the model's inputs() does not declare: continuous"


def test_a_model_without_a_recognition_network_is_refused_in_the_recipe() -> None:
    with pytest.raises(RecipeError, match="this loss needs a network recognition; the model has generator, discrimi"):
        ganlab.train(recipe() | {"model": {"name": "dcgan"}})


# The networks


def outline(layers: nn.Module, x: Tensor) -> list[tuple[str, tuple[int, ...]]]:
    """Return each layer with weights and the shape of what it makes of one picture."""
    made = []
    for layer in layers.children():
        x = layer(x)
        if list(layer.parameters()):
            made.append((type(layer).__name__, tuple(x.shape[1:])))
    return made


def test_the_networks_are_those_of_the_paper_s_table_1() -> None:
    G, D, Q = InfoGAN().build(ImageSpec(1, 28, 28)).values()
    assert isinstance(G, Generator)
    assert outline(G.layers, torch.randn(2, 62 + 10 + 2)) == [
        ("Linear", (1024,)),
        ("BatchNorm1d", (1024,)),
        ("Linear", (7 * 7 * 128,)),
        ("BatchNorm1d", (7 * 7 * 128,)),
        ("ConvTranspose2d", (64, 14, 14)),
        ("BatchNorm2d", (64, 14, 14)),
        ("ConvTranspose2d", (1, 28, 28)),
    ]
    assert outline(D.get_submodule("features"), torch.randn(2, 1, 28, 28)) == [
        ("Conv2d", (64, 14, 14)),
        ("Conv2d", (128, 7, 7)),
        ("BatchNorm2d", (128, 7, 7)),
        ("Linear", (1024,)),
        ("BatchNorm1d", (1024,)),
    ]
    assert outline(Q, torch.randn(2, 1024)) == [("Linear", (128,)), ("BatchNorm1d", (128,)), ("Linear", (14,))]
    kernels = [layer.kernel_size for network in (G, D) for layer in network.modules() if hasattr(layer, "kernel_size")]
    assert kernels == [(4, 4)] * 4
    assert {layer.negative_slope for layer in (*D.modules(), *Q.modules()) if isinstance(layer, nn.LeakyReLU)} == {0.1}


def test_the_discriminator_s_logits_are_computed_from_the_features_that_it_returns() -> None:
    D = InfoGAN(**TINY).build(IMAGES)["discriminator"]
    logits, features = D(torch.randn(5, 1, 8, 8))
    assert (logits.shape, features.shape) == ((5,), (5, 16))
    (weight, bias) = D.get_submodule("head").parameters()
    torch.testing.assert_close(logits, features @ weight[0] + bias)


def test_the_inputs_are_z_and_the_codes() -> None:
    declared = InfoGAN(latent="uniform", **TINY).inputs(IMAGES)
    assert declared == {"z": UniformInput((3,)), "category": Categorical(3), "continuous": UniformInput((2,))}
    assert list(declared) == ["z", "category", "continuous"]


@pytest.mark.parametrize(("size", "nearest"), [((30, 28), "[32, 28]"), ((1, 4), "[4, 4]"), ((50, 101), "[48, 100]")])
def test_a_size_that_cannot_be_built_is_refused_with_the_nearest_that_can(size: tuple[int, int], nearest: str) -> None:
    for refuse in (InfoGAN(**TINY).check, InfoGAN(**TINY).build):
        with pytest.raises(ValueError, match="cannot be built") as caught:
            refuse(ImageSpec(3, *size))
        expected = f"{size[0]}x{size[1]} cannot be built: take multiples of 4; the nearest resolution is {nearest}"
        assert str(caught.value) == expected


test_model = contract(InfoGAN, options=TINY, images=[IMAGES, ImageSpec(3, 12, 8)], loss=InfoGANLoss)
test_loss = contract(InfoGANLoss, model=InfoGAN(**TINY), images=[IMAGES])


# In the host


def metrics(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_pictures_come_to_tell_their_category(trained: Path) -> None:
    known = [line["I(category)"] for line in metrics(trained) if "I(category)" in line]
    assert known[0] < 0.2 * math.log(3)
    assert 0.5 * math.log(3) < np.mean(known[-10:]) <= math.log(3)
    # Pictures of one category are nearer to one another than those of one seed.
    generator = ganlab.load_generator(trained, device="cpu")
    drawn = [generator.sample(8, inputs={"category": category}).astype(float) for category in range(3)]
    pictures = np.stack(drawn).reshape(3, 8, -1)
    assert pictures.mean(1).var(0).mean() > 2 * pictures.mean(0).var(0).mean()


def test_the_grid_has_a_row_a_category_and_sample_draws_it(trained: Path) -> None:
    sheet = np.asarray(Image.open(trained / "samples/00000200.png"))
    assert sheet.shape == (2 + 3 * 10, 2 + 4 * 10)  # 12 samples of 8x8 in three rows, two pixels apart
    for category in range(3):
        out = f"{category}.png"
        arguments = ["sample", str(trained), "--count", "4", "--columns", "4", "--input", f"category={category}"]
        assert command(*arguments, "--out", out) == 0
        difference = np.asarray(Image.open(out)).astype(int)[2:10] - sheet[2 + 10 * category : 10 + 10 * category]
        assert np.abs(difference).max() <= 1  # the run's own grid is computed in a batch of another size


def test_a_continuous_code_is_chosen_and_a_category_out_of_range_refused(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["sample", str(trained), "--seeds", "5", "--input", "continuous=0.5,-1", "--out", "one.png"]
    assert command(*arguments) == 0
    generator = ganlab.load_generator(trained, device="cpu")
    inputs = generator.draw([5])
    inputs["continuous"] = np.array([[0.5, -1.0]], np.float32)
    expected = np.rint((generator(inputs)[0, 0] + 1) * 127.5)
    assert np.abs(np.asarray(Image.open("one.png")) - expected).max() <= 1
    assert command("sample", str(trained), "--input", "category=3") == 2
    assert capsys.readouterr().err.endswith("category 3 is none of its categories, 0 to 2\n")


def test_the_onnx_file_takes_the_codes_by_name(trained: Path) -> None:
    assert command("export", str(trained), "--onnx") == 0
    path = trained / "generator.onnx"
    inputs = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).get_inputs()
    assert [(value.name, value.shape) for value in inputs] == [
        ("z", ["batch", 3]),
        ("category", ["batch", 3]),
        ("continuous", ["batch", 2]),
    ]
    from_torch, from_onnx = (ganlab.load_generator(file, device="cpu") for file in (trained, path))
    drawn = from_onnx.draw(range(9))
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
    small = ["dataset={name='stripes', resolution=8}", "model.base_channels=2", "model.hidden=8", "snapshot.samples=10"]
    run = ganlab.train(path, overrides=[*small, "train.iterations=1", "observers.terminal.mode=off"])
    assert run.iterations == 1


def test_importing_model_and_loss_and_checking_a_size_imports_no_torch() -> None:
    script = (
        "import sys, ganlab_infogan.loss; from ganlab import ImageSpec; from ganlab_infogan import InfoGAN; "
        "InfoGAN().check(ImageSpec(3, 64, 64)); InfoGAN().inputs(ImageSpec(3, 64, 64)); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[1])
