"""Trees of folders as one corpus: annotations below a folder, corpora of one form, splits, links."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from echo_asr.data.corpus import load_corpus, read_corpus
from echo_asr.errors import EchoError
from tests.helpers.corpora import rows
from tests.helpers.textgrids import write_textgrid

Put = Callable[..., Path]

EAF = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT><TIME_ORDER><TIME_SLOT TIME_SLOT_ID="t1" TIME_VALUE="100"/>
<TIME_SLOT TIME_SLOT_ID="t2" TIME_VALUE="900"/></TIME_ORDER>
<TIER TIER_ID="tx" PARTICIPANT="Lan"><ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="t1"
 TIME_SLOT_REF2="t2"><ANNOTATION_VALUE>mà</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>
</ANNOTATION_DOCUMENT>
"""
SRT = "1\n00:00:00,100 --> 00:00:00,900\nmà\n"


@pytest.fixture
def session(put: Put, tmp_path: Path) -> Callable[..., None]:
    """`(name, form="eaf")`: a recording of 1 s and its annotations, `name` without their endings."""

    def write(name: str, form: str = "eaf") -> None:
        put(f"{name}.wav", 1.0)
        if form == "TextGrid":
            write_textgrid(tmp_path / f"{name}.TextGrid", [("tx", [(0.1, 0.9, "mà")])], 1.0)
        else:
            put(f"{name}.{form}", EAF if form == "eaf" else SRT)

    return write


def ids(spec: Path | str) -> list[str]:
    return [u.id for u in load_corpus(spec).utterances]


@pytest.mark.parametrize(("form", "name"), [("eaf", "a1"), ("TextGrid", "tx/1"), ("srt", "1"), ("vtt", "1")])
def test_a_folder_a_session(session: Callable[..., None], tmp_path: Path, form: str, name: str) -> None:
    """At any depth, in order; recordings of one name in two folders are two."""
    for one in ("s2/rec", "s1/rec", "s1/deep/er/rec", "s10/rec", ".trash/rec", "s1/.old/rec"):
        session(one, form)
    (tmp_path / "notes").mkdir()
    found = load_corpus(tmp_path)
    assert [u.id for u in found.utterances] == [f"{s}/rec/{name}" for s in ("s1", "s1/deep/er", "s10", "s2")]
    assert len({u.audio.path for u in found.utterances}) == 4  # type: ignore[union-attr]
    if form in ("eaf", "TextGrid"):
        assert ids(f"{tmp_path}:tx") == ids(tmp_path)
        with pytest.raises(EchoError, match=r"s1/rec\.\w+ has no tier 'zz'.* \(and 3 more broken"):
            load_corpus(f"{tmp_path}:zz")


