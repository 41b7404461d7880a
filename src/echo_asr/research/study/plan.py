"""The study file: what is asked, which arms answer it, and by what they are judged, all of it declared beforehand."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from echo_asr.config import flatten, nearest, read_yaml, with_changes
from echo_asr.errors import EchoError
from echo_asr.evaluate.measures import MEASURES
from echo_asr.research.sections import SECTIONS
from echo_asr.train.recipe import build_config, find_recipe, list_recipes

INVENTED = "invented"  # the measure of clips without speech that get text
JUDGED_BY = (*MEASURES, INVENTED)
KEYS = (
    "like", "name", "question", "base", "changes", "corpus", "conditions", "arms", "baseline", "seeds", "split",
    "final", "endpoints", "primary", "parameters_within", "invented_clips",
)  # fmt: skip
FOLDS_FORM = '{each: [anna, ben], train: "@leave:{each}", evaluate: "@only:{each}"}'
WITHIN = 5.0  # percent of parameters by which an arm may differ without a warning
CLIPS = 60  # without speech
AS_RECORDED = "as recorded"
FOLD = "{each}"  # where a fold stands in a suffix
DEVICES = {"CON", "PRN", "AUX", "NUL", *(f"{port}{number}" for port in ("COM", "LPT") for number in range(1, 10))}
HIDDEN = ("start token", "silence")  # what an evaluation may keep attention from


@dataclass(frozen=True)
class Endpoint:
    """What arms are judged by.

    Attributes:
        measure: `word`, `character`, `tone` or `base` error, or `invented`: clips without speech that get text.
        at: the update at which it is measured; 0 for the last.
        reach: an error in percent; then the endpoint is the update at which the error comes down to it.
    """

    name: str
    measure: str
    at: int = 0
    reach: float | None = None


@dataclass(frozen=True)
class Condition:
    """A variant of the corpus: suffixes of its spec such as `@noise:10`, for training and for the evaluation.

    Attributes:
        each: folds, such as the names of speakers. Each takes the place of `FOLD` in `train` and `evaluate`, and the
            errors of all are pooled. Without any the condition is one training.
        decode: settings of the search, dotted where they are nested, that take the place of the arms' own in the
            evaluation.
        hide: the one of `HIDDEN` that gets no attention in the evaluation, or none.
    """

    name: str = AS_RECORDED
    train: str = ""
    evaluate: str = ""
    each: tuple[str, ...] = ()
    decode: dict[str, Any] = field(default_factory=dict)
    hide: str = ""

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The suffixes of training and of evaluation, of each fold."""
        return tuple((self.train.replace(FOLD, fold), self.evaluate.replace(FOLD, fold)) for fold in self.each or ("",))

    @property
    def search(self) -> dict[str, Any]:
        """What the evaluation does otherwise than the arms' own, empty where it does nothing."""
        hide = {"hide": self.hide} if self.hide else {}
        return {"decode": self.decode, **hide} if self.decode or hide else {}

    def evaluation(self, spec: str) -> str:
        """What the evaluation on a corpus goes by in the result of a job: two with different searches are two."""
        hidden = [f"without {self.hide}"] if self.hide else []
        return " ".join([spec, *(f"decode.{key}={value}" for key, value in self.decode.items()), *hidden])

    def to_dict(self) -> dict[str, Any]:
        """What was declared; folds and search only where there are some."""
        folds = {"each": list(self.each)} if self.each else {}
        return {"name": self.name, "train": self.train, "evaluate": self.evaluate, **folds, **self.search}


@dataclass(frozen=True)
class Arm:
    """A configuration and the arms that it is compared with, none for the baseline."""

    name: str
    changes: dict[str, Any]  # dotted keys, of those that the study file names
    against: tuple[str, ...]
    sections: dict[str, Any]


