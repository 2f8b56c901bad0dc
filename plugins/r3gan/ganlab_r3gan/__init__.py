"""R3GAN (Huang et al. 2024, https://arxiv.org/abs/2501.05441): its networks, and the loss that they are trained by."""

from __future__ import annotations

from ganlab_r3gan.loss import R3GANLoss as R3GANLoss
from ganlab_r3gan.model import R3GAN as R3GAN
from ganlab_r3gan.model import ConditionalR3GAN as ConditionalR3GAN
