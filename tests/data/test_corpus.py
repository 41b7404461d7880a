import csv
import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echo_asr.data.corpus import Corpus, load_corpus
from echo_asr.errors import EchoError


def write_wav(path: Path, seconds: float = 0.1, rate: int = 16_000) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(np.ones(round(seconds * rate), "<i2").tobytes())


def make_folder(folder: Path, metadata: str, files: tuple[str, ...] = ("a.wav", "b.wav")) -> Path:
    for name in files:
        write_wav(folder / name)
    (folder / "metadata.csv").write_text(metadata, encoding="utf-8", newline="")
    return folder


def test_all_columns_are_read(tmp_path: Path) -> None:
    make_folder(
        tmp_path,
        "file_name,transcription,speaker,split,duration,note\n"
        'b.wav,"ni3 hao3, ma1",yue,test,1.25,ignored\n'
        "sub/a.wav,ma4,chen,train,0.5,\n",
        files=("b.wav", "sub/a.wav"),
    )
    corpus = load_corpus(str(tmp_path))
    assert corpus.name == str(tmp_path)
    first, second = corpus.utterances
    assert (first.id, first.audio) == ("b.wav", tmp_path / "b.wav")
    assert (first.text, first.speaker, first.split, first.duration) == ("ni3 hao3, ma1", "yue", "test", 1.25)
    assert (second.id, second.audio) == ("sub/a.wav", tmp_path / "sub" / "a.wav")
    assert corpus.splits == ("train", "test")
    assert corpus.split("test") == (first,)


@pytest.mark.parametrize("header", ["file_name,transcription", "file_name,transcription,speaker,split,duration"])
def test_defaults_stand_in_for_absent_columns_and_empty_cells(tmp_path: Path, header: str) -> None:
    make_folder(tmp_path, f"{header}\na.wav,one{',' * (header.count(',') - 1)}\n")
    write_wav(tmp_path / "a.wav", seconds=0.75, rate=8000)
    (utterance,) = load_corpus(tmp_path).utterances  # a Path is as good as a string
    assert (utterance.speaker, utterance.split) == ("", "train")
    assert utterance.duration == pytest.approx(0.75)  # from the header of the file


def test_an_empty_text_is_silence_and_legal(tmp_path: Path) -> None:
    make_folder(tmp_path, "file_name,transcription\na.wav,\nb.wav,  \n")
    assert [utterance.text for utterance in load_corpus(tmp_path).utterances] == ["", ""]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_byte_order_marks_line_ends_and_other_scripts(tmp_path: Path, encoding: str, newline: str) -> None:
    make_folder(tmp_path, "")
    text = newline.join(["file_name, transcription", "a.wav, xin chào ", "b.wav,你好", ""])
    (tmp_path / "metadata.csv").write_bytes(text.encode(encoding))
    assert [utterance.text for utterance in load_corpus(tmp_path).utterances] == ["xin chào", "你好"]


# A CSV file cannot tell a carriage return inside a text from a line end in all dialects, and NUL is no text.
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20).map(str.strip)


@settings(max_examples=50, deadline=None)
@given(rows=st.lists(st.tuples(texts, texts, st.sampled_from(["train", "test"])), min_size=1, max_size=4))
def test_what_the_csv_module_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("corpus")
    with (folder / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["split", "transcription", "speaker", "file_name", "duration"])
        for number, (text, speaker, split) in enumerate(rows):
            (folder / f"{number}.wav").touch()
            writer.writerow([split, text, speaker, f"{number}.wav", 1 + number])
    read = load_corpus(folder).utterances
    assert [(utterance.text, utterance.speaker, utterance.split) for utterance in read] == rows
    assert [utterance.duration for utterance in read] == [1 + number for number in range(len(rows))]


