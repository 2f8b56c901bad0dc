"""Losses for a generator against a discriminator, each as its paper states it, and their gradient penalties."""

from __future__ import annotations

from ganlab_gan_losses.hinge import Hinge as Hinge
from ganlab_gan_losses.least_squares import LeastSquares as LeastSquares
from ganlab_gan_losses.logistic import Logistic as Logistic
from ganlab_gan_losses.relativistic import Relativistic as Relativistic
from ganlab_gan_losses.wasserstein import Wasserstein as Wasserstein
