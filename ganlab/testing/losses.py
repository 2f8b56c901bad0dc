"""The checks of losses: what they yield, what they leave as it was, and that they lead to the optimum."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from ganlab.errors import PluginError
from ganlab.interfaces import ImageSpec, Iteration, Loss, Model, Update
from ganlab.testing import optimum
from ganlab.testing.models import shapes
from ganlab.testing.subject import Check, ContractError, Subject
from ganlab.testing.surroundings import modes, moved, random_states
from ganlab.testing.toys import IMAGES, Tiny
from ganlab.testing.trial import Trial, resumes_exactly
from ganlab.training.iteration import run_iteration
from ganlab.training.statistics import networks_of

ADVERSARIAL = {"generator", "discriminator"}
LONGEST = 64
"""Iterations at most, however many different ones the loss says take turns."""
