"""Tone notations, on words as published descriptions have them."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echo_asr.text.tones import (
    CHAO_LETTERS,
    DIGITS,
    SUPERSCRIPTS,
    VIETNAMESE_MARKS,
    Syllable,
    ToneNotation,
    find_notation,
    join_syllables,
    show_tone,
)

NUMBERS, RAISED, CHAO = ToneNotation("digits"), ToneNotation("superscripts"), ToneNotation("chao_letters")
NUCLEI, MORAE = ToneNotation("diacritics"), ToneNotation("diacritics", unit="vowel")
VIETNAMESE, HMONG = ToneNotation("diacritics", VIETNAMESE_MARKS, "word"), ToneNotation("letters", "bjvsmgd")

# Language, word, notation, syllables as base/tone. Sources: Duanmu 2007 (Mandarin), Bauer & Benedict 1997 (Cantonese),
# Thompson 1965 (Vietnamese), Tingsabadh & Abramson 1993 (Thai), Bamgboṣe 1966 (Yoruba), Palancar, Amith & Castillo
# García 2016 (Yoloxóchitl Mixtec), Heimbach 1979 (White Hmong), Odden (Mushunguli), Maniacky (Lingala), Michaud 2017
# (Na).
WORDS = (
    ("Mandarin", "ma1", NUMBERS, "ma/1"), ("Mandarin", "ni3hao3", NUMBERS, "ni/3 hao/3"),
    ("Mandarin", "ma³⁵", RAISED, "ma/³⁵"), ("Mandarin", "ma²¹⁴", RAISED, "ma/²¹⁴"),
    ("Mandarin", "ma51", NUMBERS, "ma/51"),
    ("Mandarin", "ma˧˥", CHAO, "ma/˧˥"), ("Mandarin", "ma˨˩˦", CHAO, "ma/˨˩˦"), ("Mandarin", "mā", NUCLEI, "ma/̄"),
    ("Mandarin", "má", NUCLEI, "ma/́"), ("Mandarin", "mǎ", NUCLEI, "ma/̌"), ("Mandarin", "mà", NUCLEI, "ma/̀"),
    ("Mandarin", "nǚ", NUCLEI, "nü/̌"), ("Mandarin", "nǐhǎo", NUCLEI, "ni/̌ hao/̌"), ("Mandarin", "ma", NUCLEI, "ma/"),
    ("Cantonese", "si1", NUMBERS, "si/1"), ("Cantonese", "jyut6ping3", NUMBERS, "jyut/6 ping/3"),
    ("Cantonese", "si˨˩", CHAO, "si/˨˩"), ("Cantonese", "m̩˨˩", CHAO, "m̩/˨˩"), ("Cantonese", "si²³", RAISED, "si/²³"),
    ("Vietnamese", "ma", VIETNAMESE, "ma/"), ("Vietnamese", "mà", VIETNAMESE, "ma/̀"),
    ("Vietnamese", "mã", VIETNAMESE, "ma/̃"), ("Vietnamese", "mả", VIETNAMESE, "ma/̉"),
    ("Vietnamese", "mạ", VIETNAMESE, "ma/̣"), ("Vietnamese", "nguyễn", VIETNAMESE, "nguyên/̃"),
    ("Vietnamese", "đường", VIETNAMESE, "đương/̀"),
    ("Thai", "kʰāː", NUCLEI, "kʰaː/̄"), ("Thai", "kʰàː", NUCLEI, "kʰaː/̀"), ("Thai", "kʰâː", NUCLEI, "kʰaː/̂"),
    ("Thai", "kʰǎː", NUCLEI, "kʰaː/̌"), ("Thai", "ข่า", NUCLEI, "ขา/่"), ("Thai", "ค้า", NUCLEI, "คา/้"),
    ("Yoruba", "bàtà", MORAE, "ba/̀ ta/̀"), ("Yoruba", "ọkọ́", MORAE, "ọ/ kọ/́"),
    ("Yoruba", "ọ̀kọ̀", MORAE, "ọ/̀ kọ/̀"),
    ("Yoruba", "oògùn", MORAE, "o/ o/̀ gun/̀"),
    ("Mixtec", "bi¹ka¹", RAISED, "bi/¹ ka/¹"), ("Mixtec", "iʔ⁴in³", RAISED, "iʔ/⁴ in/³"),
    ("Mixtec", "che⁴e¹³", RAISED, "che/⁴ e/¹³"), ("Mixtec", "xa¹ko³²", RAISED, "xa/¹ ko/³²"),
    ("Mixtec", "ii̱n", MORAE, "i/ in/̱"),
    ("Hmong", "pob", HMONG, "po/b"), ("Hmong", "poj", HMONG, "po/j"), ("Hmong", "po", HMONG, "po/"),
    ("Mushunguli", "ḿvere", MORAE, "m/́ ve/ re/"), ("Mushunguli", "mwâna", MORAE, "mwa/̂ na/"),
    ("Lingala", "mɔ́tɔ", MORAE, "mɔ/́ tɔ/"), ("Lingala", "mbálá", MORAE, "mba/́ la/́"),
    ("Na", "ʐwæ˥", CHAO, "ʐwæ/˥"), ("Na", "kʰv̩˧ʂɯ˥", CHAO, "kʰv̩/˧ ʂɯ/˥"), ("Na", "mi˧˥꜔꜒", CHAO, "mi/˧˥꜔꜒"),
    ("nasal vowel", "kɔ̃̂", NUCLEI, "kɔ̃/̂"), ("syllabic nasal", "n̩3", NUMBERS, "n̩/3"),
    ("long vowel", "á:", NUCLEI, "a:/́"),
)  # fmt: skip


@pytest.mark.parametrize(("language", "word", "notation", "expected"), WORDS)
def test_words_of_published_descriptions(language: str, word: str, notation: ToneNotation, expected: str) -> None:
    for form in ("NFC", "NFD"):
        found = notation.syllables(unicodedata.normalize(form, word))
        assert " ".join(f"{s.base}/{s.tone}" for s in found) == unicodedata.normalize("NFC", expected) or [
            (s.base, s.tone) for s in found
        ] == [tuple(unicodedata.normalize("NFC", part) for part in one.split("/")) for one in expected.split(" ")]
        assert join_syllables(found) == unicodedata.normalize("NFC", word)


MARKED = st.tuples(
    st.sampled_from("bkmnyaeiouüɔəŋʐ"),
    st.text(st.sampled_from("\u0301\u0300\u0302\u0303\u0323\u0329\u031b"), max_size=2),
)
CLUSTERS = st.one_of(MARKED.map("".join), st.sampled_from("ː:'ʔ.-13⁵²˥˩꜒"))


@pytest.mark.parametrize("notation", [NUMBERS, RAISED, CHAO, NUCLEI, MORAE, VIETNAMESE, HMONG], ids=str)
@given(clusters=st.lists(CLUSTERS))
def test_syllables_make_the_word_again_whatever_it_is(notation: ToneNotation, clusters: list[str]) -> None:
    word = "".join(clusters)
    found = notation.syllables(word)
    assert join_syllables(found) == unicodedata.normalize("NFC", word)
    assert found == notation.syllables(unicodedata.normalize("NFC", word))
    bare = notation.without_tones(word)
    if notation.kind not in ("letters", "digits", "superscripts", "chao_letters"):
        assert not any(s.tone for s in notation.syllables(bare))


def test_texts_without_tones_keep_their_words() -> None:
    assert NUMBERS.without_tones("ni3hao3  ma1") == "nihao ma"
    assert NUCLEI.without_tones("nǐhǎo kɔ̃̂") == "nihao kɔ̃"
    assert NUMBERS.tones("ni3 hao ma1") == ["3", "", "1"]
    assert ToneNotation("digits", unmarked=False).tones("ni3 hao ma1") == ["3", "1"]


PINYIN = "wǒ shì zhōngguó rén nǐ hǎo ma xièxie nǐ wǒmen qù běijīng dàxué lǎoshī hěn gāoxìng rènshi nǐ zàijiàn míngtiān"
YORUBA = "ọkọ́ ọkọ̀ ọ̀kọ̀ bàtà ilé ìwé ọmọ ènìyàn òògùn ojú ẹnu àgbà oògùn ọ̀rẹ́ ilẹ̀ omi orí apá ẹsẹ̀ ìlú óònì"
QUOC_NGU = "tôi là người việt nam nguyễn văn hưởng đi học ở trường đại học bách khoa hà nội và ngã mả sữa cũ"
FRENCH = "le garçon était là où sa mère a été élevée et nous avons passé la journée à la forêt près de la rivière"
CZECH = (
    "příliš žluťoučký kůň úpěl ďábelské ódy a potom se šel napít vody k řece kde byla tma a zima jako v zimě bývá často"
)


@pytest.mark.parametrize(
    ("text", "notation"),
    [
        ("ni3 hao3 ma1 wo3 shi4 zhong1guo2 ren2", ToneNotation("digits", unmarked=False)),
        ("ni35 hao214 ma", ToneNotation("digits")),
        ("bi¹ka¹ ta¹a³ xa¹ko³²", ToneNotation("superscripts", unmarked=False)),
        ("kʰv̩˧ʂɯ˥ ʐwæ˥ mi˧", ToneNotation("chao_letters", unmarked=False)),
        (PINYIN, ToneNotation("diacritics", "\u0300\u0301\u0304\u030c")),
        (YORUBA, ToneNotation("diacritics", "\u0300\u0301", "vowel")),
        (QUOC_NGU, ToneNotation("diacritics", VIETNAMESE_MARKS, "word")),
        (FRENCH, None),
        (CZECH, None),
        ("play mp3 number 4 or the b2 file please and the one after it", None),
        ("", None),
    ],
)
def test_a_notation_is_found_from_texts(text: str, notation: ToneNotation | None) -> None:
    assert find_notation([text]).notation == notation


def test_what_may_be_tone_is_named_and_not_taken() -> None:
    navajo = (
        "shí ashkii tó dibé bich'į' łį́į́' shimá shizhé'é dóó hooghan góne' yá'át'ééh ałk'idą́ą́' naaltsoos tsin chidí kin"
    )
    found = find_notation([navajo])
    assert found.notation is None and "\u0301" in found.doubtful


@pytest.mark.parametrize(
    ("characters", "kind"), [(DIGITS, "digits"), (SUPERSCRIPTS, "superscripts"), (CHAO_LETTERS, "chao_letters")]
)
def test_every_sign_of_a_kind_is_a_tone(characters: str, kind: str) -> None:
    for character in characters:
        assert ToneNotation(kind).syllables(f"ma{character}") == [Syllable("ma", character, (2,))]  # type: ignore[arg-type]


def test_tones_are_shown_on_a_circle_and_letters_must_be_named() -> None:
    assert [show_tone(tone) for tone in ("3", "", "\u0301")] == ["3", "-", "\u25cc\u0301"]
    with pytest.raises(ValueError, match="name the letters that write tone"):
        ToneNotation("letters")
