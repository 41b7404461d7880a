"""Silent recordings that have a text: the model would be trained to write it where nobody speaks."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from echo_asr.audio.convert import SAMPLE_RATE
from echo_asr.data.batch import collate
from echo_asr.data.silent import describe_silent, find_silent
from echo_asr.distributed.processes import Processes
from echo_asr.features import FeatureConfig, FeatureExtractor
from echo_asr.train.loop import Trainer
from echo_asr.train.unusable import UnusableExamples
from tests.helpers.tone_corpus import metrics, tone, write_config, write_corpus
from tests.helpers.training import train

PLAIN = {"speeds": [1.0], "noise_share": 0.0, "max_steps": 6, "batch_seconds": 10.0}
SILENCES = {
    "digital": np.zeros(8000, np.float32),
    "under -60 dBFS": 5e-4 * tone("a b"),
    "offset": np.full(8000, 0.5, np.float32),
}


def warnings_of(capsys: Any) -> list[str]:
    told = [" ".join(line.split()) for line in capsys.readouterr().err.split("warning: ")[1:]]
    return [line for line in told if "silent" in line]


@pytest.mark.parametrize("kind", SILENCES)
def test_silent_recordings_with_a_text_are_found(kind: str) -> None:
    extractor = FeatureExtractor(FeatureConfig(mels=24, tracker="autocorrelation"))
    clips = [extractor(SILENCES[kind]), extractor(tone("a b c")), extractor(SILENCES[kind]), extractor(SILENCES[kind])]
    batch = collate(clips, [[1, 2], [1], [], [3]], ["a.wav", "b.wav", "c.wav", ""])
    expected = ["a.wav"] if clips[0].null.all() else []
    assert expected or kind == "offset"
    assert find_silent(batch) == expected, "speech, silence without a text and clips of noise are none"
    assert find_silent(collate(clips, [[1], [1], [1], [1]])) == []


def test_training_warns_at_first_sight_and_counts_in_the_end(tmp_path: Path, capsys: Any) -> None:
    corpus = write_corpus(
        tmp_path / "quiet", [*(("train", text, 1.0) for text in "abcabc"), *(("validation", t, 1.0) for t in "abc")]
    )
    for number in (1, 3):
        soundfile.write(corpus / f"{number:02d}.wav", SILENCES["under -60 dBFS"], SAMPLE_RATE)
    soundfile.write(corpus / "07.wav", SILENCES["digital"], SAMPLE_RATE)
    train(write_config(tmp_path / "c.yaml", train=PLAIN), str(corpus), tmp_path / "run")
    *trained, last = warnings_of(capsys)
    assert last.startswith(trained[0]) and len(trained) == 2, "in training, in validation once, and in the end"
    assert trained[0].startswith("2 of 6 recordings are silent") and "quiet/0" in trained[0]
    assert trained[0].endswith("record them again, or leave them out")
    assert trained[1].startswith("1 of 3 recordings is silent") and "validation; first " in trained[1]
    assert "07.wav; record it again, or leave it out" in trained[1]
    assert sum(line.get("silent", 0) for line in metrics(tmp_path / "run") if line["split"] == "train") >= 2


def test_nothing_is_said_of_a_corpus_without_them(make_trainer: Callable[..., Trainer], capsys: Any) -> None:
    make_trainer().train()
    assert warnings_of(capsys) == []


def test_those_of_other_processes_count(make_trainer: Callable[..., Trainer]) -> None:
    """One process has none in this update, and another has one."""

    class Two(Processes):
        def gather(self, value: Any) -> list[Any]:
            return [value, ["other.wav"] if isinstance(value, list) else {}]

    said: list[str] = []
    trainer = make_trainer()
    unusable = UnusableExamples(trainer.model.config, 40, Two(), said.append)
    unaligned, silent = unusable.look([])
    assert (unaligned, silent) == (0.0, 0.0)
    assert unusable.note(unaligned, silent) == {} and said == []
    assert unusable.note(0.0, 1.0) == {"silent": 1.0} and unusable.note(0.0, 1.0) == {"silent": 1.0}
    unusable.sum_up()
    assert len(said) == 2 and said[0] == said[1] and said[0].startswith("1 of 40 recordings is silent")


@pytest.mark.parametrize(("names", "verb"), [(["a.wav"], "is"), (["a.wav", "b.wav"], "are")])
def test_one_line_says_what_to_do(names: Sequence[str], verb: str) -> None:
    told = describe_silent(names, 9, "which hurts")
    assert told.startswith(f"{len(names)} of 9 recordings {verb} silent (") and ", which hurts; first a.wav; " in told
