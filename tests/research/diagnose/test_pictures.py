"""Pictures of attention, of several runs and of reports: what they show, and that no text covers another."""

from __future__ import annotations

import itertools
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from echo_asr.data.batch import Batch
from echo_asr.decode.search import DecodeConfig
from echo_asr.decode.transcribe import Recognizer
from echo_asr.errors import EchoError
from echo_asr.features import FeatureConfig
from echo_asr.model.checkpoint import Bundle
from echo_asr.research.diagnose import attention, pictures, runs
from echo_asr.research.diagnose.attention import AttentionMaps, attention_maps, plot_part
from echo_asr.research.diagnose.groups import Group
from echo_asr.research.diagnose.runs import plot_runs, run_names
from echo_asr.text.tokenizer import Tokenizer
from echo_asr.vrope import PitchTrack
from echo_asr.vrope.rotation import rotate_first
from tests.helpers.slow import slow

Make = Callable[..., Any]


def assert_nothing_overlaps(figure: Figure) -> None:
    canvas = FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        canvas.draw()
    texts: list[Any] = [*figure.texts]
    if figure._suptitle is not None:  # type: ignore[attr-defined]
        texts.append(figure._suptitle)  # type: ignore[attr-defined]
    for panel in figure.axes:
        texts += [panel.xaxis.label, panel.yaxis.label, panel.title, panel._left_title, *panel.texts]  # type: ignore[attr-defined]
        texts += panel.get_legend().get_texts() if panel.get_legend() else []  # type: ignore[union-attr]
        for axis in (panel.xaxis, panel.yaxis):
            low, high = sorted(axis.get_view_interval())
            texts += [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    texts = list({id(t): t for t in texts if t.get_visible() and t.get_text().strip()}.values())
    boxes = [(text.get_text(), text.get_window_extent(canvas.get_renderer())) for text in texts]
    for text, box in boxes:
        assert box.x0 >= -1 and box.y0 >= -1 and box.x1 <= figure.bbox.x1 + 1, f"{text!r} leaves the picture"
        assert box.y1 <= figure.bbox.y1 + 1, f"{text!r} leaves the picture"
    for (one, first), (other, second) in itertools.combinations(boxes, 2):
        assert not first.overlaps(second), f"{one!r} and {other!r} overlap"


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    figures: list[Figure] = []
    for module in (attention, runs):
        monkeypatch.setattr(module, "save_figure", lambda figure, _: figures.append(figure))
    return figures


def seen(frames: int, count: int, layers: int = 2, heads: int = 3) -> AttentionMaps:
    draw = np.random.default_rng(0)
    per = 4  # ticks in an encoder frame
    size = max(1, frames // per)
    f0 = torch.full((1, size), 150.0) + torch.arange(size)
    ones = torch.ones(1, size)
    track = PitchTrack(f0, ones, ones, ones < 0, ones < 0, per)
    words = [
        ("shuang1xi3" * (n % 2) + "a", n * frames / count / 100, (n + 1) * frames / count / 100) for n in range(count)
    ]
    weights = {f"encoders.pitch.blocks.{n}.attention": draw.random((heads, size, size)) for n in range(layers)}
    weights |= {f"decoder.stacks.pitch.{n}.attention": draw.random((heads, count, count)) for n in range(layers)}
    weights |= {f"decoder.stacks.pitch.{n}.cross": draw.random((heads, count, size)) for n in range(layers)}
    return AttentionMaps(weights, track, per / 100, ["ng"] * count, words)


@pytest.mark.parametrize(
    ("part", "frames", "tokens"),
    [*itertools.product(("pitch", "text", "cross"), (10,), (1, 4)),
     ("cross", 1000, 120), slow("pitch", 1000, 120), slow("text", 1000, 120)],
)  # fmt: skip
def test_attention_of_ten_frames_and_of_a_thousand(
    part: str, frames: int, tokens: int, drawn: list[Figure], tmp_path: Path
) -> None:
    shown = seen(frames, tokens)
    names = [n for n in shown.weights if ("encoders" in n, "cross" in n) == (part == "pitch", part == "cross")]
    plot_part(shown, part, names, tmp_path / "a.png", "a recording.wav")
    (figure,) = drawn
    assert_nothing_overlaps(figure)
    labels = " ".join(panel.get_xlabel() + panel.get_ylabel() for panel in figure.axes)
    assert ("F0 (Hz)" in labels) == (part != "text") and "share of a query's attention" in labels
    assert sum(bool(panel.images) for panel in figure.axes) == len(names) * 3


@pytest.mark.parametrize(
    "options",
    [
        {"vrope": {"theta": "axis", "radius": "acoustic", "bias": "quadratic", "nulls": "weight"}},
        {"combine": "joint", "vrope": {"bias": "laplace"}, "cross_nulls": "hard"},
        {"vrope": {"theta": "axis", "rotate_values": True}},
        {"features": ("spectrogram",), "stop": "silence", "text_nulls": "score"},
    ],
)
def test_weights_are_those_with_which_the_model_attends(make_model: Make, options: dict[str, Any]) -> None:
    model = make_model(**options)
    with torch.no_grad():
        model.decoder.embedding += 0.5  # a model that writes
    bundle = Bundle(model, Tokenizer.train(["abcdef"]), FeatureConfig(mels=8, tracker="autocorrelation"))
    recognizer = Recognizer(bundle, DecodeConfig(max_tokens=4))
    time = np.arange(8000) / 16_000
    outputs: dict[str, torch.Tensor] = {}
    layer = model.encoders["spectrogram"].blocks[0].attention
    hook = layer.register_forward_hook(lambda module, inputs, output: outputs.update(x=inputs[0], out=output))
    found = attention_maps(recognizer, (0.3 * np.sin(2 * np.pi * 200 * time)).astype(np.float32))
    hook.remove()
    with torch.inference_mode():
        value = layer.value(outputs["x"])[0].unflatten(1, (2, 16)).transpose(0, 1)
        turns = layer.rotation.value_turns(found.track)
        value = value if turns is None else rotate_first(value[None], *turns)[0]
        mixed = torch.from_numpy(found.weights["encoders.spectrogram.blocks.0.attention"]) @ value
        mixed = mixed if turns is None else rotate_first(mixed[None], turns[0], -turns[1])[0]
        expected = layer.output(mixed.transpose(0, 1).flatten(1))
    torch.testing.assert_close(expected, outputs["out"][0], atol=1e-4, rtol=1e-4)
    for name, weights in found.weights.items():
        assert name.startswith("encoders.") or weights.shape[1] == len(found.tokens)
        sums = weights.sum(-1)
        assert np.all((abs(sums - 1.0) < 1e-4) | (abs(sums) < 1e-6)), name  # 0 where all is masked
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def write_run(folder: Path, scale: float) -> Path:
    folder.mkdir(parents=True)
    records: list[dict[str, Any]] = [{"split": "train", "update": n, "loss": scale / n} for n in range(1, 50)]
    records += [{"split": "validation", "update": n, "wer": scale * 10 / n, "cer": scale / n} for n in (10, 20)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder


def test_several_runs_in_one_picture(tmp_path: Path, drawn: list[Figure]) -> None:
    folders = [write_run(tmp_path / f"study {n}" / "run", 1.0 + n) for n in range(10)]
    plot_runs(folders, tmp_path / "c.png")
    (figure,) = drawn
    assert_nothing_overlaps(figure)
    labels = [str(line.get_label()) for line in figure.axes[1].lines]
    assert labels[0] == "study 0/run, lowest 0.5 %" and len(set(labels)) == 10
    looks = {(line.get_color(), line.get_linestyle()) for line in figure.axes[0].lines}
    assert len(looks) == 10
    with pytest.raises(EchoError, match="cannot be read .*; name the folder of a run"):
        plot_runs([folders[0], tmp_path / "none"], tmp_path / "c.png")


def test_runs_are_told_apart(tmp_path: Path) -> None:
    assert run_names([tmp_path / "a", tmp_path / "b"]) == ["a", "b"]
    assert run_names([tmp_path / "a" / "x", tmp_path / "b" / "x"]) == ["a/x", "b/x"]
    assert run_names([tmp_path / "a", tmp_path / "a"])[0].endswith("a")


def test_pictures_of_a_report(make_model: Make, make_features: Make, texts: Any, make_batch: Make) -> None:
    from echo_asr.research.diagnose.groups import published_groups
    from echo_asr.research.diagnose.learnt import silence_group
    from echo_asr.research.diagnose.probes import probe
    from echo_asr.research.diagnose.zero import zero_shares

    model = make_model(gate="token", vrope={"radius": "acoustic", "nulls": "weight"}, spectrogram_layers=3)
    recognizer = Recognizer(
        Bundle(model, Tokenizer.train(["abcdef"]), FeatureConfig(mels=8, tracker="autocorrelation")),
        DecodeConfig(max_tokens=3),
    )
    groups = {g.name: g for g in published_groups(model, [probe(model, Batch(make_batch(), *texts))])}
    groups["attention_to_silence"] = silence_group(zero_shares(recognizer, [make_features(40)]))
    change = {
        f"{kind}_{end}": x
        for kind in ("loss", "error")
        for end, x in zip(("change", "low", "high"), (1.0, 0.5, 2.0), strict=True)
    }
    rows: Any = {"as it is": {"loss": 1.0}, "F0 shuffled between, position": change, "gates opened": change}
    groups["counterfactuals"] = Group("counterfactuals", "C", rows)
    for frames in (10, 1000):
        figures = pictures.draw_all(groups, model, make_features(frames))
        assert len(figures) == 5
        for figure in figures.values():
            assert_nothing_overlaps(figure)
    groups["counterfactuals"].rows.clear()
    assert not {"radii", "counterfactuals"} & set(pictures.draw_all(groups, make_model(), make_features(10)))


def test_names_are_short_enough_to_stand_beside_a_picture() -> None:
    assert pictures.short("encoders.spectrogram.blocks.0.attention") == "spectrogram 1"
    assert pictures.short("decoder.stacks.pitch.1.cross") == "text pitch 2 cross"
    assert pictures.short("decoder") == "text"
