"""The checks of exporters, each against one that breaks it and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from breaking import Break, assert_breaks_only_its_check, failures, named, suite
from torch import Tensor, nn

from ganlab import Exporter, Metadata, load_generator, read_metadata, run_file, write_generator
from ganlab.standard.exporters.onnx import ONNX
from ganlab.testing.checks import exporters

Arrays = Mapping[str, np.ndarray[Any, Any]]
Floats = np.ndarray[Any, np.dtype[np.float32]]


class Good(Exporter):
    """Writes what ganlab writes itself."""

    api = 1
    suffix: ClassVar[str] = ".copy"

    def export(
        self, generator: nn.Module, inputs: Mapping[str, Tensor], metadata: Mapping[str, str], path: Path
    ) -> None:
        write_generator(path, generator, Metadata.from_json(metadata["ganlab"], str(path)))

    def run(self, path: Path, inputs: Arrays) -> Floats:
        return load_generator(path, device="cpu")(inputs)

    def read_metadata(self, path: Path) -> Mapping[str, str]:
        return {"ganlab": read_metadata(path).to_json()}


class Endless(Exporter):
    """States no ending."""

    api = 1

    def export(
        self, generator: nn.Module, inputs: Mapping[str, Tensor], metadata: Mapping[str, str], path: Path
    ) -> None:
        Good().export(generator, inputs, metadata, path)

    def run(self, path: Path, inputs: Arrays) -> Floats:
        return Good().run(path, inputs)

    def read_metadata(self, path: Path) -> Mapping[str, str]:
        return Good().read_metadata(path)


class Forgetful(Good):
    """Reads nothing back."""

    api = 1

    def read_metadata(self, path: Path) -> Mapping[str, str]:
        return {}


class Mistaken(Good):
    """Reads the metadata of something else."""

    api = 1

    def read_metadata(self, path: Path) -> Mapping[str, str]:
        return {"ganlab": super().read_metadata(path)["ganlab"].replace('"contract"', '"other"')}


class Dotless(Good):
    """States an ending without its dot."""

    api = 1
    suffix: ClassVar[str] = "onnx"


class Lenient(Good):
    """Allows any difference."""

    api = 1
    tolerance: ClassVar[float] = 2.0


class Coarse(Good):
    """Makes pictures that differ a little."""

    api = 1

    def run(self, path: Path, inputs: Arrays) -> Floats:
        return super().run(path, inputs) + np.float32(0.01)


class Fixed(Good):
    """Runs two pictures whatever it is asked for."""

    api = 1

    def run(self, path: Path, inputs: Arrays) -> Floats:
        return super().run(path, {name: np.resize(array, (2, *array.shape[1:])) for name, array in inputs.items()})


class Littering(Good):
    """Writes a second file."""

    api = 1

    def export(
        self, generator: nn.Module, inputs: Mapping[str, Tensor], metadata: Mapping[str, str], path: Path
    ) -> None:
        super().export(generator, inputs, metadata, path)
        path.with_suffix(".data").touch()


class Failing(Good):
    """Cannot write."""

    api = 1

    def export(
        self, generator: nn.Module, inputs: Mapping[str, Tensor], metadata: Mapping[str, str], path: Path
    ) -> None:
        raise KeyError("weights")


class Unlabelled(Good):
    """Draws the same class always."""

    api = 1

    def run(self, path: Path, inputs: Arrays) -> Floats:
        return super().run(path, {name: array * (name == "z") for name, array in inputs.items()})


class Unvaried(Good):
    """Leaves out the inputs that it does not know."""

    api = 1

    def run(self, path: Path, inputs: Arrays) -> Floats:
        return super().run(path, {name: array * (name in ("z", "labels")) for name, array in inputs.items()})


class Elsewhere(Good):
    """States a place for other networks that there is not."""

    api = 1
    others: ClassVar[Any] = "elsewhere"


class Beside(Good):
    """Writes each network that is shipped to a file of its own, in ONNX."""

    api = 1
    suffix: ClassVar[str] = ".onnx"
    others: ClassVar[Any] = "beside"

    def export(
        self, generator: nn.Module, inputs: Mapping[str, Tensor], metadata: Mapping[str, str], path: Path
    ) -> None:
        ONNX().export(generator, inputs, metadata, path)

    def run(self, path: Path, inputs: Arrays) -> Floats:
        return run_file(path, inputs)


class Dull(Beside):
    """Encodes every picture alike."""

    api = 1

    def run(self, path: Path, inputs: Arrays) -> Floats:
        return super().run(path, {name: array * (name != "images") for name, array in inputs.items()})


class Seeding(Good):
    """Seeds torch to trace with an example of its own."""

    api = 1

    def export(
        self, generator: nn.Module, inputs: Mapping[str, Tensor], metadata: Mapping[str, str], path: Path
    ) -> None:
        torch.manual_seed(0)
        super().export(generator, inputs, metadata, path)


class Drawing(Good):
    """Draws from numpy's global state."""

    api = 1

    def run(self, path: Path, inputs: Arrays) -> Floats:
        np.random.rand()
        return super().run(path, inputs)


class Hurrying(Good):
    """Has torch compute with another number of threads from then on."""

    api = 1

    def run(self, path: Path, inputs: Arrays) -> Floats:
        torch.set_num_threads(torch.get_num_threads() + 1)
        return super().run(path, inputs)


BREAKS = [
    Break("suffix", Endless, "suffix is None: state the ending of its files"),
    Break("suffix", Dotless, "suffix is 'onnx': state the ending of its files"),
    Break("suffix", Elsewhere, 'others is \'elsewhere\': state "inside", "beside" or "none"'),
    Break("others", Dull, "it wrote a file that differs from torch by"),
    Break("suffix", Lenient, "tolerance is the largest difference on pictures in [-1, 1]: state one above 0"),
    Break("equal", Coarse, "it wrote a file that differs from torch by 1.0e-02 at batch 1, more than the 1e-05"),
    Break("equal", Fixed, "it wrote a file that makes float32 of shape (2, 1, 8, 8) instead of finite arrays of"),
    Break("equal", Littering, "it must write exactly one file, the path that it is given"),
    Break("equal", Failing, "it cannot write: KeyError: 'weights'"),
    Break("labels", Unlabelled, "it wrote a file that differs from torch by"),
    Break("inputs", Unvaried, "it wrote a file that differs from torch by"),
    Break("metadata", Forgetful, "read_metadata() gives nothing back: put the text with the key"),
    Break("metadata", Mistaken, "read_metadata() gives something else back"),
    Break("random", Seeding, "an export changes the seed of torch: leave all of it as it was"),
    Break("random", Drawing, "an export changes numpy.random"),
    Break("random", Hurrying, "an export changes torch's modes"),
]


@pytest.mark.parametrize("broken", BREAKS, ids=named)
def test_a_broken_exporter_fails_one_check_that_says_what_to_change(broken: Break) -> None:
    assert_breaks_only_its_check(broken)


def test_every_check_has_an_exporter_that_breaks_it() -> None:
    assert {broken.check for broken in BREAKS} == {check.name for check in exporters.CHECKS}


def test_a_good_exporter_passes_every_check() -> None:
    assert failures(Good) == {}
    assert failures(Beside) == {}
    assert suite(Good).outcome("others").advice == "not checked: it exports the generator alone"
