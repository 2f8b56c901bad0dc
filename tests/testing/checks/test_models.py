"""The checks of models, each against a model that breaks it and nothing else."""

from __future__ import annotations

import math
import os
import random
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from breaking import Break, Discriminator, Energy, Generator, Good, assert_breaks_only_its_check, failures, named, suite
from torch import Tensor, nn
from torch.nn import functional

from ganlab import Categorical, ImageSpec, Input, Normal
from ganlab.testing.checks import models


class Choosy(Good):
    """Refuses all pictures."""

    api = 1

    def check(self, images: ImageSpec) -> None:
        raise ValueError("only 7x7")


class Silent(Good):
    """Refuses without a word."""

    api = 1

    def check(self, images: ImageSpec) -> None:
        if images.height != 32:
            raise ValueError


class Stumbling(Good):
    """Knows some sizes only, and trips over others."""

    api = 1

    def check(self, images: ImageSpec) -> None:
        {28: "fits"}[images.height]


class Misnamed(Good):
    """Builds another network than it states."""

    api = 1

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        return {"generator": Generator(images), "critic": Discriminator(images)}


class NumpyWeights(Good):
    """Draws from numpy's global state while it is built."""

    api = 1

    def generator(self, images: ImageSpec) -> nn.Module:
        np.random.rand()
        return Generator(images)


class PythonNoise(Good):
    """Draws from Python's global state in the discriminator."""

    api = 1

    def discriminator(self, images: ImageSpec) -> nn.Module:
        return Discriminator(images, lambda logits: logits + random.random())


class Reseeding(Good):
    """Seeds torch, so that its weights are always the same."""

    api = 1

    def generator(self, images: ImageSpec) -> nn.Module:
        torch.manual_seed(0)
        return Generator(images)


class Unseeded(Good):
    """Draws weights from a generator that nobody has seeded."""

    api = 1

    def generator(self, images: ImageSpec) -> nn.Module:
        network = Generator(images)
        own = torch.Generator().manual_seed(int.from_bytes(os.urandom(7), "big"))
        nn.init.normal_(network.first.weight, generator=own)
        return network


class Constant(Good):
    """Draws all weights from a generator with a seed of its own."""

    api = 1

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        networks = super().build(images)
        own = torch.Generator().manual_seed(0)
        for network in networks.values():
            for parameter in network.parameters():
                nn.init.normal_(parameter, 0.0, 0.1, generator=own)
        return networks


