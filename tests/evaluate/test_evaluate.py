import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import pytest
import soundfile

import echo_asr
from echo_asr.audio import load_audio
from echo_asr.audio.convert import SAMPLE_RATE
from echo_asr.audio.segment import AudioSegment
from echo_asr.data.corpus import Utterance, load_corpus
from echo_asr.decode import transcribe
from echo_asr.decode.results import Segment
from echo_asr.decode.times import words_from_tokens
from echo_asr.decode.transcribe import Recognizer
from echo_asr.errors import EchoError
from echo_asr.evaluate.evaluate import Evaluation, evaluate, summary, write_texts
from echo_asr.text.config import TextConfig
from tests.helpers.tone_corpus import TEXTS

RATE = {"percent", "insertions", "deletions", "substitutions", "reference", "ci95"}
RECOGNISED = ["B", "a, c!", "", "b c d", "A-B", "it's"]


@pytest.fixture
def recognizer(learnt: Path) -> Recognizer:
    return echo_asr.load(learnt, device="cpu")


@pytest.fixture
def test_split(corpus: Path) -> tuple[Utterance, ...]:
    return load_corpus(corpus).split("test")


@pytest.fixture
def canned(
    recognizer: Recognizer, test_split: Sequence[Utterance], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Evaluation]:
    """`(references, hypotheses)`: the evaluation of a recogniser that hears just those."""

    def run(references: Sequence[str], hypotheses: Sequence[str]) -> Evaluation:
        monkeypatch.setattr(recognizer, "recognize", lambda clips, words: [Segment(0, 1, t) for t in hypotheses])
        return evaluate(
            recognizer, "tones", "test", [replace(u, text=t) for u, t in zip(test_split, references, strict=False)]
        )

    return run


