"""Everything that ganlab ships is held to the contract that it holds strangers to."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from ganlab_dcgan import DCGAN
from ganlab_diffaugment import DiffAugment
from inception_stand_in import publish, write_weights
from stand_ins import make

from ganlab.registry import registry
from ganlab.standard.datasets.celeba import CelebA
from ganlab.standard.datasets.cifar10 import CIFAR10
from ganlab.standard.datasets.image_folder import ImageFolder
from ganlab.standard.datasets.mnist import MNIST, FashionMNIST
from ganlab.standard.exporters.fidelity import Fidelity
from ganlab.standard.exporters.onnx import ONNX
from ganlab.standard.exporters.onnx_reduced import HalfONNX, Int8ONNX
from ganlab.standard.exporters.safetensors import Safetensors
from ganlab.standard.losses.bce import BCE
from ganlab.standard.metrics.fid import FID
from ganlab.standard.metrics.frechet import Frechet
from ganlab.standard.metrics.inception_score import InceptionScore
from ganlab.standard.metrics.kid import KID
from ganlab.standard.metrics.mind import MIND
from ganlab.standard.metrics.ms_ssim import MSSSIM
from ganlab.standard.metrics.neighbours import Neighbours
from ganlab.standard.metrics.prdc import PRDC
from ganlab.standard.metrics.sliced_wasserstein import SlicedWasserstein
from ganlab.standard.observers.gif import GIF
from ganlab.standard.observers.health import Health
from ganlab.standard.observers.log import Log
from ganlab.standard.observers.metrics import Metrics
from ganlab.standard.observers.plot import Plot
from ganlab.standard.observers.report import Report
from ganlab.standard.observers.samples import Samples
from ganlab.standard.observers.terminal import Terminal
from ganlab.standard.optimizers.adam import Adam
from ganlab.testing import contract

DATA = Path(tempfile.gettempdir()) / f"ganlab-contract-{os.getpid()}"
"""Where the stand-ins lie while these tests run."""
INCEPTION = {"weights": DATA / "inception.pth"}
SMALL = {"base_channels": 4, "latent_dim": 6}
LINEAR = {
    "projection": "linear",
    "projection_batchnorm": False,
    "head": "linear",
    "generator_dropout": 0.2,
    "discriminator_dropout": 0.2,
    "latent": "uniform",
}


@pytest.fixture(autouse=True, scope="module")
def _data() -> Iterator[None]:
    for name in ("mnist", "fashion_mnist", "cifar10", "celeba_zip", "image_folder"):
        make(name, DATA / name)
    with pytest.MonkeyPatch.context() as patch:
        publish(write_weights(DATA / INCEPTION["weights"].name), patch)
        yield
    shutil.rmtree(DATA)


test_dcgan = contract(DCGAN, options=[SMALL, SMALL | LINEAR, SMALL | {"discriminator_channels": 2, "head_channels": 5}])
test_bce = contract(
    BCE,
    options=[{}, {"generator_loss": "minimax"}, {"discriminator_steps": 2, "generator_first": True, "real_label": 0.9}],
)
test_diffaugment = contract(DiffAugment, options=[{}, {"policy": ["translation"]}, {"policy": ["color"]}])
test_adam = contract(Adam, options=[{}, {"betas": [0.0, 0.99], "eps": 1e-4}])
test_mnist = contract(MNIST, options=[{"root": DATA / "mnist"}, {"root": DATA / "mnist", "split": "all"}])
test_fashion_mnist = contract(FashionMNIST, options=[{"split": "shipped"}, {"root": DATA / "fashion_mnist"}])
test_cifar10 = contract(CIFAR10, options=[{"root": DATA / "cifar10"}])
test_celeba = contract(CelebA, options=[{"root": DATA / "celeba_zip", "face_crop": True, "resolution": 16}])
test_image_folder = contract(ImageFolder, options=[{"root": DATA / "image_folder", "resolution": [12, 16]}])
test_fidelity = contract(Fidelity)
test_onnx = contract(ONNX)
test_onnx_fp16 = contract(HalfONNX)
test_onnx_int8 = contract(Int8ONNX)
test_safetensors = contract(Safetensors)
test_terminal = contract(Terminal, options=[{"mode": "plain"}, {"mode": "json"}])
test_metrics = contract(Metrics)
test_log = contract(Log)
test_samples = contract(Samples)
test_plot = contract(Plot)
test_gif = contract(GIF)
test_health = contract(Health)
test_report = contract(Report)
test_fid = contract(FID, options=INCEPTION)
test_frechet = contract(Frechet)
test_is = contract(InceptionScore, options=[INCEPTION, INCEPTION | {"splits": 3}])
test_kid = contract(KID, options=[{}, {"subsets": 3, "subset_size": 20}])
test_mind = contract(MIND)
test_ms_ssim = contract(MSSSIM)
test_neighbours = contract(Neighbours, options=[{}, {"space": "features"}])
test_prdc = contract(PRDC, options=[{}, {"k": 3}])
test_sliced_wasserstein = contract(SlicedWasserstein)


def test_no_component_of_ours_is_left_out() -> None:
    ours = {provider.target for provider in registry.providers() if provider.distribution == "ganlab"}
    checked = {
        *(DCGAN, BCE, Adam, DiffAugment, MNIST, FashionMNIST, CIFAR10, CelebA, ImageFolder),
        *(Fidelity, ONNX, HalfONNX, Int8ONNX, Safetensors),
        *(Terminal, Metrics, Log, Samples, Plot, GIF, Health, Report),
        *(FID, Frechet, InceptionScore, KID, MIND, MSSSIM, Neighbours, PRDC, SlicedWasserstein),
    }
    assert {f"{cls.__module__}:{cls.__name__}" for cls in checked} == ours
