"""Does it matter? The loss and the free-running error of a trained model when something is taken away or changed.

Every change is compared with the model as it is on the same utterances, so that what utterances differ in cancels out:
the intervals are those of the paired differences, over utterances.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from echo_asr.audio.convert import frames_to_seconds
from echo_asr.data.batch import collate
from echo_asr.decode.batches import BATCH_SECONDS, batches_by_length
from echo_asr.decode.search import search
from echo_asr.decode.transcribe import Recognizer
from echo_asr.evaluate.metrics import count_errors
from echo_asr.features import Features, collate_features
from echo_asr.model.echo import Echo, ctc_losses
from echo_asr.model.encoder import Encoded
from echo_asr.research.compare import compare_errors, compare_values
from echo_asr.research.diagnose import interventions
from echo_asr.research.diagnose.groups import Group, Progress, Value
from echo_asr.vrope import double

UNCHANGED = "as it is"


@dataclass(frozen=True)
class Outcome:
    """How a model did on utterances.

    Attributes:
        loss: `(N,)` float64, teacher-forced, nats a token; see `utterance_losses`.
        errors: `(N,)`, wrong words in the free-running text: inserted, deleted or substituted.
        words: `(N,)`, of the references.
    """

    loss: np.ndarray
    errors: np.ndarray
    words: np.ndarray


def utterance_losses(model: Echo, encoded: Encoded, tokens: Tensor, lengths: Tensor) -> Tensor:
    """Joint loss of each utterance by itself, `(B,)` float64, teacher-forced and without label smoothing.

    `(1 - w)` times the mean negative log probability of the text's tokens and its end (`Echo.predict`), plus `w` times
    the CTC loss a token, `w` being the model's `ctc_weight`. For a model that stops by token 0 it is `Echo.loss` of
    that utterance alone.
    """
    predicted = model.predict(pad(tokens, (1, 0)), model.decoder.state(encoded, cached=False))
    ctc = double(ctc_losses(model.ctc_log_probabilities(encoded), tokens, encoded.lengths, lengths))
    tokens, lengths = tokens.to(predicted.device), lengths.to(predicted.device)
    chosen = -predicted.gather(2, pad(tokens, (0, 1))[..., None])[..., 0]
    inside = torch.arange(chosen.shape[1], device=chosen.device) <= lengths[:, None]
    attention = chosen.masked_fill(~inside, 0.0).sum(1) / (lengths + 1)
    weight = model.config.ctc_weight
    return (1.0 - weight) * attention + weight * ctc / lengths.clamp(min=1)


@torch.inference_mode()
def outcome(
    recognizer: Recognizer,
    clips: Sequence[Features],
    tokens: Sequence[Sequence[int]],
    texts: Sequence[str],
    encoded_clips: Sequence[Features] | None = None,
) -> Outcome:
    """Losses and errors of utterances.

    Args:
        clips: the recordings.
        tokens, texts: the references, as ids and normalised.
        encoded_clips: input of the encoders, where that is not `clips`, which then give the positions alone.
    """
    model, tokenizer = recognizer.bundle.model, recognizer.bundle.tokenizer
    losses, found = np.zeros(len(clips)), [""] * len(clips)
    for group in batches_by_length([frames_to_seconds(c.frames) for c in clips], BATCH_SECONDS):
        batch = collate([clips[i] for i in group], [tokens[i] for i in group]).to(model.device)
        other = None if encoded_clips is None else collate_features([encoded_clips[i] for i in group]).to(model.device)
        with interventions.encoding(model, other):
            encoded = model.encode(batch.features, recognizer.features)
        losses[group] = utterance_losses(model, encoded, batch.tokens, batch.lengths).cpu().numpy()
        for index, best in zip(group, search(model, encoded, recognizer.decode, recognizer.fusion), strict=True):
            found[index] = recognizer.normalize(tokenizer.decode(best.tokens))
    counts = count_errors(texts, found, "word")
    return Outcome(losses, counts[:, :3].sum(1), counts[:, 3])


def counterfactuals(
    recognizer: Recognizer,
    clips: Sequence[Features],
    tokens: Sequence[Sequence[int]],
    texts: Sequence[str],
    progress: Progress | None = None,
    evaluated: float | None = None,
) -> Group:
    """How loss and error change under every change that can matter to the model; see docs/diagnostics.md.

    Args:
        evaluated: word error of the same utterances in %, as `evaluate` finds it, where it is known.
    """
    model = recognizer.bundle.model
    group = Group("counterfactuals", "Counterfactuals: what happens without it, with 95 % intervals")
    before = outcome(recognizer, clips, tokens, texts)
    group.rows[UNCHANGED] = {
        "loss": float(before.loss.mean()),
        "word_error": 100.0 * float(before.errors.sum()) / max(1.0, float(before.words.sum())),
        **({} if evaluated is None else {"evaluated": evaluated}),
        "utterances": len(clips),
    }
    todo = enumerate(changes(model, clips, recognizer.features), start=1)
    for done, (name, changed, inputs, context) in todo:
        with context():
            after = outcome(recognizer, changed, tokens, texts, inputs)
        group.rows[name] = compare(before, after)
        if progress:
            progress(done, name)
    group.remark = "; ".join(_not_shown(model, clips, recognizer.features))
    return group


def compare(before: Outcome, after: Outcome) -> dict[str, Value]:
    """Changes from one outcome to another on the same utterances, with paired 95 % t intervals over utterances: of the
    mean loss in nats a token, and of the word error in points of percent. Where all utterances change alike there is no
    interval, and its ends are the change."""
    words = before.words if before.words.any() else np.ones_like(before.words)
    found = {
        "loss": compare_values(after.loss.tolist(), before.loss.tolist()),
        "error": compare_errors(after.errors[None], before.errors[None], words, range(len(words))),
    }
    row: dict[str, Value] = {}
    for name, each in found.items():
        low, high = each.interval or (each.difference, each.difference)
        row |= {f"{name}_change": each.difference, f"{name}_low": low, f"{name}_high": high}
    return row


Change = tuple[str, Sequence[Features], Sequence[Features] | None, Callable[[], AbstractContextManager[None]]]


def changes(model: Echo, clips: Sequence[Features], features: Sequence[str] | None = None) -> list[Change]:
    """All counterfactuals of a model and recordings: name, recordings, what the encoders get instead (None for the
    same), and a context that changes the model meanwhile."""
    found: list[Change] = []
    where = interventions.places(model, features)
    for name, change in interventions.CHANGES.items():
        if not where or (change is interventions.shuffled_between and len(clips) < 2):
            continue
        changed = change(clips)
        ways = {"position": (changed, clips), "input": (clips, changed), "both": (changed, None)}
        found += [(f"{name}, {place}", *ways[place], nullcontext) for place in where]
    if model.config.gate != "none":
        found.append(("gates opened", clips, None, lambda: interventions.gates_opened(model)))
    if any(each.nulls.mode != "hard" for each in interventions.null_attentions(model, start=False)) and _silent(clips):
        found.append(("silence masked", clips, None, lambda: interventions.nulls_masked(model, start=False)))
    if any(each.nulls.mode != "hard" for each in interventions.null_attentions(model, start=True)):
        found.append(("start token hidden", clips, None, lambda: interventions.nulls_masked(model, start=True)))
    return found


def _not_shown(model: Echo, clips: Sequence[Features], features: Sequence[str] | None) -> Iterator[str]:
    """Counterfactuals that this model or these recordings do not allow, and why."""
    where = interventions.places(model, features)
    if not where:
        yield "F0 reaches this model neither as input nor as position"
    elif "input" not in where:
        yield "F0 is no input of this model (model.features has no pitch)"
    elif "position" not in where:
        yield "no position, gate or bias of this model uses F0"
    if where and len(clips) < 2:
        yield "F0 cannot be shuffled between fewer than two utterances"
    if where and not any((clip.pitch[0] > 0).any() for clip in clips):
        yield "no frame of these recordings is voiced"
    if model.config.gate == "none":
        yield "no gates in this model to open"
    if all(each.nulls.mode == "hard" for each in interventions.null_attentions(model, start=False)):
        yield "silence is masked in this model already"
    elif not _silent(clips):
        yield "these recordings hold no silence to mask"
    if not interventions.null_attentions(model, start=True):
        yield "no text self-attention in this model"
    elif all(each.nulls.mode == "hard" for each in interventions.null_attentions(model, start=True)):
        yield "the start token is hidden in this model already"


def _silent(clips: Sequence[Features]) -> bool:
    return any(bool(clip.null.any()) for clip in clips)
