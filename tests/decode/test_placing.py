import random

import pytest

from echo_asr.decode.placing import Piece, place_script
from echo_asr.text.normalize import normalize_basic
from echo_asr.text.script import Script, make_script
from tests.helpers.recognised import garble, segments_of

SENTENCES = (
    "The north wind and the sun were disputing which was the stronger,",
    "when a traveler came along wrapped in a warm cloak.",
    "They agreed that the one who first succeeded",
    "in making the traveler take his cloak off",
    "should be considered stronger than the other.",
    "Then the north wind blew as hard as he could,",
    "but the more he blew the more closely did the traveler fold his cloak around him;",
    "and at last the north wind gave up the attempt.",
)
UNSCRIPTED = "sorry could you hand me that glass of water please"


def script_of(*lines: str) -> Script:
    return make_script(enumerate(lines, 1), normalize_basic)


def recognised(*texts: str, errors: float = 0.0, seed: int = 0) -> list[str]:
    draw = random.Random(seed)
    return [garble(normalize_basic(text), errors, draw) for text in texts]


def texts_of(script: Script, pieces: list[Piece]) -> list[str]:
    return [script.text(piece.words) for piece in pieces]


@pytest.mark.parametrize("errors", [0.0, 0.2, 0.4])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_each_segment_has_its_words(errors: float, seed: int) -> None:
    script = script_of(*SENTENCES)
    pieces = place_script(script, segments_of(recognised(*SENTENCES, errors=errors, seed=seed)))
    wrong = sum(abs(len(text.split()) - len(own.split())) for text, own in zip(texts_of(script, pieces), SENTENCES))  # noqa: B905
    assert len(pieces) == len(SENTENCES)
    assert wrong == 0 if errors < 0.4 else wrong <= 4
    assert [word for piece in pieces for word in piece.words] == sorted(
        word for piece in pieces for word in piece.words
    )


@pytest.mark.parametrize("errors", [0.0, 0.2])
def test_what_only_one_of_them_has_is_in_no_piece_and_without_words(errors: float) -> None:
    spoken = (*SENTENCES[:2], UNSCRIPTED, *SENTENCES[2:4], *SENTENCES[6:])  # without 4 and 5
    script = script_of(*SENTENCES)
    pieces = place_script(script, segments_of(recognised(*spoken, errors=errors)))
    assert texts_of(script, pieces) == [*SENTENCES[:2], "", *SENTENCES[2:4], *SENTENCES[6:]]


def test_changed_words_stay_with_their_neighbours() -> None:
    script = script_of(*(text.replace("traveler", "pilgrim").replace("wind", "gale") for text in SENTENCES))
    pieces = place_script(script, segments_of(recognised(*SENTENCES)))
    assert [len(text.split()) for text in texts_of(script, pieces)] == [len(text.split()) for text in SENTENCES]


def test_a_word_alone_that_is_recognised_as_another_has_its_segment() -> None:
    script = script_of(SENTENCES[0], "Indeed.", SENTENCES[1])
    pieces = place_script(script, segments_of(["".join(recognised(SENTENCES[0])), "yesyes", *recognised(SENTENCES[1])]))
    assert texts_of(script, pieces) == [SENTENCES[0], "Indeed.", SENTENCES[1]]


def test_words_that_were_not_recognised_go_where_there_is_time_for_them() -> None:
    first, second = segments_of(recognised(SENTENCES[0], SENTENCES[1]))
    kept = first.text.removesuffix("the stronger")
    late = first.tokens[-1].__class__("r", first.end - 0.08, first.end, 0.1)  # the last of them alone
    cut = first.__class__(first.start, first.end, kept + "r", (), (*first.tokens[: len(kept)], late))
    script = script_of(*SENTENCES[:2])
    assert texts_of(script, place_script(script, [cut, second])) == list(SENTENCES[:2])


def test_unscripted_speech_at_the_ends_of_a_segment_is_cut_off() -> None:
    script = script_of(*SENTENCES[:2])
    texts = recognised(f"{UNSCRIPTED} {SENTENCES[0]}", f"{SENTENCES[1]} {UNSCRIPTED}")
    segments = segments_of(texts)
    pieces = place_script(script, segments)
    assert texts_of(script, pieces) == ["", *SENTENCES[:2], ""]
    edges = [(piece.start, piece.end) for piece in pieces]
    assert edges[0][0] == segments[0].start and edges[0][1] == edges[1][0]
    assert edges[1][0] == pytest.approx(segments[0].start + 0.08 * (len(UNSCRIPTED) + 0.5), abs=0.1)
    assert edges[3] == (edges[2][1], segments[1].end)


def test_another_text_has_next_to_no_words_in_the_recording() -> None:
    script = script_of(*(normalize_basic(text)[::-1] for text in SENTENCES))
    pieces = place_script(script, segments_of(recognised(*SENTENCES)))
    assert sum(len(piece.words) for piece in pieces) < 0.15 * len(script.words)


def test_nothing_recognised_and_nothing_spoken() -> None:
    script = script_of(*SENTENCES)
    assert place_script(script, []) == []
    assert place_script(script, segments_of([""])) == []
