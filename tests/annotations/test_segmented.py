"""Segments without a text, in all the files that segment a recording, and the same files with texts in them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from xml.etree.ElementTree import tostring

import numpy as np
import pympi
import pytest
import soundfile
from praatio import textgrid as praatio

from echo_asr.annotations.segmented import SegmentedFile, open_segmented
from echo_asr.annotations.textgrid import read_textgrid
from echo_asr.errors import EchoError
from echo_asr.text.textfile import read_text_file
from tests.helpers.eaf import canonical, full_elan, parsed
from tests.helpers.slow import slow

Write = Callable[..., Path]
TEXTS = ("một hai", 'say "a", b; c', "R&D <x> --> y", "♪", "1")
LONG = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0 
xmax = 10 
tiers? <exists> 
size = 2 
item []: 
    item [1]:
        class = "IntervalTier" 
        name = "tx@Lan" 
        xmin = 0 
        xmax = 10 
        intervals: size = 3 
        intervals [1]:
            xmin = 0 
            xmax = 1.5 
            text = "" 
        intervals [2]:
            xmin = 1.5 
            xmax = 2.25 
            text = "mine ""quoted"" ! one" 
        intervals [3]:
            xmin = 2.25 
            xmax = 10 
            text = " " 
    item [2]:
        class = "TextTier" 
        name = "tone" 
        xmin = 0 
        xmax = 10 
        points: size = 1 
        points [1]:
            number = 3 
            mark = "" 
"""  # noqa: W291
SHORT = """File type = "ooTextFile"
Object class = "TextGrid"

0
10
<exists>
1
"IntervalTier"
"tx"
0
10
3
0
1.5
""
1.5
2.25
"mine ""quoted"" ! one"
2.25
10
""
"""
CHRONOLOGICAL = """"Praat chronological TextGrid text file"
0 10   ! Time domain.
2   ! Number of tiers.
"IntervalTier" "tx" 0 10
"TextTier" "tone" 0 10

! tx:
1 0 1.5
""
1 1.5 2.25
"mine ""quoted"" ! one"
2 3
""
1 2.25 10
""
"""
SRT = """1
00:00:00,000 --> 00:00:01,500 X1:1


2
00:00:01,500 --> 00:00:02,250
mine
2

3
00:00:02,250 --> 00:00:10,000
4
00:00:10,000 --> 00:00:11,000
5"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """`(name, content)`: write a file beside a recording of 12 s; its path."""

    def written(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        soundfile.write(path.with_suffix(".wav"), np.zeros(12 * 8000, np.int16), 8000)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return written


def times(segmented: SegmentedFile) -> list[tuple[float, float]]:
    return [(round(blank.start, 6), round(blank.end, 6)) for blank in segmented.blanks]


# --- ELAN ---


def values(path: Path) -> dict[str, str]:
    """The texts of all annotations, by their ids, as pympi reads them."""
    tiers = pympi.Eaf(str(path)).tiers.values()
    aligned = {name: value for own, *_ in tiers for name, (_, _, value, _) in own.items()}
    return aligned | {name: value for _, own, *_ in tiers for name, (_, value, _, _) in own.items()}


@pytest.mark.parametrize("count", [12, slow(200)])
def test_empty_annotations_are_filled_and_all_else_is_equal(count: int, write: Write) -> None:
    for seed in range(count):
        draw = random.Random(seed)
        before = full_elan(seed).replace("my%20rec", "rec")
        data = codecs_of(seed, before)
        path = write("rec.eaf", data)
        tier = draw.choice(("tx", "ft>", "utterance", "gloss"))
        segmented = open_segmented(f"{path}:{tier}")
        texts = {place: draw.choice(TEXTS) for place in range(len(segmented.blanks)) if draw.random() < 0.8}
        names = {segmented.blanks[place].where.rpartition(" ")[2]: text for place, text in texts.items()}
        old = values(path)
        assert not any(old[name].strip() for name in names)
        path.write_bytes(segmented.filled(texts))
        assert values(path) == old | names
        left = open_segmented(f"{path}:{tier}")
        assert times(left) == [time for place, time in enumerate(times(segmented)) if place not in texts]
        assert without_texts(path.read_bytes(), names) == without_texts(data, names)


def without_texts(data: bytes, names: Iterable[str]) -> str:
    """A file in canonical XML, the annotations of these ids without texts."""
    root = parsed(data)
    for element in root.iter():
        if element.get("ANNOTATION_ID") in names:
            element[0].text = None
    return canonical(tostring(root, encoding="utf-8"))


def codecs_of(seed: int, text: str) -> bytes:
    if seed % 3 == 0:
        return text.encode()
    if seed % 3 == 1:
        return text.replace('"UTF-8"', '"utf-16"').encode("utf-16")
    return text.replace('"UTF-8"', '"iso-8859-1"').replace("\n", "\r\n").encode("latin-1", "xmlcharrefreplace")


def test_nothing_is_filled_and_nothing_is_changed(write: Write) -> None:
    path = write("rec.eaf", full_elan(1).replace("my%20rec", "rec"))
    assert open_segmented(f"{path}:tx").filled({}) == path.read_bytes()


def test_the_time_at_which_the_recording_begins(write: Write) -> None:
    text = full_elan(2).replace("my%20rec", "rec")
    plain = times(open_segmented(f"{write('rec.eaf', text)}:ft>"))
    path = write("rec.eaf", text.replace('MIME_TYPE="audio/x-wav"', 'MIME_TYPE="audio/x-wav" TIME_ORIGIN="1500"'))
    later = [(round(start + 1.5, 6), round(end + 1.5, 6)) for start, end in plain]
    assert plain and times(open_segmented(f"{path}:ft>")) == later
    assert times(open_segmented(f"{path}:ft>", path.with_suffix(".wav"))) == later, "its name is that of the file"


@pytest.mark.parametrize(
    ("tier", "message"),
    [
        ("", r"rec\.eaf has [45] tiers; name the one with the texts, .*:TIER: tx, wd, ft>, ps"),
        (":no", r"rec\.eaf has no tier 'no' with annotations; choose from: tx, wd, ft>, ps"),
        (":wd", r"tier 'wd' divides annotations into parts without times of their own; choose the tier that has"),
        (":ps", r"tier 'ps' takes its texts from a controlled vocabulary; choose one with free texts"),
    ],
)
def test_tiers_of_elan_that_cannot_be_filled(tier: str, message: str, write: Write) -> None:
    path = write("rec.eaf", full_elan(1).replace("my%20rec", "rec").replace(">two<", "><"))
    with pytest.raises(EchoError, match=message):
        open_segmented(f"{path}{tier}")


# --- TextGrid ---


def labels(path: Path) -> list[tuple[str, list[tuple[float, float, str]]]]:
    return [
        (t.name, [(label.start, label.end, label.text) for label in t.labels])
        for t in read_textgrid(read_text_file(path))
    ]


@pytest.mark.parametrize("content", [LONG, SHORT, CHRONOLOGICAL], ids=["long", "short", "chronological"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_empty_intervals_of_a_textgrid_are_filled(content: str, encoding: str, write: Write) -> None:
    path = write("rec.TextGrid", content.encode(encoding))
    segmented = open_segmented(f"{path}:tx")
    assert times(segmented) == [(0.0, 1.5), (2.25, 10.0)]
    before = labels(path)
    path.write_bytes(segmented.filled({0: TEXTS[0], 1: TEXTS[1]}))
    intervals = before[0][1]
    expected = [(0.0, 1.5, TEXTS[0]), intervals[1], (2.25, 10.0, TEXTS[1])]
    assert labels(path) == [(before[0][0], expected), *before[1:]]
    if content != CHRONOLOGICAL and encoding != "utf-8-sig":
        tier = praatio.openTextgrid(str(path), includeEmptyIntervals=True).tiers[0]
        assert [tuple(entry) for entry in tier.entries] == expected
    untouched = read_text_file(path).data.decode().replace('"một hai"', '""')
    quoted = '"say ""a"", b; c"'
    assert untouched.replace(quoted, '" "' if content == LONG else '""') == content


def test_the_only_tier_of_intervals_needs_no_name(write: Write) -> None:
    assert len(open_segmented(str(write("rec.TextGrid", LONG))).blanks) == 2


def test_every_tier_of_intervals(write: Write) -> None:
    path = write(
        "rec.TextGrid", LONG.replace('"TextTier"', '"IntervalTier"').replace("number = 3", "xmin = 3 xmax = 4")
    )
    segmented = open_segmented(f"{path}:*")
    assert times(segmented) == [(0.0, 1.5), (2.25, 10.0), (3.0, 4.0)]
    path.write_bytes(segmented.filled({0: "a", 1: "b", 2: "c"}))
    assert [label[2] for _, tier in labels(path) for label in tier] == ["a", 'mine "quoted" ! one', "b", "c"]


def test_a_textgrid_in_an_old_encoding(write: Write) -> None:
    path = write("rec.TextGrid", SHORT.replace("mine", "café").encode("cp1252"))
    segmented = open_segmented(str(path))
    assert segmented.filled({0: "où"}) == SHORT.replace("mine", "café").replace('""', '"où"', 1).encode("cp1252")
    with pytest.raises(EchoError, match=r"is in an encoding \(cp1252\) that does not have 'ộ'; save it as UTF-8"):
        segmented.filled({0: "một"})


TWO = LONG.replace('"TextTier"', '"IntervalTier"').replace("number = 3", "xmin = 3 xmax = 4")


@pytest.mark.parametrize(
    ("content", "tier", "message"),
    [
        (TWO, "", r"has 2 tiers; name the one to fill, .*:TIER: tx@Lan, tone$"),
        (LONG, ":tone", r"has no tier 'tone' of intervals; choose from: tx@Lan$"),
        (TWO.replace("tone", "tx@Lan"), ":tx@Lan", r"has 2 tiers 'tx@Lan'; name one by its number: tx@Lan#1, tx@Lan#2"),
        (LONG.replace('"IntervalTier"', '"TextTier"'), "", r"line 17: expected the label of tier 'tx@Lan', number 1"),
        (LONG[:300], "", r"ends before "),
        ("words", "", r"is no TextGrid; save one as a text file in Praat"),
    ],
)
def test_textgrids_that_cannot_be_filled(content: str, tier: str, message: str, write: Write) -> None:
    with pytest.raises(EchoError, match=message):
        open_segmented(f"{write('rec.TextGrid', content)}{tier}")


# --- tables and subtitles ---


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("start,end\n1,2.5\n3,4\n", 'start,end,text\n1,2.5,a\n3,4,"b,""c"""\n'),
        ("\ufeffstart;end;text;x\r\n1,0;2,5;;y\r\n3;4;", '\ufeffstart;end;text;x\r\n1,0;2,5;a;y\r\n3;4;"b,""c"""'),
        ("1,2.5\n2,3,mine\n3,4\n", '1,2.5,a\n2,3,mine\n3,4,"b,""c"""\n'),
        ("id\ttext\tend\tstart\n7\t\t2.5\t1\n8\t \t4\t3\n", 'id\ttext\tend\tstart\n7\ta\t2.5\t1\n8\t"b,""c"""\t4\t3\n'),
        (
            'Start,End,Text,n\n1,2.5,"","p\nq"\n\n,,,\n3,4,,\n',
            'Start,End,Text,n\n1,2.5,a,"p\nq"\n\n,,,\n3,4,"b,""c""",\n',
        ),
    ],
)
def test_rows_of_a_table_are_filled(before: str, after: str, write: Write) -> None:
    segmented = open_segmented(str(write("rec.csv", before)))
    assert times(segmented) == [(1.0, 2.5), (3.0, 4.0)]
    assert segmented.filled({0: "a", 1: 'b,"c"'}) == after.encode()
    assert segmented.filled({}) == before.encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("file,text\na,b\n", r"rec\.csv has no columns start and end; name them in its first row"),
        ("", r"rec\.csv has no columns start and end"),
        ("start,end,text\n1,2,\nx,3,\n", r"rec\.csv line 3 has no start and end in seconds; correct them"),
        ("start,end,text\n1\n", r"rec\.csv line 2 has no start and end in seconds"),
    ],
)
def test_tables_that_cannot_be_filled(content: str, message: str, write: Write) -> None:
    with pytest.raises(EchoError, match=message):
        open_segmented(str(write("rec.csv", content)))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_empty_subtitles_are_filled(encoding: str, end: str, write: Write) -> None:
    path = write("rec.srt", SRT.replace("\n", end).encode(encoding))
    segmented = open_segmented(str(path))
    assert times(segmented) == [(0.0, 1.5), (2.25, 10.0)]
    expected = SRT.replace("X1:1\n", "X1:1\nmột → hai\n").replace("10,000\n4", "10,000\nba\n\n4")
    assert segmented.filled({0: "một --> hai", 1: "ba"}) == expected.replace("\n", end).encode(encoding)


