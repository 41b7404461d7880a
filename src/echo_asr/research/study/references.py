"""What hypotheses are compared with under a condition: the texts of all its folds, and who spoke them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

from echo_asr.data.corpus import Corpus
from echo_asr.research.study.plan import Condition, Study
from echo_asr.text.config import TextConfig
from echo_asr.text.tones import ToneNotation

SPEAKERS = 5  # from which many on texts are blocked by speaker: from fewer nothing follows for other speakers


@dataclass(frozen=True)
class References:
    """The references of a condition: normalised texts by utterance, and the block and the speaker or fold of each.

    Attributes:
        ids: of each utterance: the number of its fold, from 0, and its id in that fold's corpus.
        groups: the speaker of each where there are several, else its fold; empty where there is one group.
        grouped_by: `speaker` or `fold`.
        speakers: how many; 0 where not all are known.
        trained_on: how many of a fold's speakers its training has, `none`, `some` or `all`; empty if not all are known.
    """

    ids: tuple[tuple[int, str], ...]
    texts: tuple[str, ...]
    blocks: tuple[Hashable, ...]
    blocked_by: str
    notation: ToneNotation | None  # of their tones
    groups: tuple[str, ...]
    grouped_by: str
    speakers: int
    trained_on: str

    @property
    def shown(self) -> bool:
        """Whether reports tell about each group: of folds, and of speakers too few to stand for others."""
        return self.blocked_by != "speaker" or any(fold for fold, _ in self.ids)

    @staticmethod
    def of(study: Study, condition: Condition, corpora: Mapping[str, Corpus], text: TextConfig) -> References:
        """Those of the split that a study judges by, of all folds one after another."""
        specs = [study.corpus + evaluated for _, evaluated in condition.pairs]
        rows = [(fold, u) for fold, spec in enumerate(specs) for u in corpora[spec].split(study.split)]
        texts = tuple(map(text.normalize, (u.text for _, u in rows)))
        notation = text.measured_notation([u.text for _, u in rows])
        speakers = tuple(u.speaker for _, u in rows)
        by_speaker = all(speakers) and len(set(speakers)) >= SPEAKERS
        blocks = speakers if by_speaker else texts
        ids = tuple((fold, u.id) for fold, u in rows)
        grouped_by = "speaker" if all(speakers) and len(set(speakers)) > 1 else "fold"
        names = condition.each or ("",)
        groups = speakers if grouped_by == "speaker" else tuple(names[fold] for fold, _ in ids)
        return References(
            ids, texts, blocks, "speaker" if by_speaker else "text", notation,
            groups=groups if len(set(groups)) > 1 else (), grouped_by=grouped_by,
            speakers=len(set(speakers)) if all(speakers) else 0, trained_on=_trained_on(study, condition, corpora),
        )  # fmt: skip


def _trained_on(study: Study, condition: Condition, corpora: Mapping[str, Corpus]) -> str:
    """How many of the speakers that are evaluated the training of that fold has, as in `References.trained_on`."""
    known: set[bool] = set()
    for trained, evaluated in condition.pairs:
        ours, theirs = (
            {u.speaker for u in corpora[study.corpus + suffix].split(split)}
            for suffix, split in ((trained, "train"), (evaluated, study.split))
        )
        if not all(ours | theirs):
            return ""
        known |= {speaker in ours for speaker in theirs}
    return "some" if len(known) > 1 else "all" if known == {True} else "none"
