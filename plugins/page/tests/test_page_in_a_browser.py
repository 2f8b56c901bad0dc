"""The page in a headless browser, from the disk: its pixels are onnxruntime's, and nothing is said in the console."""

from __future__ import annotations

import base64
import io
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import browser as browsers
import numpy as np
import pytest
import torch
from browser import Browser
from browser import Page as Tab
from ganlab_dcgan import DCGAN
from ganlab_page import Page
from PIL import Image
from shipping import CLASSES, Labelled, about, registered, ship_labelled, ship_varied, trained

import ganlab
from ganlab import Generator, ImageSpec, to_uint8, write_generator
from ganlab.generator.export import export
from ganlab.testing import isolated

IMAGES = ImageSpec(3, 32, 32)
HOSTILE = "</script><script>hacked=1</script><img src=x onerror=hacked=1>"
NAMES = (HOSTILE, "<b>bold</b>", "cat", "1", "T-shirt/top")
BASE64 = "(array => { let text = ''; for (const one of array) text += String.fromCharCode(one); return btoa(text) })"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if reason := browsers.missing():
        pytest.skip(reason)
    with browsers.started(tmp_path_factory.mktemp("browser")) as started:
        yield started


@pytest.fixture(autouse=True, scope="module")
def _place() -> Iterator[None]:
    with isolated({"page": Page}), registered():
        yield


@pytest.fixture(scope="module")
def dcgan(_place: None) -> Path:
    model = DCGAN(base_channels=16, latent_dim=24)
    generator = trained(model, IMAGES)
    with torch.no_grad():
        list(generator.parameters())[-1].mul_(20)  # so that pictures have all values
    write_generator("dcgan.safetensors", generator, about("dcgan", model, IMAGES, recipe_name="faces"))
    return export("dcgan.safetensors", "page").path


@pytest.fixture(scope="module")
def labelled(_place: None) -> Path:
    ship_labelled(Path("labelled.safetensors"), NAMES)
    return export("labelled.safetensors", "page", {"title": HOSTILE, "licence": HOSTILE}).path


@pytest.fixture(scope="module")
def tab(browser: Browser, dcgan: Path) -> Iterator[Tab]:
    """Return the page of DCGAN, which tests share; each says by a link where it begins."""
    opened = start(browser, dcgan)
    yield opened
    opened.close()


def start(browser: Browser, path: Path, link: str = "", width: int = 1280) -> Tab:
    tab = browser.open(path.resolve().as_uri() + (f"#{link}" if link else ""), width)
    tab.wait_for("document.documentElement.dataset.firstPicture")
    return tab


def go(tab: Tab, link: str) -> None:
    tab.evaluate(f"location.hash = {json.dumps(link)}")
    tab.wait_for(f"document.getElementById('picture').dataset.shown === {json.dumps(link)}")


def press(tab: Tab, name: str) -> None:
    tab.evaluate(f"document.getElementById('{name}').click()")


def text(tab: Tab, name: str) -> str:
    return str(tab.evaluate(f"document.getElementById('{name}').textContent"))


def fill(tab: Tab, field: str, value: object, event: str = "input") -> None:
    """Put a value into a field, given by an expression, as its reader does."""
    tab.evaluate(
        f"(one => {{ one.value = {json.dumps(str(value))}; one.dispatchEvent(new Event({event!r})) }})({field})"
    )


def slide(tab: Tab, name: str, value: float) -> None:
    slider = f"[...document.querySelectorAll('.slider')].find(one => one.textContent.startsWith({json.dumps(name)}))"
    fill(tab, f"{slider}.querySelector('input')", value)


def pixels(tab: Tab, selector: str = "#picture") -> np.ndarray[Any, Any]:
    """Return what a canvas shows, `(H, W, 4)`."""
    address = str(tab.evaluate(f"document.querySelector({json.dumps(selector)}).toDataURL('image/png')"))
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))).convert("RGBA"))


def await_shown(tab: Tab, selector: str) -> np.ndarray[Any, Any]:
    """Return what a canvas shows as soon as it is full."""
    last = time.monotonic() + browsers.PATIENCE_SECONDS
    while not ((shown := pixels(tab, selector))[..., 3] == 255).all():
        assert time.monotonic() < last, selector
        time.sleep(0.1)
    return shown


def assert_shows(tab: Tab, expected: np.ndarray[Any, Any], selector: str = "#picture") -> None:
    """Compare with one picture `(H, W, C)`, to a step."""
    shown = pixels(tab, selector)
    assert (shown[..., 3] == 255).all()
    wanted = np.broadcast_to(expected, (*expected.shape[:2], 3)).astype(int)
    assert shown.shape[:2] == wanted.shape[:2]
    assert np.abs(shown[..., :3] - wanted).max() <= 1
    assert wanted.std() > 5  # something is to be seen


