"""Flow matching against closed forms, one update by hand, and whole runs."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from ganlab_flow import Flow, FlowMatching
from ganlab_flow.networks import Sampler, UNet
from pydantic import ValidationError
from safetensors.numpy import load_file
from torch import Tensor, nn

import ganlab
from ganlab import Batch, Dataset, GanlabError, ImageSpec, Iteration, PluginError, RecipeError, Source
from ganlab.cli import ganlab as command
from ganlab.data.batches import Batches
from ganlab.data.packing import pack
from ganlab.interfaces import Normal
from ganlab.recipe.recipe import parse_recipe
from ganlab.seeds import Stream, stream_seed
from ganlab.testing import contract, isolated, tiny_recipe

TINY: dict[str, Any] = {"base_channels": 8, "halvings": 1, "steps": 2}
IMAGES = ImageSpec(1, 6, 6)
NOW = Iteration(0, torch.zeros(()))


class Slopes(Dataset):
    """Pictures that are dark on the left and bright on the right."""

    api = 1

    def sources(self) -> Iterable[Path]:
        return []

    def open(self) -> Source:
        return _Slopes()


class _Slopes(Source):
    def __len__(self) -> int:
        return 32

    def image(self, index: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        return np.tile(np.linspace(20, 230, 6), (6, 1)).astype(np.uint8) + np.uint8(index % 16)

    def name(self, index: int) -> str:
        return f"slope {index}"


def recipe(**changes: Any) -> dict[str, Any]:
    base = {
        "model": {"name": "flow", **TINY},
        "dataset": {"name": "slopes", "resolution": 6, "channels": 1},
        "loss": {"name": "flow_matching"},
        "train": {"iterations": 6},
        "snapshot": {"every_iterations": 3},
    }
    return tiny_recipe(base, changes)


@pytest.fixture(autouse=True, scope="module")
def _place() -> Iterator[None]:
    with isolated({"flow": Flow, "flow_matching": FlowMatching, "slopes": Slopes}):
        yield


@pytest.fixture(scope="module")
def trained() -> Path:
    """Return a run that has learnt the slope."""
    return ganlab.train(
        recipe(
            optimizer={"lr": {"from": 5e-3, "to": 0.0, "after": 0.5, "progress": 0.5}},
            train={"iterations": 200},
            snapshot={"every_iterations": 200},
        ),
        out="trained",
    ).directory


class Decay(nn.Module):
    """dx/dt = -x."""

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return -x


class Rush(nn.Module):
    """dx/dt = 3 t^2, whatever x is."""

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return (3 * t**2).view(-1, 1, 1, 1).expand_as(x)


@pytest.mark.parametrize("steps", [1, 4, 50])
def test_the_sampler_makes_the_steps_that_the_solvers_are_defined_by(steps: int) -> None:
    z, h = torch.linspace(-0.9, 0.9, 36).view(1, 1, 6, 6), 1 / steps
    midpoints = sum(h * 3 * ((step + 0.5) * h) ** 2 for step in range(steps))
    starts = sum(h * 3 * (step * h) ** 2 for step in range(steps))
    solver: Any
    for solver, factor, shift in (("euler", 1 - h, starts), ("midpoint", 1 - h + h**2 / 2, midpoints)):
        decayed = Sampler(Decay(), steps, solver)(z)
        torch.testing.assert_close(decayed, z * factor**steps)
        rushed = Sampler(Rush(), steps, solver)(z)
        torch.testing.assert_close(rushed, (z + shift).clamp(-1, 1))


def test_many_steps_are_the_flow_itself() -> None:
    z = torch.linspace(-0.9, 0.9, 36).view(1, 1, 6, 6)
    exact = z * math.exp(-1)
    torch.testing.assert_close(Sampler(Decay(), 100, "midpoint")(z), exact, rtol=1e-4, atol=0.0)


class Field(nn.Module):
    """The best velocity between noise N(0, 1) and pictures N(0, 1), times a factor."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        s = t.view(-1, 1, 1, 1)
        return self.factor * x * (2 * s - 1) / (s**2 + (1 - s) ** 2)


class Target(nn.Module):
    """The velocity towards one picture: its rest of the way in the rest of the time."""

    def __init__(self, picture: Tensor) -> None:
        super().__init__()
        self.picture = nn.Parameter(picture)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return (self.picture - x) / (1 - t).view(-1, 1, 1, 1)


