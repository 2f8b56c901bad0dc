"""How much there is to compute: the convolutions of one DCGAN iteration, counted on paper."""

from __future__ import annotations

from ours import Setting
from textbook import LATENT_DIM


def flops(setting: Setting) -> float:
    """Return the floating-point operations of an iteration that computes nothing in vain, 2 a multiplication.

    Forward, weight gradient and input gradient of a layer cost the same. The discriminator: twice all three, on real
    and generated pictures, where the first layer needs no input gradient, then forward and input gradient again for
    the generator, which costs all three, with no gradient for z.
    """
    generator, discriminator = _generator(setting), _discriminator(setting)
    macs = 8 * sum(discriminator) - 2 * discriminator[0] + 3 * sum(generator) - generator[0]
    return 2.0 * macs * setting.batch_size


def textbook_flops(setting: Setting) -> float:
    """Return those of the textbook's iteration: the discriminator's weight gradients once more."""
    return flops(setting) + 2.0 * sum(_discriminator(setting)) * setting.batch_size


def _generator(setting: Setting) -> list[int]:
    maps = setting.width * setting.resolution // 8
    layers, side = [LATENT_DIM * maps * 16], 4
    while side < setting.resolution:
        to = maps // 2 if side * 2 < setting.resolution else setting.channels
        layers.append(side * side * 16 * maps * to)
        side, maps = side * 2, maps // 2
    return layers


def _discriminator(setting: Setting) -> list[int]:
    # The generator's layers the other way round, but for the last one, which sees one number instead of z.
    *rest, last = reversed(_generator(setting))
    return [*rest, last // LATENT_DIM]
