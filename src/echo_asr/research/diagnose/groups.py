"""The groups of figures that the published report has, from what probes saw.

What each figure means stands in docs/diagnostics.md, under the name of its group.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from statistics import fmean
from typing import Any, TypeVar

from echo_asr.model.echo import Echo
from echo_asr.model.options.combine import BlendDecoder
from echo_asr.research.diagnose.probes import COMPONENTS, PROJECTIONS, Activation, Part, Probe, parts

Value = float | int | str
Rows = dict[str, dict[str, Value]]
Progress = Callable[[int, str], None]
T = TypeVar("T")
MARKS = {"green": "\U0001f7e2", "yellow": "\U0001f7e1", "red": "\U0001f534"}
YELLOW_RATIO = 2.0  # gate over MLP; what the marks of the published report agree with
RED_RATIO = 5.0  # Echo's own
ENOUGH_DIGITS = 6
ANALYSIS = "Activation analysis (high sparsity with high mean may indicate shortcuts)"


@dataclass
class Group:
    """Figures of one kind.

    Attributes:
        name: the key in report.json, and the heading of docs/diagnostics.md that defines them.
        title: for people; that of the published report where it has the group.
        rows: figures by name, for each thing that has them. Numbers are finite.
        remark: what cannot be shown of this model, or how to read the rest.
    """

    name: str
    title: str
    rows: Rows = field(default_factory=dict)
    remark: str = ""

    @property
    def columns(self) -> list[str]:
        """The names of the figures, in the order in which they come."""
        return list(dict.fromkeys(name for row in self.rows.values() for name in row))

    def to_dict(self) -> dict[str, Any]:
        """The object in report.json."""
        rows = {key: {name: _rounded(value) for name, value in row.items()} for key, row in self.rows.items()}
        definition = f"docs/diagnostics.md#{self.name}"
        return {"definition": definition, "title": self.title, "remark": self.remark, "rows": rows}


def published_groups(model: Echo, probes: Sequence[Probe]) -> list[Group]:
    """All groups that the published report has, from probes of one or more batches."""
    known = parts(model)
    gradients = mean_gradients(probes)
    activations = mean_activations(probes)
    attentions = _attentions(known, gradients)
    norms: Rows = {name: {"gradient": norm} for name, norm in gradients.items() if known[name].component == "norm"}
    active: Rows = {
        name: {"activation_mean": a.mean, "sparsity": a.sparsity, "activation_gradient": a.gradient}
        for name, a in activations.items()
    }
    return [
        component_statistics(model, probes),
        attention_ratios(attentions),
        _attention_gradients("encoder", attentions),
        _attention_gradients("decoder", attentions),
        Group("norm_gradients", "Layer norm gradients", norms),
        blend_parameters(model, gradients),
        Group("activation_analysis", ANALYSIS, active),
        gate_against_mlp(activations),
    ]


def mean_gradients(probes: Sequence[Probe]) -> dict[str, float]:
    """Gradient norms by part, a mean over the batches."""
    return {name: fmean(norms) for name, norms in _by_name([one.gradients for one in probes]).items()}


def mean_activations(probes: Sequence[Probe]) -> dict[str, Activation]:
    """Activations by name, a mean over the batches."""
    return {
        name: Activation(fmean(a.mean for a in all_), fmean(a.sparsity for a in all_), fmean(a.gradient for a in all_))
        for name, all_ in _by_name([one.activations for one in probes]).items()
    }


def _by_name(found: Sequence[Mapping[str, T]]) -> dict[str, list[T]]:
    """What each name stands for in all the mappings that have it."""
    return {name: [one[name] for one in found if name in one] for name in dict.fromkeys(chain(*found))}


def component_statistics(model: Echo, probes: Sequence[Probe]) -> Group:
    """Mean, lowest and highest gradient norm of each component, over its parts and the batches."""
    known = parts(model)
    samples: dict[str, list[float]] = {component: [] for component in COMPONENTS}
    for one in probes:
        for name, norm in one.gradients.items():
            samples[known[name].component].append(norm)
    rows: Rows = {
        component: {"mean": fmean(norms), "min": min(norms), "max": max(norms), "samples": len(norms)}
        for component, norms in samples.items()
        if norms
    }
    absent = {
        "gate": "no gates in this model (model.gate none)",
        "blend": f"no blend weights in this model (model.combine {model.config.combine})",
    }
    remark = "; ".join(text for component, text in absent.items() if not samples[component])
    return Group("component_statistics", "Component statistics", rows, remark)


def attention_ratios(attentions: Mapping[str, Mapping[str, float]]) -> Group:
    """How the gradients of an attention's four projections relate; a ratio to nothing is left out."""
    rows: Rows = {}
    left_out = False
    for name, norms in attentions.items():
        q, k, v, o = (norms.get(component, 0.0) for component in "qkvo")
        wanted = {
            "o_v_ratio": _over(o, v),
            "q_k_sim": _over(min(q, k), max(q, k)),
            "qk_v_ratio": _over(q + k, v),
            "v_k_ratio": _over(v, k),
            "v_q_ratio": _over(v, q),
        }
        rows[name] = {figure: value for figure, value in wanted.items() if value is not None}
        left_out |= len(rows[name]) < len(wanted)
    remark = "ratios to a gradient of zero are left out" if left_out else ""
    return Group("attention_component_ratios", "Attention component ratios", rows, remark)


