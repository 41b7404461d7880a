"""A curriculum of features: some of a model's features take part in training from a later update on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from echo_asr.errors import EchoError
from echo_asr.model.config import ModelConfig
from echo_asr.train.config import TrainConfig


@dataclass(frozen=True)
class Curriculum:
    """When each feature begins to take part.

    Attributes:
        features: of the model, in its order.
        ctc_feature: the one that CTC reads, which takes part from the beginning.
        starts: the first update (from 0) of those that begin later.
    """

    features: tuple[str, ...]
    ctc_feature: str
    starts: Mapping[str, int]

    @classmethod
    def of(cls, model: ModelConfig, train: TrainConfig) -> Curriculum:
        """That of a configuration."""
        return cls(model.features, model.ctc_feature, train.curriculum)

    @property
    def complete_from(self) -> int:
        """The first update in which all features take part."""
        return max(self.starts.values(), default=0)

    def features_at(self, step: int) -> tuple[str, ...]:
        """The features that take part in update `step` (from 0)."""
        return tuple(name for name in self.features if self.starts.get(name, 0) <= step)

    def check(self, updates: int, where: str) -> None:
        """Make sure that a training of so many updates can follow it; `where` is named in errors.

        Raises:
            EchoError: it names a feature that the model does not have, keeps CTC's feature away, or brings one in when
                training is over.
        """
        unknown = [name for name in self.starts if name not in self.features]
        if unknown:
            raise EchoError(
                f"{where}: train.curriculum names {unknown[0]!r}; model.features are {', '.join(self.features)}"
            )
        if self.starts.get(self.ctc_feature, 0) > 0:
            raise EchoError(f"{where}: train.curriculum must leave {self.ctc_feature}, model.ctc_feature, at update 0")
        late = [name for name, update in self.starts.items() if update >= updates]
        if late:  # the model would be left with an encoder that never learnt
            raise EchoError(
                f"{where}: train.curriculum brings {late[0]} in at update {self.starts[late[0]]}, and train.max_steps "
                f"is {updates}; bring it in earlier, or leave it out of model.features"
            )
