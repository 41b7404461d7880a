from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as Library
from tokenizers import decoders, models, pre_tokenizers, trainers

from echo_asr.decode.results import Token
from echo_asr.decode.times import foreground_levels, token_texts, token_times, words_from_tokens
from echo_asr.text.tokenizer import Tokenizer

SPEECH, SOFT, PAUSE = 1.0, 0.5, 0.0  # levels
TEXTS = ["the cat sat on the mat", "naïve façade 日本語 ok", "a bb ccc the theme", "x"]


def levels_of(*segments: tuple[int, float]) -> np.ndarray:
    """Levels that hold for so many ticks each."""
    return np.concatenate([np.full(ticks, level) for ticks, level in segments])


def edges_of(texts: list[str], segments: list[tuple[int, int]], levels: np.ndarray) -> list[tuple[float, float]]:
    """Times in ticks."""
    return [(round(100 * a + 0.5, 6), round(100 * b + 0.5, 6)) for a, b in token_times(texts, segments, levels)]


# --- levels


def test_noise_is_no_audio_and_what_is_above_it_in_a_few_bins_is() -> None:
    draw = torch.Generator().manual_seed(0)
    noise = 0.5 - torch.arange(80)[:, None] / 200 + 0.02 * torch.randn(80, 300, generator=draw)  # falls with frequency
    noise[60:, 100:200] += 0.2  # a fricative: its 0.4 is softer than the noise's 0.5 below
    levels = foreground_levels(SimpleNamespace(spectrogram=noise))  # type: ignore[arg-type]
    assert levels.shape == (300,) and levels.min() == 0.0
    assert levels[100:200].min() > 4 * max(levels[:100].max(), levels[200:].max())


def test_silence_has_no_levels() -> None:
    assert not foreground_levels(SimpleNamespace(spectrogram=torch.zeros(80, 7))).any()  # type: ignore[arg-type]


# --- times of tokens


def test_words_begin_and_end_at_the_pauses_about_them() -> None:
    levels = levels_of((30, PAUSE), (40, SPEECH), (25, PAUSE), (50, SPEECH), (20, PAUSE))
    found = edges_of(["a", "b", " ", "c"], [(40, 44), (52, 56), (80, 84), (112, 116)], levels)
    assert found == [(30, 48), (48, 70), (70, 95), (95, 145)]


@pytest.mark.parametrize("late", [0, 4, 12])
def test_tokens_found_in_a_pause_belong_to_the_nearer_sound(late: int) -> None:
    levels = levels_of((30, PAUSE), (40, SPEECH), (40, PAUSE), (50, SPEECH), (20, PAUSE))
    ends = [(place + late, place + late + 4) for place in (70, 160)]
    of_several = edges_of(["a", "b", " ", "c", "d"], [(40, 44), ends[0], (88, 90), (120, 124), ends[1]], levels)
    assert (of_several[0][0], of_several[1][1]) == (30, 70)
    assert (of_several[3][0], of_several[4][1]) == (110, 160)
    of_one = [(30, 70), (110, 160)]
    assert edges_of(["ab", " cd"], ends, levels) == of_one
    assert edges_of(["ab", " cd"], [(26 - late, 30 - late), (106 - late, 110 - late)], levels) == of_one


def test_words_without_a_pause_meet_where_the_level_has_fallen() -> None:
    levels = levels_of(
        (20, PAUSE), (30, SPEECH), (12, SOFT), (30, SPEECH), (20, PAUSE)
    )  # a soft consonant, not a pause
    found = edges_of(["a", " b"], [(30, 34), (66, 70)], levels)
    assert found == [(20, 50), (50, 92)]


