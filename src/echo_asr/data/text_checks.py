"""Checks of the texts, splits and durations of a corpus for `echo-asr corpus check`; no audio is read."""

from __future__ import annotations

import math
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from echo_asr.console import counted
from echo_asr.data.batch import ctc_frames
from echo_asr.data.corpus import Utterance
from echo_asr.text.normalize import Normalizer

RARE = 0.05  # share of the texts up to which a feature of them is reported as unusual
JOINERS = "\u200c\u200d"  # used in Persian and Indic spelling
# Scripts that share letter shapes, so that a foreign letter in a word is most likely a mistake.
ALIKE = frozenset({"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "COPTIC", "CHEROKEE"})
# Encoder frames a second; CTC needs one a character.
USUAL_FRAMES, MOST_FRAMES = 25.0, 50.0  # of model.subsampling 4, the default, and of 2
TOO_FAST, TOO_SLOW = 3.0, 0.2  # of the median number of characters a second
RATE_FROM = 1.0  # seconds; the rate of shorter clips is not checked


@dataclass(frozen=True)
class Finding:
    """A problem of a corpus, in one line."""

    kind: str  # name in counts, such as "clipping"
    level: Literal["error", "warning"]  # an error breaks training
    where: str  # the recording, or the corpus
    what: str  # the problem, and what to do

    def __str__(self) -> str:
        return f"{self.level:<7}  {self.where}: {self.what}"


def check_texts(utterances: Sequence[Utterance], bare: Sequence[str], normalize: Normalizer) -> Iterator[Finding]:
    """Unusual texts: empty, with odd characters, or unlike the others.

    Args:
        bare: the texts without what is reported of them elsewhere, such as marks of the transcriber.
    """
    marks = [_marks(text) for text in bare]
    spoken = max(1, sum(bool(u.text.strip()) for u in utterances))
    counts = Counter(kind for found in marks for kind in found)
    advice = {
        "digits": "write numbers as they are spoken",
        "symbols": "write them as they are spoken, or take them out",
        "mixed scripts": "a word mixes letters of scripts that look alike; type it again",
    }
    for utterance, found in zip(utterances, marks, strict=True):
        if not utterance.text.strip():
            yield _of(utterance, "empty text", "has no text; right if nobody speaks, else write it")
        elif not normalize(utterance.text):
            what = f"has the text {utterance.text[:40]!r}, which is empty once normalised: it counts as silence"
            yield _of(utterance, "no words", f"{what}; write what is spoken, or leave it out")
        control = [c for c in utterance.text if _is_control(c)]
        if control:
            names = ", ".join(dict.fromkeys(f"U+{ord(c):04X}" for c in control))
            yield _of(utterance, "control characters", f"has characters that are not text ({names}); remove them")
        for kind, characters in found.items():
            if kind in advice and counts[kind] <= RARE * spoken:
                yield _of(utterance, kind, f"has {kind} ({characters}), as few texts have; {advice[kind]}")
    scripts = {kind: count for kind, count in counts.most_common() if kind.startswith("in ")}
    common = next(iter(scripts), "")
    for utterance, found in zip(utterances, marks, strict=True):
        for kind in found:
            if kind != common and scripts.get(kind, math.inf) <= RARE * spoken:
                message = f"is written {kind}, and most texts {common}; write it as the others, or leave it out"
                yield _of(utterance, "other script", message)


def check_rates(utterances: Sequence[Utterance], normalize: Normalizer) -> Iterator[Finding]:
    """Texts that are too long or too short for the durations of their recordings."""
    texts = [normalize(u.text) for u in utterances]
    pairs = list(zip(utterances, texts, strict=True))
    rates = sorted(len(text) / u.duration for u, text in pairs if text and u.duration >= RATE_FROM)
    median = rates[len(rates) // 2] if rates else 0.0  # characters a second
    for utterance, text in pairs:
        length, rate = len(text), len(text) / utterance.duration
        density = f"{counted(length, 'character')} in {utterance.duration:.2f} s"
        needed = ctc_frames(tuple(map(ord, text)))
        if needed > max(1.0, utterance.duration * MOST_FRAMES):
            what = f"has {density}, more than can be spoken; correct text or times, or leave it out"
            yield _of(utterance, "impossible rate", what, "error" if utterance.split == "train" else "warning")
        elif needed > max(1.0, utterance.duration * USUAL_FRAMES):
            what = f"has {density}, too many for model.subsampling 4; take 2, or a BPE tokenizer, or correct it"
            yield _of(utterance, "short for its text", what)
        elif length and utterance.duration >= RATE_FROM and median:
            if not TOO_SLOW * median <= rate <= TOO_FAST * median:
                much = "much" if rate > median else "little"
                what = f"has {density}, {much} beside the usual {median:.1f} a second; is it the recording's text?"
                yield _of(utterance, "odd rate", what)


def check_splits(name: str, utterances: Sequence[Utterance], normalize: Normalizer) -> Iterator[Finding]:
    """Missing splits, and speakers, texts or characters that splits should or should not share."""
    splits: dict[str, list[Utterance]] = defaultdict(list)
    for utterance in utterances:
        splits[utterance.split].append(utterance)
    mend = "echo-asr corpus split makes splits that share no speaker"
    train = splits.get("train", [])
    if not train:
        yield Finding("no training split", "error", name, f"has no training split; {mend}")
    elif not any(normalize(u.text) for u in train):
        yield Finding("no text", "error", name, "has no character in its training texts; write what is spoken")
    if not splits.get("validation"):
        yield Finding("no validation split", "warning", name, f"has no validation split; {mend}")
    if not train:
        return
    known = set("".join(normalize(u.text) for u in train))
    for split in ("validation", "test"):
        unseen: dict[str, list[Utterance]] = defaultdict(list)
        for utterance in splits.get(split, []):
            for character in sorted(set(normalize(utterance.text)) - known):
                unseen[character].append(utterance)
        for character, among in sorted(unseen.items()):
            what = f"{split} has {character!r} (U+{ord(character):04X}) in {counted(len(among), 'text')}, train in none"
            advice = "no model can write it: add recordings with it, or correct the text"
            yield _of(among[0], "unseen character", f"{what}; {advice}")
    yield from _repeated_texts(splits, normalize)


def _repeated_texts(splits: dict[str, list[Utterance]], normalize: Normalizer) -> Iterator[Finding]:
    """Texts that the same speaker reads in training, too; one finding a split if they are many."""
    trained = {(u.speaker, normalize(u.text)) for u in splits.get("train", []) if u.speaker}
    for split in ("validation", "test"):
        rows = splits.get(split, [])
        again = [u for u in rows if u.speaker and u.text and (u.speaker, normalize(u.text)) in trained]
        advice = "scores will flatter; echo-asr corpus split --by text, or --by speaker"
        if len(again) > RARE * len(rows) and len(again) > 5:
            what = f"and {len(again) - 1} more of {split} are spoken in train by the same speaker; {advice}"
            yield _of(again[0], "same text and speaker", what)
        else:
            for utterance in again:
                what = f"{split} and train have this text by speaker {utterance.speaker}; {advice}"
                yield _of(utterance, "same text and speaker", what)


def _of(utterance: Utterance, kind: str, what: str, level: Literal["error", "warning"] = "warning") -> Finding:
    return Finding(kind, level, str(utterance.audio), what)


def _marks(text: str) -> dict[str, str]:
    """The kinds of characters in a text that may be unusual, each with those characters."""
    found: dict[str, str] = {}
    digits = [c for c in text if unicodedata.category(c) == "Nd"]
    symbols = [c for c in text if (unicodedata.category(c)[0] == "S" and not _is_control(c)) or c in "%&@#*_/\\[]{}<>|"]
    for kind, characters in (("digits", digits), ("symbols", symbols)):
        if characters:
            found[kind] = "".join(dict.fromkeys(characters))[:20]
    scripts = [[(c, _script(c)) for c in word] for word in text.split()]
    for word in scripts:
        if len({script for _, script in word} & ALIKE) > 1:
            found["mixed scripts"] = "".join(c for c, _ in word)[:20]
            break
    most = Counter(script for word in scripts for _, script in word if script)
    if most:
        found[f"in {most.most_common(1)[0][0].title()}"] = ""
    return found


def _script(character: str) -> str:
    """The first word of a letter's Unicode name, which is its script; empty for other characters."""
    if not character.isalpha():
        return ""
    script = unicodedata.name(character, "").split(" ")[0].split("-")[0]
    # Japanese and Korean are written in several at once; modifier letters belong to all.
    return {"HIRAGANA": "CJK", "KATAKANA": "CJK", "HANGUL": "CJK", "MODIFIER": ""}.get(script, script)


def _is_control(character: str) -> bool:
    category = unicodedata.category(character)
    return character == "\ufffd" or (category in ("Cc", "Cf", "Co", "Cn") and character not in JOINERS)
