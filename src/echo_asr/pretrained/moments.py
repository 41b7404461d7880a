"""Mean and variance over what is a recording's own in a padded batch.

Shapes: `B` batch, `N` samples, frames or states, `...` what is told apart beside them.
"""

from __future__ import annotations

from torch import Tensor

from echo_asr.pretrained.encoder import beyond


def own_moments(values: Tensor, counts: Tensor, correction: int = 0) -> tuple[Tensor, Tensor]:
    """Mean and variance over the first `counts` of the second axis.

    Args:
        values: `(B, N, ...)`, float32.
        counts: `(B,)`, more than `correction` each.
        correction: subtracted from the count where the variance is divided by it.

    Returns:
        mean and variance, `(B, 1, ...)`.
    """
    shape = (-1, *[1] * (values.ndim - 1))
    outside = beyond(counts, values.shape[1]).view(*values.shape[:2], *shape[2:])
    number = counts.to(values.dtype).view(shape)
    mean = values.masked_fill(outside, 0.0).sum(1, keepdim=True) / number
    deviation = (values - mean).masked_fill(outside, 0.0)
    return mean, deviation.square().sum(1, keepdim=True) / (number - correction)


def normalised_samples(samples: Tensor, lengths: Tensor, epsilon: float) -> Tensor:
    """Each recording `(B, S)` at mean 0 and variance 1 of its own samples, zero beyond them.

    Args:
        epsilon: added to the variance, as the feature extractor of a family does.
    """
    mean, variance = own_moments(samples, lengths.clamp(min=1))
    normed = (samples - mean) / (variance + epsilon).sqrt()
    return normed.masked_fill(beyond(lengths, samples.shape[1]), 0.0)
