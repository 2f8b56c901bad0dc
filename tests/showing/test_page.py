"""The page in a browser, opened from the disk: what is drawn, what moves, and that nothing of a stranger's runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browser import Browser, Page
from left_runs import left_run
from PIL import Image

from ganlab.run.report import write_report

Open = Callable[..., Page]
COLOURS = """[...document.querySelectorAll('canvas')].map(canvas => {
    const pixels = new Uint32Array(
        canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.buffer);
    return new Set(pixels).size;
})"""
"""How many different colours each chart has; a blank one has one."""
SHOWN = "document.querySelector('.film img').src"
WORDS = "document.querySelector('.film output').textContent"


@pytest.fixture
def opened(browser: Browser) -> Iterator[Open]:
    """Return what opens a page, with `after` behind its address; at the end none of them may have complained."""
    pages: list[Page] = []

    def open_page(path: Path, width: int = 1280, after: str = "") -> Page:
        pages.append(browser.open(path.resolve().as_uri() + after, width))
        return pages[-1]

    yield open_page
    for page in pages:
        page.evaluate("1")  # what happened before has been told by now
        assert (page.errors, page.requests) == ([], [])
        page.close()


@pytest.mark.parametrize("width", [1280, 360])
def test_charts_are_drawn_and_nothing_is_wider_than_the_screen(opened: Open, tmp_path: Path, width: int) -> None:
    scores = [{"kid": 0.5, "copies": 0.0}, {"kid": 0.25, "copies": 0.0}]
    run = left_run(tmp_path / "r", ticks=3000, scores=scores, rows=["cat", "a class whose name goes on and on"])
    page = opened(write_report([run]), width)
    colours = page.evaluate(COLOURS)
    assert len(colours) == 5
    assert min(colours) > 20
    assert page.overflow() == 0
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    assert page.overflow() == 0


def test_the_slider_changes_the_picture_by_mouse_and_by_keys(opened: Open, tmp_path: Path) -> None:
    page = opened(write_report([left_run(tmp_path / "r")]))
    whole = page.evaluate(SHOWN)
    assert page.evaluate(WORDS) == "iteration 400, epoch 4, 25,600 images seen"
    page.evaluate("document.querySelector('.film input').focus()")
    page.press("ArrowLeft", 37)
    assert page.evaluate(WORDS) == "iteration 300, epoch 3, 19,200 images seen"
    assert page.evaluate("document.querySelector('.film input').getAttribute('aria-valuetext')") == page.evaluate(WORDS)
    assert "iteration 300" in page.evaluate("document.querySelector('.film img').alt")
    page.press("Home", 36)
    first = page.evaluate(SHOWN)
    assert first.startswith("data:image/jpeg;")
    page.press("End", 35)
    assert page.evaluate(SHOWN) == whole
    box = page.evaluate("document.querySelector('.film input').getBoundingClientRect().toJSON()")
    middle = box["top"] + box["height"] / 2
    page.drag((box["right"] - 8, middle), (box["left"] + 8, middle))
    assert page.evaluate(SHOWN) == first
    page.evaluate("document.querySelector('.film .play').click()")
    page.wait_for(f"{WORDS}.startsWith('iteration 400') && document.querySelector('.play').textContent === '▶'")
    page.evaluate("document.querySelector('.film img').decode()")
    assert page.evaluate(SHOWN) == whole


def test_a_chart_is_zoomed_by_mouse_and_keys_and_all_of_them_with_it(opened: Open, tmp_path: Path) -> None:
    page = opened(write_report([left_run(tmp_path / "r", ticks=100)]))
    labels = "[...document.querySelectorAll('.u-legend .u-series:first-child .u-value')].map(one => one.textContent)"
    page.evaluate("document.querySelector('.chart').focus()")
    page.press("ArrowRight", 39)
    page.press("ArrowRight", 39)
    assert page.evaluate(labels) == ["512"] * 3, "the second point, in every chart"
    page.press("ArrowLeft", 37)
    assert page.evaluate(labels) == ["256"] * 3
    values = "document.querySelector('.u-legend .c0 .u-value').textContent"
    assert page.evaluate(values) == "1.01"
    before = page.evaluate("document.querySelector('canvas').toDataURL()")
    page.press("+", 187, "+")
    page.wait_for(f"document.querySelector('canvas').toDataURL() !== {json.dumps(before)}")
    page.press("0", 48, "0")
    box = page.evaluate("document.querySelector('.u-over').getBoundingClientRect().toJSON()")
    middle = box["top"] + box["height"] / 2
    others = "[...document.querySelectorAll('canvas')].map(one => one.toDataURL())"
    all_of_it = page.evaluate(f"new Promise(done => setTimeout(() => done({others}), 100))")
    page.drag((box["left"] + 20, middle), (box["left"] + 120, middle))
    zoomed = page.evaluate(f"new Promise(done => setTimeout(() => done({others}), 100))")
    assert all(one != two for one, two in zip(all_of_it, zoomed, strict=True))
    page.evaluate("document.querySelectorAll('.tools button')[2].click()")
    page.wait_for("true")
    again = page.evaluate(f"new Promise(done => setTimeout(() => done({others}), 100))")
    assert [one == two for one, two in zip(again, zoomed, strict=True)] == [False] * 3


def test_it_is_dark_where_the_system_or_the_reader_wants_it(opened: Open, tmp_path: Path) -> None:
    report = write_report([left_run(tmp_path / "r")])
    page = opened(report)

    def corner() -> int:
        page.screenshot(tmp_path / "shot.png", whole=False)
        with Image.open(tmp_path / "shot.png") as shot:
            level = shot.convert("L").getpixel((3, 3))
        assert isinstance(level, int)
        return level

    assert corner() > 240
    page.set_dark(True)
    assert corner() < 40
    page.evaluate("document.getElementById('theme').click()")
    assert corner() > 240
    page.reload()
    assert corner() > 240, "kept in the address"
    page.evaluate("document.querySelector('nav a').click()")
    page.wait_for("location.hash === '#runs&light'")
    assert page.evaluate("localStorage.length") == 0
    page.set_dark(False)
    page.evaluate("document.getElementById('theme').click()")
    assert corner() < 40


def test_what_is_printed_is_light(opened: Open, tmp_path: Path) -> None:
    page = opened(write_report([left_run(tmp_path / "r")]), after="#dark")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("Math.max(...[...document.querySelectorAll('.u-wrap')].map(one => one.clientWidth))") <= 330
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    page.pdf(tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").stat().st_size > 20_000


def test_a_run_that_is_on_can_be_followed(opened: Open, tmp_path: Path) -> None:
    import fcntl

    run = left_run(tmp_path / "r", ended=None)
    with (run / ".ganlab" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        page = opened(write_report([run]))
    page.evaluate("document.getElementById('live').click()")
    assert page.evaluate("location.hash") == "#live"
    write_report([run], ended="finished")
    page.reload()
    assert page.evaluate("document.getElementById('live')") is None
    assert page.evaluate("document.querySelector('.state').textContent") == "finished"


def test_several_runs_share_their_charts(opened: Open, tmp_path: Path) -> None:
    runs = [left_run(tmp_path / name, ticks=ticks) for name, ticks in (("a", 3000), ("b", 7), ("c", 40))]
    for width in (1280, 360):
        page = opened(write_report(runs, tmp_path / "page.html"), width)
        colours = page.evaluate(COLOURS)
        assert len(colours) == 4
        assert min(colours) > 20
        assert page.overflow() == 0
    legend = "[...document.querySelector('.u-legend').querySelectorAll('.u-series:not(.bound) .u-label')]"
    assert page.evaluate(f"{legend}.map(one => one.textContent)") == ["Images seen", "a", "b", "c"]
    page.evaluate("document.querySelectorAll('.film input')[1].focus()")
    page.press("Home", 36)
    words = page.evaluate("[...document.querySelectorAll('.film output')].map(one => one.textContent.split(',')[0])")
    assert words == ["iteration 400", "iteration 0", "iteration 400"]


def test_nothing_that_a_run_says_runs(opened: Open, tmp_path: Path) -> None:
    markup = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
    run = left_run(
        tmp_path / "<img src=x onerror=hacked=1>",
        recipe=f"[model]\nname = {json.dumps(markup)}\n",
        stats={f"loss_{markup}": 1.0, markup: 0.0, "__proto__": 0.2, "constructor": 0.1},
        scores=[{markup: 1.0}, {markup: 2.0}],
        rows=[markup],
        overrides=[markup],
        note=markup,
    )
    for name in ("log.txt", "error.txt"):
        (run / name).write_text(markup)
    (run / "environment.json").write_text(json.dumps({markup: markup}))
    page = opened(write_report([run]), 360)
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    page.evaluate("document.querySelectorAll('button').forEach(one => one.click())")
    assert page.evaluate("'hacked' in window") is False
    assert page.evaluate("document.scripts.length") == 3
    assert page.evaluate("[...document.images].every(one => one.src.startsWith('data:image/'))")
    legends = page.evaluate("[...document.querySelectorAll('.u-label')].map(one => one.textContent)")
    assert any("<script>" in one for one in legends)
    assert page.overflow() == 0


def test_a_run_of_which_next_to_nothing_is_left_is_a_page_too(opened: Open, tmp_path: Path) -> None:
    run = left_run(tmp_path / "r", ticks=0, snapshots=0, recipe=None, ended="failed")
    (run / "reals.png").unlink()
    page = opened(write_report([run]), 360)
    assert page.evaluate("document.querySelector('.state').textContent") == "failed"
    assert page.evaluate("document.querySelectorAll('canvas').length") == 0
    text = page.evaluate("document.body.innerText")
    for said in ("There are no snapshots to show.", "There are no numbers to draw", "recipe.toml is missing"):
        assert said in text


@pytest.mark.parametrize("values", [[0.0], [5.0], [None, None], [0.0, 0.0, 0.0], [-1e300, 1e300], [1e-30, 2e-30]])
def test_odd_curves_are_drawn_without_a_complaint(opened: Open, tmp_path: Path, values: list[float | None]) -> None:
    run = left_run(tmp_path / "r", ticks=0)
    places = [{"iteration": place, "images": place * 8, "epoch": 0.1} for place in range(len(values))]
    lines = [json.dumps({**place, "loss_x": value}) for place, value in zip(places, values, strict=True)]
    (run / "metrics.jsonl").write_text("\n".join(lines))
    page = opened(write_report([run]))
    assert page.evaluate("document.querySelectorAll('canvas').length") == 1
    assert page.evaluate(COLOURS)[0] > 1
