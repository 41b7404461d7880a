"""Pictures: they are written, say their units, show what the features say, and no text covers another."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imread

from echo_asr.errors import EchoError
from echo_asr.features import FeatureConfig, FeatureExtractor
from echo_asr.research.diagnose import plots
from echo_asr.research.diagnose.plots import plot_audio, plot_curves, plot_rejection


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that were saved."""
    figures: list[Figure] = []
    save = plots.save_figure

    def keep(figure: Figure, path: Any) -> None:
        figures.append(figure)
        save(figure, path)

    monkeypatch.setattr(plots, "save_figure", keep)
    return figures


def speech(seconds: float = 1.0) -> np.ndarray:
    """A hum of 150 Hz with a silent gap in its middle third."""
    time = np.arange(int(seconds * 16_000)) / 16_000
    wave = np.sum([np.sin(2 * np.pi * k * 150 * time) / k for k in range(1, 11)], axis=0)
    wave[len(wave) // 3 : 2 * len(wave) // 3] = 0.0
    return (0.1 * wave).astype(np.float32)


def draw(audio: np.ndarray, path: Path, title: str = "") -> None:
    plot_audio(audio, FeatureExtractor(FeatureConfig(tracker="autocorrelation"))(audio), path, title)


def assert_nothing_overlaps(figure: Figure) -> None:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    page = figure.bbox
    texts = [*figure.texts]
    for panel in panels(figure):
        texts += [panel.xaxis.label, panel.yaxis.label, *panel.texts]
        texts += panel.get_legend().get_texts() if panel.get_legend() else []
        for axis in (panel.xaxis, panel.yaxis):
            low, high = sorted(axis.get_view_interval())
            # Ticks beyond an axis are kept by matplotlib but not drawn.
            texts += [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
            texts += [tick.label2 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    texts = [text for text in texts if text.get_visible() and text.get_text().strip()]
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in texts]
    assert len(boxes) > 10
    for text, box in boxes:
        assert page.x0 - 1 <= box.x0 and box.x1 <= page.x1 + 1, f"{text!r} leaves the picture"
        assert page.y0 - 1 <= box.y0 and box.y1 <= page.y1 + 1, f"{text!r} leaves the picture"
    for (one, first), (other, second) in itertools.combinations(boxes, 2):
        assert not first.overlaps(second), f"{one!r} and {other!r} overlap"


def panels(figure: Figure) -> list[Any]:
    return [*figure.axes, *(inset for axes in figure.axes for inset in axes.child_axes)]


def labels(figure: Figure) -> str:
    return " ".join(axes.get_xlabel() + " " + axes.get_ylabel() for axes in panels(figure))


@pytest.mark.parametrize("seconds", [0.15, 1.0, 12.0])
def test_a_recording_is_drawn(tmp_path: Path, drawn: list[Figure], seconds: float) -> None:
    draw(speech(seconds), tmp_path / "a.png", "a recording")
    picture = imread(tmp_path / "a.png")
    assert picture.shape[:2] == (990, 1320)
    assert np.median(picture[..., :3]) > 0.9  # light background
    (figure,) = drawn
    for unit in ("(s)", "(Hz", "(dB)", "full scale"):
        assert unit in labels(figure)
    limits = [axes.get_xlim() for axes in figure.axes[:4]]
    assert limits == [(0.0, pytest.approx(seconds))] * 4
    assert_nothing_overlaps(figure)


def test_it_shows_f0_where_it_was_measured_and_nulls_where_they_are(tmp_path: Path, drawn: list[Figure]) -> None:
    draw(speech(3.0), tmp_path / "a.png")
    spectrum, pitch, levels = drawn[0].axes[1:4]
    (dots,) = (line for line in pitch.lines if line.get_label() == "F0, measured")
    seconds, hertz = np.asarray(dots.get_xdata()), np.asarray(dots.get_ydata())
    assert np.median(hertz) == pytest.approx(150.0, rel=0.01)
    assert not ((seconds > 1.06) & (seconds < 1.94)).any() and (seconds < 1).any() and (seconds > 2).any()
    # Over the spectrogram, a dot of 150 Hz lies in the row whose filter peaks nearest to it.
    row = np.median(np.asarray(spectrum.lines[0].get_ydata()))
    assert plots.mel_edges(80)[round(row)] == pytest.approx(150.0, abs=20.0)
    (shade,) = [patch.get_window_extent() for patch in levels.patches]
    left, right = levels.transData.inverted().transform([[shade.x0, 0], [shade.x1, 0]])[:, 0]
    assert left == pytest.approx(1.0, abs=0.03) and right == pytest.approx(2.0, abs=0.03)


@pytest.mark.parametrize("audio", [np.zeros(1, np.float32), np.zeros(16_000, np.float32)])
def test_silence_is_drawn_without_a_warning(tmp_path: Path, drawn: list[Figure], audio: np.ndarray) -> None:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw(audio, tmp_path / "a.png")
    assert_nothing_overlaps(drawn[0])


def test_features_of_another_recording_are_refused(tmp_path: Path) -> None:
    features = FeatureExtractor(FeatureConfig(tracker="autocorrelation"))(speech(1.0))
    with pytest.raises(ValueError, match="features: expected 50 frames for this audio, got 100"):
        plot_audio(speech(0.5), features, tmp_path / "a.png")


def test_a_picture_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(EchoError, match=r"a\.png: cannot write the picture \(No such file or directory\)"):
        draw(speech(), tmp_path / "nowhere" / "a.png")


def write_run(folder: Path, tail: str = "") -> Path:
    folder.mkdir()
    records: list[dict[str, Any]] = []
    for update in range(20, 401, 20):
        loss = 5 * np.exp(-update / 100)
        parts = {"attention_loss": loss * 0.9, "ctc_loss": loss * 1.4, "learning_rate": 1e-3}
        records.append({"split": "train", "update": update, "loss": loss, **parts})
        if update % 100 == 0:
            errors = {"wer": 90 - update / 10 + 40 * (update == 400), "cer": 50 - update / 10, "samples": []}
            records.append({"split": "validation", "update": update, "loss": loss * 1.1, **errors})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(one) + "\n" for one in records) + tail)
    return folder


