import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import ctc_loss

from echo_asr.decode.alignment import Span, align, attention_align, ctc_align, force
from echo_asr.features import collate_features
from echo_asr.model.cross_attention import CrossAttention
from echo_asr.model.echo import Echo
from echo_asr.text.tokenizer import Tokenizer

Make = Callable[..., Any]
FRAMES = (40, 22, 9, 29)  # of 10 ms
TEXTS = [[1, 2, 2, 6, 3], [4, 5], [], [6, 1, 1]]
SYMBOLS = Tokenizer.train(["abcde "])  # 1 is the space


def log_probabilities(seed: int, *shape: int, sharp: float = 2.0) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return (sharp * torch.randn(*shape, generator=draw, dtype=torch.float64)).log_softmax(-1)


def alone(logp: torch.Tensor, text: list[int]) -> list[Span]:
    """The alignment of one recording `(F, V)`."""
    return ctc_align(logp[None], torch.tensor([len(logp)]), [text])[0]


def path_of(spans: list[Span], text: list[int], frames: int) -> list[int]:
    """The symbol of each frame."""
    path = [0] * frames
    for span, token in zip(spans, text, strict=True):
        path[span.first : span.last + 1] = [token] * (span.last + 1 - span.first)
    return path


def spelling(path: tuple[int, ...] | list[int]) -> list[int]:
    return [token for token, _ in itertools.groupby(path) if token]


# --- CTC


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), frames=st.integers(1, 5), text=st.lists(st.integers(1, 2), max_size=4))
def test_the_path_is_the_likeliest_of_all_that_spell_the_text(seed: int, frames: int, text: list[int]) -> None:
    logp = log_probabilities(seed, frames, 3)
    paths = [p for p in itertools.product(range(3), repeat=frames) if spelling(p) == text]
    spans = alone(logp, text)
    if not paths:
        assert [span.probability for span in spans] == [0.0] * len(text)
        return
    found = path_of(spans, text, frames)
    assert spelling(found) == text
    scores = [float(logp[range(frames), path].sum()) for path in paths]
    assert float(logp[range(frames), found].sum()) == pytest.approx(max(scores), abs=1e-9)
    loss = ctc_loss(logp[:, None], torch.tensor([text or [1]]), [frames], [len(text)], reduction="sum")
    assert max(scores) <= -float(loss) + 1e-9  # the sum over all paths, by torch itself
    for span, token in zip(spans, text, strict=True):
        best = float(logp[span.first : span.last + 1, token].max().exp())
        assert span.probability == pytest.approx(best) and 0.0 <= span.probability <= 1.0


def test_the_same_symbol_twice_has_a_blank_between() -> None:
    logp = torch.full((5, 2), -10.0)
    logp[:, 1] = 0.0  # a blank is never likely
    logp[3] = torch.tensor([-1.0, -0.1])
    first, second = alone(logp, [1, 1])
    assert (first.first, first.last, second.first, second.last) == (0, 2, 4, 4)


def test_a_clip_of_a_batch_is_aligned_as_alone_whatever_pads_it() -> None:
    lengths = torch.tensor([6, 11, 1, 8])
    texts = [[1, 1, 2], [3, 2, 3, 3, 1], [2], []]
    logp = log_probabilities(1, 4, 11, 4)
    together = ctc_align(logp, lengths, texts)
    padded = ctc_align(torch.cat((logp, log_probabilities(2, 4, 5, 4)), dim=1), lengths, texts)
    for row, (text, length) in enumerate(zip(texts, lengths.tolist(), strict=True)):
        assert together[row] == padded[row] == alone(logp[row, :length], text)
        assert all(0 <= span.first <= span.last < length for span in together[row])


