import unicodedata

import pytest

from echo_asr.text.find_tones import find_notation
from echo_asr.text.tones import VIETNAMESE_MARKS, ToneNotation

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