@dataclass(frozen=True)
class Study:
    """A study file in which everything is right; the corpus may be None until it is named on the command line."""

    path: Path
    name: str
    question: str
    corpus: str
    conditions: tuple[Condition, ...]
    arms: tuple[Arm, ...]
    baseline: str
    seeds: tuple[int, ...]
    split: str
    endpoints: tuple[Endpoint, ...]
    primary: str
    parameters_within: float | None
    invented_clips: int = field(default=CLIPS)

    def arm(self, name: str) -> Arm:
        """The arm of that name."""
        return next(arm for arm in self.arms if arm.name == name)

    def to_dict(self) -> dict[str, Any]:
        """What was declared, as JSON can hold it."""
        arms = {a.name: {"against": list(a.against), **a.changes} for a in self.arms}
        plain = {k: v for k, v in vars(self).items() if k not in ("path", "arms", "conditions", "endpoints", "seeds")}
        conditions, endpoints = [c.to_dict() for c in self.conditions], [asdict(e) for e in self.endpoints]
        return {**plain, "seeds": list(self.seeds), "arms": arms, "conditions": conditions, "endpoints": endpoints}


def read_study(path: str | os.PathLike[str], corpus: str | None = None) -> Study:
    """Read a study file; its form stands in docs/studies.md.

    Args:
        corpus: takes the place of the file's own.

    Raises:
        EchoError: whatever is wrong with it, in one line.
    """
    path = Path(path)
    where = str(path)
    data = _with_other(read_yaml(path), path)
    _only(data, KEYS, where, "")
    for key in ("name", "arms", "baseline", "endpoints", "primary"):
        if data.get(key) in (None, "", {}, []):
            raise EchoError(f"{where}: {key} is missing; docs/studies.md shows a study file")
    spec = corpus or data.get("corpus")
    if not spec or not isinstance(spec, str):
        raise EchoError(f"{where}: no corpus; name one in the file, or with --corpus")
    base = _base(data.get("base"), path)
    if data.get("changes") is not None:
        base = with_changes(base, flatten(_mapping(data["changes"], where, "changes")))
        build_config(base, f"{where}, changes", sections=SECTIONS)
    baseline = str(data["baseline"])
    arms = _arms(data["arms"], base, baseline, where)
    endpoints = _endpoints(data["endpoints"], where)
    primary = str(data["primary"])
    if primary not in (names := {e.name for e in endpoints}):
        raise EchoError(f"{where}: primary names no endpoint: {primary!r}{nearest(primary, names)}")
    split = data.get("split", "validation")
    if split not in ("train", "validation", "test"):
        raise EchoError(f"{where}: split must be validation, test, or train (of speakers left out), got {split!r}")
    final = data.get("final", False) is True
    if final != (split == "test") and not (final and split == "train"):
        raise EchoError(
            f"{where}: choices are made on the validation split, and the test split gives final figures, once; "
            "write both split: test and final: true, or neither"
        )
    conditions = _conditions(data.get("conditions") or {}, base, where)
    for endpoint in endpoints:
        _check_met(endpoint, arms, split, where)
    within = data.get("parameters_within")
    if within is not None and (isinstance(within, bool) or not isinstance(within, int | float) or not within >= 0):
        raise EchoError(f"{where}: parameters_within must be a percentage, 0 or more, got {within!r}")
    clips = data.get("invented_clips", CLIPS)
    if isinstance(clips, bool) or not isinstance(clips, int) or clips < 1:
        raise EchoError(f"{where}: invented_clips must be a whole number of clips, 1 or more, got {clips!r}")
    question = " ".join(str(data.get("question") or "").split())
    seeds = _seeds(data.get("seeds", [0, 1, 2]), where)
    clips = clips if any(e.measure == INVENTED for e in endpoints) else 0
    return Study(
        path=path, name=str(data["name"]), question=question, corpus=spec, conditions=conditions, arms=arms,
        baseline=baseline, seeds=seeds, split=split, endpoints=endpoints, primary=primary,
        parameters_within=within, invented_clips=clips,
    )  # fmt: skip


def slug(name: str) -> str:
    """A name as a folder can have it, on any system: Windows keeps the names of its devices, whatever follows a dot."""
    made = re.sub(r"[^\w.+-]+", "-", name).strip("-.") or "-"
    return f"{made}-" if made.partition(".")[0].upper() in DEVICES else made


def _only(data: Mapping[str, Any], known: Sequence[str], where: str, path: str) -> None:
    for key in data:
        if key not in known:
            raise EchoError(f"{where}: unknown key {path}{key}{nearest(str(key), known)}")


