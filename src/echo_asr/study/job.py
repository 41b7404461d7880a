"""One job of a study: an arm trained with a seed and evaluated, in a process of its own.

A job is a folder: `job.json` says what to do, `run/` is the run, `result.json` all that the study needs of it. A job is
finished when `result.json` stands, which is written whole or not at all; until then it goes on from the checkpoint in
`run/`. The process ends when the one that started it does, whatever ended that.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from echo_asr.config import write_yaml
from echo_asr.data.cache import FeatureCache
from echo_asr.data.corpus import load_corpus
from echo_asr.data.noise import KINDS, noise_clip
from echo_asr.data.speakers import speaker_medians
from echo_asr.decode.transcribe import Recognizer, choose_device, decode_config
from echo_asr.diagnose.interventions import nulls_masked
from echo_asr.errors import EchoError
from echo_asr.features import Features
from echo_asr.model.checkpoint import load_bundle
from echo_asr.model.echo import Echo
from echo_asr.storage import replace_text, sweep
from echo_asr.train.report import VALIDATIONS
from echo_asr.train.run import hold_out, train
from echo_asr.train.state import CHECKPOINT, Progress

JOB, RESULT, RUN, LOG = "job.json", "result.json", "run", "log.txt"
FIRST_SEED = 2**31  # of the clips without speech; training draws its own below
CLIP_SECONDS = (0.5, 6.0)
CLIP_LEVELS = (-60.0, -10.0)  # dBFS, as in training


def digest(job: dict[str, Any]) -> str:
    """Tells jobs apart that do different things; where and with how many threads they are done makes no difference."""
    content = {key: value for key, value in job.items() if key not in ("device", "threads", "keep")}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def read_result(folder: Path, job: dict[str, Any]) -> dict[str, Any] | None:
    """The result of a job, or None while there is none.

    Raises:
        EchoError: it is damaged, or that of another job.
    """
    path = folder / RESULT
    try:
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        made_of = result["digest"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError):
        raise EchoError(f"{path}: damaged; remove it, and the job is finished again") from None
    if made_of != digest(job):
        raise EchoError(
            f"{folder}: was made by another version of this study (its arms, corpus or options); choose another --out, "
            "or remove that folder"
        )
    return result


def run_job(folder: Path) -> None:
    """Do a job, or what is left of it.

    Raises:
        EchoError: anything the user can mend.
        Interrupted: stopped by a signal, with a checkpoint saved.
    """
    job: dict[str, Any] = json.loads((folder / JOB).read_text(encoding="utf-8"))
    torch.set_num_threads(job["threads"])
    with locked(folder / "lock"):
        if read_result(folder, job) is None:
            sweep(folder)
            result = _result(job, folder, _train(job, folder))
            replace_text(folder / RESULT, json.dumps(result, ensure_ascii=False, indent=1) + "\n")
    if not job["keep"]:
        shutil.rmtree(folder / RUN / Path(CHECKPOINT).parent, ignore_errors=True)


def _train(job: dict[str, Any], folder: Path) -> Progress:
    config = folder / "config.yaml"
    write_yaml(config, job["sections"])
    run = folder / RUN
    return train(config, job["corpus"], run, resume=(run / CHECKPOINT).is_file(), device=job["device"])


def _result(job: dict[str, Any], folder: Path, progress: Progress) -> dict[str, Any]:
    began = time.perf_counter()
    run = folder / RUN
    lines = (run / VALIDATIONS).read_text(encoding="utf-8").split("\n")
    validations = [json.loads(line) for line in lines if line]
    recognizer = _last_weights(run, job["device"])
    if recognizer.extractor.config.f0 == "shuffled":  # the contours that were handed out in training
        cache = FeatureCache(None, recognizer.extractor)
        spoken = hold_out(load_corpus(job["corpus"])).split("train")
        recognizer.extractor.donors = [cache.as_heard(u.audio).track for u in spoken]
    evaluations = {}
    for name in job["evaluations"]:
        search = job.get("searches", {}).get(name)
        if search:
            options = [word for key, value in search["decode"].items() for word in (f"--decode.{key}", str(value))]
            otherwise = Recognizer(recognizer.bundle, decode_config(recognizer.bundle, run, options))
            otherwise.extractor.donors = recognizer.extractor.donors
            with _hidden(recognizer.bundle.model, search.get("hide", "")):
                evaluations[name] = evaluate_split(otherwise, search["corpus"], job["split"])
        elif name == job["corpus"] and job["split"] == "validation":  # validated on already, with the same weights
            evaluations[name] = {key: validations[-1][key] for key in ("ids", "hypotheses")}
        else:
            evaluations[name] = evaluate_split(recognizer, name, job["split"])
    clips = silent_clips(job["invented_clips"])
    invented = [heard.text for heard in recognizer.recognize([recognizer.extractor(clip) for clip in clips])]
    return {
        "digest": digest(job),
        "arm": job["arm"],
        "seed": job["seed"],
        "corpus": job["corpus"],
        "updates": progress.step,
        "parameters": recognizer.bundle.model.parameter_count,
        "ids": validations[-1]["ids"],
        "validations": [{"update": v["update"], "hypotheses": v["hypotheses"]} for v in validations],
        "evaluations": evaluations,
        "invented": invented,
        "seconds": {"training": progress.seconds, "evaluation": time.perf_counter() - began},
        "threads": job["threads"],
        "device": str(recognizer.bundle.model.device),
    }


def _hidden(model: Echo, what: str) -> AbstractContextManager[None]:
    return nulls_masked(model, start=what == "start token") if what else nullcontext()


def _last_weights(run: Path, device: str) -> Recognizer:
    """The recogniser with the averaged weights of the last update, which the last validation was made with; those in
    the run's folder are of the best one."""
    bundle = load_bundle(run)
    state = torch.load(run / CHECKPOINT, map_location="cpu", weights_only=True)
    bundle.model.load_state_dict(state["averaged"])
    bundle.model.to(choose_device(device))
    bundle.heard = None
    return Recognizer(bundle, decode_config(bundle, run))


