"""The jobs of a study, arms times seeds, run as processes side by side."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from echo_asr.console import console, print_message, progress_bar
from echo_asr.data.corpus import Corpus
from echo_asr.errors import EchoError
from echo_asr.research.study.job import LOG
from echo_asr.research.study.plan import Study, slug
from echo_asr.research.study.trained import JOB, read_result, trained_before, training_digest
from echo_asr.storage import replace_text

MODULE = "echo_asr.research.study.job"
LOOK = 0.2  # seconds between looks at the processes
LONGEST_NAME = 100  # bytes of a folder's; Windows takes some 260 characters for the whole path
SIGNALS = os.name != "nt"  # whether processes can be asked to stop by one
PATIENCE = 600.0  # seconds that jobs have to save a checkpoint after Ctrl-C


class Stopped(KeyboardInterrupt):
    """The study was asked to stop; the message has how far it is and how to go on."""


@dataclass(frozen=True)
class Job:
    """An arm with a seed on a corpus: `spec` is what `job.json` holds."""

    folder: Path
    spec: dict[str, Any]

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.folder.parent.name}, seed {self.spec['seed']}"

    @property
    def result(self) -> dict[str, Any] | None:
        """What came of it; None while it is not finished."""
        return read_result(self.folder, self.spec)


def make_jobs(study: Study, corpora: dict[str, Corpus], out: Path, device: str, keep: bool = False) -> list[Job]:
    """All jobs of a study, seeds first, so that every arm has its first seed early. Every fold of a condition is a
    training of its own; conditions, and folds of them, that train alike share their jobs."""
    evaluations: dict[str, list[str]] = {}
    searches: dict[str, dict[str, Any]] = {}  # of evaluations that search otherwise than the arm does
    for condition in study.conditions:
        for train, evaluate in condition.pairs:
            key = condition.evaluation(study.corpus + evaluate)
            evaluations.setdefault(train, []).append(key)
            if condition.search:
                searches[key] = {"corpus": study.corpus + evaluate, **condition.search}
    folders = _folders(study, list(evaluations))
    jobs = []
    for seed in study.seeds:
        for train, specs in evaluations.items():
            corpus = study.corpus + train
            validated = len(corpora[corpus].split("validation"))  # the whole split
            for arm in study.arms:
                own = replace(arm.sections["train"], seed=seed, validation_utterances=validated)
                sections = {**arm.sections, "train": own}
                spec = {
                    "arm": arm.name,
                    "seed": seed,
                    "corpus": corpus,
                    "sections": json.loads(json.dumps({name: asdict(value) for name, value in sections.items()})),
                    "split": study.split,
                    "evaluations": list(dict.fromkeys(specs)),
                    "invented_clips": study.invented_clips,
                    **({"searches": {key: searches[key] for key in specs if key in searches}} if searches else {}),
                }
                folder = out / "jobs" / folders[arm.name, train] / f"seed-{seed}"
                jobs.append(Job(folder, {**spec, "device": device, "threads": 1, "keep": keep, "trained": ""}))
    return jobs


def with_trainings(jobs: Sequence[Job], corpora: Mapping[str, Corpus], elsewhere: Mapping[str, Path]) -> list[Job]:
    """The jobs; those without a result know where their training lies, if it was done before.

    Args:
        elsewhere: what `find_trainings` found in other studies.
    """
    ids = {name: [u.id for u in corpora[name].split("validation")] for name in {job.spec["corpus"] for job in jobs}}
    found = []
    for job in jobs:
        if job.result is None:
            before = trained_before(job.spec, job.folder, elsewhere, ids[job.spec["corpus"]])
            job = replace(job, spec={**job.spec, "trained": before})
        found.append(job)
    return found


def _folders(study: Study, trained: Sequence[str]) -> dict[tuple[str, str], str]:
    """The folder of each arm and suffix that it is trained with. Where two would share one, as those of the speakers
    `a b` and `a-b`, or a name is too long for a folder, a hash of the suffix is in the name."""
    folders: dict[tuple[str, str], str] = {}
    for train in trained:
        for arm in study.arms:
            name = slug(arm.name + train)
            if name in folders.values() or len(name.encode()) > LONGEST_NAME:
                name = f"{name[:40]}-{hashlib.sha256(f'{arm.name}{train}'.encode()).hexdigest()[:12]}"
            folders[arm.name, train] = name
    return folders


def choose_devices(name: str) -> list[str]:
    """The devices that jobs run on: all GPUs for `auto` and `cuda`, else the one that is named."""
    if name in ("auto", "cuda") and torch.cuda.is_available():
        return [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    return ["cpu" if name == "auto" else name]


def how_many(asked: int | None, waiting: int, devices: Sequence[str]) -> tuple[int, int]:
    """Jobs at once and threads of each: as many as there are cores, or GPUs; never more than are waiting.

    Raises:
        EchoError: fewer than one were asked for.
    """
    if asked is not None and asked < 1:
        raise EchoError(f"--jobs must be 1 or more, got {asked}")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    most = asked or (cores if devices == ["cpu"] else len(devices))
    return max(1, min(most, waiting)), max(1, cores // max(1, min(most, waiting)))


def run_jobs(jobs: Sequence[Job], at_once: int, threads: int, devices: Sequence[str]) -> dict[str, str]:
    """Run jobs to their results, so many at once, of so many threads each; those that have a result are left alone.

    Returns:
        the reason for which each job failed, by its folder; the others went on.

    Raises:
        Stopped: by Ctrl-C or SIGTERM, once the running jobs have saved their checkpoints.
    """
    waiting = [job for job in jobs if job.result is None]
    running: dict[subprocess.Popen[bytes], tuple[Job, str]] = {}
    failed: dict[str, str] = {}
    finished = len(jobs) - len(waiting)
    before = signal.getsignal(signal.SIGTERM)
    with suppress(ValueError):  # not the main thread
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with progress_bar("jobs", len(jobs), finished) as advance:
            while waiting or running:
                while waiting and len(running) < at_once:
                    used = [device for _, device in running.values()]
                    device = min(devices, key=used.count)
                    job = waiting.pop(0)
                    running[_start(job, device, threads)] = (job, device)
                time.sleep(LOOK)
                for process in [p for p in running if p.poll() is not None]:
                    job, _ = running.pop(process)
                    process.communicate()  # closes its standard input
                    if job.result is None:
                        failed[str(job.folder)] = _reason(job, process.returncode)
                        print_message(f"failed: {job.name}: {failed[str(job.folder)]}")
                    finished += 1
                    advance(finished, job.name)
    except KeyboardInterrupt:
        _stop(running)
        done = sum(job.result is not None for job in jobs)
        raise Stopped(f"stopped; {done} of {len(jobs)} jobs are finished, the same command goes on") from None
    except BaseException:
        for process in running:
            process.kill()
        raise
    finally:
        with suppress(ValueError):
            signal.signal(signal.SIGTERM, before)
    return failed


def _start(job: Job, device: str, threads: int) -> subprocess.Popen[bytes]:
    """Start the process of a job; it ends with this one, for its standard input then does."""
    try:
        job.folder.mkdir(parents=True, exist_ok=True)
        spec, path = {**job.spec, "device": device, "threads": threads}, job.folder / JOB
        with suppress(OSError, ValueError, KeyError):
            begun = json.loads(path.read_text(encoding="utf-8"))
            if training_digest(begun) == training_digest(spec):  # with other threads sums would round otherwise
                spec["threads"] = begun["threads"]
        replace_text(path, json.dumps(spec, ensure_ascii=False, indent=1) + "\n")
        most = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(spec["threads"]))
        root = str(Path(__file__).parents[3])  # the package need not be installed
        search = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        with (job.folder / LOG).open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", MODULE, str(job.folder)],
                stdin=subprocess.PIPE, stdout=log, stderr=log, env={**os.environ, **most, "PYTHONPATH": search},
                # Ctrl-C is for this process, which then asks the jobs to stop.
                start_new_session=True, creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )  # fmt: skip
    except OSError as error:
        raise EchoError(f"{job.folder}: a job could not be started there ({error.strerror})") from None


def _stop(running: Iterable[subprocess.Popen[bytes]]) -> None:
    """Ask jobs to save and stop, and wait for them; a second Ctrl-C ends them at once."""
    console().print("stopping once the jobs have saved what they have; Ctrl-C once more to stop at once")
    try:
        for process in running:
            _ask_to_stop(process)
        end = time.monotonic() + PATIENCE
        for process in running:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, end - time.monotonic()))
    except KeyboardInterrupt:
        pass
    finally:
        for process in running:
            process.kill()
            process.communicate()


def _ask_to_stop(process: subprocess.Popen[bytes]) -> None:
    """By SIGTERM, which a job obeys wherever it is; Windows has none, and would end the job at once."""
    if SIGNALS:
        process.terminate()
    elif process.stdin:
        with suppress(OSError):  # it has just ended
            process.stdin.write(b"\n")
            process.stdin.flush()


def _reason(job: Job, status: int) -> str:
    """Why a job failed: the last line of its log, or the signal that ended it."""
    if status < 0:
        return f"its process was ended by signal {-status}, perhaps for want of memory (take fewer --jobs)"
    with suppress(OSError):
        lines = [x for x in (job.folder / LOG).read_text(encoding="utf-8", errors="replace").splitlines() if x.strip()]
        if lines:
            return lines[-1].strip()
    return f"its process ended with status {status}"