def test_a_model_that_asks_for_it_is_reported_the_pitch_of_each_speaker(
    recognizer: Recognizer, test_split: Sequence[Utterance], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []
    heard = Segment(0.0, 1.0, "a")
    monkeypatch.setattr(recognizer, "recognize", lambda clips, _: [seen.append(c.speaker_f0) or heard for c in clips])
    named = [replace(u, speaker=("anna", "", "ben")[i % 3]) for i, u in enumerate(test_split)]
    evaluate(recognizer, "tones", "test", named)
    assert seen == [0.0] * 6
    seen.clear()
    model = recognizer.bundle.model
    model.config = replace(model.config, vrope=replace(model.config.vrope, reference="speaker"))
    evaluate(recognizer, "tones", "test", named)
    assert seen[0] == seen[3] > 80 and seen[1] == seen[4] == 0.0 and seen[2] == seen[5] > 80
    assert seen[0] != seen[2]


def test_the_object_has_just_the_keys_that_are_promised(
    recognizer: Recognizer, test_split: Sequence[Utterance]
) -> None:
    found = json.loads(json.dumps(evaluate(recognizer, "tones", "test", test_split).to_dict()))
    assert list(found) == [
        "corpus", "split", "utterances", "wer", "cer", "calibration", "raw", "audio_seconds", "wall_seconds",
        "real_time_factor",
    ]  # fmt: skip
    assert set(found["calibration"]) == {"words", "right", "probability", "ece", "raw_ece"}
    assert set(found["raw"]) == {"wer", "cer"}
    for rate in (found["wer"], found["cer"], found["raw"]["wer"], found["raw"]["cer"]):
        assert set(rate) == RATE
        assert all(isinstance(rate[key], int) for key in RATE - {"percent", "ci95"})
        assert len(rate["ci95"]) == 2 and all(isinstance(end, float) for end in rate["ci95"])
    assert (found["corpus"], found["split"], found["utterances"]) == ("tones", "test", 6)
    assert found["audio_seconds"] == pytest.approx(sum(u.duration for u in test_split), abs=1e-3)
    assert found["wall_seconds"] > 0
    assert found["real_time_factor"] == pytest.approx(found["wall_seconds"] / found["audio_seconds"], rel=0.05)


def test_rates_are_those_of_jiwer(canned: Callable[..., Evaluation]) -> None:
    found = canned(TEXTS["test"], RECOGNISED)
    normal = ["b", "a c", "", "b c d", "a b", "it's"]  # what the basic normaliser makes of them
    references = list(TEXTS["test"])
    assert found.wer.percent == pytest.approx(100 * jiwer.wer(references, normal))
    assert found.cer.percent == pytest.approx(100 * jiwer.cer(references, normal))
    assert found.raw_wer.percent == pytest.approx(100 * jiwer.wer(references, RECOGNISED))
    assert found.raw_cer.percent == pytest.approx(100 * jiwer.cer(references, RECOGNISED))
    words = jiwer.process_words(references, normal)
    assert (found.wer.insertions, found.wer.deletions, found.wer.substitutions) == (
        words.insertions, words.deletions, words.substitutions,
    )  # fmt: skip
    assert found.hypotheses == RECOGNISED, "as they stand"


def test_references_are_normalised_too(canned: Callable[..., Evaluation]) -> None:
    found = canned(["B!", "A C", "«c»", "b c", "a b", "c a"], TEXTS["test"])
    assert found.wer.percent == found.cer.percent == 0.0
    assert found.raw_wer.percent > 0 and found.references[2] == "«c»"


def test_empty_texts_are_legal(canned: Callable[..., Evaluation]) -> None:
    found = canned(["", "", "a", "", "", ""], ["", "x y", "a", "", "", ""])
    assert (found.wer.reference, found.wer.insertions, found.wer.percent) == (1, 2, 200.0)


def test_each_of_several_speakers_has_a_row(
    recognizer: Recognizer, test_split: Sequence[Utterance], monkeypatch: pytest.MonkeyPatch
) -> None:
    segments = [Segment(0, 1, text) for text in RECOGNISED]
    monkeypatch.setattr(recognizer, "recognize", lambda clips, words: segments)
    named = [replace(u, speaker="lan" if number < 2 else "minh") for number, u in enumerate(test_split)]
    found = evaluate(recognizer, "tones", "test", named)
    rows = found.to_dict()["speakers"]
    assert [(row["speaker"], row["utterances"]) for row in rows] == [("lan", 2), ("minh", 4)]
    assert sum(row["wer"]["reference"] for row in rows) == found.wer.reference
    lines = summary(found).splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("by speaker; an interval is about"))
    assert [line.split()[0] for line in lines[at + 2 : at + 4]] == ["lan", "minh"]


def test_references_never_reach_the_decoder(recognizer: Recognizer, test_split: Sequence[Utterance]) -> None:
    honest = evaluate(recognizer, "tones", "test", test_split)
    assert honest.wer.errors == 0 and honest.hypotheses == list(TEXTS["test"])
    misled = evaluate(recognizer, "tones", "test", [replace(u, text="c c c c") for u in test_split])
    assert misled.hypotheses == honest.hypotheses
    assert misled.wer.percent > 50


def test_hypotheses_stand_in_the_order_of_the_corpus(recognizer: Recognizer, test_split: Sequence[Utterance]) -> None:
    backwards = evaluate(recognizer, "tones", "test", test_split[::-1])
    assert backwards.hypotheses == list(TEXTS["test"][::-1])


def test_long_corpora_go_in_parts_and_tell_how_far(
    recognizer: Recognizer, test_split: Sequence[Utterance], monkeypatch: pytest.MonkeyPatch
) -> None:
    many, seen, sizes = [*test_split] * 10, [], []
    heard = Segment(0.0, 1.0, "a")
    monkeypatch.setattr(transcribe, "GROUP_SECONDS", 3.0)
    monkeypatch.setattr(recognizer, "recognize", lambda part, _: sizes.append(len(part)) or [heard] * len(part))
    found = evaluate(recognizer, "tones", "test", many, seen.append)
    assert sum(sizes) == 60 == len(found.hypotheses) and len(sizes) > 3
    assert seen == list(range(1, 61))


