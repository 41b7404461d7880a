"""What `corpus check` finds: each kind of trouble put into a corpus, and nothing in one without."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from echo_asr.cli import main
from echo_asr.data.check import check_corpus
from echo_asr.data.corpus import read_corpus
from echo_asr.data.text_checks import Finding
from tests.helpers.transcribed import TEXTS

Row = tuple[str, str, str, str]  # file name, text, speaker, split
Make = Callable[..., Path]


def signal(number: int, seconds: float = 1.0, level: float = 0.1) -> np.ndarray:
    return level * np.random.default_rng(number).standard_normal(round(16_000 * seconds)).clip(-3, 3)


def good_rows() -> list[Row]:
    texts = ["the quick brown fox", "jumps over the dog", "a lazy morning sun", "quick brown mornings"]
    splits = ["train"] * 40 + ["validation"] * 4 + ["test"] * 4
    return [(f"{i}.wav", f"{texts[i % 4]} {chr(97 + i % 26)}", f"who{i}", split) for i, split in enumerate(splits)]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """`(rows, sounds={})`: a corpus of a second of noise a clip, apart from the sounds given."""
    monkeypatch.setattr(os, "cpu_count", lambda: 4)  # recordings are looked at in as many threads

    def write(rows: Sequence[Row], signals: dict[str, np.ndarray] | None = None) -> Path:
        folder = tmp_path / "corpus"
        folder.mkdir()
        lines = ["file_name,transcription,speaker,split,duration"]
        for number, (name, text, speaker, split) in enumerate(rows):
            samples = (signals or {}).get(name, signal(number))
            soundfile.write(folder / name, samples, 16_000)
            lines.append(f'{name},"{text}",{speaker},{split},{len(samples) / 16_000}')
        (folder / "metadata.csv").write_text("\n".join(lines), encoding="utf-8")
        return folder

    return write


def found(folder: Path, listen: bool = True) -> dict[str, list[Finding]]:
    kinds: dict[str, list[Finding]] = {}
    for finding in check_corpus(read_corpus(folder), listen).findings:
        kinds.setdefault(finding.kind, []).append(finding)
    return kinds


def test_nothing_is_found_where_nothing_is_wrong(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make(good_rows())
    assert found(folder) == {}
    assert main(["corpus", "check", str(folder)]) == 0
    assert capsys.readouterr().out.startswith(f"{folder}: 48 utterances, 48 s: 0 errors, which break training, 0 w")


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("", "empty text", r"has no text; right if nobody speaks, else write it"),
        ("... -- !", "no words", r"has the text '\.\.\. -- !', which is empty once normalised"),
        ("the quick\u200bfox ran", "control characters", r"characters that are not text \(U\+200B\); remove them"),
        ("the quick \ufffdfox ran", "control characters", r"\(U\+FFFD\)"),
        ("at 7 the foxes ran", "digits", r"has digits \(7\), as few texts have; write numbers as they are spoken"),
        ("ninety % of foxes", "symbols", r"has symbols \(%\)"),
        ("the quick br\u043ewn fox", "mixed scripts", "has mixed scripts \\(br\u043ewn\\)"),
        (
            "\u0431\u044b\u0441\u0442\u0440\u0430\u044f",
            "other script",
            "is written in Cyrillic, and most texts in Latin",
        ),
    ],
)
def test_odd_texts(make: Make, text: str, kind: str, message: str) -> None:
    rows = good_rows()
    rows[3] = ("3.wav", text, "who3", "train")
    kinds = found(make(rows), listen=False)
    (finding,) = kinds[kind]
    assert finding.where.endswith("3.wav") and finding.level == "warning"
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(finding.what)


def test_what_all_texts_have_is_not_odd(make: Make) -> None:
    spoken = [f"ni3 h\u0259\u03b2\u03b8a{number % 4 + 1} \u00b0" for number in range(48)]
    rows = [(name, text, who, split) for text, (name, _, who, split) in zip(spoken, good_rows(), strict=True)]
    assert found(make(rows), listen=False) == {}


def test_recordings(make: Make) -> None:
    rows = good_rows()
    loud, silent = np.clip(signal(1, level=1.0), -1, 1), np.zeros(16_000)
    long = signal(5, 31.0)
    folder = make(rows, {"1.wav": loud, "2.wav": silent, "5.wav": long})
    (folder / "7.wav").write_bytes(b"RIFF\0\0\0\0nothing")
    (folder / "8.wav").unlink()
    metadata = (folder / "metadata.csv").read_text().replace("9.wav", "9.wav", 1)
    (folder / "metadata.csv").write_text(metadata)
    soundfile.write(folder / "10.wav", signal(10, 2.0), 16_000)  # the table says 1 s
    kinds = found(folder)
    where = {kind: [Path(f.where.split(" line")[0]).name for f in findings] for kind, findings in kinds.items()}
    assert where == {
        "broken record": ["metadata.csv"], "unreadable audio": ["7.wav"], "clipping": ["1.wav"], "silence": ["2.wav"],
        "long clip": ["5.wav"], "odd rate": ["5.wav"], "wrong duration": ["10.wav"],
    }  # fmt: skip
    assert kinds["broken record"][0].level == kinds["unreadable audio"][0].level == "error"
    assert main(["corpus", "check", str(folder)]) == 1
    assert main(["corpus", "check", str(folder), "--no-audio"]) == 1  # a recording is missing


def test_duplicates_across_splits(make: Make, tmp_path: Path) -> None:
    rows = good_rows()
    rows[44] = ("44.wav", rows[0][1], rows[0][2], "test")  # text and speaker of the first
    folder = make(rows, {"45.wav": signal(2), "6.wav": signal(5), "4.wav": signal(3)})
    soundfile.write(folder / "45.wav", soundfile.read(folder / "2.wav", dtype="int16")[0], 16_000, subtype="PCM_24")
    kinds = found(folder)
    (again,) = kinds["same text and speaker"]
    assert "test and train have this text by speaker who0" in again.what and again.where.endswith("44.wav")
    (same,) = kinds["same audio in two splits"]
    assert same.where.endswith("45.wav") and "2.wav, in test and train; keep it in one split" in same.what
    assert [Path(f.where).name for f in kinds["two texts for one recording"]] == ["45.wav", "4.wav", "6.wav"]


def test_splits_rates_and_characters(make: Make) -> None:
    rows = good_rows()
    rows[3] = ("3.wav", "x" * 27, "who3", "train")  # CTC needs a blank between equal symbols
    rows[4] = ("4.wav", "the quick fox and all that" * 2, "who4", "train")
    rows[7] = ("7.wav", "the quick fox and all that", "who7", "train")
    rows[5] = ("5.wav", "oh", "who5", "train")
    rows[46] = ("46.wav", "the \u00df fox is here", "who46", "test")
    kinds = found(make(rows), listen=False)
    assert [Path(f.where).name for f in kinds["impossible rate"]] == ["3.wav", "4.wav"]
    assert {f.level for f in kinds["impossible rate"]} == {"error"}
    assert "52 characters in 1.00 s, more than can be spoken; correct text" in kinds["impossible rate"][1].what
    (short,) = kinds["short for its text"]
    assert short.level == "warning"
    assert "26 characters in 1.00 s, too many for model.subsampling 4; take 2" in short.what
    assert "little beside the usual" in kinds["odd rate"][0].what
    assert "test has '\u00df' (U+00DF) in 1 text, train in none" in kinds["unseen character"][0].what


@pytest.mark.parametrize(
    ("split", "kind", "status"), [("train", "no validation split", 0), ("test", "no training split", 1)]
)
def test_missing_splits(make: Make, capsys: pytest.CaptureFixture[str], split: str, kind: str, status: int) -> None:
    folder = make([(name, text, who, split) for name, text, who, _ in good_rows()])
    assert main(["corpus", "check", str(folder), "--json"]) == status
    report = json.loads(capsys.readouterr().out)
    assert report["counts"][kind] == 1 and report["errors"] == status and report["utterances"] == 48
    reported = next(f for f in report["findings"] if f["kind"] == kind)
    assert "echo-asr corpus split makes splits that share no speaker" in reported["what"]


def test_lines_of_a_kind_are_limited(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        (name, "" if number < 10 else text, who, split) for number, (name, text, who, split) in enumerate(good_rows())
    ]
    folder = make(rows)
    main(["corpus", "check", str(folder), "--no-audio", "--most", "2"])
    output = capsys.readouterr().out
    assert output.count("has no text;") == 2 and "... and 8 more of empty text; --most 0 lists all" in output
    main(["corpus", "check", str(folder), "--no-audio", "--most", "0"])
    assert capsys.readouterr().out.count("has no text;") == 10
    assert main(["corpus", "check", str(folder), "--most", "-1"]) == 1
    assert capsys.readouterr().err == "echo-asr corpus check: --most: expected 0 or more, got -1\n"


def test_words_that_fall_together_unless_their_letters_are_named(
    make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [("a.wav", "the 'kpa of -kpa and kpa", "a", "train"), ("b.wav", "the ka:ti", "b", "train")]
    folder = make(rows)
    main(["corpus", "check", str(folder), "--no-audio"])
    spoken = capsys.readouterr().out
    assert (
        "3 words fall together with others ('kpa, -kpa, kpa); if ' - are letters, name them in text.letters" in spoken
    )
    lost = "normalising removes or splits off the length of 1 word (ka:ti -> ka ti); set text.normalizer basic"
    assert f'{lost} and text.letters ":"' in spoken and spoken.count("(ka:ti") == 1
    (tmp_path / "my.yaml").write_text('text: {letters: "\':-"}')
    main(["corpus", "check", str(folder), "--no-audio", "--config", str(tmp_path / "my.yaml")])
    printed = capsys.readouterr().out
    assert "fall together" not in printed and "removes" not in printed and "-word" not in printed


def test_a_check_lists_what_a_person_should_look_at(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make([("a.wav", "", "a", "train"), ("b.wav", "word", "b", "train")])
    main(["corpus", "check", str(folder), "--no-audio", "--json"])
    report = json.loads(capsys.readouterr().out)
    (finding,) = (found for found in report["findings"] if found["kind"] == "empty texts")
    assert finding["what"] == "has 1 of 2 texts empty, which is taken for silence; @empty:skip leaves them out"


TONAL = ("ma3 ni3 hao3 ta1", "wo3 shi4 ren2 hen3 hao3", "ni3 qu4 na3 li3", "zhe4 shi4 shen2 me5")


def with_texts(texts: Sequence[str]) -> list[Row]:
    rows = good_rows()
    return [(name, texts[n % len(texts)], who, split) for n, (name, _, who, split) in enumerate(rows)]


def test_marks_are_reported_once_and_the_printed_rules_silence_them(
    make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = [
        *TONAL * 5,
        "[cough] ni3 hao3",
        "ni3 <hao3> ma5",
        "hao- hao3 | ni3",
        "xxx ni3",
        "ni3 = {le mot}",
        "(?) ma3",
    ]
    folder = make(with_texts(texts))
    assert main(["corpus", "check", str(folder), "--no-audio"]) == 0
    printed = capsys.readouterr().out
    lines = [line for line in printed.splitlines() if line.startswith("warning")]
    marks = [line.partition("has ")[2].partition(" ")[0] for line in lines if "proposed:" in line]
    assert sorted(marks) == sorted(["[...]", "<...>", "word-", "|", "xxx", "=", "{...}", "(?)"])
    assert [line for line in lines if "symbols" in line or "digits" in line or "fall together" in line] == []
    assert "has [...] 2 times ('[cough] ni3 hao3'): names an event; proposed: event" in printed
    assert "  tones: digits, unmarked syllables have a tone of their own, on 9" in printed
    (tmp_path / "my.yaml").write_text(printed[printed.index("text:\n") :], encoding="utf-8")
    assert main(["corpus", "check", str(folder), "--no-audio", "--config", str(tmp_path / "my.yaml")]) == 0
    again = capsys.readouterr().out
    assert "proposed" not in again and "1 of 48 utterances are left out" in again and "47 utterances" in again
    given = ["--text.conventions", '{"[...]": drop, xxx: exclude}', "--json"]
    assert main(["corpus", "check", str(folder), "--no-audio", *given]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["excluded"] == 1 and report["tones"]["kind"] == "digits" and 0.9 < report["tones"]["share"] < 1
    assert {one["mark"]: one["count"] for one in report["marks"]} == {
        "<...>": 2, "word-": 1, "|": 1, "=": 1, "{...}": 1, "(?)": 1,
    }  # fmt: skip


def test_mixed_notations_and_slips_of_tone(make: Make) -> None:
    texts = [*TONAL * 5, "nǐ hǎo wǒ shì rén", "zhè shì shénme", "ma˧˥ ni3 hao3"]
    kinds = found(make(with_texts(texts)), listen=False)
    (mixed,) = kinds["mixed tone notations"]
    assert "writes tone as digits in" in mixed.what and "(shì, nǐ, hǎo); write all in one" in mixed.what
    (slip,) = kinds["looks like tone"]
    assert slip.what.startswith("has Chao's tone letters in 2 words (ma˧˥), which look like tone, and tones are digits")
    assert "symbols" not in kinds and "digits" not in kinds


def test_tones_that_few_syllables_have(make: Make) -> None:
    rows = [(name, " ".join([text] * 15), who, split) for name, text, who, split in with_texts(TONAL)]
    rows[3] = ("3.wav", f"{rows[3][1]} ma6", "who3", "train")
    (rare,) = found(make(rows), listen=False)["rare tones"]
    assert "has tones that few syllables have (6 1 of 3" in rare.what and ": ma6); correct them" in rare.what


def test_doubtful_marks_without_a_notation_and_what_a_normaliser_removes(
    make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make(with_texts(["shí ashkii tó", "dibé bich", "shimá dóó hooghan", "naaltsoos tsin chidí kin"]))
    main(["corpus", "check", str(folder), "--no-audio"])
    printed = capsys.readouterr().out
    assert (
        "\u25cc\u0301 in" in printed
        and "if they are, set text.tones diacritics and text.tone_marks; if not, text.tones none" in printed
    )
    assert "  tones: none found" in printed
    main(["corpus", "check", str(folder), "--no-audio", "--text.tones", "none"])
    assert "may be tone" not in (printed := capsys.readouterr().out) and "tones: none, as text.tones has it" in printed
    main(["corpus", "check", str(folder), "--no-audio", "--text.tones", "diacritics", "--text.normalizer", "whisper"])
    printed = capsys.readouterr().out
    assert "removes or splits off the tones of" in printed and "shí -> shi" in printed


def test_the_texts_of_a_field_worker(make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make([(f"{n}.wav", text, "a", "train") for n, text in enumerate(TEXTS)])
    main(["corpus", "check", str(folder), "--no-audio"])
    printed = capsys.readouterr().out
    (tmp_path / "my.yaml").write_text(printed[printed.index("text:\n") :], encoding="utf-8")
    assert printed.count("proposed: ") == 10 and "no words" not in printed
    main(["corpus", "check", str(folder), "--no-audio", "--config", str(tmp_path / "my.yaml")])
    again = capsys.readouterr().out
    assert "proposed" not in again and "2 of 11 utterances are left out" in again
