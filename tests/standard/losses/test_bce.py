"""The bce loss against closed forms in numpy and a training step written by hand."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from decimal import Decimal, localcontext
from itertools import count

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from synchronisations import Synchronisations
from torch import Tensor, nn
from torch.nn import functional

from ganlab import Batch, Iteration, Update
from ganlab.standard.losses.bce import BCE, _cross_entropy

START = Iteration(0, torch.tensor(0.0))


def networks() -> dict[str, nn.Module]:
    """Return a pair with BatchNorm in both, so that the order of the forwards leaves its mark."""
    torch.manual_seed(0)
    return {
        "generator": nn.Sequential(
            nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 4), nn.Unflatten(1, (1, 2, 2))
        ),
        "discriminator": nn.Sequential(
            nn.Flatten(), nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1), nn.Flatten(0)
        ),
    }


def batches(drawn: list[Batch] | None = None) -> Iterator[Batch]:
    generator = torch.Generator().manual_seed(1)
    for _ in count():
        batch = Batch(torch.randn(6, 1, 2, 2, generator=generator), {"z": torch.randn(6, 3, generator=generator)}, ())
        if drawn is not None:
            drawn.append(batch)
        yield batch


def differentiate(pair: dict[str, nn.Module], update: Update) -> None:
    """Do what the host does between two yields, up to the optimizer."""
    assert isinstance(update.networks, str)
    parameters = list(pair[update.networks].parameters())
    for parameter in parameters:
        parameter.grad = None
    update.loss.backward(inputs=parameters)


def logistic(logits: Tensor) -> np.ndarray:
    """Return the probabilities in float64."""
    return np.asarray(1 / (1 + np.exp(-logits.double().numpy())))


def probabilities(pair: dict[str, nn.Module], batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """Return D(x) and D(G(z)) in float64, without touching the networks."""
    pair = copy.deepcopy(pair)
    with torch.no_grad():
        real, fake = pair["discriminator"](batch.real), pair["discriminator"](pair["generator"](batch.inputs["z"]))
    return logistic(real), logistic(fake)


@pytest.mark.parametrize(("real_label", "fake_label"), [(1.0, 0.0), (0.9, 0.0), (0.9, 0.1), (0.5, 0.25)])
def test_discriminator_loss_is_the_cross_entropy_of_both_batches(real_label: float, fake_label: float) -> None:
    pair = networks()
    drawn: list[Batch] = []
    update = next(BCE(real_label=real_label, fake_label=fake_label).updates(pair, batches(drawn), START))
    real, fake = probabilities(networks(), drawn[0])
    expected = -np.mean(real_label * np.log(real) + (1 - real_label) * np.log(1 - real))
    expected -= np.mean(fake_label * np.log(fake) + (1 - fake_label) * np.log(1 - fake))
    assert update.networks == "discriminator"
    assert update.loss.item() == pytest.approx(expected, rel=1e-5)
    assert {name: stat.item() for name, stat in update.stats.items()} == {
        "D(x)": pytest.approx(real.mean(), rel=1e-5),
        "D(G(z))": pytest.approx(fake.mean(), rel=1e-5),
        "sign(D(x))": pytest.approx((np.count_nonzero(real > 0.5) - np.count_nonzero(real < 0.5)) / len(real)),
    }


@pytest.mark.parametrize("labels", [{}, {"real_label": 0.9, "fake_label": 0.1}])
@pytest.mark.parametrize("form", ["non_saturating", "minimax"])
def test_generator_loss_has_both_forms_and_is_never_smoothed(form: str, labels: dict[str, float]) -> None:
    loss = BCE.model_validate({"generator_loss": form, "generator_first": True, **labels})
    drawn: list[Batch] = []
    update = next(loss.updates(networks(), batches(drawn), START))
    _, fake = probabilities(networks(), drawn[0])
    expected = np.mean(np.log(1 - fake)) if form == "minimax" else -np.mean(np.log(fake))
    assert update.networks == "generator"
    assert update.loss.item() == pytest.approx(expected, rel=1e-5)
    assert update.stats == {}


@pytest.mark.parametrize(
    ("steps", "generator_first", "order", "with_graph"),
    [
        (1, False, "DG", [True]),
        (3, False, "DDDG", [False, False, True]),
        (1, True, "GD", [True]),
        (3, True, "GDDD", [True, False, False]),
    ],
)
def test_order_batches_and_forwards_of_an_iteration(
    steps: int, generator_first: bool, order: str, with_graph: list[bool]
) -> None:
    pair = networks()
    graphs: list[bool] = []
    reals: list[int] = []
    drawn: list[Batch] = []
    pair["generator"].register_forward_hook(lambda module, inputs, fake: graphs.append(fake.requires_grad))

    def remember(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        reals.extend(index for index, batch in enumerate(drawn) if inputs[0] is batch.real)

    pair["discriminator"].register_forward_pre_hook(remember)
    found = ""
    loss = BCE(discriminator_steps=steps, generator_first=generator_first)
    for update in loss.updates(pair, batches(drawn), START):
        assert isinstance(update.networks, str)
        found += update.networks[0].upper()
        assert torch.is_grad_enabled()
        differentiate(pair, update)
    assert found == order
    assert graphs == with_graph, "one forward a batch, and a graph only for the generator's own update"
    assert len(drawn) == steps
    assert reals == list(range(steps)), "each discriminator update sees a batch of its own"


@pytest.mark.parametrize("generator_first", [False, True])
def test_no_gradient_of_the_discriminator_s_loss_reaches_the_generator(generator_first: bool) -> None:
    pair = networks()
    own = list(pair["generator"].parameters())
    for update in BCE(discriminator_steps=2, generator_first=generator_first).updates(pair, batches(), START):
        gradients = torch.autograd.grad(update.loss, own, allow_unused=True, retain_graph=True)
        reached = [gradient is not None for gradient in gradients]
        assert reached == [update.networks == "generator"] * len(own)
        assert not any(stat.requires_grad for stat in update.stats.values())


def train(pair: dict[str, nn.Module], loss: BCE, iterations: int) -> None:
    optimizers = {name: torch.optim.Adam(network.parameters(), lr=0.01) for name, network in pair.items()}
    stream = batches()
    for _ in range(iterations):
        for update in loss.updates(pair, stream, START):
            differentiate(pair, update)
            assert isinstance(update.networks, str)
            optimizers[update.networks].step()


@pytest.mark.parametrize("label", [0.0, 0.1, 0.9, 1.0, torch.tensor(0.7), torch.tensor(0.0), torch.tensor(1.0)])
@pytest.mark.parametrize("logit", [-200.0, -45.0, -25.0, -3.0, -1e-3, 0.0, 2.0, 19.0, 21.0, 39.0, 41.0, 200.0])
def test_the_cross_entropy_is_exact_however_sure_the_discriminator_is(logit: float, label: float | Tensor) -> None:
    logits = torch.tensor([logit], requires_grad=True)
    loss = _cross_entropy(logits, label)
    (gradient,) = torch.autograd.grad(loss, logits)
    with localcontext() as digits:
        digits.prec = 100
        x, t = Decimal(logits.item()), Decimal(float(label))
        toward_real, toward_fake = (1 + (-x).exp()).ln(), (1 + x.exp()).ln()
        exact = t * toward_real + (1 - t) * toward_fake
        slope = (1 - t) / (1 + (-x).exp()) - t / (1 + x.exp())
    assert loss.item() == pytest.approx(float(exact), rel=1e-6, abs=1e-44)
    assert gradient.item() == pytest.approx(float(slope), rel=1e-6, abs=1e-44)


def train_by_hand(pair: dict[str, nn.Module], iterations: int, steps: int, generator_first: bool) -> None:
    """Train as the common DCGAN scripts do, with 1 for real, 0 for fake; the cross-entropies are written out."""
    G, D = pair["generator"], pair["discriminator"]
    optimizer_G = torch.optim.Adam(G.parameters(), lr=0.01)
    optimizer_D = torch.optim.Adam(D.parameters(), lr=0.01)
    stream = batches()

    def teach_discriminator(real: Tensor, fake: Tensor) -> None:
        optimizer_D.zero_grad()
        (functional.softplus(-D(real)).mean() + functional.softplus(D(fake.detach())).mean()).backward()
        optimizer_D.step()

    def teach_generator(fake: Tensor) -> None:
        optimizer_G.zero_grad()
        functional.softplus(-D(fake)).mean().backward()
        optimizer_G.step()

    for _ in range(iterations):
        if generator_first:
            real, inputs, _ = next(stream)
            fake = G(inputs["z"])
            teach_generator(fake)
            teach_discriminator(real, fake)
            for _ in range(steps - 1):
                real, inputs, _ = next(stream)
                teach_discriminator(real, G(inputs["z"]))
        else:
            for _ in range(steps):
                real, inputs, _ = next(stream)
                fake = G(inputs["z"])
                teach_discriminator(real, fake)
            teach_generator(fake)


@pytest.mark.parametrize("generator_first", [False, True])
@pytest.mark.parametrize("steps", [1, 3])
def test_training_is_bit_identical_to_a_script_written_by_hand(steps: int, generator_first: bool) -> None:
    ours, theirs = networks(), networks()
    train(ours, BCE(discriminator_steps=steps, generator_first=generator_first), 4)
    train_by_hand(theirs, 4, steps, generator_first)
    for name, network in ours.items():
        expected = theirs[name].state_dict()
        assert all(torch.equal(tensor, expected[key]) for key, tensor in network.state_dict().items())
    untouched = networks()["generator"].state_dict()
    assert not all(torch.equal(tensor, untouched[key]) for key, tensor in ours["generator"].state_dict().items())


class Conditional(nn.Module):
    """Adds an embedding of the labels to its first argument, and remembers the labels."""

    def __init__(self, inner: nn.Module, size: tuple[int, ...]) -> None:
        super().__init__()
        self.inner = inner
        self.size = size
        self.embedding = nn.Embedding(5, int(np.prod(size)))
        self.labels: list[list[int]] = []

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        self.labels.append(labels.tolist())
        out: Tensor = self.inner(x + self.embedding(labels).unflatten(1, self.size))
        return out


@pytest.mark.parametrize("generator_first", [False, True])
def test_labels_go_to_both_networks_with_the_batch_they_belong_to(generator_first: bool) -> None:
    plain = networks()
    G, D = Conditional(plain["generator"], (3,)), Conditional(plain["discriminator"], (1, 2, 2))
    pair: dict[str, nn.Module] = {"generator": G, "discriminator": D}

    def labelled() -> Iterator[Batch]:
        for index, batch in enumerate(batches()):
            labels = torch.full((6,), index)
            yield batch._replace(inputs={**batch.inputs, "labels": labels}, condition=(labels,))

    for update in BCE(discriminator_steps=2, generator_first=generator_first).updates(pair, labelled(), START):
        differentiate(pair, update)
    first, second = [0] * 6, [1] * 6
    real_fake_generator = [first, first, second, second, second]
    generator_real_fake = [first, first, first, second, second]
    assert G.labels == [first, second]
    assert D.labels == (generator_real_fake if generator_first else real_fake_generator)


def test_an_iteration_never_waits_for_the_device() -> None:
    pair = networks()
    with Synchronisations() as synchronisations:
        for update in BCE(discriminator_steps=2).updates(pair, batches(), START):
            differentiate(pair, update)
        assert synchronisations.count == 0
        torch.ones(()).item()
    assert synchronisations.count == 1, "the counter can count"


def test_losses_are_float32_under_autocast() -> None:
    loss = BCE().updates(networks(), batches(), START)
    with torch.autocast("cpu", torch.bfloat16):
        update = next(loss)
    assert update.loss.dtype == torch.float32
    assert {stat.dtype for stat in update.stats.values()} == {torch.float32}


def test_extreme_logits_give_finite_losses_and_gradients() -> None:
    for sign in (-1.0, 1.0):
        pair = networks()
        final = pair["discriminator"].get_submodule("4")
        assert isinstance(final, nn.Linear)
        nn.init.constant_(final.bias, sign * 1e4)
        for update in BCE(generator_loss="minimax").updates(pair, batches(), START):
            differentiate(pair, update)
            assert update.loss.isfinite()
            for name, network in pair.items():
                if name == update.networks:
                    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize("labels", [(0.0, 0.0), (0.1, 0.9)])
def test_labels_that_would_teach_the_wrong_way_round_are_refused(labels: tuple[float, float]) -> None:
    real, fake = labels
    sentence = f"real_label = {real} must be greater than fake_label = {fake}: the generator is taught to look real"
    with pytest.raises(ValidationError, match=sentence):
        BCE(real_label=real, fake_label=fake)


@pytest.mark.parametrize(
    "option", ['"real_label": 1.1', '"fake_label": -0.1', '"discriminator_steps": 0', '"generator_loss": "hinge"']
)
def test_options_out_of_bounds_are_refused(option: str) -> None:
    with pytest.raises(ValidationError, match=option.split('"')[1]):
        BCE.model_validate_json(f"{{{option}}}")