HEADER = "file_name,transcription,split,duration\n"


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ("", r"no column file_name and no column transcription; it has: none"),
        ("path,text\na.wav,x\n", r"no column file_name; it has: path, text; needed: file_name, transcription"),
        ("file_name|transcription\n", r"it has: file_name|transcription"),
        ("file_name,split\na.wav,train\n", r"no column transcription; it has: file_name, split"),
        (HEADER, r"lists no recordings; add a line"),
        (HEADER + "a.wav,x,train,\nc.wav,x,train,\n", r"names 1 audio file not found in .*: c\.wav; put them"),
        (
            HEADER + "".join(f"{name}.wav,x,train,1\n" for name in "cdefa"),
            r"names 4 audio files not found in .*: c\.wav, d\.wav, e\.wav, \.\.\.; put",
        ),
        (HEADER + "a.wav,x,dev,1\n", r"line 2 has the split 'dev'; expected one of: train, validation, test"),
        (HEADER + "a.wav,x,train,1\nb.wav,x,train,long\n", r"line 3 has the duration 'long'; expected seconds"),
        (HEADER + "a.wav,x,train,nan\n", r"the duration 'nan'"),
        (HEADER + "a.wav,x,train,inf\n", r"the duration 'inf'"),
        (HEADER + "a.wav,x,train,0\n", r"the duration '0'; expected seconds above 0"),
        (HEADER + "a.wav,x,train,-1.5\n", r"the duration '-1\.5'"),
        (HEADER + "a.wav,one, two,train,1\n", r"line 2 has more cells than columns; put a text with commas in"),
        (HEADER + "a.wav,x,train,1\na.wav,y,test,1\n", r"line 3 lists a\.wav again; list each file once"),
        (HEADER + ",x,train,1\n", r"line 2 has no file_name"),
        (HEADER + 'a.wav,"open,train,1\n', r"line 2 has a quotation mark that its line does not close"),
        (HEADER + f"{'n' * 5000}.wav,x,train,1\n", r"names 1 audio file not found"),
        (HEADER + ".,x,train,1\n", r"names 1 audio file not found"),
    ],
)
def test_metadata_that_is_wrong(tmp_path: Path, metadata: str, message: str) -> None:
    make_folder(tmp_path, metadata)
    with pytest.raises(EchoError, match=message) as caught:
        load_corpus(tmp_path)
    assert "\n" not in str(caught.value)
    assert "metadata.csv" in str(caught.value)


def test_metadata_that_is_not_utf8(tmp_path: Path) -> None:
    make_folder(tmp_path, "")
    (tmp_path / "metadata.csv").write_bytes("file_name,transcription\na.wav,été\n".encode("latin-1"))
    with pytest.raises(EchoError, match=r"metadata\.csv line 2 is not UTF-8 .*; save the file as UTF-8"):
        load_corpus(tmp_path)


def test_audio_that_is_none_is_named_when_its_header_is_needed(tmp_path: Path) -> None:
    make_folder(tmp_path, "file_name,transcription\na.wav,x\n")
    (tmp_path / "a.wav").write_text("these are words")
    with pytest.raises(EchoError, match=r"a\.wav"):
        load_corpus(tmp_path)


def test_folders_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(EchoError, match=r"corpus folder .*nowhere does not exist; give a folder with metadata"):
        load_corpus(tmp_path / "nowhere")
    with pytest.raises(EchoError, match=r"has no metadata\.csv; add one with the columns file_name, transcription"):
        load_corpus(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(EchoError, match=r"is a file; give the folder that holds metadata\.csv"):
        load_corpus(tmp_path / "file")
    (tmp_path / "metadata.csv").mkdir()
    with pytest.raises(EchoError, match=r"has no metadata\.csv"):
        load_corpus(tmp_path)


def test_a_split_that_is_not_there(tmp_path: Path) -> None:
    corpus = load_corpus(make_folder(tmp_path, HEADER + "a.wav,x,test,1\nb.wav,x,train,1\n"))
    with pytest.raises(EchoError, match=r"has no split 'validation'; choose from: train, test"):
        corpus.split("validation")
    assert Corpus("empty", ()).splits == ()


def test_an_unknown_synthetic_corpus(tmp_path: Path) -> None:
    with pytest.raises(EchoError, match=r"no synthetic corpus is called 'bells'; there are: tones, tones-flat"):
        load_corpus("synth:bells")
