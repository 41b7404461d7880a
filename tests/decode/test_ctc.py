import itertools
import math
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import ctc_loss

from echo_asr.data.batch import Example, check_lengths, ctc_frames
from echo_asr.data.corpus import Utterance
from echo_asr.decode.ctc import CTCPrefixScorer
from echo_asr.errors import EchoError


def log_probabilities(batch: int, frames: int, size: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return (torch.randn(batch, frames, size, generator=draw) * scale).log_softmax(-1)


def written(path: tuple[int, ...]) -> tuple[int, ...]:
    """What an alignment writes: repeats merged, then blanks removed."""
    return tuple(symbol for symbol, _ in itertools.groupby(path) if symbol)


def probabilities_of_texts(logp: Tensor) -> dict[tuple[int, ...], float]:
    """Of every text, by adding up all alignments of a short `(F, V)`."""
    table, found = logp.double().exp().numpy(), defaultdict(float)
    for path in itertools.product(range(table.shape[1]), repeat=table.shape[0]):
        found[written(path)] += math.prod(table[t, symbol] for t, symbol in enumerate(path))
    return found


def expected_scores(logp: Tensor, prefix: tuple[int, ...]) -> np.ndarray:
    """`(V,)`: that the text begins with prefix and symbol; at 0, that it is the prefix."""
    texts = probabilities_of_texts(logp)
    scores = [texts.get(prefix, 0.0)]
    for symbol in range(1, logp.shape[1]):
        begun = (*prefix, symbol)
        scores.append(sum(p for text, p in texts.items() if text[: len(begun)] == begun))
    with np.errstate(divide="ignore"):
        return np.log(np.array(scores))


def follow(scorer: CTCPrefixScorer, tokens: list[list[int]]) -> None:
    """Give each place of each recording its next tokens, one list a step."""
    for step in tokens:
        scorer.advance(torch.arange(len(step)), torch.tensor(step))


@pytest.mark.parametrize("frames", [1, 2, 4, 5])
@pytest.mark.parametrize("length", [0, 1, 2, 3])
def test_prefix_scores_against_every_alignment(length: int, frames: int) -> None:
    logp = log_probabilities(1, frames, 3, seed=frames)
    prefixes = list(itertools.product((1, 2), repeat=length))  # repeats among them
    scorer = CTCPrefixScorer(logp, torch.tensor([frames]), len(prefixes))
    follow(scorer, [[prefix[step] for prefix in prefixes] for step in range(length)])
    scores = scorer.score()[0]
    assert scores.dtype == torch.float64 and not scores.isnan().any()
    for prefix, found in zip(prefixes, scores.numpy(), strict=True):
        expected = expected_scores(logp[0], prefix)
        np.testing.assert_allclose(found, expected, atol=1e-6)
        assert (len(prefix) < frames) or np.isinf(expected[1:]).all(), "no text has more symbols than there are frames"


def test_shorter_recordings_of_a_batch_score_as_if_alone() -> None:
    logp = log_probabilities(3, 5, 3)
    lengths = torch.tensor([5, 2, 3])
    scorer = CTCPrefixScorer(logp, lengths, 2)
    follow(scorer, [[1, 2] * 3, [2, 2] * 3])
    for row, length in enumerate(lengths.tolist()):
        for place, prefix in enumerate([(1, 2), (2, 2)]):
            expected = expected_scores(logp[row, :length], prefix)
            found = scorer.score()[row, place].numpy()
            np.testing.assert_allclose(np.exp(found), np.exp(expected), atol=1e-9)
            np.testing.assert_allclose(found[np.isfinite(expected)], expected[np.isfinite(expected)], atol=1e-6)


def test_what_lies_beyond_a_recording_counts_for_nothing() -> None:
    logp = log_probabilities(2, 6, 4)
    other = torch.where(torch.arange(6)[None, :, None] < 3, logp, log_probabilities(2, 6, 4, seed=9, scale=5.0))
    for scale in (logp, other):
        scorer = CTCPrefixScorer(scale, torch.tensor([3, 3]), 1)
        follow(scorer, [[1, 2]])
        if scale is logp:
            before = scorer.score()
    torch.testing.assert_close(scorer.score(), before, rtol=0, atol=0)


@pytest.mark.parametrize("scale", [1.0, 8.0, 1e4])
@pytest.mark.parametrize("seed", range(3))
def test_whole_texts_score_as_in_torchs_ctc_loss(seed: int, scale: float) -> None:
    lengths = torch.tensor([40, 25, 33])
    logp = log_probabilities(3, 40, 6, seed, scale).double()
    draw = torch.Generator().manual_seed(seed)
    texts = torch.randint(1, 6, (3, 12), generator=draw)
    texts[0, 3:6] = 2  # the same symbol again and again
    scorer = CTCPrefixScorer(logp, lengths, 1)
    for count in range(1, 13):
        scorer.advance(torch.arange(3), texts[:, count - 1])
        expected = -ctc_loss(logp.transpose(0, 1), texts[:, :count], lengths, torch.full((3,), count), reduction="none")
        torch.testing.assert_close(scorer.score()[:, 0, 0], expected, rtol=1e-7, atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_a_prefix_is_worth_what_its_continuations_and_its_end_are_worth(seed: int) -> None:
    logp = log_probabilities(2, 30, 5, seed, 3.0)
    scorer = CTCPrefixScorer(logp, torch.tensor([30, 17]), 1)
    before = torch.zeros(2, dtype=torch.float64)
    for token in (1, 1, 4, 2, 2, 2, 3):
        scores = scorer.score()[:, 0]
        torch.testing.assert_close(scores.logsumexp(-1), before, rtol=1e-6, atol=1e-6)
        before = scores[:, token]
        scorer.advance(torch.arange(2), torch.tensor([token, token]))


def test_places_change_and_finished_ones_stay() -> None:
    logp = log_probabilities(2, 5, 3)
    scorer = CTCPrefixScorer(logp, torch.tensor([5, 4]), 3)
    follow(scorer, [[1, 2, 0] * 2])
    scorer.advance(torch.tensor([1, 1, 0, 5, 3, 4]), torch.tensor([2, 0, 2, 0, 1, 1]))
    prefixes = [[(2, 2), (2,), (1, 2)], [(), (1, 1), (2, 1)]]
    for row, length in enumerate((5, 4)):
        for place, prefix in enumerate(prefixes[row]):
            expected = np.exp(expected_scores(logp[row, :length], prefix))
            np.testing.assert_allclose(scorer.score()[row, place].exp().numpy(), expected, atol=1e-9)


# --- do texts fit?


@pytest.mark.parametrize("length", range(5))
def test_the_fewest_frames_of_a_text_are_those_of_its_shortest_alignment(length: int) -> None:
    for text in itertools.product((1, 2), repeat=length):
        fewest = next(
            n for n in range(10) if any(written(path) == text for path in itertools.product(range(3), repeat=n))
        )
        assert ctc_frames(text) == fewest


def example(tokens: tuple[int, ...], seconds: float, name: str = "a.wav") -> Example:
    return Example(Utterance(name, Path(name), "text", "", "train", seconds), "text", tokens)


@pytest.mark.parametrize("subsampling", [2, 4])
@pytest.mark.parametrize("fastest", [0.9, 1.0, 1.1])
def test_a_text_that_passes_fits_and_one_that_fits_with_a_frame_to_spare_passes(
    subsampling: int, fastest: float
) -> None:
    for samples in (1, 160, 161, 4000, 16_000, 16_001, 23_456):
        perturbed = int(samples / fastest)  # the least that resampling leaves
        frames = math.ceil(math.ceil(max(perturbed, 1) / 160) / subsampling)
        passed = []
        for length in range(1, frames + 3):
            text = tuple(1 + i % 2 for i in range(length))
            try:
                check_lengths([example(text, samples / 16_000)], subsampling, fastest)
                passed.append(length)
            except EchoError:
                break
        assert frames - 1 <= passed[-1] <= frames


def test_texts_that_do_not_fit_are_counted_and_the_first_named() -> None:
    fits, not_ = example((1, 2), 1.0), example((1, 1, 1), 0.16, "long.wav")  # 4 frames hold no 1 1 1
    check_lengths([fits, example((1, 1), 0.16), example((), 0.001), example((1,), 0.001)], 4)
    with pytest.raises(
        EchoError,
        match=r"^2 of 3 texts are too long .*, first long.wav \(0.16 s, 3 tokens\); set model.subsampling 2, drop the "
        "fastest of train.speeds, use a BPE tokenizer, or correct these records, or leave them out with --broken skip$",
    ):
        check_lengths([fits, not_, not_], 4)
    check_lengths([not_], 2)
    with pytest.raises(EchoError, match="^1 of 1 texts"):
        check_lengths([not_], 2, fastest=2.0)
