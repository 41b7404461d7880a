"""Texts in every notation of tone."""

from __future__ import annotations

from echo_asr.text.tones import VIETNAMESE_MARKS, ToneNotation

# A notation, texts to train a tokenizer on, and a text without tones.
NOTATIONS: dict[str, tuple[ToneNotation, list[str], str]] = {
    "digits": (ToneNotation("digits"), ["ni3hao3 ma1", "ma2 ni4"], "nihao ma"),
    "superscripts": (ToneNotation("superscripts"), ["ni³⁵hao² ma¹", "ma² ni⁴"], "ma hao"),
    "chao letters": (ToneNotation("chao_letters"), ["ma˧˥ mi˥", "ta˨˩˦"], "ma ta"),
    "diacritics": (ToneNotation("diacritics"), ["mǎ má nǐ hǎo", "mà ma ni", "ńkɔ̀ kɔ̌"], "nima kɔ"),
    "vietnamese": (ToneNotation("diacritics", VIETNAMESE_MARKS, "word"), ["nguyễn mạ ê ệ", "ma mã n"], "ê man"),
    "letters": (ToneNotation("letters", "bjv"), ["pob poj bo", "po pov"], "po bo"),
    "signs": (ToneNotation("letters", "-'b"), ["-kpa' ''lo", "ob 'ka -po"], "kpa lo"),
    "pairs": (ToneNotation("digits"), ["ma35-21 ni2", "mai5-3"], "ma ni"),
}
