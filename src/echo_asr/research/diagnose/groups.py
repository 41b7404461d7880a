"""The groups of figures that the published report has, from what probes saw.

What each figure means stands in docs/diagnostics.md, under the name of its group.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from echo_asr.model.echo import Echo
from echo_asr.model.options.combine import BlendDecoder
from echo_asr.research.diagnose.probes import COMPONENTS, PROJECTIONS, Activation, Part, Probe, parts

Value = float | int | str
MARKS = {"green": "\U0001f7e2", "yellow": "\U0001f7e1", "red": "\U0001f534"}
YELLOW_RATIO = 2.0  # gate over MLP; what the marks of the published report agree with
RED_RATIO = 5.0  # Echo's own
ENOUGH_DIGITS = 6


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
    rows: dict[str, dict[str, Value]] = field(default_factory=dict)
    remark: str = ""

    @property
    def columns(self) -> list[str]:
        """The names of the figures, in the order in which they come."""
        return list(dict.fromkeys(name for row in self.rows.values() for name in row))

    def to_dict(self) -> dict[str, Any]:
        """The object in report.json."""
        rows = {key: {name: _rounded(value) for name, value in row.items()} for key, row in self.rows.items()}
        return {
            "definition": f"docs/diagnostics.md#{self.name}",
            "title": self.title,
            "remark": self.remark,
            "rows": rows,
        }


def published_groups(model: Echo, probes: Sequence[Probe]) -> list[Group]:
    """All groups that the published report has, from probes of one or more batches."""
    known = parts(model)
    gradients = mean_gradients(probes)
    activations = mean_activations(probes)
    attentions = _attentions(known, gradients)
    encoder, decoder = (
        {name: found for name, found in attentions.items() if name.startswith(start)}
        for start in ("encoders.", "decoder.")
    )
    return [
        component_statistics(model, probes),
        attention_ratios(attentions),
        _attention_gradients("encoder_attention_gradients", "Encoder attention gradients", encoder),
        _attention_gradients("decoder_attention_gradients", "Decoder attention gradients", decoder),
        Group(
            "norm_gradients",
            "Layer norm gradients",
            {
                name: {"gradient": gradients[name]}
                for name, part in known.items()
                if part.component == "norm" and name in gradients
            },
        ),
        blend_parameters(model, gradients),
        Group(
            "activation_analysis",
            "Activation analysis (high sparsity with high mean may indicate shortcuts)",
            {
                name: {"activation_mean": a.mean, "sparsity": a.sparsity, "activation_gradient": a.gradient}
                for name, a in activations.items()
            },
        ),
        gate_against_mlp(activations),
    ]


def mean_gradients(probes: Sequence[Probe]) -> dict[str, float]:
    """Gradient norms by part, a mean over the batches."""
    names = dict.fromkeys(name for one in probes for name in one.gradients)
    return {name: fmean(one.gradients[name] for one in probes if name in one.gradients) for name in names}


def mean_activations(probes: Sequence[Probe]) -> dict[str, Activation]:
    """Activations by name, a mean over the batches."""
    names = dict.fromkeys(name for one in probes for name in one.activations)
    found = {name: [one.activations[name] for one in probes if name in one.activations] for name in names}
    return {
        name: Activation(fmean(a.mean for a in all_), fmean(a.sparsity for a in all_), fmean(a.gradient for a in all_))
        for name, all_ in found.items()
    }


def component_statistics(model: Echo, probes: Sequence[Probe]) -> Group:
    """Mean, lowest and highest gradient norm of each component, over its parts and the batches."""
    known = parts(model)
    samples: dict[str, list[float]] = {component: [] for component in COMPONENTS}
    for one in probes:
        for name, norm in one.gradients.items():
            samples[known[name].component].append(norm)
    rows: dict[str, dict[str, Value]] = {
        component: {"mean": fmean(norms), "min": min(norms), "max": max(norms), "samples": len(norms)}
        for component, norms in samples.items()
        if norms
    }
    absent = []
    if not samples["gate"]:
        absent.append("no gates in this model (model.gate none)")
    if not samples["blend"]:
        absent.append(f"no blend weights in this model (model.combine {model.config.combine})")
    return Group("component_statistics", "Component statistics", rows, "; ".join(absent))


def attention_ratios(attentions: Mapping[str, Mapping[str, float]]) -> Group:
    """How the gradients of an attention's four projections relate; a ratio to nothing is left out."""
    rows: dict[str, dict[str, Value]] = {}
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
        difference = gate.sparsity - mlp.sparsity
        row: dict[str, Value] = {"sparsity_difference": difference}
        ratio = _over(gate.mean, mlp.mean)
        if ratio is None:
            row["mark"] = "red"
        else:
            row = {"activation_ratio": ratio, **row, "mark": mark(ratio)}
        group.rows[block] = row
    if not group.rows:
        group.remark = "no gates in this model (model.gate none)"
    return group


def mark(ratio: float) -> str:
    """Green below 2, yellow from 2, red from 5."""
    return "red" if ratio >= RED_RATIO else "yellow" if ratio >= YELLOW_RATIO else "green"


def _attentions(known: Mapping[str, Part], gradients: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Gradient norms of Q, K, V and O by attention."""
    found: dict[str, dict[str, float]] = {}
    for name, norm in gradients.items():
        if known[name].component in PROJECTIONS.values():
            found.setdefault(name.rpartition(".")[0], {})[known[name].component] = norm
    return found


def _attention_gradients(name: str, title: str, attentions: Mapping[str, Mapping[str, float]]) -> Group:
    return Group(
        name,
        title,
        {
            key: {"q": n["q"], "k": n["k"], "v": n["v"], "sum": n["q"] + n["k"] + n["v"]}
            for key, n in attentions.items()
            if {"q", "k", "v"} <= n.keys()
        },
    )


def _over(a: float, b: float) -> float | None:
    found = a / b if b > 0 else math.inf
    return found if math.isfinite(found) else None


def _rounded(value: Value) -> Value:
    if not isinstance(value, float):
        return value
    if not math.isfinite(value):
        raise ValueError(f"figures must be finite, got {value}")
    return float(f"{value:.{ENOUGH_DIGITS}g}")


Progress = Callable[[int, str], None]
