"""Tone notations, on words as published descriptions have them."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echo_asr.text.tones import (
    CHAO_LETTERS,
    DIGITS,
    PINYIN_MARKS,
    SUPERSCRIPTS,
    VIETNAMESE_MARKS,
    Syllable,
    ToneNotation,
    join_syllables,
    show_tone,
)

NUMBERS, RAISED, CHAO = ToneNotation("digits"), ToneNotation("superscripts"), ToneNotation("chao_letters")
NUCLEI, MORAE = ToneNotation("diacritics"), ToneNotation("diacritics", unit="vowel")
VIETNAMESE, HMONG = ToneNotation("diacritics", VIETNAMESE_MARKS, "word"), ToneNotation("letters", "bjvsmgd")
PINYIN_TONES, HIGH = ToneNotation("diacritics", PINYIN_MARKS), ToneNotation("diacritics", "\u0301", "vowel")
EDGES, CHATINO = ToneNotation("letters", "-'\""), ToneNotation("letters", "ᴬᴮᴱꟲᴴᴵ")
BURMESE = ToneNotation("diacritics", "\u1037\u1038", "word")

# Language, word, notation, syllables as base/tone. Sources: Duanmu 2007 (Mandarin), Bauer & Benedict 1997 (Cantonese),
# Thompson 1965 (Vietnamese), Tingsabadh & Abramson 1993 (Thai), Bamgboṣe 1966 (Yoruba), Palancar, Amith & Castillo
# García 2016 (Yoloxóchitl Mixtec), Heimbach 1979 (White Hmong), Odden (Mushunguli), Maniacky (Lingala), Michaud 2017
# (Na). The others follow the orthographies and the practice of descriptions of each language.
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
    ("Mandarin", "ma35-21", NUMBERS, "ma/35-21"), ("Mandarin", "ma˥˩-˥˧", CHAO, "ma/˥˩-˥˧"),
    ("Mandarin", "ma³⁵⁻²¹", RAISED, "ma/³⁵⁻²¹"), ("Mandarin", "ma˨˩˦→˧˥ma˩", CHAO, "ma/˨˩˦→˧˥ ma/˩"),
    ("Mandarin", "꜒ma", CHAO, "ma/꜒"), ("Mandarin", "꜒ma꜕ni", CHAO, "ma/꜒ ni/꜕"), ("Mandarin", "³ma", RAISED, "ma/³"),
    ("Mandarin", "ma3.", NUMBERS, "ma./3"), ("Mandarin", "ma3,ma1", NUMBERS, "ma,/3 ma/1"),
    ("Mandarin", "ma3-ma1", NUMBERS, "ma-/3 ma/1"), ("Mandarin", "MA3Ni1", NUMBERS, "MA/3 Ni/1"),
    ("Mandarin", "(ma3)", NUMBERS, "(ma)/3"), ("Mandarin", "xi1'an1", NUMBERS, "xi/1 'an/1"),
    ("Mandarin", "nü3", NUMBERS, "nü/3"), ("Mandarin", "nu:3", NUMBERS, "nu:/3"), ("Mandarin", "ma0", NUMBERS, "ma/0"),
    ("Mandarin", "ma1ma5", NUMBERS, "ma/1 ma/5"), ("Mandarin", "ma1ma", NUMBERS, "ma/1 ma/"),
    ("Mandarin", "nar4", NUMBERS, "nar/4"), ("Mandarin", "na4r", NUMBERS, "nar/4"),
    ("Mandarin", "lǘ", PINYIN_TONES, "lü/́"), ("Mandarin", "lüè", PINYIN_TONES, "lüe/̀"),
    ("Mandarin", "ê̄", PINYIN_TONES, "ê/̄"), ("Mandarin", "m̀", PINYIN_TONES, "m/̀"),
    ("Mandarin", "ńg", PINYIN_TONES, "ng/́"),
    ("Mandarin", "hm̀ng", PINYIN_TONES, "hmng/̀"), ("Mandarin", "māma", PINYIN_TONES, "ma/̄ ma/"),
    ("Mandarin", "xièxie", PINYIN_TONES, "xie/̀ xie/"), ("Mandarin", "jiǎo", PINYIN_TONES, "jiao/̌"),
    ("Mandarin", "zhōngguó", PINYIN_TONES, "zhong/̄ guo/́"), ("Mandarin", "Xī'ān", PINYIN_TONES, "Xi/̄ 'an/̄"),
    ("Mandarin", "tiān'ānmén", PINYIN_TONES, "tian/̄ 'an/̄ men/́"),
    ("Mandarin", "péngyou", PINYIN_TONES, "peng/́ you/"),
    ("Mandarin", "míngyuè", PINYIN_TONES, "ming/́ yue/̀"), ("Mandarin", "wǎnshang", PINYIN_TONES, "wan/̌ shang/"),
    ("Mandarin", "érzi", PINYIN_TONES, "er/́ zi/"), ("Mandarin", "nǎr", PINYIN_TONES, "nar/̌"),
    ("Cantonese", "gwong2dung1", NUMBERS, "gwong/2 dung/1"), ("Cantonese", "ng5", NUMBERS, "ng/5"),
    ("Cantonese", "sik1-2", NUMBERS, "sik/1-2"), ("Hokkien", "Tâi-oân", NUCLEI, "Tai-/̂ oan/̂"),
    ("Hokkien", "chia̍h", NUCLEI, "chiah/̍"), ("Hokkien", "n̄g", NUCLEI, "ng/̄"),
    ("Vietnamese", "nghiêng", VIETNAMESE, "nghiêng/"), ("Vietnamese", "quý", VIETNAMESE, "quy/́"),
    ("Vietnamese", "giữa", VIETNAMESE, "giưa/̃"), ("Vietnamese", "uốn", VIETNAMESE, "uôn/́"),
    ("Vietnamese", "Ở", VIETNAMESE, "Ơ/̉"), ("Vietnamese", "một", VIETNAMESE, "môt/̣"),
    ("Thai", "น้ำ", NUCLEI, "นำ/้"), ("Thai", "เก้าอี้", NUCLEI, "เกา/้ อี/้"), ("Thai", "มา", NUCLEI, "มา/"),
    ("Thai", "mɯ̂aŋ", NUCLEI, "mɯaŋ/̂"), ("Thai", "kʰrɔ̂ːŋ", NUCLEI, "kʰrɔːŋ/̂"), ("Lao", "ບ້ານ", NUCLEI, "ບານ/້"),
    ("Yoruba", "ẹ́", MORAE, "ẹ/́"), ("Yoruba", "ń", MORAE, "n/́"), ("Yoruba", "òrońbó", MORAE, "o/̀ ro/ n/́ bo/́"),
    ("Yoruba", "is̩é̩", MORAE, "i/ s̩e̩/́"), ("Yoruba", "gbà", MORAE, "gba/̀"), ("Yoruba", "Ọ̀yọ́", MORAE, "Ọ/̀ yọ/́"),
    ("Igbo", "ákwụ́kwọ́", MORAE, "a/́ kwụ/́ kwọ/́"), ("Igbo", "ńnà", MORAE, "n/́ na/̀"),
    ("Igbo", "m̀gbè", MORAE, "m/̀ gbe/̀"),
    ("Ewe", "àƒé", MORAE, "a/̀ ƒe/́"), ("Ewe", "xɔ̃́", MORAE, "xɔ̃/́"), ("Ewe", "ŋútsù", MORAE, "ŋu/́ tsu/̀"),
    ("Hausa", "gàrî", NUCLEI, "ga/̀ ri/̂"), ("Hausa", "kàasuwaa", NUCLEI, "kaa/̀ su/ waa/"),
    ("Hausa", "mâi", NUCLEI, "mai/̂"),
    ("Zulu", "úmúntù", MORAE, "u/́ mu/́ ntu/̀"), ("Zulu", "ínyàngà", MORAE, "i/́ nya/̀ nga/̀"),
    ("Mixtec", "ká'a", MORAE, "ka/́ 'a/"), ("Mixtec", "ka̱'a̱", MORAE, "ka/̱ 'a/̱"),
    ("Mixtec", "káa̱", MORAE, "ka/́ a/̱"),
    ("Mixtec", "ka̲a", MORAE, "ka/̲ a/"), ("Mixtec", "tɨ̄ɨ̀n", MORAE, "tɨ/̄ ɨn/̀"),
    ("Zapotec", "bèʼcú", MORAE, "be/̀ ʼcu/́"),
    ("Triqui", "ni³²", RAISED, "ni/³²"), ("Triqui", "a1", NUMBERS, "a/1"),
    ("Triqui", "ga3kinj32", NUMBERS, "ga/3 kinj/32"),
    ("Chatino", "kwa42", NUMBERS, "kwa/42"), ("Chatino", "kwanᴴ", CHATINO, "kwan/ᴴ"),
    ("Chatino", "xnyaᴵᴴ", CHATINO, "xnya/ᴵᴴ"),
    ("Na", "ʁo˧qʰwɤ˧", CHAO, "ʁo/˧ qʰwɤ/˧"), ("Na", "zo˧˥", CHAO, "zo/˧˥"), ("Na", "v̩˧", CHAO, "v̩/˧"),
    ("Mboshi", "mwána", HIGH, "mwa/́ na/"), ("Mboshi", "ibáa", HIGH, "i/ ba/́ a/"), ("Mboshi", "mǎ", MORAE, "ma/̌"),
    ("Navajo", "dą́ą́ʼ", HIGH, "dą/́ ąʼ/́"), ("Navajo", "bich'į́", HIGH, "bi/ ch'į/́"),
    ("Navajo", "ńléí", HIGH, "n/́ le/́ i/́"),
    ("Hmong", "Hmoob", HMONG, "Hmoo/b"), ("Hmong", "POB", HMONG, "PO/B"), ("Hmong", "b", HMONG, "b/"),
    ("Karen", "tʰá", NUCLEI, "tʰa/́"), ("Burmese", "ကျွန်တော့်", BURMESE, "ကျွန်တော်/့"),
    ("Burmese", "má̰", NUCLEI, "ma̰/́"),
    ("Punjabi", "kòɽaː", NUCLEI, "ko/̀ ɽaː/"), ("Punjabi", "tʃáː", NUCLEI, "tʃaː/́"),
    ("Dan", "-kpa", EDGES, "kpa/-"), ("Dan", "'kpa", EDGES, "kpa/'"), ("Dan", "\"kpa-", EDGES, "kpa/\"-"),
    ("Dan", "kpa", EDGES, "kpa/"), ("Dan", "kpʌ̏", MORAE, "kpʌ/̏"), ("Bete", "'su'ku-", EDGES, "su'ku/'-"),
    ("a number", "35", NUMBERS, "35/"), ("a number", "3.5", NUMBERS, "3.5/"), ("a time", "7am", NUMBERS, "7am/"),
    ("Norwegian", "bønder", NUCLEI, "bø/ nder/"),
)  # fmt: skip


@pytest.mark.parametrize(("language", "word", "notation", "expected"), WORDS)
def test_words_of_published_descriptions(language: str, word: str, notation: ToneNotation, expected: str) -> None:
    for form in ("NFC", "NFD"):
        found = notation.syllables(unicodedata.normalize(form, word))
        pairs = [tuple(part.rsplit("/", 1)) for part in unicodedata.normalize("NFD", expected).split(" ")]
        assert [(s.base, s.tone) for s in found] == [(unicodedata.normalize("NFC", base), tone) for base, tone in pairs]
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


def test_every_vowel_of_vietnamese_takes_every_tone() -> None:
    for vowel in "aăâeêioôơuưyAĂÂEÊIOÔƠUƯY":
        for tone in ("", *VIETNAMESE_MARKS):
            word = unicodedata.normalize("NFC", f"t{vowel}{tone}")
            (found,) = VIETNAMESE.syllables(word)
            assert (found.base, found.tone, str(found)) == (f"t{vowel}", tone, word)


def test_texts_without_tones_keep_their_words() -> None:
    assert NUMBERS.without_tones("ni3hao3  ma1") == "nihao ma"
    assert NUCLEI.without_tones("nǐhǎo kɔ̃̂") == "nihao kɔ̃"
    assert NUMBERS.tones("ni3 hao ma1") == ["3", "", "1"]
    assert ToneNotation("digits", unmarked=False).tones("ni3 hao ma1") == ["3", "1"]
    assert NUMBERS.tones("ma3 35 ◆ ?") == ["3"]


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
