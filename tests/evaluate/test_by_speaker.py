"""Errors of each speaker: those of its utterances alone."""

import random

import pytest

from echo_asr.evaluate.by_speaker import MOST_PRINTED, errors_by_speaker, speaker_lines
from echo_asr.evaluate.metrics import error_rate
from echo_asr.evaluate.tone_errors import tone_errors
from echo_asr.text.tones import ToneNotation

NOTATION = ToneNotation("digits")


def spoken(count: int, speakers: list[str]) -> tuple[list[str], list[str], list[str]]:
    draw = random.Random(0)
    syllables = [base + tone for base in ("ma", "ni", "hao") for tone in "1234"]
    references, hypotheses = ([" ".join(draw.choices(syllables, k=3)) for _ in range(count)] for _ in range(2))
    return [draw.choice(speakers) for _ in range(count)], references, hypotheses


def test_each_speaker_has_the_errors_of_that_speaker_alone() -> None:
    speakers, references, hypotheses = spoken(60, ["minh", "lan", ""])
    found = errors_by_speaker(speakers, references, hypotheses, NOTATION)
    assert [row.speaker for row in found] == ["lan", "minh", ""]
    for row in found:
        own = [i for i, speaker in enumerate(speakers) if speaker == row.speaker]
        texts = [references[i] for i in own], [hypotheses[i] for i in own]
        tones = tone_errors(*texts, NOTATION)
        assert row.utterances == len(own)
        assert (row.wer, row.cer) == (error_rate(*texts), error_rate(*texts, unit="character"))
        assert (row.tone, row.base) == (tones.tone, tones.base)
    assert found[0].to_dict()["tone"]["ci95"] == list(found[0].tone.ci95)  # type: ignore[union-attr]


def test_one_speaker_has_no_rows_and_texts_without_tones_no_tones() -> None:
    assert errors_by_speaker(["lan", "lan"], ["a", "b"], ["a", "b"]) == []
    assert speaker_lines([]) == []
    found = errors_by_speaker(["lan", "minh"], ["a", "b"], ["a", "c"])
    assert [row.wer.percent for row in found] == [0.0, 100.0] and "tone" not in found[0].to_dict()
    assert not any("tones" in line for line in speaker_lines(found))


def test_lines_have_a_row_for_each_speaker() -> None:
    head, columns, lan, unknown = speaker_lines(
        errors_by_speaker(["", "阮兰"], ["a1 b2", "a1"], ["a2 b2", "a1"], NOTATION)
    )
    assert "not about other speakers" in head
    assert columns.split("  ")[-1].strip() == "base syllables, %"
    assert lan.startswith("  阮兰       ") and unknown.startswith("  (unknown)  ")
    assert "50.00 (" in unknown and lan.split()[1:3] == ["1", "0.00"]


@pytest.mark.parametrize("count", [MOST_PRINTED, MOST_PRINTED + 1])
def test_of_many_speakers_the_worst_are_printed(count: int) -> None:
    names = [f"s{number:02}" for number in range(count)]
    lines = speaker_lines(errors_by_speaker(names, ["a"] * count, ["a"] * (count - 1) + ["b"]))
    assert len(lines) == 2 + MOST_PRINTED
    many = count > MOST_PRINTED
    assert (f"of {count} speakers the {MOST_PRINTED} with" in lines[0]) == many
    assert lines[2 if many else -1].split()[0] == names[-1]
