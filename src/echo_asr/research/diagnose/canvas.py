"""What pictures are drawn on and written with; all that the package takes from matplotlib is taken here.

Where the usual font lacks a character, another one that is installed is found for it.
"""

from __future__ import annotations

import io
import os
import re
import warnings
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

from matplotlib import font_manager
from matplotlib.axes import Axes as Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Figure
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator as FixedLocator
from matplotlib.ticker import FuncFormatter as FuncFormatter
from matplotlib.ticker import MaxNLocator as MaxNLocator
from matplotlib.ticker import NullLocator as NullLocator

from echo_asr.console import console
from echo_asr.errors import EchoError

USUAL = "DejaVu Sans"  # comes with matplotlib
LIKELY = ("sans", "regular", "cjk", "noto", "wqy", "droid", "unicode", "heiti", "gothic", "pingfang", "msyh")
UNLIKELY = ("bold", "italic", "oblique", "mono", "light", "thin", "black", "medium", "condensed", "serif")
SHOWN = 12  # characters named in a message


def beside() -> dict[str, Any]:
    """Where a legend overlaps nothing: right of its panel."""
    place = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.0), "borderaxespad": 0.0}
    return {**place, "fontsize": 8, "frameon": False}


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches."""
    return Figure(figsize=(width, height), dpi=110, facecolor="white", layout="constrained")


def figure_png(figure: Figure) -> bytes:
    """A figure as the bytes of a PNG."""
    for panel in figure.axes:
        panel.spines[["top", "right"]].set_visible(False)
    canvas, written = FigureCanvasAgg(figure), []

    def draw() -> None:
        buffer = io.BytesIO()
        canvas.print_png(buffer)
        written.append(buffer.getvalue())

    with_fonts(figure, draw)
    return written[-1]


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure as PNG.

    Raises:
        EchoError: it cannot be written.
    """
    try:
        Path(path).write_bytes(figure_png(figure))
    except OSError as error:
        raise EchoError(f"{path}: cannot write the picture ({error.strerror}); check the folder") from None


def with_fonts(figure: Figure, draw: Callable[[], None]) -> None:
    """Draw a figure; where its font lacks characters, once more with fonts that have them, as far as there are any.

    What no installed font has is named in one line, and drawn as boxes.
    """
    lacking = _drawn(draw)
    if not lacking:
        return
    families = fonts_for(frozenset(lacking))
    if families:
        for text in figure.findobj(Text):
            assert isinstance(text, Text)
            text.set_fontfamily([USUAL, *families])
        for panel in figure.axes:
            panel.tick_params(labelfontfamily=[USUAL, *families])
        lacking = _drawn(draw)
    if lacking:
        some = " ".join(sorted(map(chr, lacking))[:SHOWN]) + (" \u2026" if len(lacking) > SHOWN else "")
        console().print(
            f"a picture has boxes for {some}: no installed font has them; install one; Noto has nearly all",
            highlight=False, markup=False,
        )  # fmt: skip


def _drawn(draw: Callable[[], None]) -> set[int]:
    """Draw, and report which characters no font was there for; other warnings are passed on."""
    lacking = set()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        draw()
    for one in caught:
        glyph = re.match(r"Glyph (\d+) .*missing from", str(one.message))
        if glyph:
            lacking.add(int(glyph[1]))
        else:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    return lacking


@cache
def fonts_for(characters: frozenset[int]) -> tuple[str, ...]:
    """Families of installed fonts that have as many of these characters as possible, few of them, likely ones first."""
    families, wanted = [], set(characters)
    for path in sorted(font_manager.findSystemFonts(), key=_unlikeliness):
        if not wanted:
            break
        try:
            font = FT2Font(path)
            has = wanted & set(font.get_charmap())
        except (RuntimeError, OSError):  # no font that can be drawn with, such as one of coloured bitmaps
            continue
        if has and _usable(path):
            families.append(font.family_name)
            wanted -= has
    return tuple(families)


def _usable(path: str) -> bool:
    try:
        font_manager.fontManager.addfont(path)
    except (RuntimeError, OSError, ValueError, KeyError):
        return False
    return True


def _unlikeliness(path: str) -> tuple[int, str]:
    name = Path(path).name.lower()

    def count(words: Iterable[str]) -> int:
        return sum(word in name for word in words)

    return 3 * count(UNLIKELY) - count(LIKELY), name
