"""TextGrids as Praat writes them, in all its text forms and encodings; Praat itself and praatio are the oracles."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from echo_asr.annotations.textgrid import Label, read_textgrid
from echo_asr.audio.segment import AudioSegment
from echo_asr.data.corpus import load_corpus
from echo_asr.errors import EchoError
from echo_asr.text.textfile import read_text_file
from tests.helpers.textgrids import ENCODINGS, FORMS, Tiers, long_form, write_textgrid

Put = Callable[..., Path]

TIERS: Tiers = [
    ("tx", [(0.0, 0.5, ""), (0.5, 1.25, 'một "hai"\nba'), (1.25, 2.0, " \u200b"), (2.0, 3.0, "\tbốn ")]),
    ("tone", [(0.75, 0.75, "H*"), (2.5, 2.5, "L")]),
    ("gloss@Lan", [(0.0, 3.0, "")]),
]
LATIN: Tiers = [("tx", [(0.0, 1.0, 'él dijo "sí"'), (1.0, 3.0, "")])]


def spans(spec: Path | str) -> list[tuple[str, str, float, float]]:
    found = []
    for u in load_corpus(spec).utterances:
        assert isinstance(u.audio, AudioSegment)
        found.append((u.id, u.text, round(u.audio.start, 3), round(u.audio.start + u.duration, 3)))
    return found


@pytest.fixture
def grid(put: Put, tmp_path: Path) -> Callable[..., Path]:
    """`(tiers, name="rec", form="long", encoding="utf-8")`: write a TextGrid of 3 s beside a recording."""

    def write(tiers: Tiers, name: str = "rec", form: str = "long", encoding: str = "utf-8") -> Path:
        put(f"{name}.wav", 3.0)
        return write_textgrid(tmp_path / f"{name}.TextGrid", tiers, 3.0, form, encoding)

    return write


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("encoding", [name for name in ENCODINGS if name != "latin-1"])
def test_forms_and_encodings(grid: Callable[..., Path], form: str, encoding: str) -> None:
    """Empty intervals are pauses, and are left out without a word; numbers are those of Praat."""
    found = spans(grid(TIERS, form=form, encoding=encoding))
    assert found == [("tx/2", 'một "hai" ba', 0.5, 1.25), ("tx/4", "bốn", 2.0, 3.0)]


@pytest.mark.parametrize("form", FORMS)
def test_what_is_not_utf_8_is_latin_1_and_a_warning_reports_it(grid: Callable[..., Path], form: str) -> None:
    path = grid(LATIN, form=form, encoding="latin-1")
    with pytest.warns(UserWarning, match=r"rec\.TextGrid is not UTF-8 and is read as Windows-1252 \(Latin-1\)"):
        assert spans(path) == [("tx/1", 'él dijo "sí"', 0.0, 1.0)]


def test_other_line_ends_and_utf_16_without_its_mark(put: Put, tmp_path: Path) -> None:
    put("rec.wav", 3.0)
    for data in (
        long_form(TIERS, 3.0).replace("\n", "\r\n").encode(),
        long_form(TIERS, 3.0).replace("\n", "\r").encode(),
        long_form(TIERS, 3.0).encode("utf-16-le"),
        long_form(TIERS, 3.0).encode("utf-16-be"),
    ):
        (tmp_path / "rec.TextGrid").write_bytes(data)
        assert [text for _, text, _, _ in spans(tmp_path / "rec.TextGrid")] == ['một "hai" ba', "bốn"]


@pytest.mark.parametrize(
    "changed",
    [
        lambda text: text.replace("item [1]:", "item[1]:").replace("]:", "]"),  # as ELAN exports
        lambda text: text.replace(" = 0.0", " = -0").replace(" = 0 ", " = -0 "),
        lambda text: text.replace(" \n", "\n").replace("    ", ""),  # as SPPAS writes
        lambda text: text.replace("xmin = 0 ", "xmin=0").replace("text = ", "text="),
        lambda text: text.replace('"ooTextFile"', '"ooTextFile short"').replace(
            "\n    item", " ! a comment\n\n    item"
        ),
    ],
)
def test_long_forms_of_other_programs(put: Put, changed: Callable[[str], str]) -> None:
    put("rec.wav", 3.0)
    tiers: Tiers = [("none", []), ('say "tx"', [(0.0, 1.0, "x = 1.0"), (1.0, 3.0, "y!")])]
    text = changed(long_form(tiers, 3.0))
    assert text != long_form(tiers, 3.0)
    found = spans(put("rec.TextGrid", text))
    assert found == [('say "tx"/1', "x = 1.0", 0.0, 1.0), ('say "tx"/2', "y!", 1.0, 3.0)]


LABELS = st.text(st.characters(codec="utf-8", exclude_characters="\r\0", exclude_categories=("Cs",)), max_size=12)
NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FFF, exclude_characters='"\x85'), max_size=6)


@st.composite
def tiers_of_3_seconds(draw: st.DrawFn) -> Tiers:
    tiers: Tiers = []
    for name in draw(st.lists(NAMES, min_size=1, max_size=4)):
        marks = sorted(draw(st.sets(st.integers(1, 2999), max_size=4)))
        times = [0, *marks, 3000]
        if draw(st.booleans()) and marks:
            tiers.append((name, [(m / 1000, m / 1000, draw(LABELS)) for m in marks]))
        else:
            tiers.append((name, [(a / 1000, b / 1000, draw(LABELS)) for a, b in zip(times, times[1:], strict=False)]))
    return tiers


def span(label: Label) -> tuple[float, float, str]:
    return label.start, label.end, label.text


@given(tiers_of_3_seconds(), st.sampled_from(sorted(FORMS)), st.sampled_from(["utf-8", "utf-16-le", "utf-16-be"]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read(tmp_path: Path, tiers: Tiers, form: str, encoding: str) -> None:
    path = write_textgrid(tmp_path / "x.TextGrid", tiers, 3.0, form, encoding)
    read = read_textgrid(read_text_file(path))
    assert [(tier.name, [span(label) for label in tier.labels]) for tier in read] == [(n.strip(), i) for n, i in tiers]


@given(tiers_of_3_seconds(), st.sampled_from(sorted(FORMS)), st.sampled_from(["utf-8", "utf-16-le", "utf-16-be"]))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_praat_reads_the_same(tmp_path: Path, tiers: Tiers, form: str, encoding: str) -> None:
    parselmouth = pytest.importorskip("parselmouth", reason="Praat as an oracle")
    call = parselmouth.praat.call
    tiers = [(name.strip() or "x", [(a, b, plain(text)) for a, b, text in intervals]) for name, intervals in tiers]
    path = write_textgrid(tmp_path / "x.TextGrid", tiers, 3.0, form, encoding)
    praat = parselmouth.read(str(path))
    for number, tier in enumerate(read_textgrid(read_text_file(path)), start=1):
        assert call(praat, "Get tier name", number) == tier.name
        kind = "point" if tier.points else "interval"
        assert call(praat, f"Get number of {kind}s", number) == len(tier.labels)
        for index, (start, end, text) in enumerate(map(span, tier.labels), start=1):
            assert call(praat, f"Get label of {kind}", number, index) == text
            if tier.points:
                assert call(praat, "Get time of point", number, index) == start
            else:
                assert call(praat, "Get start time of interval", number, index) == start
                assert call(praat, "Get end time of interval", number, index) == end


def plain(text: str) -> str:
    """A label without what Praat changes when it reads it: control characters, and its own backslash codes."""
    return "".join(c for c in text if c.isprintable() and c not in "\\`" or c == "\n")


@pytest.mark.parametrize("save", ["Save as text file", "Save as short text file", "Save as chronological text file"])
@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16", "try ASCII, then UTF-16"])
def test_what_praat_writes(grid: Callable[..., Path], tmp_path: Path, save: str, encoding: str) -> None:
    parselmouth = pytest.importorskip("parselmouth", reason="Praat as an oracle")
    praat = parselmouth.read(str(grid(TIERS)))
    parselmouth.praat.run(f"Text writing preferences: {encoding!r}".replace("'", '"'))
    try:
        parselmouth.praat.call(praat, save, str(tmp_path / "rec.TextGrid"))
    finally:
        parselmouth.praat.run('Text writing preferences: "try ASCII, then UTF-16"')
    assert [text for _, text, _, _ in spans(tmp_path / "rec.TextGrid")] == ['một "hai" ba', "bốn"]


@pytest.mark.parametrize("form", ["long_textgrid", "short_textgrid"])
def test_what_praatio_writes(tmp_path: Path, put: Put, form: str) -> None:
    praatio = pytest.importorskip("praatio.textgrid", reason="praatio as an oracle")
    made = praatio.Textgrid()
    entries = [(0.5, 1.25, 'say "a"\nb'), (2.0, 2.75, "c")]
    made.addTier(praatio.IntervalTier("tx", entries, 0, 3))
    put("rec.wav", 3.0)
    made.save(str(tmp_path / "rec.TextGrid"), form, includeBlankSpaces=True)
    found = [(text, start, end) for _, text, start, end in spans(tmp_path / "rec.TextGrid")]
    assert found == [('say "a" b', 0.5, 1.25), ("c", 2.0, 2.75)]


# --- which tier ---

BOTH: Tiers = [
    ("tx@Lan", [(0.0, 1.0, "x"), (1.0, 3.0, "")]),
    ("tx@Minh", [(0.0, 1.0, ""), (1.0, 3.0, "y")]),
    ("gloss", [(0.0, 1.0, "one"), (1.0, 3.0, "two")]),
]


def test_a_tier_is_named(grid: Callable[..., Path]) -> None:
    path = grid(BOTH)
    with pytest.raises(EchoError, match=r"TextGrid has 3 tiers; name the one .*:TIER: tx@Lan, tx@Minh, gloss$"):
        load_corpus(path)
    assert [text for _, text, _, _ in spans(f"{path}:gloss")] == ["one", "two"]
    with pytest.raises(EchoError, match="has no tier 'Gloss'; choose from: tx@Lan, tx@Minh, gloss"):
        load_corpus(f"{path}:Gloss")


def test_what_follows_an_at_sign_is_the_speaker(grid: Callable[..., Path]) -> None:
    path = grid(BOTH)
    found = [(u.id, u.text, u.speaker) for u in load_corpus(f"{path}:tx").utterances]
    assert found == [("tx@Lan/1", "x", "Lan"), ("tx@Minh/2", "y", "Minh")]
    assert [u.speaker for u in load_corpus(f"{path}:tx@Minh").utterances] == ["Minh"]


def test_every_tier_may_be_that_of_a_speaker(grid: Callable[..., Path]) -> None:
    """As in corpora of the Montreal Forced Aligner."""
    path = grid([("ann", [(0.0, 1.0, "x"), (1.0, 3.0, "")]), ("bob", [(0.0, 3.0, "y")]), ("p", [(1.0, 1.0, "H")])])
    found = [(u.id, u.text, u.speaker) for u in load_corpus(f"{path}:*").utterances]
    assert found == [("ann/1", "x", "ann"), ("bob/1", "y", "bob")]


def test_tiers_of_one_name_are_named_by_their_number(grid: Callable[..., Path]) -> None:
    path = grid([("tx", [(0.0, 3.0, "x")]), ("", [(0.0, 3.0, "z")]), ("tx", [(0.0, 3.0, "y")])])
    with pytest.raises(EchoError, match=r"has 3 tiers; name the one with the texts, .*:TIER: tx#1, #1, tx#2$"):
        load_corpus(path)
    with pytest.raises(EchoError, match=r"has 2 tiers 'tx'; name one by its number: tx#1, tx#2$"):
        load_corpus(f"{path}:tx")
    assert spans(f"{path}:tx#2") == [("tx#2/1", "y", 0.0, 3.0)]
    assert spans(f"{path}:#1") == [("#1/1", "z", 0.0, 3.0)]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("tone", "the tier 'tone' is of points, which have no duration; choose from: tx"),
        ("gloss@Lan", "the tier 'gloss@Lan' has no interval with a label; transcribe it in Praat first"),
        ("zz", "has no tier 'zz'; choose from: tx"),
    ],
)
def test_tiers_that_have_no_texts(grid: Callable[..., Path], wanted: str, message: str) -> None:
    with pytest.raises(EchoError, match=message):
        load_corpus(f"{grid(TIERS)}:{wanted}")


# --- faults ---

GOOD = long_form(LATIN, 3.0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is no TextGrid; save one as a text file in Praat"),
        ("these are words\n", "is no TextGrid"),
        ('"words"', "is no TextGrid"),
        ("12 13", "is no TextGrid"),
        ("ooBinaryFile\x08TextGrid\0\0", "is in Praat's binary form; save it as a text file in Praat"),
        (GOOD.replace('"TextGrid"', '"Collection"'), "is no TextGrid, but Praat's Collection; save the TextGrid alone"),
        (GOOD.replace('"IntervalTier"', '"Sound"'), r"line 10: has a tier of the class 'Sound'"),
        (GOOD[: GOOD.index("intervals [2]")], "ends before a time of tier 'tx', number 2; copy or save it again"),
        (GOOD[:-4], "ends before the label of tier 'tx', number 2"),
        (GOOD.replace('""sí""', '"sí"'), "line 18: has a quotation mark within a label, or none at its end; double"),
        (GOOD.replace("size = 2", "size = 1"), "line 20: has more than its tiers count; correct the sizes"),
        (GOOD.replace("size = 2", "size = 1e999"), "line 14: the size of tier 'tx' is inf"),
        (GOOD.replace("xmax = 1.0", "xmax = early"), "line 18: expected the end of tier 'tx', number 1, found"),
        (GOOD.replace("<exists>", "<absent>").split("size")[0], "has no interval with a label"),
        (
            '"Praat chronological TextGrid text file"\n0 3\n1\n"IntervalTier" "tx" 0 3\n2 0 3\n"x"',
            "line 5: has no tier 2; save it again",
        ),
    ],
)  # fmt: skip
def test_a_fault_of_one_file_is_a_broken_record(
    grid: Callable[..., Path], put: Put, tmp_path: Path, content: str, message: str
) -> None:
    grid(LATIN, "good"), put("bad.wav", 3.0), put("bad.TextGrid", content)
    put("._good.TextGrid", "what macOS leaves on other disks")
    with pytest.raises(EchoError, match=rf"bad\.TextGrid:? {message}"):
        load_corpus(f"{tmp_path}:tx" if "absent" not in content else tmp_path / "bad.TextGrid")
    with pytest.warns(UserWarning, match=r"1 of 2 records are left out, first: .*bad\.TextGrid"):
        assert [u.id for u in load_corpus(f"{tmp_path}:tx", "skip").utterances] == ["good/tx/1"]


def test_times_and_recordings(grid: Callable[..., Path], put: Put, tmp_path: Path) -> None:
    path = grid(TIERS)
    assert len(load_corpus(path).utterances) == 2
    put("rec.wav", 2.0)
    with pytest.raises(
        EchoError, match=r"rec\.TextGrid, tier tx, interval 4 ends at 3 s, and its recording lasts 2\.000"
    ):
        load_corpus(path)
    put("rec.wav", 60.0)  # a tier may be shorter than its recording
    assert len(load_corpus(path).utterances) == 2
    put("rec.flac", 3.0)
    with pytest.raises(EchoError, match=r"rec\.TextGrid has 2 recordings, rec\.flac, rec\.wav; keep the one"):
        load_corpus(path)
    (tmp_path / "rec.flac").unlink(), (tmp_path / "rec.wav").unlink()
    with pytest.raises(EchoError, match=r"its recording is not there; put it beside the file, as rec\.wav"):
        load_corpus(path)


def test_a_broken_quotation_of_a_large_file_takes_no_time(tmp_path: Path) -> None:
    path = tmp_path / "x.TextGrid"
    path.write_text(GOOD.rstrip()[:-1] + 'a""' * 300_000, encoding="utf-8")
    with pytest.raises(EchoError, match="quotation mark"):
        read_textgrid(read_text_file(path))


def test_two_recordings_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for session, value in (("s1", 0.1), ("s2", 0.2)):
        (tmp_path / session).mkdir()
        soundfile.write(tmp_path / session / "rec.wav", np.full(48_000, value), 16_000)
        write_textgrid(tmp_path / session / "rec.TextGrid", LATIN, 3.0)
    corpus = load_corpus(f"{tmp_path}:tx")
    assert [u.id for u in corpus.utterances] == ["s1/rec/tx/1", "s2/rec/tx/1"]
    assert [u.audio.path.parent.name for u in corpus.utterances] == ["s1", "s2"]  # type: ignore[union-attr]
