"""The browser that pages are tested in: it must see what goes wrong in one, or nothing that it passes is right."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser import Browser, Page
from PIL import Image


def opened(browser: Browser, folder: Path, body: str, head: str = "", width: int = 1280) -> Page:
    path = folder / "page.html"
    path.write_text(
        "<!doctype html><html><head><meta charset=utf-8><link rel=icon href='data:,'>"
        f"<meta name=viewport content='width=device-width'>{head}</head><body>{body}</body></html>"
    )
    return browser.open(path, width)


def test_a_page_without_fault_has_no_errors_and_asks_for_nothing(browser: Browser, tmp_path: Path) -> None:
    page = opened(browser, tmp_path, "<p id=word>hello</p>")
    assert page.evaluate("document.getElementById('word').textContent") == "hello"
    assert page.evaluate("new Promise(done => setTimeout(() => done([1, {a: 2}]), 10))") == [1, {"a": 2}]
    assert (page.errors, page.requests, page.overflow()) == ([], [], 0)
    page.close()


@pytest.mark.parametrize(
    ("body", "head", "said"),
    [
        ("<script>nothing.there</script>", "", "ReferenceError: nothing is not defined"),
        ("<script>console.error('so', 3)</script>", "", "so 3"),
        ("<script>Promise.reject(new Error('late'))</script>", "", "Error: late"),
        (
            "<script>1</script>",
            "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; img-src data:\">",
            "Content Security Policy",
        ),
    ],
)
def test_what_goes_wrong_is_seen(browser: Browser, tmp_path: Path, body: str, head: str, said: str) -> None:
    page = opened(browser, tmp_path, body, head)
    page.evaluate("1")
    assert any(said in error for error in page.errors), page.errors
    page.close()


def test_a_request_is_seen(browser: Browser, tmp_path: Path) -> None:
    page = opened(browser, tmp_path, "<img src='http://ganlab.invalid/pixel.png' alt=''>")
    page.evaluate("1")
    assert page.requests == ["http://ganlab.invalid/pixel.png"]
    page.close()


def test_an_expression_that_throws_is_an_error(browser: Browser, tmp_path: Path) -> None:
    page = opened(browser, tmp_path, "")
    with pytest.raises(AssertionError, match="no such thing"):
        page.evaluate("(() => { throw new Error('no such thing') })()")
    with pytest.raises(AssertionError, match="never true"):
        page.wait_for("false", seconds=0.2)
    page.close()


def test_it_is_as_wide_and_as_dark_as_it_is_told(browser: Browser, tmp_path: Path) -> None:
    style = "<style>body{margin:0;background:#fff}@media (prefers-color-scheme:dark){body{background:#000}}</style>"
    page = opened(browser, tmp_path, "<div style='width:400px;height:10px'></div>", style, width=360)
    assert page.evaluate("document.documentElement.clientWidth") == 360
    assert 40 <= page.overflow() <= 41  # rounded where the phone scales it
    page.resize(1280)
    assert page.overflow() == 0
    for dark, colour in ((False, (255, 255, 255)), (True, (0, 0, 0))):
        page.set_dark(dark)
        page.screenshot(tmp_path / "shot.png")
        with Image.open(tmp_path / "shot.png") as shot:
            assert shot.size[0] == 1280
            assert shot.convert("RGB").getpixel((5, 5)) == colour
    page.pdf(tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF-")
    page.close()


def test_keys_and_mouse_reach_the_page(browser: Browser, tmp_path: Path) -> None:
    page = opened(browser, tmp_path, "<input id=s type=range min=0 max=10 value=3><button id=b>b</button>")
    page.evaluate("(document.getElementById('b').onclick = () => { document.title = 'pressed' }, 1)")
    page.evaluate("document.getElementById('s').focus()")
    page.press("ArrowRight", 39)
    assert page.evaluate("document.getElementById('s').value") == "4"
    page.press("Tab", 9)
    page.press("Enter", 13, "\r")
    assert page.evaluate("document.title") == "pressed"
    box = page.evaluate("document.getElementById('s').getBoundingClientRect().toJSON()")
    middle = box["top"] + box["height"] / 2
    page.drag((box["left"] + box["width"] / 2, middle), (box["right"] - 2, middle))
    assert page.evaluate("document.getElementById('s').value") == "10"
    page.reload()
    assert page.evaluate("document.getElementById('s').value") == "3"
    page.close()
