from dataclasses import replace
from pathlib import Path

import pytest
import torch

from echo_asr.data.corpus import Utterance
from echo_asr.data.speakers import speaker_medians
from echo_asr.features import Features


def recognised(f0: list[float]) -> Features:
    values = torch.tensor(f0)
    pitch = torch.stack((values, torch.ones_like(values), torch.ones_like(values)))
    return Features(torch.zeros(8, len(f0)), pitch, torch.full_like(values, 220.0), (values > 0).float(), values < 0)


def test_the_median_is_over_all_voiced_frames_of_a_speaker_and_of_nobody_else() -> None:
    """Hertz where voiced, 0 where not; a long utterance counts for more, whoever says nothing voiced is left out."""
    spoken = {
        "a1": ("anna", [0.0, 200.0, 210.0, 0.0, 220.0]),
        "b1": ("ben", [90.0, 0.0]),
        "a2": ("anna", [100.0, 230.0]),
        "b2": ("ben", [120.0, 110.0]),
        "x": ("", [400.0]),
        "w": ("whisperer", [0.0, 0.0]),
    }
    utterances = [Utterance(name, Path(name), "", speaker, "train", 1.0) for name, (speaker, _) in spoken.items()]
    medians = speaker_medians(utterances, lambda u: recognised(spoken[u.id][1]))
    assert medians == {"anna": 210.0, "ben": 110.0}
    again = [replace(u, text="other") for u in reversed(utterances)]
    assert speaker_medians(again, lambda u: recognised(spoken[u.id][1])) == pytest.approx(medians)
    assert speaker_medians([], lambda u: recognised([1.0])) == {}
