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
    find_notation,
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


PINYIN = "wǒ shì zhōngguó rén nǐ hǎo ma xièxie nǐ wǒmen qù běijīng dàxué lǎoshī hěn gāoxìng rènshi nǐ zàijiàn míngtiān"
YORUBA = "ọkọ́ ọkọ̀ ọ̀kọ̀ bàtà ilé ìwé ọmọ ènìyàn òògùn ojú ẹnu àgbà oògùn ọ̀rẹ́ ilẹ̀ omi orí apá ẹsẹ̀ ìlú óònì"
QUOC_NGU = "tôi là người việt nam nguyễn văn hưởng đi học ở trường đại học bách khoa hà nội và ngã mả sữa cũ"
FRENCH = "le garçon était là où sa mère a été élevée et nous avons passé la journée à la forêt près de la rivière"
CZECH = (
    "příliš žluťoučký kůň úpěl ďábelské ódy a potom se šel napít vody k řece kde byla tma a zima jako v zimě bývá často"
)


TONAL = {
    "Hausa": ("\u0300\u0302", "nucleus", (
        "gàrî kàazaa bàbban gidàn mutûm yaa zoo dà kaayaa sun tàfi kàasuwaa wannàn yaaròo yanàa dà kuɗii àmmaa "
        "bâi sàyi kôomee ba tôo mâlàm yâu dà sâafe sun dâawoo"
    )),
    "Ewe": ("\u0300\u0301", "vowel", (
        "àmè sìà yì àƒé mé é lè tsì nù ɖèká kplé àtí gã́ dé wó vá ɖù nú lè àgblè mè ŋútsù lá kpɔ́ nyɔ́nù ɖé kò "
        "ŋ̀tɔ́ yì dzò"
    )),
    "Igbo": ("\u0300\u0301", "vowel", (
        "ákwụ́kwọ́ ńnà m̀ bụ̀ óké mmádụ̀ nà-èrí jí ńdị́ ìgbò ákwá àkwà ákwà àkwá ísí ọ́nụ́ áká ụ́kwụ́ úlọ̀ ọ́rụ́ "
        "mmírí ọ́kụ́ ányị́ gàrà áhị́á"
    )),
    "Zulu": ("\u0300\u0301", "nucleus", (
        "úmúntù ìnkòmò íngánè úyáhámbà éndlìní ábántù bàyáfùndà ísíkólè úmfánà ùdládlà íntómbì íyápèkà úkúdlà "
        "ámánzì ábílàyó émfúlénì úbábà ùmámà bàyáhlékà ízínjà"
    )),
    "Mixtec": ("\u0301\u0331", "vowel", (
        "ká'a̱ n̄ ñá'a káa̱ ii̱n kúu̱ sa̱na̱ nda̱á kaá tá'a̱ yáa̱ ko̱ó va̱'a̱ ndúu̱ chá'a̱ ñu̱ú ra̱ kéi̱ ja'a̱ "
        "ndé'é náa̱ tɨ́ɨ̱n vi̱lú"
    )),
    "IPA of Thai": ("\u0300\u0301\u0302\u0304\u030c", "nucleus", (
        "kʰāː kʰàː kʰâː kʰáː kʰǎː mâj dàj pāj bâːn nāj mɯ̄aŋ tʰāj kʰōn rák kān mâːk lɛ́ːw kɔ̂ː tɕà maː sǒŋ sìp "
        "hâː dɯ̀ːm náːm"
    )),
    "Thai": ("\u0e48\u0e49", "nucleus", (
        "ข้า ไป ที่ บ้าน ไม่ ได้ กิน ข้าว แล้ว ก็ นอน ที่ นั่น น้ำ ร้อน มาก เก้า สี่ ห้า แม่ พ่อ พี่ น้อง ไก่"
    )),
    "Hokkien": ("\u0300\u0301\u0302\u0304", "nucleus", (
        "Tâi-oân lâng kóng Tâi-gí chin hó góa sī ha̍k-seng lí ài chia̍h pn̄g bô in tiàm chia khòaⁿ chheh jit̍ "
        "thâu chhù lāi ū kúi ê lâng"
    )),
    "IPA of Punjabi": ("\u0300\u0301\u0304", "nucleus", (
        "kòɽaː kóɽaː kōɽaː tʃàː tʃáː tʃāː pàː páː kàr kár sə̀ sə́ míː mìː pə̀tʰ lóː lòː dʊ́ dʊ̀ ghár mə́ɲ"
    )),
    "Dan": ("\u0300\u0301\u0302\u030b\u030f", "vowel", (
        "ɓá kʌ̏ gɔ̏ɔ̏ dʌ́ɛ̀ yá̋ nű kpȁ ɓa̋ tűŋ́ zȍ wʌ̂ gbɛ̰̂ yɤ̏ yɤ̋ dɔ̀ kȍ sű nȕ wȁ ɓȉ"
    )),
}  # fmt: skip
# Orthographies whose accents are no tones, and those whose single mark may or may not be one.
OTHERS = {
    "French": (
        "le garçon était là où sa mère a été élevée et nous avons passé la journée à la forêt près de la rivière "
        "être à côté du château où il neige déjà très tôt"
    ),
    "Spanish": (
        "el niño comió pan y después salió a jugar con su hermano mientras mamá preparaba la cena él está aquí y "
        "según tú también irá allí más tarde"
    ),
    "Slovak": (
        "kŕdeľ šťastných ďatľov učí pri ústí váhu mĺkveho koňa obhrýzať kôru a žrať čerstvé mäso môže byť"
    ),
    "German": (
        "der größte Bär läuft über die Straße und frißt schöne süße Äpfel weil er hungrig ist und müde war heute "
        "früh im Wald gewesen"
    ),
    "Polish": (
        "zażółć gęślą jaźń i pójdź w świat gdzie ćma śpi a łódź płynie po jeziorze źle się dzieje tu też"
    ),
    "Turkish": (
        "çocuk okula gitti ve öğretmenine bir kâğıt verdi sonra eve döndü hâlâ yağmur yağıyordu şimdi güneşli bir "
        "gün"
    ),
    "Finnish": (
        "hyvää päivää minun nimeni on matti ja asun helsingissä älä tule tänne yöllä koska täällä on pimeää"
    ),
    "Hungarian": (
        "árvíztűrő tükörfúrógép és a kisfiú elment az erdőbe hogy megkeresse az őzikét aki ott élt a hűvös fák "
        "között nagyon régóta már"
    ),
    "English": (
        "play mp3 number 4 or the b2 file please and the one after it covid19 was in 2020 and i was 35 years old "
        "at that time"
    ),
    "IPA of English": (
        "ðə ˈnɔːθ ˈwɪnd ən ðə ˈsʌn wə dɪˈspjuːtɪŋ ˈwɪtʃ wəz ðə ˈstɹɒŋɡə wɛn ə ˈtɹævələ ˌkeɪm əˈlɒŋ ˈɹæpt ɪn ə "
        "ˈwɔːm ˈkləʊk"
    ),
    "Latvian": (
        "glāžšķūņa rūķīši dzērumā čiepj baha koncertflīģeļu vākus un tā tālāk viņš gāja mājās pa ceļu kur bija "
        "tēvs māte un brālis"
    ),
    "Lithuanian": (
        "įlinkdama fechtuotojo špaga sublykčiojusi pragręžė apvalų arbūzą ir vėl jūra ūžė šiandien čia žmonės "
        "eina namo"
    ),
    "Croatian": (
        "gojazni đačić s biciklom drži hmelj i finu vatu u džepu nošnje čovjek može ići kući večeras ćemo ići još "
        "žuti šešir"
    ),
    "Icelandic": (
        "kæmi ný öxi hér ykist þjófum nú bæði víl og ádrepa það er gott að vera hér á íslandi í dag og á morgun "
        "líka"
    ),
    "Irish": (
        "tá mé ag dul abhaile anois agus beidh mé ar ais amárach nuair a bhíonn sé fuar ólann muid tae té sa "
        "chistin úr"
    ),
    "Portuguese": (
        "à noite vovô kowalsky vê o ímã cair no pé do pinguim queixoso e vovó põe açúcar no chá de tâmaras do "
        "jabuti feliz não há ninguém aí você é também três"
    ),
    "Lakota": (
        "čhaŋté wašté kiŋ šúŋka ȟé mní wí haŋhépi aŋpétu wičháša wíyaŋ hokšíla wašíču ožáŋžaŋ šahíyela čháŋ "
        "žaŋžáŋ šíča"
    ),
    "Sanskrit": (
        "dharmakṣetre kurukṣetre samavetā yuyutsavaḥ māmakāḥ pāṇḍavāś caiva kim akurvata sañjaya dṛṣṭvā tu "
        "pāṇḍavānīkaṃ vyūḍhaṃ duryodhanas tadā śrī śāstra īśvara"
    ),
    "Kurmanji": (
        "ez û tu em diçin malê li wir kesekî nîn e bi zimanê kurdî dinivîse rojek gelek xweş bû heval hatin "
        "dîtina me û çûn"
    ),
    "Welsh": (
        "mae'r tŷ ar y bryn yn hen iawn ac mae gŵr yn byw yno gyda'i gi a'i gath tân môr sêr cân llên"
    ),
    "Catalan": (
        "això és el que volíem fer però avui no podrà ser perquè plou molt i també fa fred aquí dalt de la "
        "muntanya demà ja veurem què passa"
    ),
    "Maori": (
        "ka haere au ki te tāone mā te wāhine ā he kōrero pai tēnei mō ngā tamariki ō tātou mātua tūpuna kāore "
        "ētahi ī"
    ),
    "Russian": (
        "э́то о́чень хоро́шая ка́ша и мы её еди́м ка́ждый день по́сле рабо́ты с молоко́м и ма́слом вот так мой "
        "друг"
    ),
    "Greek": (
        "καλημέρα σας πώς είστε σήμερα εγώ είμαι πολύ καλά ευχαριστώ και εσείς τι κάνετε αυτή την ώρα εδώ στην "
        "πόλη"
    ),
    "Estonian": (
        "põdur zagrebi tšellomängija följetonist ciqo külmetas kehvas garaažis ja läks siis õhtul koju sööma"
    ),
    "Mboshi": (
        "wáre ngá ámitsítsíngi ambúrú lekyá bísí nó yúlu ebhulú ma tsínga obva áyaa dzá ibáá mwási okóndzi na "
        "mwána wa bána bá swá"
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "notation"),
    [
        ("ni3 hao3 ma1 wo3 shi4 zhong1guo2 ren2", ToneNotation("digits", unmarked=False)),
        ("ni35 hao214 ma", ToneNotation("digits")),
        ("nei5 hou2 ngo5 hai6 jyut6ping3 gwong2dung1 waa2", ToneNotation("digits", unmarked=False)),
        ("ni³² a¹ ga³kinj³² yuj³¹ nan³³ sii", ToneNotation("superscripts")),
        ("ʁo˧qʰwɤ˧ zo˧˥ mv̩˩zo˩ tʰi˩˥ ə˧mi˧", ToneNotation("chao_letters", unmarked=False)),
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


@pytest.mark.parametrize("language", TONAL)
def test_marks_and_what_carries_them_are_found(language: str) -> None:
    marks, unit, text = TONAL[language]
    for form in ("NFC", "NFD"):
        found = find_notation([unicodedata.normalize(form, text)]).notation
        assert found is not None and (found.kind, set(found.marks), found.unit) == ("diacritics", set(marks), unit)
        assert found.without_tones(text) == found.without_tones(found.without_tones(text))


@pytest.mark.parametrize("language", OTHERS)
def test_accents_of_languages_without_tone_are_none(language: str) -> None:
    for form in ("NFC", "NFD"):
        assert find_notation([unicodedata.normalize(form, OTHERS[language])]).notation is None


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
