"""One job of a study: an arm trained with a seed and evaluated, in a process of its own.

A job is a folder: `job.json` describes it, `run/` is the run, `result.json` all that the study needs of it. A job is
finished when `result.json` stands, which is written whole or not at all; until then it goes on from the checkpoint in
`run/`, or has only to evaluate what was trained before. The process ends when the one that started it does, whatever
ended that.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
import time
from _thread import interrupt_main
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from echo_asr.data.cache import FeatureCache
from echo_asr.data.corpus import load_corpus
from echo_asr.data.excluded import apply_conventions
from echo_asr.data.noise import KINDS, noise_clip
from echo_asr.data.speakers import speaker_voices
from echo_asr.decode.load import decode_config
from echo_asr.decode.transcribe import Recognizer
from echo_asr.distributed.device import choose_device
from echo_asr.errors import EchoError
from echo_asr.model.echo import Echo
from echo_asr.output import use_utf8_streams
from echo_asr.research.diagnose.interventions import nulls_masked
from echo_asr.research.diagnose.monitor import look_inside
from echo_asr.research.f0_controls import load_control, make_control
from echo_asr.research.sections import SECTIONS
from echo_asr.research.study.trained import (
    JOB,
    RESULT,
    RUN,
    TRAINED_IN,
    Trained,
    digest,
    keep_last_weights,
    load_result,
    read_result,
    relative,
    training_digest,
)
from echo_asr.storage import hold_lock, replace_text, sweep
from echo_asr.train.prepare import hold_out
from echo_asr.train.recipe import build_config
from echo_asr.train.report import VALIDATIONS
from echo_asr.train.run import train
from echo_asr.train.state import CHECKPOINT

LOG = "log.txt"
FIRST_SEED = 2**31  # of the clips without speech; training draws its own below
CLIP_SECONDS = (0.5, 6.0)
CLIP_LEVELS = (-60.0, -10.0)  # dBFS; each clip is a recording by itself, which features bring to one level


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
            before = Trained.of(Path(job["trained"]), job) if job.get("trained") else None
            result = _evaluate(job, before or _train(job, folder), folder)
            replace_text(folder / RESULT, json.dumps(result, ensure_ascii=False, indent=1) + "\n")
    if not job["keep"]:
        shutil.rmtree(folder / RUN / Path(CHECKPOINT).parent, ignore_errors=True)


def _train(job: dict[str, Any], folder: Path) -> Trained:
    run = folder / RUN
    sections = build_config(job["sections"], str(folder / JOB), sections=SECTIONS)
    resume = (run / CHECKPOINT).is_file()
    progress = train(sections, job["corpus"], run, resume, device=job["device"], monitor=look_inside,
                     transform=make_control(sections["study"].f0), slim=True)  # fmt: skip
    lines = (run / VALIDATIONS).read_text(encoding="utf-8").split("\n")
    validations = [json.loads(line) for line in lines if line]
    result = {
        "training": training_digest(job),
        "updates": progress.step,
        "weights": keep_last_weights(folder, progress),
        "ids": validations[-1]["ids"],
        "validations": [{"update": v["update"], "hypotheses": v["hypotheses"]} for v in validations],
        "seconds": {"training": progress.seconds},
        "threads": job["threads"],
    }
    return Trained(folder, result)


def _evaluate(job: dict[str, Any], trained: Trained, folder: Path) -> dict[str, Any]:
    began = time.perf_counter()
    before = trained.result
    bundle = trained.bundle()
    bundle.model.to(choose_device(job["device"]))
    run = trained.folder / RUN
    control = load_control(bundle, run)
    recognizer = Recognizer(bundle, decode_config(bundle, run), control)
    known: dict[str, Any] = {}
    for result in (before, load_result(folder)):
        known |= result["evaluations"] if result and result.get("split") == job["split"] else {}
    evaluations = {}
    for name in job["evaluations"]:
        search = job.get("searches", {}).get(name)
        if name in known:
            evaluations[name] = known[name]
        elif search:
            changes = {f"decode.{option}": value for option, value in search["decode"].items()}
            otherwise = Recognizer(bundle, decode_config(bundle, run, changes), control)
            with _hidden(bundle.model, search.get("hide", "")):
                evaluations[name] = evaluate_split(otherwise, search["corpus"], job["split"])
        elif name == job["corpus"] and job["split"] == "validation":  # validated on already, with the same weights
            evaluations[name] = {"ids": before["ids"], "hypotheses": before["validations"][-1]["hypotheses"]}
        else:
            evaluations[name] = evaluate_split(recognizer, name, job["split"])
    clips = silent_clips(job["invented_clips"])
    invented = [found.said for found in recognizer.recognize([recognizer.extractor(clip) for clip in clips])]
    return {
        "digest": digest(job),
        **{key: before[key] for key in ("training", "weights", "updates", "ids", "validations", "threads")},
        **({} if trained.folder == folder else {TRAINED_IN: relative(trained.folder, folder)}),
        **{key: job[key] for key in ("arm", "seed", "corpus", "split")},
        "parameters": bundle.model.parameter_count,
        "evaluations": evaluations,
        "invented": invented,
        "seconds": {"training": before["seconds"]["training"], "evaluation": time.perf_counter() - began},
        "device": str(bundle.model.device),
    }


def _hidden(model: Echo, what: str) -> AbstractContextManager[None]:
    return nulls_masked(model, start=what == "start token") if what else nullcontext()


def evaluate_split(recognizer: Recognizer, corpus: str, split: str) -> dict[str, list[str]]:
    """What is recognised in a split of a corpus, as in validation: `ids` and `hypotheses`."""
    read, conventions = load_corpus(corpus), recognizer.bundle.text.transcription
    rows = apply_conventions(corpus, read.utterances, conventions).utterances
    chosen = replace(read, utterances=rows)
    utterances = (hold_out(chosen) if split == "validation" else chosen).split(split)
    cache = FeatureCache(None, recognizer.extractor)
    voices = speaker_voices(utterances, recognizer.extractor, recognizer.pitch_by_speaker, cache)
    features = [cache.features(u.audio, voice=voice) for u, voice in zip(utterances, voices, strict=True)]
    hypotheses = [found.said for found in recognizer.recognize(features)]
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


def locked(path: Path, wait: bool = True) -> AbstractContextManager[None]:
    """Hold a lock file.

    Raises:
        StorageError: another process holds it, and `wait` is false.
    """
    return hold_lock(
        path, -1.0 if wait else 0.0, "another study is running there; wait for it, or choose another --out"
    )


def _follow_parent() -> None:
    """End this process at once when standard input does, whose other end the parent holds; a byte from there is a
    SIGTERM, where a process has no signals for it, or a Ctrl-C, which a process in the background may ignore, while
    nothing answers SIGTERM."""

    def watch() -> None:
        while os.read(0, 1):  # sys.stdin would be locked when the interpreter ends
            interrupt_main(signal.SIGTERM if callable(signal.getsignal(signal.SIGTERM)) else signal.SIGINT)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def main(arguments: Sequence[str]) -> int:
    """The process of a job: its folder."""
    use_utf8_streams()
    _follow_parent()
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
