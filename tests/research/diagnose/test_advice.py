"""Each warning comes when it should, does not when it should not, and says what to try."""

from __future__ import annotations

import json
from pathlib import Path

from echo_asr.research.diagnose.advice import (
    counterfactual_notes,
    gate_warnings,
    gradient_warnings,
    pitch_warnings,
    plateau_warnings,
    radius_warnings,
    shortcut_warnings,
    silence_warnings,
)
from echo_asr.research.diagnose.groups import Group, Value
from echo_asr.research.diagnose.probes import Probe
from echo_asr.research.diagnose.zero import ZeroShare


def activations(**rows: tuple[float, float, float]) -> Group:
    names = ("activation_mean", "sparsity", "activation_gradient")
    return Group("a", "A", {name.replace("__", "."): dict(zip(names, row, strict=True)) for name, row in rows.items()})


def test_gates() -> None:
    group = activations(a__gate_activation=(0.01, 0.9, 0.1), b__gate_activation=(1.0, 0.0, 0.0),
                        c__gate_activation=(1.0, 0.0, 0.1), a__mlp_activation=(0.0, 1.0, 0.0))  # fmt: skip
    found = list(gate_warnings(group))
    assert [one.where for one in found] == ["a.gate_activation", "b.gate_activation"]
    assert "all but shut" in str(found[0]) and "; try " in str(found[0])


def test_shortcuts() -> None:
    group = activations(a__x=(5.0, 0.6, 0.0), b__x=(1.0, 0.6, 0.0), c__x=(2.0, 0.1, 0.0))
    assert [one.where for one in shortcut_warnings(group)] == ["a.x"]


def test_radii_and_silence() -> None:
    rows: dict[str, dict[str, Value]] = {"a": {"saturated": 0.6}, "b": {"saturated": 0.1}}
    assert [one.where for one in radius_warnings(Group("r", "R", rows))] == ["a"]
    found = list(silence_warnings([ZeroShare("x", (), 0.2, 0.5, None, (0.05, 0.95))]))
    assert [one.where for one in found] == ["x head 2"] and "20 % of the frames" in found[0].text


def test_gradients_are_compared_with_later_blocks_of_the_same_encoder_or_decoder() -> None:
    def block(stack: str, number: int) -> str:
        return f"{stack}.blocks.{number}.attention.query"

    strengths = {block("encoders.a", 0): 1e-4, block("encoders.a", 1): 1.0, block("encoders.b", 0): 1e-5}
    strengths |= {"encoders.a.front.convolutions.0": 1e-9}
    strengths |= {block("decoder", 0): 1e3, "decoder.stacks.a.0.cross.key": 1e-9}  # the start token's steep norm
    found = list(gradient_warnings([Probe(1.0, {}, strengths, {})]))
    assert [one.where for one in found] == ["encoders.a.blocks.0"]
    assert "1.0e-04 at most, 1.0e+00 in the strongest block after it" in found[0].text


def test_plateau(tmp_path: Path) -> None:
    def write(*errors: float) -> None:
        lines = [json.dumps({"split": "validation", "update": 100 * n, "wer": e}) for n, e in enumerate(errors, 1)]
        (tmp_path / "metrics.jsonl").write_text("\n".join(['{"split": "train", "update": 1}', *lines, '{"cut']))

    assert list(plateau_warnings(tmp_path)) == []
    write(50, 20, 21, 22, 20.5, 21)
    (found,) = plateau_warnings(tmp_path)
    assert "20.0 % at update 200" in found.text and "4 validations ago" in found.text
    write(50, 20, 21, 22, 20.5, 19)
    assert list(plateau_warnings(tmp_path)) == []
    write(50, 2, 2.1, 2.2, 2.1, 2.3)
    assert list(plateau_warnings(tmp_path)) == []


def test_pitch_that_is_not_used_and_pitch_of_which_little_is_known() -> None:
    def group(low: float, change: float, high: float, error: float = 0.0, flat: float = 0.5) -> Group:
        row: dict[str, Value] = {"loss_low": low, "loss_change": change, "loss_high": high, "error_low": error}
        constant: dict[str, Value] = {
            "loss_low": flat / 2,
            "loss_change": flat,
            "loss_high": 2 * flat,
            "error_low": 0.0,
        }
        rows = {"as it is": {"utterances": 9}, "F0 removed, input": row, "F0 constant, input": constant}
        return Group("c", "C", rows)  # type: ignore[arg-type]

    def kinds(made: Group) -> list[str]:
        return [one.kind for one in pitch_warnings(made, ("position", "input"))]

    assert kinds(group(-0.001, 0.0, 0.001)) == ["pitch_unused"]
    assert kinds(group(-0.1, 0.1, 0.3)) == ["pitch_unclear"]
    assert kinds(group(0.1, 0.2, 0.3, flat=1e-4)) == ["voicing_alone"]
    both = group(0.1, 0.2, 0.3, flat=1e-4)
    both.rows["F0 constant, position"] = dict(group(0.1, 0.2, 0.3).rows["F0 constant, input"])
    assert kinds(both) == [], "position hears how high the voice is"
    assert kinds(group(0.1, 0.2, 0.3)) == [] and kinds(group(-0.1, 0.1, 0.3, 2.0)) == []


def test_few_utterances_tell_little() -> None:
    def notes(**row: Value) -> list[str]:
        return list(counterfactual_notes(Group("c", "C", {"as it is": dict(row)})))

    assert notes(word_error=10.0, evaluated=10.4, utterances=30) == [] == notes(word_error=10.0, utterances=30)
    (said,) = notes(word_error=10.0, evaluated=12.0, utterances=40)
    assert "whole recordings give 10.0 %" in said and "as `evaluate` and `transcribe` cut them, 12.0 %" in said
    (said,) = notes(word_error=10.0, utterances=5)
    assert "of 5 utterances the intervals come out too narrow; take 30" in said
    row: dict[str, Value] = {"loss_low": -0.001, "loss_change": 0.0, "loss_high": 0.001, "error_low": 0.0}
    few = Group("c", "C", {"as it is": {"utterances": 5}, "F0 removed, input": row})
    (warning,) = pitch_warnings(few, ("input",))
    assert warning.kind == "pitch_unclear" and "5 utterances are too few" in warning.text and "30" in warning.remedy
