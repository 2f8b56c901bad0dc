"""HTML in which every text is a text: what is not `Markup` is escaped, and a page runs and loads only its own."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ganlab.messages import printable

VOID = frozenset({"img", "input", "meta"})
"""Elements that hold nothing and have no end."""


@dataclass(frozen=True)
class Markup:
    """A piece of HTML; whoever makes one by hand answers for it."""

    html: str


Content = Markup | str | None
NOTHING = Markup("")


def tag(name: str, attributes: Mapping[str, object], *contents: Content) -> Markup:
    """Return an element. Texts and the values of attributes are escaped; an attribute of None is left out."""
    given = "".join(
        f" {key}" if value is True else f' {key}="{_escaped(str(value))}"'
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    end = "" if name in VOID else f"</{name}>"
    return Markup(f"<{name}{given}>{joined(contents).html}{end}")


def joined(contents: Iterable[Content]) -> Markup:
    """Return pieces and texts behind each other; None is nothing."""
    pieces = (one.html if isinstance(one, Markup) else _escaped(one) for one in contents if one is not None)
    return Markup("".join(pieces))


def table(
    head: Sequence[Content],
    rows: Iterable[Sequence[Content]],
    caption: Content = None,
    attributes: Mapping[str, object] | None = None,
) -> Markup:
    """Return a table whose first column names its rows; on a narrow screen it scrolls in itself."""
    titles = [tag("th", {"scope": "col"}, title) for title in head]
    body = [
        tag("tr", {}, tag("th", {"scope": "row"}, first), *(tag("td", {}, cell) for cell in others))
        for first, *others in rows
    ]
    said = None if caption is None else tag("caption", {}, caption)
    whole = tag(
        "table", attributes or {}, said, tag("thead", {}, tag("tr", {}, *titles)), tag("tbody", {}, joined(body))
    )
    return tag("div", {"class": "scrolls", "tabindex": 0}, whole)


def details(summary: str, *contents: Content) -> Markup:
    """Return what is folded away below its summary."""
    return tag("details", {}, tag("summary", {}, summary), *contents)


def json_block(name: str, value: object) -> Markup:
    """Return data for a page's script, by the element's `name`: JSON that can neither end the element nor begin one."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))  # in ASCII: U+2028 is written as \u2028
    for letter in "<>&":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(f'<script type="application/json" id="{_escaped(name)}">{text}</script>')


def document(title: str, body: Sequence[Content], styles: Sequence[str], scripts: Sequence[str], mark: str) -> str:
    """Return a page. It runs and is styled by nothing but these `styles` and `scripts`, and loads nothing at all.

    `mark` is a comment on its second line, by which the file is known again. The styles and scripts are ours: one that
    would end its own element is refused by `ValueError`.
    """
    if any(f"</{name}" in text.lower() for name, texts in (("style", styles), ("script", scripts)) for text in texts):
        raise ValueError("a style or a script would end its own element")
    policy = (
        f"default-src 'none'; img-src data:; style-src {_hashes(styles)}; script-src {_hashes(scripts)}; "
        "base-uri 'none'; form-action 'none'"
    )
    head = joined(
        [
            Markup('<meta charset="utf-8">'),
            tag("meta", {"http-equiv": "Content-Security-Policy", "content": policy}),
            Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
            Markup('<meta name="color-scheme" content="light dark"><meta name="referrer" content="no-referrer">'),
            tag("title", {}, title),
            Markup('<link rel="icon" href="data:,">'),
            *(Markup(f"<style>{style}</style>") for style in styles),
        ]
    )
    end = joined(Markup(f"<script>{script}</script>") for script in scripts)
    return (
        f'<!doctype html>\n<!-- {mark} -->\n<html lang="en">\n<head>{head.html}</head>\n<body>{joined(body).html}\n'
        f"{end.html}</body>\n</html>\n"
    )


def _hashes(texts: Sequence[str]) -> str:
    """Return these texts as a Content-Security-Policy names them."""
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts)
    return " ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"


def _escaped(text: str) -> str:
    return html.escape(printable(text, keep="\n\t"), quote=True)
