"""HTML: no text of a stranger's becomes part of it, and a page's policy names all that it runs."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from ganlab.showing.markup import Markup, details, document, joined, json_block, table, tag

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&\u2028"


class Read(HTMLParser):
    """What a browser would make of a piece: its elements with their attributes, and its texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_a_text_is_a_text_wherever_it_stands() -> None:
    piece = tag("p", {"title": HOSTILE, "id": "one"}, HOSTILE, tag("b", {}, HOSTILE), None)
    read = Read(piece.html)
    shown = HOSTILE.replace("\u2028", "\\u2028")  # what no reader can see is spelt out
    assert read.elements == [("p", {"title": shown, "id": "one"}), ("b", {})]
    assert "".join(read.texts) == shown * 2


def test_attributes_are_left_out_where_they_are_none() -> None:
    assert tag("img", {"alt": "", "hidden": True, "id": None, "x": False, "width": 3}).html == (
        '<img alt="" hidden width="3">'
    )
    assert joined(["<", Markup("<br>"), None]).html == "&lt;<br>"
    assert details("<", "x").html == "<details><summary>&lt;</summary>x</details>"


def test_a_table_names_its_columns_and_rows() -> None:
    read = Read(table(["a", "<b>"], [("x", "<i>")], "of <u>").html)
    assert [name for name, _ in read.elements if name in ("b", "i", "u")] == []
    assert [given["scope"] for name, given in read.elements if name == "th"] == ["col", "col", "row"]
    assert read.texts == ["of <u>", "a", "<b>", "x", "<i>"]


def test_data_cannot_end_its_element_and_comes_back_as_it_was() -> None:
    value = {HOSTILE: [HOSTILE, 1.5, None, "<!--<script>"]}
    block = json_block("data", value).html
    inside = re.fullmatch(r'<script type="application/json" id="data">(.*)</script>', block, re.DOTALL)
    assert inside is not None
    assert not re.search(r"[<>&\u2028\u2029]", inside[1])
    assert json.loads(inside[1]) == value
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_block("data", float("nan"))


def test_a_page_runs_and_loads_nothing_but_its_own() -> None:
    text = document(HOSTILE, [tag("p", {}, HOSTILE)], ["p { color: red }"], ["let a = '<b>'", "a"], "ours")
    assert text.startswith("<!doctype html>\n<!-- ours -->\n")
    read = Read(text)
    policy = next(given["content"] or "" for name, given in read.elements if "http-equiv" in given)
    assert "unsafe" not in policy
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert (rules["default-src"], rules["img-src"], rules["base-uri"]) == ("'none'", "data:", "'none'")
    for name, ours in (("style-src", ["p { color: red }"]), ("script-src", ["let a = '<b>'", "a"])):
        digests = [base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in ours]
        assert rules[name] == " ".join(f"'sha256-{digest}'" for digest in digests)
    assert [name for name, _ in read.elements].count("script") == 2
    assert not [name for name, _ in read.elements if name == "img"]


def test_a_script_that_would_end_its_element_is_refused() -> None:
    with pytest.raises(ValueError, match="would end its own element"):
        document("t", [], [], ["'</SCRIPT>'"], "ours")
