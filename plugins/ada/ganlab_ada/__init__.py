"""Adaptive discriminator augmentation (Karras et al. 2020, https://arxiv.org/abs/2006.06676), for few pictures."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, PositiveInt

from ganlab import Augmentation, ImageSpec, Scheduled

if TYPE_CHECKING:
    from torch import Tensor, nn

Group = Literal["blit", "geometric", "color"]
Probability = Annotated[float, Field(ge=0.0, le=1.0)]


def _once_each(groups: tuple[Group, ...]) -> tuple[Group, ...]:
    if len(set(groups)) < len(groups):
        raise ValueError("names a group twice")
    return groups


class ADA(Augmentation):
    """Random flips, turns, moves, scales and colours, each with a probability p that follows the discriminator.

    p rises while the discriminator is surer of real pictures than `target`, and falls while it is less sure. Needs a
    loss that reports `sign(D(x))`: `bce` and those of ganlab-gan-losses do.
    """

    api = 1
    brings: ClassVar[tuple[str, ...]] = ("ada",)

    target: Annotated[float, Field(gt=-1.0, lt=1.0)] = 0.6
    """The mean sign of the logits of real pictures, r_t, at which p stays: 1 is a discriminator that knows them all."""
    speed: PositiveInt = 500_000
    """Real pictures in which p may go from 0 to 1."""
    interval: PositiveInt = 4
    """Discriminator updates over which r_t is averaged before p moves."""
    groups: Annotated[tuple[Group, ...], Field(min_length=1), AfterValidator(_once_each)] = (
        "blit",
        "geometric",
        "color",
    )
    """Which transforms there are: `"blit"` flips, turns by 90 degrees and moves by whole pixels, `"geometric"` scales,
    turns and moves by any amount, `"color"` changes brightness, contrast, hue and saturation."""

    p: Scheduled[Probability] | None = None
    """A number or a schedule in place of what follows the discriminator, as R3GAN has it (Huang et al. 2024)."""

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        """Return p, the sum of r_t and the number of its terms, the size of a batch, and the filter, which stays."""
        import torch
        from torch import nn

        from ganlab_ada.resampling import SYM6

        state = nn.Module()
        state.register_buffer("p", torch.zeros(()))
        state.register_buffer("signs", torch.zeros(()))
        state.register_buffer("updates", torch.tensor(0))
        state.register_buffer("batch", torch.tensor(0))
        state.register_buffer("lowpass", torch.tensor(SYM6), persistent=False)
        return {"ada": state}

    def augment(self, images: Tensor, state: Mapping[str, Any]) -> Tensor:
        """Return changed pictures `(N, C, H, W)`, whose values may leave [-1, 1], as the paper leaves them.

        They are float32 where pictures are in half precision.
        """
        import torch
        from torch.amp import is_autocast_available

        from ganlab_ada import color, geometry, resampling

        ada = state["ada"]
        ada.batch.fill_(len(images))
        if self.p is not None:
            ada.p.fill_(self.p)
        # Exact whatever the discriminator is computed in: half precision has no room for places in a picture.
        device = images.device.type
        with torch.autocast(device, enabled=False) if is_autocast_available(device) else nullcontext():
            images = images.to(torch.promote_types(images.dtype, torch.float32))
            blit = geometry.blit(images, ada.p) if "blit" in self.groups else geometry.identity(images)
            changed = resampling.copied(images, blit)
            if "geometric" in self.groups:
                free = geometry.free(images, ada.p)
                moved = (free != geometry.identity(images)).any(2).any(1).view(-1, 1, 1, 1)
                interpolated = resampling.interpolated(images, geometry.product(blit, free), ada.lowpass)
                changed = interpolated.where(moved, changed)
            if "color" in self.groups:
                changed = color.change(changed, ada.p)
        return changed

    def adapt(self, state: Mapping[str, Any], stats: Mapping[str, Tensor]) -> None:
        """Move p towards where r_t is the target (section 3.2), each time that `interval` updates have reported it."""
        if self.p is not None or "sign(D(x))" not in stats:
            return
        ada = state["ada"]
        # First what the iterations before have added, on which all ranks have agreed: so they move p alike.
        full = ada.updates >= self.interval
        pictures = ada.updates * ada.batch * _world()
        step = (ada.signs / self.interval - self.target).sign() * pictures / self.speed
        ada.p.add_(step * full).clamp_(0.0, 1.0)
        ada.signs.mul_(~full).add_(stats["sign(D(x))"])
        ada.updates.mul_(~full).add_(1)


def _world() -> int:
    """Return among how many processes a batch is divided."""
    from torch import distributed

    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1