def evaluate_split(recognizer: Recognizer, corpus: str, split: str) -> dict[str, list[str]]:
    """What is heard in a split of a corpus, as validation hears it: `ids` and `hypotheses`."""
    utterances = hold_out(load_corpus(corpus)).split(split)
    cache = FeatureCache(None, recognizer.extractor)
    speakers: dict[str, float] = {}
    if recognizer.bundle.model.config.vrope.reference == "speaker":
        speakers = speaker_medians(utterances, lambda u: cache.features(u.audio))
    features: list[Features] = [
        replace(cache.features(u.audio), speaker_f0=speakers.get(u.speaker, 0.0)) for u in utterances
    ]
    hypotheses = [heard.text for heard in recognizer.recognize(features)]
    return {"ids": [u.id for u in utterances], "hypotheses": hypotheses}


def silent_clips(count: int) -> list[np.ndarray]:
    """Clips without speech, each `(S,)` at 16 kHz, all kinds in turn; the same for every arm, and of seeds that
    training never draws."""
    clips = []
    for number in range(count):
        random = np.random.default_rng([FIRST_SEED, number])
        seconds, level = float(random.uniform(*CLIP_SECONDS)), float(random.uniform(*CLIP_LEVELS))
        clips.append(noise_clip(KINDS[number % len(KINDS)], seconds, FIRST_SEED + number, level))
    return clips


@contextmanager
def locked(path: Path, wait: bool = True) -> Generator[None]:
    """Hold a lock file, which the system takes back from a process that ends; without effect on Windows.

    Raises:
        EchoError: another process holds it, and `wait` is false.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError:
            raise EchoError(
                f"{path.parent}: another study is running there; wait for it, or choose another --out"
            ) from None
        yield


def _end_with_parent() -> None:
    """End this process at once when standard input does, whose other end the parent holds."""

    def watch() -> None:
        while os.read(0, 1):  # sys.stdin would be locked when the interpreter ends
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def main(arguments: Sequence[str]) -> int:
    """The process of a job: its folder."""
    _end_with_parent()
    try:
        run_job(Path(arguments[0]))
    except EchoError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt as error:
        print(str(error) or "interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
