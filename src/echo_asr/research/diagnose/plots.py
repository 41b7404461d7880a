"""Pictures: a recording as the model gets it, and the curves of a run.

Shapes: `S` samples at 16 kHz, `T` frames of 10 ms, `M` mel bins.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from echo_asr.audio.convert import HOP, frames_to_seconds, samples_to_frames, samples_to_seconds
from echo_asr.errors import EchoError
from echo_asr.features import Features
from echo_asr.features.log_mel import RANGE, mel_edges
from echo_asr.research.diagnose.canvas import Axes, beside, draw_grid, new_figure, save_figure
from echo_asr.research.diagnose.colours import BLUE, GREEN, GREY, INK, NULL, RED

COLUMNS = 2400  # of the waveform's envelope; more than the picture has pixels
MEL_TICKS = (250, 500, 1000, 2000, 4000, 8000)  # Hz
PITCH_TICKS = (50, 75, 100, 150, 200, 300, 400, 600)  # Hz
LOSSES = (("loss", "loss", INK), ("attention_loss", "attention", BLUE), ("ctc_loss", "CTC", GREEN))
RATES = (("wer", "word error", RED), ("cer", "character error", BLUE))


def plot_audio(audio: np.ndarray, features: Features, path: str | os.PathLike[str], title: str = "") -> None:
    """Draw a recording over one time axis: waveform, spectrogram with F0, F0, then energy and voicing.

    Frames that are null are shaded in every panel but the spectrogram, whose scale is dB under its peak. F0
    is drawn as dots where it was measured and as a line where the track fills a gap.

    Args:
        audio: `(S,)` at 16 kHz, full scale at +-1.
        features: its features, `T` frames.
        path: of the PNG to write.
        title: above the picture; nothing if empty.

    Raises:
        ValueError: `features` are not of a recording as long as `audio`.
        EchoError: the picture cannot be written.
    """
    expected = max(1, samples_to_frames(len(audio)))
    if features.frames != expected:
        raise ValueError(f"features: expected {expected} frames for this audio, got {features.frames}")
    figure = new_figure(12, 9, title)
    wave, spectrum, pitch, levels = axes = figure.subplots(4, 1, height_ratios=(1.2, 2.6, 1.6, 1.2))
    seconds = frames_to_seconds(np.arange(features.frames))
    end = samples_to_seconds(max(len(audio), HOP))  # seconds

    _draw_waveform(wave, audio)
    image = _draw_spectrogram(spectrum, features, seconds)
    figure.colorbar(image, cax=spectrum.inset_axes((1.012, 0.0, 0.015, 1.0)), label="level, 0 at the peak (dB)")
    _draw_pitch(pitch, features, seconds)
    energy, periodicity = features.pitch[1].numpy(), features.pitch[2].numpy()
    levels.plot(seconds, energy, color=BLUE, linewidth=1.4, label="energy")
    levels.plot(seconds, periodicity, color=GREEN, linewidth=1.0, label="periodicity")
    levels.step(seconds, features.voicing.numpy(), color=RED, linewidth=0.9, where="mid", label="voicing")
    levels.set(ylabel="share of full", ylim=(-0.05, 1.08), xlabel="time (s)")

    null = features.null.numpy()
    for panel in (wave, pitch, levels):
        for start, stop in _spans(null):
            edges = frames_to_seconds(start), frames_to_seconds(stop)  # seconds
            panel.axvspan(*edges, color=NULL, linewidth=0, zorder=0)
        draw_grid(panel, axis="x")
    handles, _ = levels.get_legend_handles_labels()
    if null.any():
        handles.append(levels.fill_between([], [], [], color=NULL, label="null (silence)"))
    # Beside the panel, since curves may lie anywhere in it.
    pitch.legend(**beside())
    levels.legend(handles=handles, **beside())
    for panel in axes:
        panel.set_xlim(0, end)
        panel.tick_params(labelbottom=panel is levels)
    save_figure(figure, path)


def plot_curves(run_folder: str | os.PathLike[str], path: str | os.PathLike[str]) -> None:
    """Draw a run's losses, its free-running validation error rates and its learning rate over updates.

    Reads `metrics.jsonl`: one JSON object a line, with `update`, `split` ("train" or "validation") and
    numbers, `wer` and `cer` in %. A last line that is cut off, as of a run being written, is left out; so is
    whatever is not a finite number.

    Args:
        run_folder: of the run.
        path: of the PNG to write.

    Raises:
        EchoError: there is no `metrics.jsonl`, it holds nothing to draw, a line is not JSON, or the picture
            cannot be written.
    """
    records = read_metrics(Path(run_folder))
    figure = new_figure(10, 9, Path(run_folder).resolve().name)
    loss, errors, rate = axes = figure.subplots(3, 1, sharex=True, height_ratios=(2.2, 2, 1))
    for key, label, colour in LOSSES:
        draw_curve(loss, records, "train", key, f"training, {label}", colour, linewidth=1.1, alpha=0.85)
        style = {"linestyle": "--", "marker": "o", "markersize": 3.5}
        draw_curve(loss, records, "validation", key, f"validation, {label}", colour, **style)
    for key, label, colour in RATES:
        best = draw_curve(errors, records, "validation", key, label, colour, marker="o", markersize=3.5)
        if best:
            update, value = best
            errors.axhline(value, color=colour, linewidth=0.7, linestyle=":")
            errors.lines[-2].set_label(f"{label}, lowest {value:.1f} %\nat update {update:g}")
    draw_curve(rate, records, "train", "learning_rate", "learning rate", GREY)
    loss.set(ylabel="loss")
    errors.set(ylabel="validation error (%)", ylim=(0, None))
    rate.set(ylabel="learning rate", xlabel="update", ylim=(0, None))
    for panel in axes:
        name_curves(panel)
    save_figure(figure, path)


def name_curves(panel: Axes) -> None:
    """Grid and legend of a panel of curves; where there is none, a line of text."""
    draw_grid(panel)
    if panel.lines:
        panel.legend(**beside())
    else:
        panel.text(0.5, 0.5, "not in metrics.jsonl", transform=panel.transAxes, ha="center", color=GREY)


def _draw_waveform(panel: Axes, audio: np.ndarray) -> None:
    step = max(1, len(audio) // COLUMNS)  # samples a column
    if step == 1:
        panel.plot(samples_to_seconds(np.arange(len(audio))), audio, color=BLUE, linewidth=0.7)
    else:
        columns = audio[: len(audio) // step * step].reshape(-1, step)
        seconds = samples_to_seconds(np.arange(len(columns)) * step)
        panel.fill_between(seconds, columns.min(axis=1), columns.max(axis=1), color=BLUE, linewidth=0.4)
    limit = 1.1 * max(float(np.abs(audio).max()), 1e-3)
    panel.set(ylabel="amplitude\n(1 = full scale)", ylim=(-limit, limit))


def _draw_spectrogram(panel: Axes, features: Features, seconds: np.ndarray) -> Any:
    mels = features.spectrogram.shape[0]
    edges = mel_edges(mels)  # Hz; centre of row m at edge m + 1
    level = (features.spectrogram.numpy() - 1) * 10 * RANGE  # dB
    # A frame is centred at its time, so the picture begins half a frame before 0.
    half = frames_to_seconds(0.5)  # seconds
    extent = (-half, seconds[-1] + half, 0.5, mels + 0.5)
    image = panel.imshow(level, origin="lower", aspect="auto", extent=extent, cmap="Blues", vmin=-10 * RANGE, vmax=0)
    f0 = features.pitch[0].numpy()
    voiced = f0 > 0
    height = np.interp(f0[voiced], edges, np.arange(mels + 2))
    panel.plot(seconds[voiced], height, ".", color=RED, markersize=3.5)  # named in the legend of the panel below
    panel.set_yticks(np.interp(MEL_TICKS, edges, np.arange(mels + 2)), [f"{hz}" for hz in MEL_TICKS])
    panel.set(ylabel="frequency (Hz, mel scale)", ylim=(0.5, mels + 1))
    return image


def _draw_pitch(panel: Axes, features: Features, seconds: np.ndarray) -> None:
    f0, track = features.pitch[0].numpy(), features.track.numpy()
    panel.plot(seconds, track, color=GREY, linewidth=1.0, label="track, gaps filled")
    panel.plot(seconds[f0 > 0], f0[f0 > 0], ".", color=RED, markersize=4, label="F0, measured")
    panel.set_yscale("log")
    low, high = min(float(track.min()) / 1.15, 90.0), max(float(track.max()) * 1.15, 330.0)
    panel.set(ylabel="F0 (Hz, log scale)", ylim=(low, high))
    ticks = [hz for hz in PITCH_TICKS if low <= hz <= high]
    panel.set_yticks(ticks, [f"{hz}" for hz in ticks])
    panel.minorticks_off()


def draw_curve(
    panel: Axes, records: list[dict[str, Any]], split: str, key: str, label: str, colour: str, **style: Any
) -> tuple[float, float] | None:
    """Draw one number of one split; the update and value of its minimum, None if there is nothing to draw."""
    points = [
        (one["update"], one[key])
        for one in records
        if one.get("split") == split and isinstance(one.get(key), int | float) and np.isfinite(one[key])
    ]
    if not points:
        return None
    updates, values = zip(*sorted(points), strict=True)
    if len(points) == 1:
        style["marker"] = "o"
    panel.plot(updates, values, color=colour, label=label, **style)
    lowest = int(np.argmin(values))
    return updates[lowest], values[lowest]


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's `metrics.jsonl` of updates.

    Raises:
        EchoError: there is none, it holds nothing yet, or a line is not JSON.
    """
    path = folder / "metrics.jsonl"
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise EchoError(f"{path}: cannot be read ({error.strerror}); name the folder of a run") from None
    records = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError:
            if number == len(lines):  # no newline behind it: the run is writing it, or died doing so
                continue
            raise EchoError(f"{path}: line {number} is not JSON; remove that line") from None
        if isinstance(record, dict) and isinstance(record.get("update"), int | float):
            records.append(record)
    if not records:
        raise EchoError(f"{path}: holds no metrics yet; draw it once the run has reported")
    return records


