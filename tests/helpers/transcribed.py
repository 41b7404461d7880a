"""Texts of a field worker with the marks of a transcriber, and what is meant by each."""

TEXTS = (
    "ta˧ mi˥ ko˩", "ta˧ <mi˥> ko˩", "[cough] ta˧ mi˥", "əəə… mi˥ ko˩", "ko- ko˩ ta˧", "(xxx) mi˥", "*** ",
    "ta˧ {le marché} mi˥", "mi˥ | ta˧ | ko˩", "ta˧ mi˥ (?)", "⟨laugh⟩",
)  # fmt: skip
RULES = {
    "<...>": "keep", "[...]": "event", "word…": "drop", "word-": "drop", "(xxx)": "exclude", "***": "exclude",
    "{...}": "drop", "|": "break", "(?)": "break", "⟨...⟩": "event",
}  # fmt: skip
