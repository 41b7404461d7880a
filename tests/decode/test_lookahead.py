"""Reading ahead along the CTC path: the same texts in fewer calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from echo_asr.decode import lookahead
from echo_asr.decode.lookahead import Lookahead
from echo_asr.decode.search import DecodeConfig, greedy
from echo_asr.model.echo import Echo
from tests.helpers.plain_search import talkative

Make = Callable[..., Any]


def found_and_calls(
    model: Echo, batch: Any, paths: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> tuple[list[list[int]], list[float], int]:
    """Texts, scores, and calls of the decoder, where CTC has these paths."""
    calls = 0
    decode = model.decode

    def counted(*arguments: Any) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return decode(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(model, "decode", counted)
        patched.setattr("echo_asr.decode.search.best_paths", lambda *_: paths)
        with torch.inference_mode():
            hypotheses = greedy(model, model.encode(batch), DecodeConfig(repetition=0))
    return [one.tokens for one in hypotheses], [one.score for one in hypotheses], calls


def test_a_right_path_takes_one_call_and_a_wrong_one_few_more(
    options: dict[str, Any], make_model: Make, make_batch: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    model: Echo = talkative(make_model(**options))
    batch = make_batch([96, 70, 81])
    plain, plain_scores, steps = found_and_calls(model, batch, [[], [], []], monkeypatch)
    longest = max(map(len, plain))
    assert steps >= longest and (longest > 5 or options)
    right, scores, calls = found_and_calls(model, batch, plain, monkeypatch)
    assert right == plain and calls == 1
    assert scores == pytest.approx(plain_scores, abs=1e-4)
    changed = [text[:3] + [1 + text[3] % 5] + text[4:] if len(text) > 3 else text for text in plain]
    left_out = [text[:2] + text[3:] for text in plain]
    for paths, most in ((changed, max(6, steps // 2)), (left_out, steps), ([[1, 1], [], [2] * 40], steps)):
        texts, scores, calls = found_and_calls(model, batch, paths, monkeypatch)
        assert texts == plain and scores == pytest.approx(plain_scores, abs=1e-4)
        assert calls <= most


def test_a_large_batch_is_not_read_ahead_for(
    make_model: Make, make_batch: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    model: Echo = talkative(make_model())
    batch = make_batch([64] * 3)
    monkeypatch.setattr(lookahead, "ROWS", 2)
    ahead = Lookahead(model, model.decoder.state(model.encode(batch)), [[1, 2, 3]] * 3)
    with torch.inference_mode():
        ahead.predict(torch.zeros(3, 1, dtype=torch.long))
        assert ahead.known is not None and ahead.known.shape[1] == 1
        ahead.advance([1, 2, 1])
        ahead.select(torch.tensor([0, 2]))
        ahead.predict(torch.ones(2, 1, dtype=torch.long))
        assert ahead.known.shape[1] == 3


def test_a_path_is_taken_up_again_after_a_token_that_it_has_not_or_has_too_many() -> None:
    def written(text: str, path: str) -> list[int]:
        places, place, before = [], 0, ""
        for token in text:
            place, before = lookahead._next_place(list(path), place, before, token), token  # type: ignore[arg-type]
            places.append(place)
        return places

    assert written("abcdef", "abcdef") == [1, 2, 3, 4, 5, 6]
    assert written("abXdef", "abcdef") == [1, 2, 3, 4, 5, 6]
    assert written("abXcdef", "abcdef")[-2:] == [5, 6]  # one more
    assert written("abdef", "abcdef")[-2:] == [5, 6]  # one less
