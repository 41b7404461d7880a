import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echo_asr.text.linebreak import clean_text, display_width, grapheme_clusters, unbreakable_parts

# Scripts in which characters combine, each with a letter, a space and an ideograph among them.
COMBINING = st.sampled_from(
    (
        "e\u0301\u0308\u0323\u200b",
        "\u0e01\u0e33\u0e34\u0e48\u0e40",  # Thai
        "\u0915\u093f\u094d\u0937\u0902",  # Devanagari
        "\u1100\u1101\u1161\u1162\u11a8\uac00\uac01",  # Korean
        "\uff76\uff9e\uff9f\u30ab\u3099",  # Japanese
        "\U0001f1e9\U0001f1ea\U0001f1eb",  # flags
        "\U0001f468\U0001f469\u200d\ufe0f\U0001f3fd\u2764",  # emoji
    )
).flatmap(lambda script: st.text(script + "a \u4f60", max_size=20))


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("", 0),
        ("abc", 3),
        ("ma\u0304", 2),
        ("mā ni3", 6),
        ("你好。", 6),
        ("ＡＢ", 4),
        ("ｶﾞ", 2),
        ("กำ", 2),
        ("한국", 4),
        ("👍🏽", 4),
        ("a\u200db", 2),
    ],
)
def test_display_width(text: str, columns: int) -> None:
    assert display_width(text) == columns


@pytest.mark.parametrize(
    ("text", "clusters"),
    [
        ("", []),
        ("ab", ["a", "b"]),
        ("a\u0301\u0323b", ["a\u0301\u0323", "b"]),
        ("กำนี้", ["กำ", "นี้"]),
        ("क्षिक", ["क्षि", "क"]),
        ("क्\u0902ष", ["क्\u0902ष"]),
        ("\u1112\u1161\u11ab\u1100\u116e", ["\u1112\u1161\u11ab", "\u1100\u116e"]),
        ("🇩🇪🇫🇷🇮", ["🇩🇪", "🇫🇷", "🇮"]),
        ("a🇩🇪🇫🇷", ["a", "🇩🇪", "🇫🇷"]),
        ("👨\u200d👩\u200d👧👍🏽", ["👨\u200d👩\u200d👧", "👍🏽"]),
        ("ｶﾞｷ", ["ｶﾞ", "ｷ"]),
        ("ab\u200bc", ["a", "b\u200b", "c"]),
        ("\u0301a", ["\u0301", "a"]),
        ("가각", ["가", "각"]),
    ],
)
def test_grapheme_clusters(text: str, clusters: list[str]) -> None:
    assert grapheme_clusters(text) == clusters


@settings(deadline=None)
@given(COMBINING)
def test_no_cluster_ends_within_one_of_the_unicode_standard(text: str) -> None:
    regex = pytest.importorskip("regex")
    ours = [len("".join(grapheme_clusters(text)[:n])) for n in range(len(grapheme_clusters(text)))]
    assert set(ours) <= {match.start() for match in regex.finditer(r"\X", text)}
    assert "".join(grapheme_clusters(text)) == text


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", []),
        ("one  two ", ["one", " two"]),
        ("you'll find-out x_y.", ["you'll", " find-out", " x_y."]),
        ("très\u202f! 10\u00a0000", ["très\u202f!", " 10\u00a0000"]),
        ("\u00a0a \u00a0 b\u3000c", ["a", " b", " c"]),
        ("你好，iPhone手机。", ["你", "好，", "iPhone", "手", "机。"]),
        ("“好的”（对）", ["“好", "的”", "（对）"]),
        ("コーヒー", ["コー", "ヒー"]),
        ("ちょっと", ["ちょっ", "と"]),
        ("한국어를 합니다", ["한국어를", " 합니다"]),
        ("ok👍🏽👍", ["ok", "👍🏽", "👍"]),
        ("12345678901", ["1", "2", "3", "4", "5", "6", "7", "8", "9", "0", "1"]),
        ("1234567890", ["1234567890"]),
        ("12345\u00a067890", ["12345", " 67890"]),
        ("你\u00a0好", ["你", " 好"]),
        ("((((((((((((", ["((((((((((", "(("]),
        ("👍" + 5 * "\u200d👍", ["👍", "\u200d", "👍", "\u200d"] + 3 * ["👍", "\u200d"] + ["👍"]),
    ],
)
def test_pieces(text: str, parts: list[str]) -> None:
    assert [
        " " * (spaced and index > 0) + part for index, (part, spaced) in enumerate(unbreakable_parts(text, 10))
    ] == (parts)


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\ufeff")), st.integers(2, 50))
def test_pieces_make_up_the_text_and_fit(text: str, columns: int) -> None:
    parts = unbreakable_parts(text, columns)
    assert "".join("".join(part.split()) for part, _ in parts) == "".join(text.split())
    assert all(part.strip() == part != "" and display_width(part) <= columns for part, _ in parts)
    assert not parts or parts[0][1]


@settings(deadline=None)
@given(st.text(st.characters()))
def test_clean_text_is_one_line_of_utf8(text: str) -> None:
    cleaned = clean_text(text)
    assert cleaned.encode("utf-8").decode("utf-8") == cleaned
    assert len(cleaned.splitlines()) <= 1 and cleaned == cleaned.strip()
    assert not any(unicodedata.category(c) == "Cc" for c in cleaned)
    assert clean_text(cleaned) == cleaned


def test_clean_text() -> None:
    assert clean_text(" a\tb\r\nc\u2028d\x00\x85e\ufefff \u3000g\n") == "a b c d e f \u3000g"
    assert clean_text("caf\udce9") == "caf?"
