"""One self-contained HTML page of a study: no script, no font and no picture from elsewhere."""

from __future__ import annotations

import base64
from collections.abc import Callable
from html import escape
from pathlib import Path

from echo_asr.research.study.pictures import draw_curves, draw_differences
from echo_asr.research.study.tables import Findings, Table, arm_table, group_table, overviews, time_table, value_table
from echo_asr.storage import replace_text

STYLE = """
:root { color-scheme: light dark; --ink: #1c1c1c; --page: #ffffff; --line: #d9dde2; --dim: #5d6570;
  --better: #1d7034; --worse: #b3321b; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --page: #16181b; --line: #3a4047; --dim: #a3abb5;
  --better: #6fce86; --worse: #ff8f7a; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); max-width: 62rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: 0; } h2 { margin-top: 2.2rem; font-size: 1.15rem; }
h3 { margin-bottom: 0.3rem; font-size: 1rem; }
.dim { color: var(--dim); } .better { color: var(--better); font-weight: 600; }
.worse { color: var(--worse); font-weight: 600; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: 0.86rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 0.3rem 0.8rem 0.3rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
img { width: 100%; height: auto; background: #ffffff; border-radius: 6px; padding: 6px; box-sizing: border-box; }
"""


def write_page(findings: Findings, out: Path) -> None:
    """Write `report.html`, and the pictures that stand in it, `curves.png` and `differences.png`.

    Raises:
        EchoError: one cannot be written.
    """
    study = findings.study
    parts = [f"<h1>{escape(study.name)}</h1>", f'<p class="dim">{escape(study.question)}</p>']
    seeds = ", ".join(map(str, study.seeds))
    parts.append(
        f"<p>Corpus {escape(study.corpus)}, {study.split} split; seeds {seeds}; primary endpoint: "
        f"<b>{escape(study.primary)}</b>. An arm is better where its 95 % interval lies under 0, after Holm's "
        "correction over the arms.</p>"
    )
    parts += ["<h2>At a glance</h2>"]
    for title, table in overviews(findings):
        parts += [f"<h3>{escape(title)}</h3>", _table(table)]
    parts += ["<h2>Verdicts</h2>", _list(findings.sentences()), _list(findings.agreements())]
    parts += [_list(findings.notes, "dim")]
    parts += [f'<p class="worse">Failed: {escape(name)}: {escape(why)}</p>' for name, why in findings.failed.items()]
    parts += [f"<h2>Differences: {escape(study.primary)}</h2>"]
    parts += [_picture(findings, draw_differences, out / "differences.png")]
    parts += ["<h2>Learning curves</h2>", _picture(findings, draw_curves, out / "curves.png")]
    for condition, endpoint, rows in findings.sections():
        parts += [f"<h2>{escape(endpoint)}, {escape(condition)}</h2>", _table(value_table(rows))]
    for condition, kind, groups in findings.group_sections():
        title = f"{study.primary}, {condition}, by {kind}"
        parts += [f"<h2>{escape(title)}</h2>", _table(group_table(groups, kind))]
    others = findings.sentences(primary=False)
    if others:
        parts += ["<h2>In words, by the other endpoints</h2>", _list(others)]
    parts += ["<h2>Arms</h2>", _table(arm_table(findings)), "<h2>Wall time</h2>", _table(time_table(findings))]
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(study.name)}</title><style>{STYLE}</style></head><body>"
    )
    replace_text(out / "report.html", head + "\n".join(parts) + "</body></html>\n")


def _list(texts: list[str], kind: str = "") -> str:
    return f'<ul class="{kind}">' + "".join(f"<li>{escape(text)}</li>" for text in texts) + "</ul>" if texts else ""


def _picture(findings: Findings, draw: Callable[[Findings, Path], bool], path: Path) -> str:
    if not draw(findings, path):
        return '<p class="dim">Nothing to draw.</p>'
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="{path.stem}" src="data:image/png;base64,{data}">'


def _table(table: Table) -> str:
    heads, rows = table
    top = "".join(f"<th>{escape(head)}</th>" for head in heads)
    body = "".join("<tr>" + "".join(_cell(cell) for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{top}</tr>{body}</table></div>'


def _cell(text: str) -> str:
    kind = f' class="{text}"' if text in ("better", "worse") else ""
    return f"<td{kind}>{escape(text)}</td>"
