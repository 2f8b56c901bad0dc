"""Flow matching (Lipman et al. 2023, https://arxiv.org/abs/2210.02747): pictures by following a learned velocity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, PositiveInt

from ganlab import Batch, ImageSpec, Input, Iteration, Loss, Model, Normal, PluginError, Update

if TYPE_CHECKING:
    from torch import nn


class Flow(Model):
    """A U-Net that learns the velocity from noise to pictures, and a generator that follows it in a few steps.

    Needs the loss `flow_matching`. Pictures of any size: z is a whole picture of noise.
    """

    api = 1
    networks: ClassVar[tuple[str, ...]] = ("generator", "velocity")
    export_tolerance: ClassVar[float] = 1e-4

    latent_dim: PositiveInt = 100
    """Not used: z is a picture of noise, of the pictures' own shape."""
    latent: Literal["normal"] = "normal"
    """Distribution of z: standard normal."""
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
        """Raise `ValueError` with a remedy where `images` do not divide into patches, or another z is asked for."""
        if images.height % self.patch or images.width % self.patch:
            raise ValueError(
                f"pictures of {images.height}x{images.width} do not divide into patches of {self.patch}x{self.patch}; "
                "choose another resolution, or set model.patch to 1"
            )
        size = images.channels * images.height * images.width
        # A file that says the size itself is right, and the default is what nobody has said.
        if self.latent_dim not in (size, type(self).model_fields["latent_dim"].default):
            raise ValueError(
                f"z is a picture of noise, {images.channels} x {images.height} x {images.width} numbers: "
                f"take model.latent_dim = {self.latent_dim} out"
            )

    def inputs(self, images: ImageSpec) -> dict[str, Input]:
        """Return z, a picture of noise."""
        return {"z": Normal((images.channels, images.height, images.width))}

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        """Return the velocity, x `(N, C, H, W)` and t `(N,)` to `(N, C, H, W)`, and the generator that follows it."""
        from ganlab_flow.networks import Sampler, UNet

        self.check(images)
        velocity = UNet(images.channels, self.base_channels, self.halvings, self.patch)
        return {"generator": Sampler(velocity, self.steps, self.solver), "velocity": velocity}


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
        x_0, x_1 = batch.inputs["z"], batch.real
        if x_0.shape != x_1.shape:
            raise PluginError(
                f"flow_matching starts at z, which must have the shape of the pictures {tuple(x_1.shape[1:])}, not "
                f"{tuple(x_0.shape[1:])}: its model declares so in inputs()"
            )
        t = torch.rand(len(x_1), device=x_1.device)
        x_t = torch.lerp(x_0, x_1, t.view(-1, 1, 1, 1))
        error = v(x_t, t, *batch.condition).float() - (x_1 - x_0)
        yield Update("velocity", error.square().mean())