def test_a_closure_is_no_pause_and_begins_the_word_after() -> None:
    levels = levels_of((20, PAUSE), (30, SPEECH), (5, PAUSE), (30, SPEECH), (20, PAUSE))
    assert edges_of(["a", " b"], [(30, 34), (66, 70)], levels) == [(20, 50), (50, 85)]
    levels = levels_of((20, PAUSE), (30, SPEECH), (6, PAUSE), (30, SPEECH), (20, PAUSE))
    assert edges_of(["a", " b"], [(30, 34), (66, 70)], levels) == [(20, 50), (56, 86)]


def test_a_cough_between_two_pauses_belongs_to_no_word() -> None:
    levels = levels_of((20, PAUSE), (30, SPEECH), (20, PAUSE), (10, SPEECH), (40, PAUSE), (30, SPEECH), (20, PAUSE))
    assert edges_of(["a", " b"], [(30, 34), (130, 134)], levels) == [(20, 50), (120, 150)]


def test_a_clip_cut_tight_or_full_of_sound_has_words_to_its_ends_or_a_second_away() -> None:
    assert edges_of(["a", "b"], [(10, 14), (30, 34)], levels_of((60, SPEECH))) == [(0.5, 22), (22, 60)]
    ((start, end),) = edges_of(["a"], [(300, 304)], levels_of((600, SPEECH)))
    assert (start, end) == (202, 402)


def test_a_word_where_nothing_is_heard_keeps_its_frames() -> None:
    levels = levels_of((20, PAUSE), (30, SPEECH), (200, PAUSE))
    assert edges_of(["a", " b"], [(30, 34), (120, 130)], levels) == [(20, 50), (120, 130)]
    assert edges_of(["a"], [(8, 12)], levels_of((40, PAUSE))) == [(8, 12)]


def test_spaces_last_from_word_to_word_and_share_what_is_between() -> None:
    levels = levels_of((20, PAUSE), (30, SPEECH), (20, PAUSE), (30, SPEECH), (20, PAUSE))
    found = edges_of(
        [" ", "a", " ", " ", "b", " "], [(2, 4), (30, 34), (52, 54), (56, 58), (80, 84), (110, 112)], levels
    )
    assert found == [(20, 20), (20, 50), (50, 60), (60, 70), (70, 100), (100, 100)]
    assert edges_of([" ", " "], [(2, 4), (30, 34)], levels) == [(2, 4), (30, 34)]


@settings(max_examples=200, deadline=None)
@given(
    texts=st.lists(st.sampled_from(["a", "bc", " ", " d", "e ", "f g", "", "  "]), min_size=1, max_size=8),
    data=st.data(),
)
def test_times_are_in_order_and_within_the_clip_whatever_is_heard(texts: list[str], data: Any) -> None:
    total = data.draw(st.integers(1, 60))
    places = sorted(data.draw(st.lists(st.integers(0, total - 1), min_size=len(texts), max_size=len(texts))))
    segments = [(place, min(place + data.draw(st.integers(1, 4)), total)) for place in places]
    levels = np.array(data.draw(st.lists(st.sampled_from([0.0, 0.1, 0.5, 1.0]), min_size=total, max_size=total)))
    times = token_times(texts, segments, levels)
    edges = [edge for time in times for edge in time]
    assert len(times) == len(texts) and edges == sorted(edges)
    assert 0.0 <= edges[0] and edges[-1] <= total / 100
    tokens = [Token(text, *time, 0.5) for text, time in zip(texts, times, strict=True)]
    words = words_from_tokens(tokens)
    assert [word.word for word in words] == "".join(texts).split()
    edges = [edge for word in words for edge in (word.start, word.end)]
    assert edges == sorted(edges)


# --- texts of tokens