def test_a_runs_curves_are_drawn(tmp_path: Path, drawn: list[Figure]) -> None:
    plot_curves(write_run(tmp_path / "run"), tmp_path / "c.png")
    assert imread(tmp_path / "c.png").shape[:2] == (990, 1100)
    loss, errors, rate = drawn[0].axes
    assert {str(line.get_label()) for line in loss.lines} == {
        "training, loss",
        "validation, loss",
        "training, attention",
        "training, CTC",
    }
    shown = " ".join(str(line.get_label()) for line in errors.lines)
    assert "word error, lowest 60.0 %\nat update 300" in shown
    assert "character error, lowest 10.0 %\nat update 400" in shown
    assert len(rate.lines) == 1 and rate.get_xlabel() == "update" and "%" in errors.get_ylabel()
    assert_nothing_overlaps(drawn[0])


@pytest.mark.parametrize("tail", ['{"split": "tra', '\n[1]\n{"update": 420, "split": "train", "loss": NaN}\n'])
def test_a_run_still_being_written_is_drawn(tmp_path: Path, drawn: list[Figure], tail: str) -> None:
    plot_curves(write_run(tmp_path / "run", tail), tmp_path / "c.png")
    assert len(drawn[0].axes[0].lines[0].get_xdata()) == 20  # type: ignore[arg-type]


def test_a_run_with_little_to_show(tmp_path: Path, drawn: list[Figure]) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"split": "train", "update": 20, "loss": 2.0}\n')
    plot_curves(tmp_path, tmp_path / "c.png")
    assert [text.get_text() for axes in drawn[0].axes for text in axes.texts] == ["not in metrics.jsonl"] * 2
    assert_nothing_overlaps(drawn[0])


@pytest.mark.parametrize(
    ("least", "rejected"), [(0.0, 5.0), (0.2, 5.0), (0.5, 5.0), (0.6, 10.0), (0.9, 20.0), (1.0, 20.0)]
)
def test_the_threshold_is_marked_at_what_it_rejects(
    tmp_path: Path, drawn: list[Figure], least: float, rejected: float
) -> None:
    """A point of the curve holds from just above its probability up to that of the next one."""
    above = np.nextafter([0.0, 0.5, 0.8], 2.0).tolist()
    curve = list(zip(above, (9.0, 3.0, 0.0), (5.0, 10.0, 20.0), strict=True))
    plot_rejection(curve, least, tmp_path / "curve.png")
    (mark,) = [line for line in drawn[-1].axes[0].lines if line.get_marker() == "o"]
    assert list(mark.get_ydata()) == [rejected]


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(EchoError, match=r"metrics\.jsonl: cannot be read .*; name the folder of a run"):
        plot_curves(tmp_path, tmp_path / "c.png")
    (tmp_path / "metrics.jsonl").write_text("")
    with pytest.raises(EchoError, match=r"metrics\.jsonl: holds no metrics yet"):
        plot_curves(tmp_path, tmp_path / "c.png")
    (tmp_path / "metrics.jsonl").write_text('{"update": 1}\nhello\n{"update": 2}\n')
    with pytest.raises(EchoError, match=r"metrics\.jsonl: line 2 is not JSON; remove that line"):
        plot_curves(tmp_path, tmp_path / "c.png")
