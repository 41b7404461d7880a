"""Pictures of vRoPE itself: the similarity of positions, and the effect of F0 on rotation and radius.

Shapes: `F` frames of 10 ms, `P` complex pairs of a head.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import torch

from echo_asr.audio import load_audio
from echo_asr.audio.convert import frames_to_seconds
from echo_asr.errors import EchoError
from echo_asr.features import FeatureExtractor
from echo_asr.research.diagnose.canvas import Axes, beside, draw_grid, new_figure, save_figure
from echo_asr.research.diagnose.colours import BLUE, GREEN, GREY, INK, RED
from echo_asr.storage import make_folder
from echo_asr.vrope import PitchTrack, Rotation, VRoPEModes, make_rotation
from echo_asr.vrope.config import Theta
from echo_asr.vrope.published.radii import AcousticRadius
from echo_asr.vrope.published.thetas import IntegratedRotation

PAIRS = 24
LONGEST_NAME = 24  # characters of a file's name that stand over its contour
FASTEST = 1.0  # rad per 10 ms of the fastest pair: slow enough for bands to be seen
DIRECT = math.log(2.0)  # the raw exponent at which theta `integrated` follows F0 itself, a = 1
THETAS = ("static", "integrated", "frame", "axis")
ROTATIONS = {
    "static": "static: time alone",
    "mean": "mean: the mean F0 of the recording sets one speed",
    "frame": "frame: a frame's own F0 multiplies the whole time before it",
    "integrated": "integrated, a = 1: F0 sets the speed, frame by frame",
    "mapped": "mapped: the mean F0 of the recording chooses the frequencies",
    "axis": "axis: the upper quarter turns with pitch",
}
USUAL_ROTATIONS = ("static", "integrated", "axis")
RADIUS_WEIGHTS = ((0.0, 0.0, 4.0), (2.0, 0.5, 0.0), (-2.0, 0.5, 1.0))  # of z, voicing, energy: three kinds of pair
RADIUS_BIASES = (-3.0, 0.0, -0.5)
RADIUS_LABELS = ("follows energy", "follows pitch", "follows low pitch, and energy")


def contour(f0: np.ndarray, voicing: np.ndarray | None = None, energy: np.ndarray | None = None) -> PitchTrack:
    """A track of 10 ms frames with this F0 `(F,)` in Hz, voiced and at full level unless given."""
    given = (np.ones_like(f0) if x is None else x for x in (f0, voicing, energy))
    hertz, voiced, level = (torch.from_numpy(np.asarray(x, dtype=np.float32))[None] for x in given)
    return replace(PitchTrack.from_f0(hertz), voicing=voiced, energy=level)


def simple_contours(frames: int = 100) -> dict[str, PitchTrack]:
    """One second each: flat at 220 Hz, rising from 110 to 330 Hz, falling back."""
    rise = 110.0 * 3.0 ** np.linspace(0.0, 1.0, frames)
    return {"flat": contour(np.full(frames, 220.0)), "rising": contour(rise), "falling": contour(rise[::-1].copy())}


def rotation_of(theta: str, fastest: float = FASTEST) -> Rotation:
    """The rotation of a theta whose fastest pair turns by so many rad per 10 ms; `integrated` at the exponent 1."""
    rotation = make_rotation(VRoPEModes(theta=cast(Theta, theta), fastest=fastest), PAIRS)
    if isinstance(rotation, IntegratedRotation):
        with torch.no_grad():
            rotation.raw_exponent.fill_(DIRECT)
    return rotation


@torch.no_grad()
def similarity(rotation: Rotation, track: PitchTrack) -> np.ndarray:
    """How positions see each other when content is the same everywhere, `(F, F)`: the mean over the pairs of
    `r_s r_t cos(phi_s - phi_t)`; 1 on the diagonal of a unit circle."""
    turn = rotation(track)
    frames = track.f0.shape[1]
    if turn is None:
        return np.ones((frames, frames))
    cosine, sine = (x[0, 0].expand(frames, -1).cpu().double() for x in turn)
    return ((cosine @ cosine.T + sine @ sine.T) / cosine.shape[1]).numpy()


def plot_positions(
    contours: Mapping[str, PitchTrack], path: str | os.PathLike[str], thetas: Sequence[str] = ()
) -> None:
    """Draw how positions see each other: a row for each contour, its F0 and then a map for each theta.

    Args:
        contours: tracks of one recording each, by name.
        path: of the PNG to write.
        thetas: their names; a spread of thetas unless given.

    Raises:
        EchoError: the picture cannot be written.
    """
    thetas = list(dict.fromkeys(thetas)) or THETAS
    columns = 1 + len(thetas)
    title = "How positions see each other when content is the same everywhere"
    figure = new_figure(2.6 * columns, 2.5 * len(contours), title)
    panels = figure.subplots(len(contours), columns, squeeze=False)
    for index, (row, (name, track)) in enumerate(zip(panels, contours.items(), strict=True)):
        end = frames_to_seconds(track.f0.shape[1] * track.step)  # seconds
        draw_f0(row[0], track, name)
        row[0].set(xlabel="time (s)")
        row[0].locator_params(axis="x", nbins=2)
        for panel, theta in zip(row[1:], thetas, strict=True):
            seen = similarity(rotation_of(theta), track)
            image = panel.imshow(seen, origin="lower", extent=(0, end, 0, end), cmap="RdBu_r", vmin=-1, vmax=1)
            panel.set(xlabel="key (s)", ylabel="query (s)")
            if index == 0:
                panel.set_title("integrated, a = 1" if theta == "integrated" else theta, fontsize=11, color=INK)
    figure.colorbar(image, ax=panels[:, -1], shrink=0.7, label="mean over the pairs of cos(phase difference)")
    save_figure(figure, path)


@torch.no_grad()
def plot_rotation(track: PitchTrack, path: str | os.PathLike[str], title: str = "", thetas: Sequence[str] = ()) -> None:
    """Draw what one contour does: F0, the rotation under each theta, and radii over time.

    The radii are those of three example pairs, one that follows energy and two that follow pitch; a model learns its
    own.

    Args:
        thetas: their names; unless given, time alone, F0 as speed and F0 as an axis.

    Raises:
        EchoError: the picture cannot be written.
    """
    thetas = list(dict.fromkeys(thetas)) or USUAL_ROTATIONS
    figure = new_figure(10, 4.1 + 2.3 * len(thetas), title)
    panels = figure.subplots(2 + len(thetas), 1, height_ratios=(1, *[1.2] * len(thetas), 1), sharex=True)
    end = frames_to_seconds(track.f0.shape[1] * track.step)  # seconds
    draw_f0(panels[0], track, "F0")
    for panel, theta in zip(panels[1:-1], thetas, strict=True):
        phase = rotation_of(theta).phase(track)
        waves = phase[0].cos().expand(track.f0.shape[1], -1).T.numpy()
        if theta == "axis":
            waves = np.concatenate((waves[PAIRS // 4 :], waves[: PAIRS // 4]))
        extent = (0, end, 0.5, PAIRS + 0.5)
        image = panel.imshow(waves, origin="lower", aspect="auto", extent=extent, cmap="RdBu_r", vmin=-1, vmax=1)
        panel.set(ylabel="pair")
        panel.set_title(ROTATIONS[theta], fontsize=10, color=INK, loc="left")
        figure.colorbar(image, cax=panel.inset_axes((1.012, 0.0, 0.012, 1.0)), label="cos(phase)")
    acoustic = AcousticRadius(len(RADIUS_WEIGHTS), VRoPEModes().radius_range)
    acoustic.weight.copy_(torch.tensor(RADIUS_WEIGHTS))
    acoustic.bias.copy_(torch.tensor(RADIUS_BIASES))
    seconds = frames_to_seconds((np.arange(track.f0.shape[1]) + 0.5) * track.step)
    for column, label, colour in zip(acoustic(track)[0].T.numpy(), RADIUS_LABELS, (GREEN, BLUE, RED), strict=True):
        panels[-1].plot(seconds, column, color=colour, label=label)
    panels[-1].axhline(1.0, color=GREY, linewidth=0.7, linestyle=":", label="unit circle")
    panels[-1].set(ylabel="radius", xlabel="time (s)", ylim=(0.45, 1.55), xlim=(0, end))
    panels[-1].legend(**beside())
    save_figure(figure, path)


def chosen_contours(words: Sequence[str], frames: int = 100) -> dict[str, PitchTrack]:
    """Contours of one second by what a person writes: `150` is flat at 150 Hz, `110-330` glides, even in octaves;
    the simple ones for none.

    Raises:
        EchoError: not a frequency, or not one of a voice.
    """
    contours = {}
    for word in words:
        try:
            ends = [float(part) for part in word.split("-")]
        except ValueError:
            ends = []
        if len(ends) not in (1, 2) or not all(20.0 <= hertz <= 2000.0 for hertz in ends):
            raise EchoError(f"--f0: expected a frequency from 20 to 2000 Hz or two, as 150 or 110-330; got {word!r}")
        contours[f"{word} Hz"] = contour(np.geomspace(ends[0], ends[-1], frames))
    return contours or simple_contours(frames)


def draw_rotary(
    audio: str | os.PathLike[str] | None,
    folder: str | os.PathLike[str],
    thetas: Sequence[str] = (),
    f0: Sequence[str] = (),
) -> list[Path]:
    """Draw both pictures, of some contours and of a recording if one is given; returns where they are.

    Args:
        thetas: their names, for those that each picture usually has.
        f0: as `chosen_contours` takes it.

    Raises:
        EchoError: an unknown theta or F0, the recording cannot be read, or the pictures cannot be written.
    """
    unknown = [theta for theta in thetas if theta not in ROTATIONS]
    if unknown:
        raise EchoError(f"--theta: expected one of {', '.join(ROTATIONS)}; got {unknown[0]!r}")
    folder, contours = Path(folder), chosen_contours(f0)
    if audio is not None:
        found = FeatureExtractor()(load_audio(audio))
        name = Path(audio).name
        contours[name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "\u2026"] = contour(
            found.track.numpy(), found.voicing.numpy(), found.pitch[1].numpy()
        )
    make_folder(folder)
    paths = [folder / "positions.png", folder / "rotation.png"]
    plot_positions(contours, paths[0], thetas)
    name = "rising" if audio is None and not f0 else list(contours)[-1]
    plot_rotation(contours[name], paths[1], f"What F0 does to rotation and radius: {name}", thetas)
    return paths


def draw_f0(panel: Axes, track: PitchTrack, name: str = "") -> None:
    """Draw F0 of one recording over time, dots where it is voiced."""
    f0, voiced = track.f0[0].cpu().numpy(), track.voicing[0].cpu().numpy() > 0
    seconds = frames_to_seconds((np.arange(len(f0)) + 0.5) * track.step)
    panel.plot(seconds, f0, color=GREY, linewidth=1.0)
    panel.plot(seconds[voiced], f0[voiced], ".", color=RED, markersize=3)
    low, high = float(f0.min()), float(f0.max())
    margin = max(20.0, 0.1 * (high - low))
    end = frames_to_seconds(len(f0) * track.step)  # seconds
    panel.set(ylabel="F0 (Hz)", ylim=(low - margin, high + margin), xlim=(0, end))
    panel.set_title(name, fontsize=10, color=INK, loc="left")
    draw_grid(panel)