def one_loss(velocity: nn.Module, real: Tensor, z: Tensor) -> Tensor:
    (update,) = FlowMatching().updates({"velocity": velocity}, iter([Batch(real, {"z": z}, ())]), NOW)
    assert update.networks == "velocity"
    return update.loss


def test_the_loss_of_the_best_velocity_between_two_normal_distributions_is_half_pi() -> None:
    # E|x1 - x0 - v|^2 is the variance of x1 - x0 given x_t, 1 / (t^2 + (1 - t)^2), whose mean over t is pi / 2.
    torch.manual_seed(0)
    real, z = torch.randn(8000, 1, 6, 6), torch.randn(8000, 1, 6, 6)
    best = one_loss(Field(), real, z)
    assert best.item() == pytest.approx(math.pi / 2, abs=0.01)
    # A factor f adds (f - 1)^2 times the mean of (2t - 1)^2 / (t^2 + (1 - t)^2), which is 2 - pi / 2.
    assert one_loss(Field(0.5), real, z).item() == pytest.approx(math.pi / 2 + 0.25 * (2 - math.pi / 2), abs=0.01)


def test_noise_is_at_0_and_the_picture_at_1() -> None:
    torch.manual_seed(0)
    picture = torch.rand(1, 1, 6, 6) * 2 - 1
    real = picture.repeat(16, 1, 1, 1).to(memory_format=torch.channels_last)
    assert one_loss(Target(picture), real, torch.randn(16, 1, 6, 6)).item() < 1e-6
    z = torch.randn(3, 1, 6, 6)
    made = Sampler(Target(picture), 5, "euler")(z)  # the way is straight, so any number of steps is exact
    torch.testing.assert_close(made, picture.expand(3, 1, 6, 6))


def test_times_come_from_torch_s_default_generator() -> None:
    real, z = torch.zeros(8, 1, 6, 6), torch.randn(8, 1, 6, 6)
    losses = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        losses.append(one_loss(Field(), real, z).item())
    assert losses[0] == losses[1] != losses[2]


def test_a_model_whose_z_is_no_picture_is_refused() -> None:
    with pytest.raises(PluginError) as caught:
        one_loss(Field(), torch.zeros(2, 1, 6, 6), torch.zeros(2, 100))
    assert str(caught.value) == (
        "flow_matching starts at z, which must have the shape of the pictures (1, 6, 6), not (100,): its model "
        "declares so in inputs()"
    )


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"latent_dim": 64}, "z is a picture of noise, 3 x 8 x 10 numbers: take model.latent_dim = 64 out"),
        (
            {"latent_dim": 240, "patch": 4},
            "pictures of 8x10 do not divide into patches of 4x4; choose another resolution, or set model.patch to 1",
        ),
    ],
)
def test_pictures_that_do_not_fit_are_refused(options: dict[str, Any], sentence: str) -> None:
    for refuse in (Flow(**options).check, Flow(**options).build):
        with pytest.raises(ValueError, match=r"patches|picture of noise") as caught:
            refuse(ImageSpec(3, 8, 10))
        assert str(caught.value) == sentence


def test_a_latent_dim_is_refused_at_the_recipe_s_line() -> None:
    with pytest.raises(RecipeError, match=r"take model\.latent_dim = 36 out"):
        ganlab.train(recipe(dataset={"channels": 3}, model={"latent_dim": 36}))


def test_z_is_a_picture_of_noise() -> None:
    assert Flow().inputs(ImageSpec(3, 8, 10)) == {"z": Normal((3, 8, 10))}


