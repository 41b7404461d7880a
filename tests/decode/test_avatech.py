import io
import locale
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echo_asr.decode.avatech import Annotation, Messages, read_parameters, read_tier, write_tier
from echo_asr.errors import EchoError
from tests.helpers.elan import Spans, java_milliseconds, load_elan_tier, understood, write_elan_tier

HEAD = b'<?xml version="1.0" encoding="UTF-8"?>\n<PARAM>\n'
MESSY: Spans = [(0, 1, ""), (1, 2000, "Tom & Jerry"), (2000, 3599999, "a < b"), (10800001, 10800999, "zwei\nZeilen ˥")]


def parameters(data: bytes) -> dict[str, str]:
    return read_parameters(io.BytesIO(data))


# --- parameters ---


def test_parameters_have_their_escapes_undone() -> None:
    path = "C:\\R&amp;D &quot;x&quot;\\O&apos;Neill &lt;1&gt;\\é˥.wav"
    data = HEAD + f'<param name="source">{path}</param>\n<param name="input_tier"></param>\n</PARAM>\n'.encode()
    assert parameters(data) == {"source": 'C:\\R&D "x"\\O\'Neill <1>\\é˥.wav', "input_tier": ""}


def test_old_versions_of_elan_escape_nothing() -> None:
    data = HEAD + b'<param name="source">/R&D/a&copy <1>.wav</param>\r\n</PARAM>\r\n'
    assert parameters(data) == {"source": "/R&D/a&copy <1>.wav"}


def test_old_versions_of_elan_write_in_the_encoding_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    data = HEAD + '<param name="source">C:\\Łódź.wav</param>\r\n</PARAM>\r\n'.encode("cp1250")
    monkeypatch.setattr(locale, "getencoding", lambda: "cp1250")
    assert parameters(data) == {"source": "C:\\Łódź.wav"}
    monkeypatch.setattr(locale, "getencoding", lambda: "utf-8")
    assert parameters(data)["source"].startswith("C:\\")


def test_reading_ends_with_the_parameters() -> None:
    class Open(io.BytesIO):
        def readline(self, size: int | None = -1, /) -> bytes:
            line = super().readline(size)
            assert line, "read on after the parameters, for which ELAN would be waited for"
            return line

        __next__ = readline

    assert read_parameters(Open(HEAD + b'<param name="a">b</param>\n</PARAM>\n')) == {"a": "b"}


@pytest.mark.parametrize("data", [b"", HEAD, HEAD + b"</PARAM>\n", b"\x00\xff\n"])
def test_no_parameters_are_an_error(data: bytes) -> None:
    with pytest.raises(EchoError, match="standard input has no parameters; ELAN writes them"):
        parameters(data)


# --- tiers ---


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("seconds", [True, False])
def test_a_tier_of_elan_is_read_in_either_unit(tmp_path: Path, line_end: str, seconds: bool) -> None:
    plain: Spans = [(0, 1, ""), (1001, 2000, "ein Wort"), (3723004, 3723005, "")]
    assert read_tier(write_elan_tier(tmp_path / "t.xml", plain, line_end, seconds)) == plain
    found = read_tier(write_elan_tier(tmp_path / "t.xml", MESSY, line_end, seconds))
    assert found == MESSY


def test_a_tier_file_of_another_program_is_read(tmp_path: Path) -> None:
    path = tmp_path / "t.xml"
    path.write_text(
        '<TIERS><TIER columns="a b"><span start="0.5" end="1"><v>R&amp;D</v><v>x</v></span><span start="2" end="3"/>'
        '</TIER><TIER columns="c"><span start="5" end="6"><v>y</v></span></TIER></TIERS>'
    )
    assert read_tier(path) == [(500, 1, "R&D"), (2, 3, "")]
    path.write_text('<TIER columns="a"></TIER>')
    assert read_tier(path) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a tier of ELAN's recognisers"),
        ("<ANNOTATION_DOCUMENT/>", "is not a tier of ELAN's recognisers"),
        ('"#starttime";"#endtime"', "is not a tier of ELAN's recognisers"),
        ('<TIER columns="a"><span start="0.1" end="0.2"><v>a & b</v></span>', "is not a tier of ELAN's recognisers"),
        ('<TIER columns="a"><span end="0.2"><v/></span></TIER>', "'' is no time"),
        ('<TIER columns="a"><span start="0:01" end="0.2"><v/></span></TIER>', "'0:01' is no time"),
        ('<TIER columns="a"><span start="1." end="1e999."><v/></span></TIER>', "'1e999.' is no time"),
    ],
)
def test_what_is_no_tier_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "t.xml"
    path.write_text(text)
    with pytest.raises(EchoError, match=message) as error:
        read_tier(path)
    assert str(path) in str(error.value)


def test_a_tier_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EchoError, match=r"none\.xml: the tier cannot be read \(No such file"):
        read_tier(tmp_path / "none.xml")


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
TIME = st.integers(0, 86_400_000)  # ms of a day


@given(spans=st.lists(st.tuples(TIME, TIME, TEXT), max_size=5))
def test_elan_loads_each_time_to_the_millisecond_and_each_text(
    tmp_path_factory: pytest.TempPathFactory, spans: Spans
) -> None:
    path = tmp_path_factory.getbasetemp() / "written.xml"
    write_tier(path, "my  tier", [Annotation(*span) for span in spans])
    (tier,) = load_elan_tier(path).items()
    assert tier[0] == "my_tier" and [span[:2] for span in tier[1]] == [span[:2] for span in spans]
    for (_, _, loaded), (_, _, text) in zip(tier[1], spans, strict=True):
        legal = "".join(c for c in text if c in "\t\n\r" or (c >= " " and c not in "\ufffe\uffff"))
        assert loaded.split() == legal.replace("\r\n", "\n").split()
    again = read_tier(path)
    assert [a[:2] for a in again] == [span[:2] for span in spans]


def test_seconds_would_move_boundaries_in_elan() -> None:
    # Why times are written in milliseconds, though ELAN itself writes seconds.
    assert java_milliseconds("0.251") == 250 and java_milliseconds("64.004") == 64_003


def test_a_tier_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(EchoError, match="could not be written"):
        write_tier(tmp_path / "none" / "t.xml", "x", [])
    assert list(tmp_path.iterdir()) == []


# --- messages ---


def test_messages_are_those_that_elan_understands() -> None:
    stream = io.StringIO()
    messages = Messages(stream)
    for share, text in [(0.0, "loading"), (0.001, "not again"), (0.5, "2 of 4"), (0.4, "never back"), (1.2, "writing")]:
        messages.progress(share, text)
    messages.done()
    assert stream.getvalue() == (
        "PROGRESS: 0% loading\nPROGRESS: 50% 2 of 4\nPROGRESS: 99% writing\nRESULT: DONE.\n"  # at 100 % ELAN loads it
    )
    ended = understood(stream.getvalue().splitlines())
    assert ended.progress == [0.0, 0.5, 0.99] and ended.result == "done"
    messages.failed()
    assert stream.getvalue().endswith("\nRESULT: FAILED.\n")
