from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from echo_asr.audio.segment import AudioSegment
from echo_asr.decode import settling
from echo_asr.decode.placing import Piece
from echo_asr.decode.settling import settle_edges, settled
from echo_asr.errors import EchoError
from echo_asr.text.normalize import normalize_basic
from echo_asr.text.script import make_script
from echo_asr.text.tokenizer import Tokenizer

TOKENIZER = Tokenizer.train(["abcd "])
SCRIPT = make_script([(1, "Ab, cd – ba"), (2, "a dc, b.")], normalize_basic)  # ab cd ba a dc b


def spikes(text: str, frames: int = 4) -> np.ndarray:
    """Log probabilities `(F, V)` of a piece in which each symbol of a text takes some frames, blank between."""
    ids = [token for symbol in TOKENIZER.encode(text) for token in (symbol, *[0] * (frames - 1))]
    probability = torch.full((max(len(ids), 3), TOKENIZER.vocabulary_size), 0.01)
    for frame, token in enumerate(ids):
        probability[frame, token] = 0.9
    return probability.log().numpy()


def pieces_of(*words: tuple[int, ...]) -> list[Piece]:
    return [Piece(2.0 * number, 2.0 * number + 1.0, own, "?", 0.5) for number, own in enumerate(words)]


def settle(monkeypatch: pytest.MonkeyPatch, pieces: list[Piece], spoken: list[str]) -> list[tuple[int, ...]]:
    by_start = {piece.start: text for piece, text in zip(pieces, spoken, strict=True)}
    logs = lambda recognizer, recording, own, voice: [spikes(by_start[piece.start]) for piece in own]  # noqa: E731
    monkeypatch.setattr(settling, "_log_probabilities", logs)
    recognizer: Any = SimpleNamespace(bundle=SimpleNamespace(tokenizer=TOKENIZER), normalize=normalize_basic)
    return [piece.words for piece in settle_edges(recognizer, AudioSegment(Path("a.wav")), SCRIPT, pieces)]


def test_words_go_to_the_piece_in_which_they_are_spoken(monkeypatch: pytest.MonkeyPatch) -> None:
    spoken = ["ab cd", "ba a", "dc b"]
    for wrong in ([(0,), (1, 2, 3), (4, 5)], [(0, 1, 2), (3, 4), (5,)], [(0, 1), (2, 3), (4, 5)]):
        assert settle(monkeypatch, pieces_of(*wrong), spoken) == [(0, 1), (2, 3), (4, 5)]


def test_pieces_without_words_and_gaps_in_the_text_are_not_crossed(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = pieces_of((0,), (), (1, 2), (4, 5))  # word 3 is not spoken
    assert settle(monkeypatch, pieces, ["ab cd", "dd", "ba", "a dc b"]) == [(0,), (), (1, 2), (4, 5)]


def test_long_chains_are_settled_part_by_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "LONGEST", 3.5)  # two pieces
    pieces = pieces_of((0, 1), (2, 3), (4,), (5,))
    assert settle(monkeypatch, pieces, ["ab", "cd ba", "a", "dc b"]) == [(0,), (1, 2), (3,), (4, 5)]


def test_a_character_that_the_model_does_not_know_leaves_all_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TOKENIZER, "encode", lambda text: (_ for _ in ()).throw(EchoError("no symbol")))
    recognizer: Any = SimpleNamespace(bundle=SimpleNamespace(tokenizer=TOKENIZER), normalize=normalize_basic)
    pieces = pieces_of((0,), (1, 2, 3), (4, 5))
    assert settle_edges(recognizer, AudioSegment(Path("a.wav")), SCRIPT, pieces) == pieces


@given(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.data())
def test_each_piece_keeps_a_word_whatever_the_homes(sizes: list[int], data: st.DataObject) -> None:
    count = sum(sizes)
    homes = sorted(data.draw(st.lists(st.integers(0, len(sizes) - 1), min_size=count, max_size=count)))
    edges = [sum(sizes[: number + 1]) for number in range(len(sizes) - 1)]
    found = settled(edges, homes)
    assert all(a < b for a, b in zip([0, *found], [*found, count], strict=True))
    assert all(abs(edge - before) <= 5 for edge, before in zip(found, edges, strict=True))