def test_a_recording_that_cannot_be_read_is_reported(
    recognizer: Recognizer, test_split: Sequence[Utterance], tmp_path: Path
) -> None:
    with pytest.raises(EchoError, match="gone.wav: no such file"):
        evaluate(recognizer, "tones", "test", [*test_split, replace(test_split[0], audio=tmp_path / "gone.wav")])


def test_the_summary_says_it_for_people(canned: Callable[..., Evaluation]) -> None:
    found = canned(TEXTS["test"], RECOGNISED)
    lines = summary(found).splitlines()
    assert lines[0].startswith("tones, test: 6 utterances, ")
    assert f"{found.wer.percent:.2f} %" in lines[1] and f"of {found.wer.reference})" in lines[1]
    assert f"{found.cer.percent:.2f} %" in lines[2]
    assert f"{found.raw_wer.percent:.2f} % of words" in lines[3]
    assert "times real time" in lines[4]


def test_how_far_probabilities_are_off_is_reported(recognizer: Recognizer, test_split: Sequence[Utterance]) -> None:
    """Of the words that the model gives, and of their scores before calibration."""
    recognised = recognizer.transcribe([u.audio for u in test_split])
    given = [word.probability for one in recognised for segment in one.segments for word in segment.words]
    scores = [word.probability for one in recognised for s in one.segments for word in words_from_tokens(s.tokens)]
    assert recognizer.bundle.calibration.words == 6, "as many as validation has"
    assert given == [recognizer.bundle.calibration(score) for score in scores] != scores
    found = evaluate(recognizer, "tones", "test", test_split).confidence
    assert found is not None and (found.words, found.right) == (len(given), 1.0)
    assert found.probability == pytest.approx(np.mean(given))
    assert found.ece == pytest.approx(1.0 - np.mean(given)) and found.raw_ece == pytest.approx(1.0 - np.mean(scores))
    wrong = evaluate(recognizer, "tones", "test", [replace(u, text="x y") for u in test_split]).confidence
    assert wrong is not None and wrong.right == 0.0 and wrong.ece == pytest.approx(np.mean(given))


@pytest.mark.parametrize("text", ["", "a"])
def test_a_model_that_does_not_listen_is_reported_of(canned: Callable[..., Evaluation], text: str) -> None:
    with pytest.warns(UserWarning, match="tones, test: of this model: it writes .* for all 6 recordings with speech; "):
        found = canned(TEXTS["test"], [text] * 6)
    assert found.confidence is None and "calibration" not in found.to_dict(), "nothing is known of its words"


def test_tonal_texts_have_errors_of_tones_and_of_base_syllables(canned: Callable[..., Evaluation]) -> None:
    spoken = ["Ni3 hao3", "ma1", "shi4 bu2", "ren2", "tian1", "lü4"]
    heard = ["ni3 hao4", "ma1", "si4", "ren2", "tian2", "lü4"]
    found = canned(spoken, heard)
    assert found.tones is not None
    tone, base, toneless = found.tones.tone, found.tones.base, found.tones.toneless
    # hao3 and tian1 have other tones, shi4 is another base, bu2 is missing.
    assert (tone.errors, base.errors, tone.reference, base.reference) == (3, 2, 8, 8)
    bases = [re.sub(r"\d", "", text.lower()) for text in (*spoken, *heard)]
    assert toneless.percent == pytest.approx(100 * jiwer.wer(bases[:6], bases[6:]))
    kept = json.loads(json.dumps(found.to_dict()))
    assert kept["tone"]["percent"] == tone.percent and set(kept["base"]) == set(kept["toneless"]) == RATE
    assert sum(count for _, _, count in kept["confusions"]) == 8
    assert ["3", "4", 1] in kept["confusions"] and ["2", None, 1] in kept["confusions"]
    lines = summary(found).splitlines()
    assert f"{tone.percent:.2f} %" in lines[3] and f"{base.percent:.2f} %" in lines[4]
    plain = canned(["b", "a mp3", "c", "b c", "a b", "c a"], RECOGNISED)
    assert plain.tones is None and "tone" not in plain.to_dict()


