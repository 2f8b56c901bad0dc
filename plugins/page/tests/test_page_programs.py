"""The page's programs against what they stand in for: numpy's numbers, ganlab's inputs and pixels, links, a GIF."""

from __future__ import annotations

import base64
import io
import subprocess
from collections.abc import Mapping
from typing import Any

import javascript
import numpy as np
import pytest
from ganlab_page.document import SCRIPTS, WEB
from javascript import MISSING, NODE
from PIL import Image

from ganlab import Categorical, Input, Labels, Normal, Uniform, to_uint8
from ganlab.data.inputs import of_seeds
from ganlab.generator.interpolation import walk

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)

SEEDS = [*range(900), *(2**32 - 1 - place * 40_000_003 for place in range(100))]
"""1,000 of them, small ones and large ones."""
BASE64 = "Buffer.from(made.buffer, made.byteOffset, made.byteLength).toString('base64')"


def answer(names: list[str], script: str, given: object = None) -> Any:
    return javascript.answer([WEB / f"{name}.js" for name in names], script, given)


def array(text: str, dtype: str) -> np.ndarray[Any, Any]:
    return np.frombuffer(base64.b64decode(text), dtype)


def kinds(inputs: Mapping[str, Input]) -> list[dict[str, Any]]:
    """Return what a generator takes, as its metadata says it."""
    return [{"name": name, "distribution": kind.distribution, "shape": kind.shape} for name, kind in inputs.items()]


@pytest.mark.parametrize("name", [*SCRIPTS, "worker"])
def test_every_program_is_javascript(name: str) -> None:
    subprocess.run([NODE, "--check", str(WEB / f"{name}.js")], check=True)


def test_all_programs_are_joined() -> None:
    assert {path.stem for path in WEB.glob("*.js")} == {*SCRIPTS, "worker"}


@pytest.mark.parametrize("call", ["double()", "uniform(-1, 1)", "normal()"])
def test_numbers_are_numpy_s_for_a_thousand_seeds(call: str) -> None:
    script = (
        f"(() => {{ const made = new Float64Array(given.length * 101); given.forEach((seed, i) => {{ "
        f"const stream = new RandomState(seed); for (let k = 0; k < 101; k++) made[101 * i + k] = stream.{call}; }}); "
        f"return {BASE64}; }})()"
    )
    made = array(answer(["random"], script, SEEDS), "f8").reshape(len(SEEDS), 101)
    drawn = {
        "double()": lambda stream: stream.random_sample(101),
        "uniform(-1, 1)": lambda stream: stream.uniform(-1.0, 1.0, 101),
        "normal()": lambda stream: stream.standard_normal(101),
    }
    expected = np.stack([drawn[call](np.random.RandomState(seed)) for seed in SEEDS])
    assert np.array_equal(made.astype(np.float32), expected.astype(np.float32))
    if call != "normal()":
        assert np.array_equal(made, expected)
    # Of float64, the last bit may differ: a logarithm is rounded otherwise. What a generator gets is float32.
    assert np.abs(made - expected).max() <= 1e-15


@pytest.mark.parametrize("n", [1, 2, 3, 10, 128, 1000, 2**31 + 1, 2**32])
def test_whole_numbers_are_numpy_s(n: int) -> None:
    script = (
        "given.seeds.map((seed) => { const stream = new RandomState(seed); stream.normal(); "
        "return [stream.below(given.n), stream.below(given.n), stream.uint32()]; })"
    )
    made = answer(["random"], script, {"seeds": SEEDS[::10], "n": n})
    for seed, found in zip(SEEDS[::10], made, strict=True):
        stream = np.random.RandomState(seed)
        stream.standard_normal()
        drawn = [int(stream.randint(n, dtype=np.int64)) for _ in range(2)]
        assert found == [*drawn, int(stream.randint(2**32, dtype=np.int64))]


VARIED: dict[str, Input] = {
    "noise": Normal((1, 3, 5)),  # an odd number: the next normal input begins with what the polar method has kept
    "labels": Labels(),
    "code": Categorical(10),
    "angle": Uniform((2,)),
    "z": Normal((7,)),
}


