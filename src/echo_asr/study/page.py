"""One self-contained HTML page of a study."""

from __future__ import annotations

from pathlib import Path

from echo_asr.study.tables import Findings


def write_page(findings: Findings, out: Path) -> None:
    """Write it."""
