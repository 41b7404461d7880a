"""What a study leaves: its tables as Markdown, CSV and JSON. No wall time stands in them, so that a study that was
interrupted and one that was not leave the same bytes; times have a file of their own."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from echo_asr.research.compare import Comparison
from echo_asr.research.study.plan import Study
from echo_asr.research.study.results import Row, figure, sentence
from echo_asr.research.study.speakers import MOST_SHOWN, GroupRow, agreement
from echo_asr.storage import replace_text

Table = tuple[tuple[str, ...], list[tuple[str, ...]]]  # heads, rows


@dataclass(frozen=True)
class Findings:
    """All that is reported of a study.

    Attributes:
        arms: name, parameters, updates and multiply-adds a second of audio of each arm.
        times: wall times, of each job.
        failed: why the jobs failed that did, by name.
        notes: what whoever reads the figures must know.
        groups: the rows of each speaker or fold.
        grouped: what they are, `speaker` or `fold`, of the conditions for which reports show them.
    """

    study: Study
    rows: list[Row]
    curves: list[dict[str, Any]]
    arms: list[dict[str, Any]]
    times: list[dict[str, Any]]
    failed: dict[str, str]
    notes: list[str]
    groups: Sequence[GroupRow] = ()
    grouped: Mapping[str, str] = field(default_factory=dict)

    def sections(self) -> list[tuple[str, str, list[Row]]]:
        """Condition, endpoint and their rows, in the order of the study file, the primary endpoint first."""
        pairs = dict.fromkeys((row.condition, row.endpoint) for row in self.rows)
        ordered = sorted(pairs, key=lambda pair: pair[1] != self.study.primary)
        return [(c, e, [r for r in self.rows if (r.condition, r.endpoint) == (c, e)]) for c, e in ordered]

    def sentences(self, primary: bool = True) -> list[str]:
        """The verdict on each arm by the primary endpoint, or by all others."""
        return [
            sentence(row, next((r for r in rows if r.arm == row.against), None))
            for _, endpoint, rows in self.sections()
            for row in rows
            if row.against and (endpoint == self.study.primary) == primary
        ]

    def group_sections(self) -> list[tuple[str, str, list[GroupRow]]]:
        """Condition, what its groups are, and their rows by the primary endpoint, where reports show them."""
        found = []
        for condition, kind in self.grouped.items():
            rows = [r for r in self.groups if (r.condition, r.endpoint) == (condition, self.study.primary)]
            if rows and len({row.group for row in rows}) <= MOST_SHOWN:
                found.append((condition, kind, rows))
        return found

    def agreements(self) -> list[str]:
        """Whether the speakers or folds agree, by the primary endpoint, for each pair of arms that are compared."""
        pairs = ((kind, rows, pair) for _, kind, rows in self.group_sections() for pair in _pairs(rows))
        return [agreement([r for r in rows if (r.arm, r.against) == pair], kind) for kind, rows, pair in pairs]


def _pairs(rows: Sequence[GroupRow]) -> list[tuple[str, str]]:
    """Arms and what they were compared with."""
    return list(dict.fromkeys((row.arm, row.against) for row in rows if row.comparison is not None))


def overviews(findings: Findings) -> list[tuple[str, Table]]:
    """The mean of each arm at a glance: for each endpoint a table of arms by conditions, or, where there is but one
    condition, one table of arms by endpoints. With the title of each."""
    means = {(r.arm, r.condition, r.endpoint): figure(r.mean, r.unit) for r in findings.rows}
    conditions = list(dict.fromkeys(r.condition for r in findings.rows))
    endpoints = list(dict.fromkeys(endpoint for _, endpoint, _ in findings.sections()))
    arms = list(dict.fromkeys(r.arm for r in findings.rows))
    if len(conditions) < 2:
        lines = [(arm, *(means.get((arm, c, e), "") for c in conditions for e in endpoints)) for arm in arms]
        return [("all endpoints", (("arm", *endpoints), lines))] if lines else []
    found = []
    for endpoint in endpoints:
        known = [c for c in conditions if any((arm, c, endpoint) in means for arm in arms)]
        lines = [(arm, *(means.get((arm, c, endpoint), "") for c in known)) for arm in arms]
        found.append((endpoint, (("arm", *known), lines)))
    return found


def value_table(rows: Sequence[Row]) -> Table:
    """The rows of one endpoint under one condition, as text."""
    heads = ("arm", "mean", "seeds", "against", "difference (95 %)", "relative (95 %)", "p (Holm)", "verdict")
    lines: list[tuple[str, ...]] = []
    for row in rows:
        found = row.comparison
        difference, relative = _differences(found)
        p = ""
        if found is not None and row.p_holm is not None:
            p = f"{row.p_holm:.3f}" if row.p_holm >= 0.001 else "< 0.001"
        seeds = ", ".join("never" if v is None else f"{v:.2f}" if row.unit == "%" else f"{v:.0f}" for v in row.values)
        lines.append((row.arm, figure(row.mean, row.unit), seeds, row.against, difference, relative, p, row.verdict))
    return heads, lines


def group_table(rows: Sequence[GroupRow], kind: str) -> Table:
    """The rows of speakers or folds by one endpoint under one condition, as text."""
    lines: list[tuple[str, ...]] = []
    for row in sorted(rows, key=lambda row: row.group):
        found = row.comparison
        cells = str(row.utterances), row.arm, figure(row.mean, "%"), row.against, *_differences(found)
        lines.append((row.group, *cells, "yes" if row.clear else "no" if found is not None else ""))
    heads = "utterances", "arm", "mean", "against", "difference (95 %)", "relative (95 %)", "clear of zero"
    return (kind, *heads), lines


def _differences(found: Comparison | None) -> tuple[str, str]:
    """A difference in points and in percent, as text."""
    if found is None:
        return "", ""
    relative = "" if found.relative is None else f"{found.relative:+.1f} %{_ends(found.relative_interval, 1)}"
    return f"{found.difference:+.2f}{_ends(found.interval)}", relative


def arm_table(findings: Findings) -> Table:
    """What each arm is and costs."""
    heads = ("arm", "changes", "parameters", "updates", "million multiply-adds a second of audio")
    rows: list[tuple[str, ...]] = []
    for arm in findings.arms:
        numbers = f"{arm['parameters']:,}", str(arm["updates"]), f"{arm['multiply_adds'] / 1e6:.0f}"
        rows.append((arm["arm"], arm["changes"] or "(the base)", *numbers))
    return heads, rows


def time_table(findings: Findings) -> Table:
    """Wall time of each arm, a mean over its jobs."""
    by_arm: dict[str, list[dict[str, Any]]] = {}
    for each in findings.times:
        by_arm.setdefault(each["arm"], []).append(each)
    heads = ("arm", "jobs", "training (s)", "evaluation (s)", "on")
    rows: list[tuple[str, ...]] = []
    for arm, jobs in by_arm.items():
        means = (f"{sum(j[key] for j in jobs) / len(jobs):.1f}" for key in ("training", "evaluation"))
        on = ", ".join(dict.fromkeys(f"{j['device']}, {j['threads']} threads" for j in jobs))
        rows.append((arm, str(len(jobs)), *means, on))
    return heads, rows


def markdown(findings: Findings) -> str:
    """The whole study as one Markdown page."""
    study = findings.study
    lines = [f"# {study.name}", "", *([study.question, ""] if study.question else [])]
    seeds = ", ".join(map(str, study.seeds))
    lines += [f"Corpus {study.corpus}, {study.split} split; seeds {seeds}; primary endpoint: {study.primary}.", ""]
    lines += ["## At a glance", ""]
    for title, table in overviews(findings):
        lines += [f"### {title}", "", *_markdown_table(table), ""]
    lines += ["## Verdicts", "", *(f"- {text}" for text in (*findings.sentences(), *findings.agreements()))]
    lines += ["", *(f"- {note}" for note in findings.notes), ""]
    for name, why in findings.failed.items():
        lines += [f"Failed: {name}: {why}", ""]
    for condition, endpoint, rows in findings.sections():
        lines += [f"## {endpoint}, {condition}", "", *_markdown_table(value_table(rows)), ""]
    for condition, kind, groups in findings.group_sections():
        lines += [f"## {study.primary}, {condition}, by {kind}", "", *_markdown_table(group_table(groups, kind)), ""]
    lines += ["## arms", "", *_markdown_table(arm_table(findings)), ""]
    return "\n".join(lines)


def write_tables(findings: Findings, out: Path) -> None:
    """`table.md`, `.csv` and `.json`, `speakers.csv`, `curves.csv`, and `times.csv`, which alone holds wall times.

    Raises:
        EchoError: one cannot be written.
    """
    replace_text(out / "table.md", markdown(findings))
    replace_text(out / "table.csv", _csv([_flat(row) for row in findings.rows]))
    replace_text(out / "speakers.csv", _csv([_flat_group(row) for row in findings.groups]))
    study = {**findings.study.to_dict(), "verdicts": findings.sentences(), "notes": findings.notes}
    by_group = {"agreements": findings.agreements(), "speakers": [asdict(row) for row in findings.groups]}
    whole = {**study, "failed": findings.failed, "costs": findings.arms, "rows": [asdict(row) for row in findings.rows]}
    whole |= by_group if findings.groups else {}
    replace_text(out / "table.json", json.dumps(whole, ensure_ascii=False, indent=1) + "\n")
    replace_text(out / "curves.csv", _csv(findings.curves))
    replace_text(out / "times.csv", _csv(findings.times))


def _flat(row: Row) -> dict[str, Any]:
    found = row.comparison
    return {
        **{name: getattr(row, name) for name in ("condition", "endpoint", "unit", "arm", "mean")},
        "seeds": " ".join(map(str, row.seeds)),
        "values": " ".join("never" if v is None else repr(v) for v in row.values),
        "against": row.against,
        **_flat_comparison(found),
        "p": found.p if found else "",
        "p_holm": row.p_holm,
        "verdict": row.verdict,
    }


def _flat_group(row: GroupRow) -> dict[str, Any]:
    plain = {name: value for name, value in vars(row).items() if name != "comparison"}
    return {**plain, **_flat_comparison(row.comparison)}


def _flat_comparison(found: Comparison | None) -> dict[str, Any]:
    low, high = found.interval if found and found.interval else ("", "")
    relative_low, relative_high = found.relative_interval if found and found.relative_interval else ("", "")
    return {
        "difference": found.difference if found else "",
        "low": low,
        "high": high,
        "relative_percent": found.relative if found else "",
        "relative_low": relative_low,
        "relative_high": relative_high,
    }


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return text.getvalue()


def _markdown_table(table: Table) -> list[str]:
    heads, rows = table
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (heads, ("---",) * len(heads), *rows)]
    return ["| " + " | ".join(row) + " |" for row in cells]


def _ends(interval: tuple[float, float] | None, digits: int = 2) -> str:
    return " (no interval)" if interval is None else f" ({interval[0]:+.{digits}f} to {interval[1]:+.{digits}f})"
