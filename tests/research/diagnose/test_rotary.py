from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import soundfile
import torch

from echo_asr.cli import main
from echo_asr.errors import EchoError
from echo_asr.research.diagnose import rotary
from echo_asr.research.diagnose.rotary import (
    THETAS,
    contour,
    plot_positions,
    plot_rotation,
    rotation_of,
    similarity,
    simple_contours,
)
from echo_asr.vrope import PitchTrack
from echo_asr.vrope.config import Theta

matplotlib_image = pytest.importorskip("matplotlib.image")
CONTOURS = simple_contours()


def width(seen: np.ndarray, at: int) -> int:
    """How many frames about `at` see it at more than a half: the band about the diagonal."""
    return int((seen[at] > 0.5).sum())


@pytest.mark.parametrize("theta", THETAS)
@pytest.mark.parametrize("name", CONTOURS)
def test_similarity_is_the_mean_cosine_of_phase_differences(theta: str, name: str) -> None:
    rotation, track = rotation_of(theta), CONTOURS[name]
    phase = rotation.phase(track)
    assert phase is not None
    phase = phase[0].double().detach()
    expected = torch.cos(phase[:, None] - phase[None]).mean(-1).expand(100, 100)
    found = similarity(rotation, track)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(np.diag(found), 1.0, atol=1e-6)
    np.testing.assert_allclose(found, found.T, atol=1e-6)


def test_what_the_picture_is_to_show() -> None:
    """At a flat F0 everything depends on the distance alone; F0 that rises narrows the band of `integrated`, and
    leaves `static` as it is."""
    for theta in ("static", "integrated", "frame"):
        seen = similarity(rotation_of(theta), CONTOURS["flat"])
        np.testing.assert_allclose(seen[1:, 1:], seen[:-1, :-1], atol=1e-5)
    rotation = rotation_of("integrated", fastest=0.5)
    seen = similarity(rotation, CONTOURS["rising"])
    assert width(seen, 15) > 1.5 * width(seen, 85)
    mirrored = seen[1:, 1:][::-1, ::-1]  # a frame's own F0 moves what comes after it
    np.testing.assert_allclose(similarity(rotation, CONTOURS["falling"])[1:, 1:], mirrored, atol=1e-5)
    static = rotation_of("static")
    np.testing.assert_allclose(similarity(static, CONTOURS["rising"]), similarity(static, CONTOURS["flat"]))
    assert (similarity(rotation_of("none", fastest=0.0), CONTOURS["flat"]) == 1.0).all()


def real() -> PitchTrack:
    draw = np.random.default_rng(0)
    voicing = (draw.random(1000) > 0.4).astype(np.float32)
    return contour(120.0 + 80.0 * np.sin(np.arange(1000) / 40.0), voicing, draw.random(1000))


@pytest.mark.parametrize(
    "track", [contour(np.array([220.0])), contour(np.full(10, 100.0)), real()], ids=["one", "ten", "thousand"]
)
def test_pictures_of_one_frame_and_of_a_thousand(track: PitchTrack, tmp_path: Path) -> None:
    plot_positions({"any": track}, tmp_path / "positions.png")
    plot_rotation(track, tmp_path / "rotation.png", "a title")
    for name in ("positions.png", "rotation.png"):
        picture = matplotlib_image.imread(tmp_path / name)
        assert min(picture.shape[:2]) > 200 and picture[..., :3].std() > 0.05


def test_a_picture_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(EchoError, match="cannot write the picture"):
        plot_positions({"flat": CONTOURS["flat"]}, tmp_path / "missing" / "x.png")


def test_the_command_draws_a_recording_beside_the_simple_contours(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    time = np.arange(8000) / 16_000
    soundfile.write(tmp_path / "a_long_name_for_a_short_recording.wav", 0.3 * np.sin(2 * np.pi * 200 * time), 16_000)
    audio = str(tmp_path / "a_long_name_for_a_short_recording.wav")
    assert main(["plot", "rotary", audio, "--out", str(tmp_path / "new" / "pictures")]) == 0
    assert capsys.readouterr().out.split() == [
        str(tmp_path / "new" / "pictures" / f"{n}.png") for n in ("positions", "rotation")
    ]
    assert main(["plot", "rotary", "--out", str(tmp_path)]) == 0 and (tmp_path / "rotation.png").is_file()
    capsys.readouterr()
    assert main(["plot", "rotary", str(tmp_path / "none.wav"), "--out", str(tmp_path / "x")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("echo-asr plot: ") and "none.wav" in error and error.count("\n") == 1
    assert not (tmp_path / "x").exists()


def test_the_rotation_is_that_of_the_thetas_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = []
    monkeypatch.setattr(rotary, "save_figure", lambda figure, path: figures.append(figure))
    rotary.draw_rotary(None, tmp_path, ["frame", "mapped", "frame"], ["150"])
    rotary.draw_rotary(None, tmp_path)
    told = [
        [panel.get_title(loc="left").partition(":")[0] for panel in f.axes if panel.get_ylabel() == "pair"]
        for f in figures
    ]
    assert told == [[], ["frame", "mapped"], [], ["static", "integrated, a = 1", "axis"]]
    for theta in get_args(Theta):
        if theta != "none":
            plot_rotation(CONTOURS["rising"], tmp_path / "x.png", "", [theta])