class Coded(nn.Module):
    """A generator that has a code beside z, and does with both what it is told."""

    def __init__(self, images: ImageSpec, joined: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.inner, self.joined = Generator(images), joined

    def forward(self, z: Tensor, code: Tensor) -> Tensor:
        made: Tensor = self.inner(self.joined(z, code))
        return made


class Disordered(Good):
    """Declares its inputs in another order than the generator's arguments."""

    api = 1

    def inputs(self, images: ImageSpec) -> dict[str, Input]:
        return {"code": Categorical(2), "z": Normal((2,))}

    def generator(self, images: ImageSpec) -> nn.Module:
        return Coded(images, lambda z, code: torch.cat([z, code], 1))


class Undeclared(Good):
    """Has a generator with an argument more than it declares."""

    api = 1

    def inputs(self, images: ImageSpec) -> dict[str, Input]:
        return {"z": Normal((2,))}

    def generator(self, images: ImageSpec) -> nn.Module:
        return Coded(images, lambda z, code: torch.cat([z, code], 1))


class Fickle(Good):
    """Declares another input each time."""

    api = 1
    _asked: int = 0

    def inputs(self, images: ImageSpec) -> dict[str, Input]:
        self._asked += 1
        return {"z": Normal((4,)), f"code_{self._asked}": Categorical(2)}


class Listing(Good):
    """Declares a list."""

    api = 1

    def inputs(self, images: ImageSpec) -> Any:
        return [Normal((4,))]


class Deaf(Good):
    """Does not listen to its code."""

    api = 1

    def inputs(self, images: ImageSpec) -> dict[str, Input]:
        return {"z": Normal((4,)), "code": Categorical(3)}

    def generator(self, images: ImageSpec) -> nn.Module:
        return Coded(images, lambda z, code: z + 0 * code.sum())


class Late(Deaf):
    """Listens to its code by a weight that is 0 at first."""

    api = 1

    def generator(self, images: ImageSpec) -> nn.Module:
        return Listening(images)


class Listening(nn.Module):
    def __init__(self, images: ImageSpec) -> None:
        super().__init__()
        self.inner, self.strength = Generator(images), nn.Parameter(torch.zeros(3, 4))

    def forward(self, z: Tensor, code: Tensor) -> Tensor:
        made: Tensor = self.inner(z + code @ self.strength)
        return made


class Greyscale(Good):
    """Makes one channel whatever it is asked for, where that is not noticed in training on grey pictures."""

    api = 1

    def generator(self, images: ImageSpec) -> nn.Module:
        return Generator(images, lambda made: made[:, :1].tanh())


class Fixed(Good):
    """Takes the batch size for 8."""

    api = 1

    def generator(self, images: ImageSpec) -> nn.Module:
        return Generator(images, lambda made: made.view(8, *images[:3]).tanh())


class Double(Good):
    """Makes float64."""

    api = 1

    def generator(self, images: ImageSpec) -> nn.Module:
        return Generator(images, lambda made: made.tanh().double())


class Boundless(Good):
    """Makes pictures of any brightness; the first weights are small enough."""

    api = 1

    def generator(self, images: ImageSpec) -> nn.Module:
        return Generator(images, lambda made: 0.1 * made)


class Infinite(Good):
    """Makes NaN at once."""

    api = 1

    def generator(self, images: ImageSpec) -> nn.Module:
        return Generator(images, lambda made: made.tanh() if images.height != 32 else (made - made) / 0.0)


class Mixing(Good):
    """Normalises over the batch in eval mode too."""

    api = 1

    def generator(self, images: ImageSpec) -> nn.Module:
        return Generator(images, lambda made: (made - made.mean(0)).tanh())


class Comparing(Good):
    """States that it judges each picture by itself, and looks at the mean of all."""

    api = 1
    one_pass: ClassVar[bool] = True

    def discriminator(self, images: ImageSpec) -> nn.Module:
        return Discriminator(images, lambda logits: logits - logits.mean())


class Flagged(Good):
    """States that it judges each picture by itself, and has buffers of truths and of nothing."""

    api = 1
    one_pass: ClassVar[bool] = True

    def discriminator(self, images: ImageSpec) -> nn.Module:
        network = Discriminator(images)
        network.register_buffer("mask", torch.ones(3, dtype=torch.bool))
        network.register_buffer("nothing", torch.zeros(0))
        return network


class Levelling(Good):
    """States that it judges each picture by itself, and normalises batches in training, by layers of its own."""

    api = 1
    one_pass: ClassVar[bool] = True

    def discriminator(self, images: ImageSpec) -> nn.Module:
        network = Discriminator(images, lambda logits: logits - logits.mean() if network.training else logits)
        return network


class Tallying(Good):
    """States that it judges each picture by itself, and remembers the mean of what it saw last."""

    api = 1
    one_pass: ClassVar[bool] = True

    def discriminator(self, images: ImageSpec) -> nn.Module:
        def remember(logits: torch.Tensor) -> torch.Tensor:
            if network.training:
                network.get_buffer("seen").copy_(logits.detach().mean())
            return logits

        network = Discriminator(images, remember)
        network.register_buffer("seen", torch.zeros(()))
        return network


class Forgetful(Good):
    """Keeps a constant that is drawn at random in a plain attribute."""

    api = 1

    def generator(self, images: ImageSpec) -> nn.Module:
        constant = torch.randn(images[:3])
        return Generator(images, lambda made: (made + constant).tanh())


class Uncopyable(Good):
    """Computes a tensor from its weights once, when it is built."""

    api = 1

    def generator(self, images: ImageSpec) -> nn.Module:
        network = Generator(images)
        network.norm = network.first.weight.norm()  # on purpose
        return network


class Stateful(Good):
    """Keeps text in its state."""

    api = 1

    def generator(self, images: ImageSpec) -> nn.Module:
        return Noted(images)


class Noted(Generator):
    def get_extra_state(self) -> str:
        return "a note"

    def set_extra_state(self, state: str) -> None:
        pass


class Encoder(nn.Module):
    """A fixed projection to z, and a change of what it makes."""

    projection: Tensor

    def __init__(self, images: ImageSpec, change: Callable[[Tensor], Any] = lambda z: z) -> None:
        super().__init__()
        self.register_buffer("projection", torch.randn(math.prod(images[:3]), 4))
        self.change = change

    def forward(self, images: Tensor) -> Any:
        return self.change(images.flatten(1) @ self.projection / 10)


class Encoding(Good):
    """Ships an encoder."""

    api = 1
    networks: ClassVar[tuple[str, ...]] = ("generator", "discriminator", "encoder")
    shipped: ClassVar[tuple[str, ...]] = ("generator", "encoder")

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        return {**super().build(images), "encoder": self.encoder(images)}

    def encoder(self, images: ImageSpec) -> nn.Module:
        return Encoder(images)


class Paired(Encoding):
    """Has an encoder that gives a mean and a variance."""

    api = 1

    def encoder(self, images: ImageSpec) -> nn.Module:
        return Encoder(images, lambda z: (z, z))


class Short(Encoding):
    """Has an encoder that makes another z than the generator takes."""

    api = 1

    def encoder(self, images: ImageSpec) -> nn.Module:
        return Encoder(images, lambda z: z[:, :3])


class Sampling(Encoding):
    """Has an encoder that draws z in eval mode, too."""

    api = 1

    def encoder(self, images: ImageSpec) -> nn.Module:
        return Encoder(images, lambda z: z + torch.randn_like(z))


class Centring(Encoding):
    """Has an encoder that looks at the whole batch."""

    api = 1

    def encoder(self, images: ImageSpec) -> nn.Module:
        return Encoder(images, lambda z: z - z.mean(0))


class Losing(Encoding):
    """Has an encoder with a constant that is not saved."""

    api = 1

    def encoder(self, images: ImageSpec) -> nn.Module:
        constant = torch.randn(4)
        return Encoder(images, lambda z: z + constant)


class Endless(Encoding):
    """Has an encoder that makes NaN."""

    api = 1

    def encoder(self, images: ImageSpec) -> nn.Module:
        return Encoder(images, lambda z: z / 0.0 * 0.0)


class Untrained(Encoding):
    """Ships an encoder that no loss trains."""

    api = 1

    def encoder(self, images: ImageSpec) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(images[:3]), 4))


