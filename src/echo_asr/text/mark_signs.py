"""The words and signs that transcribers write for events, pauses, fillers and what they did not understand.

The marks are those of field notes and of the conventions in wide use: CHAT (MacWhinney), GAT 2, Jefferson's, Du Bois's
DT, Buckeye's, and those of the Linguistic Data Consortium and Switchboard; the words are English, French, Spanish,
Portuguese, German and Chinese ones.
"""

from __future__ import annotations

import re

from echo_asr.text.conventions import BRACKETS, DOTS

PAIRS = (
    *((BRACKETS[n], BRACKETS[n + 1]) for n in range(0, len(BRACKETS), 2)),
    *(("((", "))"), ("[[", "]]"), ("<<", ">>"), ("<X", "X>"), ("<@", "@>"), ("<Q", "Q>")),
    *((sign * n, sign * n) for sign in "*/=_" for n in (1, 2)),
)
NOTES = ("[=", "]"), ("[:", "]"), ("[%", "]"), ("[*", "]")  # of CHAT: explanations, replacements, comments, errors
LONGEST_FIRST = sorted((*PAIRS, *NOTES), key=lambda pair: -len(pair[0] + pair[1]))

UNCLEAR = re.compile(
    r"x{2,}|X{3,}|y{3}|w{3}|\*{2,}|#{3,}|_{2,}|\?{3,}|\u542c\u4e0d\u6e05|(?i:unk|unknown|oov|spn|spoken[_ -]?noise"
    r"|inaud\w*|unintelligib\w*|indistinct\w*|unclear|incomprehensible|incompr\w*|inintell?igib\w*|unverst\w*|unv\.?)"
)
PAUSE = re.compile(r"(?i)(?:long|short|lange?|kurze|longue|courte)?[ _-]?(?:pau[sz]\w*|silen\w*|sil|stille)|p\.?")
FILLER = re.compile(
    r"(?i)uhm?|umm+|ermm?|hmm+|mmm+|euh+|heu|\u00e4hm?|\u00f6hm?|\u0259+m|hes|hesitation|filler|filled[_ -]?pause"
)
EVENTS = re.compile(
    r"\W*(?:(?:cough|laugh|sigh|breath|inhal|exhal|noise|sneez|clap|music|applau|vocnoise|vocali[sz]ed|lip[ _-]?smack"
    r"|yawn|whistl|snort|gasp|groan|click|bruit|souffle|soupir|respir|musik|m\u00fasica|suspir|h\u00fcstel|r\u00e4usper"
    r"|ger\u00e4usch|lach|\u7b11|\u54b3\u55fd|\u566a|\u97f3\u4e50|\u638c\u58f0)\w*"
    r"|(?:nsn|rires?|toux|risas?|risos?|tos|tosse|ru[i\u00ed]do|hust\w+|atmet|clears|throat|cry|cries|crying|sobs?"
    r"|background|phone|beep|bell|door)\b)(?:[\W_].*)?",
    re.IGNORECASE,
)
ELLIPSIS = re.compile(r"\.{3,}|\u2026")
DASHES = "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212"
# Punctuation around words, and of sentences.
AROUND = ".,;:!?\u2026\"'`\u00b4\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u00ab\u00bb\u00a1\u00bf"
PUNCTUATION = set(AROUND + DASHES)
SPOKEN = set("%&\u00b0\u00a7\u2116")  # signs that stand for words
CONJUNCTIONS = frozenset("and or und oder et ou y e o en of och og".split())  # after pre-, as in "pre- and post-war"
SIGNS = "|\u2016\u00a6\\#_=~+/*\u2020\u2021\u2191\u2193\u2192\u2190\u2197\u2198\u25b2\u25bc"
PREFIXES = (("&=", "event", "names an event (CHAT)"), ("&-", "drop", "begins like a filler (CHAT)"),
             ("&+", "drop", "begins like a false start (CHAT)"), ("&~", "drop", "begins like a false start (CHAT)"),
             ("&", "drop", "begins like a filler or a false start"), ("%", "drop", "begins like a filler"),
             ("@", "keep", "marks a word, as for laughter in it"), ("*", "keep", "marks a word"),
             ("-", "keep", "begins like a suffix, or is a letter or a tone"),
             ("\u2013", "keep", "begins after a dash"),
             ("\u2014", "keep", "begins after a dash"))  # fmt: skip
SUFFIXES = (("-", "drop", "ends like a false start"), ("\u2013", "drop", "ends like a false start"),
             ("~", "drop", "ends like a false start"), ("\u2014", "keep", "breaks off"),
             ("\u2026", "keep", "trails off"), (DOTS, "keep", "trails off"))  # fmt: skip
KIND_OF_WORD = re.compile(r"[^\W\d_][^\s@]*(@[a-z]\w?(?:[:$&][\w+&]+)?)")  # CHAT: casa@s, casa@s:spa
# What every text with a mark has; three equal letters may be a filler.
ANY = re.compile(
    rf"[{re.escape(BRACKETS + SIGNS)}@&%$^\u2022\u2026]|\.\.\.|\?\?"
    rf"|(?<!\S)[{DASHES}]\w|\w[{DASHES}](?!\w)|::|\u02d0\u02d0"
    rf"|([^\W\d_])\1\1|xx|{FILLER.pattern.removeprefix('(?i)')}",
    re.IGNORECASE,
)
