"""`ganlab sample`: which pictures, of which seeds, into which files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import Command
from graphs import graph, shipped_graph
from PIL import Image
from shipping import registered, ship_labelled, ship_varied
from stand_ins import pictures, png_bytes, write_files
from torch import Tensor, nn
from toys import tiny

import ganlab
from ganlab.cli.sample import parse_seeds
from ganlab.interfaces import ImageSpec
from ganlab.recipe.toml import dumps
from ganlab.registry import registry
from ganlab.testing.toys import TinyLabelled


class Unseeing(TinyLabelled):
    """A conditional model whose discriminator takes labels and does not look at them."""

    api = 1

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        networks = super().build(images)
        return networks | {"discriminator": Blind(networks["discriminator"])}


class Blind(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        return self.network(images)


def size(path: Path | str) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


def test_a_grid_of_the_newest_run_lies_beside_its_generator(command: Command, trained: Path) -> None:
    ended = command("sample", "--count", 6, "--seed", 7)
    assert ended.out == f"{trained}/sample.png\n"
    assert ended.err.startswith(f"newest run: {trained} (toy, saved ")
    grid = np.asarray(Image.open(trained / "sample.png"))
    assert grid.shape == (2 * 10 + 2, 3 * 10 + 2)
    picture = ganlab.load_generator(trained).sample([8])[0, :, :, 0]
    assert np.abs(grid[2:10, 12:20].astype(int) - picture.astype(int)).max() <= 1
    assert command("sample", "--count", 6, "--columns", 2, "--out", "narrow.png").code == 0
    assert size("narrow.png") == (2 * 10 + 2, 3 * 10 + 2)
    assert command("sample", trained / "generator.safetensors", "--out", "usual.png").code == 0
    assert size("usual.png") == (8 * 10 + 2, 8 * 10 + 2), "64 pictures, as many rows as columns"
    assert command("sample", "--count", 6, "--seed", 7, "--out", "s.jpg").out == "s.jpg\n"
    assert Path("s.jpg").read_bytes()[:3] == b"\xff\xd8\xff"
    with Image.open("s.jpg") as lossy:
        assert np.abs(np.asarray(lossy).astype(int) - grid).max() < 30


def test_seeds_are_the_same_pictures_one_by_one_and_as_an_array(command: Command, trained: Path) -> None:
    ended = command("sample", "--seeds", "7-8,12", "--separate", "--out", "single")
    assert ended.out == "3 pictures in single\n"
    assert sorted(os.listdir("single")) == ["seed00000007.png", "seed00000008.png", "seed00000012.png"]
    ended = command("sample", "--seeds", "7-8,12", "--out", "pixels.NPY")
    assert ended.out == "3 pictures in pixels.NPY\n"
    pixels = np.load("pixels.NPY")
    assert command("sample", "--seeds", "7", "--out", "alone.png").code == 0
    assert np.array_equal(np.asarray(Image.open("alone.png")), pixels[0, :, :, 0]), "a picture alone has no frame"
    assert pixels.shape == (3, 8, 8, 1)
    for picture, seed in zip(pixels, (7, 8, 12), strict=True):
        assert np.array_equal(picture[:, :, 0], np.asarray(Image.open(f"single/seed{seed:08d}.png")))
    assert command("sample", "--count", 70, "--separate").out == f"70 pictures in {trained}/seeds\n"
    assert len(os.listdir(trained / "seeds")) == 70, "more than one batch"


def test_inputs_are_chosen_by_name(command: Command, tmp_path: Path) -> None:
    with registered():
        ship_varied(tmp_path / "v.safetensors")
        generator = ganlab.load_generator(tmp_path / "v.safetensors", device="cpu")

        def pixels(*arguments: object) -> np.ndarray[Any, Any]:
            ended = command(
                "sample", "v.safetensors", *arguments, "--out", "pixels.npy", "--overwrite", "--device", "cpu"
            )
            assert (ended.code, ended.err) == (0, "")
            made: np.ndarray[Any, Any] = np.load("pixels.npy")
            return made

        wishes: dict[str, Any] = {"inputs": {"category": [0, 1, 2], "codes": [0.5, -1]}, "truncation": 0.7}
        chosen = ("--input", "category=0,1,2", "--input", " codes = 0.5,-1 ", "--truncation", 0.7)
        many = 100  # of which the turns go on over the end of a batch
        assert np.array_equal(pixels("--count", many, *chosen), generator.sample(many, **wishes))
        assert not np.array_equal(pixels("--count", 4), pixels("--count", 4, "--truncation", 0.5))
        rows = pixels("--seeds", "5,5,5", "--input", "category=0,1,2")
        assert len({row.tobytes() for row in rows}) == 3, "one seed, three categories"


INPUTS = {
    "category=3": "v.safetensors: category 3 is none of its categories, 0 to 2",
    "catgory=1": "v.safetensors: has no input 'catgory'; did you mean category?",
    "codes=1,2,3": "v.safetensors: codes takes 1 number, or the 2 of its shape (2,), not 3",
    "codes=inf": "v.safetensors: codes holds values that are not finite",
    "category": '--input "category": write NAME=VALUE, as in code=3, or several values, as in code=0,1,2',
    "=1": '--input "=1": write NAME=VALUE, as in code=3, or several values, as in code=0,1,2',
    "category=1,": '--input "category=1,": "" is no number',
    "category=cat": '--input "category=cat": "cat" is no number',
}


@pytest.mark.parametrize(("given", "sentence"), INPUTS.items(), ids=INPUTS.keys())
def test_an_input_that_cannot_be_chosen_is_one_sentence(
    command: Command, tmp_path: Path, given: str, sentence: str
) -> None:
    with registered():
        ship_varied(tmp_path / "v.safetensors")
        assert command("sample", "v.safetensors", "--input", given) == (2, "", f"ganlab: {sentence}\n")
        assert not Path("sample.png").exists()


def test_choices_that_contradict_each_other_are_refused(command: Command, tmp_path: Path) -> None:
    with registered():
        ship_varied(tmp_path / "v.safetensors")
        ship_labelled(tmp_path / "l.safetensors")
        ended = command("sample", "v.safetensors", "--input", "codes=1", "--input", "codes=2")
        assert (ended.code, ended.err) == (
            2,
            'ganlab: --input gives codes twice; write all of its values at once, as in "codes=0,1,2"\n',
        )
        ended = command("sample", "l.safetensors", "--truncation", 0.7, "--out", "l.npy")
        assert (ended.code, ended.err) == (
            2,
            "ganlab: l.safetensors: truncation scales inputs that are drawn from a normal distribution, and there is "
            "none: its inputs are z (uniform, 6) and labels (classes 0 to 4); leave truncation out\n",
        )
        ended = command("sample", "v.safetensors", "--seeds", "3,1-4", "--separate")
        assert (ended.code, ended.err) == (
            2,
            "ganlab: --seeds names 3 more than once, and --separate writes one file a seed; name each once, or leave "
            "--separate away\n",
        )


def test_a_label_is_the_class_of_every_picture(command: Command, tmp_path: Path) -> None:
    with registered():
        ship_labelled(tmp_path / "l.safetensors")
        for label in (2, 3):
            assert (
                command("sample", "l.safetensors", "--label", label, "--seeds", "0-3", "--out", f"{label}.npy").code
                == 0
            )
        generator = ganlab.load_generator(tmp_path / "l.safetensors", device="cpu")
        assert np.array_equal(np.load("3.npy"), generator.sample(range(4), label=3))
        assert not np.array_equal(np.load("2.npy"), np.load("3.npy"))
        ended = command("sample", "l.safetensors", "--label", 5)
        assert (ended.code, ended.err) == (2, "ganlab: l.safetensors: label 5 is none of its classes, 0 to 4\n")


def test_a_run_on_folders_of_classes_knows_them_by_name_to_the_end(command: Command, tmp_path: Path) -> None:
    files = {f"pets/{kind}/{index}.png": png_bytes(pictures(6, 8, 8)[index]) for kind in "ab" for index in range(6)}
    write_files(tmp_path, {name.replace("/a/", "/Cat/").replace("/b/", "/dog/"): data for name, data in files.items()})
    dataset = {"name": "image_folder", "root": "pets", "resolution": 8}
    recipe = tiny(
        dataset=dataset, loss={"name": "bce"}, snapshot={"samples": 4}, observers={"samples": True, "log": True}
    )
    Path("pets.toml").write_text(dumps(recipe | {"model": {"name": "labelled_toy"}}))
    registry.add("model", "labelled_toy", Unseeing)
    try:
        assert command("run", "pets.toml", "--out", "out").code == 0
        assert command("export", "out", "--onnx").code == 0
        for file in ("generator.safetensors", "generator.onnx"):
            assert ganlab.read_metadata(Path("out", file)).class_names == ("Cat", "dog")
            for label in ("dog", "1"):
                assert (
                    command("sample", f"out/{file}", "--label", label, "--out", f"{label}.npy", "--overwrite").code == 0
                )
            assert np.array_equal(np.load("dog.npy"), np.load("1.npy"))
            ended = command("sample", f"out/{file}", "--label", "cat")
            assert ended.err == (
                f'ganlab: out/{file}: label "cat" is none of its classes, Cat; dog, or their numbers 0 to 1; '
                "did you mean Cat?\n"
            )
    finally:
        registry.remove("model", "labelled_toy")
    assert Path("out/samples/rows.txt").read_text() == "Cat\ndog\n"
    assert "2 classes: Cat, dog\n" in Path("out/log.txt").read_text()


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("7", [range(7, 8)]),
        ("0-63", [range(64)]),
        ("3,14,15-17", [range(3, 4), range(14, 15), range(15, 18)]),
        (" 1 - 2 , 0 ", [range(1, 3), range(1)]),
        ("4294967295", [range(4294967295, 4294967296)]),
    ],
)
def test_a_list_of_seeds_is_read_as_it_stands(text: str, seeds: list[range]) -> None:
    assert parse_seeds(text) == seeds


MISTAKES = [
    (["toy.toml"], "toy.toml: is neither a safetensors nor an ONNX file"),
    (["--seeds", "3-1"], '--seeds "3-1": the range 3-1 runs backwards'),
    (["--seeds", "a"], '--seeds "a": "a" is neither a seed nor a range; write 0-63 or 3,14,15-17'),
    (["--seeds", "1,,2"], '--seeds "1,,2": "" is neither a seed nor a range'),
    (["--seeds", "1", "--count", "2"], "--seeds says which pictures to draw; leave --count and --seed away"),
    (["--seeds", "1", "--seed", "0"], "--seeds says which pictures to draw; leave --count and --seed away"),
    (["--seeds", "0-4294967296"], "4294967296 is not a seed: seeds are whole numbers from 0 to 4294967295"),
    (
        ["--seed", "4294967295", "--count", "2"],
        "--count 2 is too many from seed 4294967295 on",
    ),
    (["--out", "s.gif"], "--out s.gif: name a file that ends in .png, .jpg, .jpeg, .webp or .npy"),
    (["--out", "s"], "--out s: name a file that ends in .png, .jpg, .jpeg, .webp or .npy"),
    (["--out", "."], "--out . is a directory; name a file, or use --separate"),
    (
        ["g.onnx", "--count", "99999999999"],
        "--count 99,999,999,999 is too many from seed 0 on: seeds end at 4294967295, so 4,294,967,296 at most",
    ),
    (
        ["g.onnx", "--count", "7", "--seed", "4294967290"],
        "--count 7 is too many from seed 4294967290 on: seeds end at 4294967295, so 6 at most",
    ),
    (
        ["--separate", "--out", "s.jpg"],
        "--separate fills a directory with PNG files, and --out s.jpg is none",
    ),
    (["g.onnx", "--count", "10001"], "10,001 pictures do not fit one grid; use --separate, or --out FILE.npy"),
    (["g.onnx", "--device", "tpu"], 'device "tpu" is none of auto, cpu, cuda, cuda:N and mps'),
    (["g.onnx", "--label", "1"], "g.onnx: takes no labels"),
]


@pytest.mark.parametrize(("arguments", "sentence"), MISTAKES, ids=[" ".join(row[0]) for row in MISTAKES])
def test_a_mistake_ends_in_one_message_and_exit_2(
    command: Command, recipe: Path, arguments: list[str], sentence: str
) -> None:
    with registered():
        shipped_graph(Path("g.onnx"), graph())
    before = set(os.listdir())
    ended = command("sample", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"ganlab: {sentence}")
    assert len(ended.err.splitlines()) == 1
    assert set(os.listdir()) == before


def test_ten_thousand_pictures_need_no_more_memory_than_a_thousand() -> None:
    # Of 64 x 64, so that the pictures themselves would be seen: 10,000 are 41 MB.
    with registered():
        shipped_graph(Path("g.onnx"), graph(ImageSpec(1, 64, 64)), ImageSpec(1, 64, 64))
    code = (
        "import resource, sys; from ganlab.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    peaks = []
    for count in (1_000, 10_000):
        arguments = ["sample", "g.onnx", "--count", str(count), "--out", f"{count}.npy"]
        ended = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
        peaks.append(int(ended.stdout.splitlines()[-1]))
    assert np.load("10000.npy", mmap_mode="r").shape == (10_000, 64, 64, 1)
    assert peaks[1] < peaks[0] + 20_000, "in KiB: ten times the pictures, the same memory"
