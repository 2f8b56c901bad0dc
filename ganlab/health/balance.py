"""Whether generator and discriminator are a match for each other, as the loss's statistics tell."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from statistics import fmean

from ganlab.health.signs import Block, Blocks, Sign, Streak

QUIET_LOSS = 1e-3
"""A discriminator with a smaller loss has nothing left to learn, and nothing to teach."""
BEATEN = 0.02
"""The probability of being real that a discriminator that has won gives to generated pictures, at most."""
SURE = 0.8
"""And the one that it gives to real ones, at least: under smoothed labels it does not near 1."""
LOST_SHARE = 0.03
"""Of a loss that is bounded below by 0: what is left of the largest mean so far where the discriminator has won."""
FALLING = 0.9
"""A generator whose loss falls to less than this part of what it was is catching up."""

FEW_PICTURES = 5_000
"""A tenth of CIFAR-10: with so many, Zhao et al. 2020 measured what augmentation is worth."""
KNOWN = 0.95
"""The mean sign of the logits of real pictures, r_t of Karras et al. 2020, from which on they are known by heart."""
REPETITIONS = 20
"""How often each picture must have been seen before it can be known."""

POINTS = 256
"""So many means of the generator's loss are remembered."""


class Statistics:
    """The statistics of a GAN's loss, where there are any. What is not finite is not there."""

    def __init__(self, stats: Mapping[str, float]) -> None:
        known = {name: value for name, value in stats.items() if math.isfinite(value)}
        of_discriminator = (name for name in known if f"{name}_".startswith("loss_discriminator_"))
        self.discriminator_loss = known.get(next(of_discriminator, ""))
        self.generator_loss = known.get("loss_generator")
        self.real, self.fake, self.sign = known.get("D(x)"), known.get("D(G(z))"), known.get("sign(D(x))")

    @property
    def likelihood(self) -> bool:
        """Whether D(x) and D(G(z)) are probabilities, and the generator maximises the latter's logarithm.

        No loss need say so: a generator's loss near -log D(G(z)) has no other cause. Half of it is enough, because
        other terms may be in it. A least-squares, a hinge or a Wasserstein loss of the same D(G(z)) is far smaller.
        """
        if self.real is None or self.fake is None or self.generator_loss is None:
            return False
        if not (0.0 <= self.real <= 1.0 and 0.0 <= self.fake < 1.0):
            return False
        return self.fake == 0.0 or self.generator_loss >= -0.4 * math.log(self.fake)


class DiscriminatorWins:
    """Looks for a discriminator that tells all pictures apart, from which a generator learns nothing any more."""

    name = "discriminator_wins"

    def __init__(self) -> None:
        self._blocks, self._streak = Blocks(), Streak()
        self._largest = -math.inf
        self._unbounded = False
        self._generator: deque[float] = deque(maxlen=POINTS)

    def tick(self, iteration: int, stats: Mapping[str, float]) -> Sign | None:
        """Look at the means of a tick, with those before it."""
        block = self._blocks.add(iteration, stats)
        return None if block is None else self._look(block)

    def _look(self, block: Block) -> Sign | None:
        found = Statistics(block.stats)
        loss = found.discriminator_loss
        if loss is None:
            return None
        self._unbounded |= loss < -QUIET_LOSS
        self._largest = max(self._largest, loss)
        seen, numbers = self._win(found, loss)
        self._streak.add(block, bool(seen))
        if not seen:
            self._generator.clear()
        elif found.generator_loss is not None:
            self._generator.append(found.generator_loss)
        since = self._streak.since
        if self._streak.lasts(True) and not _falls(self._generator):
            words = f"the discriminator tells all pictures apart since iteration {since:,}: {seen}"
            return Sign(True, since, words, numbers)
        if self._streak.lasts(False):
            return Sign(False, since, f"the discriminator errs again since iteration {since:,}", {"loss": loss})
        return None

    def _win(self, found: Statistics, loss: float) -> tuple[str, dict[str, float]]:
        """Return how the discriminator has won, in words and numbers; nothing where it has not, or none can tell."""
        if abs(loss) < QUIET_LOSS:
            return f"its loss is {loss:.2g}, below {QUIET_LOSS:g}", {"loss_discriminator": loss}
        if found.likelihood and found.fake is not None and found.real is not None:
            if found.fake < BEATEN and found.real > SURE:
                numbers = {"D(x)": found.real, "D(G(z))": found.fake}
                return f"D(G(z)) is {found.fake:.2g}, below {BEATEN:g}, and D(x) {found.real:.2g}", numbers
            return "", {}
        apart = found.real is not None and found.fake is not None and found.real > found.fake
        if not self._unbounded and apart and loss < LOST_SHARE * self._largest:
            words = f"its loss is {loss:.2g}, below {LOST_SHARE:.0%} of its largest, {self._largest:.2g}"
            return words, {"loss_discriminator": loss, "largest": self._largest}
        return "", {}


class FewPictures:
    """Looks for a discriminator that knows its pictures by heart because they are few."""

    name = "few_pictures"

    def __init__(self, pictures: int) -> None:
        """`pictures` is how many the data has."""
        self._pictures = pictures
        self._blocks, self._streak = Blocks(), Streak()

    def tick(self, iteration: int, epoch: float, stats: Mapping[str, float]) -> Sign | None:
        """Look at the means of a tick, with those before it."""
        block = self._blocks.add(iteration, stats)
        if block is None or self._pictures >= FEW_PICTURES:
            return None
        found = Statistics(block.stats)
        if found.sign is None or found.real is None or found.fake is None:
            return None
        # Of a critic, or of a loss of differences, the sign of a logit means nothing: its zero is anywhere.
        bounded = found.discriminator_loss is not None and found.discriminator_loss >= 0.0
        told_apart = (found.likelihood and found.fake < 0.5) or (bounded and found.fake < 0.0 < found.real)
        self._streak.add(block, told_apart and found.sign >= KNOWN and epoch >= REPETITIONS)
        since, numbers = self._streak.since, {"sign(D(x))": found.sign, "pictures": float(self._pictures)}
        if self._streak.lasts(True):
            words = (
                f"the discriminator knows the {self._pictures:,} pictures by heart since iteration {since:,}: "
                f"sign(D(x)) is {found.sign:.2f}, at least {KNOWN:g}, and each was seen {epoch:,.0f} times"
            )
            return Sign(True, since, words, numbers)
        if self._streak.lasts(False):
            return Sign(False, since, f"sign(D(x)) is {found.sign:.2f} since iteration {since:,}", numbers)
        return None


def _falls(losses: Sequence[float]) -> bool:
    """Tell whether the last third of a generator's losses is well below the first one."""
    third = len(losses) // 3
    values = list(losses)
    return third > 0 and fmean(values[-third:]) < FALLING * fmean(values[:third])
