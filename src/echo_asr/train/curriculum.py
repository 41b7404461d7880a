"""A curriculum of features: some of a model's features take part in training from a later update on."""

from __future__ import annotations

from dataclasses import dataclass

from echo_asr.errors import EchoError
from echo_asr.model.config import ModelConfig
from echo_asr.train.config import TrainConfig


@dataclass(frozen=True)
class Curriculum:
    """When each feature of a model begins to take part: at update 0, or where `train.curriculum` has it later. The one
    that CTC reads takes part from the beginning."""

    model: ModelConfig
    train: TrainConfig

    @property
    def complete_from(self) -> int:
        """The first update in which all features take part."""
        return max(self.train.curriculum.values(), default=0)

    def features_at(self, step: int) -> tuple[str, ...]:
        """The features that take part in update `step` (from 0)."""
        return tuple(name for name in self.model.features if self.train.curriculum.get(name, 0) <= step)

    def check(self, where: str) -> None:
        """Make sure that the training can follow it; `where` is named in errors.

        Raises:
            EchoError: it names a feature that the model does not have, keeps CTC's feature away, or brings one in when
                training is over.
        """
        starts, features, first = self.train.curriculum, self.model.features, self.model.ctc_feature
        unknown = [name for name in starts if name not in features]
        if unknown:
            raise EchoError(f"{where}: train.curriculum names {unknown[0]!r}; model.features are {', '.join(features)}")
        if starts.get(first, 0) > 0:
            raise EchoError(f"{where}: train.curriculum must leave {first}, model.ctc_feature, at update 0")
        late = [name for name, update in starts.items() if update >= self.train.max_steps]
        if late:  # the model would be left with an encoder that never learnt
            raise EchoError(
                f"{where}: train.curriculum brings {late[0]} in at update {starts[late[0]]}, and train.max_steps "
                f"is {self.train.max_steps}; bring it in earlier, or leave it out of model.features"
            )