class Dividing(Good):
    """Divides logits by nothing."""

    api = 1

    def discriminator(self, images: ImageSpec) -> nn.Module:
        return Discriminator(images, lambda logits: logits / 0.0)


class Rooted(Good):
    """Takes a root of 0: the logits are finite, their gradient is not."""

    api = 1

    def discriminator(self, images: ImageSpec) -> nn.Module:
        return Discriminator(images, lambda logits: logits + (logits - logits).sqrt())


class Idle(Good):
    """Has a layer that forward does not use."""

    api = 1

    def generator(self, images: ImageSpec) -> nn.Module:
        network = Generator(images)
        network.spare = nn.Linear(2, 2)
        return network


class Counting(Good):
    """Counts its calls in Python, and lets the count decide."""

    api = 1

    def discriminator(self, images: ImageSpec) -> nn.Module:
        calls: list[int] = []

        def change(logits: Tensor) -> Tensor:
            calls.append(1)
            return logits * len(calls)

        return Discriminator(images, change)


class Noisy(Good):
    """Draws noise in forward, in eval mode too."""

    api = 1

    def generator(self, images: ImageSpec) -> nn.Module:
        return Generator(images, lambda made: (made + 0.1 * torch.randn_like(made)).tanh())


class Deciding(Good):
    """Decides by the values of a tensor."""

    api = 1

    def generator(self, images: ImageSpec) -> nn.Module:
        return Generator(images, lambda made: made.tanh() if made.sum() > 1e9 else made.sin())


class Modulated(Good):
    """Modulates the weights of a convolution for each picture, as StyleGAN2 does: groups = batch size."""

    api = 1

    def generator(self, images: ImageSpec) -> nn.Module:
        return Generator(images, modulated)


def modulated(made: Tensor) -> Tensor:
    count, channels, height, width = made.shape
    weight = made.mean((1, 2, 3)).view(-1, 1, 1, 1, 1).expand(count, channels, channels, 3, 3)
    joined = made.reshape(1, count * channels, height, width)
    out = functional.conv2d(joined, weight.reshape(count * channels, channels, 3, 3), padding=1, groups=count)
    return out.view(count, channels, height, width).tanh()


class Looping(Good):
    """Makes picture after picture in a Python loop."""

    api = 1

    def generator(self, images: ImageSpec) -> nn.Module:
        return Generator(images, lambda made: torch.stack([picture.tanh() for picture in made]))


