"""ELAN files as ELAN 6 writes them, headers and all."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from echo_asr.audio.segment import AudioSegment
from echo_asr.data.corpus import load_corpus
from echo_asr.errors import EchoError
from tests.helpers.corpora import load_without_broken

Put = Callable[..., Path]

HEADER = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2024-03-01T10:00:00+01:00" FORMAT="3.0" VERSION="3.0"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
 xsi:noNamespaceSchemaLocation="http://www.mpi.nl/tools/elan/EAFv3.0.xsd">
    <HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">
        {media}
        <PROPERTY NAME="URN">urn:nl-mpi-tools-elan-eaf:0b5d</PROPERTY>
        <PROPERTY NAME="lastUsedAnnotationId">9</PROPERTY>
    </HEADER>
"""
MEDIA = (
    '<MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/Users/ana/my%20rec.wav" MIME_TYPE="audio/x-wav" '
    'RELATIVE_MEDIA_URL="./my%20rec.wav"/>'
)
SLOTS = """    <TIME_ORDER>
        <TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="500"/>
        <TIME_SLOT TIME_SLOT_ID="ts2"/>
        <TIME_SLOT TIME_SLOT_ID="ts3"/>
        <TIME_SLOT TIME_SLOT_ID="ts4" TIME_VALUE="2000"/>
        <TIME_SLOT TIME_SLOT_ID="ts5" TIME_VALUE="2500"/>
        <TIME_SLOT TIME_SLOT_ID="ts6" TIME_VALUE="2900"/>
    </TIME_ORDER>
"""
FOOTER = """    <LINGUISTIC_TYPE GRAPHIC_REFERENCES="false" LINGUISTIC_TYPE_ID="default-lt" TIME_ALIGNABLE="true"/>
    <CONSTRAINT DESCRIPTION="1-1 association" STEREOTYPE="Symbolic_Association"/>
</ANNOTATION_DOCUMENT>
"""


def aligned(name: str, first: str, last: str, text: str) -> str:
    return (
        f'<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="{name}" TIME_SLOT_REF1="{first}" TIME_SLOT_REF2="{last}">'
        f"<ANNOTATION_VALUE>{text}</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>"
    )


def hung(name: str, parent: str, text: str) -> str:
    return (
        f'<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="{name}" ANNOTATION_REF="{parent}">'
        f"<ANNOTATION_VALUE>{text}</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>"
    )


def tier(name: str, *annotations: str, kind: str = "default-lt", participant: str = "") -> str:
    who = f' PARTICIPANT="{participant}"' if participant else ""
    return f'<TIER LINGUISTIC_TYPE_REF="{kind}"{who} TIER_ID="{name}">{"".join(annotations)}</TIER>\n'


WORDS = tier(
    "words", aligned("a1", "ts1", "ts2", "một"), aligned("a2", "ts2", "ts3", "hai"), aligned("a3", "ts3", "ts4", "ba"),
    aligned("a4", "ts5", "ts6", " bốn "), participant="Lan",
)  # fmt: skip
GLOSS = tier("gloss", hung("a5", "a1", "one"), hung("a6", "a4", "fo"), hung("a7", "a4", "ur"), kind="gloss")


@pytest.fixture
def eaf(put: Put) -> Callable[..., str]:
    """`(*tiers, media=..., name=...)`: write an .eaf beside a recording of 3 s; its path."""

    def write(*tiers: str, media: str = MEDIA, name: str = "rec.eaf") -> str:
        put("my rec.wav", 3.0)
        return str(put(name, HEADER.format(media=media) + SLOTS + "".join(tiers) + FOOTER))

    return write


def spans(spec: str) -> list[tuple[str, float, float]]:
    found = []
    for u in load_corpus(spec).utterances:
        assert isinstance(u.audio, AudioSegment) and u.audio.path.name == "my rec.wav"
        found.append((u.text, round(u.audio.start, 3), round(u.audio.start + u.duration, 3)))
    return found


def test_slots_without_a_time_lie_evenly_between_those_with_one(eaf: Callable[..., str]) -> None:
    path = eaf(WORDS, tier("empty"))  # a tier without annotations is none to choose from
    assert spans(path) == [("một", 0.5, 1.0), ("hai", 1.0, 1.5), ("ba", 1.5, 2.0), ("bốn", 2.5, 2.9)]
    assert {u.speaker for u in load_corpus(path).utterances} == {"Lan"}
    assert [u.id for u in load_corpus(path).utterances] == ["a1", "a2", "a3", "a4"]


