from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echo_asr.train.config import TrainConfig

POSITIVE = ("max_steps", "batch_seconds", "accumulate", "learning_rate", "gradient_clip", "validate_every",
            "validation_utterances", "checkpoint_every", "log_every")  # fmt: skip
SHARES = ("ema_decay", "label_smoothing", "noise_share")
NOT_NEGATIVE = ("weight_decay", "warmup_steps")


@pytest.mark.parametrize("name", POSITIVE)
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_what_counts_or_scales_is_positive(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"train.{name} must be positive, got {value}"):
        TrainConfig(**{name: value})


@pytest.mark.parametrize("name", SHARES)
@pytest.mark.parametrize("value", [-0.1, 1.0, float("nan")])
def test_shares_lie_below_one(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"train.{name} must lie in \[0, 1\), got {value}"):
        TrainConfig(**{name: value})


@pytest.mark.parametrize("name", NOT_NEGATIVE)
@pytest.mark.parametrize("value", [-1, float("nan")])
def test_some_may_be_zero_but_not_negative(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"train.{name} must not be negative, got {value}"):
        TrainConfig(**{name: value})
    TrainConfig(**{name: 0})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"final_rate": 1.5}, r"train.final_rate must lie in \[0, 1\], got 1.5"),
        ({"final_rate": float("nan")}, "train.final_rate"),
        ({"seed": -1}, r"train.seed must lie in .*, got -1"),
        ({"seed": 2**64}, "train.seed"),
        ({"speeds": ()}, r"train.speeds must be factors from 0.5 to 2, at least one, got \(\)"),
        ({"speeds": (1.0, 0.4)}, "train.speeds"),
        ({"speeds": (1.0, 2.1)}, "train.speeds"),
        ({"speeds": (1.0, float("nan"))}, "train.speeds"),
        ({"semitones": ()}, r"train.semitones must be shifts from -12 to 12, at least one, got \(\)"),
        ({"semitones": (0.0, 12.5)}, "train.semitones"),
        ({"semitones": (float("nan"),)}, "train.semitones"),
    ],
)
def test_other_impossible_values_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainConfig(**options)


@given(st.sampled_from(POSITIVE + SHARES + NOT_NEGATIVE + ("final_rate",)), st.floats(allow_nan=True))
def test_whatever_is_accepted_is_a_number_in_its_range(name: str, value: float) -> None:
    try:
        kept = getattr(TrainConfig(**{name: value}), name)
    except ValueError as error:
        assert f"train.{name} must" in str(error)
        return
    assert 0.0 <= kept < float("inf")
    assert kept <= 1.0 or name not in (*SHARES, "final_rate")
