"""Every loss against its equation in numpy, every penalty against a slope worked out by hand, and toy optima."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ganlab_gan_losses import Hinge, LeastSquares, Logistic, Relativistic, Wasserstein
from pydantic import ValidationError
from synchronisations import Synchronisations
from torch import Tensor, nn

import ganlab
from ganlab import Batch, ImageSpec, Iteration, Loss, Model, RecipeError, Update
from ganlab.generator.export import export
from ganlab.recipe.recipe import load_recipe
from ganlab.testing import contract, isolated, tiny_recipe

RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.toml"))
LOSSES: dict[str, type[Loss]] = {
    "hinge": Hinge,
    "least_squares": LeastSquares,
    "logistic": Logistic,
    "relativistic": Relativistic,
    "wasserstein": Wasserstein,
}
ZERO_CENTRED = [Hinge, LeastSquares, Logistic, Relativistic]
START = Iteration(0, torch.tensor(0.0))
Array = np.ndarray[Any, np.dtype[np.float64]]


def each(**options: dict[str, Any]) -> list[Loss]:
    """Return every loss, with the options given for it."""
    return [cls(**options.get(name, {})) for name, cls in LOSSES.items()]


def networks() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    return {
        "generator": nn.Sequential(
            nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 4), nn.Unflatten(1, (1, 2, 2)), nn.Tanh()
        ),
        "discriminator": nn.Sequential(
            nn.Flatten(), nn.Linear(4, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1), nn.Flatten(0)
        ),
    }


def batches(drawn: list[Batch] | None = None) -> Iterator[Batch]:
    generator = torch.Generator().manual_seed(1)
    for _ in count():
        batch = Batch(torch.randn(6, 1, 2, 2, generator=generator), {"z": torch.randn(6, 3, generator=generator)}, ())
        if drawn is not None:
            drawn.append(batch)
        yield batch


def differentiate(pair: dict[str, nn.Module], update: Update) -> dict[str, Tensor]:
    """Do what the host does between two yields, up to the optimizer; return the gradients by name."""
    assert isinstance(update.networks, str)
    parameters = dict(pair[update.networks].named_parameters())
    for parameter in parameters.values():
        parameter.grad = None
    torch.autograd.backward(update.loss, inputs=list(parameters.values()))
    return {name: parameter.grad.clone() for name, parameter in parameters.items() if parameter.grad is not None}


def outputs(pair: dict[str, nn.Module], batch: Batch) -> tuple[Array, Array]:
    """Return D(x) and D(G(z)) in float64, without touching the networks."""
    pair = copy.deepcopy(pair)
    with torch.no_grad():
        real, fake = pair["discriminator"](batch.real), pair["discriminator"](pair["generator"](batch.inputs["z"]))
    return real.double().numpy(), fake.double().numpy()


def first_updates(pair: dict[str, nn.Module], loss: Loss) -> tuple[Update, Update, Batch]:
    """Return the last discriminator update and the generator's, no step between them, and the batch of both."""
    drawn: list[Batch] = []
    *_, discriminator, generator = loss.updates(pair, batches(drawn), START)
    return discriminator, generator, drawn[-1]


# Values


def softplus(x: Array) -> Array:
    return np.asarray(np.log1p(np.exp(x)))


Formula = Callable[[Array, Array], float]
VALUES: list[tuple[Loss, Formula, Formula]] = [
    (Hinge(), lambda r, f: np.maximum(0, 1 - r).mean() + np.maximum(0, 1 + f).mean(), lambda r, f: -f.mean()),
    (
        LeastSquares(),
        lambda r, f: ((r - 1) ** 2).mean() / 2 + (f**2).mean() / 2,
        lambda r, f: ((f - 1) ** 2).mean() / 2,
    ),
    (
        LeastSquares(real_label=1.0, fake_label=-1.0, generator_label=0.0),
        lambda r, f: ((r - 1) ** 2).mean() / 2 + ((f + 1) ** 2).mean() / 2,
        lambda r, f: (f**2).mean() / 2,
    ),
    (Logistic(), lambda r, f: softplus(-r).mean() + softplus(f).mean(), lambda r, f: softplus(-f).mean()),
    (Relativistic(), lambda r, f: softplus(f - r).mean(), lambda r, f: softplus(r - f).mean()),
]