def test_a_tier_is_named_and_those_that_hang_on_another_take_its_times(eaf: Callable[..., str]) -> None:
    path = eaf(WORDS, GLOSS)
    with pytest.raises(EchoError, match=r"rec\.eaf has 2 tiers; name the one with the texts, .*:TIER: words, gloss$"):
        load_corpus(path)
    with pytest.raises(EchoError, match=r"has no tier 'Words' with annotations; choose from: words, gloss"):
        load_corpus(f"{path}:Words")
    assert spans(f"{path}:gloss") == [("one", 0.5, 1.0), ("fo ur", 2.5, 2.9)]
    assert len(spans(f"{path}:words")) == 4


def test_tiers_of_one_type_and_folders_of_files(eaf: Callable[..., str], tmp_path: Path) -> None:
    lan = tier("text@Lan", aligned("a1", "ts1", "ts4", "x"), kind="utt", participant="Lan")
    minh = tier("text@Minh: 2", aligned("a2", "ts5", "ts6", "y"), kind="utt", participant="Minh")
    path = eaf(lan, minh)
    assert [u.speaker for u in load_corpus(f"{path}:utt").utterances] == ["Lan", "Minh"]
    assert spans(f"{path}:text@Minh: 2") == [("y", 2.5, 2.9)]
    eaf(lan, name="second.eaf")
    assert [u.id for u in load_corpus(f"{tmp_path}:text@Lan").utterances] == ["rec/a1", "second/a1"]


@pytest.mark.parametrize(
    ("media", "name"),
    [
        ('<MEDIA_DESCRIPTOR MEDIA_URL="file:///D:/gone/my%20rec.wav" MIME_TYPE="audio/x-wav"/>', "rec.eaf"),
        ("", "my rec.eaf"),  # the same stem
        (MEDIA + '<MEDIA_DESCRIPTOR MEDIA_URL="file:///D:/film.mp4" MIME_TYPE="video/mp4"/>', "rec.eaf"),
    ],
)
def test_where_the_recording_is_found(eaf: Callable[..., str], media: str, name: str) -> None:
    assert len(spans(eaf(WORDS, media=media, name=name))) == 4


@pytest.mark.parametrize(
    "address", ["file:/./audio/my rec.wav", "file:/./../here/audio/my%20rec.wav", "audio/my rec.wav"]
)
def test_relative_addresses_of_old_versions(address: str, put: Put, tmp_path: Path) -> None:
    put("here/audio/my rec.wav", 3.0)
    media = f'<MEDIA_DESCRIPTOR MEDIA_URL="file:///H:/x.wav" MIME_TYPE="audio/x-wav" RELATIVE_MEDIA_URL="{address}"/>'
    path = put("here/rec.eaf", HEADER.format(media=media) + SLOTS + WORDS + FOOTER)
    assert len(spans(str(path))) == 4


def test_a_tier_without_annotations_is_explained(eaf: Callable[..., str]) -> None:
    """As that of a segmented text that nobody has begun to transcribe."""
    with pytest.raises(EchoError, match=r"tier 'tx' has no annotations, not even empty ones; make them in ELAN"):
        load_corpus(f"{eaf(WORDS, tier('tx'))}:tx")


def test_names_of_tiers_may_differ_in_the_unicode_form_of_their_letters(eaf: Callable[..., str]) -> None:
    """macOS and keyboards write `ế` in different forms."""
    name = "tiếng Việt"
    path = eaf(tier(unicodedata.normalize("NFD", name), aligned("a1", "ts5", "ts6", "một")), GLOSS)
    assert len(spans(f"{path}:{unicodedata.normalize('NFC', name)}")) == 1


def test_the_time_at_which_the_media_begins(eaf: Callable[..., str]) -> None:
    path = eaf(WORDS, media=MEDIA.replace("MIME_TYPE", 'TIME_ORIGIN="100" MIME_TYPE'))
    assert spans(path)[0] == ("một", 0.6, 1.1)


@pytest.mark.parametrize(
    ("tiers", "media", "message"),
    [
        ([tier("a")], MEDIA, r"rec\.eaf has no annotations; transcribe it in ELAN first"),
        ([tier("a", aligned("a1", "ts4", "ts1", "x"))], MEDIA, r"tier a, annotation a1 has the times 2 to 0\.5 s"),
        ([tier("a", aligned("a1", "ts2", "ts3", "x"))], MEDIA, r"tier a, annotation a1 has no time; align it in ELAN"),
        ([tier("a", hung("a1", "a1", "x"))], MEDIA, r"annotation a1 has no time"),
        ([WORDS], MEDIA.replace("rec", "gone"), r"its recording is not there \(it names \./my gone\.wav, C:/Users/"),
        ([WORDS], "", r"its recording is not there \(it names none\); put it beside the file, as rec\.wav"),
        (["<TIER>"], MEDIA, r"rec\.eaf is no legal ELAN file: mismatched tag"),
    ],
)
def test_broken_elan(eaf: Callable[..., str], tiers: list[str], media: str, message: str) -> None:
    with pytest.raises(EchoError, match=message):
        load_corpus(eaf(*tiers, media=media))


