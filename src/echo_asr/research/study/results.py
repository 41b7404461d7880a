"""From the results of jobs to figures: values of endpoints, paired comparisons, a verdict for each arm."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from echo_asr.data.corpus import Corpus
from echo_asr.evaluate.measures import Measure, measure_errors
from echo_asr.research.compare import Comparison, compare_errors, compare_values, holm
from echo_asr.research.study.plan import AS_RECORDED, INVENTED, Condition, Endpoint, Study
from echo_asr.research.study.references import References
from echo_asr.research.study.speakers import GroupRow, compare_groups, mean_errors

REFUSED_BELOW = 0.05  # p after Holm's correction, under which a difference is significant
NULL = "not significant"  # verdict of an interval that holds 0

Results = Mapping[tuple[str, str, int], dict[str, Any]]  # arm, suffix that it was trained with, seed -> result.json


@dataclass(frozen=True)
class Row:
    """One arm by one endpoint under one condition, compared with one other.

    Attributes:
        values: of each seed in `seeds`; percent, or updates (None: never reached).
        mean: of the values; None where one is missing.
        against: the arm compared with, empty for the baseline; `comparison` is over the seeds that both have.
        p_holm: of the comparison, corrected over the arms by this endpoint and condition.
        verdict: `better`, `worse`, `not significant`, or empty where there is nothing to compare.
    """

    condition: str
    endpoint: str
    unit: str
    arm: str
    seeds: tuple[int, ...]
    values: tuple[float | None, ...]
    mean: float | None
    against: str = ""
    comparison: Comparison | None = None
    p_holm: float | None = None
    verdict: str = ""


def analyse(
    study: Study, results: Results, corpora: Mapping[str, Corpus]
) -> tuple[list[Row], list[GroupRow], list[dict[str, Any]]]:
    """Rows of all conditions, endpoints and arms; those of each speaker or fold; and the learning curves, a point a
    validation.

    Args:
        corpora: by spec, with a validation split held out where they need one and have none.
    """
    text = study.arm(study.baseline).sections["text"]
    # Normalising heeds the notation of the tones.
    text, _ = text.find_tones(u.text for c in corpora.values() for u in c.utterances if u.split == study.split)
    rows: list[Row] = []
    groups: list[GroupRow] = []
    curves: list[dict[str, Any]] = []
    for condition in study.conditions:
        texts = References.of(study, condition, corpora, text)
        scorer = _Scorer(study, condition, texts, results, text.normalize)
        for endpoint in study.endpoints:
            rows += scorer.rows(endpoint)
            groups += scorer.groups(endpoint)
        curves += scorer.curves()
    return rows, groups, curves


class _Scorer:
    """Errors of jobs under one condition, of all its folds together; hypotheses are compared with references once."""

    def __init__(
        self, study: Study, condition: Condition, texts: References, results: Results, normalize: Callable[[str], str]
    ) -> None:
        self.study, self.condition, self.texts = study, condition, texts
        self.results, self.normalize = results, normalize
        self.pairs = condition.pairs
        self.validated = condition.train == condition.evaluate and not condition.search and study.split == "validation"
        self._known: dict[tuple[str, int, int, str], tuple[np.ndarray, np.ndarray]] = {}

    def seeds(self, arm: str) -> tuple[int, ...]:
        """Those with which an arm has a result in every fold."""
        return tuple(s for s in self.study.seeds if all((arm, train, s) in self.results for train, _ in self.pairs))

    def folds(self, arm: str, seed: int) -> list[tuple[str, dict[str, Any]]]:
        """The spec that is evaluated and the result, of each fold."""
        return [(self.study.corpus + evaluated, self.results[arm, train, seed]) for train, evaluated in self.pairs]

    def updates(self, arm: str, seed: int) -> list[int]:
        """Those at which every fold was validated."""
        first, *others = ([v["update"] for v in result["validations"]] for _, result in self.folds(arm, seed))
        return [update for update in first if all(update in other for other in others)]

    def errors(self, arm: str, seed: int, update: int, measure: str) -> tuple[np.ndarray, np.ndarray]:
        """Errors and units `(U,)` at an update, 0 for the last."""
        key = (arm, seed, update, measure)
        if key not in self._known:
            folds = self.folds(arm, seed)
            if measure == INVENTED:
                texts = [text for _, result in folds for text in result["invented"]]
                invented = np.array([bool(self.normalize(text).strip()) for text in texts], dtype=np.int64)
                self._known[key] = invented, np.ones(len(invented), dtype=np.int64)
                return self._known[key]
            written: dict[tuple[int, str], str] = {}
            for fold, (spec, result) in enumerate(folds):
                if update:  # a validation has the ids of all
                    found = {**result, **next(v for v in result["validations"] if v["update"] == update)}
                else:
                    found = result["evaluations"][self.condition.evaluation(spec)]
                written |= {(fold, name): text for name, text in zip(found["ids"], found["hypotheses"], strict=True)}
            hypotheses = [self.normalize(written[name]) for name in self.texts.ids]
            kind: Measure = measure  # type: ignore[assignment]  # read_study let no other pass
            self._known[key] = measure_errors(self.texts.texts, hypotheses, kind, self.texts.notation)
        return self._known[key]

    def percent(self, arm: str, seed: int, update: int, measure: str) -> float:
        errors, units = self.errors(arm, seed, update, measure)
        return 100.0 * float(errors.sum()) / max(1, int(units.sum()))

    def reached(self, arm: str, seed: int, endpoint: Endpoint) -> float | None:
        """The update at which the error comes to be low enough, as if it went in straight lines from validation to
        validation; the first validation where it is so there, which may be late."""
        wanted, before = endpoint.reach or 0.0, None
        for update in self.updates(arm, seed):
            error = self.percent(arm, seed, update, endpoint.measure)
            if error <= wanted:
                if before is None:
                    return float(update)
                return before[0] + (update - before[0]) * (before[1] - wanted) / (before[1] - error)
            before = update, error
        return None

    def measured(self, endpoint: Endpoint) -> Endpoint:
        """The endpoint, at the last update where it is that one, since everything is measured there."""
        last = all(arm.sections["train"].max_steps == endpoint.at for arm in self.study.arms)
        return replace(endpoint, at=0) if last else endpoint

    def groups(self, endpoint: Endpoint) -> list[GroupRow]:
        """Like `rows`, for each speaker or fold; none for endpoints that are no error of the utterances."""
        endpoint, texts = self.measured(endpoint), self.texts
        if not texts.groups or endpoint.reach is not None or endpoint.measure == INVENTED:
            return []
        if endpoint.at and not self.validated:
            return []
        rows = []
        for arm in self.study.arms:
            if not (seeds := self.seeds(arm.name)):
                continue
            errors, units = self._stacked(arm.name, seeds, endpoint)
            means = mean_errors(errors, units, texts.groups)
            for against in arm.against or ("",):
                found: Mapping[str, Comparison] = {}
                if both := [s for s in seeds if against and s in self.seeds(against)]:
                    one, other = (self._stacked(name, both, endpoint)[0] for name in (arm.name, against))
                    found = compare_groups(one, other, units, texts.groups, texts.texts)
                rows += [
                    GroupRow(
                        self.condition.name, endpoint.name, group, count, arm.name, mean, against, found.get(group)
                    )
                    for group, (count, mean) in means.items()
                ]
        return rows

    def _stacked(self, arm: str, seeds: Sequence[int], endpoint: Endpoint) -> tuple[np.ndarray, np.ndarray]:
        """Errors `(S, U)` and units `(U,)` at the update of an endpoint."""
        found = [self.errors(arm, seed, endpoint.at, endpoint.measure) for seed in seeds]
        return np.stack([errors for errors, _ in found]), found[0][1]

    def rows(self, endpoint: Endpoint) -> list[Row]:
        """One for each pair of arms that are compared, and for the baseline, where there are results; none where the
        endpoint needs validations of what was not validated on."""
        endpoint = self.measured(endpoint)
        if (endpoint.at or endpoint.reach is not None) and not self.validated:
            return []
        unit = "updates" if endpoint.reach is not None else "%"
        rows = []
        for arm in self.study.arms:
            seeds = self.seeds(arm.name)
            if not seeds:
                continue
            if endpoint.reach is not None:
                values: tuple[float | None, ...] = tuple(self.reached(arm.name, s, endpoint) for s in seeds)
            else:
                values = tuple(self.percent(arm.name, s, endpoint.at, endpoint.measure) for s in seeds)
            known = [v for v in values if v is not None]
            mean = sum(known) / len(known) if len(known) == len(values) else None
            row = Row(self.condition.name, endpoint.name, unit, arm.name, seeds, values, mean)
            compared = [replace(row, against=o, comparison=self._compare(arm.name, o, endpoint)) for o in arm.against]
            rows += compared or [row]
        corrected = holm([None if row.comparison is None else row.comparison.p for row in rows])
        return [replace(row, p_holm=p, verdict=_verdict(row, p)) for row, p in zip(rows, corrected, strict=True)]

    def _compare(self, arm: str, against: str, endpoint: Endpoint) -> Comparison | None:
        seeds = [s for s in self.seeds(arm) if s in self.seeds(against)]
        if not seeds:
            return None
        if endpoint.reach is not None:
            pairs = [(self.reached(arm, s, endpoint), self.reached(against, s, endpoint)) for s in seeds]
            both = [(one, other) for one, other in pairs if one is not None and other is not None]
            if len(both) < len(pairs):
                return None
            return compare_values([one for one, _ in both], [other for _, other in both])
        (one, units), (other, _) = (self._stacked(name, seeds, endpoint) for name in (arm, against))
        blocks: Sequence[Hashable] = self.texts.blocks
        if endpoint.measure == INVENTED:  # a clip is the same in every fold
            clips = len(units) // len(self.pairs)
            blocks = [number % clips for number in range(len(units))]
        return compare_errors(one, other, units, blocks) if units.sum() else None

    def curves(self) -> list[dict[str, Any]]:
        """Every measured error of every validation."""
        if not self.validated:
            return []
        measures = dict.fromkeys(e.measure for e in self.study.endpoints if e.measure != INVENTED)
        return [
            {"condition": self.condition.name, "arm": arm.name, "seed": seed, "update": update, "measure": measure,
             "error": round(self.percent(arm.name, seed, update, measure), 4)}
            for arm in self.study.arms
            for seed in self.seeds(arm.name)
            for update in self.updates(arm.name, seed)
            for measure in measures
        ]  # fmt: skip


def _verdict(row: Row, p_holm: float | None) -> str:
    """From the interval and the corrected p; less is better by every endpoint."""
    if row.comparison is None or row.comparison.interval is None:
        return ""
    low, high = row.comparison.interval
    if low <= 0.0 <= high or p_holm is None or p_holm > REFUSED_BELOW:
        return NULL
    return "better" if high < 0 else "worse"


def sentence(row: Row, other: Row | None) -> str:
    """The verdict in words, with its figures; `other` is the row of the arm compared with."""
    by = row.endpoint if row.condition == AS_RECORDED else f"{row.endpoint} ({row.condition})"
    missing = sum(value is None for value in row.values)
    if missing:
        return f"{row.arm}: no verdict by {by}: not reached with {missing} of {len(row.values)} seeds."
    found = row.comparison
    if found is None:
        return f"{row.arm}: no verdict by {by}: {row.against} has no result, or never reached it."
    if found.interval is None:
        return f"{row.arm}: no verdict by {by}: one seed, or results that all differ alike, give no interval."
    low, high = found.interval
    differs = "not significantly different from" if row.verdict == NULL else f"{row.verdict} than"
    verdict = f"{differs} {row.against}"
    against = "" if other is None or other.mean is None else f" against {figure(other.mean, row.unit)}"
    unit = "points" if row.unit == "%" else row.unit
    aside = ", 0 only after Holm's correction" if row.verdict == NULL and not low <= 0 <= high else ""
    seeds = "one seed, so of the texts alone" if found.seeds == 1 else f"{found.seeds} seeds"
    return (
        f"{row.arm}: {verdict} by {by}: {figure(row.mean, row.unit)}{against}, a difference of {found.difference:+.2f} "
        f"{unit} (95 % interval {low:+.2f} to {high:+.2f}{aside}; {seeds})."
    )


def figure(value: float | None, unit: str) -> str:
    """A value with its unit."""
    if value is None:
        return "not reached"
    return f"{value:.2f} %" if unit == "%" else f"{value:.0f} {unit}"