def _mapping(value: Any, where: str, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise EchoError(f"{where}: {what} must be a mapping, got {value!r}")
    return {str(key): inner for key, inner in value.items()}


def _with_other(data: dict[str, Any], path: Path) -> dict[str, Any]:
    """A study file with what it leaves out taken from the one that it is `like`; of that one's arms those it lists."""
    if "like" not in data:
        return data
    other = data["like"]
    if not isinstance(other, str):
        raise EchoError(f"{path}: like must be a study file, got {other!r}")
    try:
        found = read_yaml(path.parent / other)
    except EchoError as error:
        raise EchoError(f"{path}, like: {error}") from None
    if "like" in found:
        raise EchoError(f"{path}: like: {other} is itself like another; name that one")
    chosen = data.get("arms")
    if isinstance(chosen, list):
        arms = _mapping(found.get("arms"), str(path.parent / other), "arms")
        for name in chosen:
            if name not in arms:
                raise EchoError(f"{path}: {other} has no arm {name!r}{nearest(str(name), arms)}")
        data = {**data, "arms": {name: _among(arms[name], chosen) for name in chosen}}
    if isinstance(found.get("base"), str) and ((path.parent / other).parent / found["base"]).exists():
        found["base"] = str(Path(other).parent / found["base"])
    return {**found, **data}


def _among(arm: Any, chosen: Sequence[str]) -> Any:
    """An arm, compared only with those that are there."""
    if not isinstance(arm, dict) or "against" not in arm:
        return arm
    others = arm["against"] if isinstance(arm["against"], list) else [arm["against"]]
    left = [name for name in others if name in chosen]
    return {**arm, "against": left} if left else {key: value for key, value in arm.items() if key != "against"}


def _base(value: Any, path: Path) -> dict[str, Any]:
    """The base configuration: a mapping as it stands, the file of that name beside the study's, or a recipe."""
    if value is None or isinstance(value, dict):
        return value or {}
    if not isinstance(value, str):
        raise EchoError(f"{path}: base must be a configuration file or a mapping of sections, got {value!r}")
    beside = path.parent / value
    try:
        return read_yaml(find_recipe(value if value in list_recipes() and not beside.exists() else beside))
    except EchoError as error:
        raise EchoError(f"{path}, base: {error}") from None


def _arms(value: Any, base: dict[str, Any], baseline: str, where: str) -> tuple[Arm, ...]:
    arms = {}
    for name, given in _mapping(value, where, "arms").items():
        changes = flatten(_mapping({} if given is None else given, where, f"arm {name}"))
        against = changes.pop("against", baseline)
        others = tuple(map(str, against if isinstance(against, list) else [against]))
        label = f"{where}, arm {name}"
        sections = build_config(with_changes(base, changes), label, sections=SECTIONS)
        if "train.seed" in changes or "seed" in (base.get("train") or {}):
            raise EchoError(f"{label}: train.seed is set by the study; name the seeds under seeds")
        arms[name] = Arm(name, changes, () if name == baseline else others, sections)
    if baseline not in arms:
        raise EchoError(f"{where}: baseline names no arm: {baseline!r}{nearest(baseline, arms)}")
    if len({slug(name) for name in arms}) < len(arms):
        raise EchoError(f"{where}: two arms would share a folder; give them names that differ in letters or digits")
    for arm in arms.values():
        for other in arm.against:
            if other not in arms:
                raise EchoError(f"{where}: arm {arm.name} is against {other!r}, which is no arm{nearest(other, arms)}")
            if arm.sections == arms[other].sections:
                raise EchoError(f"{where}: arm {arm.name} changes nothing against {other}; take it out, or mend it")
    return tuple(arms.values())


def _endpoints(value: Any, where: str) -> tuple[Endpoint, ...]:
    endpoints = []
    for name, given in _mapping(value, where, "endpoints").items():
        keys = _mapping(given, where, f"endpoint {name}")
        _only(keys, ("measure", "at", "reach"), where, f"endpoints.{name}.")
        measure, at, reach = keys.get("measure"), keys.get("at", "last"), keys.get("reach")
        if measure not in JUDGED_BY:
            known = ", ".join(JUDGED_BY)
            raise EchoError(f"{where}: endpoints.{name}.measure must be one of {known}, got {measure!r}")
        if at != "last" and (isinstance(at, bool) or not isinstance(at, int) or at < 1):
            raise EchoError(f"{where}: endpoints.{name}.at must be an update, or last, got {at!r}")
        if reach is not None and (isinstance(reach, bool) or not isinstance(reach, int | float) or not reach >= 0):
            raise EchoError(f"{where}: endpoints.{name}.reach must be an error in percent, got {reach!r}")
        if reach is not None and (at != "last" or measure == INVENTED):
            raise EchoError(f"{where}: endpoints.{name}: reach goes with an error, and without at")
        if measure == INVENTED and at != "last":
            raise EchoError(f"{where}: endpoints.{name}: invented text is measured at the last update; leave out at")
        endpoints.append(Endpoint(name, measure, 0 if at == "last" else at, reach))
    return tuple(endpoints)


def _check_met(endpoint: Endpoint, arms: Sequence[Arm], split: str, where: str) -> None:
    """Make sure that every arm is validated when an endpoint asks for it."""
    named = f"{where}: endpoint {endpoint.name!r}"
    if split != "validation" and (endpoint.at or endpoint.reach is not None):
        raise EchoError(f"{named} looks into training, and the {split} split is measured once; take at: last")
    for arm in arms:
        every, last = arm.sections["train"].validate_every, arm.sections["train"].max_steps
        if endpoint.at > last:
            raise EchoError(f"{named} is at update {endpoint.at}, and arm {arm.name} ends at {last} (train.max_steps)")
        if endpoint.at and endpoint.at != last and endpoint.at % every:
            raise EchoError(
                f"{named} is at update {endpoint.at}, when arm {arm.name} is not validated; set train.validate_every "
                f"to a divisor of it, got {every}"
            )


def _conditions(value: Any, base: dict[str, Any], where: str) -> tuple[Condition, ...]:
    conditions = []
    for name, given in _mapping(value, where, "conditions").items():
        keys = _mapping({} if given is None else given, where, f"condition {name}")
        _only(keys, ("train", "evaluate", "each", "decode", "hide"), where, f"conditions.{name}.")
        suffixes = {key: str(keys.get(key) or "") for key in ("train", "evaluate")}
        for key, suffix in suffixes.items():
            if suffix and not suffix.startswith("@"):
                raise EchoError(f"{where}: conditions.{name}.{key} must be a variant such as @noise:10, got {suffix!r}")
        each = _folds(keys["each"], f"{where}: conditions.{name}.each") if "each" in keys else ()
        if bool(each) != any(FOLD in suffix for suffix in suffixes.values()):
            wrong = f"names folds, and neither train nor evaluate has {FOLD}" if each else "is missing"
            raise EchoError(f"{where}: conditions.{name}.each {wrong}; write {FOLDS_FORM}")
        search = flatten(_mapping(keys.get("decode") or {}, where, f"conditions.{name}.decode"))
        searched = with_changes(base, {f"decode.{key}": one for key, one in search.items()})
        build_config(searched, f"{where}, condition {name}", sections=SECTIONS)
        hide = keys.get("hide") or ""
        if hide and hide not in HIDDEN:
            raise EchoError(f"{where}: conditions.{name}.hide must be {' or '.join(HIDDEN)}, got {hide!r}")
        conditions.append(Condition(name, **suffixes, each=each, decode=search, hide=hide))
    return tuple(conditions) or (Condition(),)


def _folds(value: Any, label: str) -> tuple[str, ...]:
    plain = isinstance(value, list) and all(isinstance(f, str | int | float) and not isinstance(f, bool) for f in value)
    if not plain or not value or not all(str(fold).strip() for fold in value):
        raise EchoError(f"{label} must be a list of names or numbers, as in {FOLDS_FORM}; got {value!r}")
    folds = tuple(map(str, value))
    repeated = next((fold for number, fold in enumerate(folds) if fold in folds[:number]), None)
    if repeated is not None:
        raise EchoError(f"{label} has {repeated} twice, which would count its errors twice; take one out")
    return folds


def _seeds(value: Any, where: str) -> tuple[int, ...]:
    seeds = list(range(value)) if isinstance(value, int) and not isinstance(value, bool) else value
    whole = isinstance(seeds, list) and all(isinstance(s, int) and not isinstance(s, bool) and s >= 0 for s in seeds)
    if not whole or not seeds or len(set(seeds)) < len(seeds):
        raise EchoError(f"{where}: seeds must be different whole numbers, or how many of them, got {value!r}")
    return tuple(seeds)
