"""DCGAN's convolutions as matrix products, against torch's convolutions: values, gradients, gradients of gradients."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from ganlab_dcgan import DCGAN
from ganlab_dcgan.products import PixelConvTranspose2d, WholeConv2d
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from ganlab import ImageSpec

LAYERS: dict[str, tuple[nn.Module, nn.Module, tuple[int, ...]]] = {
    "projection": (
        PixelConvTranspose2d(100, 256, (4, 3), bias=False),
        nn.ConvTranspose2d(100, 256, (4, 3), bias=False),
        (3, 100, 1, 1),
    ),
    "head": (WholeConv2d(64, 1, (4, 3), bias=False), nn.Conv2d(64, 1, (4, 3), bias=False), (3, 64, 4, 3)),
    "head with a bias": (WholeConv2d(64, 2, 4), nn.Conv2d(64, 2, 4), (3, 64, 4, 4)),
}


class Convolutions(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += function.name().startswith("aten::convolution")
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("kind", LAYERS)
def test_a_product_is_the_convolution(kind: str, layout: torch.memory_format) -> None:
    mine, reference, shape = LAYERS[kind]
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(shape, generator=generator, dtype=torch.float64).to(memory_format=layout)
    reference.load_state_dict(mine.state_dict())
    outcomes = []
    for layer in (mine, reference):
        tried = copy.deepcopy(layer).double().to(memory_format=layout)
        images = start.clone().requires_grad_()
        with Convolutions() as convolutions:
            made = tried(images)
        assert convolutions.count == (layer is reference)
        weights = torch.randn(made.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        inputs = [images, *tried.parameters()]
        first = torch.autograd.grad((made.square() * weights).sum(), inputs, create_graph=True)
        second = torch.autograd.grad(sum(gradient.square().sum() for gradient in first), inputs)  # type: ignore[arg-type]  # never 0
        outcomes.append([made, *first, *second])
    for one, other in zip(*outcomes, strict=True):
        assert (one - other).abs().max() <= 1e-13 * other.abs().max()


def test_gradients_that_nobody_asks_for_are_not_computed() -> None:
    layer, calls = WholeConv2d(64, 1, 4, bias=False), []

    class Products(TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            calls.append(function.name())
            return function(*args, **(kwargs or {}))

    images: Tensor = torch.randn(2, 64, 4, 4, requires_grad=True)
    made = layer(images).sum()
    with Products():
        torch.autograd.backward(made, inputs=[images])
    assert calls.count("aten::mm") == 1, "the gradient of the weights is another product"


def test_the_networks_use_products_where_maps_are_of_a_pixel() -> None:
    networks = DCGAN().build(ImageSpec(3, 64, 64))
    with Convolutions() as convolutions:
        networks["discriminator"](networks["generator"](torch.randn(2, 100)))
    assert convolutions.count == 10 - 2, "of five layers each: the projection and the head"
    with Convolutions() as convolutions:
        networks["generator"].eval()(torch.randn(2, 100))
    assert convolutions.count == 5