def moved(generator: Generator, seed: int, amounts: dict[int, float], truncation: float = 1.0) -> np.ndarray[Any, Any]:
    """Return the picture of a seed that is moved along directions, by onnxruntime."""
    inputs = generator.draw([seed], truncation=truncation)
    for k, amount in amounts.items():
        inputs["z"] += (amount * ganlab.directions(ganlab.load_generator("dcgan.safetensors"), 5).vectors[k]).astype(
            "f4"
        )
    picture: np.ndarray[Any, Any] = to_uint8(generator(inputs))[0]
    return picture


LOOKS = [
    ("seed=7", 7, {}, 1.0),
    ("seed=4294967295", 4294967295, {}, 1.0),
    ("seed=12&d1=1.5", 12, {0: 1.5}, 1.0),
    ("seed=3&d1=-4&d2=2.25&d5=0.5", 3, {0: -4.0, 1: 2.25, 4: 0.5}, 1.0),
    ("seed=3&d3=1&truncation=0.4", 3, {2: 1.0}, 0.4),
]


@pytest.mark.parametrize(("link", "seed", "amounts", "truncation"), LOOKS)
def test_its_pixels_are_onnxruntime_s(
    tab: Tab, dcgan: Path, link: str, seed: int, amounts: dict[int, float], truncation: float
) -> None:
    go(tab, link)
    assert_shows(tab, moved(ganlab.load_generator(dcgan), seed, amounts, truncation))
    assert (tab.errors, tab.requests) == ([], [])


def test_the_gallery_shows_the_seeds_that_python_draws(tab: Tab, dcgan: Path) -> None:
    go(tab, "seed=0")
    pictures = ganlab.load_generator(dcgan).sample(64)
    tab.wait_for("document.querySelectorAll('#seeds canvas').length === 64")
    await_shown(tab, "#seeds button[aria-label='seed 63'] canvas")
    for seed in (0, 1, 31, 63):
        assert_shows(tab, pictures[seed], f"#seeds button[aria-label='seed {seed}'] canvas")
    tab.evaluate("document.querySelector(\"#seeds button[aria-label='seed 31']\").click()")
    tab.wait_for("document.getElementById('picture').dataset.shown === 'seed=31'")
    tab.wait_for("location.hash === '#seed=31'")
    assert tab.evaluate("[...document.querySelectorAll('#seeds [aria-pressed=true]')].map(b => b.value)") == ["31"]
    press(tab, "after")
    assert text(tab, "range") == "64 to 127"
    tab.evaluate("document.querySelector(\"#seeds button[aria-label='seed 100']\").click()")
    tab.wait_for("document.getElementById('picture').dataset.shown === 'seed=100'")
    assert_shows(tab, ganlab.load_generator(dcgan).sample([100])[0])
    press(tab, "before")