def ready(kind: str, folder: Path) -> Tokenizer:
    """A tokenizer as other programs make them."""
    if kind == "byte level":
        library = Library(models.BPE())
        library.pre_tokenizer, library.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
        trainer = trainers.BpeTrainer(vocab_size=262, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    elif kind == "metaspace":
        library = Library(models.BPE())
        library.pre_tokenizer, library.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
        trainer = trainers.BpeTrainer(vocab_size=60)
    else:
        library = Library(models.WordPiece(unk_token="?"))
        library.pre_tokenizer, library.decoder = pre_tokenizers.Whitespace(), decoders.WordPiece()
        trainer = trainers.WordPieceTrainer(vocab_size=80, special_tokens=["?"])
    library.train_from_iterator(TEXTS, trainer)
    library.save(str(folder / "tokenizer.json"))
    return Tokenizer.load(folder / "tokenizer.json")


@pytest.mark.parametrize("kind", ["character", "bpe", "byte level", "metaspace", "word piece"])
def test_texts_of_tokens_make_the_text_with_any_tokenizer(kind: str, tmp_path: Path) -> None:
    own = kind in ("character", "bpe")
    tokenizer = Tokenizer.train(TEXTS, kind, 45) if own else ready(kind, tmp_path)
    for text in TEXTS:
        ids = tokenizer.encode(text)
        texts = token_texts(tokenizer, ids)
        assert len(texts) == len(ids) and "".join(texts) == text
        segments = [(2 * place, 2 * place + 2) for place in range(len(ids))]
        times = token_times(texts, segments, np.ones(2 * len(ids)))
        tokens = [Token(t, *time, 1.0) for t, time in zip(texts, times, strict=True)]
        assert [word.word for word in words_from_tokens(tokens)] == text.split()
        if kind == "byte level":
            assert len(ids) > len(text) or text.isascii()  # characters of several tokens there are


def test_a_text_cut_within_a_character_keeps_its_replacement(tmp_path: Path) -> None:
    tokenizer = ready("byte level", tmp_path)
    ids = tokenizer.encode("a日")[:-1]
    assert "".join(token_texts(tokenizer, ids)) == tokenizer.decode(ids)


def test_an_empty_text_has_no_tokens() -> None:
    assert token_texts(Tokenizer.train(["ab"]), []) == []


# --- words


def test_a_word_lasts_as_long_as_its_tokens_and_is_as_probable_as_the_least() -> None:
    tokens = [
        Token("a", 0.1, 0.2, 0.9),
        Token("b", 0.2, 0.4, 0.6),
        Token(" ", 0.4, 0.5, 0.1),
        Token("c", 0.5, 0.7, 0.8),
    ]
    first, second = words_from_tokens(tokens)
    assert (first.word, first.start, first.end, first.probability) == ("ab", 0.1, 0.4, 0.6)
    assert (second.word, second.start, second.end, second.probability) == ("c", 0.5, 0.7, 0.8)


def test_a_token_of_several_words_is_shared_by_characters() -> None:
    words = words_from_tokens([Token(" of the", 1.0, 1.6, 0.5), Token("m", 1.6, 1.7, 0.4)])
    assert [(w.word, w.probability) for w in words] == [("of", 0.5), ("them", 0.4)]
    assert [(w.start, w.end) for w in words] == [pytest.approx((1.0, 1.2)), pytest.approx((1.3, 1.7))]


def test_a_character_of_several_tokens_begins_with_the_first_of_them() -> None:
    tokens = [Token("a", 0.0, 0.1, 0.9), Token(" ", 0.1, 0.2, 0.9), Token("", 0.2, 0.3, 0.3), Token("é", 0.3, 0.4, 0.9)]
    (_, word) = words_from_tokens(tokens)
    assert (word.word, word.start, word.end, word.probability) == ("é", 0.2, 0.4, 0.3)


def test_a_text_without_spaces_is_one_word_and_one_of_spaces_none() -> None:
    tokens = [Token(text, place / 10, (place + 1) / 10, 0.5) for place, text in enumerate("日本語")]
    assert [(w.word, w.start, w.end) for w in words_from_tokens(tokens)] == [("日本語", 0.0, pytest.approx(0.3))]
    assert words_from_tokens([Token("  ", 0.0, 0.1, 0.5)]) == ()
