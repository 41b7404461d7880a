"""Hooks of mkdocs: pages of the repository's root become pages of the site, and links between both are adapted."""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PAGES = ("RESULTS.md", "CHANGELOG.md", "LOG.md", "CONTRIBUTING.md")
# `wer, cer: ...` under Attributes, of which griffe takes the second name for a type
PAIR = re.compile(r"<b><code><span[^>]*>(\w+),</span></code></b>\s*\(<code><span[^>]*>(\w+)</span></code>\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages of the root; their links to docs/ become links between pages of the site."""
    for name in PAGES:
        text = (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](").replace("](README.md", "](index.md")
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Links from docs/ to pages of the root, which lie beside the others on the site."""
    return re.sub(rf"\.\./({'|'.join(map(re.escape, PAGES))})", r"\1", markdown).replace("](../README.md", "](index.md")


def on_page_content(html: str, **_: Any) -> str:
    """Two attributes that share a line of a docstring keep both their names."""
    return PAIR.sub(r"<b><code>\1, \2</code></b>", html)