def drawn(inputs: Mapping[str, Input], seeds: list[int], classes: int, rest: str = "", **more: Any) -> dict[str, Any]:
    """Return the inputs that the page makes of seeds, stacked."""
    script = (
        "given.seeds.map((seed) => { "
        "const inputs = inputsOfSeed(given.kinds, seed, given.classes, given.chosen ?? {}); "
        f"{rest} return Object.fromEntries(Object.entries(inputs).map(([name, all]) => [name, Array.from(all)])); }})"
    )
    given = {"kinds": kinds(inputs), "seeds": seeds, "classes": classes, **more}
    made = answer(["random", "latents"], script, given)
    return {name: np.array([one[name] for one in made], np.float64) for name in inputs}


def same(made: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    assert list(made) == list(expected)
    for name, values in expected.items():
        assert np.array_equal(made[name].reshape(values.shape).astype(values.dtype), values), name


def test_a_seed_draws_every_input_as_ganlab_does() -> None:
    same(drawn(VARIED, SEEDS[::5], 3), of_seeds(VARIED, SEEDS[::5], 3))
    chosen = {"labels": 2, "code": 7}
    expected = of_seeds(VARIED, SEEDS[::50], 3, {name: [value] * 20 for name, value in chosen.items()})
    same(drawn(VARIED, SEEDS[::50], 3, chosen=chosen), expected)


def test_truncation_scales_in_float32_as_ganlab_does() -> None:
    expected = of_seeds(VARIED, SEEDS[::50], 3)
    for name in ("noise", "z"):
        expected[name] *= np.float32(0.7)
    same(drawn(VARIED, SEEDS[::50], 3, "truncate(inputs, given.kinds, 0.7);"), expected)


def test_it_moves_along_directions_by_amounts() -> None:
    z = of_seeds({"z": Normal((7,))}, [3], 0)["z"][0]
    directions = np.linalg.qr(np.random.RandomState(0).standard_normal((7, 7)))[0][:2]
    rest = "moveAlong(inputs.z, given.directions, given.amounts);"
    made = drawn({"z": Normal((7,))}, [3], 0, rest, directions=directions.tolist(), amounts=[1.5, -0.25])
    assert made["z"][0] == pytest.approx(z + 1.5 * directions[0] - 0.25 * directions[1], abs=1e-6)


def test_a_walk_is_that_of_ganlab_interpolate() -> None:
    inputs: dict[str, Input] = {"z": Normal((7,)), "angle": Uniform((2,)), "code": Categorical(3), "labels": Labels()}
    expected = walk(of_seeds(inputs, [1, 2], 5), inputs, 8)
    rest = (
        "const last = inputsOfSeed(given.kinds, given.last, given.classes); "
        "Object.assign(inputs, between(inputs, last, given.kinds, given.t));"
    )
    for step in range(9):
        made = drawn(inputs, [1], 5, rest, t=step / 8, last=2)
        for name, values in expected.items():
            assert made[name].reshape(values[0].shape) == pytest.approx(values[step], abs=1e-6), name
    still = drawn(inputs, [2], 5, rest, t=0.5, last=2)  # from a seed to itself
    assert np.array_equal(still["z"][0].astype(np.float32), of_seeds(inputs, [2], 5)["z"][0])


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_are_those_of_the_png(channels: int) -> None:
    exact = (np.arange(256, dtype=np.float32) + 0.5) / np.float32(127.5) - 1  # between two steps
    images = np.concatenate([exact, np.linspace(-1.2, 1.2, 5 * 2 * 3 * 16 - 256, dtype=np.float32)])
    images = images[: channels * 80].reshape(1, channels, 8, 10)
    script = f"(() => {{ const made = toPixels(Float32Array.from(given), {channels}, 8, 10); return {BASE64}; }})()"
    made = array(answer(["pixels"], script, images.reshape(-1).tolist()), "u1").reshape(8, 10, 4)
    assert np.array_equal(made[..., :3], np.broadcast_to(to_uint8(images)[0], (8, 10, 3)))
    assert (made[..., 3] == 255).all()


ABOUT = {
    "count": 3,
    "reach": 4,
    "classes": 4,
    "names": ["cat", "2", "a&b=c #<i>", "übel"],
    "scales": True,
    "categories": {"code": 10},
    "numbers": {"angle": 2},
}
START = {
    "seed": 0,
    "amounts": [0, 0, 0],
    "label": None,
    "truncation": 1,
    "categories": {"code": None},
    "numbers": {"angle": None},
    "to": None,
}
STATES: list[dict[str, Any]] = [
    {},
    {"seed": 4294967295, "amounts": [1.5, 0, -4], "label": 0, "truncation": 0.35},
    {"label": 2, "to": 7},
    {"label": 3, "categories": {"code": 9}, "numbers": {"angle": [-0.25, 1]}},
]


@pytest.mark.parametrize("changes", STATES)
def test_a_link_says_what_is_shown(changes: dict[str, Any]) -> None:
    state = START | changes
    link = answer(["link"], "toLink(given[0], given[1])", [state, ABOUT])
    assert answer(["link"], "fromLink(given[0], given[1])", [f"#{link}", ABOUT]) == {"state": state, "wrong": []}


def test_a_link_is_short_and_readable() -> None:
    state = START | {"seed": 7, "amounts": [1.5, 0, 0], "label": 0}
    assert answer(["link"], "toLink(given[0], given[1])", [state, ABOUT]) == "seed=7&d1=1.5&class=cat"


WRONG = [
    *("seed=-1", "seed=4294967296", "seed=1e3", "seed=", "seed=0x1", "d1=4.1", "d1=NaN", "d4=1", "d0=1", "d1=1e2"),
    *("class=dog", "class=4", "class=-1", "truncation=2.1", "truncation=-0.1", "input.code=10", "input.code=x"),
    *("input.angle=1", "input.angle=1,2,3", "input.angle=1,x", "input.__proto__=1", "input.toString=1", "to=x"),
    *("nothing=1", "constructor=1", "<script>=1", "input.angle=1,99"),
]


@pytest.mark.parametrize("part", WRONG)
def test_a_link_that_says_something_else_is_not_believed(part: str) -> None:
    found = answer(["link"], "fromLink(given[0], given[1])", [f"#{part}", ABOUT])
    assert found == {"state": START, "wrong": [part.partition("=")[0]]}


def test_a_class_is_taken_by_its_name_before_its_number() -> None:
    script = "given[0].map((part) => fromLink(part, given[1]).state.label)"
    assert answer(["link"], script, [["class=2", "class=3", "class=0", "class=cat"], ABOUT]) == [1, 3, 0, 0]


def gif(frames: np.ndarray[Any, Any]) -> Image.Image:
    """Return what PIL reads of the GIF of frames `(N, H, W, 3)`."""
    opaque = np.concatenate([frames, np.full((*frames.shape[:3], 1), 255, np.uint8)], 3)
    height, width = frames.shape[1:3]
    script = (
        f"encodeGif(given.map((frame) => Uint8ClampedArray.from(frame)), {width}, {height}, 7)"
        ".map((piece) => Buffer.from(piece).toString('base64'))"
    )
    pieces = answer(["gif"], script, opaque.reshape(len(frames), -1).tolist())
    return Image.open(io.BytesIO(b"".join(map(base64.b64decode, pieces))))


def frames_of(image: Image.Image) -> np.ndarray[Any, Any]:
    found = []
    for place in range(image.n_frames):  # type: ignore[attr-defined]  # a GIF has it
        image.seek(place)
        found.append(np.asarray(image.convert("RGB")))
    return np.stack(found)


def test_a_gif_of_grey_frames_is_exact_and_repeats() -> None:
    grey = np.random.RandomState(0).randint(0, 256, (3, 90, 130, 1)).astype(np.uint8)  # more codes than a GIF has
    image = gif(grey.repeat(3, 3))
    assert np.array_equal(frames_of(image), grey.repeat(3, 3))
    assert (image.info["loop"], image.info["duration"]) == (0, 70)


def test_a_gif_of_few_colours_keeps_them_to_a_step_of_its_palette() -> None:
    ramp = np.linspace(0, 255, 40).astype(np.uint8)
    frame = np.stack(
        [np.broadcast_to(ramp, (30, 40)), np.broadcast_to(ramp[:30, None], (30, 40)), np.full((30, 40), 90)], 2
    )
    frames = np.stack([frame, frame[:, ::-1], np.zeros_like(frame)]).astype(np.uint8)
    made = frames_of(gif(frames)).astype(int)
    assert made.shape == frames.shape
    assert np.abs(made - frames).mean() < 6
    assert np.abs(made - frames).max() <= 24