def test_tones_that_the_normaliser_removes_are_not_measured(
    recognizer: Recognizer, canned: Callable[..., Evaluation]
) -> None:
    spoken = ["mǎ", "mà nǐ", "má", "mā", "nǐ hǎo", "mǎ"]
    recognizer.bundle.text = TextConfig(normalizer="whisper", tones="diacritics")
    with pytest.warns(UserWarning, match=r"no tone error, as normalising removes .*mǎ -> ma; .*; set text"):
        found = canned(spoken, spoken)
    assert found.tones is None and "tone error" not in summary(found)
    recognizer.bundle.text = TextConfig(tones="diacritics")
    assert canned(spoken, spoken).tones is not None


def test_texts_are_written_side_by_side(
    canned: Callable[..., Evaluation], test_split: Sequence[Utterance], tmp_path: Path
) -> None:
    found = canned(["你好", *TEXTS["test"][1:]], RECOGNISED)
    write_texts(tmp_path / "texts.jsonl", test_split, found)
    rows: list[dict[str, Any]] = [json.loads(x) for x in (tmp_path / "texts.jsonl").read_text().splitlines()]
    assert [row["hypothesis"] for row in rows] == RECOGNISED
    assert rows[0]["reference"] == "你好" and rows[0]["file"] == str(test_split[0].audio)
    assert "你好" in (tmp_path / "texts.jsonl").read_text()
    with pytest.raises(EchoError, match="could not be written"):
        write_texts(tmp_path / "nowhere" / "texts.jsonl", test_split, found)


def test_segments_of_one_recording_are_heard_as_files_of_their_own(
    recognizer: Recognizer, test_split: Sequence[Utterance], tmp_path: Path
) -> None:
    clips = [load_audio(u.audio) for u in test_split]
    soundfile.write(tmp_path / "long.wav", np.concatenate(clips), SAMPLE_RATE, subtype="FLOAT")
    ends = np.cumsum([len(clip) for clip in clips]) / SAMPLE_RATE  # seconds
    stretches = [
        replace(u, audio=AudioSegment(tmp_path / "long.wav", end - len(clip) / SAMPLE_RATE, len(clip) / SAMPLE_RATE))
        for u, clip, end in zip(test_split, clips, ends.tolist(), strict=True)
    ]
    found = evaluate(recognizer, "tones", "test", stretches)
    assert found.hypotheses == evaluate(recognizer, "tones", "test", test_split).hypotheses
    write_texts(tmp_path / "texts.jsonl", stretches, found)
    row = json.loads((tmp_path / "texts.jsonl").read_text().splitlines()[1])
    assert row["file"] == str(tmp_path / "long.wav") and row["start"] == pytest.approx(ends[0])


def test_silent_recordings_with_a_text_are_counted(
    recognizer: Recognizer, test_split: Sequence[Utterance], tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    """They count as errors, whatever the model; silence without a text does not."""
    evaluate(recognizer, "tones", "test", test_split)
    assert not [w for w in recwarn if "silent" in str(w.message)]
    for name, level in (("zero", 0.0), ("quiet", 5e-4), ("pause", 0.0)):
        soundfile.write(tmp_path / f"{name}.wav", np.full(8000, level), SAMPLE_RATE, "FLOAT")
    more = [replace(test_split[0], audio=tmp_path / f"{name}.wav") for name in ("zero", "quiet", "pause")]
    more[2] = replace(more[2], text="")
    with pytest.warns(UserWarning) as caught:
        found = evaluate(recognizer, "tones", "test", [*test_split, *more])
    (seen,) = [str(w.message) for w in caught if "silent" in str(w.message)]
    assert seen.startswith("tones, test: 2 of 9 recordings are silent") and "zero.wav; record them again" in seen
    assert found.wer.deletions == 2
