"""A look inside a model while it trains: the probes of `echo-asr diagnose`, as numbers for TensorBoard."""

from __future__ import annotations

from echo_asr.data.batch import collate
from echo_asr.research.diagnose.groups import Group, component_statistics, gate_against_mlp
from echo_asr.research.diagnose.learnt import theta_group
from echo_asr.research.diagnose.probes import probe
from echo_asr.train.loop import Trainer

CLIPS = 8  # of validation, always the same


def look_inside(trainer: Trainer) -> dict[str, float]:
    """Figures by `group/thing/figure`, of the weights as they are after the last update.

    One forward and one backward pass over a few validation clips, in evaluation mode. Neither weights, gradients,
    averages nor random numbers are touched, so a run is the same to the bit with and without.
    """
    examples = trainer.validation[:CLIPS]
    batch = collate([trainer.data.features(e.utterance) for e in examples], [e.tokens for e in examples])
    with trainer.autocast():
        seen = probe(
            trainer.model, batch.to(trainer.model.device), trainer.curriculum.features_at(trainer.progress.step - 1)
        )
    figures = {"loss": seen.loss}
    groups: list[Group] = [component_statistics(trainer.model, [seen]), gate_against_mlp(seen.activations)]
    if trainer.model.config.vrope.theta == "integrated":
        groups.append(theta_group(trainer.model))
    for group in groups:
        for name, row in group.rows.items():
            wanted = ("exponent",) if group.name == "theta" else tuple(row)
            numbers = {n: v for n, v in row.items() if n in wanted and isinstance(v, float)}
            figures |= {f"{group.name}/{name}/{n}": v for n, v in numbers.items()}
    for name, activation in seen.activations.items():
        figures[f"activation_mean/{name}"] = activation.mean
        figures[f"sparsity/{name}"] = activation.sparsity
    return figures
