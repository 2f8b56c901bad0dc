"""What `mkdocs build` does beyond Markdown.

The page of a generator is made, pictures of the plugins are taken along, names in Python link to their entries, and
links in HTML are looked at, which mkdocs leaves alone. mkdocs.yml names this file. It needs ganlab itself, as
`pip install -e ".[docs]"` has it, and nothing from a network.
"""

from __future__ import annotations

import re
import sys
import tempfile
from functools import cache
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

ROOT = Path(__file__).resolve().parents[1]
DEMO = "demo/clothes.html"
GENERATOR = ROOT / "docs" / "demo" / "clothes.safetensors"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what the front page shows and docs/ has not: the page of a generator, and the plugins' pictures."""
    files.append(File.generated(config, DEMO, content=_demo()))
    for picture in sorted(ROOT.glob("plugins/*/*.png")):
        files.append(File.generated(config, f"images/plugins/{picture.name}", abs_src_path=str(picture)))
    return files


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Return a page whose blocks of Python link types and public names to what explains them."""
    explained = _explained()

    def link(found: re.Match[str]) -> str:
        target = explained.get(found["name"])
        # A function's name is a common word: it is meant only where it stands behind the package's.
        if target is None or not (found["package"] or found["name"][0].isupper()):
            return found[0]
        if not target.startswith("https://"):
            target = get_relative_url(target, page.url)
        return f'{found["package"] or ""}<span class="n"><a href="{target}">{found["name"]}</a></span>'

    name = re.compile(
        r'(?P<package><span class="n">ganlab</span><span class="o">\.</span>)?<span class="n">(?P<name>\w+)</span>'
    )
    block = re.compile(r'<div class="language-python highlight">.*?</div>', re.DOTALL)
    return block.sub(lambda found: name.sub(link, found[0]), html)


def on_post_build(config: MkDocsConfig) -> None:
    """Raise `PluginError` where a page names a file that the site has not."""
    site = Path(config.site_dir)
    for page in site.rglob("*.html"):
        if page in (site / DEMO, site / "404.html"):  # one is a program, the other has addresses of the server
            continue
        text = page.read_text(encoding="utf-8")
        for name in re.findall(r'(?:src|srcset|href)="?([^"\s>#?:]+)(?=[#?"\s>])', text):
            if not (page.parent / name).exists():
                raise PluginError(f"{page.relative_to(site)} names {name}, which is not there")


@cache
def _explained() -> dict[str, str]:
    """Return where each type and public name is explained: an address of the site, or another's."""
    sys.path.insert(0, str(ROOT / "scripts" / "reference"))
    from annotations import targets

    pages = {name: f"names.md{target}" if target.startswith("#") else target for name, target in targets().items()}
    return {
        name: target if target.startswith("https://") else f"reference/{target.replace('.md', '/')}"
        for name, target in pages.items()
    }


@cache
def _demo() -> bytes:
    """Return the page that `ganlab export --page` makes of the generator; once, for `mkdocs serve` builds often."""
    sys.path.insert(0, str(ROOT / "plugins" / "page"))
    try:
        from ganlab_page import Page as PageExporter

        from ganlab.generator.export import export
        from ganlab.registry import registry
    except ImportError as error:
        raise PluginError(f'the site needs ganlab itself ({error}): pip install -e ".[docs]"') from error
    if "page" not in registry.names("exporter"):
        registry.add("exporter", "page", PageExporter)
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "clothes.html"
        options = {"title": "Clothes that were never made", "licence": "MIT"}
        export(GENERATOR, "page", options, page)
        return page.read_bytes()
