"""Small components with which a training can be given one disease; by default it is healthy."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import NonNegativeFloat, PositiveInt

from ganlab import Batch, ImageSpec, Iteration, Loss, Model, Update

if TYPE_CHECKING:
    from torch import nn

Fault = Literal["none", "deaf", "loud", "holes", "dirac"]


class Perceptrons(Model):
    """Two perceptrons of one hidden layer, for pictures of any even size."""

    api = 1
    hidden: PositiveInt = 64
    """Units of the hidden layer of each."""
    fault: Fault = "none"
    """`"deaf"`: the generator does not hear its latent. `"loud"`: its last layer is a hundred times too large.
    `"holes"`: that is a transposed convolution whose kernel is smaller than its stride of 2, so that it does not reach
    every second pixel. `"dirac"`: the generator is one shade of grey that is learnt, and the discriminator one weight
    for the mean of a picture, as in the example of Mescheder et al. 2018 that never settles."""

    def check(self, images: ImageSpec) -> None:
        """Accept pictures of any size."""

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        """Return the generator, z `(N, latent_dim)` to `(N, C, H, W)`, and the discriminator, to logits `(N,)`."""
        from torch import nn

        size = images.channels * images.height * images.width
        judging: list[nn.Module] = [nn.Flatten(), nn.Linear(size, self.hidden), nn.LeakyReLU(0.2)]
        judging += [nn.Linear(self.hidden, 1), nn.Flatten(0)]
        if self.fault == "dirac":
            judging = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(images.channels, 1, bias=False), nn.Flatten(0)]
        drawing = self._grey(images) if self.fault == "dirac" else self._drawing(images)
        return {"generator": nn.Sequential(*drawing), "discriminator": nn.Sequential(*judging)}

    def _drawing(self, images: ImageSpec) -> Iterator[nn.Module]:
        from torch import nn

        shape = (images.channels, images.height, images.width)
        if self.fault == "deaf":
            yield nn.Threshold(math.inf, 0.0)  # 0 whatever it is
        yield from (nn.Linear(self.latent_dim, self.hidden), nn.ReLU())
        if self.fault == "holes":
            half = (8, images.height // 2, images.width // 2)
            yield from (nn.Linear(self.hidden, math.prod(half)), nn.ReLU(), nn.Unflatten(1, half))
            yield nn.ConvTranspose2d(8, images.channels, 1, 2, 0, 1)
        else:
            last = nn.Linear(self.hidden, math.prod(shape))
            if self.fault == "loud":
                last.weight.data.mul_(100.0)
            yield from (last, nn.Unflatten(1, shape))
        yield nn.Tanh()

    def _grey(self, images: ImageSpec) -> Iterator[nn.Module]:
        from torch import nn

        yield nn.Threshold(math.inf, 0.0)
        yield from (nn.Linear(self.latent_dim, images.channels), nn.Unflatten(1, (images.channels, 1, 1)))
        yield nn.Upsample((images.height, images.width))


class Difference(Loss):
    """The Wasserstein loss with nothing that bounds it: generator and discriminator go round each other for ever.

    `decay` pulls the discriminator's weights towards 0 (Mescheder et al. 2018): then it ends.
    """

    api = 1
    decay: NonNegativeFloat = 0.0

    def updates(
        self, networks: Mapping[str, nn.Module], batches: Iterator[Batch], iteration: Iteration
    ) -> Iterator[Update]:
        """Yield an update of the discriminator and one of the generator."""
        G, D = networks["generator"], networks["discriminator"]
        batch = next(batches)
        fake = G(*batch.inputs.values())
        real, made = D(batch.real).mean(), D(fake.detach()).mean()
        weights = sum(parameter.square().sum() for parameter in D.parameters())
        yield Update("discriminator", made - real + self.decay * weights, {"D(x)": real, "D(G(z))": made})
        yield Update("generator", -D(fake).mean())


class Chamfer(Loss):
    """Each picture pulls the generated one that is nearest to it (Li and Malik 2018), and each of these its nearest
    picture: on few pictures it ends with copies of them."""

    api = 1
    networks: ClassVar[tuple[str, ...]] = ("generator",)

    def updates(
        self, networks: Mapping[str, nn.Module], batches: Iterator[Batch], iteration: Iteration
    ) -> Iterator[Update]:
        """Yield one update."""
        import torch

        batch = next(batches)
        real, made = batch.real.flatten(1), networks["generator"](*batch.inputs.values()).flatten(1)
        squared = torch.cdist(real, made).square()
        yield Update("generator", (squared.amin(0).mean() + squared.amin(1).mean()) / real.shape[1])
