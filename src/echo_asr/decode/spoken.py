"""Whether a text was spoken, or heard into a sound that is none.

A sound that a model was never trained on can make its decoder write something. CTC, the decoder and the encoder each
know how probable it is that somebody spoke, and seldom are all of them wrong (RESULTS.md). What is known of a recording
and a text of `n` tokens:

- the evidence, in nats: the geometric mean of `log(P(text) / P()) / n`, the log likelihood ratio of CTC for the text
  against no text, and `-log P()` of the decoder before the first token; 0 where one of them is not above 0, or CTC
  has no path for the text;
- the states of the encoder of CTC, pooled: mean, deviation and maximum of each dimension over the frames that are not
  silence.

`echo_asr.model.calibration.SpeechProbability` makes a probability of both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from echo_asr.decode.search import Hypothesis
from echo_asr.model.echo import Echo, ctc_losses
from echo_asr.model.encoder import Encoded

MOST = 50.0  # nats of the decoder; more than that says no more


def evidence(log_probabilities: Tensor, lengths: Tensor, found: Sequence[Hypothesis]) -> list[float]:
    """The evidence for a text of each recording of a batch, in nats; 0 for an empty text.

    Args:
        log_probabilities, lengths: of CTC, `(B, F, V)` and `(B,)`.
    """
    texts = ctc_text(log_probabilities, lengths, [one.tokens for one in found])
    ratios = texts - ctc_text(log_probabilities, lengths, [[]] * len(found))
    ratios = ratios.clamp(min=0.0).masked_fill(texts == 0.0, 0.0)  # no path of CTC is that long
    return [
        math.sqrt(ratio / len(one.tokens) * min(max(-one.empty, 0.0), MOST)) if one.tokens else 0.0
        for one, ratio in zip(found, ratios.tolist(), strict=True)
    ]


def ctc_text(log_probabilities: Tensor, lengths: Tensor, texts: Sequence[Sequence[int]]) -> Tensor:
    """The log probability of each text under CTC, `(B,)`; `ctc_losses` gives 0 for one that needs more frames."""
    tokens = pad_sequence([torch.tensor(text, dtype=torch.long) for text in texts], batch_first=True)
    sizes = torch.tensor([len(text) for text in texts])
    return -ctc_losses(log_probabilities, tokens, lengths, sizes).cpu().double()


@torch.inference_mode()
def pooled_states(model: Echo, encoded: Encoded) -> Tensor:
    """Mean, deviation and maximum of the states of each recording, `(B, 3 D)` float32 on the CPU; of silence over all
    of its frames."""
    states = encoded.states[model.config.ctc_feature].float()
    silent, padding = encoded.track.null, encoded.track.padding
    left_out = padding | (silent & (~silent & ~padding).any(1, keepdim=True))
    kept = (~left_out)[..., None]
    count = kept.sum(1).clamp(min=1)
    mean = (states * kept).sum(1) / count
    deviation = (((states - mean[:, None]) * kept).square().sum(1) / count).sqrt()
    most = states.masked_fill(~kept, -torch.inf).amax(1)
    return torch.cat((mean, deviation, most), dim=1).cpu()
