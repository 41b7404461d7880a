"""hassil, whose syntax it is, as an oracle: the same templates give the same sentences and slots."""

from __future__ import annotations

from pathlib import Path

import pytest
from hassil import Intents, parse_sentence, recognize
from hassil.intents import RangeSlotList, TextSlotList
from hassil.sample import sample_sentence
from hypothesis import given, settings
from hypothesis import strategies as st

from echo_asr.text.grammar import Grammar
from echo_asr.text.grammar.accepted import AcceptedSentences
from echo_asr.text.normalize import normalize_basic

ROOMS, THING = ("kitchen", "living room", "hall"), "light[s]|lamp"
LINES = ["{room} = " + " | ".join(ROOMS), f"<thing> = ({THING})"]

words = st.sampled_from(["on", "off", "the", "Turn", "a", "s", "ing", "zu"])
gaps = st.sampled_from(["", " ", " ", "  "])


def joined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    parts = st.lists(st.tuples(gaps, inner, gaps).map("".join), min_size=1, max_size=3)
    return parts.map("".join)


def grouped(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    several = st.lists(inner, min_size=2, max_size=3)
    kinds = [several.map(lambda p: f"({'|'.join(p)})"), several.map(lambda p: f"[{'|'.join(p)}]")]
    kinds += [
        inner.map("[{}]".format),
        inner.map("({}|)".format),
        several.map(lambda p: f" ({';'.join(p)}) "),
    ]  # spaces: its sampler forgets them
    return joined(st.one_of(*kinds, inner))


templates = st.recursive(st.one_of(words, st.just("{room}"), st.just("<thing>")), grouped, max_leaves=7)


def sentences(*lines: str) -> set[str]:
    accepted = AcceptedSentences(Grammar.of(lines), normalize_basic)
    found = ["".join(sentence) for sentence in accepted.automata.sentences(accepted.start)]
    assert len(found) == len(set(found)) == accepted.count
    return set(found)


def of_hassil(template: str, language: str | None = None, **lists: object) -> set[str]:
    rules = {"thing": parse_sentence(THING)}
    slots = {"room": TextSlotList.from_strings(ROOMS), **lists}
    sampled = sample_sentence(parse_sentence(template), slots, rules, language)  # type: ignore[arg-type]
    return {normalize_basic(text) for text in sampled} - {""}


@settings(max_examples=150, deadline=None)
@given(templates)
def test_a_template_gives_the_sentences_that_it_gives_in_hassil(template: str) -> None:
    assert sentences(*LINES, template) == of_hassil(template)


@pytest.mark.parametrize(
    "template",
    [
        "turn on [the] light[s]",
        "this is (the | a) test",
        "(patience; you must have) my young Padawan",
        "is [the] light (on; in {room})",
        "[this|that] (is;(a|b) test)",
        "turn(s|ed|ing) [it] (on|off|)",
        "wohn[zimmer]licht",
        r"escaped \(brackets\) and \[others\]",
        "turn off <thing>",
        "red | green",
    ],
)
def test_examples_in_its_style(template: str) -> None:
    assert sentences(*LINES, template) == of_hassil(template)


@pytest.mark.parametrize(("low", "high", "step"), [(0, 130, 1), (1000, 1300, 17)])
@pytest.mark.parametrize("language", ["en", "de", "es", "fr", "vi", "zh"])
def test_what_it_says_for_numbers_is_among_what_is_understood(language: str, low: int, high: int, step: int) -> None:
    numbers = RangeSlotList(name=None, start=low, stop=high, step=step)
    own = sentences(f"language = {language}", "numbers = both", f"set {{{low}..{high},{step}:level}}")
    theirs = {text.replace("\xad", "") for text in of_hassil("set {level}", language, level=numbers)}
    other = set("壹贰叁肆伍陆柒捌玖拾佰仟初廿卅丗卌圩圆進枯")  # of cheques, and of days of the month
    assert {text for text in theirs if not set(text) & other} <= own


YAML = """
language: en
intents:
  TurnOn:
    data:
      - sentences:
          - "turn on [the] <thing> in {area}"
          - "<thing> in {area} [please] on"
        slots: {domain: light}
        expansion_rules: {thing: "(light[s]|lamp)"}
      - sentences: ["(heat;{where:area}) now"]
  SetLevel:
    data:
      - sentences: ["set {area} to {level} percent", "wait {10..90,10:seconds} seconds"]
        lists: {area: {values: [stage]}}
lists:
  area: {values: [kitchen, {in: "[the] bath room", out: bathroom}]}
  where: {values: [{in: left, out: west}, right]}
  level: {range: {from: 0, to: 75, step: 25}}
"""


def test_a_file_of_it_means_the_same(tmp_path: Path) -> None:
    """Every sentence of the file has the intent and the slots that hassil finds for it."""
    path = tmp_path / "intents.yaml"
    path.write_text(YAML, encoding="utf-8")
    accepted = AcceptedSentences(Grammar.load(path), normalize_basic)
    with path.open(encoding="utf-8") as file:
        intents = Intents.from_yaml(file)
    texts = ["".join(sentence) for sentence in accepted.automata.sentences(accepted.start)]
    assert len(texts) > 50
    for text in texts:
        result = recognize(text, intents)
        assert result is not None, text
        expected = result.intent.name, {name: str(entity.value) for name, entity in result.entities.items()}
        assert expected in [(one.intent, one.slots) for one in accepted.interpret(text)], text
