"""Writes Kaldi's data folders (https://kaldi-asr.org/doc/data_prep.html), which refer to the audio where it lies."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from echo_asr.audio.segment import AudioSegment
from echo_asr.data.corpus import Utterance
from echo_asr.data.writers.names import SPLITS, plain_name, recording_names, unique_names
from echo_asr.storage import replace_text


def write_kaldi(folder: Path, split: str, utterances: Sequence[Utterance], done: Callable[[], None]) -> None:
    """Write ``wav.scp``, ``text``, ``utt2spk``, ``spk2utt`` and, where an utterance is a segment, ``segments``, into
    `folder/train`, `folder/dev` or `folder/test`.

    The id of an utterance begins with its speaker, as Kaldi demands, and has no blanks; a speaker that is not known is
    the utterance itself. Tables are sorted by bytes.

    Args:
        done: is called after each utterance.
    """
    known = dict.fromkeys(u.speaker for u in utterances if u.speaker)
    plain = dict(zip(known, unique_names(known), strict=True))
    names = list(unique_names(_with_speaker(plain.get(u.speaker, ""), u) for u in utterances))
    speakers = {n: plain.get(u.speaker, n) for n, u in zip(names, utterances, strict=True)}
    of = defaultdict[str, list[str]](list)
    for name in sorted(names, key=str.encode):
        of[speakers[name]].append(name)
    cut = any(isinstance(u.audio, AudioSegment) for u in utterances)
    tables: dict[str, dict[str, str]] = {"text": {n: u.text for n, u in zip(names, utterances, strict=True)}}
    tables["utt2spk"] = speakers
    tables["spk2utt"] = {speaker: " ".join(own) for speaker, own in of.items()}
    paths, recordings = recording_names(utterances)
    if cut:
        tables["wav.scp"] = {name: path for path, name in recordings.items()}
        tables["segments"] = {
            n: f"{recordings[path]} {_times(u)}" for n, u, path in zip(names, utterances, paths, strict=True)
        }
    else:
        tables["wav.scp"] = dict(zip(names, paths, strict=True))
        tables["utt2dur"] = {n: f"{u.duration:.6f}" for n, u in zip(names, utterances, strict=True)}
    inner = folder / SPLITS[split]
    inner.mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        replace_text(inner / name, _table(rows))
    for _ in utterances:
        done()


def _with_speaker(speaker: str, utterance: Utterance) -> str:
    name = plain_name(utterance.id)
    return name if name.startswith(speaker) else f"{speaker}-{name}"


def _times(utterance: Utterance) -> str:
    """Start, end and, where it is chosen, channel of an utterance in its recording."""
    audio = utterance.audio
    start, channel = (audio.start, audio.channel) if isinstance(audio, AudioSegment) else (0.0, None)
    return f"{start:.6f} {start + utterance.duration:.6f}" + ("" if channel is None else f" {channel}")


def _table(rows: Mapping[str, str]) -> str:
    return "".join(f"{name} {rows[name]}".rstrip() + "\n" for name in sorted(rows, key=str.encode))
