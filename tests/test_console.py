import io
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from echo_asr import console as module
from echo_asr.console import PLAIN_SECONDS, console, counted, hours, progress_bar


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], io.StringIO]:
    """`(terminal)`: what the console writes, as to a terminal or to a file."""

    def make(terminal: bool) -> io.StringIO:
        shown = io.StringIO()
        made = Console(file=shown, force_terminal=terminal, width=120, soft_wrap=True)
        monkeypatch.setattr(module, "console", lambda: made)
        return shown

    return make


class Clock:
    """Time for the console alone: threads of other tests, and their event loops, keep the machine's."""

    now = 1000.0  # seconds

    def monotonic(self) -> float:
        return self.now


def test_the_console_is_one_and_on_standard_error(capsys: Any) -> None:
    assert console() is console()
    console().print("hello")
    assert capsys.readouterr() == ("", "hello\n")


def test_long_lines_stay_lines(capsys: Any) -> None:
    console().print("word " * 100)
    assert capsys.readouterr().err.count("\n") == 1


def test_a_log_file_gets_a_line_now_and_then(
    screen: Callable[[bool], io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown, clock = screen(False), Clock()
    monkeypatch.setattr(module, "time", clock)
    with progress_bar("training", 100, 20) as advance:
        for done in range(21, 101):
            clock.now += PLAIN_SECONDS / 8  # 20 updates a minute and a quarter
            advance(done, "loss 1.5" if done < 100 else "")
    lines = shown.getvalue().splitlines()
    assert len(lines) == 10
    assert lines[0] == "training 28/100 loss 1.5, 4.5 min left"
    assert lines[-1] == "training 100/100, 0.0 min left"


def test_a_log_file_is_not_told_how_much_is_left_from_one_of_many(
    screen: Callable[[bool], io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first may have waited for processes or libraries."""
    shown, clock = screen(False), Clock()
    monkeypatch.setattr(module, "time", clock)
    with progress_bar("features", 900) as advance:
        for done in (1, 18):
            clock.now += PLAIN_SECONDS
            advance(done, "")
    assert shown.getvalue().splitlines() == ["features 1/900", "features 18/900, 49.0 min left"]


def test_a_log_file_gets_nothing_of_what_is_over_soon(screen: Callable[[bool], io.StringIO]) -> None:
    shown = screen(False)
    with progress_bar("features", 3) as advance:
        for done in range(4):
            advance(done, "")
    assert shown.getvalue() == ""


@pytest.mark.parametrize("done", [0, 4])
def test_a_terminal_gets_a_bar(done: int, screen: Callable[[bool], io.StringIO]) -> None:
    shown = screen(True)
    with progress_bar("training", 10, done) as advance:
        advance(7, "loss 0.125")
    text = shown.getvalue()
    assert "training" in text and "7/10" in text and "loss 0.125" in text and "left" in text


def test_nothing_to_do_prints_nothing(screen: Callable[[bool], io.StringIO]) -> None:
    for terminal in (True, False):
        shown = screen(terminal)
        with progress_bar("features", 0) as advance:
            advance(3, "loss 1.5")
        assert shown.getvalue() == ""


def test_an_error_ends_the_bar(screen: Callable[[bool], io.StringIO]) -> None:
    for terminal in (True, False):
        screen(terminal)
        with pytest.raises(KeyError), progress_bar("training", 10) as advance:
            advance(1, "")
            raise KeyError


def test_numbers_as_they_are_read() -> None:
    assert [counted(n, "text") for n in (0, 1, 2)] == ["0 texts", "1 text", "2 texts"]
    assert [hours(s) for s in (0.44, 9, 359, 360, 5400)] == ["0.4 s", "9.0 s", "359 s", "0.10 h", "1.50 h"]


def test_a_table_fits_a_narrow_terminal_without_breaking_numbers() -> None:
    from rich.cells import cell_len

    from echo_asr.console import fitted

    columns = ["", "radius_mean", "over_time", "saturated"]
    rows = [
        ["encoders.spectrogram.blocks.0.attention", "0.7941", "0.1055", "0.002418"],
        ["F0 shuffled within", "1", "", "2"],
    ]
    assert fitted(columns, rows, 120) == (columns, rows)
    heads, cells = fitted(columns, rows, 56)
    assert heads == ["", "radius_\nmean", "over_\ntime", "saturated"]
    assert cells[0] == ["encoders.spectrogram.\nblocks.0.attention", *rows[0][1:]] and cells[1] == rows[1]
    widths = [max(cell_len(line) for row in (heads, *cells) for line in row[n].split("\n")) for n in range(4)]
    assert sum(widths) + 4 + 3 * 3 <= 56
    assert fitted(["a"], [], 3) == (["a"], [])
