"""The loss scale of fp16, against torch's GradScaler and against the gradients of a loss without one."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from toys import tiny

import ganlab
from ganlab import Iteration
from ganlab.data.packing import pack
from ganlab.errors import NonFiniteError
from ganlab.hardware.device import autocast
from ganlab.recipe.recipe import parse_recipe
from ganlab.training.iteration import run_iteration
from ganlab.training.loss_scale import GROWS_AFTER, LEAST, START, LossScale
from ganlab.training.ticks import Callbacks
from ganlab.training.trainer import Trainer

CPU = torch.device("cpu")


def scale_of(scale: LossScale) -> float:
    return dict(scale.tensors())["scale"].item()


def update(scale: LossScale, *factors: float) -> list[Tensor]:
    """Return the gradients of factor * w at w = 2, as an update gets them."""
    weights = [torch.full((2, 3), 2.0, requires_grad=True) for _ in factors]
    loss = sum(
        (factor * weight.square().sum() for factor, weight in zip(factors, weights, strict=True)), torch.zeros(())
    )
    scale.scaled(loss).backward()
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    scale.unscale(gradients)
    scale.follow(gradients, torch.stack([gradient.norm() for gradient in gradients]).norm())
    return gradients


def test_gradients_are_those_of_the_loss_and_the_scale_stays() -> None:
    scale = LossScale(CPU)
    first, second = update(scale, 0.5, -3.0)
    assert torch.equal(first, torch.full((2, 3), 2.0))
    assert torch.equal(second, torch.full((2, 3), -12.0))
    assert scale_of(scale) == START


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 1e38])
def test_an_overflow_makes_a_gradient_of_0_and_halves_the_scale(value: float) -> None:
    scale = LossScale(CPU)
    for gradient in update(scale, 1.0, value):
        assert torch.equal(gradient, torch.zeros(2, 3)), "of all that one update moves"
    assert scale_of(scale) == START / 2


def test_the_scale_takes_the_course_of_torch_s_grad_scaler() -> None:
    reference = torch.amp.GradScaler("cpu", init_scale=START, growth_interval=GROWS_AFTER)
    weight = torch.nn.Parameter(torch.ones(()))
    optimizer = torch.optim.SGD([weight], 0.0)
    scale, factors = LossScale(CPU), [1.0] * (GROWS_AFTER + 1) + [float("inf")] * 2 + [1.0] * (GROWS_AFTER + 2)
    courses: list[list[float]] = [[], []]
    for factor in factors:
        reference.scale(factor * weight).backward()
        reference.step(optimizer)
        reference.update()
        optimizer.zero_grad()
        courses[0].append(reference.get_scale())
        update(scale, factor)
        courses[1].append(scale_of(scale))
    assert courses[0] == courses[1]
    assert max(courses[0]) == 2 * START
    assert min(courses[0]) == START / 2


def test_a_gradient_that_no_scale_makes_finite_is_let_through() -> None:
    scale = LossScale(CPU)
    while scale_of(scale) > LEAST:
        assert all(gradient.isfinite().all() for gradient in update(scale, float("nan")))
    assert update(scale, float("nan"))[0].isnan().all()
    assert scale_of(scale) == LEAST


def trainer(**train: Any) -> Trainer:
    recipe = parse_recipe(tiny(train={"precision": "fp16", "iterations": 10, **train}))
    return Trainer(recipe, pack(recipe.dataset, "stripes", lambda *_: None), CPU, "fp16")


def test_a_training_in_fp16_learns_what_one_in_float32_does_and_keeps_its_scale_in_checkpoints() -> None:
    half, whole = trainer(), trainer(precision="fp32")
    names = [name for name, _ in half.state.tensors()]
    assert {"loss_scale/scale", "loss_scale/fine_updates"} <= set(names)
    assert not any(name.startswith("loss_scale") for name, _ in whole.state.tensors())
    gradients: list[list[Tensor]] = []
    for one, precision in ((half, "fp16"), (whole, "fp32")):
        norms: list[Tensor] = []
        run_iteration(
            one.recipe.loss,
            one.state,
            one.batches,
            Iteration(0, torch.zeros(())),
            autocast(precision, CPU),  # type: ignore[arg-type]  # of a tuple's texts
            lambda _, norm, norms=norms: norms.append(norm),  # type: ignore[misc]  # so are its arguments
            one.ranks,
        )
        gradients.append(norms)
    for mine, exact in zip(*gradients, strict=True):
        assert float((mine - exact).abs() / exact) < 0.05, "fp16 has 11 bits; the scale is 65,536"
    assert half.run(Callbacks())
    assert dict(half.state.tensors())["loss_scale/fine_updates"] > 0


def test_what_stays_infinite_stops_the_run() -> None:
    broken = trainer(iterations=100)
    with torch.no_grad():
        next(broken.state.networks["discriminator"].parameters()).fill_(float("nan"))
    with pytest.raises(NonFiniteError):
        broken.run(Callbacks())


def test_fp16_is_refused_where_it_is_emulated() -> None:
    with pytest.raises(ganlab.GanlabError, match=r"train\.precision = fp16: this cpu has no fp16 arithmetic"):
        ganlab.train(tiny(train={"precision": "fp16"}))