def blend_parameters(model: Echo, gradients: Mapping[str, float]) -> Group:
    """The blend weights and their gradients."""
    group = Group("cross_attention_blend", "Cross-attention blend parameters")
    if not isinstance(model.decoder, BlendDecoder):
        group.remark = f"no blend weights in this model (model.combine {model.config.combine})"
        return group
    for name, raw in model.decoder.blends.items():
        row: dict[str, Value] = {"blend": float(raw.detach().sigmoid()), "raw": float(raw.detach())}
        full = f"decoder.blends.{name}"
        group.rows[full] = row | ({"gradient": gradients[full]} if full in gradients else {})
    return group


def gate_against_mlp(activations: Mapping[str, Activation]) -> Group:
    """The gate's activation beside that of the feed-forward it opens, with a mark."""
    group = Group("gate_against_mlp", "Gate vs MLP activation patterns")
    for name, gate in activations.items():
        block = name.removesuffix(".gate_activation")
        if block == name:
            continue
        mlp = activations[f"{block}.mlp_activation"]
        ratio = _over(gate.mean, mlp.mean)
        known = {} if ratio is None else {"activation_ratio": ratio}
        group.rows[block] = {**known, "sparsity_difference": gate.sparsity - mlp.sparsity, "mark": mark(ratio)}
    if not group.rows:
        group.remark = "no gates in this model (model.gate none)"
    return group


def mark(ratio: float | None) -> str:
    """Green below 2, yellow from 2, red from 5 and where there is none."""
    return "red" if ratio is None or ratio >= RED_RATIO else "yellow" if ratio >= YELLOW_RATIO else "green"


def _attentions(known: Mapping[str, Part], gradients: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Gradient norms of Q, K, V and O by attention."""
    found: dict[str, dict[str, float]] = {}
    for name, norm in gradients.items():
        if known[name].component in PROJECTIONS.values():
            found.setdefault(name.rpartition(".")[0], {})[known[name].component] = norm
    return found


def _attention_gradients(part: str, attentions: Mapping[str, Mapping[str, float]]) -> Group:
    """Of the attentions of the encoders or the decoder."""
    rows: Rows = {
        name: {"q": n["q"], "k": n["k"], "v": n["v"], "sum": n["q"] + n["k"] + n["v"]}
        for name, n in attentions.items()
        if name.startswith(part) and {"q", "k", "v"} <= n.keys()
    }
    return Group(f"{part}_attention_gradients", f"{part.capitalize()} attention gradients", rows)


def _over(a: float, b: float) -> float | None:
    found = a / b if b > 0 else math.inf
    return found if math.isfinite(found) else None


def _rounded(value: Value) -> Value:
    if not isinstance(value, float):
        return value
    if not math.isfinite(value):
        raise ValueError(f"figures must be finite, got {value}")
    return float(f"{value:.{ENOUGH_DIGITS}g}")
