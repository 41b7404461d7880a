"""Pictures of the F0 contours of syllables, a panel for each tone.

Shapes: `N` contours, `P` points.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from echo_asr.console import counted
from echo_asr.decode.syllables import SyllableContour
from echo_asr.errors import EchoError
from echo_asr.features.contours import SpeakerRange
from echo_asr.research.diagnose.canvas import Axes, draw_grid, new_figure, save_figure
from echo_asr.research.diagnose.colours import BLUE, GREEN, ORANGE, PURPLE, RED, TEAL
from echo_asr.text.tones import show_tone, tone_order

SPEAKERS = (BLUE, RED, GREEN, ORANGE, PURPLE, TEAL)  # of more speakers than colours all have one
PANELS = 16  # at most, of the most frequent tones
COLUMNS = 5  # panels in a row, at most
LABELS = {"semitones": "F0 (semitones from the\n{}'s median)", "chao": "F0 (Chao level)"}
MARGIN = 1.5  # semitones above and below what is drawn
OUTER = (1.0, 99.0)  # percentiles of all semitones between which the axis lies at least


def plot_contours(
    contours: Sequence[SyllableContour],
    ranges: Mapping[str, SpeakerRange],
    path: Path,
    scale: str = "semitones",
    title: str = "",
) -> None:
    """Draw contours over normalised time: thin lines for syllables, a thick one for the mean of each speaker, and a
    band of a standard deviation on either side of it.

    Args:
        ranges: of the voices of the contours.
        path: of the picture, PNG, SVG or PDF by its ending.
        scale: `semitones` or `chao`.
        title: above the picture, before the numbers of speakers and syllables.

    Raises:
        EchoError: no syllable has a contour, or the picture cannot be written.
    """
    drawn = [one for one in contours if one.f0[0] > 0 and one.voice in ranges]
    if not drawn:
        raise EchoError(f"{path}: nothing to draw, since no syllable has a voiced part")
    counts = Counter(one.tone for one in drawn)
    tones = sorted((tone for tone, _ in counts.most_common(PANELS)), key=tone_order)
    voices = sorted({one.voice for one in drawn})
    colours = dict(zip(voices, SPEAKERS, strict=False)) if len(voices) <= len(SPEAKERS) else {}
    convert = {voice: getattr(ranges[voice], "semitones" if scale == "semitones" else "levels") for voice in voices}
    values = {
        (tone, voice): np.array([convert[voice](one.f0) for one in drawn if (one.tone, one.voice) == (tone, voice)])
        for tone in tones
        for voice in voices
    }  # (N, P) each
    rows = -(-len(tones) // COLUMNS)
    columns = -(-len(tones) // rows)
    noun = "speaker" if any(one.speaker for one in drawn) else "recording"
    heading = f"{counted(len(voices), noun)}, {counted(len(drawn), 'syllable')}"
    left_out = f"; the {PANELS} most frequent of {len(counts)} tones" if len(counts) > PANELS else ""
    figure = new_figure(max(5.0, 2.8 * columns), 0.9 + 2.7 * rows, f"{title and title + ': '}{heading}{left_out}")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flatten().tolist()
    for panel, tone in zip(panels, tones, strict=False):
        draw_grid(panel)
        groups = [(colours[voice], values[tone, voice]) for voice in voices] if colours else [
            (BLUE, np.concatenate([v for voice in voices if len(v := values[tone, voice])]))
        ]  # fmt: skip
        for colour, group in groups:
            _draw_group(panel, group, colour)
        name = f"tone {show_tone(tone)}" if tone else "no tone written"
        panel.set_title(f"{name}  (n = {counts[tone]})", fontsize=10)
    for number, panel in enumerate(panels):
        panel.set_visible(number < len(tones))
        panel.tick_params(labelbottom=number + columns >= len(tones), labelleft=number % columns == 0)
        if number + columns >= len(tones):
            panel.set_xlabel("time (% of the voiced part)")
        if number % columns == 0:
            panel.set_ylabel(LABELS[scale].format(noun))
    panels[0].set(xlim=(0, 100), xticks=range(0, 101, 25))
    if scale == "chao":
        panels[0].set(ylim=(0.8, 5.2), yticks=range(1, 6))
    else:
        low, high = np.nanpercentile(np.concatenate([v.ravel() for v in values.values() if len(v)]), OUTER)
        panels[0].set_ylim(low - MARGIN, high + MARGIN)
    names = {Path(voice).name if noun == "recording" else voice: colours[voice] for voice in colours}
    names = names or {f"mean of {counted(len(voices), noun)}": BLUE}
    handles = [panels[0].plot([], [], color=colour, linewidth=2.5, label=name)[0] for name, colour in names.items()]
    if max(map(len, values.values())) > 1:
        handles.append(panels[0].fill_between([], [], [], color="#bbbbbb", label="± 1 standard deviation"))
    figure.legend(handles=handles, loc="outside lower center", ncols=min(4, len(handles)), fontsize=9, frameon=False)
    save_figure(figure, path)


def _draw_group(panel: Axes, values: np.ndarray, colour: str) -> None:
    """Contours `(N, P)` of one colour, their mean and its band."""
    if not len(values):
        return
    time = np.linspace(0, 100, values.shape[1])  # %
    opacity = float(np.clip(12 / len(values), 0.05, 0.4)) if len(values) > 1 else 1.0
    panel.plot(time, values.T, color=colour, linewidth=0.6 if len(values) > 1 else 1.5, alpha=opacity)
    if len(values) > 1:
        mean, spread = values.mean(axis=0), values.std(axis=0, ddof=1)
        panel.fill_between(time, mean - spread, mean + spread, color=colour, alpha=0.15, linewidth=0)
        panel.plot(time, mean, color="white", linewidth=4.0)
        panel.plot(time, mean, color=colour, linewidth=2.5)