@pytest.mark.parametrize(("loss", "discriminator", "generator"), VALUES, ids=lambda value: type(value).__name__)
def test_both_losses_are_the_paper_s(loss: Loss, discriminator: Formula, generator: Formula) -> None:
    pair = networks()
    with torch.no_grad():
        for parameter in pair["discriminator"].parameters():
            parameter.mul_(3)  # so that logits lie on both sides of the hinge
    found_D, found_G, batch = first_updates(pair, loss)
    real, fake = outputs(pair, batch)
    assert (found_D.networks, found_G.networks) == ("discriminator", "generator")
    assert found_D.loss.item() == pytest.approx(discriminator(real, fake), rel=1e-5)
    assert found_G.loss.item() == pytest.approx(generator(real, fake), rel=1e-5)
    assert {name: value.item() for name, value in found_D.stats.items()} == {
        "D(x)": pytest.approx(real.mean(), rel=1e-5),
        "D(G(z))": pytest.approx(fake.mean(), rel=1e-5),
        "sign(D(x))": pytest.approx((np.count_nonzero(real > 0) - np.count_nonzero(real < 0)) / len(real)),
    }
    assert found_G.stats == {}


# Slopes


class Quadratic(nn.Module):
    """D(x) = sum of a x^2 / 2 + b x over the pixels: its slope at x is |a x + b|."""

    def __init__(self, a: float = 1.0) -> None:
        super().__init__()
        self.a = nn.Parameter(a * torch.tensor([0.5, -1.0, 1.5, 2.0]).reshape(1, 2, 2))
        self.b = nn.Parameter(torch.tensor([1.0, 0.0, -0.3, 0.2]).reshape(1, 2, 2))
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(images.detach())
        return (self.a * images**2 / 2 + self.b * images).sum((1, 2, 3))

    def arrays(self) -> tuple[Array, Array]:
        return self.a.detach().double().numpy(), self.b.detach().double().numpy()


