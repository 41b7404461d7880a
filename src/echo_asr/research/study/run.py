"""What the `study` command does: plan, features, jobs, figures, report."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from echo_asr.console import counted, print_message, progress_bar
from echo_asr.data.cache import FeatureCache
from echo_asr.data.corpus import Corpus, load_corpus
from echo_asr.data.excluded import apply_conventions
from echo_asr.data.perturbation import UNPERTURBED, Perturbation
from echo_asr.data.precompute import fill_cache
from echo_asr.distributed.device import choose_device
from echo_asr.errors import EchoError
from echo_asr.features import FeatureExtractor
from echo_asr.research.study.cost import model_cost
from echo_asr.research.study.job import locked
from echo_asr.research.study.jobs import Job, choose_devices, how_many, make_jobs, run_jobs, with_trainings
from echo_asr.research.study.plan import WITHIN, Study, read_study, slug
from echo_asr.research.study.references import References
from echo_asr.research.study.results import analyse
from echo_asr.research.study.tables import Findings, write_tables
from echo_asr.research.study.trained import STUDY, TRAINED_IN, find_trainings, is_of_before
from echo_asr.storage import make_folder, replace_text, sweep
from echo_asr.train.prepare import hold_out, new_tokenizer

MOST_NAMED = 10  # folds, in a note


@dataclass(frozen=True)
class Outcome:
    """A study that was run: what was found, where it lies, and whether every job is finished."""

    findings: Findings
    out: Path

    @property
    def complete(self) -> bool:
        """Whether no job failed."""
        return not self.findings.failed


def run_study(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    jobs: int | None = None,
    device: str = "auto",
    corpus: str | None = None,
    keep: bool = False,
    trained: Sequence[str | os.PathLike[str]] = (),
) -> Outcome:
    """Run a study, or what is left of it, and write its tables, pictures and page. What this study has trained already
    is not trained again where it was given a condition, or other endpoints, since.

    Args:
        path: the study file.
        out: folder; None for `runs/studies/NAME`.
        jobs: processes at once; None for as many as there are cores or GPUs.
        device: as in `choose_device`; with several GPUs and `auto` or `cuda`, jobs are dealt out to all.
        corpus: in place of the one that the file names.
        keep: leave checkpoints where they are.
        trained: folders of other studies, whose trainings are taken where they are the same.

    Raises:
        EchoError: anything the user can mend.
        Stopped: by Ctrl-C; the same command goes on.
    """
    study = read_study(path, corpus)
    choose_device(device)
    folder = Path(out) if out is not None else Path("runs") / "studies" / slug(study.name)
    elsewhere = find_trainings(map(Path, trained))
    corpora = load_corpora(study)
    arms, notes = examine_arms(study, corpora)
    make_folder(folder)
    with locked(folder / "lock", wait=False):
        check_name(folder, study.name)
        sweep(folder)
        devices = choose_devices(device)
        planned = with_trainings(make_jobs(study, corpora, folder, device, keep), corpora, elsewhere)
        waiting = [job for job in planned if job.result is None]
        if waiting and any(is_of_before(job.folder) for job in planned if job not in waiting):
            raise EchoError(
                f"{folder}: some of its jobs were done when features depended on how loud a recording is (before "
                "2026-12), and those left would not compare with them; choose another --out"
            )
        at_once, threads = how_many(jobs, len(waiting), devices)
        there = sum(bool(job.spec["trained"]) for job in waiting)
        for note in notes:
            print_message(note)
        print_message(
            f"{study.name}: {len(planned)} jobs ({len(study.arms)} arms, {len(study.seeds)} seeds), "
            f"{len(planned) - len(waiting)} finished before{f', {there} trained before' if there or trained else ''}; "
            f"{at_once} at once, {threads} threads each"
        )
        replace_text(folder / STUDY, json.dumps(study.to_dict(), ensure_ascii=False, indent=1) + "\n")
        failed: dict[str, str] = {}
        if waiting:
            prepare_features(study, corpora, waiting, device)
            failed = run_jobs(planned, at_once, threads, devices)
        findings = collect(study, planned, corpora, arms, notes, failed)
        write_tables(findings, folder)
        from echo_asr.research.study.page import write_page  # draws, so it is loaded when there is something to draw

        write_page(findings, folder)
    return Outcome(findings, folder)


def check_name(folder: Path, name: str) -> None:
    """See that a folder holds the study of this name, or none.

    Raises:
        EchoError: it is of another study, whose tables would be written over.
    """
    try:
        there = json.loads((folder / STUDY).read_text(encoding="utf-8"))["name"]
    except (OSError, ValueError, TypeError, KeyError):  # none yet, or damaged: it is written anew, and jobs are checked
        return
    if there != name:
        raise EchoError(f"{folder}: holds another study, {there!r}; choose another --out")


def load_corpora(study: Study) -> dict[str, Corpus]:
    """The corpora that a study trains on and evaluates, by spec; those that it trains on have a validation split.

    Raises:
        EchoError: one cannot be read, lacks the split, has no tones to measure, or holds utterances to be evaluated on
            that are trained on under the same condition.
    """
    pairs = [(study.corpus + t, study.corpus + e) for c in study.conditions for t, e in c.pairs]
    held = {spec for pair in pairs for spec in (pair if study.split == "validation" else pair[:1])}
    corpora = {}
    text = study.arm(study.baseline).sections["text"]
    for spec in sorted({spec for pair in pairs for spec in pair}):
        read = load_corpus(spec)
        rows = apply_conventions(spec, read.utterances, text.transcription).utterances
        corpora[spec] = replace(read, utterances=rows)
        if spec in held and "train" in read.splits:
            corpora[spec] = hold_out(corpora[spec])
    for trained, spec in pairs:
        seen = {u.id for u in corpora[trained].split("train")} & {u.id for u in corpora[spec].split(study.split)}
        if seen:
            raise EchoError(
                f"{study.path}: {len(seen)} utterances of {spec} are to be evaluated on that {trained} trains on, "
                f"{min(seen)} first; evaluate on another split or other speakers, or leave these out of training"
            )
    for spec in (evaluated for _, evaluated in pairs):
        notation = text.measured_notation([u.text for u in corpora[spec].split(study.split)])
        for endpoint in study.endpoints:
            if endpoint.measure in ("tone", "base") and notation is None:
                raise EchoError(
                    f"{study.path}: endpoint {endpoint.name!r} measures tones, and the texts of {spec} have none "
                    "once normalised; if they should, set text.tones, or take another text.normalizer"
                )
    return corpora


def examine_arms(study: Study, corpora: Mapping[str, Corpus]) -> tuple[list[dict[str, Any]], list[str]]:
    """Parameters and compute of each arm, with the texts of the first training, and notes on them.

    Raises:
        EchoError: an arm has more or fewer parameters than the study file allows.
    """
    corpus = corpora[study.corpus + study.conditions[0].pairs[0][0]]
    rows = corpus.split("train")
    seconds = sum(u.duration for u in rows) / len(rows)
    costs: dict[str, dict[str, Any]] = {}
    notes = []
    for arm in study.arms:
        normalize = arm.sections["text"].normalize
        texts = [normalize(u.text) for u in rows]
        tokenizer = new_tokenizer(texts, arm.sections["text"])
        vocabulary = tokenizer.vocabulary_size
        tokens = sum(len(tokenizer.encode(text, "skip")) for text in texts) / len(texts)
        cost = model_cost(arm.sections, vocabulary, seconds, tokens)
        costs[arm.name] = {
            "arm": arm.name,
            "changes": ", ".join(f"{key} {value}" for key, value in arm.changes.items()),
            "parameters": cost.parameters,
            "updates": arm.sections["train"].max_steps,
            "multiply_adds": round(cost.multiply_adds),
        }
    for arm, name in [(one, other) for one in study.arms for other in one.against]:
        own, other = costs[arm.name], costs[name]
        more = 100.0 * (own["parameters"] / other["parameters"] - 1.0)
        if study.parameters_within is not None and abs(more) > study.parameters_within:
            raise EchoError(
                f"{study.path}: arm {arm.name} has {own['parameters']:,} parameters, {more:+.1f} % against {name}, and "
                f"parameters_within allows {study.parameters_within:g} %; change its width or layers, or that"
            )
        if abs(more) > WITHIN:
            notes.append(f"Parameters differ: {arm.name} has {more:+.1f} % against {name}.")
        if own["updates"] != other["updates"]:
            notes.append(f"Updates differ: {arm.name} has {own['updates']}, {name} {other['updates']}.")
    return list(costs.values()), notes


def prepare_features(study: Study, corpora: Mapping[str, Corpus], jobs: Sequence[Job], device: str = "auto") -> None:
    """Extract once, in this process and its helpers, all the features that jobs will read.

    Raises:
        EchoError: a recording cannot be read, or features cannot be kept.
    """
    wanted: dict[str, tuple[FeatureCache, dict[Any, Any]]] = {}
    training = {(job.spec["arm"], job.spec["corpus"]) for job in jobs if not job.spec["trained"]}
    for arm in study.arms:
        extractor = FeatureExtractor(arm.sections["features"])
        if extractor.states is not None:
            extractor.states.device = choose_device(device)
        states = "" if extractor.states is None else extractor.states.key
        cache, rows = wanted.setdefault(f"{extractor.key} {states}", (FeatureCache(None, extractor, required=True), {}))
        for trained, evaluated in (pair for condition in study.conditions for pair in condition.pairs):
            read: list[tuple[Any, Perturbation]] = []
            if (arm.name, study.corpus + trained) in training:
                train = corpora[study.corpus + trained]
                perturbations = arm.sections["train"].perturbations
                read += [(u, perturbation) for u in train.split("train") for perturbation in perturbations]
                read += [(u, UNPERTURBED) for u in train.split("validation")]
            read += [(u, UNPERTURBED) for u in corpora[study.corpus + evaluated].split(study.split)]
            rows.update({(str(u.audio), perturbation): (u, perturbation) for u, perturbation in read})
    total, done = sum(len(rows) for _, rows in wanted.values()), 0
    with progress_bar("features", total) as advance:
        for cache, rows in wanted.values():

            def progress(now: int, _: int, before: int = done) -> None:
                advance(before + now, "")

            fill_cache(cache, list(rows.values()), progress, os.cpu_count() or 1, print_message)
            done += len(rows)


def collect(
    study: Study,
    jobs: list[Job],
    corpora: Mapping[str, Corpus],
    arms: list[dict[str, Any]],
    notes: list[str],
    failed: Mapping[str, str],
) -> Findings:
    """The findings from the results of the jobs."""
    results, times, taken = {}, [], Counter[str]()
    for job in jobs:
        result = job.result
        if result is None:
            continue
        trained = job.spec["corpus"].removeprefix(study.corpus)
        results[(job.spec["arm"], trained, job.spec["seed"])] = result
        if TRAINED_IN in result:
            taken[Path(result[TRAINED_IN]).parents[2].name] += 1
        done = {key: job.spec[key] for key in ("arm", "seed", "corpus")}
        seconds = {key: round(value, 2) for key, value in result["seconds"].items()}
        times.append({**done, **seconds, "device": result["device"], "threads": result["threads"]})
    rows, groups, curves = analyse(study, results, corpora)
    notes = [*notes, *(f"Trained in the study in {name}: {n} of {len(results)} jobs." for name, n in taken.items())]
    if len(study.seeds) < 3:
        notes.append(f"{len(study.seeds)} seeds predict little of other seeds; take three or more.")
    blocked: dict[str, list[str]] = {}
    grouped: dict[str, str] = {}
    text = study.arm(study.baseline).sections["text"]
    for condition in study.conditions:
        texts = References.of(study, condition, corpora, text)
        blocked.setdefault(texts.blocked_by, []).append(condition.name)
        if condition.each:
            notes.append(f"{condition.name}: pooled over {_named(condition.each)}.")
        if texts.shown and texts.groups:
            grouped[condition.name] = texts.grouped_by
        if texts.shown and texts.speakers:
            notes.append(f"{condition.name}: {_who(texts)}.")
    over = [f"{by}s" if len(blocked) == 1 else f"{by}s ({', '.join(names)})" for by, names in blocked.items()]
    notes.append(f"Intervals: over seeds and {', '.join(over)}; p corrected over the arms by Holm's method.")
    named = {job.name: failed[str(job.folder)] for job in jobs if str(job.folder) in failed}
    return Findings(study, rows, curves, arms, times, named, notes, groups, grouped)


def _who(texts: References) -> str:
    """Whose errors those of a condition are, and of whom its intervals hold."""
    who = counted(texts.speakers, "speaker")
    who += {"none": ", not trained on", "some": ", some of them trained on", "all": ", trained on", "": ""}[
        texts.trained_on
    ]
    if texts.blocked_by == "speaker":
        return f"{who}; intervals are about others like them, as far as {who.split(',')[0]} show"
    return f"{who}; intervals hold for {'them' if texts.speakers > 1 else 'that one'}, not for people in general"


def _named(folds: Sequence[str]) -> str:
    more = f" and {len(folds) - MOST_NAMED} more" if len(folds) > MOST_NAMED else ""
    return f"{len(folds)} folds, {', '.join(folds[:MOST_NAMED])}{more}"


def summary(outcome: Outcome) -> str:
    """What `study` prints for people."""
    findings = outcome.findings
    lines = [*findings.sentences(), *findings.agreements()]
    lines += [f"failed: {name}: {why}" for name, why in findings.failed.items()]
    return "\n".join([*lines, f"tables, pictures and report.html are in {outcome.out}"])
