from __future__ import annotations

import pytest
import torch
from shipping import IMAGES, Tiny, trained
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from ganlab.generator.folding import fold_batchnorm

Batches = tuple[int, ...]


def settled(network: nn.Module) -> nn.Module:
    """Draw every weight and statistic anew, in float64, so that a fold can be compared to rounding."""
    torch.manual_seed(0)
    for layer in network.double().eval().modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm) and layer.running_mean is not None:
            layer.running_mean.normal_()
            layer.get_buffer("running_var").uniform_(0.1, 4.0)
        for parameter in layer.parameters(recurse=False):
            parameter.data.normal_()
    return network


def norms(network: nn.Module) -> int:
    return sum(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in network.modules())


def compared(network: nn.Module, x: Tensor) -> nn.Module:
    """Fold, check that the outputs agree to float64's rounding and that the original is untouched."""
    before = {name: value.clone() for name, value in network.state_dict().items()}
    folded = fold_batchnorm(network)
    with torch.no_grad():
        torch.testing.assert_close(folded(x), network(x), rtol=1e-11, atol=1e-11)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    return folded


class Faster(nn.ConvTranspose2d):
    """Computes in training another way what it computes in eval mode as torch does."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        assert not self.training
        return super().forward(x, output_size)


FOLDABLE = {
    "linear": (nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4)), (3, 6)),
    "linear without bias": (nn.Sequential(nn.Linear(6, 4, bias=False), nn.BatchNorm1d(4)), (3, 6)),
    "projection": (nn.Sequential(nn.Linear(6, 24), nn.Unflatten(1, (4, 2, 3)), nn.BatchNorm2d(4)), (3, 6)),
    "projection 1d": (nn.Sequential(nn.Linear(6, 12), nn.Unflatten(1, (4, 3)), nn.BatchNorm1d(4)), (3, 6)),
    "convolution": (nn.Sequential(nn.Conv2d(6, 4, 3, padding=1), nn.BatchNorm2d(4)), (2, 6, 5, 5)),
    "strided 1d": (nn.Sequential(nn.Conv1d(6, 4, 3, 2, bias=False), nn.BatchNorm1d(4)), (2, 6, 9)),
    "3d": (nn.Sequential(nn.Conv3d(2, 4, 2), nn.BatchNorm3d(4)), (2, 2, 3, 3, 3)),
    "grouped": (nn.Sequential(nn.Conv2d(6, 4, 3, groups=2), nn.BatchNorm2d(4)), (2, 6, 5, 5)),
    "transposed": (nn.Sequential(nn.ConvTranspose2d(6, 4, 4, 2, 1), nn.BatchNorm2d(4)), (2, 6, 3, 3)),
    "transposed, grouped": (nn.Sequential(nn.ConvTranspose2d(6, 4, 4, 2, groups=2), nn.BatchNorm2d(4)), (2, 6, 3, 3)),
    "transposed 1d": (nn.Sequential(nn.ConvTranspose1d(6, 4, 3), nn.BatchNorm1d(4)), (2, 6, 3)),
    "transposed 3d": (nn.Sequential(nn.ConvTranspose3d(2, 4, 2), nn.BatchNorm3d(4)), (2, 2, 2, 2, 2)),
    "of a class of its own": (nn.Sequential(Faster(6, 4, 4, 2, 1), nn.BatchNorm2d(4)), (2, 6, 3, 3)),
    "without affine": (nn.Sequential(nn.Conv2d(6, 4, 3), nn.BatchNorm2d(4, affine=False)), (2, 6, 5, 5)),
    "nested": (
        nn.Sequential(
            nn.Sequential(nn.ReLU(), nn.Sequential(nn.Conv2d(6, 4, 3))), nn.Sequential(nn.BatchNorm2d(4), nn.ReLU())
        ),
        (2, 6, 5, 5),
    ),
    "twice": (nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 5), nn.BatchNorm1d(5)), (3, 6)),
}


@pytest.mark.parametrize(("network", "shape"), FOLDABLE.values(), ids=FOLDABLE.keys())
def test_batchnorm_is_folded_into_the_layer_before_it(network: nn.Module, shape: Batches) -> None:
    assert norms(compared(settled(network), torch.randn(shape, dtype=torch.float64))) == 0


class Residual(nn.Module):
    """Holds sequences in a module of its own, where neighbours are not known."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.branch = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(self.norm(self.convolution(x).relu()))