@pytest.mark.parametrize("width", [360, 768, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_any_width_in_light_and_dark(tab: Tab, width: int, dark: bool) -> None:
    tab.resize(width)
    tab.set_dark(dark)
    assert tab.overflow() == 0
    colours = tab.evaluate("[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]")
    back, ink = (sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in colours)
    assert (back < ink) == dark
    assert abs(back - ink) > 400
    small = tab.evaluate(
        "[...document.querySelectorAll('button, input')].filter(one => one.offsetParent && "
        "(one.getBoundingClientRect().height < 24 || one.getBoundingClientRect().width < 24)).map(one => one.id)"
    )
    assert small == []  # large enough for a finger: WCAG 2.2, 2.5.8
    tab.resize(1280)
    tab.set_dark(False)


def test_everything_that_is_pressed_or_seen_has_a_name(tab: Tab) -> None:
    nameless = tab.evaluate(
        "[...document.querySelectorAll('button, input, canvas')].filter(one => !one.ariaLabel && !one.ariaHidden && "
        "!one.textContent.trim() && !one.closest('label')?.textContent.trim() && !one.closest('[aria-label]'))"
        ".map(one => one.outerHTML)"
    )
    assert nameless == []
    go(tab, "seed=5&d2=1.5")
    assert tab.evaluate("document.getElementById('picture').ariaLabel") == "Picture of seed 5, direction 2 at 1.5"


def test_the_card_says_what_the_file_says(tab: Tab, dcgan: Path) -> None:
    card = text(tab, "facts")
    for fact in ("faces", "dcgan (ganlab 0.1.0)", "32 × 32", "640 pictures seen", "z (normal, 24)", "not stated"):
        assert fact in card
    assert ganlab.read_metadata(dcgan).digest in card
    press(tab, "notices")
    tab.wait_for("document.getElementById('third').textContent.length > 100000")
    assert "Copyright (c) Microsoft Corporation" in text(tab, "card")


def test_sliders_map_and_keys_move_the_picture(tab: Tab, dcgan: Path) -> None:
    go(tab, "seed=9")
    slide(tab, "direction 1", 1.5)
    tab.wait_for("document.getElementById('picture').dataset.shown === 'seed=9&d1=1.5'")
    assert_shows(tab, moved(ganlab.load_generator(dcgan), 9, {0: 1.5}))
    tab.evaluate("document.querySelector('#sliders input').focus()")
    tab.press("ArrowRight", 39)
    tab.wait_for("document.getElementById('picture').dataset.shown === 'seed=9&d1=1.55'")
    tab.evaluate("document.getElementById('map').focus()")
    tab.press("ArrowUp", 38)
    tab.wait_for("document.getElementById('picture').dataset.shown === 'seed=9&d1=1.55&d2=0.1'")
    tab.evaluate("document.getElementById('map').scrollIntoView()")
    place = tab.evaluate("document.getElementById('map').getBoundingClientRect().toJSON()")
    middle = place["left"] + place["width"] / 2, place["top"] + place["height"] / 2
    tab.drag(middle, (middle[0] + place["width"] / 4, middle[1] - place["height"] / 8))
    tab.wait_for("new Promise(done => setTimeout(() => done(true), 500))")  # the address follows
    amounts = dict(re.findall(r"d([12])=([-0-9.]+)", str(tab.evaluate("location.hash"))))
    assert float(amounts["1"]) == pytest.approx(2.0, abs=0.05)
    assert float(amounts["2"]) == pytest.approx(1.0, abs=0.05)
    assert tab.evaluate("document.querySelector('#sliders output').textContent") == f"{float(amounts['1']):.2f}"
    press(tab, "reset")
    tab.wait_for("document.getElementById('picture').dataset.shown === 'seed=9'")


def test_the_map_shows_the_plane_around_the_seed(tab: Tab, dcgan: Path) -> None:
    go(tab, "seed=2")
    generator = ganlab.load_generator(dcgan)
    corner = moved(generator, 2, {0: -24 / 7, 1: 24 / 7})
    # Enlarged from 32 to 48 pixels: every third one lies between two, and may be either.
    places = np.array([place for place in range(48) if place % 3 != 1])
    expected = corner[np.ix_(places * 2 // 3, places * 2 // 3)].astype(int)
    last = time.monotonic() + browsers.PATIENCE_SECONDS
    while np.abs(await_shown(tab, "#plan")[np.ix_(places, places)][..., :3] - expected).max() > 1:
        assert time.monotonic() < last


def test_a_seed_that_is_none_is_said(tab: Tab) -> None:
    go(tab, "seed=2")
    for value in ("-1", "4294967296", ""):
        fill(tab, "document.getElementById('seed')", value, "change")
        assert text(tab, "heard") == "A seed is a whole number from 0 to 4294967295."
    assert tab.evaluate("location.hash") == "#seed=2"


def test_a_link_that_nobody_should_believe_is_named_and_left_out(tab: Tab) -> None:
    tab.evaluate("location.hash = 'seed=99999999999&d1=1e9&class=cat&<img src=x onerror=hacked=1>=1&d2=1'")
    tab.wait_for("document.getElementById('picture').dataset.shown === 'seed=0&d2=1'")
    assert text(tab, "heard") == "The link says what this generator does not have: seed, d1, class, <img src."
    assert tab.evaluate("'hacked' in window") is False


def saved(tab: Tab, name: str, ready: str = "true") -> tuple[str, bytes]:
    """Press a button that saves a file; return its name and its bytes instead of what a browser would ask."""
    tab.evaluate(
        "(window.files = [], URL.make ??= URL.createObjectURL, "
        "URL.createObjectURL = blob => (files.push(blob), URL.make(blob)), "
        "HTMLAnchorElement.prototype.click = function () { window.called = this.download }, window.called = null)"
    )
    press(tab, name)
    tab.wait_for("window.called !== null")
    data = tab.evaluate(f"files.at(-1).arrayBuffer().then(data => {BASE64}(new Uint8Array(data)))")
    return str(tab.evaluate("called")), base64.b64decode(data)


def test_what_is_saved_is_what_is_seen(tab: Tab, dcgan: Path) -> None:
    go(tab, "seed=7&d1=1")
    expected = moved(ganlab.load_generator(dcgan), 7, {0: 1.0}).astype(int)
    name, data = saved(tab, "png")
    assert name == "faces-seed-7.png"
    assert np.abs(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) - expected).max() <= 1
    name, data = saved(tab, "onnx")
    assert name == "faces.onnx"
    Path(name).write_bytes(data)
    assert np.array_equal(ganlab.load_generator(name).sample(3), ganlab.load_generator(dcgan).sample(3))


def test_a_walk_goes_on_an_arc_is_played_and_becomes_films(tab: Tab, dcgan: Path) -> None:
    go(tab, "seed=7&to=20")
    generator = ganlab.load_generator(dcgan)
    a, b = (generator.draw([seed])["z"][0].astype(float) for seed in (7, 20))
    angle = np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    fill(tab, "document.getElementById('position')", 0.25)
    z = (np.sin(0.75 * angle) * a + np.sin(0.25 * angle) * b) / np.sin(angle)
    expected = to_uint8(generator({"z": z[None].astype("f4")}))[0]
    tab.wait_for("new Promise(done => setTimeout(() => done(true), 300))")
    assert_shows(tab, expected, "#way")
    press(tab, "play")
    tab.wait_for("Number(document.getElementById('position').value) > 0.5")
    press(tab, "play")
    assert text(tab, "play") == "Play"
    name, data = saved(tab, "gif")
    assert name == "faces-7-to-20.gif"
    film = Image.open(io.BytesIO(data))
    assert film.size == (256, 256)
    count = film.n_frames  # type: ignore[attr-defined]  # a GIF has it
    assert 22 <= count <= 94
    first = np.asarray(film.convert("RGB"), int)[4::8, 4::8]
    assert np.abs(first - generator.sample([7])[0].astype(int)).mean() < 8  # of 256 colours for all frames
    film.seek(count // 2)
    last = np.asarray(film.convert("RGB"), int)[4::8, 4::8]
    assert np.abs(last - generator.sample([20])[0].astype(int)).mean() < 8
    tab.wait_for("!document.getElementById('gif').disabled")
    name, data = saved(tab, "webm")
    assert name == "faces-7-to-20.webm"
    assert data[:4] == b"\x1a\x45\xdf\xa3"
    assert len(data) > 5000


def test_the_end_of_a_walk_is_chosen_in_the_gallery(tab: Tab) -> None:
    go(tab, "seed=7")
    press(tab, "pick")
    tab.evaluate("document.querySelector(\"#seeds button[aria-label='seed 12']\").click()")
    tab.wait_for("location.hash === '#seed=7&to=12'")
    assert tab.evaluate("document.getElementById('to').value") == "12"


def test_a_class_is_chosen_by_its_button_and_by_a_link(browser: Browser, labelled: Path) -> None:
    tab = start(browser, labelled, "seed=3")
    generator = ganlab.load_generator(labelled)
    assert_shows(tab, generator.sample([3])[0])  # whose class is its remainder
    buttons = "[...document.querySelectorAll('#choices button')]"
    assert tab.evaluate(f"{buttons}.map(one => one.textContent)") == ["The seed decides", *NAMES]
    tab.evaluate(f"{buttons}.find(one => one.textContent === 'cat').click()")
    tab.wait_for("document.getElementById('picture').dataset.shown === 'seed=3&class=cat'")
    assert tab.evaluate(f"{buttons}.filter(one => one.ariaPressed === 'true').map(one => one.textContent)") == ["cat"]
    assert_shows(tab, generator.sample([3], label="cat")[0])
    tab.close()
    restored = start(browser, labelled, f"seed=4&d1=-1.5&class={quote('T-shirt/top')}")
    inputs = generator.draw([4], label=4)
    vector = ganlab.directions(ganlab.load_generator("labelled.safetensors"), 1).vectors[0]
    inputs["z"] += (-1.5 * vector).astype("f4")
    assert_shows(restored, to_uint8(generator(inputs))[0])
    assert restored.evaluate("document.querySelector('#sliders input').value") == "-1.5"
    assert restored.evaluate("document.querySelector('#choices [aria-pressed=true]').textContent") == "T-shirt/top"
    restored.close()


def test_hostile_names_are_shown_and_run_nothing(browser: Browser, labelled: Path) -> None:
    tab = start(browser, labelled)
    assert text(tab, "title") == HOSTILE
    assert HOSTILE in text(tab, "facts")
    assert tab.evaluate("document.title") == HOSTILE
    assert tab.evaluate("'hacked' in window") is False
    assert tab.evaluate("document.querySelectorAll('img, b').length") == 0
    assert (tab.errors, tab.requests) == ([], [])
    tab.close()


def test_the_policy_lets_nothing_else_run_and_nothing_out(browser: Browser, labelled: Path) -> None:
    tab = start(browser, labelled)
    tab.evaluate("document.body.append(Object.assign(document.createElement('script'), {textContent: 'hacked = 1'}))")
    assert tab.evaluate("'hacked' in window") is False
    outside = "fetch('http://ganlab.invalid/').then(() => 'fetched', error => error.name)"
    assert tab.evaluate(outside) == "TypeError"
    assert tab.requests == []
    assert sum("Content Security Policy" in error for error in tab.errors) >= 2
    tab.close()


def test_a_thousand_classes_are_found_by_typing(browser: Browser) -> None:
    model, images = Labelled(), CLASSES._replace(classes=1000)
    names = [f"kind {number:03d}" for number in range(1000)]
    metadata = about("labelled", model, images, class_names=names)
    write_generator("many.safetensors", trained(model, images), metadata)
    made = export("many.safetensors", "page").path
    tab = start(browser, made, width=360)
    assert tab.overflow() == 0
    assert tab.evaluate("document.querySelectorAll('#choices button').length") == 201
    fill(tab, "document.querySelector('#choices input')", "987")
    assert tab.evaluate("document.querySelectorAll('#choices button').length") == 2
    tab.evaluate("[...document.querySelectorAll('#choices button')][1].click()")
    tab.wait_for("document.getElementById('picture').dataset.shown === 'seed=0&class=kind+987'")
    assert_shows(tab, ganlab.load_generator(made).sample([0], label=987)[0])
    tab.close()


def test_inputs_of_every_kind_are_drawn_and_chosen(browser: Browser) -> None:
    ship_varied(Path("varied.safetensors"))
    made = export("varied.safetensors", "page").path
    generator = ganlab.load_generator(made)
    tab = start(browser, made, "seed=5")
    assert_shows(tab, generator.sample([5])[0])
    go(tab, "seed=5&input.category=2&input.codes=0.5%2C-1")
    assert_shows(tab, generator.sample([5], inputs={"category": 2, "codes": [0.5, -1.0]})[0])
    tab.evaluate(
        "[...document.querySelectorAll('#choices button')].find(one => one.textContent === 'category 1').click()"
    )
    slide(tab, "codes 2", 0.25)
    tab.wait_for(
        "document.getElementById('picture').dataset.shown === 'seed=5&input.category=1&input.codes=0.5%2C0.25'"
    )
    assert_shows(tab, generator.sample([5], inputs={"category": 1, "codes": [0.5, 0.25]})[0])
    assert tab.errors == []
    tab.close()


@pytest.mark.parametrize("lacks", ["WebAssembly", "DecompressionStream", "Worker"])
def test_a_browser_that_cannot_run_it_is_told_so(browser: Browser, labelled: Path, lacks: str) -> None:
    tab = browser.open("about:blank")
    tab.send("Page.addScriptToEvaluateOnNewDocument", {"source": f"delete window.{lacks}"})
    tab.go(labelled.resolve().as_uri())
    said = text(tab, "status")
    assert said.startswith("This browser cannot run the generator: it has no ")
    assert tab.evaluate("document.getElementById('main').hidden")
    assert tab.errors == []
    tab.close()


def test_a_generator_that_cannot_be_loaded_is_told_of(browser: Browser, labelled: Path) -> None:
    broken = re.sub(rb'(id="generator" type="text/plain">).{400}', rb"\1", labelled.read_bytes())
    Path("broken.html").write_bytes(broken)
    tab = browser.open(Path("broken.html"))
    tab.wait_for("document.getElementById('status').textContent.startsWith('This browser cannot run')")
    tab.close()


@pytest.mark.long
def test_a_generator_of_forty_megabytes_runs(browser: Browser) -> None:
    model, images = DCGAN(base_channels=128, latent_dim=100), ImageSpec(3, 64, 64)
    write_generator("large.safetensors", trained(model, images), about("dcgan", model, images))
    made = export("large.safetensors", "page").path
    assert made.stat().st_size > 30e6
    tab = start(browser, made, "seed=7")
    assert_shows(tab, ganlab.load_generator(made).sample([7])[0])
    assert tab.errors == []
    tab.close()