BREAKS = [
    Break("images", Choosy, "check() refuses pictures of 28x28, 32x32, 64x64, 48x64, 8x8"),
    Break("images", Silent, "check() refuses 1x28x28 without a word: say what to do instead"),
    Break("images", Stumbling, "check() raises KeyError: 32 (test_models.py:"),
    Break(
        "images",
        Good,
        "check() refuses 3x30x30, which it was to be checked with: take multiples of 4",
        {"images": [ImageSpec(3, 30, 30)]},
    ),
    Break("build", Misnamed, "states the networks ['discriminator', 'generator'], but built ['critic', 'generator']"),
    Break("random", NumpyWeights, "build() or a forward draws from or seeds numpy.random: draw from torch's default"),
    Break("random", PythonNoise, "draws from or seeds Python's random"),
    Break("random", Reseeding, "draws from or seeds the seed of torch"),
    Break("seed", Unseeded, "generator.first.weight differs between two builds after the same seed"),
    Break("seed", Constant, "all weights are the same whatever the seed: draw them from torch's default generator"),
    Break("build", Listing, "inputs() of Listing must return a dict of 1 to 64 inputs by name"),
    Break("inputs", Disordered, "the generator takes z and code, and inputs() declares code and z: they are given in"),
    Break("inputs", Undeclared, "cannot be called with z, which inputs() declares: TypeError: Coded.forward() missing"),
    Break("inputs", Fickle, "inputs() declares something else each time: it must follow from options and pictures"),
    Break("every_input", Deaf, "code changes nothing about the pictures: use it, or take it out of inputs()"),
    Break("shape", Greyscale, "for pictures of 3x32x32 and 1 seeds the generator makes (1, 1, 32, 32) instead of"),
    Break("shape", Fixed, "shape '[8, 1, 28, 28]' is invalid for input of size 784 (test_models.py:"),
    Break("dtype", Double, "the generator makes torch.float64 of float32: give back its inputs' type"),
    Break("range", Boundless, "but must lie in [-1, 1] whatever the weights: end the generator with torch.tanh"),
    Break("range", Infinite, "for pictures of 3x32x32 the first weights make NaN or infinite values"),
    Break("batch", Mixing, "when others are made beside it: in eval mode nothing may be averaged over the batch"),
    Break("save_load", Forgetful, "a generator with the same state makes other pictures: keep whatever forward needs"),
    Break("save_load", Uncopyable, "the generator cannot be copied, as samples and exports do: RuntimeError: Only"),
    Break("save_load", Stateful, "Noted keeps state that is no tensor, _extra_state; make it an option of the model"),
    Break("shipped", Paired, "is shipped and must make one tensor (N, ...) of floats in eval mode, not tuple"),
    Break("shipped", Short, "must map pictures to z in eval mode: it makes (N, 3), and the generator takes it of"),
    Break("shipped", Sampling, "the encoder makes something else of the same pictures each time: in eval mode it must"),
    Break("shipped", Centring, "the encoder mixes the pictures of a batch: in eval mode each must be seen by itself"),
    Break("shipped", Losing, "the encoder makes something else once it is loaded from its artefact: keep whatever"),
    Break("shipped", Endless, "the encoder makes NaN or infinite values from the first weights: look for divisions"),
    Break("gradients", Untrained, "encoder.1.weight, encoder.1.bias never get a gradient: use them in forward"),
    Break("one_pass", Comparing, "it states one_pass, but a logit differs by"),
    Break("one_pass", Levelling, "it states one_pass, but a logit differs by"),
    Break("one_pass", Tallying, "it states one_pass, but seen differs by"),
    Break("iteration", Dividing, "is NaN or infinite in iteration 0 from the first weights: look for divisions by 0"),
    Break("iteration", Rooted, "is NaN or infinite in iteration 0 from the first weights: look for divisions by 0"),
    Break("gradients", Idle, "generator.spare.weight, generator.spare.bias never get a gradient: use them in forward"),
    Break("resume", Counting, "a network must remember nothing but what a checkpoint holds"),
    Break(
        "onnx",
        Noisy,
        "makes other pictures of the same inputs each time, so no export can be compared; a forward that",
    ),
    Break(
        "onnx",
        Deciding,
        "Its forward decides by the values of tensors; replace `if` and `while` on them by",
    ),
    Break("onnx", Modulated, "A convolution with groups = batch size has no ONNX form; scale its input and output"),
    Break("onnx", Looping, "Its forward fixes the batch size; take it from z.shape[0]"),
]


@pytest.mark.parametrize("broken", BREAKS, ids=named)
def test_a_broken_model_fails_one_check_that_says_what_to_change(broken: Break) -> None:
    assert_breaks_only_its_check(broken)


def test_every_check_has_a_model_that_breaks_it() -> None:
    assert {broken.check for broken in BREAKS} == {check.name for check in models.CHECKS}


def test_a_good_model_passes_every_check() -> None:
    assert failures(Good, ["onnx"]) == {}


def test_a_discriminator_may_have_buffers_of_any_type() -> None:
    assert failures(Flagged) == {}


def test_a_good_encoder_passes_every_check() -> None:
    assert failures(Encoding) == {}


def test_an_input_may_matter_later_only() -> None:
    assert failures(Late) == {}


def test_a_model_with_networks_of_its_own_asks_for_a_loss() -> None:
    found = failures(Energy)
    assert list(found) == ["iteration"]
    assert "its networks are generator and energy, which the loss bce cannot train: say what can" in found["iteration"]


def test_what_rests_on_a_failed_check_is_not_tried() -> None:
    checks = suite(Misnamed)
    assert checks.outcome("onnx").verdict == "blocked"
    assert checks.outcome("onnx").advice == "not checked, because iteration did not pass"
    assert checks.outcome("shape").advice == "not checked, because inputs did not pass"
    assert checks.outcome("inputs").advice == "not checked, because build did not pass"
    assert checks.outcome("documentation").verdict == "passed"