def test_only_sequences_say_what_follows_what() -> None:
    folded = compared(settled(nn.Sequential(Residual(), nn.ReLU())), torch.randn(2, 4, 5, 5, dtype=torch.float64))
    assert norms(folded) == 1


def shared() -> nn.Module:
    norm = nn.BatchNorm1d(4)
    return nn.Sequential(nn.Linear(6, 4), norm, nn.ReLU(), nn.Linear(4, 4), norm)


def hooked() -> nn.Module:
    network = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4))
    network[0].register_forward_hook(lambda layer, inputs, output: output * 2)
    return network


class Scaled(nn.Linear):
    """A layer that is more than its weight and bias."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).relu()


class Rescaled(nn.Conv2d):
    """A layer whose weight is another one by the time it is used, if only by a ten-millionth."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.conv2d(x, self.weight * (1 + 1e-7), self.bias)


class Square(nn.Conv2d):
    """A layer that does not like to be tried."""

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[2:] != (5, 5):
            raise ValueError("not 5x5")
        return super().forward(x)


UNFOLDABLE = {
    "shared": (shared(), (3, 6)),
    "hooked": (hooked(), (3, 6)),
    "parametrized": (
        nn.Sequential(parametrizations.spectral_norm(nn.Linear(6, 4)), nn.BatchNorm1d(4)),
        (3, 6),
    ),
    "of a stranger": (nn.Sequential(Scaled(6, 4), nn.BatchNorm1d(4)), (3, 6)),
    "of scaled weights": (nn.Sequential(Rescaled(6, 4, 3), nn.BatchNorm2d(4)), (2, 6, 5, 5)),
    "of one size": (nn.Sequential(Square(6, 4, 3), nn.BatchNorm2d(4)), (2, 6, 5, 5)),
    "first": (nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 4)), (3, 6)),
    "after an activation": (nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.BatchNorm1d(4)), (3, 6)),
    "over another axis": (nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(3)), (2, 3, 6)),
    "unflattened otherwise": (nn.Sequential(nn.Linear(6, 8), nn.Unflatten(2, (4, 2)), nn.BatchNorm2d(3)), (2, 3, 6)),
}


@pytest.mark.parametrize(("network", "shape"), UNFOLDABLE.values(), ids=UNFOLDABLE.keys())
def test_what_cannot_be_folded_stays_as_it_is(network: nn.Module, shape: Batches) -> None:
    before = norms(settled(network))
    assert norms(compared(network, torch.randn(shape, dtype=torch.float64))) == before


def test_batchnorm_without_statistics_is_no_affine_map() -> None:
    network = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4, track_running_stats=False))
    assert norms(compared(settled(network), torch.randn(3, 6, dtype=torch.float64))) == 1


def test_weights_are_rounded_once() -> None:
    network = trained(Tiny(), IMAGES)
    z = torch.randn(16, 6, generator=torch.Generator().manual_seed(0))
    folded = fold_batchnorm(network)
    assert norms(folded) == 0
    assert folded.get_parameter("4.weight").dtype == torch.float32
    exact = network.double()(z.double())
    assert (folded(z) - exact).abs().max() < 1e-6


def test_the_copy_is_in_eval_mode_and_shares_nothing() -> None:
    network = settled(nn.Sequential(nn.Linear(6, 4), nn.Dropout(0.5))).train()
    folded = fold_batchnorm(network)
    assert network.training
    assert not folded.get_submodule("1").training
    assert folded.get_parameter("0.weight").data_ptr() != network.get_parameter("0.weight").data_ptr()