def test_times_beyond_the_recording_and_other_xml(eaf: Callable[..., str], put: Put) -> None:
    path = eaf(WORDS)
    put("my rec.wav", 1.8)
    with pytest.raises(EchoError, match=r"annotation a4 ends at 2\.9 s, and its recording lasts 1\.800 s"):
        load_corpus(path)
    other = put("other.eaf", "<html></html>")
    with pytest.raises(EchoError, match=r"other\.eaf is no ELAN file, but one of html"):
        load_corpus(str(other))


# --- what is not yet written, and faults of one file among many ---


def test_annotations_without_a_text_are_not_yet_written(eaf: Callable[..., str]) -> None:
    """They are left out and counted, if they have no time yet, too; a person may take them for silence."""
    path = eaf(
        tier(
            "a",
            aligned("a1", "ts1", "ts4", "x"),
            aligned("a2", "ts5", "ts6", " \u200b"),
            aligned("a3", "ts2", "ts3", ""),
        )
    )
    counted = r"rec\.eaf has 2 of 3 texts empty, which are left out as not yet transcribed; @empty:silence takes them"
    with pytest.warns(UserWarning, match=counted):
        assert spans(path) == [("x", 0.5, 2.0)]
    with pytest.warns(UserWarning, match=r"1 of 3 .*rec\.eaf has the duration 0"):
        corpus = load_corpus(f"{path}@empty:silence", "skip")
    assert [u.text.strip("\u200b") for u in corpus.utterances] == ["x", ""]
    with pytest.raises(EchoError, match=r"rec\.eaf has 1 of 1 texts empty, which is left out as not yet transcribed"):
        load_corpus(eaf(tier("a", aligned("a1", "ts1", "ts4", ""))))


def test_a_text_of_several_annotations_of_which_one_is_empty_is_not_yet_written(eaf: Callable[..., str]) -> None:
    path = eaf(
        WORDS, tier("gloss", hung("a5", "a1", "one"), hung("a6", "a4", "fo"), hung("a7", "a4", ""), kind="gloss")
    )
    with pytest.warns(UserWarning, match="1 of 2 texts empty"):
        assert spans(f"{path}:gloss") == [("one", 0.5, 1.0)]


BOMB = (
    '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;">]><ANNOTATION_DOCUMENT>&b;</ANNOTATION_DOCUMENT>'
)
READS_A_FILE = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><ANNOTATION_DOCUMENT>&x;</ANNOTATION_DOCUMENT>'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (HEADER.format(media=MEDIA.replace("rec", "gone")) + SLOTS + WORDS + FOOTER, "its recording is not there"),
        (HEADER.format(media=MEDIA) + SLOTS + tier("words") + FOOTER, "has no annotations; transcribe it"),
        (HEADER.format(media=MEDIA) + SLOTS + GLOSS + FOOTER, "has no tier 'words' with annotations"),
        ("", "is no legal ELAN file"),
        ("<html></html>", "is no ELAN file, but one of html"),
        (BOMB, "declares a document type; give a file as ELAN saves it"),
        (READS_A_FILE, "declares a document type"),
        ("<a>" * 100, "has over 50 levels of XML"),
    ],
)
def test_a_fault_of_one_file_is_a_broken_record(
    eaf: Callable[..., str], put: Put, tmp_path: Path, content: str, message: str
) -> None:
    eaf(WORDS, name="good.eaf")
    put("bad.eaf", content), put("._good.eaf", "what macOS leaves on other disks")
    refused = rf"bad\.eaf:? {message}"
    corpus = load_without_broken(f"{tmp_path}:words", refused, f"1 of 5 records are left out, first: .*{refused}")
    assert len(corpus.utterances) == 4


def test_a_large_file_and_one_of_very_many_elements(put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with put("sparse.eaf").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(EchoError, match="is larger than 100 MB"):
        load_corpus(tmp_path)
    (tmp_path / "sparse.eaf").unlink()
    monkeypatch.setattr("echo_asr.annotations.document.ELEMENTS", 100)
    put("many.eaf", f"<ANNOTATION_DOCUMENT>{'<a/>' * 100}</ANNOTATION_DOCUMENT>")
    with pytest.raises(EchoError, match="has over 100 elements of XML"):
        load_corpus(tmp_path)
