"""Forms that are tables of text: metadata.jsonl, LJSpeech, Common Voice."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from echo_asr.audio import load_audio
from echo_asr.audio.segment import AudioSegment
from echo_asr.data.corpus import Utterance, load_corpus
from echo_asr.errors import EchoError
from tests.helpers.corpora import load_without_broken, rows

Put = Callable[..., Path]


# --- metadata.jsonl, and segments in metadata ---


@pytest.mark.parametrize("key", ["transcription", "text", "sentence"])
def test_metadata_in_json_lines(put: Put, tmp_path: Path, key: str) -> None:
    put("a.wav", 0.5), put("sub/b.wav", 0.25)
    first = {"file_name": "a.wav", key: "你好, a", "speaker_id": 7, "split": "test", "duration": 0.5, "more": [1]}
    put("metadata.jsonl", f"{json.dumps(first)}\n\n{json.dumps({'file_name': 'sub/b.wav', key: ''})}\n")
    corpus = load_corpus(tmp_path)
    assert rows(corpus) == [("a.wav", "你好, a", "7", "test"), ("sub/b.wav", "", "", "train")]
    assert [u.duration for u in corpus.utterances] == [0.5, 0.25]


def test_segments_of_a_file_in_metadata(put: Put, tmp_path: Path) -> None:
    put("a.wav", 2.0, channels=2)
    header = "file_name,transcription,duration,excerpt_start,excerpt_channel\n"
    put("metadata.csv", header + "a.wav,one,0.5,0,\na.wav,two,0.5,1.25,1\na.wav,rest,,1.5,\n")
    one, two, rest = load_corpus(tmp_path).utterances
    assert one.audio == AudioSegment(tmp_path / "a.wav", 0.0, 0.5) and rest.duration == pytest.approx(0.5)
    assert two.audio == AudioSegment(tmp_path / "a.wav", 1.25, 0.5, 1)
    assert len({one.id, two.id, rest.id}) == 3
    assert len(load_audio(two.audio)) == 8000


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"metadata\.jsonl line 2 is no JSON .*; mend the line"),
        ("[1]", r"line 2 is no JSON object"),
        ('{"text": "x"}', r"line 2 has no file_name"),
        ('{"file_name": "b.wav"}', r"line 2 has no transcription and no text and no sentence"),
        ('{"file_name": "b.wav", "text": 3}', r"line 2 has a text that is no string; write it in quotes"),
        ('{"file_name": "b.wav", "text": "x", "duration": -1}', r"line 2 has the duration '-1'"),
        ('{"file_name": "b.wav", "text": "x", "excerpt_start": "NaN"}', r"line 2 has the excerpt_start 'NaN'"),
        ('{"file_name": "b.wav", "text": "x", "excerpt_channel": -1}', r"has the excerpt_channel '-1'"),
        ('{"file_name": "b.wav", "text": "\\ud800"}', r"line 2 is not UTF-8"),
        ('{"file_name": "c.wav", "text": "x"}', r"names 1 audio file not found in .*: c\.wav; put"),
    ],
)
def test_broken_json_lines_are_refused_or_skipped(put: Put, tmp_path: Path, line: str, message: str) -> None:
    put("a.wav", 0.1), put("b.wav", 0.1)
    put("metadata.jsonl", '{"file_name": "a.wav", "text": "x"}\n' + line + "\n")
    corpus = load_without_broken(tmp_path, message, r"1 of 2 records are left out, first: .*metadata\.jsonl line 2 ")
    assert [u.id for u in corpus.utterances] == ["a.wav"] and len(corpus.broken) == 1


def test_several_broken_records_are_counted(put: Put, tmp_path: Path) -> None:
    put("a.wav", 0.1)
    put("metadata.csv", "file_name,transcription,split\na.wav,x,\n,y,\na.wav,z,\ngone.wav,z,\na.wav,z,best\n")
    counted = r"line 3 has no file_name.* \(and 3 more broken: echo-asr corpus check lists them, --broken skip"
    corpus = load_without_broken(tmp_path, counted, "4 of 5 records are left out")
    assert len(corpus.utterances) == 1
    put("metadata.csv", "file_name,transcription\n,y\n")
    with pytest.raises(EchoError, match="1 of 1 records are left out, first: .*line 2 has no file_name"):
        load_corpus(tmp_path, "skip")
    with pytest.raises(EchoError, match="broken: expected one of refuse, skip; got 'mend'"):
        load_corpus(tmp_path, "mend")  # type: ignore[arg-type]


def test_a_row_that_ends_before_its_text_is_broken(put: Put, tmp_path: Path) -> None:
    put("a.wav", 0.1), put("b.wav", 0.1)
    put("metadata.csv", "file_name,sentence,speaker\na.wav,\nb.wav\n")  # the first is of a clip where nobody speaks
    refused = r"line 3 ends before its sentence; write a comma and the text"
    corpus = load_without_broken(tmp_path, refused, "1 of 2 records")
    assert rows(corpus) == [("a.wav", "", "", "train")]


def test_the_folder_above_a_corpus_names_it(put: Put, tmp_path: Path) -> None:
    put("clips/notes.txt", "x"), put("vi/metadata.csv", "file_name,text\n")
    with pytest.raises(EchoError, match=r"has no metadata.csv, but .*vi in it is a corpus; give that"):
        load_corpus(tmp_path)


def test_folders_named_as_splits_make_one_corpus(put: Put, tmp_path: Path) -> None:
    for name in ("train", "dev", "test"):
        put(f"{name}/a.wav", 0.1)
        put(f"{name}/metadata.csv", f"file_name,text\na.wav,{name}\n")
    put("train_sp/a.wav", 0.1), put("train_sp/metadata.csv", "file_name,text\na.wav,fast\n")
    put("notes/metadata.csv", "file_name,text\na.wav,x\n")
    assert rows(load_corpus(tmp_path)) == [
        ("dev/a.wav", "dev", "", "validation"),
        ("test/a.wav", "test", "", "test"),
        ("train/a.wav", "train", "", "train"),
    ]


# --- LJSpeech ---


def test_ljspeech(put: Put, tmp_path: Path) -> None:
    put("wavs/LJ001-0001.wav", 0.3), put("wavs/LJ001-0002.wav", 0.2)
    put("metadata.csv", 'LJ001-0001|"In 1910|in nineteen ten\nLJ001-0002|only raw|\n')
    assert rows(load_corpus(tmp_path)) == [
        ("LJ001-0001", "in nineteen ten", "", "train"),
        ("LJ001-0002", "only raw", "", "train"),
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("LJ2", r"metadata\.csv line 2 has 1 fields between bars; expected id\|text"),
        ("LJ2|a|b|c", r"line 2 has 4 fields between bars"),
        ("|a|b", r"line 2 has no id"),
        ("LJ1|a|b", r"line 2 lists LJ1 again"),
        ("LJ3|a|b", r"names 1 audio file not found in .*: wavs.LJ3\.wav"),
    ],
)
def test_broken_ljspeech(put: Put, tmp_path: Path, line: str, message: str) -> None:
    put("wavs/LJ1.wav", 0.1)
    put("metadata.csv", f"LJ1|a|b\n{line}\n")
    with pytest.raises(EchoError, match=message):
        load_corpus(tmp_path)


# --- Common Voice ---

CV17 = (
    "client_id\tpath\tsentence_id\tsentence\tsentence_domain\tup_votes\tdown_votes\tage\tgender\taccents\tvariant\t"
    "locale\tsegment\n"
)


def cv(client: str, path: str, sentence: str) -> str:
    return f"{client}\t{path}\tid\t{sentence}\t\t2\t0\t\t\t\t\tvi\t\n"


def test_common_voice(put: Put, tmp_path: Path) -> None:
    for number in range(3):
        put(f"clips/common_voice_vi_{number}.mp3", 0.5)
    put("train.tsv", CV17 + cv("c0", "common_voice_vi_0.mp3", '"Xin chào" nói'))
    put("dev.tsv", CV17 + cv("c1", "common_voice_vi_1.mp3", "hai"))
    put("test.tsv", CV17 + cv("c2", "common_voice_vi_2.mp3", "ba"))
    put("validated.tsv", CV17 + cv("c9", "common_voice_vi_9.mp3", "chín"))
    put("clip_durations.tsv", "clip\tduration[ms]\ncommon_voice_vi_0.mp3\t4321\n")
    corpus = load_corpus(tmp_path)
    assert rows(corpus) == [
        ("common_voice_vi_0.mp3", '"Xin chào" nói', "c0", "train"),
        ("common_voice_vi_1.mp3", "hai", "c1", "validation"),
        ("common_voice_vi_2.mp3", "ba", "c2", "test"),
    ]
    assert corpus.utterances[0].duration == 4.321  # as the table says: the clip was not looked into
    assert corpus.utterances[1].duration == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("milliseconds", ["inf", "-inf", "nan", "-100", "0", "1e300", "9e9", "a second", ""])
def test_common_voice_with_durations_that_no_clip_has(put: Put, tmp_path: Path, milliseconds: str) -> None:
    put("clips/a.mp3", 0.5), put("clips/b.mp3", 0.5)
    put("train.tsv", CV17 + cv("c", "a.mp3", "x") + cv("c", "b.mp3", "y"))
    put("clip_durations.tsv", f"clip\tduration[ms]\na.mp3\t{milliseconds}\nb.mp3\t4321\n")
    with pytest.warns(UserWarning, match=r"clip_durations\.tsv: durations that no clip has: 1; .* read from the clips"):
        corpus = load_corpus(tmp_path)
    assert [u.duration for u in corpus.utterances] == [pytest.approx(0.5, abs=0.1), 4.321]


@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe\0\xd8" * 9, b"clip\tduration\n\xff\xfd\t100\n", b"x" * (9 << 20), b"\0" * 50, b"clip\n\0\0\n"],
)
def test_common_voice_with_a_table_of_durations_that_cannot_be_read(put: Put, tmp_path: Path, content: bytes) -> None:
    put("clips/a.mp3", 0.5)
    put("train.tsv", CV17 + cv("c", "a.mp3", "x"))
    (tmp_path / "clip_durations.tsv").write_bytes(content)
    with pytest.warns(UserWarning, match=r"clip_durations\.tsv.*read from the clips") as reported:
        corpus = load_corpus(tmp_path)
    assert len(reported) == 1 and corpus.utterances[0].duration == pytest.approx(0.5, abs=0.1)


def test_common_voice_without_tables_of_splits_and_broken_lines(put: Put, tmp_path: Path) -> None:
    put("clips/a.mp3", 0.2)
    good, short, pathless = cv("c", "a", "x"), "c\ta\n", cv("c", "", "x")
    put("validated.tsv", CV17 + good + short + pathless + cv("c", "b.mp3", "y"))
    with pytest.warns(UserWarning, match=r"3 of 4 .*validated\.tsv line 3 has 2 fields; expected 13, tabs between"):
        corpus = load_corpus(tmp_path, "skip")
    assert rows(corpus) == [("a", "x", "c", "train")]
    assert [b.where.rsplit(" ", 1)[1] for b in corpus.broken] == ["3", "4", "5"]
    put("validated.tsv", "client_id\tpath\n")
    with pytest.raises(EchoError, match=r"validated\.tsv has no column sentence; it has: client_id, path"):
        load_corpus(tmp_path)


def test_nothing_is_looked_into_where_durations_are_known(
    put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{number}.wav" for number in range(50)]
    for name in names:
        put(name)  # empty: no sound at all
    put("metadata.csv", "file_name,transcription,duration\n" + "".join(f"{name},x,1\n" for name in names))
    looked: list[object] = []
    real = Path.stat
    monkeypatch.setattr(Path, "stat", lambda self, **more: looked.append(self) or real(self, **more))
    found: tuple[Utterance, ...] = load_corpus(tmp_path).utterances
    assert len(found) == 50 and len(looked) < 20


# --- faults of one table among many, and what a person chooses ---


def test_a_folder_of_splits_of_which_one_is_damaged(put: Put, tmp_path: Path) -> None:
    for name in ("train", "dev"):
        put(f"{name}/a.wav", 0.1)
        put(f"{name}/metadata.csv", f"{'file_name,text' if name == 'train' else 'nothing'}\na.wav,x\n")
    refused = r"dev.metadata\.csv has no column file_name"
    left_out = r"1 of 2 records are left out, first: .*dev.metadata\.csv has no column"
    corpus = load_without_broken(tmp_path, refused, left_out)
    assert [u.id for u in corpus.utterances] == ["train/a.wav"]


def test_common_voice_with_one_damaged_table_and_a_tab_in_a_sentence(put: Put, tmp_path: Path) -> None:
    put("clips/a.mp3", 0.2), put("clips/b.mp3", 0.2)
    put("train.tsv", CV17 + cv("c", "a", '5" long') + cv("c", "b", "cut\there"))
    put("dev.tsv", "client_id\tpath\tpath\tsentence\n")
    with pytest.warns(UserWarning, match=r"2 of 3 .*train\.tsv line 3 has 14 fields; expected 13"):
        corpus = load_corpus(tmp_path, "skip")
    assert rows(corpus) == [("a", '5" long', "c", "train")]
    assert corpus.broken[1].message.endswith("dev.tsv has the column path twice; keep one")


def test_json_lines_that_are_deep_or_hold_very_much(put: Put, tmp_path: Path) -> None:
    put("a.wav", 0.1)
    good = '{"file_name": "a.wav", "text": "x\\ny"}\n'
    nothing = '{}\n{"file_name": "", "text": null}\n'
    put(
        "metadata.jsonl",
        "[" * 200_000 + "\n" + '{"a":' * 200_000 + "\n" + nothing + "[" + "[]," * 600_000 + "[]]\n" + good,
    )
    with pytest.warns(UserWarning, match="3 of 4 records are left out"):
        corpus = load_corpus(tmp_path, "skip")
    assert rows(corpus) == [("a.wav", "x y", "", "train")]  # a text is one line
    assert "line 5 has over 500000 lists" in corpus.broken[2].message


@pytest.mark.parametrize("third", ["0.6", "anna", "train"])
def test_third_fields_of_ljspeech_that_are_no_texts(put: Put, tmp_path: Path, third: str) -> None:
    for number in range(3):
        put(f"wavs/a{number}.wav", 0.1)
    put("metadata.csv", "".join(f"a{n}|this is sentence {n}|{third}\n" for n in range(3)))
    with pytest.warns(UserWarning, match=r"share no word with the second in \d of 3 lines.*name the field .*:2$"):
        assert {u.text for u in load_corpus(tmp_path).utterances} == {third}
    assert [u.text for u in load_corpus(f"{tmp_path}:2").utterances] == [f"this is sentence {n}" for n in range(3)]
    assert {u.text for u in load_corpus(f"{tmp_path}:3").utterances} == {third}
    with pytest.raises(EchoError, match=r"line 1 has 3 fields between bars; expected 4 or more"):
        load_corpus(f"{tmp_path}:4")


def test_third_fields_of_ljspeech_that_are_the_texts_in_words(
    put: Put, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    put("wavs/a.wav", 0.1), put("wavs/b.wav", 0.1)
    put("metadata.csv", "a|In 1910, Dr. Bo|in nineteen ten doctor bo\nb|12|twelve\n||\n")
    assert [u.text for u in load_corpus(tmp_path).utterances] == ["in nineteen ten doctor bo", "twelve"]
    assert not list(recwarn)


@pytest.mark.parametrize("form", ["csv", "kaldi", "ljspeech", "commonvoice"])
def test_a_person_chooses_whether_an_empty_text_is_silence(put: Put, tmp_path: Path, form: str) -> None:
    for name in ("a.wav", "b.wav", "wavs/a.wav", "wavs/b.wav", "clips/a.mp3", "clips/b.mp3"):
        put(name, 0.2)
    if form == "csv":
        put("metadata.csv", "file_name,text\na.wav,x\nb.wav,\n")
    elif form == "kaldi":
        put("wav.scp", "a a.wav\nb b.wav\n"), put("text", "a x\nb\n")
    elif form == "ljspeech":
        put("metadata.csv", "a|x\nb|\n")
    else:
        put("validated.tsv", CV17 + cv("c", "a", "x") + cv("c", "b", ""))
    with pytest.warns(UserWarning, match=r"has 1 of 2 texts empty, which is taken for silence; @empty:skip leaves"):
        assert [u.text for u in load_corpus(tmp_path).utterances] == ["x", ""]
    with pytest.warns(UserWarning, match=r"has 1 of 2 texts empty, which is left out as not yet transcribed$"):
        assert [u.text for u in load_corpus(f"{tmp_path}@empty:skip@part:1").utterances] == ["x"]
    with pytest.raises(EchoError, match=r"@empty takes silence \(nobody speaks\) or skip .*got 'no'"):
        load_corpus(f"{tmp_path}@empty:no")