@pytest.mark.parametrize("a", [1.0, 0.0], ids=["quadratic", "linear"])
@pytest.mark.parametrize("where", ["r1", "r2"])
@pytest.mark.parametrize("cls", ZERO_CENTRED)
def test_r1_and_r2_are_half_gamma_times_the_squared_slope(cls: type[Loss], where: str, a: float) -> None:
    gamma = 0.7
    losses, gradients = [], []
    for options in ({}, {where: gamma}):
        D = Quadratic(a)
        pair = networks() | {"discriminator": D}
        update, _, batch = first_updates(pair, cls(**options))
        gradients.append(differentiate(pair, update))
        losses.append(update.loss.item())
    fake = networks()["generator"](batch.inputs["z"]).detach()
    x = (batch.real if where == "r1" else fake).double().numpy()
    (weight, bias) = D.arrays()
    slope = weight * x + bias
    squared = (slope**2).sum((1, 2, 3)).mean()
    assert losses[1] - losses[0] == pytest.approx(gamma / 2 * squared, rel=1e-4)
    assert update.stats[where].item() == pytest.approx(squared, rel=1e-5)
    # d/da of gamma/2 mean |a x + b|^2 is gamma mean (a x + b) x, d/db is gamma mean (a x + b).
    added = {name: (gradients[1][name] - gradients[0][name]).numpy() for name in ("a", "b")}
    np.testing.assert_allclose(added["a"], gamma * (slope * x).mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(added["b"], gamma * slope.mean(0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("a", [1.0, 0.0], ids=["quadratic", "linear"])
def test_the_gradient_penalty_is_about_slopes_of_1_at_points_between_real_and_fake(a: float) -> None:
    D, weight_of_penalty = Quadratic(a), 3.0
    pair = networks() | {"discriminator": D}
    loss = Wasserstein(discriminator_steps=1, gradient_penalty=weight_of_penalty)
    update, generator, batch = first_updates(pair, loss)
    gradients = differentiate(pair, update)
    real, fake = batch.real.double().numpy(), networks()["generator"](batch.inputs["z"]).detach().double().numpy()
    x = D.seen[2].double().numpy()

    # Each picture lies on the line between its two, at a place of its own.
    shares = (x - fake).reshape(6, 4) / (real - fake).reshape(6, 4)
    np.testing.assert_allclose(shares, shares[:, :1].repeat(4, 1), rtol=1e-2, atol=1e-3)
    assert shares.min() >= 0
    assert shares.max() <= 1
    assert len(np.unique(shares[:, 0].round(3))) == 6

    (w, b) = D.arrays()
    logits = [(w * images**2 / 2 + b * images).sum((1, 2, 3)) for images in (real, fake)]
    slope = w * x + b
    length = np.sqrt((slope**2).sum((1, 2, 3)))
    expected = logits[1].mean() - logits[0].mean() + weight_of_penalty * ((length - 1) ** 2).mean()
    assert update.loss.item() == pytest.approx(expected, rel=1e-4)
    assert {name: value.item() for name, value in update.stats.items()} == {
        "D(x)": pytest.approx(logits[0].mean(), rel=1e-4),
        "D(G(z))": pytest.approx(logits[1].mean(), rel=1e-4),
        "sign(D(x))": pytest.approx(np.sign(logits[0]).mean()),
        "slope": pytest.approx(length.mean(), rel=1e-5),
    }
    # d/db of (|s| - 1)^2 is 2 (|s| - 1) s / |s|, and x times that for a.
    pull = 2 * weight_of_penalty * ((length - 1) / length)[:, None, None, None] * slope
    distance = {"a": fake**2 / 2 - real**2 / 2, "b": fake - real}
    for name, inner in (("a", x), ("b", 1.0)):
        expected_gradient = (distance[name] + pull * inner).mean(0)
        np.testing.assert_allclose(gradients[name].numpy(), expected_gradient, rtol=1e-3, atol=1e-4)
    assert generator.loss.item() == pytest.approx(-logits[1].mean(), rel=1e-4)


def test_points_between_are_drawn_from_the_run_s_random_numbers() -> None:
    seen = []
    for seed in (1, 1, 2):
        pair = networks() | {"discriminator": (D := Quadratic())}
        torch.manual_seed(seed)
        first_updates(pair, Wasserstein(discriminator_steps=1))
        seen.append(D.seen[2])
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[0], seen[2])


def test_a_discriminator_that_is_flat_somewhere_has_finite_gradients() -> None:
    for loss in (Wasserstein(), Relativistic(r1=1.0, r2=1.0)):
        pair = networks()
        nn.init.zeros_(pair["discriminator"].get_submodule("3").weight)  # type: ignore[arg-type]
        for update in loss.updates(pair, batches(), START):
            gradients = differentiate(pair, update)
            assert all(gradient.isfinite().all() for gradient in gradients.values())


def test_the_slope_is_taken_through_whatever_stands_before_the_discriminator() -> None:
    class Doubled(nn.Module):
        """As an augmentation stands there."""

        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, images: Tensor) -> Tensor:
            logits: Tensor = self.inner(2 * images)
            return logits

    plain, doubled = networks(), networks()
    linear = nn.Sequential(nn.Flatten(), nn.Linear(4, 1), nn.Flatten(0))
    plain["discriminator"], doubled["discriminator"] = linear, Doubled(linear)
    stats = [first_updates(pair, Hinge(r1=1.0))[0].stats["r1"].item() for pair in (plain, doubled)]
    assert stats[1] == pytest.approx(4 * stats[0], rel=1e-5)


@pytest.mark.parametrize("cls", ZERO_CENTRED)
def test_lazy_penalties_come_every_so_often_with_as_many_times_their_weight(cls: Any) -> None:
    lazy, always, never = cls(r1=0.3, r2=0.2, penalty_every=4), cls(r1=1.2, r2=0.8), cls()
    assert (lazy.period, always.period) == (4, 1)
    for phase in range(lazy.period):
        like = always if phase == 0 else never
        found, expected = (
            next(loss.updates(networks(), batches(), Iteration(at, torch.tensor(0.0))))
            for loss, at in ((lazy, phase), (like, 0))
        )
        assert found.loss.item() == expected.loss.item()
        assert found.stats.keys() == expected.stats.keys()


# BatchNorm


def normalised() -> dict[str, nn.Module]:
    pair = networks()
    pair["discriminator"] = nn.Sequential(
        nn.Sequential(nn.Flatten(), nn.Linear(4, 8), nn.BatchNorm1d(8)), nn.LeakyReLU(0.2), nn.Linear(8, 1)
    )
    return pair


@pytest.mark.parametrize(
    ("loss", "option"),
    [
        (Wasserstein(), "gradient_penalty"),
        (Hinge(r1=1.0), "r1"),
        (LeastSquares(r2=1.0), "r2"),
        (Logistic(r1=1.0), "r1"),
        (Relativistic(r1=1.0, r2=1.0), "r1"),
    ],
    ids=repr,
)
def test_a_penalty_on_a_discriminator_with_batchnorm_is_refused(loss: Loss, option: str) -> None:
    with pytest.raises(RecipeError) as caught:
        next(loss.updates(normalised(), batches(), START))
    assert str(caught.value) == (
        f"loss.{option}: a gradient penalty looks at each picture by itself, but this discriminator has BatchNorm, "
        "which mixes the pictures of a batch (Gulrajani et al. 2017, section 4); choose one without, such as "
        'model "dcgan" with discriminator_batchnorm = false'
    )


@pytest.mark.parametrize("cls", ZERO_CENTRED)
def test_without_a_penalty_batchnorm_is_welcome(cls: type[Loss]) -> None:
    pair = normalised()
    for update in cls().updates(pair, batches(), START):
        assert all(gradient.isfinite().all() for gradient in differentiate(pair, update).values())


# The course of an iteration

PENALISED = each(
    hinge={"r1": 1.0, "discriminator_steps": 2},
    least_squares={"r2": 1.0, "discriminator_steps": 2},
    logistic={"r1": 1.0, "r2": 1.0, "discriminator_steps": 2},
    relativistic={"r1": 1.0, "r2": 1.0, "discriminator_steps": 2},
    wasserstein={"discriminator_steps": 2},
)


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("cls", LOSSES.values())
def test_order_batches_and_forwards_of_an_iteration(cls: type[Loss], steps: int) -> None:
    pair = networks()
    graphs: list[bool] = []
    reals: list[int] = []
    drawn: list[Batch] = []
    pair["generator"].register_forward_hook(lambda module, inputs, fake: graphs.append(fake.requires_grad))

    def remember(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        reals.extend(index for index, batch in enumerate(drawn) if torch.equal(inputs[0], batch.real))

    pair["discriminator"].register_forward_pre_hook(remember)
    found = ""
    for update in cls(discriminator_steps=steps).updates(pair, batches(drawn), START):  # type: ignore[call-arg]
        assert isinstance(update.networks, str)
        found += update.networks[0].upper()
        assert torch.is_grad_enabled()
        differentiate(pair, update)
    assert found == "D" * steps + "G"
    assert graphs == [False] * (steps - 1) + [True], "one forward a batch, and a graph only for the generator's update"
    assert len(drawn) == steps
    again = [steps - 1] if cls is Relativistic else []
    assert reals == list(range(steps)) + again, "each discriminator update sees a batch of its own"


def test_the_critic_takes_five_steps_by_default() -> None:
    names = [update.networks for update in Wasserstein().updates(networks(), batches(), START)]
    assert names == ["discriminator"] * 5 + ["generator"]


@pytest.mark.parametrize("loss", PENALISED, ids=repr)
def test_no_gradient_of_the_discriminator_s_loss_reaches_the_generator(loss: Loss) -> None:
    pair = networks()
    own = list(pair["generator"].parameters())
    for update in loss.updates(pair, batches(), START):
        gradients = torch.autograd.grad(update.loss, own, allow_unused=True, retain_graph=True)
        assert [gradient is not None for gradient in gradients] == [update.networks == "generator"] * len(own)


@pytest.mark.parametrize("loss", PENALISED, ids=repr)
def test_labels_go_to_both_networks_with_the_batch_they_belong_to(loss: Loss) -> None:
    class Labelled(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner
            self.labels: list[int] = []

        def forward(self, x: Tensor, labels: Tensor) -> Tensor:
            self.labels.append(int(labels[0]))
            out: Tensor = self.inner(x)
            return out

    def labelled() -> Iterator[Batch]:
        for index, batch in enumerate(batches()):
            labels = torch.full((6,), index)
            yield batch._replace(inputs={**batch.inputs, "labels": labels}, condition=(labels,))

    plain = networks()
    G, D = Labelled(plain["generator"]), Labelled(plain["discriminator"])
    pair: dict[str, nn.Module] = {"generator": G, "discriminator": D}
    for update in loss.updates(pair, labelled(), START):
        differentiate(pair, update)
    assert G.labels == [0, 1]
    assert D.labels == sorted(D.labels)
    assert set(D.labels) == {0, 1}


@pytest.mark.parametrize("loss", PENALISED, ids=repr)
def test_an_iteration_never_waits_for_the_device(loss: Loss) -> None:
    pair = networks()
    with Synchronisations() as synchronisations:
        for update in loss.updates(pair, batches(), START):
            differentiate(pair, update)
        assert synchronisations.count == 0
        torch.ones(()).item()
    assert synchronisations.count == 1, "the counter can count"


@pytest.mark.parametrize("loss", PENALISED, ids=repr)
def test_losses_and_slopes_are_float32_under_autocast(loss: Loss) -> None:
    exact, pair = networks(), networks()
    updates = loss.updates(pair, batches(), START)
    torch.manual_seed(0)
    for expected in loss.updates(exact, batches(), START):
        state = torch.get_rng_state()
        torch.manual_seed(0)
        with torch.autocast("cpu", torch.bfloat16):
            update = next(updates)
        torch.set_rng_state(state)
        assert {value.dtype for value in (update.loss, *update.stats.values())} == {torch.float32}
        gradients = differentiate(pair, update)
        assert {gradient.dtype for gradient in gradients.values()} == {torch.float32}
        assert all(gradient.isfinite().all() for gradient in gradients.values())
        assert update.loss.item() == pytest.approx(expected.loss.item(), rel=0.2, abs=0.05)


# Optima


class Affine(nn.Module):
    """G(z) = scale z + shift."""

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.tensor(0.2)), nn.Parameter(torch.tensor(0.0))

    def forward(self, z: Tensor) -> Tensor:
        return (self.scale * z + self.shift)[:, :, None, None]


@pytest.mark.parametrize(
    "loss",
    each(
        hinge={"r1": 0.1},
        least_squares={"r1": 0.1},
        logistic={"r1": 0.1},
        relativistic={"r1": 0.1, "r2": 0.1},
        # In one dimension a heavy penalty keeps a slope from changing its sign, since that leads through 0.
        wasserstein={"gradient_penalty": 0.1, "discriminator_steps": 3},
    ),
    ids=repr,
)
def test_a_generator_finds_the_mean_and_the_deviation_of_a_gaussian(loss: Loss) -> None:
    torch.manual_seed(0)
    G = Affine()
    D = nn.Sequential(nn.Flatten(), nn.Linear(1, 16), nn.Softplus(), nn.Linear(16, 1), nn.Flatten(0))
    pair: dict[str, nn.Module] = {"generator": G, "discriminator": D}
    optimizers = {
        "generator": torch.optim.Adam(G.parameters(), lr=0.01, betas=(0.0, 0.9), fused=True),
        "discriminator": torch.optim.Adam(D.parameters(), lr=0.05, betas=(0.0, 0.9), fused=True),
    }

    def gaussian() -> Iterator[Batch]:
        while True:
            yield Batch(1.0 + 0.5 * torch.randn(64, 1, 1, 1), {"z": torch.randn(64, 1)}, ())

    stream = gaussian()
    found = []
    for step in range(300):
        for update in loss.updates(pair, stream, START):
            assert isinstance(update.networks, str)
            differentiate(pair, update)
            optimizers[update.networks].step()
        if step >= 225:
            found.append((G.shift.item(), abs(G.scale.item())))
    shift, scale = np.mean(found, 0)
    assert shift == pytest.approx(1.0, abs=0.1)
    assert scale == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(("r1", "converges"), [(0.0, False), (1.0, True)])
def test_r1_makes_the_dirac_gan_converge_which_circles_without_it(r1: float, converges: bool) -> None:
    """Mescheder et al. 2018, section 2 and theorem 4.1: data at 0, a fake at theta, D(x) = psi x."""

    class Dirac(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.theta = nn.Parameter(torch.tensor(1.0))

        def forward(self, z: Tensor) -> Tensor:
            return self.theta.expand(len(z), 1, 1, 1)

    theta = Dirac()
    D = nn.Sequential(nn.Flatten(), nn.Linear(1, 1, bias=False), nn.Flatten(0))
    nn.init.zeros_(D[1].weight)  # type: ignore[arg-type]
    pair: dict[str, nn.Module] = {"generator": theta, "discriminator": D}
    batch = Batch(torch.zeros(1, 1, 1, 1), {"z": torch.zeros(1, 1)}, ())
    loss, distances = Logistic(r1=r1), []
    for _ in range(500):
        for update in loss.updates(pair, iter([batch]), START):
            assert isinstance(update.networks, str)
            differentiate(pair, update)
            with torch.no_grad():
                for parameter in pair[update.networks].parameters():
                    parameter.sub_(0.1 * parameter.grad)  # type: ignore[operator]  # differentiated above
        distances.append(np.hypot(theta.theta.item(), D[1].weight.item()))  # type: ignore[operator]
    last = distances[-100:]
    assert max(last) < 1e-3 if converges else min(last) > 0.3


# Options


@pytest.mark.parametrize("labels", [(0.0, 0.0, 1.0), (1.0, 0.5, 0.5), (1.0, 0.0, -0.5)])
def test_labels_that_would_teach_the_wrong_way_round_are_refused(labels: tuple[float, float, float]) -> None:
    real, fake, generator = labels
    with pytest.raises(ValidationError) as caught:
        LeastSquares(real_label=real, fake_label=fake, generator_label=generator)
    assert (
        f"fake_label = {fake} must be less than real_label = {real} and generator_label = {generator}: "
        "the generator is taught to look real"
    ) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("hinge", '"r1": -1.0'),
        ("relativistic", '"r2": -0.1'),
        ("logistic", '"discriminator_steps": 0'),
        ("wasserstein", '"gradient_penalty": 0.0'),
        ("wasserstein", '"r1": 1.0'),
        ("least_squares", '"real_label": true'),
    ],
)
def test_options_out_of_bounds_are_refused(name: str, option: str) -> None:
    with pytest.raises(ValidationError, match=option.split('"')[1]):
        LOSSES[name].model_validate_json(f"{{{option}}}")


# In the host

BOTH = [{}, {"r1": 1.0, "r2": 1.0, "discriminator_steps": 2, "penalty_every": 2}]
test_hinge = contract(Hinge, options=BOTH)
test_least_squares = contract(LeastSquares, options=BOTH)
test_logistic = contract(Logistic, options=BOTH)
test_relativistic = contract(Relativistic, options=BOTH)
test_wasserstein = contract(Wasserstein)


class Small(Model):
    """Two small networks without BatchNorm in the discriminator."""

    api = 1

    def check(self, images: ImageSpec) -> None:
        pass

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        shape = (images.channels, images.height, images.width)
        size = int(np.prod(shape))
        return {
            "generator": nn.Sequential(nn.Linear(self.latent_dim, size), nn.Unflatten(1, shape), nn.Tanh()),
            "discriminator": nn.Sequential(
                nn.Flatten(), nn.Linear(size, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1), nn.Flatten(0)
            ),
        }


@pytest.fixture(autouse=True, scope="module")
def _place() -> Iterator[None]:
    with isolated({"small": Small, **LOSSES}):
        yield


def test_a_run_logs_what_the_penalty_sees_and_is_exported_to_onnx() -> None:
    recipe = {
        "model": {"name": "small"},
        "loss": {"name": "wasserstein"},
        "optimizer": {"betas": [0.0, 0.9]},
        "train": {"iterations": 2},
    }
    run = ganlab.train(tiny_recipe(recipe))
    metrics = [json.loads(line) for line in (run.directory / "metrics.jsonl").read_text().splitlines()]
    assert {"loss_generator", "loss_discriminator", "D(x)", "D(G(z))", "slope"} <= metrics[-1].keys()
    exported = export(run.generator, "onnx")
    assert exported.max_difference <= 1e-5
    assert ganlab.load_generator(exported.path).sample(range(3)).shape == (3, 8, 8, 1)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_each_recipe_trains(path: Path) -> None:
    loaded = load_recipe(path)
    assert loaded.table["loss"]["name"] == path.stem.removesuffix("_fashion_mnist")
    small = [
        "dataset.name=stripes",
        "model.base_channels=2",
        "train.iterations=1",
        "train.batch_size=8",
        "observers.terminal.mode=off",
    ]
    assert ganlab.train(path, overrides=small).iterations == 1


def test_every_loss_has_its_recipe() -> None:
    assert {path.stem.removesuffix("_fashion_mnist") for path in RECIPES} == set(LOSSES)


def test_importing_the_losses_imports_no_torch() -> None:
    script = "import sys, ganlab_gan_losses; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[1])
