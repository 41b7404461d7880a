"""The script that measures a GPU, on what there is."""

from __future__ import annotations

import torch

from benchmarks.gpu import SMALL, measure


def test_everything_is_measured() -> None:
    rows = list(measure(torch.device("cpu"), SMALL, peak=1.0))
    assert [row["benchmark"] for row in rows] == [*["attention"] * 4, "matrix products", "training", "transcription"]
    trained, transcribed = rows[-2:]
    ends = trained["clips"] * trained["clip_seconds"]
    assert abs(trained["audio_seconds_a_second"] * trained["seconds_median"] / ends - 1) < 0.1
    matrices = 6 * trained["parameters"] * 25 * ends / 1e12  # operations of an update, of each weight in each frame
    assert 0.2 * matrices < trained["tera_operations_an_update"] < 2 * matrices
    assert min(transcribed["of_these_features"], transcribed["of_these_f0"], transcribed["seconds_median"]) > 0