def test_other_files_and_recordings(write: Write, tmp_path: Path) -> None:
    path = write("rec.srt", SRT)
    with pytest.raises(EchoError, match=r"rec\.srt has no tiers; leave out :tx"):
        open_segmented(f"{path}:tx")
    with pytest.raises(EchoError, match=r"rec\.txt: segments are read from \.eaf, \.TextGrid, \.csv and \.srt"):
        open_segmented(str(write("rec.txt", SRT)))
    with pytest.raises(EchoError, match=r"gone\.csv cannot be read: No such file or directory; check its name"):
        open_segmented(str(tmp_path / "gone.csv"))
    with pytest.raises(EchoError, match=r"gone\.wav: no such file"):
        open_segmented(str(path), tmp_path / "gone.wav")
    (tmp_path / "rec.wav").rename(tmp_path / "other.wav")
    assert open_segmented(str(path), tmp_path / "other.wav").recording == tmp_path / "other.wav"
    with pytest.raises(EchoError, match=r"rec\.srt: its recording is not there; put it beside the file, as rec\.wav"):
        open_segmented(str(path))
    with pytest.raises(EchoError, match=r"rec\.srt has no times as subtitles have them"):
        open_segmented(str(write("rec.srt", "1\nwords\n")))


def test_boundaries_and_written_texts_never_change(write: Write) -> None:
    """Whatever is filled in, and in whatever order."""
    marks = [0, 1, 2.5, 2.501, 7, 12]
    rows = [f"{a},{b},{'mine' if place % 2 else ''}" for place, (a, b) in enumerate(pairwise(marks))]
    segmented = open_segmented(str(write("rec.csv", "\n".join(["start,end,text", *rows]))))
    filled = segmented.filled({2: "c", 0: "a"}).decode().splitlines()
    assert [line.rpartition(",")[0] for line in filled[1:]] == [row.rpartition(",")[0] for row in rows]
    assert [line.rpartition(",")[2] for line in filled[1:]] == ["a", "mine", "", "mine", "c"]