def test_a_file_from_before_inputs_were_declared_makes_the_same_pictures(trained: Path) -> None:
    """It called z a vector of as many numbers, and its options said how many."""
    data = (trained / "generator.safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    about = json.loads(header["__metadata__"]["ganlab"])
    about |= {"format": 1, "latent": {"dim": 36, "distribution": "normal"}, "conditional": False}
    about["model"]["options"]["latent_dim"] = 36
    about["digest"] = "sha256:" + "0" * 64
    del about["inputs"]
    header["__metadata__"]["ganlab"] = json.dumps(about)
    written = json.dumps(header).encode()
    old = Path("old.safetensors")
    old.write_bytes(ganlab.seal(len(written).to_bytes(8, "little") + written + data[8 + length :]))
    before, now = ganlab.load_generator(old, device="cpu"), ganlab.load_generator(trained, device="cpu")
    assert np.array_equal(before.sample(4), now.sample(4))
    z = np.random.RandomState(2).standard_normal(36).astype(np.float32)
    assert np.array_equal(now.draw([2])["z"].reshape(-1), z)
    done = CliRunner().invoke(command, ["export", str(old), "--onnx"])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("options", [{"steps": 0}, {"solver": "heun"}, {"halvings": -1}, {"patch": 0}])
def test_bad_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(options))):
        Flow.model_validate(options)


@pytest.mark.parametrize(
    ("height", "width", "halvings", "patch"),
    [(6, 6, 0, 1), (7, 5, 2, 1), (28, 28, 3, 2), (9, 3, 1, 3), (5, 11, 4, 1)],
)
def test_the_u_net_takes_pictures_of_any_size(height: int, width: int, halvings: int, patch: int) -> None:
    torch.manual_seed(0)
    net = UNet(3, 8, halvings, patch)
    x, t = torch.randn(2, 3, height, width), torch.tensor([0.25, 0.25])
    v = net(x, t)
    assert v.shape == x.shape
    torch.testing.assert_close(net(x, t[:1]), v)  # one time for all
    torch.testing.assert_close(net.to(memory_format=torch.channels_last)(x, t), v)
    assert not torch.allclose(net(x, t + 0.5), v, rtol=1e-3)


def test_channels_double_at_the_first_two_halvings_only() -> None:
    net = UNet(1, 8, 4, 1)
    assert [block.get_submodule("norm").num_channels for block in net.down] == [8, 16, 32, 32]
    assert net.middle.norm.num_channels == 32


def test_every_weight_gets_a_gradient_from_the_loss_and_through_the_generator() -> None:
    torch.manual_seed(0)
    networks = Flow(**TINY).build(IMAGES)
    ways = {
        "loss": lambda: one_loss(networks["velocity"], torch.rand(4, 1, 6, 6), torch.randn(4, 1, 6, 6)),
        "generator": lambda: networks["generator"](0.1 * torch.randn(4, 1, 6, 6)).square().sum(),
    }
    for way, loss in ways.items():
        networks["generator"].zero_grad()
        loss().backward()
        for name, parameter in networks["velocity"].named_parameters():
            assert parameter.grad is not None, (way, name)
            assert parameter.grad.abs().sum() > 0, (way, name)


def test_both_networks_are_the_same_weights() -> None:
    networks = Flow(**TINY).build(IMAGES)
    assert {id(p) for p in networks["generator"].parameters()} == {id(p) for p in networks["velocity"].parameters()}


def test_a_run_is_the_textbook_s_loop_and_steps_the_weights_once() -> None:
    run = ganlab.train(recipe(moving_average={"enabled": False}, optimizer={"lr": 5e-3}), out="loop").directory
    newest = load_file(max((run / "checkpoints").iterdir()) / "state.safetensors")
    assert {"/".join(name.split("/")[:2]) for name in newest} == {"networks/generator", "optimizers/velocity"}
    trained = Flow(**TINY).build(IMAGES)["velocity"]
    prefix = "networks/generator/velocity."
    trained.load_state_dict({name: torch.from_numpy(newest[prefix + name]) for name in trained.state_dict()})

    # By hand: the recipe's batches and seeds, torch's own optimizer.
    packed = pack(parse_recipe(recipe()).dataset, "slopes", lambda name, done, total: None)
    options: dict[str, Any] = {"batch_size": 8, "conditional": False, "flip": False, "seed": 0}
    batches = Batches(packed, {"z": Normal((36,))}, device=torch.device("cpu"), **options)
    torch.manual_seed(stream_seed(0, Stream.WEIGHTS))
    net = Flow(**TINY).build(IMAGES)["velocity"].to(memory_format=torch.channels_last)
    x, t = torch.randn(16, 1, 6, 6), torch.rand(16)
    first = net(x, t)
    adam = torch.optim.Adam(net.parameters(), lr=5e-3, betas=(0.5, 0.999), fused=True)
    for index, batch in enumerate(itertools.islice(batches, 6)):
        torch.manual_seed(stream_seed(0, Stream.LAYERS, index))
        times, x_0 = torch.rand(8), batch.inputs["z"].view(8, 1, 6, 6)
        x_t = x_0 + times.view(8, 1, 1, 1) * (batch.real - x_0)
        adam.zero_grad()
        (net(x_t, times) - (batch.real - x_0)).pow(2).mean().backward()
        adam.step()
    # What they do is compared, not the weights: GroupNorm takes away some biases, whose gradients are rounding.
    torch.testing.assert_close(trained(x, t), net(x, t), rtol=0.0, atol=1e-4)
    assert (net(x, t) - first).abs().mean() > 0.05


