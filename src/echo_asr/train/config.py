"""How a model is trained."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from echo_asr.data.perturbation import Perturbation
from echo_asr.data.spec_augment import SpecAugment


@dataclass(frozen=True)
class TrainConfig:
    """Everything about training that is not the model.

    Raises:
        ValueError: a value out of its range; the message names the field.
    """

    seed: int = 0  # of the weights, the order and the augmentation
    max_steps: int = 2000  # updates of the weights
    batch_seconds: float = 120.0  # seconds of audio in a batch, padding included
    accumulate: int = 1  # batches whose gradients make one update
    learning_rate: float = 2e-3  # at its peak, after the warm-up
    encoder_rate: float = 0.1  # factor on the rate of what is trained of a pretrained encoder
    layer_decay: float = 1.0  # factor on that from each of its layers to the one below
    frozen_updates: int = 0  # at first, in which nothing of it is trained
    warmup_steps: int = 200  # updates over which the rate rises from 0
    final_rate: float = 0.02  # share of the peak rate at the last update, reached along a cosine
    weight_decay: float = 0.02  # of matrices; norms, biases and vRoPE's scalars have none
    gradient_clip: float = 1.0  # largest norm of the gradient
    label_smoothing: float = 0.1  # of the cross-entropy
    ema_decay: float = 0.995  # of the averaged weights that are validated and saved
    precision: Literal["auto", "float32", "bfloat16"] = "auto"  # auto: bfloat16 on a GPU that has it
    gradient_checkpointing: bool = False  # compute what is inside a block twice, and keep it never
    compile: bool = False  # compile the blocks with torch.compile
    shard: Literal["none", "full"] = "none"  # full: each of several processes holds a part of the model only
    loaders: int = 1  # threads that make batches ready
    curriculum: dict[str, int] = field(default_factory=dict)  # update from which a feature takes part; 0 unless named
    speeds: tuple[float, ...] = (0.9, 1.0, 1.1)  # factors on the speed of recordings, drawn at random
    semitones: tuple[float, ...] = (0.0,)  # by which voices are moved, formants and tempo kept, drawn at random
    augment: SpecAugment = field(default_factory=SpecAugment)  # masks on the features
    noisy_copies: int = 2  # perturbations of each recording in noise, drawn as often as each clean perturbation
    clean_start: float = 0.5  # share of the updates before noisy copies and concatenated recordings come in
    concatenated_share: float = 0.1  # recordings joined with silence between, as a share of the training clips
    noise_share: float = 0.04  # clips of noise and silence with empty text, as a share of the training clips
    validate_every: int = 250  # updates between free-running validations
    validation_utterances: int = 300  # at most, the same each time
    checkpoint_every: int = 250  # updates between checkpoints to resume from
    log_every: int = 20  # updates between lines of metrics
    diagnose_every: int = 0  # updates between looks inside the model, for TensorBoard; 0 for none

    def __post_init__(self) -> None:
        positive = ("max_steps", "batch_seconds", "accumulate", "learning_rate", "encoder_rate", "gradient_clip",
                    "loaders", "validate_every", "validation_utterances", "checkpoint_every", "log_every")  # fmt: skip
        for name in positive:
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"train.{name} must be positive, got {getattr(self, name)}")
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"train.seed must lie in [0, 2^63), got {self.seed}")
        for name in ("ema_decay", "label_smoothing", "noise_share", "concatenated_share", "clean_start"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"train.{name} must lie in [0, 1), got {getattr(self, name)}")
        for name in ("final_rate", "layer_decay"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"train.{name} must lie in [0, 1], got {getattr(self, name)}")
        for name in ("weight_decay", "warmup_steps", "frozen_updates", "noisy_copies", "diagnose_every"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"train.{name} must not be negative, got {getattr(self, name)}")
        if any(step < 0 for step in self.curriculum.values()):
            raise ValueError(f"train.curriculum: updates must not be negative, got {self.curriculum}")
        if not self.speeds or not all(0.5 <= speed <= 2.0 for speed in self.speeds):
            raise ValueError(f"train.speeds must be factors from 0.5 to 2, at least one, got {self.speeds}")
        if not self.semitones or not all(-12.0 <= moved <= 12.0 for moved in self.semitones):
            raise ValueError(f"train.semitones must be shifts from -12 to 12, at least one, got {self.semitones}")

    @property
    def clean(self) -> tuple[Perturbation, ...]:
        """The perturbations of recordings at first, drawn at random: each speed with each shift of the voice."""
        return tuple(Perturbation(speed, moved) for speed in self.speeds for moved in self.semitones)

    @property
    def perturbations(self) -> tuple[Perturbation, ...]:
        """The perturbations later on: these, and each noise."""
        noisy = (Perturbation(noise=number) for number in range(1, self.noisy_copies + 1))
        return (*self.clean, *noisy)