def test_a_text_too_long_for_its_frames_is_spread_over_them() -> None:
    logp = log_probabilities(3, 4, 3)
    assert alone(logp, [1, 2] * 4) == [Span(i // 2, i // 2, 0.0) for i in range(8)]
    assert alone(logp, [1, 1, 1]) == [Span(0, 0, 0.0), Span(1, 1, 0.0), Span(2, 3, 0.0)]  # five frames are needed
    assert len(alone(logp, [1, 2, 1, 2])) == 4 and alone(logp, [1, 2, 1, 2])[0].probability > 0


def test_a_symbol_that_cannot_be_is_spread_too() -> None:
    logp = torch.tensor([[0.0, -torch.inf]] * 4)
    assert alone(logp, [1, 1]) == [Span(0, 1, 0.0), Span(2, 3, 0.0)]


def test_an_empty_text_has_no_spans() -> None:
    assert alone(log_probabilities(0, 3, 3), []) == []
    assert ctc_align(log_probabilities(0, 2, 3, 3), torch.tensor([3, 2]), [[], [1]])[0] == []


def test_spikes_are_found_where_they_are() -> None:
    spikes = {4: 1, 9: 2, 10: 2, 20: 2, 33: 3}
    probability = torch.full((40, 4), 0.01)
    probability[:, 0] = 0.97
    for frame, token in spikes.items():
        probability[frame] = 0.05
        probability[frame, token] = 0.85
    spans = alone(probability.log(), [1, 2, 2, 3])
    assert [(s.first, s.last) for s in spans] == [(4, 4), (9, 10), (20, 20), (33, 33)]
    assert [s.probability for s in spans] == pytest.approx([0.85] * 4)


# --- attention


def diagonal(tokens: int, frames: int, width: float = 1.5) -> torch.Tensor:
    """Weights `(L, F)` of tokens that attend about evenly spaced frames."""
    centres = (torch.arange(tokens)[:, None] + 0.5) * frames / tokens
    weights = torch.exp(-(((torch.arange(frames)[None] + 0.5 - centres) / width) ** 2))
    return weights / weights.sum(1, keepdim=True)


def test_attention_along_a_diagonal_is_followed() -> None:
    spans = attention_align(diagonal(5, 50)[None], torch.tensor([50]), [5])[0]
    for index, span in enumerate(spans):
        assert (span.first + span.last) / 2 == pytest.approx(10 * index + 4.5, abs=0.5)
        assert span.last - span.first <= 3  # no further than the weights reach
        assert span.probability == 1.0


def test_attention_to_a_place_out_of_order_is_passed_over() -> None:
    weights = diagonal(5, 50)
    weights[2] = (
        0.6 * weights[4] + 0.4 * weights[2]
    )  # the third token attends to the fifth's place more than to its own
    spans = attention_align(weights[None], torch.tensor([50]), [5])[0]
    assert 20 <= spans[2].first <= spans[2].last < 30
    assert spans[2].probability == pytest.approx(2 / 3, abs=0.01)


def test_attention_of_a_batch_is_followed_as_alone() -> None:
    weights = torch.zeros(2, 5, 50)
    weights[0], weights[1, :3, :20] = diagonal(5, 50), diagonal(3, 20)
    weights[1, 3:, 30:] = 1 / 20  # beyond the text and the recording
    both = attention_align(weights, torch.tensor([50, 20]), [5, 3])
    assert both[1] == attention_align(weights[1:, :3, :20], torch.tensor([20]), [3])[0]


@pytest.mark.parametrize(
    "options",
    [
        *({"combine": c, "cross_nulls": n} for c in ("sequential", "blend", "joint") for n in ("none", "hard")),
        *({"combine": c, "cross_nulls": n} for c in ("sequential", "joint") for n in ("weight", "score")),
        {"text_pitch": "aligned", "vrope": {"radius": "acoustic"}},
        {"features": ("pitch",), "ctc_feature": "pitch", "cross_layers": 2, "stop": "silence"},
    ],
    ids=str,
)
def test_the_weights_are_those_that_the_module_attends_with(
    options: dict[str, Any], make_model: Make, make_features: Make
) -> None:
    model: Echo = make_model(**options)
    encoded = model.encode(collate_features([make_features(frames) for frames in FRAMES]))
    name = "joint" if options.get("combine") == "joint" else model.config.ctc_feature
    cross = model.decoder.stacks[name][-1].cross
    seen: list[Any] = []
    handle = cross.register_forward_hook(lambda module, inputs, out: seen.append((*inputs, out)))
    with torch.inference_mode():
        probability, mean = force(model, encoded, TEXTS, attention=True)
        handle.remove()
        x, memory, out = seen[0]
        weights = cross.weights(cross.queries(x), memory)
        content = memory.value[..., : cross.config.head_width]
        states = cross.output((weights @ content).transpose(1, 2).flatten(2))
        torch.testing.assert_close(states, out, atol=1e-5, rtol=1e-5)
        logp = model.predict(torch.nn.functional.pad(torch.tensor([TEXTS[0]]), (1, 0)), _state(model, make_features))
    frames = encoded.track.null.shape[1]
    assert mean is not None and mean.shape == (4, 5, frames)
    folded = weights.mean(1).reshape(4, 5, -1, frames).sum(2)
    torch.testing.assert_close(mean, folded)
    torch.testing.assert_close(mean.sum(2), torch.ones(4, 5))
    assert float(mean[1, :, int(encoded.lengths[1]) :].abs().sum()) == 0.0  # nothing of the padding
    expected = [float(logp[0, place, token].exp()) for place, token in enumerate(TEXTS[0])]
    assert probability[0].tolist() == pytest.approx(expected, abs=1e-5)


def _state(model: Echo, make_features: Make) -> Any:
    return model.decoder.state(model.encode(collate_features([make_features(FRAMES[0])])), cached=False)


def test_weights_are_computed_only_where_they_are_needed(
    make_model: Make, make_features: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    model: Echo = make_model()
    encoded = model.encode(collate_features([make_features(30)]))
    assert force(model, encoded, [[1, 2]], attention=True)[1] is not None
    monkeypatch.setattr(CrossAttention, "weights", lambda *inputs: pytest.fail("computed"))
    assert force(model, encoded, [[1, 2]])[1] is None
    model.predict(torch.zeros(1, 1, dtype=torch.long), model.decoder.state(encoded))


# --- all together


@pytest.mark.parametrize("method", ["ctc", "attention"])
def test_whatever_the_model_tokens_and_words_are_in_order_within_the_clip(
    method: Any, encoding: dict[str, Any], make_model: Make, make_features: Make
) -> None:
    model: Echo = make_model(**encoding)
    clips = [make_features(frames) for frames in FRAMES]
    with torch.inference_mode():
        encoded = model.encode(collate_features(clips))
        aligned = align(model, encoded, clips, TEXTS, SYMBOLS, method)
    assert aligned[2] == ((), ())
    for clip, text, (tokens, words) in zip(clips, TEXTS, aligned, strict=True):
        assert [token.text for token in tokens] == [SYMBOLS.symbols[i] for i in text]
        assert [word.word for word in words] == SYMBOLS.decode(text).split()
        for items in (tokens, words):
            edges = [edge for item in items for edge in (item.start, item.end)]
            assert edges == sorted(edges) and all(0.0 <= edge <= clip.frames / 100 for edge in edges)
            assert all(0.0 <= item.probability <= 1.0 for item in items)
        for word in words:
            of_word = [t for t in tokens if word.start <= t.start and t.end <= word.end and t.text.strip()]
            assert word.probability <= min(token.probability for token in of_word)


@pytest.mark.parametrize("method", ["ctc", "attention"])
def test_a_clip_is_aligned_in_a_batch_as_alone(method: Any, make_model: Make, make_features: Make) -> None:
    model: Echo = make_model(vrope={"nulls": "weight"})
    clips = [make_features(frames) for frames in FRAMES]
    with torch.inference_mode():
        together = align(model, model.encode(collate_features(clips)), clips, TEXTS, SYMBOLS, method)
        for clip, text, (tokens, words) in zip(clips, TEXTS, together, strict=True):
            ((own, own_words),) = align(model, model.encode(collate_features([clip])), [clip], [text], SYMBOLS, method)
            assert [w.word for w in own_words] == [w.word for w in words]
            for one, other in zip(own, tokens, strict=True):
                assert (one.text, one.start, one.end) == (other.text, other.start, other.end)
                assert one.probability == pytest.approx(other.probability, abs=1e-5)


def test_a_text_longer_than_its_clip_has_times_and_half_the_decoders_probability(
    make_model: Make, make_features: Make
) -> None:
    model: Echo = make_model()
    clip, text = make_features(9), [1, 2, 3, 4, 5, 6, 6]  # three encoder frames
    with torch.inference_mode():
        encoded = model.encode(collate_features([clip]))
        ((tokens, _),) = align(model, encoded, [clip], [text], SYMBOLS)
        chosen, _ = force(model, encoded, [text])
    assert [token.probability for token in tokens] == pytest.approx((chosen[0] / 2).tolist())
    assert tokens[-1].end <= 0.09


def test_only_empty_texts_have_nothing(make_model: Make, make_features: Make) -> None:
    model: Echo = make_model()
    clips = [make_features(20), make_features(30)]
    assert align(model, model.encode(collate_features(clips)), clips, [[], []], SYMBOLS) == [((), ()), ((), ())]


def test_an_unknown_method_is_named(make_model: Make, make_features: Make) -> None:
    model: Echo = make_model()
    encoded = model.encode(collate_features([make_features(20)]))
    with pytest.raises(ValueError, match="method must be one of ctc, attention, got 'dtw'"):
        align(model, encoded, [make_features(20)], [[1]], SYMBOLS, "dtw")  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["ctc", "attention"])
@pytest.mark.parametrize("stop", ["token", "silence"])
def test_words_are_found_where_their_sound_is(
    method: Any, stop: str, make_model: Make, make_features: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clip of two words, a pause, and a model whose CTC and attention find them late and for short."""
    words = ((0.30, 0.71), (0.95, 1.40))  # seconds
    clip = make_features(170)
    time = torch.arange(170) / 100
    recognised = sum(((time >= start - 1e-6) & (time < end - 1e-6)).float() for start, end in words)
    clip = replace(
        clip,
        spectrogram=recognised * (0.5 + 0.5 * torch.rand(8, 170, generator=torch.Generator().manual_seed(0))),
        null=recognised == 0,
    )
    model: Echo = make_model(stop=stop)
    text = SYMBOLS.encode("ab cd")
    places = [10, 13, 20, 27, 32]  # frames of 40 ms; the space in the pause
    encoded = model.encode(collate_features([clip]))
    frames = int(encoded.lengths[0])
    probability = torch.full((1, frames, 7), 0.01)
    probability[:, :, 0] = 0.94
    for place, token in zip(places, text, strict=True):
        probability[0, place, 0], probability[0, place, token] = 0.06, 0.89
    monkeypatch.setattr(model, "ctc_log_probabilities", lambda encoded: probability.log())
    weights = torch.full((1, 5, frames), 1e-3)
    weights[0, range(5), places] = 0.9
    monkeypatch.setattr(CrossAttention, "weights", lambda *inputs: weights[:, None])
    ((_, found),) = align(model, encoded, [clip], [text], SYMBOLS, method)
    assert [word.word for word in found] == ["ab", "cd"]
    with torch.inference_mode():
        chosen, _ = force(model, encoded, [text])
    for word, (start, end) in zip(found, words, strict=True):
        assert word.start == pytest.approx(start - 0.005) and word.end == pytest.approx(end - 0.005)
        sure = [(0.89 + float(chosen[0, place])) / 2 for place in range(5) if text[place] in SYMBOLS.encode(word.word)]
        assert word.probability == pytest.approx(min(sure), abs=1e-4)


def test_tokens_found_in_the_silence_after_a_clip_are_taken_to_be_at_its_end(
    make_model: Make, make_features: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    model: Echo = make_model(stop="silence")
    clip = make_features(20)  # five frames of the clip and eight of silence
    encoded = model.encode(collate_features([clip]))
    probability = torch.full((1, 13, 7), 0.01)
    probability[:, :, 0] = 0.9
    text = SYMBOLS.encode("a b c")
    for place, token in zip((2, 6, 8, 9, 11), text, strict=True):
        probability[0, place, 0], probability[0, place, token] = 0.01, 0.9
    monkeypatch.setattr(model, "ctc_log_probabilities", lambda encoded: probability.log())
    ((_, words),) = align(model, encoded, [clip], [text], SYMBOLS)
    assert [word.word for word in words] == ["a", "b", "c"]
    assert words[0].start < words[0].end <= words[1].start <= words[2].end <= 0.2
