"""Texts that the usual font cannot write."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from echo_asr.research.diagnose import canvas
from echo_asr.research.diagnose.canvas import figure_png, new_figure


def titled(text: str) -> bytes:
    figure = new_figure(3, 1)
    figure.suptitle(text)
    return figure_png(figure)


def test_what_no_font_has_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(canvas, "fonts_for", lambda characters: ())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        titled("fine, العربية")
        assert capsys.readouterr().err == ""
        titled("\u4e00\u4e8c[b] " + "".join(map(chr, range(0x5000, 0x5020))))
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "boxes for \u4e00 \u4e8c" in said and "\u2026: no installed font" in said


def test_a_font_that_is_installed_is_taken(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Any font with the character will do, whatever it is called; unreadable files are passed over."""
    boxes = "\u4e00\u4e8c\u4e09"
    if not canvas.fonts_for(frozenset(map(ord, boxes))):
        pytest.skip("no font with Chinese characters is installed")
    drawn = titled(boxes)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(canvas, "fonts_for", lambda characters: ())
    assert drawn != titled(boxes)


def test_files_that_are_no_fonts_are_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "sans.ttf").write_bytes(b"no font")
    usual = canvas.font_manager.findfont(canvas.USUAL)
    monkeypatch.setattr(canvas.font_manager, "findSystemFonts", lambda: [str(tmp_path / "sans.ttf"), usual])
    assert canvas.fonts_for.__wrapped__(frozenset({ord("a"), 0x4E00})) == (canvas.USUAL,)
    assert canvas._unlikeliness("/a/NotoSansCJK-Regular.ttc") < canvas._unlikeliness("/a/NotoSerifCJK-Bold.ttc")


def test_other_warnings_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    warn = lambda *_: warnings.warn("something else", UserWarning, stacklevel=1)  # noqa: E731
    monkeypatch.setattr(canvas.FigureCanvasAgg, "print_png", warn)
    with pytest.warns(UserWarning, match="something else"):
        figure_png(new_figure(1, 1))