def test_a_continued_run_ends_with_the_same_bits() -> None:
    whole = ganlab.train(recipe(), out="whole").directory
    ganlab.train(recipe(train={"iterations": 3}), out="parts")
    parts = ganlab.train(recipe(), out="parts").directory
    assert (parts / "generator.safetensors").read_bytes() == (whole / "generator.safetensors").read_bytes()


def test_what_is_shipped_is_the_average_of_the_velocity_s_weights_once() -> None:
    run = ganlab.train(recipe(), out="shipped").directory
    state = load_file(max((run / "checkpoints").iterdir()) / "state.safetensors")
    shipped = load_file(run / "generator.safetensors")
    assert sum(array.size for array in shipped.values()) == sum(
        parameter.numel() for parameter in Flow(**TINY).build(IMAGES)["velocity"].parameters()
    )
    for name, value in shipped.items():
        np.testing.assert_array_equal(value, state[f"average/{name}"])
    assert any(not np.array_equal(value, state[f"networks/generator/{name}"]) for name, value in shipped.items())


def test_the_loss_of_another_kind_of_model_is_refused() -> None:
    with pytest.raises(RecipeError, match="this loss needs a network discriminator; the model has generator, velocity"):
        ganlab.train(recipe() | {"loss": {"name": "bce"}})
    with pytest.raises(RecipeError, match="this loss needs a network velocity"):
        ganlab.train(recipe() | {"model": {"name": "dcgan"}})


def test_it_learns_the_pictures(trained: Path) -> None:
    pictures = ganlab.load_generator(trained, device="cpu").sample(range(32))
    columns = pictures.astype(float).mean(axis=(0, 1, 3))
    assert columns == pytest.approx(np.linspace(20, 230, 6) + 7.5, abs=20)
    assert pictures.reshape(32, -1).std(0).mean() < 30  # noise would have 100 or so


def test_the_onnx_file_makes_torch_s_pictures(trained: Path) -> None:
    done = CliRunner().invoke(command, ["export", str(trained), "--onnx"])
    assert done.exit_code == 0, done.output
    from_torch = ganlab.load_generator(trained, device="cpu")
    from_onnx = ganlab.load_generator(trained / "generator.onnx", device="cpu")
    z = from_onnx.draw(range(5))
    assert z["z"].shape == (5, 1, 6, 6)
    np.testing.assert_allclose(from_onnx(z), from_torch(z), atol=Flow.export_tolerance)
    drawn = CliRunner().invoke(
        command, ["sample", str(trained / "generator.onnx"), "--count", "4", "--out", "four.png"]
    )
    assert drawn.exit_code == 0, drawn.output
    with pytest.raises(GanlabError, match="takes no labels"):
        from_onnx.sample([0], label=1)


def test_an_onnx_file_of_an_old_opset_makes_them_as_well(trained: Path) -> None:
    """Below opset 18, ONNX's Split has no num_outputs, which torch writes all the same."""
    arguments = ["export", str(trained), "--onnx", "--set", "opset=16", "--out", "old.onnx"]
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 0, done.output
    from_onnx = ganlab.load_generator("old.onnx", device="cpu")
    z = from_onnx.draw(range(5))
    np.testing.assert_allclose(
        from_onnx(z), ganlab.load_generator(trained, device="cpu")(z), atol=Flow.export_tolerance
    )


test_model = contract(Flow, options={**TINY, "steps": 1}, images=[IMAGES], loss=FlowMatching)
test_loss = contract(FlowMatching, model=Flow(**TINY), images=[IMAGES])
