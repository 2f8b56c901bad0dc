"""Binary cross-entropy, the loss of the first GAN."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Literal, cast

from pydantic import Field, PositiveInt, model_validator

from ganlab import Batch, Iteration, Loss, Schedule, Scheduled, Update, apart

if TYPE_CHECKING:
    from torch import Tensor, nn

Label = Annotated[float, Field(ge=0.0, le=1.0)]


class BCE(Loss):
    """Binary cross-entropy on logits, the loss of the first GAN (Goodfellow et al. 2014) and of DCGAN.

    Logs D(x) and D(G(z)), the mean probabilities that the discriminator gives to real and generated pictures, and
    sign(D(x)), the mean sign of its logits for real ones, which nears 1 where it knows them by heart.
    """

    api = 1

    generator_loss: Literal["non_saturating", "minimax"] = "non_saturating"
    """What the generator minimises: `"non_saturating"`, -log D(G(z)), or `"minimax"`, log(1 - D(G(z)))."""
    real_label: Scheduled[Label] = 1.0
    """What the discriminator is taught to say of real pictures; 0.9 is one-sided label smoothing."""
    fake_label: Scheduled[Label] = 0.0
    """What the discriminator is taught to say of generated pictures; above 0 the smoothing is two-sided."""
    discriminator_steps: PositiveInt = 1
    """Discriminator updates in an iteration, each on new pictures: k of Goodfellow et al. 2014, algorithm 1."""
    generator_first: bool = False
    """Whether an iteration begins with the generator's update instead of ending with it."""

    @model_validator(mode="after")
    def _labels_in_order(self) -> BCE:
        real, fake = min(_ends(self.real_label)), max(_ends(self.fake_label))
        if real <= fake:
            raise ValueError(
                f"real_label = {real} must be greater than fake_label = {fake}: the generator is taught to look real"
            )
        return self

    def updates(
        self, networks: Mapping[str, nn.Module], batches: Iterator[Batch], iteration: Iteration
    ) -> Iterator[Update]:
        """Yield `discriminator_steps` discriminator updates and, last or first, one generator update.

        The generator's update uses the fakes of the discriminator update next to it, as the common implementations
        do; algorithm 1 would draw new ones, at the cost of another forward pass.
        """
        G, D = networks["generator"], networks["discriminator"]
        if self.generator_first:
            batch = next(batches)
            fake = G(*batch.inputs.values())
            yield self._generator_update(D, batch, fake)
            yield self._discriminator_update(D, batch, fake.detach(), iteration)
        for _ in range(self.discriminator_steps - 1):
            batch = next(batches)
            yield self._discriminator_update(D, batch, _without_graph(G, batch), iteration)
        if not self.generator_first:
            batch = next(batches)
            fake = G(*batch.inputs.values())
            yield self._discriminator_update(D, batch, fake.detach(), iteration)
            yield self._generator_update(D, batch, fake)

    def _discriminator_update(self, D: nn.Module, batch: Batch, fake: Tensor, iteration: Iteration) -> Update:
        # In float32 under any autocast: bf16 has 8 significant bits, too few for logits that differ by little.
        # Apart: each batch is normalised by its own BatchNorm statistics.
        logits = apart(D, [batch.real, fake], batch.condition, iteration)
        real_logits, fake_logits = (one.float() for one in logits)
        loss = _cross_entropy(real_logits, self.real_label) + _cross_entropy(fake_logits, self.fake_label)
        stats = {
            "D(x)": _probability(real_logits),
            "D(G(z))": _probability(fake_logits),
            "sign(D(x))": real_logits.detach().sign().mean(),  # r_t of Karras et al. 2020, equation 1
        }
        return Update("discriminator", loss, stats)

    def _generator_update(self, D: nn.Module, batch: Batch, fake: Tensor) -> Update:
        logits = D(fake, *batch.condition).float()
        # Never smoothed: smoothing regularises the discriminator (Salimans et al. 2016, section 3.4).
        if self.generator_loss == "non_saturating":
            return Update("generator", _cross_entropy(logits, 1.0))
        return Update("generator", -_cross_entropy(logits, 0.0))


def _ends(label: object) -> tuple[float, ...]:
    """Return the number that a label is, or those between which it changes."""
    return (label.start, label.to) if isinstance(label, Schedule) else (cast("float", label),)


def _cross_entropy(logits: Tensor, label: float | Tensor) -> Tensor:
    """Return the mean of -label log s(l) - (1 - label) log(1 - s(l)) over logits `(N,)`, s the logistic function.

    -log s(l) is softplus(-l), and -log(1 - s(l)) is softplus(l).
    """
    if isinstance(label, float) and label in (0.0, 1.0):
        return _softplus(-logits if label else logits).mean()
    # Not by their difference, l: next to a label of nearly 0 or 1, nothing would be left of the smaller one.
    return (label * _softplus(-logits) + (1.0 - label) * _softplus(logits)).mean()


def _softplus(x: Tensor) -> Tensor:
    """Return log(1 + exp(x)): x itself where that rounds to it in float64, too."""
    from torch.nn import functional

    return functional.softplus(x, threshold=40.0)


def _probability(logits: Tensor) -> Tensor:
    return logits.detach().sigmoid().mean()


def _without_graph(G: nn.Module, batch: Batch) -> Tensor:
    """Return fakes that only the discriminator learns from, without the memory of a graph."""
    import torch

    with torch.no_grad():
        fake: Tensor = G(*batch.inputs.values())
    return fake
