"""Flow matching (Lipman et al. 2023, https://arxiv.org/abs/2210.02747): pictures by following a learned velocity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, PositiveInt

from ganlab import Batch, ImageSpec, Iteration, Loss, Model, PluginError, Update

if TYPE_CHECKING:
    from torch import nn


class Flow(Model):
    """A U-Net that learns the velocity from noise to pictures, and a generator that follows it in a few steps.

    Needs the loss `flow_matching`. Pictures of any size: z is a whole picture of noise.
    """

    api = 1
    networks: ClassVar[tuple[str, ...]] = ("generator", "velocity")
    export_tolerance: ClassVar[float] = 1e-4

    latent_dim: PositiveInt = 784
    """Length of z, which is a picture of noise: channels x height x width, 784 for greyscale of 28x28."""
    steps: PositiveInt = 8
    """Steps from noise to picture; more are closer to the exact flow and take longer."""
    solver: Literal["euler", "midpoint"] = "midpoint"
    """How a step is made: `"euler"` asks for the velocity once, `"midpoint"` twice and is far more exact."""
    base_channels: PositiveInt = 64
    """Channels of the U-Net at its highest resolution; each of the first two halvings doubles them."""
    halvings: Annotated[int, Field(ge=0, le=6)] = 2
    """How often the U-Net halves the resolution."""
    patch: PositiveInt = 1
    """The U-Net sees squares of this many pixels a side as one: 2 takes about a quarter of the time."""

    def check(self, images: ImageSpec) -> None:
        """Raise `ValueError` with a remedy where `images` do not divide into patches or z is not a picture's size."""
        if images.height % self.patch or images.width % self.patch:
            raise ValueError(
                f"pictures of {images.height}x{images.width} do not divide into patches of {self.patch}x{self.patch}; "
                "choose another resolution, or set model.patch to 1"
            )
        size = images.channels * images.height * images.width
        if self.latent_dim != size:
            raise ValueError(
                f"z is a picture of noise, {images.channels} x {images.height} x {images.width} numbers: "
                f"set model.latent_dim to {size}, not {self.latent_dim}"
            )

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        """Return the velocity, x `(N, C, H, W)` and t `(N,)` to `(N, C, H, W)`, and the generator that follows it."""
        from ganlab_flow.networks import Sampler, UNet

        self.check(images)
        velocity = UNet(images.channels, self.base_channels, self.halvings, self.patch)
        return {"generator": Sampler(velocity, images, self.steps, self.solver), "velocity": velocity}


class FlowMatching(Loss):
    """Regression of the velocity on straight lines from noise to pictures (Lipman et al. 2023, Liu et al. 2023)."""

    api = 1
    networks: ClassVar[tuple[str, ...]] = ("velocity",)

    def updates(
        self, networks: Mapping[str, nn.Module], batches: Iterator[Batch], iteration: Iteration
    ) -> Iterator[Update]:
        """Yield one update: the mean of |v(x_t, t) - (x_1 - x_0)|^2 at x_t = (1 - t) x_0 + t x_1, t uniform."""
        import torch

        v, batch = networks["velocity"], next(batches)
        x_1 = batch.real
        if batch.z[0].numel() != x_1[0].numel():
            raise PluginError(
                f"flow_matching starts at z, so z must have the {x_1[0].numel()} numbers of a picture, "
                f"not {batch.z[0].numel()}; set model.latent_dim"
            )
        x_0 = batch.z.view(x_1.shape)
        t = torch.rand(len(x_1), device=x_1.device)
        x_t = torch.lerp(x_0, x_1, t.view(-1, 1, 1, 1))
        error = v(x_t, t, *batch.condition).float() - (x_1 - x_0)
        yield Update("velocity", error.square().mean())