def test_links_make_no_loop(session: Callable[..., None], tmp_path: Path) -> None:
    session("s1/rec"), session("elsewhere/s3/rec")
    corpus = tmp_path / "corpus"
    try:
        (corpus / "deep").mkdir(parents=True)
        (corpus / "deep" / "up").symlink_to(corpus, target_is_directory=True)
        (corpus / "s1").symlink_to(tmp_path / "s1", target_is_directory=True)
        (corpus / "s2").symlink_to(tmp_path / "s1", target_is_directory=True)
        (corpus / "gone").symlink_to(tmp_path / "nowhere", target_is_directory=True)
    except OSError:
        pytest.skip("no links here")
    assert ids(corpus) == ["a1"], "a folder that two links lead to is read once"
    (corpus / "s3").symlink_to(tmp_path / "elsewhere" / "s3", target_is_directory=True)
    assert ids(corpus) == ["s1/rec/a1", "s3/rec/a1"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs permissions that can be taken away")
def test_a_folder_that_cannot_be_read_is_left_out_with_a_warning(session: Callable[..., None], tmp_path: Path) -> None:
    session("s1/rec"), session("s2/rec")
    (tmp_path / "s2").chmod(0)
    try:
        with pytest.warns(UserWarning, match="s2 cannot be read"):
            assert ids(tmp_path) == ["a1"]
    finally:
        (tmp_path / "s2").chmod(0o755)


def test_the_first_form_of_several_is_read(session: Callable[..., None], tmp_path: Path) -> None:
    """So that what was exported from ELAN for other programs is not read twice."""
    session("s1/rec"), session("s1/rec", "srt"), session("s2/rec", "TextGrid")
    what = r"has 1 files of ELAN, which are read, and leaves out .*s1/rec\.srt and 1 more in another form: give it by"
    with pytest.warns(UserWarning, match=what):
        assert ids(tmp_path) == ["a1"]


def test_folders_named_as_splits(session: Callable[..., None], tmp_path: Path) -> None:
    for name in ("train/s1/rec", "dev/rec", "test-clean/rec"):
        session(name)
    assert [(u.id, u.split) for u in load_corpus(f"{tmp_path}:tx").utterances] == [
        ("dev/rec/a1", "validation"), ("test-clean/rec/a1", "test"), ("train/s1/rec/a1", "train"),
    ]  # fmt: skip
    session("notes/rec")
    with pytest.warns(
        UserWarning, match=r"has folders of splits, dev, test-clean, train, and leaves out .*notes/rec\.eaf"
    ):
        assert len(ids(tmp_path)) == 3


def test_a_session_may_be_called_test(session: Callable[..., None], tmp_path: Path) -> None:
    session("tr/rec"), session("test/rec"), session("vi/rec")  # languages, and a first attempt
    assert {u.split for u in load_corpus(tmp_path).utterances} == {"train"}


# --- other forms, a folder each ---


def test_corpora_of_one_form(put: Put, tmp_path: Path) -> None:
    for name in ("s1", "s2", "deep/s3"):
        put(f"{name}/a.wav", 0.1)
        put(f"{name}/metadata.csv", f"file_name,text,split\na.wav,{name},{'test' if name == 's2' else ''}\n")
    (tmp_path / "notes").mkdir()
    assert rows(load_corpus(tmp_path)) == [
        ("deep/s3/a.wav", "deep/s3", "", "train"), ("s1/a.wav", "s1", "", "train"), ("s2/a.wav", "s2", "", "test"),
    ]  # fmt: skip
    put("s2/metadata.csv", "file_name\n")
    broken = read_corpus(tmp_path).broken
    assert len(broken) == 1 and "s2/metadata.csv has no column transcription" in broken[0].message


def test_splits_within_each_session(put: Put, tmp_path: Path) -> None:
    for name in ("s1/train", "s1/dev", "s2/train"):
        put(f"{name}/wav.scp", "r a.wav\n"), put(f"{name}/text", "r x\n"), put(f"{name}/a.wav", 0.1)
    assert [(u.id, u.split) for u in load_corpus(tmp_path).utterances] == [
        ("s1/dev/r", "validation"), ("s1/train/r", "train"), ("s2/train/r", "train"),
    ]  # fmt: skip


def test_what_is_ambiguous_is_refused(put: Put, session: Callable[..., None], tmp_path: Path) -> None:
    put("s1/metadata.csv", "file_name,text\na.wav,x\n"), put("s2/wav.scp", "r a.wav\n")
    with pytest.raises(EchoError, match=r"holds several forms \(Kaldi, metadata\); give one, such as .*s1$"):
        load_corpus(tmp_path)
    (tmp_path / "s2" / "wav.scp").unlink()
    session("elan/rec")
    with pytest.raises(EchoError, match=r"holds several forms \(metadata, annotations\); give one, such as .*s1$"):
        load_corpus(tmp_path)
    assert ids(f"{tmp_path}:tx") == ["a1"], "a tier is of annotations"


def test_languages_of_common_voice_are_not_one_corpus(put: Put, tmp_path: Path) -> None:
    for name in ("vi", "ti"):
        put(f"{name}/train.tsv", "client_id\tpath\tsentence\n"), (tmp_path / name / "clips").mkdir()
    with pytest.raises(EchoError, match=r"has no metadata.csv, but .*ti in it is a corpus; give that"):
        load_corpus(tmp_path)


@pytest.mark.parametrize(
    ("tier", "message"),
    [
        ("", r"has no metadata\.csv; add one with the columns .*, ELAN, TextGrid, subtitles, lhotse"),
        (":tx", r"has no annotations of a tier 'tx': no file in it or below ends in \.eaf, \.TextGrid, \.srt, \.vtt"),
    ],
)
def test_nothing_is_found(tmp_path: Path, tier: str, message: str) -> None:
    (tmp_path / "s1" / "deep").mkdir(parents=True)
    with pytest.raises(EchoError, match=message):
        load_corpus(f"{tmp_path}{tier}")