def _spans(flags: np.ndarray) -> list[tuple[float, float]]:
    """Runs of true in `(T,)`, as their edges in frames; a frame reaches half a frame to each side."""
    change = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8))) - 0.5
    return list(zip(change[::2].clip(min=0.0), change[1::2], strict=True))


def plot_rejection(
    curve: Sequence[tuple[float, float, float]], least: float, path: str | os.PathLike[str], title: str = ""
) -> None:
    """Draw what a threshold on the probability of sentences costs, and what it spares.

    Args:
        curve: of each probability from which on a sentence is accepted: false accepts an hour, and false rejects in
            percent, from the lowest probability on.
        least: the probability that is set; it is marked.

    Raises:
        EchoError: the picture cannot be written.
    """
    thresholds, accepts, rejects = (np.array(values) for values in zip(*curve, strict=True))
    figure = new_figure(7, 4.5, title)
    panel = figure.subplots()
    panel.step(accepts, rejects, where="post", color=BLUE, linewidth=1.6)
    at = max(int(np.searchsorted(thresholds, least, side="right")) - 1, 0)  # a point holds up to the next one
    panel.plot(accepts[at], rejects[at], "o", color=RED, label=f"decode.reject {least:g}")
    panel.set_xscale("symlog", linthresh=1.0)
    panel.set_xlim(left=0.0)
    panel.set_ylim(bottom=0.0)
    panel.set_xlabel("false accepts an hour, of other speech or of noise")
    panel.set_ylabel("sentences rejected (%)")
    draw_grid(panel)
    panel.legend(frameon=False)
    save_figure(figure, path)
