"""report.html: the report as one page that needs nothing else, for light and dark screens.

On a dark screen the pictures are shown with light and dark exchanged, hues kept, so that there is one of each.
"""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path

from echo_asr.model.echo import Echo
from echo_asr.research.diagnose.canvas import figure_png
from echo_asr.research.diagnose.groups import Group
from echo_asr.research.diagnose.pictures import CAPTIONS, draw_all
from echo_asr.research.diagnose.report import Material, Report, cells, headline
from echo_asr.storage import replace_text

LONG = 12  # rows of a table from which it is folded away

STYLE = """
:root { color-scheme: light dark; --ink: #222; --page: #fff; --soft: #667; --line: #d5dae0; --warn: #fff3d6; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e6; --page: #16181c; --soft: #a2a9b3; --line: #3a3f47; --warn: #45370f; }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); max-width: 62rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2.2rem; }
p.remark, p.about { color: var(--soft); }
div.table { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; }
th, td { padding: 0.15rem 0.7rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; font-family: ui-monospace, monospace; }
td { font-variant-numeric: tabular-nums; }
figure { margin: 0.6rem 0; overflow-x: auto; }
figcaption { color: var(--soft); font-size: 13px; }
img { width: 100%; min-width: 44rem; height: auto; }
@media (prefers-color-scheme: dark) { img { filter: invert(0.912) hue-rotate(180deg); } }
nav { font-size: 13px; line-height: 1.9; }
nav a { margin-right: 0.9rem; white-space: nowrap; }
a { color: inherit; }
li.warning { background: var(--warn); padding: 0.2rem 0.6rem; margin: 0.3rem 0; border-radius: 4px; }
"""


def save_page(report: Report, model: Echo, material: Material, path: Path) -> None:
    """Write the page, with pictures of the groups and of the first recording.

    Raises:
        EchoError: it cannot be written.
    """
    drawn = draw_all({one.name: one for one in report.groups}, model, material.clips[0])
    replace_text(path, page(report, {name: figure_png(figure) for name, figure in drawn.items()}))


def page(report: Report, pictures: dict[str, bytes]) -> str:
    """The page, with PNG pictures by the name of the group that they stand under."""
    title = f"What is inside {report.about.get('model', 'the model')}"
    parts = [
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>',
        f'<meta name="viewport" content="width=device-width">\n<style>{STYLE}</style>\n</head>\n<body>',
        f'<h1>{escape(title)}</h1>\n<p class="about">{escape(headline(report))}</p>',
        _contents(report),
        '<h2 id="warnings">Warnings</h2>',
    ]
    if report.warnings:
        warnings = "".join(
            f'<li class="warning"><b>{escape(w.kind)}</b>{escape(str(w).removeprefix(w.kind))}</li>'
            for w in report.warnings
        )
        parts.append(f"<ul>{warnings}</ul>")
    else:
        parts.append("<p>None.</p>")
    parts += [f"<p>{escape(note)}</p>" for note in report.notes]
    for group in report.groups:
        parts.append(f'<h2 id="{escape(group.name)}">{escape(group.title)}</h2>')
        if group.remark:
            parts.append(f'<p class="remark">{escape(group.remark)}</p>')
        if group.name in pictures:
            data = base64.b64encode(pictures[group.name]).decode()
            caption = f"<figcaption>{escape(CAPTIONS.get(group.name, ''))}</figcaption>"
            image = f'<img alt="{escape(group.title)}" src="data:image/png;base64,{data}">'
            parts.append(f"<figure>{caption}{image}</figure>")
        if group.rows:
            parts.append(_table(group))
    return "\n".join([*parts, "</body>\n</html>\n"])


def _contents(report: Report) -> str:
    """Links to the sections, and where their figures are defined."""
    titles = {group.name: group.title.partition(":")[0].partition(" (")[0] for group in report.groups}
    names = {"warnings": "Warnings", **titles}.items()
    links = "\n".join(f'<a href="#{escape(name)}">{escape(title)}</a>' for name, title in names)
    return (
        f'<nav>{links}</nav>\n<p class="remark">docs/diagnostics.md of Echo defines each figure. '
        "The counterfactuals show whether pitch is used.</p>"
    )


def _table(group: Group) -> str:
    heads, rows = cells(group, emoji=True)
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>\n" for row in rows)
    table = f'<div class="table"><table><tr>{head}</tr>\n{body}</table></div>'
    if len(rows) <= LONG:
        return table
    return f"<details><summary>{len(rows)} rows</summary>{table}</details>"
